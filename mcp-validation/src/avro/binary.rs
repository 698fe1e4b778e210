//! Reads Avro's binary encoding into JSON, by a schema, within limits.

use std::borrow::Cow;

use mcp_core::SeamError;
use serde_json::{Map, Value};

use super::cursor::{self, Fault};
use super::json::{Form, Reader};
use super::judgement::{Judgement, Segment, double, float, latin};
use super::logical::Logical;
use super::resolve::{Resolution, by_name, written_field};
use super::schema::{Field, Kind, Schema, Type, TypeId};

/// Why reading stopped.
pub(super) enum Stop {
    /// The bytes are no encoding of the schema; a finding says so.
    Broken,
    /// It could not be judged.
    Seam(SeamError),
}

impl From<SeamError> for Stop {
    fn from(error: SeamError) -> Self {
        Self::Seam(error)
    }
}

/// Reads data one after the other from the front of bytes: as what they were written as, or as what a reader makes of that.
pub(super) struct Decoder<'a, 'b, 'j> {
    schema: &'a Schema,
    /// How a reader's schema, which is readable from `schema`, resolves it.
    resolution: Option<&'a Resolution<'a>>,
    rest: &'b [u8],
    judgement: &'j mut Judgement<'a>,
}

impl<'a, 'b, 'j> Decoder<'a, 'b, 'j> {
    pub(super) const fn new(schema: &'a Schema, bytes: &'b [u8], judgement: &'j mut Judgement<'a>) -> Self {
        Self { schema, resolution: None, rest: bytes, judgement }
    }

    /// The same, and what is decoded is what the reader of `resolution` makes of it.
    pub(super) const fn resolved(mut self, resolution: Option<&'a Resolution<'a>>) -> Self {
        self.resolution = resolution;
        self
    }

    /// One datum, `depth` arrays and objects deep.
    pub(super) fn datum(&mut self, depth: usize) -> Result<Value, Stop> {
        let reader = self.resolution.map(|resolution| resolution.reader().root);
        self.read(self.schema.root, reader, depth)
    }

    pub(super) fn enter(&mut self, segment: Segment<'a>) {
        self.judgement.enter(segment);
    }

    pub(super) fn leave(&mut self) {
        self.judgement.leave();
    }

