//! Judges files, and writes what was found in the form that was asked for.

use std::io::{self, Write as _};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcp_validation::{Avro, Contract, Document, Encoding, JsonSchema, Report, rule::RuleSet};

use crate::arguments::{Form, Wanted};
use crate::batch::answer::{Answer, Refusal};
use crate::batch::case::{Format, protobuf, with_causes};
use crate::batch::input;
use crate::batch::validate::encoding;
use crate::{plain, sarif};

/// A document, and what came of it.
pub struct Judged {
    pub file: String,
    pub bytes: Vec<u8>,
    pub outcome: Result<Report, Refusal>,
}

pub fn judge(wanted: &Wanted) -> Result<ExitCode, String> {
    let format = format(wanted)?;
    let contract = contract(wanted, format)?;
    let mut out = io::stdout().lock();
    let mut judged = Vec::new();
    let mut code = 0;
    for file in &wanted.files {
        let one = one(wanted, format, &contract, file);
        code = code.max(match &one.outcome {
            Ok(report) => u8::from(!report.valid),
            Err(_) => 2,
        });
        let told = match wanted.form {
            Form::Text => out.write_all(text(&one).as_bytes()),
            Form::Json => writeln!(out, "{}", Answer { file: Some(file), ..Answer::of(&one.outcome) }.json()),
            Form::Sarif => {
                judged.push(one);
                Ok(())
            }
        };
        if told.is_err() {
            return Ok(code.into());
        }
    }
    if wanted.form == Form::Sarif {
        // Who reads it has seen enough, or there is nobody to be told.
        let _told = writeln!(out, "{}", sarif::log(&judged));
    }
    Ok(code.into())
}

fn format(wanted: &Wanted) -> Result<Format, String> {
    if let Some(format) = wanted.format {
        return Ok(format);
    }
    let (format, why) = input::format_of(&wanted.schema, &input::bytes(&wanted.schema)?);
    eprintln!(
        "validate: {} is taken for a schema of {} {why}; --format says otherwise",
        plain::line(&wanted.schema),
        format.name()
    );
    Ok(format)
}

fn contract(wanted: &Wanted, format: Format) -> Result<Contract, String> {
    let text = input::schema(&wanted.schema, format)?;
    let mut builder = match format {
        Format::JsonSchema => {
            let plain = JsonSchema::new().assert_format(wanted.assert_format);
            Contract::schema(wanted.draft.map_or(plain, |draft| plain.draft(draft)), text)
        }
        Format::Avro => Contract::schema(Avro, text),
        Format::Protobuf => Contract::schema(protobuf(wanted.message.as_deref()), text),
    };
    for reference in &wanted.references {
        let (name, text) = input::named(reference, format)?;
        builder = builder.reference(name, text);
    }
    if let Some(file) = &wanted.rules {
        let text = String::from_utf8(input::bytes(file)?)
            .map_err(|_| format!("read the rules in {file}: they are not text in UTF-8"))?;
        let is_yaml = [".yaml", ".yml"].iter().any(|end| file.to_ascii_lowercase().ends_with(end));
        let rules = if is_yaml { RuleSet::from_yaml(&text) } else { RuleSet::from_json(&text) };
        let rules = rules.map_err(|error| format!("read the rules in {file}: {}", with_causes(&error)))?;
        builder = builder.rules(rules);
    }
    builder.build().map_err(|error| with_causes(&error))
}

fn one(wanted: &Wanted, format: Format, contract: &Contract, file: &str) -> Judged {
    let read = input::bytes(file);
    let (bytes, unread) = read.map_or_else(|why| (Vec::new(), Some(why)), |bytes| (bytes, None));
    let outcome = unread.map_or_else(
        || {
            let document = document(wanted, format, file, &bytes).map_err(Refusal::wrong)?;
            contract.validate(&document).map_err(Refusal::from)
        },
        |why| Err(Refusal::wrong(why)),
    );
    Judged { file: file.to_owned(), bytes, outcome }
}

fn document(wanted: &Wanted, format: Format, file: &str, bytes: &[u8]) -> Result<Document, String> {
    if let Some(name) = &wanted.encoding {
        let (encoding, _) = encoding(format, name)?;
        if name != "base64" {
            return Ok(Document::new(encoding, bytes.to_vec()));
        }
        let decoded =
            STANDARD.decode(bytes.trim_ascii()).map_err(|error| format!("read {file} as base64: {error}"))?;
        return Ok(Document::new(encoding, decoded));
    }
    let (encoding, why) = encoding_of(format, bytes);
    if format != Format::JsonSchema {
        eprintln!("validate: {} is read as {encoding} {why}; --encoding says otherwise", plain::line(file));
    }
    Ok(Document::new(encoding, bytes.to_vec()))
}

fn text(judged: &Judged) -> String {
    let outcome = match &judged.outcome {
        Ok(report) => report.to_string(),
        Err(refusal) => {
            let verdict = if refusal.is_exhausted { "exhausted" } else { "error" };
            format!("{verdict}: {}", refusal.message)
        }
    };
    format!("{}: {}\n", plain::line(&judged.file), plain::lines(outcome.trim_end()))
}

/// The encoding of a document by a schema of `format`, and what tells it.
fn encoding_of(format: Format, bytes: &[u8]) -> (Encoding, &'static str) {
    let is_json =
        || bytes.trim_ascii_start().first().is_some_and(|first| b"{[\"-0123456789tfn".contains(first));
    let is_json = || is_json() && std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0'));
    match format {
        Format::JsonSchema => (Encoding::Json, "the only one"),
        Format::Avro if bytes.starts_with(b"Obj\x01") => (Encoding::AvroContainer, "by its first bytes"),
        Format::Avro if bytes.starts_with(&[0xc3, 0x01]) => {
            (Encoding::AvroSingleObject, "by its first bytes")
        }
        Format::Avro if is_json() => (Encoding::AvroJson, "by its content"),
        Format::Avro => (Encoding::AvroBinary, "by its content"),
        Format::Protobuf if bytes.trim_ascii_start().starts_with(b"{") && is_json() => {
            (Encoding::ProtobufJson, "by its content")
        }
        Format::Protobuf => (Encoding::ProtobufBinary, "by its content"),
    }
}
