use std::str::FromStr;
use std::sync::Arc;

use crate::ParseError;
use crate::text::{check_printable, text_newtype};

/// Makes a retried command answer what the first one did.
///
/// Chosen by the caller, 1 to 128 bytes of printable ASCII without spaces, and never used for a second, different command.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The longest request id, in bytes.
    pub const MAX_BYTES: usize = 128;
}

impl FromStr for RequestId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        check_printable("request id", text, Self::MAX_BYTES, false)?;
        Ok(Self(text.into()))
    }
}

text_newtype!(RequestId);
