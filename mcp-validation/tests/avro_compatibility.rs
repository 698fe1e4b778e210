//! What an Avro schema reads of what another wrote: a table of pairs, each with everything that breaks.
#![cfg(feature = "avro")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use mcp_core::ErrorKind;
use mcp_validation::{
    Avro, Break, Compatibility, Contract, Document, Encoding, Limits, Reference, SchemaFormat, SchemaSource,
};

fn compare(reader: &str, writer: &str) -> Vec<Break> {
    let limits = Limits::default();
    let (reader, writer) = (SchemaSource::new(reader, &[], &limits), SchemaSource::new(writer, &[], &limits));
    match Avro.can_read(&reader, &writer).expect("two schemas") {
        Compatibility::Yes => Vec::new(),
        Compatibility::No(breaks) => {
            assert!(!breaks.is_empty());
            breaks
        }
        other => panic!("{other:?}"),
    }
}

fn check(reader: &str, writer: &str, expected: &[&str]) {
    let breaks = compare(reader, writer);
    let seen: Vec<String> = breaks.iter().map(|found| format!("{} {}", found.rule, found.path)).collect();
    assert_eq!(seen, expected, "\nreader {reader}\nwriter {writer}");
    for found in &breaks {
        assert!(!found.message.is_empty() && !found.advice.is_empty(), "{found:?}");
        if let Some(witness) = &found.witness {
            let contract = Contract::schema(Avro, writer).build().unwrap();
            let document = Document::new(Encoding::AvroJson, witness.to_string());
            assert!(contract.is_valid(&document).unwrap(), "{witness} is nothing that {writer} writes");
        }
    }
}

