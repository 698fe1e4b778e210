use std::collections::BTreeSet;

use mcp_core::{Artifact, ArtifactRef, Digest, ErrorKind, Holder, Name, Timestamp};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::query::{Class, Snapshot, VersionHit, digest_prefix};
use super::walk::ClassWalk;
use super::{CatalogIdentity, failed, schema, signed, stored, unsigned};
use crate::RegistryError;
use crate::entry::Entry;
use crate::interval::KeyRange;
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
            .connection
            .prepare_cached("SELECT name FROM version WHERE name >= ?1 ORDER BY name LIMIT 1")
            .map_err(fail)?;
        let mut names: Vec<Name> = Vec::new();
        // A name has no character below this one: what follows a name begins here.
        let behind = |name: &str| format!("{name}!");
        let mut from = if after < prefix { prefix.to_owned() } else { behind(after) };
        while names.len() < limit {
            let mut found = seek.query([&from]).map_err(fail)?;
            let row = found.next().map_err(fail)?;
            let merged = row.map(|row| row.get::<_, String>(0)).transpose().map_err(fail)?;
            let merged = merged.map(|name| stored::<Name>(NAME, &name)).transpose()?;
            let Some(name) = merged.into_iter().chain(self.tail.next_name(&from)).min() else { break };
            if !name.as_str().starts_with(prefix) {
                break;
            }
            from = behind(name.as_str());
            names.push(name);
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
        let range = below.map(|below| KeyRange { from: VersionKey::first(), to: Some(below.clone()) });
        let mut tables = Vec::with_capacity(Class::ALL.len());
        for _ in Class::ALL {
            tables.push(ClassWalk::statement(self.connection)?);
        }
        let mut walks = Vec::with_capacity(Class::ALL.len());
        for (class, table) in Class::ALL.into_iter().zip(&mut tables) {
            let mut walk = ClassWalk::new(self.tail, table, name, class, range.as_ref())?;
            let next = walk.step()?;
            walks.push((next, walk));
        }
        let mut entries = Vec::new();
        while entries.len() < limit {
            let heads = walks.iter_mut().filter(|(next, _)| next.is_some());
            let Some((next, walk)) = heads.max_by(|(a, _), (b, _)| key_of(a).cmp(&key_of(b))) else { break };
            if let Some((key, hit)) = next.take() {
                match self.entry(hit) {
                    // Whoever goes on from here must come nearer to the end: a row that says otherwise than the index is a damaged one.
                    Ok((entry, _)) if VersionKey::of(&entry.artifact.version) != key => {}
                    Ok((entry, _)) => entries.push(entry),
                    Err(error) if error.kind() == ErrorKind::Corrupt => {}
                    Err(error) => return Err(error),
                }
            }
            *next = walk.step()?;
        }
        Ok(entries)
    }

    /// Pins that have not expired at `now`, by holder and then in the order of publishing.
    pub(crate) fn pins(&self, now: Timestamp) -> Result<Vec<Pinned>, RegistryError> {
        let what = "list pins";
        let fail = |error| failed(what, error);
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT p.holder, r.name, r.version, r.digest, p.expires FROM pin p JOIN row r ON r.seq = p.publish \
                 WHERE p.expires IS NULL OR p.expires > ?1 ORDER BY p.holder, p.publish",
            )
            .map_err(fail)?;
        let mut found = statement.query([now.as_micros()]).map_err(fail)?;
        let mut pins = Vec::new();
        while let Some(row) = found.next().map_err(fail)? {
            let text = |column: usize| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
            let holder: Holder = stored("a holder of the index of pins", text(0).map_err(fail)?)?;
            let name = stored("a name of a row of the catalog", text(1).map_err(fail)?)?;
            let version = stored("a version of a row of the catalog", text(2).map_err(fail)?)?;
            let reference = ArtifactRef::new(name, version);
            let digest = Digest::from_bytes(row.get(3).map_err(fail)?);
            let expires = row.get::<_, Option<i64>>(4).map_err(fail)?.map(Timestamp::from_micros);
            pins.push(Pinned { holder, artifact: Artifact::new(reference, digest), expires });
        }
        Ok(pins)
    }

    pub(crate) fn totals(&self) -> Result<Totals, RegistryError> {
        totals(self.connection)
    }

    /// The sealed packs, with their sizes.
    pub(crate) fn sealed_packs(&self) -> Result<Vec<(PackName, u64)>, RegistryError> {
        let what = "list packs";
        let mut statement = self
            .connection
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

    /// How many entries the index `table` has.
    pub(crate) fn count(&self, table: &'static str) -> Result<u64, RegistryError> {
        let count = self.connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0));
        let merged = unsigned(count.map_err(|error| failed("count rows", error))?)?;
        // What is in the tail only comes to it, what the tail says went away leaves it.
        let (mut more, mut fewer) = (0_u64, 0_u64);
        let mut tell = |is: bool, was: bool| {
            more = more.saturating_add(u64::from(is && !was));
            fewer = fewer.saturating_add(u64::from(was && !is));
        };
        match table {
            "version" => {
                let sql = "SELECT 1 FROM version WHERE name = ?1 AND class = ?2 AND key = ?3";
                for ((name, class, key), state) in self.tail.all_versions() {
                    let key = params![name.as_str(), class as i64, key.as_bytes()];
                    tell(state.is_some(), self.is_in_table(sql, key)?);
                }
            }
            "digest" => {
                for (prefix, name, seq) in self.tail.all_digests() {
                    tell(
                        true,
                        self.is_in_table(
                            DIGEST,
                            params![prefix, name.as_ref().map(Name::as_str), signed(seq)?],
                        )?,
                    );
                }
            }
            "request" => {
                for id in self.tail.all_requests().keys() {
                    tell(
                        true,
                        self.is_in_table("SELECT 1 FROM request WHERE id = ?1", params![id.as_str()])?,
                    );
                }
            }
            _ => {}
        }
        Ok(merged.saturating_add(more).saturating_sub(fewer))
    }

    fn is_in_table(&self, sql: &str, key: impl rusqlite::Params) -> Result<bool, RegistryError> {
        let fail = |error| failed("find an index entry", error);
        self.connection.prepare_cached(sql).map_err(fail)?.exists(key).map_err(fail)
    }

    /// Whether the digest of the publish at `seq` is indexed under its name.
    pub(crate) fn has_digest(&self, digest: &Digest, name: &Name, seq: u64) -> Result<bool, RegistryError> {
        let prefix = digest_prefix(digest);
        if self.tail.has_digest(&(prefix, Some(name.clone()), seq)) {
            return Ok(true);
        }
        self.is_in_table(DIGEST, params![prefix, name.as_str(), signed(seq)?])
    }

    /// What the database itself finds wrong with its pages and indexes; empty when nothing.
    pub(crate) fn integrity(&self) -> Result<Vec<String>, RegistryError> {
        let fail = |error| failed("check the database", error);
        let mut statement = self.connection.prepare("PRAGMA integrity_check(100)").map_err(fail)?;
        let found = statement.query_map([], |row| row.get::<_, String>(0)).map_err(fail)?;
        let mut faults = Vec::new();
        let trees = self.trees();
        for fault in found {
            match fault {
                Ok(fault) if fault == "ok" => {}
                // The first of them begins with a headline.
                Ok(fault) => faults.extend(
                    fault
                        .lines()
                        .filter(|line| !line.starts_with("***"))
                        .map(|line| with_table(line, &trees)),
                ),
                // It goes no further; what it has found counts.
                Err(error) => {
                    faults.push(format!("the check of the database ended: {error}"));
                    break;
                }
            }
        }
        Ok(faults)
    }

    /// The first page of each table, as far as that can be read.
    fn trees(&self) -> Vec<(i64, String)> {
        let read = || -> rusqlite::Result<_> {
            let sql = "SELECT rootpage, name FROM sqlite_schema WHERE rootpage > 0";
            let mut statement = self.connection.prepare(sql)?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        read().unwrap_or_default()
    }

    /// The rows of the yanks that stand.
    pub(crate) fn yanks(&self) -> Result<BTreeSet<u64>, RegistryError> {
        let fail = |error| failed("list yanks", error);
        let tail = self.tail.all_versions();
        let sql = "SELECT name, class, key, yank FROM version WHERE yank IS NOT NULL OR class >= 2";
        let mut statement = self.connection.prepare_cached(sql).map_err(fail)?;
        let mut found = statement.query([]).map_err(fail)?;
        let mut yanks = BTreeSet::new();
        while let Some(row) = found.next().map_err(fail)? {
            let name = row.get_ref(0).and_then(|name| Ok(name.as_str()?)).map_err(fail)?;
            let name: Name = stored(NAME, name)?;
            let key = VersionKey::from_bytes(row.get(2).map_err(fail)?);
            let class = Class::from_number(row.get(1).map_err(fail)?);
            if class.is_some_and(|class| tail.contains_key(&(name, class, key))) {
                continue;
            }
            // One that is marked by its class only leads to no row.
            yanks.insert(unsigned(row.get::<_, Option<i64>>(3).map_err(fail)?.unwrap_or(0))?);
        }
        let newer = tail.into_iter().filter_map(|((_, class, _), state)| Some((class, state?.yank)));
        yanks.extend(newer.filter(|(class, _)| class.is_yanked()).map(|(_, yank)| yank.unwrap_or(0)));
        Ok(yanks)
    }

    pub(crate) fn identity(&self) -> Result<CatalogIdentity, RegistryError> {
        schema::identity(self.connection)
    }
}

