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
        }
    }

    /// Where in the schema or rules the check stands.
    #[must_use]
    pub fn with_schema_path(mut self, schema_path: impl Into<String>) -> Self {
        self.schema_path = schema_path.into();
        self
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
        write!(f, "{} {} {place}: {}", self.severity, self.code, self.message)?;
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
