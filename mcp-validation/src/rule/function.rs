//! Rules in code: the [`Validator`] trait in the form of a closure.

use mcp_core::{Digest, Digester, Finding, Severity};
use serde_json::Value;

use super::RuleMode;
use crate::{Document, Findings, Validator, ValidatorError};

/// A rule in code, for what neither a [`Rule`](super::Rule) that is data nor an expression can say. What is more than a closure implements
/// [`Validator`] itself: that is the trait of all rules.
///
/// `look` is called with the document and tells what it finds; its findings have the code `rule.` and `name`. A judgement is only
/// remembered with a [`revision`](FromFn::revision).
///
/// ```
/// use mcp_validation::{Contract, Document, rule};
///
/// let no_test_card = rule::from_fn("no-test-card", |document, found| {
///     if document["card"] == "4111111111111111" {
///         found.at("/card", "this card number is for tests");
///     }
/// });
/// let contract = Contract::builder().validator(no_test_card.revision(1)).build()?;
/// let report = contract.validate(&Document::json(r#"{"card": "4111111111111111"}"#))?;
/// assert_eq!(report.findings[0].to_string(), "error rule.no-test-card /card: this card number is for tests");
/// # Ok::<(), mcp_validation::ValidationError>(())
/// ```
pub fn from_fn<F>(name: impl Into<String>, look: F) -> FromFn<F>
where
    F: Fn(&Value, &mut Found<'_>) + Send + Sync,
{
    let code = format!("rule.{}", name.into());
    FromFn { code, severity: Severity::Error, mode: RuleMode::Enforce, revision: None, look }
}

/// A rule that is a closure, made by [`from_fn`].
pub struct FromFn<F> {
    code: String,
    severity: Severity,
    mode: RuleMode,
    revision: Option<u32>,
    look: F,
}

impl<F> FromFn<F> {
    /// The same, and a finding leaves the document valid.
    #[must_use]
    pub fn warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// The same, and a finding is merely worth knowing.
    #[must_use]
    pub fn info(self) -> Self {
        Self { severity: Severity::Info, ..self }
    }

    /// The same, and whatever it finds, the document stays valid.
    #[must_use]
    pub fn observe(self) -> Self {
        Self { mode: RuleMode::Observe, ..self }
    }

    /// Vouches that the closure finds the same in the same document, and goes on to as long as the name and this number are the same: raise it
    /// when the closure, or anything that it uses, changes. It is the fingerprint, without which nothing is cached.
    #[must_use]
    pub fn revision(self, revision: u32) -> Self {
        Self { revision: Some(revision), ..self }
    }
}

impl<F> Validator for FromFn<F>
where
    F: Fn(&Value, &mut Found<'_>) + Send + Sync,
{
    fn validate(&self, document: &Document, findings: &mut Findings) -> Result<(), ValidatorError> {
        let document = document.value()?;
        let mut found =
            Found { code: &self.code, severity: self.severity, mode: self.mode, findings, spent: Ok(()) };
        (self.look)(document, &mut found);
        found.spent
    }

    fn fingerprint(&self) -> Option<Digest> {
        let revision = self.revision?;
        let mut digester = Digester::new();
        digester
            .update(b"mcp-validation rule::from_fn 1")
            .update(&[self.severity as u8, self.mode as u8])
            .update(&revision.to_le_bytes())
            .update(self.code.as_bytes());
        Some(digester.digest())
    }
}

impl<F> std::fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FromFn")
            .field("code", &self.code)
            .field("severity", &self.severity)
            .field("mode", &self.mode)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// Where a rule in code tells what it finds.
pub struct Found<'f> {
    code: &'f str,
    severity: Severity,
    mode: RuleMode,
    findings: &'f mut Findings,
    spent: Result<(), ValidatorError>,
}

impl Found<'_> {
    /// Something is wrong at the place that a JSON Pointer names; empty for the whole document.
    pub fn at(&mut self, path: impl Into<String>, message: impl Into<String>) {
        let mut finding = Finding::new(self.severity, self.code.to_owned(), path, message);
        finding.observed = self.mode == RuleMode::Observe;
        self.findings.add(finding);
    }

    /// Takes `steps` from what the judgement may cost, one for each value that is looked at; false when they have run out, and looking on is
    /// of no use: the judgement ends as `Exhausted`.
    pub fn spend(&mut self, steps: u64) -> bool {
        let spent = self.findings.spend(steps);
        let left = spent.is_ok();
        if !left && self.spent.is_ok() {
            self.spent = spent;
        }
        left
    }
}

impl std::fmt::Debug for Found<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found").field("code", &self.code).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Contract, Limits};

    fn judge(validator: impl Validator + 'static) -> crate::Report {
        let contract = Contract::builder().validator(validator).build().unwrap();
        contract.validate(&Document::from(json!({"n": 1}))).unwrap()
    }

    #[test]
    fn a_closure_finds_with_the_severity_and_mode_it_was_given() {
        let rule = || from_fn("one", |document, found| found.at("/n", format!("it is {}", document["n"])));
        assert_eq!(judge(rule()).to_string(), "invalid: 1 error\nerror rule.one /n: it is 1");
        assert_eq!(judge(rule().warning()).warnings, 1);
        assert_eq!(judge(rule().info()).infos, 1);
        assert_eq!(
            judge(rule().observe()).to_string(),
            "valid: 1 observed\nobserved error rule.one /n: it is 1"
        );
    }

    #[test]
    fn a_closure_has_a_fingerprint_once_its_author_vouches_for_it() {
        let rule = |name| from_fn(name, |_, _| {});
        assert_eq!(rule("a").fingerprint(), None);
        let all = [
            rule("a").revision(1).fingerprint(),
            rule("a").revision(2).fingerprint(),
            rule("b").revision(1).fingerprint(),
            rule("a").revision(1).warning().fingerprint(),
            rule("a").revision(1).observe().fingerprint(),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!((distinct.len(), all[0]), (5, rule("a").revision(1).fingerprint()));
    }

    #[test]
    fn steps_that_run_out_in_a_closure_end_the_judgement() {
        let rule = from_fn("busy", |_, found| while found.spend(1) {});
        let limits = Limits { max_steps: 9, ..Limits::default() };
        let contract = Contract::builder().validator(rule).limits(limits).build().unwrap();
        let error = contract.validate(&Document::json("1")).expect_err("steps are spent");
        assert_eq!(error.kind(), mcp_core::ErrorKind::Exhausted);
    }

    #[test]
    fn a_validator_is_one_also_behind_a_reference_a_box_or_an_arc() {
        let lent: &'static _ = Box::leak(Box::new(from_fn("lent", |_, found| found.at("", "no"))));
        let boxed: Box<dyn Validator> = Box::new(from_fn("boxed", |_, found| found.at("", "no")).revision(1));
        let fingerprint = boxed.fingerprint();
        let shared: std::sync::Arc<dyn Validator> = std::sync::Arc::new(boxed);
        assert_eq!((judge(lent).errors, shared.fingerprint()), (1, fingerprint));
        assert_eq!(judge(shared).findings[0].code, "rule.boxed");
    }
}
