use std::fmt;

use mcp_core::SeamError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Check, Prepared, Refusal, Rule, Sight, in_field};
use crate::number;
use crate::pointer::Pointer;

/// What stands at `path` is of one of `types`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TypeIs {
    /// Where.
    pub path: String,
    /// At least one.
    pub types: Vec<JsonType>,
}

/// A type of JSON values; null is none, since null counts as absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JsonType {
    /// `true` or `false`.
    Boolean,
    /// A number without a fraction, however it is written: `1`, `1.0`, `1e2`.
    Integer,
    /// Any number.
    Number,
    /// Text.
    String,
    /// A list.
    Array,
    /// Members with keys.
    Object,
}

impl JsonType {
    /// Whether `value` is of this type.
    #[must_use]
    pub fn admits(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Boolean, Value::Bool(_))
            | (Self::Number, Value::Number(_))
            | (Self::String, Value::String(_))
            | (Self::Array, Value::Array(_))
            | (Self::Object, Value::Object(_)) => true,
            (Self::Integer, Value::Number(number)) => number::is_integer(number),
            _ => false,
        }
    }
}

impl fmt::Display for JsonType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        })
    }
}

impl Rule {
    /// What stands at `path` is of one of `types`.
    #[must_use]
    pub fn type_is(
        name: impl Into<String>,
        path: impl Into<String>,
        types: impl IntoIterator<Item = JsonType>,
    ) -> Self {
        Self::new(name, Check::Type(TypeIs { path: path.into(), types: types.into_iter().collect() }))
    }
}

impl TypeIs {
    pub(super) fn prepare(&self) -> Result<Box<dyn Prepared>, Refusal> {
        if self.types.is_empty() {
            return Err(in_field("types")("it names no type, so that nothing could be of it".to_owned()));
        }
        let names: Vec<String> = self.types.iter().map(ToString::to_string).collect();
        Ok(Box::new(Ready {
            path: Pointer::parse(&self.path).map_err(in_field("path"))?,
            types: self.types.clone(),
            expected: names.join(" or "),
        }))
    }
}

struct Ready {
    path: Pointer,
    types: Vec<JsonType>,
    expected: String,
}

impl Prepared for Ready {
    fn check(&self, root: &Value, sight: &mut Sight<'_>) -> Result<(), SeamError> {
        self.path.visit(root, sight, &mut |sight, path, value| {
            if let Some(value) = value
                && !self.types.iter().any(|expected| expected.admits(value))
            {
                sight.found(path, Some(value), || format!("expected {}", self.expected));
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
    fn each_type_admits_its_own_values_only() {
        let values = json!([true, 1, 1.0, 1.5, "1", [], {}]);
        let cases = [
            (JsonType::Boolean, vec![0]),
            (JsonType::Integer, vec![1, 2]),
            (JsonType::Number, vec![1, 2, 3]),
            (JsonType::String, vec![4]),
            (JsonType::Array, vec![5]),
            (JsonType::Object, vec![6]),
        ];
        for (json_type, admitted) in cases {
            let refused: Vec<String> =
                (0..7).filter(|i| !admitted.contains(i)).map(|i| format!("/{i}")).collect();
            assert_eq!(paths(Rule::type_is("t", "/*", [json_type]), &values), refused, "{json_type}");
        }
    }

    #[test]
    fn null_is_absent_and_the_message_names_all_types() {
        let rule = Rule::type_is("t", "/a", [JsonType::String, JsonType::Integer]);
        assert_eq!(paths(rule.clone(), &json!({"a": null})), [""; 0]);
        assert_eq!(findings(rule, &json!({"a": []}))[0].message, "expected string or integer");
    }

    #[test]
    fn a_rule_without_types_is_refused() {
        assert!(refusal(Rule::type_is("t", "/a", [])).contains("names no type"));
    }
}
