//! Where in a JSON text the values stand that JSON Pointers (RFC 6901) name.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::de::IgnoredAny;

/// Lines and columns of values, both from 1; columns are counted in characters.
pub struct Places(BTreeMap<String, (usize, usize)>);

impl Places {
    /// Looks for these pointers in `bytes`. What is no JSON has no places, and neither has what is not there; of members with one name
    /// the first has it.
    pub fn of<'p>(bytes: &[u8], pointers: impl Iterator<Item = &'p str>) -> Self {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        if serde_json::from_str::<IgnoredAny>(text).is_err() {
            return Self(BTreeMap::new());
        }
        let mut offsets: BTreeMap<&str, Option<usize>> = pointers.map(|pointer| (pointer, None)).collect();
        walk(text, |pointer, offset| {
            if let Some(place) = offsets.get_mut(pointer) {
                place.get_or_insert(offset);
            }
        });
        let mut found: Vec<(usize, &str)> =
            offsets.into_iter().filter_map(|(pointer, offset)| Some((offset?, pointer))).collect();
        found.sort_unstable();
        let (mut line, mut column) = (1, 1);
        let mut places = BTreeMap::new();
        let mut found = found.into_iter().peekable();
        for (offset, character) in text.char_indices() {
            while let Some((_, pointer)) = found.next_if(|(at, _)| *at == offset) {
                places.insert(pointer.to_owned(), (line, column));
            }
            (line, column) = if character == '\n' { (line + 1, 1) } else { (line, column + 1) };
        }
        Self(places)
    }

    pub fn find(&self, pointer: &str) -> Option<(usize, usize)> {
        self.0.get(pointer).copied()
    }
}

/// An array or object that is open.
struct Open {
    /// How much of the pointer names it.
    base: usize,
    /// In an array: which element comes next.
    index: Option<usize>,
    /// In an object: whether the next text is a name.
    wants_name: bool,
}

/// Calls `value` with the pointer and the offset of each value of `text`, which is JSON. With a list of its own: it nests at will.
fn walk(text: &str, mut value: impl FnMut(&str, usize)) {
    let bytes = text.as_bytes();
    let (mut pointer, mut open, mut at) = (String::new(), Vec::<Open>::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let begins = !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b':' | b',' | b']' | b'}');
        let is_name = *byte == b'"' && open.last().is_some_and(|open| open.wants_name);
        if let Some(Open { base, index: Some(index), .. }) = open.last_mut().filter(|_| begins) {
            pointer.truncate(*base);
            // Writing to text does not fail.
            let _written = write!(pointer, "/{index}");
            *index += 1;
        }
        if begins && !is_name {
            value(&pointer, at);
        }
        let mut length = 1;
        match byte {
            b'{' | b'[' => open.push(Open {
                base: pointer.len(),
                index: (*byte == b'[').then_some(0),
                wants_name: *byte == b'{',
            }),
            b'}' | b']' => {
                pointer.truncate(open.pop().map_or(0, |open| open.base));
            }
            b',' => {
                if let Some(open) = open.last_mut() {
                    open.wants_name = open.index.is_none();
                }
            }
            b'"' => {
                length = text_length(bytes.get(at..).unwrap_or_default());
                if let Some(open) = open.last_mut().filter(|_| is_name) {
                    let name =
                        text.get(at..at + length).and_then(|name| serde_json::from_str::<String>(name).ok());
                    pointer.truncate(open.base);
                    pointer.push('/');
                    pointer.push_str(&name.unwrap_or_default().replace('~', "~0").replace('/', "~1"));
                    open.wants_name = false;
                }
            }
            _ if begins => {
                let rest = bytes.get(at..).unwrap_or_default();
                let ends = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b']' | b'}');
                length = rest.iter().position(ends).unwrap_or(rest.len());
            }
            _ => {}
        }
        at += length;
    }
}

/// How many bytes a text has, with its quotation marks.
fn text_length(bytes: &[u8]) -> usize {
    let mut escaped = false;
    for (at, byte) in bytes.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    bytes.len()
}
