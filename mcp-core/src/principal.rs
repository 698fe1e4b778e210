use std::str::FromStr;
use std::sync::Arc;

use crate::ParseError;
use crate::text::{check_printable, text_newtype};

/// Who acts: a person or a program, by the id that the host's own authentication gives it.
///
/// 1 to 255 bytes of printable ASCII, spaces only inside: `alice`, `auth0|5f7c`, `CN=Build Server,O=Example`. Two principals are the
/// same when their bytes are. Other characters are refused, so that a look-alike can never count as a second approver.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal(Arc<str>);

impl Principal {
    /// The longest principal, in bytes.
    pub const MAX_BYTES: usize = 255;
}

impl FromStr for Principal {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        check_printable("principal", text, Self::MAX_BYTES, true)?;
        Ok(Self(text.into()))
    }
}

text_newtype!(Principal);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_alike_is_not_a_principal() {
        let error = "\u{430}lice".parse::<Principal>().expect_err("Cyrillic a");
        assert_eq!(error.reason(), "'а' is not allowed");
        assert_eq!(
            " bob".parse::<Principal>().expect_err("space").reason(),
            "a space stands at its beginning or end"
        );
    }

    #[test]
    fn a_distinguished_name_is_a_principal() {
        let text = "CN=Build Server,O=Example";
        assert_eq!(text.parse::<Principal>().expect(text).as_str(), text);
    }
}
