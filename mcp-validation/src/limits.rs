use serde::{Deserialize, Serialize};

use crate::ValidationError;

/// How much one judgement may cost. Running out is [`ErrorKind::Exhausted`](mcp_core::ErrorKind::Exhausted), never "invalid".
///
/// Only `max_findings` is different: an invalid document stays invalid, and its report says that it was truncated.
///
/// ```
/// use mcp_validation::Limits;
///
/// let mut limits = Limits::default();
/// limits.max_document_bytes = 64 << 10;
/// assert_eq!(limits.max_depth, 100);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// The largest document, in bytes. A document that was given as a value counts as its compact JSON. Parsed, many small objects
    /// take up to 100 times as much memory.
    pub max_document_bytes: u64,
    /// The most arrays and objects that may stand inside one another, in documents and in schemas; at most
    /// [`DEEPEST`](Self::DEEPEST).
    pub max_depth: usize,
    /// The most findings that a report keeps; at least 1. What does not fit is counted.
    pub max_findings: usize,
    /// The most steps of one judgement. A step is one look at one value of the document by one check, or 64 bytes of text.
    pub max_steps: u64,
    /// The longest that one judgement may take, in milliseconds, by the lent monotonic clock: the last guard, behind the counted steps.
    /// The clock is looked at every few thousand steps, so that a small document never does.
    pub max_time_ms: u64,
    /// The largest schema, and the largest document that it refers to, in bytes each.
    pub max_schema_bytes: u64,
    /// The most subschemas that may apply to one and the same value, counted along every way that leads to them.
    pub max_fan_out: u64,
    /// The largest compiled regular expression, in bytes each.
    pub max_pattern_bytes: usize,
    /// What all regular expressions of a schema and its references may take together when compiled, in bytes; estimated before.
    pub max_patterns_bytes: u64,
}

impl Limits {
    /// What the parser beneath can nest.
    pub const DEEPEST: usize = 127;

    pub(crate) fn check(&self) -> Result<(), ValidationError> {
        let refuse = |limit, reason: String| Err(ValidationError::BrokenLimits { limit, reason });
        if self.max_depth == 0 || self.max_depth > Self::DEEPEST {
            return refuse(
                "max_depth",
                format!("it is {}, from 1 to {} are possible", self.max_depth, Self::DEEPEST),
            );
        }
        if self.max_findings == 0 {
            return refuse("max_findings", "it is 0, at least 1 is needed to say what is wrong".to_owned());
        }
        Ok(())
    }
}

impl Default for Limits {
    /// 16 MiB, 100 deep, 1,000 findings, 20 million steps, 10 seconds; schemas of 8 MiB with a fan-out of 10,000 and patterns of 1 MiB, 64 MiB together.
    fn default() -> Self {
        Self {
            max_document_bytes: 16 << 20,
            max_depth: 100,
            max_findings: 1000,
            max_steps: 20_000_000,
            max_time_ms: 10_000,
            max_schema_bytes: 8 << 20,
            max_fan_out: 10_000,
            max_pattern_bytes: 1 << 20,
            max_patterns_bytes: 64 << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(limits: &Limits) -> String {
        limits.check().expect_err("refused").to_string()
    }

    #[test]
    fn a_limit_that_cannot_be_kept_is_refused_by_name() {
        let with = |change: fn(&mut Limits)| {
            let mut limits = Limits::default();
            change(&mut limits);
            refused(&limits)
        };
        let deep = with(|limits| limits.max_depth = 128);
        assert_eq!(deep, "use the limit max_depth: it is 128, from 1 to 127 are possible");
        assert!(with(|limits| limits.max_depth = 0).contains("max_depth"));
        assert!(with(|limits| limits.max_findings = 0).contains("max_findings"));
    }

    #[test]
    fn what_json_leaves_out_is_the_default_and_what_it_misspells_is_refused() {
        let limits: Limits = serde_json::from_str(r#"{"max_depth": 7}"#).unwrap();
        assert_eq!(limits, Limits { max_depth: 7, ..Limits::default() });
        let error = serde_json::from_str::<Limits>(r#"{"max_dept": 7}"#).expect_err("misspelt");
        assert!(error.to_string().contains("max_dept"), "{error}");
    }
}
