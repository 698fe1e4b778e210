use mcp_core::Digest;

use super::{HEADER_BYTES, PackFault, RecordHeader, checksum, take};

/// One blob, as the footer lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FooterEntry {
    /// The digest of the blob's original bytes.
    pub digest: Digest,
    /// Where its record begins in the pack.
    pub offset: u64,
    /// How long the record is, its header included.
    pub length: u64,
}

impl FooterEntry {
    const BYTES: usize = 48;

    /// The record of the blob `digest`, `length` bytes from `offset`.
    #[must_use]
    pub const fn new(digest: Digest, offset: u64, length: u64) -> Self {
        Self { digest, offset, length }
    }
}

/// The list of blobs at the end of a sealed pack: the index, then a trailer of 48 bytes that says where the index begins.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Footer {
    /// Every record, in the order of the pack: the first begins behind the header, each next where the one before ends.
    pub entries: Vec<FooterEntry>,
}

const TRAILER_MAGIC: &[u8; 8] = b"mcp-seal";

impl Footer {
    /// How many bytes the trailer has.
    pub const TRAILER_BYTES: usize = 48;

    /// How many bytes at the end of a pack its footer has, told by its last [`TRAILER_BYTES`](Self::TRAILER_BYTES): where to begin
    /// reading for [`parse`](Self::parse).
    ///
    /// # Errors
    /// When these are not the last bytes of a sealed pack of `pack_bytes`.
    pub fn length(trailer: &[u8], pack_bytes: u64) -> Result<u64, PackFault> {
        let (start, length, _) = parse_trailer(trailer)?;
        let footer = length.checked_add(Self::TRAILER_BYTES as u64).ok_or(CUT)?;
        if start.checked_add(footer) != Some(pack_bytes) {
            return Err(PackFault("its footer is that of a pack of another length"));
        }
        Ok(footer)
    }

    /// Reads a footer: `bytes` are the end of a pack, at least from where its index begins, or the whole pack.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, PackFault> {
        let index_end = bytes.len().checked_sub(Self::TRAILER_BYTES).ok_or(CUT)?;
        let (before, trailer) = bytes.split_at_checked(index_end).ok_or(CUT)?;
        let (start, length, sum) = parse_trailer(trailer)?;
        let length = usize::try_from(length).map_err(|_| CUT)?;
        let (_, index) =
            before.len().checked_sub(length).and_then(|at| before.split_at_checked(at)).ok_or(CUT)?;
        if checksum::<16>(index) != sum {
            return Err(PackFault("its index does not match its checksum"));
        }
        // At most as many as `bytes` has room for.
        let mut entries = Vec::with_capacity(index.len() / FooterEntry::BYTES);
        let mut rest = index;
        let mut expected = HEADER_BYTES as u64;
        while !rest.is_empty() {
            let digest = Digest::from_bytes(take(&mut rest)?);
            let offset = u64::from_le_bytes(take(&mut rest)?);
            let length = u64::from_le_bytes(take(&mut rest)?);
            if offset != expected || length < RecordHeader::BYTES as u64 {
                return Err(PackFault("its index has a gap or an overlap"));
            }
            expected = offset.checked_add(length).ok_or(PackFault("its index has a gap or an overlap"))?;
            entries.push(FooterEntry { digest, offset, length });
        }
        if expected != start {
            return Err(PackFault("its index does not end where the records do"));
        }
        Ok(Self { entries })
    }

    /// Its bytes, for a pack whose records are `entries`.
    #[must_use]
    pub fn encode(entries: &[FooterEntry]) -> Vec<u8> {
        let mut out = Vec::with_capacity(
            entries.len().saturating_mul(FooterEntry::BYTES).saturating_add(Self::TRAILER_BYTES),
        );
        let mut start = HEADER_BYTES as u64;
        for entry in entries {
            out.extend_from_slice(entry.digest.as_bytes());
            out.extend_from_slice(&entry.offset.to_le_bytes());
            out.extend_from_slice(&entry.length.to_le_bytes());
            start = entry.offset.saturating_add(entry.length);
        }
        let mut trailer = Vec::with_capacity(Self::TRAILER_BYTES);
        trailer.extend_from_slice(&start.to_le_bytes());
        trailer.extend_from_slice(&(out.len() as u64).to_le_bytes());
        trailer.extend_from_slice(&checksum::<16>(&out));
        trailer.extend_from_slice(TRAILER_MAGIC);
        let sum: [u8; 8] = checksum(&trailer);
        trailer.extend_from_slice(&sum);
        out.extend_from_slice(&trailer);
        out
    }
}

