use mcp_core::SeamError;
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Check, Prepared, Refusal, Rule, Sight, in_field};
use crate::Limits;
use crate::pointer::Pointer;

/// What stands at `path` is text in which `pattern` matches somewhere; `^` and `$` tie it to the ends.
///
/// The syntax is that of the `regex` crate, which matches in time linear in the text: there are no look-arounds and no
/// back-references.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Pattern {
    /// Where.
    pub path: String,
    /// The regular expression.
    pub pattern: String,
}

impl Rule {
    /// What stands at `path` is text in which `pattern` matches somewhere.
    #[must_use]
    pub fn pattern(name: impl Into<String>, path: impl Into<String>, pattern: impl Into<String>) -> Self {
        Self::new(name, Check::Pattern(Pattern { path: path.into(), pattern: pattern.into() }))
    }
}

impl Pattern {
    pub(super) fn prepare(&self, limits: &Limits) -> Result<Box<dyn Prepared>, Refusal> {
        let regex = RegexBuilder::new(&self.pattern)
            .size_limit(limits.max_pattern_bytes)
            .build()
            .map_err(|error| in_field("pattern")(unreadable(&error)))?;
        Ok(Box::new(Ready {
            path: Pointer::parse(&self.path).map_err(in_field("path"))?,
            regex,
            shown: super::shown(&self.pattern),
        }))
    }
}

/// Why a pattern is refused.
pub(super) fn unreadable(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(max_bytes) => {
            format!(
                "the pattern takes more than {max_bytes} bytes when compiled, simplify it or raise max_pattern_bytes"
            )
        }
        other => format!("the pattern cannot be read: {}", last_line(&other.to_string())),
    }
}

/// The crate draws the place of the fault over several lines; the last one says what is wrong.
fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default().trim_start_matches("error: ")
}

struct Ready {
    path: Pointer,
    regex: Regex,
    shown: String,
}

impl Prepared for Ready {
    fn check(&self, root: &Value, sight: &mut Sight<'_>) -> Result<(), SeamError> {
        self.path.visit(root, sight, &mut |sight, path, value| {
            let Some(value) = value else { return Ok(()) };
            let Value::String(text) = value else {
                sight.found(path, Some(value), || "expected text".to_owned());
                return Ok(());
            };
            sight.spend_text(text)?;
            if !self.regex.is_match(text) {
                sight.found(path, Some(value), || format!("expected a match for {:?}", self.shown));
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::trial::{findings, paths, refusal};
    use super::*;

    #[test]
    fn a_pattern_matches_anywhere_unless_it_is_tied() {
        let values = json!(["abc", "xabcx", "", 1, null]);
        assert_eq!(paths(Rule::pattern("p", "/*", "abc"), &values), ["/2", "/3"]);
        assert_eq!(paths(Rule::pattern("p", "/*", "^abc$"), &values), ["/1", "/2", "/3"]);
        assert_eq!(
            findings(Rule::pattern("p", "", "^a$"), &json!("b"))[0].message,
            "expected a match for \"^a$\""
        );
    }

    #[test]
    fn a_pattern_that_would_backtrack_is_linear() {
        let text = "a".repeat(100_000);
        assert_eq!(paths(Rule::pattern("p", "", "^(a+)+$"), &json!(text + "b")), [""]);
    }

    #[test]
    fn what_cannot_be_linear_small_or_read_is_refused_with_the_reason() {
        assert!(refusal(Rule::pattern("p", "", "(?=a)b")).contains("look-around"));
        assert!(refusal(Rule::pattern("p", "", r"(a)\1")).contains("backreferences"));
        assert!(refusal(Rule::pattern("p", "", r"(\p{L}{1,500}){1,500}")).contains("max_pattern_bytes"));
        assert_eq!(refusal(Rule::pattern("p", "", "(")), "the pattern cannot be read: unclosed group");
    }
}
