use mcp_core::{ArtifactRef, Digest, Name, RequestId, Timestamp, Version};
use rusqlite::{Connection, OptionalExtension as _, Row as SqlRow, ToSql, params};

use super::tail::View;
use super::walk::ClassWalk;
use super::{failed, signed, unsigned};
use crate::entry::{Entry, Location};
use crate::feed::{Row, RowContent, RowKind, YankBody};
use crate::interval::KeyRange;
use crate::pack::PackName;
use crate::version_key::VersionKey;
use crate::{Metadata, RegistryError};

/// In which of four runs a version of a name is indexed: so the highest of a kind is the last of its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Release = 0,
    PreRelease = 1,
    YankedRelease = 2,
    YankedPreRelease = 3,
}

impl Class {
    pub(crate) const ALL: [Self; 4] =
        [Self::Release, Self::PreRelease, Self::YankedRelease, Self::YankedPreRelease];

    /// By the number that is stored.
    pub(super) fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|class| *class as i64 == number)
    }

    /// Where a version of this run goes when it is yanked or restored.
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Release => Self::YankedRelease,
            Self::PreRelease => Self::YankedPreRelease,
            Self::YankedRelease => Self::Release,
            Self::YankedPreRelease => Self::PreRelease,
        }
    }

    /// Whether the versions of this run are yanked.
    pub(super) const fn is_yanked(self) -> bool {
        matches!(self, Self::YankedRelease | Self::YankedPreRelease)
    }

    pub(crate) fn of(version: &Version, yanked: bool) -> Self {
        match (version.is_pre_release(), yanked) {
            (false, false) => Self::Release,
            (true, false) => Self::PreRelease,
            (false, true) => Self::YankedRelease,
            (true, true) => Self::YankedPreRelease,
        }
    }
}

/// Where the index says a version's publish is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VersionHit {
    /// The row of the publish.
    pub(crate) seq: u64,
    /// The row of the yank, while it is yanked.
    pub(crate) yank: Option<u64>,
}

/// A row with its chain and, for a publish, where its bytes lie.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredRow {
    pub(crate) row: Row,
    pub(crate) chain: Digest,
    pub(crate) location: Option<Location>,
}

const ROW: &str = "SELECT seq, chain, kind, at, actor, request, name, version, digest, sha256, size, media_type, body, \
                   pack_epoch, pack_number, pack_offset, record_bytes FROM row WHERE seq = ?1";
const ROWS: &str = "SELECT seq, chain, kind, at, actor, request, name, version, digest, sha256, size, media_type, body, \
                    pack_epoch, pack_number, pack_offset, record_bytes FROM row WHERE seq > ?1 ORDER BY seq LIMIT ?2";
/// How much text of bodies one read of rows holds, and one body more.
const STEP_BYTES: usize = 4 << 20;

/// A hit as the table of versions has it.
pub(super) fn version_hit((seq, yank): (i64, Option<i64>)) -> Result<VersionHit, RegistryError> {
    Ok(VersionHit { seq: unsigned(seq)?, yank: yank.map(unsigned).transpose()? })
}

