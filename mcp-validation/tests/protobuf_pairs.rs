//! Two versions of a schema, compared as `buf breaking` 1.75.0 compares them, rule by rule.
//!
//! `testdata/protobuf_pairs.json` holds the pairs, and the rules that buf reports for each: both texts as `schema.proto` in a module
//! of its own with `breaking.use` set to the one category `WIRE` (member `wire`) or `WIRE_JSON` (member `json`), then
//! `buf breaking new --against old --error-format json`. buf looks at one step, from old to new, which is [`Mode::Backward`] here.
#![cfg(feature = "protobuf")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use std::collections::BTreeSet;

use mcp_validation::{Break, Compatibility, Limits, Mode, Protobuf, ProtobufLevel, SchemaSource};
use serde::Deserialize;

#[derive(Deserialize)]
struct Pair {
    name: String,
    old: String,
    new: String,
    wire: BTreeSet<String>,
    json: BTreeSet<String>,
}

/// Which of our rules say what a rule of buf says.
fn ours(buf: &str) -> &'static [&'static str] {
    match buf {
        "FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED" => &["protobuf.field-not-reserved"],
        "FIELD_NO_DELETE_UNLESS_NAME_RESERVED" => {
            &["protobuf.field-name-not-reserved", "protobuf.field-unknown", "protobuf.field-number"]
        }
        "FIELD_SAME_NAME" => &["protobuf.field-name"],
        "FIELD_SAME_JSON_NAME" => &["protobuf.json-name"],
        "FIELD_WIRE_COMPATIBLE_TYPE" | "FIELD_WIRE_JSON_COMPATIBLE_TYPE" => {
            // Of a map and a list of entries buf says that the entries' types differ.
            &["protobuf.field-type", "protobuf.field-cardinality"]
        }
        "FIELD_WIRE_COMPATIBLE_CARDINALITY" | "FIELD_WIRE_JSON_COMPATIBLE_CARDINALITY" => {
            &["protobuf.field-cardinality", "protobuf.required", "protobuf.required-removed"]
        }
        "FIELD_SAME_DEFAULT" => &["protobuf.field-default"],
        "FIELD_SAME_ONEOF" => &["protobuf.field-oneof"],
        "RESERVED_MESSAGE_NO_DELETE" | "RESERVED_ENUM_NO_DELETE" => &["protobuf.reserved-removed"],
        "ENUM_VALUE_NO_DELETE_UNLESS_NUMBER_RESERVED" => &["protobuf.enum-value-not-reserved"],
        "ENUM_VALUE_NO_DELETE_UNLESS_NAME_RESERVED" => &[
            "protobuf.enum-value-name-not-reserved",
            "protobuf.enum-value-number",
            "protobuf.enum-value-unknown",
        ],
        "ENUM_VALUE_SAME_NAME" => &["protobuf.enum-value-name"],
        "ENUM_SAME_JSON_FORMAT" | "MESSAGE_SAME_JSON_FORMAT" => &["protobuf.json-format"],
        "MESSAGE_SAME_REQUIRED_FIELDS" => &["protobuf.required", "protobuf.required-removed"],
        "FILE_SAME_PACKAGE" => &["protobuf.package"],
        "RPC_SAME_REQUEST_TYPE" => &["protobuf.request-type"],
        "RPC_SAME_RESPONSE_TYPE" => &["protobuf.response-type"],
        "RPC_SAME_CLIENT_STREAMING" => &["protobuf.client-streaming"],
        "RPC_SAME_SERVER_STREAMING" => &["protobuf.server-streaming"],
        "RPC_SAME_IDEMPOTENCY_LEVEL" => &["protobuf.idempotency"],
        other => panic!("the rule {other} of buf is not known"),
    }
}

