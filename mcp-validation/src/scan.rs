//! One look over JSON text with a stack of its own, for text that is no JSON, or has keys that stand twice.

use std::borrow::Cow;

use serde_json::Value;

use crate::findings::{beginning, shortened};
use crate::pointer::push_segment;

/// What can be known of JSON text that is not parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// How many arrays and objects stand inside one another at most.
    pub(crate) depth: usize,
    /// Pointers to keys that stand more than once in their object, in the order of the objects' ends.
    pub(crate) duplicates: Vec<String>,
    /// How many there are, kept or not.
    pub(crate) duplicate_count: u64,
}

/// The document nests deeper than was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooDeep;

/// How many pointers to duplicate keys are kept.
const DUPLICATES_KEPT: usize = 1000;
/// An element's place in an array takes at most this many bytes of a pointer: the slash and 20 digits.
pub(crate) const INDEX_BYTES: usize = 21;

enum Place<'a> {
    Element(u64),
    Member { key: Cow<'a, str>, first_key: usize, key_follows: bool },
}

/// Looks at JSON text. What is no JSON does not matter here: the parser that follows will say so.
pub(crate) fn scan_text(text: &[u8], max_depth: usize) -> Result<Shape, TooDeep> {
    let mut scan = Scan { shape: Shape::default(), frames: Vec::new(), keys: Vec::new() };
    let mut position = 0;
    while let Some(byte) = text.get(position) {
        position += 1;
        match byte {
            b'"' => {
                let Some(end) = string_end(text, position) else { break };
                scan.string(text.get(position..end).unwrap_or_default());
                position = end + 1;
            }
            b'{' | b'[' => scan.open(*byte == b'{', max_depth)?,
            b'}' | b']' => scan.close(),
            b',' => scan.next(),
            _ => {}
        }
    }
    Ok(scan.shape)
}

/// Where the quote stands that ends the string which begins at `start`.
fn string_end(text: &[u8], start: usize) -> Option<usize> {
    let mut position = start;
    loop {
        match text.get(position)? {
            b'"' => return Some(position),
            b'\\' => position += 2,
            _ => position += 1,
        }
    }
}

struct Scan<'a> {
    shape: Shape,
    frames: Vec<Place<'a>>,
    /// The keys of all open objects, each object's behind those of the one around it.
    keys: Vec<Cow<'a, str>>,
}

impl<'a> Scan<'a> {
    fn open(&mut self, object: bool, max_depth: usize) -> Result<(), TooDeep> {
        if self.frames.len() >= max_depth {
            return Err(TooDeep);
        }
        self.frames.push(if object {
            Place::Member { key: Cow::Borrowed(""), first_key: self.keys.len(), key_follows: true }
        } else {
            Place::Element(0)
        });
        self.shape.depth = self.shape.depth.max(self.frames.len());
        Ok(())
    }

    fn string(&mut self, raw: &'a [u8]) {
        let Some(Place::Member { key, key_follows, .. }) = self.frames.last_mut() else {
            return;
        };
        if !std::mem::take(key_follows) {
            return;
        }
        *key = unescape(raw);
        self.keys.push(key.clone());
    }

    fn next(&mut self) {
        match self.frames.last_mut() {
            Some(Place::Element(index)) => *index += 1,
            Some(Place::Member { key_follows, .. }) => *key_follows = true,
            None => {}
        }
    }

    fn close(&mut self) {
        let Some(Place::Member { first_key, .. }) = self.frames.pop() else {
            return;
        };
        let mut keys = std::mem::take(&mut self.keys);
        let own = keys.get_mut(first_key..).unwrap_or_default();
        own.sort_unstable();
        let mut previous: Option<&Cow<'_, str>> = None;
        let mut told = false;
        for key in &*own {
            let repeated = previous == Some(key);
            if repeated && !told {
                self.duplicate(key);
            }
            told = repeated;
            previous = Some(key);
        }
        keys.truncate(first_key);
        self.keys = keys;
    }

    fn duplicate(&mut self, key: &str) {
        self.shape.duplicate_count += 1;
        if self.shape.duplicates.len() >= DUPLICATES_KEPT {
            return;
        }
        let mut path = String::new();
        for frame in &self.frames {
            match frame {
                Place::Element(index) => push_segment(&mut path, &index.to_string()),
                // No more than is shown: the keys may be as long as the document, and there may be many duplicates.
                Place::Member { key, .. } => push_segment(&mut path, beginning(key)),
            }
        }
        push_segment(&mut path, beginning(key));
        self.shape.duplicates.push(shortened(path));
    }
}

