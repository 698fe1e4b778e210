mod registration;
mod streams;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use mcp_core::{
    ArtifactRef, Clock, ContractRegistered, DocumentJudged, Event, EventSink, IdSource, Name, ParseError,
    RandomIds, Source, ValidationEvent, Version,
};

pub use self::registration::Registration;
use self::registration::Subject;
use crate::meter::Timer;
use crate::stats::Counters;
use crate::verdict_cache::{Scope, VerdictCache};
use crate::workers::Workers;
use crate::{
    Contract, ContractBuilder, ContractStore, Document, Limits, MemoryContractStore, Mode, Report,
    SchemaFormat, SchemaFormats, Stats, ValidationError,
};

/// Holds contracts by subject and version, and judges documents by them; used from as many threads as there are.
///
/// Contracts that are built in code are kept in memory ([`register`](Self::register)); schemas that are registered as data
/// ([`register_schema`](Self::register_schema)) are kept in a [`ContractStore`], and compared with the versions before them. Each
/// registered contract and each judged document is told to the host's [`EventSink`].
pub struct ValidationEngine {
    contracts: RwLock<BTreeMap<Name, Versions>>,
    /// Taken before `contracts`, never after.
    subjects: RwLock<BTreeMap<Name, Subject>>,
    store: Arc<dyn ContractStore>,
    mode: Mode,
    formats: SchemaFormats,
    limits: Limits,
    cache: Option<VerdictCache>,
    counters: Counters,
    workers: Arc<Workers>,
    clock: Option<Arc<dyn Clock>>,
    timer: Timer,
    events: Option<Arc<dyn EventSink>>,
    source: Source,
    told: AtomicU64,
}

/// By the version without its build metadata, so that their order is that of precedence.
type Versions = BTreeMap<Version, Arc<Entry>>;

/// A contract under the name and version as they were registered.
struct Entry {
    artifact: ArtifactRef,
    contract: Arc<Contract>,
    scope: Scope,
}

impl Entry {
    fn new(subject: &Name, version: &Version, contract: Arc<Contract>) -> Arc<Self> {
        let artifact = ArtifactRef::new(subject.clone(), version.clone());
        let scope = Scope::of(&contract, &artifact);
        Arc::new(Self { artifact, contract, scope })
    }
}

/// Why `contract` cannot have `version` while `before` has `taken` of the same precedence; `None` when both are the same.
fn refusal(
    taken: &Version,
    before: &Arc<Contract>,
    version: &Version,
    contract: &Arc<Contract>,
) -> Option<String> {
    if taken != version {
        return Some(format!("{taken} is registered, and build metadata makes no other version"));
    }
    if Arc::ptr_eq(before, contract) {
        return None;
    }
    match (before.fingerprint(), contract.fingerprint()) {
        (Some(before), Some(new)) if before == new => None,
        (Some(_), Some(_)) => Some("another contract has this version".to_owned()),
        _ => Some("a validator has no fingerprint, so equal contracts cannot be told".to_owned()),
    }
}

/// What registering came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// The contract can be used from now on.
    New,
    /// The same contract was registered before.
    Already,
}

impl ValidationEngine {
    /// Begins an engine with the operating system's clock, random ids and no event sink.
    pub fn builder() -> ValidationEngineBuilder {
        ValidationEngineBuilder::default()
    }

    /// Begins a contract with a schema of the format called `format`, within the engine's limits.
    ///
    /// # Errors
    /// [`ValidationError::UnknownFormat`], `NotFound`.
    pub fn contract(
        &self,
        format: &str,
        schema: impl Into<String>,
    ) -> Result<ContractBuilder, ValidationError> {
        let builder = self.formats.contract(format, schema)?.limits_unless_given(&self.limits);
        Ok(builder.clock_unless_given(self.clock.as_ref()))
    }

    /// Keeps `contract` under `subject` and `version` for ever. Doing so again with an equal contract changes nothing; equal are
    /// contracts with equal fingerprints.
    ///
    /// # Errors
    /// [`ValidationError::VersionTaken`], `Conflict`, when another contract has the version or one that differs in build metadata
    /// only, or when it cannot be told whether it is another.
    pub fn register(
        &self,
        subject: &Name,
        version: &Version,
        contract: impl Into<Arc<Contract>>,
    ) -> Result<Registered, ValidationError> {
        let contract = contract.into();
        {
            let mut contracts = self.contracts.write().unwrap_or_else(PoisonError::into_inner);
            let versions = contracts.entry(subject.clone()).or_default();
            if let Some(before) = versions.get(&version.without_build()) {
                return match refusal(&before.artifact.version, &before.contract, version, &contract) {
                    None => Ok(Registered::Already),
                    Some(reason) => Err(ValidationError::VersionTaken {
                        subject: subject.clone(),
                        version: version.clone(),
                        reason,
                    }),
                };
            }
            versions.insert(version.without_build(), Entry::new(subject, version, contract));
        }
        let artifact = ArtifactRef::new(subject.clone(), version.clone());
        self.tell(&artifact, || {
            ValidationEvent::ContractRegistered(ContractRegistered::new(subject.clone(), version.clone()))
        });
        Ok(Registered::New)
    }

