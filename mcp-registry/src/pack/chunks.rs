use std::ops::RangeInclusive;

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};
use mcp_core::Digest;

use super::{PackFault, checksum, take};

/// What stands before the chunks of a large blob, whose size and digest stand behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChunkHead {
    /// How many original bytes a chunk holds, but for the last, as a power of two.
    pub chunk_bits: u32,
    /// The length of the whole record, or 0 where it was not known when the record was begun.
    pub record_bytes: u64,
}

const HEAD_MAGIC: [u8; 5] = *b"blob\x02";
const TAIL_MAGIC: &[u8; 4] = b"tail";
const CUT: PackFault = PackFault("a record of chunks is cut short");
/// The powers of two that chunks may have: a chunk of BLAKE3 has 2^10 bytes, and what is decoded at a time must fit into memory.
const SIZES: RangeInclusive<u32> = 10..=24;

impl ChunkHead {
    /// How many bytes it has.
    pub const BYTES: usize = 24;

    /// Before chunks of `1 << chunk_bits` bytes.
    #[must_use]
    pub const fn new(chunk_bits: u32, record_bytes: u64) -> Self {
        Self { chunk_bits, record_bytes }
    }

    /// Whether a record that begins with `bytes` says that it is made of chunks.
    #[must_use]
    pub fn begins(bytes: &[u8]) -> bool {
        bytes.starts_with(&HEAD_MAGIC)
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::BYTES);
        out.extend_from_slice(&HEAD_MAGIC);
        out.push(u8::try_from(self.chunk_bits).unwrap_or(u8::MAX));
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.record_bytes.to_le_bytes());
        let sum: [u8; 8] = checksum(&out);
        out.extend_from_slice(&sum);
        out
    }

    /// Reads the head at the beginning of `bytes`, which may go on behind it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, PackFault> {
        let (head, mut sum) = bytes.split_at_checked(Self::BYTES - 8).ok_or(CUT)?;
        if take::<8>(&mut sum)? != checksum::<8>(head) {
            return Err(PackFault("the head of a record of chunks does not match its checksum"));
        }
        let mut rest = head;
        if take::<5>(&mut rest)? != HEAD_MAGIC {
            return Err(PackFault("no record of chunks begins here"));
        }
        let chunk_bits = chunk_bits(&mut rest)?;
        let record_bytes = u64::from_le_bytes(take(&mut rest)?);
        Ok(Self { chunk_bits, record_bytes })
    }
}

/// The power of two, and two zero bytes.
fn chunk_bits(rest: &mut &[u8]) -> Result<u32, PackFault> {
    let [bits, zeros @ ..] = take::<3>(rest)?;
    if zeros != [0, 0] || !SIZES.contains(&u32::from(bits)) {
        return Err(PackFault("a record has chunks of an unknown size"));
    }
    Ok(u32::from(bits))
}

/// One chunk, as the table lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chunk {
    /// How many bytes it takes in the record: as many as it originally has when it is stored as it is, and fewer when it is one zstd frame.
    pub stored: u32,
    /// The chaining value of its BLAKE3 subtree.
    pub value: ChainingValue,
}

impl Chunk {
    const BYTES: usize = 36;

    /// The chunk number `index` of a blob with chunks of `1 << chunk_bits` bytes; `None` for one without bytes.
    #[must_use]
    pub fn new(chunk_bits: u32, index: u64, original: &[u8], stored: u32) -> Option<Self> {
        Some(Self { stored, value: chaining_value(chunk_bits, index, original)? })
    }
}

fn chaining_value(chunk_bits: u32, index: u64, original: &[u8]) -> Option<ChainingValue> {
    // BLAKE3 panics at a subtree that is empty, or that reaches beyond its place in the tree.
    let chunk_bytes = SIZES.contains(&chunk_bits).then(|| 1_u64 << chunk_bits)?;
    let offset = index.checked_mul(chunk_bytes)?;
    if original.is_empty() || original.len() as u64 > chunk_bytes {
        return None;
    }
    Some(Hasher::new().set_input_offset(offset).update(original).finalize_non_root())
}

