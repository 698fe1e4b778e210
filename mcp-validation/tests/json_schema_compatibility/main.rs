//! Which versions of a JSON Schema read each other: a table of pairs, and laws over generated ones.
#![cfg(feature = "json-schema")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

mod pairs;

use mcp_core::ErrorKind;
use mcp_validation::{
    Compatibility, Contract, Document, Draft, JsonSchema, Limits, Reference, SchemaFormat, SchemaSource,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Whether documents under `old` can be read by `new`; every witness is run through both.
fn backward_of(format: JsonSchema, old: &Value, new: &Value) -> Compatibility {
    let limits = Limits::default();
    let (old_text, new_text) = (old.to_string(), new.to_string());
    let (writer, reader) =
        (SchemaSource::new(&old_text, &[], &limits), SchemaSource::new(&new_text, &[], &limits));
    let found = format.can_read(&reader, &writer).expect("both are schemas");
    for witness in found.breaks().iter().filter_map(|found| found.witness.as_ref()) {
        let accepts = |schema: &str| {
            let contract = Contract::schema(format, schema).build().unwrap();
            contract.is_valid(&Document::from(witness.clone())).unwrap()
        };
        assert!(accepts(&old_text), "{old} refuses the witness {witness}");
        assert!(!accepts(&new_text), "{new} accepts the witness {witness}");
    }
    found
}

/// The verdict, and the rules of the breaks without what all of them begin with; `?` where there is no witness.
fn seen(found: &Compatibility) -> String {
    let rule = |found: &mcp_validation::Break| {
        let shown = if found.witness.is_some() { "" } else { "?" };
        format!("{}{shown}", found.rule.strip_prefix("json-schema.").expect("a rule of this format"))
    };
    match found {
        Compatibility::Yes => "yes".to_owned(),
        Compatibility::No(breaks) => breaks.iter().map(rule).collect::<Vec<_>>().join(" "),
        Compatibility::Unknown(_) => "unknown".to_owned(),
    }
}

fn object(properties: Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required})
}

fn closed(properties: Value, required: &[&str]) -> Value {
    let mut schema = object(properties, required);
    schema["additionalProperties"] = json!(false);
    schema
}

fn old_and_new(old: &str, new: &str, references: [&[Reference]; 2], format: JsonSchema) -> Compatibility {
    let limits = Limits::default();
    let writer = SchemaSource::new(old, references[0], &limits);
    let reader = SchemaSource::new(new, references[1], &limits);
    format.can_read(&reader, &writer).expect("both are schemas")
}

#[test]
fn every_draft_is_compared_by_what_it_means() {
    for draft in Draft::ALL {
        let format = JsonSchema::new().draft(draft);
        let of = |old: &Value, new: &Value| seen(&backward_of(format, old, new));
        let wide = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
        let narrow = json!({"type": "object", "properties": {"n": {"type": "integer", "maximum": 5}}});
        assert_eq!(of(&narrow, &wide), "yes", "{draft}");
        assert_eq!(of(&wide, &narrow), "maximum-added", "{draft}");
        // Known to the later drafts only.
        let constant = of(&json!({}), &json!({"const": 1}));
        assert_eq!(constant, if draft == Draft::Draft4 { "yes" } else { "const-added" }, "{draft}");
        let conditional = json!({"if": {"type": "string"}, "then": {"maxLength": 1}});
        let expected = if draft <= Draft::Draft6 { "yes" } else { "condition-changed" };
        assert_eq!(of(&json!({}), &conditional), expected, "{draft}");
        let tuple = json!({"items": [{"type": "string"}], "additionalItems": false});
        if draft <= Draft::Draft201909 {
            assert_eq!(of(&json!({"items": [{"type": "string"}]}), &tuple), "items-removed", "{draft}");
        }
        let dependent =
            of(&json!({"type": "object"}), &json!({"type": "object", "dependencies": {"a": ["b"]}}));
        if draft <= Draft::Draft7 {
            assert_eq!(dependent, "dependent-required-added", "{draft}");
        }
        // What stands beside a reference counts since 2019-09.
        let defs = json!({"s": {"type": "string"}});
        let beside = of(
            &json!({"definitions": defs, "properties": {"a": {"$ref": "#/definitions/s"}}}),
            &json!({"definitions": defs, "properties": {"a": {"$ref": "#/definitions/s", "maxLength": 2}}}),
        );
        assert_eq!(beside, if draft <= Draft::Draft7 { "yes" } else { "max-length-added" }, "{draft}");
    }
}

