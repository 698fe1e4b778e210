//! Why the program ends with another code than 0.

use std::process::ExitCode;

use mcp_core::{ErrorKind, ParseError};
use mcp_registry::RegistryError;

use crate::show::with_causes;

/// A message for people, and the exit code that tells scripts what to do.
#[derive(Debug)]
pub struct Failure {
    pub message: String,
    pub code: u8,
}

impl Failure {
    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 2 }
    }

    /// What was asked for is refused, or is not there.
    pub fn refused(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    pub fn exit_code(&self) -> ExitCode {
        self.code.into()
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        let code = match (error.kind(), &error) {
            (ErrorKind::Corrupt, _) => 3,
            // A disk that is full or may not be written to: nothing is wrong with what was asked for.
            (
                ErrorKind::Denied | ErrorKind::Exhausted,
                RegistryError::Storage { .. }
                | RegistryError::Catalog { .. }
                | RegistryError::WriterStopped { .. },
            ) => 4,
            // A file that cannot be read is the caller's.
            (_, RegistryError::Input { .. }) => 1,
            (ErrorKind::Unavailable, _) => 4,
            _ => 1,
        };
        let advice = match (error.kind(), &error) {
            (ErrorKind::Exhausted, _) if code == 4 => {
                "; make room on the disk and try again: what was answered is safe"
            }
            (ErrorKind::Denied, _) if code == 4 => "; make the folder writable and try again",
            // The others say so themselves.
            (ErrorKind::Corrupt, RegistryError::Catalog { .. } | RegistryError::Storage { .. }) => {
                "; verify the registry, then restore what is damaged from a copy"
            }
            _ => "",
        };
        Self { message: format!("{}{advice}", with_causes(&error)), code }
    }
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        Self::usage(error.to_string())
    }
}
