//! What a reader makes of what a writer wrote: every difference between two linked schemas that loses, refuses or changes data.
//!
//! Paths lead into a view of the schemas by name and number, which stays the same when declarations move:
//! `/files/<name>`, `/messages/<full name>/fields/<number>`, `/messages/<full name>/reserved`, `/enums/<full name>/values/<number>`,
//! `/enums/<full name>/reserved`, `/services/<full name>/methods/<name>`.

mod follow;
mod types;

use std::collections::BTreeMap;

use super::ProtobufLevel;
use super::schema::{Enum, Field, Kind, Label, Message, Method, Schema, Service};
use crate::Break;
use crate::findings::shortened;
use crate::pointer::push_segment;

/// Two schemas side by side.
pub(super) struct Pair<'a> {
    pub(super) reader: &'a Schema,
    pub(super) writer: &'a Schema,
    pub(super) level: ProtobufLevel,
    /// The reader's JSON has no place for fields that it does not know.
    pub(super) refuses_unknown: bool,
    /// What the reader calls the packages of files whose package is another now, by the writer's file.
    packages: BTreeMap<usize, (String, String)>,
    pub(super) breaks: Vec<Break>,
}

impl<'a> Pair<'a> {
    pub(super) fn new(
        reader: &'a Schema,
        writer: &'a Schema,
        level: ProtobufLevel,
        refuses_unknown: bool,
    ) -> Self {
        let mut pair =
            Self { reader, writer, level, refuses_unknown, packages: BTreeMap::new(), breaks: Vec::new() };
        pair.match_packages();
        pair
    }

    fn match_packages(&mut self) {
        let roots = |schema: &'a Schema| schema.files.iter().enumerate().filter(|(_, file)| file.is_root);
        let only = roots(self.reader).count() == 1 && roots(self.writer).count() == 1;
        for (place, written) in roots(self.writer) {
            let read = roots(self.reader).find(|(_, file)| only || file.name == written.name);
            let Some((_, read)) = read.filter(|(_, read)| read.package != written.package) else { continue };
            self.packages.insert(place, (written.package.clone(), read.package.clone()));
        }
    }

    /// The reader's name for what the writer calls `name` in its file `file`.
    pub(super) fn reader_name(&self, file: usize, name: &str) -> String {
        let Some((written, read)) = self.packages.get(&file) else { return name.to_owned() };
        let rest = match written.as_str() {
            "" => Some(name),
            written => name.strip_prefix(written).and_then(|rest| rest.strip_prefix('.')),
        };
        match (rest, read.as_str()) {
            (None, _) => name.to_owned(),
            (Some(rest), "") => rest.to_owned(),
            (Some(rest), read) => format!("{read}.{rest}"),
        }
    }

    pub(super) fn add(&mut self, rule: &'static str, path: &[&str], message: String, advice: &'static str) {
        let mut pointer = String::new();
        path.iter().for_each(|segment| push_segment(&mut pointer, segment));
        self.breaks.push(Break::new(rule, pointer, shortened(message), advice));
    }

    /// Everything that keeps the reader from reading what was written.
    pub(super) fn read(mut self) -> Vec<Break> {
        for (file, (written, read)) in self.packages.clone() {
            let name = self.writer.files.get(file).map_or("", |file| file.name.as_str());
            let message = format!("the package is {}, it was written as {}", shown(&read), shown(&written));
            self.add(
                "protobuf.package",
                &["files", name, "package"],
                message,
                "keep the package: the names of types and services begin with it",
            );
        }
        let (reader, writer) = (self.reader, self.writer);
        for written in writer.messages.iter().filter(|message| !message.is_map_entry) {
            let name = self.reader_name(written.file, &written.name);
            if let Some(read) = reader.message_named(&name).and_then(|place| reader.message(place)) {
                self.messages(read, written);
            }
        }
        for written in &writer.enums {
            let name = self.reader_name(written.file, &written.name);
            if let Some(read) = reader.enum_named(&name) {
                self.enums(read, written);
            }
        }
        let services: BTreeMap<&str, &Service> =
            reader.services.iter().map(|service| (service.name.as_str(), service)).collect();
        for written in &writer.services {
            let name = self.reader_name(written.file, &written.name);
            if let Some(read) = services.get(name.as_str()) {
                self.services(read, written);
            }
        }
        self.breaks
    }

    const fn is_json(&self) -> bool {
        matches!(self.level, ProtobufLevel::Json)
    }

