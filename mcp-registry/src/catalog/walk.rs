use mcp_core::Name;
use rusqlite::{CachedStatement, Connection, Rows, params};

use super::failed;
use super::query::{Class, VersionHit, version_hit};
use super::tail::View;
use crate::RegistryError;
use crate::interval::KeyRange;
use crate::version_key::VersionKey;

/// The versions of one class of a name within a range, from the highest down: the table and the tail as one run.
pub(super) struct ClassWalk<'a> {
    tail: &'a View,
    name: &'a Name,
    class: Class,
    range: Option<&'a KeyRange>,
    rows: Rows<'a>,
    /// The next ones of the table and of the tail; `None` at their ends.
    table: Option<(VersionKey, VersionHit)>,
    newer: Option<(VersionKey, Option<VersionHit>)>,
    /// What was given last, before the next ones are looked for: mostly only the first is asked for.
    table_taken: bool,
    newer_taken: Option<VersionKey>,
}

const WHAT: &str = "find versions";

impl<'a> ClassWalk<'a> {
    /// What a walk reads the table with.
    pub(super) fn statement(connection: &Connection) -> Result<CachedStatement<'_>, RegistryError> {
        // Keys lie between the empty one and one that no version has.
        connection
            .prepare_cached(
                "SELECT key, seq, yank FROM version WHERE name = ?1 AND class = ?2 AND key >= ?3 AND key < ?4 \
                 ORDER BY key DESC",
            )
            .map_err(|error| failed(WHAT, error))
    }

    pub(super) fn new(
        tail: &'a View,
        statement: &'a mut CachedStatement<'_>,
        name: &'a Name,
        class: Class,
        range: Option<&'a KeyRange>,
    ) -> Result<Self, RegistryError> {
        let (first, last) = (VersionKey::first(), VersionKey::last());
        let from = range.map_or(&first, |range| &range.from);
        let to = range.and_then(|range| range.to.as_ref()).unwrap_or(&last);
        let rows = statement
            .query(params![name.as_str(), class as i64, from.as_bytes(), to.as_bytes()])
            .map_err(|error| failed(WHAT, error))?;
        let newer = tail.next_below(name, class, range, None);
        let (table, table_taken, newer_taken) = (None, true, None);
        Ok(Self { tail, name, class, range, rows, table, newer, table_taken, newer_taken })
    }

    /// The next version; `None` at the end.
    pub(super) fn step(&mut self) -> Result<Option<(VersionKey, VersionHit)>, RegistryError> {
        loop {
            if std::mem::take(&mut self.table_taken) {
                self.step_table()?;
            }
            if let Some(key) = self.newer_taken.take() {
                self.newer = self.tail.next_below(self.name, self.class, self.range, Some(&key));
            }
            let from_tail = match (&self.newer, &self.table) {
                (Some((newer, _)), Some((old, _))) => newer >= old,
                (newer, _) => newer.is_some(),
            };
            if !from_tail {
                self.table_taken = self.table.is_some();
                return Ok(self.table.take());
            }
            let Some((key, state)) = self.newer.take() else { return Ok(None) };
            self.table_taken = self.table.as_ref().is_some_and(|(old, _)| *old == key);
            self.newer_taken = Some(key.clone());
            if let Some(hit) = state {
                return Ok(Some((key, hit)));
            }
        }
    }

    fn step_table(&mut self) -> Result<(), RegistryError> {
        let fail = |error| failed(WHAT, error);
        self.table = match self.rows.next().map_err(fail)? {
            None => None,
            Some(row) => {
                let key = VersionKey::from_bytes(row.get(0).map_err(fail)?);
                let hit = (row.get(1).map_err(fail)?, row.get(2).map_err(fail)?);
                Some((key, version_hit(hit)?))
            }
        };
        Ok(())
    }
}
