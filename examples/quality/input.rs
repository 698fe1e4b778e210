//! Opens files, and finds out what is in them.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mcp_validation::quality::{Csv, RecordFormat};
use serde::Serialize;

use crate::arguments::Format;

/// What is read, and as what.
#[derive(Clone, Debug, Serialize)]
pub struct Source {
    /// The file's name, `-` for standard input.
    pub file: String,
    /// `csv` or `json-lines`.
    pub format: &'static str,
    /// What stands between cells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// What of this nobody has said.
    pub guessed: bool,
}

impl Source {
    /// In a sentence.
    pub fn said(&self) -> String {
        let delimiter = self.delimiter.map(|c| format!(" with cells between {c:?}")).unwrap_or_default();
        let how = if self.guessed { ", guessed from its name and content" } else { "" };
        format!("{}: read as {}{delimiter}{how}", self.file, self.format)
    }
}

/// A file that is about to be read.
pub struct Opened {
    pub source: Source,
    pub format: RecordFormat,
    pub bytes: Box<dyn Read>,
}

/// How much of a file is looked at to guess what it is.
const BEGINNING: u64 = 64 << 10;

/// Opens a file, and guesses what was not given.
pub fn open(file: &str, format: Option<Format>, delimiter: Option<u8>) -> Result<Opened, String> {
    let not_read = |error: io::Error| format!("read {file}: {error}");
    let (input, length): (Box<dyn Read>, Option<u64>) = if file == "-" {
        (Box::new(io::stdin().lock()), None)
    } else {
        let opened = File::open(file).map_err(not_read)?;
        let about = opened.metadata().map_err(not_read)?;
        if about.is_dir() {
            return Err(format!("read {file}: it is a folder"));
        }
        (Box::new(opened), Some(about.len()).filter(|_| about.is_file()))
    };
    let mut input = progress(file, length, input);
    let mut beginning = Vec::new();
    input.by_ref().take(BEGINNING).read_to_end(&mut beginning).map_err(not_read)?;
    let chosen = match format {
        Some(format) => format,
        None => guessed(file, &beginning)?,
    };
    let (format_name, cells, guessed_delimiter) = match chosen {
        Format::JsonLines => ("json-lines", None, false),
        Format::Tsv => ("csv", Some(delimiter.unwrap_or(b'\t')), false),
        Format::Csv => ("csv", Some(delimiter.unwrap_or_else(|| likely(&beginning))), delimiter.is_none()),
    };
    let source = Source {
        file: file.to_owned(),
        format: format_name,
        delimiter: cells.map(char::from),
        guessed: format.is_none() || guessed_delimiter,
    };
    let format = match cells {
        Some(delimiter) => RecordFormat::Csv(Csv::delimited_by(delimiter)),
        None => RecordFormat::JsonLines,
    };
    Ok(Opened { source, format, bytes: Box::new(io::Cursor::new(beginning).chain(input)) })
}

fn guessed(file: &str, beginning: &[u8]) -> Result<Format, String> {
    let name = file.to_ascii_lowercase();
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    let first = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning).trim_ascii_start().first();
    if ends(&[".jsonl", ".ndjson", ".jsonlines"]) {
        return Ok(Format::JsonLines);
    }
    if ends(&[".csv"]) {
        return Ok(Format::Csv);
    }
    if ends(&[".tsv", ".tab"]) {
        return Ok(Format::Tsv);
    }
    match first {
        Some(b'{') => Ok(Format::JsonLines),
        Some(b'[') => Err(format!(
            "{file} looks like one JSON array: write one record a line, or name another --format"
        )),
        Some(_) => Ok(Format::Csv),
        None => Err(format!("{file} is empty, so nothing can be guessed: name its --format")),
    }
}

/// What stands most often in the first line, of what usually stands between cells.
fn likely(beginning: &[u8]) -> u8 {
    let line = beginning.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |delimiter: &u8| line.iter().filter(|byte| *byte == delimiter).count();
    // The last of equals: a comma where there is nothing.
    [b'|', b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',')
}

/// Shows on a terminal how far it is.
fn progress(file: &str, length: Option<u64>, input: Box<dyn Read>) -> Box<dyn Read> {
    if !io::stderr().is_terminal() {
        return input;
    }
    let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new);
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
    let style = ProgressStyle::with_template("{msg} {bytes} of {total_bytes}, {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(crate::plain::line(file));
    bar.enable_steady_tick(Duration::from_millis(200));
    Box::new(Shown { input, bar })
}

struct Shown {
    input: Box<dyn Read>,
    bar: ProgressBar,
}

impl Read for Shown {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.bar.inc(read as u64);
        Ok(read)
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