#[test]
fn a_flag_makes_bounds_exclusive_in_draft_4_and_one_point_zero_is_no_integer() {
    let format = JsonSchema::new().draft(Draft::Draft4);
    let of = |old: &Value, new: &Value| seen(&backward_of(format, old, new));
    let from = json!({"type": "number", "minimum": 1});
    let above = json!({"type": "number", "minimum": 1, "exclusiveMinimum": true});
    assert_eq!((of(&from, &above), of(&above, &from)), ("minimum-raised".to_owned(), "yes".to_owned()));
    let whole = json!({"type": "number", "multipleOf": 1});
    assert_ne!(of(&whole, &json!({"type": "integer"})), "yes");
    assert_eq!(seen(&backward_of(JsonSchema::new(), &whole, &json!({"type": "integer"}))), "yes");
}

#[test]
fn schemas_of_two_drafts_are_compared_by_their_own() {
    let seven = r#"{"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}], "additionalItems": false}"#;
    let newest = r#"{"$schema": "https://json-schema.org/draft/2020-12/schema", "prefixItems": [{"type": "string"}], "items": false}"#;
    assert_eq!(old_and_new(seven, newest, [&[], &[]], JsonSchema::new()), Compatibility::Yes);
    assert_eq!(old_and_new(newest, seven, [&[], &[]], JsonSchema::new()), Compatibility::Yes);
    let four = r#"{"$schema": "http://json-schema.org/draft-04/schema#", "type": "integer"}"#;
    let integer = r#"{"type": "integer"}"#;
    assert_eq!(old_and_new(four, integer, [&[], &[]], JsonSchema::new()), Compatibility::Yes);
    // 1.0 is an integer to the newer one only.
    let found = old_and_new(integer, four, [&[], &[]], JsonSchema::new());
    assert_eq!(
        found.breaks().iter().map(|found| found.witness.clone()).collect::<Vec<_>>(),
        [Some(json!(1.0))]
    );
}

