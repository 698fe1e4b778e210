//! Schemas that are registered: kept in a store, and refused where they break what their subject promises.

use std::sync::{Arc, PoisonError};

use mcp_core::{
    ArtifactRef, ContractRegistered, Digest, ErrorKind, Name, SeamError, ValidationEvent, Version,
};

use super::{Entry, Registered, ValidationEngine};
use crate::{
    Break, Compatibility, Contract, ContractBuilder, ContractEntry, Mode, SchemaFormat, SchemaSource,
    StoredContract, ValidationError,
};

/// A subject of which schemas are registered.
#[derive(Clone, Default)]
pub(super) struct Subject {
    /// How many entries of the store it was made of.
    entries: usize,
    mode: Option<Mode>,
    /// In the order in which they were registered.
    history: Vec<Arc<Kept>>,
}

struct Kept {
    stored: StoredContract,
    format: Arc<dyn SchemaFormat>,
    id: Digest,
    contract: Arc<Contract>,
}

/// What registering a schema came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registration {
    /// Identifies the schema: equal for schemas that mean the same ([`SchemaFormat::identity`]), whatever their subject and version.
    pub id: Digest,
    /// Whether this version was there before.
    pub outcome: Registered,
}

/// So often another registration of the subject may come first.
const MAX_ATTEMPTS: usize = 100;

impl ValidationEngine {
    /// Keeps a schema under `subject` in the engine's store, if it fits the versions before it as the subject's [`Mode`] asks; they
    /// count in the order in which they were registered. The contract can then be used as any other. Doing so again with the same
    /// version, schema, rules and limits changes nothing. Comparing takes no lock: where another version of the subject is registered
    /// meanwhile, the schema is compared again.
    ///
    /// # Errors
    /// [`ValidationError::Incompatible`] with all breaks, and [`ValidationError::Undecided`], both `Conflict`;
    /// [`ValidationError::VersionTaken`], `Conflict`; [`ValidationError::UnknownFormat`]; [`ValidationError::BrokenSchema`] and the
    /// other errors of [`ContractBuilder::build`]; [`ValidationError::NotStored`] with the kind of the store's error: after
    /// `Unavailable`, register it again.
    pub fn register_schema(
        &self,
        subject: &Name,
        schema: StoredContract,
    ) -> Result<Registration, ValidationError> {
        let new = Arc::new(self.prepare(schema)?);
        for _ in 0..MAX_ATTEMPTS {
            let before = self.subject(subject);
            if let Some(taken) = before.taken(&new.stored.version) {
                return taken.again(subject, &new);
            }
            self.admit(subject, &before, &new)?;
            if self.append(subject, &before, &new)? {
                let version = new.stored.version.clone();
                let artifact = ArtifactRef::new(subject.clone(), version.clone());
                let told = ContractRegistered::new(subject.clone(), version);
                self.tell(&artifact, || ValidationEvent::ContractRegistered(told));
                return Ok(Registration { id: new.id, outcome: Registered::New });
            }
        }
        Err(ValidationError::NotStored {
            source: SeamError::new(
                ErrorKind::Conflict,
                format!("register a schema of {subject}: others came first {MAX_ATTEMPTS} times, try again"),
            ),
        })
    }

    /// Whether a schema fits the versions of `subject`, as [`register_schema`](Self::register_schema) would ask. Nothing is kept.
    ///
    /// # Errors
    /// As [`register_schema`](Self::register_schema), but for those that say that it does not fit.
    pub fn check_schema(
        &self,
        subject: &Name,
        schema: &StoredContract,
    ) -> Result<Compatibility, ValidationError> {
        let new = self.prepare(schema.clone())?;
        self.compare(&self.subject(subject), &new)
    }

    /// How new versions of `subject` must fit the old ones.
    #[must_use]
    pub fn mode(&self, subject: &Name) -> Mode {
        self.subject(subject).mode.unwrap_or(self.mode)
    }

