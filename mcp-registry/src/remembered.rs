use std::sync::Arc;

use mcp_core::{ArtifactRef, Name, Version};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::catalog::Changes;
use crate::entry::{Entry, Location};

/// What was read of versions, up to so many bytes: by what was asked for exactly, and by the row of the publish.
pub(crate) struct Remembered(Cache<Key, Arc<Known>, Bytes>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Exact(Name, Version),
    Row(u64),
}

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

impl Weighter<Key, Arc<Known>> for Bytes {
    fn weight(&self, _: &Key, known: &Arc<Known>) -> u64 {
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
    pub(crate) fn exact(
        &self,
        name: &Name,
        version: &Version,
        changes: &Changes,
    ) -> Option<(Entry, Location)> {
        self.find(&Key::Exact(name.clone(), version.clone()), changes)
    }

    /// The same of the version that this row published.
    pub(crate) fn row(&self, publish: u64, changes: &Changes) -> Option<(Entry, Location)> {
        self.find(&Key::Row(publish), changes)
    }

    fn find(&self, key: &Key, changes: &Changes) -> Option<(Entry, Location)> {
        let known = self.0.get(key)?;
        let ArtifactRef { name, version } = &known.entry.artifact;
        changes.none_since(name, version, known.horizon).then(|| (known.entry.clone(), known.location))
    }

    /// `asked`: the version that was asked for exactly. `horizon`: the last row of the state that it was read from.
    pub(crate) fn keep(&self, asked: Option<Version>, entry: &Entry, location: Location, horizon: u64) {
        let weight = ENTRY_BYTES.saturating_add(entry.text_bytes());
        let key = match asked {
            Some(version) => Key::Exact(entry.artifact.name.clone(), version),
            None => Key::Row(entry.seq),
        };
        self.0.insert(key, Arc::new(Known { entry: entry.clone(), location, horizon, weight }));
    }
}
