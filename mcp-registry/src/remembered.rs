use std::sync::Arc;

use mcp_core::{Name, Version};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::catalog::Changes;
use crate::entry::{Entry, Location};

/// What was read of versions that were asked for exactly, up to so many bytes.
pub(crate) struct Remembered(Cache<(Name, Version), Arc<Known>, Bytes>);

/// What the catalog said of a version, and when.
struct Known {
    entry: Entry,
    location: Location,
    /// The last row of the state that it was read from.
    horizon: u64,
    weight: u64,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<(Name, Version), Arc<Known>> for Bytes {
    fn weight(&self, _: &(Name, Version), known: &Arc<Known>) -> u64 {
        known.weight
    }
}

/// About what an entry takes besides its texts, with its place in the cache.
const ENTRY_BYTES: u64 = 600;

impl Remembered {
    pub(crate) fn new(bytes: u64) -> Self {
        let entries = usize::try_from(bytes / ENTRY_BYTES).unwrap_or(usize::MAX);
        Self(Cache::with_weighter(entries, bytes, Bytes))
    }

    /// What is known of the version, unless it has changed since.
    pub(crate) fn find(&self, key: &(Name, Version), changes: &Changes) -> Option<(Entry, Location)> {
        let known = self.0.get(key)?;
        let holds = changes.none_since(&key.0, &key.1, known.horizon);
        holds.then(|| (known.entry.clone(), known.location))
    }

    /// `horizon`: the last row of the state that it was read from.
    pub(crate) fn keep(&self, key: (Name, Version), entry: &Entry, location: Location, horizon: u64) {
        let weight = ENTRY_BYTES.saturating_add(entry.text_bytes());
        self.0.insert(key, Arc::new(Known { entry: entry.clone(), location, horizon, weight }));
    }
}
