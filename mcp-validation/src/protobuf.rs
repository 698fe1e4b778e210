//! Protobuf: `.proto` text or descriptors, binary and JSON documents, and what two versions of a schema can read of one another.

mod binary;
mod compare;
mod descriptor;
mod descriptor_fields;
mod features;
mod json;
mod reading;
mod scalar;
mod schema;
mod source;
mod text;
mod well_known;
mod wire;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mcp_core::{Digest, Digester, ErrorKind, SeamError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::compare::Pair;
use self::reading::Reading;
use self::schema::{Kind, Schema};
use crate::findings::{Findings, shortened};
use crate::{
    Break, Compatibility, CompiledSchema, Document, Encoding, Limits, SchemaFormat, SchemaSource,
    ValidatorError,
};

/// The format `protobuf` and its settings.
///
/// A schema is the text of a `.proto` file (proto2 or proto3), or a `FileDescriptorSet` as base64 ([`schema_text`](Self::schema_text)),
/// which may also be of the editions 2023 and 2024. What a file imports is given with the contract by the name that it is imported
/// by, as text or as a set; the files under `google/protobuf/` are always there. Nothing is read from anywhere else.
///
/// Documents are in the binary encoding or in JSON. What rules and validators see is the same for both: the JSON mapping with every
/// field under its JSON name, enums by name, bytes as base64, and integers of 64 bits as numbers, so that rules about numbers hold.
/// Only what was written is there: a field of proto3 without `optional` that is zero is usually absent.
///
/// ```
/// use mcp_validation::{Contract, Document, Encoding, Protobuf};
///
/// let schema = r#"syntax = "proto3"; message Order { int64 total = 1; }"#;
/// let contract = Contract::schema(Protobuf::new(), schema).build()?;
/// let order = |bytes: &'static [u8]| Document::new(Encoding::ProtobufBinary, bytes);
/// assert!(contract.is_valid(&order(b"\x08\x0c"))?);
/// assert!(!contract.is_valid(&order(b"\x08"))?);
/// assert!(contract.is_valid(&Document::new(Encoding::ProtobufJson, r#"{"total": "12"}"#))?);
/// # Ok::<(), mcp_validation::ValidationError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Protobuf {
    message: Option<String>,
    unknown_fields: UnknownFields,
    level: ProtobufLevel,
}

/// What a field is that the schema does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UnknownFields {
    /// What Protobuf makes of it: passed over in the binary encoding, an error in JSON.
    #[default]
    ByEncoding,
    /// Passed over.
    Ignored,
    /// An error.
    Refused,
}

/// What must stay readable between two versions of a schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProtobufLevel {
    /// The binary encoding.
    #[default]
    Wire,
    /// The binary encoding and JSON.
    Json,
}

impl Protobuf {
    /// Of the message that stands alone in its file, with unknown fields as Protobuf has them, compared at the level of the wire.
    #[must_use]
    pub const fn new() -> Self {
        Self { message: None, unknown_fields: UnknownFields::ByEncoding, level: ProtobufLevel::Wire }
    }

    /// Documents are messages of this type, by full name. Not needed where the schema declares one message that is not nested, or
    /// only one to which no other message of it refers.
    #[must_use]
    pub fn message(mut self, name: impl Into<String>) -> Self {
        self.message = Some(name.into());
        self
    }

    /// What a field is that the schema does not have; the numbers of closed enums count as such, too.
    #[must_use]
    pub const fn unknown_fields(mut self, unknown: UnknownFields) -> Self {
        self.unknown_fields = unknown;
        self
    }

    /// What must stay readable when two schemas are compared.
    #[must_use]
    pub const fn level(mut self, level: ProtobufLevel) -> Self {
        self.level = level;
        self
    }

    /// The text by which a `FileDescriptorSet` is given as a schema: `protoc --include_imports --descriptor_set_out` and
    /// `buf build -o` write one.
    #[must_use]
    pub fn schema_text(descriptor_set: &[u8]) -> String {
        STANDARD.encode(descriptor_set)
    }

    /// Which message documents are.
    fn judged(&self, schema: &Schema) -> Result<usize, SeamError> {
        let refuse = |kind, reason: String| Err(SeamError::new(kind, reason));
        if let Some(name) = &self.message {
            let plain = name.strip_prefix('.').unwrap_or(name);
            return match schema.message_named(plain) {
                Some(place) => Ok(place),
                None => {
                    let name = shortened(name.clone());
                    refuse(
                        ErrorKind::NotFound,
                        format!("judge by the message {name}: the schema does not declare it"),
                    )
                }
            };
        }
        let candidates = top_level(schema);
        let referred = referred(schema, &candidates);
        let free: Vec<usize> = candidates.iter().copied().filter(|place| !referred.contains(place)).collect();
        match (candidates.as_slice(), free.as_slice()) {
            ([only], _) | (_, [only]) => Ok(*only),
            ([], _) => refuse(
                ErrorKind::Invalid,
                "judge by a message: the schema declares none, give one that does".to_owned(),
            ),
            _ => {
                let names: Vec<&str> = candidates
                    .iter()
                    .filter_map(|place| Some(schema.message(*place)?.name.as_str()))
                    .collect();
                let names = shortened(names.join(", "));
                refuse(
                    ErrorKind::Invalid,
                    format!(
                        "judge by a message: the schema declares several, name one with message(): {names}"
                    ),
                )
            }
        }
    }

