//! Invariant 10: merging quality states in any order equals one pass; and what is saved comes back, or is refused.

use mcp_core::{Digest, ErrorKind};
use mcp_validation::Contract;
use mcp_validation::quality::{FieldType, Quality, QualityPolicy, QualityState};
use mcp_validation::rule::{JsonType, Rule};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{shown, state, summary};

fn policy(max: u64) -> QualityPolicy {
    QualityPolicy::new()
        .complete("/a")
        .complete("/b/c")
        .typed("/a", FieldType::Number)
        .accurate(Rule::range("range", "/a", 0.0..2.0))
        .unique("a", ["/a"])
        .unique("both", ["/a", "/b/c"])
        .profile_all([0.0, 0.3, 0.5, 1.0], 0)
        .max_distinct(max)
        .max_values(max.max(1))
}

fn quality(policy: QualityPolicy) -> Quality {
    let contract =
        Contract::builder().rule(Rule::type_is("number", "/a", [JsonType::Number])).build().unwrap();
    Quality::new(policy).unwrap().contract(contract)
}

fn records() -> impl Strategy<Value = Vec<Value>> {
    let scalar = prop_oneof![
        Just(Value::Null),
        (0_i64..4).prop_map(Value::from),
        (0_i32..4).prop_map(|number| Value::from(f64::from(number))),
        prop::num::f64::NORMAL.prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[01]".prop_map(Value::from),
        "[a-c]{33}".prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
    ];
    let record = prop_oneof![
        9 => (scalar.clone(), scalar.clone(), "[d-z]")
            .prop_map(|(a, c, name)| json!({"a": a, "b": {"c": c}, name: [1]})),
        1 => scalar,
    ];
    prop::collection::vec(record, 0..30)
}

/// Any tree of merges: two neighbours at a drawn place, the left into the right or the other way round.
fn merged(mut states: Vec<QualityState>, mut place: usize) -> QualityState {
    while states.len() > 1 {
        let left = states.remove(place % states.len());
        place = place / 3 + 1;
        let index = place % states.len();
        let right = &mut states[index];
        if place.is_multiple_of(2) {
            right.merge(left).unwrap();
        } else {
            let other = std::mem::replace(right, left);
            right.merge(other).unwrap();
        }
    }
    states.remove(0)
}

proptest! {
    /// Invariant 10. Beyond the sizes too: samples and groups do not depend on the order either.
    #[test]
    fn parts_merged_in_any_order_are_one_pass(
        records in records(),
        parts in 1_usize..6,
        order in any::<prop::sample::Index>(),
        max in prop_oneof![0_u64..6, Just(1000)],
        max_fields in prop_oneof![3_u32..8, Just(1000)],
    ) {
        let mut policy = policy(max);
        policy.max_fields = max_fields;
        let quality = quality(policy);
        let whole = state(&quality, &records);
        let states: Vec<QualityState> = (0..parts)
            .map(|part| records.iter().skip(part).step_by(parts).cloned().collect::<Vec<_>>())
            .map(|part| state(&quality, &part))
            .collect();
        let merged = merged(states, order.index(1 << 30));
        prop_assert_eq!(quality.summary(&merged).unwrap(), quality.summary(&whole).unwrap());
        prop_assert_eq!(&merged, &whole);
    }

    /// With the most frequent values, as long as all of them are kept.
    #[test]
    fn merging_is_associative_and_commutative_and_nothing_is_neutral(
        a in records(), b in records(), c in records(), frequent in 0_u32..2,
    ) {
        let mut policy = policy(1000);
        policy.profile.frequent = frequent;
        let quality = quality(policy);
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
    fn a_state_comes_back_as_it_was(records in records(), max in 0_u64..8) {
        let quality = quality(policy(max));
        let state = state(&quality, &records);
        prop_assert_eq!(quality.load(&state.save().unwrap()).unwrap(), state);
    }

    /// A small naive model beside the states.
    #[test]
    fn the_scores_are_those_of_plain_counting(records in records()) {
        let summary = summary(&quality(policy(1000)), &records);
        let texts: Vec<String> = records
            .iter()
            .filter_map(|record| record.get("a").filter(|value| !value.is_null()))
            .map(|value| match value.as_f64() {
                Some(float) if value.as_i64().is_none() => format!("{float}"),
                _ => value.to_string(),
            })
            .collect();
        let once = texts.iter().filter(|text| texts.iter().filter(|other| other == text).count() == 1).count();
        prop_assert_eq!(shown(&summary, "uniqueness:a"), format!("{once} of {}", texts.len()));
        prop_assert_eq!(shown(&summary, "completeness:/a"), format!("{} of {}", texts.len(), records.len()));
    }
}

#[test]
fn a_damaged_state_is_refused() {
    let quality = quality(policy(5));
    let records: Vec<Value> = (0..20).map(|n| json!({"a": n, "b": {"c": n % 3}})).collect();
    let bytes = state(&quality, &records).save().unwrap();
    let kind = |bytes: &[u8]| quality.load(bytes).map(|_| ()).map_err(|error| error.kind());
    assert_eq!(kind(&bytes), Ok(()));
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert_eq!(kind(&changed), Err(ErrorKind::Corrupt), "byte {at}");
        assert_eq!(kind(&bytes[..at]), Err(ErrorKind::Corrupt), "cut at {at}");
    }
    let longer = [bytes.as_slice(), b"x"].concat();
    assert_eq!(kind(&longer), Err(ErrorKind::Corrupt));
}

#[test]
fn a_state_that_cannot_be_is_refused_although_its_checksum_agrees() {
    let quality = quality(policy(5));
    let bytes = state(&quality, &[json!({"a": 1})]).save().unwrap();
    let (head, body) = bytes.split_at(40);
    let mut refused = 0;
    for at in 0..body.len() {
        let mut changed = body.to_vec();
        changed[at] = changed[at].wrapping_add(1);
        let forged = [&head[..8], Digest::of(&changed).as_bytes().as_slice(), &changed].concat();
        // Whatever is let through can be used.
        match quality.load(&forged) {
            Ok(mut state) => {
                state.merge(quality.state()).unwrap();
                quality.summary(&state).unwrap();
                state.save().unwrap();
            }
            Err(_) => refused += 1,
        }
    }
    assert!(refused > body.len() / 2, "{refused} of {}", body.len());
}