fn one<T>(
    connection: &Connection,
    what: &'static str,
    sql: &str,
    parameters: &[&dyn ToSql],
    read: impl FnOnce(&SqlRow<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, RegistryError> {
    let mut statement = connection.prepare_cached(sql).map_err(|error| failed(what, error))?;
    statement.query_row(parameters, read).optional().map_err(|error| failed(what, error))
}

/// Reads of the catalog as it was at one moment: what a reader sees, or a commit that is being made.
#[derive(Clone, Copy)]
pub(crate) struct Snapshot<'a> {
    /// In a transaction.
    pub(super) connection: &'a Connection,
    /// The part of the indexes that is not in the tables yet.
    pub(super) tail: &'a View,
    /// Rows of a commit that are not in the table yet; consecutive.
    pub(super) pending: &'a [StoredRow],
}

impl Snapshot<'_> {
    /// The last row that it sees.
    pub(crate) const fn horizon(&self) -> u64 {
        self.tail.horizon
    }

    /// This version, yanked or not; build metadata does not count.
    pub(crate) fn version(
        &self,
        name: &Name,
        version: &Version,
    ) -> Result<Option<VersionHit>, RegistryError> {
        let classes = [Class::of(version, false), Class::of(version, true)];
        let key = VersionKey::of(version);
        match self.tail.version(name, classes, &key) {
            None => self.version_in_table(name, classes, &key),
            found => Ok(found),
        }
    }

    fn version_in_table(
        &self,
        name: &Name,
        classes: [Class; 2],
        key: &VersionKey,
    ) -> Result<Option<VersionHit>, RegistryError> {
        // One after the other: for both at once, SQLite makes a table of them first, which costs as much as the look-up.
        for class in classes {
            let found = one(
                self.connection,
                "find a version",
                "SELECT seq, yank FROM version WHERE name = ?1 AND class = ?2 AND key = ?3",
                &[&name.as_str(), &(class as i64), &key.as_bytes()],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            if found.is_some() {
                return found.map(version_hit).transpose();
            }
        }
        Ok(None)
    }

    /// The highest version of `class` within `range`, or of all.
    pub(crate) fn highest(
        &self,
        name: &Name,
        class: Class,
        range: Option<&KeyRange>,
    ) -> Result<Option<VersionHit>, RegistryError> {
        let mut table = ClassWalk::statement(self.connection)?;
        let found = ClassWalk::new(self.tail, &mut table, name, class, range)?.step()?;
        Ok(found.map(|(_, hit)| hit))
    }

    pub(crate) fn has_name(&self, name: &Name) -> Result<bool, RegistryError> {
        if self.tail.has_name(name.as_str()) {
            return Ok(true);
        }
        let found = one(
            self.connection,
            "find a name",
            "SELECT 1 FROM version WHERE name = ?1 LIMIT 1",
            &[&name.as_str()],
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }

    pub(crate) fn row(&self, seq: u64) -> Result<StoredRow, RegistryError> {
        if let Some(row) = self.pending(seq) {
            return Ok(row.clone());
        }
        let seq = signed(seq)?;
        one(self.connection, "read a row", ROW, &[&seq], |row| Ok(stored_row(row)))?
            .ok_or_else(|| RegistryError::corrupt_row(seq, "it is missing"))?
    }

    fn pending(&self, seq: u64) -> Option<&StoredRow> {
        let behind = seq.checked_sub(self.pending.first()?.row.seq)?;
        self.pending.get(usize::try_from(behind).ok()?)
    }

    /// Rows behind `after`, at most `limit`, in order, and no more once their bodies have [`STEP_BYTES`]: none only where there are no
    /// more. One that cannot be read leaves the others readable; where the database cannot go on, those before are given first.
    pub(crate) fn rows(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Result<StoredRow, RegistryError>>, RegistryError> {
        let fail = |error| failed("read the change feed", error);
        let mut statement = self.connection.prepare_cached(ROWS).map_err(fail)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = statement
            .query_map(params![i64::try_from(after).unwrap_or(i64::MAX), limit], |row| Ok(stored_row(row)))
            .map_err(fail)?;
        let (mut rows, mut bytes) = (Vec::new(), 0_usize);
        for row in found {
            let row = match row {
                Ok(row) => row,
                Err(error) if rows.is_empty() => return Err(fail(error)),
                Err(_) => break,
            };
            bytes = bytes.saturating_add(row.as_ref().map_or(0, |stored| stored.row.body.len()));
            rows.push(row);
            if bytes >= STEP_BYTES {
                break;
            }
        }
        Ok(rows)
    }

    /// The publish at `hit` as hosts see it, and where its bytes lie.
    pub(crate) fn entry(&self, hit: VersionHit) -> Result<(Entry, Location), RegistryError> {
        let StoredRow { row: publish, location, .. } = self.row(hit.seq)?;
        let yanked = match hit.yank {
            Some(seq) => Some(self.row(seq)?.row.read_body::<YankBody>()?.reason),
            None => None,
        };
        let seq = i64::try_from(hit.seq).unwrap_or(i64::MAX);
        let metadata: Metadata = publish.read_body()?;
        let marks = self.marks(hit.seq)?;
        let (labels, deprecated) = (self.labels(marks, &metadata.labels)?, self.deprecation(marks)?);
        match (publish, location) {
            (
                Row {
                    kind: RowKind::Published,
                    name: Some(name),
                    version: Some(version),
                    content: Some(content),
                    actor,
                    at,
                    ..
                },
                Some(location),
            ) => {
                let RowContent { digest, sha256, size, media_type } = content;
                let artifact = ArtifactRef::new(name, version);
                let entry = Entry {
                    artifact,
                    digest,
                    sha256,
                    size,
                    media_type,
                    metadata,
                    actor,
                    published_at: at,
                    seq: hit.seq,
                    yanked,
                    labels,
                    deprecated,
                };
                Ok((entry, location))
            }
            _ => Err(RegistryError::corrupt_row(seq, "it is not the publish that the index says it is")),
        }
    }

    /// Where bytes with this digest lie, if they are stored.
    pub(crate) fn location(&self, digest: &Digest) -> Result<Option<Location>, RegistryError> {
        let what = "find a digest";
        let prefix = digest_prefix(digest);
        let mut entry = self.tail.next_digest(prefix, None);
        while let Some(found) = entry {
            let StoredRow { row, location, .. } = self.row(found.2)?;
            // Another digest that begins alike is as good as impossible, and no reason to hand out its bytes.
            if row.content.is_some_and(|content| content.digest == *digest) {
                return Ok(location);
            }
            entry = self.tail.next_digest(prefix, Some(&found));
        }
        let sql = "SELECT r.pack_epoch, r.pack_number, r.pack_offset, r.record_bytes FROM digest d \
               JOIN row r ON r.seq = d.seq WHERE d.prefix = ?1 AND r.digest = ?2 LIMIT 1";
        let found = one(self.connection, what, sql, &[&prefix, digest.as_bytes()], |row| {
            Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?))
        })?;
        found
            .map(|(epoch, number, offset, record_bytes)| {
                Ok(Location {
                    pack: PackName { epoch, number },
                    offset: unsigned(offset)?,
                    record_bytes: unsigned(record_bytes)?,
                })
            })
            .transpose()
    }

    /// The versions of `name` with this digest, the one published last first.
    pub(crate) fn digest_of_name(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> Result<Option<VersionHit>, RegistryError> {
        let what = "find a digest of a name";
        let prefix = digest_prefix(digest);
        let sql = "SELECT seq FROM digest WHERE prefix = ?1 AND name = ?2 ORDER BY seq DESC";
        let mut statement = self.connection.prepare_cached(sql).map_err(|error| failed(what, error))?;
        let seqs = statement
            .query_map(params![prefix, name.as_str()], |row| row.get::<_, i64>(0))
            .map_err(|error| failed(what, error))?;
        let merged = seqs.map(|seq| unsigned(seq.map_err(|error| failed(what, error))?));
        // Those of the tail are the newest; one that is being merged may come twice.
        let tail = self.tail.digests_of_name(prefix, name);
        let mut last = None;
        for seq in tail.into_iter().map(Ok).chain(merged) {
            let publish = self.row(seq?)?.row;
            if publish.content.as_ref().is_none_or(|content| content.digest != *digest) {
                continue;
            }
            let Some(found) =
                publish.version.as_ref().map(|found| self.version(name, found)).transpose()?.flatten()
            else {
                continue;
            };
            if found.yank.is_none() {
                return Ok(Some(found));
            }
            last = last.or(Some(found));
        }
        Ok(last)
    }

    /// Where the channel points: the row that moved it last, or that removed it.
    pub(crate) fn channel(&self, name: &Name, channel: &Name) -> Result<Option<Row>, RegistryError> {
        let found = one(
            self.connection,
            "find a channel",
            "SELECT seq FROM channel WHERE name = ?1 AND channel = ?2",
            &[&name.as_str(), &channel.as_str()],
            |row| row.get(0),
        )?;
        found.map(|seq| Ok(self.row(unsigned(seq)?)?.row)).transpose()
    }

    /// The row that a request made.
    pub(crate) fn request(&self, id: &RequestId) -> Result<Option<Row>, RegistryError> {
        if let Some(seq) = self.tail.request(id.as_str()) {
            return Ok(Some(self.row(seq)?.row));
        }
        let sql = "SELECT seq FROM request WHERE id = ?1";
        let found = one(self.connection, "find a request", sql, &[&id.as_str()], |row| row.get(0))?;
        found.map(|seq| Ok(self.row(unsigned(seq)?)?.row)).transpose()
    }

    /// The expiry of a pin; `None` when there is none, `Some(None)` when it has no expiry.
    pub(crate) fn pin(
        &self,
        holder: &mcp_core::Holder,
        publish: u64,
    ) -> Result<Option<Option<Timestamp>>, RegistryError> {
        let found = one(
            self.connection,
            "find a pin",
            "SELECT expires FROM pin WHERE holder = ?1 AND publish = ?2",
            &[&holder.as_str(), &signed(publish)?],
            |row| row.get::<_, Option<i64>>(0),
        )?;
        Ok(found.map(|expires| expires.map(Timestamp::from_micros)))
    }
}

/// The database's errors of single columns become errors of the row: so one damaged row leaves the others readable.
fn stored_row(sql: &SqlRow<'_>) -> Result<StoredRow, RegistryError> {
    let seq: i64 = sql.get(0).map_err(|error| failed("read a row", error))?;
    read_row(sql, seq).map_err(|error| match error {
        RowFault::Sql(error) => RegistryError::corrupt_row(seq, error.to_string()),
        RowFault::Content(reason) => RegistryError::corrupt_row(seq, reason),
    })
}

enum RowFault {
    Sql(rusqlite::Error),
    Content(String),
}

impl From<rusqlite::Error> for RowFault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

fn read_row(sql: &SqlRow<'_>, seq: i64) -> Result<StoredRow, RowFault> {
    fn parse<T: std::str::FromStr<Err = mcp_core::ParseError>>(text: &str) -> Result<T, RowFault> {
        text.parse().map_err(|error: mcp_core::ParseError| RowFault::Content(error.to_string()))
    }
    fn positive<T: TryFrom<i64>>(number: i64) -> Result<T, RowFault> {
        T::try_from(number).map_err(|_| RowFault::Content(format!("{number} is out of range")))
    }
    let text = |column: usize| -> Result<Option<&str>, RowFault> {
        sql.get_ref(column)?.as_str_or_null().map_err(|error| RowFault::Content(error.to_string()))
    };
    let required = |column: usize| -> Result<&str, RowFault> {
        text(column)?.ok_or_else(|| RowFault::Content("a column is empty".to_owned()))
    };
    let kind = RowKind::from_number(sql.get(2)?)
        .ok_or_else(|| RowFault::Content("its kind is unknown to this build".to_owned()))?;
    let content = match (sql.get::<_, Option<[u8; 32]>>(8)?, sql.get::<_, Option<[u8; 32]>>(9)?) {
        (Some(digest), Some(sha256)) => Some(RowContent {
            digest: Digest::from_bytes(digest),
            sha256,
            size: positive(sql.get(10)?)?,
            media_type: required(11)?.to_owned(),
        }),
        _ => None,
    };
    let location = match sql.get::<_, Option<i64>>(13)? {
        Some(epoch) => Some(Location {
            pack: PackName { epoch: positive(epoch)?, number: positive(sql.get(14)?)? },
            offset: positive(sql.get(15)?)?,
            record_bytes: positive(sql.get(16)?)?,
        }),
        None => None,
    };
    let row = Row {
        seq: positive(seq)?,
        kind,
        at: Timestamp::from_micros(sql.get(3)?),
        actor: parse(required(4)?)?,
        request_id: text(5)?.map(parse).transpose()?,
        name: text(6)?.map(parse).transpose()?,
        version: text(7)?.map(parse).transpose()?,
        content,
        body: required(12)?.to_owned(),
    };
    Ok(StoredRow { row, chain: Digest::from_bytes(sql.get(1)?), location })
}

/// The 64 bits of a digest that are indexed; whoever finds a row compares all of it.
pub(super) fn digest_prefix(digest: &Digest) -> i64 {
    digest.as_bytes().first_chunk::<8>().map_or(0, |first| i64::from_be_bytes(*first))
}
