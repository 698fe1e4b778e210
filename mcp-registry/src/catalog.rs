//! The transactional state, in SQLite. Nothing outside this module knows its tables; another database would replace it as a whole.
//!
//! One thread owns the [`CatalogWriter`]; reads go through [`Readers`], which have connections of their own.

mod changes;
mod channels;
mod dependents;
mod digests;
mod filter;
mod known;
mod list;
mod log;
mod marks;
mod merge;
mod moved;
mod present;
mod query;
mod read_only;
mod readers;
mod schema;
mod search_feed;
mod shared;
mod tail;
#[cfg(test)]
mod tests;
mod walk;
mod writer;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use mcp_core::{ErrorKind, Id, ParseError};
use rusqlite::{Connection, OpenFlags};

use crate::RegistryError;

pub(crate) use changes::Changes;
pub(crate) use dependents::needed;
pub(crate) use list::Totals;
pub(crate) use marks::Marks;
pub(crate) use query::{Class, Snapshot, StoredRow, VersionHit};
pub(crate) use readers::Readers;
pub(crate) use schema::absent;
pub(crate) use search_feed::FeedRow;
#[cfg(test)]
pub(crate) use writer::CommitFault;
pub(crate) use writer::{CatalogWriter, Commit};

/// How long a connection waits for another that holds a lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a catalog's database is.
#[derive(Clone, Debug)]
pub(crate) enum CatalogPlace {
    File(PathBuf),
    Memory(MemoryPlace),
}

/// A database in memory that all connections of one registry share.
#[derive(Clone, Debug)]
pub(crate) struct MemoryPlace {
    uri: String,
    /// Such a database has no write-ahead log: a commit needs all readers gone. So readers and the writer take turns.
    turns: Arc<RwLock<()>>,
}

impl MemoryPlace {
    pub(crate) fn new() -> Self {
        // The name is shared by the whole process.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { uri: format!("file:/mcp-registry-{count}?vfs=memdb"), turns: Arc::default() }
    }
}

/// Which catalog it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CatalogIdentity {
    pub(crate) id: Id,
    pub(crate) epoch: u32,
}

impl CatalogPlace {
    pub(crate) fn file(folder: &Path) -> Self {
        Self::File(folder.join("catalog.db"))
    }

    /// The id of the catalog that is there; `None` when a new one would be made.
    pub(crate) fn existing_id(&self) -> Result<Option<Id>, RegistryError> {
        let Self::File(path) = self else { return Ok(None) };
        if !path.exists() {
            return Ok(None);
        }
        let connection = self.connect(false)?;
        match schema::check_format(&connection)? {
            0 => Ok(None),
            _ => schema::identity(&connection).map(|identity| Some(identity.id)),
        }
    }

    fn connect(&self, read_only: bool) -> Result<Connection, RegistryError> {
        let what = "open a connection";
        let mut flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let connection = match self {
            Self::File(path) if read_only => Ok(read_only::connect(path, flags)?),
            Self::File(path) => {
                flags |= OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
                // A path that begins with `file:` must not be taken for a URI.
                flags.remove(OpenFlags::SQLITE_OPEN_URI);
                Connection::open_with_flags(path, flags)
            }
            Self::Memory(place) => {
                flags |= OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
                Connection::open_with_flags(&place.uri, flags)
            }
        }
        .map_err(|error| failed(what, error))?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(|error| failed(what, error))?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    }
}

/// What is wrong with a statement, <https://sqlite.org/rescode.html#error>.
const SQLITE_ERROR: i32 = 1;

/// What the database's error asks of the caller.
pub(crate) fn failed(what: &'static str, error: rusqlite::Error) -> RegistryError {
    use rusqlite::ErrorCode;
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => ErrorKind::Corrupt,
        Some(ErrorCode::DiskFull) => ErrorKind::Exhausted,
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => ErrorKind::Denied,
        Some(ErrorCode::ConstraintViolation | ErrorCode::ApiMisuse | ErrorCode::TypeMismatch) => {
            ErrorKind::Internal
        }
        // The tables are not those that every catalog has: "no such table", "no such column".
        Some(_) if error.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_ERROR) => {
            ErrorKind::Corrupt
        }
        Some(_) => ErrorKind::Unavailable,
        // Not from SQLite itself: a column of another type than its table declares.
        None => ErrorKind::Corrupt,
    };
    RegistryError::Catalog { what, kind, source: Box::new(error) }
}

/// A count or position that the database keeps as a signed number.
fn signed(number: u64) -> Result<i64, RegistryError> {
    i64::try_from(number).map_err(|_| RegistryError::TooLarge {
        what: "keep a number in the catalog".to_owned(),
        size: number,
        limit: i64::MAX as u64,
        setting: "the database",
    })
}

/// What the text of an index says. Only what was parsed before is ever written: another text is damage, not the caller's mistake.
fn stored<T: FromStr<Err = ParseError>>(what: &'static str, text: &str) -> Result<T, RegistryError> {
    text.parse().map_err(|error: ParseError| RegistryError::Corrupt {
        what: what.to_owned(),
        place: "catalog.db".to_owned(),
        reason: error.to_string(),
    })
}

fn unsigned(number: i64) -> Result<u64, RegistryError> {
    u64::try_from(number).map_err(|_| RegistryError::Corrupt {
        what: "a number of the catalog".to_owned(),
        place: "catalog.db".to_owned(),
        reason: format!("{number} is negative"),
    })
}
