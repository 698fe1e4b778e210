//! Reading a `FileDescriptorSet` (google/protobuf/descriptor.proto) and linking it. Editions and their features are known here, which
//! the crates for Protobuf are not ready for.

use std::collections::{BTreeMap, BTreeSet};

use mcp_core::{ErrorKind, SeamError};

use super::descriptor_fields::{each, int32, message, text, varint};
use super::features::Features;
use super::schema::{
    Enum, Field, File, Kind, Label, Message, Method, Oneof, Range, Ranges, Schema, Service, Type, camel_case,
};
use super::wire::MAX_NUMBER;
use crate::findings::shortened;

/// Full names longer than this are refused.
const MAX_NAME_BYTES: usize = 2048;

/// One `FileDescriptorProto`, and what linking must know before it is read.
#[derive(Clone, Debug)]
pub(super) struct FileBytes {
    pub(super) name: String,
    pub(super) imports: Vec<String>,
    pub(super) bytes: Vec<u8>,
}

impl FileBytes {
    /// The file in `bytes`, a `FileDescriptorProto`.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, SeamError> {
        let mut file = Self { name: String::new(), imports: Vec::new(), bytes: bytes.to_vec() };
        each(bytes, |number, payload| {
            match number {
                1 => file.name = text(payload)?,
                3 => file.imports.push(text(payload)?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(file)
    }
}

/// The files of a `FileDescriptorSet`.
pub(super) fn files_of_set(bytes: &[u8]) -> Result<Vec<FileBytes>, SeamError> {
    let mut files = Vec::new();
    each(bytes, |number, payload| {
        if number == 1 {
            files.push(FileBytes::read(message(payload)?)?);
        }
        Ok(())
    })?;
    Ok(files)
}

/// Reads and links `files`, of which those named in `roots` were given themselves.
pub(super) fn link(
    files: &[FileBytes],
    roots: &BTreeSet<String>,
    max_depth: usize,
) -> Result<Schema, SeamError> {
    let bytes: usize = files.iter().map(|file| file.bytes.len()).sum();
    let mut linker = Linker {
        schema: Schema::default(),
        fields: Vec::new(),
        extensions: Vec::new(),
        name_bytes_left: (1 << 20) + bytes.saturating_mul(32),
        max_depth,
    };
    for file in files {
        linker.file(file, roots.contains(&file.name)).map_err(|error| {
            let name = shortened(file.name.clone());
            SeamError::new(error.kind(), format!("read the descriptor of the file {name:?}"))
                .with_source(error)
        })?;
    }
    linker.finish()
}

struct Linker {
    schema: Schema,
    /// Fields whose types are known by name only, with the message that they stand in.
    fields: Vec<(usize, Loose)>,
    /// The same, with the name of the message that they extend.
    extensions: Vec<(String, Loose)>,
    /// Names repeat those of the messages around them; this is what all of them together may still take.
    name_bytes_left: usize,
    max_depth: usize,
}

/// A field before linking.
struct Loose {
    field: Field,
    kind: u64,
    type_name: String,
    features: Features,
}

/// Where a declaration stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: usize,
    scope: &'a str,
    features: Features,
    depth: usize,
}

impl Linker {
    fn file(&mut self, source: &FileBytes, is_root: bool) -> Result<(), SeamError> {
        let mut file = File { name: source.name.clone(), package: String::new(), is_root };
        let (mut syntax, mut edition, mut own) = (String::new(), 0, None);
        each(&source.bytes, |number, payload| {
            match number {
                2 => file.package = text(payload)?,
                8 => own = features_in(message(payload)?, 50)?,
                12 => syntax = text(payload)?,
                14 => edition = varint(payload)?,
                _ => {}
            }
            Ok(())
        })?;
        let mut features = Features::of(&syntax, edition)?;
        features.apply(own)?;
        let package = file.package.clone();
        let place = Place { file: self.schema.files.len(), scope: &package, features, depth: 0 };
        self.schema.files.push(file);
        each(&source.bytes, |number, payload| match number {
            4 => self.message(message(payload)?, place),
            5 => self.enumeration(message(payload)?, place),
            6 => self.service(message(payload)?, place),
            7 => self.extension(message(payload)?, place),
            _ => Ok(()),
        })
    }

    fn full_name(&mut self, scope: &str, name: &str) -> Result<String, SeamError> {
        let is_identifier = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        if !is_identifier {
            return Err(invalid(format!("{:?} is no name", shortened(name.to_owned()))));
        }
        let full = if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") };
        if full.len() > MAX_NAME_BYTES {
            return Err(exhausted(format!("a name has more than {MAX_NAME_BYTES} bytes")));
        }
        self.name_bytes_left = self
            .name_bytes_left
            .checked_sub(full.len())
            .ok_or_else(|| exhausted("its names together are too long, nest less or use shorter ones"))?;
        Ok(full)
    }

    fn declare(&mut self, name: &str, what: Type) -> Result<(), SeamError> {
        if self.schema.types.insert(name.to_owned(), what).is_some() {
            return Err(invalid(format!("{name} is declared more than once")));
        }
        Ok(())
    }

    fn message(&mut self, bytes: &[u8], place: Place<'_>) -> Result<(), SeamError> {
        if place.depth >= self.max_depth {
            return Err(exhausted(format!(
                "messages are declared more than {} deep, raise max_depth (at most 127)",
                self.max_depth
            )));
        }
        let mut declared = Message { file: place.file, is_nested: place.depth > 0, ..Message::default() };
        let (mut name, mut own, mut reserved) = (String::new(), None, Vec::new());
        each(bytes, |number, payload| {
            match number {
                1 => name = text(payload)?,
                9 => {
                    let (first, end) = range(message(payload)?)?;
                    reserved.push(Range { first, last: end.saturating_sub(1) });
                }
                7 => {
                    let options = message(payload)?;
                    own = features_in(options, 12)?;
                    each(options, |number, payload| {
                        match number {
                            1 => declared.is_message_set = varint(payload)? != 0,
                            7 => declared.is_map_entry = varint(payload)? != 0,
                            _ => {}
                        }
                        Ok(())
                    })?;
                }
                8 => {
                    let mut oneof = String::new();
                    each(message(payload)?, |number, payload| {
                        if number == 1 {
                            oneof = text(payload)?;
                        }
                        Ok(())
                    })?;
                    declared.oneofs.push(Oneof { name: oneof, members: Vec::new() });
                }
                10 => drop(declared.reserved_names.insert(text(payload)?)),
                _ => {}
            }
            Ok(())
        })?;
        let mut features = place.features;
        features.apply(own)?;
        declared.reserved = Ranges::new(reserved);
        declared.reserved_json_names = declared.reserved_names.iter().map(|name| camel_case(name)).collect();
        declared.json_best_effort = features.json_best_effort;
        let full = self.full_name(place.scope, &name)?;
        declared.name.clone_from(&full);
        let here = self.schema.messages.len();
        self.declare(&full, Type::Message(here))?;
        self.schema.messages.push(declared);
        let inside = Place { scope: &full, features, depth: place.depth + 1, ..place };
        let mut synthetic = BTreeSet::new();
        each(bytes, |number, payload| {
            match number {
                2 => {
                    let (loose, is_synthetic) = self.field(message(payload)?, features)?;
                    if is_synthetic {
                        synthetic.extend(loose.field.oneof);
                    }
                    self.fields.push((here, loose));
                }
                3 => self.message(message(payload)?, inside)?,
                4 => self.enumeration(message(payload)?, inside)?,
                6 => self.extension(message(payload)?, inside)?,
                _ => {}
            }
            Ok(())
        })?;
        // The oneof that `optional` stands for in proto3 has one member and is no oneof to anybody.
        if let Some(message) = self.schema.messages.get_mut(here) {
            let mut places = BTreeMap::new();
            let oneofs = std::mem::take(&mut message.oneofs);
            for (place, oneof) in oneofs.into_iter().enumerate() {
                if !synthetic.contains(&place) {
                    places.insert(place, message.oneofs.len());
                    message.oneofs.push(oneof);
                }
            }
            let own = self.fields.iter_mut().rev().take_while(|(message, _)| *message >= here);
            for (_, loose) in own.filter(|(message, _)| *message == here) {
                loose.field.oneof = match loose.field.oneof {
                    Some(place) if synthetic.contains(&place) => None,
                    Some(place) => Some(*places.get(&place).ok_or_else(|| {
                        invalid(format!("the field {} is in a oneof that is not declared", loose.field.name))
                    })?),
                    None => None,
                };
            }
        }
        Ok(())
    }

    /// The field, and whether its oneof only stands for `optional`.
    fn field(&mut self, bytes: &[u8], features: Features) -> Result<(Loose, bool), SeamError> {
        let (mut name, mut json_name, mut type_name, mut default) =
            (String::new(), None, String::new(), None);
        let (mut number, mut label, mut kind, mut oneof) = (0, 1, 0, None);
        let (mut packed, mut own, mut synthetic) = (None, None, false);
        each(bytes, |tag, payload| {
            match tag {
                1 => name = text(payload)?,
                3 => number = varint(payload)?,
                4 => label = varint(payload)?,
                5 => kind = varint(payload)?,
                6 => type_name = text(payload)?,
                7 => default = Some(text(payload)?),
                8 => {
                    let options = message(payload)?;
                    own = features_in(options, 21)?;
                    each(options, |number, payload| {
                        if number == 2 {
                            packed = Some(varint(payload)? != 0);
                        }
                        Ok(())
                    })?;
                }
                9 => oneof = usize::try_from(varint(payload)?).ok(),
                10 => json_name = Some(text(payload)?),
                17 => synthetic = varint(payload)? != 0,
                _ => {}
            }
            Ok(())
        })?;
        // The full name of a field is not kept, and its parts are checked and paid for all the same.
        let name = self.full_name("", &name)?;
        let mut features = features;
        features.apply(own)?;
        let number = u32::try_from(number)
            .ok()
            .filter(|number| (1..=MAX_NUMBER).contains(number))
            .ok_or_else(|| invalid(format!("the field {name} has no number from 1 to {MAX_NUMBER}")))?;
        let label = match label {
            2 => Label::Required,
            3 => Label::Repeated,
            _ if features.is_required => Label::Required,
            _ => Label::Optional,
        };
        let field = Field {
            json_name: json_name.unwrap_or_else(|| camel_case(&name)),
            name,
            number,
            kind: Kind::Double,
            label,
            has_presence: label != Label::Repeated
                && (features.has_presence || oneof.is_some() || label == Label::Required),
            is_packed: packed.unwrap_or(features.is_packed),
            oneof,
            default,
        };
        Ok((Loose { field, kind, type_name, features }, synthetic))
    }

    fn extension(&mut self, bytes: &[u8], place: Place<'_>) -> Result<(), SeamError> {
        let mut extended = String::new();
        each(bytes, |number, payload| {
            if number == 2 {
                extended = text(payload)?;
            }
            Ok(())
        })?;
        let (mut loose, _) = self.field(bytes, place.features)?;
        let name = self.full_name(place.scope, &loose.field.name)?;
        loose.field.name = format!("[{name}]");
        loose.field.json_name.clone_from(&loose.field.name);
        loose.field.oneof = None;
        self.extensions.push((extended, loose));
        Ok(())
    }

    fn enumeration(&mut self, bytes: &[u8], place: Place<'_>) -> Result<(), SeamError> {
        let mut declared = Enum { file: place.file, ..Enum::default() };
        let (mut name, mut own, mut aliases, mut reserved) = (String::new(), None, false, Vec::new());
        each(bytes, |number, payload| {
            match number {
                1 => name = text(payload)?,
                2 => {
                    let (mut value_name, mut value) = (String::new(), 0);
                    each(message(payload)?, |number, payload| {
                        match number {
                            1 => value_name = text(payload)?,
                            2 => value = int32(payload)?,
                            _ => {}
                        }
                        Ok(())
                    })?;
                    declared.values.push((value_name, value));
                }
                3 => {
                    let options = message(payload)?;
                    own = features_in(options, 7)?;
                    each(options, |number, payload| {
                        if number == 2 {
                            aliases = varint(payload)? != 0;
                        }
                        Ok(())
                    })?;
                }
                4 => {
                    let (first, last) = range(message(payload)?)?;
                    reserved.push(Range { first, last });
                }
                5 => drop(declared.reserved_names.insert(text(payload)?)),
                _ => {}
            }
            Ok(())
        })?;
        let mut features = place.features;
        features.apply(own)?;
        declared.reserved = Ranges::new(reserved);
        declared.is_closed = features.is_closed;
        declared.json_best_effort = features.json_best_effort;
        let full = self.full_name(place.scope, &name)?;
        for (name, number) in &declared.values {
            // Values are named beside their enum, not inside it.
            self.full_name(place.scope, name)?;
            if declared.names.insert(name.clone(), *number).is_some() {
                return Err(invalid(format!("the enum {full} declares {name} more than once")));
            }
            if declared.numbers.contains_key(number) {
                if !aliases {
                    return Err(invalid(format!(
                        "the enum {full} declares the number {number} more than once, and does not allow aliases"
                    )));
                }
            } else {
                declared.numbers.insert(*number, name.clone());
            }
        }
        match declared.values.first() {
            None => return Err(invalid(format!("the enum {full} declares no value"))),
            Some((name, number)) if *number != 0 && !declared.is_closed => {
                return Err(invalid(format!("the first value of the open enum {full}, {name}, is not 0")));
            }
            Some(_) => {}
        }
        declared.name.clone_from(&full);
        self.declare(&full, Type::Enum(self.schema.enums.len()))?;
        self.schema.enums.push(declared);
        Ok(())
    }

    fn service(&mut self, bytes: &[u8], place: Place<'_>) -> Result<(), SeamError> {
        let (mut name, mut methods) = (String::new(), Vec::new());
        each(bytes, |number, payload| {
            match number {
                1 => name = text(payload)?,
                2 => methods.push(method(message(payload)?)?),
                _ => {}
            }
            Ok(())
        })?;
        let name = self.full_name(place.scope, &name)?;
        self.schema.services.push(Service { name, file: place.file, methods });
        Ok(())
    }

    fn finish(mut self) -> Result<Schema, SeamError> {
        for (place, loose) in std::mem::take(&mut self.fields) {
            self.add(place, loose)?;
        }
        for (extended, loose) in std::mem::take(&mut self.extensions) {
            let name = extended.strip_prefix('.').unwrap_or(&extended);
            let place = self.schema.message_named(name).ok_or_else(|| unknown_type(name))?;
            self.add(place, loose)?;
        }
        for service in &self.schema.services {
            for method in &service.methods {
                for name in [&method.request, &method.response] {
                    self.schema.message_named(name).ok_or_else(|| unknown_type(name))?;
                }
            }
        }
        Ok(self.schema)
    }

    fn add(&mut self, place: usize, loose: Loose) -> Result<(), SeamError> {
        let mut field = loose.field;
        let name = loose.type_name.strip_prefix('.').unwrap_or(&loose.type_name);
        let named = || self.schema.types.get(name).copied().ok_or_else(|| unknown_type(name));
        let wrong = || invalid(format!("the type {name} of the field {} is of another kind", field.name));
        field.kind = match (loose.kind, loose.type_name.is_empty()) {
            (10 | 11 | 14, true) | (0, true) => {
                return Err(invalid(format!("the field {} has no type", field.name)));
            }
            (10, _) => match named()? {
                Type::Message(message) => Kind::Group(message),
                Type::Enum(_) => return Err(wrong()),
            },
            (11, _) => match named()? {
                Type::Message(message) => Kind::Message(message),
                Type::Enum(_) => return Err(wrong()),
            },
            (14, _) => match named()? {
                Type::Enum(declared) => Kind::Enum(declared),
                Type::Message(_) => return Err(wrong()),
            },
            (0, false) => match named()? {
                Type::Message(message) => Kind::Message(message),
                Type::Enum(declared) => Kind::Enum(declared),
            },
            (kind, _) => scalar(kind).ok_or_else(|| {
                invalid(format!("the field {} is of a type that does not exist, {kind}", field.name))
            })?,
        };
        if let Kind::Message(message) = field.kind {
            let is_entry = self.schema.message(message).is_some_and(|message| message.is_map_entry);
            if loose.features.is_delimited && !is_entry {
                field.kind = Kind::Group(message);
            }
            field.has_presence = field.label != Label::Repeated;
        }
        field.is_packed &= field.label == Label::Repeated && field.kind.is_packable();
        let Some(message) = self.schema.messages.get_mut(place) else { return Ok(()) };
        // Of two fields that are called the same in JSON the first is meant, as where conflicts are only warned about.
        for name in [field.name.clone(), format!("{}#{}", field.name, field.number)] {
            if message.names.contains_key(&field.json_name) {
                field.json_name = name;
            }
        }
        for name in [&field.json_name, &field.name] {
            message.names.entry(name.clone()).or_insert(field.number);
        }
        if field.label == Label::Required {
            message.required.push(field.number);
        }
        if let Some(oneof) = field.oneof.and_then(|place| message.oneofs.get_mut(place)) {
            oneof.members.push(field.number);
        }
        let name = field.name.clone();
        if let Some(before) = message.fields.insert(field.number, field) {
            return Err(invalid(format!(
                "the fields {} and {name} of {} have the same number, {}",
                before.name, message.name, before.number
            )));
        }
        Ok(())
    }
}

fn method(bytes: &[u8]) -> Result<Method, SeamError> {
    let mut method = Method {
        name: String::new(),
        request: String::new(),
        response: String::new(),
        client_streams: false,
        server_streams: false,
        idempotency: 0,
    };
    let type_name = |payload| text(payload).map(|name| name.strip_prefix('.').unwrap_or(&name).to_owned());
    each(bytes, |number, payload| {
        match number {
            1 => method.name = text(payload)?,
            2 => method.request = type_name(payload)?,
            3 => method.response = type_name(payload)?,
            4 => each(message(payload)?, |number, payload| {
                if number == 34 {
                    method.idempotency = varint(payload)?;
                }
                Ok(())
            })?,
            5 => method.client_streams = varint(payload)? != 0,
            6 => method.server_streams = varint(payload)? != 0,
            _ => {}
        }
        Ok(())
    })?;
    Ok(method)
}

const fn scalar(kind: u64) -> Option<Kind> {
    Some(match kind {
        1 => Kind::Double,
        2 => Kind::Float,
        3 => Kind::Int64,
        4 => Kind::Uint64,
        5 => Kind::Int32,
        6 => Kind::Fixed64,
        7 => Kind::Fixed32,
        8 => Kind::Bool,
        9 => Kind::String,
        12 => Kind::Bytes,
        13 => Kind::Uint32,
        15 => Kind::Sfixed32,
        16 => Kind::Sfixed64,
        17 => Kind::Sint32,
        18 => Kind::Sint64,
        _ => return None,
    })
}

/// What the field `number` of some options says of features.
fn features_in(options: &[u8], number: u32) -> Result<Option<&[u8]>, SeamError> {
    let mut found = None;
    each(options, |tag, payload| {
        if tag == number {
            found = Some(message(payload)?);
        }
        Ok(())
    })?;
    Ok(found)
}

fn range(bytes: &[u8]) -> Result<(i64, i64), SeamError> {
    let (mut start, mut end) = (0, 0);
    each(bytes, |number, payload| {
        match number {
            1 => start = int32(payload)?,
            2 => end = int32(payload)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((i64::from(start), i64::from(end)))
}

fn unknown_type(name: &str) -> SeamError {
    let name = shortened(name.to_owned());
    SeamError::new(
        ErrorKind::NotFound,
        format!("find the type {name:?}: no file that was given declares it, give its file as a reference"),
    )
}

pub(super) fn invalid(reason: impl Into<String>) -> SeamError {
    SeamError::new(ErrorKind::Invalid, reason.into())
}

fn exhausted(reason: impl Into<String>) -> SeamError {
    SeamError::new(ErrorKind::Exhausted, reason.into())
}
