use bytes::Bytes;
use mcp_core::Digest;

use crate::blob::{compress, decompress, pays};
use crate::pack::{Chunk, ChunkHead, ChunkTable, PackFault};

/// Larger blobs are stored in chunks, so that a part can be read and compared with the digest without the rest.
pub(crate) const CHUNKED_FROM_BYTES: u64 = 4 << 20;
/// A power of two: chunks are whole subtrees of BLAKE3.
pub(crate) const CHUNK_BITS: u32 = 20;
pub(crate) const CHUNK_BYTES: usize = 1 << CHUNK_BITS;

/// A chunk made ready: as it will be stored, and its line of the table.
pub(crate) struct EncodedChunk {
    pub(crate) stored: Bytes,
    pub(crate) chunk: Chunk,
}

/// Encodes chunk `index`, compressed with `level` where one is given and a sample of it says that this pays. `None` for an empty one.
pub(crate) fn encode_chunk(index: u64, original: Bytes, level: Option<i32>) -> Option<EncodedChunk> {
    let compressed =
        level.filter(|_| looks_compressible(&original)).and_then(|level| compress(&original, level));
    let compressed = compressed.filter(|compressed| pays(compressed.len(), original.len()));
    let stored = compressed.map_or_else(|| original.clone(), Bytes::from);
    let chunk = Chunk::new(CHUNK_BITS, index, &original, u32::try_from(stored.len()).ok()?)?;
    Some(EncodedChunk { stored, chunk })
}

/// Compresses 16 parts of 1 KiB with the quickest level: what is compressed or encrypted already is known by them for a hundredth of the
/// work.
fn looks_compressible(bytes: &[u8]) -> bool {
    const PARTS: usize = 16;
    const PART_BYTES: usize = 1 << 10;
    if bytes.len() < 4 * PARTS * PART_BYTES {
        return true;
    }
    let mut sample = Vec::with_capacity(PARTS * PART_BYTES);
    for part in bytes.chunks(bytes.len() / PARTS) {
        sample.extend(part.iter().take(PART_BYTES));
    }
    zstd::bulk::compress(&sample, 1).is_ok_and(|compressed| pays(compressed.len(), sample.len()))
}

/// The whole record of bytes that are in memory; `None` for those that have no two chunks.
pub(crate) fn chunked_record(bytes: &Bytes, level: Option<i32>) -> Option<Vec<u8>> {
    let mut record = vec![0; ChunkHead::BYTES];
    let mut chunks = Vec::with_capacity(bytes.len() / CHUNK_BYTES + 1);
    let mut start = 0;
    for index in 0_u64.. {
        let end = bytes.len().min(start + CHUNK_BYTES);
        if start == end {
            break;
        }
        let encoded = encode_chunk(index, bytes.slice(start..end), level)?;
        record.extend_from_slice(&encoded.stored);
        chunks.push(encoded.chunk);
        start = end;
    }
    record.extend_from_slice(&ChunkTable::new(CHUNK_BITS, bytes.len() as u64, chunks)?.encode());
    let head = ChunkHead::new(CHUNK_BITS, record.len() as u64).encode();
    record.get_mut(..ChunkHead::BYTES)?.copy_from_slice(&head);
    Some(record)
}

/// A table that was compared with the digest and size of its blob, and where each of its chunks begins.
pub(crate) struct Chunks {
    table: ChunkTable,
    /// From the beginning of the record, one for each chunk and one for the end of the last.
    starts: Vec<u64>,
}

impl Chunks {
    /// Reads the table from the end of a record of `record_bytes`. Without a `size` the table's own is taken.
    pub(crate) fn parse(
        end: &[u8],
        record_bytes: u64,
        digest: &Digest,
        size: Option<u64>,
    ) -> Result<Self, PackFault> {
        let table = ChunkTable::parse(end, record_bytes)?;
        if table.digest != *digest || size.is_some_and(|size| table.size != size) {
            return Err(PackFault("the record is that of another blob"));
        }
        let mut start = ChunkHead::BYTES as u64;
        let mut starts = Vec::with_capacity(table.chunks.len().saturating_add(1));
        starts.push(start);
        for chunk in &table.chunks {
            start = start.saturating_add(u64::from(chunk.stored));
            starts.push(start);
        }
        Ok(Self { table, starts })
    }

    pub(crate) fn count(&self) -> u64 {
        self.table.chunks.len() as u64
    }

    /// Which chunk holds the original byte `at`.
    pub(crate) const fn index_of(&self, at: u64) -> u64 {
        at >> self.table.chunk_bits
    }

    /// Where the original bytes of chunk `index` begin.
    pub(crate) const fn original_start(&self, index: u64) -> u64 {
        index << self.table.chunk_bits
    }

