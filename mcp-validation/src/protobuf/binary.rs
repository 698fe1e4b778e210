//! Judging and reading the binary encoding, in one pass over the bytes and one over what came of them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mcp_core::SeamError;
use serde_json::{Map, Value};

use super::reading::{OBJECT_BYTES, Reading};
use super::scalar::{float, float32};
use super::schema::{Field, Kind, Label, Message};
use super::well_known::WellKnown;
use super::wire::{Fault, Payload, Records};

impl Reading<'_, '_> {
    /// Reads `bytes` as the message at `place`, and shows it as JSON.
    pub(super) fn binary(&mut self, place: usize, bytes: &[u8], depth: usize) -> Result<Value, SeamError> {
        let mut raw = Map::new();
        self.records(place, bytes, depth, &mut raw)?;
        self.finish(place, raw, depth)
    }

    /// Adds what `bytes` say to `into`: fields under their JSON names, well-known types not yet in their own form.
    fn records(
        &mut self,
        place: usize,
        bytes: &[u8],
        depth: usize,
        into: &mut Map<String, Value>,
    ) -> Result<(), SeamError> {
        self.check_depth(depth)?;
        let schema = self.schema;
        let Some(message) = schema.message(place) else { return Ok(()) };
        let mut records = Records::new(bytes);
        while !self.findings.is_decided() {
            match records.next(self.max_depth.saturating_sub(depth)) {
                Ok(None) => break,
                Ok(Some((number, payload))) => {
                    self.spend(match payload {
                        Payload::Bytes(bytes) | Payload::Group(bytes) => bytes.len(),
                        _ => 0,
                    })?;
                    match message.fields.get(&number) {
                        Some(field) => self.field(message, field, payload, depth, into)?,
                        None => self.unknown(message, number, payload),
                    }
                }
                Err(fault) => return self.fault(fault),
            }
        }
        Ok(())
    }

    fn fault(&mut self, fault: Fault) -> Result<(), SeamError> {
        match fault {
            Fault::TooDeep => Err(self.too_deep()),
            Fault::Malformed(reason) => {
                self.break_off();
                self.error("protobuf.wire", format!("this is no Protobuf message: {reason}"), None);
                Ok(())
            }
        }
    }

    fn unknown(&mut self, message: &Message, number: u32, payload: Payload<'_>) {
        if self.refuses_unknown {
            self.error(
                "protobuf.unknown-field",
                format!("the field {number}, {}, is not in {}", payload.name(), message.name),
                None,
            );
        }
    }

    fn field(
        &mut self,
        message: &Message,
        field: &Field,
        payload: Payload<'_>,
        depth: usize,
        into: &mut Map<String, Value>,
    ) -> Result<(), SeamError> {
        let name = &field.json_name;
        let schema = self.schema;
        if let Some((key, value)) = schema.map_entry(field) {
            let Payload::Bytes(bytes) = payload else {
                return self.at(name, |here| here.wrong(field, payload));
            };
            self.pay(name.len())?;
            let mut map = match into.remove(name) {
                Some(Value::Object(map)) => map,
                _ => Map::new(),
            };
            self.at(name, |here| here.entry(key, value, bytes, depth, &mut map))?;
            into.insert(name.clone(), Value::Object(map));
            return Ok(());
        }
        if field.label == Label::Repeated {
            let mut list = match into.remove(name) {
                Some(Value::Array(list)) => list,
                _ => Vec::new(),
            };
            self.pay(name.len())?;
            let added = self.at(name, |here| here.elements(field, payload, depth, &mut list));
            into.insert(name.clone(), Value::Array(list));
            return added;
        }
        self.pay(name.len())?;
        let mut before = into.remove(name);
        let value = self.at(name, |here| here.value(field, payload, &mut before, depth))?;
        if let Some(oneof) = field.oneof.filter(|_| value.is_some() && !into.is_empty()) {
            // The last member of a oneof is the one that counts.
            let members = message.oneofs.get(oneof).map_or(&[][..], |oneof| &oneof.members);
            self.findings.spend(u64::try_from(members.len()).unwrap_or(u64::MAX))?;
            let members = members.iter().filter_map(|number| message.fields.get(number));
            members.for_each(|other| drop(into.remove(&other.json_name)));
        }
        if let Some(value) = value.or(before) {
            into.insert(name.clone(), value);
        }
        Ok(())
    }

