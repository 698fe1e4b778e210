use mcp_core::Digest;

use super::{PackFault, checksum, take};

/// How a blob's bytes stand in its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    Raw,
    /// As one zstd frame.
    Zstd,
}

const MAGIC: &[u8; 4] = b"blob";

/// What stands before each blob: enough to read it without the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordHeader {
    /// How the payload is encoded.
    pub encoding: Encoding,
    /// The size of the original bytes.
    pub size: u64,
    /// The size of the payload that follows.
    pub stored: u64,
    /// The digest of the original bytes.
    pub digest: Digest,
    /// The first 16 bytes of the BLAKE3 hash of the payload.
    pub checksum: [u8; 16],
}

impl RecordHeader {
    /// How many bytes the header itself has.
    pub const BYTES: usize = 80;

    /// The header for this payload.
    #[must_use]
    pub fn new(encoding: Encoding, size: u64, digest: Digest, payload: &[u8]) -> Self {
        let checksum = match encoding {
            // The digest is the hash of these very bytes.
            Encoding::Raw => {
                let mut first = [0; 16];
                for (to, from) in first.iter_mut().zip(digest.as_bytes()) {
                    *to = *from;
                }
                first
            }
            Encoding::Zstd => checksum(payload),
        };
        Self { encoding, size, stored: payload.len() as u64, digest, checksum }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::BYTES);
        out.extend_from_slice(MAGIC);
        out.push(match self.encoding {
            Encoding::Raw => 0,
            Encoding::Zstd => 1,
        });
        out.extend_from_slice(&[0; 3]);
        out.extend_from_slice(&self.size.to_le_bytes());
        out.extend_from_slice(&self.stored.to_le_bytes());
        out.extend_from_slice(self.digest.as_bytes());
        out.extend_from_slice(&self.checksum);
        let sum: [u8; 8] = checksum(&out);
        out.extend_from_slice(&sum);
        out
    }

    /// Reads the header at the beginning of `bytes`, which may go on behind it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, PackFault> {
        let (head, mut sum) =
            bytes.split_at_checked(Self::BYTES - 8).ok_or(PackFault("a record is cut short"))?;
        if take::<8>(&mut sum)? != checksum::<8>(head) {
            return Err(PackFault("a record's header does not match its checksum"));
        }
        let mut rest = head;
        if take::<4>(&mut rest)? != *MAGIC {
            return Err(PackFault("no record begins here"));
        }
        let encoding = match take::<4>(&mut rest)? {
            [0, 0, 0, 0] => Encoding::Raw,
            [1, 0, 0, 0] => Encoding::Zstd,
            _ => return Err(PackFault("a record has an unknown encoding")),
        };
        let size = u64::from_le_bytes(take(&mut rest)?);
        let stored = u64::from_le_bytes(take(&mut rest)?);
        let digest = Digest::from_bytes(take(&mut rest)?);
        let checksum = take(&mut rest)?;
        if encoding == Encoding::Raw && size != stored {
            return Err(PackFault("a raw record has two sizes"));
        }
        Ok(Self { encoding, size, stored, digest, checksum })
    }

    /// Whether `payload` is what this header was written for.
    #[must_use]
    pub fn matches(&self, payload: &[u8]) -> bool {
        payload.len() as u64 == self.stored && checksum::<16>(payload) == self.checksum
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> RecordHeader {
        RecordHeader::new(Encoding::Zstd, 9, Digest::of(b"original"), b"payload")
    }

    #[test]
    fn every_bit_of_a_record_header_counts() {
        let good = header().encode();
        assert_eq!(RecordHeader::parse(&good), Ok(header()));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(RecordHeader::parse(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn the_checksum_of_a_raw_record_is_that_of_its_payload() {
        let raw = RecordHeader::new(Encoding::Raw, 5, Digest::of(b"bytes"), b"bytes");
        assert!(raw.matches(b"bytes") && !raw.matches(b"bytez") && !raw.matches(b"byte"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_header_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(header) = RecordHeader::parse(&bytes) {
                prop_assert_eq!(&header.encode()[..], &bytes[..RecordHeader::BYTES]);
            }
        }
    }
}
