use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use mcp_core::{Name, RequestId, Version};

use super::query::{Class, VersionHit};
use crate::interval::KeyRange;
use crate::version_key::VersionKey;

/// Where a version stands in the index of versions, and at which row it came there or went away.
///
/// Entries of one version and class follow one another by row: so a reader finds the state of its own moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) name: Name,
    pub(super) class: Class,
    pub(super) key: VersionKey,
    pub(super) at: u64,
}

impl Slot {
    pub(super) fn is(&self, name: &Name, class: Class) -> bool {
        self.name == *name && self.class == class
    }
}

/// A publish in the index of digests: the prefix of its digest, its name, its row. No name precedes all names.
pub(super) type DigestEntry = (i64, Option<Name>, u64);

/// Index entries of consecutive rows, in the order of their tables. `None` for a version: it is no longer of this class.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) versions: BTreeMap<Slot, Option<VersionHit>>,
    pub(super) digests: BTreeSet<DigestEntry>,
    pub(super) requests: BTreeMap<ByText<RequestId>, u64>,
    /// The first row of each name among these.
    pub(super) names: BTreeMap<ByText<Name>, u64>,
}

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.versions.len().saturating_add(self.digests.len()).saturating_add(self.requests.len())
    }
}

/// Orders a text newtype so that a plain text finds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ByText<T>(pub(super) T);

impl Borrow<str> for ByText<Name> {
    fn borrow(&self) -> &str {
        self.0.as_str()
    }
}

impl Borrow<str> for ByText<RequestId> {
    fn borrow(&self) -> &str {
        self.0.as_str()
    }
}

/// A part of the tail: the newest of them grows, the others are merged into the tables.
#[derive(Debug, Default)]
pub(super) struct Run(RwLock<Entries>);

impl Run {
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Entries> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Entries)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn publish(&self, name: &Name, version: &Version, prefix: i64, seq: u64) {
        let class = Class::of(version, false);
        let slot = Slot { name: name.clone(), class, key: VersionKey::of(version), at: seq };
        self.change(|entries| {
            entries.versions.insert(slot, Some(VersionHit { seq, yank: None }));
            entries.digests.insert((prefix, Some(name.clone()), seq));
            if !entries.names.contains_key(name.as_str()) {
                entries.names.insert(ByText(name.clone()), seq);
            }
        });
    }

    /// At the row `at`, the version moved between the runs of the live and the yanked.
    pub(super) fn yank(&self, name: &Name, version: &Version, hit: VersionHit, at: u64) {
        let slot = |yanked: bool| {
            let class = Class::of(version, yanked);
            Slot { name: name.clone(), class, key: VersionKey::of(version), at }
        };
        self.change(|entries| {
            entries.versions.insert(slot(hit.yank.is_none()), None);
            entries.versions.insert(slot(hit.yank.is_some()), Some(hit));
            if !entries.names.contains_key(name.as_str()) {
                entries.names.insert(ByText(name.clone()), at);
            }
        });
    }

    pub(super) fn request(&self, id: &RequestId, seq: u64) {
        self.change(|entries| {
            entries.requests.entry(ByText(id.clone())).or_insert(seq);
        });
    }
}

/// The part of the indexes that is in memory, as it was at one row: what a reader has beside the tables of its snapshot.
///
/// Invariant: each entry of rows up to `horizon` is in the tables of that snapshot, or here, or in both alike. What is here counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// The oldest first.
    pub(super) runs: Vec<Arc<Run>>,
    pub(super) horizon: u64,
}

impl View {
    /// The state of a version, by its two classes; `None` when only the tables know.
    pub(super) fn version(&self, name: &Name, classes: [Class; 2], key: &VersionKey) -> Option<VersionHit> {
        self.runs.iter().rev().find_map(|run| {
            let entries = run.read();
            // Where one of the two has an entry that says it went away, the other says where to.
            classes.into_iter().find_map(|class| {
                let last = Slot { name: name.clone(), class, key: key.clone(), at: self.horizon };
                let (slot, state) = entries.versions.range(..=last).next_back()?;
                if slot.is(name, class) && slot.key == *key { *state } else { None }
            })
        })
    }

