use mcp_core::{ArtifactRef, Digest, Name, RequestId, Timestamp, Version};
use rusqlite::{Connection, OptionalExtension as _, Row as SqlRow, ToSql, params};

use super::{failed, signed, unsigned};
use crate::entry::{Entry, Location};
use crate::feed::{Row, RowContent, RowKind, YankBody};
use crate::interval::KeyRange;
use crate::pack::PackName;
use crate::version_key::VersionKey;
use crate::{Metadata, RegistryError};

/// In which of four runs a version of a name is indexed: so the highest of a kind is the last of its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Release = 0,
    PreRelease = 1,
    YankedRelease = 2,
    YankedPreRelease = 3,
}

impl Class {
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

const COLUMNS: &str = "seq, chain, kind, at, actor, request, name, version, digest, sha256, size, media_type, body, \
                       pack_epoch, pack_number, pack_offset, record_bytes";

type Hit = (i64, Option<i64>);

fn hit(found: Option<Hit>) -> Result<Option<VersionHit>, RegistryError> {
    found
        .map(|(seq, yank)| Ok(VersionHit { seq: unsigned(seq)?, yank: yank.map(unsigned).transpose()? }))
        .transpose()
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

/// Reads of the catalog through one connection: what a reader sees, or a commit that is being made.
#[derive(Clone, Copy)]
pub(crate) struct Snapshot<'a>(pub(super) &'a Connection);

impl Snapshot<'_> {
    /// This version, yanked or not; build metadata does not count.
    pub(crate) fn version(
        &self,
        name: &Name,
        version: &Version,
    ) -> Result<Option<VersionHit>, RegistryError> {
        let (live, yanked) = (Class::of(version, false) as i64, Class::of(version, true) as i64);
        let found = one(
            self.0,
            "find a version",
            "SELECT seq, yank FROM version WHERE name = ?1 AND class IN (?2, ?3) AND key = ?4",
            &[&name.as_str(), &live, &yanked, &VersionKey::of(version).as_bytes()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        hit(found)
    }

    /// The highest version of `class` within `range`, or of all.
    pub(crate) fn highest(
        &self,
        name: &Name,
        class: Class,
        range: Option<&KeyRange>,
    ) -> Result<Option<VersionHit>, RegistryError> {
        let what = "find the highest version";
        let read = |row: &SqlRow<'_>| Ok((row.get(0)?, row.get(1)?));
        let class = class as i64;
        let found = match range {
            None => one(
                self.0,
                what,
                "SELECT seq, yank FROM version WHERE name = ?1 AND class = ?2 ORDER BY key DESC LIMIT 1",
                &[&name.as_str(), &class],
                read,
            ),
            Some(KeyRange { from, to: None }) => one(
                self.0,
                what,
                "SELECT seq, yank FROM version WHERE name = ?1 AND class = ?2 AND key >= ?3 ORDER BY key DESC LIMIT 1",
                &[&name.as_str(), &class, &from.as_bytes()],
                read,
            ),
            Some(KeyRange { from, to: Some(to) }) => one(
                self.0,
                what,
                "SELECT seq, yank FROM version WHERE name = ?1 AND class = ?2 AND key >= ?3 AND key < ?4 \
             ORDER BY key DESC LIMIT 1",
                &[&name.as_str(), &class, &from.as_bytes(), &to.as_bytes()],
                read,
            ),
        }?;
        hit(found)
    }

    pub(crate) fn has_name(&self, name: &Name) -> Result<bool, RegistryError> {
        let found = one(
            self.0,
            "find a name",
            "SELECT 1 FROM version WHERE name = ?1 LIMIT 1",
            &[&name.as_str()],
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }

    pub(crate) fn row(&self, seq: u64) -> Result<StoredRow, RegistryError> {
        let seq = signed(seq)?;
        let sql = select("WHERE seq = ?1");
        one(self.0, "read a row", &sql, &[&seq], |row| Ok(stored_row(row)))?
            .ok_or_else(|| RegistryError::corrupt_row(seq, "it is missing"))?
    }

    /// Rows behind `after`, at most `limit`, in order. One that cannot be read leaves the others readable.
    pub(crate) fn rows(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Result<StoredRow, RegistryError>>, RegistryError> {
        let fail = |error| failed("read the change feed", error);
        let sql = select("WHERE seq > ?1 ORDER BY seq LIMIT ?2");
        let mut statement = self.0.prepare_cached(&sql).map_err(fail)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement
            .query_map(params![i64::try_from(after).unwrap_or(i64::MAX), limit], |row| Ok(stored_row(row)))
            .map_err(fail)?;
        rows.map(|row| row.map_err(fail)).collect()
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
        let sql = "SELECT r.pack_epoch, r.pack_number, r.pack_offset, r.record_bytes FROM digest d \
               JOIN row r ON r.seq = d.seq WHERE d.prefix = ?1 AND r.digest = ?2 LIMIT 1";
        let found = one(self.0, what, sql, &[&digest_prefix(digest), digest.as_bytes()], |row| {
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
        let sql = "SELECT d.seq FROM digest d WHERE d.prefix = ?1 AND d.name = ?2 ORDER BY d.seq DESC";
        let mut statement = self.0.prepare_cached(sql).map_err(|error| failed(what, error))?;
        let seqs = statement
            .query_map(params![digest_prefix(digest), name.as_str()], |row| row.get::<_, i64>(0))
            .map_err(|error| failed(what, error))?;
        let mut last = None;
        for seq in seqs {
            let publish = self.row(unsigned(seq.map_err(|error| failed(what, error))?)?)?.row;
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
            self.0,
            "find a channel",
            "SELECT seq FROM channel WHERE name = ?1 AND channel = ?2",
            &[&name.as_str(), &channel.as_str()],
            |row| row.get(0),
        )?;
        found.map(|seq| Ok(self.row(unsigned(seq)?)?.row)).transpose()
    }

    /// The row that a request made.
    pub(crate) fn request(&self, id: &RequestId) -> Result<Option<Row>, RegistryError> {
        let found =
            one(self.0, "find a request", "SELECT seq FROM request WHERE id = ?1", &[&id.as_str()], |row| {
                row.get(0)
            })?;
        found.map(|seq| Ok(self.row(unsigned(seq)?)?.row)).transpose()
    }

    /// The expiry of a pin; `None` when there is none, `Some(None)` when it has no expiry.
    pub(crate) fn pin(
        &self,
        holder: &mcp_core::Holder,
        publish: u64,
    ) -> Result<Option<Option<Timestamp>>, RegistryError> {
        let found = one(
            self.0,
            "find a pin",
            "SELECT expires FROM pin WHERE holder = ?1 AND publish = ?2",
            &[&holder.as_str(), &signed(publish)?],
            |row| row.get::<_, Option<i64>>(0),
        )?;
        Ok(found.map(|expires| expires.map(Timestamp::from_micros)))
    }
}

fn select(rest: &str) -> String {
    format!("SELECT {COLUMNS} FROM row {rest}")
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
