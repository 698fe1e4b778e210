use std::sync::{Arc, PoisonError};

use mcp_core::{Digest, Holder, IdSource, Name, RequestId, Timestamp, Version};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::changes::Changes;
use super::known::Known;
use super::list::{self, Totals};
use super::log::{Log, MAX_LOG_BYTES, ROW_BYTES};
use super::merge::Merge;
use super::present::OpenFiles;
use super::query::{Snapshot, StoredRow, VersionHit, digest_prefix};
use super::shared::{SharedTail, ingest};
use super::tail::{Run, View};
use super::{CatalogIdentity, CatalogPlace, Readers, failed, schema, signed};
use crate::RegistryError;
use crate::entry::Location;
use crate::feed::{Row, RowKind, genesis};
use crate::pack::PackName;

/// The one connection that writes. It lives on the committer's thread.
pub(crate) struct CatalogWriter {
    connection: Connection,
    place: CatalogPlace,
    /// `None` in memory.
    files: Option<OpenFiles>,
    identity: CatalogIdentity,
    head: Head,
    tail: Arc<SharedTail>,
    /// How many rows a run of the tail holds.
    run_rows: u64,
    /// The last row before those of the run that grows.
    frozen_at: u64,
    merge: Option<Merge>,
    known: Known,
    log: Log,
    #[cfg(test)]
    fault: Option<CommitFault>,
}

/// A commit that fails, for tests: which one, counted from 1 by this writer, and on which side of its becoming durable.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommitFault {
    pub(crate) at: u64,
    /// It is durable, and its answer is lost.
    pub(crate) after: bool,
}

#[cfg(test)]
impl CommitFault {
    /// Counts a commit, and fails it when it is its turn.
    fn meet(fault: &mut Option<Self>, after: bool) -> Result<(), RegistryError> {
        let Some(fault) = fault else { return Ok(()) };
        if fault.after != after {
            return Ok(());
        }
        fault.at = fault.at.wrapping_sub(1);
        if fault.at > 0 {
            return Ok(());
        }
        let kind = mcp_core::ErrorKind::Unavailable;
        Err(RegistryError::Catalog { what: "commit", kind, source: "the disk went away".into() })
    }
}

/// How many rows a run of the tail holds: the more, the fewer pages of the indexes change for each row.
pub(super) const TAIL_ROWS: u64 = 1 << 16;

/// What the next row builds on.
#[derive(Clone, Copy, Debug)]
struct Head {
    seq: u64,
    chain: Digest,
    totals: Totals,
}

impl CatalogWriter {
    /// Opens the catalog, creates it where it is missing, and durably takes the next writer epoch, which is above `seen`.
    pub(crate) fn open(place: CatalogPlace, ids: &dyn IdSource, seen: u32) -> Result<Self, RegistryError> {
        Self::open_with(place, ids, seen, TAIL_ROWS)
    }

    pub(super) fn open_with(
        place: CatalogPlace,
        ids: &dyn IdSource,
        seen: u32,
        run_rows: u64,
    ) -> Result<Self, RegistryError> {
        let mut connection = place.connect(false)?;
        if let CatalogPlace::File(_) = &place {
            schema::check_present(&connection, seen)?;
        }
        let journal = match &place {
            CatalogPlace::File(_) => "WAL",
            CatalogPlace::Memory(_) => "MEMORY",
        };
        connection
            .execute_batch(&format!(
                "PRAGMA journal_mode = {journal}; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; \
                 PRAGMA journal_size_limit = {MAX_LOG_BYTES}; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY;"
            ))
            .map_err(|error| failed("set up the connection for writing", error))?;
        let identity = schema::prepare(&mut connection, ids, seen)?;
        let (seq, chain) = schema::head(&connection)?.unwrap_or((0, genesis(identity.id)));
        let totals = list::totals(&connection)?;
        let merged = schema::merged(&connection)?.min(seq);
        let tail = Arc::new(SharedTail::new(Run::default(), seq));
        let view = tail.runs().view(u64::MAX);
        ingest(&connection, &view, &tail.changes, (merged, seq), true)?;
        let known = Known::new(&place, &view, totals.versions, totals.names);
        let files = match &place {
            CatalogPlace::File(path) => Some(OpenFiles::of(path)?),
            CatalogPlace::Memory(_) => None,
        };
        Ok(Self {
            connection,
            place,
            files,
            identity,
            head: Head { seq, chain, totals },
            tail,
            run_rows,
            frozen_at: merged,
            merge: None,
            known,
            log: Log::default(),
            #[cfg(test)]
            fault: None,
        })
    }

