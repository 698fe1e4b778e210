use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use mcp_core::ErrorKind;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::failed;
use super::present::log_of;
use crate::RegistryError;

/// Opens the database at `path` for reading.
///
/// Readers of a write-ahead log keep a file of locks beside it. Where that cannot be made, as on a file system that is mounted read-only,
/// a database without a log is read as one that never changes (<https://sqlite.org/wal.html#read_only_databases>).
pub(super) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, RegistryError> {
    let fail = |error| failed("open a connection for reading", error);
    if let Ok(false) = path.try_exists() {
        return Err(RegistryError::not_found(
            path.display().to_string(),
            "the folder has no catalog; restore it, or open a new registry for writing once",
        ));
    }
    let flags = flags | OpenFlags::SQLITE_OPEN_READ_ONLY;
    // A path that begins with `file:` must not be taken for a URI.
    let connection =
        Connection::open_with_flags(path, flags.difference(OpenFlags::SQLITE_OPEN_URI)).map_err(fail)?;
    // It is not before the first read that the files are looked at.
    let error = match connection.pragma_query_value(None, "schema_version", |_| Ok(())) {
        Err(error)
            if matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)) =>
        {
            error
        }
        _ => return Ok(connection),
    };
    match std::fs::metadata(log_of(path)) {
        Ok(log) if log.len() > 0 => Err(RegistryError::Catalog {
            what: "read what was committed last",
            kind: ErrorKind::Denied,
            source: format!(
                "{error}: the log that holds it needs a folder that can be written; open it for writing once"
            )
            .into(),
        }),
        _ => Connection::open_with_flags(unchanging(path), flags | OpenFlags::SQLITE_OPEN_URI).map_err(fail),
    }
}

/// The path as a URI that says so, with every byte escaped that could mean something else there.
fn unchanging(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(*byte))
            }
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}
