//! Contracts as artifacts: each entry of a subject is a version of an artifact, so that it is durable, verified, and in the change feed.

use std::future::Future;

use mcp_core::{ErrorKind, Name, SeamError, Version};
use mcp_registry::{Draft, Entry, Registry, RegistryError, Select};
use mcp_validation::{ContractEntry, ContractStore};
use tokio::runtime::{Builder, Runtime};

/// Names of artifacts begin with this; the subject follows.
const PREFIX: &str = "contracts/";
/// How many names or versions are read at a time.
const PAGE: usize = 500;

/// Keeps contracts in a registry. The engine asks from plain threads: it waits for the registry on a runtime of its own, and must not be
/// called from within another.
pub struct RegistryContracts {
    registry: Registry,
    runtime: Runtime,
}

impl RegistryContracts {
    /// Opens the registry in `folder`, and makes it where there is none.
    pub fn open(folder: &std::path::Path) -> Result<Self, SeamError> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(|error| {
                SeamError::new(ErrorKind::Unavailable, "start the thread that waits for the registry")
                    .with_source(error)
            })?;
        let registry = runtime.block_on(Registry::open(folder))?;
        Ok(Self { registry, runtime })
    }

    fn wait<T>(&self, work: impl Future<Output = Result<T, RegistryError>>) -> Result<T, SeamError> {
        Ok(self.runtime.block_on(work)?)
    }
}

/// The `index`th entry is the version `index.0.0`.
fn version(index: usize) -> Version {
    Version::new(u64::try_from(index).unwrap_or(u64::MAX), 0, 0)
}

fn artifact(subject: &Name) -> Result<Name, SeamError> {
    format!("{PREFIX}{subject}").parse().map_err(|error: mcp_core::ParseError| error.into())
}

fn unreadable(subject: &Name, reason: &dyn std::fmt::Display) -> SeamError {
    SeamError::new(ErrorKind::Corrupt, format!("read an entry of the subject {subject}: {reason}"))
}

impl ContractStore for RegistryContracts {
    fn subjects(&self) -> Result<Vec<Name>, SeamError> {
        let mut subjects = Vec::new();
        let mut last: Option<Name> = None;
        loop {
            let page = self.wait(self.registry.names(PREFIX, last.as_ref(), PAGE))?;
            let Some(end) = page.last() else { return Ok(subjects) };
            last = Some(end.clone());
            for name in &page {
                let subject = name.as_str().strip_prefix(PREFIX).unwrap_or_default();
                subjects.push(subject.parse()?);
            }
        }
    }

    fn read(&self, subject: &Name) -> Result<Vec<ContractEntry>, SeamError> {
        let name = artifact(subject)?;
        let mut entries = Vec::new();
        let highest = self.wait(self.registry.versions(&name, None, 1))?;
        let count =
            highest.first().map_or(0, |entry: &Entry| entry.artifact.version.major().saturating_add(1));
        for index in 0..usize::try_from(count).unwrap_or(usize::MAX) {
            let content = self.wait(self.registry.get(&name, Select::exact(version(index))))?;
            let entry =
                serde_json::from_slice(&content.bytes).map_err(|error| unreadable(subject, &error))?;
            entries.push(entry);
        }
        Ok(entries)
    }

    /// A version is published once: of two who publish the same one, one has made it.
    fn append(&self, subject: &Name, expected: usize, entry: &ContractEntry) -> Result<(), SeamError> {
        let conflict = || {
            let reason =
                format!("add entry {expected} to {subject}: it has more or fewer entries, read them again");
            Err(SeamError::new(ErrorKind::Conflict, reason))
        };
        let name = artifact(subject)?;
        let highest = self.wait(self.registry.versions(&name, None, 1))?;
        let found = highest.first().map(|entry| entry.artifact.version.clone());
        if found != expected.checked_sub(1).map(version) {
            return conflict();
        }
        let text = serde_json::to_vec(entry).map_err(|error| unreadable(subject, &error))?;
        let draft = Draft::new(&name, text).media_type("application/json");
        match self.wait(self.registry.publish(draft, &version(expected))) {
            Ok(published) if published.created => Ok(()),
            Ok(_) => conflict(),
            Err(error) if error.kind() == ErrorKind::Conflict => conflict(),
            Err(error) => Err(error),
        }
    }
}

impl Drop for RegistryContracts {
    fn drop(&mut self) {
        // What was answered stands; closing only gives up the lock early.
        let _closed = self.runtime.block_on(self.registry.close());
    }
}