#[test]
fn one_uri_may_name_another_document_on_each_side() {
    let schema = r#"{"type": "object", "properties": {"a": {"$ref": "urn:shared#/$defs/a"}}}"#;
    let shared = |a: &str| [Reference::new("urn:shared", format!(r#"{{"$defs": {{"a": {a}}}}}"#))];
    let (wide, narrow) = (shared(r#"{"type": "number"}"#), shared(r#"{"type": "integer"}"#));
    assert_eq!(old_and_new(schema, schema, [&narrow, &wide], JsonSchema::new()), Compatibility::Yes);
    let found = old_and_new(schema, schema, [&wide, &narrow], JsonSchema::new());
    assert_eq!(seen(&found), "type-narrowed");
    assert_eq!(found.breaks()[0].path, "/properties/a/$ref/type");
}

#[test]
fn a_break_names_its_place_in_the_schema_that_has_it() {
    let old = closed(json!({"a": {"type": "string"}, "b/c": {"enum": [1, 2]}}), &[]);
    let new = json!({"type": "object", "required": ["b/c"], "additionalProperties": false,
        "properties": {"b/c": {"$ref": "#/$defs/d"}}, "$defs": {"d": {"enum": [2]}}});
    let found = backward_of(JsonSchema::new(), &old, &new);
    let places: Vec<_> =
        found.breaks().iter().map(|found| (found.rule.as_ref(), found.path.as_str())).collect();
    assert_eq!(
        places,
        [
            ("json-schema.required-added", "/required/b~1c"),
            ("json-schema.enum-narrowed", "/$defs/d/enum"),
            ("json-schema.property-removed", "/properties/a"),
        ]
    );
    assert_eq!(found.breaks()[2].witness, Some(json!({"a": "a"})));
}

#[test]
fn recursion_is_compared_whichever_way_it_is_written() {
    let through_root =
        json!({"type": "object", "properties": {"next": {"$ref": "#"}, "v": {"type": "string"}}});
    let through_defs = json!({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object",
        "properties": {"next": {"$ref": "#/$defs/node"}, "v": {"type": "string"}}}}});
    let mut narrow = through_root.clone();
    narrow["properties"]["v"]["maxLength"] = json!(3);
    let of = |old: &Value, new: &Value| seen(&backward_of(JsonSchema::new(), old, new));
    assert_eq!(of(&through_root, &through_defs), "yes");
    assert_eq!(of(&through_defs, &through_root), "yes");
    assert_eq!(of(&narrow, &through_defs), "yes");
    assert_eq!(of(&through_defs, &narrow), "max-length-added");
}

#[test]
fn formats_break_only_where_they_are_asserted() {
    let (any, uuid) = (json!({"type": "string"}), json!({"type": "string", "format": "uuid"}));
    assert_eq!(seen(&backward_of(JsonSchema::new(), &any, &uuid)), "yes");
    let asserted = JsonSchema::new().assert_format(true);
    assert_eq!(seen(&backward_of(asserted, &any, &uuid)), "format-added");
    assert_eq!(seen(&backward_of(asserted, &uuid, &any)), "yes");
    let date = json!({"type": "string", "format": "date"});
    assert_eq!(seen(&backward_of(asserted, &date, &uuid)), "format-changed");
}

/// Schemas over three member names and few values, so that documents often satisfy them.
fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({})),
        Just(json!(true)),
        Just(json!(false)),
        Just(json!({"type": "null"})),
        proptest::sample::subsequence(vec!["null", "boolean", "integer", "number", "string"], 1..4)
            .prop_map(|types| json!({"type": types})),
        proptest::sample::subsequence(
            vec![json!(null), json!(0), json!(1.5), json!("a"), json!("bb"), json!([])],
            1..4
        )
        .prop_map(|values| json!({"enum": values})),
        (0..4_u64, 0..4_u64)
            .prop_map(|(min, max)| json!({"type": "string", "minLength": min, "maxLength": max})),
        (-3..3_i64, any::<bool>()).prop_map(|(limit, strict)| {
            json!({"type": "number", if strict { "exclusiveMinimum" } else { "minimum" }: limit})
        }),
        (-3..3_i64).prop_map(|limit| json!({"maximum": limit})),
        (1..4_i64).prop_map(|divisor| json!({"type": "integer", "multipleOf": divisor})),
        proptest::sample::select(vec!["^a", "b$", "^[ab]*$"]).prop_map(|pattern| json!({"pattern": pattern})),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let members = proptest::collection::btree_map(names(), inner.clone(), 0..3).boxed();
        let required = proptest::collection::btree_set(names(), 0..3);
        let branches = proptest::collection::vec(inner.clone(), 1..3);
        prop_oneof![
            4 => (members.clone(), required, proptest::option::of(inner.clone()), any::<bool>()).prop_map(
                |(members, required, rest, typed)| {
                    let mut schema = json!({"properties": members, "required": required});
                    if let Some(rest) = rest {
                        schema["additionalProperties"] = rest;
                    }
                    if typed {
                        schema["type"] = json!("object");
                    }
                    schema
                }
            ),
            1 => (members.clone(), proptest::option::of(inner.clone())).prop_map(|(members, names)| {
                let mut schema = json!({"dependentSchemas": members, "patternProperties": {"^a": {"type": "string"}}});
                if let Some(names) = names {
                    schema["propertyNames"] = names;
                }
                schema
            }),
            2 => (branches.clone(), proptest::option::of(inner.clone()), 0..3_u64).prop_map(|(prefix, items, min)| {
                let mut schema = json!({"type": "array", "prefixItems": prefix, "minItems": min});
                if let Some(items) = items {
                    schema["items"] = items;
                }
                schema
            }),
            1 => (inner.clone(), 0..3_u64, any::<bool>()).prop_map(|(contains, max, unique)| {
                json!({"contains": contains, "maxItems": max, "uniqueItems": unique})
            }),
            1 => branches.clone().prop_map(|branches| json!({"allOf": branches})),
            2 => branches.clone().prop_map(|branches| json!({"anyOf": branches})),
            2 => branches.prop_map(|branches| json!({"oneOf": branches})),
            1 => inner.clone().prop_map(|not| json!({"not": not})),
            1 => (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(when, then, otherwise)| json!({"if": when, "then": then, "else": otherwise})),
            1 => inner.prop_map(|inner| json!({"$defs": {"x": inner}, "properties": {"a": {"$ref": "#/$defs/x"}}})),
        ]
    })
    // A definition is found from the root only.
    .prop_map(|schema| unfold(&schema, &schema))
}

