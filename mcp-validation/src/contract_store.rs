use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use mcp_core::{ErrorKind, Name, SeamError, Version};
use serde::{Deserialize, Serialize};

use crate::{Limits, Mode, Reference, Rule};

/// Keeps what subjects are made of, so that it survives the process: the plug-in for hosts that register schemas.
///
/// A subject is a list of entries that only grows. Called by a [`ValidationEngine`](crate::ValidationEngine): all is read when it is
/// built, and each registration is one [`append`](Self::append). Several engines may share one store, in one process or in many.
pub trait ContractStore: Send + Sync {
    /// Every subject that has an entry, in any order.
    ///
    /// # Errors
    /// `Unavailable` when the store cannot be reached, `Corrupt` when what it holds cannot be read.
    fn subjects(&self) -> Result<Vec<Name>, SeamError>;

    /// A subject's entries, oldest first; none for a subject that is not known.
    ///
    /// # Errors
    /// As [`subjects`](Self::subjects).
    fn read(&self, subject: &Name) -> Result<Vec<ContractEntry>, SeamError>;

    /// Adds `entry` to the subject's entries, of which there must be `expected` before: of two callers with the same expectation one
    /// succeeds. When it returns, the entry outlives the process; after a crash it is there wholly or not at all.
    ///
    /// # Errors
    /// `Conflict` when there are more or fewer entries, and nothing was added; `Unavailable` when it is not known whether it was.
    fn append(&self, subject: &Name, expected: usize, entry: &ContractEntry) -> Result<(), SeamError>;
}

const _: Option<&dyn ContractStore> = None;

/// One step in the life of a subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ContractEntry {
    /// From here on, new versions must fit the old ones in this way.
    Mode(Mode),
    /// A version.
    Contract(Box<StoredContract>),
}

/// A contract as data: what it takes to build it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StoredContract {
    /// Its version.
    pub version: Version,
    /// The name of its schema's format.
    pub format: String,
    /// The schema, as it was written.
    pub schema: String,
    /// What the schema may refer to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
    /// The rules beside the schema.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// What judging may cost; `None` for the limits of the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

impl StoredContract {
    /// A schema of the format called `format`, with nothing beside it.
    #[must_use]
    pub fn new(version: Version, format: impl Into<String>, schema: impl Into<String>) -> Self {
        Self {
            version,
            format: format.into(),
            schema: schema.into(),
            references: Vec::new(),
            rules: Vec::new(),
            limits: None,
        }
    }

    /// With a document that the schema may refer to by `uri`.
    #[must_use]
    pub fn reference(mut self, uri: impl Into<String>, text: impl Into<String>) -> Self {
        self.references.push(Reference::new(uri, text));
        self
    }

    /// With a rule.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// With limits of its own.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }
}

/// Keeps entries in memory: they end with it.
#[derive(Debug, Default)]
pub struct MemoryContractStore {
    subjects: Mutex<BTreeMap<Name, Vec<ContractEntry>>>,
}

impl MemoryContractStore {
    /// With nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl ContractStore for MemoryContractStore {
    fn subjects(&self) -> Result<Vec<Name>, SeamError> {
        Ok(self.subjects.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect())
    }

    fn read(&self, subject: &Name) -> Result<Vec<ContractEntry>, SeamError> {
        let subjects = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(subjects.get(subject).cloned().unwrap_or_default())
    }

    fn append(&self, subject: &Name, expected: usize, entry: &ContractEntry) -> Result<(), SeamError> {
        let mut subjects = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        let found = subjects.get(subject).map_or(0, Vec::len);
        if found != expected {
            return Err(SeamError::new(
                ErrorKind::Conflict,
                format!("add entry {expected} to {subject}: it has {found} entries, read them again"),
            ));
        }
        subjects.entry(subject.clone()).or_default().push(entry.clone());
        Ok(())
    }
}
