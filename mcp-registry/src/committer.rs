use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use mcp_core::{Clock, ErrorKind, EventSink, Source};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use crate::bump::Skipped;
use crate::catalog::{CatalogWriter, Commit, Readers};
use crate::command::{Answer, Command, CommitContext};
use crate::counters::{Counters, Outcomes};
use crate::linger::Linger;
use crate::lock::WriterLock;
use crate::pack_writer::PackWriter;
use crate::packs::WriterPacks;
use crate::registry::Opening;
use crate::search::SearchIndex;
use crate::stored::Stored;
use crate::{RegistryError, Settings};

/// The most commands of one commit.
const MAX_COMMANDS: usize = 4096;
/// So many bytes of blobs close a commit, since they are gathered in memory once more; one blob may have more.
const MAX_BYTES: usize = 16 << 20;
/// Above so many answers, a task of the runtime gives them: waking a task from within is much cheaper.
const ANSWERS_HERE: usize = 8;

/// Up to so many commands, the pack is written on the committer's thread.
const WRITTEN_HERE: usize = 8;

/// Why the writer stopped, once it has.
pub(crate) type Stopped = Arc<OnceLock<RegistryError>>;

/// The one thread that writes: it takes all commands that wait, and makes them one durable commit.
///
/// Nothing is retried: after a failed sync nobody knows what is on the disk, so the first failure of storage or catalog stops the writer.
pub(crate) struct Committer {
    pub(crate) writer: CatalogWriter,
    pub(crate) search: SearchIndex,
    pub(crate) packs: WriterPacks,
    pub(crate) pack_writer: PackWriter,
    /// They share the writer's tail, and let go of its log.
    pub(crate) readers: Readers,
    pub(crate) skipped: Skipped,
    pub(crate) stored: Stored,
    pub(crate) runtime: Handle,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) sink: Arc<dyn EventSink>,
    pub(crate) source: Source,
    pub(crate) opening: Arc<Opening>,
    pub(crate) stopped: Stopped,
    /// Wakes those who follow the change feed.
    pub(crate) heads: watch::Sender<()>,
    pub(crate) counters: Arc<Counters>,
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

    fn run(mut self, queue: mpsc::Receiver<Command>) {
        let mut waiting = Waiting { queue, closing: None };
        let mut linger =
            Linger::new(if self.pack_writer.appends() { Duration::ZERO } else { self.settings.linger });
        let mut recent = 0;
        while let Some(first) = waiting.queue.blocking_recv() {
            let mut batch = Batch::default();
            waiting.take(first, &mut batch);
            waiting.fill(&mut batch);
            let open = !batch.is_full() && waiting.closing.is_none();
            if open && linger.wait(batch.commands.len()) {
                waiting.fill(&mut batch);
            }
            recent = batch.commands.len().max(recent / 2);
            // After a panic too, callers learn why nothing is written any more, and the folder is given back when it is closed.
            let commit = || self.commit(batch, &mut waiting, recent);
            let done = catch_unwind(AssertUnwindSafe(commit));
            if done.is_err() {
                let error =
                    RegistryError::stopped("something that the host has lent panicked during a commit");
                drop(self.stopped.set(error));
            }
            self.heads.send_replace(());
            recent = recent.max(done.unwrap_or(0));
            if self.stopped.get().is_none() {
                self.writer.tidy(&self.readers);
            }
        }
        let finished = self.finish();
        if let Some(reply) = waiting.closing {
            Answer::Done(reply, finished).give();
        }
    }

    /// Makes one durable commit of the batch and of what comes meanwhile, and says how many commands it had.
    fn commit(&mut self, mut batch: Batch, waiting: &mut Waiting, recent: usize) -> usize {
        if let Some(stopped) = self.stopped.get() {
            batch.commands.into_iter().for_each(|command| command.refuse(stopped.stopping()).give());
            return 0;
        }
        if batch.commands.is_empty() {
            return 0;
        }
        let began = self.clock.monotonic();
        let mut answers = Vec::with_capacity(batch.commands.len());
        let mut count = 0;
        let Self { writer, packs, pack_writer, settings, source, opening, skipped, stored, .. } = self;
        let at = self.clock.now();
        let mut context = CommitContext { at, packs, source, opening, skipped, stored, events: Vec::new() };
        let written = writer.commit(recent, |commit| {
            // While the index was merged, others have come.
            waiting.fill(&mut batch);
            count = batch.commands.len();
            while let Some(command) = batch.commands.pop_front() {
                command.apply(commit, &mut context, &mut answers)?;
            }
            let seal = !pack_writer.appends()
                || context.packs.active().is_some_and(|pack| pack.is_full(settings.pack_bytes));
            write_pack(commit, context.packs, pack_writer, seal, count > WRITTEN_HERE)
        });
        match written {
            Ok(()) => {
                let mut outcomes = Outcomes::default();
                for answer in &answers {
                    if let Answer::Published(_, outcome) = answer {
                        outcomes.outcome(outcome);
                    }
                }
                let took = self.clock.monotonic().saturating_sub(began);
                self.counters.commit(count, took, &outcomes, &context.events);
                for event in &context.events {
                    // The commit is durable, whatever becomes of the news of it.
                    drop(catch_unwind(AssertUnwindSafe(|| self.sink.emit(event))));
                }
                self.give(answers);
                self.search.committed(self.writer.last_seq(), &self.runtime);
            }
            Err(error) => {
                let refused = batch.commands.into_iter();
                answers.extend(refused.map(|command| command.refuse(RegistryError::Closed)));
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
        count
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
        let Self { mut writer, mut packs, mut pack_writer, readers, stopped, lock, .. } = self;
        readers.close();
        let outcome = if let Some(stopped) = stopped.get() {
            Err(stopped.stopping())
        } else if packs.active().is_some_and(|pack| !pack.is_empty()) {
            writer.commit(0, |commit| write_pack(commit, &mut packs, &mut pack_writer, true, false))
        } else {
            Ok(())
        };
        pack_writer.close();
        let closed = writer.close(outcome.is_ok());
        drop(lock);
        outcome.and(closed)
    }
}

/// The commands that wait, and who has asked to close.
struct Waiting {
    queue: mpsc::Receiver<Command>,
    closing: Option<oneshot::Sender<Result<(), RegistryError>>>,
}

/// The commands of one commit.
#[derive(Default)]
struct Batch {
    commands: VecDeque<Command>,
    bytes: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.commands.len() >= MAX_COMMANDS || self.bytes >= MAX_BYTES
    }
}

