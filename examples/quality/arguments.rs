//! What stands on the command line.

use std::ffi::OsString;

use lexopt::prelude::*;

pub const USAGE: &str = "\
Measures the quality of records.

usage: quality [options] FILE...

  --policy FILE         what is measured and expected, in JSON, or in YAML where its name ends in .yaml or .yml (default: figures of every field)
  --schema FILE         a JSON Schema that records should satisfy
  --format F            csv, tsv or json-lines; guessed from each file's name and content, and said
  --delimiter C         what stands between the cells of csv; guessed from the first line, and said
  --max-record BYTES    the longest record (default: 1048576)
  --json                everything as one JSON object
  --html FILE           write a report with charts, which needs nothing but itself
  --failures FILE       write a JSON line for each check that a record fails, and for each record that cannot be read
  --state FILE          write the counts, for --merge and --compare
  --merge FILE          add counts that were written before; may be repeated, and then no FILE is needed
  --compare FILE        tell what changed since these counts, and fail where the policy's `changes` do not allow it
  --help                print this

A FILE that is - is standard input.

exit codes: 0 all is as expected; 1 a threshold failed, or something changed too much; 2 it could not be told, or wrong usage
";

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    Tsv,
    JsonLines,
}

/// What is wanted.
#[derive(Debug, Default)]
pub struct Arguments {
    pub policy: Option<String>,
    pub schema: Option<String>,
    pub format: Option<Format>,
    pub delimiter: Option<u8>,
    pub max_record_bytes: usize,
    pub json: bool,
    pub html: Option<String>,
    pub failures: Option<String>,
    pub state: Option<String>,
    pub merge: Vec<String>,
    pub compare: Option<String>,
    pub files: Vec<String>,
}

impl Arguments {
    /// `None` when only the usage was asked for.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, lexopt::Error> {
        let mut parsed = Self { max_record_bytes: 1 << 20, ..Self::default() };
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("policy") => parsed.policy = Some(parser.value()?.string()?),
                Long("schema") => parsed.schema = Some(parser.value()?.string()?),
                Long("format") => parsed.format = Some(format(&parser.value()?.string()?)?),
                Long("delimiter") => parsed.delimiter = Some(delimiter(&parser.value()?.string()?)?),
                Long("max-record") => parsed.max_record_bytes = parser.value()?.parse()?,
                Long("json") => parsed.json = true,
                Long("html") => parsed.html = Some(parser.value()?.string()?),
                Long("failures") => parsed.failures = Some(parser.value()?.string()?),
                Long("state") => parsed.state = Some(parser.value()?.string()?),
                Long("merge") => parsed.merge.push(parser.value()?.string()?),
                Long("compare") => parsed.compare = Some(parser.value()?.string()?),
                Short('h') | Long("help") => return Ok(None),
                Value(file) => parsed.files.push(file.string()?),
                other => return Err(other.unexpected()),
            }
        }
        if parsed.files.is_empty() && parsed.merge.is_empty() {
            return Err("name a FILE with records, or - for standard input".into());
        }
        if parsed.files.iter().filter(|file| *file == "-").count() > 1 {
            return Err("standard input can be read once".into());
        }
        Ok(Some(parsed))
    }
}

fn format(text: &str) -> Result<Format, String> {
    match text {
        "csv" => Ok(Format::Csv),
        "tsv" => Ok(Format::Tsv),
        "json-lines" => Ok(Format::JsonLines),
        _ => Err(format!("--format is csv, tsv or json-lines, not {text:?}")),
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [one] if one.is_ascii() && !matches!(one, b'"' | b'\n' | b'\r') => Ok(*one),
        _ => {
            Err(format!("--delimiter is one ASCII character that is no quote and ends no line, not {text:?}"))
        }
    }
}
