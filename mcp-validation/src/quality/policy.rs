use std::collections::BTreeSet;
use std::sync::Arc;

use mcp_core::{Digest, Digester, ErrorKind, Name, SeamError};
use serde::{Deserialize, Serialize};

use super::state::QualityState;
use super::uniqueness::KeyPath;
use crate::pointer::Pointer;
use crate::{Contract, ValidationError};

/// What is measured: data, to be kept beside the records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct QualityPolicy {
    /// JSON Pointers to the fields that should be there in every record. Null is not there; an empty text is.
    pub complete: Vec<String>,
    /// Keys that no two records should share.
    pub unique: Vec<Key>,
    /// How many different values of one key are told apart, about 100 bytes of memory for each. Uniqueness is exact up to this
    /// number, and not known beyond it.
    pub max_distinct: u64,
}

/// One or more fields that identify a record together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Key {
    /// What it is called, in the form of a [`Name`].
    pub name: String,
    /// JSON Pointers to its fields. A record that lacks one has no such key.
    pub fields: Vec<String>,
}

impl Default for QualityPolicy {
    /// Nothing is measured but how many records there are; one million values of a key.
    fn default() -> Self {
        Self { complete: Vec::new(), unique: Vec::new(), max_distinct: 1_000_000 }
    }
}

impl QualityPolicy {
    /// The default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The field at `path` should be there.
    #[must_use]
    pub fn complete(mut self, path: impl Into<String>) -> Self {
        self.complete.push(path.into());
        self
    }

    /// No two records should have the same values at all of `fields`.
    #[must_use]
    pub fn unique(
        mut self,
        name: impl Into<String>,
        fields: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.unique.push(Key { name: name.into(), fields: fields.into_iter().map(Into::into).collect() });
        self
    }

    /// How many different values of one key are told apart.
    #[must_use]
    pub const fn max_distinct(mut self, max_distinct: u64) -> Self {
        self.max_distinct = max_distinct;
        self
    }
}

/// A policy that was found to be right, and the contract that says which records are valid.
#[derive(Clone, Debug)]
pub struct Quality {
    pub(super) complete: Vec<(String, Pointer)>,
    pub(super) unique: Vec<(String, KeyPath)>,
    pub(super) max_distinct: u64,
    pub(super) contract: Option<Arc<Contract>>,
    /// Of the policy alone.
    policy: Digest,
    /// What states must share to be merged: the policy, and the contract as far as it can be told from others.
    pub(super) digest: Digest,
}

impl Quality {
    /// Checks `policy`.
    ///
    /// # Errors
    /// [`ValidationError::BrokenPolicy`], `Invalid`, for a path that is none or names many places, a name that is none, a key without
    /// fields, and anything that is named twice.
    pub fn new(policy: QualityPolicy) -> Result<Self, ValidationError> {
        let refuse = |reason: String| ValidationError::BrokenPolicy { reason };
        let text = serde_json::to_vec(&policy).map_err(|error| ValidationError::NotOpened {
            source: SeamError::new(ErrorKind::Internal, "write a quality policy as JSON").with_source(error),
        })?;
        let mut named = BTreeSet::new();
        let mut complete = Vec::with_capacity(policy.complete.len());
        for path in policy.complete {
            let pointer = Pointer::parse_single(&path).map_err(refuse)?;
            if !named.insert(path.clone()) {
                return Err(refuse(format!("the field {path:?} is named twice")));
            }
            complete.push((path, pointer));
        }
        let mut named = BTreeSet::new();
        let mut unique = Vec::with_capacity(policy.unique.len());
        for key in policy.unique {
            key.name.parse::<Name>().map_err(|error| refuse(error.to_string()))?;
            if key.fields.is_empty() {
                return Err(refuse(format!("the key {:?} has no fields", key.name)));
            }
            if !named.insert(key.name.clone()) {
                return Err(refuse(format!("the key {:?} is named twice", key.name)));
            }
            let fields: Result<Vec<Pointer>, String> =
                key.fields.iter().map(|field| Pointer::parse_single(field)).collect();
            unique.push((key.name, KeyPath::new(fields.map_err(refuse)?)));
        }
        let digest = Digest::of(&text);
        Ok(Self {
            complete,
            unique,
            max_distinct: policy.max_distinct,
            contract: None,
            policy: digest,
            digest,
        })
    }

    /// Records are valid that `contract` finds valid, instead of one given before; its limits hold for every record. States under
    /// contracts without a fingerprint can be merged although nobody knows whether these were the same.
    #[must_use]
    pub fn contract(mut self, contract: impl Into<Arc<Contract>>) -> Self {
        let contract = contract.into();
        let mut digester = Digester::new();
        digester.update(self.policy.as_bytes()).update(b"contract");
        if let Some(fingerprint) = contract.fingerprint() {
            digester.update(fingerprint.as_bytes());
        }
        self.digest = digester.digest();
        self.contract = Some(contract);
        self
    }

    /// Counts of nothing yet.
    #[must_use]
    pub fn state(&self) -> QualityState {
        QualityState::new(self)
    }
}
