use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How much a [`Finding`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The document is invalid.
    Error,
    /// Worth mending; the document stays valid.
    Warning,
    /// Worth knowing.
    Info,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        })
    }
}

/// Something that was seen in a document or an artifact.
///
/// The derived order, by place first, is the order of a report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finding {
    /// Where in the document: a JSON Pointer (RFC 6901); empty for the whole document.
    pub path: String,
    /// Which check saw it, such as `schema.required` or `rule.positive-total`; stable, for programs.
    pub code: Cow<'static, str>,
    /// How much it matters.
    pub severity: Severity,
    /// Where in the schema or rules the check stands: a JSON Pointer, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schema_path: String,
    /// What was seen and what was expected, for people; it does not repeat values of the document unless that was asked for.
    pub message: String,
    /// The value that was seen, as compact JSON; `None` unless asked for, since documents hold secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Seen by a check that is not enforced: it is told, and decides nothing, whatever its severity.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub observed: bool,
}

impl Finding {
    /// A finding about the place `path`; where the check stands and the value can be added.
    #[must_use]
    pub fn new(
        severity: Severity,
        code: impl Into<Cow<'static, str>>,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            code: code.into(),
            severity,
            schema_path: String::new(),
            message: message.into(),
            value: None,
            observed: false,
        }
    }

    /// Where in the schema or rules the check stands.
    #[must_use]
    pub fn with_schema_path(mut self, schema_path: impl Into<String>) -> Self {
        self.schema_path = schema_path.into();
        self
    }

    /// The same, by a check that is not enforced.
    #[must_use]
    pub const fn observed(mut self) -> Self {
        self.observed = true;
        self
    }

    /// Whether it makes the document invalid: an error, and not only observed.
    #[must_use]
    pub const fn invalidates(&self) -> bool {
        matches!(self.severity, Severity::Error) && !self.observed
    }

    /// The value that was seen, as compact JSON.
    #[must_use]
    pub fn with_value(mut self, value: impl Into<String>) -> Self {
        self.value = Some(value.into());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.path.is_empty() { "(document)" } else { &self.path };
        let observed = if self.observed { "observed " } else { "" };
        write!(f, "{observed}{} {} {place}: {}", self.severity, self.code, self.message)?;
        match &self.value {
            Some(value) => write!(f, ", found {value}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_as_one_line() {
        let finding =
            Finding::new(Severity::Error, "schema.type", "/total", "expected a number").with_value("\"12\"");
        assert_eq!(finding.to_string(), "error schema.type /total: expected a number, found \"12\"");
        let whole = Finding::new(Severity::Warning, "rule.empty", "", "nothing in it");
        assert_eq!(whole.to_string(), "warning rule.empty (document): nothing in it");
        assert_eq!(whole.observed().to_string(), "observed warning rule.empty (document): nothing in it");
    }

    #[test]
    fn only_an_error_that_is_enforced_invalidates() {
        let finding = |severity| Finding::new(severity, "rule.x", "", "no");
        assert!(finding(Severity::Error).invalidates());
        assert!(!finding(Severity::Error).observed().invalidates());
        assert!(!finding(Severity::Warning).invalidates());
    }

    #[test]
    fn what_was_not_asked_for_is_absent_from_json() {
        let finding = Finding::new(Severity::Info, "rule.seen", "/a", "seen");
        let json = serde_json::to_value(&finding).unwrap();
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["code", "message", "path", "severity"]);
        assert_eq!(serde_json::from_value::<Finding>(json).unwrap(), finding);
    }
}