    /// Judges `document` by one version of a subject's contracts.
    ///
    /// # Errors
    /// [`ValidationError::UnknownSubject`] and [`ValidationError::UnknownVersion`], `NotFound`; else as [`Contract::validate`].
    pub fn validate(
        &self,
        subject: &Name,
        version: &Version,
        document: &Document,
    ) -> Result<Report, ValidationError> {
        self.validate_shared(subject, version, document).map(Arc::unwrap_or_clone)
    }

    /// As [`validate`](Self::validate), and a report that is [remembered](ValidationEngineBuilder::cache_bytes) is not copied.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn validate_shared(
        &self,
        subject: &Name,
        version: &Version,
        document: &Document,
    ) -> Result<Arc<Report>, ValidationError> {
        let entry = self.entry(subject, version)?;
        self.judge(&entry, document)
    }

    /// Judges `document` by the subject's version of highest precedence that is no pre-release.
    ///
    /// # Errors
    /// [`ValidationError::UnknownSubject`] and [`ValidationError::NoRelease`], `NotFound`; else as [`Contract::validate`].
    pub fn validate_latest(&self, subject: &Name, document: &Document) -> Result<Report, ValidationError> {
        let entry = self.latest_entry(subject)?;
        self.judge(&entry, document).map(Arc::unwrap_or_clone)
    }

    /// What this engine has done since it was built.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.counters.snapshot(self.cache.as_ref().map(VerdictCache::stats).unwrap_or_default())
    }

    /// One version of a subject's contracts, as it was registered; build metadata does not count.
    ///
    /// # Errors
    /// [`ValidationError::UnknownSubject`] and [`ValidationError::UnknownVersion`], `NotFound`.
    pub fn find(
        &self,
        subject: &Name,
        version: &Version,
    ) -> Result<(Version, Arc<Contract>), ValidationError> {
        let entry = self.entry(subject, version)?;
        Ok((entry.artifact.version.clone(), Arc::clone(&entry.contract)))
    }

    /// The subject's version of highest precedence that is no pre-release, and its contract.
    ///
    /// # Errors
    /// [`ValidationError::UnknownSubject`] and [`ValidationError::NoRelease`], `NotFound`.
    pub fn latest(&self, subject: &Name) -> Result<(Version, Arc<Contract>), ValidationError> {
        let entry = self.latest_entry(subject)?;
        Ok((entry.artifact.version.clone(), Arc::clone(&entry.contract)))
    }

    /// Every subject and version, in order of name and precedence.
    #[must_use]
    pub fn list(&self) -> Vec<ArtifactRef> {
        let contracts = self.contracts.read().unwrap_or_else(PoisonError::into_inner);
        let all =
            contracts.values().flat_map(|versions| versions.values().map(|entry| entry.artifact.clone()));
        all.collect()
    }

    fn entry(&self, subject: &Name, version: &Version) -> Result<Arc<Entry>, ValidationError> {
        self.in_subject(subject, |versions| {
            let unknown =
                || ValidationError::UnknownVersion { subject: subject.clone(), version: version.clone() };
            versions.get(&version.without_build()).cloned().ok_or_else(unknown)
        })
    }

    fn latest_entry(&self, subject: &Name) -> Result<Arc<Entry>, ValidationError> {
        self.in_subject(subject, |versions| {
            let released = versions.values().rev().find(|entry| !entry.artifact.version.is_pre_release());
            released.cloned().ok_or_else(|| ValidationError::NoRelease { subject: subject.clone() })
        })
    }

    fn in_subject<T>(
        &self,
        subject: &Name,
        look: impl FnOnce(&Versions) -> Result<T, ValidationError>,
    ) -> Result<T, ValidationError> {
        let contracts = self.contracts.read().unwrap_or_else(PoisonError::into_inner);
        let unknown = || ValidationError::UnknownSubject { subject: subject.clone() };
        look(contracts.get(subject).ok_or_else(unknown)?)
    }

    /// Judges, or remembers; counts, and tells.
    fn judge(&self, entry: &Entry, document: &Document) -> Result<Arc<Report>, ValidationError> {
        let outcome = match &self.cache {
            Some(cache) => {
                let max_bytes = entry.contract.limits().max_document_bytes;
                cache.judge(&entry.scope, max_bytes, document, &self.timer, || {
                    self.judge_anew(entry, document)
                })
            }
            None => self.judge_anew(entry, document).0,
        };
        self.counters.outcome(&outcome);
        if let Ok(report) = &outcome {
            self.tell(&entry.artifact, || {
                let ArtifactRef { name, version } = entry.artifact.clone();
                let judged = DocumentJudged::new(name, version, report.valid, report.errors, report.warnings);
                ValidationEvent::DocumentJudged(judged)
            });
        }
        outcome
    }

    /// Also tells how long it took.
    fn judge_anew(
        &self,
        entry: &Entry,
        document: &Document,
    ) -> (Result<Arc<Report>, ValidationError>, Duration) {
        let begin = self.timer.monotonic();
        let outcome = entry.contract.validate(document);
        let took = self.timer.monotonic().saturating_sub(begin);
        self.counters.took(took);
        let named = outcome.map(|mut report| {
            report.contract = Some(entry.artifact.clone());
            Arc::new(report)
        });
        (named, took)
    }

    /// Makes an event only where somebody hears it.
    fn tell(&self, subject: &ArtifactRef, kind: impl FnOnce() -> ValidationEvent) {
        let Some(events) = &self.events else { return };
        let seq = self.told.fetch_add(1, Ordering::Relaxed);
        events.emit(&Event::new(self.timer.now(), self.source.clone(), subject.to_string(), seq, kind()));
    }
}

