//! Rules: checks that are data, applied beside any schema or without one.
//!
//! A rule looks at the places that a path names: a JSON Pointer in which `*` stands for every element of an array. Null counts as
//! absent, and what is absent is the business of `required` alone; a value of another type than a rule is made for is a finding.
//!
//! Expressions (feature `cel`) say what no single check does. [`RuleSet`] reads rules from JSON and YAML. A rule that needs code is a
//! [`Validator`]: as a closure by [`from_fn`], or as a type of its own.

#[cfg(feature = "cel")]
pub mod cel;
mod compare;
mod format;
mod function;
mod length;
mod one_of;
mod pattern;
mod range;
mod refusal;
mod required;
mod set;
mod spdx_expression;
mod type_is;
mod unique;
mod wording;

#[cfg(feature = "cel")]
use std::collections::BTreeMap;

use mcp_core::{Digest, Finding, Name, SeamError, Severity};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[cfg(feature = "cel")]
pub use cel::Cel;
pub use compare::{Compare, Operator};
pub use format::{Format, FormatName};
pub use function::{Found, FromFn, from_fn};
pub use length::Length;
pub use one_of::OneOf;
pub use pattern::Pattern;
pub use range::Range;
pub use required::Required;
pub use set::RuleSet;
pub use type_is::{JsonType, TypeIs};
pub use unique::Unique;

use self::refusal::Refusal;
pub(crate) use self::wording::Wording;
use crate::{Document, Findings, Limits, ValidationError, Validator, ValidatorError};

/// One check that is data. Its findings have the code `rule.` and its name.
///
/// ```
/// use mcp_validation::rule::Rule;
///
/// let rule = Rule::range("positive", "/total", 0.01..).warning().message("a total is more than nothing");
/// let json = r#"{"name": "positive", "severity": "warning", "message": "a total is more than nothing",
///     "check": {"range": {"path": "/total", "minimum": 0.01}}}"#;
/// assert_eq!(serde_json::from_str::<Rule>(json)?, rule);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Rule {
    /// What it is called, in the form of a [`Name`]; no other rule of the contract is called so.
    pub name: String,
    /// How much a finding of this rule matters.
    #[serde(default = "error")]
    pub severity: Severity,
    /// Whether the rule is enforced, or only observed.
    #[serde(default, skip_serializing_if = "RuleMode::is_enforce")]
    pub mode: RuleMode,
    /// What its findings say instead of the text that the check has for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The same as an expression of [`cel`] that gives text; where it fails, `message` is said. It shows what it asks for, whether or not
    /// reports show values.
    #[cfg(feature = "cel")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_cel: Option<String>,
    /// Names for expressions of [`cel`], to be used by those of this rule. Each is evaluated when it is first used.
    #[cfg(feature = "cel")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// What is checked.
    pub check: Check,
}

const fn error() -> Severity {
    Severity::Error
}

/// Whether a rule decides about a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleMode {
    /// An error of the rule makes a document invalid.
    #[default]
    Enforce,
    /// Whatever the rule finds, the document stays valid: to see what a rule would do before it is enforced. Its findings are marked as
    /// observed and counted apart.
    Observe,
}

impl RuleMode {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
    const fn is_enforce(&self) -> bool {
        matches!(self, Self::Enforce)
    }
}

/// What a rule checks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Check {
    /// Something stands there.
    Required(Required),
    /// It is of a type.
    Type(TypeIs),
    /// It is text of a known form.
    Format(Format),
    /// It is a number between two bounds.
    Range(Range),
    /// Its length is between two bounds.
    Length(Length),
    /// It is text that a regular expression matches.
    Pattern(Pattern),
    /// It is one of some values.
    OneOf(OneOf),
    /// No two elements of an array are equal.
    Unique(Unique),
    /// It stands in a relation to another place.
    Compare(Compare),
    /// An expression is true.
    #[cfg(feature = "cel")]
    Cel(Cel),
}

