//! What holds for every Protobuf schema and message, over generated ones; prost-reflect writes, and reads beside us.
#![cfg(feature = "protobuf")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use mcp_core::Digest;
use mcp_validation::{
    Compatibility, Contract, Document, Encoding, Findings, Limits, Protobuf, ProtobufLevel, SchemaFormat,
    SchemaSource, Validator, ValidatorError,
};
use proptest::prelude::*;
use prost_reflect::prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, SerializeOptions, Value,
};
use serde_json::Value as Json;

/// Numbers from a seed: xorshift64*.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % sides
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.roll(choices.len())]
    }
}

const SCALARS: [&str; 15] = [
    "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64",
    "bool", "string", "bytes", "float", "double",
];

/// A field as it will be written.
#[derive(Clone)]
struct Line {
    label: String,
    kind: String,
    name: String,
    number: usize,
    in_oneof: bool,
}

/// Messages `M0` to `M2`, where each may hold those behind it, and an enum.
#[derive(Clone)]
struct Draft {
    proto2: bool,
    messages: Vec<Vec<Line>>,
    reserved: Vec<Vec<(usize, String)>>,
    values: usize,
}

fn kind(dice: &mut Dice, message: usize, messages: usize) -> String {
    match dice.roll(8) {
        0 => "E".to_owned(),
        1 | 2 if message + 1 < messages => {
            let behind = dice.roll(messages - message - 1);
            format!("M{}", message + 1 + behind)
        }
        _ => dice.pick(&SCALARS).to_owned(),
    }
}

fn line(dice: &mut Dice, proto2: bool, message: usize, number: usize) -> Line {
    let mut kind = kind(dice, message, 3);
    let in_oneof = dice.roll(6) == 0;
    let mut label = match dice.roll(4) {
        0 | 1 => "repeated",
        2 if proto2 => "required",
        _ if proto2 => "optional",
        2 => "optional",
        _ => "",
    };
    if in_oneof {
        label = "";
    } else if dice.roll(8) == 0 {
        label = "";
        kind = format!("map<{}, {kind}>", dice.pick(&["string", "int32", "bool", "uint64", "sint64"]));
    }
    Line { label: label.to_owned(), kind, name: format!("field_{number}"), number, in_oneof }
}

impl Draft {
    fn roll(dice: &mut Dice) -> Self {
        let proto2 = dice.roll(2) == 0;
        let messages = (0..3)
            .map(|message| {
                let fields = 1 + dice.roll(6);
                (1..=fields).map(|field| line(dice, proto2, message, field * 3)).collect()
            })
            .collect();
        Self { proto2, messages, reserved: vec![Vec::new(); 3], values: 2 + dice.roll(2) }
    }

    fn text(&self) -> String {
        let mut text = format!("syntax = \"proto{}\";\npackage law;\n", if self.proto2 { 2 } else { 3 });
        let values: String = (0..self.values).map(|value| format!(" E_{value} = {value};")).collect();
        writeln!(text, "enum E {{{values} }}").unwrap();
        for (place, fields) in self.messages.iter().enumerate() {
            writeln!(text, "message M{place} {{").unwrap();
            for (number, name) in &self.reserved[place] {
                writeln!(text, "  reserved {number}; reserved \"{name}\";").unwrap();
            }
            let show =
                |line: &Line| format!("  {} {} {} = {};", line.label, line.kind, line.name, line.number);
            for line in fields.iter().filter(|line| !line.in_oneof) {
                writeln!(text, "{}", show(line)).unwrap();
            }
            if fields.iter().any(|line| line.in_oneof) {
                writeln!(text, "  oneof choice {{").unwrap();
                fields
                    .iter()
                    .filter(|line| line.in_oneof)
                    .for_each(|line| writeln!(text, "  {}", show(line)).unwrap());
                writeln!(text, "  }}").unwrap();
            }
            writeln!(text, "}}").unwrap();
        }
        text
    }

