use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use mcp_core::Digest;
use sha2::{Digest as _, Sha256};

use super::{Verification, Watch};
use crate::blob::{open_record, sha256};
use crate::chunked::{CHUNKED_FROM_BYTES, Chunks, check_head};
use crate::entry::Location;
use crate::error::with_causes;
use crate::feed::RowKind;
use crate::pack::{ChunkHead, Footer, FooterEntry, HEADER_BYTES, PackName, RecordHeader, check_header};
use crate::read::{ReadFault, read_table};
use crate::replay::{StoredAt, subject};
use crate::storage::StorageBackend;
use crate::{Registry, RegistryError};

/// Neighbouring records are read together, up to so many bytes.
const WINDOW_BYTES: u64 = 4 << 20;
/// So many windows, or chunks of a large record, are read and checked at a time.
const AT_A_TIME: usize = 2;
/// So many rows are fetched at a time.
const STEP_ROWS: usize = 4096;
/// No writer makes a longer index: a pack is sealed at 65,536 records.
const MAX_FOOTER_BYTES: u64 = 64 << 20;

/// One pack against its footer and against the catalog.
pub(super) struct PackCheck<'a> {
    pub(super) registry: &'a Registry,
    pub(super) watch: &'a Watch,
    pub(super) name: PackName,
    pub(super) found: &'a mut Verification,
}

/// A record, and what the footer and the catalog say of it.
struct Record {
    location: Location,
    digest: Digest,
    blob: Option<StoredBlob>,
}

/// What the catalog says of a blob.
#[derive(Clone)]
struct StoredBlob {
    digest: Digest,
    sha256: [u8; 32],
    size: u64,
    subject: String,
}

impl Record {
    fn subject(&self) -> &str {
        self.blob.as_ref().map_or("", |blob| &blob.subject)
    }

    /// Whether it is longer than any record in one piece, whatever the catalog knows of it: then it is not held.
    const fn is_large(&self) -> bool {
        self.location.record_bytes > CHUNKED_FROM_BYTES + RecordHeader::BYTES as u64
    }
}

/// What is wrong at a place.
struct Wrong {
    place: String,
    reason: String,
}

