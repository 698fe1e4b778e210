//! What the program says: lines for people, or one JSON object a line for programs.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::plain;

/// Where answers go.
pub struct Output {
    json: bool,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// One answer, in the form that was asked for.
    ///
    /// # Errors
    /// Code 1 when nobody reads any more: then the rest need not be found out either.
    pub fn tell(&self, text: &str, document: impl FnOnce() -> Value) -> Result<(), Failure> {
        if self.json { self.line(&document().to_string()) } else { self.line(&plain::lines(text)) }
    }

    /// One answer that is JSON whatever was asked for.
    pub fn tell_json(&self, document: &Value) -> Result<(), Failure> {
        self.line(&document.to_string())
    }

    /// Bytes as they are.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| unread(&error))
    }

    fn line(&self, line: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| unread(&error))
    }

    /// The end: on standard error for people, and with `--json` also as the last line.
    pub fn fail(&self, failure: &Failure) {
        // Nobody may read it: the exit code tells as well.
        let _told = writeln!(std::io::stderr(), "registry: {}", plain::lines(&failure.message));
        if self.json {
            let error = json!({"message": failure.message, "code": failure.code});
            // Whoever reads may have gone away: nothing is left to be told.
            let _told = self.line(&json!({ "error": error }).to_string());
        }
    }
}

fn unread(error: &std::io::Error) -> Failure {
    Failure::refused(format!("write to standard output: {error}"))
}
