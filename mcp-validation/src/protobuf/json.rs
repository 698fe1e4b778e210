//! Judging and reading the JSON encoding, with every finding at its place: <https://protobuf.dev/programming-guides/json/>.

use std::collections::BTreeMap;

use mcp_core::{SeamError, Severity};
use serde_json::{Map, Value};

use super::reading::Reading;
use super::scalar;
use super::schema::{Field, Kind, Label, Message};
use super::well_known::WellKnown;

impl Reading<'_, '_> {
    /// Reads `value` as the message at `place`; gives it as the binary encoding would show it.
    pub(super) fn json(&mut self, place: usize, value: &Value, depth: usize) -> Result<Value, SeamError> {
        self.check_depth(depth)?;
        self.spend(0)?;
        self.pay(0)?;
        let schema = self.schema;
        let Some(message) = schema.message(place) else { return Ok(Value::Null) };
        if let Some(known) = WellKnown::of(&message.name) {
            return self.read_known(known, value, depth);
        }
        match value {
            Value::Object(members) => self.members(message, members, depth),
            other => {
                if depth == 1 {
                    self.break_off();
                }
                self.error(
                    "protobuf.type",
                    format!("the message {} takes an object", message.name),
                    Some(other),
                );
                Ok(Value::Null)
            }
        }
    }

    /// The members of an object as fields of a message; `@type` was seen before, where it may stand.
    pub(super) fn members(
        &mut self,
        message: &Message,
        members: &Map<String, Value>,
        depth: usize,
    ) -> Result<Value, SeamError> {
        let mut read = Map::new();
        let mut oneofs: BTreeMap<usize, &str> = BTreeMap::new();
        // By name: which of two is told must not depend on `preserve_order` of serde_json, which a host may switch on.
        let mut in_order: Vec<(&String, &Value)> = members.iter().collect();
        in_order.sort_unstable_by_key(|(name, _)| *name);
        for (name, value) in in_order {
            if self.findings.is_decided() {
                break;
            }
            self.spend(name.len())?;
            let field = message.names.get(name).and_then(|number| message.fields.get(number));
            let Some(field) = field else {
                self.at(name, |here| here.unknown_member(message, name));
                continue;
            };
            if value.is_null() && !self.takes_null(field) {
                continue;
            }
            if read.contains_key(&field.json_name) {
                self.at(name, |here| {
                    here.error(
                        "protobuf.duplicate-field",
                        format!("the field {} stands here under both of its names", field.name),
                        None,
                    );
                });
                continue;
            }
            if let Some(oneof) = field.oneof
                && let Some(other) = oneofs.insert(oneof, name)
            {
                let oneof = message.oneofs.get(oneof).map_or("", |oneof| oneof.name.as_str());
                self.at(name, |here| {
                    here.error(
                        "protobuf.oneof",
                        format!("of the oneof {oneof} one member may be set, {other} is set too"),
                        None,
                    );
                });
            }
            self.pay(field.json_name.len())?;
            let value = self.at(name, |here| here.json_field(field, value, depth))?;
            if let Some(value) = value {
                read.insert(field.json_name.clone(), value);
            }
        }
        self.check_required(message, |field| {
            [&field.json_name, &field.name]
                .iter()
                .any(|name| members.get(*name).is_some_and(|value| !value.is_null()))
        })?;
        Ok(Value::Object(read))
    }

    fn unknown_member(&mut self, message: &Message, name: &str) {
        if message.reserved_names.contains(name) || message.reserved_json_names.contains(name) {
            let reason = format!("{} reserves this name: it was a field once, and is skipped", message.name);
            self.note(Severity::Warning, "protobuf.reserved-name", reason);
        } else if self.refuses_unknown {
            let reason = format!("{} has no field of this name", message.name);
            self.error("protobuf.unknown-field", reason, None);
        }
    }

    /// Whether null is a value of its own here, and does not stand for an absent one.
    fn takes_null(&self, field: &Field) -> bool {
        if field.label == Label::Repeated {
            return false;
        }
        let name = match field.kind {
            Kind::Message(place) => self.schema.message(place).map(|message| &message.name),
            Kind::Enum(place) => self.schema.enumeration(place).map(|declared| &declared.name),
            _ => None,
        };
        name.is_some_and(|name| name == "google.protobuf.Value" || name == "google.protobuf.NullValue")
    }

