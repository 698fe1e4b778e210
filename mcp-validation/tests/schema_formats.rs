//! Every built-in format keeps what a format promises, and so does one of a host's own; the kit notices one that does not.
#![cfg(feature = "conformance")]
#![allow(clippy::expect_used, reason = "tests stop at the first surprise")]

use mcp_core::{Digest, ErrorKind, SeamError};
use mcp_validation::conformance::{Samples, schema_format};
use mcp_validation::{
    Break, Compatibility, CompiledSchema, Contract, Document, Encoding, Findings, SchemaFormat,
    SchemaFormats, SchemaSource, Validator, ValidatorError,
};

/// A format of a host's own: a schema lists the columns that a line of CSV has, and their names must not begin with a digit.
#[derive(Clone, Copy, Default)]
struct Columns {
    forgets: Option<Promise>,
}

/// What it may be made to do wrong.
#[derive(Clone, Copy, PartialEq)]
enum Promise {
    Fingerprint,
    Limits,
    Kinds,
    Verdicts,
    Reading,
    Breaks,
    Panics,
    Paths,
}

struct Compiled {
    columns: usize,
    fingerprint: Digest,
    forgets: Option<Promise>,
}

impl Columns {
    fn forgets(self, promise: Promise) -> bool {
        self.forgets == Some(promise)
    }

    fn names<'a>(self, source: &SchemaSource<'a>) -> Result<Vec<&'a str>, SeamError> {
        let refuse = |kind, reason: &str| SeamError::new(kind, format!("read a list of columns: {reason}"));
        if source.text.len() as u64 > source.limits.max_schema_bytes && !self.forgets(Promise::Limits) {
            return Err(refuse(ErrorKind::Exhausted, "it is too long, raise max_schema_bytes"));
        }
        assert!(!(self.forgets(Promise::Panics) && source.text.contains('0')), "a test");
        let names: Vec<&str> = source.text.split(',').collect();
        let kind = if self.forgets(Promise::Kinds) { ErrorKind::Internal } else { ErrorKind::Invalid };
        let is_name = |name: &&str| name.starts_with(char::is_alphabetic);
        if names.iter().all(is_name) { Ok(names) } else { Err(refuse(kind, "a name begins with a letter")) }
    }
}

impl SchemaFormat for Columns {
    fn name(&self) -> &str {
        "columns"
    }

    fn compile(&self, source: &SchemaSource<'_>) -> Result<Box<dyn CompiledSchema>, SeamError> {
        let columns = self.names(source)?.len();
        let text = if self.forgets(Promise::Fingerprint) { "" } else { source.text };
        let fingerprint = Digest::of(format!("columns 1 {text}").as_bytes());
        Ok(Box::new(Compiled { columns, fingerprint, forgets: self.forgets }))
    }

    fn can_read(
        &self,
        reader: &SchemaSource<'_>,
        writer: &SchemaSource<'_>,
    ) -> Result<Compatibility, SeamError> {
        let (read, written) = (self.names(reader)?, self.names(writer)?);
        let gone = |name: &&&str| !written.contains(name);
        let rule = if self.forgets(Promise::Breaks) { "gone" } else { "columns.gone" };
        let gone = read.iter().filter(gone).take(reader.limits.max_findings);
        let breaks: Vec<Break> = gone
            .map(|name| {
                Break::new(rule, "", format!("the column {name} was not written"), "do not ask for it")
            })
            .collect();
        let forgets = self.forgets(Promise::Reading);
        Ok(if breaks.is_empty() || forgets { Compatibility::Yes } else { Compatibility::No(breaks) })
    }
}

/// As a document, a line of CSV is a text in JSON.
impl Validator for Compiled {
    fn validate(&self, document: &Document, findings: &mut Findings) -> Result<(), ValidatorError> {
        findings.spend(1)?;
        let Some(line) = document.value()?.as_str() else {
            let path = if self.forgets == Some(Promise::Paths) { "/line/1" } else { "" };
            findings.error("columns.type", path, "a line is a text", None);
            return Ok(());
        };
        let found = line.split(',').count();
        if found != self.columns && self.forgets != Some(Promise::Verdicts) {
            findings.error("columns.count", "", "a line has another number of columns", None);
        }
        Ok(())
    }

    fn fingerprint(&self) -> Option<Digest> {
        Some(self.fingerprint)
    }
}

fn samples() -> Samples {
    Samples::new()
        .schema("id,name")
        .valid(Encoding::Json, "\"1,a\"")
        .invalid(Encoding::Json, "\"1\"")
        .invalid(Encoding::Json, "{\"line\": \"1,a\"}")
        .schema("id")
        .valid(Encoding::Json, "\"1\"")
        .refused("0")
        .reads("id", "id,name")
        .does_not_read("id,name", "id")
        .does_not_read("id,name,size", "id")
}

#[test]
fn a_format_of_a_hosts_own_judges_documents_by_its_name() {
    let mut formats = SchemaFormats::new();
    formats.register(std::sync::Arc::new(Columns::default())).expect("a name");
    let contract: Contract =
        formats.contract("columns", "id,name").and_then(|builder| builder.build()).expect("a contract");
    let valid = |line: &'static str| contract.is_valid(&Document::json(line)).map_err(|error| error.kind());
    assert_eq!([valid("\"1,a\""), valid("\"1\"")], [Ok(true), Ok(false)]);
}