    fn messages(&mut self, read: &Message, written: &Message) {
        for field in written.fields.values() {
            match read.fields.get(&field.number) {
                Some(other) => self.fields(read, other, written, field),
                None => self.unknown_field(read, field),
            }
        }
        for field in read.required.iter().filter_map(|number| read.fields.get(number)) {
            let is_always_written =
                written.fields.get(&field.number).is_some_and(|other| other.label == Label::Required);
            if !is_always_written {
                let number = field.number.to_string();
                let message =
                    format!("the field {} is required, and may be missing in what was written", field.name);
                self.add(
                    "protobuf.required",
                    &["messages", &read.name, "fields", &number],
                    message,
                    "make it optional: what must be there is better checked by a rule",
                );
            }
        }
        if self.is_json() && read.json_best_effort && !written.json_best_effort {
            let message = format!("the JSON of {} is best effort, it was not", read.name);
            self.add(
                "protobuf.json-format",
                &["messages", &read.name],
                message,
                "keep the feature json_format at ALLOW",
            );
        }
    }

    fn unknown_field(&mut self, read: &Message, field: &Field) {
        let number = field.number.to_string();
        let other = read.names.get(&field.name).and_then(|number| read.fields.get(number));
        if let Some(other) = other.filter(|other| other.name == field.name) {
            let message = format!(
                "the field {} has the number {}, it was written with {number}",
                field.name, other.number
            );
            self.add(
                "protobuf.field-number",
                &["messages", &read.name, "fields", &number],
                message,
                "keep the number, a field is found by nothing else",
            );
        } else if self.is_json() && self.refuses_unknown {
            let is_known = read.names.contains_key(&field.json_name)
                || read.reserved_names.contains(&field.name)
                || read.reserved_json_names.contains(&field.json_name);
            if !is_known {
                let message = format!(
                    "the field {} is written, and JSON with a field that is not known is refused",
                    field.name
                );
                self.add(
                    "protobuf.field-unknown",
                    &["messages", &read.name, "fields", &number],
                    message,
                    "reserve its name, or let unknown fields be ignored",
                );
            }
        }
    }

    fn fields(&mut self, reader: &Message, read: &Field, writer: &Message, written: &Field) {
        let number = read.number.to_string();
        let name = reader.name.clone();
        let path = ["messages", name.as_str(), "fields", number.as_str()];
        let maps = (self.reader.map_entry(read), self.writer.map_entry(written));
        match maps {
            (Some((read_key, read_value)), Some((written_key, written_value))) => {
                self.kinds(&[&path[..], &["key"]].concat(), read_key, writer, written_key);
                self.kinds(&[&path[..], &["value"]].concat(), read_value, writer, written_value);
            }
            _ => {
                self.cardinality(&path, read, written, maps.0.is_some(), maps.1.is_some());
                if maps.0.is_none() && maps.1.is_none() {
                    self.kinds(&path, read, writer, written);
                }
            }
        }
        self.defaults(&path, read, written);
        let oneof = |message: &Message, field: &Field| {
            field.oneof.and_then(|place| message.oneofs.get(place).map(|oneof| oneof.name.clone()))
        };
        let (read_oneof, written_oneof) = (oneof(reader, read), oneof(writer, written));
        if read_oneof != written_oneof {
            let of = |oneof: Option<String>| {
                oneof.map_or("no oneof".to_owned(), |name| format!("the oneof {name}"))
            };
            let message =
                format!("the field {} is in {}, it was in {}", read.name, of(read_oneof), of(written_oneof));
            self.add(
                "protobuf.field-oneof",
                &path,
                message,
                "leave it where it was: of the members of a oneof one is kept, the others are lost",
            );
        }
        if self.is_json() {
            if read.json_name != written.json_name {
                let message = format!(
                    "the field {} is {} in JSON, it was {}",
                    read.name, read.json_name, written.json_name
                );
                self.add(
                    "protobuf.json-name",
                    &path,
                    message,
                    "keep the name in JSON by the option json_name",
                );
            }
            if read.name != written.name {
                let message = format!("the field is called {}, it was {}", read.name, written.name);
                self.add("protobuf.field-name", &path, message, "keep the name: JSON may be written with it");
            }
        }
    }

    fn defaults(&mut self, path: &[&str], read: &Field, written: &Field) {
        if read.label == Label::Repeated || written.label == Label::Repeated {
            return;
        }
        let (now, then) = (default(self.reader, read), default(self.writer, written));
        // Where the types differ, that is what is told.
        let comparable = std::mem::discriminant(&read.kind) == std::mem::discriminant(&written.kind)
            || (is_number(read.kind) && is_number(written.kind));
        if comparable && now != then {
            let message = format!("the default of {} is another, and what is absent reads as it", read.name);
            self.add("protobuf.field-default", path, message, "keep the default");
        }
    }