    /// The highest version of a class below `below` that has an entry here, and what that says.
    pub(super) fn next_below(
        &self,
        name: &Name,
        class: Class,
        range: Option<&KeyRange>,
        below: Option<&VersionKey>,
    ) -> Option<(VersionKey, Option<VersionHit>)> {
        let slot = |key: VersionKey| Slot { name: name.clone(), class, key, at: 0 };
        let from = range.map_or_else(VersionKey::first, |range| range.from.clone());
        let end = below.or_else(|| range.and_then(|range| range.to.as_ref()));
        let to = end.cloned().unwrap_or_else(VersionKey::last);
        if from > to {
            return None;
        }
        let (from, to) = (slot(from), slot(to));
        let mut best: Option<(VersionKey, Option<VersionHit>)> = None;
        for run in self.runs.iter().rev() {
            let entries = run.read();
            let mut found = entries.versions.range((Bound::Included(&from), Bound::Excluded(&to))).rev();
            let Some((slot, state)) = found.find(|(slot, _)| slot.at <= self.horizon) else { continue };
            // Of equal keys, the newer run's came first.
            if best.as_ref().is_none_or(|(key, _)| *key < slot.key) {
                best = Some((slot.key.clone(), *state));
            }
        }
        best
    }

    pub(super) fn has_name(&self, name: &str) -> bool {
        self.runs.iter().any(|run| run.read().names.get(name).is_some_and(|first| *first <= self.horizon))
    }

    /// The first name at or behind `from`.
    pub(super) fn next_name(&self, from: &str) -> Option<Name> {
        let firsts = self.runs.iter().filter_map(|run| {
            let entries = run.read();
            let mut found = entries.names.range::<str, _>((Bound::Included(from), Bound::Unbounded));
            found.find(|(_, first)| **first <= self.horizon).map(|(name, _)| name.0.clone())
        });
        firsts.min()
    }

    /// Publishes whose digests begin so, one after another: the first behind `after`.
    pub(super) fn next_digest(&self, prefix: i64, after: Option<&DigestEntry>) -> Option<DigestEntry> {
        let first = (prefix, None, 0);
        let after = after.unwrap_or(&first);
        let firsts = self.runs.iter().filter_map(|run| {
            let entries = run.read();
            let found = entries.digests.range((Bound::Excluded(after), Bound::Unbounded));
            let mut found = found.take_while(|(found, ..)| *found == prefix);
            found.find(|(.., seq)| *seq <= self.horizon).cloned()
        });
        firsts.min()
    }

    /// The rows of the publishes of `name` whose digests begin so, the newest first.
    pub(super) fn digests_of_name(&self, prefix: i64, name: &Name) -> Vec<u64> {
        let range = (prefix, Some(name.clone()), 0)..=(prefix, Some(name.clone()), self.horizon);
        let mut seqs = BTreeSet::new();
        for run in &self.runs {
            seqs.extend(run.read().digests.range(range.clone()).map(|(.., seq)| *seq));
        }
        seqs.into_iter().rev().collect()
    }

    pub(super) fn has_digest(&self, entry: &DigestEntry) -> bool {
        entry.2 <= self.horizon && self.runs.iter().any(|run| run.read().digests.contains(entry))
    }

    pub(super) fn request(&self, id: &str) -> Option<u64> {
        let found = self.runs.iter().find_map(|run| run.read().requests.get(id).copied());
        found.filter(|seq| *seq <= self.horizon)
    }

    /// What the tail says of each version, in the order of the table.
    pub(super) fn all_versions(&self) -> BTreeMap<(Name, Class, VersionKey), Option<VersionHit>> {
        let mut all = BTreeMap::new();
        for run in &self.runs {
            for (slot, state) in &run.read().versions {
                if slot.at <= self.horizon {
                    all.insert((slot.name.clone(), slot.class, slot.key.clone()), *state);
                }
            }
        }
        all
    }

    pub(super) fn all_digests(&self) -> BTreeSet<DigestEntry> {
        let visible = |run: &Arc<Run>| run.read().digests.iter().cloned().collect::<Vec<_>>();
        self.runs.iter().flat_map(visible).filter(|(.., seq)| *seq <= self.horizon).collect()
    }

    pub(super) fn all_requests(&self) -> BTreeMap<RequestId, u64> {
        let visible = |run: &Arc<Run>| {
            let entries = run.read();
            entries.requests.iter().map(|(id, seq)| (id.0.clone(), *seq)).collect::<Vec<_>>()
        };
        self.runs.iter().flat_map(visible).filter(|(_, seq)| *seq <= self.horizon).collect()
    }
}
