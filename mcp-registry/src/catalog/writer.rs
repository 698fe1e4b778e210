use std::sync::PoisonError;

use mcp_core::{Digest, Holder, IdSource, Name, Timestamp, Version};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::list::Totals;
use super::present::OpenFiles;
use super::query::{Class, Snapshot, digest_prefix};
use super::{CatalogIdentity, CatalogPlace, failed, schema, signed};
use crate::RegistryError;
use crate::entry::Location;
use crate::feed::{Row, RowKind, genesis};
use crate::pack::PackName;
use crate::version_key::VersionKey;

/// The one connection that writes. It lives on the committer's thread.
pub(crate) struct CatalogWriter {
    connection: Connection,
    place: CatalogPlace,
    /// `None` in memory.
    files: Option<OpenFiles>,
    identity: CatalogIdentity,
    head: Head,
}

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
        let mut connection = place.connect(false)?;
        if let CatalogPlace::File(_) = &place {
            schema::check_present(&connection, seen)?;
        }
        let journal = match &place {
            CatalogPlace::File(_) => "WAL",
            CatalogPlace::Memory(_) => "MEMORY",
        };
        // 4,000 pages between checkpoints: 1,000 is slow, 20,000 stalls for 250 ms.
        connection
            .execute_batch(&format!(
                "PRAGMA journal_mode = {journal}; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000; \
                 PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY;"
            ))
            .map_err(|error| failed("set up the connection for writing", error))?;
        let identity = schema::prepare(&mut connection, ids, seen)?;
        let (seq, chain) = schema::head(&connection)?.unwrap_or((0, genesis(identity.id)));
        let totals = Snapshot(&connection).totals()?;
        let files = match &place {
            CatalogPlace::File(path) => Some(OpenFiles::of(path)?),
            CatalogPlace::Memory(_) => None,
        };
        Ok(Self { connection, place, files, identity, head: Head { seq, chain, totals } })
    }

    pub(crate) fn identity(&self) -> CatalogIdentity {
        self.identity
    }

    /// The position of the last row that is durable.
    pub(crate) fn last_seq(&self) -> u64 {
        self.head.seq
    }

    /// Runs `work` in one transaction, which is durable when this returns `Ok`, and undone when `work` fails.
    ///
    /// After an error nothing more may be written with this writer: what it knows of the catalog may be wrong.
    pub(crate) fn commit<T>(
        &mut self,
        work: impl FnOnce(&mut Commit<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let _turn = match &self.place {
            CatalogPlace::Memory(memory) => {
                Some(memory.turns.write().unwrap_or_else(PoisonError::into_inner))
            }
            CatalogPlace::File(_) => None,
        };
        // Undone when it is dropped, after an error as after a panic. The error that is told is the one that came first.
        let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)
            .map_err(|error| failed("begin a commit", error))?;
        let mut commit = Commit { connection: &self.connection, head: self.head };
        commit.check_epoch(self.identity.epoch)?;
        let value = work(&mut commit)?;
        commit.save_totals(self.head.totals)?;
        let head = commit.head;
        transaction.commit().map_err(|error| failed("commit", error))?;
        self.files.as_ref().map_or(Ok(()), OpenFiles::check)?;
        self.head = head;
        Ok(value)
    }

    /// Moves the write-ahead log into the database, so that the folder can be copied and read without it.
    pub(crate) fn close(self) -> Result<(), RegistryError> {
        let what = "close the catalog";
        if let CatalogPlace::File(_) = self.place {
            self.connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                .map_err(|error| failed(what, error))?;
        }
        self.connection.close().map_err(|(_, error)| failed(what, error))
    }
}

/// A transaction that is being made.
pub(crate) struct Commit<'a> {
    connection: &'a Connection,
    head: Head,
}

impl Commit<'_> {
    /// The catalog with what this transaction has done so far.
    pub(crate) fn now(&self) -> Snapshot<'_> {
        Snapshot(self.connection)
    }

    /// The position that the next row will have.
    pub(crate) fn next_seq(&self) -> u64 {
        self.head.seq.saturating_add(1)
    }

    fn check_epoch(&self, epoch: u32) -> Result<(), RegistryError> {
        let found = schema::identity(self.connection)?.epoch;
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

    /// Appends a row to the change feed.
    pub(crate) fn append(&mut self, row: &Row, location: Option<Location>) -> Result<(), RegistryError> {
        let chain = row.chain(&self.head.chain);
        let content = row.content.as_ref();
        let place = location
            .map(|at| Ok::<_, RegistryError>((signed(at.offset)?, signed(at.record_bytes)?)))
            .transpose()?;
        self.run(
            "append a row",
            "INSERT INTO row VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
            params![
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
            ],
        )?;
        if let Some(id) = &row.request_id {
            let seq = signed(row.seq)?;
            self.run("index a request", "INSERT INTO request VALUES (?1, ?2)", params![id.as_str(), seq])?;
        }
        self.head.seq = row.seq;
        self.head.chain = chain;
        Ok(())
    }

    /// Appends the row of a publish, and indexes it. `stored` says whether its bytes are new.
    pub(crate) fn publish(
        &mut self,
        row: &Row,
        location: Location,
        stored: bool,
    ) -> Result<(), RegistryError> {
        let (RowKind::Published, Some(name), Some(version), Some(content)) =
            (row.kind, &row.name, &row.version, &row.content)
        else {
            return Err(RegistryError::corrupt_row(0, "a publish lacks a part"));
        };
        let new_name = !self.now().has_name(name)?;
        self.append(row, Some(location))?;
        let seq = signed(row.seq)?;
        self.run(
            "index a version",
            "INSERT INTO version VALUES (?1, ?2, ?3, ?4, NULL)",
            params![name.as_str(), Class::of(version, false) as i64, VersionKey::of(version).as_bytes(), seq],
        )?;
        self.run(
            "index a digest",
            "INSERT INTO digest VALUES (?1, ?2, ?3)",
            params![digest_prefix(&content.digest), name.as_str(), seq],
        )?;
        let totals = &mut self.head.totals;
        totals.versions = totals.versions.saturating_add(1);
        totals.names = totals.names.saturating_add(u64::from(new_name));
        totals.logical_bytes = totals.logical_bytes.saturating_add(content.size);
        if stored {
            totals.blobs = totals.blobs.saturating_add(1);
            totals.stored_bytes = totals.stored_bytes.saturating_add(location.record_bytes);
        }
        Ok(())
    }

    /// Moves a version between the runs of the live and the yanked.
    pub(crate) fn set_yank(
        &mut self,
        name: &Name,
        version: &Version,
        yank: Option<u64>,
    ) -> Result<(), RegistryError> {
        let (to, from) =
            (Class::of(version, yank.is_some()) as i64, Class::of(version, yank.is_none()) as i64);
        self.run(
            "index a yank",
            "UPDATE version SET class = ?1, yank = ?2 WHERE name = ?3 AND class = ?4 AND key = ?5",
            params![
                to,
                yank.map(signed).transpose()?,
                name.as_str(),
                from,
                VersionKey::of(version).as_bytes()
            ],
        )
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
