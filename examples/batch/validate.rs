//! One document, with all that it is to be judged by, in one line of JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcp_validation::{
    Avro, Contract, ContractBuilder, Document, Encoding, JsonSchema, Report, rule::RuleSet,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{Answer, Refusal};
use super::case::{Format, Given, draft, id_of, present, protobuf, read, references, schema_text};
use super::contracts::Contracts;

/// Members that are not named here are left alone.
#[derive(Deserialize)]
struct Case<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    format: String,
    draft: Option<String>,
    #[serde(borrow)]
    schema: &'a RawValue,
    #[serde(borrow)]
    references: Option<&'a RawValue>,
    message: Option<String>,
    encoding: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    document: Option<&'a RawValue>,
    #[serde(borrow)]
    rules: Option<&'a RawValue>,
    assert_format: Option<bool>,
}

/// Answers lines, and remembers contracts.
#[derive(Default)]
pub struct Judge {
    contracts: Contracts,
}

impl Judge {
    /// The answer to one line, as one line.
    pub fn answer(&self, line: &[u8]) -> String {
        match read::<Case<'_>>(line) {
            Ok(case) => {
                let outcome = self.judge(&case);
                Answer { id: Some(case.id.unwrap_or(RawValue::NULL)), ..Answer::of(&outcome) }.json()
            }
            Err(reason) => refuse(line, &reason),
        }
    }

    fn judge(&self, case: &Case<'_>) -> Result<Report, Refusal> {
        let format: Format = case.format.parse().map_err(Refusal::wrong)?;
        let raw = |part: Option<&'_ RawValue>| part.map_or("", RawValue::get).to_owned();
        let parts = [
            format.name(),
            case.draft.as_deref().unwrap_or_default(),
            case.schema.get(),
            &raw(case.references),
            case.message.as_deref().unwrap_or_default(),
            &raw(case.rules),
            if case.assert_format == Some(true) { "assert_format" } else { "" },
        ];
        let contract = self.contracts.of(&parts, || contract(format, case));
        let document = document(format, case)?;
        match contract.get() {
            Some(Ok(contract)) => Ok(contract.validate(&document)?),
            Some(Err(refusal)) => Err(refusal.clone()),
            None => Err(Refusal::wrong("build the contract: it was not built")),
        }
    }
}

/// The answer to a line that could not be used.
pub fn refuse(line: &[u8], reason: &str) -> String {
    let outcome = Err(Refusal::wrong(reason));
    let id = id_of(line);
    Answer { id: Some(id.as_deref().unwrap_or(RawValue::NULL)), ..Answer::of(&outcome) }.json()
}

fn contract(format: Format, case: &Case<'_>) -> Result<Contract, Refusal> {
    let text = schema_text(format, case.schema).map_err(Refusal::wrong)?;
    let draft = case.draft.as_deref().map(draft).transpose().map_err(Refusal::wrong)?;
    let given: Vec<Given<'_>> = case.references.map_or(Ok(Vec::new()), |references| {
        serde_json::from_str(references.get())
            .map_err(|error| Refusal::wrong(format!("read the references: {error}")))
    })?;
    let references = references(format, &given).map_err(Refusal::wrong)?;
    let rules = case.rules.map_or_else(|| Ok(RuleSet::default()), |rules| RuleSet::from_json(rules.get()))?;
    let builder: ContractBuilder = match format {
        Format::JsonSchema => {
            let plain = JsonSchema::new().assert_format(case.assert_format.unwrap_or(false));
            Contract::schema(draft.map_or(plain, |draft| plain.draft(draft)), text)
        }
        Format::Avro => Contract::schema(Avro, text),
        Format::Protobuf => Contract::schema(protobuf(case.message.as_deref()), text),
    };
    let builder = references
        .into_iter()
        .fold(builder, |builder, reference| builder.reference(reference.uri, reference.text));
    Ok(builder.rules(rules).build()?)
}

/// How bytes that are called `json`, `plain-json`, `base64`, or by a name of the engine's, are to be read; and whether they are in base64.
pub fn encoding(format: Format, name: &str) -> Result<(Encoding, bool), String> {
    Ok(match (name, format) {
        ("json", Format::Avro) => (Encoding::AvroJson, false),
        ("json" | "plain-json", Format::Protobuf) => (Encoding::ProtobufJson, false),
        ("json" | "plain-json", _) => (Encoding::Json, false),
        ("base64", Format::JsonSchema) => (Encoding::Json, true),
        ("base64", Format::Avro) => (Encoding::AvroBinary, true),
        ("base64", Format::Protobuf) => (Encoding::ProtobufBinary, true),
        _ => {
            let encoding: Encoding = name.parse().map_err(|_| {
                format!("the encoding {name:?} is not known: it is json, plain-json, base64, or a name of the engine's such as avro_container")
            })?;
            (encoding, !encoding.is_json())
        }
    })
}

fn document(format: Format, case: &Case<'_>) -> Result<Document, Refusal> {
    let raw = case.document.ok_or_else(|| Refusal::wrong("read the line: missing field `document`"))?;
    let (encoding, is_base64) =
        encoding(format, case.encoding.as_deref().unwrap_or("json")).map_err(Refusal::wrong)?;
    if !is_base64 {
        return Ok(Document::new(encoding, raw.get().to_owned()));
    }
    let text: String = serde_json::from_str(raw.get())
        .map_err(|error| Refusal::wrong(format!("read the document: it is no text in base64: {error}")))?;
    let bytes = STANDARD
        .decode(text.trim_ascii())
        .map_err(|error| Refusal::wrong(format!("read the document: it is not base64: {error}")))?;
    Ok(Document::new(encoding, bytes))
}