    /// Another version: most edits are harmless.
    fn edited(&self, dice: &mut Dice) -> Self {
        let mut edited = self.clone();
        for _ in 0..=dice.roll(2) {
            let message = dice.roll(3);
            let proto2 = edited.proto2;
            let fields = &mut edited.messages[message];
            match dice.roll(7) {
                0 => {
                    let number = 40 + dice.roll(9);
                    let mut added = line(dice, proto2, message, number);
                    if fields.iter().all(|field| field.number != added.number) {
                        if added.label == "required" {
                            added.label = "optional".to_owned();
                        }
                        fields.push(added);
                    }
                }
                1 if fields.len() > 1 => {
                    let removed = fields.remove(dice.roll(fields.len()));
                    if dice.roll(4) > 0 {
                        edited.reserved[message].push((removed.number, removed.name));
                    }
                }
                2 | 3 => {
                    let field = dice.roll(fields.len());
                    let groups = [
                        &["int32", "int64", "uint32", "uint64", "bool", "E"][..],
                        &["sint32", "sint64"],
                        &["fixed32", "sfixed32"],
                        &["fixed64", "sfixed64"],
                        &["string", "bytes"],
                        &["M2", "bytes"],
                    ];
                    let group = groups.iter().find(|group| group.contains(&fields[field].kind.as_str()));
                    if let Some(group) = group {
                        fields[field].kind = dice.pick(group).to_owned();
                    }
                }
                4 => {
                    let field = dice.roll(fields.len());
                    if !fields[field].in_oneof && !fields[field].kind.starts_with("map") {
                        let labels: &[&str] = if proto2 {
                            &["optional", "required", "repeated"]
                        } else {
                            &["", "optional", "repeated"]
                        };
                        fields[field].label = dice.pick(labels).to_owned();
                    }
                }
                5 => edited.values = 2 + dice.roll(3),
                _ => {}
            }
        }
        edited
    }
}

fn pool(text: &str) -> DescriptorPool {
    let file = protox::file::File::from_source("schema.proto", text)
        .unwrap_or_else(|error| panic!("{error}: {text}"));
    let mut pool = DescriptorPool::new();
    pool.add_file_descriptor_proto(file.into()).unwrap_or_else(|error| panic!("{error}: {text}"));
    pool
}

/// A value of a field's type; `small` ones are the same in every type of their group.
fn value(dice: &mut Dice, kind: &Kind, small: bool) -> Value {
    let number = if small { dice.roll(2) as u64 } else { (dice.roll(1 << 31) as u64) << dice.roll(34) };
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "any number will do")]
    match kind {
        Kind::Double => Value::F64(number as f64 / 8.0),
        Kind::Float => Value::F32(number as f32 / 8.0),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(number as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(number as i64),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(number as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(number),
        Kind::Bool => Value::Bool(dice.roll(2) == 0),
        Kind::String => Value::String("äb/~\"".chars().cycle().take(dice.roll(7)).collect()),
        Kind::Bytes => Value::Bytes((0..dice.roll(5)).map(|byte| byte as u8).collect::<Vec<_>>().into()),
        Kind::Message(message) => Value::Message(message_of(dice, message, small)),
        Kind::Enum(of) => Value::EnumNumber(of.values().nth(dice.roll(of.values().len())).unwrap().number()),
    }
}

fn key(dice: &mut Dice, kind: &Kind) -> MapKey {
    match value(dice, kind, false) {
        Value::Bool(key) => MapKey::Bool(key),
        Value::I32(key) => MapKey::I32(key),
        Value::I64(key) => MapKey::I64(key),
        Value::U32(key) => MapKey::U32(key),
        Value::U64(key) => MapKey::U64(key),
        Value::String(key) => MapKey::String(key),
        other => panic!("{other:?} is no key"),
    }
}

fn message_of(dice: &mut Dice, descriptor: &MessageDescriptor, small: bool) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        let is_required = field.cardinality() == prost_reflect::Cardinality::Required;
        if !is_required && dice.roll(4) == 0 {
            continue;
        }
        let content = if field.is_map() {
            let kind = field.kind();
            let entry = kind.as_message().unwrap();
            let (of_key, of_value) =
                (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
            let entries = dice.roll(3);
            Value::Map((0..entries).map(|_| (key(dice, &of_key), value(dice, &of_value, small))).collect())
        } else if field.is_list() {
            let elements = dice.roll(4);
            Value::List((0..elements).map(|_| value(dice, &field.kind(), small)).collect())
        } else {
            value(dice, &field.kind(), small)
        };
        message.set_field(&field, content);
    }
    message
}

