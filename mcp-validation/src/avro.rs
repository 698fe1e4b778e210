//! Avro: schemas, documents in all of its encodings, and what a schema reads of what another wrote. Written here, from the specification,
//! since what comes from outside must neither overflow the stack nor fill the memory.

mod binary;
mod canonical;
mod conflict;
mod container;
mod cursor;
mod hazard;
mod json;
mod judgement;
mod logical;
mod parse;
mod resolve;
mod sample;
mod schema;
mod witness;

use mcp_core::{Digest, Digester, ErrorKind, SeamError};
use serde_json::Value;

use self::binary::{Decoder, Stop};
use self::conflict::conflicts;
use self::container::{Block, Header};
use self::json::{Form, Reader};
use self::judgement::{Judgement, Segment};
use self::resolve::Resolution;
use self::schema::Schema;
use crate::{
    Break, Compatibility, CompiledSchema, Document, Encoding, Findings, Limits, SchemaFormat, SchemaSource,
    ValidatorError,
};

/// The format `avro`: schemas of Apache Avro 1.12.
///
/// References define the types that the schema names; what no document defines is `NotFound`. Their URIs are names for messages: types are
/// found by their own names. Unknown logical types, and those that do not fit their type, are ignored, as the specification says;
/// values of the others must have a meaning.
///
/// Documents: [`Encoding::AvroBinary`], [`Encoding::AvroSingleObject`], [`Encoding::AvroContainer`] (codecs `null` and `deflate`),
/// [`Encoding::AvroJson`], and [`Encoding::Json`] for the plain form, in which a value of a union stands there as it is and is that of
/// the first branch that it fits. In both kinds of JSON a field that the schema does not have is an error, as is one that is missing and
/// has no default.
///
/// Rules and validators see the document in the plain form, with defaults filled in: bytes as text with a character from U+0000 to
/// U+00FF for each, values of logical types as those of the types beneath, and a container as an array of its data. The schema's own
/// findings about JSON point into the text as it stands.
///
/// ```
/// use mcp_validation::{Avro, Contract, Document, Encoding, rule::Rule};
///
/// let schema = r#"{"type": "record", "name": "Order", "fields": [
///     {"name": "total", "type": "long"}, {"name": "note", "type": ["null", "string"], "default": null}]}"#;
/// let contract = Contract::schema(Avro, schema).rule(Rule::range("positive", "/total", 1.0..)).build()?;
/// assert!(contract.is_valid(&Document::new(Encoding::AvroBinary, &[2, 2, 4, b'h', b'i'][..]))?);
/// assert!(contract.is_valid(&Document::new(Encoding::AvroJson, r#"{"total": 1, "note": {"string": "hi"}}"#))?);
/// assert!(!contract.is_valid(&Document::json(r#"{"total": 0}"#))?);
/// # Ok::<(), mcp_validation::ValidationError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Avro;

impl SchemaFormat for Avro {
    fn name(&self) -> &str {
        "avro"
    }

    fn compile(&self, source: &SchemaSource<'_>) -> Result<Box<dyn CompiledSchema>, SeamError> {
        let schema = parse::parse(source)?;
        let crc = canonical::crc64(canonical::canonical(&schema).as_bytes());
        let limits = source.limits.clone();
        let text = source.text.to_owned();
        Ok(Box::new(Compiled { schema, text, crc, limits, fingerprint: fingerprint(source) }))
    }

    /// By the specification's schema resolution, and beyond it: a change of a logical type that makes the same bytes mean something
    /// else is a break, too. Promotions are none, though a long may be rounded and bytes may be no UTF-8. A witness is in Avro's JSON
    /// encoding; where the data is read, and merely misunderstood, there is none. Paths lead to the reader's type where it is defined,
    /// behind a reference's name and `#` where that is in a reference.
    fn can_read(
        &self,
        reader: &SchemaSource<'_>,
        writer: &SchemaSource<'_>,
    ) -> Result<Compatibility, SeamError> {
        let (read, written) = (parse::parse(reader)?, parse::parse(writer)?);
        let resolution = match Resolution::new(&read, &written, reader.limits) {
            Ok(resolution) => resolution,
            Err(error) if error.kind() == ErrorKind::Exhausted => {
                return Ok(Compatibility::Unknown(format!(
                    "the comparison takes more than {} steps, raise max_steps",
                    reader.limits.max_steps
                )));
            }
            Err(error) => return Err(error),
        };
        if resolution.is_readable() {
            return Ok(Compatibility::Yes);
        }
        let breaks = conflicts(&resolution, reader.limits).into_iter().take(reader.limits.max_findings);
        let breaks = breaks.map(|conflict| {
            let found = Break::new(conflict.rule, conflict.place, conflict.message, conflict.advice);
            match conflict.witness {
                Some(witness) => found.with_witness(witness),
                None => found,
            }
        });
        Ok(Compatibility::No(breaks.collect()))
    }
}

fn fingerprint(source: &SchemaSource<'_>) -> Digest {
    let mut digester = Digester::new();
    let mut part = |bytes: &[u8]| {
        digester.update(&bytes.len().to_le_bytes()).update(bytes);
    };
    part(b"avro 1");
    part(source.text.as_bytes());
    for reference in source.references {
        part(reference.uri.as_bytes());
        part(reference.text.as_bytes());
    }
    digester.digest()
}