    fn pair<'a>(&self, reader: &'a Schema, writer: &'a Schema) -> Pair<'a> {
        Pair::new(reader, writer, self.level, self.unknown_fields != UnknownFields::Ignored)
    }

    fn fingerprint(&self, source: &SchemaSource<'_>) -> Digest {
        let mut digester = Digester::new();
        let mut part = |bytes: &[u8]| {
            digester.update(&bytes.len().to_le_bytes()).update(bytes);
        };
        part(b"protobuf 1");
        part(self.message.as_deref().unwrap_or_default().as_bytes());
        part(format!("{:?}", self.unknown_fields).as_bytes());
        part(source.text.as_bytes());
        for reference in source.references {
            part(reference.uri.as_bytes());
            part(reference.text.as_bytes());
        }
        digester.digest()
    }
}

fn top_level(schema: &Schema) -> Vec<usize> {
    let is_root = |file: usize| schema.files.get(file).is_some_and(|file| file.is_root);
    let messages = schema.messages.iter().enumerate();
    messages
        .filter(|(_, message)| !message.is_nested && is_root(message.file))
        .map(|(place, _)| place)
        .collect()
}

/// Those of `candidates` to which a field of another message refers.
fn referred(schema: &Schema, candidates: &[usize]) -> std::collections::BTreeSet<usize> {
    let mut referred = std::collections::BTreeSet::new();
    for (place, message) in schema.messages.iter().enumerate() {
        for field in message.fields.values() {
            if let Kind::Message(other) | Kind::Group(other) = field.kind
                && other != place
                && candidates.binary_search(&other).is_ok()
            {
                referred.insert(other);
            }
        }
    }
    referred
}

impl SchemaFormat for Protobuf {
    fn name(&self) -> &str {
        "protobuf"
    }

    fn compile(&self, source: &SchemaSource<'_>) -> Result<Box<dyn CompiledSchema>, SeamError> {
        let schema = source::load(source)?;
        let message = self.judged(&schema)?;
        if let Some(set) = schema.messages.iter().find(|message| message.is_message_set) {
            return Err(SeamError::new(
                ErrorKind::Unsupported,
                format!(
                    "judge by {}: message sets are not known, use extensions of a plain message",
                    set.name
                ),
            ));
        }
        Ok(Box::new(Compiled {
            schema,
            message,
            unknown_fields: self.unknown_fields,
            max_depth: source.limits.max_depth,
            max_document_bytes: source.limits.max_document_bytes,
            fingerprint: self.fingerprint(source),
        }))
    }

    /// Paths of breaks lead to `/files/<name>`, `/messages/<full name>/fields/<number>`, `/messages/<full name>/reserved`,
    /// `/enums/<full name>/values/<number>`, `/enums/<full name>/reserved`, `/services/<full name>/methods/<name>`, in the
    /// reader's names.
    fn can_read(
        &self,
        reader: &SchemaSource<'_>,
        writer: &SchemaSource<'_>,
    ) -> Result<Compatibility, SeamError> {
        let (read, written) = (source::load(reader)?, source::load(writer)?);
        let breaks = verdict(self.pair(&read, &written).read(), reader.limits);
        Ok(if breaks.is_empty() { Compatibility::Yes } else { Compatibility::No(breaks) })
    }

    fn given_up(&self, new: &SchemaSource<'_>, old: &SchemaSource<'_>) -> Result<Vec<Break>, SeamError> {
        let (newer, older) = (source::load(new)?, source::load(old)?);
        Ok(verdict(self.pair(&newer, &older).follow(), new.limits))
    }
}

struct Compiled {
    schema: Schema,
    message: usize,
    unknown_fields: UnknownFields,
    max_depth: usize,
    max_document_bytes: u64,
    fingerprint: Digest,
}

/// The breaks, as many as a report may have findings.
fn verdict(mut breaks: Vec<Break>, limits: &Limits) -> Vec<Break> {
    breaks.truncate(limits.max_findings.max(1));
    breaks
}

impl CompiledSchema for Compiled {
    fn judge(&self, document: &Document, findings: &mut Findings) -> Result<Option<Value>, ValidatorError> {
        let encoding = document.encoding();
        let refuses_unknown = match self.unknown_fields {
            UnknownFields::ByEncoding => encoding != Encoding::ProtobufBinary,
            UnknownFields::Ignored => false,
            UnknownFields::Refused => true,
        };
        let mut reading =
            Reading::new(&self.schema, findings, refuses_unknown, self.max_depth, self.max_document_bytes);
        match encoding {
            Encoding::ProtobufBinary => {
                let bytes = document.bytes().map(bytes::Bytes::as_ref).unwrap_or_default();
                let read = reading.binary(self.message, bytes, 1)?;
                Ok(if reading.is_broken() { None } else { Some(read) })
            }
            Encoding::ProtobufJson | Encoding::Json => {
                let value = document.value()?;
                let read = reading.json(self.message, value, 1)?;
                Ok(if reading.is_broken() { None } else { Some(read) })
            }
            other => Err(SeamError::new(
                ErrorKind::Unsupported,
                format!(
                    "judge a document encoded as {other} by a Protobuf schema: protobuf_binary, protobuf_json and json can be"
                ),
            )),
        }
    }

    fn fingerprint(&self) -> Option<Digest> {
        Some(self.fingerprint)
    }
}
