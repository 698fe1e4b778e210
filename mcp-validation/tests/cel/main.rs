//! Rules in CEL: what expressions give, what is refused when they are registered, and what hostile ones cost.
#![cfg(feature = "cel")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

mod hostile;
mod lint;
mod peer;
mod table;

use mcp_core::ErrorKind;
use mcp_validation::rule::Rule;
use mcp_validation::{Contract, Document, Limits, Report, ValidationError};
use serde_json::{Value, json};

/// What the rule `r` with this expression comes to.
fn judge(rule: Rule, document: &Value) -> Report {
    let contract = Contract::builder().rule(rule).build().unwrap_or_else(|error| panic!("{error}"));
    contract.validate(&Document::from(document.clone())).unwrap_or_else(|error| panic!("{error}"))
}

/// `Ok` with whether it holds, `Err` with why that could not be decided.
fn holds(expression: &str, document: &Value) -> Result<bool, String> {
    let report = judge(Rule::cel("r", expression), document);
    match report.findings.first() {
        None => Ok(true),
        Some(finding) if finding.message.ends_with("to be true") => Ok(false),
        Some(finding) => Err(finding.message.clone()),
    }
}

/// Why the contract refuses the expression.
fn refusal(expression: &str) -> String {
    match Contract::builder().rule(Rule::cel("r", expression)).build() {
        Err(ValidationError::BrokenRule { rule, reason }) if rule == "r" => reason,
        other => panic!("{expression:?} should be refused, found {other:?}"),
    }
}

#[test]
fn a_finding_of_an_expression_shows_it_and_stands_at_the_document_or_the_place() {
    let report = judge(Rule::cel("r", "doc.total > 0"), &json!({"total": 0}));
    let expected = "invalid: 1 error\nerror rule.r (document): expected doc.total > 0 to be true";
    assert_eq!(report.to_string(), expected);
    assert_eq!(report.findings[0].schema_path, "/rules/0");
    let lines = json!({"lines": [{"a": 1, "b": 2}, {"a": 2, "b": 1}, null, {"a": 3}]});
    let report = judge(Rule::cel_at("r", "/lines/*", "value.a < value.b"), &lines);
    let expected = "invalid: 2 errors\n\
        error rule.r /lines/1: expected value.a < value.b to be true\n\
        error rule.r /lines/3: the rule could not be decided at 1:17: there is no field \"b\"";
    assert_eq!(report.to_string(), expected);
}

#[test]
fn an_absent_field_is_a_finding_that_says_so_also_where_the_rule_has_a_message() {
    let rule = || Rule::cel("r", "doc.a.b > 0").message("b is positive");
    assert_eq!(judge(rule(), &json!({"a": {"b": 0}})).findings[0].message, "b is positive");
    let undecided = "the rule could not be decided at 1:7: there is no field \"b\"";
    assert_eq!(judge(rule(), &json!({"a": {}})).findings[0].message, undecided);
    assert_eq!(holds("!has(doc.a.b) || doc.a.b > 0", &json!({"a": {}})), Ok(true));
}

#[test]
fn variables_are_used_in_any_order_and_evaluated_only_when_they_are_needed() {
    let rule = |expression| {
        Rule::cel("r", expression)
            .variable("a_gross", "z_net + doc.tax")
            .variable("z_net", "doc.lines.map(l, l.price).sum()")
            .variable("fails", "doc.nowhere")
    };
    let document = json!({"lines": [{"price": 1.5}, {"price": 2}], "tax": 0.5});
    assert!(judge(rule("a_gross == 4"), &document).valid);
    assert!(judge(rule("a_gross == 4 || fails"), &document).valid);
    assert!(judge(rule("doc.lines.all(l, l.price < a_gross)"), &document).valid);
    let failed = judge(rule("fails == 1"), &document);
    let expected = "the rule could not be decided at 1:1: there is no field \"nowhere\"";
    assert_eq!(failed.findings[0].message, expected);
}

