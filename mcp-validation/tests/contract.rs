//! Contracts of rules and validators, with and without a schema, and what makes two of them equal.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};

use mcp_core::{Digest, ErrorKind, SeamError, Severity};
use mcp_validation::rule::{FormatName, JsonType, Operator, Rule};
use mcp_validation::{
    Break, Compatibility, CompiledSchema, Contract, Document, Encoding, Findings, Limits, SchemaFormat,
    SchemaFormats, SchemaSource, ValidationEngine, ValidationError, Validator, ValidatorError,
};
use proptest::prelude::*;

/// Finds every element of the document that equals its number, and can be told to fail.
struct NoNumber(u64);

impl Validator for NoNumber {
    fn validate(&self, document: &Document, findings: &mut Findings) -> Result<(), ValidatorError> {
        let elements = document.value()?.as_array().map(Vec::as_slice).unwrap_or_default();
        for (index, element) in elements.iter().enumerate() {
            findings.spend(1)?;
            if *element == self.0 {
                findings.error("test.number", format!("/{index}"), "not this one", Some(element));
            }
            if findings.is_decided() {
                break;
            }
        }
        Ok(())
    }

    fn fingerprint(&self) -> Option<Digest> {
        Some(Digest::of(&self.0.to_le_bytes()))
    }
}

/// Never can tell.
struct Broken;

impl Validator for Broken {
    fn validate(&self, _document: &Document, _findings: &mut Findings) -> Result<(), ValidatorError> {
        Err(SeamError::new(ErrorKind::Unavailable, "ask the register of companies"))
    }

    fn fingerprint(&self) -> Option<Digest> {
        None
    }
}

fn rules() -> [Rule; 4] {
    [
        Rule::required("has-id", "/id"),
        Rule::range("positive", "/total", 0.01..).message("a total is more than nothing"),
        Rule::format("mail", "/contact", FormatName::Email).warning(),
        Rule::compare("dates", "/from", Operator::LessOrEqual, "/to").info(),
    ]
}

