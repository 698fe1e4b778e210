use std::collections::BTreeMap;

use mcp_core::{Digest, ErrorKind, SeamError};
use serde::{Deserialize, Serialize};

use super::Quality;
use super::distinct::Distinct;
use super::field::FieldState;
use super::policy::QualityPolicy;
use crate::ValidationError;

/// Counts over records: made in one pass, saved as bytes, merged in any order.
///
/// Merging is associative and commutative, and `quality.state()` is neutral: states over parts of the records, merged, are the state
/// over all of them. That holds beyond the declared sizes too, for all but the most frequent values, which then stay within their bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QualityState {
    /// Under which policy and contract it was made.
    pub(super) digest: Digest,
    pub(super) records: u64,
    pub(super) unreadable: u64,
    /// In the order of the checks.
    pub(super) counts: Vec<Count>,
    /// In the order of the keys.
    pub(super) keys: Vec<KeyState>,
    pub(super) fields: BTreeMap<String, FieldState>,
    /// How many fields there may be that the policy does not name.
    pub(super) most_found: u64,
    /// Whether there were more fields than are looked at.
    pub(super) left_out: bool,
}

/// How many of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Count {
    pub(super) numerator: u64,
    pub(super) denominator: u64,
}

impl Count {
    pub(super) const fn add(&mut self, passes: bool, count: u64) {
        self.denominator = self.denominator.saturating_add(count);
        if passes {
            self.numerator = self.numerator.saturating_add(count);
        }
    }
}

/// What is kept of one key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct KeyState {
    /// How many records have it.
    pub(super) records: u64,
    pub(super) values: Distinct,
}

impl KeyState {
    pub(super) fn new(policy: &QualityPolicy) -> Self {
        Self { records: 0, values: Distinct::new(policy.max_distinct) }
    }
}

/// What a saved state begins with: what it is, and the version of its form. Behind it stands the BLAKE3 digest of the rest.
const MAGIC: &[u8; 8] = b"MCPQUAL\x01";
const DIGEST_BYTES: usize = 32;

impl QualityState {
    pub(super) fn new(quality: &Quality) -> Self {
        Self {
            digest: quality.digest,
            records: 0,
            unreadable: 0,
            counts: vec![Count::default(); quality.checks.len()],
            keys: quality.keys.iter().map(|_| KeyState::new(&quality.policy)).collect(),
            fields: BTreeMap::new(),
            most_found: quality.most_found(),
            left_out: false,
        }
    }

    /// Adds the counts of `other`, made of other records under the same policy.
    ///
    /// # Errors
    /// [`ValidationError::PolicyMismatch`], `Conflict`, when they measure different things; this one is unchanged then. What their scores
    /// are compared with, weights, thresholds, changes and quantiles, may differ.
    pub fn merge(&mut self, other: Self) -> Result<(), ValidationError> {
        if self.digest != other.digest {
            return Err(ValidationError::PolicyMismatch);
        }
        self.records = self.records.saturating_add(other.records);
        self.unreadable = self.unreadable.saturating_add(other.unreadable);
        self.left_out |= other.left_out;
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            mine.numerator = mine.numerator.saturating_add(theirs.numerator);
            mine.denominator = mine.denominator.saturating_add(theirs.denominator);
        }
        for (mine, theirs) in self.keys.iter_mut().zip(other.keys) {
            mine.records = mine.records.saturating_add(theirs.records);
            mine.values.merge(theirs.values);
        }
        for (path, theirs) in other.fields {
            match self.fields.get_mut(&path) {
                Some(mine) => mine.merge(theirs),
                None => {
                    self.fields.insert(path, theirs);
                }
            }
        }
        self.keep_size();
        Ok(())
    }

    /// Those fields stay that come first in the order of their names, as in a pass.
    fn keep_size(&mut self) {
        let found = self.fields.values().filter(|field| !field.is_named()).count() as u64;
        for _ in self.most_found..found {
            let last =
                self.fields.iter().rev().find(|(_, field)| !field.is_named()).map(|(path, _)| path.clone());
            if let Some(last) = last {
                self.fields.remove(&last);
                self.left_out = true;
            }
        }
    }

    /// How many records were looked at.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// The bytes that [`Quality::load`] reads.
    ///
    /// # Errors
    /// [`ValidationError::NotOpened`], `Internal`, when it cannot be written; nothing is known that would make it so.
    pub fn save(&self) -> Result<Vec<u8>, ValidationError> {
        let body = postcard::to_allocvec(self).map_err(|error| ValidationError::NotOpened {
            source: SeamError::new(ErrorKind::Internal, "write a quality state").with_source(error),
        })?;
        Ok([MAGIC, Digest::of(&body).as_bytes().as_slice(), &body].concat())
    }
}

impl Quality {
    /// Reads a state that was saved under this policy and contract.
    ///
    /// # Errors
    /// [`ValidationError::DamagedState`], `Corrupt`, when the bytes are not as they were written, or of another version;
    /// [`ValidationError::PolicyMismatch`], `Conflict`, when it measures something else.
    pub fn load(&self, bytes: &[u8]) -> Result<QualityState, ValidationError> {
        let damaged = |reason: &str| ValidationError::DamagedState { reason: reason.to_owned() };
        let rest = bytes
            .strip_prefix(MAGIC)
            .ok_or_else(|| damaged("it does not begin as one of this version does"))?;
        let (digest, body) = rest.split_at_checked(DIGEST_BYTES).ok_or_else(|| damaged("it is cut off"))?;
        if Digest::of(body).as_bytes().as_slice() != digest {
            return Err(damaged("its checksum does not agree with its content"));
        }
        let (state, rest): (QualityState, &[u8]) =
            postcard::take_from_bytes(body).map_err(|error| damaged(&error.to_string()))?;
        if state.digest != self.digest {
            return Err(ValidationError::PolicyMismatch);
        }
        if !rest.is_empty() || !state.is_sound(self) {
            return Err(damaged("its counts cannot have been made under its policy"));
        }
        Ok(state)
    }
}

impl QualityState {
    /// A checksum can be made for anything: what is relied on is looked at.
    fn is_sound(&self, quality: &Quality) -> bool {
        let policy = &quality.policy;
        let readable = self.records.checked_sub(self.unreadable);
        let within =
            |count: &Count| count.numerator <= count.denominator && count.denominator <= self.records;
        readable.is_some_and(|readable| self.fields.values().all(|field| field.is_sound(policy, readable)))
            && self.most_found == quality.most_found()
            && self.fields.values().filter(|field| !field.is_named()).count() as u64 <= self.most_found
            && self.counts.len() == quality.checks.len()
            && self.counts.iter().all(within)
            && self.keys.len() == quality.keys.len()
            && self
                .keys
                .iter()
                .all(|key| key.records <= self.records && key.values.is_sound(policy.max_distinct))
    }
}
