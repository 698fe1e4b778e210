use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};

use mcp_core::{Name, Version};

/// The last row that changed what is known of a version after its publish: so that what a reader remembers from before is not believed.
///
/// Many versions share a slot: a change of one makes the others be read once more. A row is noted here before it is committed: so nobody
/// who has seen it, or heard of it, is given what was before.
#[derive(Debug)]
pub(crate) struct Changes {
    slots: Vec<AtomicU64>,
    /// Up to this row, anything may have changed.
    floor: AtomicU64,
}

const SLOTS: usize = 1 << 13;

impl Default for Changes {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(), floor: AtomicU64::new(0) }
    }
}

impl Changes {
    pub(super) fn note(&self, name: &Name, version: &Version, row: u64) {
        if let Some(slot) = self.slot(name, version) {
            slot.fetch_max(row, Ordering::AcqRel);
        }
    }

    /// Takes note of rows up to this one that were not looked at.
    pub(super) fn note_all(&self, row: u64) {
        self.floor.fetch_max(row, Ordering::AcqRel);
    }

    /// Whether what was read of the version at row `horizon` still holds.
    pub(crate) fn none_since(&self, name: &Name, version: &Version, horizon: u64) -> bool {
        let since = |row: &AtomicU64| row.load(Ordering::Acquire) > horizon;
        !since(&self.floor) && self.slot(name, version).is_some_and(|slot| !since(slot))
    }

    fn slot(&self, name: &Name, version: &Version) -> Option<&AtomicU64> {
        let mut hasher = DefaultHasher::new();
        name.as_str().hash(&mut hasher);
        // Build metadata does not make another version.
        (version.major(), version.minor(), version.patch(), version.pre_release()).hash(&mut hasher);
        let slot = hasher.finish() % SLOTS as u64;
        self.slots.get(usize::try_from(slot).unwrap_or(0))
    }
}
