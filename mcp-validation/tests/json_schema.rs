//! JSON Schema through a contract: what each draft means, references, formats, and what is refused when it is compiled.
#![cfg(feature = "json-schema")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use std::error::Error;

use mcp_core::ErrorKind;
use mcp_validation::{Contract, ContractBuilder, Document, Draft, JsonSchema, Limits, ValidationError};

fn contract(draft: Draft, schema: &str) -> Contract {
    Contract::schema(JsonSchema::new().draft(draft), schema).build().expect(schema)
}

/// The code, path and schema path of every finding, as one line each.
fn seen(contract: &Contract, document: &str) -> Vec<String> {
    let report = contract.validate(&Document::json(document.to_owned())).expect(document);
    let shown = report.findings.iter().map(|f| format!("{} {} {}", f.code, f.path, f.schema_path)).collect();
    let valid = contract.is_valid(&Document::json(document.to_owned())).expect(document);
    assert_eq!(report.valid, valid, "validate and is_valid disagree on {document}");
    shown
}

fn refused(builder: ContractBuilder) -> (ErrorKind, String) {
    match builder.build() {
        Err(error @ ValidationError::BrokenSchema { .. }) => {
            (error.kind(), error.source().expect("a cause").to_string())
        }
        other => panic!("expected a broken schema, found {other:?}"),
    }
}

/// Under which drafts `document` satisfies `schema`.
fn drafts(schema: &str, document: &str) -> Vec<Draft> {
    let valid = |draft: &Draft| {
        contract(*draft, schema).is_valid(&Document::json(document.to_owned())).expect(schema)
    };
    Draft::ALL.into_iter().filter(valid).collect()
}