    #[cfg(test)]
    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    /// From now on, this commit fails.
    #[cfg(test)]
    pub(crate) fn fail_at(&mut self, fault: CommitFault) {
        self.fault = Some(fault);
    }

    pub(crate) fn identity(&self) -> CatalogIdentity {
        self.identity
    }

    /// The position of the last row that is durable.
    pub(crate) fn last_seq(&self) -> u64 {
        self.head.seq
    }

    /// What the readers of this process share with it.
    pub(crate) fn tail(&self) -> Arc<SharedTail> {
        Arc::clone(&self.tail)
    }

    /// Runs `work` in one transaction, which is durable when this returns `Ok`, and undone when `work` fails. `rows` is about how many
    /// rows it will append: so many are merged into the indexes besides.
    ///
    /// After an error nothing more may be written with this writer: what it knows of the catalog may be wrong.
    pub(crate) fn commit<T>(
        &mut self,
        rows: usize,
        work: impl FnOnce(&mut Commit<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let turns = match &self.place {
            CatalogPlace::Memory(memory) => Some(Arc::clone(&memory.turns)),
            CatalogPlace::File(_) => None,
        };
        let _turn = turns.as_ref().map(|turns| turns.write().unwrap_or_else(PoisonError::into_inner));
        let runs = self.tail.runs();
        // Undone when it is dropped, after an error as after a panic. The error that is told is the one that came first.
        let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)
            .map_err(|error| failed("begin a commit", error))?;
        let mut commit = Commit {
            connection: &self.connection,
            head: self.head,
            growing: Arc::clone(&runs.growing),
            changes: &self.tail.changes,
            tail: runs.view(u64::MAX),
            pending: Vec::new(),
            pending_bytes: 0,
            written_bytes: 0,
            moved: false,
            known: &mut self.known,
        };
        commit.check_epoch(self.identity.epoch)?;
        let mut merged = None;
        if let Some(merge) = &mut self.merge {
            let before = merge.left();
            let grown = self.head.seq.saturating_sub(self.frozen_at);
            if merge.step(&self.connection, merge_now(before, rows, grown, self.run_rows))? {
                schema::set_merged(&self.connection, merge.last)?;
                merged = Some(merge.last);
            }
            self.log.add_entries(before.saturating_sub(merge.left()));
        }
        let value = work(&mut commit)?;
        commit.write_rows()?;
        commit.save_totals(self.head.totals)?;
        let (head, moved) = (commit.head, commit.moved);
        self.log.add_bytes(commit.written_bytes);
        #[cfg(test)]
        CommitFault::meet(&mut self.fault, false)?;
        transaction.commit().map_err(|error| failed("commit", error))?;
        #[cfg(test)]
        CommitFault::meet(&mut self.fault, true)?;
        self.files.as_ref().map_or(Ok(()), OpenFiles::check)?;
        self.head = head;
        if moved {
            self.tail.note_move();
        }
        self.tail.set_head(head.seq);
        if merged.is_some() {
            self.merge = None;
            self.tail.change(|runs| runs.frozen = None);
        }
        if self.merge.is_none() && self.head.seq.saturating_sub(self.frozen_at) >= self.run_rows {
            self.freeze();
        }
        Ok(value)
    }

