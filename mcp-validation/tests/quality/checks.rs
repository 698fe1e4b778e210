//! What each check counts, and what is expected of it.

use mcp_core::ErrorKind;
use mcp_validation::quality::{Basis, FieldType, Quality, QualityPolicy, Unlisted, Verdict};
use mcp_validation::rule::{JsonType, Operator, Rule};
use mcp_validation::{Contract, Document, Limits};
use serde_json::{Value, json};

use super::{shown, state, summary, told};

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
    let summary = summary(&quality(100), &records);
    assert_eq!((summary.records, summary.unreadable), (6, 1));
    assert_eq!(shown(&summary, "completeness:/a"), "3 of 6");
    assert_eq!(shown(&summary, "completeness:/b/c"), "2 of 6");
    assert_eq!(shown(&summary, "validity:contract"), "4 of 6", "null is absent, so it is of no wrong type");
    assert_eq!(shown(&summary, "uniqueness:a"), "1 of 3", "1 is 1.0, and not the text 1");
    assert_eq!(shown(&summary, "uniqueness:both"), "2 of 2");
    assert_eq!(summary.check("uniqueness:a").unwrap().distinct.map(|distinct| distinct.value), Some(2.0));
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
fn every_failing_record_is_told_with_its_id_and_what_it_fails() {
    let mut policy = quality(100).policy().clone().typed("/a", FieldType::Integer);
    policy.id = Some("/id".to_owned());
    let contract =
        Contract::builder().rule(Rule::type_is("number", "/a", [JsonType::Number])).build().unwrap();
    let quality = Quality::new(policy).unwrap().contract(contract);
    let mut failures = Vec::new();
    let mut sink = |failure: &mcp_validation::quality::Failure<'_>| {
        failures.push(told(failure));
        Ok(())
    };
    let mut pass = quality.pass().unwrap();
    for text in [
        r#"{"id": 7, "a": 1, "b": {"c": 1}}"#,
        r#"{"id": "x", "a": "y"}"#,
        "{\"a\":",
        r#"{"id": "x", "a": "y", "b": {"c": null}}"#,
        r#"{"a": 2.5, "b": {"c": 0}}"#,
    ] {
        pass.record(&Document::json(text), &mut sink).unwrap();
    }
    assert_eq!(
        failures,
        [
            "2 None Some(\"x\") completeness:/b/c",
            "2 None Some(\"x\") consistency:/a",
            "2 None Some(\"x\") validity:contract",
            "3 None None it is not JSON",
            "4 None Some(\"x\") completeness:/b/c",
            "4 None Some(\"x\") consistency:/a",
            "4 None Some(\"x\") validity:contract",
            "5 None None consistency:/a",
        ]
    );
}