    /// Where chunk `index` lies in the record; empty for one that there is not.
    pub(crate) fn stored(&self, index: u64) -> std::ops::Range<u64> {
        let at = |index: u64| usize::try_from(index).ok().and_then(|index| self.starts.get(index)).copied();
        at(index).unwrap_or(0)..at(index.saturating_add(1)).unwrap_or(0)
    }

    /// The original bytes of chunk `index`, compared with its chaining value.
    pub(crate) fn open(&self, index: u64, stored: Bytes) -> Result<Bytes, PackFault> {
        let original = self.table.original(index);
        let bytes = if stored.len() as u64 == original { stored } else { decompress(&stored, original)? };
        if bytes.len() as u64 != original || !self.table.matches(index, &bytes) {
            return Err(PackFault("the bytes of a chunk do not match their digest"));
        }
        Ok(bytes)
    }
}

/// Takes a whole record apart; `size` bytes are allocated once its table was compared with them.
pub(crate) fn open_chunked(record: &Bytes, digest: &Digest, size: u64) -> Result<Bytes, PackFault> {
    check_head(record, record.len() as u64)?;
    let chunks = Chunks::parse(record, record.len() as u64, digest, Some(size))?;
    let mut bytes = Vec::with_capacity(usize::try_from(size).map_err(|_| CUT)?);
    for index in 0..chunks.count() {
        let stored = chunks.stored(index);
        let part = |at: u64| usize::try_from(at).map_err(|_| CUT);
        let (from, to) = (part(stored.start)?, part(stored.end)?);
        if from > to || to > record.len() {
            return Err(CUT);
        }
        bytes.extend_from_slice(&chunks.open(index, record.slice(from..to))?);
    }
    Ok(bytes.into())
}

/// Checks what stands before the chunks of a record of `record_bytes`.
pub(crate) fn check_head(bytes: &[u8], record_bytes: u64) -> Result<(), PackFault> {
    match ChunkHead::parse(bytes)?.record_bytes {
        0 => Ok(()),
        length if length == record_bytes => Ok(()),
        _ => Err(PackFault("a record of chunks has another length than its head says")),
    }
}

const CUT: PackFault = PackFault("a record of chunks is cut short");

#[cfg(test)]
mod tests {
    use super::*;

    /// Compressible and incompressible stretches by turns, and a last chunk of 7 bytes.
    fn mixed() -> Bytes {
        let mut bytes = Vec::new();
        for n in 0..5_u64 {
            if n % 2 == 0 {
                bytes.resize(bytes.len() + CHUNK_BYTES, b'a');
            } else {
                bytes.extend(
                    (0..CHUNK_BYTES as u64 / 32)
                        .flat_map(|at| *Digest::of(&(n << 32 | at).to_le_bytes()).as_bytes()),
                );
            }
        }
        bytes.extend_from_slice(b"the end");
        bytes.into()
    }

    #[test]
    fn each_chunk_is_compressed_only_where_it_pays() {
        let bytes = mixed();
        let record = Bytes::from(chunked_record(&bytes, Some(3)).expect("a record"));
        let table = ChunkTable::parse(&record, record.len() as u64).expect("a table");
        let raw: Vec<bool> = table
            .chunks
            .iter()
            .map(|chunk| chunk.stored as usize >= CHUNK_BYTES || chunk.stored == 7)
            .collect();
        assert_eq!(raw, [false, true, false, true, false, true]);
        assert_eq!(table.digest, Digest::of(&bytes));
        assert_eq!(open_chunked(&record, &table.digest, bytes.len() as u64), Ok(bytes.clone()));
        let plain = chunked_record(&bytes, None).expect("a record");
        assert!(plain.len() > bytes.len(), "nothing is compressed without a level");
    }

    #[test]
    fn a_flipped_byte_gives_a_fault_or_the_right_bytes() {
        let bytes = mixed();
        let good = chunked_record(&bytes, Some(3)).expect("a record");
        let digest = Digest::of(&bytes);
        let mut faults = 0;
        // Every byte of head, table and tail, and some of the chunks.
        let table = good.len() - 6 * 36 - 80;
        for at in (0..24).chain((24..table).step_by(70_001)).chain(table..good.len()) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            match open_record(&bad.into(), &digest, bytes.len() as u64) {
                Ok(read) => assert_eq!(read, bytes, "byte {at}"),
                Err(_) => faults += 1,
            }
        }
        assert!(faults > 24 + 6 * 36 + 80, "{faults}");
    }

    #[test]
    fn the_record_of_another_blob_is_a_fault() {
        let bytes = mixed();
        let record = Bytes::from(chunked_record(&bytes, Some(3)).expect("a record"));
        let other = PackFault("the record is that of another blob");
        assert_eq!(open_chunked(&record, &Digest::of(b"x"), bytes.len() as u64), Err(other));
        assert_eq!(open_chunked(&record, &Digest::of(&bytes), 5), Err(other));
    }

    use crate::blob::open_record;
}
