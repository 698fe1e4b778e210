//! Avro documents in every encoding, and the ways in which hostile ones end.
#![cfg(feature = "avro")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "random bits, and counts of a few"
)]

use std::io::Write as _;
use std::sync::Mutex;

use mcp_core::{Digest, ErrorKind, SeamError};
use mcp_validation::rule::Rule;
use mcp_validation::{Avro, Contract, Document, Encoding, Findings, Limits, ValidationError, Validator};
use serde_json::{Value, json};

fn contract(schema: &str) -> Contract {
    Contract::schema(Avro, schema).build().expect(schema)
}

fn judge(contract: &Contract, encoding: Encoding, bytes: &[u8]) -> Vec<String> {
    let report = contract.validate(&Document::new(encoding, bytes.to_vec())).expect("judged");
    assert_eq!(report.valid, report.findings.is_empty());
    report.findings.iter().map(|finding| format!("{} {}", finding.code, finding.path)).collect()
}

fn kind(contract: &Contract, encoding: Encoding, bytes: &[u8]) -> Result<bool, ErrorKind> {
    let report = contract.validate(&Document::new(encoding, bytes.to_vec()));
    report.map(|report| report.valid).map_err(|error| error.kind())
}

/// What rules see of a document, and the findings of the schema.
fn view(schema: &str, encoding: Encoding, bytes: &[u8]) -> (Option<Value>, Vec<String>) {
    struct Sees(&'static Mutex<Option<Value>>);
    impl Validator for Sees {
        fn validate(&self, document: &Document, _findings: &mut Findings) -> Result<(), SeamError> {
            *self.0.lock().unwrap() = Some(document.value()?.clone());
            Ok(())
        }
        fn fingerprint(&self) -> Option<Digest> {
            None
        }
    }
    let seen: &'static Mutex<Option<Value>> = Box::leak(Box::default());
    let contract = Contract::schema(Avro, schema).validator(Sees(seen)).build().expect(schema);
    let findings = judge(&contract, encoding, bytes);
    (seen.lock().unwrap().take(), findings)
}

const ORDER: &str = r#"{"type": "record", "name": "Order", "namespace": "shop", "fields": [
    {"name": "id", "type": "string"},
    {"name": "total", "type": "long"},
    {"name": "paid", "type": ["null", "boolean", {"type": "fixed", "name": "Receipt", "size": 2}], "default": null},
    {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
        {"name": "sku", "type": "bytes"}, {"name": "count", "type": "int"}]}}},
    {"name": "labels", "type": {"type": "map", "values": "float"}},
    {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["OPEN", "DONE"]}}]}"#;

/// id "x", total -3, paid Receipt 01 ff, one line, one label, DONE.
const ORDER_BYTES: &[u8] = &[2, b'x', 5, 4, 1, 0xff, 2, 2, 0xe9, 14, 0, 2, 2, b'a', 0, 0, 0, 0x3f, 0, 2];

fn order() -> Value {
    json!({"id": "x", "total": -3, "paid": "\u{1}\u{ff}", "lines": [{"sku": "\u{e9}", "count": 7}],
        "labels": {"a": 0.5}, "state": "DONE"})
}

fn order_spec() -> Value {
    json!({"id": "x", "total": -3, "paid": {"shop.Receipt": "\u{1}\u{ff}"}, "lines": [{"sku": "\u{e9}", "count": 7}],
        "labels": {"a": 0.5}, "state": "DONE"})
}

fn fingerprint(schema: &str) -> [u8; 8] {
    let schema = apache_avro::Schema::parse_str(schema).unwrap();
    schema.fingerprint::<apache_avro::rabin::Rabin>().bytes.try_into().unwrap()
}

fn single_object(schema: &str, datum: &[u8]) -> Vec<u8> {
    [&[0xc3, 0x01], fingerprint(schema).as_slice(), datum].concat()
}

fn zigzag(value: i64) -> Vec<u8> {
    let mut rest = (value << 1 ^ value >> 63) as u64;
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [zigzag(bytes.len() as i64), bytes.to_vec()].concat()
}

const MARKER: [u8; 16] = *b"0123456789abcdef";

