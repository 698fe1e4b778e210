//! What the programs read the same way from their lines and arguments: formats, drafts, schemas, references, and what a line is called.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::str::FromStr;

use mcp_validation::{Draft, Protobuf, Reference};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// How much of what is wrong is told, in characters: some of it is the line's own text.
const TOLD: usize = 2000;

/// The formats that the programs know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    JsonSchema,
    Avro,
    Protobuf,
}

impl Format {
    pub const fn name(self) -> &'static str {
        match self {
            Self::JsonSchema => "json-schema",
            Self::Avro => "avro",
            Self::Protobuf => "protobuf",
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = [Self::JsonSchema, Self::Avro, Self::Protobuf].into_iter();
        known
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| format!("the format {name:?} is not known: it is json-schema, avro or protobuf"))
    }
}

/// A draft by its name: `4`, `6`, `7`, `2019-09` or `2020-12`.
pub fn draft(name: &str) -> Result<Draft, String> {
    let known = Draft::ALL.into_iter().find(|draft| draft.to_string() == name);
    known.ok_or_else(|| format!("the draft {name:?} is not known: it is 4, 6, 7, 2019-09 or 2020-12"))
}

/// A schema as text: it stands in a line as JSON, or as JSON text that holds it.
///
/// The name of one of Avro's types is a schema, too, and so is JSON text of any other kind that says no more than such a name.
pub fn schema_text(format: Format, raw: &RawValue) -> Result<String, String> {
    let raw = raw.get();
    if !raw.starts_with('"') {
        return match format {
            Format::Protobuf => {
                Err("read the schema: one of protobuf is text, or a descriptor set in base64".to_owned())
            }
            _ => Ok(raw.to_owned()),
        };
    }
    let text: String = serde_json::from_str(raw).map_err(|error| format!("read the schema: {error}"))?;
    let begins = |all: &[char]| text.trim_start().starts_with(all);
    // A name, and not text that holds a schema.
    if format == Format::Avro && !begins(&['{', '[', '"']) { Ok(raw.to_owned()) } else { Ok(text) }
}

/// What a schema may refer to, as it stands in a line.
#[derive(serde::Deserialize)]
pub struct Given<'a> {
    name: String,
    #[serde(borrow)]
    schema: &'a RawValue,
}

pub fn references(format: Format, given: &[Given<'_>]) -> Result<Vec<Reference>, String> {
    let read = |given: &Given<'_>| {
        let text = schema_text(format, given.schema);
        text.map(|text| Reference::new(given.name.as_str(), text))
            .map_err(|why| format!("of the reference {:?}: {why}", given.name))
    };
    given.iter().map(read).collect()
}

/// The format `protobuf` for documents of the type `message`, where that is given.
pub fn protobuf(message: Option<&str>) -> Protobuf {
    message.map_or_else(Protobuf::new, |message| Protobuf::new().message(message))
}

/// What stands there, also where that is `null`, which an option alone takes for nothing.
pub fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// A line of the program, which must be an object: as an array of its fields, in the order that they happen to have, one would be read, too.
pub fn read<'a, C: serde::Deserialize<'a>>(line: &'a [u8]) -> Result<C, String> {
    if line.trim_ascii().is_empty() {
        return Err("read the line: it is empty".to_owned());
    }
    if line.trim_ascii_start().first() == Some(&b'[') {
        return Err("read the line: it is an array, and not an object".to_owned());
    }
    serde_json::from_slice(line).map_err(|error| format!("read the line: {error}"))
}

/// What a line calls itself, as JSON, wherever it goes wrong behind that.
pub fn id_of(line: &[u8]) -> Option<Box<RawValue>> {
    let text = String::from_utf8_lossy(line);
    let found = RefCell::new(None);
    let mut reader = serde_json::Deserializer::from_str(&text);
    // The line may end, or be no JSON, behind it.
    let _read = Id(&found).deserialize(&mut reader);
    found.into_inner()
}

struct Id<'f>(&'f RefCell<Option<Box<RawValue>>>);

impl<'de> DeserializeSeed<'de> for Id<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Id<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(key) = members.next_key::<String>()? {
            if key == "id" {
                *self.0.borrow_mut() = Some(members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// An error with all of its causes, cut where it is long.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    told(text)
}

/// As much of `text` as is told.
pub fn told(text: String) -> String {
    if text.chars().nth(TOLD).is_none() { text } else { text.chars().take(TOLD).chain(['…']).collect() }
}
