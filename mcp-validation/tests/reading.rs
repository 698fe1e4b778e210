//! A document is judged over a tree of its own and not over a `serde_json::Value`. That must show nowhere: here reports are compared
//! with those for the value, and with what the bare `jsonschema` crate says of it.
#![cfg(feature = "json-schema")]
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use mcp_validation::{Contract, Document, Report};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Schemas that ask everything that can be asked of a value.
fn schemas() -> Vec<Value> {
    vec![
        json!({"type": ["object", "array", "integer"]}),
        json!({"properties": {"a": {"type": "integer"}, "b": {"type": "string", "minLength": 2, "maxLength": 3}},
            "required": ["a", "b"], "additionalProperties": false}),
        json!({"items": {"type": ["string", "number"]}, "uniqueItems": true, "minItems": 1, "maxItems": 3}),
        json!({"patternProperties": {"^a": {"type": "null"}}, "propertyNames": {"maxLength": 1},
            "minProperties": 1, "maxProperties": 2}),
        json!({"enum": [1, 1.5, "a", null, true, [], {}, [1, "a"], {"a": 1}, {"a": [1.0], "b": {"c": null}}]}),
        json!({"const": {"a": [1, {"b": 2}], "b": "x"}}),
        json!({"minimum": -3, "exclusiveMaximum": 1e18, "multipleOf": 1}),
        json!({"contains": {"type": "number", "minimum": 0}, "minContains": 1, "maxContains": 2}),
        json!({"$defs": {"n": {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/n"}},
            {"type": "object", "additionalProperties": {"$ref": "#/$defs/n"}}, {"type": "number"}]}}, "$ref": "#/$defs/n"}),
        json!({"properties": {"a": true}, "unevaluatedProperties": {"type": "string"}}),
        json!({"prefixItems": [{"type": "integer"}, {"type": "string"}], "unevaluatedItems": false}),
        json!({"dependentRequired": {"a": ["b"]}, "if": {"required": ["b"]}, "then": {"required": ["c"]},
            "not": {"required": ["d"]}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}, {"type": "array"}]}),
        json!({"pattern": "^[a-c]*$", "format": "date"}),
    ]
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-4_i64..4).prop_map(Value::from),
        (-4_i32..4).prop_map(|half| Value::from(f64::from(half) / 2.0)),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "[a-d\u{e9}\n\"]{0,4}".prop_map(Value::String),
    ];
    let tree = leaf.prop_recursive(4, 30, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::Array),
            prop::collection::vec(("[a-e]{0,2}", inner), 0..6)
                .prop_map(|members| members.into_iter().collect()),
        ]
    });
    // What the schemas expect is there, too.
    prop_oneof![
        9 => tree,
        1 => prop::sample::select(vec![
            json!({"a": 1.0}), json!([1.0, "a"]), json!({"b": {"c": null}, "a": [1]}), json!({"b": "x", "a": [1, {"b": 2.0}]}),
            json!([1, 2, 1.0]), json!([{"a": 1}, {"a": 1.0}]), json!(["a", "b", "a"]), json!(1e17),
        ]),
    ]
}

/// The members of all objects in another order.
fn reordered(value: &Value, text: &mut String) {
    match value {
        Value::Array(elements) => {
            text.push('[');
            for (place, element) in elements.iter().enumerate() {
                text.push_str(if place > 0 { " , " } else { "" });
                reordered(element, text);
            }
            text.push(']');
        }
        Value::Object(members) => {
            text.push('{');
            for (place, (key, member)) in members.iter().rev().enumerate() {
                text.push_str(if place > 0 { ",\n        " } else { "" });
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                reordered(member, text);
            }
            text.push('}');
        }
        _ => text.push_str(&value.to_string()),
    }
}

fn places(report: &Report) -> BTreeSet<(String, String)> {
    report.findings.iter().map(|finding| (finding.path.clone(), finding.schema_path.clone())).collect()
}

/// Each schema, the contract and the bare crate's validator of it.
static JUDGES: LazyLock<Vec<(Value, Contract, jsonschema::Validator)>> = LazyLock::new(|| {
    let judges = schemas().into_iter().map(|schema| {
        let contract = Contract::json_schema(schema.to_string()).show_values().build().unwrap();
        let bare = jsonschema::options().offline().build(&schema).unwrap();
        (schema, contract, bare)
    });
    judges.collect()
});

proptest! {
    #[test]
    fn a_document_gets_the_report_of_its_value_and_the_verdict_of_the_bare_crate(value in json()) {
        let mut text = String::new();
        reordered(&value, &mut text);
        for (schema, contract, bare) in JUDGES.iter() {
            let of_text = contract.validate(&Document::json(text.clone())).unwrap();
            // Members are told in the order that `preserve_order` of serde_json, where a host switches it on, has kept of the text.
            let of_value = contract.validate(&Document::from(serde_json::from_str::<Value>(&text).unwrap())).unwrap();
            prop_assert_eq!(&of_text, &of_value, "{} by {}", text, schema);
            prop_assert_eq!(contract.is_valid(&Document::json(text.clone())).unwrap(), of_text.valid);
            prop_assert_eq!(of_text.valid, bare.is_valid(&value), "{} by {}", text, schema);
            let theirs: BTreeSet<(String, String)> = bare
                .iter_errors(&value)
                .map(|error| (error.instance_path().to_string(), error.schema_path().to_string()))
                .collect();
            prop_assert_eq!(places(&of_text), theirs, "{} by {}", text, schema);
        }
    }

    #[test]
    fn a_damaged_document_is_refused_in_the_words_of_the_known_parser(
        value in json(),
        place in any::<prop::sample::Index>(),
        put in "[-0-9.e,:\"\\\\{}\\[\\] ]{0,2}",
    ) {
        let mut text = value.to_string().into_bytes();
        let at = place.index(text.len());
        text.splice(at..=at, put.bytes());
        let contract = Contract::json_schema("true").build().unwrap();
        let report = contract.validate(&Document::json(text.clone())).unwrap();
        let message = report.findings.first().map(|finding| finding.message.as_str());
        match serde_json::from_slice::<Value>(&text) {
            Ok(value) => {
                prop_assert!(report.findings.iter().all(|finding| finding.code == "document.duplicate-key"));
                let document = Document::json(text);
                prop_assert_eq!(document.value().unwrap(), &value);
            }
            Err(error) => {
                let expected = format!("this is not json: {error}");
                prop_assert_eq!(message, Some(expected.as_str()));
            }
        }
    }
}

#[test]
fn of_two_equal_keys_the_schema_sees_the_one_that_the_value_has() {
    let contract = Contract::json_schema(r#"{"properties": {"a": {"type": "integer"}}}"#).build().unwrap();
    let codes = |text: &str| {
        let report = contract.validate(&Document::json(text.to_owned())).unwrap();
        report.findings.into_iter().map(|finding| finding.code.into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(codes(r#"{"a": "x", "a": 1}"#), ["document.duplicate-key"]);
    assert_eq!(codes(r#"{"a": 1, "a": "x"}"#), ["document.duplicate-key", "schema.type"]);
}
