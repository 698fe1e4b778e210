//! Quality states: what is counted, and that partial counts merge into the same answer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use mcp_core::ErrorKind;
use mcp_validation::quality::{Quality, QualityPolicy, QualityState, Score};
use mcp_validation::rule::{JsonType, Rule};
use mcp_validation::{Contract, Document, Limits};
use proptest::prelude::*;
use serde_json::{Value, json};

fn quality(max_distinct: u64) -> Quality {
    let policy = QualityPolicy::new()
        .complete("/a")
        .complete("/b/c")
        .unique("a", ["/a"])
        .unique("both", ["/a", "/b/c"])
        .max_distinct(max_distinct);
    let contract =
        Contract::builder().rule(Rule::type_is("number", "/a", [JsonType::Number])).build().unwrap();
    Quality::new(policy).unwrap().contract(contract)
}

fn state(quality: &Quality, records: &[Value]) -> QualityState {
    let mut state = quality.state();
    for record in records {
        quality.observe(&mut state, &Document::from(record.clone())).unwrap();
    }
    state
}

#[test]
fn each_score_has_its_numerator_and_denominator() {
    let records = [
        json!({"a": 1, "b": {"c": "x"}}),
        json!({"a": 1.0, "b": {"c": "y"}}),
        json!({"a": "1", "b": {"c": null}}),
        json!({"a": null}),
        json!({}),
        json!([1]),
    ];
    let summary = state(&quality(100), &records).summary();
    assert_eq!((summary.records, summary.unreadable), (6, 1));
    assert_eq!(summary.completeness["/a"], Score::new(3, 6));
    assert_eq!(summary.completeness["/b/c"], Score::new(2, 6));
    assert_eq!(summary.validity, Some(Score::new(4, 6)), "null is absent, so it is of no wrong type");
    let a = summary.uniqueness["a"];
    assert_eq!((a.unique, a.distinct, a.records), (Some(Score::new(1, 3)), Some(Score::new(2, 3)), 3));
    let both = summary.uniqueness["both"];
    assert_eq!(
        (both.unique, both.distinct, both.records),
        (Some(Score::new(2, 2)), Some(Score::new(2, 2)), 2)
    );
}

#[test]
fn a_contract_that_was_replaced_leaves_no_trace() {
    let of = |least: f64| Contract::builder().rule(Rule::range("r", "/a", least..)).build().unwrap();
    let quality = || Quality::new(QualityPolicy::new()).unwrap();
    let mut replaced = quality().contract(of(1.0)).contract(of(2.0)).state();
    assert_eq!(replaced, quality().contract(of(2.0)).state());
    assert_eq!(replaced.merge(quality().contract(of(2.0)).state()).map_err(|error| error.kind()), Ok(()));
    let other = replaced.merge(quality().contract(of(1.0)).state()).map_err(|error| error.kind());
    assert_eq!(other, Err(ErrorKind::Conflict));
}