    /// From here on another run grows, and this one is merged.
    fn freeze(&mut self) {
        let last = self.head.seq;
        let mut merge = None;
        self.tail.change(|runs| {
            let full = std::mem::take(&mut runs.growing);
            merge = Some(Merge::new(Arc::clone(&full), last));
            runs.frozen = Some(full);
            runs.freezes = runs.freezes.saturating_add(1);
        });
        self.merge = merge;
        self.frozen_at = last;
    }

    /// Moves what was committed from the log into the database, where that has become much. Nobody waits for it: an error is not one of
    /// a commit, and the next commit meets what has caused it.
    pub(crate) fn tidy(&mut self, readers: &Readers) {
        readers.let_go();
        if let CatalogPlace::File(_) = self.place {
            self.log.tidy(&self.connection, readers);
        }
    }

    /// Moves everything into the tables of the indexes, and the write-ahead log into the database, so that the folder can be copied and
    /// read without it.
    pub(crate) fn close(mut self, merge: bool) -> Result<(), RegistryError> {
        self.known.close();
        let merged = if merge { self.merge_all() } else { Ok(()) };
        let what = "close the catalog";
        if let CatalogPlace::File(_) = self.place {
            self.connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                .map_err(|error| failed(what, error))?;
        }
        self.connection.close().map_err(|(_, error)| failed(what, error))?;
        merged
    }

    fn merge_all(&mut self) -> Result<(), RegistryError> {
        if let CatalogPlace::Memory(_) = self.place {
            return Ok(());
        }
        while self.merge.is_some() || self.frozen_at < self.head.seq {
            if self.merge.is_none() {
                self.freeze();
            }
            // So many rows that a step of the merge is large, but not all of a log.
            self.commit(MERGE_ALL_ROWS, |_| Ok(()))?;
        }
        Ok(())
    }
}

const MERGE_ALL_ROWS: usize = 1 << 14;

/// How many of the `left` entries a commit of `rows` rows merges, so that all are in before the run that grows is full.
fn merge_now(left: usize, rows: usize, grown: u64, run_rows: u64) -> usize {
    // Done an eighth early; at least a few, so that it ends when little is published.
    let room = (run_rows / 8 * 7).saturating_sub(grown);
    let share = u64::try_from(left).unwrap_or(u64::MAX).saturating_mul(rows as u64) / room.max(1);
    usize::try_from(share).unwrap_or(usize::MAX).saturating_add(2).min(left.max(1))
}

/// A transaction that is being made.
pub(crate) struct Commit<'a> {
    connection: &'a Connection,
    head: Head,
    growing: Arc<Run>,
    changes: &'a Changes,
    tail: View,
    /// Rows that are decided, and not in their table yet.
    pending: Vec<StoredRow>,
    pending_bytes: usize,
    written_bytes: usize,
    /// Whether rows that were committed before lead elsewhere now.
    moved: bool,
    known: &'a mut Known,
}

/// So many bytes of rows are held before they are written.
const MAX_PENDING_BYTES: usize = 16 << 20;