    /// The elements that one record of a repeated field adds: one, or all of a packed list.
    fn elements(
        &mut self,
        field: &Field,
        payload: Payload<'_>,
        depth: usize,
        list: &mut Vec<Value>,
    ) -> Result<(), SeamError> {
        let Payload::Bytes(bytes) = payload else {
            let value = self.at_index(list.len(), |here| here.value(field, payload, &mut None, depth))?;
            list.extend(value);
            return Ok(());
        };
        if !field.kind.is_packable() {
            let value = self.at_index(list.len(), |here| here.value(field, payload, &mut None, depth))?;
            list.extend(value);
            return Ok(());
        }
        let mut packed = Records::new(bytes);
        while !self.findings.is_decided() {
            let element = match field.kind {
                Kind::Fixed32 | Kind::Sfixed32 | Kind::Float => {
                    packed.packed_fixed32().map(|value| value.map(Payload::Fixed32))
                }
                Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => {
                    packed.packed_fixed64().map(|value| value.map(Payload::Fixed64))
                }
                _ => packed.packed_varint().map(|value| value.map(Payload::Varint)),
            };
            match element {
                Ok(None) => break,
                Ok(Some(element)) => {
                    self.spend(0)?;
                    let value =
                        self.at_index(list.len(), |here| here.value(field, element, &mut None, depth))?;
                    list.extend(value);
                }
                Err(fault) => return self.fault(fault),
            }
        }
        Ok(())
    }

    /// Adds one entry to `map`; the last of equal keys counts.
    fn entry(
        &mut self,
        key: &Field,
        value: &Field,
        bytes: &[u8],
        depth: usize,
        map: &mut Map<String, Value>,
    ) -> Result<(), SeamError> {
        let mut records = Records::new(bytes);
        let (mut key_payload, mut payloads) = (None, Vec::new());
        loop {
            match records.next(self.max_depth.saturating_sub(depth)) {
                Ok(None) => break,
                Ok(Some((1, payload))) => key_payload = Some(payload),
                Ok(Some((2, payload))) => payloads.push(payload),
                Ok(Some(_)) => {}
                Err(fault) => return self.fault(fault),
            }
        }
        let key = match key_payload {
            None => Some(zero(key)),
            Some(payload) => self.value(key, payload, &mut None, depth)?,
        };
        let Some(key) = key else { return Ok(()) };
        let key = match key {
            Value::String(key) => key,
            other => other.to_string(),
        };
        self.pay(key.len())?;
        if payloads.is_empty() {
            let value = match value.kind {
                Kind::Enum(place) => match self.schema.enumeration(place).and_then(|of| of.values.first()) {
                    Some((name, _)) => Value::from(name.as_str()),
                    None => Value::from(0),
                },
                _ => zero(value),
            };
            map.insert(key, value);
            return Ok(());
        }
        let read = self.at(&key, |here| {
            let mut read = None;
            for payload in payloads {
                here.spend(0)?;
                let next = here.value(value, payload, &mut read, depth)?;
                read = next.or(read);
            }
            Ok::<_, SeamError>(read)
        })?;
        if let Some(read) = read {
            map.insert(key, read);
        }
        Ok(())
    }