/// What stands behind the chunks of a large blob: a list of them, and the tail, 80 bytes that say of what they are the chunks.
///
/// Chunks are subtrees of the tree that BLAKE3 hashes, so each of them can be compared with the blob's digest alone (section 2.1 of the
/// paper, <https://github.com/BLAKE3-team/BLAKE3-specs>): a parsed table is known to give the digest that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChunkTable {
    /// How many original bytes a chunk holds, but for the last, as a power of two.
    pub chunk_bits: u32,
    /// The size of the original bytes.
    pub size: u64,
    /// The digest of the original bytes.
    pub digest: Digest,
    /// The chunks in their order, at least two.
    pub chunks: Vec<Chunk>,
}

impl ChunkTable {
    /// How many bytes the tail has.
    pub const TAIL_BYTES: usize = 80;

    /// The table of these chunks; `None` for fewer than two, whose tree is none.
    #[must_use]
    pub fn new(chunk_bits: u32, size: u64, chunks: Vec<Chunk>) -> Option<Self> {
        let digest = root(&chunks)?;
        Some(Self { chunk_bits, size, digest, chunks })
    }

    /// How many bytes at the end of a record its table has with its tail, told by its last [`TAIL_BYTES`](Self::TAIL_BYTES).
    ///
    /// # Errors
    /// When these are not the last bytes of a record of chunks of `record_bytes`.
    pub fn length(tail: &[u8], record_bytes: u64) -> Result<u64, PackFault> {
        Tail::parse(tail, record_bytes).map(|tail| tail.table_bytes)
    }

    /// Reads the table of a record of `record_bytes`, of which `bytes` are the end, at least from where the table begins.
    ///
    /// # Errors
    /// What is wrong with it; also when its chunks do not give its digest.
    pub fn parse(bytes: &[u8], record_bytes: u64) -> Result<Self, PackFault> {
        let (before, tail) =
            bytes.len().checked_sub(Self::TAIL_BYTES).and_then(|at| bytes.split_at_checked(at)).ok_or(CUT)?;
        let tail = Tail::parse(tail, record_bytes)?;
        let length = usize::try_from(tail.table_bytes)
            .ok()
            .and_then(|length| length.checked_sub(Self::TAIL_BYTES))
            .ok_or(CUT)?;
        let (_, table) =
            before.len().checked_sub(length).and_then(|at| before.split_at_checked(at)).ok_or(CUT)?;
        if checksum::<16>(table) != tail.checksum {
            return Err(PackFault("the table of a record of chunks does not match its checksum"));
        }
        // At most as many as `bytes` has room for.
        let mut chunks = Vec::with_capacity(table.len() / Chunk::BYTES);
        let mut rest = table;
        let (mut left, mut stored_bytes) = (tail.size, 0_u64);
        while !rest.is_empty() {
            let stored = u32::from_le_bytes(take(&mut rest)?);
            let value = take(&mut rest)?;
            let original = left.min(1 << tail.chunk_bits);
            if stored == 0 || u64::from(stored) > original {
                return Err(PackFault("a chunk takes no bytes, or more than it originally has"));
            }
            left = left.saturating_sub(original);
            stored_bytes = stored_bytes.saturating_add(u64::from(stored));
            chunks.push(Chunk { stored, value });
        }
        if stored_bytes != tail.stored || left != 0 {
            return Err(PackFault("the chunks of a record are not as long as it is"));
        }
        if root(&chunks) != Some(tail.digest) {
            return Err(PackFault("the chunks of a record do not give its digest"));
        }
        Ok(Self { chunk_bits: tail.chunk_bits, size: tail.size, digest: tail.digest, chunks })
    }

