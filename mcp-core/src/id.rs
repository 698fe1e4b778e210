use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::text::serde_as_text;
use crate::{Digest, ErrorKind, ParseError, SeamError};

/// 128 bits that nothing else has, shown in the form of a UUID (RFC 9562): `0192f0c1-…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u128);

impl Id {
    /// The id with these bits, for one that was stored.
    #[must_use]
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    /// Its bits.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

/// Where the hyphens stand in the text of a UUID.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            bits >> 96,
            (bits >> 80) & 0xffff,
            (bits >> 64) & 0xffff,
            (bits >> 48) & 0xffff,
            bits & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

impl FromStr for Id {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse =
            || ParseError::new("id", text, "it is not 32 digits of 0 to 9 and a to f grouped 8-4-4-4-12");
        if text.len() != 36 {
            return Err(refuse());
        }
        let mut bits = 0_u128;
        for (position, byte) in text.bytes().enumerate() {
            let digit = match byte {
                b'-' if HYPHENS.contains(&position) => continue,
                b'0'..=b'9' if !HYPHENS.contains(&position) => byte - b'0',
                b'a'..=b'f' if !HYPHENS.contains(&position) => byte - b'a' + 10,
                _ => return Err(refuse()),
            };
            bits = (bits << 4) | u128::from(digit);
        }
        Ok(Self(bits))
    }
}

impl TryFrom<&str> for Id {
    type Error = ParseError;

    fn try_from(text: &str) -> Result<Self, ParseError> {
        text.parse()
    }
}

serde_as_text!(Id);

/// Gives ids, lent by the host.
pub trait IdSource: Send + Sync {
    /// An id that this source has not given before, and that no other source will give.
    fn next_id(&self) -> Id;
}

/// Ids that cannot be guessed: version 4 of RFC 9562, drawn from a keyed hash whose key comes from the operating system once.
pub struct RandomIds {
    key: [u8; 32],
    given: AtomicU64,
}

impl RandomIds {
    /// Asks the operating system for a key.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when it has no randomness to give, as early in the boot of some small machines.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the operating system for randomness"
    )]
    pub fn new() -> Result<Self, SeamError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| {
            SeamError::new(ErrorKind::Unavailable, "ask the operating system for random bytes")
                .with_source(error)
        })?;
        Ok(Self::from_key(key))
    }

    /// The same key gives the same ids: for tests, which print it.
    #[must_use]
    pub const fn from_key(key: [u8; 32]) -> Self {
        Self { key, given: AtomicU64::new(0) }
    }
}

impl IdSource for RandomIds {
    fn next_id(&self) -> Id {
        let count = self.given.fetch_add(1, Ordering::Relaxed);
        let hash = Digest::from_bytes(*blake3::keyed_hash(&self.key, &count.to_le_bytes()).as_bytes());
        let bits = hash.as_bytes().iter().take(16).fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
        let version_and_variant = (0x4_u128 << 76) | (0x2_u128 << 62);
        let kept = !((0xf_u128 << 76) | (0x3_u128 << 62));
        Id((bits & kept) | version_and_variant)
    }
}

impl fmt::Debug for RandomIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RandomIds").finish_non_exhaustive()
    }
}

/// Ids that count up, for tests and replays.
#[derive(Debug)]
pub struct SequentialIds(AtomicU64);

impl SequentialIds {
    /// The first id has these bits.
    #[must_use]
    pub const fn starting_at(first: u64) -> Self {
        Self(AtomicU64::new(first))
    }
}

impl IdSource for SequentialIds {
    fn next_id(&self) -> Id {
        Id(u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
    }
}

const _: Option<&dyn IdSource> = None;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn random_ids_are_distinct_and_say_version_4() {
        let source = RandomIds::new().expect("randomness");
        let ids: BTreeSet<String> = (0..1000).map(|_| source.next_id().to_string()).collect();
        assert_eq!(ids.len(), 1000);
        for id in &ids {
            assert_eq!(id.as_bytes()[14], b'4', "{id}");
            assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{id}");
        }
    }

    #[test]
    fn two_sources_of_one_key_give_the_same_ids() {
        let (one, two) = (RandomIds::from_key([7; 32]), RandomIds::from_key([7; 32]));
        assert_eq!((one.next_id(), one.next_id()), (two.next_id(), two.next_id()));
    }

    #[test]
    fn sequential_ids_count_up() {
        let ids = SequentialIds::starting_at(255);
        assert_eq!(ids.next_id().to_string(), "00000000-0000-0000-0000-0000000000ff");
        assert_eq!(ids.next_id().to_string(), "00000000-0000-0000-0000-000000000100");
    }

    #[test]
    fn only_the_canonical_form_is_read() {
        for text in [
            "",
            "0192f0c1",
            "00000000-0000-0000-0000-0000000000FF",
            "00000000000000000000000000000000ffff",
            "00000000-0000-0000-0000-00000000-0ff",
            "0000000--000-0000-0000-0000000000ff",
        ] {
            assert_eq!(text.parse::<Id>().expect_err(text).what(), "id");
        }
    }
}
