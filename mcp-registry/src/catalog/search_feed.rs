//! What the text index reads of the catalog: a few columns of the change feed.

use rusqlite::{OptionalExtension as _, Row as SqlRow, params};

use super::query::Snapshot;
use super::{failed, signed, unsigned};
use crate::RegistryError;

/// What the text index needs of a row of the change feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FeedRow {
    pub(crate) seq: u64,
    pub(crate) kind: i64,
    /// Microseconds.
    pub(crate) at: i64,
    pub(crate) name: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) media_type: Option<String>,
    pub(crate) body: String,
}

const COLUMNS: &str = "seq, kind, at, name, version, media_type, body";

impl Snapshot<'_> {
    /// The position of the last row; 0 when there is none.
    pub(crate) fn last_seq(&self) -> Result<u64, RegistryError> {
        let fail = |error| failed("find the last row", error);
        let mut statement =
            self.connection.prepare_cached("SELECT seq FROM row ORDER BY seq DESC LIMIT 1").map_err(fail)?;
        let last = statement.query_row([], |row| row.get(0)).optional().map_err(fail)?;
        unsigned(last.unwrap_or(0))
    }

    /// The position of the first row behind `after`.
    pub(crate) fn next_seq(&self, after: u64) -> Result<Option<u64>, RegistryError> {
        let fail = |error| failed("find the next row", error);
        let mut statement = self
            .connection
            .prepare_cached("SELECT seq FROM row WHERE seq > ?1 ORDER BY seq LIMIT 1")
            .map_err(fail)?;
        let next = statement.query_row([signed(after)?], |row| row.get(0)).optional().map_err(fail)?;
        next.map(unsigned).transpose()
    }

    /// Rows behind `after` up to `to`, in order, without those that cannot be read: these are verify's to report.
    pub(crate) fn feed(&self, after: u64, to: u64) -> Result<Vec<FeedRow>, RegistryError> {
        let fail = |error| failed("read the change feed", error);
        let sql = format!("SELECT {COLUMNS} FROM row WHERE seq > ?1 AND seq <= ?2 ORDER BY seq");
        let mut statement = self.connection.prepare_cached(&sql).map_err(fail)?;
        let found = statement
            .query_map(params![signed(after)?, signed(to)?], |row| Ok(feed_row(row).ok()))
            .map_err(fail)?;
        found.filter_map(|row| row.map_err(fail).transpose()).collect()
    }

    /// The row at `seq`; `None` when it cannot be read.
    pub(crate) fn feed_at(&self, seq: u64) -> Option<FeedRow> {
        let sql = format!("SELECT {COLUMNS} FROM row WHERE seq = ?1");
        let mut statement = self.connection.prepare_cached(&sql).ok()?;
        statement.query_row([signed(seq).ok()?], feed_row).ok()
    }
}

fn feed_row(row: &SqlRow<'_>) -> rusqlite::Result<FeedRow> {
    let seq: i64 = row.get(0)?;
    Ok(FeedRow {
        seq: u64::try_from(seq).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, seq))?,
        kind: row.get(1)?,
        at: row.get(2)?,
        name: row.get(3)?,
        version: row.get(4)?,
        media_type: row.get(5)?,
        body: row.get(6)?,
    })
}
