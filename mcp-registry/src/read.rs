use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, Stream, StreamExt as _};
use mcp_core::{Digest, Name};

use crate::chunked::{CHUNKED_FROM_BYTES, Chunks, check_head};
use crate::entry::{Content, Entry, Location};
use crate::error::with_causes;
use crate::pack::{ChunkHead, ChunkTable};
use crate::resolve::is_missing;
use crate::storage::{StorageBackend, StorageError};
use crate::{Registry, RegistryError, Select};

/// The bytes of a version, part by part; each part was compared with the version's digest before it is given.
///
/// Where the stored bytes are not what was published it ends in one `Corrupt`, with artifact, pack and offset.
#[must_use = "a stream reads nothing until it is polled"]
pub struct ContentStream {
    /// What the registry knows of the version.
    pub entry: Arc<Entry>,
    parts: BoxStream<'static, Result<Bytes, RegistryError>>,
}

impl Stream for ContentStream {
    type Item = Result<Bytes, RegistryError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.parts.poll_next_unpin(context);
        if let Poll::Ready(Some(Err(_))) = next {
            self.parts = stream::empty().boxed();
        }
        next
    }
}

impl std::fmt::Debug for ContentStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContentStream").field("entry", &self.entry).finish_non_exhaustive()
    }
}

/// So many chunks are read and checked at a time, while the one before is used.
const READ_AHEAD: usize = 2;

impl Registry {
    /// The version that the selection means, and its bytes as a stream: however large, no more than a few MiB are held.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve) has them, and `Corrupt` and `Unavailable` for the first bytes that are read; the stream ends in those
    /// of the others.
    pub async fn get_stream(&self, name: &Name, select: Select) -> Result<ContentStream, RegistryError> {
        let (entry, location) = self.locate(name, select).await?;
        let parts = match self.layout(&entry, location).await? {
            Layout::Whole => {
                let Content { bytes, .. } = self.content(Arc::clone(&entry), location).await?;
                stream::iter((!bytes.is_empty()).then_some(Ok(bytes))).boxed()
            }
            Layout::Chunks(chunks) => {
                let read =
                    Arc::new(Reading { registry: self.clone(), entry: Arc::clone(&entry), location, chunks });
                stream::iter(0..read.chunks.count())
                    .map(move |index| Arc::clone(&read).chunk(index))
                    .buffered(READ_AHEAD)
                    .boxed()
            }
        };
        Ok(ContentStream { entry, parts })
    }

    /// The bytes `range` of the version that the selection means, compared with its digest: of a large blob, only the chunks of 1 MiB that
    /// hold them are read.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve) has them; `Invalid` for a range that the version does not have; `Exhausted` for one longer than
    /// `max_artifact_bytes`; `Corrupt`.
    pub async fn get_range(
        &self,
        name: &Name,
        select: Select,
        range: Range<u64>,
    ) -> Result<Content, RegistryError> {
        let (entry, location) = self.locate(name, select).await?;
        let what = || format!("get bytes {} to {} of {}", range.start, range.end, entry.artifact);
        if range.start > range.end || range.end > entry.size {
            return Err(RegistryError::Invalid { what: what(), reason: format!("it has {}", entry.size) });
        }
        let (size, limit) = (range.end.saturating_sub(range.start), self.settings().max_artifact_bytes);
        if size > limit {
            return Err(RegistryError::TooLarge { what: what(), size, limit, setting: "max_artifact_bytes" });
        }
        match self.layout(&entry, location).await? {
            Layout::Whole => {
                let content = self.content(entry, location).await?;
                let bytes = part(&content.bytes, range.start, range.end);
                Ok(Content { bytes, ..content })
            }
            Layout::Chunks(chunks) => {
                let read =
                    Arc::new(Reading { registry: self.clone(), entry: Arc::clone(&entry), location, chunks });
                let bytes = read.range(range).await?;
                Ok(Content { entry, bytes })
            }
        }
    }

    async fn layout(&self, entry: &Entry, location: Location) -> Result<Layout, RegistryError> {
        // Not worth a second read.
        if entry.size <= CHUNKED_FROM_BYTES {
            return Ok(Layout::Whole);
        }
        match read_chunks(&**self.storage(), &entry.digest, entry.size, location).await {
            Ok(Some(chunks)) => {
                self.counters().read();
                Ok(Layout::Chunks(chunks))
            }
            Ok(None) => {
                self.check_whole(entry)?;
                Ok(Layout::Whole)
            }
            Err(fault) => Err(self.failed(entry, fault)),
        }
    }

    /// Refuses to hold more of one artifact in memory than the settings allow.
    pub(crate) fn check_whole(&self, entry: &Entry) -> Result<(), RegistryError> {
        let (size, limit) = (entry.size, self.settings().max_artifact_bytes);
        if size > limit {
            let what = format!("get {}", entry.artifact);
            return Err(RegistryError::TooLarge { what, size, limit, setting: "max_artifact_bytes" });
        }
        Ok(())
    }

    fn failed(&self, entry: &Entry, fault: ReadFault) -> RegistryError {
        match fault {
            ReadFault::Damaged { place, reason } => self.damaged(&entry.artifact, place, reason),
            ReadFault::Storage(source) => {
                RegistryError::Storage { what: format!("reading {}", entry.artifact), source }
            }
        }
    }
}

