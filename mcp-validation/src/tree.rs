//! A JSON document as one flat list of its values, in the order of the text: what a schema is judged over. It takes two allocations
//! where [`Value`] takes one for each string, array and object.

mod of_value;
mod parse;

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

pub(crate) use self::of_value::NoTree;
pub(crate) use self::parse::NotRead;

/// The values of one document. The first node is the whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    /// Where every string and key stands, without its escapes.
    text: String,
    nodes: Vec<Node>,
    wide: Vec<Wide>,
    /// The keys of wide objects, each object's together and in order.
    sorted: Vec<u32>,
    depth: usize,
}

/// A value, or the key of the value behind it. What is inside an array or object stands behind it, up to `end`.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Number(Number),
    String(Span),
    Key(Span),
    Array {
        length: u32,
        end: u32,
    },
    Object {
        length: u32,
        end: u32,
    },
    /// An object with so many members that its keys are kept in order, too.
    Wide {
        place: u32,
        end: u32,
    },
}

/// A part of the tree's text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: u32,
    length: u32,
}

impl Span {
    pub(crate) const fn bytes(self) -> usize {
        self.length as usize
    }
}

/// Which keys in [`Tree::sorted`] are those of a wide object.
#[derive(Clone, Copy, Debug)]
struct Wide {
    first: u32,
    length: u32,
}

/// Up to so many members, their keys are compared one by one.
const NARROW: usize = 32;

/// Whether `serde_json` keeps members in the order of their keys; any crate of a build can turn on `preserve_order`, and then it does not.
#[cfg(feature = "json-schema")]
const MAP_SORTS: bool =
    size_of::<Map<String, Value>>() == size_of::<std::collections::BTreeMap<String, Value>>();

