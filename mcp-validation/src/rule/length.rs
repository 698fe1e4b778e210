use std::ops::{Bound, RangeBounds};

use mcp_core::SeamError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Check, Prepared, Refusal, Rule, Sight, in_field};
use crate::pointer::Pointer;

/// The length of what stands at `path` is between two bounds: characters of text (Unicode scalar values), elements of an array,
/// members of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Length {
    /// Where.
    pub path: String,
    /// Not shorter than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<u64>,
    /// Not longer than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<u64>,
}

impl Rule {
    /// The length of what stands at `path` is within `bounds`, such as `1..=40`.
    #[must_use]
    pub fn length(name: impl Into<String>, path: impl Into<String>, bounds: impl RangeBounds<u64>) -> Self {
        let minimum = match bounds.start_bound() {
            Bound::Included(bound) => Some(*bound),
            Bound::Excluded(bound) => Some(bound.saturating_add(1)),
            Bound::Unbounded => None,
        };
        let (minimum, maximum) = match bounds.end_bound() {
            Bound::Included(bound) => (minimum, Some(*bound)),
            // Nothing is shorter than 0: bounds that contradict each other say so when the contract is built.
            Bound::Excluded(0) => (Some(1), Some(0)),
            Bound::Excluded(bound) => (minimum, Some(bound.saturating_sub(1))),
            Bound::Unbounded => (minimum, None),
        };
        Self::new(name, Check::Length(Length { path: path.into(), minimum, maximum }))
    }
}

impl Length {
    pub(super) fn prepare(&self) -> Result<Box<dyn Prepared>, Refusal> {
        let (minimum, maximum) = (self.minimum.unwrap_or(0), self.maximum.unwrap_or(u64::MAX));
        if minimum > maximum {
            return Err(format!("no length is at least {minimum} and at most {maximum}").into());
        }
        Ok(Box::new(Ready { path: Pointer::parse(&self.path).map_err(in_field("path"))?, minimum, maximum }))
    }
}

struct Ready {
    path: Pointer,
    minimum: u64,
    maximum: u64,
}

impl Prepared for Ready {
    fn check(&self, root: &Value, sight: &mut Sight<'_>) -> Result<(), SeamError> {
        self.path.visit(root, sight, &mut |sight, path, value| {
            let Some(value) = value else { return Ok(()) };
            let (length, what) = match value {
                Value::String(text) => {
                    sight.spend_text(text)?;
                    (text.chars().count(), "characters")
                }
                Value::Array(elements) => (elements.len(), "elements"),
                Value::Object(members) => (members.len(), "members"),
                _ => {
                    sight.found(path, Some(value), || "expected text, an array or an object".to_owned());
                    return Ok(());
                }
            };
            let length = u64::try_from(length).unwrap_or(u64::MAX);
            if length < self.minimum {
                sight.found(path, Some(value), || {
                    format!("expected at least {} {what}, not {length}", self.minimum)
                });
            } else if length > self.maximum {
                sight.found(path, Some(value), || {
                    format!("expected at most {} {what}, not {length}", self.maximum)
                });
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
    fn characters_elements_and_members_are_counted() {
        let values = json!(["", "é", "👩\u{200d}", "abc", [], [1], [1, 2, 3], {}, {"a": 1}, 7]);
        let expected = ["/0", "/3", "/4", "/6", "/7", "/9"];
        assert_eq!(paths(Rule::length("l", "/*", 1..=2), &values), expected);
        assert_eq!(paths(Rule::length("l", "/*", 1..3), &values), expected);
    }

    #[test]
    fn the_message_says_what_was_counted() {
        let message = |value: Value| findings(Rule::length("l", "", 2..=2), &value)[0].message.clone();
        assert_eq!(message(json!("abc")), "expected at most 2 characters, not 3");
        assert_eq!(message(json!([1])), "expected at least 2 elements, not 1");
    }

    #[test]
    fn bounds_that_admit_nothing_are_refused() {
        assert_eq!(
            refusal(Rule::length("l", "", (Bound::Excluded(2), Bound::Included(2)))),
            "no length is at least 3 and at most 2"
        );
        assert_eq!(refusal(Rule::length("l", "", ..0)), "no length is at least 1 and at most 0");
    }
}