/// The key as JSON means it: two spellings of one key are one key.
fn unescape(raw: &[u8]) -> Cow<'_, str> {
    if raw.contains(&b'\\') {
        let quoted = [b"\"", raw, b"\""].concat();
        if let Ok(key) = serde_json::from_slice::<String>(&quoted) {
            return Cow::Owned(key);
        }
    }
    String::from_utf8_lossy(raw)
}

/// What a key takes of a pointer.
pub(crate) fn segment_bytes(key: &str) -> usize {
    1 + key.len() + key.bytes().filter(|byte| matches!(byte, b'~' | b'/')).count()
}

/// How many arrays and objects stand inside one another at most in a value that somebody else has parsed.
pub(crate) fn scan_value(value: &Value, max_depth: usize) -> Result<usize, TooDeep> {
    let mut deepest = 0;
    let mut waiting = vec![(value, 0_usize)];
    while let Some((value, depth)) = waiting.pop() {
        let inside = depth + usize::from(value.is_array() || value.is_object());
        if inside > max_depth {
            return Err(TooDeep);
        }
        deepest = deepest.max(inside);
        match value {
            Value::Array(elements) => waiting.extend(elements.iter().map(|element| (element, inside))),
            Value::Object(members) => waiting.extend(members.values().map(|member| (member, inside))),
            _ => {}
        }
    }
    Ok(deepest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn duplicates(text: &str) -> Vec<String> {
        scan_text(text.as_bytes(), 127).expect("not too deep").duplicates
    }

    #[test]
    fn a_key_that_stands_twice_is_found_where_it_stands() {
        assert_eq!(duplicates(r#"{"a":1,"b":{"c":1,"c":2},"a":3,"a":4}"#), ["/b/c", "/a"]);
        assert_eq!(duplicates(r#"[0,{"x":[{"k":1},{"k":1,"j":2,"k":3}]}]"#), ["/1/x/1/k"]);
    }

    #[test]
    fn two_spellings_of_a_key_are_one_key() {
        assert_eq!(duplicates(r#"{"a/b":1,"\u0061\/b":2}"#), ["/a~1b"]);
    }

    #[test]
    fn equal_strings_that_are_no_keys_of_one_object_are_no_duplicates() {
        assert_eq!(duplicates(r#"{"a":"a","b":["a","a"],"c":{"a":1},"d":{"a":"x\"a"}}"#), [""; 0]);
    }

    #[test]
    fn what_stands_in_a_string_does_not_nest() {
        assert_eq!(scan_text(br#"{"a":"[[[[\"{{"}"#, 1).map(|shape| shape.depth), Ok(1));
    }

    #[test]
    fn the_first_bracket_too_many_stops_the_scan() {
        let text = "[".repeat(100_000);
        assert_eq!(scan_text(text.as_bytes(), 127), Err(TooDeep));
        let fits = format!("{}{}", "[".repeat(127), "]".repeat(127));
        assert_eq!(scan_text(fits.as_bytes(), 127).map(|shape| shape.depth), Ok(127));
    }

    #[test]
    fn what_is_no_json_is_left_to_the_parser() {
        for text in
            ["", "}", "]]]", "\"", "\"\\", "{\"a", "{\"a\":", ",,,,", "{,}", "\u{feff}{}", "nul", "{{{]"]
        {
            assert!(scan_text(text.as_bytes(), 127).is_ok_and(|shape| shape.duplicate_count == 0), "{text}");
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            "[ab~/\"\\\\\u{e9}\\[{]{0,4}".prop_map(Value::String),
        ];
        leaf.prop_recursive(5, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                prop::collection::btree_map("[ab~/\"\u{e9}{\\\\]{0,3}", inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// The depth by plain recursion, to compare with.
    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(elements) => 1 + elements.iter().map(depth).max().unwrap_or(0),
            Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    proptest! {
        #[test]
        fn text_and_value_have_the_depth_that_recursion_finds(value in json()) {
            let text = serde_json::to_string(&value).unwrap();
            let shape = scan_text(text.as_bytes(), 127).expect("text");
            prop_assert_eq!(shape.depth, depth(&value));
            prop_assert_eq!(scan_value(&value, 127), Ok(depth(&value)));
            prop_assert_eq!(shape.duplicate_count, 0);
        }

        #[test]
        fn no_bytes_stop_the_scan_in_an_odd_way(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(shape) = scan_text(&bytes, 9) {
                prop_assert!(shape.depth <= 9);
            }
        }
    }
}
