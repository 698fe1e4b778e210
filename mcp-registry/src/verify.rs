use std::collections::BTreeMap;
use std::sync::Arc;

use mcp_core::{Digest, ErrorKind};
use serde::Serialize;

use crate::blob::{open_record, sha256};
use crate::entry::Location;
use crate::error::with_causes;
use crate::pack::{Footer, FooterEntry, HEADER_BYTES, PackName, RecordHeader, check_header};
use crate::replay::{Replay, StoredBlob};
use crate::storage::StorageBackend;
use crate::{Registry, RegistryError};

/// What [`verify`](Registry::verify) has looked at, and what it found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verification {
    /// How many rows of the change feed were checked.
    pub rows: u64,
    /// How many packs.
    pub packs: u64,
    /// How many blobs were read and compared with their digests.
    pub blobs: u64,
    /// Everything that is wrong; empty when nothing is.
    pub faults: Vec<Fault>,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fault {
    /// The row, the index, or the pack and offset.
    pub place: String,
    /// What is affected, such as `billing/invoice@1.2.0`; empty where it is no artifact.
    pub subject: String,
    /// What is wrong.
    pub reason: String,
}

impl Verification {
    pub(crate) fn fault(
        &mut self,
        place: impl Into<String>,
        subject: impl Into<String>,
        reason: impl Into<String>,
    ) {
        self.faults.push(Fault { place: place.into(), subject: subject.into(), reason: reason.into() });
    }

    /// What is damaged in the catalog is a fault; other errors are those of the check itself.
    pub(crate) fn readable<T>(&mut self, read: Result<T, RegistryError>) -> Result<Option<T>, RegistryError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                self.fault("catalog.db", "", with_causes(&error));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Registry {
    /// Checks everything: the database's own integrity, the chain of the change feed, that replaying it gives the current state, the
    /// packs' headers and footers, and each blob against its digest, its SHA-256 hash and its row.
    ///
    /// Reads every byte that is stored. What is published meanwhile is not looked at.
    ///
    /// # Errors
    /// `Unavailable` when catalog or storage do not answer. What is damaged is a fault, not an error.
    pub async fn verify(&self) -> Result<Verification, RegistryError> {
        let (mut found, replay) =
            self.readers().read(|now| now.in_transaction(|now| Replay::check(now))).await?;
        let mut blobs: BTreeMap<PackName, BTreeMap<u64, StoredBlob>> = BTreeMap::new();
        for blob in replay.blobs {
            blobs.entry(blob.location.pack).or_default().insert(blob.location.offset, blob);
        }
        let sealed: BTreeMap<PackName, u64> = replay.sealed.into_iter().collect();
        for name in sealed.keys() {
            blobs.entry(*name).or_default();
        }
        for (name, blobs) in blobs {
            found.packs = found.packs.saturating_add(1);
            let pack = PackCheck { storage: self.storage(), name, found: &mut found };
            match sealed.get(&name) {
                Some(bytes) => pack.sealed(*bytes, &blobs).await?,
                None => pack.unsealed(&blobs).await?,
            }
        }
        Ok(found)
    }
}

struct PackCheck<'a> {
    storage: &'a Arc<dyn StorageBackend>,
    name: PackName,
    found: &'a mut Verification,
}

