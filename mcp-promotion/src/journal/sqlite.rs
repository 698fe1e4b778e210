mod file;
mod owners;
mod rows;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::{ErrorKind, Name, SeamError};
use tokio::sync::oneshot;

use super::{Append, Journal, JournalError, Owners, Snapshots};
use file::JournalFile;
use owners::LockFiles;

/// How long a write waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A journal in an SQLite file. Clones share two connections, each on a thread of its own: one that writes, one that reads.
///
/// Several processes of one host may open the same file; never over a network file system, whose locks cannot be trusted. An append that
/// has returned survives a crash of the process and of the machine: write-ahead log, `synchronous=FULL`. Appends that wait at the
/// same time share one transaction, each with its own outcome. Reads do not wait for appends under way, and see every one that has returned.
///
/// An engine that drives locks a file of its owner name in the folder `<journal>.owners`, so that another one takes over at once when its
/// process has ended. The folder gets one empty file for each owner name; they may be removed while no engine is open.
///
/// Where the file was removed or replaced while it was open, nothing is said to be written or read any more (on systems with inodes).
#[derive(Clone)]
pub struct SqliteJournal {
    writes: Sender<writer::Write>,
    reads: Sender<Read>,
    owners: Arc<LockFiles>,
}

/// The way back to whoever waits.
type Reply<T> = oneshot::Sender<Result<T, JournalError>>;

enum Read {
    Events { stream: Name, after: u64, max: usize, reply: Reply<Vec<Vec<u8>>> },
    Streams { prefix: String, reply: Reply<Vec<Name>> },
    Snapshot { stream: Name, reply: Reply<Option<Vec<u8>>> },
}

impl SqliteJournal {
    /// Opens the journal in the file at `path`, or makes one.
    ///
    /// Blocks while the file is opened, up to five seconds when another process is writing.
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be opened; `Denied` when it cannot be written to; `Invalid` when it is some other SQLite file;
    /// `Unsupported` when a newer build wrote it; `Corrupt` when it is no SQLite file, or has lost its table.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let path = path.as_ref();
        let mut writing = JournalFile::open(path, BUSY_TIMEOUT)?;
        let reading = writing.reader(BUSY_TIMEOUT)?;
        let owners = Arc::new(LockFiles::beside(writing.path()));
        let (writes, waiting) = channel();
        spawn("mcp-journal", path, move || writer::serve(&mut writing, &waiting))?;
        let (reads, waiting) = channel();
        spawn("mcp-journal-read", path, move || serve(&reading, &waiting))?;
        Ok(Self { writes, reads, owners })
    }
}

fn spawn(name: &str, path: &Path, work: impl FnOnce() + Send + 'static) -> Result<(), JournalError> {
    let failed = |error| {
        let context = format!("start a thread of the journal {}", path.display());
        SeamError::new(ErrorKind::Unavailable, context).with_source(error)
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop).map_err(failed)
}

async fn ask<J, T>(jobs: &Sender<J>, what: &str, job: impl FnOnce(Reply<T>) -> J) -> Result<T, JournalError> {
    let gone = || SeamError::new(ErrorKind::Unavailable, format!("{what}: the journal's thread has ended"));
    let (reply, answer) = oneshot::channel();
    jobs.send(job(reply)).map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

impl fmt::Debug for SqliteJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteJournal").finish_non_exhaustive()
    }
}

#[async_trait]
impl Journal for SqliteJournal {
    async fn append(&self, batch: &[Append]) -> Result<(), JournalError> {
        let batch = batch.to_vec();
        ask(&self.writes, "append to the journal", |reply| {
            writer::Write::Append(writer::Job { batch, reply })
        })
        .await
    }

    async fn read(&self, stream: &Name, after: u64, max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        let stream = stream.clone();
        ask(&self.reads, "read the journal", |reply| Read::Events { stream, after, max, reply }).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<Name>, JournalError> {
        let prefix = prefix.to_owned();
        ask(&self.reads, "list the streams of the journal", |reply| Read::Streams { prefix, reply }).await
    }

    fn snapshots(&self) -> Option<&dyn Snapshots> {
        Some(self)
    }

    fn owners(&self) -> Option<&dyn Owners> {
        Some(&*self.owners)
    }
}

#[async_trait]
impl Snapshots for SqliteJournal {
    async fn load(&self, stream: &Name) -> Result<Option<Vec<u8>>, JournalError> {
        let stream = stream.clone();
        ask(&self.reads, "read a snapshot", |reply| Read::Snapshot { stream, reply }).await
    }

    async fn keep(&self, stream: &Name, snapshot: Vec<u8>) -> Result<(), JournalError> {
        let stream = stream.clone();
        let write = |reply| writer::Write::Keep { stream, snapshot, reply };
        ask(&self.writes, "keep a snapshot", write).await
    }
}

/// Answers reads until every handle is gone. A caller that no longer listens is no error.
fn serve(file: &JournalFile, waiting: &Receiver<Read>) {
    while let Ok(read) = waiting.recv() {
        match read {
            Read::Events { stream, after, max, reply } => {
                let events = rows::read(file.connection(), &stream, after, max);
                drop(reply.send(events.and_then(|events| file.is_still_there().map(|()| events))));
            }
            Read::Streams { prefix, reply } => {
                let names = rows::streams(file.connection(), &prefix);
                drop(reply.send(names.and_then(|names| file.is_still_there().map(|()| names))));
            }
            Read::Snapshot { stream, reply } => {
                drop(reply.send(rows::snapshot(file.connection(), &stream)));
            }
        }
    }
}

fn failed(what: impl Into<String>) -> impl FnOnce(rusqlite::Error) -> SeamError {
    let what = what.into();
    move |error| {
        use rusqlite::Error::{
            FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, SqlInputError,
            SqliteFailure,
        };
        use rusqlite::ErrorCode::{
            ConstraintViolation, DatabaseCorrupt, NotADatabase, PermissionDenied, ReadOnly, Unknown,
        };
        let kind = match &error {
            SqliteFailure(failure, _) => match failure.code {
                DatabaseCorrupt | NotADatabase => ErrorKind::Corrupt,
                // The statements are fixed: where one does not fit, the table is not the one that was made.
                Unknown if failure.extended_code == rusqlite::ffi::SQLITE_ERROR => ErrorKind::Corrupt,
                ConstraintViolation => ErrorKind::Conflict,
                ReadOnly | PermissionDenied => ErrorKind::Denied,
                _ => ErrorKind::Unavailable,
            },
            // The row is there, and is not what was written: no later attempt finds anything else.
            FromSqlConversionFailure(..)
            | InvalidColumnType(..)
            | IntegralValueOutOfRange(..)
            | SqlInputError { .. } => ErrorKind::Corrupt,
            _ => ErrorKind::Unavailable,
        };
        SeamError::new(kind, what).with_source(error)
    }
}

#[cfg(test)]
mod tests;
