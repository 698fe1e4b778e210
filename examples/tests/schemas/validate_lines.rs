//! What `validate --batch` makes of a case.

use serde_json::{Value, json};

use crate::program::{answer, answers};

/// The verdict, and the code and path of each finding.
fn judge(case: Value) -> String {
    let answer = answer("validate", &case);
    let seen = |finding: &Value| {
        format!(" {}@{}", finding["code"].as_str().unwrap(), finding["path"].as_str().unwrap())
    };
    let findings: String = answer["findings"].as_array().unwrap().iter().map(seen).collect();
    format!("{}{findings}", answer["verdict"].as_str().unwrap())
}

fn json_schema(schema: Value, more: Value) -> String {
    let mut case = json!({"id": 1, "format": "json-schema", "schema": schema});
    case.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    judge(case)
}

#[test]
fn a_json_schema_is_json_or_text_and_of_the_draft_that_is_given_or_named() {
    let schema = json!({"properties": {"a": {"type": "integer"}}});
    assert_eq!(json_schema(schema.clone(), json!({"document": {"a": 1}})), "valid");
    assert_eq!(
        json_schema(json!(schema.to_string()), json!({"document": {"a": "x"}})),
        "invalid schema.type@/a"
    );
    let draft = |draft: &str| {
        json_schema(json!({"minimum": 1, "exclusiveMinimum": true}), json!({"draft": draft, "document": 1}))
    };
    assert_eq!(draft("4"), "invalid schema.exclusiveMinimum@");
    assert_eq!(draft("2020-12"), "error");
    assert_eq!(draft("3"), "error");
    let named =
        json!({"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": true});
    assert_eq!(json_schema(named, json!({"document": 2})), "valid");
}

#[test]
fn references_rules_and_formats_count() {
    let document =
        json!({"document": "x", "references": [{"name": "https://x.test/n", "schema": {"type": "number"}}]});
    assert_eq!(json_schema(json!({"$ref": "https://x.test/n"}), document), "invalid schema.type@");
    assert_eq!(json_schema(json!({"$ref": "https://x.test/n"}), json!({"document": "x"})), "error");
    let rules =
        json!([{"name": "few", "severity": "warning", "check": {"range": {"path": "/n", "maximum": 3}}}]);
    assert_eq!(json_schema(json!(true), json!({"document": {"n": 4}, "rules": rules})), "valid rule.few@/n");
    assert_eq!(json_schema(json!(true), json!({"document": 1, "rules": [{"name": "few"}]})), "error");
    let format = |assert: bool| {
        json_schema(json!({"format": "ipv4"}), json!({"document": "x", "assert_format": assert}))
    };
    assert_eq!([format(false), format(true)], ["valid", "invalid schema.format@"]);
}

#[test]
fn a_document_is_judged_as_it_is_written() {
    let line = |document: &str| {
        format!(
            "{{\"format\":\"json-schema\",\"schema\":{{\"type\":\"integer\"}},\"document\":{document}}}\n"
        )
    };
    let documents = ["{\"a\":1,\"a\":2}", "123456789012345678901234567890", "1.0", "null"];
    let outcome = answers("validate", documents.map(line).concat());
    let verdicts: Vec<String> = outcome
        .lines()
        .iter()
        .map(|answer| {
            let codes: Vec<_> = answer["findings"]
                .as_array()
                .unwrap()
                .iter()
                .map(|finding| finding["code"].as_str().unwrap())
                .collect();
            format!("{} {}", answer["verdict"].as_str().unwrap(), codes.join(" "))
        })
        .collect();
    assert_eq!(
        verdicts,
        ["invalid schema.type document.duplicate-key", "valid ", "valid ", "invalid schema.type"]
    );
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(answers("validate", line(&deep)).lines()[0]["verdict"], "exhausted");
}