/// Where the answers differ on purpose: the pair, the level (empty: both), buf's rule or ours that the other side does not have, why.
const DIFFERENCES: &[(&str, &str, &str, &str)] = &[
    (
        "message removed",
        "",
        "protobuf.message-removed",
        "nothing reads its documents; buf has it in the category PACKAGE",
    ),
    ("nested message removed", "", "protobuf.message-removed", "as above"),
    ("message renamed", "", "protobuf.message-removed", "as above"),
    ("service removed", "", "protobuf.service-removed", "buf has it in the category PACKAGE"),
    ("method removed", "", "protobuf.method-removed", "buf has it in the category PACKAGE"),
    (
        "field renumbered",
        "",
        "protobuf.field-number",
        "the field is known to both, and what was written for it is lost",
    ),
    ("field renumbered and old number reserved", "", "protobuf.field-number", "as above"),
    (
        "closed enum value removed",
        "",
        "protobuf.enum-value-unknown",
        "a closed enum loses numbers that it does not declare",
    ),
    (
        "proto3 to proto2 with an enum",
        "",
        "protobuf.enum-closed",
        "a closed enum loses numbers that it does not declare",
    ),
    ("enum to int32", "wire", "FIELD_WIRE_COMPATIBLE_TYPE", "an enum is an int32 on the wire"),
    ("int32 to enum", "wire", "FIELD_WIRE_COMPATIBLE_TYPE", "an open enum holds every int32"),
    ("enum to uint32", "wire", "FIELD_WIRE_COMPATIBLE_TYPE", "documented as compatible"),
    ("uint32 to enum", "wire", "FIELD_WIRE_COMPATIBLE_TYPE", "documented as compatible"),
    ("enum to int64", "wire", "FIELD_WIRE_COMPATIBLE_TYPE", "documented as compatible"),
    ("enum to uint64", "wire", "FIELD_WIRE_COMPATIBLE_TYPE", "documented as compatible"),
    (
        "message I to bytes",
        "wire",
        "FIELD_WIRE_COMPATIBLE_TYPE",
        "documented as compatible: the bytes are the encoded message",
    ),
    (
        "enum to other enum with the same values",
        "wire",
        "FIELD_WIRE_COMPATIBLE_TYPE",
        "the wire has numbers only",
    ),
    (
        "enum to other enum with more values",
        "wire",
        "FIELD_WIRE_COMPATIBLE_TYPE",
        "the wire has numbers only",
    ),
];

fn compare(level: ProtobufLevel, mode: Mode, old: &str, new: &str) -> Vec<Break> {
    let limits = Limits::default();
    let source = |text| SchemaSource::new(text, &[], &limits);
    match mode.check(&Protobuf::new().level(level), &[source(old)], &source(new)).unwrap() {
        Compatibility::Yes => Vec::new(),
        Compatibility::No(breaks) => breaks,
        Compatibility::Unknown(why) => panic!("{why}"),
    }
}

fn pairs() -> Vec<Pair> {
    serde_json::from_str(include_str!("testdata/protobuf_pairs.json")).unwrap()
}

#[test]
fn each_pair_breaks_the_rules_that_buf_says_it_breaks() {
    let pairs = pairs();
    assert!(pairs.len() >= 80, "{} pairs", pairs.len());
    let mut surprises = Vec::new();
    let mut unused: BTreeSet<usize> = (0..DIFFERENCES.len()).collect();
    for pair in &pairs {
        for (level, name, buf) in
            [(ProtobufLevel::Wire, "wire", &pair.wire), (ProtobufLevel::Json, "json", &pair.json)]
        {
            let breaks = compare(level, Mode::Backward, &pair.old, &pair.new);
            let rules: BTreeSet<&str> = breaks.iter().map(|found| found.rule.as_ref()).collect();
            let mut differs = |rule: &str| {
                let found = DIFFERENCES.iter().position(|(of, at, other, _)| {
                    *of == pair.name && at.is_empty() | (*at == name) && *other == rule
                });
                found.is_some_and(|found| {
                    unused.remove(&found);
                    true
                })
            };
            for rule in buf {
                if !ours(rule).iter().any(|ours| rules.contains(ours)) && !differs(rule) {
                    surprises.push(format!("{} ({name}): buf says {rule}, we say {rules:?}", pair.name));
                }
            }
            for rule in &rules {
                if !buf.iter().any(|buf| ours(buf).contains(rule)) && !differs(rule) {
                    surprises.push(format!("{} ({name}): we say {rule}, buf says {buf:?}", pair.name));
                }
            }
            for found in &breaks {
                assert!(
                    found.path.starts_with('/') && !found.message.is_empty() && !found.advice.is_empty(),
                    "{found}"
                );
            }
        }
    }
    assert!(surprises.is_empty(), "{surprises:#?}");
    let unused: Vec<_> = unused.iter().map(|place| DIFFERENCES[*place]).collect();
    assert!(unused.is_empty(), "these no longer differ: {unused:?}");
}