const NAME: &str = "a name of the index of versions";
const DIGEST: &str = "SELECT 1 FROM digest WHERE prefix = ?1 AND name = ?2 AND seq = ?3";

/// The database names a table by its first page, as in "Tree 5 page 12: ...".
fn with_table(fault: &str, trees: &[(i64, String)]) -> String {
    let number = fault.strip_prefix("Tree ").and_then(|rest| rest.split(' ').next()?.parse::<i64>().ok());
    let table = number.and_then(|number| trees.iter().find(|(root, _)| *root == number));
    table.map_or_else(|| fault.to_owned(), |(_, table)| format!("table {table}: {fault}"))
}

fn key_of(next: &Option<(VersionKey, VersionHit)>) -> Option<&VersionKey> {
    next.as_ref().map(|(key, _)| key)
}

pub(super) fn totals(connection: &Connection) -> Result<Totals, RegistryError> {
    let what = "read the totals";
    let read = |row: &rusqlite::Row<'_>| {
        Ok([row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?])
    };
    let sql = "SELECT versions, names, blobs, logical_bytes, stored_bytes FROM total";
    let [versions, names, blobs, logical_bytes, stored_bytes] =
        connection.query_row(sql, [], read).map_err(|error| failed(what, error))?;
    Ok(Totals {
        versions: unsigned(versions)?,
        names: unsigned(names)?,
        blobs: unsigned(blobs)?,
        logical_bytes: unsigned(logical_bytes)?,
        stored_bytes: unsigned(stored_bytes)?,
    })
}
