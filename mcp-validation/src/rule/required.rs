use mcp_core::SeamError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Check, Prepared, Refusal, Rule, Sight, in_field};
use crate::pointer::Pointer;

/// Something other than null stands at `path`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Required {
    /// Where.
    pub path: String,
}

impl Rule {
    /// Something other than null stands at `path`; with a `*`, in every element.
    #[must_use]
    pub fn required(name: impl Into<String>, path: impl Into<String>) -> Self {
        Self::new(name, Check::Required(Required { path: path.into() }))
    }
}

impl Required {
    pub(super) fn prepare(&self) -> Result<Box<dyn Prepared>, Refusal> {
        Ok(Box::new(Ready { path: Pointer::parse(&self.path).map_err(in_field("path"))? }))
    }
}

struct Ready {
    path: Pointer,
}

impl Prepared for Ready {
    fn check(&self, root: &Value, sight: &mut Sight<'_>) -> Result<(), SeamError> {
        self.path.visit(root, sight, &mut |sight, path, value| {
            if value.is_none() {
                sight.found(path, None, || "a value is required here".to_owned());
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::trial::{paths, refusal};
    use super::*;

    #[test]
    fn null_and_nothing_are_missing_and_everything_else_is_there() {
        let rule = || Rule::required("r", "/lines/*/id");
        let document = json!({"lines": [{"id": 0}, {"id": null}, {}, {"id": ""}, 7, {"id": false}]});
        assert_eq!(paths(rule(), &document), ["/lines/1/id", "/lines/2/id", "/lines/4/id"]);
        assert_eq!(paths(rule(), &json!({"lines": []})), [""; 0]);
        assert_eq!(paths(Rule::required("r", "/a/b"), &json!({})), ["/a/b"]);
    }

    #[test]
    fn a_path_that_is_none_is_refused() {
        assert!(refusal(Rule::required("r", "id")).contains("does not begin with '/'"));
    }
}
