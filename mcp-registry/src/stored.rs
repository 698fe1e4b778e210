use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mcp_core::Digest;
use tokio::runtime::Handle;

use crate::blob::open_record;
use crate::chunked::CHUNKED_FROM_BYTES;
use crate::entry::Location;
use crate::pack::PackName;
use crate::storage::StorageBackend;

/// Whether the bytes that the catalog says are stored still are: so that no publish is acknowledged onto bytes that are gone.
///
/// What this opening has written counts as stored. Of packs from before, those that were there when it was opened count, as far as they
/// reached then; where the storage is a local one, a blob in one piece is also read and compared, once for each digest.
pub(crate) struct Stored {
    storage: Arc<dyn StorageBackend>,
    runtime: Handle,
    /// Of this opening.
    epoch: u32,
    /// The packs that were there, with their lengths.
    packs: BTreeMap<PackName, u64>,
    /// What was read and found right.
    checked: BTreeSet<Digest>,
}

/// So many digests are remembered.
const CHECKED: usize = 1 << 16;

impl Stored {
    pub(crate) fn new(
        storage: Arc<dyn StorageBackend>,
        runtime: Handle,
        epoch: u32,
        packs: BTreeMap<PackName, u64>,
    ) -> Self {
        Self { storage, runtime, epoch, packs, checked: BTreeSet::new() }
    }

    /// Whether the blob of `size` bytes is where the catalog says.
    pub(crate) fn holds(&mut self, digest: &Digest, size: u64, location: Location) -> bool {
        let Location { pack, offset, record_bytes } = location;
        if pack.epoch == self.epoch {
            return true;
        }
        let end = offset.saturating_add(record_bytes);
        if self.packs.get(&pack).is_none_or(|length| *length < end) {
            return false;
        }
        // A read of a remote storage would hold up all that is committed.
        if size > CHUNKED_FROM_BYTES || self.storage.append().is_none() || self.checked.contains(digest) {
            return true;
        }
        let read = self.runtime.block_on(self.storage.read(&pack.key(), offset..end));
        // What cannot be read is stored once more, which loses nothing.
        let right = read.is_ok_and(|record| open_record(&record, digest, size).is_ok());
        if right {
            if self.checked.len() >= CHECKED {
                self.checked.clear();
            }
            self.checked.insert(*digest);
        }
        right
    }
}
