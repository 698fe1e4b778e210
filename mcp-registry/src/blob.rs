use std::cell::RefCell;

use bytes::Bytes;
use mcp_core::Digest;
use sha2::{Digest as _, Sha256};

use crate::chunked::{CHUNKED_FROM_BYTES, chunked_record, open_chunked};
use crate::pack::{ChunkHead, Encoding, PackFault, RecordHeader};

/// A blob made ready on its publisher's side: hashed, compressed where that pays, and framed as the record that a pack will hold.
#[derive(Debug)]
pub(crate) struct Blob {
    pub(crate) digest: Digest,
    pub(crate) sha256: [u8; 32],
    pub(crate) size: u64,
    pub(crate) record: Vec<u8>,
}

thread_local! {
    /// Contexts are some hundred kilobytes and take longer to make than to use on a small blob.
    static COMPRESSOR: RefCell<Option<(i32, zstd::bulk::Compressor<'static>)>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

impl Blob {
    /// Hashes `bytes`, and compresses them from `compress_from_bytes` on. Large ones become a record of chunks.
    pub(crate) fn new(bytes: &Bytes, digest: Digest, level: i32, compress_from_bytes: u64) -> Self {
        let size = bytes.len() as u64;
        if size > CHUNKED_FROM_BYTES
            && let Some(record) = chunked_record(bytes, (size >= compress_from_bytes).then_some(level))
        {
            return Self { digest, sha256: sha256(bytes), size, record };
        }
        let compressed = (size >= compress_from_bytes).then(|| compress(bytes, level)).flatten();
        let (encoding, payload) = match &compressed {
            Some(payload) if pays(payload.len(), bytes.len()) => (Encoding::Zstd, payload.as_slice()),
            _ => (Encoding::Raw, &bytes[..]),
        };
        let header = RecordHeader::new(encoding, size, digest, payload);
        let mut record = Vec::with_capacity(RecordHeader::BYTES.saturating_add(payload.len()));
        record.extend_from_slice(&header.encode());
        record.extend_from_slice(payload);
        Self { digest, sha256: sha256(bytes), size, record }
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// What saves less than a 32nd is stored as it is, which is quicker to read.
pub(crate) const fn pays(compressed: usize, original: usize) -> bool {
    compressed < original - original / 32
}

/// `None` where the library fails, which it does for want of memory only: the bytes are then stored as they are.
pub(crate) fn compress(bytes: &[u8], level: i32) -> Option<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|slot| {
        if slot.as_ref().is_none_or(|(kept, _)| *kept != level) {
            *slot = Some((level, zstd::bulk::Compressor::new(level).ok()?));
        }
        slot.as_mut().and_then(|(_, compressor)| compressor.compress(bytes).ok())
    })
}

/// Takes a record apart and gives the original bytes, compared with `digest`.
///
/// `size` is what the catalog says; more is never allocated.
pub(crate) fn open_record(record: &Bytes, digest: &Digest, size: u64) -> Result<Bytes, PackFault> {
    if ChunkHead::begins(record) {
        return open_chunked(record, digest, size);
    }
    let header = RecordHeader::parse(record)?;
    if header.digest != *digest || header.size != size {
        return Err(PackFault("the record is that of another blob"));
    }
    // Nor does any writer make one: a forged frame must not make anyone allocate what row and header say.
    if size > CHUNKED_FROM_BYTES {
        return Err(PackFault("a record in one piece says that it has more bytes than such a record may"));
    }
    let payload = record.slice(RecordHeader::BYTES..);
    if payload.len() as u64 != header.stored {
        return Err(PackFault("the record's payload has another length than its header says"));
    }
    let bytes = match header.encoding {
        Encoding::Raw => payload,
        Encoding::Zstd => decompress(&payload, size)?,
    };
    if bytes.len() as u64 != size || Digest::of(&bytes) != *digest {
        return Err(PackFault("the bytes do not match their digest"));
    }
    Ok(bytes)
}

/// Gives at most `size` bytes.
pub(crate) fn decompress(payload: &[u8], size: u64) -> Result<Bytes, PackFault> {
    let wrong = PackFault("the record's payload does not decompress");
    let capacity = usize::try_from(size).map_err(|_| wrong)?;
    DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Some(zstd::bulk::Decompressor::new().map_err(|_| wrong)?);
        }
        let decompressor = slot.as_mut().ok_or(wrong)?;
        decompressor.decompress(payload, capacity).map(Bytes::from).map_err(|_| wrong)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blob(bytes: &[u8]) -> (Blob, Encoding) {
        let blob = Blob::new(&Bytes::copy_from_slice(bytes), Digest::of(bytes), 3, 4096);
        let encoding = RecordHeader::parse(&blob.record).expect("a header").encoding;
        (blob, encoding)
    }

    #[test]
    fn small_and_incompressible_bytes_are_stored_as_they_are() {
        let noise: Vec<u8> = (0_u64..1000).flat_map(|n| *Digest::of(&n.to_le_bytes()).as_bytes()).collect();
        assert_eq!(blob(&[b'a'; 4095]).1, Encoding::Raw);
        assert_eq!(blob(&noise).1, Encoding::Raw);
        assert_eq!(blob(&[b'a'; 4096]).1, Encoding::Zstd);
    }

    #[test]
    fn sha256_is_kept_beside_the_digest() {
        let hex: String = blob(b"abc").0.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_flipped_bit_gives_a_fault_or_the_right_bytes() {
        for bytes in [vec![7_u8; 5000], b"short".to_vec()] {
            let (blob, _) = blob(&bytes);
            for bit in 0..blob.record.len() * 8 {
                let mut bad = blob.record.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                if let Ok(read) = open_record(&bad.into(), &blob.digest, blob.size) {
                    assert_eq!(read, bytes, "bit {bit}");
                }
            }
        }
    }

    #[test]
    fn a_frame_that_unfolds_to_more_than_the_catalog_says_is_a_fault() {
        let bomb = vec![0_u8; 1 << 20];
        let payload = zstd::bulk::compress(&bomb, 3).expect("compressed");
        let digest = Digest::of(b"x");
        let mut record = RecordHeader::new(Encoding::Zstd, 10, digest, &payload).encode();
        record.extend_from_slice(&payload);
        let fault = open_record(&record.into(), &digest, 10).expect_err("too large");
        assert_eq!(fault, PackFault("the record's payload does not decompress"));
    }

    #[test]
    fn a_frame_that_no_writer_makes_is_a_fault_before_it_is_unfolded() {
        // Its row, its header and its frame agree.
        let bytes = vec![7_u8; (4 << 20) + 1];
        let payload = zstd::bulk::compress(&bytes, 3).expect("compressed");
        let (size, digest) = (bytes.len() as u64, Digest::of(&bytes));
        let mut record = RecordHeader::new(Encoding::Zstd, size, digest, &payload).encode();
        record.extend_from_slice(&payload);
        let fault = PackFault("a record in one piece says that it has more bytes than such a record may");
        assert_eq!(open_record(&record.into(), &digest, size), Err(fault));
        let largest = Bytes::from(bytes).slice(..4 << 20);
        let blob = Blob::new(&largest, Digest::of(&largest), 3, 4096);
        assert_eq!(open_record(&blob.record.into(), &blob.digest, 4 << 20), Ok(largest));
    }

    proptest! {
        #[test]
        fn what_was_framed_is_read(bytes in proptest::collection::vec(0_u8..4, 0..10_000)) {
            let (blob, _) = blob(&bytes);
            prop_assert_eq!(open_record(&blob.record.into(), &blob.digest, blob.size).expect("readable"), bytes);
        }
    }
}
