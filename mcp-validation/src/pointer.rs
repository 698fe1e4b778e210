//! JSON Pointers (RFC 6901), and paths: pointers in which `*` stands for every element of an array.

use mcp_core::SeamError;
use serde_json::Value;

use crate::rule::Sight;

/// Where something stands, or may stand more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointer {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// Every element of an array; in an object, the key `*`.
    Each,
    Key {
        key: String,
        index: Option<usize>,
    },
}

/// What is done at each place: called with the place as a pointer, and with what stands there.
pub(crate) type See<'s, 'v> =
    dyn FnMut(&mut Sight<'_>, &str, Option<&'v Value>) -> Result<(), SeamError> + 's;

/// More segments than a document can nest lead nowhere.
const MAX_SEGMENTS: usize = crate::Limits::DEEPEST;

impl Pointer {
    /// Reads a path in which `*` may stand.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self { segments: Vec::new() });
        }
        let refuse = |reason: &str| {
            Err(format!("the path {:?} {reason}", crate::findings::shortened(text.to_owned())))
        };
        let Some(rest) = text.strip_prefix('/') else {
            return refuse("does not begin with '/', as a JSON pointer does unless it is empty");
        };
        let mut segments = Vec::new();
        for raw in rest.split('/') {
            if raw == "*" {
                segments.push(Segment::Each);
                continue;
            }
            let Some(key) = unescape(raw) else {
                return refuse(
                    "has a '~' that neither '0' nor '1' follows, write '~0' for '~' and '~1' for '/'",
                );
            };
            // RFC 6901, section 4: digits without a leading zero.
            let is_index =
                key == "0" || (!key.starts_with('0') && key.bytes().all(|byte| byte.is_ascii_digit()));
            let index = if is_index { key.parse().ok() } else { None };
            segments.push(Segment::Key { key, index });
        }
        if segments.len() > MAX_SEGMENTS {
            return refuse(&format!("has {} segments, at most {MAX_SEGMENTS} are possible", segments.len()));
        }
        Ok(Self { segments })
    }

    /// Reads a pointer to one place.
    pub(crate) fn parse_single(text: &str) -> Result<Self, String> {
        let pointer = Self::parse(text)?;
        if pointer.segments.contains(&Segment::Each) {
            return Err(format!("the path {text:?} has a '*', but one place is needed here"));
        }
        Ok(pointer)
    }

    /// Splits both behind their last `*`: what they share, and what follows in each. `None` when they do not share it.
    pub(crate) fn split_shared(left: &Self, right: &Self) -> Option<(Self, Self, Self)> {
        let behind_each = |pointer: &Self| {
            pointer.segments.iter().rposition(|segment| *segment == Segment::Each).map_or(0, |last| last + 1)
        };
        let shared = behind_each(left);
        if behind_each(right) != shared {
            return None;
        }
        let (left_shared, left_rest) = left.segments.split_at_checked(shared)?;
        let (right_shared, right_rest) = right.segments.split_at_checked(shared)?;
        let own = |segments: &[Segment]| Self { segments: segments.to_vec() };
        (left_shared == right_shared).then(|| (own(left_shared), own(left_rest), own(right_rest)))
    }

    /// The value at this place; `None` when there is none or it is null. `*` leads nowhere.
    pub(crate) fn get<'v>(&self, root: &'v Value) -> Option<&'v Value> {
        let mut value = root;
        for segment in &self.segments {
            let Segment::Key { key, index } = segment else { return None };
            value = step(value, key, *index)?;
        }
        present(value)
    }

    /// Calls `see` with every place, as a pointer, and what stands there: `None` when nothing does or it is null. Each call costs a
    /// step, as does each element at which the way ends before, and each 64 bytes of keys.
    pub(crate) fn visit<'v>(
        &self,
        root: &'v Value,
        sight: &mut Sight<'_>,
        see: &mut See<'_, 'v>,
    ) -> Result<(), SeamError> {
        walk(&self.segments, Some(root), &mut String::new(), sight, see)
    }

    /// Appends these segments to a path.
    pub(crate) fn push_onto(&self, path: &mut String) {
        for segment in &self.segments {
            match segment {
                Segment::Each => push_segment(path, "*"),
                Segment::Key { key, .. } => push_segment(path, key),
            }
        }
    }
}

