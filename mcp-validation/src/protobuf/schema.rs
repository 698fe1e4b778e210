//! What a set of `.proto` files declares, linked: the one view that judging and comparing share.

use std::collections::{BTreeMap, BTreeSet};

/// Everything that was declared. Messages and enums are named by their place in these lists.
#[derive(Debug, Default)]
pub(super) struct Schema {
    pub(super) files: Vec<File>,
    pub(super) messages: Vec<Message>,
    pub(super) enums: Vec<Enum>,
    pub(super) services: Vec<Service>,
    /// Messages and enums by full name, without the leading dot.
    pub(super) types: BTreeMap<String, Type>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Message(usize),
    Enum(usize),
}

#[derive(Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) package: String,
    /// It was given itself, and is no import of what was given.
    pub(super) is_root: bool,
}

#[derive(Debug, Default)]
pub(super) struct Message {
    /// The full name.
    pub(super) name: String,
    pub(super) file: usize,
    pub(super) is_nested: bool,
    pub(super) is_map_entry: bool,
    pub(super) is_message_set: bool,
    /// JSON is only read as far as it goes: two fields may have one JSON name.
    pub(super) json_best_effort: bool,
    /// By number; extensions that are known are among them.
    pub(super) fields: BTreeMap<u32, Field>,
    /// Numbers by what a field may be called in JSON.
    pub(super) names: BTreeMap<String, u32>,
    /// The names of the oneofs that were written; not those that `optional` stands for in proto3.
    pub(super) oneofs: Vec<Oneof>,
    /// The numbers of its required fields.
    pub(super) required: Vec<u32>,
    pub(super) reserved: Ranges,
    pub(super) reserved_names: BTreeSet<String>,
    /// What fields of these names would be called in JSON.
    pub(super) reserved_json_names: BTreeSet<String>,
}

#[derive(Debug)]
pub(super) struct Oneof {
    pub(super) name: String,
    /// The numbers of its members.
    pub(super) members: Vec<u32>,
}

/// Numbers, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Range {
    pub(super) first: i64,
    pub(super) last: i64,
}

/// Ranges in order, none of which overlap or touch.
#[derive(Debug, Default)]
pub(super) struct Ranges(Vec<Range>);

impl Ranges {
    pub(super) fn new(mut ranges: Vec<Range>) -> Self {
        ranges.sort();
        let mut merged: Vec<Range> = Vec::new();
        for range in ranges.into_iter().filter(|range| range.first <= range.last) {
            match merged.last_mut() {
                Some(last) if range.first <= last.last.saturating_add(1) => {
                    last.last = last.last.max(range.last)
                }
                _ => merged.push(range),
            }
        }
        Self(merged)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Range> {
        self.0.iter().copied()
    }

    /// Whether every number of `range` is in them.
    pub(super) fn hold_all(&self, range: Range) -> bool {
        let behind = self.0.partition_point(|other| other.first <= range.first);
        let other = behind.checked_sub(1).and_then(|place| self.0.get(place));
        other.is_some_and(|other| range.last <= other.last)
    }

    pub(super) fn hold(&self, number: i64) -> bool {
        self.hold_all(Range { first: number, last: number })
    }
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    /// Its name; the full name in brackets for an extension, as JSON has it.
    pub(super) name: String,
    pub(super) json_name: String,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) label: Label,
    /// Absent is something else than zero.
    pub(super) has_presence: bool,
    pub(super) is_packed: bool,
    /// Its place in the message's oneofs.
    pub(super) oneof: Option<usize>,
    pub(super) default: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Label {
    Optional,
    Required,
    Repeated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Double,
    Float,
    Int64,
    Uint64,
    Int32,
    Fixed64,
    Fixed32,
    Bool,
    String,
    Bytes,
    Uint32,
    Sfixed32,
    Sfixed64,
    Sint32,
    Sint64,
    Message(usize),
    Group(usize),
    Enum(usize),
}

#[derive(Debug, Default)]
pub(super) struct Enum {
    pub(super) name: String,
    pub(super) file: usize,
    /// A number that it does not declare is no value of it.
    pub(super) is_closed: bool,
    pub(super) json_best_effort: bool,
    /// In the order of declaration.
    pub(super) values: Vec<(String, i32)>,
    pub(super) names: BTreeMap<String, i32>,
    /// The first name of each number.
    pub(super) numbers: BTreeMap<i32, String>,
    pub(super) reserved: Ranges,
    pub(super) reserved_names: BTreeSet<String>,
}

#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) file: usize,
    pub(super) methods: Vec<Method>,
}

