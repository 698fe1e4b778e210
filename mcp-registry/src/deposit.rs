use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::stream::{self, FuturesOrdered, StreamExt as _};
use mcp_core::{Digest, ErrorKind};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::blob::Blob;
use crate::catalog::Commit;
use crate::chunked::{CHUNK_BITS, EncodedChunk, encode_chunk};
use crate::entry::Location;
use crate::input::Input;
use crate::pack::{Chunk, ChunkHead, ChunkTable, Footer, FooterEntry, HEADER_BYTES, PackName, header};
use crate::storage::{StorageBackend, StorageError};
use crate::{Registry, RegistryError};

/// A large blob that was written into a pack of its own, before the commit that refers to it.
///
/// When no commit has taken it, the pack is deleted: by [`clear`](Self::clear), or else when this is dropped. A pack that stays all the
/// same, after a kill or because the storage fails, is nobody's: its name is never used again. What another has written under that name
/// is never deleted: where the storage has not said that it wrote the pack, what is there must end as the pack does.
pub(crate) struct Deposit {
    storage: Arc<dyn StorageBackend>,
    runtime: Handle,
    pack: PackName,
    /// Whether the pack must stay, or is gone already.
    settled: AtomicBool,
    /// Whether the storage has said that it wrote the pack.
    acknowledged: AtomicBool,
    written: Mutex<Option<Written>>,
}

#[derive(Clone)]
struct Written {
    digest: Digest,
    sha256: [u8; 32],
    size: u64,
    record_bytes: u64,
    pack_bytes: u64,
    /// With which the pack ends; it names the digest.
    footer: Bytes,
}

impl Deposit {
    /// Writes the chunks `first` and all that `input` gives behind them.
    pub(crate) async fn write(
        registry: &Registry,
        first: Vec<Bytes>,
        input: Input,
        level: Option<i32>,
    ) -> Result<(Arc<Self>, Blob), RegistryError> {
        let pack = registry.next_pack()?;
        let deposit = Arc::new(Self {
            storage: Arc::clone(registry.storage()),
            runtime: Handle::current(),
            pack,
            settled: AtomicBool::new(false),
            acknowledged: AtomicBool::new(false),
            written: Mutex::default(),
        });
        let failure = Arc::new(Mutex::new(None));
        let encoder = Encoder::new(Arc::clone(&deposit), first, input, level);
        let noted = Arc::clone(&failure);
        let parts = stream::try_unfold(encoder, move |mut encoder| {
            let noted = Arc::clone(&noted);
            async move {
                encoder.next().await.map(|part| part.map(|part| (part, encoder))).map_err(|error| {
                    *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    StorageError::new(ErrorKind::Cancelled, "read what is to be stored")
                })
            }
        });
        let stored = deposit.storage.put_stream(&pack.key(), parts.boxed()).await;
        let failure = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        deposit.acknowledged.store(stored.is_ok(), Ordering::SeqCst);
        // Then nothing was written, and what is there is another's.
        if stored.as_ref().is_err_and(|error| failure.is_some() || error.kind() == ErrorKind::Conflict) {
            deposit.settled.store(true, Ordering::SeqCst);
        }
        let stored = match (failure, stored) {
            (Some(error), _) => Err(error),
            (None, Err(source)) => Err(RegistryError::Storage { what: format!("writing {pack}"), source }),
            (None, Ok(bytes)) => Ok(bytes),
        };
        let written = deposit.written();
        match (stored, written) {
            (Ok(bytes), Some(written)) if bytes == written.pack_bytes => {
                let Written { digest, sha256, size, .. } = written;
                Ok((deposit, Blob { digest, sha256, size, record: Vec::new() }))
            }
            (stored, _) => {
                deposit.clear().await;
                Err(stored.err().unwrap_or_else(|| RegistryError::Storage {
                    what: format!("writing {pack}"),
                    source: StorageError::new(
                        ErrorKind::Internal,
                        "it took another number of bytes than it was given",
                    ),
                }))
            }
        }
    }

    /// Makes the pack a part of the commit.
    pub(crate) fn take(&self, commit: &mut Commit<'_>) -> Result<Location, RegistryError> {
        let written = self.written().ok_or_else(|| RegistryError::Storage {
            what: format!("committing {}", self.pack),
            source: StorageError::new(ErrorKind::Internal, "it was not written to its end"),
        })?;
        // Also when the commit fails: whether it is durable is then not known.
        self.settled.store(true, Ordering::SeqCst);
        commit.add_sealed_pack(self.pack, written.pack_bytes)?;
        Ok(Location { pack: self.pack, offset: HEADER_BYTES as u64, record_bytes: written.record_bytes })
    }

    /// Deletes the pack, unless a commit has taken it.
    pub(crate) async fn clear(&self) {
        if !self.settled.swap(true, Ordering::SeqCst) {
            let written = self.written();
            delete(&*self.storage, self.pack, written, self.acknowledged.load(Ordering::SeqCst)).await;
        }
    }