impl Rule {
    /// A rule of severity error with the check's own message.
    #[must_use]
    pub fn new(name: impl Into<String>, check: Check) -> Self {
        Self {
            name: name.into(),
            severity: Severity::Error,
            mode: RuleMode::Enforce,
            message: None,
            #[cfg(feature = "cel")]
            message_cel: None,
            #[cfg(feature = "cel")]
            variables: BTreeMap::new(),
            check,
        }
    }

    /// The same, and a finding leaves the document valid.
    #[must_use]
    pub const fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// The same, and a finding is merely worth knowing.
    #[must_use]
    pub const fn info(mut self) -> Self {
        self.severity = Severity::Info;
        self
    }

    /// The same, and whatever it finds, the document stays valid.
    #[must_use]
    pub const fn observe(mut self) -> Self {
        self.mode = RuleMode::Observe;
        self
    }

    /// The same, with this message.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    fn prepare(&self, limits: &Limits) -> Result<(Box<dyn Prepared>, Wording), Refusal> {
        self.name
            .parse::<Name>()
            .map_err(|error| Refusal::at(["name"], format!("its name is wrong: {}", error.reason())))?;
        let (kind, prepared) = match &self.check {
            Check::Required(check) => ("required", check.prepare()),
            Check::Type(check) => ("type", check.prepare()),
            Check::Format(check) => ("format", check.prepare()),
            Check::Range(check) => ("range", check.prepare()),
            Check::Length(check) => ("length", check.prepare()),
            Check::Pattern(check) => ("pattern", check.prepare(limits)),
            Check::OneOf(check) => ("one_of", check.prepare()),
            Check::Unique(check) => ("unique", check.prepare()),
            Check::Compare(check) => ("compare", check.prepare()),
            // It says itself where it is wrong: that can be in a variable, beside the check.
            #[cfg(feature = "cel")]
            Check::Cel(check) => {
                return Ok((check.prepare(&self.variables, limits)?, Wording::prepare(self, limits)?));
            }
        };
        let prepared = prepared.map_err(|refusal| refusal.within(kind).within("check"))?;
        Ok((prepared, Wording::prepare(self, limits)?))
    }

    /// Why this rule cannot be checked, and where in it.
    fn refusal(&self, limits: &Limits) -> Option<Refusal> {
        self.prepare(limits).err()
    }
}

/// A refusal because of one field.
fn in_field(field: &'static str) -> impl Fn(String) -> Refusal {
    move |reason| Refusal::at([field], reason)
}

/// A check whose paths, patterns and bounds were found to be right.
trait Prepared: Send + Sync {
    fn check(&self, root: &Value, sight: &mut Sight<'_>) -> Result<(), SeamError>;
}

/// What one rule sees with: where its findings go, and under which name.
pub(crate) struct Sight<'f> {
    findings: &'f mut Findings,
    root: &'f Value,
    code: &'f str,
    severity: Severity,
    mode: RuleMode,
    wording: &'f Wording,
    schema_path: &'f str,
}

