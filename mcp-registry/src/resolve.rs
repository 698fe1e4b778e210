use std::sync::Arc;

use mcp_core::{ArtifactCorrupt, ArtifactRef, Digest, Id, Name, RegistryEvent, Requirement, Version};

use crate::blob::open_record;
use crate::catalog::{Class, Snapshot, VersionHit};
use crate::entry::{Content, Entry, Location};
use crate::error::with_causes;
use crate::interval::admitted;
use crate::select::Selection;
use crate::storage::StorageError;
use crate::version_key::VersionKey;
use crate::{ChangeRow, Registry, RegistryError, Select};

impl Registry {
    /// Which version of `name` the selection means, and what is known of it. A look-up or two in an index, however many versions there
    /// are.
    ///
    /// # Errors
    /// By kind: `Invalid` for a selection that could not be read; `NotFound` when there is no such version; `Corrupt`; `Unavailable`.
    pub async fn resolve(&self, name: &Name, select: Select) -> Result<Entry, RegistryError> {
        Ok(Arc::unwrap_or_clone(self.locate(name, select).await?.0))
    }

    /// The bytes of the version that the selection means, compared with their digest, and what is known of it.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve) has them; `Exhausted` when the version is larger than `max_artifact_bytes`, which
    /// [`get_stream`](Self::get_stream) and [`save`](Self::save) can read; `Corrupt` when the
    /// stored bytes are not what was published, with artifact, pack and offset.
    pub async fn get(&self, name: &Name, select: Select) -> Result<Content, RegistryError> {
        let (entry, location) = self.locate(name, select).await?;
        self.check_whole(&entry)?;
        self.content(entry, location).await
    }

    /// A version with these bytes, of whatever name: one that is not yanked, or where there is none a yanked one; `None` when these bytes
    /// were never published. Which one of several is not said.
    ///
    /// # Errors
    /// `Corrupt` or `Unavailable` when the catalog cannot be read.
    pub async fn find_digest(&self, digest: &Digest) -> Result<Option<Entry>, RegistryError> {
        let digest = *digest;
        let find =
            move |now: &Snapshot<'_>| now.version_with(&digest)?.map(|hit| Ok(now.entry(hit)?.0)).transpose();
        self.readers().read(find).await
    }

