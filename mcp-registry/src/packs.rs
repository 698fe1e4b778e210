use mcp_core::{Digest, ErrorKind};

use crate::RegistryError;
use crate::entry::Location;
use crate::pack::{ActivePack, PackName};

/// The packs that one writer makes: at most one is active.
#[derive(Debug)]
pub(crate) struct WriterPacks {
    epoch: u32,
    last_number: u32,
    active: Option<ActivePack>,
}

impl WriterPacks {
    pub(crate) const fn new(epoch: u32) -> Self {
        Self { epoch, last_number: 0, active: None }
    }

    /// Adds a blob's record to the active pack, beginning one where there is none.
    pub(crate) fn add(&mut self, digest: Digest, record: &[u8]) -> Result<Location, RegistryError> {
        if self.active.is_none() {
            self.last_number = self.last_number.checked_add(1).ok_or_else(|| RegistryError::Catalog {
                what: "begin a pack",
                kind: ErrorKind::Exhausted,
                source: "this writer has used all pack numbers; open the registry again".into(),
            })?;
        }
        let name = PackName { epoch: self.epoch, number: self.last_number };
        let pack = self.active.get_or_insert_with(|| ActivePack::new(name));
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