    /// Its bytes, with the tail.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let bytes = self.chunks.len().saturating_mul(Chunk::BYTES);
        let mut out = Vec::with_capacity(bytes.saturating_add(Self::TAIL_BYTES));
        let mut stored = 0_u64;
        for chunk in &self.chunks {
            out.extend_from_slice(&chunk.stored.to_le_bytes());
            out.extend_from_slice(&chunk.value);
            stored = stored.saturating_add(u64::from(chunk.stored));
        }
        let mut tail = Vec::with_capacity(Self::TAIL_BYTES);
        tail.extend_from_slice(TAIL_MAGIC);
        tail.push(u8::try_from(self.chunk_bits).unwrap_or(u8::MAX));
        tail.extend_from_slice(&[0; 3]);
        tail.extend_from_slice(&self.size.to_le_bytes());
        tail.extend_from_slice(&stored.to_le_bytes());
        tail.extend_from_slice(self.digest.as_bytes());
        tail.extend_from_slice(&checksum::<16>(&out));
        let sum: [u8; 8] = checksum(&tail);
        tail.extend_from_slice(&sum);
        out.extend_from_slice(&tail);
        out
    }

    /// How many original bytes chunk `index` has; 0 where there is none.
    #[must_use]
    pub fn original(&self, index: u64) -> u64 {
        let chunk_bytes = 1_u64 << self.chunk_bits;
        self.size.saturating_sub(index.saturating_mul(chunk_bytes)).min(chunk_bytes)
    }

    /// Whether `original` are the bytes of chunk `index`.
    #[must_use]
    pub fn matches(&self, index: u64, original: &[u8]) -> bool {
        let chunk = usize::try_from(index).ok().and_then(|index| self.chunks.get(index));
        chunk.is_some_and(|chunk| chaining_value(self.chunk_bits, index, original) == Some(chunk.value))
    }
}

struct Tail {
    chunk_bits: u32,
    size: u64,
    stored: u64,
    digest: Digest,
    checksum: [u8; 16],
    /// The table with the tail.
    table_bytes: u64,
}

impl Tail {
    fn parse(tail: &[u8], record_bytes: u64) -> Result<Self, PackFault> {
        if tail.len() != ChunkTable::TAIL_BYTES {
            return Err(CUT);
        }
        let (head, mut sum) = tail.split_at_checked(ChunkTable::TAIL_BYTES - 8).ok_or(CUT)?;
        if take::<8>(&mut sum)? != checksum::<8>(head) {
            return Err(PackFault("the tail of a record of chunks does not match its checksum"));
        }
        let mut rest = head;
        if take::<4>(&mut rest)? != *TAIL_MAGIC {
            return Err(PackFault("no record of chunks ends here"));
        }
        let chunk_bits = chunk_bits(&mut rest)?;
        if take::<1>(&mut rest)? != [0] {
            return Err(PackFault("a record has chunks of an unknown size"));
        }
        let size = u64::from_le_bytes(take(&mut rest)?);
        let stored = u64::from_le_bytes(take(&mut rest)?);
        let digest = Digest::from_bytes(take(&mut rest)?);
        let checksum = take(&mut rest)?;
        let count = size.div_ceil(1 << chunk_bits);
        if count < 2 {
            return Err(PackFault("a record of chunks has fewer than two"));
        }
        let table_bytes = count
            .checked_mul(Chunk::BYTES as u64)
            .and_then(|bytes| bytes.checked_add(ChunkTable::TAIL_BYTES as u64))
            .ok_or(CUT)?;
        let whole =
            table_bytes.checked_add(stored).and_then(|bytes| bytes.checked_add(ChunkHead::BYTES as u64));
        if whole != Some(record_bytes) {
            return Err(PackFault("a record of chunks has another length than its tail says"));
        }
        Ok(Self { chunk_bits, size, stored, digest, checksum, table_bytes })
    }
}

/// The hash of which these are the subtrees, each full but for the last; `None` for fewer than two.
fn root(chunks: &[Chunk]) -> Option<Digest> {
    let (left, right) = split(chunks)?;
    let hash = merge_subtrees_root(&value(left)?, &value(right)?, Mode::Hash);
    Some(Digest::from_bytes(*hash.as_bytes()))
}

/// The chaining value of these subtrees together. Goes as deep as the logarithm of their number.
fn value(chunks: &[Chunk]) -> Option<ChainingValue> {
    match split(chunks) {
        Some((left, right)) => Some(merge_subtrees_non_root(&value(left)?, &value(right)?, Mode::Hash)),
        None => chunks.first().map(|chunk| chunk.value),
    }
}

