use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use mcp_core::{Digest, Name, RequestId, Version};
use rusqlite::{Connection, params};

use super::filter::{Filter, FilterKey};
use super::query::digest_prefix;
use super::tail::View;
use super::{CatalogPlace, failed};
use crate::RegistryError;
use crate::version_key::VersionKey;

/// Which keys the indexes may have: so that what was never there is not looked up, which would be a read of a random page for each.
///
/// What was there when the writer opened is read in the background from the first publish on; until then, everything may be there.
#[derive(Debug)]
pub(super) struct Known {
    before: Arc<OnceLock<Filter>>,
    since: Filter,
    stop: Arc<AtomicBool>,
    /// What the scan will read, and about how many keys that are.
    unread: Option<(CatalogPlace, u64)>,
    scan: Option<JoinHandle<()>>,
}

/// Room for the keys of this opening, before the filter grows.
const FIRST_KEYS: u64 = 1 << 20;
/// Each version has a digest and perhaps a request; names are fewer.
const KEYS_OF_A_VERSION: u64 = 3;
/// How many rows one step of the scan reads: it must not keep the log from being emptied.
const STEP_ROWS: i64 = 4096;

impl Known {
    /// `versions`: how many there are, in the tables and in `tail`.
    pub(super) fn new(place: &CatalogPlace, tail: &View, versions: u64, names: u64) -> Self {
        let mut since = Filter::with_capacity(FIRST_KEYS);
        for (name, _, key) in tail.all_versions().keys() {
            since.insert(FilterKey::version(name, key));
            since.insert(FilterKey::name(name));
        }
        tail.all_digests().iter().for_each(|(prefix, ..)| since.insert(FilterKey::digest(*prefix)));
        tail.all_requests().keys().for_each(|id| since.insert(FilterKey::request(id)));
        let (before, stop) = (Arc::new(OnceLock::new()), Arc::new(AtomicBool::new(false)));
        let keys = versions.saturating_mul(KEYS_OF_A_VERSION).saturating_add(names);
        let unread = match place {
            CatalogPlace::File(_) if versions > 0 => Some((place.clone(), keys)),
            // A database in memory begins empty.
            _ => {
                drop(before.set(Filter::with_capacity(0)));
                None
            }
        };
        Self { before, since, stop, unread, scan: None }
    }

    /// Begins to read what the tables have, at the first publish: who only reads has the processor for itself.
    fn read_tables_once(&mut self) {
        let Some((place, keys)) = self.unread.take() else { return };
        let (slot, stop) = (Arc::clone(&self.before), Arc::clone(&self.stop));
        let scan = thread::Builder::new().name("mcp-registry-filter".to_owned());
        // Without it, everything is looked up: slower, and right.
        self.scan = scan
            .spawn(move || {
                if let Ok(Some(filter)) = read_tables(&place, keys, &stop) {
                    drop(slot.set(filter));
                }
            })
            .ok();
    }

    fn may_have(&self, key: FilterKey) -> bool {
        self.since.may_have(key) || self.before.get().is_none_or(|before| before.may_have(key))
    }

    pub(super) fn may_have_version(&self, name: &Name, version: &Version) -> bool {
        self.may_have(FilterKey::version(name, &VersionKey::of(version)))
    }

    pub(super) fn may_have_name(&self, name: &Name) -> bool {
        self.may_have(FilterKey::name(name))
    }

    pub(super) fn may_have_digest(&self, digest: &Digest) -> bool {
        self.may_have(FilterKey::digest(digest_prefix(digest)))
    }

    pub(super) fn may_have_request(&self, id: &RequestId) -> bool {
        self.may_have(FilterKey::request(id))
    }

    pub(super) fn add_publish(&mut self, name: &Name, version: &Version, digest: &Digest, new_name: bool) {
        self.read_tables_once();
        self.since.insert(FilterKey::version(name, &VersionKey::of(version)));
        self.since.insert(FilterKey::digest(digest_prefix(digest)));
        if new_name {
            self.since.insert(FilterKey::name(name));
        }
    }

    /// A version that moved between the live and the yanked, perhaps from before the scan to behind it.
    pub(super) fn add_moved(&mut self, name: &Name, version: &Version) {
        self.since.insert(FilterKey::version(name, &VersionKey::of(version)));
        self.since.insert(FilterKey::name(name));
    }

    /// Whether it is known apart from the scan.
    #[cfg(test)]
    pub(super) fn has_since(&self, name: &Name, version: &Version) -> bool {
        self.since.may_have(FilterKey::version(name, &VersionKey::of(version)))
            && self.since.may_have(FilterKey::name(name))
    }

    pub(super) fn add_request(&mut self, id: &RequestId) {
        self.since.insert(FilterKey::request(id));
    }

    /// Waits for the scan to give up its connection.
    pub(super) fn close(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(scan) = self.scan.take() {
            drop(scan.join());
        }
    }
}

impl Drop for Known {
    /// The scan of a writer that was never closed ends as well.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What the tables have; `None` when it was stopped.
///
/// Read in steps, between which the writer goes on: whatever comes or moves behind the scan's back was a change of this opening, which
/// knows it.
fn read_tables(place: &CatalogPlace, keys: u64, stop: &AtomicBool) -> Result<Option<Filter>, RegistryError> {
    let connection = place.connect(true)?;
    let mut filter = Filter::with_capacity(keys);
    let fail = |error| failed("read the indexes", error);
    let stopped = || stop.load(Ordering::Relaxed);
    let mut last = (String::new(), -1_i64, Vec::new());
    let mut names = String::new();
    loop {
        let found = step(
            &connection,
            "SELECT name, class, key FROM version WHERE (name, class, key) > (?1, ?2, ?3) ORDER BY name, class, key LIMIT ?4",
            params![last.0, last.1, last.2, STEP_ROWS],
            |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?)),
        )
        .map_err(fail)?;
        let Some(end) = found.last().cloned() else { break };
        for (name, _, key) in found {
            let known: Name = name.parse()?;
            filter.insert(FilterKey::version(&known, &VersionKey::from_bytes(key)));
            if names != name {
                filter.insert(FilterKey::name(&known));
                names = name;
            }
        }
        last = end;
        if stopped() {
            return Ok(None);
        }
    }
    let mut last = (i64::MIN, String::new(), 0_i64);
    loop {
        let found = step(
            &connection,
            "SELECT prefix, name, seq FROM digest WHERE (prefix, name, seq) > (?1, ?2, ?3) ORDER BY prefix, name, seq LIMIT ?4",
            params![last.0, last.1, last.2, STEP_ROWS],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .map_err(fail)?;
        let Some(end) = found.last().cloned() else { break };
        found.iter().for_each(|(prefix, ..)| filter.insert(FilterKey::digest(*prefix)));
        last = end;
        if stopped() {
            return Ok(None);
        }
    }
    let mut last = String::new();
    loop {
        let sql = "SELECT id FROM request WHERE id > ?1 ORDER BY id LIMIT ?2";
        let found =
            step(&connection, sql, params![last, STEP_ROWS], |row| row.get::<_, String>(0)).map_err(fail)?;
        let Some(end) = found.last().cloned() else { return Ok(Some(filter)) };
        for id in found {
            filter.insert(FilterKey::request(&id.parse()?));
        }
        last = end;
        if stopped() {
            return Ok(None);
        }
    }
}

fn step<T>(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map(values, read)?.collect()
}
