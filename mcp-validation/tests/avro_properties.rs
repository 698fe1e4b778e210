//! Laws of the Avro format over random schemas, with the crate `apache-avro` as a peer.
#![cfg(feature = "avro")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "random bits, and counts of a few"
)]

use std::sync::{Arc, Mutex};

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Datum;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{AvroResult, Codec, Schema, Writer};
use mcp_core::{Digest, SeamError};
use mcp_validation::{
    Avro, Compatibility, Contract, Document, Encoding, Findings, Limits, SchemaFormat, SchemaSource,
    Validator,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Remembers what it was given.
#[derive(Clone, Default)]
struct Sees(Arc<Mutex<Option<Value>>>);

impl Validator for Sees {
    fn validate(&self, document: &Document, _findings: &mut Findings) -> Result<(), SeamError> {
        *self.0.lock().unwrap() = Some(document.value()?.clone());
        Ok(())
    }
    fn fingerprint(&self) -> Option<Digest> {
        None
    }
}

struct Judge {
    contract: Contract,
    sees: Sees,
}

impl Judge {
    fn new(schema: &Value) -> Self {
        let sees = Sees::default();
        let contract = Contract::schema(Avro, schema.to_string()).validator(sees.clone()).build();
        Self { contract: contract.unwrap_or_else(|error| panic!("{schema}: {error}")), sees }
    }

    /// What it saw of a document that is valid; else why it is not.
    fn view(&self, encoding: Encoding, bytes: Vec<u8>) -> Result<Value, String> {
        let report =
            self.contract.validate(&Document::new(encoding, bytes)).map_err(|error| error.to_string())?;
        let seen = self.sees.0.lock().unwrap().take();
        if report.valid { Ok(seen.expect("seen")) } else { Err(report.to_string()) }
    }
}

/// A schema, as a tree without names; names are given in order when it is written.
#[derive(Clone, Debug)]
enum Shape {
    Primitive(&'static str),
    Logical(&'static str, &'static str),
    Decimal(u32),
    Fixed(usize),
    Enum(usize),
    Array(Box<Shape>),
    Map(Box<Shape>),
    Record(Vec<Shape>),
    /// Of different kinds.
    Union(Vec<Shape>),
}

fn shapes() -> impl Strategy<Value = Shape> {
    let primitives = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
    let leaf = prop_oneof![
        6 => prop::sample::select(primitives.to_vec()).prop_map(Shape::Primitive),
        1 => prop::sample::select(vec![("int", "date"), ("long", "timestamp-millis"), ("long", "timestamp-micros"), ("int", "time-millis")])
            .prop_map(|(base, logical)| Shape::Logical(base, logical)),
        1 => (1_u32..12).prop_map(Shape::Decimal),
        1 => (0_usize..5).prop_map(Shape::Fixed),
        1 => (1_usize..5).prop_map(Shape::Enum),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|items| Shape::Array(Box::new(items))),
            inner.clone().prop_map(|values| Shape::Map(Box::new(values))),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Shape::Record),
            prop::collection::vec(inner, 1..4)
                .prop_map(|branches| {
                    let mut seen = Vec::new();
                    let different = branches.into_iter().filter(|branch| {
                        let word = branch.word();
                        let fresh = word != "union" && !seen.contains(&word);
                        seen.push(word);
                        fresh
                    });
                    Shape::Union(different.collect())
                })
                .prop_filter(
                    "a union of something",
                    |shape| matches!(shape, Shape::Union(branches) if !branches.is_empty())
                ),
        ]
    })
}

