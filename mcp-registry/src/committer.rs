use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use mcp_core::{Clock, ErrorKind, EventSink, Source};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use crate::catalog::{CatalogWriter, Commit};
use crate::command::{Answer, Command, CommitContext};
use crate::linger::Linger;
use crate::lock::WriterLock;
use crate::packs::WriterPacks;
use crate::registry::Opening;
use crate::search::SearchIndex;
use crate::storage::{PutWhen, StorageBackend, StorageError};
use crate::{RegistryError, Settings};

/// The most commands of one commit.
const MAX_COMMANDS: usize = 4096;
/// So many bytes of blobs close a commit, since they are gathered in memory once more; one blob may have more.
const MAX_BYTES: usize = 16 << 20;
/// Above so many answers, a task of the runtime gives them: waking a task from within is much cheaper.
const ANSWERS_HERE: usize = 8;

/// Why the writer stopped, once it has.
pub(crate) type Stopped = Arc<OnceLock<RegistryError>>;

/// The one thread that writes: it takes all commands that wait, and makes them one durable commit.
///
/// Nothing is retried: after a failed sync nobody knows what is on the disk, so the first failure of storage or catalog stops the writer.
pub(crate) struct Committer {
    pub(crate) writer: CatalogWriter,
    pub(crate) search: SearchIndex,
    pub(crate) packs: WriterPacks,
    pub(crate) storage: Arc<dyn StorageBackend>,
    pub(crate) runtime: Handle,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) sink: Arc<dyn EventSink>,
    pub(crate) source: Source,
    pub(crate) opening: Arc<Opening>,
    pub(crate) stopped: Stopped,
    /// Wakes those who follow the change feed.
    pub(crate) heads: watch::Sender<()>,
    /// Given up last.
    pub(crate) lock: Option<WriterLock>,
}

impl Committer {
    /// Runs until the registry is closed, or until all its handles are gone.
    pub(crate) fn spawn(self) -> Result<mpsc::Sender<Command>, RegistryError> {
        let (sender, queue) = mpsc::channel(self.settings.max_requests_in_flight);
        thread::Builder::new()
            .name("mcp-registry-committer".to_owned())
            .spawn(move || self.run(queue))
            .map_err(|error| RegistryError::Catalog {
                what: "start the committer's thread",
                kind: ErrorKind::Unavailable,
                source: error.into(),
            })?;
        Ok(sender)
    }

    fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        let mut closing = None;
        let appends = self.storage.append().is_some();
        let mut linger = Linger::new(if appends { Duration::ZERO } else { self.settings.linger });
        while let Some(first) = queue.blocking_recv() {
            let mut batch = Vec::new();
            let mut bytes = 0_usize;
            let mut next = Some(first);
            let mut lingered = false;
            while let Some(command) = next {
                match command {
                    Command::Close(reply) if closing.is_none() => {
                        closing = Some(reply);
                        // What was sent before is still answered.
                        queue.close();
                    }
                    command => {
                        bytes = bytes.saturating_add(command.bytes());
                        batch.push(command);
                    }
                }
                let full = batch.len() >= MAX_COMMANDS || bytes >= MAX_BYTES;
                next = if !full { queue.try_recv().ok() } else { None };
                if next.is_none() && !full && !lingered && closing.is_none() {
                    lingered = true;
                    next = if linger.wait(batch.len()) { queue.try_recv().ok() } else { None };
                }
            }
            // After a panic too, callers learn why nothing is written any more, and the folder is given back when it is closed.
            if !batch.is_empty() && catch_unwind(AssertUnwindSafe(|| self.commit(batch))).is_err() {
                let error =
                    RegistryError::stopped("something that the host has lent panicked during a commit");
                drop(self.stopped.set(error));
            }
            self.heads.send_replace(());
        }
        let finished = self.finish();
        if let Some(reply) = closing {
            Answer::Done(reply, finished).give();
        }
    }

    fn commit(&mut self, batch: Vec<Command>) {
        if let Some(stopped) = self.stopped.get() {
            batch.into_iter().for_each(|command| command.refuse(stopped.stopping()).give());
            return;
        }
        let mut answers = Vec::with_capacity(batch.len());
        let mut waiting = batch.into_iter();
        let Self { writer, packs, storage, runtime, settings, source, opening, .. } = self;
        let mut context = CommitContext { at: self.clock.now(), packs, source, opening, events: Vec::new() };
        let written = writer.commit(|commit| {
            for command in waiting.by_ref() {
                command.apply(commit, &mut context, &mut answers)?;
            }
            let seal = storage.append().is_none()
                || context.packs.active().is_some_and(|pack| pack.is_full(settings.pack_bytes));
            write_pack(commit, context.packs, storage, runtime, seal)
        });
        match written {
            Ok(()) => {
                for event in &context.events {
                    // The commit is durable, whatever becomes of the news of it.
                    drop(catch_unwind(AssertUnwindSafe(|| self.sink.emit(event))));
                }
                self.give(answers);
                self.search.committed(self.writer.last_seq(), &self.runtime);
            }
            Err(error) => {
                answers.extend(waiting.map(|command| command.refuse(RegistryError::Closed)));
                for answer in answers {
                    let error = error.stopping();
                    match answer {
                        Answer::Published(reply, _) => Answer::Published(reply, Err(error)),
                        Answer::Done(reply, _) => Answer::Done(reply, Err(error)),
                    }
                    .give();
                }
                drop(self.stopped.set(error.stopping()));
            }
        }
    }

    fn give(&self, answers: Vec<Answer>) {
        if answers.len() <= ANSWERS_HERE {
            answers.into_iter().for_each(Answer::give);
        } else {
            drop(self.runtime.spawn(async move { answers.into_iter().for_each(Answer::give) }));
        }
    }

    /// Seals the active pack, closes the catalog, and gives up the lock.
    fn finish(self) -> Result<(), RegistryError> {
        let Self { mut writer, mut packs, storage, runtime, stopped, lock, .. } = self;
        let outcome = if let Some(stopped) = stopped.get() {
            Err(stopped.stopping())
        } else if packs.active().is_some_and(|pack| !pack.is_empty()) {
            writer.commit(|commit| write_pack(commit, &mut packs, &storage, &runtime, true))
        } else {
            Ok(())
        };
        let closed = writer.close();
        drop(lock);
        outcome.and(closed)
    }
}

/// Makes the blobs that wait durable, before the commit that refers to them is.
fn write_pack(
    commit: &mut Commit<'_>,
    packs: &mut WriterPacks,
    storage: &Arc<dyn StorageBackend>,
    runtime: &Handle,
    seal: bool,
) -> Result<(), RegistryError> {
    let Some(pack) = packs.active() else { return Ok(()) };
    if seal {
        pack.seal();
        commit.add_sealed_pack(pack.name, pack.length())?;
    }
    let (name, key) = (pack.name, pack.name.key());
    if let Some((offset, bytes)) = pack.take_pending() {
        let written = match storage.append() {
            Some(append) => append.grow(&key, offset, bytes),
            None => {
                let storage = Arc::clone(storage);
                wait(runtime, async move { storage.put(&key, bytes, PutWhen::Absent).await })
                    .and_then(|written| written)
            }
        };
        written.map_err(|source| RegistryError::Storage { what: format!("writing {name}"), source })?;
    }
    if seal {
        packs.finish();
    }
    Ok(())
}

/// Runs a future of the storage on the runtime, and waits for it on this thread.
fn wait<T: Send + 'static>(
    runtime: &Handle,
    future: impl Future<Output = T> + Send + 'static,
) -> Result<T, StorageError> {
    let (sender, receiver) = oneshot::channel();
    drop(runtime.spawn(async move { drop(sender.send(future.await)) }));
    receiver.blocking_recv().map_err(|_| {
        StorageError::new(
            ErrorKind::Unavailable,
            "it panicked, or the runtime that opened the registry ended",
        )
    })
}
