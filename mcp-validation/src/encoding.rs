use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ValidationError;

/// How the bytes of a document are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Encoding {
    /// JSON (RFC 8259) in UTF-8. By an Avro schema it is the plain form: a value of a union stands there as it is.
    Json,
    /// One Avro datum in Avro's binary encoding, and nothing behind it.
    AvroBinary,
    /// One Avro datum behind a marker and the fingerprint of the schema that it was written with.
    AvroSingleObject,
    /// An Avro object container file: a header with the schema, then blocks of data.
    AvroContainer,
    /// Avro's JSON encoding: a value of a union other than null stands in an object whose one key names its type.
    AvroJson,
    /// One Protobuf message in its wire format.
    ProtobufBinary,
    /// Protobuf's JSON mapping.
    ProtobufJson,
}

impl Encoding {
    /// Every encoding.
    pub const ALL: [Self; 7] = [
        Self::Json,
        Self::AvroBinary,
        Self::AvroSingleObject,
        Self::AvroContainer,
        Self::AvroJson,
        Self::ProtobufBinary,
        Self::ProtobufJson,
    ];

    /// Whether its bytes are JSON text, which can be read without a schema.
    #[must_use]
    pub const fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::AvroJson | Self::ProtobufJson)
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::AvroBinary => "avro_binary",
            Self::AvroSingleObject => "avro_single_object",
            Self::AvroContainer => "avro_container",
            Self::AvroJson => "avro_json",
            Self::ProtobufBinary => "protobuf_binary",
            Self::ProtobufJson => "protobuf_json",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Encoding {
    type Err = ValidationError;

    fn from_str(text: &str) -> Result<Self, ValidationError> {
        let known = Self::ALL.into_iter().find(|encoding| encoding.as_str() == text);
        known.ok_or_else(|| ValidationError::UnknownEncoding { encoding: text.chars().take(60).collect() })
    }
}

#[cfg(test)]
mod tests {
    use mcp_core::ErrorKind;

    use super::*;

    #[test]
    fn an_encoding_reads_as_it_shows_and_another_is_unsupported() {
        for encoding in Encoding::ALL {
            assert_eq!(encoding.to_string().parse::<Encoding>().unwrap(), encoding);
            assert_eq!(serde_json::to_value(encoding).unwrap(), encoding.to_string());
        }
        let error = "xml".parse::<Encoding>().expect_err("xml");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("\"xml\""), "{error}");
    }
}