/// The JSON that prost-reflect writes.
fn json_of(message: &DynamicMessage, as_we_show: bool) -> Json {
    let options = SerializeOptions::new().stringify_64_bit_integers(!as_we_show).skip_default_fields(true);
    message.serialize_with_options(serde_json::value::Serializer, &options).unwrap()
}

#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Json>>);

impl Validator for Shown {
    fn validate(&self, document: &Document, _: &mut Findings) -> Result<(), ValidatorError> {
        *self.0.lock().unwrap() = document.value()?.clone();
        Ok(())
    }

    fn fingerprint(&self) -> Option<Digest> {
        None
    }
}

/// Equal, floats as far as 32 bits go: prost-reflect shows those widened.
fn alike(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| alike(left, right))
        }
        (Json::Object(left), Json::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| alike(left, right)))
        }
        (Json::Number(a), Json::Number(b)) => {
            a == b || {
                let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
                #[allow(clippy::cast_possible_truncation, clippy::float_cmp, reason = "compared at 32 bits")]
                let same = a as f32 == b as f32;
                same
            }
        }
        _ => left == right,
    }
}

fn contract(text: &str, shown: &Shown) -> Contract {
    let format = Protobuf::new().message("law.M0");
    Contract::schema(format, text)
        .validator(shown.clone())
        .build()
        .unwrap_or_else(|error| panic!("{error:?}: {text}"))
}

/// A message in which what both schemas know is comparable: by number, every value in one form.
#[derive(Debug, PartialEq)]
enum Plain {
    Number(i128),
    Float(u64),
    Bytes(Vec<u8>),
    List(Vec<Plain>),
    Map(BTreeMap<String, Plain>),
    Message(BTreeMap<u32, Plain>),
}

/// What `message` says of the fields that `other` knows too; bytes in `other` are compared with the bytes of a message.
fn plain(message: &DynamicMessage, other: &MessageDescriptor) -> BTreeMap<u32, Plain> {
    message
        .fields()
        .filter_map(|(field, value)| {
            let theirs = other.get_field(field.number())?;
            let is_zero =
                !field.is_list() && !field.is_map() && *value == Value::default_value(&field.kind());
            // A message of no bytes, read as bytes, is the value that counts as none.
            let vanishes = matches!(value, Value::Message(message) if message.encoded_len() == 0)
                && theirs.kind().as_message().is_none();
            (!vanishes && (!is_zero || field.kind().as_message().is_some()))
                .then(|| (field.number(), plain_value(&field, value, &theirs)))
        })
        .collect()
}