#[test]
fn a_variable_that_is_wrong_is_refused_by_its_own_place() {
    let refuse = |name: &str, text: &str| {
        let rule = Rule::cel("r", "true").variable("other", "self_ + 1").variable(name, text);
        Contract::builder().rule(rule).build().expect_err("refused").to_string()
    };
    assert!(refuse("self_", "other").contains("in a circle: other, self_"));
    assert!(refuse("self_", "doc.l.map(self_, self_").contains("1:23: expected"));
    assert!(refuse("self_", "nobody").contains("1:1: the name \"nobody\" is not declared, declared are doc"));
    for name in ["doc", "value", "in", "a-b", "", "1a", "for"] {
        assert!(refuse(name, "1").contains("a variable is called by letters"), "{name:?}");
    }
}

#[test]
fn a_message_can_be_an_expression_and_falls_back_when_it_fails() {
    let rule = || Rule::cel("r", "doc.n > limit").variable("limit", "10").message("too small");
    let said = rule().message_cel("string(doc.n) + ' is not over ' + string(limit)");
    assert_eq!(judge(said, &json!({"n": 3})).findings[0].message, "3 is not over 10");
    let fails = rule().message_cel("doc.missing");
    assert_eq!(judge(fails, &json!({"n": 3})).findings[0].message, "too small");
    let range = Rule::range("r", "/lines/*/n", 1.0..).message_cel("path + ' has ' + string(value)");
    assert_eq!(judge(range, &json!({"lines": [{"n": 0}]})).findings[0].message, "/lines/0/n has 0");
    let wrong = Contract::builder().rule(rule().message_cel("1 + 1")).build().expect_err("no text");
    assert!(wrong.to_string().ends_with("1:1: it gives int, not string"), "{wrong}");
}

#[test]
fn an_observed_rule_leaves_the_document_valid_and_is_counted_apart() {
    let contract = Contract::builder()
        .rule(Rule::cel("seen", "doc.n > 0").observe())
        .rule(Rule::cel("warned", "doc.n > 0").warning())
        .build()
        .unwrap();
    let document = Document::json(r#"{"n": 0}"#);
    let report = contract.validate(&document).unwrap();
    let expected = "valid: 1 warning, 1 observed\n\
        observed error rule.seen (document): expected doc.n > 0 to be true\n\
        warning rule.warned (document): expected doc.n > 0 to be true";
    assert_eq!(report.to_string(), expected);
    assert_eq!((report.errors, report.warnings, report.observed), (0, 1, 1));
    assert_eq!(report.only_observed().count(), 1);
    assert_eq!(report.of_severity(mcp_core::Severity::Error).count(), 0);
    assert_eq!(contract.is_valid(&document).ok(), Some(true));
}

#[test]
fn a_rule_in_cel_comes_back_from_json_and_changes_the_fingerprint() {
    let rule = Rule::cel_at("r", "/a", "value > x").variable("x", "1").message_cel("path").observe();
    let json = serde_json::to_string(&rule).unwrap();
    let expected = r#"{"name":"r","severity":"error","mode":"observe","message_cel":"path","variables":{"x":"1"},"check":{"cel":{"expression":"value > x","path":"/a"}}}"#;
    assert_eq!(json, expected);
    assert_eq!(serde_json::from_str::<Rule>(&json).unwrap(), rule);
    let fingerprint = |rule: Rule| Contract::builder().rule(rule).build().unwrap().fingerprint().unwrap();
    let all = [
        fingerprint(Rule::cel("r", "true")),
        fingerprint(Rule::cel("r", "false")),
        fingerprint(Rule::cel("r", "true").observe()),
        fingerprint(Rule::cel("r", "true").variable("a", "1")),
        fingerprint(Rule::cel("r", "true").message_cel("''")),
    ];
    assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
}

/// What `rule` comes to under these limits.
fn judge_within(rule: Rule, document: &Value, change: impl FnOnce(&mut Limits)) -> Result<u64, ErrorKind> {
    let mut limits = Limits::default();
    change(&mut limits);
    let contract = Contract::builder().rule(rule).limits(limits).build().map_err(|error| error.kind())?;
    contract
        .validate(&Document::from(document.clone()))
        .map(|report| report.errors)
        .map_err(|error| error.kind())
}
