use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use mcp_core::{
    Classify, Clock, EventSink, IdSource, Inspect, Name, NullSink, Principal, RandomIds, Source, SystemClock,
};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use crate::auto::Turns;
use crate::bump::Skipped;
use crate::catalog::{CatalogIdentity, CatalogPlace, CatalogWriter, MemoryPlace, Readers, absent};
use crate::committer::Committer;
use crate::counters::Counters;
use crate::lock::WriterLock;
use crate::pack::PackName;
use crate::pack_writer::PackWriter;
use crate::packs::{PackNames, WriterPacks};
use crate::registry::{BUDGET_UNIT, Opening, Shared, Writer};
use crate::remembered::Remembered;
use crate::search::SearchIndex;
use crate::storage::Stat;
use crate::storage::local::{create_folders, remove_left_over, storage_error, sync_folder};
use crate::stored::Stored;
use crate::{LocalStorage, MemoryStorage, Registry, RegistryError, Settings, StorageBackend, format, owner};

/// What a registry is opened with: a storage, a place for the catalog, settings, and what the host lends.
#[must_use = "a builder does nothing until it opens"]
pub struct Builder {
    storage: Arc<dyn StorageBackend>,
    /// Where the catalog, its lock and its format file are; `None`: in memory.
    folder: Option<PathBuf>,
    /// The packs are in `folder` too: there is one lock for both, and no owner object is made.
    together: bool,
    settings: Settings,
    clock: Arc<dyn Clock>,
    ids: Option<Arc<dyn IdSource>>,
    sink: Arc<dyn EventSink>,
    inspect: Option<Arc<dyn Inspect>>,
    classify: Option<Arc<dyn Classify>>,
    actor: Option<Principal>,
    holder: Option<String>,
    #[cfg(test)]
    pub(crate) catalog_fault: Option<crate::catalog::CommitFault>,
}

impl Registry {
    /// Opens the registry in `folder` for writing, and creates it where it is missing. Needs a Tokio runtime.
    ///
    /// # Errors
    /// By kind: `Unavailable` ([`Locked`](RegistryError::Locked)) when another writer has it; `Conflict`
    /// ([`OwnedByAnother`](RegistryError::OwnedByAnother)) when the packs in it belong to a catalog elsewhere; `Unsupported` when a later
    /// build wrote it; `Corrupt`; `Denied` when the folder cannot be written.
    pub async fn open(folder: impl Into<PathBuf>) -> Result<Self, RegistryError> {
        Self::local(folder).open().await
    }

    /// Opens the registry in `folder` for reading, whether or not another process writes to it.
    ///
    /// # Errors
    /// As [`open`](Self::open) has them; `NotFound` when there is no registry.
    pub async fn open_read_only(folder: impl Into<PathBuf>) -> Result<Self, RegistryError> {
        Self::local(folder).open_read_only().await
    }

    /// A registry with its catalog and its packs in `folder`.
    pub fn local(folder: impl Into<PathBuf>) -> Builder {
        let folder = folder.into();
        let storage = Arc::new(LocalStorage::new(&folder));
        Builder { together: true, ..Self::builder(storage).catalog_in(folder) }
    }

    /// A registry in memory, which vanishes with its last handle.
    pub fn in_memory() -> Builder {
        Self::builder(Arc::new(MemoryStorage::new()))
    }

    /// A registry with its packs in `storage`, and its catalog in memory unless a folder is given.
    ///
    /// The first catalog that is opened for writing puts the object `owner` into the storage, and any other catalog is refused from then
    /// on with [`OwnedByAnother`](RegistryError::OwnedByAnother): also by a process whose catalog in memory came after one that has vanished.
    pub fn builder(storage: Arc<dyn StorageBackend>) -> Builder {
        Builder {
            storage,
            folder: None,
            together: false,
            settings: Settings::default(),
            clock: Arc::new(SystemClock::new()),
            ids: None,
            sink: Arc::new(NullSink),
            inspect: None,
            classify: None,
            actor: None,
            holder: None,
            #[cfg(test)]
            catalog_fault: None,
        }
    }
}

