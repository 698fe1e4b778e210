use std::fmt;
use std::str::FromStr;

use crate::ParseError;
use crate::text::serde_as_text;

/// The identity of bytes: their BLAKE3 hash of 256 bits, shown as `blake3:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// What its text begins with.
    pub const PREFIX: &'static str = "blake3:";

    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The digest with these 32 bytes, for one that was stored.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::PREFIX)?;
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = |reason: &str| ParseError::new("digest", text, reason);
        let hex =
            text.strip_prefix(Self::PREFIX).ok_or_else(|| refuse("it does not begin with \"blake3:\""))?;
        // The parser of the crate takes capitals too; one digest has one text.
        if hex.len() != 64 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(refuse("64 digits of 0 to 9 and a to f must follow \"blake3:\""));
        }
        let hash = blake3::Hash::from_hex(hex).map_err(|error| refuse(&error.to_string()))?;
        Ok(Self(*hash.as_bytes()))
    }
}

impl TryFrom<&str> for Digest {
    type Error = ParseError;

    fn try_from(text: &str) -> Result<Self, ParseError> {
        text.parse()
    }
}

serde_as_text!(Digest);

/// Computes a [`Digest`] of bytes that arrive in pieces.
#[derive(Clone, Debug, Default)]
pub struct Digester(blake3::Hasher);

impl Digester {
    /// Of nothing, so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next piece.
    pub fn update(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(bytes);
        self
    }

    /// The digest of all pieces so far.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_nothing_is_the_published_blake3_vector() {
        let expected = "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(Digest::of(b"").to_string(), expected);
    }

    #[test]
    fn one_digest_has_one_text() {
        let text = Digest::of(b"x").to_string();
        for other in [
            text.to_uppercase(),
            text.replace("blake3:", ""),
            text.replace("blake3:", "sha256:"),
            format!("{text}0"),
        ] {
            assert_eq!(other.parse::<Digest>().expect_err(&other).what(), "digest");
        }
    }
}
