//! What stands on the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;
use mcp_core::{Name, Requirement, Version};

use crate::failure::Failure;
use crate::reference::{Reference, Target, exact, label, need};

pub const USAGE: &str = "\
Keeps artifacts as immutable versions: publishes them durably, finds them, reads them verified.

usage: registry --data DIR [--json] COMMAND

  publish NAME@VERSION FILE       publish a file as this version
  publish NAME@next:BUMP FILE     as the next one; BUMP is major, minor, patch, auto (by comparison), or pre:ID such as pre:rc
      --media-type T              what kind of bytes these are (default: application/octet-stream)
      --tag T                     a word to find it by; may be repeated
      --description D             what it is, for people
      --label KEY=VALUE           what programs say about it; may be repeated
      --needs NAME@REQUIREMENT    what it depends on; may be repeated
  publish --batch                 JSON lines on standard input, {\"name\",\"version\",\"file\"|\"text\",\"description\",\"tags\",
                                  \"labels\",\"needs\"}; one JSON line out for each, in order, when it is durable; version may be next:BUMP; a bad line stops nothing
  get REF [-o FILE]               its bytes, compared with their digest, to standard output or into a file
  resolve REF                     which version it is, and what is known of it
  versions NAME                   all versions, the highest first
  search TEXT                     names by words of name, description, tags and authors
      --tag T                     only with this tag; may be repeated
      --limit N                   at most so many (default: 20)
  channel NAME:CHANNEL VERSION    point a channel at a version
      --expect VERSION            only if it points there now
  channels NAME                   its channels, and where they point
  yank NAME@VERSION --reason R    take a version out of latest and of requirements
  unyank NAME@VERSION --reason R  put it back
  deprecate NAME@VERSION --message M
                                  tell the users of a version what to do instead; it stays where it is
  undeprecate NAME@VERSION --reason R
                                  take that back
  labels NAME@VERSION             its labels
      --set KEY=VALUE             give it this one; may be repeated
      --remove KEY                take this one away; may be repeated
  dependents NAME                 which versions need it
      --admitting VERSION         only those that this version would do for
  changes [--after N]             the change feed, behind a position
  verify                          check everything that is stored
  stats                           how much there is

  REF is NAME@VERSION, NAME@REQUIREMENT such as app@^1.2, NAME:CHANNEL, NAME for the latest, or blake3: and 64 hexadecimal digits.

  --data DIR     the folder of the registry; commands that write make one
  --json         one JSON object a line
  --help         print this

exit codes: 0 done; 1 refused, or not found; 2 wrong usage; 3 damage was found; 4 unavailable, try again
";

/// What was asked for.
#[derive(Debug)]
pub struct Arguments {
    pub data: PathBuf,
    pub command: Command,
}

#[derive(Debug)]
pub enum Command {
    Publish(Publish),
    PublishBatch,
    Get { reference: Reference, file: Option<PathBuf> },
    Resolve { reference: Reference },
    Versions { name: Name },
    Search { text: String, tags: Vec<String>, limit: usize },
    Channel { name: Name, channel: Name, version: Version, expect: Option<Version> },
    Channels { name: Name },
    Say { name: Name, version: Version, what: Said },
    Labels { name: Name, version: Version, set: Vec<(String, String)>, removed: Vec<String> },
    Dependents { name: Name, admitting: Option<Version> },
    Changes { after: u64 },
    Verify,
    Stats,
}

/// What is said of a version after it was published.
#[derive(Debug)]
pub enum Said {
    Yanked { reason: String },
    Unyanked { reason: String },
    Deprecated { message: String },
    Undeprecated { reason: String },
}

/// What `publish` is told.
#[derive(Debug)]
pub struct Publish {
    pub name: Name,
    pub target: Target,
    pub file: PathBuf,
    pub media_type: Option<String>,
    pub tags: Vec<String>,
    pub description: Option<String>,
    pub labels: Vec<(String, String)>,
    pub needs: Vec<(Name, Requirement)>,
}

impl Command {
    /// Whether it changes anything: then the registry is locked for it.
    pub fn writes(&self) -> bool {
        match self {
            Self::Publish(_) | Self::PublishBatch | Self::Channel { .. } | Self::Say { .. } => true,
            Self::Labels { set, removed, .. } => !set.is_empty() || !removed.is_empty(),
            _ => false,
        }
    }
}

/// All options that were given, taken out one by one by the command that knows them.
#[derive(Default)]
struct Options {
    given: Vec<(&'static str, OsString)>,
    batch: bool,
}

const OPTIONS: [&str; 14] = [
    "media-type",
    "tag",
    "description",
    "label",
    "needs",
    "limit",
    "expect",
    "reason",
    "message",
    "set",
    "remove",
    "admitting",
    "after",
    "output",
];

impl Options {
    fn all(&mut self, name: &str) -> Result<Vec<String>, Failure> {
        let (taken, left) =
            std::mem::take(&mut self.given).into_iter().partition(|(given, _)| *given == name);
        self.given = left;
        taken.into_iter().map(|(_, value)| text(value)).collect()
    }

    fn one(&mut self, name: &str) -> Result<Option<String>, Failure> {
        let mut values = self.all(name)?;
        match (values.pop(), values.is_empty()) {
            (_, false) => Err(Failure::usage(format!("--{name} is given more than once"))),
            (value, true) => Ok(value),
        }
    }

    fn required(&mut self, name: &str, command: &str) -> Result<String, Failure> {
        let missing = || Failure::usage(format!("{command} needs --{name}; see --help"));
        self.one(name)?.ok_or_else(missing)
    }

    fn number<N: std::str::FromStr>(&mut self, name: &str) -> Result<Option<N>, Failure> {
        let wrong = |value: &str| Failure::usage(format!("--{name} {value}: it is not a number that can be"));
        self.one(name)?.map(|value| value.parse().map_err(|_| wrong(&value))).transpose()
    }

    fn path(&mut self, name: &str) -> Option<PathBuf> {
        let place = self.given.iter().position(|(given, _)| *given == name)?;
        Some(self.given.remove(place).1.into())
    }
}

impl Arguments {
    /// `None` where the usage was asked for.
    pub fn parse(from: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, Failure> {
        let usage = |error: lexopt::Error| Failure::usage(error.to_string());
        let (mut data, mut words, mut options) = (None, Vec::new(), Options::default());
        let mut parser = lexopt::Parser::from_args(from);
        while let Some(argument) = parser.next().map_err(usage)? {
            match argument {
                Long("data") => data = Some(PathBuf::from(parser.value().map_err(usage)?)),
                Long("json") => {}
                Long("batch") => options.batch = true,
                Short('o') => options.given.push(("output", parser.value().map_err(usage)?)),
                Short('h') | Long("help") => return Ok(None),
                Long(name) => {
                    let Some(known) = OPTIONS.iter().find(|known| **known == name) else {
                        return Err(Failure::usage(format!("there is no option --{name}; see --help")));
                    };
                    options.given.push((known, parser.value().map_err(usage)?));
                }
                Value(word) => words.push(word),
                other => return Err(usage(other.unexpected())),
            }
        }
        let mut words = words.into_iter();
        let command = match words.next() {
            None => return Err(Failure::usage("there is no command; see --help")),
            Some(word) => text(word)?,
        };
        if command == "help" {
            return Ok(None);
        }
        let command = read(&command, &mut words, &mut options)?;
        if let Some(word) = words.next() {
            return Err(Failure::usage(format!("{} is one word too many; see --help", word.display())));
        }
        if let Some((name, _)) = options.given.first() {
            return Err(Failure::usage(format!("--{name} does not belong to this command; see --help")));
        }
        if options.batch && !matches!(command, Command::PublishBatch) {
            return Err(Failure::usage("--batch belongs to publish only; see --help"));
        }
        let data = data.ok_or_else(|| Failure::usage("--data DIR is missing: the folder of the registry"))?;
        Ok(Some(Self { data, command }))
    }
}

fn read(
    command: &str,
    words: &mut impl Iterator<Item = OsString>,
    options: &mut Options,
) -> Result<Command, Failure> {
    let mut word = |what: &str| {
        words.next().ok_or_else(|| Failure::usage(format!("{command} needs {what}; see --help")))
    };
    Ok(match command {
        "publish" if options.batch => Command::PublishBatch,
        "publish" => {
            let (name, target) = Target::of_artifact(&text(word("NAME@VERSION")?)?)?;
            Command::Publish(Publish {
                name,
                target,
                file: word("FILE")?.into(),
                media_type: options.one("media-type")?,
                tags: options.all("tag")?,
                description: options.one("description")?,
                labels: options.all("label")?.iter().map(|given| label(given)).collect::<Result<_, _>>()?,
                needs: options.all("needs")?.iter().map(|given| need(given)).collect::<Result<_, _>>()?,
            })
        }
        "get" => Command::Get { reference: text(word("REF")?)?.parse()?, file: options.path("output") },
        "resolve" => Command::Resolve { reference: text(word("REF")?)?.parse()? },
        "versions" => Command::Versions { name: text(word("NAME")?)?.parse()? },
        "search" => Command::Search {
            text: text(word("TEXT")?)?,
            tags: options.all("tag")?,
            limit: options.number("limit")?.unwrap_or(20),
        },
        "channel" => {
            let at = text(word("NAME:CHANNEL")?)?;
            let (name, channel) = at
                .split_once(':')
                .ok_or_else(|| Failure::usage(format!("{at}: it is not of the form NAME:CHANNEL")))?;
            Command::Channel {
                name: name.parse()?,
                channel: channel.parse()?,
                version: text(word("VERSION")?)?.parse()?,
                expect: options.one("expect")?.map(|version| version.parse()).transpose()?,
            }
        }
        "channels" => Command::Channels { name: text(word("NAME")?)?.parse()? },
        "yank" | "unyank" | "deprecate" | "undeprecate" => {
            let (name, version) = exact(&text(word("NAME@VERSION")?)?)?;
            let mut given = |name| options.required(name, command);
            let what = match command {
                "yank" => Said::Yanked { reason: given("reason")? },
                "unyank" => Said::Unyanked { reason: given("reason")? },
                "deprecate" => Said::Deprecated { message: given("message")? },
                _ => Said::Undeprecated { reason: given("reason")? },
            };
            Command::Say { name, version, what }
        }
        "labels" => {
            let (name, version) = exact(&text(word("NAME@VERSION")?)?)?;
            let set = options.all("set")?.iter().map(|given| label(given)).collect::<Result<_, _>>()?;
            Command::Labels { name, version, set, removed: options.all("remove")? }
        }
        "dependents" => Command::Dependents {
            name: text(word("NAME")?)?.parse()?,
            admitting: options.one("admitting")?.map(|version| version.parse()).transpose()?,
        },
        "changes" => Command::Changes { after: options.number("after")?.unwrap_or(0) },
        "verify" => Command::Verify,
        "stats" => Command::Stats,
        other => return Err(Failure::usage(format!("there is no command {other}; see --help"))),
    })
}

fn text(word: OsString) -> Result<String, Failure> {
    word.into_string().map_err(|word| Failure::usage(format!("{} is not UTF-8", word.display())))
}