/// The left subtree has as many as the greatest power of two that leaves something for the right one.
fn split(chunks: &[Chunk]) -> Option<(&[Chunk], &[Chunk])> {
    let left = chunks.len().checked_sub(1).and_then(usize::checked_ilog2)?;
    chunks.split_at_checked(1 << left)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(bytes: &[u8]) -> ChunkTable {
        let chunks = bytes.chunks(1024).zip(0..).map(|(part, index)| {
            let stored = u32::try_from(part.len()).expect("short");
            Chunk::new(10, index, part, stored).expect("a chunk")
        });
        ChunkTable::new(10, bytes.len() as u64, chunks.collect()).expect("at least two")
    }

    fn record_bytes(bytes: &[u8]) -> u64 {
        (ChunkHead::BYTES + bytes.len() + bytes.len().div_ceil(1024) * 36 + ChunkTable::TAIL_BYTES) as u64
    }

    #[test]
    fn chunks_give_the_digest_of_the_whole_for_every_shape_of_tree() {
        for size in (2..70).flat_map(|chunks| [chunks * 1024 - 1023, chunks * 1024 - 1, chunks * 1024]) {
            let bytes: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).expect("small")).collect();
            assert_eq!(table(&bytes).digest, Digest::of(&bytes), "{size} bytes");
        }
    }

    #[test]
    fn every_bit_of_head_table_and_tail_counts() {
        let bytes = [7_u8; 2500];
        let (good, length) = (table(&bytes), record_bytes(&bytes));
        let encoded = good.encode();
        assert_eq!(ChunkTable::parse(&encoded, length), Ok(good));
        for bit in 0..encoded.len() * 8 {
            let mut bad = encoded.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(ChunkTable::parse(&bad, length).is_err(), "bit {bit}");
        }
        let head = ChunkHead::new(20, 77);
        assert_eq!(ChunkHead::parse(&head.encode()), Ok(head));
        for bit in 0..ChunkHead::BYTES * 8 {
            let mut bad = head.encode();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(ChunkHead::parse(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_tail_that_claims_more_than_there_is_allocates_nothing() {
        let huge = ChunkTable { chunk_bits: 10, size: 1 << 60, digest: Digest::of(b""), chunks: Vec::new() };
        let tail = huge.encode();
        let claimed = (1 << 50) * 36 + 80;
        assert_eq!(ChunkTable::length(&tail, claimed + 24), Ok(claimed));
        assert_eq!(ChunkTable::parse(&tail, claimed + 24), Err(CUT));
        assert!(ChunkTable::length(&tail, 1000).is_err());
        let over = ChunkTable { size: u64::MAX, ..huge };
        assert!(ChunkTable::length(&over.encode(), u64::MAX).is_err());
    }

    #[test]
    fn a_table_with_a_right_checksum_and_wrong_chunks_is_refused() {
        let bytes = [7_u8; 2500];
        let length = record_bytes(&bytes);
        let swapped = |change: fn(&mut Vec<Chunk>)| {
            let mut table = table(&bytes);
            change(&mut table.chunks);
            ChunkTable::parse(&table.encode(), length)
        };
        let digest = Err(PackFault("the chunks of a record do not give its digest"));
        assert_eq!(swapped(|chunks| chunks.swap(0, 1)), digest);
        let lengths = PackFault("a chunk takes no bytes, or more than it originally has");
        assert_eq!(
            swapped(|chunks| {
                chunks[0].stored += 1;
                chunks[1].stored -= 1;
            }),
            Err(lengths)
        );
        assert_eq!(
            swapped(|chunks| {
                chunks[0].stored += chunks[2].stored;
                chunks[2].stored = 0;
            }),
            Err(lengths)
        );
    }

    #[test]
    fn what_is_no_subtree_has_no_chaining_value() {
        assert_eq!(Chunk::new(10, 0, b"", 0), None);
        assert_eq!(Chunk::new(10, 1, &[0; 1025], 0), None);
        assert_eq!(Chunk::new(9, 0, b"x", 0), None);
        assert_eq!(Chunk::new(64, 0, b"x", 0), None);
        assert_eq!(Chunk::new(24, u64::MAX, b"x", 0), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_table_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(ChunkTable::parse(&bytes, bytes.len() as u64).is_err(), "random bytes have no right checksum");
            prop_assert!(ChunkHead::parse(&bytes).is_err());
        }
    }
}