    /// Lets new versions of `subject` be compared in another way from now on. Old ones stay.
    ///
    /// # Errors
    /// [`ValidationError::NotStored`]: `Conflict` when the subject changed meanwhile, else the kind of the store's error.
    pub fn set_mode(&self, subject: &Name, mode: Mode) -> Result<(), ValidationError> {
        let mut subjects = self.subjects.write().unwrap_or_else(PoisonError::into_inner);
        let found = subjects.entry(subject.clone()).or_default();
        if found.mode == Some(mode) {
            return Ok(());
        }
        let appended = self.store.append(subject, found.entries, &ContractEntry::Mode(mode));
        if let Err(source) = appended {
            if source.kind() == ErrorKind::Conflict {
                self.catch_up(subject, found)?;
            }
            return Err(ValidationError::NotStored { source });
        }
        found.entries += 1;
        found.mode = Some(mode);
        Ok(())
    }

    /// What identifies the schema of one registered version.
    ///
    /// # Errors
    /// [`ValidationError::UnknownSubject`] and [`ValidationError::UnknownVersion`], `NotFound`, also for contracts that were
    /// registered without a schema of the store.
    pub fn schema_id(&self, subject: &Name, version: &Version) -> Result<Digest, ValidationError> {
        let found = self.subject(subject);
        if found.history.is_empty() {
            return Err(ValidationError::UnknownSubject { subject: subject.clone() });
        }
        let kept = found.taken(version);
        let unknown =
            || ValidationError::UnknownVersion { subject: subject.clone(), version: version.clone() };
        kept.map(|kept| kept.id).ok_or_else(unknown)
    }

