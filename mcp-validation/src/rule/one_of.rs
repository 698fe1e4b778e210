use std::collections::BTreeSet;

use mcp_core::{Digest, SeamError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Check, Prepared, Refusal, Rule, Sight, in_field};
use crate::canonical;
use crate::pointer::Pointer;

/// What stands at `path` equals one of `values`; `1` equals `1.0`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OneOf {
    /// Where.
    pub path: String,
    /// At least one.
    pub values: Vec<Value>,
}

impl Rule {
    /// What stands at `path` equals one of `values`.
    #[must_use]
    pub fn one_of(
        name: impl Into<String>,
        path: impl Into<String>,
        values: impl IntoIterator<Item = impl Into<Value>>,
    ) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        Self::new(name, Check::OneOf(OneOf { path: path.into(), values }))
    }
}

impl OneOf {
    pub(super) fn prepare(&self) -> Result<Box<dyn Prepared>, Refusal> {
        if self.values.is_empty() {
            return Err(in_field("values")(
                "it lists no value, so that nothing could be one of them".to_owned(),
            ));
        }
        for value in &self.values {
            crate::scan::scan_value(value, crate::Limits::DEEPEST).map_err(|_| {
                in_field("values")(format!(
                    "one of its values is nested more than {} deep",
                    crate::Limits::DEEPEST
                ))
            })?;
        }
        let admitted = self.values.iter().map(|value| canonical::digest(value).0).collect();
        Ok(Box::new(Ready {
            path: Pointer::parse(&self.path).map_err(in_field("path"))?,
            admitted,
            expected: shown(&self.values),
        }))
    }
}

/// The first few values, for the message.
fn shown(values: &[Value]) -> String {
    const SHOWN: usize = 8;
    let mut texts: Vec<String> = values.iter().take(SHOWN).map(ToString::to_string).collect();
    if values.len() > SHOWN {
        texts.push(format!("or {} others", values.len() - SHOWN));
    }
    super::shown(&texts.join(", "))
}

struct Ready {
    path: Pointer,
    admitted: BTreeSet<Digest>,
    expected: String,
}

impl Prepared for Ready {
    fn check(&self, root: &Value, sight: &mut Sight<'_>) -> Result<(), SeamError> {
        self.path.visit(root, sight, &mut |sight, path, value| {
            let Some(value) = value else { return Ok(()) };
            let (digest, steps) = canonical::digest(value);
            sight.spend(steps)?;
            if !self.admitted.contains(&digest) {
                sight.found(path, Some(value), || format!("expected one of {}", self.expected));
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
    fn equality_is_that_of_json_values() {
        let rule = Rule::one_of("o", "/*", [json!(1), json!("a"), json!({"x": [1, 2], "y": 0})]);
        let values = json!([1.0, "1", "a", "A", {"y": 0.0, "x": [1, 2]}, {"y": 0, "x": [2, 1]}, null]);
        assert_eq!(paths(rule, &values), ["/1", "/3", "/5"]);
    }

    #[test]
    fn a_long_list_is_shown_by_its_beginning() {
        let rule = Rule::one_of("o", "", 0..10);
        let message = &findings(rule, &json!(11))[0].message;
        assert_eq!(message, "expected one of 0, 1, 2, 3, 4, 5, 6, 7, or 2 others");
    }

    #[test]
    fn an_empty_list_is_refused() {
        assert!(refusal(Rule::one_of("o", "", [0; 0])).contains("lists no value"));
    }
}
