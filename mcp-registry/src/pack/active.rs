use bytes::Bytes;
use mcp_core::Digest;

use super::{Footer, FooterEntry, HEADER_BYTES, PackName, header};

/// The pack that a writer is filling: what is durable of it, and what waits for the next write.
#[derive(Debug)]
pub(crate) struct ActivePack {
    pub(crate) name: PackName,
    /// How many bytes of it are durable.
    durable: u64,
    pending: Vec<u8>,
    entries: Vec<FooterEntry>,
}

/// So many records close a pack as well: they bound the memory that its future footer takes.
const MAX_ENTRIES: usize = 1 << 16;

impl ActivePack {
    pub(crate) fn new(name: PackName) -> Self {
        Self { name, durable: 0, pending: Vec::new(), entries: Vec::new() }
    }

    /// Adds a blob's record, and says where it will begin.
    pub(crate) fn add(&mut self, digest: Digest, record: &[u8]) -> u64 {
        if self.durable == 0 && self.pending.is_empty() {
            self.pending.extend_from_slice(&header(self.name));
        }
        let offset = self.length();
        self.entries.push(FooterEntry::new(digest, offset, record.len() as u64));
        self.pending.extend_from_slice(record);
        offset
    }

    /// Its length once all that waits is written.
    pub(crate) fn length(&self) -> u64 {
        self.durable.saturating_add(self.pending.len() as u64)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn is_full(&self, pack_bytes: u64) -> bool {
        self.length() >= pack_bytes.max(HEADER_BYTES as u64) || self.entries.len() >= MAX_ENTRIES
    }

    /// Adds the footer: nothing may be added afterwards.
    pub(crate) fn seal(&mut self) {
        let footer = Footer::encode(&self.entries);
        self.pending.extend_from_slice(&footer);
    }

    /// What waits, and the offset that it belongs to; from now on it counts as written.
    pub(crate) fn take_pending(&mut self) -> Option<(u64, Bytes)> {
        if self.pending.is_empty() {
            return None;
        }
        let (offset, bytes) = (self.durable, std::mem::take(&mut self.pending));
        self.durable = offset.saturating_add(bytes.len() as u64);
        Some((offset, bytes.into()))
    }
}
