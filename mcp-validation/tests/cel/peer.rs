//! The same expressions by the crate `cel`: where both have a result, it is the same one.

use std::collections::HashMap;
use std::sync::Arc;

use cel::objects::{Key, Map};
use cel::{Context, Program, Value as Peer};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::holds;

/// The document as CEL's own types would have it: integers are `int`.
fn peer_value(value: &Value) -> Peer {
    match value {
        Value::Null => Peer::Null,
        Value::Bool(truth) => Peer::Bool(*truth),
        Value::Number(number) => match number.as_i64() {
            Some(int) => Peer::Int(int),
            None => Peer::Float(number.as_f64().unwrap()),
        },
        Value::String(text) => Peer::String(Arc::new(text.clone())),
        Value::Array(elements) => Peer::List(Arc::new(elements.iter().map(peer_value).collect())),
        Value::Object(members) => {
            let map: HashMap<Key, Peer> = members
                .iter()
                .map(|(key, value)| (Key::String(Arc::new(key.clone())), peer_value(value)))
                .collect();
            Peer::Map(Map { map: Arc::new(map) })
        }
    }
}

/// What the peer makes of it; `None` where it fails or gives something else than true or false.
fn peer(expression: &str, document: &Value) -> Option<bool> {
    let program = Program::compile(expression).ok()?;
    let mut context = Context::default();
    context.add_variable_from_value("doc", peer_value(document));
    match program.execute(&context) {
        Ok(Peer::Bool(truth)) => Some(truth),
        _ => None,
    }
}

fn int() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (-4_i64..10).prop_map(|int| int.to_string()),
        Just("doc.a".to_owned()),
        Just("doc.b".to_owned()),
        Just("size(doc.s)".to_owned()),
        Just("doc.l.size()".to_owned()),
        (0..4_usize).prop_map(|index| format!("doc.l[{index}]")),
        Just("doc.m.k".to_owned()),
        Just("doc.gone".to_owned()),
        Just("9223372036854775807".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), prop_oneof!["\\+", "-", "\\*", "/", "%"], inner.clone())
                .prop_map(|(left, sign, right)| format!("({left} {sign} {right})")),
            inner.clone().prop_map(|inner| format!("-({inner})")),
            (boolean_leaf(), inner.clone(), inner).prop_map(|(c, one, two)| format!("({c} ? {one} : {two})")),
        ]
    })
}

fn double() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("doc.f".to_owned()),
        (-8_i32..8).prop_map(|halves| format!("{:.1}", f64::from(halves) / 2.0)),
        (prop_oneof!["\\+", "-", "\\*", "/"], -8_i32..8)
            .prop_map(|(sign, halves)| format!("(doc.f {sign} {:.1})", f64::from(halves) / 2.0)),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![Just("doc.s".to_owned()), "[ab]{0,3}".prop_map(|text| format!("'{text}'"))];
    leaf.prop_recursive(2, 4, 2, |inner| {
        (inner.clone(), inner).prop_map(|(one, two)| format!("({one} + {two})"))
    })
}

fn relation() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("<"), Just("<="), Just(">"), Just(">="), Just("=="), Just("!=")]
}

fn boolean_leaf() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("doc.t".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just("has(doc.gone)".to_owned()),
        Just("has(doc.m.k)".to_owned()),
        Just("'k' in doc.m".to_owned()),
        (-1_i64..4).prop_map(|int| format!("{int} in doc.l")),
        Just("doc.l == [1, 2, 3]".to_owned()),
    ]
}

fn boolean() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        boolean_leaf(),
        (int(), relation(), int()).prop_map(|(left, sign, right)| format!("{left} {sign} {right}")),
        (double(), relation(), double()).prop_map(|(left, sign, right)| format!("{left} {sign} {right}")),
        (text(), relation(), text()).prop_map(|(left, sign, right)| format!("{left} {sign} {right}")),
        (text(), prop_oneof![Just("contains"), Just("startsWith"), Just("endsWith")], text())
            .prop_map(|(text, function, part)| format!("{text}.{function}({part})")),
        (prop_oneof![Just("all"), Just("exists"), Just("exists_one")], relation(), int())
            .prop_map(|(name, sign, int)| format!("doc.l.{name}(x, x {sign} {int})")),
        (relation(), -1_i64..4, int()).prop_map(|(sign, least, int)| format!(
            "doc.l.filter(x, x {sign} {least}).map(y, y * 2).size() == {int}"
        )),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        prop_oneof![
            (inner.clone(), prop_oneof![Just("&&"), Just("||")], inner.clone())
                .prop_map(|(left, sign, right)| format!("({left}) {sign} ({right})")),
            inner.clone().prop_map(|inner| format!("!({inner})")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(c, one, two)| format!("({c}) ? ({one}) : ({two})")),
        ]
    })
}

fn document() -> impl Strategy<Value = Value> {
    (
        prop_oneof![-3_i64..8, Just(i64::MAX), Just(i64::MIN)],
        -3_i64..8,
        "[abé]{0,4}",
        proptest::collection::vec(-1_i64..4, 0..4),
        any::<bool>(),
        (-6_i32..6).prop_map(|halves| f64::from(halves) / 2.0),
    )
        .prop_map(|(a, b, s, l, t, f)| json!({"a": a, "b": b, "s": s, "l": l, "t": t, "f": f, "m": {"k": b}}))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn where_the_crate_cel_has_a_result_it_is_ours_too(expression in boolean(), document in document()) {
        let contract = mcp_validation::Contract::builder().rule(mcp_validation::Rule::cel("r", expression.clone())).build();
        prop_assume!(contract.is_ok(), "types that cannot fit are refused");
        if let (Some(theirs), Ok(ours)) = (peer(&expression, &document), holds(&expression, &document)) {
            prop_assert_eq!(ours, theirs, "{} of {}", expression, document);
        }
    }
}

#[test]
fn most_generated_expressions_have_a_result_on_both_sides() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut both = 0;
    for _ in 0..300 {
        let expression = boolean().new_tree(&mut runner).unwrap().current();
        let document = document().new_tree(&mut runner).unwrap().current();
        let ours = mcp_validation::Contract::builder()
            .rule(mcp_validation::Rule::cel("r", expression.clone()))
            .build()
            .is_ok_and(|_| holds(&expression, &document).is_ok());
        both += usize::from(ours && peer(&expression, &document).is_some());
    }
    assert!(both > 150, "{both} of 300");
}
