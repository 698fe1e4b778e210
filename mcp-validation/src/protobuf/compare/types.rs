//! Which types and cardinalities read one another: <https://protobuf.dev/programming-guides/proto3/#updating>.

use super::Pair;
use crate::protobuf::schema::{Field, Kind, Label, Message};

/// Types whose bytes read as one another. Numbers beyond the narrower type are cut, as Protobuf documents.
const fn wire_group(kind: Kind) -> u8 {
    match kind {
        Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 | Kind::Bool => 1,
        Kind::Sint32 | Kind::Sint64 => 2,
        Kind::Fixed32 | Kind::Sfixed32 => 3,
        Kind::Fixed64 | Kind::Sfixed64 => 4,
        Kind::Double => 5,
        Kind::Float => 6,
        Kind::String => 7,
        Kind::Bytes => 8,
        Kind::Message(_) => 9,
        Kind::Group(_) => 10,
        Kind::Enum(_) => 11,
    }
}

/// Types whose JSON and whose bytes read as one another.
const fn json_group(kind: Kind) -> u8 {
    match kind {
        Kind::Int32 | Kind::Uint32 => 20,
        Kind::Int64 | Kind::Uint64 => 21,
        Kind::Bool => 22,
        Kind::Sint32 => 23,
        Kind::Sint64 => 24,
        other => wire_group(other),
    }
}

impl Pair<'_> {
    pub(super) fn kinds(&mut self, path: &[&str], read: &Field, writer: &Message, written: &Field) {
        let (reads, writes) = (self.kind_name(read.kind), self.writer_kind_name(writer, written.kind));
        let reason = match (read.kind, written.kind) {
            (Kind::Message(_), Kind::Message(_)) | (Kind::Group(_), Kind::Group(_)) => {
                (reads != writes).then_some("a message of another name is another message")
            }
            (Kind::Enum(read), Kind::Enum(written)) if reads != writes => {
                let (read, written) = (self.reader.enumeration(read), self.writer.enumeration(written));
                let same = read.zip(written).is_some_and(|(read, written)| {
                    written.values.iter().all(|(name, number)| {
                        if self.is_json() {
                            read.names.get(name) == Some(number)
                        } else {
                            read.numbers.contains_key(number)
                        }
                    })
                });
                (!same).then_some("the other enum lacks values of this one")
            }
            (Kind::Enum(_), Kind::Enum(_)) => None,
            // An enum is an int32 on the wire, and a name in JSON.
            (Kind::Enum(place), other)
                if wire_group(other) == 1 && other != Kind::Bool && !self.is_json() =>
            {
                let is_closed = self.reader.enumeration(place).is_some_and(|declared| declared.is_closed);
                is_closed.then_some("a closed enum refuses the numbers that it does not declare")
            }
            (other, Kind::Enum(_)) if wire_group(other) == 1 && other != Kind::Bool && !self.is_json() => {
                None
            }
            (Kind::Bytes, Kind::String) if !self.is_json() => None,
            (Kind::String, Kind::Bytes) if !self.is_json() => {
                Some("bytes need not be UTF-8, and a string must be")
            }
            // The bytes of a message are what it was written as.
            (Kind::Bytes, Kind::Message(_)) if !self.is_json() => None,
            (Kind::Message(_), Kind::Bytes) if !self.is_json() => Some("bytes need not be this message"),
            (Kind::Message(_), Kind::Group(_)) | (Kind::Group(_), Kind::Message(_)) => {
                Some("a group is delimited otherwise")
            }
            (read, written) => {
                let group = if self.is_json() { json_group } else { wire_group };
                (group(read) != group(written)).then_some(if wire_group(read) == wire_group(written) {
                    "JSON writes them differently"
                } else {
                    "the bytes of one do not mean the same as the other"
                })
            }
        };
        if let Some(reason) = reason {
            let message =
                format!("the field {} is of type {reads}, it was written as {writes}: {reason}", read.name);
            self.add(
                "protobuf.field-type",
                path,
                message,
                "add a field with a new number instead, and reserve the old one",
            );
        }
    }

    fn kind_name(&self, kind: Kind) -> String {
        match kind {
            Kind::Message(place) | Kind::Group(place) => {
                self.reader.message(place).map_or_else(String::new, |message| message.name.clone())
            }
            Kind::Enum(place) => {
                self.reader.enumeration(place).map_or_else(String::new, |declared| declared.name.clone())
            }
            other => other.name().to_owned(),
        }
    }

    /// In the names that the reader has.
    fn writer_kind_name(&self, _: &Message, kind: Kind) -> String {
        match kind {
            Kind::Message(place) | Kind::Group(place) => self
                .writer
                .message(place)
                .map_or_else(String::new, |message| self.reader_name(message.file, &message.name)),
            Kind::Enum(place) => self
                .writer
                .enumeration(place)
                .map_or_else(String::new, |declared| self.reader_name(declared.file, &declared.name)),
            other => other.name().to_owned(),
        }
    }

    pub(super) fn cardinality(
        &mut self,
        path: &[&str],
        read: &Field,
        written: &Field,
        reads_map: bool,
        writes_map: bool,
    ) {
        let shape = |field: &Field, is_map: bool| match field.label {
            _ if is_map => "a map",
            Label::Repeated => "repeated",
            Label::Required => "required",
            Label::Optional => "singular",
        };
        let (reads, writes) = (shape(read, reads_map), shape(written, writes_map));
        let is_list = |field: &Field| field.label == Label::Repeated;
        let reason = if is_list(read) != is_list(written) {
            Some(if is_list(written) {
                "of several values the last one is kept"
            } else {
                "one value is no list"
            })
        } else if reads_map != writes_map {
            Some("of entries with equal keys a map keeps the last")
        } else {
            None
        };
        if let Some(reason) = reason {
            let message = format!("the field {} is {reads}, it was {writes}: {reason}", read.name);
            self.add(
                "protobuf.field-cardinality",
                path,
                message,
                "add a field with a new number instead, and reserve the old one",
            );
        }
    }
}
