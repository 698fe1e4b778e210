//! What stands on the command line of `validate`.

use std::ffi::OsString;

use lexopt::prelude::*;

use crate::batch::case::{Format, draft};

pub const USAGE: &str = "\
Judges documents by a schema, and by rules beside it.

usage: validate --schema FILE [options] FILE...
       validate --batch

  --schema FILE          the schema; a FileDescriptorSet is one of protobuf, too
  --format F             json-schema, avro or protobuf; guessed from the schema's name and content, and said
  --reference NAME=FILE  what the schema refers to: by URI, or by the name that a .proto file imports; may be repeated
  --rules FILE           a list of rules in JSON, or in YAML where its name ends in .yaml or .yml
  --draft D              4, 6, 7, 2019-09 or 2020-12 (default: what $schema says, else 2020-12)
  --message NAME         which message documents are; needed where the schema of protobuf declares several
  --encoding E           json, plain-json (of avro, without names in unions), base64 (of binary), avro_binary, avro_single_object,
                         avro_container, protobuf_binary; guessed from each document's content, and said
  --assert-format        a value that is not of its format is an error
  --json                 one JSON object a line for each document
  --sarif                one SARIF 2.1.0 log
  --batch                JSON lines on standard input: {\"id\", \"format\", \"draft\"?, \"schema\", \"references\"?: [{\"name\", \"schema\"}], \"message\"?,
                         \"encoding\"?, \"document\", \"rules\"?, \"assert_format\"?}; one JSON line out for each, in order:
                         {\"id\", \"verdict\": \"valid\"|\"invalid\"|\"error\"|\"exhausted\", \"findings\": [{\"code\", \"path\", \"message\"}]};
                         a bad line is answered by an error and stops nothing, members with other names are left alone
  --help                 print this

A FILE that is - is standard input.

exit codes: 0 all are valid, or every line was answered; 1 some are invalid; 2 something could not be judged, or wrong usage
";

pub enum Command {
    Help,
    Batch,
    Files(Wanted),
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Text,
    Json,
    Sarif,
}

/// Documents, and what they are judged by.
pub struct Wanted {
    pub format: Option<Format>,
    pub schema: String,
    pub references: Vec<String>,
    pub rules: Option<String>,
    pub draft: Option<mcp_validation::Draft>,
    pub message: Option<String>,
    pub encoding: Option<String>,
    pub assert_format: bool,
    pub form: Form,
    pub files: Vec<String>,
}

pub fn parse(from: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let usage = |error: lexopt::Error| error.to_string();
    let (mut schema, mut rules, mut message, mut encoding) = (None, None, None, None);
    let (mut format, mut named_draft) = (None, None);
    let (mut references, mut files) = (Vec::new(), Vec::new());
    let (mut json, mut sarif, mut assert_format, mut batch, mut other) = (false, false, false, false, false);
    let mut parser = lexopt::Parser::from_args(from);
    while let Some(argument) = parser.next().map_err(usage)? {
        let mut text = |once: &mut Option<String>, name: &str, parser: &mut lexopt::Parser| {
            other = true;
            let value = parser.value().and_then(|value| value.string()).map_err(usage)?;
            if once.replace(value).is_some() {
                Err(format!("--{name} is given more than once"))
            } else {
                Ok(())
            }
        };
        match argument {
            Long("schema") => text(&mut schema, "schema", &mut parser)?,
            Long("rules") => text(&mut rules, "rules", &mut parser)?,
            Long("message") => text(&mut message, "message", &mut parser)?,
            Long("encoding") => text(&mut encoding, "encoding", &mut parser)?,
            Long("format") => text(&mut format, "format", &mut parser)?,
            Long("draft") => text(&mut named_draft, "draft", &mut parser)?,
            Long("reference") => {
                let mut one = None;
                text(&mut one, "reference", &mut parser)?;
                references.extend(one);
            }
            Long("assert-format") => (assert_format, other) = (true, true),
            Long("json") => (json, other) = (true, true),
            Long("sarif") => (sarif, other) = (true, true),
            Long("batch") => batch = true,
            Short('h') | Long("help") => return Ok(Command::Help),
            Value(file) => files.push(file.string().map_err(usage)?),
            other => return Err(other.unexpected().to_string()),
        }
    }
    if batch {
        if other || !files.is_empty() {
            return Err("--batch stands alone: each line says how it is judged".to_owned());
        }
        return Ok(Command::Batch);
    }
    let form = match (json, sarif) {
        (true, true) => {
            return Err("--json and --sarif are two forms of one report: give one of them".to_owned());
        }
        (true, false) => Form::Json,
        (false, true) => Form::Sarif,
        (false, false) => Form::Text,
    };
    if files.is_empty() {
        return Err("there is no FILE to judge".to_owned());
    }
    Ok(Command::Files(Wanted {
        format: format.map(|name: String| name.parse()).transpose()?,
        schema: schema.ok_or("--schema FILE is missing")?,
        references,
        rules,
        draft: named_draft.map(|name: String| draft(&name)).transpose()?,
        message,
        encoding,
        assert_format,
        form,
        files,
    }))
}