    fn json_field(&mut self, field: &Field, value: &Value, depth: usize) -> Result<Option<Value>, SeamError> {
        let schema = self.schema;
        if let Some((key, element)) = schema.map_entry(field) {
            let Value::Object(members) = value else {
                self.error("protobuf.type", "a map takes an object", Some(value));
                return Ok(None);
            };
            let mut map = Map::new();
            for (name, value) in members {
                if self.findings.is_decided() {
                    break;
                }
                self.spend(name.len())?;
                self.pay(name.len())?;
                let read = self.at(name, |here| {
                    let key = match scalar::read_key(key.kind, name) {
                        Ok(key) => Some(key),
                        Err((code, reason)) => {
                            here.error(code, reason, None);
                            None
                        }
                    };
                    let value = here.json_value(element, value, depth)?;
                    Ok::<_, SeamError>(key.zip(value))
                })?;
                map.extend(read);
            }
            return Ok(Some(Value::Object(map)));
        }
        if field.label != Label::Repeated {
            return self.json_value(field, value, depth);
        }
        let Value::Array(elements) = value else {
            self.error("protobuf.type", "a repeated field takes an array", Some(value));
            return Ok(None);
        };
        let mut list = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            if self.findings.is_decided() {
                break;
            }
            list.extend(self.at_index(index, |here| here.json_value(field, element, depth))?);
        }
        Ok(Some(Value::Array(list)))
    }

    /// One value: not a list, not a map.
    fn json_value(&mut self, field: &Field, value: &Value, depth: usize) -> Result<Option<Value>, SeamError> {
        if let Kind::Message(place) | Kind::Group(place) = field.kind {
            let is_value =
                self.schema.message(place).is_some_and(|message| message.name == "google.protobuf.Value");
            if value.is_null() && !is_value {
                self.error("protobuf.null", "null is no message here", None);
                return Ok(None);
            }
            return self.json(place, value, depth + 1).map(Some);
        }
        self.spend(value.as_str().map_or(0, str::len))?;
        self.pay(value.as_str().map_or(0, str::len))?;
        if let Kind::Enum(place) = field.kind {
            return Ok(self.json_enum(place, value));
        }
        match scalar::read(field.kind, value) {
            Ok(value) => Ok(Some(value)),
            Err((code, reason)) => {
                self.error(code, reason, Some(value));
                Ok(None)
            }
        }
    }

    fn json_enum(&mut self, place: usize, value: &Value) -> Option<Value> {
        let declared = self.schema.enumeration(place)?;
        let is_null = declared.name == "google.protobuf.NullValue";
        if is_null && value.is_null() {
            return Some(Value::Null);
        }
        if let Value::String(name) = value {
            if let Some(number) = declared.names.get(name) {
                let first = declared.numbers.get(number).map(String::as_str);
                return if is_null { Some(Value::Null) } else { first.map(Value::from) };
            }
            if declared.reserved_names.contains(name) {
                let reason =
                    format!("{} reserves this name: it was a value once, and is skipped", declared.name);
                self.note(Severity::Warning, "protobuf.reserved-name", reason);
                return None;
            }
            self.error("protobuf.enum", format!("{} has no value of this name", declared.name), Some(value));
            return None;
        }
        let number = match scalar::read(Kind::Int32, value) {
            Ok(number) => number.as_i64().and_then(|number| i32::try_from(number).ok())?,
            Err(_) => {
                let reason = format!("the enum {} takes the name of a value, or its number", declared.name);
                self.error("protobuf.type", reason, Some(value));
                return None;
            }
        };
        match declared.numbers.get(&number) {
            Some(_) if is_null => Some(Value::Null),
            Some(name) => Some(Value::from(name.as_str())),
            None if declared.is_closed && !declared.reserved.hold(i64::from(number)) => {
                self.error(
                    "protobuf.enum",
                    format!("{} has no value of this number", declared.name),
                    Some(value),
                );
                None
            }
            None => Some(Value::from(number)),
        }
    }
}
