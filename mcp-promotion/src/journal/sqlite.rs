use std::fmt;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::{ErrorKind, Name, SeamError};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use tokio::sync::oneshot;

use super::{Append, Journal, JournalError, MAX_EVENT_BYTES};

/// Marks an SQLite file as a journal of this engine: "MCPJ".
const APPLICATION_ID: i64 = 0x4d43_504a;
/// The layout of the tables.
const LAYOUT: i64 = 1;
/// How long a write waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The most appends that share one transaction.
const MAX_GROUP: usize = 1024;

/// A journal in an SQLite file. Clones share one connection, which lives on a thread of its own.
///
/// Several processes of one host may open the same file; never over a network file system, whose locks cannot be trusted. An append that
/// has returned survives a crash of the process and of the machine: write-ahead log, `synchronous=FULL`. Appends that wait at the
/// same time share one transaction, each with its own outcome.
#[derive(Clone)]
pub struct SqliteJournal {
    jobs: Sender<Job>,
}

type Reply<T> = oneshot::Sender<Result<T, JournalError>>;

enum Job {
    Append(Vec<Append>, Reply<()>),
    Read { stream: Name, after: u64, max: usize, reply: Reply<Vec<Vec<u8>>> },
    Streams { prefix: String, reply: Reply<Vec<Name>> },
}

impl SqliteJournal {
    /// Opens the journal in the file at `path`, or makes one.
    ///
    /// Blocks while the file is opened, up to five seconds when another process is writing.
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be opened; `Invalid` when it is some other SQLite file; `Unsupported` when a newer build
    /// wrote it; `Corrupt` when it is no SQLite file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let path = path.as_ref();
        let connection = open(path)?;
        let (jobs, waiting) = channel();
        std::thread::Builder::new()
            .name("mcp-journal".to_owned())
            .spawn(move || serve(connection, &waiting))
            .map_err(|error| {
                let context = format!("start the thread of the journal {}", path.display());
                SeamError::new(ErrorKind::Unavailable, context).with_source(error)
            })?;
        Ok(Self { jobs })
    }

    async fn ask<T>(&self, what: &str, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, JournalError> {
        let gone =
            || SeamError::new(ErrorKind::Unavailable, format!("{what}: the journal's thread has ended"));
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
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
        self.ask("append to the journal", |reply| Job::Append(batch, reply)).await
    }

    async fn read(&self, stream: &Name, after: u64, max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        let stream = stream.clone();
        self.ask("read the journal", |reply| Job::Read { stream, after, max, reply }).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<Name>, JournalError> {
        let prefix = prefix.to_owned();
        self.ask("list the streams of the journal", |reply| Job::Streams { prefix, reply }).await
    }
}

fn failed(what: impl Into<String>) -> impl FnOnce(rusqlite::Error) -> SeamError {
    let what = what.into();
    move |error| {
        use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
        use rusqlite::ErrorCode::{ConstraintViolation, DatabaseCorrupt, NotADatabase};
        let kind = match (error.sqlite_error_code(), &error) {
            (Some(DatabaseCorrupt | NotADatabase), _) => ErrorKind::Corrupt,
            (Some(ConstraintViolation), _) => ErrorKind::Conflict,
            // The row is there, and is not what was written: no later attempt finds anything else.
            (None, FromSqlConversionFailure(..) | InvalidColumnType(..) | IntegralValueOutOfRange(..)) => {
                ErrorKind::Corrupt
            }
            _ => ErrorKind::Unavailable,
        };
        SeamError::new(kind, what).with_source(error)
    }
}

fn open(path: &Path) -> Result<Connection, JournalError> {
    let what = || format!("open the journal {}", path.display());
    let mut connection = Connection::open(path).map_err(failed(what()))?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed(what()))?;
    connection.pragma_update(None, "journal_mode", "wal").map_err(failed(what()))?;
    connection.pragma_update(None, "synchronous", "full").map_err(failed(what()))?;
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed(what()))?;
    let number = |pragma: &str| {
        transaction.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map_err(failed(what()))
    };
    let tables: i64 = transaction
        .query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))
        .map_err(failed(what()))?;
    match (number("application_id")?, number("user_version")?) {
        (APPLICATION_ID, LAYOUT) => {}
        (APPLICATION_ID, newer) => {
            let context = format!("{}: its layout {newer} is not known to this build", what());
            return Err(SeamError::new(ErrorKind::Unsupported, context));
        }
        (0, 0) if tables == 0 => {
            let schema = format!(
                "CREATE TABLE event (stream TEXT NOT NULL, position INTEGER NOT NULL, bytes BLOB NOT NULL, \
                 PRIMARY KEY (stream, position)) WITHOUT ROWID; \
                 PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {LAYOUT};"
            );
            transaction.execute_batch(&schema).map_err(failed(what()))?;
        }
        _ => {
            let context = format!("{}: it is an SQLite file of something else", what());
            return Err(SeamError::new(ErrorKind::Invalid, context));
        }
    }
    transaction.commit().map_err(failed(what()))?;
    Ok(connection)
}