    fn enums(&mut self, read: &Enum, written: &Enum) {
        let mut names: BTreeMap<i32, Vec<&str>> = BTreeMap::new();
        for (name, number) in &written.values {
            names.entry(*number).or_default().push(name);
        }
        for (number, names) in names {
            let text = number.to_string();
            let path = ["enums", read.name.as_str(), "values", text.as_str()];
            let is_reserved = read.reserved.hold(i64::from(number));
            if !read.numbers.contains_key(&number) && read.is_closed && !is_reserved {
                let message = format!(
                    "{} has no value {number} ({}), and is closed: it reads as absent",
                    read.name,
                    names.join(", ")
                );
                self.add(
                    "protobuf.enum-value-unknown",
                    &path,
                    message,
                    "open the enum (proto3, or the feature enum_type), or let readers learn the value first",
                );
            }
            if !self.is_json() {
                continue;
            }
            for name in names {
                match read.names.get(name) {
                    Some(other) if *other == number => {}
                    Some(other) => {
                        let message =
                            format!("{name} of {} is {other}, it was written as {number}", read.name);
                        self.add(
                            "protobuf.enum-value-number",
                            &path,
                            message,
                            "keep the number of each value",
                        );
                    }
                    None if read.numbers.contains_key(&number) => {
                        let message =
                            format!("the value {number} of {} is not called {name} any more", read.name);
                        self.add(
                            "protobuf.enum-value-name",
                            &path,
                            message,
                            "keep the name, an alias (allow_alias) can give it another beside",
                        );
                    }
                    None if read.reserved_names.contains(name) => {}
                    None => {
                        let message =
                            format!("{} has no value {name}, which JSON is written with", read.name);
                        self.add(
                            "protobuf.enum-value-unknown",
                            &path,
                            message,
                            "reserve its name, or let readers learn the value first",
                        );
                    }
                }
            }
        }
        if read.is_closed && !written.is_closed {
            let message = format!(
                "{} is closed, and was written as an open enum: other numbers read as absent",
                read.name
            );
            self.add("protobuf.enum-closed", &["enums", &read.name], message, "keep it open");
        }
        if self.is_json() && read.json_best_effort && !written.json_best_effort {
            let message = format!("the JSON of {} is best effort, it was not", read.name);
            self.add(
                "protobuf.json-format",
                &["enums", &read.name],
                message,
                "keep the feature json_format at ALLOW",
            );
        }
    }

    fn services(&mut self, read: &Service, written: &Service) {
        let methods: BTreeMap<&str, &Method> =
            read.methods.iter().map(|method| (method.name.as_str(), method)).collect();
        for then in &written.methods {
            let Some(now) = methods.get(then.name.as_str()) else { continue };
            let path = ["services", read.name.as_str(), "methods", now.name.as_str()];
            let (request, response) = (
                self.reader_name(written.file, &then.request),
                self.reader_name(written.file, &then.response),
            );
            if now.request != request {
                let message = format!("it takes {}, it took {request}", now.request);
                self.add("protobuf.request-type", &path, message, "add a method instead");
            }
            if now.response != response {
                let message = format!("it answers {}, it answered {response}", now.response);
                self.add("protobuf.response-type", &path, message, "add a method instead");
            }
            if now.client_streams != then.client_streams {
                let message = format!("its requests {}", streams(now.client_streams));
                self.add("protobuf.client-streaming", &path, message, "add a method instead");
            }
            if now.server_streams != then.server_streams {
                let message = format!("its answers {}", streams(now.server_streams));
                self.add("protobuf.server-streaming", &path, message, "add a method instead");
            }
            if now.idempotency != then.idempotency {
                let message =
                    "its idempotency level is another, by which clients decide what they repeat".to_owned();
                self.add("protobuf.idempotency", &path, message, "keep the option idempotency_level");
            }
        }
    }
}

fn shown(package: &str) -> String {
    if package.is_empty() { "none".to_owned() } else { package.to_owned() }
}

const fn streams(now: bool) -> &'static str {
    if now { "are a stream, it was one message" } else { "are one message, it was a stream" }
}

const fn is_number(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::String | Kind::Bytes | Kind::Message(_) | Kind::Group(_) | Kind::Enum(_) | Kind::Bool
    )
}

/// What a field reads as where it is absent, in one form for each value.
fn default(schema: &Schema, field: &Field) -> String {
    match (&field.default, field.kind) {
        (_, Kind::Message(_) | Kind::Group(_)) => String::new(),
        (Some(text), kind) if is_number(kind) => {
            text.parse::<f64>().map_or_else(|_| text.clone(), |number| number.to_string())
        }
        (default, Kind::Enum(place)) => {
            let declared = schema.enumeration(place);
            let number = declared.and_then(|of| match default {
                Some(name) => of.names.get(name).copied(),
                None => of.values.first().map(|(_, number)| *number),
            });
            number.map_or_else(String::new, |number| number.to_string())
        }
        (Some(text), _) => text.clone(),
        (None, Kind::Bool) => "false".to_owned(),
        (None, Kind::String | Kind::Bytes) => String::new(),
        (None, _) => "0".to_owned(),
    }
}
