use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ValidationError;

/// How the bytes of a document are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Encoding {
    /// JSON (RFC 8259) in UTF-8.
    Json,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Json => "json",
        })
    }
}

impl FromStr for Encoding {
    type Err = ValidationError;

    fn from_str(text: &str) -> Result<Self, ValidationError> {
        match text {
            "json" => Ok(Self::Json),
            other => {
                Err(ValidationError::UnknownEncoding { encoding: other.chars().take(60).collect::<String>() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mcp_core::ErrorKind;

    use super::*;

    #[test]
    fn an_encoding_reads_as_it_shows_and_another_is_unsupported() {
        assert_eq!(Encoding::Json.to_string().parse::<Encoding>().unwrap(), Encoding::Json);
        let error = "xml".parse::<Encoding>().expect_err("xml");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("\"xml\""), "{error}");
    }
}