#[test]
fn an_exclusive_minimum_is_a_flag_in_draft_4_and_a_number_later() {
    let flag = r#"{"minimum": 1, "exclusiveMinimum": true}"#;
    assert_eq!(seen(&contract(Draft::Draft4, flag), "1"), ["schema.exclusiveMinimum  /exclusiveMinimum"]);
    assert_eq!(seen(&contract(Draft::Draft4, flag), "2"), [""; 0]);
    for draft in &Draft::ALL[1..] {
        let number = contract(*draft, r#"{"exclusiveMinimum": 1}"#);
        assert_eq!(seen(&number, "1"), ["schema.exclusiveMinimum  /exclusiveMinimum"], "{draft}");
        assert_eq!(seen(&number, "1.5"), [""; 0], "{draft}");
        let kind = refused(Contract::schema(JsonSchema::new().draft(*draft), flag)).0;
        assert_eq!(kind, ErrorKind::Invalid, "{draft}");
    }
}

#[test]
fn one_point_zero_is_an_integer_since_draft_6() {
    assert_eq!(drafts(r#"{"type": "integer"}"#, "1.0"), Draft::ALL[1..]);
    assert_eq!(drafts(r#"{"type": "integer"}"#, "1"), Draft::ALL);
}

#[test]
fn what_stands_beside_a_reference_counts_since_2019() {
    let schema = r##"{"definitions": {"a": {"type": "integer"}}, "properties": {"x": {"$ref": "#/definitions/a", "maximum": 1}}}"##;
    assert_eq!(drafts(schema, r#"{"x": 2}"#), [Draft::Draft4, Draft::Draft6, Draft::Draft7]);
    assert_eq!(drafts(schema, r#"{"x": "1"}"#), []);
}

#[test]
fn constants_and_conditions_count_from_the_draft_that_brought_them() {
    assert_eq!(drafts(r#"{"const": 1}"#, "2"), [Draft::Draft4]);
    assert_eq!(
        drafts(r#"{"if": {"minimum": 5}, "then": {"multipleOf": 2}}"#, "7"),
        [Draft::Draft4, Draft::Draft6]
    );
    assert_eq!(drafts(r#"{"propertyNames": {"maxLength": 1}}"#, r#"{"ab": 1}"#), [Draft::Draft4]);
}

#[test]
fn dependent_and_unevaluated_properties_count_since_2019() {
    let since_2019 = &Draft::ALL[..3];
    assert_eq!(drafts(r#"{"dependentRequired": {"a": ["b"]}}"#, r#"{"a": 1}"#), since_2019);
    assert_eq!(
        drafts(r#"{"dependentSchemas": {"a": {"maxProperties": 1}}}"#, r#"{"a": 1, "b": 1}"#),
        since_2019
    );
    let unevaluated = r#"{"allOf": [{"properties": {"a": true}}], "unevaluatedProperties": false}"#;
    for draft in &Draft::ALL[3..] {
        let contract = contract(*draft, unevaluated);
        assert_eq!(seen(&contract, r#"{"a": 1}"#), [""; 0], "{draft}");
        let found = seen(&contract, r#"{"a": 1, "b": 2}"#);
        assert_eq!(found, ["schema.unevaluatedProperties  /unevaluatedProperties"], "{draft}");
    }
}

#[test]
fn a_tuple_is_a_list_of_items_before_2020_and_prefix_items_since() {
    let prefix = r#"{"prefixItems": [{"type": "integer"}], "items": false}"#;
    assert_eq!(
        seen(&contract(Draft::Draft202012, prefix), r#"["a"]"#),
        ["schema.type /0 /prefixItems/0/type"]
    );
    let tuple = r#"{"items": [{"type": "integer"}], "additionalItems": false}"#;
    for draft in &Draft::ALL[..4] {
        let contract = contract(*draft, tuple);
        assert_eq!(seen(&contract, "[1, 2]"), ["schema.additionalItems  /additionalItems"], "{draft}");
        let report = contract.validate(&Document::json("[1, 2]")).unwrap();
        assert_eq!(report.findings[0].message, "no items are allowed after the first 1");
    }
}

#[test]
fn recursive_and_dynamic_references_find_the_outermost_schema() {
    let tree = r##"{"$id": "https://x.test/tree", "$dynamicAnchor": "node", "properties": {"kids": {"items": {"$dynamicRef": "#node"}}}}"##;
    let strict = r##"{"$id": "https://x.test/strict", "$dynamicAnchor": "node", "$ref": "tree", "unevaluatedProperties": false}"##;
    let contract = Contract::json_schema(strict).reference("https://x.test/tree", tree).build().unwrap();
    assert_eq!(seen(&contract, r#"{"kids": [{"kids": []}]}"#), [""; 0]);
    assert_eq!(seen(&contract, r#"{"kids": [{"odd": 1}]}"#).len(), 1);
    let recursive = r##"{"$recursiveAnchor": true, "properties": {"kids": {"items": {"$recursiveRef": "#"}}}, "additionalProperties": false}"##;
    let contract = self::contract(Draft::Draft201909, recursive);
    assert_eq!(seen(&contract, r#"{"kids": [{"kids": [{}]}]}"#), [""; 0]);
    assert_eq!(
        seen(&contract, r#"{"kids": [{"odd": 1}]}"#),
        ["schema.additionalProperties /kids/0 /additionalProperties"]
    );
}

#[test]
fn the_draft_is_that_of_the_schema_unless_one_is_given() {
    let flag =
        r#"{"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": true}"#;
    let contract = Contract::json_schema(flag).build().unwrap();
    assert_eq!(seen(&contract, "1").len(), 1);
    let default = Contract::json_schema(r#"{"prefixItems": [{"type": "integer"}]}"#).build().unwrap();
    assert_eq!(seen(&default, r#"["a"]"#).len(), 1, "2020-12 is the default");
}

#[test]
fn a_format_is_a_remark_unless_it_is_asserted_in_every_draft() {
    for draft in Draft::ALL {
        let with = |yes| {
            let format = JsonSchema::new().draft(draft).assert_format(yes);
            Contract::schema(format, r#"{"format": "ipv4"}"#).build().unwrap()
        };
        assert_eq!(seen(&with(false), "\"1.2.3\""), [""; 0], "{draft}");
        assert_eq!(seen(&with(true), "\"1.2.3\""), ["schema.format  /format"], "{draft}");
        assert_eq!(seen(&with(true), "\"1.2.3.4\""), [""; 0], "{draft}");
        assert_ne!(with(true).fingerprint(), with(false).fingerprint(), "{draft}");
    }
}

#[test]
fn a_reference_finds_what_was_given_and_nothing_else() {
    let schema = r#"{"$ref": "https://x.test/number"}"#;
    let number = r##"{"$ref": "#/$defs/n", "$defs": {"n": {"type": "number"}}}"##;
    let contract = Contract::json_schema(schema).reference("https://x.test/number", number).build().unwrap();
    assert_eq!(seen(&contract, "\"x\""), ["schema.type  /$defs/n/type"]);
    for missing in [
        "https://x.test/number",
        "http://127.0.0.1:1/schema.json",
        "file:///etc/hostname",
        "#/$defs/gone",
        "gone.json",
    ] {
        let (kind, reason) = refused(Contract::json_schema(format!(r#"{{"$ref": "{missing}"}}"#)));
        assert_eq!(kind, ErrorKind::NotFound, "{missing}: {reason}");
        assert!(reason.starts_with("resolve what the schema refers to: "), "{reason}");
    }
    let chained = Contract::json_schema(schema)
        .reference("https://x.test/number", r#"{"$ref": "https://x.test/gone"}"#);
    assert_eq!(refused(chained).0, ErrorKind::NotFound);
}

#[test]
fn a_reference_that_leads_nowhere_counts_only_where_the_schema_leads_to_it() {
    for unused in [
        r#"{"type": "integer", "$defs": {"unused": {"$ref": "https://x.test/gone"}}}"#,
        r##"{"type": "integer", "$defs": {"unused": {"$ref": "#/$defs/gone"}}}"##,
        r#"{"type": "integer", "$defs": {"unused": {"$ref": "gone.json#/a"}}}"#,
        r#"{"type": "integer", "examples": [{"$ref": "https://x.test/gone"}]}"#,
    ] {
        let contract = Contract::json_schema(unused).build().expect(unused);
        assert_eq!(seen(&contract, "\"x\""), ["schema.type  /type"], "{unused}");
    }
    for used in [
        r##"{"$defs": {"a": {"$ref": "https://x.test/gone"}}, "items": {"$ref": "#/$defs/a"}}"##,
        r##"{"$defs": {"a": {"$ref": "https://x.test/gone#/b"}}, "items": {"$ref": "#/$defs/a"}}"##,
    ] {
        let (kind, reason) = refused(Contract::json_schema(used));
        assert_eq!(kind, ErrorKind::NotFound, "{reason}");
        assert!(reason.contains("https://x.test/gone"), "{reason}");
    }
}

#[test]
fn what_is_given_besides_and_not_referred_to_may_be_anything() {
    let schema = r#"{"$ref": "https://x.test/number"}"#;
    let contract = Contract::json_schema(schema)
        .reference("https://x.test/number", r#"{"type": "number"}"#)
        .reference(
            "https://x.test/1",
            r#"{"$schema": "https://x.test/unknown", "$ref": "https://x.test/gone"}"#,
        )
        .reference("https://x.test/2", r#"{"$ref": "https://[/"}"#)
        .reference("https://x.test/3", "[7]")
        .build()
        .unwrap();
    assert_eq!(seen(&contract, "\"x\""), ["schema.type  /type"]);
}

#[test]
fn a_schema_of_somebodys_own_meta_schema_is_of_the_draft_that_that_names() {
    let schema = r#"{"$schema": "https://x.test/own", "items": [{"type": "string"}], "dependentRequired": {"a": ["b"]}}"#;
    let judge = |named: &str, document: &str| {
        let contract = Contract::json_schema(schema)
            .reference("https://x.test/own#", format!(r#"{{"$schema": "{named}"}}"#))
            .build()
            .expect(named);
        seen(&contract, document).len()
    };
    let (d7, d2019) =
        ("http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2019-09/schema");
    assert_eq!([d7, d2019].map(|named| judge(named, "[1]")), [1, 1], "a list of items is a tuple in both");
    assert_eq!([d7, d2019].map(|named| judge(named, r#"{"a": 1}"#)), [0, 1], "known since 2019-09");
    let circle =
        Contract::json_schema(schema).reference("https://x.test/own", r#"{"$schema": "https://x.test/own"}"#);
    assert_eq!(refused(circle).0, ErrorKind::NotFound);
}

#[test]
fn what_a_draft_ignores_is_no_circle_and_is_not_looked_for() {
    let beside = r##"{"$ref": "#/definitions/a", "allOf": [{"$ref": "#"}, {"$ref": "https://x.test/gone"}],
        "definitions": {"a": {"type": "integer"}}}"##;
    for draft in [Draft::Draft4, Draft::Draft6, Draft::Draft7] {
        assert_eq!(seen(&contract(draft, beside), "\"x\""), ["schema.type  /definitions/a/type"], "{draft}");
    }
    let (kind, _) = refused(Contract::schema(JsonSchema::new().draft(Draft::Draft201909), beside));
    assert_ne!(kind, ErrorKind::Internal);
    let unknown = r##"{"type": "integer", "if": {"$ref": "#"}, "then": {"$ref": "https://x.test/gone"}}"##;
    assert_eq!(seen(&contract(Draft::Draft6, unknown), "\"x\""), ["schema.type  /type"]);
}

#[test]
fn a_reference_is_of_the_draft_that_it_names_itself_else_of_the_schemas() {
    let judge = |own: &str, text: &str, document: &str| {
        let schema = format!(r#"{{"$schema": "{own}", "allOf": [{{"$ref": "https://x.test/r"}}]}}"#);
        let contract = Contract::json_schema(schema).reference("https://x.test/r", text).build().unwrap();
        contract.validate(&Document::json(document.to_owned())).unwrap().valid
    };
    let (d7, d2019) =
        ("http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2019-09/schema");
    let tuple =
        r#"{"$schema": "https://json-schema.org/draft/2020-12/schema", "prefixItems": [{"type": "string"}]}"#;
    assert_eq!(
        [d7, d2019].map(|own| judge(own, tuple, "[1]")),
        [false; 2],
        "prefixItems count in the reference"
    );
    let dependent =
        r#"{"$schema": "http://json-schema.org/draft-07/schema#", "dependentRequired": {"a": ["b"]}}"#;
    assert_eq!(
        [d7, d2019].map(|own| judge(own, dependent, r#"{"a": 1}"#)),
        [true; 2],
        "draft 7 does not know it"
    );
    let unnamed = r#"{"dependentRequired": {"a": ["b"]}}"#;
    assert_eq!([d7, d2019].map(|own| judge(own, unnamed, r#"{"a": 1}"#)), [true, false]);
}

#[test]
fn the_drafts_own_schemas_can_be_referred_to() {
    let schema = r#"{"$ref": "https://json-schema.org/draft/2020-12/schema"}"#;
    let contract = Contract::json_schema(schema).build().unwrap();
    assert_eq!(seen(&contract, r#"{"type": "string"}"#), [""; 0]);
    let report = contract.validate(&Document::json(r#"{"type": 7}"#)).unwrap();
    assert_eq!((report.valid, report.findings[0].path.as_str()), (false, "/type"));
}

#[test]
fn what_is_no_schema_is_refused_with_place_and_reason() {
    let reason = |schema: &str| refused(Contract::json_schema(schema));
    let (kind, text) = reason(r#"{"properties": {"a": {"type": "strin"}}}"#);
    assert_eq!(kind, ErrorKind::Invalid);
    assert!(text.starts_with("read the schema: at /properties/a/type, \"strin\""), "{text}");
    let (kind, text) = reason("{\"type\": ");
    assert_eq!(kind, ErrorKind::Invalid);
    assert_eq!(text, "read the schema: it is not JSON: EOF while parsing a value at line 1 column 9");
    let (_, text) = reason(r#"{"properties": {"a": {"minimum": 1, "minimum": 2}}}"#);
    assert_eq!(text, "read the schema: the key at /properties/a/minimum stands more than once in its object");
    let (kind, text) = reason("7");
    assert_eq!(kind, ErrorKind::Invalid, "{text}");
    let (kind, text) = reason(r#"{"$schema": "https://x.test/own"}"#);
    assert_eq!(kind, ErrorKind::NotFound, "{text}");
}

#[test]
fn a_pattern_is_linear_and_what_cannot_be_is_refused() {
    let contract = Contract::json_schema(r#"{"pattern": "^(a+)+$"}"#).build().unwrap();
    let hostile = format!("\"{}b\"", "a".repeat(200_000));
    assert_eq!(seen(&contract, &hostile), ["schema.pattern  /pattern"]);
    for pattern in ["(?=a)b", r"(a)\\1", r"(\\p{L}{1,500}){1,500}", "("] {
        let (kind, reason) = refused(Contract::json_schema(format!(r#"{{"pattern": "{pattern}"}}"#)));
        assert_eq!(kind, ErrorKind::Invalid, "{pattern}: {reason}");
        assert!(reason.contains("at /pattern"), "{reason}");
    }
}

#[test]
fn values_are_masked_unless_they_are_asked_for() {
    let schema =
        r#"{"properties": {"pin": {"maxLength": 2, "pattern": "^x", "const": "1", "format": "date"}}}"#;
    let document = Document::json(r#"{"pin": "hush-hush"}"#);
    let format = JsonSchema::new().assert_format(true);
    let masked = Contract::schema(format, schema).build().unwrap().validate(&document).unwrap();
    let messages: Vec<_> = masked.findings.iter().map(|finding| finding.message.as_str()).collect();
    let expected = [
        "\"1\" was expected",
        "value is not a \"date\"",
        "value is longer than 2 characters",
        "value does not match \"^x\"",
    ];
    assert_eq!(messages, expected);
    assert!(!serde_json::to_string(&masked).unwrap().contains("hush"), "{masked}");
    let shown = Contract::schema(format, schema).show_values().build().unwrap().validate(&document).unwrap();
    let values: Vec<_> = shown.findings.iter().map(|finding| finding.value.as_deref()).collect();
    assert_eq!(values, [Some("\"hush-hush\""); 4]);
}

#[test]
fn what_is_wrong_with_the_name_of_a_member_is_told_of_the_name() {
    let contract =
        Contract::json_schema(r#"{"propertyNames": {"maxLength": 2, "pattern": "^a"}}"#).build().unwrap();
    let report = contract.validate(&Document::json(r#"{"xyz": "hush"}"#)).unwrap();
    let messages: Vec<_> = report.findings.iter().map(|finding| finding.message.as_str()).collect();
    let expected = [
        "the name of a member: value is longer than 2 characters",
        "the name of a member: value does not match \"^a\"",
    ];
    assert_eq!(messages, expected);
}

#[test]
fn a_reference_under_a_uri_that_cannot_be_its_name_is_refused_by_that_uri() {
    let schema = || Contract::json_schema(r#"{"type": "integer"}"#);
    let (kind, reason) = refused(schema().reference("http://x y/", "{}"));
    assert_eq!(kind, ErrorKind::Invalid, "{reason}");
    assert!(reason.starts_with("read the URI of the reference \"http://x y/\": "), "{reason}");
    let (kind, reason) = refused(schema().reference("https://x.test/a#/$defs/b", "{}"));
    assert_eq!(kind, ErrorKind::Invalid, "{reason}");
    assert!(reason.contains("give the whole document"), "{reason}");
    assert!(schema().reference("https://x.test/a#", "{}").build().is_ok());
    let twice = |other| schema().reference("https://x.test/a", "true").reference("https://x.test/a", other);
    let (kind, reason) = refused(twice("false"));
    assert_eq!(kind, ErrorKind::Invalid, "{reason}");
    assert!(reason.contains("another document has the same URI"), "{reason}");
    assert!(twice("true").build().is_ok());
}

#[test]
fn a_number_is_compared_with_all_its_digits() {
    let contract = Contract::json_schema(r#"{"maximum": 9007199254740992}"#).build().unwrap();
    assert_eq!(seen(&contract, "9007199254740993"), ["schema.maximum  /maximum"]);
    assert_eq!(seen(&contract, "9007199254740992"), [""; 0]);
}

#[test]
fn a_schema_beyond_its_limits_is_exhausted() {
    let limits = Limits::default();
    let large = Contract::json_schema(format!(r#"{{"title": "{}"}}"#, "x".repeat(9 << 20)));
    assert_eq!(refused(large).0, ErrorKind::Exhausted);
    let deep = |levels: usize| format!("{}true{}", r#"{"not":"#.repeat(levels), "}".repeat(levels));
    assert_eq!(refused(Contract::json_schema(deep(101))).0, ErrorKind::Exhausted);
    assert_eq!(
        refused(Contract::json_schema("true").reference("https://x.test/a", deep(101))).0,
        ErrorKind::Exhausted
    );
    let mut deepest = limits;
    deepest.max_depth = Limits::DEEPEST;
    let contract = Contract::json_schema(deep(127)).limits(deepest).build().unwrap();
    assert_eq!(seen(&contract, "1"), ["schema.not  /not"], "an odd number of negations of true");
}