impl PackCheck<'_> {
    /// `sealed` is its length, where it is sealed. In a pack that still grew only the catalog knows the blobs, and what stands behind them was
    /// never acknowledged.
    pub(super) async fn run(mut self, sealed: Option<u64>, stored: &[StoredAt]) -> Result<(), RegistryError> {
        self.header().await?;
        let listed = match sealed {
            Some(bytes) => self.footer(bytes).await?.unwrap_or_default(),
            None => Vec::new(),
        };
        let mut records = self.records(stored).await?;
        for entry in listed {
            let location = Location { pack: self.name, offset: entry.offset, record_bytes: entry.length };
            let record =
                records.entry(entry.offset).or_insert(Record { location, digest: entry.digest, blob: None });
            if record.location != location || record.digest != entry.digest {
                self.found.fault(
                    location.to_string(),
                    record.subject(),
                    "footer and catalog name different blobs",
                );
                record.location = location;
                record.digest = entry.digest;
            }
        }
        self.check(records.into_values().collect()).await
    }

    /// What the catalog says of the blobs at these places.
    async fn records(&mut self, stored: &[StoredAt]) -> Result<BTreeMap<u64, Record>, RegistryError> {
        let mut records = BTreeMap::new();
        for step in stored.chunks(STEP_ROWS) {
            let seqs: Vec<u64> = step.iter().map(|stored| stored.seq).collect();
            let read = move |seq: u64, now: &crate::catalog::Snapshot<'_>| {
                let row = now.row(seq)?.row;
                let subject = subject(&row);
                let content = row.content.filter(|_| row.kind == RowKind::Published);
                Ok(content.map(|content| StoredBlob {
                    digest: content.digest,
                    sha256: content.sha256,
                    size: content.size,
                    subject,
                }))
            };
            let blobs = self
                .registry
                .readers()
                .read(move |now| Ok(seqs.into_iter().map(|seq| read(seq, now)).collect::<Vec<_>>()))
                .await?;
            for (stored, blob) in step.iter().zip(blobs) {
                let Some(Some(blob)) = self.found.readable(blob)? else { continue };
                let record = Record { location: stored.location, digest: blob.digest, blob: Some(blob) };
                if let Some(other) = records.insert(stored.location.offset, record) {
                    self.found.fault(
                        other.location.to_string(),
                        other.subject(),
                        "the catalog says two lengths for what begins here",
                    );
                }
            }
        }
        Ok(records)
    }

    async fn header(&mut self) -> Result<(), RegistryError> {
        let Some(bytes) = self.read(0, HEADER_BYTES as u64).await? else { return Ok(()) };
        if let Err(fault) = check_header(&bytes, self.name) {
            self.found.fault(format!("{} offset 0", self.name), "", fault.to_string());
        }
        Ok(())
    }

    async fn footer(&mut self, bytes: u64) -> Result<Option<Vec<FooterEntry>>, RegistryError> {
        let place = self.name.to_string();
        let stat = self.registry.storage().stat(&self.name.key()).await;
        let stat =
            stat.map_err(|source| RegistryError::Storage { what: format!("looking at {place}"), source })?;
        if let Some(stat) = stat.filter(|stat| stat.bytes != bytes) {
            let reason = format!("it has {} bytes, but was sealed with {bytes}", stat.bytes);
            self.found.fault(&place, "", reason);
        }
        let trailer_bytes = Footer::TRAILER_BYTES as u64;
        let Some(start) = bytes.checked_sub(trailer_bytes) else { return Ok(None) };
        let Some(trailer) = self.read(start, trailer_bytes).await? else { return Ok(None) };
        let length = match Footer::length(&trailer, bytes) {
            Ok(length) if length <= MAX_FOOTER_BYTES => length,
            Ok(length) => {
                self.found.fault(
                    format!("{place} offset {start}"),
                    "",
                    format!("its footer of {length} bytes is too long"),
                );
                return Ok(None);
            }
            Err(fault) => {
                self.found.fault(format!("{place} offset {start}"), "", fault.to_string());
                return Ok(None);
            }
        };
        let Some(start) = bytes.checked_sub(length) else { return Ok(None) };
        let Some(footer) = self.read(start, length).await? else { return Ok(None) };
        match Footer::parse(&footer) {
            Ok(footer) => Ok(Some(footer.entries)),
            Err(fault) => {
                self.found.fault(format!("{place} offset {start}"), "", fault.to_string());
                Ok(None)
            }
        }
    }

    /// `None`, and a fault, when these bytes are not there.
    async fn read(&mut self, offset: u64, length: u64) -> Result<Option<Bytes>, RegistryError> {
        let read =
            self.registry.storage().read(&self.name.key(), offset..offset.saturating_add(length)).await;
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if crate::resolve::is_missing(&error) => {
                self.found.fault(format!("{} offset {offset}", self.name), "", with_causes(&error));
                Ok(None)
            }
            Err(source) => Err(RegistryError::Storage { what: format!("reading {}", self.name), source }),
        }
    }

    /// Each record: header, payload, decoded bytes, and what the catalog says of it.
    async fn check(&mut self, records: Vec<Record>) -> Result<(), RegistryError> {
        let storage = self.registry.storage();
        let mut checked = stream::iter(windows(records))
            .map(|window| check_window(Arc::clone(storage), window))
            .buffered(AT_A_TIME);
        while let Some(window) = checked.next().await {
            for (record, wrong) in window? {
                self.found.blobs = self.found.blobs.saturating_add(u64::from(wrong.read));
                let bytes = record.location.record_bytes;
                for Wrong { place, reason } in wrong.faults {
                    self.found.fault(place, record.subject(), reason);
                }
                let faults = self.found.faults.len() as u64;
                self.watch.count(|progress| {
                    progress.blobs = progress.blobs.saturating_add(u64::from(record.blob.is_some()));
                    progress.bytes = progress.bytes.saturating_add(bytes);
                    progress.faults = faults;
                });
            }
            self.watch.tell(|_| ())?;
        }
        Ok(())
    }
}

