//! The bytes of a pack: a header, blob records one behind another, and, once it is sealed, a footer that lists them.
//!
//! `FORMAT.md` at the root of the repository documents every byte. Everything here reads bytes that may be hostile: nothing panics, and
//! nothing allocates more than the bytes that are there justify.

mod active;
mod chunks;
mod footer;
mod record;

use std::fmt;
use std::str::FromStr;

use mcp_core::ErrorKind;

use crate::storage::{Key, StorageError};

pub(crate) use active::ActivePack;
pub use chunks::{Chunk, ChunkHead, ChunkTable};
pub use footer::{Footer, FooterEntry};
pub use record::{Encoding, RecordHeader};

/// The version of the format that this build writes.
pub const FORMAT_VERSION: u32 = 1;
/// How many bytes a pack's header has.
pub const HEADER_BYTES: usize = 32;

const HEADER_MAGIC: &[u8; 8] = b"mcp-pack";

/// Which pack: the writer's epoch, and a number that counts within it. No name is ever used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackName {
    /// The epoch of the writer that began it.
    pub epoch: u32,
    /// Which pack of that epoch, from 1.
    pub number: u32,
}

impl PackName {
    /// What the keys of packs begin with.
    pub const PREFIX: &'static str = "packs/";

    /// The object's key, such as `packs/0000000003-0000000001`; keys sort as names do.
    #[must_use]
    pub fn key(self) -> Key {
        Key::known(self.to_string())
    }
}

impl fmt::Display for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:010}-{:010}", Self::PREFIX, self.epoch, self.number)
    }
}

impl FromStr for PackName {
    type Err = StorageError;

    fn from_str(text: &str) -> Result<Self, StorageError> {
        let parts = text.strip_prefix(Self::PREFIX).and_then(|rest| rest.split_once('-'));
        let name = parts.and_then(|(epoch, number)| {
            Some(Self { epoch: epoch.parse().ok()?, number: number.parse().ok()? })
        });
        // One pack has one name: neither signs nor missing zeros.
        name.filter(|name| name.to_string() == text).ok_or_else(|| {
            StorageError::new(
                ErrorKind::Invalid,
                format!("read {text:?} as pack name: it is not packs/<epoch>-<number>"),
            )
        })
    }
}

/// Why bytes are not a pack, or not this part of one; lower case, no full stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackFault(pub(crate) &'static str);

impl fmt::Display for PackFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for PackFault {}

/// The 32 bytes at the beginning of the pack `name`.
#[must_use]
pub fn header(name: PackName) -> [u8; HEADER_BYTES] {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    out.extend_from_slice(HEADER_MAGIC);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&name.epoch.to_le_bytes());
    out.extend_from_slice(&name.number.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    let checksum: [u8; 8] = checksum(&out);
    out.extend_from_slice(&checksum);
    let mut bytes = [0; HEADER_BYTES];
    bytes.copy_from_slice(&out);
    bytes
}

/// Checks that `bytes` begin as the pack `name` does.
///
/// # Errors
/// What is wrong with them.
pub fn check_header(bytes: &[u8], name: PackName) -> Result<(), PackFault> {
    let mut rest = bytes;
    if take::<8>(&mut rest)? != *HEADER_MAGIC {
        return Err(PackFault("it does not begin as a pack does"));
    }
    if u32::from_le_bytes(take(&mut rest)?) != FORMAT_VERSION {
        return Err(PackFault("its header has another format version"));
    }
    if bytes.get(..HEADER_BYTES) != Some(&header(name)[..]) {
        return Err(PackFault("its header is damaged, or that of another pack"));
    }
    Ok(())
}

/// The first `N` bytes of the BLAKE3 hash.
fn checksum<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(blake3::hash(bytes).as_bytes()) {
        *to = *from;
    }
    out
}

/// Takes the next `N` bytes.
fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], PackFault> {
    let (first, rest) = bytes.split_first_chunk::<N>().ok_or(PackFault("it is cut short"))?;
    *bytes = rest;
    Ok(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_has_one_name_and_names_sort_by_age() {
        let name = PackName { epoch: 3, number: 10 };
        assert_eq!(name.to_string(), "packs/0000000003-0000000010");
        assert_eq!(name.to_string().parse::<PackName>().expect("a name"), name);
        for text in ["packs/3-10", "packs/+000000003-0000000010", "packs/0000000003", "0000000003-0000000010"]
        {
            assert_eq!(text.parse::<PackName>().expect_err(text).kind(), ErrorKind::Invalid);
        }
        assert!(
            PackName { epoch: 9, number: 99 }.to_string() < PackName { epoch: 10, number: 1 }.to_string()
        );
    }

    #[test]
    fn every_bit_of_a_header_counts() {
        let name = PackName { epoch: 1, number: 2 };
        let good = header(name);
        assert_eq!(check_header(&good, name), Ok(()));
        for bit in 0..HEADER_BYTES * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(check_header(&bad, name).is_err(), "bit {bit}");
        }
        let other = PackName { epoch: 1, number: 3 };
        assert_eq!(
            check_header(&good, other),
            Err(PackFault("its header is damaged, or that of another pack"))
        );
        assert_eq!(check_header(&good[..7], name), Err(PackFault("it is cut short")));
    }
}