/// The document has more values, or more text, than can be counted here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl Tree {
    /// How many arrays and objects stand inside one another at most.
    pub(crate) const fn depth(&self) -> usize {
        self.depth
    }

    /// `None` behind the last node, which nobody asks for.
    #[inline]
    pub(crate) fn node(&self, index: u32) -> Option<&Node> {
        self.nodes.get(index as usize)
    }

    #[inline]
    pub(crate) fn text(&self, span: Span) -> &str {
        let start = span.start as usize;
        self.text.get(start..start + span.length as usize).unwrap_or_default()
    }

    #[inline]
    fn text_bytes(&self, span: Span) -> &[u8] {
        let start = span.start as usize;
        self.text.as_bytes().get(start..start + span.length as usize).unwrap_or_default()
    }

    /// The node behind the value at `index` and all that it holds.
    #[inline]
    pub(crate) fn behind(&self, index: u32) -> u32 {
        match self.node(index) {
            Some(Node::Array { end, .. } | Node::Object { end, .. } | Node::Wide { end, .. }) => *end,
            _ => index + 1,
        }
    }

    /// How many members the object at `index` has; 0 for another value.
    #[inline]
    pub(crate) fn members(&self, index: u32) -> u32 {
        match self.node(index) {
            Some(Node::Object { length, .. }) => *length,
            Some(Node::Wide { place, .. }) => self.wide.get(*place as usize).map_or(0, |wide| wide.length),
            _ => 0,
        }
    }

    /// Where the value of `key` stands in the object at `index`.
    #[inline]
    pub(crate) fn member(&self, index: u32, key: &str) -> Option<u32> {
        match self.node(index)? {
            Node::Object { end, .. } => {
                let mut place = index + 1;
                while place < *end {
                    if let Some(Node::Key(span)) = self.node(place)
                        && span.bytes() == key.len()
                        && self.text_bytes(*span) == key.as_bytes()
                    {
                        return Some(place + 1);
                    }
                    place = self.behind(place + 1);
                }
                None
            }
            Node::Wide { place, .. } => {
                let wide = self.wide.get(*place as usize)?;
                let (first, length) = (wide.first as usize, wide.length as usize);
                let keys = self.sorted.get(first..first + length)?;
                let found = keys.binary_search_by(|place| self.key(*place).cmp(key)).ok()?;
                keys.get(found).map(|place| place + 1)
            }
            _ => None,
        }
    }

    /// The key that stands at `index`; empty where none does.
    #[inline]
    pub(crate) fn key(&self, index: u32) -> &str {
        match self.node(index) {
            Some(Node::Key(span)) => self.text(*span),
            _ => "",
        }
    }

    /// Where the keys of the object at `index` stand, in the order in which `serde_json` goes through its members.
    #[cfg(feature = "json-schema")]
    pub(crate) fn keys_in_order(&self, index: u32) -> Vec<u32> {
        let end = self.behind(index);
        let mut place = index + 1;
        let mut keys = Vec::with_capacity(self.members(index) as usize);
        while place < end {
            keys.push(place);
            place = self.behind(place + 1);
        }
        if MAP_SORTS {
            keys.sort_unstable_by(|one, other| self.key(*one).cmp(self.key(*other)));
        }
        keys
    }

    /// The nodes inside the value at `index`, at any depth.
    pub(crate) fn inside(&self, index: u32) -> &[Node] {
        self.nodes.get(index as usize + 1..self.behind(index) as usize).unwrap_or_default()
    }

    /// The value at `index`, as `serde_json` would have read it.
    pub(crate) fn value(&self, index: u32) -> Value {
        match self.node(index) {
            None | Some(Node::Null) => Value::Null,
            Some(Node::Bool(value)) => Value::Bool(*value),
            Some(Node::Number(number)) => Value::Number(number.clone()),
            Some(Node::String(span) | Node::Key(span)) => Value::String(self.text(*span).to_owned()),
            Some(Node::Array { length, end }) => {
                let mut elements = Vec::with_capacity(*length as usize);
                let mut place = index + 1;
                while place < *end {
                    elements.push(self.value(place));
                    place = self.behind(place);
                }
                Value::Array(elements)
            }
            Some(Node::Object { end, .. } | Node::Wide { end, .. }) => {
                let mut place = index + 1;
                let members = std::iter::from_fn(|| {
                    (place < *end).then(|| {
                        let member = (self.key(place).to_owned(), self.value(place + 1));
                        place = self.behind(place + 1);
                        member
                    })
                });
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }

    /// No JSON Pointer into the document is longer, in bytes.
    pub(crate) fn longest_path_bytes(&self) -> usize {
        let mut longest = 0;
        // Of each container around a node: where it ends, and how long the pointer to it is.
        let mut open: Vec<(usize, usize)> = Vec::new();
        let mut of_member = None;
        for (index, node) in self.nodes.iter().enumerate() {
            while open.last().is_some_and(|(end, _)| *end <= index) {
                open.pop();
            }
            let around = open.last().map(|(_, bytes)| *bytes);
            if let Node::Key(span) = node {
                of_member = Some(around.unwrap_or(0) + crate::scan::segment_bytes(self.text(*span)));
                continue;
            }
            let bytes = of_member
                .take()
                .unwrap_or_else(|| around.map_or(0, |bytes| bytes + crate::scan::INDEX_BYTES));
            longest = longest.max(bytes);
            if let Node::Array { end, .. } | Node::Object { end, .. } | Node::Wide { end, .. } = node {
                // An empty array has no element, but what is judged there may be told as its first.
                if matches!(node, Node::Array { .. }) {
                    longest = longest.max(bytes + crate::scan::INDEX_BYTES);
                }
                open.push((*end as usize, bytes));
            }
        }
        longest
    }

    /// Notes an object at `index` whose keys stand in `keys`; false when two of them are equal.
    fn close_object(&mut self, index: usize, keys: &[Key]) -> Result<bool, TooLarge> {
        let end = small(self.nodes.len())?;
        let length = small(keys.len())?;
        if keys.len() <= NARROW {
            if let Some(node) = self.nodes.get_mut(index) {
                *node = Node::Object { length, end };
            }
            return Ok(self.are_distinct(keys));
        }
        let first = self.sorted.len();
        self.sorted.extend(keys.iter().map(|key| key.node));
        let mut own = self.sorted.split_off(first);
        own.sort_unstable_by(|one, other| self.key(*one).cmp(self.key(*other)));
        let distinct = own.windows(2).all(|pair| match pair {
            [one, other] => self.key(*one).cmp(self.key(*other)) == Ordering::Less,
            _ => true,
        });
        self.sorted.append(&mut own);
        let place = small(self.wide.len())?;
        self.wide.push(Wide { first: small(first)?, length });
        if let Some(node) = self.nodes.get_mut(index) {
            *node = Node::Wide { place, end };
        }
        Ok(distinct)
    }

    fn are_distinct(&self, mut keys: &[Key]) -> bool {
        while let Some((last, before)) = keys.split_last() {
            for key in before {
                if key.mark == last.mark && self.key(key.node) == self.key(last.node) {
                    return false;
                }
            }
            keys = before;
        }
        true
    }

    fn close_array(&mut self, index: usize, length: u32) -> Result<(), TooLarge> {
        let end = small(self.nodes.len())?;
        if let Some(node) = self.nodes.get_mut(index) {
            *node = Node::Array { length, end };
        }
        Ok(())
    }
}

/// A key of an object that is still open.
#[derive(Clone, Copy)]
struct Key {
    node: u32,
    /// Equal for equal keys, and seldom for others.
    mark: u32,
}

impl Key {
    #[inline]
    fn new(node: u32, bytes: &[u8]) -> Self {
        let first = bytes.first_chunk().map_or_else(|| few(bytes), |chunk| u64::from_le_bytes(*chunk));
        let last = bytes.last_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk));
        let mixed = (first ^ last.rotate_left(23) ^ bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { node, mark: u32::try_from(mixed >> 32).unwrap_or(0) }
    }
}

