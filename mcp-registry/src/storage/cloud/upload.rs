use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use mcp_core::ErrorKind;
use object_store::multipart::PartId;
use object_store::path::Path;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::failure::{Failure, Why};
use super::{Bucket, ByteStream, Key, PutWhen, StorageError};

/// So many parts are on their way at once; one more is being gathered.
const PARTS_IN_FLIGHT: usize = 3;
/// The most that the stores take.
const MAX_PARTS: usize = 10_000;

/// Puts a stream: in one request when it is short, in parts otherwise.
pub(super) async fn put(bucket: &Arc<Bucket>, key: &Key, stream: ByteStream) -> Result<u64, StorageError> {
    let mut parts =
        Parts { stream, gathered: BytesMut::new(), bytes: bucket.settings.part_bytes, ended: false };
    let first = parts.next().await?;
    let failed = bucket.failed("put", key);
    if parts.ended {
        let length = first.len() as u64;
        let mut tries = bucket.tries(length);
        bucket.put(key, first, PutWhen::Absent, &mut tries).await.map_err(failed)?;
        return Ok(length);
    }
    let upload = Upload::begin(bucket, bucket.path(key)).await.map_err(&failed)?;
    match upload.run(key, first, &mut parts, &failed).await {
        Ok(length) => Ok(length),
        Err(error) => {
            upload.abort().await;
            Err(error)
        }
    }
}

/// A stream cut into parts of one size, the last of which may be shorter.
struct Parts {
    stream: ByteStream,
    gathered: BytesMut,
    bytes: u64,
    ended: bool,
}

impl Parts {
    /// The next part; shorter than asked for only when the stream has ended.
    async fn next(&mut self) -> Result<Bytes, StorageError> {
        let size = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        while self.gathered.len() < size {
            match self.stream.next().await {
                Some(chunk) => self.gathered.extend_from_slice(&chunk?),
                None => {
                    self.ended = true;
                    break;
                }
            }
        }
        let taken = self.gathered.len().min(size);
        Ok(self.gathered.split_to(taken).freeze())
    }
}

/// An upload in parts. Dropped before it is finished, it is given up at the server by a task of its own.
struct Upload {
    bucket: Arc<Bucket>,
    path: Path,
    /// What the server calls it; `None` once nothing is left to give up.
    id: std::sync::Mutex<Option<String>>,
    runtime: Handle,
}

impl Upload {
    async fn begin(bucket: &Arc<Bucket>, path: Path) -> Result<Self, Failure> {
        let runtime = Handle::try_current()
            .map_err(|_| Failure::new(Why::Final(ErrorKind::Invalid), "a Tokio runtime is needed"))?;
        let (sender, begun) = oneshot::channel();
        let upload = Self {
            bucket: Arc::clone(bucket),
            path,
            id: std::sync::Mutex::default(),
            runtime: runtime.clone(),
        };
        // A task: when nobody waits any more, what the server has begun by then is dropped by it, and given up.
        drop(runtime.spawn(async move {
            let outcome = upload.create().await.map(|()| upload);
            drop(sender.send(outcome));
        }));
        begun
            .await
            .unwrap_or_else(|_| Err(Failure::new(Why::Final(ErrorKind::Unavailable), "the runtime ended")))
    }

    async fn create(&self) -> Result<(), Failure> {
        let mut tries = self.bucket.tries(0);
        loop {
            match tries.attempt(self.bucket.store.create_multipart(&self.path)).await {
                Ok(id) => {
                    *self.lock() = Some(id);
                    return Ok(());
                }
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.id.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn run(
        &self,
        key: &Key,
        first: Bytes,
        parts: &mut Parts,
        failed: impl Fn(Failure) -> StorageError,
    ) -> Result<u64, StorageError> {
        let id = self.lock().clone().unwrap_or_default();
        let mut length = 0_u64;
        let mut sent: Vec<Option<PartId>> = Vec::new();
        let mut under_way = FuturesUnordered::new();
        let mut next = Some(first);
        while let Some(part) = next {
            if sent.len() >= MAX_PARTS {
                let what = format!("put {key}: it has more than {MAX_PARTS} parts; set part_bytes higher");
                return Err(StorageError::new(ErrorKind::Exhausted, what));
            }
            length = length.saturating_add(part.len() as u64);
            under_way.push(self.part(&id, sent.len(), part));
            sent.push(None);
            while under_way.len() >= PARTS_IN_FLIGHT {
                let Some(outcome) = under_way.next().await else { break };
                note(&mut sent, outcome.map_err(&failed)?);
            }
            next = if parts.ended { None } else { Some(parts.next().await?).filter(|part| !part.is_empty()) };
        }
        while let Some(outcome) = under_way.next().await {
            note(&mut sent, outcome.map_err(&failed)?);
        }
        self.complete(key, &id, sent.into_iter().flatten().collect(), length).await.map_err(&failed)?;
        *self.lock() = None;
        Ok(length)
    }

    async fn part(&self, id: &String, number: usize, part: Bytes) -> Result<(usize, PartId), Failure> {
        let mut tries = self.bucket.tries(part.len() as u64);
        loop {
            match tries.attempt(self.bucket.store.put_part(&self.path, id, number, part.clone().into())).await
            {
                Ok(sent) => return Ok((number, sent)),
                Err(failure) => tries.again(not_begun(failure)).await?,
            }
        }
    }

    async fn complete(&self, key: &Key, id: &String, parts: Vec<PartId>, length: u64) -> Result<(), Failure> {
        let mut tries = self.bucket.tries(length);
        let mut unanswered = false;
        loop {
            match tries.attempt(self.bucket.store.complete_multipart(&self.path, id, parts.clone())).await {
                Ok(_) => return Ok(()),
                // An earlier attempt has ended the upload: its key is used once, so this object is it.
                Err(failure) if failure.why == Why::Missing && unanswered => {
                    return match self.bucket.size(key, &mut tries).await? {
                        Some(size) if size == length => Ok(()),
                        _ => Err(not_begun(failure)),
                    };
                }
                Err(failure) => {
                    unanswered |= failure.why == Why::Passing;
                    tries.again(not_begun(failure)).await?;
                }
            }
        }
    }

    async fn abort(&self) {
        let Some(id) = self.lock().clone() else { return };
        abort(&self.bucket, &self.path, &id).await;
        *self.lock() = None;
    }
}

/// Gives an upload up. What the server keeps in spite of that is no object, and is deleted by its rules for such uploads.
async fn abort(bucket: &Bucket, path: &Path, id: &String) {
    let mut tries = bucket.tries(0);
    while let Err(failure) = tries.attempt(bucket.store.abort_multipart(path, id)).await {
        if tries.again(failure).await.is_err() {
            break;
        }
    }
}

/// To the caller it is not an object that is missing.
fn not_begun(failure: Failure) -> Failure {
    match failure.why {
        Why::Missing => {
            Failure::new(Why::Final(ErrorKind::Unavailable), format!("{failure}: the upload has vanished"))
        }
        _ => failure,
    }
}

fn note(sent: &mut [Option<PartId>], (number, part): (usize, PartId)) {
    if let Some(place) = sent.get_mut(number) {
        *place = Some(part);
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(id) = self.lock().take() else { return };
        let (bucket, path) = (Arc::clone(&self.bucket), self.path.clone());
        drop(self.runtime.spawn(async move { abort(&bucket, &path, &id).await }));
    }
}