fn walk<'v>(
    segments: &[Segment],
    value: Option<&'v Value>,
    path: &mut String,
    sight: &mut Sight<'_>,
    see: &mut See<'_, 'v>,
) -> Result<(), SeamError> {
    if sight.is_decided() {
        return Ok(());
    }
    let Some((segment, rest)) = segments.split_first() else {
        sight.spend(1)?;
        return see(sight, path, value.and_then(present));
    };
    let before = path.len();
    match (segment, value) {
        (Segment::Each, Some(Value::Array(elements))) if !elements.is_empty() => {
            for (index, element) in elements.iter().enumerate() {
                push_segment(path, &index.to_string());
                walk(rest, Some(element), path, sight, see)?;
                path.truncate(before);
            }
        }
        (Segment::Each, Some(Value::Object(_))) => {
            push_segment(path, "*");
            walk(rest, value.and_then(|value| step(value, "*", None)), path, sight, see)?;
        }
        // Where there is no array, there are no elements to speak of.
        (Segment::Each, _) => sight.spend(1)?,
        (Segment::Key { key, index }, value) => {
            sight.spend_path(key)?;
            push_segment(path, key);
            walk(rest, value.and_then(|value| step(value, key, *index)), path, sight, see)?;
        }
    }
    path.truncate(before);
    Ok(())
}

fn step<'v>(value: &'v Value, key: &str, index: Option<usize>) -> Option<&'v Value> {
    match value {
        Value::Object(members) => members.get(key),
        Value::Array(elements) => elements.get(index?),
        _ => None,
    }
}

fn present(value: &Value) -> Option<&Value> {
    Some(value).filter(|value| !value.is_null())
}

fn unescape(raw: &str) -> Option<String> {
    let mut key = String::with_capacity(raw.len());
    let mut characters = raw.chars();
    while let Some(character) = characters.next() {
        key.push(match character {
            '~' => match characters.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            other => other,
        });
    }
    Some(key)
}

/// Appends `/` and the escaped key.
pub(crate) fn push_segment(path: &mut String, key: &str) {
    path.push('/');
    for character in key.chars() {
        match character {
            '~' => path.push_str("~0"),
            '/' => path.push_str("~1"),
            other => path.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rule::Wording;
    use crate::{Findings, Limits};

    fn visited(path: &str, root: &Value) -> Vec<(String, Option<Value>)> {
        let mut findings = Findings::new(&Limits::default());
        let mut seen = Vec::new();
        Pointer::parse(path)
            .expect(path)
            .visit(root, &mut Sight::for_tests(&mut findings, &Wording::none()), &mut |_, path, value| {
                seen.push((path.to_owned(), value.cloned()));
                Ok(())
            })
            .expect("enough steps");
        seen
    }

    #[test]
    fn a_star_stands_for_every_element_and_for_the_key_star() {
        let root = json!({"lines": [{"n": 1}, {}, {"n": null}], "*": {"n": 4}});
        let expected = [("/lines/0/n", Some(json!(1))), ("/lines/1/n", None), ("/lines/2/n", None)];
        assert_eq!(visited("/lines/*/n", &root), expected.map(|(path, value)| (path.to_owned(), value)));
        assert_eq!(visited("/*/n", &root), [("/*/n".to_owned(), Some(json!(4)))]);
        assert_eq!(visited("/gone/*/n", &root), []);
    }

    #[test]
    fn escapes_lead_to_the_key_and_come_back_in_the_path() {
        let root = json!({"a/b": {"~": 1}, "": 2, "0": 3});
        assert_eq!(visited("/a~1b/~0", &root), [("/a~1b/~0".to_owned(), Some(json!(1)))]);
        assert_eq!(visited("/", &root), [("/".to_owned(), Some(json!(2)))]);
        assert_eq!(visited("/0", &root), [("/0".to_owned(), Some(json!(3)))]);
        assert_eq!(visited("", &json!(5)), [(String::new(), Some(json!(5)))]);
    }

    #[test]
    fn an_index_has_no_leading_zero_and_no_sign() {
        let root = json!(["a", "b"]);
        for (path, expected) in
            [("/1", Some(json!("b"))), ("/01", None), ("/+1", None), ("/-", None), ("/2", None)]
        {
            assert_eq!(visited(path, &root), [(path.to_owned(), expected)]);
        }
    }

    #[test]
    fn what_is_no_pointer_is_refused_with_the_reason() {
        assert!(Pointer::parse("total").is_err_and(|reason| reason.contains("does not begin with '/'")));
        assert!(Pointer::parse("/a~2").is_err_and(|reason| reason.contains("write '~0'")));
        assert!(Pointer::parse("/a~").is_err_and(|reason| reason.contains("write '~0'")));
        assert!(Pointer::parse(&"/a".repeat(128)).is_err_and(|reason| reason.contains("128 segments")));
        assert!(Pointer::parse_single("/a/*").is_err_and(|reason| reason.contains("one place is needed")));
    }
}