impl Sight<'_> {
    /// Notes a finding about `value` at `path`; `message` is made only where the rule has none of its own.
    fn found(&mut self, path: &str, value: Option<&Value>, message: impl FnOnce() -> String) {
        let said = self.wording.say(self.findings, self.root, path, value);
        self.note(path, value, said.unwrap_or_else(message));
    }

    /// Notes that the rule could not be decided; its own message would say something else.
    #[cfg(feature = "cel")]
    fn failed(&mut self, path: &str, value: Option<&Value>, message: String) {
        self.note(path, value, message);
    }

    fn note(&mut self, path: &str, value: Option<&Value>, message: String) {
        let mut finding = Finding::new(self.severity, self.code.to_owned(), path, message)
            .with_schema_path(self.schema_path);
        finding.observed = self.mode == RuleMode::Observe;
        let shown = self.findings.shown(value);
        self.findings.add(match shown {
            Some(value) => finding.with_value(value),
            None => finding,
        });
    }

    #[cfg(feature = "cel")]
    const fn meter(&self) -> &crate::meter::Meter {
        self.findings.meter()
    }

    pub(crate) fn spend(&self, steps: u64) -> Result<(), SeamError> {
        self.findings.spend(steps)
    }

    fn spend_text(&self, text: &str) -> Result<(), SeamError> {
        self.findings.spend(crate::meter::text_steps(text.len()))
    }

    /// For a path, or a part of it, that is written once more; a short one costs nothing beside the look for which it is written.
    pub(crate) fn spend_path(&self, path: &str) -> Result<(), SeamError> {
        self.findings.spend(crate::meter::text_steps(path.len()).saturating_sub(1))
    }

    pub(crate) const fn is_decided(&self) -> bool {
        self.findings.is_decided()
    }

    #[cfg(test)]
    pub(crate) const fn for_tests<'f>(findings: &'f mut Findings, wording: &'f Wording) -> Sight<'f> {
        Sight {
            findings,
            root: &Value::Null,
            code: "rule.test",
            severity: Severity::Error,
            mode: RuleMode::Enforce,
            wording,
            schema_path: "/rules/0",
        }
    }
}

/// As much of a rule's text as a finding can show: cut once, and not again for each finding.
fn shown(text: &str) -> String {
    crate::findings::shortened(crate::findings::beginning(text).to_owned())
}

/// All rules of a contract, as one validator.
pub(crate) struct Rules {
    prepared: Vec<Ready>,
    fingerprint: Digest,
}

struct Ready {
    code: String,
    severity: Severity,
    mode: RuleMode,
    wording: Wording,
    schema_path: String,
    check: Box<dyn Prepared>,
}

impl Rules {
    pub(crate) fn prepare(rules: &[Rule], limits: &Limits) -> Result<Self, ValidationError> {
        let refuse = |rule: &Rule, reason: String| ValidationError::BrokenRule {
            rule: crate::findings::shortened(rule.name.clone()),
            reason,
        };
        let mut prepared: Vec<Ready> = Vec::with_capacity(rules.len());
        let mut names = std::collections::BTreeSet::new();
        for (index, rule) in rules.iter().enumerate() {
            let (check, wording) = rule.prepare(limits).map_err(|refusal| refuse(rule, refusal.reason))?;
            if !names.insert(&rule.name) {
                return Err(refuse(
                    rule,
                    "another rule of this contract has the same name, choose another".to_owned(),
                ));
            }
            prepared.push(Ready {
                code: format!("rule.{}", rule.name),
                severity: rule.severity,
                mode: rule.mode,
                wording,
                schema_path: format!("/rules/{index}"),
                check,
            });
        }
        let text = serde_json::to_vec(rules).map_err(|error| ValidationError::NotJudged {
            source: SeamError::new(mcp_core::ErrorKind::Internal, "write rules as JSON").with_source(error),
        })?;
        Ok(Self { prepared, fingerprint: Digest::of(&text) })
    }
}

impl Validator for Rules {
    fn validate(&self, document: &Document, findings: &mut Findings) -> Result<(), ValidatorError> {
        let root = document.value()?;
        for rule in &self.prepared {
            let decides = rule.severity == Severity::Error && rule.mode == RuleMode::Enforce;
            if findings.wants_verdict_only() && !decides {
                continue;
            }
            let mut sight = Sight {
                findings,
                root,
                code: &rule.code,
                severity: rule.severity,
                mode: rule.mode,
                wording: &rule.wording,
                schema_path: &rule.schema_path,
            };
            rule.check.check(root, &mut sight)?;
            if findings.is_decided() {
                break;
            }
        }
        Ok(())
    }

    fn fingerprint(&self) -> Option<Digest> {
        Some(self.fingerprint)
    }
}

/// What the tests of the single rules share.
#[cfg(test)]
mod trial {
    use super::*;