#[test]
fn a_record_that_could_not_be_judged_is_not_counted() {
    let mut limits = Limits::default();
    limits.max_steps = 3;
    let rule = Rule::type_is("n", "/list/*", [JsonType::Number]);
    let contract = Contract::builder().rule(rule).limits(limits).build().unwrap();
    let quality =
        Quality::new(QualityPolicy::new().complete("/a").unique("a", ["/a"])).unwrap().contract(contract);
    let mut pass = quality.pass().unwrap();
    let error = pass.record(&Document::json(r#"{"a": 1, "list": [1, 2, 3, 4]}"#), &mut Unlisted);
    assert_eq!(error.map_err(|error| error.kind()), Err(ErrorKind::Exhausted));
    assert_eq!(pass.finish(), quality.state());
}

#[test]
fn beyond_its_size_uniqueness_is_estimated_and_says_by_how_much() {
    let records: Vec<Value> = (0..3000).map(|n| json!({"a": if n < 2000 { n } else { n % 1000 }})).collect();
    let counted = summary(&quality(2000), &records);
    assert_eq!(shown(&counted, "uniqueness:a"), "1000 of 3000");
    let rough = summary(&quality(500), &records);
    let check = rough.check("uniqueness:a").unwrap();
    let (ratio, error) = (check.score.ratio().unwrap(), check.score.error);
    assert!(error > 0.0 && error < 0.1 && (ratio - 1.0 / 3.0).abs() < error, "{check:?}");
    assert!(check.score.to_string().starts_with("about "), "{check:?}");
    let distinct = check.distinct.unwrap();
    assert!((distinct.value - 2000.0).abs() < distinct.error && distinct.error < 600.0, "{distinct:?}");
    assert_eq!(shown(&rough, "completeness:/a"), "3000 of 3000");
}

#[test]
fn accuracy_says_what_it_compares_with_and_whom_it_asks() {
    let text = r#"{"accurate": [
        {"rule": {"name": "price", "check": {"range": {"path": "/price", "minimum": 0}}}},
        {"allowed": {"name": "currency", "field": "/currency", "values": ["EUR", "CHF", 1]}},
        {"lookup": {"name": "country", "key": "/city", "field": "/country", "entries": {"Bern": "CH", "Lyon": "FR"}}}]}"#;
    let quality = Quality::new(serde_json::from_str(text).unwrap()).unwrap();
    let records = [
        json!({"price": 1, "currency": "EUR", "city": "Bern", "country": "CH"}),
        json!({"price": -1, "currency": 1.0, "city": "Bern", "country": "FR"}),
        json!({"price": "x", "currency": "1", "city": "Rome", "country": "IT"}),
        json!({"currency": "eur", "city": "Lyon"}),
    ];
    let summary = summary(&quality, &records);
    assert_eq!(shown(&summary, "accuracy:price"), "1 of 3");
    assert_eq!(shown(&summary, "accuracy:currency"), "2 of 4", "the text 1 is not the number");
    assert_eq!(
        shown(&summary, "accuracy:country"),
        "1 of 2",
        "Rome is not in the set, and Lyon has no country"
    );
    let basis = |target| summary.check(target).unwrap().basis;
    assert_eq!(basis("accuracy:price"), Basis::Declaration);
    assert_eq!([basis("accuracy:currency"), basis("accuracy:country")], [Basis::Reference; 2]);
}

#[test]
fn fields_are_compared_with_each_other_where_both_are_there() {
    let policy = QualityPolicy::new()
        .consistent(Rule::compare("order", "/from", Operator::LessOrEqual, "/to"))
        .consistent(Rule::required("some", "/from"))
        .typed("/day", FieldType::Date);
    let quality = Quality::new(policy).unwrap();
    let records = [
        json!({"from": 1, "to": 2.5, "day": "2026-01-02"}),
        json!({"from": 3, "to": 2.5, "day": "2026-13-02"}),
        json!({"from": "a", "to": "b"}),
        json!({"from": "b", "to": "a"}),
        json!({"to": 1}),
    ];
    let summary = summary(&quality, &records);
    assert_eq!(shown(&summary, "consistency:order"), "2 of 4");
    assert_eq!(shown(&summary, "consistency:some"), "4 of 5");
    assert_eq!(shown(&summary, "consistency:/day"), "1 of 2");
}