const CUT: PackFault = PackFault("its footer is cut short");

/// Where the index begins in the pack, how long it is, and its checksum.
fn parse_trailer(trailer: &[u8]) -> Result<(u64, u64, [u8; 16]), PackFault> {
    if trailer.len() != Footer::TRAILER_BYTES {
        return Err(CUT);
    }
    let (head, mut sum) = trailer.split_at_checked(Footer::TRAILER_BYTES - 8).ok_or(CUT)?;
    let mut rest = head;
    let start = u64::from_le_bytes(take(&mut rest)?);
    let length = u64::from_le_bytes(take(&mut rest)?);
    let index_sum = take(&mut rest)?;
    if take::<8>(&mut rest)? != *TRAILER_MAGIC {
        return Err(PackFault("it does not end as a sealed pack does"));
    }
    if take::<8>(&mut sum)? != checksum::<8>(head) {
        return Err(PackFault("its trailer does not match its checksum"));
    }
    Ok((start, length, index_sum))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(lengths: &[u64]) -> Vec<FooterEntry> {
        let mut offset = HEADER_BYTES as u64;
        let mut entries = Vec::new();
        for length in lengths {
            entries.push(FooterEntry::new(Digest::of(&offset.to_le_bytes()), offset, *length));
            offset += length;
        }
        entries
    }

    #[test]
    fn every_bit_of_a_footer_counts() {
        let good = Footer::encode(&entries(&[80, 123]));
        assert_eq!(Footer::parse(&good).expect("a footer").entries, entries(&[80, 123]));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Footer::parse(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn the_trailer_says_where_to_begin_reading() {
        let footer = Footer::encode(&entries(&[100]));
        let trailer = &footer[footer.len() - Footer::TRAILER_BYTES..];
        assert_eq!(Footer::length(trailer, 132 + footer.len() as u64), Ok(footer.len() as u64));
        let other = Footer::length(trailer, 133 + footer.len() as u64);
        assert_eq!(other, Err(PackFault("its footer is that of a pack of another length")));
    }

    #[test]
    fn a_footer_that_claims_more_than_there_is_allocates_nothing() {
        let mut trailer = Vec::new();
        trailer.extend_from_slice(&32_u64.to_le_bytes());
        trailer.extend_from_slice(&u64::MAX.to_le_bytes());
        trailer.extend_from_slice(&[0; 16]);
        trailer.extend_from_slice(TRAILER_MAGIC);
        let sum: [u8; 8] = checksum(&trailer);
        trailer.extend_from_slice(&sum);
        assert_eq!(Footer::parse(&trailer), Err(CUT));
        assert_eq!(Footer::length(&trailer, 1 << 40), Err(CUT));
    }

    #[test]
    fn an_index_with_a_gap_or_a_short_record_is_refused() {
        let gap = PackFault("its index has a gap or an overlap");
        let mut list = entries(&[80, 80]);
        list[1].offset += 1;
        assert_eq!(Footer::parse(&Footer::encode(&list)), Err(gap));
        assert_eq!(Footer::parse(&Footer::encode(&entries(&[79]))), Err(gap));
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_parsed(lengths in proptest::collection::vec(80_u64..1 << 40, 0..50)) {
            let list = entries(&lengths);
            prop_assert_eq!(Footer::parse(&Footer::encode(&list)), Ok(Footer { entries: list }));
        }

        #[test]
        fn any_bytes_are_a_footer_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Footer::parse(&bytes).is_err(), "random bytes have no right checksum");
        }
    }
}
