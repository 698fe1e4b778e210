//! Why the program ends early.

use std::error::Error;
use std::fmt;

/// The exit code of a run that failed, or that could not do all of its work.
pub const FAILED: u8 = 1;
/// The exit code of a run that was asked for the wrong thing.
pub const USAGE: u8 = 2;

/// What was attempted on what, why it failed, and what to do about it.
#[derive(Debug)]
pub struct Failure {
    message: String,
    exit: u8,
}

impl Failure {
    /// `attempt` failed; ends with [`FAILED`].
    pub fn new(attempt: impl Into<String>) -> Self {
        Self { message: attempt.into(), exit: FAILED }
    }

    /// `attempt` failed because of `cause` and of what caused that.
    pub fn because(attempt: impl Into<String>, cause: &(dyn Error + 'static)) -> Self {
        Self::new(format!("{}: {}", attempt.into(), chain(cause)))
    }

    /// The program was called wrongly, or has nothing to work on; ends with [`USAGE`].
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit: USAGE }
    }

    /// Adds what the reader can do.
    pub fn advise(mut self, advice: impl fmt::Display) -> Self {
        self.message = format!("{}\n  {advice}", self.message);
        self
    }

    /// What the process ends with.
    pub const fn exit(&self) -> u8 {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// `error` and everything that caused it, outermost first, in one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        // Some libraries repeat their source in their own text.
        if !text.ends_with(&next_text) {
            text.push_str(": ");
            text.push_str(&next_text);
        }
        cause = next.source();
    }
    text
}