impl Shape {
    fn word(&self) -> &'static str {
        match self {
            Self::Primitive(word) | Self::Logical(word, _) => word,
            Self::Decimal(_) => "bytes",
            Self::Fixed(_) => "fixed",
            Self::Enum(_) => "enum",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Record(_) => "record",
            Self::Union(_) => "union",
        }
    }

    fn schema(&self, names: &mut usize) -> Value {
        let mut name = |kind: &str| {
            *names += 1;
            format!("n.{kind}{names}")
        };
        match self {
            Self::Primitive(word) => json!(word),
            Self::Logical(base, logical) => json!({"type": base, "logicalType": logical}),
            Self::Decimal(precision) => {
                json!({"type": "bytes", "logicalType": "decimal", "precision": precision})
            }
            Self::Fixed(size) => json!({"type": "fixed", "name": name("F"), "size": size}),
            Self::Enum(count) => {
                let symbols: Vec<String> = (0..*count).map(|index| format!("S{index}")).collect();
                json!({"type": "enum", "name": name("E"), "symbols": symbols})
            }
            Self::Array(items) => json!({"type": "array", "items": items.schema(names)}),
            Self::Map(values) => json!({"type": "map", "values": values.schema(names)}),
            Self::Record(fields) => {
                let name = name("R");
                let fields: Vec<Value> = fields
                    .iter()
                    .enumerate()
                    .map(|(index, field)| json!({"name": format!("f{index}"), "type": field.schema(names)}))
                    .collect();
                json!({"type": "record", "name": name, "fields": fields})
            }
            Self::Union(branches) => branches.iter().map(|branch| branch.schema(names)).collect(),
        }
    }
}

/// Takes choices from random bytes; when they have run out, the smallest.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    fn long(&mut self) -> i64 {
        let bytes: [u8; 8] = std::array::from_fn(|_| self.byte());
        i64::from_le_bytes(bytes) >> (self.below(64))
    }
}

fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// A value: as the peer has it, in the plain form, and in Avro's JSON encoding.
fn value(schema: &Value, choices: &mut Choices<'_>) -> (Datum, Value, Value) {
    let same = |datum, view: Value| (datum, view.clone(), view);
    if let Some(branches) = schema.as_array() {
        let position = choices.below(branches.len());
        let branch = &branches[position];
        let (datum, plain, spec) = value(branch, choices);
        let label = branch.get("name").or(branch.get("type")).unwrap_or(branch).as_str().unwrap();
        let spec = if label == "null" { Value::Null } else { json!({label: spec}) };
        return (Datum::Union(position as u32, Box::new(datum)), plain, spec);
    }
    let word = schema.get("type").unwrap_or(schema).as_str().unwrap();
    let logical = schema.get("logicalType").and_then(Value::as_str).unwrap_or_default();
    match word {
        "null" => same(Datum::Null, Value::Null),
        "boolean" => {
            let truth = choices.byte() & 1 == 1;
            same(Datum::Boolean(truth), json!(truth))
        }
        "int" => {
            let number = choices.long() as i32;
            match logical {
                "date" => same(Datum::Date(number), json!(number)),
                "time-millis" => {
                    let number = number.rem_euclid(86_400_000);
                    same(Datum::TimeMillis(number), json!(number))
                }
                _ => same(Datum::Int(number), json!(number)),
            }
        }
        "long" => {
            let number = choices.long();
            let datum = match logical {
                "timestamp-millis" => Datum::TimestampMillis(number),
                "timestamp-micros" => Datum::TimestampMicros(number),
                _ => Datum::Long(number),
            };
            same(datum, json!(number))
        }
        "float" => {
            let number = f32::from_bits(choices.long() as u32);
            let number = if number.is_finite() { number } else { 0.1 };
            same(Datum::Float(number), json!(number.to_string().parse::<f64>().unwrap()))
        }
        "double" => {
            let number = f64::from_bits(choices.long() as u64);
            match (number.is_nan(), number.is_infinite()) {
                (true, _) => same(Datum::Double(f64::NAN), json!("NaN")),
                (_, true) => same(Datum::Double(f64::INFINITY), json!("Infinity")),
                _ => same(Datum::Double(number), json!(number)),
            }
        }
        "bytes" if logical == "decimal" => {
            let bound = 10_i64.pow(schema["precision"].as_u64().unwrap() as u32);
            let number = choices.long() % bound;
            let bytes = number.to_be_bytes();
            same(Datum::Decimal(bytes.to_vec().into()), json!(latin(&bytes)))
        }
        "bytes" => {
            let count = choices.below(5);
            let bytes: Vec<u8> = (0..count).map(|_| choices.byte()).collect();
            same(Datum::Bytes(bytes.clone()), json!(latin(&bytes)))
        }
        "string" => {
            let count = choices.below(5);
            let text: String =
                (0..count).map(|_| ['a', '/', '~', 'é', '\u{1f980}', '"'][choices.below(6)]).collect();
            same(Datum::String(text.clone()), json!(text))
        }
        "fixed" => {
            let bytes: Vec<u8> = (0..schema["size"].as_u64().unwrap()).map(|_| choices.byte()).collect();
            same(Datum::Fixed(bytes.len(), bytes.clone()), json!(latin(&bytes)))
        }
        "enum" => {
            let symbols = schema["symbols"].as_array().unwrap();
            let position = choices.below(symbols.len());
            let symbol = symbols[position].as_str().unwrap();
            same(Datum::Enum(position as u32, symbol.to_owned()), json!(symbol))
        }
        "array" => {
            let values: Vec<_> = (0..choices.below(4)).map(|_| value(&schema["items"], choices)).collect();
            let plain = values.iter().map(|(_, plain, _)| plain.clone()).collect();
            let spec = values.iter().map(|(_, _, spec)| spec.clone()).collect();
            (Datum::Array(values.into_iter().map(|(datum, ..)| datum).collect()), plain, spec)
        }
        "map" => {
            let (mut data, mut plain, mut spec) = (std::collections::HashMap::new(), Map::new(), Map::new());
            for _ in 0..choices.below(4) {
                let key = ["", "a", "b/c", "~"][choices.below(4)];
                let one = value(&schema["values"], choices);
                data.insert(key.to_owned(), one.0);
                plain.insert(key.to_owned(), one.1);
                spec.insert(key.to_owned(), one.2);
            }
            (Datum::Map(data), plain.into(), spec.into())
        }
        "record" => {
            let (mut data, mut plain, mut spec) = (Vec::new(), Map::new(), Map::new());
            for field in schema["fields"].as_array().unwrap() {
                let name = field["name"].as_str().unwrap().to_owned();
                let one = value(&field["type"], choices);
                data.push((name.clone(), one.0));
                plain.insert(name.clone(), one.1);
                spec.insert(name, one.2);
            }
            (Datum::Record(data), plain.into(), spec.into())
        }
        other => panic!("{other}"),
    }
}