impl Commit<'_> {
    /// The catalog with what this transaction has done so far.
    pub(crate) fn now(&self) -> Snapshot<'_> {
        Snapshot { connection: self.connection, tail: &self.tail, pending: &self.pending }
    }

    /// This version, yanked or not; one that is new is known without a look at the tables.
    pub(crate) fn version(
        &self,
        name: &Name,
        version: &Version,
    ) -> Result<Option<VersionHit>, RegistryError> {
        if self.known.may_have_version(name, version) { self.now().version(name, version) } else { Ok(None) }
    }

    /// Where bytes with this digest lie; new ones are known without a look at the tables.
    pub(crate) fn location(&self, digest: &Digest) -> Result<Option<Location>, RegistryError> {
        if self.known.may_have_digest(digest) { self.now().location(digest) } else { Ok(None) }
    }

    /// The row that a request made; a new one is known without a look at the tables.
    pub(crate) fn request(&self, id: &RequestId) -> Result<Option<Row>, RegistryError> {
        if self.known.may_have_request(id) { self.now().request(id) } else { Ok(None) }
    }

    /// The position that the next row will have.
    pub(crate) fn next_seq(&self) -> u64 {
        self.head.seq.saturating_add(1)
    }

    /// What is remembered of the version holds no more.
    pub(super) fn note_change(&self, name: &Name, version: &Version) {
        self.changes.note(name, version, self.next_seq());
    }

    /// Whether the row was not in its table yet: then it leads to `to` from now on.
    pub(super) fn move_pending(&mut self, seq: u64, to: Location) -> bool {
        let found = self.pending.iter_mut().find(|stored| stored.row.seq == seq);
        found.map(|stored| stored.location = Some(to)).is_some()
    }

    /// The blob of a record takes another number of bytes.
    pub(super) fn note_move(&mut self, before: u64, after: u64) {
        let totals = &mut self.head.totals;
        totals.stored_bytes = totals.stored_bytes.saturating_sub(before).saturating_add(after);
        self.moved = true;
    }

    fn check_epoch(&self, epoch: u32) -> Result<(), RegistryError> {
        let found = schema::epoch(self.connection)?;
        if found == epoch {
            return Ok(());
        }
        Err(RegistryError::stopped(format!(
            "a later writer has taken over, with epoch {found} after {epoch}"
        )))
    }

    pub(super) fn run(
        &self,
        what: &'static str,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<(), RegistryError> {
        let fail = |error| failed(what, error);
        self.connection.prepare_cached(sql).map_err(fail)?.execute(values).map_err(fail)?;
        Ok(())
    }

    fn save_totals(&self, before: Totals) -> Result<(), RegistryError> {
        let now = self.head.totals;
        if now == before {
            return Ok(());
        }
        self.run(
            "save the totals",
            "UPDATE total SET versions = ?1, names = ?2, blobs = ?3, logical_bytes = ?4, stored_bytes = ?5",
            params![
                signed(now.versions)?,
                signed(now.names)?,
                signed(now.blobs)?,
                signed(now.logical_bytes)?,
                signed(now.stored_bytes)?
            ],
        )
    }

    /// Appends a row to the change feed. What is remembered of the version that it names holds no more, unless it publishes it.
    pub(crate) fn append(&mut self, row: &Row, location: Option<Location>) -> Result<(), RegistryError> {
        self.push(row.clone(), location)
    }

    fn push(&mut self, row: Row, location: Option<Location>) -> Result<(), RegistryError> {
        let chain = row.chain(&self.head.chain);
        self.head.seq = row.seq;
        self.head.chain = chain;
        if let (Some(name), Some(version)) = (&row.name, &row.version)
            && row.kind != RowKind::Published
        {
            self.changes.note(name, version, row.seq);
        }
        if let Some(id) = &row.request_id {
            self.known.add_request(id);
            self.growing.request(id, row.seq);
        }
        self.pending_bytes = self.pending_bytes.saturating_add(row.body.len()).saturating_add(ROW_BYTES);
        self.pending.push(StoredRow { row, chain, location });
        if self.pending_bytes > MAX_PENDING_BYTES { self.write_rows() } else { Ok(()) }
    }

    /// Writes the rows that are held: together, which is quicker, and while the pack is being written.
    pub(crate) fn write_rows(&mut self) -> Result<(), RegistryError> {
        let fail = |error| failed("append a row", error);
        let mut insert = self
            .connection
            .prepare_cached(
                "INSERT INTO row VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
            )
            .map_err(fail)?;
        for StoredRow { row, chain, location } in self.pending.drain(..) {
            let content = row.content.as_ref();
            let place = location
                .map(|at| Ok::<_, RegistryError>((signed(at.offset)?, signed(at.record_bytes)?)))
                .transpose()?;
            insert
                .execute(params![
                    signed(row.seq)?,
                    chain.as_bytes(),
                    row.kind as i64,
                    row.at.as_micros(),
                    row.actor.as_str(),
                    row.request_id.as_ref().map(|id| id.as_str()),
                    row.name.as_ref().map(|name| name.as_str()),
                    row.version.as_ref().map(ToString::to_string),
                    content.map(|content| &content.digest.as_bytes()[..]),
                    content.map(|content| &content.sha256[..]),
                    content.map(|content| signed(content.size)).transpose()?,
                    content.map(|content| content.media_type.as_str()),
                    row.body,
                    location.map(|at| at.pack.epoch),
                    location.map(|at| at.pack.number),
                    place.map(|(offset, _)| offset),
                    place.map(|(_, bytes)| bytes),
                ])
                .map_err(fail)?;
        }
        self.written_bytes = self.written_bytes.saturating_add(self.pending_bytes);
        self.pending_bytes = 0;
        Ok(())
    }

    /// Appends the row of a publish, and indexes it. `stored` says whether its bytes are new.
    pub(crate) fn publish(
        &mut self,
        row: Row,
        location: Location,
        stored: bool,
    ) -> Result<(), RegistryError> {
        let (RowKind::Published, Some(name), Some(version), Some(content)) =
            (row.kind, &row.name, &row.version, &row.content)
        else {
            return Err(RegistryError::corrupt_row(0, "a publish lacks a part"));
        };
        let new_name = !(self.known.may_have_name(name) && self.now().has_name(name)?);
        self.known.add_publish(name, version, &content.digest, new_name);
        self.growing.publish(name, version, digest_prefix(&content.digest), row.seq);
        let totals = &mut self.head.totals;
        totals.versions = totals.versions.saturating_add(1);
        totals.names = totals.names.saturating_add(u64::from(new_name));
        totals.logical_bytes = totals.logical_bytes.saturating_add(content.size);
        if stored {
            totals.blobs = totals.blobs.saturating_add(1);
            totals.stored_bytes = totals.stored_bytes.saturating_add(location.record_bytes);
        }
        self.push(row, Some(location))
    }

    /// At the row `at`, moves a version between the runs of the live and the yanked.
    pub(crate) fn set_yank(&mut self, name: &Name, version: &Version, hit: VersionHit, at: u64) {
        self.known.add_moved(name, version);
        self.growing.yank(name, version, hit, at);
    }

    pub(crate) fn set_channel(&mut self, name: &Name, channel: &Name, seq: u64) -> Result<(), RegistryError> {
        self.run(
            "index a channel",
            "INSERT INTO channel VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET seq = ?3",
            params![name.as_str(), channel.as_str(), signed(seq)?],
        )
    }

    pub(crate) fn set_pin(
        &mut self,
        holder: &Holder,
        publish: u64,
        expires: Option<Timestamp>,
    ) -> Result<(), RegistryError> {
        self.run(
            "index a pin",
            "INSERT INTO pin VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET expires = ?3",
            params![holder.as_str(), signed(publish)?, expires.map(Timestamp::as_micros)],
        )
    }

    pub(crate) fn remove_pins(&mut self, holder: &Holder) -> Result<(), RegistryError> {
        self.run("remove pins", "DELETE FROM pin WHERE holder = ?1", [holder.as_str()])
    }

    pub(crate) fn has_pins(&self, holder: &Holder) -> Result<bool, RegistryError> {
        let fail = |error| failed("find pins", error);
        let mut statement =
            self.connection.prepare_cached("SELECT 1 FROM pin WHERE holder = ?1 LIMIT 1").map_err(fail)?;
        statement.exists([holder.as_str()]).map_err(fail)
    }

    pub(crate) fn add_sealed_pack(&mut self, name: PackName, bytes: u64) -> Result<(), RegistryError> {
        self.run(
            "note a sealed pack",
            "INSERT INTO pack VALUES (?1, ?2, ?3)",
            params![name.epoch, name.number, signed(bytes)?],
        )
    }
}