    /// The paths at which `rule` finds something in `document`.
    pub(super) fn paths(rule: Rule, document: &Value) -> Vec<String> {
        findings(rule, document).into_iter().map(|finding| finding.path).collect()
    }

    pub(super) fn findings(rule: Rule, document: &Value) -> Vec<Finding> {
        let rules = Rules::prepare(&[rule], &Limits::default()).expect("rule");
        let mut findings = Findings::new(&Limits::default());
        rules.validate(&Document::from(document.clone()), &mut findings).expect("judged");
        findings.finish().0
    }

    /// Why `rule` is refused.
    pub(super) fn refusal(rule: Rule) -> String {
        match Rules::prepare(&[rule], &Limits::default()).err() {
            Some(ValidationError::BrokenRule { reason, .. }) => reason,
            other => panic!("expected a broken rule, found {other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn severity_message_and_place_of_a_rule_reach_its_findings() {
        let rule = Rule::required("has-id", "/id").warning().message("every order has an id");
        let found = trial::findings(rule, &json!({}));
        let expected = Finding::new(Severity::Warning, "rule.has-id", "/id", "every order has an id")
            .with_schema_path("/rules/0");
        assert_eq!(found, [expected]);
    }

    #[test]
    fn a_name_that_is_no_name_or_taken_is_refused_with_the_rule() {
        assert!(trial::refusal(Rule::required("Has Id", "/id")).starts_with("its name is wrong: 'H'"));
        let twice = [Rule::required("a", "/a"), Rule::required("a", "/b")];
        let error = Rules::prepare(&twice, &Limits::default()).err().map(|error| error.to_string());
        let expected =
            "prepare the rule \"a\": another rule of this contract has the same name, choose another";
        assert_eq!(error.as_deref(), Some(expected));
    }

    #[test]
    fn every_check_comes_back_from_json_as_it_was() {
        let rules = [
            Rule::required("a", "/a"),
            Rule::type_is("b", "/b", [JsonType::String, JsonType::Integer]),
            Rule::format("c", "/c", FormatName::DateTime),
            Rule::range("d", "/d", 1.5..=2.0),
            Rule::length("e", "/e", 1..9),
            Rule::pattern("f", "/f", "^x"),
            Rule::one_of("g", "/g", [json!(1), json!("x")]),
            Rule::unique("h", "/h"),
            Rule::unique_by("i", "/i", "/id"),
            Rule::compare("j", "/j", Operator::Less, "/k"),
        ];
        for rule in rules {
            let json = serde_json::to_string(&rule).unwrap();
            assert_eq!(serde_json::from_str::<Rule>(&json).unwrap(), rule, "{json}");
        }
    }

    #[test]
    fn a_misspelt_field_is_refused_at_every_level() {
        for json in [
            r#"{"name": "a", "sevrity": "info", "check": {"required": {"path": ""}}}"#,
            r#"{"name": "a", "check": {"required": {"path": "", "pth": ""}}}"#,
            r#"{"name": "a", "check": {"requird": {"path": ""}}}"#,
            r#"{"name": "a", "check": {"required": {"path": ""}, "range": {"path": ""}}}"#,
        ] {
            let error =
                serde_json::from_str::<Rule>(json).map_err(|error| error.is_data() || error.is_syntax());
            assert_eq!(error, Err(true), "{json}");
        }
    }

    #[test]
    fn rules_take_steps_for_what_they_look_at() {
        let rules =
            Rules::prepare(&[Rule::type_is("n", "/*", [JsonType::Number])], &Limits::default()).unwrap();
        let document = Document::from(json!([1, 2, 3, 4]));
        let with = |max_steps| {
            let mut findings = Findings::new(&Limits { max_steps, ..Limits::default() });
            rules.validate(&document, &mut findings).map_err(|error| error.kind())
        };
        assert_eq!(with(4), Ok(()));
        assert_eq!(with(3), Err(mcp_core::ErrorKind::Exhausted));
    }
}