/// Changes one leaf of a value of JSON into something of another kind; false where there is none.
fn spoil(schema: &Value, spec: &mut Value, choices: &mut Choices<'_>) -> bool {
    if let Some(branches) = schema.as_array() {
        let Some(members) = spec.as_object_mut() else {
            *spec = json!({"no-such-branch": 1});
            return true;
        };
        let (label, inner) = members.iter_mut().next().unwrap();
        let branch = branches.iter().find(|branch| {
            branch.get("name").or(branch.get("type")).unwrap_or(branch).as_str() == Some(label)
        });
        return spoil(branch.unwrap(), inner, choices);
    }
    match schema.get("type").unwrap_or(schema).as_str().unwrap() {
        "array" | "map" if choices.byte() & 1 == 0 => {
            let inner = &schema.get("items").or(schema.get("values")).unwrap();
            let children: Vec<&mut Value> = match spec {
                Value::Array(elements) => elements.iter_mut().collect(),
                Value::Object(members) => members.values_mut().collect(),
                _ => panic!("{spec}"),
            };
            let count = children.len();
            match children.into_iter().nth(choices.below(count)) {
                Some(child) => return spoil(inner, child, choices),
                None => *spec = json!(false),
            }
        }
        "record" => {
            let members = spec.as_object_mut().unwrap();
            let fields = schema["fields"].as_array().unwrap();
            match (choices.below(3), fields.len()) {
                (0, _) | (_, 0) => drop(members.insert("no_such_field".to_owned(), Value::Null)),
                (1, count) => drop(members.remove(fields[choices.below(count)]["name"].as_str().unwrap())),
                (_, count) => {
                    let field = &fields[choices.below(count)];
                    return spoil(&field["type"], &mut members[field["name"].as_str().unwrap()], choices);
                }
            }
        }
        "null" => *spec = json!(0),
        "boolean" | "string" | "bytes" | "array" | "map" => *spec = json!(1.5),
        "int" | "long" | "float" | "double" => *spec = json!("no number"),
        "enum" => *spec = json!("no_symbol"),
        "fixed" => *spec = json!(format!("{}x", spec.as_str().unwrap())),
        other => panic!("{other}"),
    }
    true
}