/// How the record of a version is read.
enum Layout {
    /// In one piece.
    Whole,
    Chunks(Chunks),
}

/// Why a part of a record could not be read.
pub(crate) enum ReadFault {
    Damaged { place: String, reason: String },
    Storage(StorageError),
}

/// Reads `range` of a pack; what is not there is damage.
pub(crate) async fn read_stored(
    storage: &dyn StorageBackend,
    location: Location,
    range: Range<u64>,
) -> Result<Bytes, ReadFault> {
    let start = range.start;
    match storage.read(&location.pack.key(), range).await {
        Ok(bytes) => Ok(bytes),
        Err(error) if is_missing(&error) => Err(damaged(location, start, with_causes(&error))),
        Err(source) => Err(ReadFault::Storage(source)),
    }
}

pub(crate) fn damaged(location: Location, offset: u64, reason: impl ToString) -> ReadFault {
    ReadFault::Damaged { place: Location { offset, ..location }.to_string(), reason: reason.to_string() }
}

/// The table of a record of chunks, compared with the digest of its blob; `None` for a record in one piece.
async fn read_chunks(
    storage: &dyn StorageBackend,
    digest: &Digest,
    size: u64,
    location: Location,
) -> Result<Option<Chunks>, ReadFault> {
    read_table(storage, digest, Some(size), location).await
}

/// A longer table is not read on its own word. No writer makes one: that of 1 TiB, the most that a setting allows, has 36 MiB.
const MAX_TABLE_BYTES: u64 = 64 << 20;

/// As [`read_chunks`]; without a `size`, of a blob that the catalog does not know, its own is taken.
pub(crate) async fn read_table(
    storage: &dyn StorageBackend,
    digest: &Digest,
    size: Option<u64>,
    location: Location,
) -> Result<Option<Chunks>, ReadFault> {
    let Location { offset, record_bytes, .. } = location;
    let end = offset.saturating_add(record_bytes);
    let head = read_stored(storage, location, offset..offset.saturating_add(ChunkHead::BYTES as u64)).await?;
    if !ChunkHead::begins(&head) {
        return Ok(None);
    }
    check_head(&head, record_bytes).map_err(|fault| damaged(location, offset, fault))?;
    let tail_start = end.saturating_sub(ChunkTable::TAIL_BYTES as u64);
    let tail = read_stored(storage, location, tail_start..end).await?;
    let length =
        ChunkTable::length(&tail, record_bytes).map_err(|fault| damaged(location, tail_start, fault))?;
    // However small the chunks are, a table is shorter than what it is of.
    if length > size.unwrap_or(MAX_TABLE_BYTES) {
        return Err(damaged(location, tail_start, format!("its table of {length} bytes is too long")));
    }
    let start = end.saturating_sub(length);
    let table = read_stored(storage, location, start..end).await?;
    let chunks = Chunks::parse(&table, record_bytes, digest, size);
    chunks.map(Some).map_err(|fault| damaged(location, start, fault))
}

/// A large version that is being read.
struct Reading {
    registry: Registry,
    entry: Arc<Entry>,
    location: Location,
    chunks: Chunks,
}

impl Reading {
    async fn chunk(self: Arc<Self>, index: u64) -> Result<Bytes, RegistryError> {
        let stored = self.chunks.stored(index);
        let at = |position: u64| self.location.offset.saturating_add(position);
        let (start, end) = (at(stored.start), at(stored.end));
        let read = read_stored(&**self.registry.storage(), self.location, start..end).await;
        let bytes = read.map_err(|fault| self.registry.failed(&self.entry, fault))?;
        let reading = Arc::clone(&self);
        let opened = tokio::task::spawn_blocking(move || reading.chunks.open(index, bytes)).await;
        let bytes = opened
            .map_err(|_| RegistryError::Closed)?
            .map_err(|fault| self.registry.failed(&self.entry, damaged(self.location, start, fault)))?;
        self.registry.counters().gave(bytes.len());
        Ok(bytes)
    }

    async fn range(self: Arc<Self>, range: Range<u64>) -> Result<Bytes, RegistryError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let (first, last) =
            (self.chunks.index_of(range.start), self.chunks.index_of(range.end.saturating_sub(1)));
        let parts = stream::iter(first..=last).map(|index| {
            let reading = Arc::clone(&self);
            async move {
                let begin = reading.chunks.original_start(index);
                let bytes = Arc::clone(&reading).chunk(index).await?;
                Ok::<_, RegistryError>(part(
                    &bytes,
                    range.start.saturating_sub(begin),
                    range.end.saturating_sub(begin),
                ))
            }
        });
        let mut parts = parts.buffered(READ_AHEAD);
        let mut gathered = BytesMut::new();
        while let Some(bytes) = parts.next().await {
            let bytes = bytes?;
            if first == last {
                return Ok(bytes);
            }
            gathered.extend_from_slice(&bytes);
        }
        Ok(gathered.freeze())
    }
}

/// The bytes `from` to `to`, as far as there are any.
fn part(bytes: &Bytes, from: u64, to: u64) -> Bytes {
    let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(at(from).min(at(to))..at(to))
}
