use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use mcp_core::{ArtifactRef, Name, Version};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::catalog::Changes;
use crate::entry::{Entry, Location};

/// What was read of versions, up to so many bytes: by what was asked for exactly, and by the row of the publish.
///
/// What is asked for once is not kept: whoever goes through more versions than have room would only pay for moving each in and out.
pub(crate) struct Remembered {
    cache: Cache<Key, Arc<Known>, Bytes>,
    /// What was asked for lately and not kept: a part of the hash of each, in the place that another part names.
    asked_once: Box<[AtomicU32]>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Exact(Name, Version),
    Row(u64),
}

/// What the catalog said of a version, and when.
struct Known {
    entry: Arc<Entry>,
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
/// Of so many versions it is known that they were asked for once; 256 KiB.
const ASKED_ONCE: usize = 1 << 16;

impl Remembered {
    pub(crate) fn new(bytes: u64) -> Self {
        let entries = usize::try_from(bytes / ENTRY_BYTES).unwrap_or(usize::MAX);
        let asked_once = (0..ASKED_ONCE).map(|_| AtomicU32::new(0)).collect();
        Self { cache: Cache::with_weighter(entries, bytes, Bytes), asked_once }
    }

    /// What is known of the version, unless it has changed since.
    pub(crate) fn exact(
        &self,
        name: &Name,
        version: &Version,
        changes: &Changes,
    ) -> Option<(Arc<Entry>, Location)> {
        self.find(&Key::Exact(name.clone(), version.clone()), changes)
    }

    /// The same of the version that this row published.
    pub(crate) fn row(&self, publish: u64, changes: &Changes) -> Option<(Arc<Entry>, Location)> {
        self.find(&Key::Row(publish), changes)
    }

    fn find(&self, key: &Key, changes: &Changes) -> Option<(Arc<Entry>, Location)> {
        let known = self.cache.get(key)?;
        let ArtifactRef { name, version } = &known.entry.artifact;
        changes.none_since(name, version, known.horizon).then(|| (Arc::clone(&known.entry), known.location))
    }

    /// `asked`: the version that was asked for exactly. `horizon`: the last row of the state that it was read from.
    pub(crate) fn keep(&self, asked: Option<Version>, entry: &Arc<Entry>, location: Location, horizon: u64) {
        let key = match asked {
            Some(version) => Key::Exact(entry.artifact.name.clone(), version),
            None => Key::Row(entry.seq),
        };
        if self.was_asked(&key) {
            let weight = ENTRY_BYTES.saturating_add(entry.text_bytes());
            self.cache.insert(key, Arc::new(Known { entry: Arc::clone(entry), location, horizon, weight }));
        }
    }

    /// Whether it was asked for before, as far as that is still known; from now on it was.
    fn was_asked(&self, key: &Key) -> bool {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        let place = usize::try_from(hash % ASKED_ONCE as u64).unwrap_or(0);
        let mark = u32::try_from(hash >> 32).unwrap_or(0);
        self.asked_once.get(place).is_some_and(|slot| slot.swap(mark, Ordering::Relaxed) == mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_once_is_not_kept_and_what_was_asked_for_twice_is() {
        let remembered = Remembered::new(1 << 20);
        let keys: Vec<Key> = (0..1000).map(Key::Row).collect();
        assert_eq!(keys.iter().filter(|key| remembered.was_asked(key)).count(), 0);
        // A few have taken one another's place.
        assert!(keys.iter().filter(|key| remembered.was_asked(key)).count() > 900);
        let version = |text: &str| Key::Exact("app".parse().expect("name"), text.parse().expect("version"));
        assert!(!remembered.was_asked(&version("1.0.0")));
        assert!(!remembered.was_asked(&version("1.0.1")));
        assert!(remembered.was_asked(&version("1.0.0")));
    }
}
