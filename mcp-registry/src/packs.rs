use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use mcp_core::{Digest, ErrorKind};

use crate::RegistryError;
use crate::entry::Location;
use crate::pack::{ActivePack, PackName};

/// Names the packs of one writer: those of its committer, and those that streams are written into meanwhile. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct PackNames {
    epoch: u32,
    last_number: Arc<AtomicU32>,
}

impl PackNames {
    pub(crate) fn new(epoch: u32) -> Self {
        Self { epoch, last_number: Arc::default() }
    }

    /// A name that was never given before.
    pub(crate) fn next(&self) -> Result<PackName, RegistryError> {
        let next = |last: u32| last.checked_add(1);
        let last = self.last_number.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let number = last.ok().and_then(next).ok_or_else(|| RegistryError::Catalog {
            what: "begin a pack",
            kind: ErrorKind::Exhausted,
            source: "this writer has used all pack numbers; open the registry again".into(),
        })?;
        Ok(PackName { epoch: self.epoch, number })
    }
}

/// The packs that the committer fills: at most one is active.
#[derive(Debug)]
pub(crate) struct WriterPacks {
    names: PackNames,
    active: Option<ActivePack>,
}

impl WriterPacks {
    pub(crate) const fn new(names: PackNames) -> Self {
        Self { names, active: None }
    }

    /// Adds a blob's record to the active pack, beginning one where there is none.
    pub(crate) fn add(&mut self, digest: Digest, record: &[u8]) -> Result<Location, RegistryError> {
        let pack = match &mut self.active {
            Some(pack) => pack,
            empty => empty.insert(ActivePack::new(self.names.next()?)),
        };
        let offset = pack.add(digest, record);
        Ok(Location { pack: pack.name, offset, record_bytes: record.len() as u64 })
    }

    pub(crate) fn active(&mut self) -> Option<&mut ActivePack> {
        self.active.as_mut()
    }

    /// The next blob begins another pack.
    pub(crate) fn finish(&mut self) {
        self.active = None;
    }
}