    /// Tells what is left.
    pub(super) fn end(self) -> Result<(), Stop> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let message = format!("{} bytes stand behind the last value", self.rest.len());
        self.judgement.tell("avro.trailing-bytes", message, None)?;
        Err(Stop::Broken)
    }

    /// Recursive: every level but that of a union, which holds no union, is a level of the document, of which there are at most
    /// [`Limits::DEEPEST`](crate::Limits::DEEPEST).
    fn read(&mut self, id: TypeId, reader: Option<TypeId>, depth: usize) -> Result<Value, Stop> {
        let found = self.schema.get(id);
        let reader = match &found.kind {
            Kind::Union(_) => reader,
            _ => self.resolution.zip(reader).map(|(resolution, reader)| resolution.branch(reader, id)),
        };
        let read_as =
            self.resolution.zip(reader).map_or(found, |(resolution, reader)| resolution.reader().get(reader));
        match &found.kind {
            Kind::Null => {
                self.judgement.value(4, depth)?;
                Ok(Value::Null)
            }
            Kind::Boolean => {
                let value = match self.take(1)? {
                    [0] => false,
                    [1] => true,
                    _ => return self.broken("a boolean is a byte of 0 or 1"),
                };
                self.judgement.value(5, depth)?;
                Ok(Value::Bool(value))
            }
            Kind::Int => {
                let value = self.long()?;
                if i32::try_from(value).is_err() {
                    return self.broken("this int has more than 32 bits");
                }
                self.integer(value, read_as, depth)
            }
            Kind::Long => {
                let value = self.long()?;
                self.integer(value, read_as, depth)
            }
            Kind::Float => {
                let value = f32::from_le_bytes(self.take(4)?.first_chunk().copied().unwrap_or_default());
                self.judgement.value(4, depth)?;
                Ok(if matches!(read_as.kind, Kind::Double) { double(value.into()) } else { float(value) })
            }
            Kind::Double => {
                let bytes = self.take(8)?.first_chunk().copied().unwrap_or_default();
                self.judgement.value(8, depth)?;
                Ok(double(f64::from_le_bytes(bytes)))
            }
            Kind::Bytes | Kind::String => {
                let bytes = self.sized()?;
                match (&found.kind, &read_as.kind) {
                    (_, Kind::Bytes) => self.bytes(bytes, read_as.logical, depth),
                    _ => {
                        let text = self.text(bytes, depth)?;
                        let value = Value::from(text);
                        if let Some(reason) = read_as.logical.and_then(|logical| logical.text_fault(text)) {
                            self.judgement.tell("avro.logical-type", reason, Some(&value))?;
                        }
                        Ok(value)
                    }
                }
            }
            Kind::Fixed(_, size) => {
                let bytes = self.take(*size)?;
                self.bytes(bytes, read_as.logical, depth)
            }
            Kind::Enum(_, symbols) => {
                let position = self.long()?;
                let symbol =
                    usize::try_from(position).ok().and_then(|position| symbols.symbols.get(position));
                let Some(mut symbol) = symbol else {
                    let count = symbols.symbols.len();
                    return self.broken(format!("the enum has {count} symbols, and this is none of them"));
                };
                if let Kind::Enum(_, known) = &read_as.kind
                    && let Some(default) = &known.default
                    && !known.symbols.contains(symbol)
                {
                    symbol = default;
                }
                self.judgement.value(symbol.len() + 2, depth)?;
                Ok(Value::from(symbol.as_str()))
            }
            Kind::Union(branches) => {
                let position = self.long()?;
                let branch = usize::try_from(position).ok().and_then(|position| branches.get(position));
                match branch {
                    Some(branch) => self.read(*branch, reader, depth),
                    None => {
                        let count = branches.len();
                        self.broken(format!("the union has {count} branches, and this is none of them"))
                    }
                }
            }
            Kind::Array(items) => {
                let reader = match (&read_as.kind, reader) {
                    (Kind::Array(items), Some(_)) => Some(*items),
                    _ => None,
                };
                self.array(*items, reader, depth + 1)
            }
            Kind::Map(values) => {
                let reader = match (&read_as.kind, reader) {
                    (Kind::Map(values), Some(_)) => Some(*values),
                    _ => None,
                };
                self.map(*values, reader, depth + 1)
            }
            Kind::Record(_, fields) => match (&read_as.kind, self.resolution.filter(|_| reader.is_some())) {
                (Kind::Record(_, wanted), Some(resolution)) => {
                    self.resolved_record(fields, wanted, resolution.reader(), depth + 1)
                }
                _ => self.record(fields, depth + 1),
            },
        }
    }

    fn broken<T>(&mut self, message: impl Into<String>) -> Result<T, Stop> {
        self.judgement.tell("avro.binary", message, None)?;
        Err(Stop::Broken)
    }

    fn or_broken<T>(&mut self, read: Result<(T, &'b [u8]), Fault>) -> Result<T, Stop> {
        match read {
            Ok((value, rest)) => {
                self.rest = rest;
                Ok(value)
            }
            Err(fault) => self.broken(fault),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'b [u8], Stop> {
        self.or_broken(cursor::take(self.rest, count))
    }

    fn long(&mut self) -> Result<i64, Stop> {
        self.or_broken(cursor::long(self.rest))
    }

    fn sized(&mut self) -> Result<&'b [u8], Stop> {
        self.or_broken(cursor::sized(self.rest))
    }

    fn text(&mut self, bytes: &'b [u8], depth: usize) -> Result<&'b str, Stop> {
        self.judgement.value(bytes.len() + 2, depth)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(_) => self.broken("this text is not in UTF-8"),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "promotion rounds, as the specification says")]
    fn integer(&mut self, value: i64, read_as: &Type, depth: usize) -> Result<Value, Stop> {
        self.judgement.value(1, depth)?;
        match read_as.kind {
            Kind::Float => return Ok(float(value as f32)),
            Kind::Double => return Ok(double(value as f64)),
            _ => {}
        }
        let shown = Value::from(value);
        if let Some(reason) = read_as.logical.and_then(|logical| logical.integer_fault(value)) {
            self.judgement.tell("avro.logical-type", reason, Some(&shown))?;
        }
        Ok(shown)
    }

    fn bytes(&mut self, bytes: &[u8], logical: Option<Logical>, depth: usize) -> Result<Value, Stop> {
        // A byte from 0x80 on takes two in UTF-8.
        self.judgement.value(bytes.len().saturating_mul(2), depth)?;
        let value = Value::from(latin(bytes));
        if let Some(logical) = logical
            && let Some(reason) = logical.bytes_fault(bytes, self.judgement.findings())?
        {
            self.judgement.tell("avro.logical-type", reason, Some(&value))?;
        }
        Ok(value)
    }

    fn record(&mut self, fields: &'a [Field], depth: usize) -> Result<Value, Stop> {
        self.judgement.value(1, depth)?;
        let mut members = Map::new();
        for field in fields {
            self.judgement.grow(field.name.len() + 3)?;
            self.judgement.enter_key(&field.name);
            let value = self.read(field.type_id, None, depth)?;
            self.judgement.leave();
            members.insert(field.name.clone(), value);
        }
        Ok(Value::Object(members))
    }

    /// What is written in the writer's order, under the reader's names, with the reader's defaults.
    fn resolved_record(
        &mut self,
        fields: &'a [Field],
        wanted: &'a [Field],
        reader: &'a Schema,
        depth: usize,
    ) -> Result<Value, Stop> {
        self.judgement.value(1, depth)?;
        let index = by_name(fields);
        // Which of the reader's fields take their values from each that is written; more than one may, by aliases.
        let mut taken: Vec<Vec<&'a Field>> = vec![Vec::new(); fields.len()];
        let mut members = Map::new();
        for field in wanted {
            self.judgement.value(field.name.len() + 3, depth)?;
            match (written_field(field, &index), &field.default) {
                (Some(found), _) => taken.get_mut(found).into_iter().for_each(|taken| taken.push(field)),
                (None, Some(default)) => {
                    let mut json = Reader::new(reader, Form::Plain, self.judgement);
                    members.insert(field.name.clone(), json.default(field.type_id, default, depth)?);
                }
                (None, None) => {}
            }
        }
        for (field, taken) in fields.iter().zip(taken) {
            self.judgement.enter_key(&field.name);
            let before = self.rest;
            if taken.is_empty() {
                self.read(field.type_id, None, depth)?;
            }
            for wanted in taken {
                self.rest = before;
                members.insert(wanted.name.clone(), self.read(field.type_id, Some(wanted.type_id), depth)?);
            }
            self.judgement.leave();
        }
        Ok(Value::Object(members))
    }

    fn array(&mut self, items: TypeId, reader: Option<TypeId>, depth: usize) -> Result<Value, Stop> {
        self.judgement.value(1, depth)?;
        let mut elements = Vec::new();
        self.blocks(|decoder| {
            decoder.judgement.enter(Segment::Index(elements.len()));
            elements.push(decoder.read(items, reader, depth)?);
            decoder.judgement.leave();
            Ok(())
        })?;
        Ok(Value::Array(elements))
    }

    fn map(&mut self, values: TypeId, reader: Option<TypeId>, depth: usize) -> Result<Value, Stop> {
        self.judgement.value(1, depth)?;
        let mut members = Map::new();
        self.blocks(|decoder| {
            let key = decoder.sized()?;
            let key = decoder.text(key, depth)?;
            decoder.judgement.enter(Segment::Key(Cow::Owned(key.to_owned())));
            let value = decoder.read(values, reader, depth)?;
            if members.insert(key.to_owned(), value).is_some() {
                let message =
                    "this key stands more than once in its map, and readers differ in which one counts";
                decoder.judgement.tell("avro.duplicate-key", message, None)?;
            }
            decoder.judgement.leave();
            Ok(())
        })?;
        Ok(Value::Object(members))
    }

    /// The items of an array or a map stand in blocks: a count, negative where a size in bytes follows it, then the items; a count of
    /// 0 is the end.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Stop>) -> Result<(), Stop> {
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            let declared = if count < 0 { Some(self.long()?) } else { None };
            let before = self.rest.len();
            for _ in 0..count.unsigned_abs() {
                item(self)?;
            }
            let taken = before - self.rest.len();
            if declared.is_some_and(|declared| usize::try_from(declared) != Ok(taken)) {
                // Who skips the block lands elsewhere than who reads it.
                return self.broken("this block has another size than it says");
            }
        }
    }
}
