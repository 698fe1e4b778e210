//! What a document is answered by: a verdict, what was found, and why where nothing could be found out.

use mcp_core::{ErrorKind, Finding, Severity};
use mcp_validation::{Report, ValidationError};
use serde::Serialize;
use serde_json::value::RawValue;

use super::case::{told, with_causes};

/// Why there is no report.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// A limit was reached; otherwise something is wrong with what was asked.
    pub is_exhausted: bool,
    pub message: String,
}

impl Refusal {
    /// Something is wrong with what was asked.
    pub fn wrong(message: impl Into<String>) -> Self {
        Self { is_exhausted: false, message: told(message.into()) }
    }
}

impl From<ValidationError> for Refusal {
    fn from(error: ValidationError) -> Self {
        Self { is_exhausted: error.kind() == ErrorKind::Exhausted, message: with_causes(&error) }
    }
}

/// One line of output: for a line of input, or for a file.
#[derive(Serialize)]
pub struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a RawValue>,
    pub verdict: &'static str,
    pub findings: Vec<Seen<'a>>,
    /// There was more than `findings` holds.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'a str>,
}

#[derive(Serialize)]
pub struct Seen<'a> {
    code: &'a str,
    path: &'a str,
    severity: Severity,
    message: &'a str,
    /// By a rule that is not enforced yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    observed: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    schema_path: &'a str,
}

impl<'a> Answer<'a> {
    pub fn of(outcome: &'a Result<Report, Refusal>) -> Self {
        let plain = Self {
            file: None,
            id: None,
            verdict: "error",
            findings: Vec::new(),
            truncated: false,
            message: None,
        };
        match outcome {
            Ok(report) => Self {
                verdict: if report.valid { "valid" } else { "invalid" },
                findings: report.findings.iter().map(seen).collect(),
                truncated: report.truncated,
                ..plain
            },
            Err(refusal) => Self {
                verdict: if refusal.is_exhausted { "exhausted" } else { "error" },
                message: Some(&refusal.message),
                ..plain
            },
        }
    }

    pub fn json(&self) -> String {
        // Text and lists of text: there is nothing in it that is no JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn seen(finding: &Finding) -> Seen<'_> {
    Seen {
        code: &finding.code,
        path: &finding.path,
        severity: finding.severity,
        message: &finding.message,
        observed: finding.observed,
        schema_path: &finding.schema_path,
    }
}
