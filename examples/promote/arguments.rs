//! What stands on the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::failure::Failure;

pub const USAGE: &str = "\
Promotes releases through the stages of a pipeline file; its journal is an SQLite file.

usage: promote [options] COMMAND

  pipeline check FILE                check a pipeline file, and show its stages
  request STAGE REF=FILE|DIGEST ...  ask for a release, such as app@1.2.0=build/app.tar; prints the promotion's id
  approve|reject|revoke ID           vote on a pending promotion, or take an approval back
  veto ID REASON                     reject it for a reason
  cancel|resume|retry ID             withdraw a pending one; let a paused one go on; roll a stuck one back again
  pause|abort|override|acknowledge ID REASON
  break-glass ID REASON, review ID NOTE, obligations
  rollback STAGE                     ask for what ran before
  hold STAGE REASON, lift STAGE      let nothing but rollbacks start; let everything start again
  release-lease STAGE                for a driver that is surely gone, of a stage that cannot refuse it
  run [--until-idle]                 drive all stages until SIGINT or SIGTERM, or until only people can go on
  wait ID                            until it has ended or needs a person; needs `run` elsewhere
  status [ID|STAGE], blockers ID, history ID|STAGE
  checkpoint                         verify the journal, and say what it is now
  verify [--against FILE]            verify the journal, also against an earlier checkpoint

  --pipeline FILE     the pipeline (default: pipeline.yaml)
  --data DIR          where the journal is (default: promote-data)
  --as PERSON         who gives the command (needed for commands that change something)
  --request-id ID     makes a repeated command answer what the first one did
  --json              one JSON document on standard output; for `run`, one a line for each event
  --help              print this

exit codes: 0 done; 1 refused, or not found; 2 wrong usage or pipeline file; 3 the journal is damaged; 4 unavailable, try again
";

/// What was asked for.
pub struct Arguments {
    pub pipeline: PathBuf,
    pub data: PathBuf,
    pub who: Option<String>,
    pub request_id: Option<String>,
    pub json: bool,
    pub until_idle: bool,
    pub against: Option<PathBuf>,
    /// The command and what it is about.
    pub words: Vec<String>,
}

impl Arguments {
    /// `None` where the usage was asked for.
    pub fn parse(from: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, Failure> {
        let mut arguments = Self {
            pipeline: "pipeline.yaml".into(),
            data: "promote-data".into(),
            who: None,
            request_id: None,
            json: false,
            until_idle: false,
            against: None,
            words: Vec::new(),
        };
        let mut parser = lexopt::Parser::from_args(from);
        while let Some(argument) = parser.next().map_err(|error| Failure::usage(error.to_string()))? {
            let usage = |error: lexopt::Error| Failure::usage(error.to_string());
            let text = |value: OsString| value.string().map_err(usage);
            match argument {
                Long("pipeline") => arguments.pipeline = parser.value().map_err(usage)?.into(),
                Long("data") => arguments.data = parser.value().map_err(usage)?.into(),
                Long("against") => arguments.against = Some(parser.value().map_err(usage)?.into()),
                Long("as") => arguments.who = Some(text(parser.value().map_err(usage)?)?),
                Long("request-id") => arguments.request_id = Some(text(parser.value().map_err(usage)?)?),
                Long("json") => arguments.json = true,
                Long("until-idle") => arguments.until_idle = true,
                Short('h') | Long("help") => return Ok(None),
                Value(word) => arguments.words.push(text(word)?),
                other => return Err(usage(other.unexpected())),
            }
        }
        Ok(Some(arguments))
    }
}
