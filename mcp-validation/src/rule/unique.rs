use std::collections::BTreeMap;

use mcp_core::SeamError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Check, Prepared, Refusal, Rule, Sight, in_field};
use crate::canonical;
use crate::pointer::{Pointer, push_segment};

/// No two elements of the array at `path` are equal, as a whole or in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Unique {
    /// Where the array stands.
    pub path: String,
    /// Where in each element to look; empty for the whole element. Elements that have nothing there are left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
}

impl Rule {
    /// No two elements of the array at `path` are equal.
    #[must_use]
    pub fn unique(name: impl Into<String>, path: impl Into<String>) -> Self {
        Self::unique_by(name, path, "")
    }

    /// No two elements of the array at `path` have equal values at `by`.
    #[must_use]
    pub fn unique_by(name: impl Into<String>, path: impl Into<String>, by: impl Into<String>) -> Self {
        Self::new(name, Check::Unique(Unique { path: path.into(), by: by.into() }))
    }
}

impl Unique {
    pub(super) fn prepare(&self) -> Result<Box<dyn Prepared>, Refusal> {
        Ok(Box::new(Ready {
            path: Pointer::parse(&self.path).map_err(in_field("path"))?,
            by: Pointer::parse_single(&self.by).map_err(in_field("by"))?,
        }))
    }
}

struct Ready {
    path: Pointer,
    by: Pointer,
}

impl Prepared for Ready {
    fn check(&self, root: &Value, sight: &mut Sight<'_>) -> Result<(), SeamError> {
        self.path.visit(root, sight, &mut |sight, path, value| {
            let Some(value) = value else { return Ok(()) };
            let Value::Array(elements) = value else {
                sight.found(path, Some(value), || "expected an array".to_owned());
                return Ok(());
            };
            let mut first = BTreeMap::new();
            for (index, element) in elements.iter().enumerate() {
                let Some(key) = self.by.get(element) else { continue };
                let (digest, steps) = canonical::digest(key);
                sight.spend(steps)?;
                let before = *first.entry(digest).or_insert(index);
                if before != index {
                    let mut place = path.to_owned();
                    push_segment(&mut place, &index.to_string());
                    self.by.push_onto(&mut place);
                    sight.spend_path(&place)?;
                    sight.found(&place, Some(key), || {
                        format!("expected no value twice, but it equals that of element {before}")
                    });
                }
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
    fn every_repetition_is_found_at_its_own_place() {
        let found =
            findings(Rule::unique("u", "/a"), &json!({"a": [1, {"x": 1}, 1.0, null, null, {"x": 1}, 1]}));
        let seen: Vec<_> =
            found.iter().map(|finding| (finding.path.as_str(), finding.message.as_str())).collect();
        let says = |element| format!("expected no value twice, but it equals that of element {element}");
        let (zero, one) = (says(0), says(1));
        assert_eq!(seen, [("/a/2", zero.as_str()), ("/a/5", one.as_str()), ("/a/6", zero.as_str())]);
    }

    #[test]
    fn elements_can_be_told_apart_by_one_place() {
        let document = json!([{"lines": [{"id": 1, "n": 1}, {"id": 1, "n": 2}, {"n": 1}, {"n": 1}]}]);
        assert_eq!(paths(Rule::unique_by("u", "/*/lines", "/id"), &document), ["/0/lines/1/id"]);
        assert_eq!(paths(Rule::unique("u", "/*/lines"), &document), ["/0/lines/3"]);
    }

    #[test]
    fn only_an_array_has_elements() {
        assert_eq!(findings(Rule::unique("u", ""), &json!("aa"))[0].message, "expected an array");
        assert!(refusal(Rule::unique_by("u", "", "/*/id")).contains("one place is needed"));
    }
}