/// Neighbours that are read together.
fn windows(records: Vec<Record>) -> impl Iterator<Item = Vec<Record>> + Send {
    let mut rest = records.into_iter().peekable();
    std::iter::from_fn(move || {
        let first = rest.next()?;
        let (start, mut end) = (first.location.offset, end_of(&first));
        let mut window = vec![first];
        while let Some(next) = rest
            .next_if(|next| next.location.offset == end && end_of(next).saturating_sub(start) <= WINDOW_BYTES)
        {
            end = end_of(&next);
            window.push(next);
        }
        Some(window)
    })
}

const fn end_of(record: &Record) -> u64 {
    record.location.offset.saturating_add(record.location.record_bytes)
}

/// What came of one record.
struct Checked {
    /// Whether it was there to be looked at.
    read: bool,
    faults: Vec<Wrong>,
}

impl Checked {
    fn of(outcome: Result<(), Wrong>) -> Self {
        Self { read: true, faults: outcome.err().into_iter().collect() }
    }
}

type CheckedWindow = Vec<(Record, Checked)>;

async fn check_window(
    storage: Arc<dyn StorageBackend>,
    window: Vec<Record>,
) -> Result<CheckedWindow, RegistryError> {
    let (Some(first), Some(last)) = (window.first(), window.last()) else { return Ok(Vec::new()) };
    if first.is_large() {
        let mut checked = Vec::with_capacity(1);
        for record in window {
            let outcome = check_large(&storage, &record).await?;
            checked.push((record, outcome));
        }
        return Ok(checked);
    }
    let (pack, start, end) = (first.location.pack, first.location.offset, end_of(last));
    match storage.read(&pack.key(), start..end).await {
        Ok(bytes) => {
            blocking(move || {
                let checked = window.into_iter().map(|record| {
                    let at =
                        |offset: u64| usize::try_from(offset.saturating_sub(start)).unwrap_or(usize::MAX);
                    let (from, to) = (at(record.location.offset), at(end_of(&record)));
                    let bytes =
                        if from <= to && to <= bytes.len() { bytes.slice(from..to) } else { Bytes::new() };
                    let outcome = check_record(&record, &bytes);
                    (record, Checked::of(outcome))
                });
                checked.collect()
            })
            .await
        }
        // One of them is not there; the others may be.
        Err(error) if crate::resolve::is_missing(&error) && window.len() > 1 => {
            let mut checked = Vec::with_capacity(window.len());
            for record in window {
                checked.extend(Box::pin(check_window(Arc::clone(&storage), vec![record])).await?);
            }
            Ok(checked)
        }
        Err(error) if crate::resolve::is_missing(&error) => {
            let reason = with_causes(&error);
            let missing = |record: Record| {
                let place = record.location.to_string();
                (record, Checked { read: false, faults: vec![Wrong { place, reason: reason.clone() }] })
            };
            Ok(window.into_iter().map(missing).collect())
        }
        Err(source) => Err(RegistryError::Storage { what: format!("reading {pack}"), source }),
    }
}

/// A record that is in memory.
fn check_record(record: &Record, bytes: &Bytes) -> Result<(), Wrong> {
    let wrong = |reason: String| Wrong { place: record.location.to_string(), reason };
    let told = |fault: crate::pack::PackFault| wrong(fault.to_string());
    if ChunkHead::begins(bytes) {
        return check_chunked(record, bytes);
    }
    let header = RecordHeader::parse(bytes).map_err(told)?;
    if !header.matches(bytes.get(RecordHeader::BYTES..).unwrap_or_default()) {
        return Err(wrong("the record's payload does not match its checksum".to_owned()));
    }
    let size = record.blob.as_ref().map_or(header.size, |blob| blob.size);
    let original = open_record(bytes, &record.digest, size).map_err(told)?;
    if record.blob.as_ref().is_some_and(|blob| blob.sha256 != sha256(&original)) {
        return Err(wrong(OTHER_SHA256.to_owned()));
    }
    Ok(())
}