/// What follows from a value that is NaN compares with nothing.
fn is_comparable(datum: &Datum) -> bool {
    !format!("{datum:?}").contains("NaN")
}

/// A change of a schema such as people make.
fn evolve(schema: &Value, choices: &mut Choices<'_>) -> Value {
    let mut schema = schema.clone();
    let change = choices.below(8);
    match &mut schema {
        Value::Array(branches) => match change {
            0 => branches.reverse(),
            1 if branches.len() > 1 => drop(branches.pop()),
            2 if !branches.contains(&json!("null")) => branches.push(json!("null")),
            3 if branches.len() == 1 => return branches[0].clone(),
            _ => {
                let position = choices.below(branches.len());
                let was = branches[position].clone();
                let is = evolve(&was, choices);
                // What a union cannot hold twice stays as it was.
                if is.is_object() {
                    branches[position] = is;
                }
            }
        },
        Value::String(word) => match (change, word.as_str()) {
            (0..=2, "int") => *word = "long".to_owned(),
            (0..=2, "long") => *word = "double".to_owned(),
            (0..=2, "string") => *word = "bytes".to_owned(),
            (3, _) => *word = "boolean".to_owned(),
            (4, word) if word != "null" => return json!(["null", word]),
            _ => {}
        },
        Value::Object(attributes) => {
            let kind = attributes["type"].as_str().unwrap().to_owned();
            match kind.as_str() {
                "record" => {
                    let fields = attributes["fields"].as_array_mut().unwrap();
                    let count = fields.len();
                    match change {
                        0 => fields.push(json!({"name": "added", "type": "int", "default": 7})),
                        1 => fields.push(json!({"name": "added", "type": "int"})),
                        2 if count > 0 => drop(fields.remove(choices.below(count))),
                        3 => fields.reverse(),
                        4 if count > 0 => {
                            let field = fields[choices.below(count)].as_object_mut().unwrap();
                            let was = field["name"].clone();
                            field.insert("name".to_owned(), json!("renamed"));
                            field.insert("aliases".to_owned(), json!([was]));
                        }
                        _ if count > 0 => {
                            let field = &mut fields[choices.below(count)];
                            field["type"] = evolve(&field["type"], choices);
                        }
                        _ => {}
                    }
                }
                "array" => attributes["items"] = evolve(&attributes["items"], choices),
                "map" => attributes["values"] = evolve(&attributes["values"], choices),
                "enum" => {
                    let symbols = attributes["symbols"].as_array_mut().unwrap();
                    match change {
                        0 => symbols.push(json!("NEW")),
                        1 if symbols.len() > 1 => drop(symbols.remove(0)),
                        2 if symbols.len() > 1 => {
                            symbols.remove(0);
                            let default = symbols[0].clone();
                            attributes.insert("default".to_owned(), default);
                        }
                        _ => {}
                    }
                }
                "fixed" if change == 0 => {
                    attributes["size"] = json!(attributes["size"].as_u64().unwrap() + 1)
                }
                _ => {}
            }
        }
        _ => {}
    }
    schema
}

fn can_read(reader: &Value, writer: &Value) -> Compatibility {
    let limits = Limits::default();
    let (reader, writer) = (reader.to_string(), writer.to_string());
    let (reader, writer) =
        (SchemaSource::new(&reader, &[], &limits), SchemaSource::new(&writer, &[], &limits));
    Avro.can_read(&reader, &writer).expect("two schemas")
}

fn encode(schema: &Schema, datum: Datum) -> AvroResult<Vec<u8>> {
    GenericDatumWriter::builder(schema).build()?.write_value_to_vec(datum)
}