fn record(fields: &str) -> String {
    format!(r#"{{"type": "record", "name": "R", "fields": [{fields}]}}"#)
}

fn logical(base: &str, logical: &str) -> String {
    format!(r#"{{"type": "{base}", "logicalType": "{logical}"}}"#)
}

fn decimal(precision: u32, scale: u32) -> String {
    format!(r#"{{"type": "bytes", "logicalType": "decimal", "precision": {precision}, "scale": {scale}}}"#)
}

fn symbols(list: &str, default: &str) -> String {
    let list: Vec<String> = list.split(',').map(|symbol| format!("{symbol:?}")).collect();
    let default = if default.is_empty() { String::new() } else { format!(", \"default\": {default:?}") };
    format!(r#"{{"type": "enum", "name": "E", "symbols": [{}]{default}}}"#, list.join(","))
}

const MISMATCH: &[&str] = &["avro.type-mismatch "];
const RENAMED: &[&str] = &["avro.name-mismatch /name"];
const LACKS: &[&str] = &["avro.missing-union-branch "];

#[test]
fn primitives_are_read_as_themselves_and_as_what_they_are_promoted_to() {
    let all = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
    let promoted = [
        ("long", "int"),
        ("float", "int"),
        ("double", "int"),
        ("float", "long"),
        ("double", "long"),
        ("double", "float"),
        ("bytes", "string"),
        ("string", "bytes"),
    ];
    for reader in all {
        for writer in all {
            let reads = reader == writer || promoted.contains(&(reader, writer));
            let expected = if reads { &[][..] } else { MISMATCH };
            check(&format!("{reader:?}"), &format!("{writer:?}"), expected);
        }
    }
}

#[test]
fn containers_names_and_symbols() {
    let ints = r#"{"type": "array", "items": "int"}"#;
    let texts = r#"{"type": "array", "items": "string"}"#;
    let longs = r#"{"type": "array", "items": "long"}"#;
    let map = r#"{"type": "map", "values": "int"}"#;
    let map_long = r#"{"type": "map", "values": "long"}"#;
    let fixed = |name: &str, size: u32, more: &str| {
        format!(r#"{{"type": "fixed", "name": "{name}", "size": {size}{more}}}"#)
    };
    let named =
        |name: &str, more: &str| format!(r#"{{"type": "record", "name": "{name}", "fields": []{more}}}"#);
    let pairs: &[(&str, &str, &[&str])] = &[
        (longs, ints, &[]),
        (ints, longs, &["avro.type-mismatch /items"]),
        (texts, ints, &["avro.type-mismatch /items"]),
        (map_long, map, &[]),
        (map, map_long, &["avro.type-mismatch /values"]),
        (ints, map, MISMATCH),
        (map, ints, MISMATCH),
        (ints, "\"int\"", MISMATCH),
        (&fixed("F", 4, ""), &fixed("F", 4, ""), &[]),
        (&fixed("F", 4, ""), &fixed("F", 5, ""), &["avro.fixed-size-mismatch /size"]),
        (&fixed("F", 4, ""), &fixed("G", 4, ""), RENAMED),
        (&fixed("F", 4, r#", "aliases": ["G"]"#), &fixed("G", 4, ""), &[]),
        (&fixed("F", 4, r#", "aliases": ["n.G"]"#), &fixed("n.G", 4, ""), &[]),
        (&fixed("F", 4, r#", "aliases": ["G"]"#), &fixed("n.G", 4, ""), RENAMED),
        (&fixed("a.F", 4, ""), &fixed("b.F", 4, ""), &[]),
        ("\"bytes\"", &fixed("F", 4, ""), MISMATCH),
        (&named("A", ""), &named("A", ""), &[]),
        (&named("A", ""), &named("B", ""), RENAMED),
        (&named("A", r#", "aliases": ["B"]"#), &named("B", ""), &[]),
        (&named("B", ""), &named("A", r#", "aliases": ["B"]"#), RENAMED),
        (&named("x.A", ""), &named("y.A", ""), &[]),
        (&named("x.A", r#", "aliases": ["B"]"#), &named("x.B", ""), &[]),
        (&symbols("A,B", ""), &symbols("A,B", ""), &[]),
        (&symbols("B,A,C", ""), &symbols("A,B", ""), &[]),
        (&symbols("A", ""), &symbols("A,B", ""), &["avro.missing-enum-symbol /symbols"]),
        (&symbols("A", "A"), &symbols("A,B", ""), &[]),
        (&symbols("A", ""), &symbols("A,B", "A"), &["avro.missing-enum-symbol /symbols"]),
        (&symbols("A", ""), &symbols("B,C", ""), &["avro.missing-enum-symbol /symbols"]),
        ("\"string\"", &symbols("A", ""), MISMATCH),
        (&symbols("A", ""), "\"string\"", MISMATCH),
        (map, &named("A", ""), MISMATCH),
    ];
    for (reader, writer, expected) in pairs {
        check(reader, writer, expected);
    }
}

#[test]
fn fields_defaults_and_aliases() {
    let one = r#"{"name": "a", "type": "int"}"#;
    let two = r#"{"name": "a", "type": "int"}, {"name": "b", "type": "string"}"#;
    let defaulted = r#"{"name": "a", "type": "int"}, {"name": "b", "type": "string", "default": "x"}"#;
    let nullable = r#"{"name": "a", "type": ["null", "int"]}"#;
    let nullable_default =
        r#"{"name": "a", "type": "int"}, {"name": "b", "type": ["null", "string"], "default": null}"#;
    let alias = r#"{"name": "z", "aliases": ["y", "a"], "type": "long"}"#;
    let renamed = r#"{"name": "z", "type": "int"}"#;
    let nested = |inner: &str| {
        format!(r#"{{"name": "r", "type": {{"type": "record", "name": "I", "fields": [{inner}]}}}}"#)
    };
    let pairs: &[(&str, &str, &[&str])] = &[
        (one, one, &[]),
        (one, two, &[]),
        (two, one, &["avro.reader-field-missing-default /fields/1"]),
        (defaulted, one, &[]),
        (nullable_default, one, &[]),
        (nullable_default, two, &[]),
        (two, nullable_default, &["avro.type-mismatch /fields/1/type"]),
        (nullable, one, &[]),
        (one, nullable, &["avro.type-mismatch /fields/0/type"]),
        (alias, one, &[]),
        (one, alias, &["avro.reader-field-missing-default /fields/0"]),
        (renamed, one, &["avro.reader-field-missing-default /fields/0"]),
        (r#"{"name": "b", "type": "string"}, {"name": "a", "type": "long"}"#, two, &[]),
        (
            r#"{"name": "a", "type": "string"}, {"name": "b", "type": "int"}, {"name": "c", "type": "int"}"#,
            two,
            &[
                "avro.type-mismatch /fields/0/type",
                "avro.type-mismatch /fields/1/type",
                "avro.reader-field-missing-default /fields/2",
            ],
        ),
        ("", two, &[]),
        (
            two,
            "",
            &["avro.reader-field-missing-default /fields/0", "avro.reader-field-missing-default /fields/1"],
        ),
        (&nested(defaulted), &nested(one), &[]),
        (&nested(two), &nested(one), &["avro.reader-field-missing-default /fields/0/type/fields/1"]),
        (
            &nested(r#"{"name": "a", "type": "boolean"}"#),
            &nested(one),
            &["avro.type-mismatch /fields/0/type/fields/0/type"],
        ),
        // One of the writer's fields may feed two of the reader's.
        (r#"{"name": "a", "type": "int"}, {"name": "c", "aliases": ["a"], "type": "double"}"#, one, &[]),
    ];
    for (reader, writer, expected) in pairs {
        check(&record(reader), &record(writer), expected);
    }
}

#[test]
fn unions() {
    let named =
        |name: &str, fields: &str| format!(r#"{{"type": "record", "name": "{name}", "fields": [{fields}]}}"#);
    let a = named("A", "");
    let a_int = named("A", r#"{"name": "x", "type": "int"}"#);
    let b = named("B", "");
    let pairs: &[(&str, &str, &[&str])] = &[
        (r#"["null", "int"]"#, "\"int\"", &[]),
        (r#"["null", "int"]"#, "\"null\"", &[]),
        (r#"["null", "long"]"#, "\"int\"", &[]),
        (r#"["null", "string"]"#, "\"int\"", LACKS),
        (r#"["null", "int"]"#, "\"long\"", LACKS),
        ("\"int\"", r#"["int"]"#, &[]),
        ("\"int\"", r#"["null", "int"]"#, MISMATCH),
        ("\"double\"", r#"["int", "long", "float"]"#, &[]),
        ("\"double\"", r#"["int", "string", "boolean"]"#, &["avro.type-mismatch ", "avro.type-mismatch "]),
        (r#"["int", "null"]"#, r#"["null", "int"]"#, &[]),
        (r#"["null", "int", "string"]"#, r#"["null", "int"]"#, &[]),
        (r#"["null", "int"]"#, r#"["null", "int", "string"]"#, LACKS),
        (
            r#"["null"]"#,
            r#"["null", "int", "string"]"#,
            &["avro.missing-union-branch ", "avro.missing-union-branch "],
        ),
        (r#"["null", "bytes"]"#, r#"["null", "string"]"#, &[]),
        ("[]", "[]", &[]),
        ("[]", "\"int\"", LACKS),
        ("\"int\"", "[]", &[]),
        (&format!("[{a}, {b}]"), &b, &[]),
        (&format!("[{a}]"), &b, LACKS),
        (&format!("[\"null\", {a_int}]"), &a, &["avro.reader-field-missing-default /1/fields/0"]),
        (&format!("[{b}, {}]", a_int.replace("\"A\"", "\"n.A\"")), &format!("[{b}, {a_int}]"), &[]),
        (
            r#"["null", {"type": "array", "items": "int"}]"#,
            r#"{"type": "array", "items": "string"}"#,
            &["avro.type-mismatch /1/items"],
        ),
    ];
    for (reader, writer, expected) in pairs {
        check(reader, writer, expected);
    }
}

#[test]
fn logical_types_that_make_the_same_bytes_mean_something_else() {
    let millis = logical("long", "timestamp-millis");
    let micros = logical("long", "timestamp-micros");
    let nanos = logical("long", "timestamp-nanos");
    let local = logical("long", "local-timestamp-millis");
    let time_millis = logical("int", "time-millis");
    let time_micros = logical("long", "time-micros");
    let date = logical("int", "date");
    let uuid = logical("string", "uuid");
    let duration = r#"{"type": "fixed", "name": "F", "size": 12, "logicalType": "duration"}"#;
    let twelve = r#"{"type": "fixed", "name": "F", "size": 12}"#;
    let unit: &[&str] = &["avro.logical-unit "];
    let changed: &[&str] = &["avro.logical-type-changed "];
    let added: &[&str] = &["avro.logical-type-added "];
    let pairs: &[(&str, &str, &[&str])] = &[
        (&millis, &millis, &[]),
        (&millis, &micros, unit),
        (&micros, &millis, unit),
        (&nanos, &micros, unit),
        (&millis, &local, changed),
        (&local, &millis, changed),
        (&time_micros, &time_millis, unit),
        (&time_millis, &time_micros, MISMATCH),
        (&date, &time_millis, changed),
        (&time_millis, &date, changed),
        (&millis, &date, changed),
        (&millis, &time_millis, changed),
        (&micros, &time_micros, changed),
        (&millis, "\"long\"", &[]),
        ("\"long\"", &millis, &[]),
        (&date, "\"int\"", &[]),
        ("\"int\"", &date, &[]),
        (&millis, "\"int\"", &[]),
        (&time_millis, "\"int\"", added),
        (&time_micros, "\"long\"", added),
        ("\"int\"", &time_millis, &[]),
        (&uuid, &uuid, &[]),
        ("\"string\"", &uuid, &[]),
        (&uuid, "\"string\"", added),
        (&decimal(9, 2), &decimal(9, 2), &[]),
        (&decimal(9, 2), &decimal(9, 3), &["avro.decimal-scale "]),
        (&decimal(12, 2), &decimal(9, 2), &[]),
        (&decimal(6, 2), &decimal(9, 2), &["avro.decimal-precision "]),
        (&decimal(9, 2), "\"bytes\"", added),
        ("\"bytes\"", &decimal(9, 2), &[]),
        ("\"string\"", &decimal(9, 2), changed),
        (&logical("bytes", "big-decimal"), &decimal(9, 2), changed),
        (duration, duration, &[]),
        (duration, twelve, &[]),
        (twelve, duration, &[]),
        // What is unknown, or does not fit its type, is ignored.
        (&logical("long", "timestamp-fortnights"), &millis, &[]),
        (&logical("int", "timestamp-millis"), &date, &[]),
    ];
    for (reader, writer, expected) in pairs {
        check(reader, writer, expected);
    }
    let list = |inner: &str| format!(r#"{{"type": "array", "items": ["null", {inner}]}}"#);
    check(&list(&millis), &list(&micros), &["avro.logical-unit /items/1"]);
    // What is written is read by the branch of its own type, not by one that it could be promoted to.
    let or = |inner: &str, other: &str| format!(r#"["null", {inner}, "{other}"]"#);
    check(&or(&millis, "double"), &micros, &["avro.logical-unit /1"]);
    check(&format!(r#"["null", "double", {millis}]"#), &micros, &["avro.logical-unit /2"]);
    check(&or(&date, "long"), &time_millis, &["avro.logical-type-changed /1"]);
    check(&or(&uuid, "bytes"), r#""string""#, &["avro.logical-type-added /1"]);
    check(&or(&micros, "double"), &micros, &[]);
}

#[test]
fn types_that_refer_to_themselves_are_compared_once() {
    let list = |value: &str, more: &str| {
        format!(
            r#"{{"type": "record", "name": "L", "fields": [{{"name": "v", "type": {value}}}, {{"name": "next", "type": ["null", "L"]}}{more}]}}"#
        )
    };
    let (int, long, text) = ("\"int\"", "\"long\"", "\"string\"");
    check(&list(long, ""), &list(int, ""), &[]);
    check(&list(int, ""), &list(long, ""), &["avro.type-mismatch /fields/0/type"]);
    check(
        &list(text, r#", {"name": "n", "type": "int"}"#),
        &list(int, ""),
        &["avro.type-mismatch /fields/0/type", "avro.reader-field-missing-default /fields/2"],
    );
    // A tree written as a list of two kinds of nodes, which meet only further down.
    let writer = r#"{"type": "record", "name": "A", "fields": [{"name": "x", "type": ["null",
        {"type": "record", "name": "B", "fields": [{"name": "x", "type": ["null", "A"]}, {"name": "y", "type": "int"}]}]}]}"#;
    let reader = r#"{"type": "record", "name": "A", "fields": [{"name": "x", "type": ["null",
        {"type": "record", "name": "B", "fields": [{"name": "x", "type": ["null", "A"]}, {"name": "y", "type": "string"}]}]}]}"#;
    check(reader, reader, &[]);
    check(reader, writer, &["avro.type-mismatch /fields/0/type/1/fields/1/type"]);
}

/// The trap of the crate: named types that other documents define count as equal there, whatever they say.
#[test]
fn types_of_other_documents_are_compared_and_not_believed() {
    let limits = Limits::default();
    let address = |kind: &str| {
        [Reference::new(
            "address",
            format!(
                r#"{{"type": "record", "name": "Address", "fields": [{{"name": "zip", "type": {kind:?}}}]}}"#
            ),
        )]
    };
    let schema = r#"{"type": "record", "name": "Order", "fields": [{"name": "to", "type": "Address"}]}"#;
    let (text, number) = (address("string"), address("int"));
    let reader = SchemaSource::new(schema, &number, &limits);
    let writer = SchemaSource::new(schema, &text, &limits);
    assert_eq!(Avro.can_read(&reader, &reader).unwrap(), Compatibility::Yes);
    let Compatibility::No(breaks) = Avro.can_read(&reader, &writer).unwrap() else {
        panic!("it reads text as int")
    };
    let seen: Vec<(&str, &str)> =
        breaks.iter().map(|found| (found.rule.as_ref(), found.path.as_str())).collect();
    assert_eq!(seen, [("avro.type-mismatch", "address#/fields/0/type")]);
    assert_eq!(breaks[0].witness, Some(serde_json::json!({"to": {"zip": "a"}})));
    let missing = SchemaSource::new(schema, &[], &limits);
    assert_eq!(Avro.can_read(&reader, &missing).map_err(|error| error.kind()), Err(ErrorKind::NotFound));
}

#[test]
fn a_break_shows_what_the_writer_may_write_and_the_reader_does_not_read() {
    let reader = record(
        r#"{"name": "s", "type": ["null", {"type": "array", "items": {"type": "enum", "name": "E", "symbols": ["A"]}}]}, {"name": "n", "type": "int"}"#,
    );
    let writer = record(
        r#"{"name": "n", "type": "int"}, {"name": "s", "type": [{"type": "array", "items": {"type": "enum", "name": "E", "symbols": ["A", "B"]}}, "null"]}"#,
    );
    let witness = compare(&reader, &writer)[0].witness.clone();
    assert_eq!(witness, Some(serde_json::json!({"n": 0, "s": {"array": ["B"]}})));
    let millis = logical("long", "timestamp-millis");
    let micros = logical("long", "timestamp-micros");
    assert_eq!(compare(&millis, &micros)[0].witness, None, "it is read, and misunderstood");
    assert_eq!(compare(&logical("string", "uuid"), "\"string\"")[0].witness, Some("".into()));
    assert_eq!(
        compare(&decimal(2, 0), &decimal(3, 0))[0].witness.as_ref().map(|value| value
            .as_str()
            .unwrap()
            .chars()
            .count()),
        Some(16)
    );
    let symbol = symbols("A,B", "");
    assert_eq!(compare(&symbols("A", ""), &symbol)[0].witness, Some("B".into()));
}

#[test]
fn unions_of_many_records_are_compared_within_the_steps() {
    let many = |field: &str| {
        let records: Vec<String> = (0..1000)
            .map(|index| format!(r#"{{"type": "record", "name": "R{index}", "fields": [{{"name": "{field}", "type": "int"}}]}}"#))
            .collect();
        format!("[{}]", records.join(","))
    };
    assert_eq!(compare(&many("a"), &many("a")).len(), 0);
    assert_eq!(compare(&many("a"), &many("b")).len(), 1000);
    let mut limits = Limits::default();
    limits.max_steps = 1000;
    let text = many("a");
    let source = SchemaSource::new(&text, &[], &limits);
    assert!(matches!(Avro.can_read(&source, &source), Ok(Compatibility::Unknown(_))));
}