const OTHER_SHA256: &str = "the bytes do not match the SHA-256 hash of their row";

/// A record of chunks that is in memory: however many bytes it unfolds to, one chunk at a time.
fn check_chunked(record: &Record, bytes: &Bytes) -> Result<(), Wrong> {
    let Location { offset, record_bytes, .. } = record.location;
    let at =
        |position: u64| Location { offset: offset.saturating_add(position), ..record.location }.to_string();
    let told = |position: u64| move |fault: crate::pack::PackFault| (position, fault.to_string());
    let checked = (|| {
        check_head(bytes, record_bytes).map_err(told(0))?;
        let size = record.blob.as_ref().map(|blob| blob.size);
        let chunks = Chunks::parse(bytes, record_bytes, &record.digest, size).map_err(told(0))?;
        let mut hash = Sha256::new();
        for index in 0..chunks.count() {
            let stored = chunks.stored(index);
            let part = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
            let (from, to) = (part(stored.start), part(stored.end));
            let stored = bytes.slice(from.min(to)..to);
            hash.update(chunks.open(index, stored).map_err(told(from as u64))?);
        }
        same_sha256(record, hash).map_err(|reason| (0, reason))
    })();
    checked.map_err(|(position, reason)| Wrong { place: at(position), reason })
}

fn same_sha256(record: &Record, hash: Sha256) -> Result<(), String> {
    let found: [u8; 32] = hash.finalize().into();
    match &record.blob {
        Some(blob) if blob.sha256 != found => Err(OTHER_SHA256.to_owned()),
        _ => Ok(()),
    }
}

/// A record of chunks that is read chunk by chunk. One fault of a chunk does not hide the next.
async fn check_large(storage: &Arc<dyn StorageBackend>, record: &Record) -> Result<Checked, RegistryError> {
    let location = record.location;
    let size = record.blob.as_ref().map(|blob| blob.size);
    let broken = |fault: ReadFault| match fault {
        ReadFault::Damaged { place, reason } => Ok(Wrong { place, reason }),
        ReadFault::Storage(source) => {
            Err(RegistryError::Storage { what: format!("reading {}", location.pack), source })
        }
    };
    let chunks = match read_table(&**storage, &record.digest, size, location).await {
        Ok(Some(chunks)) => Arc::new(chunks),
        Ok(None) => {
            let reason = "it is no record of chunks, and longer than any other".to_owned();
            return Ok(Checked::of(Err(Wrong { place: location.to_string(), reason })));
        }
        Err(fault) => return Ok(Checked::of(Err(broken(fault)?))),
    };
    let mut checked = Checked { read: true, faults: Vec::new() };
    let parts = stream::iter(0..chunks.count()).map(|index| {
        let chunks = Arc::clone(&chunks);
        async move {
            let stored = chunks.stored(index);
            let at = |position: u64| location.offset.saturating_add(position);
            let (start, end) = (at(stored.start), at(stored.end));
            let bytes = match crate::read::read_stored(&**storage, location, start..end).await {
                Ok(bytes) => bytes,
                Err(fault) => return Ok(Err(fault)),
            };
            let opened = blocking(move || chunks.open(index, bytes)).await?;
            Ok::<_, RegistryError>(opened.map_err(|fault| crate::read::damaged(location, start, fault)))
        }
    });
    let mut parts = parts.buffered(AT_A_TIME);
    let mut hash = Some(Sha256::new());
    while let Some(part) = parts.next().await {
        match part? {
            Ok(bytes) => {
                if let Some(mut so_far) = hash.take() {
                    hash = Some(
                        blocking(move || {
                            so_far.update(&bytes);
                            so_far
                        })
                        .await?,
                    );
                }
            }
            Err(fault) => {
                checked.faults.push(broken(fault)?);
                hash = None;
            }
        }
    }
    if let Some(Err(reason)) = hash.map(|hash| same_sha256(record, hash)) {
        checked.faults.push(Wrong { place: location.to_string(), reason });
    }
    Ok(checked)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, RegistryError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| RegistryError::Closed)
}