    fn written(&self) -> Option<Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Deletes the pack, if it is the one that was written. One that stays is nobody's.
async fn delete(storage: &dyn StorageBackend, pack: PackName, written: Option<Written>, acknowledged: bool) {
    // Without its end it was not handed to the storage as a whole.
    let Some(Written { pack_bytes, footer, .. }) = written else { return };
    let key = pack.key();
    if !acknowledged {
        let Ok(Some(stat)) = storage.stat(&key).await else { return };
        let start = pack_bytes.saturating_sub(footer.len() as u64);
        let same = stat.bytes == pack_bytes
            && storage.read(&key, start..pack_bytes).await.is_ok_and(|found| found == footer);
        if !same {
            return;
        }
    }
    drop(storage.delete(&key).await);
}

impl Drop for Deposit {
    fn drop(&mut self) {
        if !*self.settled.get_mut() {
            let (storage, pack, written) = (Arc::clone(&self.storage), self.pack, self.written());
            let acknowledged = *self.acknowledged.get_mut();
            drop(self.runtime.spawn(async move { delete(&*storage, pack, written, acknowledged).await }));
        }
    }
}

impl std::fmt::Debug for Deposit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deposit").field("pack", &self.pack).finish_non_exhaustive()
    }
}

/// So many chunks are compressed at a time, besides the one that is being hashed and the one that is being written.
const AT_A_TIME: usize = 2;

/// Turns the chunks of a blob into the bytes of its pack, part by part.
struct Encoder {
    deposit: Arc<Deposit>,
    first: std::vec::IntoIter<Bytes>,
    input: Input,
    level: Option<i32>,
    /// `None` once it has failed.
    sha256: Option<Sha256>,
    running: FuturesOrdered<JoinHandle<Option<EncodedChunk>>>,
    begun: u64,
    input_ended: bool,
    chunks: Vec<Chunk>,
    stage: Stage,
}

enum Stage {
    Head,
    Chunks,
    Ended,
}

impl Encoder {
    fn new(deposit: Arc<Deposit>, first: Vec<Bytes>, input: Input, level: Option<i32>) -> Self {
        Self {
            deposit,
            first: first.into_iter(),
            input,
            level,
            sha256: Some(Sha256::new()),
            running: FuturesOrdered::new(),
            begun: 0,
            input_ended: false,
            chunks: Vec::new(),
            stage: Stage::Head,
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        match self.stage {
            Stage::Head => {
                self.stage = Stage::Chunks;
                let mut head = header(self.deposit.pack).to_vec();
                head.extend_from_slice(&ChunkHead::new(CHUNK_BITS, 0).encode());
                Ok(Some(head.into()))
            }
            Stage::Chunks => {
                while self.running.len() < AT_A_TIME && !self.input_ended {
                    self.begin_chunk().await?;
                }
                let Some(encoded) = self.running.next().await else {
                    self.stage = Stage::Ended;
                    return self.end().map(Some);
                };
                let encoded = encoded.ok().flatten().ok_or(RegistryError::Closed)?;
                self.chunks.push(encoded.chunk);
                Ok(Some(encoded.stored))
            }
            Stage::Ended => Ok(None),
        }
    }

    async fn begin_chunk(&mut self) -> Result<(), RegistryError> {
        let chunk = match self.first.next() {
            Some(chunk) => Some(chunk),
            None => self.input.next_chunk().await?,
        };
        let Some(chunk) = chunk else {
            self.input_ended = true;
            return Ok(());
        };
        let (level, index) = (self.level, self.begun);
        self.begun = index.saturating_add(1);
        let original = chunk.clone();
        self.running.push_back(tokio::task::spawn_blocking(move || encode_chunk(index, original, level)));
        // Unlike BLAKE3's, this hash cannot be computed in parts; the chunk is compressed meanwhile.
        let mut sha256 = self.sha256.take().ok_or(RegistryError::Closed)?;
        let hashed = tokio::task::spawn_blocking(move || {
            sha256.update(&chunk);
            sha256
        });
        self.sha256 = Some(hashed.await.map_err(|_| RegistryError::Closed)?);
        Ok(())
    }

    /// What stands behind the chunks: their table, and the footer of the pack.
    fn end(&mut self) -> Result<Bytes, RegistryError> {
        let (size, chunks) = (self.input.taken(), std::mem::take(&mut self.chunks));
        let stored = chunks.iter().fold(0_u64, |sum, chunk| sum.saturating_add(u64::from(chunk.stored)));
        let table = ChunkTable::new(CHUNK_BITS, size, chunks).ok_or(RegistryError::Closed)?;
        let sha256 = self.sha256.take().ok_or(RegistryError::Closed)?.finalize().into();
        let mut end = table.encode();
        let record_bytes = stored.saturating_add(ChunkHead::BYTES as u64).saturating_add(end.len() as u64);
        let start = HEADER_BYTES as u64;
        let footer: Bytes = Footer::encode(&[FooterEntry::new(table.digest, start, record_bytes)]).into();
        end.extend_from_slice(&footer);
        let pack_bytes = start.saturating_add(record_bytes).saturating_add(footer.len() as u64);
        let written = Written { digest: table.digest, sha256, size, record_bytes, pack_bytes, footer };
        *self.deposit.written.lock().unwrap_or_else(PoisonError::into_inner) = Some(written);
        Ok(end.into())
    }
}
