//! What a new schema gives up of the one before it: nothing that hinders reading now, but what lets a later schema misread it.

use std::collections::{BTreeMap, BTreeSet};

use super::Pair;
use crate::Break;
use crate::protobuf::schema::{Enum, Label, Message, Range, Ranges, Service};

impl Pair<'_> {
    /// What the reader, the newer one, dropped without keeping its place.
    pub(in crate::protobuf) fn follow(mut self) -> Vec<Break> {
        let (reader, writer) = (self.reader, self.writer);
        let is_root = |file: usize| writer.files.get(file).is_some_and(|file| file.is_root);
        for old in writer.messages.iter().filter(|message| !message.is_map_entry) {
            let name = self.reader_name(old.file, &old.name);
            match reader.message_named(&name).and_then(|place| reader.message(place)) {
                Some(new) => self.message_given_up(new, old),
                None if is_root(old.file) => {
                    let message = format!("the message {name} is not declared any more, so nothing reads it");
                    self.add(
                        "protobuf.message-removed",
                        &["messages", &name],
                        message,
                        "keep it, marked as deprecated",
                    );
                }
                None => {}
            }
        }
        for old in &writer.enums {
            let name = self.reader_name(old.file, &old.name);
            if let Some(new) = reader.enum_named(&name) {
                self.enum_given_up(new, old);
            }
        }
        let services: BTreeMap<&str, &Service> =
            reader.services.iter().map(|service| (service.name.as_str(), service)).collect();
        for old in writer.services.iter().filter(|service| is_root(service.file)) {
            let name = self.reader_name(old.file, &old.name);
            self.service_given_up(&name, services.get(name.as_str()).copied(), old);
        }
        self.breaks
    }

    fn message_given_up(&mut self, new: &Message, old: &Message) {
        for field in old.fields.values() {
            let number = field.number.to_string();
            let path = ["messages", new.name.as_str(), "fields", number.as_str()];
            if let Some(now) = new.fields.get(&field.number) {
                if field.label == Label::Required && now.label != Label::Required {
                    let message = format!(
                        "the field {} is not required any more, and older readers refuse what lacks it",
                        field.name
                    );
                    self.add(
                        "protobuf.required-removed",
                        &path,
                        message,
                        "keep it required while any reader of the old schema is left",
                    );
                }
                continue;
            }
            if field.label == Label::Required {
                let message = format!(
                    "the required field {} is gone, and older readers refuse what lacks it",
                    field.name
                );
                self.add(
                    "protobuf.required-removed",
                    &path,
                    message,
                    "keep it required while any reader of the old schema is left",
                );
            }
            if !new.reserved.hold(i64::from(field.number)) {
                let message =
                    format!("the field {} is gone, and its number {number} is not reserved", field.name);
                self.add(
                    "protobuf.field-not-reserved",
                    &path,
                    message,
                    "reserve the number, so that no later field reads old data as its own",
                );
            }
            let is_kept = |name: &str| {
                let other = new.names.get(name).and_then(|number| new.fields.get(number));
                new.reserved_names.contains(name) || other.is_some_and(|other| other.name == name)
            };
            if self.is_json() && !is_kept(&field.name) {
                let message = format!("the field {} is gone, and its name is not reserved", field.name);
                self.add(
                    "protobuf.field-name-not-reserved",
                    &path,
                    message,
                    "reserve the name, so that no later field reads old JSON as its own",
                );
            }
        }
        let path = ["messages", new.name.as_str(), "reserved"];
        self.reserved(&path, (&new.reserved, &new.reserved_names), (&old.reserved, &old.reserved_names));
    }

    fn reserved(
        &mut self,
        path: &[&str],
        new: (&Ranges, &BTreeSet<String>),
        old: (&Ranges, &BTreeSet<String>),
    ) {
        for range in old.0.iter() {
            if !new.0.hold_all(range) {
                let message = match range {
                    Range { first, last } if first == last => {
                        format!("the number {first} is not reserved any more")
                    }
                    Range { first, last } => {
                        format!("the numbers {first} to {last} are not all reserved any more")
                    }
                };
                self.add(
                    "protobuf.reserved-removed",
                    path,
                    message,
                    "keep it reserved: old data may still hold it",
                );
            }
        }
        for name in old.1.difference(new.1) {
            let message = format!("the name {name} is not reserved any more");
            self.add(
                "protobuf.reserved-removed",
                path,
                message,
                "keep it reserved: old data may still hold it",
            );
        }
    }

    fn enum_given_up(&mut self, new: &Enum, old: &Enum) {
        for (number, name) in &old.numbers {
            if new.numbers.contains_key(number) {
                continue;
            }
            let text = number.to_string();
            let path = ["enums", new.name.as_str(), "values", text.as_str()];
            if !new.reserved.hold(i64::from(*number)) {
                let message = format!("the value {name} is gone, and its number {number} is not reserved");
                self.add(
                    "protobuf.enum-value-not-reserved",
                    &path,
                    message,
                    "reserve the number, so that no later value is read from old data",
                );
            }
        }
        if self.is_json() {
            for (name, number) in &old.names {
                if !new.numbers.contains_key(number)
                    && !new.names.contains_key(name)
                    && !new.reserved_names.contains(name)
                {
                    let text = number.to_string();
                    let path = ["enums", new.name.as_str(), "values", text.as_str()];
                    let message = format!("the value {name} is gone, and its name is not reserved");
                    self.add(
                        "protobuf.enum-value-name-not-reserved",
                        &path,
                        message,
                        "reserve the name, so that no later value is read from old JSON",
                    );
                }
            }
        }
        let path = ["enums", new.name.as_str(), "reserved"];
        self.reserved(&path, (&new.reserved, &new.reserved_names), (&old.reserved, &old.reserved_names));
    }

    fn service_given_up(&mut self, name: &str, new: Option<&Service>, old: &Service) {
        let Some(new) = new else {
            let message = format!("the service {name} is gone, and its callers get no answer");
            self.add(
                "protobuf.service-removed",
                &["services", name],
                message,
                "keep it, marked as deprecated",
            );
            return;
        };
        let methods: BTreeSet<&str> = new.methods.iter().map(|method| method.name.as_str()).collect();
        for method in &old.methods {
            if !methods.contains(method.name.as_str()) {
                let message = format!("the method {} is gone, and its callers get no answer", method.name);
                self.add(
                    "protobuf.method-removed",
                    &["services", name, "methods", &method.name],
                    message,
                    "keep it, marked as deprecated",
                );
            }
        }
    }
}