#[test]
fn nothing_breaks_between_a_schema_and_itself() {
    for pair in pairs() {
        for text in [&pair.old, &pair.new] {
            for level in [ProtobufLevel::Wire, ProtobufLevel::Json] {
                assert_eq!(compare(level, Mode::Full, text, text), [], "{}", pair.name);
            }
        }
    }
}

#[test]
fn every_break_is_told_with_its_place() {
    let old = "syntax = \"proto3\"; package shop; message M { int32 a = 1; string b = 2; reserved 9; enum E { Z = 0; } }";
    let new = "syntax = \"proto3\"; package shop; message M { string a = 1; enum E { Z = 0; } }";
    let told: Vec<_> = compare(ProtobufLevel::Wire, Mode::Backward, old, new)
        .into_iter()
        .map(|found| (found.rule.into_owned(), found.path))
        .collect();
    let expected = [
        ("protobuf.field-not-reserved", "/messages/shop.M/fields/2"),
        ("protobuf.reserved-removed", "/messages/shop.M/reserved"),
        ("protobuf.field-type", "/messages/shop.M/fields/1"),
    ];
    assert_eq!(told, expected.map(|(rule, path)| (rule.to_owned(), path.to_owned())));
}

#[test]
fn an_added_field_is_read_by_the_old_schema_on_the_wire_and_refused_in_json() {
    let old = "syntax = \"proto3\"; message M { int32 a = 1; }";
    let new = "syntax = \"proto3\"; message M { int32 a = 1; int32 b = 2; }";
    assert_eq!(compare(ProtobufLevel::Wire, Mode::Full, old, new), []);
    let json = compare(ProtobufLevel::Json, Mode::Forward, old, new);
    assert_eq!(json.iter().map(|found| found.rule.as_ref()).collect::<Vec<_>>(), ["protobuf.field-unknown"]);
    let limits = Limits::default();
    let ignoring =
        Protobuf::new().level(ProtobufLevel::Json).unknown_fields(mcp_validation::UnknownFields::Ignored);
    let source = |text| SchemaSource::new(text, &[], &limits);
    assert_eq!(Mode::Forward.check(&ignoring, &[source(old)], &source(new)).unwrap(), Compatibility::Yes);
}

#[test]
fn a_package_that_changed_is_one_break_and_its_messages_are_compared_all_the_same() {
    let old =
        "syntax = \"proto3\"; package shop; message M { int32 a = 1; N n = 2; } message N { bool x = 1; }";
    let new =
        "syntax = \"proto3\"; package store; message M { int32 a = 1; N n = 2; } message N { string x = 1; }";
    let breaks = compare(ProtobufLevel::Wire, Mode::Backward, old, new);
    let rules: BTreeSet<_> = breaks.iter().map(|found| (found.rule.as_ref(), found.path.as_str())).collect();
    assert_eq!(
        rules.into_iter().collect::<Vec<_>>(),
        [
            ("protobuf.field-type", "/messages/store.N/fields/1"),
            ("protobuf.package", "/files/schema.proto/package")
        ]
    );
}

#[test]
fn types_of_imported_files_are_compared_too() {
    let limits = Limits::default();
    let root = "syntax = \"proto3\"; import \"item.proto\"; message M { Item item = 1; }";
    let item = |kind: &str| {
        [mcp_validation::Reference::new(
            "item.proto",
            format!("syntax = \"proto3\"; message Item {{ {kind} x = 1; }}"),
        )]
    };
    let (old, new) = (item("int32"), item("string"));
    let found = Mode::Backward
        .check(
            &Protobuf::new(),
            &[SchemaSource::new(root, &old, &limits)],
            &SchemaSource::new(root, &new, &limits),
        )
        .unwrap();
    let paths: Vec<_> = found.breaks().iter().map(|found| found.path.as_str()).collect();
    assert_eq!(paths, ["/messages/Item/fields/1"]);
}