#[test]
fn a_contract_of_rules_alone_judges() {
    let contract = Contract::builder().rules(rules()).build().unwrap();
    let report =
        contract.validate(&Document::json(r#"{"total": 0, "contact": "x", "from": 2, "to": 1}"#)).unwrap();
    let expected = "invalid: 2 errors, 1 warning, 1 info\n\
        warning rule.mail /contact: expected text of the format email\n\
        info rule.dates /from: expected a value at most that at /to\n\
        error rule.has-id /id: a value is required here\n\
        error rule.positive /total: a total is more than nothing";
    assert_eq!(report.to_string(), expected);
    assert_eq!((report.schema, report.of_severity(Severity::Error).count()), (None, 2));
}

#[test]
fn warnings_and_infos_leave_a_document_valid() {
    let contract = Contract::builder().rules(rules()).build().unwrap();
    let document = Document::json(r#"{"id": 1, "contact": "x", "from": 2, "to": 1}"#);
    let report = contract.validate(&document).unwrap();
    assert_eq!((report.valid, report.warnings, report.infos), (true, 1, 1));
    assert_eq!(contract.is_valid(&document).ok(), Some(true));
}

#[test]
fn a_key_that_stands_twice_makes_a_document_invalid() {
    let contract = Contract::builder().build().unwrap();
    let report = contract.validate(&Document::json(r#"{"a": {"b": 1, "c": 2, "b": 1}}"#)).unwrap();
    let seen: Vec<_> =
        report.findings.iter().map(|finding| (finding.code.as_ref(), finding.path.as_str())).collect();
    assert_eq!((report.valid, seen), (false, vec![("document.duplicate-key", "/a/b")]));
}

#[test]
fn a_validator_that_cannot_tell_is_an_error_with_its_own_kind() {
    let contract = Contract::builder().validator(Broken).build().unwrap();
    let error = contract.validate(&Document::json("1")).expect_err("nobody judged");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("ask the register of companies"));
    assert_eq!(contract.fingerprint(), None);
}

#[test]
fn a_validator_takes_steps_and_stops_when_the_verdict_is_known() {
    let limits = |max_steps| {
        let mut limits = Limits::default();
        limits.max_steps = max_steps;
        limits
    };
    let with =
        |max_steps| Contract::builder().validator(NoNumber(2)).limits(limits(max_steps)).build().unwrap();
    let document = Document::json("[1, 2, 3, 2]");
    assert_eq!(with(4).validate(&document).map(|report| report.errors).ok(), Some(2));
    let error = with(3).validate(&document).expect_err("three steps are too few");
    assert!(matches!(error, ValidationError::StepsExhausted { max_steps: 3 }), "{error}");
    assert_eq!(with(2).is_valid(&document).ok(), Some(false), "the verdict is known after two");
}

#[test]
fn a_broken_rule_is_refused_by_name_when_the_contract_is_built() {
    let error = Contract::builder().rule(Rule::pattern("code", "/code", "(")).build().expect_err("broken");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.to_string(), "prepare the rule \"code\": the pattern cannot be read: unclosed group");
}

#[test]
fn contracts_are_equal_when_nothing_that_a_finding_depends_on_differs() {
    let fingerprint =
        |change: &dyn Fn(mcp_validation::ContractBuilder) -> mcp_validation::ContractBuilder| {
            let builder = Contract::builder().rule(Rule::required("a", "/a")).validator(NoNumber(1));
            change(builder).build().unwrap().fingerprint().expect("every part has one")
        };
    let plain = fingerprint(&|builder| builder);
    assert_eq!(plain, fingerprint(&|builder| builder));
    let mut narrow = Limits::default();
    narrow.max_findings = 1;
    let others = [
        fingerprint(&|builder| builder.rule(Rule::required("b", "/b"))),
        fingerprint(&|builder| builder.validator(NoNumber(2))),
        fingerprint(&|builder| builder.show_values()),
        fingerprint(&|builder| builder.limits(narrow.clone())),
    ];
    for (position, other) in others.iter().enumerate() {
        assert_ne!(*other, plain, "{position}");
        assert_eq!(others.iter().filter(|fingerprint| *fingerprint == other).count(), 1, "{position}");
    }
}

/// A format of one line: which JSON type the whole document is of.
struct OneType;

impl SchemaFormat for OneType {
    fn name(&self) -> &str {
        "one-type"
    }

    fn compile(&self, source: &SchemaSource<'_>) -> Result<Box<dyn CompiledSchema>, SeamError> {
        let quoted = serde_json::Value::from(source.text.trim());
        let json_type: JsonType = serde_json::from_value(quoted).map_err(|error| {
            SeamError::new(ErrorKind::Invalid, format!("read {:?} as a type", source.text)).with_source(error)
        })?;
        Ok(Box::new(IsOfType(json_type)))
    }

    fn can_read(
        &self,
        reader: &SchemaSource<'_>,
        writer: &SchemaSource<'_>,
    ) -> Result<Compatibility, SeamError> {
        if reader.text.trim() == writer.text.trim() {
            return Ok(Compatibility::Yes);
        }
        let message = format!("{} is no {}", writer.text.trim(), reader.text.trim());
        Ok(Compatibility::No(vec![Break::new("one-type.changed", "", message, "keep the type")]))
    }
}

struct IsOfType(JsonType);

impl Validator for IsOfType {
    fn validate(&self, document: &Document, findings: &mut Findings) -> Result<(), ValidatorError> {
        if !self.0.admits(document.value()?) {
            findings.error("one-type", "", format!("expected {}", self.0), None);
        }
        Ok(())
    }

    fn fingerprint(&self) -> Option<Digest> {
        Some(Digest::of(self.0.to_string().as_bytes()))
    }
}

#[test]
fn a_format_of_the_host_is_found_by_its_name() {
    let engine = ValidationEngine::builder().format(OneType).build().unwrap();
    let contract = engine.contract("one-type", "integer").unwrap().build().unwrap();
    assert_eq!(contract.is_valid(&Document::json("1.0")).ok(), Some(true));
    assert_eq!(contract.is_valid(&Document::json("\"1\"")).ok(), Some(false));
    assert_eq!(contract.schema_digest(), Some(Digest::of(b"integer")));
    let broken = engine.contract("one-type", "whole").unwrap().build().expect_err("no type");
    assert_eq!(
        (broken.kind(), broken.to_string().as_str()),
        (ErrorKind::Invalid, "compile a schema of the format one-type")
    );
    for unknown in ["two-types", "One Type", ""] {
        let error = engine.contract(unknown, "").expect_err(unknown);
        assert!(matches!(&error, ValidationError::UnknownFormat { format } if format == unknown), "{error}");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    let names: Vec<String> = SchemaFormats::built_in().unwrap().names().map(ToString::to_string).collect();
    let built_in = [
        ("avro", cfg!(feature = "avro")),
        ("json-schema", cfg!(feature = "json-schema")),
        ("protobuf", cfg!(feature = "protobuf")),
    ];
    let expected: Vec<&str> =
        built_in.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name).collect();
    assert_eq!(names, expected);
}

/// A format whose documents are one byte, a number; it judges and decodes in one.
struct OneByte;

impl SchemaFormat for OneByte {
    fn name(&self) -> &str {
        "one-byte"
    }

    fn compile(&self, _source: &SchemaSource<'_>) -> Result<Box<dyn CompiledSchema>, SeamError> {
        Ok(Box::new(IsOneByte))
    }

    fn can_read(&self, _: &SchemaSource<'_>, _: &SchemaSource<'_>) -> Result<Compatibility, SeamError> {
        Ok(Compatibility::Yes)
    }
}

struct IsOneByte;

impl CompiledSchema for IsOneByte {
    fn judge(
        &self,
        document: &Document,
        findings: &mut Findings,
    ) -> Result<Option<serde_json::Value>, ValidatorError> {
        match document.bytes().map(|bytes| bytes.as_ref()) {
            Some([byte]) => Ok(Some(serde_json::json!([[byte]]))),
            _ => {
                findings.error("one-byte", "", "this is not one byte", None);
                Ok(None)
            }
        }
    }

    fn fingerprint(&self) -> Option<Digest> {
        Some(Digest::of(b"one-byte 1"))
    }
}

#[test]
fn rules_and_validators_see_what_the_schema_decoded_and_nothing_where_it_could_not() {
    let positive = Rule::range("small", "/0/0", ..10.0);
    let contract = Contract::schema(OneByte, "").rule(positive.clone()).build().unwrap();
    let codes = |contract: &Contract, bytes: &'static [u8]| {
        let report = contract.validate(&Document::new(Encoding::AvroBinary, bytes)).expect("judged");
        report.findings.iter().map(|finding| format!("{} {}", finding.code, finding.path)).collect::<Vec<_>>()
    };
    assert_eq!(codes(&contract, &[9]), [""; 0]);
    assert_eq!(codes(&contract, &[11]), ["rule.small /0/0"]);
    assert_eq!(codes(&contract, &[1, 1]), ["one-byte "]);
    let mut shallow = Limits::default();
    shallow.max_depth = 1;
    let contract = Contract::schema(OneByte, "").rule(positive.clone()).limits(shallow).build().unwrap();
    let deep =
        contract.validate(&Document::new(Encoding::AvroBinary, &[9][..])).map_err(|error| error.kind());
    assert_eq!(deep, Err(ErrorKind::Exhausted), "what is decoded keeps the limits, too");
    let without = Contract::builder().rule(positive).build().unwrap();
    let error = without.validate(&Document::new(Encoding::AvroBinary, &[9][..])).expect_err("no schema");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        (-3_i64..3).prop_map(serde_json::Value::from),
        "[ab@.]{0,3}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map("id|total|from|to|contact", inner, 0..4)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

fn contract(max_findings: usize) -> Contract {
    let mut limits = Limits::default();
    limits.max_findings = max_findings;
    #[cfg(feature = "json-schema")]
    let builder = Contract::json_schema(
        r#"{"properties": {"id": {"type": "integer"}, "from": {"enum": [1, 2]}}, "required": ["total"], "maxProperties": 2}"#,
    );
    #[cfg(not(feature = "json-schema"))]
    let builder = Contract::builder();
    builder.rules(rules()).rule(Rule::unique("u", "")).validator(NoNumber(1)).limits(limits).build().unwrap()
}

proptest! {
    /// Invariant 8: the same document, schema, rules and options give the same report.
    #[test]
    fn the_same_contract_gives_the_same_report(document in json(), max_findings in 1_usize..6) {
        let text = serde_json::to_string(&document).unwrap();
        let (one, two) = (contract(max_findings), contract(max_findings));
        let report = one.validate(&Document::json(text.clone())).unwrap();
        prop_assert_eq!(one.fingerprint(), two.fingerprint());
        prop_assert_eq!(&report, &two.validate(&Document::json(text.clone())).unwrap());
        prop_assert_eq!(&report, &one.validate(&Document::from(document)).unwrap());
        prop_assert_eq!(report.valid, one.is_valid(&Document::json(text)).unwrap());
        prop_assert!(report.findings.is_sorted());
        prop_assert!(report.findings.len() <= max_findings);
        let seen = report.errors + report.warnings + report.infos;
        prop_assert_eq!(report.truncated, seen > report.findings.len() as u64);
    }

    /// A report that keeps fewer findings keeps some of those that a larger one keeps, and counts the same.
    #[test]
    fn a_smaller_report_counts_what_it_does_not_keep(document in json()) {
        let document = Document::from(document);
        let all = contract(1000).validate(&document).unwrap();
        let few = contract(1).validate(&document).unwrap();
        prop_assert_eq!((few.errors, few.warnings, few.infos, few.valid), (all.errors, all.warnings, all.infos, all.valid));
        prop_assert!(few.findings.iter().all(|finding| all.findings.contains(finding)));
        prop_assert!(few.valid || few.findings[0].severity == Severity::Error);
    }
}

#[test]
fn one_contract_and_one_document_serve_many_threads() {
    let (contract, document) = (contract(100), Document::json(r#"{"id": "x", "contact": "y"}"#));
    let expected = contract.validate(&document).unwrap();
    let agreed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let same = contract.validate(&document).unwrap() == expected;
                    agreed.fetch_add(u64::from(same), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(agreed.into_inner(), 1600);
}