/// The schema with each reference replaced by what stands beside it.
fn unfold(schema: &Value, around: &Value) -> Value {
    match schema {
        Value::Object(members) if members.contains_key("$ref") => unfold(&around["$defs"]["x"], around),
        Value::Object(members) => {
            let around = if members.contains_key("$defs") { schema } else { around };
            let members = members.iter().filter(|(key, _)| *key != "$defs");
            members.map(|(key, value)| (key.clone(), unfold(value, around))).collect()
        }
        Value::Array(elements) => elements.iter().map(|element| unfold(element, around)).collect(),
        other => other.clone(),
    }
}

fn names() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["a", "ab", "c"]).prop_map(str::to_owned)
}

fn documents() -> impl Strategy<Value = Value> {
    let leaf = proptest::sample::select(vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(-2),
        json!(1.5),
        json!(3),
        json!(""),
        json!("a"),
        json!("bb"),
        json!("abc"),
        json!([]),
        json!({}),
    ]);
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            2 => proptest::collection::btree_map(names(), inner.clone(), 0..4).prop_map(|members| json!(members)),
            1 => proptest::collection::vec(inner, 0..4).prop_map(Value::Array),
        ]
    })
}

/// `schema` with another schema in one place.
fn changed(schema: &Value, place: &mut usize, other: &Value) -> Value {
    if *place == 0 {
        *place = usize::MAX;
        return other.clone();
    }
    *place = place.saturating_sub(1);
    let Value::Object(members) = schema else { return schema.clone() };
    let change = |(key, value): (&String, &Value)| {
        let value = match (key.as_str(), value) {
            ("properties" | "patternProperties" | "dependentSchemas", Value::Object(inner)) => {
                inner.iter().map(|(name, inner)| (name.clone(), changed(inner, place, other))).collect()
            }
            ("prefixItems" | "allOf" | "anyOf" | "oneOf", Value::Array(inner)) => {
                inner.iter().map(|inner| changed(inner, place, other)).collect()
            }
            ("items" | "additionalProperties" | "contains" | "not" | "if" | "then" | "else", inner) => {
                changed(inner, place, other)
            }
            (_, other) => other.clone(),
        };
        (key.clone(), value)
    };
    members.iter().map(change).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn a_yes_holds_for_every_document_and_a_no_is_shown_or_says_why_not(
        old in schemas(),
        other in schemas(),
        place in 0..12_usize,
        tried in proptest::collection::vec(documents(), 24),
    ) {
        let new = changed(&old, &mut { place }, &other);
        for (old, new) in [(&old, &new), (&new, &old)] {
            let found = backward_of(JsonSchema::new(), old, new);
            let contract = |schema: &Value| Contract::json_schema(schema.to_string()).build().unwrap();
            let (writer, reader) = (contract(old), contract(new));
            let lost = tried.iter().find(|document| {
                let document = Document::from((*document).clone());
                writer.is_valid(&document).unwrap() && !reader.is_valid(&document).unwrap()
            });
            match &found {
                Compatibility::Yes => prop_assert!(lost.is_none(), "{old} to {new} loses {}", lost.unwrap()),
                Compatibility::No(breaks) => {
                    prop_assert!(!breaks.is_empty());
                    for found in breaks {
                        let explained = found.message.contains("no document was found") || found.message.contains("no small one");
                        prop_assert_eq!(found.witness.is_none(), explained, "{}", found);
                    }
                }
                Compatibility::Unknown(reason) => prop_assert!(!reason.is_empty()),
            }
        }
    }

    #[test]
    fn every_schema_reads_itself_however_it_is_wrapped(schema in schemas()) {
        let wrapped = json!({"$ref": "#/$defs/it", "$defs": {"it": {"allOf": [schema, true]}}});
        for (old, new) in [(&schema, &wrapped), (&wrapped, &schema), (&schema, &schema)] {
            prop_assert!(!matches!(backward_of(JsonSchema::new(), old, new), Compatibility::No(_)), "{} {}", old, new);
        }
    }
}

/// `count` conditions beside each other: set operations on them look at every combination.
fn conditions(count: usize) -> Value {
    let condition = |place: usize| {
        json!({"if": {"properties": {format!("a{place}"): {"const": 1}}, "required": [format!("a{place}")]},
            "then": {"required": [format!("b{place}")]}, "else": {"required": [format!("c{place}")]}})
    };
    json!({"allOf": (0..count).map(condition).collect::<Vec<_>>()})
}