impl Waiting {
    fn take(&mut self, command: Command, batch: &mut Batch) {
        match command {
            Command::Close(reply) if self.closing.is_none() => {
                self.closing = Some(reply);
                // What was sent before is still answered.
                self.queue.close();
            }
            command => {
                batch.bytes = batch.bytes.saturating_add(command.bytes());
                batch.commands.push_back(command);
            }
        }
    }

    /// Takes all that wait, as far as there is room.
    fn fill(&mut self, batch: &mut Batch) {
        while !batch.is_full() {
            let Ok(command) = self.queue.try_recv() else { return };
            self.take(command, batch);
        }
    }
}

/// Makes the blobs that wait durable, before the commit that refers to them is; meanwhile writes its rows.
fn write_pack(
    commit: &mut Commit<'_>,
    packs: &mut WriterPacks,
    pack_writer: &mut PackWriter,
    seal: bool,
    beside: bool,
) -> Result<(), RegistryError> {
    let Some(pack) = packs.active() else { return Ok(()) };
    if seal {
        pack.seal();
        commit.add_sealed_pack(pack.name, pack.length())?;
    }
    let name = pack.name;
    let pending = pack.take_pending();
    let writing =
        pending.map(|(offset, bytes)| pack_writer.begin(name, offset, bytes, beside)).transpose()?;
    let rows = commit.write_rows();
    if let Some(writing) = writing {
        writing.wait()?;
    }
    rows?;
    if seal {
        packs.finish();
    }
    Ok(())
}
