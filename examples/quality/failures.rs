//! Writes failing records as JSON lines.

use std::fs::File;
use std::io::{BufWriter, Write as _};

use mcp_core::{ErrorKind, SeamError};
use mcp_validation::quality::{Failure, FailureSink};
use serde_json::json;

/// A file with failures, where one is wanted.
pub struct Failures {
    out: Option<(String, BufWriter<File>)>,
    input: String,
}

impl Failures {
    pub fn open(path: Option<&str>) -> Result<Self, String> {
        let open = |path: &str| match File::create(path) {
            Ok(file) => Ok((path.to_owned(), BufWriter::new(file))),
            Err(error) => Err(format!("write {path}: {error}")),
        };
        Ok(Self { out: path.map(open).transpose()?, input: String::new() })
    }

    /// From here on records are of this file.
    pub fn begin(&mut self, input: &str) {
        input.clone_into(&mut self.input);
    }

    pub fn finish(&mut self) -> Result<(), String> {
        match &mut self.out {
            Some((path, out)) => out.flush().map_err(|error| format!("write {path}: {error}")),
            None => Ok(()),
        }
    }
}

impl FailureSink for Failures {
    fn failed(&mut self, failure: &Failure<'_>) -> Result<(), SeamError> {
        let Some((path, out)) = &mut self.out else { return Ok(()) };
        let mut line = json!({"file": self.input, "record": failure.record});
        for (name, text) in [("id", failure.id), ("check", failure.check), ("unreadable", failure.reason)] {
            if let (Some(text), Some(object)) = (text, line.as_object_mut()) {
                object.insert(name.to_owned(), text.into());
            }
        }
        if let (Some(number), Some(object)) = (failure.line, line.as_object_mut()) {
            object.insert("line".to_owned(), number.into());
        }
        writeln!(out, "{line}").map_err(|error| {
            SeamError::new(ErrorKind::Unavailable, format!("write {path}")).with_source(error)
        })
    }
}
