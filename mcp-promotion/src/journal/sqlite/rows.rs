use mcp_core::{ErrorKind, Name, SeamError};
use rusqlite::{Connection, OptionalExtension};

use super::{Append, JournalError, failed};
use crate::journal::{MAX_READ_BYTES, check_shape};

/// Whether `batch` can be appended to what is there now.
pub(super) fn check(connection: &Connection, batch: &[Append]) -> Result<(), JournalError> {
    check_shape(batch)?;
    for append in batch {
        append.check_version(version(connection, &append.stream)?)?;
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

pub(super) fn insert(connection: &Connection, batch: &[Append]) -> Result<(), JournalError> {
    for Append { stream, expected, events } in batch {
        let what = || format!("append to stream {stream}");
        let mut insert = connection
            .prepare_cached("INSERT INTO event (stream, position, bytes) VALUES (?1, ?2, ?3)")
            .map_err(failed(what()))?;
        for (position, event) in (expected.saturating_add(1)..).zip(events) {
            let position = i64::try_from(position)
                .map_err(|error| SeamError::new(ErrorKind::Exhausted, what()).with_source(error))?;
            insert.execute((stream.as_str(), position, event)).map_err(failed(what()))?;
        }
    }
    Ok(())
}

pub(super) fn read(
    connection: &Connection,
    stream: &Name,
    after: u64,
    max: usize,
) -> Result<Vec<Vec<u8>>, JournalError> {
    let what = || format!("read stream {stream} of the journal");
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let Some(first) = i64::try_from(after).ok().and_then(|after| after.checked_add(1)) else {
        return Ok(Vec::new());
    };
    // Rows before the first position are nobody's events, and are found where a stream is read from its beginning.
    let from = if after == 0 { i64::MIN } else { first };
    let mut query = connection
        .prepare_cached(
            "SELECT position, bytes FROM event WHERE stream = ?1 AND position >= ?2 ORDER BY position LIMIT ?3",
        )
        .map_err(failed(what()))?;
    let rows = query
        .query_map((stream.as_str(), from, max), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))
        .map_err(failed(what()))?;
    let (mut events, mut total) = (Vec::new(), 0_usize);
    for (expected, row) in (first..).zip(rows) {
        let (position, bytes) = row.map_err(failed(what()))?;
        if position != expected {
            let context = if position < expected {
                format!("{}: something stands at position {position}, before the first event", what())
            } else {
                format!("{}: event {expected} is missing", what())
            };
            return Err(SeamError::new(ErrorKind::Corrupt, context));
        }
        total = total.saturating_add(bytes.len());
        events.push(bytes);
        if total >= MAX_READ_BYTES {
            break;
        }
    }
    Ok(events)
}

pub(super) fn streams(connection: &Connection, prefix: &str) -> Result<Vec<Name>, JournalError> {
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

/// What was kept beside a stream.
pub(super) fn snapshot(connection: &Connection, stream: &Name) -> Result<Option<Vec<u8>>, JournalError> {
    connection
        .prepare_cached("SELECT bytes FROM snapshot WHERE stream = ?1")
        .and_then(|mut query| query.query_row([stream.as_str()], |row| row.get(0)).optional())
        .map_err(failed(format!("read the snapshot of stream {stream}")))
}

pub(super) fn keep(connection: &Connection, stream: &Name, bytes: &[u8]) -> Result<(), JournalError> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO snapshot (stream, bytes) VALUES (?1, ?2)")
        .and_then(|mut insert| insert.execute((stream.as_str(), bytes)))
        .map(drop)
        .map_err(failed(format!("keep a snapshot of stream {stream}")))
}