#[test]
fn scores_are_weighted_and_the_worst_verdict_counts() {
    let records = [json!({"a": 1, "b": 1}), json!({"a": 1}), json!({"a": 1}), json!({"a": 1, "c": "x"})];
    let with = |text: &str| {
        let mut policy: QualityPolicy = serde_json::from_str(text).unwrap();
        policy = policy.complete("/a").complete("/b").allowed("c", "/c", ["x"]);
        summary(&Quality::new(policy).unwrap(), &records)
    };
    let plain = with("{}");
    assert_eq!((plain.score, plain.verdict), (Some((0.625 + 1.0) / 2.0), Verdict::Pass));
    let weights = r#"{"completeness:/b": 3, "accuracy": 0}"#;
    let weighted =
        with(&format!(r#"{{"weights": {weights}, "thresholds": {{"overall": {{"warn": 0.5}}}}}}"#));
    assert_eq!((weighted.score, weighted.verdict), (Some((1.0 + 3.0 * 0.25) / 4.0), Verdict::Warn));
    let verdict = |target: &str, warn: f64, fail: f64| {
        with(&format!(r#"{{"thresholds": {{"{target}": {{"warn": {warn}, "fail": {fail}}}}}}}"#)).verdict
    };
    assert_eq!(verdict("completeness:/b", 0.25, 0.25), Verdict::Pass, "it reaches them");
    assert_eq!(verdict("completeness:/b", 0.3, 0.25), Verdict::Warn);
    assert_eq!(verdict("completeness:/b", 0.3, 0.3), Verdict::Fail);
    assert_eq!(verdict("completeness", 0.7, 0.6), Verdict::Warn);
    assert_eq!(verdict("timeliness", 0.7, 0.6), Verdict::Unknown, "nothing of it is measured");
}

#[test]
fn a_policy_that_cannot_be_followed_is_refused_with_the_reason() {
    let reason = |policy: QualityPolicy| Quality::new(policy).map(|_| ()).expect_err("refused").to_string();
    let parsed = |text: &str| reason(serde_json::from_str(text).unwrap());
    assert!(reason(QualityPolicy::new().complete("a")).contains("does not begin with '/'"));
    assert!(reason(QualityPolicy::new().complete("/a/*")).contains("one place is needed"));
    assert!(reason(QualityPolicy::new().complete("/a").complete("/a")).contains("named twice"));
    assert!(reason(QualityPolicy::new().unique("k", [""; 0])).contains("has no fields"));
    assert!(reason(QualityPolicy::new().unique("k", ["/a"]).unique("k", ["/b"])).contains("named twice"));
    assert!(reason(QualityPolicy::new().unique("K", ["/a"])).contains("'K' is not allowed"));
    assert!(
        reason(QualityPolicy::new().threshold("completeness:/a", 1.0, 1.0)).contains("nothing is measured")
    );
    assert!(reason(QualityPolicy::new().threshold("overall", 1.5, 1.0)).contains("between 0 and 1"));
    assert!(reason(QualityPolicy::new().profile_all([2.0], 0)).contains("the quantile 2"));
    assert!(
        parsed(r#"{"timely": [{"name": "t", "field": "/t"}]}"#)
            .contains("neither max_age_seconds nor deadline")
    );
    assert!(parsed(r#"{"weights": {"accuracy": -1}}"#).contains("cannot have the weight -1"));
    assert!(parsed(r#"{"max_fields": 1, "complete": ["/a", "/b"]}"#).contains("raise max_fields"));
    assert!(parsed(r#"{"changes": {"new_values": ["/a"]}}"#).contains("not profiled"));
    let json = r#"{"complete": ["/a"], "unique": [{"name": "k", "fields": ["/a"]}]}"#;
    let policy: QualityPolicy = serde_json::from_str(json).unwrap();
    assert_eq!(policy, QualityPolicy::new().complete("/a").unique("k", ["/a"]));
    let back: QualityPolicy = serde_json::from_str(&serde_json::to_string(&policy).unwrap()).unwrap();
    assert_eq!(back, policy);
}

#[test]
fn what_scores_are_compared_with_may_change_and_what_is_measured_may_not() {
    let policy = QualityPolicy::new().complete("/a");
    let quality = |policy: &QualityPolicy| Quality::new(policy.clone()).unwrap();
    let made = state(&quality(&policy), &[json!({"a": 1})]);
    let stricter = quality(&policy.clone().threshold("overall", 1.0, 1.0));
    assert_eq!(stricter.summary(&made).unwrap().verdict, Verdict::Pass);
    for other in [policy.clone().max_distinct(7), policy.clone().complete("/b"), QualityPolicy::new()] {
        let other = quality(&other);
        assert_eq!(other.summary(&made).map(|_| ()).map_err(|error| error.kind()), Err(ErrorKind::Conflict));
        assert_eq!(other.state().merge(made.clone()).map_err(|error| error.kind()), Err(ErrorKind::Conflict));
        let loaded = other.load(&made.save().unwrap()).map(|_| ());
        assert_eq!(loaded.map_err(|error| error.kind()), Err(ErrorKind::Conflict));
    }
}