fn decode(schema: &Schema, bytes: &mut &[u8], reader: Option<&Schema>) -> AvroResult<Datum> {
    GenericDatumReader::builder(schema).maybe_reader_schema(reader).build()?.read_value(bytes)
}

/// The peer's. It keeps a primitive type with a logical type as an object in the canonical form, which neither the specification nor
/// Java does; so the logical types are taken away before.
fn fingerprint(schema: &Value) -> Vec<u8> {
    fn simple(schema: &Value) -> Value {
        match schema {
            Value::Array(branches) => branches.iter().map(simple).collect(),
            Value::Object(attributes) if attributes.contains_key("logicalType") => attributes["type"].clone(),
            Value::Object(attributes) => {
                Value::Object(attributes.iter().map(|(key, value)| (key.clone(), simple(value))).collect())
            }
            other => other.clone(),
        }
    }
    Schema::parse(&simple(schema)).unwrap().fingerprint::<apache_avro::rabin::Rabin>().bytes
}

fn container(schema: &Schema, data: &[Datum]) -> Vec<u8> {
    let mut writer = Writer::with_codec(schema, Vec::new(), Codec::Deflate(Default::default())).unwrap();
    for datum in data {
        writer.append_value_ref(datum).unwrap();
    }
    writer.into_inner().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_value_of_a_schema_is_valid_in_every_encoding_and_the_views_agree(
        shape in shapes(), seed in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let schema = shape.schema(&mut 0);
        let (datum, plain, spec) = value(&schema, &mut Choices(seed.iter()));
        let judge = Judge::new(&schema);
        let peer = Schema::parse(&schema).unwrap();
        let binary = encode(&peer, datum.clone()).unwrap();
        let single = [vec![0xc3, 0x01], fingerprint(&schema), binary.clone()].concat();
        let expected = Ok(plain.clone());
        prop_assert_eq!(&judge.view(Encoding::AvroBinary, binary.clone()), &expected, "{}", schema);
        prop_assert_eq!(&judge.view(Encoding::AvroSingleObject, single), &expected, "{}", schema);
        prop_assert_eq!(&judge.view(Encoding::AvroJson, spec.to_string().into()), &expected, "{} {}", schema, spec);
        // The first branch that fits may be another one, of which the same value has another text.
        let by_value = judge.view(Encoding::Json, plain.to_string().into());
        prop_assert!(by_value.is_ok(), "{} {}: {:?}", schema, plain, by_value);
        if !schema.to_string().contains('[') {
            prop_assert_eq!(&by_value, &expected, "{}", schema);
        }
        let both = container(&peer, &[datum.clone(), datum]);
        prop_assert_eq!(judge.view(Encoding::AvroContainer, both), Ok(json!([plain.clone(), plain])), "{}", schema);
        // One byte less or one byte more is never the same value.
        if let Some(cut) = binary.split_last().map(|(_, cut)| cut.to_vec()) {
            prop_assert!(judge.view(Encoding::AvroBinary, cut).is_err());
        }
        prop_assert!(judge.view(Encoding::AvroBinary, [binary, vec![0]].concat()).is_err());
    }

    #[test]
    fn a_value_with_one_thing_wrong_is_invalid(
        shape in shapes(), seed in prop::collection::vec(any::<u8>(), 0..100), spoiler in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let schema = shape.schema(&mut 0);
        let (_, _, mut spec) = value(&schema, &mut Choices(seed.iter()));
        let judge = Judge::new(&schema);
        if spoil(&schema, &mut spec, &mut Choices(spoiler.iter())) {
            prop_assert!(judge.view(Encoding::AvroJson, spec.to_string().into()).is_err(), "{} {}", schema, spec);
        }
    }

    #[test]
    fn any_bytes_are_decoded_as_the_peer_decodes_them_or_refused_by_both(
        shape in shapes(), bytes in prop::collection::vec(prop_oneof![0_u8..6, any::<u8>()], 0..40),
    ) {
        let schema = shape.schema(&mut 0);
        let peer = Schema::parse(&schema).unwrap();
        let mut rest = bytes.as_slice();
        let decoded = decode(&peer, &mut rest, None);
        let judge = Judge::new(&schema);
        let ours = judge.view(Encoding::AvroBinary, bytes.clone());
        if ours.is_ok() {
            prop_assert!(decoded.is_ok() && rest.is_empty(), "{} {:?}: {:?} {:?}", schema, bytes, decoded, ours);
        }
        // What the peer reads and writes again as the same bytes is valid here, but for values without a meaning.
        if let Ok(datum) = decoded
            && rest.is_empty()
            && is_comparable(&datum)
            && encode(&peer, datum).is_ok_and(|again| again == bytes)
            && !schema.to_string().contains("logicalType")
        {
            prop_assert!(ours.is_ok(), "{} {:?}: {:?}", schema, bytes, ours);
        }
    }

    #[test]
    fn fingerprints_are_those_of_the_peer(shape in shapes()) {
        let schema = shape.schema(&mut 0);
        let peer = Schema::parse(&schema).unwrap();
        let (datum, ..) = value(&schema, &mut Choices([].iter()));
        let datum = encode(&peer, datum).unwrap();
        let object = [vec![0xc3, 0x01], fingerprint(&schema), datum].concat();
        prop_assert!(Judge::new(&schema).view(Encoding::AvroSingleObject, object).is_ok(), "{}", schema);
    }

    #[test]
    fn what_can_be_read_is_resolved_and_what_cannot_says_why(
        shape in shapes(), changes in prop::collection::vec(any::<u8>(), 0..12), seed in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let writer = shape.schema(&mut 0);
        let reader = evolve(&writer, &mut Choices(changes.iter()));
        let (datum, plain, spec) = value(&writer, &mut Choices(seed.iter()));
        let (old, new) = (Schema::parse(&writer).unwrap(), Schema::parse(&reader).unwrap());
        let file = container(&old, std::slice::from_ref(&datum));
        match can_read(&reader, &writer) {
            Compatibility::Yes => {
                let judge = Judge::new(&reader);
                let view = judge.view(Encoding::AvroContainer, file);
                // Bytes that are read as text may be none.
                if !writer.to_string().contains("bytes") {
                    prop_assert!(view.is_ok(), "{} by {}: {:?}", writer, reader, view);
                    // What the reader makes of it is a value of the reader's schema.
                    let seen = view.unwrap()[0].to_string();
                    prop_assert!(judge.view(Encoding::Json, seen.clone().into()).is_ok(), "{} {}", reader, seen);
                }
                let bytes = encode(&old, datum.clone()).unwrap();
                let resolved = decode(&old, &mut bytes.as_slice(), Some(&new));
                if !peer_differs(&writer, &reader) {
                    prop_assert!(resolved.is_ok(), "{} by {}: {:?}: {:?}", writer, reader, spec, resolved);
                }
            }
            Compatibility::No(breaks) => {
                prop_assert!(breaks.iter().all(|found| !found.message.is_empty()));
                let of_writer = Judge::new(&writer);
                for found in &breaks {
                    let Some(witness) = &found.witness else {
                        prop_assert!(found.rule.starts_with("avro.logical") || found.rule.starts_with("avro.decimal"), "{:?} {} {}", found, writer, reader);
                        continue;
                    };
                    prop_assert!(of_writer.view(Encoding::AvroJson, witness.to_string().into()).is_ok(), "{} {}", witness, writer);
                }
                prop_assert!(Judge::new(&reader).view(Encoding::AvroContainer, file).is_err(), "{} {} {}", writer, reader, plain);
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

/// Where the peer's resolution is known to differ from the specification's.
fn peer_differs(writer: &Value, reader: &Value) -> bool {
    // It resolves a decoded value and not the bytes: aliases of fields and defaults of enums within unions get lost.
    let texts = [writer.to_string(), reader.to_string()];
    texts
        .iter()
        .any(|text| text.contains("aliases") || text.contains("logicalType") || text.contains("bytes"))
}
