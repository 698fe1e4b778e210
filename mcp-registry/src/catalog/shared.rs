use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use mcp_core::{Digest, Name, RequestId, Version};
use rusqlite::{Connection, params};

use super::changes::Changes;
use super::query::{Snapshot, VersionHit, digest_prefix};
use super::tail::{Run, View};
use super::{failed, signed, unsigned};
use crate::RegistryError;
use crate::feed::RowKind;

/// The tail of a writer, which the readers of its process share.
///
/// Invariants: an entry is here before the transaction of its row is committed, and stays until one that has put it into its table is
/// committed. A run is merged only once no entry comes to it any more.
#[derive(Debug)]
pub(crate) struct SharedTail {
    runs: RwLock<Runs>,
    /// The last row that is committed: set before its caller hears of it.
    head: AtomicU64,
    /// How many commits have changed where blobs of earlier rows lie.
    moves: AtomicU64,
    pub(super) changes: Changes,
}

#[derive(Clone, Debug)]
pub(super) struct Runs {
    /// Being merged.
    pub(super) frozen: Option<Arc<Run>>,
    pub(super) growing: Arc<Run>,
    /// How often a run stopped growing.
    pub(super) freezes: u64,
}

impl SharedTail {
    pub(super) fn new(growing: Run, head: u64) -> Self {
        let runs = Runs { frozen: None, growing: Arc::new(growing), freezes: 0 };
        Self {
            runs: RwLock::new(runs),
            head: AtomicU64::new(head),
            moves: AtomicU64::new(0),
            changes: Changes::default(),
        }
    }

