use mcp_core::Name;
use rusqlite::params;

use super::query::Snapshot;
use super::{failed, unsigned};
use crate::RegistryError;
use crate::feed::Row;

impl Snapshot<'_> {
    /// The rows that moved the channels of `name` last, by channel, behind `after`; not those of removed ones.
    pub(crate) fn channels(&self, name: &Name, after: &str, limit: usize) -> Result<Vec<Row>, RegistryError> {
        let fail = |error| failed("list channels", error);
        let sql = "SELECT seq FROM channel WHERE name = ?1 AND channel > ?2 ORDER BY channel";
        let mut statement = self.connection.prepare_cached(sql).map_err(fail)?;
        let mut found = statement.query(params![name.as_str(), after]).map_err(fail)?;
        let mut rows = Vec::new();
        while rows.len() < limit {
            let Some(row) = found.next().map_err(fail)? else { break };
            let row = self.row(unsigned(row.get(0).map_err(fail)?)?)?.row;
            if row.version.is_some() {
                rows.push(row);
            }
        }
        Ok(rows)
    }
}