fn container(schema: &str, codec: &str, blocks: &[(i64, Vec<u8>)]) -> Vec<u8> {
    let mut file = b"Obj\x01".to_vec();
    file.extend(zigzag(2));
    for (key, value) in [("avro.schema", schema), ("avro.codec", codec)] {
        file.extend(sized(key.as_bytes()));
        file.extend(sized(value.as_bytes()));
    }
    file.push(0);
    file.extend(MARKER);
    for (count, bytes) in blocks {
        file.extend(zigzag(*count));
        file.extend(sized(bytes));
        file.extend(MARKER);
    }
    file
}

#[test]
fn the_same_order_is_valid_in_every_encoding_and_rules_see_the_same() {
    let spec = serde_json::to_vec(&order_spec()).unwrap();
    let plain = serde_json::to_vec(&order()).unwrap();
    for (encoding, bytes) in [
        (Encoding::AvroBinary, ORDER_BYTES.to_vec()),
        (Encoding::AvroSingleObject, single_object(ORDER, ORDER_BYTES)),
        (Encoding::AvroJson, spec),
        (Encoding::Json, plain),
    ] {
        assert_eq!(view(ORDER, encoding, &bytes), (Some(order()), vec![]), "{encoding}");
    }
    let twice = [ORDER_BYTES, ORDER_BYTES].concat();
    let deflated = miniz_oxide::deflate::compress_to_vec(&twice, 6);
    for (codec, block) in [("null", twice), ("deflate", deflated)] {
        let file = container(ORDER, codec, &[(2, block.clone()), (2, block)]);
        let expected = Value::from(vec![order(); 4]);
        assert_eq!(view(ORDER, Encoding::AvroContainer, &file), (Some(expected), vec![]), "{codec}");
    }
}

#[test]
fn a_rule_sees_into_what_was_decoded() {
    let rules = [Rule::range("positive", "/total", 1.0..), Rule::range("few", "/lines/*/count", ..5.0)];
    let contract = Contract::schema(Avro, ORDER).rules(rules).build().unwrap();
    assert_eq!(
        judge(&contract, Encoding::AvroBinary, ORDER_BYTES),
        ["rule.few /lines/0/count", "rule.positive /total"]
    );
}

#[test]
fn a_field_that_the_schema_does_not_have_is_a_finding_in_both_kinds_of_json() {
    let contract = contract(ORDER);
    for (encoding, mut document) in [(Encoding::AvroJson, order_spec()), (Encoding::Json, order())] {
        document["lines"][0]["colour"] = json!("red");
        document["a/b"] = json!(1);
        let bytes = serde_json::to_vec(&document).unwrap();
        let expected = ["avro.unknown-field /a~1b", "avro.unknown-field /lines/0/colour"];
        assert_eq!(judge(&contract, encoding, &bytes), expected);
    }
}

#[test]
fn a_missing_field_is_a_finding_unless_it_has_a_default_which_rules_then_see() {
    for (encoding, mut document) in [(Encoding::AvroJson, order_spec()), (Encoding::Json, order())] {
        document.as_object_mut().unwrap().remove("paid");
        let bytes = serde_json::to_vec(&document).unwrap();
        let (seen, findings) = view(ORDER, encoding, &bytes);
        assert_eq!((seen.unwrap()["paid"].take(), findings), (Value::Null, vec![]));
        document.as_object_mut().unwrap().remove("total");
        let bytes = serde_json::to_vec(&document).unwrap();
        assert_eq!(view(ORDER, encoding, &bytes).1, ["avro.missing-field /total"]);
    }
}