#[test]
fn a_document_that_is_hostile_is_exhausted_and_so_is_a_schema() {
    let both = json!({"type": "array", "items": {"$ref": "#/$defs/node"}});
    let node = json!({"anyOf": [both, both]});
    let deep = (0..60).fold(json!(1), |inner, _| json!([inner]));
    let schema = json!({"$ref": "#/$defs/node", "$defs": {"node": node}});
    // It takes 2^60 looks, or the memory of those before: then it is decided, and not each error is told.
    let verdict = json_schema(schema, json!({"document": deep}));
    assert!(["exhausted", "invalid schema@"].contains(&verdict.as_str()), "{verdict}");
    let doubled = |index: usize| json!({"allOf": [{"$ref": format!("#/$defs/{}", index + 1)}, {"$ref": format!("#/$defs/{}", index + 1)}]});
    let mut defs: serde_json::Map<String, Value> =
        (0..30).map(|index| (index.to_string(), doubled(index))).collect();
    defs.insert("30".to_owned(), json!({"type": "integer"}));
    assert_eq!(json_schema(json!({"$ref": "#/$defs/0", "$defs": defs}), json!({"document": 1})), "exhausted");
}

#[test]
fn avro_is_judged_in_each_of_its_encodings() {
    let record = json!({"type": "record", "name": "R", "fields": [{"name": "a", "type": ["null", "long"]}]});
    let avro = |encoding: Value, document: Value| {
        let mut case = json!({"format": "avro", "schema": record, "document": document});
        if !encoding.is_null() {
            case["encoding"] = encoding;
        }
        judge(case)
    };
    assert_eq!(avro(json!(null), json!({"a": {"long": 1}})), "valid");
    assert_eq!(avro(json!("json"), json!({"a": 1})), "invalid avro.union-branch@/a");
    assert_eq!(avro(json!("plain-json"), json!({"a": 1})), "valid");
    assert_eq!(avro(json!("plain-json"), json!({"a": 1, "b": 2})), "invalid avro.unknown-field@/b");
    assert_eq!(avro(json!("base64"), json!("AgI=")), "valid");
    assert!(avro(json!("base64"), json!("AgICAg==")).starts_with("invalid"), "bytes are left");
    assert_eq!(avro(json!("base64"), json!("no base64")), "error");
    assert_eq!(avro(json!("xml"), json!(1)), "error");
    for (schema, document, expected) in [
        (json!("int"), json!(1), "valid"),
        (json!("\"int\""), json!(1), "valid"),
        (json!("null"), json!(null), "valid"),
        (json!(["null", "int"]), json!({"int": 1}), "valid"),
        (json!("nit"), json!(1), "error"),
    ] {
        let case = json!({"format": "avro", "schema": schema, "document": document});
        assert_eq!(judge(case), expected, "{schema}");
    }
    let named = json!({"format": "avro", "schema": {"type": "array", "items": "x.Id"}, "document": ["ab"],
        "references": [{"name": "id.avsc", "schema": {"type": "fixed", "name": "x.Id", "size": 2}}]});
    assert_eq!(judge(named), "valid");
}

#[test]
fn protobuf_is_judged_in_json_and_in_binary_with_imports() {
    let schema =
        "syntax = \"proto3\"; import \"id.proto\"; message A { Id id = 1; } message B { int32 n = 1; }";
    let case = |message: Value, encoding: &str, document: Value| {
        let mut case = json!({"format": "protobuf", "schema": schema, "encoding": encoding, "document": document,
            "references": [{"name": "id.proto", "schema": "syntax = \"proto3\"; message Id { string t = 1; }"}]});
        if !message.is_null() {
            case["message"] = message;
        }
        judge(case)
    };
    assert_eq!(case(json!("A"), "json", json!({"id": {"t": "x"}})), "valid");
    assert!(case(json!("A"), "json", json!({"id": {"t": 1}})).starts_with("invalid protobuf."));
    assert!(case(json!("B"), "json", json!({"m": 1})).starts_with("invalid protobuf."), "an unknown field");
    assert_eq!(case(json!("B"), "base64", json!("CAE=")), "valid");
    assert!(case(json!("B"), "base64", json!("CA==")).starts_with("invalid protobuf."));
    assert_eq!(case(json!(null), "json", json!({})), "error", "there are two messages");
    assert_eq!(case(json!("C"), "json", json!({})), "error");
}
