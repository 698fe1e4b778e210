use std::collections::BTreeMap;

use mcp_core::{Digest, Digester};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Score;
use crate::canonical;
use crate::pointer::Pointer;

/// Where the fields of one key stand.
#[derive(Clone, Debug)]
pub(super) struct KeyPath(Vec<Pointer>);

impl KeyPath {
    pub(super) const fn new(fields: Vec<Pointer>) -> Self {
        Self(fields)
    }

    /// The digest of the key's values; `None` when the record lacks one.
    pub(super) fn of(&self, record: &Value) -> Option<Digest> {
        let mut digester = Digester::new();
        for field in &self.0 {
            digester.update(canonical::digest(field.get(record)?).0.as_bytes());
        }
        Some(digester.digest())
    }
}

/// How often each value of one key was seen.
///
/// Exact up to `max_distinct` values. One more, and all that stays known is how many records have the key: whether that happens
/// depends on the set of values alone and not on their order, so merging keeps its laws.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Occurrences {
    /// How many records have the key.
    records: u64,
    /// How often each value was seen; `None` beyond the size.
    counts: Option<BTreeMap<Digest, u64>>,
    max_distinct: u64,
}

impl Occurrences {
    pub(super) const fn new(max_distinct: u64) -> Self {
        Self { records: 0, counts: Some(BTreeMap::new()), max_distinct }
    }

    pub(super) fn add(&mut self, key: Digest) {
        self.records = self.records.saturating_add(1);
        if let Some(counts) = &mut self.counts {
            let count = counts.entry(key).or_default();
            *count = count.saturating_add(1);
        }
        self.keep_size();
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.records = self.records.saturating_add(other.records);
        self.counts = match (self.counts.take(), other.counts) {
            (Some(mut counts), Some(others)) => {
                for (key, more) in others {
                    let count = counts.entry(key).or_default();
                    *count = count.saturating_add(more);
                }
                Some(counts)
            }
            _ => None,
        };
        self.keep_size();
    }

    fn keep_size(&mut self) {
        let fits = |counts: &BTreeMap<Digest, u64>| {
            u64::try_from(counts.len()).is_ok_and(|len| len <= self.max_distinct)
        };
        if !self.counts.as_ref().is_some_and(fits) {
            self.counts = None;
        }
    }

    /// Whether `other` was made with the same size, and neither contradicts itself as a damaged file would.
    pub(super) fn fits(&self, other: &Self) -> bool {
        self.max_distinct == other.max_distinct
    }

    pub(super) fn summary(&self) -> KeySummary {
        let score = |numerator: usize| Score::new(u64::try_from(numerator).unwrap_or(u64::MAX), self.records);
        KeySummary {
            unique: self
                .counts
                .as_ref()
                .map(|counts| score(counts.values().filter(|count| **count == 1).count())),
            distinct: self.counts.as_ref().map(|counts| score(counts.len())),
            records: self.records,
        }
    }
}

/// How unique one key is. Records without the key do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeySummary {
    /// Records whose key no other record has, of all that have one. Exact; `None` when there were more than `max_distinct`
    /// different keys, so that it is not known.
    pub unique: Option<Score>,
    /// Different keys, of all records that have one; known when `unique` is.
    pub distinct: Option<Score>,
    /// How many records have the key.
    pub records: u64,
}
