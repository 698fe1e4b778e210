use std::fmt;

use mcp_core::{ArtifactRef, Digest, Finding, Severity};
use serde::{Deserialize, Serialize};

use crate::findings::Findings;

/// What a judgement came to. The same document and contract give the same report.
///
/// `Display` shows it as text, a line for the verdict and one for each finding; serde gives JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// Whether no finding is an error.
    pub valid: bool,
    /// By which contract, where it is registered under a subject and version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<ArtifactRef>,
    /// The digest of the schema's text; `None` for a contract without a schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Digest>,
    /// How many findings are errors, kept or not; at least so many when `truncated`.
    pub errors: u64,
    /// How many findings are warnings, kept or not.
    pub warnings: u64,
    /// How many findings are informational, kept or not.
    pub infos: u64,
    /// How many findings of any severity come from rules that are only observed, kept or not. They are in none of the other counts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub observed: u64,
    /// Whether there was more than `findings` holds.
    pub truncated: bool,
    /// What was seen, by place, then by code. Of more than fit the worst are kept.
    pub findings: Vec<Finding>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Report {
    pub(crate) fn of(findings: Findings, schema: Option<Digest>) -> Self {
        let (findings, counts) = findings.finish();
        let seen = [counts.errors, counts.warnings, counts.infos, counts.observed]
            .into_iter()
            .fold(0, u64::saturating_add);
        let kept = u64::try_from(findings.len()).unwrap_or(u64::MAX);
        Self {
            valid: counts.errors == 0,
            contract: None,
            schema,
            errors: counts.errors,
            warnings: counts.warnings,
            infos: counts.infos,
            observed: counts.observed,
            truncated: counts.at_least || seen > kept,
            findings,
        }
    }

    /// The findings of this severity that were kept, in their order, without those that were only observed.
    pub fn of_severity(&self, severity: Severity) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.severity == severity && !finding.observed)
    }

    /// The findings of rules that are only observed, as far as they were kept, in their order.
    pub fn only_observed(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.observed)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.valid { "valid" } else { "invalid" })?;
        if let Some(contract) = &self.contract {
            write!(f, " by {contract}")?;
        }
        let mut before = ": ";
        for (count, what) in [(self.errors, "error"), (self.warnings, "warning"), (self.infos, "info")] {
            if count > 0 {
                let plural = if count == 1 { "" } else { "s" };
                write!(f, "{before}{count} {what}{plural}")?;
                before = ", ";
            }
        }
        if self.observed > 0 {
            write!(f, "{before}{} observed", self.observed)?;
        }
        for finding in &self.findings {
            write!(f, "\n{finding}")?;
        }
        if self.truncated {
            write!(f, "\n… and more: {} are shown", self.findings.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    fn report(count: usize) -> Report {
        let mut findings = Findings::new(&Limits { max_findings: 2, ..Limits::default() });
        for index in 0..count {
            findings.add(Finding::new(Severity::Error, "rule.x", format!("/{index}"), "no"));
        }
        findings.add(Finding::new(Severity::Info, "rule.i", "/i", "so"));
        Report::of(findings, None)
    }

    #[test]
    fn a_report_reads_line_by_line() {
        assert_eq!(report(0).to_string(), "valid: 1 info\ninfo rule.i /i: so");
        let invalid =
            "invalid: 3 errors, 1 info\nerror rule.x /0: no\nerror rule.x /1: no\n… and more: 2 are shown";
        assert_eq!(report(3).to_string(), invalid);
    }

    #[test]
    fn what_is_not_kept_is_counted_and_the_report_says_that_it_is_cut() {
        let report = report(3);
        assert_eq!((report.errors, report.infos, report.findings.len(), report.truncated), (3, 1, 2, true));
    }

    #[test]
    fn a_report_comes_back_from_json_as_it_was() {
        let report = report(1);
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }
}