    /// What was read before shows blobs where they no longer lie, though no row is newer.
    pub(super) fn note_move(&self) {
        self.moves.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn moves(&self) -> u64 {
        self.moves.load(Ordering::Acquire)
    }

    pub(super) fn runs(&self) -> Runs {
        self.runs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Runs)) {
        change(&mut self.runs.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// Also called by a reader that sees a commit before its writer has come this far: whoever reads afterwards must see it too.
    pub(super) fn set_head(&self, head: u64) {
        self.head.fetch_max(head, Ordering::AcqRel);
    }

    /// What belongs to the transaction that has just begun to read, if it began before a run stopped growing again: the entries of later
    /// runs would be missing. `before` is what there was before it began, so that nothing has left in between.
    pub(super) fn view(&self, before: Runs, horizon: u64) -> Option<View> {
        let same = self.runs.read().unwrap_or_else(PoisonError::into_inner).freezes == before.freezes;
        same.then(|| before.view(horizon))
    }
}

impl Runs {
    /// The oldest first.
    pub(super) fn view(self, horizon: u64) -> View {
        View { runs: self.frozen.into_iter().chain([self.growing]).collect(), horizon }
    }
}

/// So many rows may be behind the merged ones; more is damage, which must not fill the memory. A writer keeps far fewer.
const MAX_TAIL_ROWS: u64 = 1 << 20;

/// Adds the entries of the rows behind `after`, up to `head`, to the last run of `tail`, and notes what they changed.
///
/// `strict`: a row that cannot be read is an error; otherwise it is left out, and `verify` tells of it.
pub(super) fn ingest(
    connection: &Connection,
    tail: &View,
    changes: &Changes,
    (after, head): (u64, u64),
    strict: bool,
) -> Result<(), RegistryError> {
    let broken = |reason: String| RegistryError::Corrupt {
        what: "the catalog".to_owned(),
        place: "catalog.db".to_owned(),
        reason,
    };
    let Some(run) = tail.runs.last() else { return Ok(()) };
    let fail = |error| failed("read the newest rows", error);
    let mut statement = connection
        .prepare_cached(
            "SELECT seq, kind, name, version, digest, request FROM row WHERE seq > ?1 AND seq <= ?2 ORDER BY seq",
        )
        .map_err(fail)?;
    let mut rows = statement.query(params![signed(after)?, signed(head)?]).map_err(fail)?;
    let now = Snapshot { connection, tail, pending: &[] };
    let mut count = 0_u64;
    while let Some(row) = rows.next().map_err(fail)? {
        let seq = unsigned(row.get(0).map_err(fail)?)?;
        count = count.saturating_add(1);
        if count > MAX_TAIL_ROWS {
            return Err(broken(format!(
                "its indexes end at row {after}, more than {MAX_TAIL_ROWS} rows before its last"
            )));
        }
        if strict && seq != after.saturating_add(count) {
            return Err(broken(format!("row {} is missing", after.saturating_add(count))));
        }
        let added = Indexed::read(row)
            .map_err(|reason| RegistryError::corrupt_row(i64::try_from(seq).unwrap_or(i64::MAX), reason))
            .and_then(|row| row.add(&now, run, changes, seq));
        match added {
            Err(error) if strict || !matches!(error, RegistryError::Corrupt { .. }) => return Err(error),
            // Nobody knows which version it changed.
            Err(_) => changes.note_all(seq),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// What of a row is indexed.
struct Indexed {
    kind: Option<RowKind>,
    name: Option<Name>,
    version: Option<Version>,
    digest: Option<Digest>,
    request: Option<RequestId>,
}

impl Indexed {
    fn read(row: &rusqlite::Row<'_>) -> Result<Self, String> {
        fn text<T: std::str::FromStr<Err = mcp_core::ParseError>>(
            row: &rusqlite::Row<'_>,
            column: usize,
        ) -> Result<Option<T>, String> {
            let text = row.get_ref(column).map_err(|error| error.to_string())?;
            let text = text.as_str_or_null().map_err(|error| error.to_string())?;
            text.map(str::parse).transpose().map_err(|error: mcp_core::ParseError| error.to_string())
        }
        let kind: i64 = row.get(1).map_err(|error| error.to_string())?;
        let digest = row.get::<_, Option<[u8; 32]>>(4).map_err(|error| error.to_string())?;
        Ok(Self {
            kind: RowKind::from_number(kind),
            name: text(row, 2)?,
            version: text(row, 3)?,
            digest: digest.map(Digest::from_bytes),
            request: text(row, 5)?,
        })
    }

    fn add(self, now: &Snapshot<'_>, run: &Run, changes: &Changes, seq: u64) -> Result<(), RegistryError> {
        if let Some(id) = &self.request {
            run.request(id, seq);
        }
        let lacks = || {
            let seq = i64::try_from(seq).unwrap_or(i64::MAX);
            RegistryError::corrupt_row(seq, "a part that its kind needs is missing")
        };
        let named = self.name.zip(self.version);
        match self.kind {
            Some(RowKind::Published) => {
                let (name, version) = named.ok_or_else(lacks)?;
                run.publish(&name, &version, digest_prefix(&self.digest.ok_or_else(lacks)?), seq);
            }
            kind @ Some(RowKind::Yanked | RowKind::Unyanked) => {
                let (name, version) = named.ok_or_else(lacks)?;
                changes.note(&name, &version, seq);
                let publish = now.version(&name, &version)?.ok_or_else(lacks)?.seq;
                let yank = (kind == Some(RowKind::Yanked)).then_some(seq);
                run.yank(&name, &version, VersionHit { seq: publish, yank }, seq);
            }
            _ => {
                if let Some((name, version)) = named {
                    changes.note(&name, &version, seq);
                }
            }
        }
        Ok(())
    }
}

/// The tail of a handle without a writer: it follows the rows that another process commits.
#[derive(Debug, Default)]
pub(super) struct Follower {
    /// With the last row of each; the oldest first.
    runs: Vec<(Arc<Run>, u64)>,
    head: u64,
    merged: u64,
}

impl Follower {
    /// What belongs to the transaction in which `connection` reads; `None` when it is older than what has been forgotten since.
    pub(super) fn view(
        &mut self,
        connection: &Connection,
        merged: u64,
        head: u64,
        run_rows: u64,
        changes: &Changes,
    ) -> Result<Option<View>, RegistryError> {
        if merged < self.merged {
            return Ok(None);
        }
        self.merged = merged;
        if merged > self.head {
            // Rows that were merged between two reads are in the tables, and never come by here.
            changes.note_all(merged);
        }
        self.runs.retain(|(_, last)| *last > merged);
        let after = self.head.max(merged);
        if head > after {
            let full = self.runs.last().is_none_or(|(run, _)| run.read().len() as u64 > run_rows);
            if full {
                self.runs.push((Arc::default(), head));
            }
            let ingested = ingest(connection, &self.tail(u64::MAX), changes, (after, head), false);
            if ingested.is_err() {
                self.clear();
            }
            ingested?;
            if let Some((_, last)) = self.runs.last_mut() {
                *last = head;
            }
            self.head = head;
        }
        Ok(Some(self.tail(head)))
    }

    /// Forgets everything; it is read again from the rows.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn tail(&self, horizon: u64) -> View {
        View { runs: self.runs.iter().map(|(run, _)| Arc::clone(run)).collect(), horizon }
    }
}