#[derive(Debug)]
pub(super) struct Method {
    pub(super) name: String,
    pub(super) request: String,
    pub(super) response: String,
    pub(super) client_streams: bool,
    pub(super) server_streams: bool,
    pub(super) idempotency: u64,
}

impl Schema {
    pub(super) fn message(&self, place: usize) -> Option<&Message> {
        self.messages.get(place)
    }

    pub(super) fn enumeration(&self, place: usize) -> Option<&Enum> {
        self.enums.get(place)
    }

    pub(super) fn enum_named(&self, name: &str) -> Option<&Enum> {
        match self.types.get(name) {
            Some(Type::Enum(place)) => self.enumeration(*place),
            _ => None,
        }
    }

    pub(super) fn message_named(&self, name: &str) -> Option<usize> {
        match self.types.get(name) {
            Some(Type::Message(place)) => Some(*place),
            _ => None,
        }
    }

    /// The fields of the map's entries, when `field` is a map: its key, its value.
    pub(super) fn map_entry(&self, field: &Field) -> Option<(&Field, &Field)> {
        let Kind::Message(place) = field.kind else { return None };
        let entry = self.message(place).filter(|entry| entry.is_map_entry)?;
        (field.label == Label::Repeated).then_some(())?;
        Some((entry.fields.get(&1)?, entry.fields.get(&2)?))
    }
}

impl Kind {
    pub(super) const fn is_packable(self) -> bool {
        !matches!(self, Self::String | Self::Bytes | Self::Message(_) | Self::Group(_))
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Double => "double",
            Self::Float => "float",
            Self::Int64 => "int64",
            Self::Uint64 => "uint64",
            Self::Int32 => "int32",
            Self::Fixed64 => "fixed64",
            Self::Fixed32 => "fixed32",
            Self::Bool => "bool",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Uint32 => "uint32",
            Self::Sfixed32 => "sfixed32",
            Self::Sfixed64 => "sfixed64",
            Self::Sint32 => "sint32",
            Self::Sint64 => "sint64",
            Self::Message(_) => "message",
            Self::Group(_) => "group",
            Self::Enum(_) => "enum",
        }
    }
}

/// `lowerCamelCase`, as the JSON mapping makes it of a field's name.
pub(super) fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut raise = false;
    for character in name.chars() {
        if character == '_' {
            raise = true;
        } else if std::mem::take(&mut raise) {
            camel.push(character.to_ascii_uppercase());
        } else {
            camel.push(character);
        }
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_are_one() {
        let range = |first, last| Range { first, last };
        let ranges = Ranges::new(vec![range(7, 8), range(1, 2), range(5, 6), range(9, 3)]);
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [range(1, 2), range(5, 8)]);
        assert!(ranges.hold_all(range(5, 8)) && ranges.hold(1));
        assert!(!ranges.hold_all(range(2, 5)) && !ranges.hold(3) && !ranges.hold(9) && !ranges.hold(0));
    }

    #[test]
    fn json_names_are_camel_case() {
        for (name, camel) in
            [("foo_bar", "fooBar"), ("_foo", "Foo"), ("foo__bar_1", "fooBar1"), ("fooBar", "fooBar")]
        {
            assert_eq!(camel_case(name), camel);
        }
    }
}