    /// The value of one record; a message is merged with what stood there `before`, and takes it.
    fn value(
        &mut self,
        field: &Field,
        payload: Payload<'_>,
        before: &mut Option<Value>,
        depth: usize,
    ) -> Result<Option<Value>, SeamError> {
        match (field.kind, payload) {
            (Kind::Message(place), Payload::Bytes(bytes)) | (Kind::Group(place), Payload::Group(bytes)) => {
                let mut raw = match before.take() {
                    Some(Value::Object(raw)) => raw,
                    _ => Map::new(),
                };
                self.pay(if bytes.is_empty() { 0 } else { OBJECT_BYTES })?;
                self.records(place, bytes, depth + 1, &mut raw)?;
                return Ok(Some(Value::Object(raw)));
            }
            (Kind::String, Payload::Bytes(bytes)) => {
                self.pay(bytes.len())?;
                return Ok(match std::str::from_utf8(bytes) {
                    Ok(text) => Some(Value::from(text)),
                    Err(_) => {
                        self.error("protobuf.utf8", "the bytes of this string are not UTF-8", None);
                        None
                    }
                });
            }
            (Kind::Bytes, Payload::Bytes(bytes)) => {
                self.pay(bytes.len().saturating_add(bytes.len() / 3))?;
                return Ok(Some(Value::from(STANDARD.encode(bytes))));
            }
            (Kind::Enum(place), Payload::Varint(value)) => {
                self.pay(0)?;
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "an enum is the lower half of its varint"
                )]
                return self.enum_value(place, value as i32);
            }
            _ => {}
        }
        self.pay(0)?;
        match number(field.kind, payload) {
            Some(value) => Ok(Some(value)),
            None => {
                self.wrong(field, payload)?;
                Ok(None)
            }
        }
    }

    fn enum_value(&mut self, place: usize, number: i32) -> Result<Option<Value>, SeamError> {
        let schema = self.schema;
        let Some(declared) = schema.enumeration(place) else { return Ok(None) };
        if let Some(name) = declared.numbers.get(&number) {
            self.pay(name.len())?;
            let is_null = declared.name == "google.protobuf.NullValue";
            return Ok(Some(if is_null { Value::Null } else { Value::from(name.as_str()) }));
        }
        if !declared.is_closed {
            return Ok(Some(Value::from(number)));
        }
        // A reader of a closed enum puts it with the unknown fields.
        if self.refuses_unknown {
            self.error("protobuf.enum", format!("this number is no value of {}", declared.name), None);
        }
        Ok(None)
    }

    fn wrong(&mut self, field: &Field, payload: Payload<'_>) -> Result<(), SeamError> {
        self.error(
            "protobuf.wire-type",
            format!("the field {} is of type {}, this is {}", field.name, field.kind.name(), payload.name()),
            None,
        );
        Ok(())
    }

    /// Checks what can be checked only when everything was merged, and gives the well-known types their form.
    fn finish(
        &mut self,
        place: usize,
        mut raw: Map<String, Value>,
        depth: usize,
    ) -> Result<Value, SeamError> {
        let schema = self.schema;
        let Some(message) = schema.message(place) else { return Ok(Value::Null) };
        self.check_required(message, |field| raw.contains_key(&field.json_name))?;
        for (name, value) in &mut raw {
            let field = message.names.get(name).and_then(|number| message.fields.get(number));
            let Some(field) = field else { continue };
            let kind = match schema.map_entry(field) {
                Some((_, value)) => value.kind,
                None => field.kind,
            };
            let (Kind::Message(child) | Kind::Group(child)) = kind else { continue };
            self.at(name, |here| match value {
                Value::Array(list) if field.label == Label::Repeated => {
                    for (index, element) in list.iter_mut().enumerate() {
                        here.at_index(index, |here| here.finish_value(child, element, depth))?;
                    }
                    Ok(())
                }
                Value::Object(map) if field.label == Label::Repeated => {
                    for (key, element) in map.iter_mut() {
                        here.at(key, |here| here.finish_value(child, element, depth))?;
                    }
                    Ok(())
                }
                value => here.finish_value(child, value, depth),
            })?;
        }
        match WellKnown::of(&message.name) {
            Some(known) => self.show(known, raw, depth),
            None => Ok(Value::Object(raw)),
        }
    }

    fn finish_value(&mut self, place: usize, value: &mut Value, depth: usize) -> Result<(), SeamError> {
        if let Value::Object(raw) = value.take() {
            *value = self.finish(place, raw, depth + 1)?;
        }
        Ok(())
    }
}

/// What stands where nothing was written in a map's entry.
fn zero(field: &Field) -> Value {
    match field.kind {
        Kind::String | Kind::Bytes => Value::from(""),
        Kind::Bool => Value::from(false),
        Kind::Double | Kind::Float => Value::from(0.0),
        Kind::Message(_) | Kind::Group(_) => Value::Object(Map::new()),
        _ => Value::from(0),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "numbers of 32 bits are the lower half of their varint, and signed ones share their bits with unsigned ones"
)]
fn number(kind: Kind, payload: Payload<'_>) -> Option<Value> {
    Some(match (kind, payload) {
        (Kind::Int32, Payload::Varint(value)) => Value::from(value as i32),
        (Kind::Int64, Payload::Varint(value)) => Value::from(value as i64),
        (Kind::Uint32, Payload::Varint(value)) => Value::from(value as u32),
        (Kind::Uint64, Payload::Varint(value)) => Value::from(value),
        (Kind::Sint32, Payload::Varint(value)) => {
            let value = value as u32;
            Value::from((value >> 1) as i32 ^ -((value & 1) as i32))
        }
        (Kind::Sint64, Payload::Varint(value)) => Value::from((value >> 1) as i64 ^ -((value & 1) as i64)),
        (Kind::Bool, Payload::Varint(value)) => Value::from(value != 0),
        (Kind::Fixed32, Payload::Fixed32(value)) => Value::from(value),
        (Kind::Sfixed32, Payload::Fixed32(value)) => Value::from(value as i32),
        (Kind::Float, Payload::Fixed32(value)) => float32(f32::from_bits(value)),
        (Kind::Fixed64, Payload::Fixed64(value)) => Value::from(value),
        (Kind::Sfixed64, Payload::Fixed64(value)) => Value::from(value as i64),
        (Kind::Double, Payload::Fixed64(value)) => float(f64::from_bits(value)),
        _ => return None,
    })
}
