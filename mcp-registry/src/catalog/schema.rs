use mcp_core::{Digest, ErrorKind, Id, IdSource};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use super::{CatalogIdentity, failed, signed, unsigned};
use crate::RegistryError;
use crate::format::FORMAT;

/// `FORMAT.md` explains the columns.
const TABLES: &str = "
CREATE TABLE meta(key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE row(
    seq INTEGER PRIMARY KEY,
    chain BLOB NOT NULL,
    kind INTEGER NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    request TEXT,
    name TEXT,
    version TEXT,
    digest BLOB,
    sha256 BLOB,
    size INTEGER,
    media_type TEXT,
    body TEXT NOT NULL,
    pack_epoch INTEGER,
    pack_number INTEGER,
    pack_offset INTEGER,
    record_bytes INTEGER
) STRICT;
CREATE TABLE version(
    name TEXT NOT NULL, class INTEGER NOT NULL, key BLOB NOT NULL, seq INTEGER NOT NULL, yank INTEGER,
    PRIMARY KEY(name, class, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE digest(
    prefix INTEGER NOT NULL, name TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(prefix, name, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE request(id TEXT PRIMARY KEY NOT NULL, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE channel(
    name TEXT NOT NULL, channel TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(name, channel)
) STRICT, WITHOUT ROWID;
CREATE TABLE pin(
    holder TEXT NOT NULL, publish INTEGER NOT NULL, expires INTEGER, PRIMARY KEY(holder, publish)
) STRICT, WITHOUT ROWID;
CREATE TABLE mark(publish INTEGER PRIMARY KEY, labels INTEGER, deprecation INTEGER) STRICT;
CREATE TABLE dependent(
    dependency TEXT NOT NULL, name TEXT NOT NULL, key BLOB NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY(dependency, name, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE pack(
    epoch INTEGER NOT NULL, number INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY(epoch, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE total(
    versions INTEGER NOT NULL, names INTEGER NOT NULL, blobs INTEGER NOT NULL,
    logical_bytes INTEGER NOT NULL, stored_bytes INTEGER NOT NULL
) STRICT;
INSERT INTO total VALUES (0, 0, 0, 0, 0);
";

/// Creates the tables where they are missing, and raises the writer's epoch above `seen`: durable when it returns.
pub(super) fn prepare(
    connection: &mut Connection,
    ids: &dyn IdSource,
    seen: u32,
) -> Result<CatalogIdentity, RegistryError> {
    let what = "prepare the tables";
    let fail = |error| failed(what, error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
    let version = check_format(&transaction)?;
    if version == 0 {
        transaction.execute_batch(TABLES).map_err(fail)?;
        transaction.pragma_update(None, "user_version", signed(u64::from(FORMAT))?).map_err(fail)?;
        transaction
            .execute(
                "INSERT INTO meta VALUES ('catalog', ?1), ('epoch', '0'), ('merged', '0')",
                [ids.next_id().to_string()],
            )
            .map_err(fail)?;
    }
    let CatalogIdentity { id, epoch } = identity(&transaction)?;
    let epoch = epoch.max(seen).checked_add(1).ok_or_else(|| corrupt("its writer epoch has run out"))?;
    transaction
        .execute("UPDATE meta SET value = ?1 WHERE key = 'epoch'", [epoch.to_string()])
        .map_err(fail)?;
    transaction.commit().map_err(fail)?;
    Ok(CatalogIdentity { id, epoch })
}

/// Refuses to begin a new catalog where packs say, by their highest epoch, that there was one: it was durable before the first of them.
pub(super) fn check_present(connection: &Connection, seen: u32) -> Result<(), RegistryError> {
    if seen > 0 && check_format(connection)? == 0 {
        return Err(absent(seen));
    }
    Ok(())
}

/// Why nothing can be read where there is no catalog, or one without tables: `seen` is the highest epoch of the packs.
pub(crate) fn absent(seen: u32) -> RegistryError {
    if seen > 0 {
        return corrupt("it is empty or missing although there are packs");
    }
    RegistryError::Catalog {
        what: "find the tables",
        kind: ErrorKind::Unavailable,
        source: "there are none, and no packs: whoever makes the registry has not come that far, or was killed before; try again, or \
                 open it for writing once"
            .into(),
    }
}

/// The format of the tables; 0 when there are none yet.
pub(super) fn check_format(connection: &Connection) -> Result<u32, RegistryError> {
    let version: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|error| failed("read the format", error))?;
    let version = u32::try_from(version).map_err(|_| corrupt("its format number is negative"))?;
    if version > FORMAT {
        return Err(RegistryError::NewerFormat { found: version, known: FORMAT });
    }
    Ok(version)
}

pub(super) fn identity(connection: &Connection) -> Result<CatalogIdentity, RegistryError> {
    let id: Id = meta(connection, "catalog")?.parse().map_err(|_| corrupt("its id is not one"))?;
    Ok(CatalogIdentity { id, epoch: epoch(connection)? })
}

pub(super) fn epoch(connection: &Connection) -> Result<u32, RegistryError> {
    meta(connection, "epoch")?.parse().map_err(|_| corrupt("its writer epoch is not a number"))
}

/// The row up to which everything is in the tables of the indexes.
pub(super) fn merged(connection: &Connection) -> Result<u64, RegistryError> {
    meta(connection, "merged")?.parse().map_err(|_| corrupt("it does not say which rows are indexed"))
}

pub(super) fn set_merged(connection: &Connection, merged: u64) -> Result<(), RegistryError> {
    connection
        .prepare_cached("UPDATE meta SET value = ?1 WHERE key = 'merged'")
        .and_then(|mut statement| statement.execute([merged.to_string()]))
        .map_err(|error| failed("note which rows are indexed", error))?;
    Ok(())
}

fn meta(connection: &Connection, key: &str) -> Result<String, RegistryError> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")
        .and_then(|mut statement| statement.query_row([key], |row| row.get::<_, String>(0)).optional())
        .map_err(|error| failed("read which catalog it is", error))?
        .ok_or_else(|| corrupt("it does not say which it is"))
}

/// The position and chain of the last row.
pub(super) fn head(connection: &Connection) -> Result<Option<(u64, Digest)>, RegistryError> {
    let found = connection
        .query_row("SELECT seq, chain FROM row ORDER BY seq DESC LIMIT 1", params![], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?))
        })
        .optional()
        .map_err(|error| failed("read the last row", error))?;
    found.map(|(seq, chain)| Ok((unsigned(seq)?, Digest::from_bytes(chain)))).transpose()
}

fn corrupt(reason: &str) -> RegistryError {
    RegistryError::Corrupt {
        what: "the catalog".to_owned(),
        place: "catalog.db".to_owned(),
        reason: reason.to_owned(),
    }
}
