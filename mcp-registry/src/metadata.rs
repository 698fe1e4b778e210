use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{BuildInfo, Dependency, RegistryError, Settings};

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
    /// What programs say about it, as it was when it was published; [`Entry::labels`](crate::Entry::labels) has the current ones.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What it needs, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Dependency>,
    /// What it was built from, and where. Two publishes that differ here only are the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildInfo>,
    /// Anything else, as JSON.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub extra: Value,
}

/// How deep `extra` may be nested.
pub(crate) const MAX_DEPTH: usize = 64;

/// What one field may have, so that a page of entries stays small. Sizes are bytes of UTF-8.
const MAX_TEXT_BYTES: usize = 16 << 10;
const MAX_WORD_BYTES: usize = 255;
const MAX_LABEL_BYTES: usize = 4 << 10;
const MAX_WORDS: usize = 256;
const MAX_DEPENDENCIES: usize = 1000;

impl Metadata {
    /// As compact JSON with sorted keys: equal metadata has equal text. Each field is within its limit, and all of them within
    /// `max_metadata_bytes`.
    pub(crate) fn encode(&self, settings: &Settings) -> Result<String, RegistryError> {
        self.check(settings)?;
        let text = serde_json::to_string(self).map_err(|error| RegistryError::Invalid {
            what: "write metadata as JSON".to_owned(),
            reason: error.to_string(),
        })?;
        within("publish with this metadata", text.len(), settings.max_metadata_bytes, "max_metadata_bytes")?;
        Ok(text)
    }

    fn check(&self, settings: &Settings) -> Result<(), RegistryError> {
        let text = |what, text: &str, limit: usize, field| within(what, text.len(), limit as u64, field);
        let count = |what, count: usize, field| within(what, count, MAX_WORDS as u64, field);
        text("publish with this description", &self.description, MAX_TEXT_BYTES, "a description, in bytes")?;
        text("publish with this licence", &self.license, MAX_WORD_BYTES, "a licence, in bytes")?;
        count("publish with so many authors", self.authors.len(), "authors")?;
        for author in &self.authors {
            text("publish with this author", author, MAX_WORD_BYTES, "an author, in bytes")?;
        }
        count("publish with so many tags", self.tags.len(), "tags")?;
        for tag in &self.tags {
            text("publish with this tag", tag, MAX_WORD_BYTES, "a tag, in bytes")?;
            check_word("tag", tag)?;
        }
        check_labels(&self.labels)?;
        let dependencies = self.dependencies.len();
        within("publish with so many dependencies", dependencies, MAX_DEPENDENCIES as u64, "dependencies")?;
        if let Some(build) = &self.build {
            build.check()?;
        }
        if self.extra.is_null() {
            return Ok(());
        }
        // Text is what counts: a number or a string of JSON has no other size.
        let extra = self.extra.to_string().len();
        within("publish with this extra metadata", extra, settings.max_extra_bytes, "max_extra_bytes")
    }
}

/// Whether two texts of metadata say the same, but for what was built: that is no part of what is published.
pub(crate) fn same_but_build(one: &str, other: &str) -> bool {
    let read =
        |text| serde_json::from_str::<Metadata>(text).map(|metadata| Metadata { build: None, ..metadata });
    one == other || matches!((read(one), read(other)), (Ok(one), Ok(other)) if one == other)
}

/// Refuses what is longer than `limit`, the limit of `setting`.
pub(crate) fn within(
    what: &str,
    size: usize,
    limit: u64,
    setting: &'static str,
) -> Result<(), RegistryError> {
    let size = size as u64;
    if size <= limit {
        return Ok(());
    }
    Err(RegistryError::TooLarge { what: what.to_owned(), size, limit, setting })
}

/// Labels within their limits.
pub(crate) fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), RegistryError> {
    within("give so many labels", labels.len(), MAX_WORDS as u64, "labels")?;
    for (key, value) in labels {
        within("give this label", key.len(), MAX_WORD_BYTES as u64, "a label's key, in bytes")?;
        within("give this label", value.len(), MAX_LABEL_BYTES as u64, "a label's value, in bytes")?;
        check_word("label", key)?;
    }
    Ok(())
}

/// A word that programs compare: not empty, and without characters that nobody can see.
fn check_word(what: &str, word: &str) -> Result<(), RegistryError> {
    let reason = if word.is_empty() {
        "it is empty"
    } else if word.chars().any(char::is_control) {
        "it has a control character"
    } else {
        return Ok(());
    };
    Err(RegistryError::Invalid { what: format!("use {word:?} as {what}"), reason: reason.to_owned() })
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
        let limit = |max_metadata_bytes| Settings { max_metadata_bytes, ..Settings::default() };
        assert_eq!(
            one.encode(&limit(1000)).expect("text"),
            r#"{"description":"d","extra":{"a":{"y":2,"z":1},"b":1}}"#
        );
        assert_eq!(Metadata::default().encode(&limit(2)).expect("text"), "{}");
        assert_eq!(one.encode(&limit(10)).expect_err("too large").kind(), mcp_core::ErrorKind::Exhausted);
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
