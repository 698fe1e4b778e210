//! Avro schema text: names, references, defaults, and the ways in which broken schemas are refused.
#![cfg(feature = "avro")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use mcp_core::ErrorKind;
use mcp_validation::{Avro, Contract, Document, Encoding, Limits, ValidationError};

fn build(schema: &str, references: &[(&str, &str)]) -> Result<Contract, (ErrorKind, String)> {
    let mut builder = Contract::schema(Avro, schema);
    for (uri, text) in references {
        builder = builder.reference(*uri, *text);
    }
    builder.build().map_err(|error| match error {
        ValidationError::BrokenSchema { source, .. } => (source.kind(), source.to_string()),
        other => panic!("{other}"),
    })
}

fn is_valid(contract: &Contract, document: &str) -> bool {
    contract.is_valid(&Document::new(Encoding::AvroJson, document.to_owned())).expect("judged")
}

#[test]
fn broken_schemas_are_refused_with_the_place() {
    let record = |fields: &str| format!(r#"{{"type": "record", "name": "R", "fields": {fields}}}"#);
    for (schema, place) in [
        ("5".to_owned(), "at its root, a type is a name"),
        ("null".into(), "a type is a name"),
        ("{}".into(), "at its root, the type is missing"),
        (r#"["int", "int"]"#.into(), "at /1, the union has a branch of the type int before"),
        (r#"["int", ["null"]]"#.into(), "at /1, a union stands directly in a union"),
        (r#"[{"type": "array", "items": "int"}, {"type": "array", "items": "null"}]"#.into(), "at /1,"),
        (r#"{"type": "array"}"#.into(), "\"items\" is missing"),
        (r#"{"type": "map", "values": 1}"#.into(), "at /values, a type is"),
        (r#"{"type": "fixed", "name": "F"}"#.into(), "the size of a fixed"),
        (r#"{"type": "fixed", "name": "F", "size": -1}"#.into(), "the size of a fixed"),
        (r#"{"type": "enum", "name": "E", "symbols": ["A", "A"]}"#.into(), "\"A\" stands there twice"),
        (r#"{"type": "enum", "name": "E", "symbols": ["a-b"]}"#.into(), "one of the symbols is no name"),
        (r#"{"type": "enum", "name": "E", "symbols": ["A"], "default": "B"}"#.into(), "none of its symbols"),
        (r#"{"type": "enum", "symbols": ["A"]}"#.into(), "the name is missing"),
        (r#"{"type": "fixed", "name": "1F", "size": 1}"#.into(), "\"1F\" is no name"),
        (r#"{"type": "fixed", "name": "F", "namespace": "a..b", "size": 1}"#.into(), "is no name"),
        (r#"{"type": "fixed", "name": "int", "size": 1}"#.into(), "the name of a primitive type"),
        (record(r#"[{"name": "a"}]"#), "at /fields/0, \"type\" is missing"),
        (record(r#"[{"type": "int"}]"#), "at /fields/0, the name of a field"),
        (record(r#"[{"name": "a", "type": "int"}, {"name": "a", "type": "int"}]"#), "the field \"a\" twice"),
        (record(r#"[{"name": "a", "type": "int", "order": "up"}]"#), "the order of a field"),
        (record(r#"[{"name": "a", "type": "int", "aliases": ["a b"]}]"#), "one of the aliases"),
        (record(r#"{}"#), "the fields of a record"),
        (
            record(r#"[{"name": "a", "type": {"type": "fixed", "name": "R", "size": 1}}]"#),
            "at /fields/0/type, the name \"R\" is defined a second time",
        ),
        ("{\"type\": \"int\", \"type\": \"long\"}".into(), "/type stands more than once"),
        ("int".into(), "it is not JSON"),
    ] {
        let (kind, message) = build(&schema, &[]).expect_err(&schema);
        assert_eq!(kind, ErrorKind::Invalid, "{schema}");
        assert!(message.contains(place), "{schema}: {message}");
    }
}

#[test]
fn defaults_are_checked_against_their_types() {
    let types = r#"{"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A"]}},
        {"name": "f", "type": {"type": "fixed", "name": "F", "size": 1}},
        {"name": "r", "type": {"type": "record", "name": "I", "fields": [{"name": "x", "type": "int"}, {"name": "y", "type": "int", "default": 1}]}}"#;
    for (field, default, right) in [
        ("\"int\"", "1", true),
        ("\"int\"", "\"1\"", false),
        ("\"int\"", "2147483648", false),
        ("\"long\"", "1", true),
        ("\"null\"", "null", true),
        ("\"string\"", "null", false),
        ("\"bytes\"", "\"\\u00ff\"", true),
        ("\"bytes\"", "\"\\u0100\"", false),
        ("\"double\"", "1", true),
        ("[\"null\", \"int\"]", "null", true),
        ("[\"null\", \"int\"]", "1", true),
        ("[\"null\", \"int\"]", "\"x\"", false),
        ("[\"null\", \"int\"]", "{\"int\": 1}", false),
        ("\"E\"", "\"A\"", true),
        ("\"E\"", "\"B\"", false),
        ("\"F\"", "\"a\"", true),
        ("\"F\"", "\"ab\"", false),
        ("\"I\"", "{\"x\": 1}", true),
        ("\"I\"", "{\"y\": 1}", false),
        ("\"I\"", "{\"x\": 1, \"z\": 1}", false),
        ("{\"type\": \"array\", \"items\": \"int\"}", "[1, 2]", true),
        ("{\"type\": \"array\", \"items\": \"int\"}", "[1, null]", false),
        ("{\"type\": \"map\", \"values\": \"int\"}", "{\"a\": 1}", true),
        ("{\"type\": \"map\", \"values\": \"int\"}", "[]", false),
    ] {
        let schema = format!(
            r#"{{"type": "record", "name": "R", "fields": [{types}, {{"name": "d", "type": {field}, "default": {default}}}]}}"#
        );
        match build(&schema, &[]) {
            Ok(_) => assert!(right, "{field} {default}"),
            Err((kind, message)) => {
                assert_eq!((right, kind), (false, ErrorKind::Invalid), "{field} {default}");
                assert!(message.contains("at /fields/3/default"), "{message}");
            }
        }
    }
}

#[test]
fn names_are_found_in_their_namespace_or_by_their_full_name() {
    let schema = r#"{"type": "record", "name": "a.b.R", "fields": [
        {"name": "x", "type": {"type": "fixed", "name": "F", "size": 1}},
        {"name": "y", "type": "F"}, {"name": "z", "type": "a.b.F"},
        {"name": "o", "type": {"type": "fixed", "name": "G", "namespace": "other", "size": 1}},
        {"name": "p", "type": "other.G"},
        {"name": "i", "type": {"type": "record", "name": "I", "namespace": "", "fields": [
            {"name": "u", "type": ["null", "I", "a.b.F"]}]}}]}"#;
    let contract = build(schema, &[]).unwrap();
    let document = |tag: &str| {
        format!(r#"{{"x": "a", "y": "b", "z": "c", "o": "d", "p": "e", "i": {{"u": {{"{tag}": "f"}}}}}}"#)
    };
    assert!(is_valid(&contract, &document("a.b.F")));
    assert!(!is_valid(&contract, &document("F")));
    for (missing, schema) in [
        ("a.b.G", schema.replace("\"other.G\"", "\"G\"")),
        ("F", schema.replace("\"I\", \"a.b.F\"", "\"I\", \"F\"")),
    ] {
        let (kind, message) = build(&schema, &[]).expect_err(missing);
        assert_eq!(kind, ErrorKind::NotFound);
        assert!(message.contains(&format!("the name {missing:?}")), "{message}");
    }
}

#[test]
fn a_name_is_defined_before_it_is_used_within_a_document() {
    let schema = r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "F"},
        {"name": "b", "type": {"type": "fixed", "name": "F", "size": 1}}]}"#;
    let (kind, message) = build(schema, &[]).expect_err("behind");
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(message.contains("behind its first use"), "{message}");
}

#[test]
fn references_find_each_other_in_any_order_and_are_checked() {
    let customer = r#"{"type": "record", "name": "shop.Customer", "fields": [
        {"name": "at", "type": "Address"}, {"name": "orders", "type": {"type": "array", "items": "shop.Order"}}]}"#;
    let address =
        r#"{"type": "record", "name": "shop.Address", "fields": [{"name": "town", "type": "string"}]}"#;
    let order = r#"{"type": "record", "name": "shop.Order", "fields": [{"name": "by", "type": ["null", "Customer"]}]}"#;
    let document = |town: &str| {
        format!(r#"{{"by": {{"shop.Customer": {{"at": {{"town": {town}}}, "orders": [{{"by": null}}]}}}}}}"#)
    };
    for references in
        [[("customer", customer), ("address", address)], [("address", address), ("customer", customer)]]
    {
        let contract = build(order, &references).unwrap();
        assert!(is_valid(&contract, &document("\"Ulm\"")));
        assert!(!is_valid(&contract, &document("7")));
    }
    let by_name = build("\"shop.Order\"", &[("a", address), ("c", customer), ("o", order), ("again", order)]);
    assert!(is_valid(&by_name.unwrap(), &document("\"Ulm\"")));
    let (kind, message) = build(order, &[("customer", customer)]).expect_err("no address");
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(message.contains("\"shop.Address\" at \"customer#/fields/0/type\""), "{message}");
    let (kind, message) =
        build(order, &[("c", customer), ("a", address), ("o", &order.replace("null", "int"))])
            .expect_err("twice");
    assert_eq!(kind, ErrorKind::Invalid);
    assert!(message.contains("\"shop.Order\" is defined a second time"), "{message}");
    let (kind, message) = build(order, &[("c", "{")]).expect_err("no JSON");
    assert_eq!(kind, ErrorKind::Invalid);
    assert!(message.contains("the reference \"c\""), "{message}");
}

#[test]
fn deep_and_huge_schemas_are_exhausted() {
    let count = 100_000;
    let deep = format!("{}\"int\"{}", r#"{"type": "array", "items": "#.repeat(count), "}".repeat(count));
    assert_eq!(build(&deep, &[]).map(|_| ()).map_err(|(kind, _)| kind), Err(ErrorKind::Exhausted));
    let mut limits = Limits::default();
    limits.max_schema_bytes = 4;
    let error = Contract::schema(Avro, "\"int\"").limits(limits).build().expect_err("five bytes");
    assert_eq!(error.kind(), ErrorKind::Exhausted);
}

/// Every reference needs the next, 2,000 of them: nothing recurses through them.
#[test]
fn a_long_chain_of_references_compiles_on_a_small_stack() {
    let run = || {
        let mut builder = Contract::schema(Avro, r#"["null", "R0"]"#);
        for level in 0..2_000 {
            let text = format!(
                r#"{{"type": "record", "name": "R{level}", "fields": [{{"name": "n", "type": "R{}"}}]}}"#,
                level + 1
            );
            builder = builder.reference(level.to_string(), text);
        }
        let last = r#"{"type": "fixed", "name": "R2000", "size": 1}"#;
        let contract = builder.reference("last", last).build().expect("compiled");
        assert_eq!(contract.is_valid(&Document::new(Encoding::AvroBinary, &[0][..])).ok(), Some(true));
        let deep =
            contract.is_valid(&Document::new(Encoding::AvroBinary, &[2][..])).map_err(|error| error.kind());
        assert_eq!(deep, Err(ErrorKind::Exhausted));
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn two_contracts_are_equal_when_schema_and_references_are() {
    let fixed = r#"{"type": "fixed", "name": "F", "size": 1}"#;
    let wide = r#"{"type": "fixed", "name": "F", "size": 2}"#;
    let fingerprint =
        |references: &[(&str, &str)]| build("[\"null\", \"F\"]", references).unwrap().fingerprint();
    assert_eq!(fingerprint(&[("f", fixed)]), fingerprint(&[("f", fixed)]));
    assert_ne!(fingerprint(&[("f", fixed)]), fingerprint(&[("f", wide)]));
    assert!(fingerprint(&[("f", fixed)]).is_some());
}