    /// Names that begin with `prefix`, in order, behind `after`; at most `limit`.
    ///
    /// # Errors
    /// `Corrupt` or `Unavailable` when the catalog cannot be read.
    pub async fn names(
        &self,
        prefix: &str,
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Vec<Name>, RegistryError> {
        let prefix = prefix.to_owned();
        let after = after.map_or_else(String::new, |name| name.as_str().to_owned());
        self.readers().read(move |now| now.names(&prefix, &after, limit)).await
    }

    /// Versions of `name` that precede `below`, yanked or not, the highest first; at most `limit`. None for an unknown name. One whose row
    /// is damaged is left out, and told by [`verify`](Self::verify).
    ///
    /// # Errors
    /// `Corrupt` or `Unavailable` when the catalog cannot be read.
    pub async fn versions(
        &self,
        name: &Name,
        below: Option<&Version>,
        limit: usize,
    ) -> Result<Vec<Entry>, RegistryError> {
        let (name, below) = (name.clone(), below.map(VersionKey::of));
        self.readers().read(move |now| now.versions(&name, below.as_ref(), limit)).await
    }

    /// The change feed behind the position `after`, at most `limit` rows: audit trail, cache invalidation and replication read it. Fewer
    /// where their bodies have more than 4 MiB together; none only where there are no more.
    ///
    /// # Errors
    /// `Corrupt` when a row cannot be read, or `Unavailable`.
    pub async fn changes(&self, after: u64, limit: usize) -> Result<Vec<ChangeRow>, RegistryError> {
        let rows = self.readers().read(move |now| now.rows(after, limit)).await?;
        rows.into_iter().map(|row| row.and_then(|stored| stored.row.into_change(stored.chain))).collect()
    }

    /// The id of the catalog: [`genesis`](crate::genesis) begins the chain of the change feed with it, and it stands in the source of
    /// the events.
    ///
    /// # Errors
    /// `Corrupt` or `Unavailable` when the catalog cannot be read.
    pub async fn catalog_id(&self) -> Result<Id, RegistryError> {
        Ok(self.readers().look_up(|now| now.identity()).await?.id)
    }

    pub(crate) async fn locate(
        &self,
        name: &Name,
        select: Select,
    ) -> Result<(Arc<Entry>, Location), RegistryError> {
        let selection = select.selection()?;
        self.counters().resolved();
        let readers = self.readers();
        if let Selection::Exact(version) = &selection
            && readers.is_beside_writer()
            && let Some(known) = self.remembered().exact(name, version, readers.changes())
        {
            self.counters().remembered();
            // A closed handle gives nothing, also not from memory.
            return if readers.is_closed() { Err(RegistryError::Closed) } else { Ok(known) };
        }
        let (name, remembered, known) = (name.clone(), Arc::clone(self.remembered()), readers.clone());
        let counters = self.shared_counters();
        let found = readers.look_up(move |now| {
            // Beside the writer, it was asked above.
            let exact = match &selection {
                Selection::Exact(version) if !known.is_beside_writer() => {
                    remembered.exact(&name, version, known.changes())
                }
                _ => None,
            };
            if let Some(found) = exact {
                return Ok(found);
            }
            let hit = find(now, &name, &selection)?;
            let asked = if let Selection::Exact(version) = selection { Some(version) } else { None };
            let by_row = remembered.row(hit.seq, known.changes());
            if by_row.is_some() {
                counters.remembered();
            }
            let (entry, location) = match by_row {
                Some(found) if asked.is_none() => return Ok(found),
                Some(found) => found,
                None => now.entry(hit).map(|(entry, location)| (Arc::new(entry), location))?,
            };
            let found = &entry.artifact;
            if found.name != name
                || asked.as_ref().is_some_and(|asked| !asked.same_precedence(&found.version))
            {
                let seq = i64::try_from(entry.seq).unwrap_or(i64::MAX);
                return Err(RegistryError::corrupt_row(seq, "it is another version than the index says"));
            }
            remembered.keep(asked, &entry, location, now.horizon());
            Ok((entry, location))
        });
        found.await
    }

    /// Reads and checks the bytes of `entry`.
    pub(crate) async fn content(
        &self,
        entry: Arc<Entry>,
        location: Location,
    ) -> Result<Content, RegistryError> {
        // What does not become smaller is stored as it is: a row that says more must not make anyone allocate.
        if location.record_bytes > entry.size.saturating_add(entry.size / 1024).saturating_add(FRAME_BYTES) {
            let reason = format!("its row gives it {} bytes of its pack", location.record_bytes);
            return Err(self.damaged(&entry.artifact, location.to_string(), reason));
        }
        let range = location.offset..location.offset.saturating_add(location.record_bytes);
        let read = self.storage().read(&location.pack.key(), range).await;
        let opened = match read {
            // Decompressing and comparing a large blob would hold up the tasks of this thread.
            Ok(record) if entry.size >= HEAVY_BYTES => {
                let (digest, size) = (entry.digest, entry.size);
                let opened = tokio::task::spawn_blocking(move || open_record(&record, &digest, size));
                opened.await.map_err(|_| RegistryError::Closed)?.map_err(|fault| fault.to_string())
            }
            Ok(record) => open_record(&record, &entry.digest, entry.size).map_err(|fault| fault.to_string()),
            Err(error) if is_missing(&error) => Err(with_causes(&error)),
            Err(source) => {
                return Err(RegistryError::Storage { what: format!("reading {}", entry.artifact), source });
            }
        };
        match opened {
            Ok(bytes) => {
                self.counters().read();
                self.counters().gave(bytes.len());
                Ok(Content { entry, bytes })
            }
            Err(reason) => Err(self.damaged(&entry.artifact, location.to_string(), reason)),
        }
    }

    /// Tells of stored bytes that are not what was published.
    pub(crate) fn damaged(&self, artifact: &ArtifactRef, place: String, reason: String) -> RegistryError {
        let corrupt = ArtifactCorrupt::new(artifact.clone(), place.clone());
        self.tell_apart_from_feed(&artifact.to_string(), RegistryEvent::Corrupt(corrupt));
        RegistryError::Corrupt { what: artifact.to_string(), place, reason }
    }
}

/// What frames a blob takes less than this and a 1024th of it.
const FRAME_BYTES: u64 = 4096;

/// From this size on, checking bytes leaves the caller's thread.
const HEAVY_BYTES: u64 = 64 << 10;

/// Whether the pack, or this part of it, is not there: it was when it was published.
pub(crate) fn is_missing(error: &StorageError) -> bool {
    matches!(error.kind(), mcp_core::ErrorKind::NotFound | mcp_core::ErrorKind::Invalid)
}

/// The version that the selection means.
pub(crate) fn find(
    now: &Snapshot<'_>,
    name: &Name,
    selection: &Selection,
) -> Result<VersionHit, RegistryError> {
    let found = match selection {
        Selection::Exact(version) => now.version(name, version)?,
        Selection::Requirement(requirement) => satisfying(now, name, requirement)?,
        Selection::Latest { pre_releases } => {
            let release = now.highest(name, Class::Release, None)?;
            let pre = if *pre_releases { now.highest(name, Class::PreRelease, None)? } else { None };
            higher(now, release, pre)?
        }
        Selection::Channel(channel) => {
            let version = now.channel(name, channel)?.and_then(|row| row.version);
            version.map(|version| now.version(name, &version)).transpose()?.flatten()
        }
        Selection::Digest(digest) => now.digest_of_name(name, digest)?,
    };
    found.map_or_else(|| Err(missing(now, name, selection)?), Ok)
}

/// Says what there is instead of what was asked for.
fn missing(now: &Snapshot<'_>, name: &Name, selection: &Selection) -> Result<RegistryError, RegistryError> {
    let what = match selection {
        Selection::Exact(version) => format!("{name}@{version}"),
        Selection::Requirement(requirement) => format!("a version of {name} that satisfies {requirement}"),
        Selection::Latest { .. } => format!("the latest version of {name}"),
        Selection::Channel(channel) => format!("channel {channel} of {name}"),
        Selection::Digest(digest) => format!("a version of {name} with {digest}"),
    };
    let reason = if !now.has_name(name)? {
        "nothing was published under this name"
    } else {
        match selection {
            Selection::Latest { pre_releases: false }
                if now.highest(name, Class::PreRelease, None)?.is_some() =>
            {
                "it has pre-releases only; ask for them"
            }
            Selection::Latest { .. } => "all its versions are yanked",
            Selection::Requirement(_) => "none of its versions that are not yanked does",
            Selection::Channel(channel) if now.channel(name, channel)?.is_some() => "it was removed",
            Selection::Channel(_) => "it was never set",
            Selection::Exact(_) | Selection::Digest(_) => "no such version was published",
        }
    };
    Ok(RegistryError::not_found(what, reason))
}

/// The highest version that satisfies the requirement: one seek for releases, and one for each pre-release that it names.
fn satisfying(
    now: &Snapshot<'_>,
    name: &Name,
    requirement: &Requirement,
) -> Result<Option<VersionHit>, RegistryError> {
    let admitted = admitted(requirement);
    let mut best = match &admitted.releases {
        Some(range) => now.highest(name, Class::Release, Some(range))?,
        None => None,
    };
    for range in &admitted.pre_releases {
        let Some(hit) = now.highest(name, Class::PreRelease, Some(range))? else { continue };
        if version_of(now, hit)?.is_some_and(|version| requirement.matches(&version)) {
            best = higher(now, best, Some(hit))?;
        }
    }
    Ok(best)
}

fn higher(
    now: &Snapshot<'_>,
    a: Option<VersionHit>,
    b: Option<VersionHit>,
) -> Result<Option<VersionHit>, RegistryError> {
    let (Some(first), Some(second)) = (a, b) else { return Ok(a.or(b)) };
    Ok(match (version_of(now, first)?, version_of(now, second)?) {
        (Some(one), Some(other)) if one.cmp_precedence(&other).is_lt() => Some(second),
        _ => Some(first),
    })
}

fn version_of(now: &Snapshot<'_>, hit: VersionHit) -> Result<Option<Version>, RegistryError> {
    Ok(now.row(hit.seq)?.row.version)
}