    /// Reads everything that the store holds.
    pub(super) fn load(&self) -> Result<(), ValidationError> {
        let names = self.store.subjects().map_err(|source| ValidationError::NotStored { source })?;
        let mut subjects = self.subjects.write().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            self.catch_up(&name, subjects.entry(name.clone()).or_default())?;
        }
        Ok(())
    }

    fn subject(&self, subject: &Name) -> Subject {
        let subjects = self.subjects.read().unwrap_or_else(PoisonError::into_inner);
        subjects.get(subject).cloned().unwrap_or_default()
    }

    fn prepare(&self, stored: StoredContract) -> Result<Kept, ValidationError> {
        let format = self.formats.find(&stored.format)?;
        let mut builder = ContractBuilder::with_schema(Arc::clone(&format), stored.schema.clone())
            .rules(stored.rules.iter().cloned())
            .limits(stored.limits.clone().unwrap_or_else(|| self.limits.clone()))
            .clock_unless_given(self.clock.as_ref());
        for reference in &stored.references {
            builder = builder.reference(reference.uri.as_str(), reference.text.as_str());
        }
        let contract = Arc::new(builder.build()?);
        let source = SchemaSource::new(&stored.schema, &stored.references, contract.limits());
        let id = format
            .identity(&source)
            .map_err(|source| ValidationError::BrokenSchema { format: stored.format.clone(), source })?;
        Ok(Kept { format, id, contract, stored })
    }

    fn compare(&self, before: &Subject, new: &Kept) -> Result<Compatibility, ValidationError> {
        let mode = before.mode.unwrap_or(self.mode);
        let first = if mode.is_transitive() { 0 } else { before.history.len().saturating_sub(1) };
        if mode != Mode::None
            && let Some(other) =
                before.history.iter().skip(first).find(|old| old.stored.format != new.stored.format)
        {
            return Ok(Compatibility::No(vec![Break::new(
                "format-changed",
                "",
                format!(
                    "it is of the format {}, and a version before it of {}",
                    new.stored.format, other.stored.format
                ),
                "keep the format, or register it under another subject",
            )]));
        }
        let history: Vec<SchemaSource<'_>> = before.history.iter().map(|old| old.source()).collect();
        let checked = mode.check(new.format.as_ref(), &history, &new.source());
        checked.map_err(|source| ValidationError::BrokenSchema { format: new.stored.format.clone(), source })
    }

    fn admit(&self, subject: &Name, before: &Subject, new: &Kept) -> Result<(), ValidationError> {
        let mode = before.mode.unwrap_or(self.mode);
        let (subject, version) = (subject.clone(), new.stored.version.clone());
        match self.compare(before, new)? {
            Compatibility::Yes => Ok(()),
            Compatibility::No(breaks) => {
                Err(ValidationError::Incompatible { subject, version, mode, breaks })
            }
            Compatibility::Unknown(reason) => {
                Err(ValidationError::Undecided { subject, version, mode, reason })
            }
        }
    }

    /// Stores it unless the subject is not as it was before; then it is read again, and nothing is stored.
    fn append(&self, subject: &Name, before: &Subject, new: &Arc<Kept>) -> Result<bool, ValidationError> {
        let mut subjects = self.subjects.write().unwrap_or_else(PoisonError::into_inner);
        let found = subjects.entry(subject.clone()).or_default();
        if found.entries != before.entries {
            return Ok(false);
        }
        // Contracts that were registered without the store have versions too.
        self.free(subject, &new.stored.version)?;
        let entry = ContractEntry::Contract(Box::new(new.stored.clone()));
        match self.store.append(subject, found.entries, &entry) {
            Ok(()) => {
                found.keep(Arc::clone(new));
                self.publish(subject, new);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::Conflict => {
                self.catch_up(subject, found)?;
                if found.entries == before.entries {
                    return Err(ValidationError::NotStored { source: error });
                }
                Ok(false)
            }
            Err(source) => Err(ValidationError::NotStored { source }),
        }
    }

    /// Takes over the entries that others have stored.
    fn catch_up(&self, subject: &Name, found: &mut Subject) -> Result<(), ValidationError> {
        let entries = self.store.read(subject).map_err(|source| ValidationError::NotStored { source })?;
        for entry in entries.into_iter().skip(found.entries) {
            match entry {
                ContractEntry::Mode(mode) => {
                    found.mode = Some(mode);
                    found.entries += 1;
                }
                ContractEntry::Contract(stored) => {
                    let kept = Arc::new(self.prepare(*stored)?);
                    found.keep(Arc::clone(&kept));
                    self.publish(subject, &kept);
                }
            }
        }
        Ok(())
    }

    fn free(&self, subject: &Name, version: &Version) -> Result<(), ValidationError> {
        let contracts = self.contracts.read().unwrap_or_else(PoisonError::into_inner);
        let taken = contracts.get(subject).and_then(|versions| versions.get(&version.without_build()));
        match taken {
            None => Ok(()),
            Some(taken) => Err(ValidationError::VersionTaken {
                subject: subject.clone(),
                version: version.clone(),
                reason: format!("{} is registered without a schema of the store", taken.artifact.version),
            }),
        }
    }

    /// Lets documents be judged by it.
    fn publish(&self, subject: &Name, kept: &Kept) {
        let mut contracts = self.contracts.write().unwrap_or_else(PoisonError::into_inner);
        let version = &kept.stored.version;
        let entry = Entry::new(subject, version, Arc::clone(&kept.contract));
        contracts.entry(subject.clone()).or_default().insert(version.without_build(), entry);
    }
}

impl Subject {
    fn keep(&mut self, kept: Arc<Kept>) {
        self.entries += 1;
        self.history.push(kept);
    }

    /// What has this version, or one that differs in build metadata only.
    fn taken(&self, version: &Version) -> Option<&Arc<Kept>> {
        let precedence = version.without_build();
        self.history.iter().find(|kept| kept.stored.version.without_build() == precedence)
    }
}

impl Kept {
    fn source(&self) -> SchemaSource<'_> {
        SchemaSource::new(&self.stored.schema, &self.stored.references, self.contract.limits())
    }

    /// What registering `new` under its version comes to.
    fn again(&self, subject: &Name, new: &Self) -> Result<Registration, ValidationError> {
        let reason = if self.stored.version != new.stored.version {
            format!("{} is registered, and build metadata makes no other version", self.stored.version)
        } else if self.id != new.id || self.stored.format != new.stored.format {
            "another schema has this version".to_owned()
        } else if self.stored.rules != new.stored.rules || self.stored.limits != new.stored.limits {
            "the same schema has this version, with other rules or limits".to_owned()
        } else {
            return Ok(Registration { id: self.id, outcome: Registered::Already });
        };
        Err(ValidationError::VersionTaken {
            subject: subject.clone(),
            version: new.stored.version.clone(),
            reason,
        })
    }
}