#[test]
fn a_format_of_a_hosts_own_keeps_what_is_promised_and_the_kit_names_what_is_not() {
    assert_eq!(schema_format(Columns::default(), &samples()), Ok(()));
    for (promise, expected) in [
        (Promise::Fingerprint, "different schemas are told apart"),
        (Promise::Limits, "a schema that is too large is exhausted"),
        (Promise::Kinds, "a schema is refused as invalid"),
        (Promise::Verdicts, "a document gets its verdict"),
        (Promise::Reading, "does not read what"),
        (Promise::Breaks, "breaks have rules of the format"),
        (Promise::Panics, "nothing panics"),
        (Promise::Paths, "a finding's path leads into the document"),
    ] {
        // What it panics at must come as junk, not as a sample.
        let samples = if promise == Promise::Panics { Samples::new().schema("id,name") } else { samples() };
        let broken = schema_format(Columns { forgets: Some(promise) }, &samples);
        let reason = broken.expect_err(expected);
        assert!(reason.contains(expected), "{expected}: {reason}");
    }
}

#[cfg(feature = "json-schema")]
#[test]
fn json_schema_keeps_what_a_format_promises() {
    let samples = Samples::new()
        .reference("https://x.test/id", r#"{"type": "string", "pattern": "^[a-z]+$"}"#)
        .schema(r#"{"type": "object", "properties": {"id": {"$ref": "https://x.test/id"}, "tags": {"type": "array", "uniqueItems": true}}, "required": ["id"]}"#)
        .valid(Encoding::Json, r#"{"id": "a", "tags": [1, 2]}"#)
        .invalid(Encoding::Json, r#"{"tags": [1, 1]}"#)
        .invalid(Encoding::Json, r#"{"id": "A"}"#)
        .invalid(Encoding::Json, "{")
        .schema(r#"{"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}"#)
        .valid(Encoding::Json, "1")
        .invalid(Encoding::Json, "0")
        .refused(r#"{"type": "strin"}"#)
        .refused(r#"{"$ref": "https://x.test/gone"}"#)
        .reads(r#"{"type": "number"}"#, r#"{"type": "integer"}"#)
        .does_not_read(r#"{"type": "integer"}"#, r#"{"type": "number"}"#)
        .does_not_read(r#"{"required": ["a", "b"]}"#, "{}");
    assert_eq!(schema_format(mcp_validation::JsonSchema::new(), &samples), Ok(()));
}

#[cfg(feature = "avro")]
#[test]
fn avro_keeps_what_a_format_promises() {
    let record = r#"{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "Id"},
        {"name": "total", "type": "long"}, {"name": "note", "type": ["null", "string"], "default": null}]}"#;
    let samples = Samples::new()
        .reference("id.avsc", r#"{"type": "fixed", "name": "Id", "size": 2}"#)
        .schema(record)
        .valid(Encoding::AvroBinary, &b"ab\x02\x00"[..])
        .valid(Encoding::AvroJson, r#"{"id": "ab", "total": 1, "note": {"string": "x"}}"#)
        .valid(Encoding::Json, r#"{"id": "ab", "total": 1, "note": "x"}"#)
        .invalid(Encoding::AvroBinary, &b"ab\x02\x04"[..])
        .invalid(Encoding::AvroJson, r#"{"id": "abc", "total": "x", "note": null, "more": 1}"#)
        .invalid(Encoding::Json, r#"{"id": "ab"}"#)
        .schema(r#"{"type": "map", "values": {"type": "array", "items": "double"}}"#)
        .valid(Encoding::Json, r#"{"a": [1.5]}"#)
        .invalid(Encoding::Json, r#"{"a": [null]}"#)
        .refused("\"nit\"")
        .refused(r#"{"type": "record", "name": "R"}"#)
        .reads("\"long\"", "\"int\"")
        .does_not_read("\"int\"", "\"long\"")
        .does_not_read(
            r#"{"type": "enum", "name": "E", "symbols": ["A"]}"#,
            r#"{"type": "enum", "name": "E", "symbols": ["A", "B"]}"#,
        );
    assert_eq!(schema_format(mcp_validation::Avro, &samples), Ok(()));
}

#[cfg(feature = "protobuf")]
#[test]
fn protobuf_keeps_what_a_format_promises() {
    let schema =
        |fields: &str| format!("syntax = \"proto3\"; import \"id.proto\"; message Order {{ {fields} }}");
    let samples = Samples::new()
        .reference("id.proto", "syntax = \"proto3\"; message Id { string text = 1; }")
        .schema(schema("Id id = 1; int64 total = 2; map<string, bytes> parts = 3;"))
        .valid(Encoding::ProtobufBinary, &b"\x0a\x03\x0a\x01a\x10\x05"[..])
        .valid(Encoding::ProtobufJson, r#"{"id": {"text": "a"}, "total": "5", "parts": {"x": "YQ=="}}"#)
        .invalid(Encoding::ProtobufBinary, &b"\x0a\x05\x0a\x01a"[..])
        .invalid(Encoding::ProtobufJson, r#"{"id": {"text": 1}, "more": 1}"#)
        .schema(schema("repeated sint32 list = 1;"))
        .valid(Encoding::ProtobufJson, r#"{"list": [1, -1]}"#)
        .invalid(Encoding::ProtobufJson, r#"{"list": [1.5]}"#)
        .refused("syntax = \"proto3\"; message M {")
        .refused("syntax = \"proto3\"; import \"gone.proto\"; message M { }")
        .reads(schema("int32 a = 1; int32 b = 2;"), schema("int32 a = 1;"))
        .does_not_read(schema("string a = 1;"), schema("int32 a = 1;"));
    assert_eq!(schema_format(mcp_validation::Protobuf::new(), &samples), Ok(()));
}