impl std::fmt::Debug for ValidationEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ValidationEngine").field("contracts", &self.list()).finish_non_exhaustive()
    }
}

/// Gathers what the host lends to a [`ValidationEngine`].
#[derive(Default)]
#[must_use = "nothing is opened before build()"]
pub struct ValidationEngineBuilder {
    formats: Vec<Arc<dyn SchemaFormat>>,
    limits: Limits,
    store: Option<Arc<dyn ContractStore>>,
    mode: Mode,
    cache_bytes: u64,
    workers: Option<usize>,
    clock: Option<Arc<dyn Clock>>,
    ids: Option<Arc<dyn IdSource>>,
    events: Option<Arc<dyn EventSink>>,
}

impl ValidationEngineBuilder {
    /// Adds a format beside the built-in ones, or instead of one of the same name.
    pub fn format(mut self, format: impl SchemaFormat + 'static) -> Self {
        self.formats.push(Arc::new(format));
        self
    }

    /// The limits of contracts that are begun with [`ValidationEngine::contract`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Keeps the schemas that are registered; without one, they are kept in memory and end with the engine.
    pub fn store(mut self, store: Arc<dyn ContractStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// How new versions must fit the old ones of a subject for which no [mode was set](ValidationEngine::set_mode). Without it,
    /// nothing is asked.
    pub const fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Remembers reports, up to about so many bytes; without it, or with 0, none. The same bytes in the same encoding then get the same
    /// report from the same contract without being read again: a hit costs the BLAKE3 of the bytes and a look. Whoever asks for what is
    /// being judged waits for that.
    ///
    /// Never remembered: what ran out of a limit, other errors, documents that were given as values, what a contract without a
    /// [fingerprint](Contract::fingerprint) said, and what was judged about as quickly as it would be found.
    pub const fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// On how many threads the engine's [streams](ValidationEngine::validate_stream) judge, at least one; without it, on as many as the
    /// operating system says can run at once. They start when they are needed.
    pub const fn workers(mut self, most: usize) -> Self {
        self.workers = Some(most);
        self
    }

    /// Tells the time of events, and how long judging takes.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Gives the id of this opening, which is part of the events' source.
    pub fn ids(mut self, ids: Arc<dyn IdSource>) -> Self {
        self.ids = Some(ids);
        self
    }

    /// Hears what happens.
    pub fn events(mut self, events: Arc<dyn EventSink>) -> Self {
        self.events = Some(events);
        self
    }

    /// Opens the engine.
    ///
    /// # Errors
    /// [`ValidationError::BrokenLimits`], `Invalid`; [`ValidationError::NotOpened`]: `Invalid` for a format whose name is none,
    /// `Unavailable` when no ids were lent and the operating system has no randomness; [`ValidationError::NotStored`] when the store
    /// cannot be read, and the errors of [`ContractBuilder::build`] when what it holds cannot be built.
    pub fn build(self) -> Result<ValidationEngine, ValidationError> {
        self.limits.check()?;
        let mut formats = SchemaFormats::built_in()?;
        for format in self.formats {
            formats.register(format)?;
        }
        let ids = match self.ids {
            Some(ids) => ids,
            None => Arc::new(RandomIds::new().map_err(|source| ValidationError::NotOpened { source })?),
        };
        let name = "validation".parse();
        let name = name.map_err(|error: ParseError| ValidationError::NotOpened { source: error.into() })?;
        let engine =
            ValidationEngine {
                contracts: RwLock::default(),
                subjects: RwLock::default(),
                store: self.store.unwrap_or_else(|| Arc::new(MemoryContractStore::new())),
                mode: self.mode,
                formats,
                limits: self.limits,
                cache: (self.cache_bytes > 0).then(|| VerdictCache::new(self.cache_bytes)),
                counters: Counters::default(),
                workers: Arc::new(Workers::new(self.workers.unwrap_or_else(|| {
                    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
                }))),
                timer: self.clock.clone().map_or_else(Timer::system, Timer::Lent),
                clock: self.clock,
                events: self.events,
                source: Source::new(&name, ids.next_id()),
                told: AtomicU64::new(0),
            };
        engine.load()?;
        Ok(engine)
    }
}

impl std::fmt::Debug for ValidationEngineBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ValidationEngineBuilder").field("limits", &self.limits).finish_non_exhaustive()
    }
}