/// Fewer than 8 bytes as one number.
fn few(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn small(number: usize) -> Result<u32, TooLarge> {
    u32::try_from(number).map_err(|_| TooLarge)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<Value, NotRead> {
        Tree::parse(text, 127).map(|tree| tree.value(0))
    }

    /// What is read here is what `serde_json` reads, to the bit of every float; what is not, has a fault or a key twice.
    fn check(text: &str) -> Result<(), TestCaseError> {
        match (parsed(text), serde_json::from_str::<Value>(text)) {
            (Ok(ours), Ok(theirs)) => {
                prop_assert_eq!(ours.to_string(), theirs.to_string(), "{}", text);
                prop_assert_eq!(&ours, &theirs, "{}", text);
                let (of_value, _) = Tree::of(&theirs, 127).expect("small");
                prop_assert_eq!(of_value.value(0), theirs, "{}", text);
            }
            (Err(NotRead::Fault), Err(_)) => {}
            (Err(NotRead::Duplicates), Ok(_)) => {
                let shape = crate::scan::scan_text(text.as_bytes(), 127).expect("not too deep");
                prop_assert!(shape.duplicate_count > 0, "{}", text);
            }
            (ours, theirs) => prop_assert!(false, "{:?}: {:?} against {:?}", text, ours, theirs),
        }
        Ok(())
    }

    #[test]
    fn a_node_takes_no_more_than_a_number() {
        assert_eq!(size_of::<Node>(), size_of::<Number>().max(16));
    }

    #[test]
    fn odd_text_is_read_as_the_known_parser_reads_it() {
        for text in [
            "",
            " ",
            "1",
            "-",
            "-0",
            "0",
            "-0.0",
            "00",
            "01",
            "-01",
            "1.",
            ".5",
            "1.5",
            "1e5",
            "1E+5",
            "1e-5",
            "1e",
            "1e+",
            "+1",
            "1-2",
            "1.2.3",
            "1e5e5",
            "0e999",
            "1e999",
            "-1e999",
            "1e-999",
            "123456789012345678",
            "999999999999999999",
            "1000000000000000000",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775808",
            "-9223372036854775809",
            "123456789012345678901234567890",
            "0.1",
            "0.30000000000000004",
            "2.2250738585072011e-308",
            "5e-324",
            "1.7976931348623157e308",
            "1.7976931348623159e308",
            "inf",
            "nan",
            "1_0",
            "true",
            "tru",
            "truex",
            "false",
            "fals",
            "null",
            "nul",
            "nullnull",
            "[",
            "]",
            "[]",
            "[ ]",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{",
            "}",
            "{}",
            "{ }",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1 \"b\":2}",
            "{1:2}",
            "{\"a\":1}}",
            "[{\"a\":[{}]},[[]],\"\"]",
            "\"",
            "\"a",
            "\"\\\"",
            "\"\\\"\"",
            "\"\\u0041\\n\"",
            "\"\\ud83d\\ude00\"",
            "\"\\ud83d\"",
            "\"\\ude00\"",
            "\"\\u00\"",
            "\"\\x\"",
            "\"\n\"",
            "\"\u{7f}\u{80}\u{10ffff}\"",
            "\"12345678\\\\\"",
            "\"1234567\\t89\"",
            "\"\\b\\f\\r\\/\\\\\\\"\"",
            "\u{feff}1",
            "1\u{c}",
            " \t\r\n1 \t\r\n",
            "\u{a0}1",
            "{\"a\":1,\"\\u0061\":2}",
            "[1]]",
            "\"\\u0000\"",
            "{\"\\n\":1,\"\\\\n\":2}",
        ] {
            check(text).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    #[test]
    fn a_member_of_a_wide_object_is_found_and_so_is_its_double() {
        let members = |count: u32| (0..count).map(|member| format!("\"k{}\":{member}", member * 7919 % 1000));
        for count in [1, 31, 32, 33, 34, 500] {
            let text = format!("{{{}}}", members(count).collect::<Vec<_>>().join(","));
            let tree = Tree::parse(&text, 1).expect("members");
            assert_eq!(tree.members(0), count);
            for member in 0..count {
                let place = tree.member(0, &format!("k{}", member * 7919 % 1000)).expect("a member");
                assert_eq!(tree.value(place), Value::from(member));
            }
            assert_eq!(["", "k", "k1000", "l"].map(|key| tree.member(0, key)), [None; 4]);
            let twice = format!("{{{},\"k0\":1}}", members(count).collect::<Vec<_>>().join(","));
            assert_eq!(Tree::parse(&twice, 1).map(|_| ()), Err(NotRead::Duplicates), "{count}");
        }
    }

    #[test]
    fn depth_is_counted_and_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(Tree::parse(&nested(127), 127).map(|tree| tree.depth()), Ok(127));
        assert_eq!(Tree::parse(&nested(128), 127).map(|tree| tree.depth()), Err(NotRead::TooDeep));
        assert_eq!(Tree::parse("[{\"a\":[]},[]]", 127).map(|tree| tree.depth()), Ok(3));
        let value = serde_json::json!([{"a": []}, []]);
        assert_eq!(Tree::of(&value, 3).map(|(tree, _)| tree.depth()), Ok(3));
        assert_eq!(Tree::of(&value, 2).map(|(tree, _)| tree.depth()), Err(NoTree::TooDeep));
    }

    #[test]
    fn no_pointer_is_longer_than_the_longest_path() {
        for (text, longest) in
            [("1", 0), ("[]", 21), ("{\"a/b\":1,\"c\":{\"d\":2}}", 5), ("{\"a\":[{\"b\":1}]}", 25)]
        {
            assert_eq!(Tree::parse(text, 9).expect("text").longest_path_bytes(), longest, "{text}");
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-20_i64..20).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[ab~/\"\\\\\u{e9}\u{1F600}\n\t\u{1}{\\[]{0,20}".prop_map(Value::String),
        ];
        leaf.prop_recursive(5, 60, 40, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                prop::collection::btree_map("[ab~/\"\u{e9}{\\\\]{0,9}", inner, 0..40)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_document_reads_as_the_known_parser_reads_it(value in json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            check(&text)?;
            let (tree, bytes) = Tree::of(&value, 127).expect("small");
            prop_assert_eq!(tree.depth(), crate::scan::scan_value(&value, 127).expect("small"));
            // Escapes make the text longer, and a trailing comma is counted; never by more than this.
            prop_assert!(pretty || bytes <= 2 * text.len() as u64 + 2, "{} for {}", bytes, text);
        }

        #[test]
        fn a_damaged_document_is_refused_where_the_known_parser_refuses_it(
            value in json(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), "[-+0-9.eE,:\"\\\\u{}\\[\\]tfn \n\u{e9}]{0,2}"), 1..4),
        ) {
            let mut text: Vec<char> = serde_json::to_string(&value).unwrap().chars().collect();
            for (place, put) in damage {
                let at = place.index(text.len() + 1);
                text.splice(at..(at + 1).min(text.len()), put.chars());
            }
            check(&text.into_iter().collect::<String>())?;
        }

        #[test]
        fn a_number_reads_as_the_known_parser_reads_it(text in "-?[0-9]{1,25}(\\.[0-9]{1,25})?([eE][-+]?[0-9]{1,3})?") {
            check(&text)?;
        }
    }
}