struct Compiled {
    schema: Schema,
    text: String,
    crc: u64,
    limits: Limits,
    fingerprint: Digest,
}

/// What stands before a single object: two bytes of marker, and the fingerprint of its schema.
const SINGLE_OBJECT: [u8; 2] = [0xc3, 0x01];

impl CompiledSchema for Compiled {
    fn judge(&self, document: &Document, findings: &mut Findings) -> Result<Option<Value>, ValidatorError> {
        let form = match document.encoding() {
            Encoding::Json => Some(Form::Plain),
            Encoding::AvroJson => Some(Form::Spec),
            _ => None,
        };
        if let Some(form) = form {
            let value = document.value()?;
            let mut judgement = Judgement::new(findings, &self.limits);
            return Reader::new(&self.schema, form, &mut judgement).document(value).map(Some);
        }
        let unsupported = || {
            SeamError::new(
                ErrorKind::Unsupported,
                format!(
                    "read a document as {} by an Avro schema: it is no encoding of Avro's",
                    document.encoding()
                ),
            )
        };
        let bytes = document.bytes().ok_or_else(unsupported)?;
        let decoded = match document.encoding() {
            Encoding::AvroBinary => self.datum(bytes, findings),
            Encoding::AvroSingleObject => self.single_object(bytes, findings),
            Encoding::AvroContainer => self.container(bytes, findings),
            _ => return Err(unsupported()),
        };
        match decoded {
            Ok(value) => Ok(Some(value)),
            Err(Stop::Broken) => Ok(None),
            Err(Stop::Seam(error)) => Err(error),
        }
    }

    fn fingerprint(&self) -> Option<Digest> {
        Some(self.fingerprint)
    }
}

impl Compiled {
    fn datum(&self, bytes: &[u8], findings: &mut Findings) -> Result<Value, Stop> {
        let mut judgement = Judgement::new(findings, &self.limits);
        let mut decoder = Decoder::new(&self.schema, bytes, &mut judgement);
        let value = decoder.datum(0)?;
        decoder.end()?;
        Ok(value)
    }

    fn single_object(&self, bytes: &[u8], findings: &mut Findings) -> Result<Value, Stop> {
        let mut judgement = Judgement::new(findings, &self.limits);
        let Some((fingerprint, datum)) =
            bytes.strip_prefix(&SINGLE_OBJECT).and_then(|rest| rest.split_first_chunk::<8>())
        else {
            let message = "this is no single object: it begins with C3 01 and 8 bytes of fingerprint";
            judgement.tell("avro.marker", message, None)?;
            return Err(Stop::Broken);
        };
        let written = u64::from_le_bytes(*fingerprint);
        if written != self.crc {
            let message =
                format!("it was written with the schema {written:016x}, and this is {:016x}", self.crc);
            judgement.tell("avro.fingerprint", message, None)?;
            return Err(Stop::Broken);
        }
        self.datum(datum, findings)
    }

    /// A file has its own schema: what it was written with, of which this one makes what it can.
    fn container(&self, bytes: &[u8], findings: &mut Findings) -> Result<Value, Stop> {
        let header = Header::read(bytes, &mut Judgement::new(findings, &self.limits))?;
        let parsed;
        let resolution;
        let (writer, resolution) = if header.schema == self.text {
            (&self.schema, None)
        } else {
            parsed = match parse::parse(&SchemaSource::new(header.schema, &[], &self.limits)) {
                Ok(parsed) => parsed,
                Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::NotFound) => {
                    let message = format!("the schema in the header is none: {error}");
                    Judgement::new(findings, &self.limits).tell("avro.container", message, None)?;
                    return Err(Stop::Broken);
                }
                Err(error) => return Err(Stop::Seam(error)),
            };
            resolution = Resolution::new(&self.schema, &parsed, &self.limits)?;
            if !resolution.is_readable() {
                let mut judgement = Judgement::new(findings, &self.limits);
                for conflict in conflicts(&resolution, &self.limits) {
                    let message = format!(
                        "it was written with a schema that this one does not read: {}, at {:?}: {}",
                        conflict.rule, conflict.place, conflict.message
                    );
                    judgement.tell("avro.writer-schema", message, None)?;
                }
                return Err(Stop::Broken);
            }
            (&parsed, Some(&resolution))
        };
        let mut judgement = Judgement::new(findings, &self.limits);
        let mut data = Vec::new();
        judgement.value(2, 1)?;
        header.blocks(&mut judgement, |judgement, count, block| {
            let bytes = match &block {
                Block::Plain(bytes) => bytes,
                Block::Inflated(bytes) => bytes.as_slice(),
            };
            let mut decoder = Decoder::new(writer, bytes, judgement).resolved(resolution);
            for _ in 0..count {
                decoder.enter(Segment::Index(data.len()));
                data.push(decoder.datum(1)?);
                decoder.leave();
            }
            decoder.end()
        })?;
        Ok(Value::Array(data))
    }
}