/// Until every handle is gone. A caller that no longer listens is no error.
fn serve(mut connection: Connection, waiting: &Receiver<Job>) {
    let mut next = waiting.recv().ok();
    while let Some(job) = next.take() {
        match job {
            Job::Append(batch, reply) => {
                let mut group = vec![(batch, reply)];
                while group.len() < MAX_GROUP {
                    match waiting.try_recv() {
                        Ok(Job::Append(batch, reply)) => group.push((batch, reply)),
                        Ok(other) => {
                            next = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                append_group(&mut connection, group);
            }
            Job::Read { stream, after, max, reply } => {
                drop(reply.send(read(&connection, &stream, after, max)))
            }
            Job::Streams { prefix, reply } => drop(reply.send(streams(&connection, &prefix))),
        }
        if next.is_none() {
            next = waiting.recv().ok();
        }
    }
}

/// All in one transaction; a conflict leaves out only the append that has it.
fn append_group(connection: &mut Connection, group: Vec<(Vec<Append>, Reply<()>)>) {
    let mut attempt = || -> Result<Vec<Result<(), JournalError>>, JournalError> {
        const WHAT: &str = "append to the journal";
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed(WHAT))?;
        let mut outcomes = Vec::with_capacity(group.len());
        for (batch, _) in &group {
            outcomes.push(match check(&transaction, batch) {
                Ok(()) => Ok(insert(&transaction, batch)?),
                Err(error) if error.kind() == ErrorKind::Conflict => Err(error),
                Err(error) => return Err(error),
            });
        }
        transaction.commit().map_err(failed(WHAT))?;
        Ok(outcomes)
    };
    match attempt() {
        Ok(outcomes) => {
            for ((_, reply), outcome) in group.into_iter().zip(outcomes) {
                drop(reply.send(outcome));
            }
        }
        Err(error) => {
            for (_, reply) in group {
                let copy = SeamError::new(error.kind(), error.to_string());
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                drop(reply.send(Err(match cause {
                    Some(cause) => copy.with_source(cause),
                    None => copy,
                })));
            }
        }
    }
}

fn check(connection: &Connection, batch: &[Append]) -> Result<(), JournalError> {
    for Append { stream, expected, events } in batch {
        let version = version(connection, stream)?;
        if version != *expected {
            let context = format!("append to stream {stream}: it has {version} events, not {expected}");
            return Err(SeamError::new(ErrorKind::Conflict, context));
        }
        if let Some(large) = events.iter().find(|event| event.len() > MAX_EVENT_BYTES) {
            let context = format!("append to stream {stream}: an event has {} bytes", large.len());
            return Err(SeamError::new(ErrorKind::Exhausted, context));
        }
    }
    Ok(())
}

fn version(connection: &Connection, stream: &Name) -> Result<u64, JournalError> {
    let what = || format!("find the version of stream {stream}");
    let last: Option<i64> = connection
        .prepare_cached("SELECT position FROM event WHERE stream = ?1 ORDER BY position DESC LIMIT 1")
        .and_then(|mut query| query.query_row([stream.as_str()], |row| row.get(0)).optional())
        .map_err(failed(what()))?;
    u64::try_from(last.unwrap_or(0))
        .map_err(|error| SeamError::new(ErrorKind::Corrupt, what()).with_source(error))
}

fn insert(connection: &Connection, batch: &[Append]) -> Result<(), JournalError> {
    for Append { stream, expected, events } in batch {
        let what = || format!("append to stream {stream}");
        let mut insert = connection
            .prepare_cached("INSERT INTO event (stream, position, bytes) VALUES (?1, ?2, ?3)")
            .map_err(failed(what()))?;
        for (position, event) in (expected.saturating_add(1)..).zip(events) {
            let position = to_sql(position, &what())?;
            insert.execute((stream.as_str(), position, event)).map_err(failed(what()))?;
        }
    }
    Ok(())
}

fn read(
    connection: &Connection,
    stream: &Name,
    after: u64,
    max: usize,
) -> Result<Vec<Vec<u8>>, JournalError> {
    let what = || format!("read stream {stream} of the journal");
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let Ok(after) = i64::try_from(after) else {
        return Ok(Vec::new());
    };
    let mut query = connection
        .prepare_cached(
            "SELECT position, bytes FROM event WHERE stream = ?1 AND position > ?2 ORDER BY position LIMIT ?3",
        )
        .map_err(failed(what()))?;
    let rows = query
        .query_map((stream.as_str(), after, max), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
        })
        .map_err(failed(what()))?;
    let mut events = Vec::new();
    for (expected, row) in (after.saturating_add(1)..).zip(rows) {
        let (position, bytes) = row.map_err(failed(what()))?;
        if position != expected {
            let context = format!("{}: event {expected} is missing", what());
            return Err(SeamError::new(ErrorKind::Corrupt, context));
        }
        events.push(bytes);
    }
    Ok(events)
}

fn streams(connection: &Connection, prefix: &str) -> Result<Vec<Name>, JournalError> {
    const WHAT: &str = "list the streams of the journal";
    // One look into the index per stream, where DISTINCT would read every event.
    let mut query = connection
        .prepare_cached("SELECT stream FROM event WHERE stream >= ?1 AND stream > ?2 ORDER BY stream LIMIT 1")
        .map_err(failed(WHAT))?;
    let mut names: Vec<Name> = Vec::new();
    let mut last = String::new();
    loop {
        let found: Option<String> =
            query.query_row((prefix, &last), |row| row.get(0)).optional().map_err(failed(WHAT))?;
        match found {
            Some(name) if name.starts_with(prefix) => {
                names.push(
                    name.parse()
                        .map_err(|error| SeamError::new(ErrorKind::Corrupt, WHAT).with_source(error))?,
                );
                last = name;
            }
            _ => return Ok(names),
        }
    }
}

fn to_sql(number: u64, what: &str) -> Result<i64, JournalError> {
    i64::try_from(number).map_err(|error| SeamError::new(ErrorKind::Exhausted, what).with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_something_else_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
        let error = SqliteJournal::open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let count: i64 = Connection::open(&path)
            .unwrap()
            .query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))
            .unwrap();
        assert_eq!(count, 1);
        let text = folder.path().join("text.db");
        std::fs::write(&text, "not a database, but long enough to be looked at ".repeat(100)).unwrap();
        assert_eq!(SqliteJournal::open(&text).unwrap_err().kind(), ErrorKind::Corrupt);
        let missing = SqliteJournal::open(folder.path().join("no/such/folder.db")).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn a_journal_of_a_newer_build_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        drop(SqliteJournal::open(&path).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 2).unwrap();
        assert_eq!(SqliteJournal::open(&path).unwrap_err().kind(), ErrorKind::Unsupported);
    }

    /// An edit by hand may make a text of the bytes; waiting for it to become readable again would be in vain.
    #[tokio::test]
    async fn an_event_that_is_no_bytes_any_more_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let (journal, stream) = (SqliteJournal::open(&path).unwrap(), "stage/prod".parse::<Name>().unwrap());
        journal.append(&[Append::new(stream.clone(), 0, vec![b"one".to_vec()])]).await.unwrap();
        Connection::open(&path).unwrap().execute("UPDATE event SET bytes = 'two'", []).unwrap();
        let error = journal.read(&stream, 0, 10).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
}