impl PackCheck<'_> {
    /// A pack that still grew: only the catalog knows its blobs, and what stands behind them was never acknowledged.
    async fn unsealed(mut self, blobs: &BTreeMap<u64, StoredBlob>) -> Result<(), RegistryError> {
        self.header().await?;
        for blob in blobs.values() {
            self.record(blob.location, &blob.digest, Some(blob)).await?;
        }
        Ok(())
    }

    async fn sealed(mut self, bytes: u64, blobs: &BTreeMap<u64, StoredBlob>) -> Result<(), RegistryError> {
        self.header().await?;
        let listed = self.footer(bytes).await?;
        let mut known = blobs.clone();
        for entry in listed.unwrap_or_default() {
            let location = Location { pack: self.name, offset: entry.offset, record_bytes: entry.length };
            let blob = known.remove(&entry.offset);
            if let Some(blob) =
                blob.as_ref().filter(|blob| blob.location != location || blob.digest != entry.digest)
            {
                self.found.fault(
                    location.to_string(),
                    &blob.subject,
                    "footer and catalog name different blobs",
                );
            }
            self.record(location, &entry.digest, blob.as_ref()).await?;
        }
        // Without a footer these are all; with one, those that it lacks.
        for blob in known.values() {
            self.record(blob.location, &blob.digest, Some(blob)).await?;
        }
        Ok(())
    }

    async fn header(&mut self) -> Result<(), RegistryError> {
        let Some(bytes) = self.read(0, HEADER_BYTES as u64, "").await? else { return Ok(()) };
        if let Err(fault) = check_header(&bytes, self.name) {
            self.found.fault(format!("{} offset 0", self.name), "", fault.to_string());
        }
        Ok(())
    }

    async fn footer(&mut self, bytes: u64) -> Result<Option<Vec<FooterEntry>>, RegistryError> {
        let place = self.name.to_string();
        let stat = self.storage.stat(&self.name.key()).await;
        let stat =
            stat.map_err(|source| RegistryError::Storage { what: format!("looking at {place}"), source })?;
        if let Some(stat) = stat.filter(|stat| stat.bytes != bytes) {
            let reason = format!("it has {} bytes, but was sealed with {bytes}", stat.bytes);
            self.found.fault(&place, "", reason);
        }
        let trailer_bytes = Footer::TRAILER_BYTES as u64;
        let Some(start) = bytes.checked_sub(trailer_bytes) else { return Ok(None) };
        let Some(trailer) = self.read(start, trailer_bytes, "").await? else { return Ok(None) };
        let length = match Footer::length(&trailer, bytes) {
            Ok(length) => length,
            Err(fault) => {
                self.found.fault(format!("{place} offset {start}"), "", fault.to_string());
                return Ok(None);
            }
        };
        let Some(start) = bytes.checked_sub(length) else { return Ok(None) };
        let Some(footer) = self.read(start, length, "").await? else { return Ok(None) };
        match Footer::parse(&footer) {
            Ok(footer) => Ok(Some(footer.entries)),
            Err(fault) => {
                self.found.fault(format!("{place} offset {start}"), "", fault.to_string());
                Ok(None)
            }
        }
    }

    /// One record: header, payload, decoded bytes, and what the catalog says of it.
    async fn record(
        &mut self,
        location: Location,
        digest: &Digest,
        blob: Option<&StoredBlob>,
    ) -> Result<(), RegistryError> {
        let subject = blob.map_or("", |blob| &blob.subject);
        let Some(record) = self.read(location.offset, location.record_bytes, subject).await? else {
            return Ok(());
        };
        self.found.blobs = self.found.blobs.saturating_add(1);
        let checked = (|| {
            let header = RecordHeader::parse(&record).map_err(|fault| fault.to_string())?;
            let payload = record.slice(RecordHeader::BYTES..);
            if !header.matches(&payload) {
                return Err("the record's payload does not match its checksum".to_owned());
            }
            let size = blob.map_or(header.size, |blob| blob.size);
            let bytes = open_record(&record, digest, size).map_err(|fault| fault.to_string())?;
            if blob.is_some_and(|blob| blob.sha256 != sha256(&bytes)) {
                return Err("the bytes do not match the SHA-256 hash of their row".to_owned());
            }
            Ok(())
        })();
        if let Err(reason) = checked {
            self.found.fault(location.to_string(), subject, reason);
        }
        Ok(())
    }

    /// `None`, and a fault, when these bytes are not there.
    async fn read(
        &mut self,
        offset: u64,
        length: u64,
        subject: &str,
    ) -> Result<Option<bytes::Bytes>, RegistryError> {
        let read = self.storage.read(&self.name.key(), offset..offset.saturating_add(length)).await;
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if crate::resolve::is_missing(&error) => {
                self.found.fault(format!("{} offset {offset}", self.name), subject, with_causes(&error));
                Ok(None)
            }
            Err(source) => Err(RegistryError::Storage { what: format!("reading {}", self.name), source }),
        }
    }
}
