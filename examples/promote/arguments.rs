//! What stands on the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::failure::Failure;

pub const USAGE: &str = "\
Promotes releases through the stages of a pipeline file; its journal is an SQLite file.

usage: promote [options] COMMAND

Before anything is done
  pipeline check FILE                check a pipeline file, its commands and who can approve, and show its stages
  pipeline show [FILE]               draw it; as text, with --mermaid or --svg, into a file with -o, and with --live as it stands now
  preview STAGE REF=FILE|DIGEST ...  what `request` would lead to, and what would block it; writes nothing
  preview rollback STAGE             the same for `rollback`

Promotions; an ID is such as prod/7
  request STAGE REF=FILE|DIGEST ...  ask for a release, such as app@1.2.0=build/app.tar; prints the promotion's id
  rollback STAGE                     ask for what ran before
  approve|reject|revoke ID           vote on a pending promotion, or take an approval back
  veto ID REASON                     reject it for a reason
  cancel|resume|retry ID             withdraw a pending one; let a paused one go on; roll a stuck one back again
  pause|abort|override|acknowledge ID REASON
                                     stop one that is under way; take it back; call a paused one a success; take over from a stuck one
  break-glass ID REASON, review ID NOTE, obligations
                                     start without waiting; say afterwards what was found; what is still to be reviewed
  hold STAGE REASON, lift STAGE      let nothing but rollbacks start; let everything start again
  release-lease STAGE                for a driver that is surely gone, of a stage that cannot refuse it

Release plans: many stages, in an order in which every state on the way works
  plan preview FILE                  the waves, and why; writes nothing
  plan submit FILE                   ask for it; prints the plan's id
  plan show [PLAN]                   all plans, or one: how far each stage is, and what blocks it
  plan cancel|resume PLAN            withdraw one that has not begun; let a halted or stuck one go on
  plan pause|abort|acknowledge PLAN REASON
                                     start nothing more; take everything back; end a halted or stuck one as it is
  plan history PLAN, plan wait PLAN

Driving and looking
  run [--until-idle]                 drive all stages and plans until SIGINT or SIGTERM, or until only people can go on; what it waits for
                                     longer than a few seconds is told on standard error
  wait ID                            until it has ended or needs a person; needs `run` elsewhere
  status [ID|STAGE], blockers ID     where it stands; what keeps it from going on, and who or what lifts that
  explain ID|STAGE                   why it went as it did, or why the stage runs what it runs
  timeline ID|STAGE                  what happened, for people; `history` has every event as the journal does
  checkpoint                         verify the journal, and say what it is now
  verify [--against FILE]            verify the journal, also against an earlier checkpoint

  --pipeline FILE     the pipeline (default: pipeline.yaml)
  --data DIR          where the journal is (default: promote-data); request, hold, run and plan submit make one, nothing else does
  --as PERSON         who gives the command (needed for commands that change something, and for `preview`)
  --request-id ID     makes a repeated command answer what the first one did
  --json              one JSON document on standard output; for `run`, one a line for each event
  -o, --output FILE   where `pipeline show` writes to; .svg and .mmd say how
  --help              print this

exit codes: 0 done; 1 refused, or not found; 2 wrong usage or file; 3 the journal is damaged; 4 unavailable, try again
";

/// How `pipeline show` draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    Text,
    Mermaid,
    Svg,
}

/// What was asked for.
pub struct Arguments {
    pub pipeline: PathBuf,
    pub data: PathBuf,
    pub who: Option<String>,
    pub request_id: Option<String>,
    pub json: bool,
    pub until_idle: bool,
    pub against: Option<PathBuf>,
    pub picture: Option<Picture>,
    pub output: Option<PathBuf>,
    pub live: bool,
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
            picture: None,
            output: None,
            live: false,
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
                Long("mermaid") => arguments.picture = Some(Picture::Mermaid),
                Long("svg") => arguments.picture = Some(Picture::Svg),
                Long("live") => arguments.live = true,
                Short('o') | Long("output") => {
                    arguments.output = Some(parser.value().map_err(usage)?.into());
                }
                Short('h') | Long("help") => return Ok(None),
                Value(word) => arguments.words.push(text(word)?),
                other => return Err(usage(other.unexpected())),
            }
        }
        Ok(Some(arguments))
    }

    /// Who gives the command `name`.
    pub fn person(&self, name: &str) -> Result<&str, Failure> {
        let missing = || Failure::usage(format!("{name} needs --as PERSON, who gives the command"));
        self.who.as_deref().ok_or_else(missing)
    }
}
