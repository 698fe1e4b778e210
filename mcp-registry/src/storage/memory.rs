use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use mcp_core::ErrorKind;

use super::{Append, ByteStream, Key, PutWhen, Stat, StorageBackend, StorageError, outside};

/// Keeps objects in memory, for tests and for registries that may vanish. Clones share the objects.
///
/// It cannot append, as an object store cannot: so each commit is one pack.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage(Arc<Mutex<BTreeMap<Key, Bytes>>>);

impl MemoryStorage {
    /// With no objects yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<Key, Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl StorageBackend for MemoryStorage {
    async fn put(&self, key: &Key, bytes: Bytes, when: PutWhen) -> Result<(), StorageError> {
        let mut objects = self.objects();
        if when == PutWhen::Absent && objects.contains_key(key) {
            return Err(StorageError::new(ErrorKind::Conflict, format!("put {key}, which exists")));
        }
        objects.insert(key.clone(), bytes);
        Ok(())
    }

    async fn put_stream(&self, key: &Key, stream: ByteStream) -> Result<u64, StorageError> {
        let gathered = stream.try_fold(BytesMut::new(), |mut gathered, part| async move {
            gathered.extend_from_slice(&part);
            Ok(gathered)
        });
        let bytes = gathered.await?.freeze();
        let length = bytes.len() as u64;
        self.put(key, bytes, PutWhen::Absent).await?;
        Ok(length)
    }

    async fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StorageError> {
        let object = self.objects().get(key).cloned();
        let object = object.ok_or_else(|| {
            StorageError::new(ErrorKind::NotFound, format!("read {key}, which does not exist"))
        })?;
        let size = object.len() as u64;
        if range.start > range.end || range.end > size {
            return Err(outside(key, &range, size));
        }
        let position = |at: u64| usize::try_from(at).map_err(|_| outside(key, &range, size));
        Ok(object.slice(position(range.start)?..position(range.end)?))
    }

    async fn stat(&self, key: &Key) -> Result<Option<Stat>, StorageError> {
        Ok(self.objects().get(key).map(|object| Stat::new(key.clone(), object.len() as u64)))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Stat>, StorageError> {
        let objects = self.objects();
        let matching = objects.iter().filter(|(key, _)| key.as_str().starts_with(prefix));
        Ok(matching.map(|(key, object)| Stat::new(key.clone(), object.len() as u64)).collect())
    }

    async fn delete(&self, key: &Key) -> Result<(), StorageError> {
        self.objects().remove(key);
        Ok(())
    }

    fn append(&self) -> Option<&dyn Append> {
        None
    }
}