/// A chain of `count` definitions, each with the next one below a member, and `last` at its end.
fn chain(count: usize, last: &Value) -> Value {
    let link = |place: usize| {
        let next = json!({"$ref": format!("#/$defs/d{}", place + 1)});
        (format!("d{place}"), json!({"type": "object", "properties": {"x": next}}))
    };
    let mut defs: serde_json::Map<String, Value> = (0..count).map(link).collect();
    defs.insert(format!("d{count}"), last.clone());
    json!({"$defs": defs, "$ref": "#/$defs/d0"})
}

#[test]
fn what_would_take_too_long_or_too_deep_is_unknown_with_the_reason_and_never_yes() {
    let unknown = |old: &Value, new: &Value| match backward_of(JsonSchema::new(), old, new) {
        Compatibility::Unknown(reason) => reason,
        other => panic!("expected unknown, found {other:?}"),
    };
    let (text, short) = (json!({"type": "string"}), json!({"type": "string", "maxLength": 3}));
    for count in [100, 240] {
        let found = backward_of(JsonSchema::new(), &chain(count, &text), &chain(count, &short));
        assert!(!found.is_yes(), "{count}");
    }
    let reason = unknown(&chain(2000, &text), &chain(2000, &short));
    assert!(reason.contains("too many subschemas or alternatives"), "{reason}");
    // Every document has 40 members, but that takes every combination to see.
    let mut turned = conditions(40);
    turned["allOf"].as_array_mut().unwrap().reverse();
    turned["minProperties"] = json!(20);
    let reason = unknown(&conditions(40), &turned);
    assert!(reason.contains("too many subschemas or alternatives"), "{reason}");
}

#[test]
fn a_thread_of_2_mib_compares_what_two_schemas_can_nest() {
    let nested = |last: Value| {
        (0..24).fold(last, |inner, _| json!({"properties": {"a": {"anyOf": [inner, {"type": "null"}]}}}))
    };
    let (old, new) = (nested(json!({"type": "string"})), nested(json!({"type": "integer"})));
    let deep: Value = Limits::default().max_depth.into();
    assert_eq!(deep, json!(100));
    let small = std::thread::Builder::new().stack_size(2 << 20);
    let found = small.spawn(move || backward_of(JsonSchema::new(), &old, &new)).unwrap().join().unwrap();
    assert!(!found.is_yes());
}

#[test]
fn hostile_schemas_end_as_exhausted_or_unknown() {
    let limits = Limits::default();
    let compare = |old: &str, new: &str| {
        let found = JsonSchema::new()
            .can_read(&SchemaSource::new(new, &[], &limits), &SchemaSource::new(old, &[], &limits));
        found.map(|found| found.is_yes()).map_err(|error| error.kind())
    };
    let deep = format!("{}true{}", r#"{"not":"#.repeat(101), "}".repeat(101));
    assert_eq!(compare("true", &deep), Err(ErrorKind::Exhausted));
    assert_eq!(compare(&deep, "true"), Err(ErrorKind::Exhausted));
    assert_eq!(compare("{", "true"), Err(ErrorKind::Invalid));
    assert_eq!(compare(r##"{"$ref": "urn:elsewhere"}"##, "true"), Err(ErrorKind::NotFound));
    // 2^40 ways lead to the last definition.
    let doubled: serde_json::Map<String, Value> = (0..40)
        .map(|place| {
            let next = json!({"$ref": format!("#/$defs/d{}", place + 1)});
            (format!("d{place}"), json!({"properties": {"l": next, "r": next}}))
        })
        .chain([("d40".to_owned(), json!({"type": "string"}))])
        .collect();
    let doubled = json!({"$defs": doubled, "$ref": "#/$defs/d0"}).to_string();
    let shorter = doubled.replace(r#""type":"string""#, r#""type":"string","minLength":1"#);
    assert_eq!(compare(&shorter, &doubled), Ok(true));
    assert_eq!(compare(&doubled, &shorter), Ok(false));
    // Many patterns, many names.
    let patterns: serde_json::Map<String, Value> =
        (0..300).map(|place| (format!("^p{place}.*x$"), json!({"type": "string"}))).collect();
    let names: serde_json::Map<String, Value> =
        (0..2000).map(|place| (format!("p{place}"), json!({"type": "string"}))).collect();
    let (patterns, names) = (
        json!({"patternProperties": patterns, "additionalProperties": false}).to_string(),
        json!({"properties": names, "additionalProperties": false}).to_string(),
    );
    assert_eq!(compare(&patterns, &names), Ok(false));
    assert_eq!(compare(&names, &patterns), Ok(false));
}
