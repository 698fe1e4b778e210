//! Rules from text: JSON, and YAML with the feature `yaml`.

mod json;
#[cfg(feature = "yaml")]
mod yaml;

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_path_to_error::{Path, Segment};

use super::{Refusal, Rule};
use crate::pointer::push_segment;
use crate::{Limits, ValidationError};

/// Rules that were read together, and found to be right: none is refused by the contract that takes them with the default limits.
///
/// The text is a list of rules, or an object with nothing but the list `rules`. Every fault is told with line, column and the path into the
/// text: what is no JSON or YAML, fields that are not known or of the wrong type, and what a contract would refuse, such as a pattern that
/// cannot be read.
///
/// ```
/// use mcp_validation::{Contract, rule::RuleSet};
///
/// let text = r#"[{"name": "positive", "check": {"range": {"path": "/total", "minimum": 0.01}}}]"#;
/// let contract = Contract::builder().rules(RuleSet::from_json(text)?).build()?;
///
/// let error = RuleSet::from_json(r#"[{"name": "code", "check": {"pattern": {"path": "/code", "pattern": "("}}}]"#);
/// let expected = "read rules, line 1, column 69, /0/check/pattern/pattern: the pattern cannot be read: unclosed group";
/// assert_eq!(error.expect_err("refused").to_string(), expected);
/// # Ok::<(), mcp_validation::ValidationError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RuleSet {
    /// In the order of the text.
    pub rules: Vec<Rule>,
}

/// The longest text, in bytes.
const MAX_BYTES: usize = 1 << 20;

impl RuleSet {
    /// Reads JSON of at most 1 MiB, nested at most 127 deep.
    ///
    /// # Errors
    /// [`ValidationError::BrokenRules`], `Invalid`, with the place.
    pub fn from_json(text: &str) -> Result<Self, ValidationError> {
        check_length(text)?;
        let written = json::read(text)?;
        written.checked(|path| json::locate(text, path))
    }

    /// Reads YAML of at most 1 MiB, nested at most 64 deep. Anchors may be used, within 4 KiB that are replayed into 10,000 parts.
    ///
    /// # Errors
    /// [`ValidationError::BrokenRules`], `Invalid`, with the place.
    #[cfg(feature = "yaml")]
    pub fn from_yaml(text: &str) -> Result<Self, ValidationError> {
        check_length(text)?;
        let (written, tree) = yaml::read(text)?;
        written.checked(|path| tree.locate(path))
    }
}

impl IntoIterator for RuleSet {
    type Item = Rule;
    type IntoIter = std::vec::IntoIter<Rule>;

    fn into_iter(self) -> Self::IntoIter {
        self.rules.into_iter()
    }
}

impl From<RuleSet> for Vec<Rule> {
    fn from(set: RuleSet) -> Self {
        set.rules
    }
}

fn check_length(text: &str) -> Result<(), ValidationError> {
    if text.len() <= MAX_BYTES {
        return Ok(());
    }
    let reason = format!("the text has {} bytes, at most {MAX_BYTES} are allowed", text.len());
    Err(Spot { line: 1, column: 1 }.refuse(String::new(), reason))
}

/// A place in a text, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spot {
    line: u64,
    column: u64,
}

impl Spot {
    fn refuse(self, path: String, reason: String) -> ValidationError {
        ValidationError::BrokenRules {
            line: self.line,
            column: self.column,
            path: crate::findings::shortened(path),
            reason: crate::findings::shortened(reason),
        }
    }
}

/// What a text holds, before the rules themselves are looked at.
struct Written {
    rules: Vec<Rule>,
    /// Whether they stand in a field `rules`.
    named: bool,
}

impl Written {
    /// Checks each rule, and that no two are called the same; `locate` finds the deepest part of the text on the way along a path.
    fn checked(self, locate: impl Fn(&[String]) -> Spot) -> Result<RuleSet, ValidationError> {
        let limits = Limits::default();
        let mut names = BTreeSet::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let taken = || Refusal::at(["name"], "another rule has the same name, choose another".to_owned());
            let refusal = if names.insert(&rule.name) { rule.refusal(&limits) } else { Some(taken()) };
            if let Some(refusal) = refusal {
                let outer = self.named.then(|| "rules".to_owned());
                let path: Vec<String> = outer
                    .into_iter()
                    .chain([index.to_string()])
                    .chain(refusal.place().iter().cloned())
                    .collect();
                return Err(locate(&path).refuse(pointer(&path), refusal.reason));
            }
        }
        Ok(RuleSet { rules: self.rules })
    }
}

fn pointer(path: &[String]) -> String {
    let mut pointer = String::new();
    path.iter().for_each(|segment| push_segment(&mut pointer, segment));
    pointer
}

/// The way to where reading ended.
fn segments(path: &Path) -> Vec<String> {
    let known = path.iter().map_while(|segment| match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { variant } => Some(variant.clone()),
        Segment::Unknown => None,
    });
    known.collect()
}