#[test]
fn a_record_that_fails_is_told_with_what_it_lacks() {
    let quality = quality(100);
    let mut state = quality.state();
    let seen = quality.observe(&mut state, &Document::json(r#"{"a": "x"}"#)).unwrap();
    assert_eq!((seen.readable, seen.valid, seen.missing), (true, Some(false), vec!["/b/c".to_owned()]));
    let seen = quality.observe(&mut state, &Document::json("{\"a\":")).unwrap();
    assert_eq!((seen.readable, seen.valid, seen.missing.len()), (false, Some(false), 2));
    assert_eq!(state.summary().unreadable, 1);
}

#[test]
fn a_record_that_could_not_be_judged_is_not_counted() {
    let mut limits = Limits::default();
    limits.max_steps = 3;
    let rule = Rule::type_is("n", "/list/*", [JsonType::Number]);
    let contract = Contract::builder().rule(rule).limits(limits).build().unwrap();
    let quality =
        Quality::new(QualityPolicy::new().complete("/a").unique("a", ["/a"])).unwrap().contract(contract);
    let mut state = quality.state();
    let before = state.clone();
    let error = quality.observe(&mut state, &Document::json(r#"{"a": 1, "list": [1, 2, 3, 4]}"#));
    assert_eq!(error.map_err(|error| error.kind()), Err(ErrorKind::Exhausted));
    assert_eq!(state, before);
}

#[test]
fn beyond_its_size_uniqueness_is_not_known_and_the_rest_still_is() {
    let records = [json!({"a": 1}), json!({"a": 2}), json!({"a": 1}), json!({"a": 3})];
    let quality = quality(2);
    let known = state(&quality, &records[..3]).summary().uniqueness["a"];
    assert_eq!(
        (known.unique, known.distinct, known.records),
        (Some(Score::new(1, 3)), Some(Score::new(2, 3)), 3)
    );
    let summary = state(&quality, &records).summary();
    let unknown = summary.uniqueness["a"];
    assert_eq!((unknown.unique, unknown.distinct, unknown.records), (None, None, 4));
    assert_eq!(summary.completeness["/a"], Score::new(4, 4));
}

#[test]
fn states_of_different_policies_do_not_merge() {
    let one = quality(100);
    let mut state = one.state();
    let others = [
        quality(99).state(),
        Quality::new(QualityPolicy::new().complete("/a")).unwrap().state(),
        Quality::new(QualityPolicy::new()).unwrap().contract(Contract::builder().build().unwrap()).state(),
    ];
    for other in others {
        assert_eq!(state.merge(other).map_err(|error| error.kind()), Err(ErrorKind::Conflict));
    }
    let mut other = quality(99).state();
    let observed = one.observe(&mut other, &Document::json("{}")).map_err(|error| error.kind());
    assert_eq!(observed, Err(ErrorKind::Conflict));
}

#[test]
fn a_policy_that_cannot_be_followed_is_refused_with_the_reason() {
    let reason = |policy: QualityPolicy| Quality::new(policy).map(|_| ()).expect_err("refused").to_string();
    assert!(reason(QualityPolicy::new().complete("a")).contains("does not begin with '/'"));
    assert!(reason(QualityPolicy::new().complete("/a/*")).contains("one place is needed"));
    assert!(reason(QualityPolicy::new().complete("/a").complete("/a")).contains("named twice"));
    assert!(reason(QualityPolicy::new().unique("k", [""; 0])).contains("has no fields"));
    assert!(reason(QualityPolicy::new().unique("k", ["/a"]).unique("k", ["/b"])).contains("named twice"));
    assert!(reason(QualityPolicy::new().unique("K", ["/a"])).contains("'K' is not allowed"));
    let json = r#"{"complete": ["/a"], "unique": [{"name": "k", "fields": ["/a"]}]}"#;
    let policy: QualityPolicy = serde_json::from_str(json).unwrap();
    assert_eq!(policy, QualityPolicy::new().complete("/a").unique("k", ["/a"]));
}

fn records() -> impl Strategy<Value = Vec<Value>> {
    let scalar = prop_oneof![
        Just(Value::Null),
        (0_i64..4).prop_map(Value::from),
        (0_i32..4).prop_map(|number| Value::from(f64::from(number))),
        "[01]".prop_map(Value::from),
    ];
    let record = prop_oneof![
        9 => (scalar.clone(), scalar.clone()).prop_map(|(a, c)| json!({"a": a, "b": {"c": c}})),
        1 => scalar,
    ];
    prop::collection::vec(record, 0..30)
}

proptest! {
    /// Invariant 10: merging exact quality states in any order equals one pass.
    #[test]
    fn parts_merged_in_any_order_are_one_pass(
        records in records(),
        parts in 1_usize..6,
        order in any::<prop::sample::Index>(),
        max_distinct in prop_oneof![0_u64..6, Just(1000)],
    ) {
        let quality = quality(max_distinct);
        let whole = state(&quality, &records);
        let mut states: Vec<QualityState> = (0..parts)
            .map(|part| records.iter().skip(part).step_by(parts).cloned().collect::<Vec<_>>())
            .map(|part| state(&quality, &part))
            .collect();
        // Any tree of merges: two neighbours at a drawn place, the left into the right or the other way round.
        let mut place = order.index(1 << 30);
        while states.len() > 1 {
            let left = states.remove(place % states.len());
            place = place / 3 + 1;
            let index = place % states.len();
            let right = &mut states[index];
            if place % 2 == 0 {
                right.merge(left).unwrap();
            } else {
                let other = std::mem::replace(right, left);
                right.merge(other).unwrap();
            }
        }
        prop_assert_eq!(&states[0], &whole);
        prop_assert_eq!(states[0].summary(), whole.summary());
    }

    #[test]
    fn merging_is_associative_and_commutative_and_nothing_is_neutral(
        a in records(), b in records(), c in records(), max_distinct in 0_u64..8,
    ) {
        let quality = quality(max_distinct);
        let [a, b, c] = [a, b, c].map(|records| state(&quality, &records));
        let merged = |left: &QualityState, right: &QualityState| {
            let mut merged = left.clone();
            merged.merge(right.clone()).unwrap();
            merged
        };
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&a, &quality.state()), a);
    }

    #[test]
    fn a_state_comes_back_from_json_as_it_was(records in records(), max_distinct in 0_u64..8) {
        let state = state(&quality(max_distinct), &records);
        let json = serde_json::to_string(&state).unwrap();
        prop_assert_eq!(serde_json::from_str::<QualityState>(&json).unwrap(), state);
    }

    /// A small naive model beside the states.
    #[test]
    fn the_scores_are_those_of_plain_counting(records in records()) {
        let summary = state(&quality(1000), &records).summary();
        let texts: Vec<String> = records
            .iter()
            .filter_map(|record| record.get("a").filter(|value| !value.is_null()))
            .map(|value| value.as_f64().map_or_else(|| value.to_string(), |number| number.to_string()))
            .collect();
        let once = texts.iter().filter(|text| texts.iter().filter(|other| other == text).count() == 1).count();
        let distinct: std::collections::BTreeSet<&String> = texts.iter().collect();
        let score = |numerator: usize| Some(Score::new(numerator as u64, texts.len() as u64));
        prop_assert_eq!(summary.uniqueness["a"].unique, score(once));
        prop_assert_eq!(summary.uniqueness["a"].distinct, score(distinct.len()));
        prop_assert_eq!(summary.completeness["/a"], Score::new(texts.len() as u64, records.len() as u64));
    }
}
