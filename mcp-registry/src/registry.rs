use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mcp_core::{
    Classify, Clock, Event, EventSink, Inspect, Principal, RegistryEvent, RequestId, Source, Timestamp,
};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use crate::auto::Turns;
use crate::catalog::Readers;
use crate::command::Command;
use crate::committer::Stopped;
use crate::counters::Counters;
use crate::pack::PackName;
use crate::packs::PackNames;
use crate::remembered::Remembered;
use crate::search::SearchIndex;
use crate::storage::StorageBackend;
use crate::{RegistryError, Settings};

/// A handle of a registry: cheap to clone, and all clones share one committer.
///
/// Its futures run on the Tokio runtime that opened it. [`close`](Self::close) it at the end; when the last handle is dropped instead,
/// the committer finishes on its own, some time later.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
    actor: Principal,
    /// Of the one command that this handle is for.
    request_id: Option<RequestId>,
}

pub(crate) struct Shared {
    pub(crate) storage: Arc<dyn StorageBackend>,
    pub(crate) readers: Readers,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) sink: Arc<dyn EventSink>,
    pub(crate) inspect: Option<Arc<dyn Inspect>>,
    pub(crate) classify: Option<Arc<dyn Classify>>,
    pub(crate) turns: Turns,
    pub(crate) search: SearchIndex,
    pub(crate) remembered: Arc<Remembered>,
    /// `None` for a handle that reads only.
    pub(crate) writer: Option<Writer>,
    pub(crate) opening: Arc<Opening>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) closed: AtomicBool,
}

/// Where events come from that have no position in the change feed: this opening.
pub(crate) struct Opening {
    source: Source,
    seq: AtomicU64,
}

impl Opening {
    pub(crate) const fn new(source: Source) -> Self {
        Self { source, seq: AtomicU64::new(1) }
    }

    pub(crate) fn event(&self, at: Timestamp, subject: &str, event: RegistryEvent) -> Event {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed);
        Event::new(at, self.source.clone(), subject, seq, event)
    }
}

/// The way to the committer.
pub(crate) struct Writer {
    pub(crate) commands: mpsc::Sender<Command>,
    /// Bytes in flight, in units of [`BUDGET_UNIT`].
    pub(crate) budget: Arc<Semaphore>,
    /// How many of them there are in all.
    pub(crate) budget_units: usize,
    pub(crate) pack_names: PackNames,
    pub(crate) stopped: Stopped,
    /// Changes with each commit, and when the writer stops.
    pub(crate) heads: watch::Receiver<()>,
}

/// The grain of the bytes in flight.
pub(crate) const BUDGET_UNIT: u64 = 1 << 10;

impl Registry {
    pub(crate) fn new(shared: Shared, actor: Principal) -> Self {
        Self { shared: Arc::new(shared), actor, request_id: None }
    }

    /// The same registry, with `actor` written beside everything that this handle does.
    #[must_use]
    pub fn acting_as(&self, actor: Principal) -> Self {
        Self { actor, ..self.clone() }
    }

    /// The same registry, for one command that may have to be repeated: a command through this handle answers what the first one with
    /// this id did, and does nothing again. With a publish, the id of the [`Draft`](crate::Draft) goes before; `publish_many` and pins
    /// take none from here.
    ///
    /// An id is recorded with what its command did, also where there was nothing to do, and never forgotten. A command that failed
    /// records nothing: repeating it tries again.
    #[must_use]
    pub fn with_request_id(&self, id: RequestId) -> Self {
        Self { request_id: Some(id), ..self.clone() }
    }

    /// Finishes what was begun, seals the active pack, and gives the folder back. Every other handle fails from now on with
    /// [`Closed`](RegistryError::Closed). Closing again is no error, and does not wait.
    ///
    /// # Errors
    /// `Unavailable` when the writer had stopped, or when the last writes fail. The folder is given back all the same, and nothing that
    /// was acknowledged is lost.
    ///
    /// # Cancel safety
    /// A dropped call closes the registry all the same.
    pub async fn close(&self) -> Result<(), RegistryError> {
        if self.shared.closed.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.shared.search.close();
        self.shared.readers.close();
        let Some(writer) = &self.shared.writer else { return Ok(()) };
        let (reply, answer) = oneshot::channel();
        let commands = writer.commands.clone();
        // On its own: the queue may be full, and a caller who has gone away has closed the registry all the same.
        drop(tokio::spawn(async move { drop(commands.send(Command::Close(reply)).await) }));
        self.answer(answer).await
    }

    pub(crate) fn request_id(&self) -> Option<&RequestId> {
        self.request_id.as_ref()
    }

    pub(crate) fn actor(&self) -> &Principal {
        &self.actor
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.shared.clock
    }

    pub(crate) fn inspect(&self) -> Option<&dyn Inspect> {
        self.shared.inspect.as_deref()
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    pub(crate) fn shared_counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }

    /// The commands that wait for the committer, and the bytes of unfinished publishes.
    pub(crate) fn in_flight(&self) -> (u64, u64) {
        let Some(writer) = &self.shared.writer else { return (0, 0) };
        let requests = writer.commands.max_capacity().saturating_sub(writer.commands.capacity());
        let units = writer.budget_units.saturating_sub(writer.budget.available_permits());
        (requests as u64, (units as u64).saturating_mul(BUDGET_UNIT))
    }

    pub(crate) fn classify(&self) -> Option<&dyn Classify> {
        self.shared.classify.as_deref()
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.shared.turns
    }

    pub(crate) fn readers(&self) -> &Readers {
        &self.shared.readers
    }

    pub(crate) fn remembered(&self) -> &Arc<Remembered> {
        &self.shared.remembered
    }

    pub(crate) fn search_index(&self) -> &SearchIndex {
        &self.shared.search
    }

    pub(crate) fn storage(&self) -> &Arc<dyn StorageBackend> {
        &self.shared.storage
    }

    /// Tells of something that has no position in the change feed.
    pub(crate) fn tell_apart_from_feed(&self, subject: &str, event: RegistryEvent) {
        self.counters().told(&event);
        let event = self.shared.opening.event(self.clock().now(), subject, event);
        // Whoever caused it gets an answer, whatever becomes of the news of it.
        drop(catch_unwind(AssertUnwindSafe(|| self.shared.sink.emit(&event))));
    }

    fn writer(&self) -> Result<&Writer, RegistryError> {
        let writer = self.shared.writer.as_ref().ok_or(RegistryError::ReadOnly { what: "write" })?;
        if self.shared.closed.load(Ordering::SeqCst) {
            return Err(RegistryError::Closed);
        }
        match writer.stopped.get() {
            Some(stopped) => Err(stopped.stopping()),
            None => Ok(writer),
        }
    }

    /// The name of a pack that nobody else writes.
    pub(crate) fn next_pack(&self) -> Result<PackName, RegistryError> {
        self.writer()?.pack_names.next()
    }

    /// Fails where nothing will be written any more.
    pub(crate) fn check_writable(&self, what: &'static str) -> Result<(), RegistryError> {
        match self.writer() {
            Err(RegistryError::ReadOnly { .. }) => Err(RegistryError::ReadOnly { what }),
            other => other.map(drop),
        }
    }

    /// What changes with each commit; nothing for a handle that reads only.
    pub(crate) fn heads(&self) -> Option<watch::Receiver<()>> {
        self.shared.writer.as_ref().map(|writer| writer.heads.clone())
    }

    /// Waits until so many bytes may be in flight; for more than ever may be, until nothing else is.
    pub(crate) async fn reserve(&self, bytes: u64) -> Result<OwnedSemaphorePermit, RegistryError> {
        let budget = Arc::clone(&self.writer()?.budget);
        let bytes = bytes.min(self.settings().max_bytes_in_flight);
        let units = u32::try_from(bytes.div_ceil(BUDGET_UNIT).max(1)).unwrap_or(u32::MAX);
        if let Ok(reserved) = Arc::clone(&budget).try_acquire_many_owned(units) {
            return Ok(reserved);
        }
        let began = self.clock().monotonic();
        let reserved = budget.acquire_many_owned(units).await.map_err(|_| RegistryError::Closed);
        self.counters().waited(self.clock().monotonic().saturating_sub(began));
        reserved
    }

    pub(crate) async fn send(&self, command: Command) -> Result<(), RegistryError> {
        let commands = &self.writer()?.commands;
        let command = match commands.try_send(command) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(RegistryError::Closed),
            Err(TrySendError::Full(command)) => command,
        };
        let began = self.clock().monotonic();
        let sent = commands.send(command).await.map_err(|_| RegistryError::Closed);
        self.counters().waited(self.clock().monotonic().saturating_sub(began));
        sent
    }

    /// Sends a command, and waits for its outcome.
    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, RegistryError>>) -> Command,
    ) -> Result<T, RegistryError> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply)).await?;
        self.answer(answer).await
    }

    pub(crate) async fn answer<T>(
        &self,
        answer: oneshot::Receiver<Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        answer
            .await
            .unwrap_or_else(|_| Err(RegistryError::stopped("its thread or runtime ended before it answered")))
    }
}

/// Keeps only what `bytes` need of what was reserved.
pub(crate) fn give_back(reserved: &mut OwnedSemaphorePermit, bytes: u64) {
    let needed = usize::try_from(bytes.div_ceil(BUDGET_UNIT).max(1)).unwrap_or(usize::MAX);
    drop(reserved.split(reserved.num_permits().saturating_sub(needed)));
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("actor", &self.actor).finish_non_exhaustive()
    }
}