#[test]
fn the_spec_form_wants_tags_and_the_plain_form_wants_none() {
    let contract = contract(r#"["null", "string", {"type": "map", "values": "string"}]"#);
    for (encoding, document, expected) in [
        (Encoding::AvroJson, r#"{"string": "x"}"#, &[][..]),
        (Encoding::AvroJson, "null", &[]),
        (Encoding::AvroJson, r#"{"map": {"string": "x"}}"#, &[]),
        (Encoding::AvroJson, "\"x\"", &["avro.union-branch "]),
        (Encoding::AvroJson, r#"{"null": null}"#, &["avro.union-branch "]),
        (Encoding::AvroJson, r#"{"int": 1}"#, &["avro.union-branch "]),
        (Encoding::AvroJson, r#"{"string": 1}"#, &["avro.type /string"]),
        (Encoding::AvroJson, "{}", &["avro.union-branch "]),
        (Encoding::AvroJson, r#"{"string": "x", "int": 1}"#, &["avro.union-branch "]),
        (Encoding::Json, "\"x\"", &[]),
        (Encoding::Json, "null", &[]),
        (Encoding::Json, r#"{"string": "x"}"#, &[]),
        (Encoding::Json, r#"{"string": 1}"#, &["avro.type /string"]),
        (Encoding::Json, "1", &["avro.union-branch "]),
    ] {
        assert_eq!(judge(&contract, encoding, document.as_bytes()), expected, "{encoding} {document}");
    }
}

#[test]
fn each_leaf_of_json_is_held_to_its_type() {
    for (schema, document, expected) in [
        ("\"int\"", "2147483647", None),
        ("\"int\"", "2147483648", Some("avro.range ")),
        ("\"int\"", "1.0", None),
        ("\"int\"", "1.5", Some("avro.type ")),
        ("\"int\"", "\"1\"", Some("avro.type ")),
        ("\"long\"", "9223372036854775807", None),
        ("\"long\"", "9223372036854775808", Some("avro.range ")),
        ("\"float\"", "1e39", Some("avro.range ")),
        ("\"float\"", "\"NaN\"", None),
        ("\"double\"", "\"-Infinity\"", None),
        ("\"double\"", "\"nan\"", Some("avro.type ")),
        ("\"double\"", "1", None),
        ("\"bytes\"", "\"\\u00ff\"", None),
        ("\"bytes\"", "\"\\u0100\"", Some("avro.bytes ")),
        ("\"null\"", "0", Some("avro.type ")),
        ("\"boolean\"", "0", Some("avro.type ")),
        ("\"string\"", "null", Some("avro.type ")),
        (r#"{"type": "fixed", "name": "F", "size": 2}"#, "\"ab\"", None),
        (r#"{"type": "fixed", "name": "F", "size": 2}"#, "\"abc\"", Some("avro.fixed-size ")),
        (r#"{"type": "enum", "name": "E", "symbols": ["A"]}"#, "\"A\"", None),
        (r#"{"type": "enum", "name": "E", "symbols": ["A"]}"#, "\"B\"", Some("avro.symbol ")),
        (r#"{"type": "array", "items": "int"}"#, "[1, null]", Some("avro.type /1")),
        (r#"{"type": "array", "items": "int"}"#, "{}", Some("avro.type ")),
        (r#"{"type": "map", "values": "int"}"#, r#"{"a": 1, "b": "x"}"#, Some("avro.type /b")),
        (r#"{"type": "map", "values": "int"}"#, r#"{"a": 1, "a": 2}"#, Some("document.duplicate-key /a")),
    ] {
        for encoding in [Encoding::Json, Encoding::AvroJson] {
            let findings = judge(&contract(schema), encoding, document.as_bytes());
            assert_eq!(findings, expected.into_iter().collect::<Vec<_>>(), "{schema} {document}");
        }
    }
}

#[test]
fn values_of_logical_types_have_a_meaning_in_every_encoding() {
    let uuid = "2f1b8c1e-7d2a-4a57-9d8e-0123456789ab";
    let typed = |base: &str, logical: &str| format!(r#"{{"type": "{base}", "logicalType": "{logical}"}}"#);
    let decimal = r#"{"type": "bytes", "logicalType": "decimal", "precision": 3, "scale": 1}"#.to_owned();
    let fixed =
        r#"{"type": "fixed", "name": "F", "size": 2, "logicalType": "decimal", "precision": 4}"#.to_owned();
    for (schema, binary, json, valid) in [
        (typed("string", "uuid"), sized(uuid.as_bytes()), json!(uuid), true),
        (typed("string", "uuid"), sized(b"x"), json!("x"), false),
        (typed("int", "date"), zigzag(-1), json!(-1), true),
        (typed("int", "time-millis"), zigzag(86_399_999), json!(86_399_999), true),
        (typed("int", "time-millis"), zigzag(86_400_000), json!(86_400_000), false),
        (typed("long", "time-micros"), zigzag(-1), json!(-1), false),
        (typed("long", "timestamp-micros"), zigzag(i64::MIN), json!(i64::MIN), true),
        (typed("bytes", "big-decimal"), vec![6, 2, 5, 4], json!("\u{2}\u{5}\u{4}"), true),
        (typed("bytes", "big-decimal"), vec![2, 9], json!("\u{9}"), false),
        (decimal.clone(), vec![4, 0x03, 0xe7], json!("\u{3}\u{e7}"), true),
        (decimal.clone(), vec![4, 0x03, 0xe8], json!("\u{3}\u{e8}"), false),
        (decimal.clone(), vec![4, 0xfc, 0x19], json!("\u{fc}\u{19}"), true),
        (decimal.clone(), vec![4, 0xfc, 0x18], json!("\u{fc}\u{18}"), false),
        (decimal, vec![0], json!(""), false),
        (fixed.clone(), vec![0x27, 0x0f], json!("\u{27}\u{f}"), true),
        (fixed, vec![0x27, 0x10], json!("\u{27}\u{10}"), false),
        // Logical types that are unknown or do not fit are ignored.
        (typed("string", "colour"), sized(b"x"), json!("x"), true),
        (typed("int", "uuid"), zigzag(1), json!(1), true),
        (typed("bytes", "decimal"), vec![0], json!(""), true),
        (
            r#"{"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3}"#.into(),
            vec![0],
            json!(""),
            true,
        ),
    ] {
        let expected: &[&str] = if valid { &[] } else { &["avro.logical-type "] };
        let text = serde_json::to_vec(&json).unwrap();
        for (encoding, bytes) in
            [(Encoding::AvroBinary, &binary), (Encoding::AvroJson, &text), (Encoding::Json, &text)]
        {
            assert_eq!(
                view(&schema, encoding, bytes),
                (Some(json.clone()), expected.iter().map(ToString::to_string).collect()),
                "{schema} {encoding}"
            );
        }
    }
}

#[test]
fn bytes_that_are_no_encoding_of_the_schema_are_findings() {
    let array = r#"{"type": "array", "items": "int"}"#;
    let union = r#"["null", "int"]"#;
    let list = r#"{"type": "enum", "name": "E", "symbols": ["A"]}"#;
    for (schema, bytes, expected) in [
        ("\"boolean\"", &[2][..], "avro.binary "),
        ("\"boolean\"", &[], "avro.binary "),
        ("\"boolean\"", &[1, 0], "avro.trailing-bytes "),
        ("\"int\"", &[0xfe, 0xff, 0xff, 0xff, 0x1f], "avro.binary "),
        ("\"long\"", &[0xff; 12], "avro.binary "),
        ("\"string\"", &[2, 0xff], "avro.binary "),
        ("\"string\"", &[1], "avro.binary "),
        ("\"string\"", &[8, b'a'], "avro.binary "),
        ("\"double\"", &[0; 7], "avro.binary "),
        (union, &[4, 0], "avro.binary "),
        (union, &[1, 0], "avro.binary "),
        (list, &[2], "avro.binary "),
        (list, &[1], "avro.binary "),
        (array, &[2, 2], "avro.binary "),
        (array, &[4, 2, 0x80], "avro.binary /1"),
        // A block that says 9 bytes and has 1.
        (array, &[1, 18, 2, 0], "avro.binary "),
        (r#"{"type": "map", "values": "int"}"#, &[4, 2, b'a', 0, 2, b'a', 2, 0], "avro.duplicate-key /a"),
    ] {
        assert_eq!(judge(&contract(schema), Encoding::AvroBinary, bytes), [expected], "{schema} {bytes:?}");
    }
    assert_eq!(
        judge(&contract(array), Encoding::AvroBinary, &[1, 2, 2, 0]),
        [""; 0],
        "a block with its right size"
    );
}

/// The trap of the crate: a payload of 350 bytes overflows its stack and aborts.
#[test]
fn a_recursion_of_350_bytes_is_exhausted_on_a_small_stack() {
    let schema =
        r#"{"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}"#;
    let direct = r#"{"type": "record", "name": "Node", "fields": [{"name": "next", "type": "Node"}]}"#;
    let arrays = r#"{"type": "record", "name": "Node", "fields": [{"name": "next", "type": {"type": "array", "items": "Node"}}]}"#;
    let run = move || {
        for encoding in [Encoding::AvroBinary, Encoding::AvroSingleObject, Encoding::AvroContainer] {
            for (schema, bytes) in [(schema, vec![2; 350]), (arrays, vec![2; 350]), (direct, vec![])] {
                let bytes = match encoding {
                    Encoding::AvroSingleObject => single_object(schema, &bytes),
                    Encoding::AvroContainer => container(schema, "null", &[(1, bytes)]),
                    _ => bytes,
                };
                assert_eq!(
                    kind(&contract(schema), encoding, &bytes),
                    Err(ErrorKind::Exhausted),
                    "{encoding}"
                );
            }
        }
        let mut bytes = vec![2; 99];
        bytes.push(0);
        assert_eq!(kind(&contract(schema), Encoding::AvroBinary, &bytes), Ok(true), "100 deep is allowed");
    };
    // What is promised is 2 MiB, which it needs where a crate of the host has switched on `preserve_order` of serde_json; else half does.
    let bytes = if size_of::<serde_json::Value>() > 32 { 2 << 20 } else { 1 << 20 };
    std::thread::Builder::new().stack_size(bytes).spawn(run).unwrap().join().unwrap();
}

#[test]
fn huge_declared_lengths_end_at_the_end_of_the_bytes() {
    let huge = zigzag(1 << 60);
    for (schema, expected) in [
        ("\"bytes\"", "avro.binary "),
        ("\"string\"", "avro.binary "),
        (r#"{"type": "array", "items": "int"}"#, "avro.binary /0"),
        (r#"{"type": "map", "values": "int"}"#, "avro.binary "),
        (r#"{"type": "fixed", "name": "F", "size": 1152921504606846976}"#, "avro.binary "),
    ] {
        assert_eq!(judge(&contract(schema), Encoding::AvroBinary, &huge), [expected], "{schema}");
    }
    for count in [i64::MIN, i64::MIN + 1, -1] {
        let bytes = [zigzag(count), zigzag(i64::MAX)].concat();
        assert_eq!(
            judge(&contract(r#"{"type": "array", "items": "int"}"#), Encoding::AvroBinary, &bytes),
            ["avro.binary /0"]
        );
    }
}

#[test]
fn items_without_bytes_are_counted_against_the_limits() {
    let mut limits = Limits::default();
    limits.max_document_bytes = 1 << 20;
    let contract =
        |schema: &str| Contract::schema(Avro, schema).limits(limits.clone()).build().expect(schema);
    let nothing = r#"{"type": "record", "name": "Nothing", "fields": [{"name": "a_field_with_a_long_name", "type": "null"}]}"#;
    for items in ["\"null\"", nothing, r#"{"type": "fixed", "name": "F", "size": 0}"#] {
        let schema = format!(r#"{{"type": "array", "items": {items}}}"#);
        for count in [1 << 60, i64::MIN, -(1 << 60)] {
            let bytes = [zigzag(count), if count < 0 { zigzag(0) } else { vec![] }, vec![0]].concat();
            assert_eq!(
                kind(&contract(&schema), Encoding::AvroBinary, &bytes),
                Err(ErrorKind::Exhausted),
                "{items}"
            );
        }
        let file = container(items, "null", &[(1 << 60, vec![])]);
        assert_eq!(
            kind(&contract(items), Encoding::AvroContainer, &file),
            Err(ErrorKind::Exhausted),
            "{items}"
        );
    }
}

#[test]
fn a_file_says_what_is_wrong_with_it() {
    let contract = contract("\"int\"");
    let good = container("\"int\"", "null", &[(2, vec![2, 4])]);
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut file = good.clone();
        change(&mut file);
        judge(&contract, Encoding::AvroContainer, &file)
    };
    assert_eq!(with(&|_| {}), [""; 0]);
    assert_eq!(with(&|file| file[3] = 2), ["avro.container "]);
    assert_eq!(with(&|file| *file.last_mut().unwrap() = 0), ["avro.sync-marker "]);
    assert_eq!(with(&|file| file.truncate(file.len() - 1)), ["avro.container "]);
    assert_eq!(with(&|file| file.truncate(30)), ["avro.container "]);
    let block = |count, bytes: &[u8]| {
        let file = container("\"int\"", "null", &[(1, vec![2]), (count, bytes.to_vec())]);
        judge(&contract, Encoding::AvroContainer, &file)
    };
    assert_eq!(block(1, &[2, 2]), ["avro.trailing-bytes "]);
    assert_eq!(block(2, &[2]), ["avro.binary /2"]);
    assert_eq!(block(-1, &[2]), ["avro.container "]);
    let none = container("\"int\"", "null", &[]);
    assert_eq!(judge(&contract, Encoding::AvroContainer, &none), [""; 0]);
    let broken = container("\"whole\"", "null", &[]);
    assert_eq!(judge(&contract, Encoding::AvroContainer, &broken), ["avro.container "]);
    let raw = container("\"int\"", "deflate", &[(1, vec![0xff, 0xff])]);
    assert_eq!(judge(&contract, Encoding::AvroContainer, &raw), ["avro.container "]);
}

#[test]
fn a_codec_that_is_not_known_is_unsupported_by_name() {
    for codec in ["snappy", "zstandard", "bzip2", "xz"] {
        let file = container("\"int\"", codec, &[(1, vec![2])]);
        let error =
            contract("\"int\"").validate(&Document::new(Encoding::AvroContainer, file)).expect_err(codec);
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let ValidationError::NotJudged { source } = error else { panic!("{error}") };
        assert!(source.to_string().contains(codec), "{source}");
    }
}

#[test]
fn a_block_that_inflates_beyond_the_limit_is_exhausted() {
    let bomb = miniz_oxide::deflate::compress_to_vec(&vec![0; 2 << 20], 6);
    assert!(bomb.len() < 8 << 10);
    let file = container("\"int\"", "deflate", &[(1, bomb)]);
    let mut limits = Limits::default();
    limits.max_document_bytes = 1 << 20;
    let contract = Contract::schema(Avro, "\"int\"").limits(limits).build().unwrap();
    assert_eq!(kind(&contract, Encoding::AvroContainer, &file), Err(ErrorKind::Exhausted));
}

#[test]
fn a_file_of_another_schema_is_read_as_this_one_reads_it_or_refused_with_the_reasons() {
    let old = r#"{"type": "record", "name": "A", "fields": [
        {"name": "n", "type": "int"}, {"name": "gone", "type": {"type": "array", "items": "string"}},
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["X", "Y"]}}]}"#;
    let new = r#"{"type": "record", "name": "B", "aliases": ["A"], "fields": [
        {"name": "added", "type": ["string", "null"], "default": "d"}, {"name": "m", "aliases": ["n"], "type": ["null", "double"]},
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["Y", "Z"], "default": "Z"}}]}"#;
    let file = container(old, "null", &[(2, vec![10, 2, 2, b'a', 0, 0, 12, 0, 2])]);
    let expected = json!([{"added": "d", "m": 5.0, "e": "Z"}, {"added": "d", "m": 6.0, "e": "Y"}]);
    assert_eq!(view(new, Encoding::AvroContainer, &file), (Some(expected), vec![]));
    let strict = r#"{"type": "record", "name": "A", "fields": [
        {"name": "n", "type": "string"}, {"name": "x", "type": "int"}]}"#;
    assert_eq!(
        judge(&contract(strict), Encoding::AvroContainer, &file),
        ["avro.writer-schema ", "avro.writer-schema "]
    );
}

#[test]
fn a_single_object_of_another_schema_is_told_by_its_fingerprint() {
    // From the test data of Apache Avro, share/test/data/schema-tests.txt.
    assert_eq!(fingerprint("\"int\""), 0x7275_d51a_3f39_5c8f_u64.to_le_bytes());
    let dated = r#"{"type": "int", "logicalType": "date", "doc": "the same parsing canonical form"}"#;
    let of_int = single_object("\"int\"", &[2]);
    assert_eq!(judge(&contract(dated), Encoding::AvroSingleObject, &of_int), [""; 0]);
    let contract = contract("\"int\"");
    let judged = |bytes: &[u8]| judge(&contract, Encoding::AvroSingleObject, bytes);
    assert_eq!(judged(&single_object("\"int\"", &[2])), [""; 0]);
    assert_eq!(judged(&single_object("\"long\"", &[2])), ["avro.fingerprint "]);
    assert_eq!(judged(&single_object("\"int\"", &[2, 2])), ["avro.trailing-bytes "]);
    assert_eq!(judged(&[0xc3, 0x01, 0]), ["avro.marker "]);
    assert_eq!(judged(&[0xc3, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 2]), ["avro.marker "]);
}

#[test]
fn unions_that_nest_do_not_multiply_the_work_of_the_plain_form() {
    let schema = r#"{"type": "record", "name": "A", "fields": [{"name": "x", "type": ["null",
        {"type": "record", "name": "B", "fields": [{"name": "x", "type": ["null", "A", "B"]}, {"name": "b", "type": "int", "default": 0}]}, "A"]}]}"#;
    let depth = 90_usize;
    let document = format!("{}\"no\"{}", r#"{"x":"#.repeat(depth), "}".repeat(depth));
    let mut limits = Limits::default();
    limits.max_steps = 100_000;
    let contract = Contract::schema(Avro, schema).limits(limits).build().unwrap();
    let report = contract.validate(&Document::json(document)).expect("within the steps");
    assert!(!report.valid);
}

#[test]
fn defaults_that_grow_without_end_are_exhausted() {
    let endless = r#"{"type": "record", "name": "A", "fields": [{"name": "a", "type": "A", "default": {}}]}"#;
    assert_eq!(kind(&contract(endless), Encoding::Json, b"{}"), Err(ErrorKind::Exhausted));
    let mut schema = r#"{"type": "record", "name": "R0", "fields": []}"#.to_owned();
    for level in 1..30 {
        schema = format!(
            r#"{{"type": "record", "name": "R{level}", "fields": [{{"name": "a", "type": {schema}, "default": {{}}}},
                {{"name": "b", "type": "R{}", "default": {{}}}}]}}"#,
            level - 1
        );
    }
    assert_eq!(kind(&contract(&schema), Encoding::Json, b"{}"), Err(ErrorKind::Exhausted));
}

#[test]
fn what_is_no_encoding_of_avro_is_unsupported() {
    for encoding in [Encoding::ProtobufBinary, Encoding::ProtobufJson] {
        assert_eq!(kind(&contract("\"int\""), encoding, b"1"), Err(ErrorKind::Unsupported), "{encoding}");
    }
}

#[test]
fn values_are_shown_only_where_they_were_asked_for() {
    let document = Document::json(r#"{"pin": "hush"}"#);
    let schema = r#"{"type": "record", "name": "A", "fields": [{"name": "pin", "type": "int"}]}"#;
    let masked = contract(schema).validate(&document).unwrap();
    assert!(!serde_json::to_string(&masked).unwrap().contains("hush"));
    let shown = Contract::schema(Avro, schema).show_values().build().unwrap().validate(&document).unwrap();
    assert_eq!(shown.findings[0].value.as_deref(), Some("\"hush\""));
}

#[test]
fn many_invalid_items_below_a_long_key_cost_steps() {
    let schema = r#"{"type": "map", "values": {"type": "array", "items": "int"}}"#;
    let mut document = Vec::new();
    write!(document, "{{{:?}: [{}null]}}", "k".repeat(1 << 20), "null,".repeat(400_000)).unwrap();
    let mut limits = Limits::default();
    limits.max_steps = 500_000;
    let contract = Contract::schema(Avro, schema).limits(limits).build().unwrap();
    assert_eq!(kind(&contract, Encoding::Json, &document), Err(ErrorKind::Exhausted));
}

#[test]
fn a_document_within_the_bytes_is_not_too_large_as_it_is_decoded() {
    let schema = r#"{"type": "array", "items": ["null", "int", {"type": "map", "values": {"type": "array", "items": "boolean"}}]}"#;
    let document = format!("[{}{{\"a\":[true,true],\"b\":[]}},null]", "1,".repeat(1000));
    let mut limits = Limits::default();
    limits.max_document_bytes = document.len() as u64;
    let rule = Rule::required("some", "/0");
    let contract = Contract::schema(Avro, schema).rule(rule).limits(limits).build().unwrap();
    assert_eq!(kind(&contract, Encoding::Json, document.as_bytes()), Ok(true));
}
