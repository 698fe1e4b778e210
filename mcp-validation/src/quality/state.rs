use std::collections::BTreeMap;

use mcp_core::Digest;
use serde::{Deserialize, Serialize};

use super::uniqueness::Occurrences;
use super::{KeySummary, Quality, Score};
use crate::{Document, Limits, ValidationError};

/// Counts over records: made in one pass, saved as JSON, merged in any order.
///
/// Merging is associative and commutative, and `quality.state()` is neutral: states over parts of the records, merged, are the state
/// over all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QualityState {
    /// Under which policy and contract it was made.
    policy: Digest,
    records: u64,
    unreadable: u64,
    /// How many records have each field.
    present: BTreeMap<String, u64>,
    /// How many records are valid; `None` where no contract says so.
    valid: Option<u64>,
    keys: BTreeMap<String, Occurrences>,
}

/// What one record came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observed {
    /// Whether it could be read as an object.
    pub readable: bool,
    /// Whether the contract finds it valid; `None` where there is no contract.
    pub valid: Option<bool>,
    /// The fields of the policy that it lacks, in the policy's order.
    pub missing: Vec<String>,
}

impl Quality {
    /// Counts one record, and says what it came to, so that failing records can be told.
    ///
    /// A document that is no JSON object is a record that lacks everything and is not valid.
    ///
    /// # Errors
    /// `Conflict` when `state` was made under another policy; else as [`Contract::is_valid`](crate::Contract::is_valid). Nothing was
    /// counted then.
    pub fn observe(&self, state: &mut QualityState, record: &Document) -> Result<Observed, ValidationError> {
        if state.policy != self.digest {
            return Err(ValidationError::PolicyMismatch);
        }
        let valid = match &self.contract {
            Some(contract) => Some(contract.is_valid(record)?),
            None => {
                record.check(&Limits::default())?;
                None
            }
        };
        let object = record.value().ok().filter(|value| value.is_object());
        let valid = valid.map(|valid| valid && object.is_some());
        let mut missing = Vec::new();
        for (path, pointer) in &self.complete {
            if object.and_then(|object| pointer.get(object)).is_some() {
                let present = state.present.entry(path.clone()).or_default();
                *present = present.saturating_add(1);
            } else {
                missing.push(path.clone());
            }
        }
        for (name, path) in &self.unique {
            if let Some(key) = object.and_then(|object| path.of(object)) {
                state
                    .keys
                    .entry(name.clone())
                    .or_insert_with(|| Occurrences::new(self.max_distinct))
                    .add(key);
            }
        }
        state.records = state.records.saturating_add(1);
        state.unreadable = state.unreadable.saturating_add(u64::from(object.is_none()));
        if let (Some(count), Some(true)) = (&mut state.valid, valid) {
            *count = count.saturating_add(1);
        }
        Ok(Observed { readable: object.is_some(), valid, missing })
    }
}

impl QualityState {
    pub(super) fn new(quality: &Quality) -> Self {
        let keys =
            quality.unique.iter().map(|(name, _)| (name.clone(), Occurrences::new(quality.max_distinct)));
        Self {
            policy: quality.digest,
            records: 0,
            unreadable: 0,
            present: quality.complete.iter().map(|(path, _)| (path.clone(), 0)).collect(),
            valid: quality.contract.as_ref().map(|_| 0),
            keys: keys.collect(),
        }
    }

    /// Adds the counts of `other`, made of other records.
    ///
    /// # Errors
    /// [`ValidationError::PolicyMismatch`], `Conflict`, when they were made under different policies; this one is unchanged then.
    pub fn merge(&mut self, other: Self) -> Result<(), ValidationError> {
        let same_keys = self.keys.len() == other.keys.len()
            && self
                .keys
                .iter()
                .zip(&other.keys)
                .all(|((name, mine), (other, theirs))| name == other && mine.fits(theirs));
        let same_fields = self.present.keys().eq(other.present.keys());
        let same_validity = self.valid.is_some() == other.valid.is_some();
        if self.policy != other.policy || !same_keys || !same_fields || !same_validity {
            return Err(ValidationError::PolicyMismatch);
        }
        self.records = self.records.saturating_add(other.records);
        self.unreadable = self.unreadable.saturating_add(other.unreadable);
        for (mine, theirs) in self.present.values_mut().zip(other.present.into_values()) {
            *mine = mine.saturating_add(theirs);
        }
        self.valid = self.valid.zip(other.valid).map(|(mine, theirs)| mine.saturating_add(theirs));
        for (mine, theirs) in self.keys.values_mut().zip(other.keys.into_values()) {
            mine.merge(theirs);
        }
        Ok(())
    }

    /// The scores so far.
    #[must_use]
    pub fn summary(&self) -> QualitySummary {
        let score = |count: u64| Score::new(count, self.records);
        QualitySummary {
            records: self.records,
            unreadable: self.unreadable,
            completeness: self.present.iter().map(|(path, count)| (path.clone(), score(*count))).collect(),
            validity: self.valid.map(score),
            uniqueness: self.keys.iter().map(|(name, key)| (name.clone(), key.summary())).collect(),
        }
    }
}

/// Scores over all records that were observed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QualitySummary {
    /// How many records there were.
    pub records: u64,
    /// How many of them are no JSON objects.
    pub unreadable: u64,
    /// By field: records that have it, of all.
    pub completeness: BTreeMap<String, Score>,
    /// Records that the contract finds valid, of all; `None` where there is no contract.
    pub validity: Option<Score>,
    /// By the name of the key.
    pub uniqueness: BTreeMap<String, KeySummary>,
}
