//! What stands on the command line of `compat`.

use std::ffi::OsString;

use lexopt::prelude::*;
use mcp_validation::Mode;

use crate::batch::case::{Format, draft};
use crate::batch::compat::{Settings, level, mode};

pub const USAGE: &str = "\
Tells whether a new version of a schema can take the place of the old ones.

usage: compat [options] OLD... NEW
       compat --batch

  --mode M               none, backward (the new schema reads what the last old one wrote; the default), forward, full, or one of these
                         three with _transitive, which asks of every old schema what the plain one asks of the last
  --format F             json-schema, avro or protobuf; guessed from the new schema's name and content, and said
  --reference NAME=FILE  what the schemas refer to: by URI, or by the name that a .proto file imports; may be repeated
  --draft D              4, 6, 7, 2019-09 or 2020-12 (default: what $schema says, else 2020-12)
  --assert-format        a value that is not of its format is an error
  --level L              wire or json: what of protobuf must stay readable (default: wire)
  --json                 one JSON object
  --batch                JSON lines on standard input: {\"id\", \"format\", \"draft\"?, \"mode\", \"level\"?, \"old\": schema or list of schemas,
                         oldest first, \"new\", \"references\"?: [{\"name\", \"schema\"}]}; one JSON line out for each, in order:
                         {\"id\", \"verdict\": \"yes\"|\"no\"|\"unknown\"|\"error\", \"breaks\": [{\"rule\", \"path\", \"message\"}], \"witness\"?};
                         a bad line is answered by an error and stops nothing, members with other names are left alone
  --help                 print this

OLD comes oldest first. A FILE that is - is standard input.

exit codes: 0 yes, or every line was answered; 1 no; 2 the schemas could not be compared, or wrong usage; 3 unknown
";

pub enum Command {
    Help,
    Batch,
    Compare(Wanted),
}

/// What is compared.
pub struct Wanted {
    pub format: Option<Format>,
    pub mode: Mode,
    pub settings: Settings,
    pub references: Vec<String>,
    pub json: bool,
    pub old: Vec<String>,
    pub new: String,
}

pub fn parse(from: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let usage = |error: lexopt::Error| error.to_string();
    let mut wanted = Wanted {
        format: None,
        mode: Mode::Backward,
        settings: Settings::default(),
        references: Vec::new(),
        json: false,
        old: Vec::new(),
        new: String::new(),
    };
    let (mut batch, mut other) = (false, false);
    let mut parser = lexopt::Parser::from_args(from);
    while let Some(argument) = parser.next().map_err(usage)? {
        let mut text = |parser: &mut lexopt::Parser| -> Result<String, String> {
            other = true;
            parser.value().and_then(|value| value.string()).map_err(usage)
        };
        match argument {
            Long("mode") => wanted.mode = mode(&text(&mut parser)?)?,
            Long("format") => wanted.format = Some(text(&mut parser)?.parse()?),
            Long("draft") => wanted.settings.draft = Some(draft(&text(&mut parser)?)?),
            Long("level") => wanted.settings.level = level(&text(&mut parser)?)?,
            Long("reference") => wanted.references.push(text(&mut parser)?),
            Long("assert-format") => (wanted.settings.assert_format, other) = (true, true),
            Long("json") => (wanted.json, other) = (true, true),
            Long("batch") => batch = true,
            Short('h') | Long("help") => return Ok(Command::Help),
            Value(file) => wanted.old.push(file.string().map_err(usage)?),
            other => return Err(other.unexpected().to_string()),
        }
    }
    if batch {
        if other || !wanted.old.is_empty() {
            return Err("--batch stands alone: each line says what is compared".to_owned());
        }
        return Ok(Command::Batch);
    }
    wanted.new = wanted.old.pop().unwrap_or_default();
    if wanted.old.is_empty() {
        return Err("there are no two schemas: give OLD and NEW".to_owned());
    }
    Ok(Command::Compare(wanted))
}
