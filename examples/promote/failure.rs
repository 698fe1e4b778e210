//! Why the program ends with another code than 0.

use std::fmt::Write as _;
use std::process::ExitCode;

use mcp_core::{ErrorKind, SeamError};
use mcp_promotion::PromotionError;

/// A message for people, and the exit code that tells scripts what to do.
#[derive(Debug)]
pub struct Failure {
    pub message: String,
    pub code: u8,
}

impl Failure {
    /// The command line or the pipeline file is wrong.
    pub const fn usage(message: String) -> Self {
        Self { message, code: 2 }
    }

    /// It may work later.
    pub fn unavailable(attempted: &str, error: &std::io::Error) -> Self {
        Self { message: format!("{attempted}: {error}"), code: 4 }
    }

    /// What the command is about is not there.
    pub const fn not_found(message: String) -> Self {
        Self { message, code: 1 }
    }

    /// The journal is not what was written to it.
    pub const fn damaged(message: String) -> Self {
        Self { message, code: 3 }
    }

    fn of(kind: ErrorKind, error: &dyn std::error::Error) -> Self {
        let code = match kind {
            ErrorKind::Corrupt => 3,
            ErrorKind::Unavailable => 4,
            _ => 1,
        };
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            // Writing to a string cannot fail.
            let _written = write!(message, ": {error}");
            cause = error.source();
        }
        Self { message, code }
    }

    pub fn exit_code(&self) -> ExitCode {
        self.code.into()
    }
}

impl From<PromotionError> for Failure {
    fn from(error: PromotionError) -> Self {
        match &error {
            PromotionError::Pipeline { .. }
            | PromotionError::Setup { .. }
            | PromotionError::Parse(_)
            | PromotionError::MalformedId { .. }
            | PromotionError::Release { .. } => Self::usage(error.to_string()),
            _ => Self::of(error.kind(), &error),
        }
    }
}

impl From<SeamError> for Failure {
    fn from(error: SeamError) -> Self {
        Self::of(error.kind(), &error)
    }
}

impl From<mcp_core::ParseError> for Failure {
    fn from(error: mcp_core::ParseError) -> Self {
        Self::usage(error.to_string())
    }
}
