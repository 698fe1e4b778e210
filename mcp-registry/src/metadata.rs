use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::RegistryError;

/// What is said about a version beside its bytes; fixed when it is published.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Metadata {
    /// What it is, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Who wrote it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<String>,
    /// Under which terms, such as `MIT OR Apache-2.0`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub license: String,
    /// Words to find it by.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// What programs say about it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Anything else, as JSON.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub extra: Value,
}

/// How deep `extra` may be nested.
pub(crate) const MAX_DEPTH: usize = 64;

impl Metadata {
    /// As compact JSON with sorted keys: equal metadata has equal text.
    pub(crate) fn encode(&self, max_bytes: u64) -> Result<String, RegistryError> {
        let text = serde_json::to_string(self).map_err(|error| RegistryError::Invalid {
            what: "write metadata as JSON".to_owned(),
            reason: error.to_string(),
        })?;
        if text.len() as u64 > max_bytes {
            return Err(RegistryError::TooLarge {
                what: "publish with this metadata".to_owned(),
                size: text.len() as u64,
                limit: max_bytes,
                setting: "max_metadata_bytes",
            });
        }
        Ok(text)
    }
}

/// Whether `value` is nested no deeper than [`MAX_DEPTH`]; does not recurse.
pub(crate) fn is_shallow(value: &Value) -> bool {
    let mut waiting = vec![(value, 0)];
    while let Some((value, depth)) = waiting.pop() {
        if depth > MAX_DEPTH {
            return false;
        }
        match value {
            Value::Array(items) => waiting.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(members) => waiting.extend(members.values().map(|member| (member, depth + 1))),
            _ => {}
        }
    }
    true
}

/// `type/subtype`, perhaps with parameters (RFC 6838, section 4.2; RFC 9110, section 8.3.1), at most 255 bytes.
pub(crate) fn check_media_type(text: &str) -> Result<(), RegistryError> {
    let token = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let named =
        essence.trim_end().split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype));
    let printable = parameters.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if named && printable && text.len() <= 255 {
        return Ok(());
    }
    let shown: String = text.chars().take(60).collect();
    Err(RegistryError::Invalid {
        what: format!("use {shown:?} as media type"),
        reason: "it is not type/subtype in ASCII of at most 255 bytes, such as application/json".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_metadata_has_equal_text_and_what_is_empty_is_left_out() {
        let mut one = Metadata { description: "d".to_owned(), ..Metadata::default() };
        one.extra = serde_json::json!({"b": 1, "a": {"z": 1, "y": 2}});
        one.extra.sort_all_objects();
        assert_eq!(
            one.encode(1000).expect("text"),
            r#"{"description":"d","extra":{"a":{"y":2,"z":1},"b":1}}"#
        );
        assert_eq!(Metadata::default().encode(2).expect("text"), "{}");
        assert_eq!(one.encode(10).expect_err("too large").kind(), mcp_core::ErrorKind::Exhausted);
    }

    #[test]
    fn nesting_is_limited_without_recursion() {
        let nested = |depth: usize| (0..depth).fold(Value::from(1), |inner, _| Value::Array(vec![inner]));
        assert!(is_shallow(&nested(MAX_DEPTH)));
        assert!(!is_shallow(&nested(MAX_DEPTH + 1)));
    }

    #[test]
    fn what_is_not_a_media_type_is_refused() {
        for good in ["application/json", "application/schema+json", "text/plain; charset=utf-8"] {
            check_media_type(good).expect(good);
        }
        for bad in ["", "json", "/", "a/", "a/b/c", "a b/c", "text/plain; x=\n", "té/x", &"a/".repeat(200)] {
            assert_eq!(check_media_type(bad).expect_err(bad).kind(), mcp_core::ErrorKind::Invalid);
        }
    }
}
