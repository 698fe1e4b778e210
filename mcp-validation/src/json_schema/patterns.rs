//! What the regular expressions of a schema take together, before any of them is compiled: a schema of a few megabytes can hold a hundred
//! thousand, each within the limit of one.

use std::collections::BTreeSet;

use mcp_core::{ErrorKind, SeamError};
use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::Value;

use crate::Limits;

/// What a state of the automaton takes; there is one for matching forwards and one for backwards.
const BYTES_PER_STATE: u64 = 2 * 32;
/// What a compiled pattern takes whatever it says.
const BYTES_PER_PATTERN: u64 = 4 << 10;
/// What all patterns together may remember of texts that they were matched against, for each thread that matches.
const REMEMBERED_BYTES: usize = 64 << 20;
/// The `regex` crate's own bound for one.
const REMEMBERED_AT_MOST: usize = 2 << 20;
/// With less, it matches in a way that takes more.
const REMEMBERED_AT_LEAST: usize = 16 << 10;

/// Adds up the distinct patterns of these documents, and tells how many bytes each may remember of the texts that it is matched against.
///
/// Whatever stands under `pattern` and `patternProperties` counts, also where no schema is: that is never too little.
pub(super) fn measure<'v>(
    documents: impl IntoIterator<Item = &'v Value>,
    limits: &Limits,
) -> Result<usize, SeamError> {
    let mut patterns: BTreeSet<&str> = BTreeSet::new();
    let mut waiting: Vec<&Value> = documents.into_iter().collect();
    while let Some(value) = waiting.pop() {
        match value {
            Value::Array(elements) => waiting.extend(elements),
            Value::Object(members) => {
                patterns.extend(members.get("pattern").and_then(Value::as_str));
                let names = members.get("patternProperties").and_then(Value::as_object);
                patterns.extend(names.into_iter().flat_map(|names| names.keys().map(String::as_str)));
                waiting.extend(members.values());
            }
            _ => {}
        }
    }
    let mut bytes = 0_u64;
    for pattern in &patterns {
        bytes = bytes.saturating_add(compiled_bytes(pattern, limits));
        if bytes > limits.max_patterns_bytes {
            return Err(SeamError::new(
                ErrorKind::Exhausted,
                format!(
                    "compile a schema whose patterns would take more than {} bytes together, raise max_patterns_bytes or use fewer and simpler ones",
                    limits.max_patterns_bytes
                ),
            ));
        }
    }
    let share = REMEMBERED_BYTES / patterns.len().max(1);
    Ok(share.clamp(REMEMBERED_AT_LEAST, REMEMBERED_AT_MOST))
}

/// About what a pattern takes when it is compiled, more rather than less. What is beyond the limit of one is refused when that one is
/// compiled, and what is no pattern too.
fn compiled_bytes(pattern: &str, limits: &Limits) -> u64 {
    let most = u64::try_from(limits.max_pattern_bytes).unwrap_or(u64::MAX).saturating_mul(2);
    let read =
        jsonschema_regex::to_rust_regex(pattern).ok().and_then(|pattern| regex_syntax::parse(&pattern).ok());
    let bytes = read.map_or(0, |hir| states(&hir).saturating_mul(BYTES_PER_STATE).min(most));
    bytes.saturating_add(BYTES_PER_PATTERN)
}

/// The parser nests no deeper than 250 levels.
fn states(hir: &Hir) -> u64 {
    let sum = |parts: &[Hir]| parts.iter().map(states).fold(1, u64::saturating_add);
    let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => count(literal.0.len()),
        HirKind::Class(Class::Unicode(class)) if class.is_ascii() => count(class.ranges().len()),
        // Beyond ASCII a character is up to four bytes, of which ranges share some.
        HirKind::Class(Class::Unicode(class)) => {
            count(class.ranges().len()).saturating_mul(2).saturating_add(12)
        }
        HirKind::Class(Class::Bytes(class)) => count(class.ranges().len()),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min.saturating_add(1)).max(1);
            // One more state where it may end.
            let ends = u64::from(repetition.max != Some(repetition.min));
            states(&repetition.sub).saturating_add(ends).saturating_mul(u64::from(times))
        }
        HirKind::Capture(capture) => states(&capture.sub).saturating_add(2),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => sum(parts),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bytes(pattern: &str) -> u64 {
        compiled_bytes(pattern, &Limits::default()) - BYTES_PER_PATTERN
    }

    /// What the engine itself says that a pattern takes.
    fn largest_refused(pattern: &str) -> u64 {
        let (mut fits, mut too_small) = (32 << 20, 0);
        while fits - too_small > 64 {
            let size = usize::midpoint(fits, too_small);
            let built = regex::RegexBuilder::new(pattern).size_limit(size).build();
            *(if built.is_ok() { &mut fits } else { &mut too_small }) = size;
        }
        too_small as u64
    }

    #[test]
    fn the_estimate_is_no_less_than_what_the_engine_needs_and_not_far_more() {
        for pattern in [
            "^[a-z]{1,64}$",
            "x{1000}",
            "(a|b|cd){10,20}",
            r"^\w+$",
            r"[\w\s]{3}",
            "(?:[0-9a-f]{2}:){5}",
            ".{100}",
        ] {
            let pattern = jsonschema_regex::to_rust_regex(pattern).expect("a pattern");
            let (estimate, real) = (bytes(&pattern), largest_refused(&pattern));
            assert!(estimate * 2 >= real && estimate <= real * 8, "{pattern}: {estimate} for {real}");
        }
    }

    #[test]
    fn equal_patterns_count_once_and_too_many_are_exhausted() {
        let schema = |distinct: usize| {
            let all: Vec<Value> = (0..1000)
                .map(|number| json!({"pattern": format!("^{}x{{500}}$", number % distinct)}))
                .collect();
            json!({"anyOf": all, "patternProperties": {"a": {"items": [{"pattern": "b"}]}}})
        };
        let measured = |schema: &Value, max_patterns_bytes| {
            let limits = Limits { max_patterns_bytes, ..Limits::default() };
            measure([schema], &limits).map_err(|error| error.kind())
        };
        assert_eq!(measured(&schema(1), 100 << 10), Ok(REMEMBERED_AT_MOST));
        assert_eq!(measured(&schema(1000), 100 << 10), Err(ErrorKind::Exhausted));
        assert_eq!(measured(&schema(1000), 64 << 20), Ok(REMEMBERED_BYTES / 1002));
    }
}