fn plain_value(field: &FieldDescriptor, value: &Value, theirs: &FieldDescriptor) -> Plain {
    let inner = |descriptor: &FieldDescriptor| match descriptor.kind() {
        Kind::Message(entry) if descriptor.is_map() => entry.map_entry_value_field(),
        _ => descriptor.clone(),
    };
    match value {
        Value::Bool(value) => Plain::Number((*value).into()),
        Value::I32(value) | Value::EnumNumber(value) => Plain::Number((*value).into()),
        Value::I64(value) => Plain::Number((*value).into()),
        Value::U32(value) => Plain::Number((*value).into()),
        Value::U64(value) => Plain::Number((*value).into()),
        Value::F32(value) => Plain::Float(f64::from(*value).to_bits()),
        Value::F64(value) => Plain::Float(value.to_bits()),
        Value::String(value) => Plain::Bytes(value.as_bytes().to_vec()),
        Value::Bytes(value) => Plain::Bytes(value.to_vec()),
        Value::Message(message) => match theirs.kind() {
            Kind::Message(other) => Plain::Message(plain(message, &other)),
            _ => Plain::Bytes(message.encode_to_vec()),
        },
        Value::List(list) => {
            Plain::List(list.iter().map(|value| plain_value(field, value, theirs)).collect())
        }
        Value::Map(map) => Plain::Map(
            map.iter()
                .map(|(key, value)| {
                    let key = match key {
                        MapKey::Bool(key) => u8::from(*key).to_string(),
                        MapKey::I32(key) => key.to_string(),
                        MapKey::I64(key) => key.to_string(),
                        MapKey::U32(key) => key.to_string(),
                        MapKey::U64(key) => key.to_string(),
                        MapKey::String(key) => key.clone(),
                    };
                    (key, plain_value(&inner(field), value, &inner(theirs)))
                })
                .collect(),
        ),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_generated_message_is_valid_and_shown_as_prost_reflect_shows_it(seed in 1_u64..) {
        let mut dice = Dice(seed);
        let text = Draft::roll(&mut dice).text();
        let descriptor = pool(&text).get_message_by_name("law.M0").unwrap();
        let shown = Shown::default();
        let contract = contract(&text, &shown);
        for _ in 0..4 {
            let message = message_of(&mut dice, &descriptor, false);
            let expected = json_of(&message, true);
            for document in [
                Document::new(Encoding::ProtobufBinary, message.encode_to_vec()),
                Document::new(Encoding::ProtobufJson, json_of(&message, false).to_string()),
            ] {
                let report = contract.validate(&document).unwrap();
                prop_assert!(report.valid, "{report}\n{text}\n{expected}");
                let seen = shown.0.lock().unwrap().take();
                prop_assert!(alike(&seen, &expected), "{seen}\n{expected}\n{text}");
            }
        }
    }

    #[test]
    fn a_generated_message_that_was_mutated_is_invalid(seed in 1_u64..) {
        let mut dice = Dice(seed);
        let text = Draft::roll(&mut dice).text();
        let descriptor = pool(&text).get_message_by_name("law.M0").unwrap();
        let contract = contract(&text, &Shown::default());
        let message = message_of(&mut dice, &descriptor, false);
        let bytes = message.encode_to_vec();
        let is_valid = |bytes: &[u8]| contract.is_valid(&Document::new(Encoding::ProtobufBinary, bytes.to_vec()));
        if let Some((_, cut)) = bytes.split_last() {
            prop_assert!(!is_valid(cut).unwrap(), "cut\n{text}");
        }
        for field in descriptor.fields() {
            // A record of a wire type that no field of this type has.
            let wrong = match field.kind() {
                Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => 5_u32,
                _ => 1,
            };
            let mut with = bytes.clone();
            prost_reflect::prost::encoding::encode_varint(u64::from(field.number() << 3 | wrong), &mut with);
            with.extend([0; 8].iter().take(if wrong == 1 { 8 } else { 4 }));
            prop_assert!(!is_valid(&with).unwrap(), "{}\n{text}", field.name());
            // An array in an array is nothing at all.
            let mut json = json_of(&message, false);
            json[field.json_name()] = serde_json::json!([[]]);
            prop_assert!(
                !contract.is_valid(&Document::new(Encoding::ProtobufJson, json.to_string())).unwrap(),
                "{json}\n{text}"
            );
        }
    }

    #[test]
    fn what_can_be_read_is_read_without_loss(seed in 1_u64..) {
        let mut dice = Dice(seed);
        let old = Draft::roll(&mut dice);
        let limits = Limits::default();
        let writer_text = old.text();
        let writer = pool(&writer_text).get_message_by_name("law.M0").unwrap();
        for _ in 0..6 {
            let reader_text = old.edited(&mut dice).text();
            let source = |text| SchemaSource::new(text, &[], &limits);
            let verdict = |level| {
                Protobuf::new().level(level).can_read(&source(reader_text.as_str()), &source(writer_text.as_str())).unwrap()
            };
            let message = message_of(&mut dice, &writer, true);
            let reader_contract = contract(&reader_text, &Shown::default());
            if verdict(ProtobufLevel::Wire) == Compatibility::Yes {
                let reader = pool(&reader_text).get_message_by_name("law.M0").unwrap();
                let bytes = message.encode_to_vec();
                let read = DynamicMessage::decode(reader.clone(), bytes.as_slice()).unwrap();
                prop_assert_eq!(plain(&message, &reader), plain(&read, &writer), "\n{}\n{}", writer_text, reader_text);
                let report = reader_contract.validate(&Document::new(Encoding::ProtobufBinary, bytes)).unwrap();
                prop_assert!(report.valid, "{report}\n{writer_text}\n{reader_text}");
            }
            if verdict(ProtobufLevel::Json) == Compatibility::Yes {
                let json = json_of(&message, false).to_string();
                let report = reader_contract.validate(&Document::new(Encoding::ProtobufJson, json.clone())).unwrap();
                prop_assert!(report.valid, "{report}\n{json}\n{writer_text}\n{reader_text}");
            }
        }
    }
}
