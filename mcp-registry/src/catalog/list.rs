use std::collections::BTreeSet;

use mcp_core::{Artifact, ArtifactRef, Digest, ErrorKind, Holder, Name, Timestamp};
use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::query::{Snapshot, VersionHit, digest_prefix};
use super::{CatalogIdentity, failed, schema, signed, unsigned};
use crate::RegistryError;
use crate::entry::Entry;
use crate::pack::PackName;
use crate::pin::Pinned;
use crate::version_key::VersionKey;

/// Counts that each commit keeps up to date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    pub(crate) versions: u64,
    pub(crate) names: u64,
    pub(crate) blobs: u64,
    pub(crate) logical_bytes: u64,
    pub(crate) stored_bytes: u64,
}

impl Snapshot<'_> {
    /// Names behind `after` that begin with `prefix`, in order.
    pub(crate) fn names(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<Name>, RegistryError> {
        let what = "list names";
        let fail = |error| failed(what, error);
        // One seek for each name, however many versions it has.
        let mut seek = self
            .0
            .prepare_cached("SELECT name FROM version WHERE name >= ?1 ORDER BY name LIMIT 1")
            .map_err(fail)?;
        let mut names: Vec<Name> = Vec::new();
        // A name has no character below this one: what follows a name begins here.
        let behind = |name: &str| format!("{name}!");
        let mut from = if after < prefix { prefix.to_owned() } else { behind(after) };
        while names.len() < limit {
            let mut found = seek.query([&from]).map_err(fail)?;
            let Some(row) = found.next().map_err(fail)? else { break };
            let name: String = row.get(0).map_err(fail)?;
            if !name.starts_with(prefix) {
                break;
            }
            from = behind(&name);
            names.push(name.parse()?);
        }
        Ok(names)
    }

    /// Versions of `name` that precede `below`, the highest first, whether yanked or not. One whose row is damaged is left out: it is
    /// for `verify` to tell, and the others are readable.
    pub(crate) fn versions(
        &self,
        name: &Name,
        below: Option<&VersionKey>,
        limit: usize,
    ) -> Result<Vec<Entry>, RegistryError> {
        let what = "list versions";
        let fail = |error| failed(what, error);
        // Each of the four runs is read backwards, and no further than the limit.
        let run = |class: i64| {
            format!(
                "SELECT * FROM (SELECT key, seq, yank FROM version WHERE name = ?1 AND class = {class} \
             AND (?2 IS NULL OR key < ?2) ORDER BY key DESC LIMIT ?3)"
            )
        };
        let sql = format!(
            "{} UNION ALL {} UNION ALL {} UNION ALL {} ORDER BY 1 DESC LIMIT ?3",
            run(0),
            run(1),
            run(2),
            run(3)
        );
        let mut statement = self.0.prepare_cached(&sql).map_err(fail)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = statement
            .query_map(params![name.as_str(), below.map(VersionKey::as_bytes), limit], |row| {
                Ok((row.get::<_, i64>(1)?, row.get::<_, Option<i64>>(2)?))
            })
            .map_err(fail)?;
        let mut entries = Vec::new();
        for hit in found {
            let (seq, yank) = hit.map_err(fail)?;
            let hit = VersionHit { seq: unsigned(seq)?, yank: yank.map(unsigned).transpose()? };
            match self.entry(hit) {
                Ok((entry, _)) => entries.push(entry),
                Err(error) if error.kind() == ErrorKind::Corrupt => {}
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }

    /// Pins that have not expired at `now`, by holder and then in the order of publishing.
    pub(crate) fn pins(&self, now: Timestamp) -> Result<Vec<Pinned>, RegistryError> {
        let what = "list pins";
        let fail = |error| failed(what, error);
        let mut statement = self
            .0
            .prepare_cached(
                "SELECT p.holder, r.name, r.version, r.digest, p.expires FROM pin p JOIN row r ON r.seq = p.publish \
                 WHERE p.expires IS NULL OR p.expires > ?1 ORDER BY p.holder, p.publish",
            )
            .map_err(fail)?;
        let mut found = statement.query([now.as_micros()]).map_err(fail)?;
        let mut pins = Vec::new();
        while let Some(row) = found.next().map_err(fail)? {
            let text = |column: usize| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
            let holder: Holder = text(0).map_err(fail)?.parse()?;
            let reference =
                ArtifactRef::new(text(1).map_err(fail)?.parse()?, text(2).map_err(fail)?.parse()?);
            let digest = Digest::from_bytes(row.get(3).map_err(fail)?);
            let expires = row.get::<_, Option<i64>>(4).map_err(fail)?.map(Timestamp::from_micros);
            pins.push(Pinned { holder, artifact: Artifact::new(reference, digest), expires });
        }
        Ok(pins)
    }

    pub(crate) fn totals(&self) -> Result<Totals, RegistryError> {
        let what = "read the totals";
        let read = |row: &rusqlite::Row<'_>| {
            Ok([row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?])
        };
        let sql = "SELECT versions, names, blobs, logical_bytes, stored_bytes FROM total";
        let [versions, names, blobs, logical_bytes, stored_bytes] =
            self.0.query_row(sql, [], read).map_err(|error| failed(what, error))?;
        Ok(Totals {
            versions: unsigned(versions)?,
            names: unsigned(names)?,
            blobs: unsigned(blobs)?,
            logical_bytes: unsigned(logical_bytes)?,
            stored_bytes: unsigned(stored_bytes)?,
        })
    }

    /// The sealed packs, with their sizes.
    pub(crate) fn sealed_packs(&self) -> Result<Vec<(PackName, u64)>, RegistryError> {
        let what = "list packs";
        let mut statement = self
            .0
            .prepare_cached("SELECT epoch, number, bytes FROM pack ORDER BY epoch, number")
            .map_err(|error| failed(what, error))?;
        let found = statement
            .query_map([], |row| {
                Ok((PackName { epoch: row.get(0)?, number: row.get(1)? }, row.get::<_, i64>(2)?))
            })
            .map_err(|error| failed(what, error))?;
        found
            .map(|pack| {
                let (name, bytes) = pack.map_err(|error| failed(what, error))?;
                Ok((name, unsigned(bytes)?))
            })
            .collect()
    }

    /// How many rows the table `table` of this module has.
    pub(crate) fn count(&self, table: &'static str) -> Result<u64, RegistryError> {
        let count = self.0.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0));
        unsigned(count.map_err(|error| failed("count rows", error))?)
    }

    /// Whether the digest of the publish at `seq` is indexed under its name.
    pub(crate) fn has_digest(&self, digest: &Digest, name: &Name, seq: u64) -> Result<bool, RegistryError> {
        let fail = |error| failed("find a digest", error);
        let mut statement = self
            .0
            .prepare_cached("SELECT 1 FROM digest WHERE prefix = ?1 AND name = ?2 AND seq = ?3")
            .map_err(fail)?;
        statement.exists(params![digest_prefix(digest), name.as_str(), signed(seq)?]).map_err(fail)
    }

    /// What the database itself finds wrong with its pages and indexes; empty when nothing.
    pub(crate) fn integrity(&self) -> Result<Vec<String>, RegistryError> {
        let fail = |error| failed("check the database", error);
        let mut statement = self.0.prepare("PRAGMA integrity_check(100)").map_err(fail)?;
        let found = statement.query_map([], |row| row.get::<_, String>(0)).map_err(fail)?;
        let mut faults = found.collect::<Result<Vec<_>, _>>().map_err(fail)?;
        faults.retain(|fault| fault != "ok");
        Ok(faults)
    }

    /// The rows of the yanks that stand.
    pub(crate) fn yanks(&self) -> Result<BTreeSet<u64>, RegistryError> {
        let fail = |error| failed("list yanks", error);
        let sql = "SELECT yank FROM version WHERE yank IS NOT NULL OR class >= 2";
        let mut statement = self.0.prepare_cached(sql).map_err(fail)?;
        let found = statement.query_map([], |row| row.get::<_, Option<i64>>(0)).map_err(fail)?;
        // One that is marked by its class only leads to no row.
        found.map(|yank| unsigned(yank.map_err(fail)?.unwrap_or(0))).collect()
    }

    pub(crate) fn identity(&self) -> Result<CatalogIdentity, RegistryError> {
        schema::identity(self.0)
    }

    /// All of `work` sees one state.
    pub(crate) fn in_transaction<T>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let _transaction = self.0.unchecked_transaction().map_err(|error| failed("begin to read", error))?;
        work(self)
    }
}