/// A field that is not known is the end of the way.
fn add_unknown_field(path: &mut Vec<String>, reason: &str) {
    let field = reason.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
    if let Some((field, _)) = field
        && path.last().is_none_or(|last| last != field)
    {
        path.push(field.to_owned());
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rules, or an object with the list \"rules\"")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Written, A::Error> {
        let mut rules = Vec::new();
        while let Some(rule) = list.next_element()? {
            rules.push(rule);
        }
        Ok(Written { rules, named: false })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Written, A::Error> {
        let mut rules: Option<Vec<Rule>> = None;
        while let Some(key) = members.next_key::<String>()? {
            if key != "rules" {
                members.next_value::<IgnoredAny>()?;
                return Err(A::Error::unknown_field(&key, &["rules"]));
            }
            if rules.is_some() {
                return Err(A::Error::duplicate_field("rules"));
            }
            rules = Some(members.next_value()?);
        }
        match rules {
            Some(rules) => Ok(Written { rules, named: true }),
            None => Err(A::Error::missing_field("rules")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"{"rules": [
        {"name": "a", "check": {"required": {"path": "/a"}}},
        {"name": "b", "severity": "warning", "mode": "observe",
         "check": {"range": {"path": "/b", "minimum": 1}}}
    ]}"#;

    fn refusal(text: &str) -> String {
        RuleSet::from_json(text).expect_err("refused").to_string()
    }

    #[test]
    fn a_list_and_an_object_with_a_list_give_the_same_rules() {
        let expected = vec![Rule::required("a", "/a"), serde_json::from_str(r#"{"name": "b", "severity": "warning", "mode": "observe", "check": {"range": {"path": "/b", "minimum": 1}}}"#).unwrap()];
        let set = RuleSet::from_json(RULES).unwrap();
        assert_eq!(set.rules, expected);
        let list = RULES.trim_start_matches(r#"{"rules": "#).trim_end_matches('}');
        assert_eq!(RuleSet::from_json(list).unwrap(), set);
        assert_eq!(RuleSet::from_json("[]").unwrap().rules, []);
    }

    #[test]
    fn every_fault_is_told_with_line_column_and_path() {
        let cases = [
            ("[", "line 1, column 1, (the whole text): EOF while parsing a list"),
            ("{\"rules\": [}", "line 1, column 12, /rules/0: expected value"),
            (
                "7",
                "line 1, column 1, (the whole text): invalid type: integer `7`, expected a list of rules, or an object with the list \"rules\"",
            ),
            ("{}", "line 1, column 2, (the whole text): missing field `rules`"),
            (
                "[\n {\"name\": \"a\", \"sevrity\": \"info\"}]",
                "line 2, column 24, /0/sevrity: unknown field `sevrity`",
            ),
            (
                "[{\"name\": \"a\", \"check\": {\"range\": {\"path\": \"\",\n \"minimum\": \"1\"}}}]",
                "line 2, column 15, /0/check/range/minimum: invalid type: string \"1\"",
            ),
            (
                "[{\"name\": \"a\", \"check\": {\"rang\": {\"path\": \"\"}}}]",
                "line 1, column 31, /0/check: unknown variant `rang`",
            ),
            (
                "{\"rules\": [{\"name\": \"a\", \"check\": {\"required\": {\"path\": \"/a\"}}},\n{\"name\": \"a\", \"check\": {\"required\": {\"path\": \"/a\"}}}]}",
                "line 2, column 10, /rules/1/name: another rule has the same name, choose another",
            ),
            (
                "[{\"name\": \"a\", \"check\": {\"required\":\n {\"path\": \"a\"}}}]",
                "line 2, column 11, /0/check/required/path: the path \"a\" does not begin with '/'",
            ),
            (
                "[{\"name\": \"a\", \"check\": {\"length\": {\"path\": \"\", \"minimum\": 2, \"maximum\": 1}}}]",
                "line 1, column 36, /0/check/length: no length is at least 2 and at most 1",
            ),
            (
                "[{\"name\": \"A\", \"check\": {\"required\": {\"path\": \"\"}}}]",
                "line 1, column 11, /0/name: its name is wrong",
            ),
        ];
        let wrong: Vec<_> = cases
            .into_iter()
            .map(|(text, expected)| (text, format!("read rules, {expected}"), refusal(text)))
            .filter(|(_, expected, seen)| !seen.starts_with(expected))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn texts_that_are_too_long_or_too_deep_are_refused() {
        assert!(refusal(&" ".repeat(MAX_BYTES + 1)).contains("1048577 bytes"));
        let deep = format!(
            "[{{\"name\": \"a\", \"check\": {{\"one_of\": {{\"path\": \"\", \"values\": {}",
            "[".repeat(200)
        );
        assert!(refusal(&deep).contains("recursion limit"), "{}", refusal(&deep));
    }
}
