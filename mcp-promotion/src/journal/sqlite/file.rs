use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mcp_core::{ErrorKind, SeamError};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{JournalError, failed};

/// Marks an SQLite file as a journal of this engine: "MCPJ".
const APPLICATION_ID: i64 = 0x4d43_504a;
/// The layout of the tables.
const LAYOUT: i64 = 1;

/// What was computed from a stream; only a cache.
const SNAPSHOTS: &str =
    "CREATE TABLE IF NOT EXISTS snapshot (stream TEXT NOT NULL PRIMARY KEY, bytes BLOB NOT NULL)";

/// A connection to the file of a journal, and which file that was.
pub(super) struct JournalFile {
    path: PathBuf,
    identity: Identity,
    connection: Connection,
}

impl JournalFile {
    /// Opens the file, or makes it.
    pub(super) fn open(path: &Path, busy_timeout: Duration) -> Result<Self, JournalError> {
        let what = || format!("open the journal {}", path.display());
        let mut connection = Connection::open(path).map_err(failed(what()))?;
        connection.busy_timeout(busy_timeout).map_err(failed(what()))?;
        connection.pragma_update(None, "journal_mode", "wal").map_err(failed(what()))?;
        connection.pragma_update(None, "synchronous", "full").map_err(failed(what()))?;
        prepare(&mut connection, &what())?;
        Self::new(path, connection)
    }

    /// Another connection to the same file, which only reads.
    pub(super) fn reader(&self, busy_timeout: Duration) -> Result<Self, JournalError> {
        let what = || format!("open the journal {} for reading", self.path.display());
        // Not SQLITE_OPEN_READ_ONLY: that could not repair the write-ahead log's index after a crash.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(failed(what()))?;
        connection.busy_timeout(busy_timeout).map_err(failed(what()))?;
        connection.pragma_update(None, "query_only", true).map_err(failed(what()))?;
        let reader = Self::new(&self.path, connection)?;
        self.is_still_there()?;
        Ok(reader)
    }

    fn new(path: &Path, connection: Connection) -> Result<Self, JournalError> {
        let unknown = |error| {
            let context = format!("open the journal {}", path.display());
            SeamError::new(ErrorKind::Unavailable, context).with_source(error)
        };
        // Where the host changes its folder, the same path would be another file.
        let path = std::fs::canonicalize(path).map_err(unknown)?;
        let identity = identity(&path).map_err(unknown)?;
        Ok(Self { path, identity, connection })
    }

    /// Where it is, links followed.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) const fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Whether what was just written or read stands in the file that has this path. A file that was removed while it is open takes
    /// everything, and loses it with the last handle.
    pub(super) fn is_still_there(&self) -> Result<(), JournalError> {
        let why = match identity(&self.path) {
            Ok(identity) if identity == self.identity => return Ok(()),
            Ok(_) => io::Error::other("another file has taken its place"),
            Err(error) => error,
        };
        let context = format!(
            "use the journal {}: the file that was opened is not there any more; put it back, then open the journal again",
            self.path.display()
        );
        Err(SeamError::new(ErrorKind::Unavailable, context).with_source(why))
    }
}

/// Looks whether it is a journal, and makes the table in a file that is empty.
fn prepare(connection: &mut Connection, what: &str) -> Result<(), JournalError> {
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed(what))?;
    let number = |pragma: &str| {
        transaction.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map_err(failed(what))
    };
    let count = |of: &str| transaction.query_row(of, [], |row| row.get::<_, i64>(0)).map_err(failed(what));
    match (number("application_id")?, number("user_version")?) {
        (APPLICATION_ID, LAYOUT) => {
            if count("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'event'")? == 0 {
                return Err(SeamError::new(
                    ErrorKind::Corrupt,
                    format!("{what}: its table of events is gone"),
                ));
            }
            // Earlier builds had none, and do not look at it.
            transaction.execute_batch(SNAPSHOTS).map_err(failed(what))?;
        }
        (APPLICATION_ID, newer) => {
            let context = format!("{what}: its layout {newer} is not known to this build");
            return Err(SeamError::new(ErrorKind::Unsupported, context));
        }
        (0, 0) if count("SELECT count(*) FROM sqlite_master")? == 0 => {
            let schema = format!(
                "CREATE TABLE event (stream TEXT NOT NULL, position INTEGER NOT NULL, bytes BLOB NOT NULL, \
                 PRIMARY KEY (stream, position)) WITHOUT ROWID; {SNAPSHOTS}; \
                 PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {LAYOUT};"
            );
            transaction.execute_batch(&schema).map_err(failed(what))?;
        }
        _ => {
            let context = format!("{what}: it is an SQLite file of something else");
            return Err(SeamError::new(ErrorKind::Invalid, context));
        }
    }
    transaction.commit().map_err(failed(what))
}

/// Device and inode.
#[cfg(unix)]
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(path: &Path) -> io::Result<Identity> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Elsewhere an open file cannot be removed; only that there is one is looked at.
#[cfg(not(unix))]
type Identity = ();

#[cfg(not(unix))]
fn identity(path: &Path) -> io::Result<Identity> {
    std::fs::metadata(path).map(drop)
}