impl Builder {
    /// Keeps the catalog in `folder`, on a local file system.
    pub fn catalog_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self.together = false;
        self
    }

    /// Other settings than the default ones.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Another clock than the operating system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Another source of ids than the operating system's randomness.
    pub fn ids(mut self, ids: Arc<dyn IdSource>) -> Self {
        self.ids = Some(ids);
        self
    }

    /// Who hears of what happens; nobody by default. An event at which the sink panics is lost, and nothing else is.
    pub fn events(mut self, sink: Arc<dyn EventSink>) -> Self {
        self.sink = sink;
        self
    }

    /// Who is asked before anything is published; nobody by default.
    pub fn inspect(mut self, inspect: Arc<dyn Inspect>) -> Self {
        self.inspect = Some(inspect);
        self
    }

    /// Who compares an artifact with the one before it for [`Bump::Auto`](crate::Bump::Auto); nobody by default, and then that is refused.
    pub fn classify(mut self, classify: Arc<dyn Classify>) -> Self {
        self.classify = Some(classify);
        self
    }

    /// Who is written beside what is done through the opened handle, where nothing else is said; `registry` by default.
    pub fn actor(mut self, actor: Principal) -> Self {
        self.actor = Some(actor);
        self
    }

    /// What a second writer is told about this one, such as `process 812 on build-1`; `process` and its number by default.
    pub fn holder(mut self, holder: impl Into<String>) -> Self {
        self.holder = Some(holder.into());
        self
    }

    /// Opens for writing.
    ///
    /// # Errors
    /// As [`Registry::open`] has them; `Invalid` for settings that contradict each other.
    pub async fn open(self) -> Result<Registry, RegistryError> {
        self.settings.check()?;
        let ids = self.id_source()?;
        let holder = self.holder.clone().unwrap_or_else(|| format!("process {}", std::process::id()));
        let lock = match self.folder.clone() {
            Some(folder) => {
                let holder = holder.clone();
                Some(blocking(move || prepare_folder(&folder, &holder)).await?)
            }
            None => None,
        };
        let place = self.place();
        // Also where none is made: the folder may be the storage of a catalog that is elsewhere.
        let owner = owner::find(&self.storage).await?;
        if let Some(owner) = &owner {
            let place = place.clone();
            owner.check(blocking(move || place.existing_id()).await?)?;
        }
        // A catalog that was restored from an earlier state must not use the names of packs again that were made since.
        let present = self.packs().await?;
        let seen = last_epoch(&present);
        let (catalog, source_of_ids) = (place.clone(), Arc::clone(&ids));
        #[cfg_attr(not(test), expect(unused_mut, reason = "only tests make its commits fail"))]
        // The lock goes along: an opening that nobody waits for any more must not touch the catalog of the next one.
        let (lock, mut writer) =
            blocking(move || Ok((lock, CatalogWriter::open(catalog, &*source_of_ids, seen)?))).await?;
        #[cfg(test)]
        self.catalog_fault.into_iter().for_each(|fault| writer.fail_at(fault));
        let CatalogIdentity { id, epoch } = writer.identity();
        if !self.together && owner.is_none() {
            owner::claim(&self.storage, id, &holder, self.clock.now()).await?;
        }
        let engine = engine_name()?;
        let stopped = Arc::new(OnceLock::new());
        let (heads, changed) = watch::channel(());
        let counters = Arc::new(Counters::default());
        let pack_names = PackNames::new(epoch);
        let opening = Arc::new(Opening::new(Source::new(&engine, ids.next_id())));
        let readers = Readers::beside(place, writer.tail(), self.settings.read_connections);
        let search = SearchIndex::new(readers.clone());
        let committer = Committer {
            writer,
            search: search.clone(),
            packs: WriterPacks::new(pack_names.clone()),
            pack_writer: PackWriter::new(Arc::clone(&self.storage), Handle::current()),
            readers: readers.clone(),
            skipped: Skipped::default(),
            stored: Stored::new(Arc::clone(&self.storage), Handle::current(), epoch, present),
            runtime: Handle::current(),
            settings: self.settings.clone(),
            clock: Arc::clone(&self.clock),
            sink: Arc::clone(&self.sink),
            source: Source::new(&engine, id),
            opening: Arc::clone(&opening),
            stopped: Arc::clone(&stopped),
            heads,
            counters: Arc::clone(&counters),
            lock,
        };
        let units =
            usize::try_from(self.settings.max_bytes_in_flight.div_ceil(BUDGET_UNIT)).unwrap_or(usize::MAX);
        let budget_units = units.min(Semaphore::MAX_PERMITS);
        let budget = Arc::new(Semaphore::new(budget_units));
        let writer = Writer {
            commands: committer.spawn()?,
            budget,
            budget_units,
            pack_names,
            stopped,
            heads: changed,
        };
        self.finish(readers, search, opening, counters, Some(writer))
    }

    /// Opens for reading.
    ///
    /// # Errors
    /// As [`Registry::open_read_only`] has them.
    pub async fn open_read_only(self) -> Result<Registry, RegistryError> {
        self.settings.check()?;
        let ids = self.id_source()?;
        let Some(folder) = self.folder.clone() else {
            return Err(RegistryError::not_found("a registry in memory", "only its own handles can read it"));
        };
        let readers = Readers::following(self.place(), self.settings.read_connections);
        let asked = readers.clone();
        let found = blocking(move || {
            format::check(&folder)?;
            asked.identity()
        });
        if found.await?.is_none() {
            return Err(absent(last_epoch(&self.packs().await?)));
        }
        let opening = Arc::new(Opening::new(Source::new(&engine_name()?, ids.next_id())));
        let search = SearchIndex::new(readers.clone());
        self.finish(readers, search, opening, Arc::default(), None)
    }

    fn finish(
        self,
        readers: Readers,
        search: SearchIndex,
        opening: Arc<Opening>,
        counters: Arc<Counters>,
        writer: Option<Writer>,
    ) -> Result<Registry, RegistryError> {
        let shared = Shared {
            storage: self.storage,
            search,
            readers,
            remembered: Arc::new(Remembered::new(self.settings.entry_cache_bytes)),
            settings: self.settings,
            clock: self.clock,
            sink: self.sink,
            inspect: self.inspect,
            classify: self.classify,
            turns: Turns::default(),
            writer,
            opening,
            counters,
            closed: AtomicBool::new(false),
        };
        let actor = self.actor.map_or_else(|| "registry".parse(), Ok)?;
        Ok(Registry::new(shared, actor))
    }

    fn place(&self) -> CatalogPlace {
        match &self.folder {
            Some(folder) => CatalogPlace::file(folder),
            None => CatalogPlace::Memory(MemoryPlace::new()),
        }
    }

    fn id_source(&self) -> Result<Arc<dyn IdSource>, RegistryError> {
        if let Some(ids) = &self.ids {
            return Ok(Arc::clone(ids));
        }
        let ids = RandomIds::new()
            .map_err(|source| RegistryError::Storage { what: "a source of ids".to_owned(), source })?;
        Ok(Arc::new(ids))
    }

    /// The packs that are there, with their lengths.
    async fn packs(&self) -> Result<BTreeMap<PackName, u64>, RegistryError> {
        let packs = self
            .storage
            .list(PackName::PREFIX)
            .await
            .map_err(|source| RegistryError::Storage { what: "listing packs".to_owned(), source })?;
        let named = |pack: Stat| Some((pack.key.as_str().parse::<PackName>().ok()?, pack.bytes));
        Ok(packs.into_iter().filter_map(named).collect())
    }
}

/// The highest writer epoch among the packs; they sort by it.
fn last_epoch(packs: &BTreeMap<PackName, u64>) -> u32 {
    packs.last_key_value().map_or(0, |(name, _)| name.epoch)
}

fn engine_name() -> Result<Name, RegistryError> {
    Ok("registry".parse()?)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, RegistryError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| RegistryError::Closed)?
}

/// Creates the folder, takes its lock, and checks its format: in this order, so that a kill in between leaves what opens again.
fn prepare_folder(folder: &Path, holder: &str) -> Result<WriterLock, RegistryError> {
    let create = || {
        // Its own entry in any case: whoever created it may have been killed before it synced.
        create_folders(folder.parent().unwrap_or(folder), folder, sync_folder)?;
        // Says so where it is no folder.
        fs::create_dir_all(folder)
    };
    create().map_err(|error| {
        let what = format!("creating {}", folder.display());
        RegistryError::Storage { source: storage_error(what.clone(), error), what }
    })?;
    let lock = WriterLock::take(folder, holder)?;
    format::prepare(folder)?;
    remove_left_over(&folder.join("packs"));
    Ok(lock)
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("folder", &self.folder)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
