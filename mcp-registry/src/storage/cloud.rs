//! What the object stores on a network have in common, over the crate `object_store`. None of its types leaves this module's children.

mod failure;
mod http;
mod secret;
mod settings;
mod tries;
mod upload;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use mcp_core::{ErrorKind, IdSource, RandomIds};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, RetryConfig,
};

use super::{ByteStream, Key, PutWhen, Stat, StorageError, outside};
use failure::{Failure, Why};
use tries::Tries;

pub(crate) use http::Connector;
pub(crate) use secret::Lent;
pub use secret::Secret;
#[cfg(feature = "s3")]
pub(crate) use secret::check_visible;
pub use settings::RemoteSettings;
pub(crate) use settings::check_name;
#[cfg(any(feature = "gcs", feature = "azure"))]
pub(crate) use settings::refuse;

/// What is asked of a client of `object_store`.
pub(crate) trait Store: ObjectStore + MultipartStore {}

impl<T: ObjectStore + MultipartStore> Store for T {}

/// One bucket, seen as storage.
#[derive(Clone)]
pub(crate) struct Cloud(Arc<Bucket>);

struct Bucket {
    store: Arc<dyn Store>,
    /// For people, such as `S3 bucket artifacts`.
    place: String,
    settings: RemoteSettings,
    ids: Arc<dyn IdSource>,
}

/// So many objects of a listing have a deadline together.
const LISTED_TOGETHER: usize = 1000;

/// No attempt beside ours: they know the deadline, and draw each pause.
pub(crate) fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

impl Cloud {
    pub(crate) fn new(
        store: impl Store + 'static,
        place: String,
        settings: RemoteSettings,
    ) -> Result<Self, StorageError> {
        let ids = Arc::new(RandomIds::new()?);
        Ok(Self(Arc::new(Bucket { store: Arc::new(store), place, settings, ids })))
    }

    pub(crate) fn place(&self) -> &str {
        &self.0.place
    }

    pub(crate) async fn put(&self, key: &Key, bytes: Bytes, when: PutWhen) -> Result<(), StorageError> {
        let bucket = &*self.0;
        let mut tries = bucket.tries(bytes.len() as u64);
        bucket.put(key, bytes, when, &mut tries).await.map_err(bucket.failed("put", key))
    }

    pub(crate) async fn put_stream(&self, key: &Key, stream: ByteStream) -> Result<u64, StorageError> {
        upload::put(&self.0, key, stream).await
    }

    pub(crate) async fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StorageError> {
        let bucket = &*self.0;
        let length = range.end.saturating_sub(range.start);
        let mut tries = bucket.tries(length.min(1 << 40));
        let mut odd = None;
        if length > 0 {
            match bucket.read(key, &range, &mut tries).await {
                // Azurite says nonsense of a range that begins where the object ends.
                Err(failure) if matches!(failure.why, Why::Outside | Why::Strange) => odd = Some(failure),
                outcome => return outcome.map_err(bucket.failed("read", key)),
            }
        }
        let size = bucket.size(key, &mut tries).await.map_err(bucket.failed("read", key))?;
        match (size, odd) {
            (None, _) => Err(bucket.failed("read", key)(Failure::new(Why::Missing, "it does not exist"))),
            (Some(size), _) if range.start > range.end || range.end > size => Err(outside(key, &range, size)),
            (Some(_), Some(failure)) => Err(bucket.failed("read", key)(failure)),
            (Some(_), None) => Ok(Bytes::new()),
        }
    }

    pub(crate) async fn stat(&self, key: &Key) -> Result<Option<Stat>, StorageError> {
        let bucket = &*self.0;
        let size = bucket.size(key, &mut bucket.tries(0)).await.map_err(bucket.failed("look at", key))?;
        Ok(size.map(|bytes| Stat::new(key.clone(), bytes)))
    }

    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<Stat>, StorageError> {
        let bucket = &*self.0;
        let found = bucket.list(prefix).await.map_err(|failure| {
            StorageError::new(failure.kind(), format!("list objects {prefix}* in {}", bucket.place))
                .with_source(failure)
        })?;
        Ok(found.into_iter().map(|(key, bytes)| Stat::new(key, bytes)).collect())
    }

    pub(crate) async fn delete(&self, key: &Key) -> Result<(), StorageError> {
        let bucket = &*self.0;
        let path = bucket.path(key);
        let mut tries = bucket.tries(0);
        loop {
            match tries.attempt(bucket.store.delete(&path)).await {
                Err(failure) if failure.why == Why::Missing => return Ok(()),
                Ok(()) => return Ok(()),
                Err(failure) => tries.again(failure).await.map_err(bucket.failed("delete", key))?,
            }
        }
    }
}

impl Bucket {
    fn tries(&self, bytes: u64) -> Tries<'_> {
        Tries::new(&self.settings, &*self.ids, bytes)
    }

    fn failed<'a>(&'a self, action: &'static str, key: &'a Key) -> impl Fn(Failure) -> StorageError + 'a {
        move |failure| {
            let context = format!("{action} {key} in {}", self.place);
            StorageError::new(failure.kind(), context).with_source(failure)
        }
    }

    /// Keys and the prefix consist of what stands in a path as it is.
    fn path(&self, key: &Key) -> Path {
        if self.settings.prefix.is_empty() {
            Path::from(key.as_str())
        } else {
            Path::from(format!("{}/{key}", self.settings.prefix))
        }
    }

    fn key(&self, path: &Path) -> Option<Key> {
        let text = path.as_ref();
        let below = match self.settings.prefix.as_str() {
            "" => text,
            prefix => text.strip_prefix(prefix)?.strip_prefix('/')?,
        };
        below.parse().ok()
    }

    async fn put(
        &self,
        key: &Key,
        bytes: Bytes,
        when: PutWhen,
        tries: &mut Tries<'_>,
    ) -> Result<(), Failure> {
        let path = self.path(key);
        let mode = match when {
            PutWhen::Always => PutMode::Overwrite,
            PutWhen::Absent => PutMode::Create,
        };
        let mut unanswered = false;
        loop {
            let put =
                self.store.put_opts(&path, PutPayload::from(bytes.clone()), PutOptions::from(mode.clone()));
            let failure = match tries.attempt(put).await {
                Ok(_) => return Ok(()),
                Err(failure) => failure,
            };
            if failure.why != Why::Taken || when == PutWhen::Always {
                unanswered |= failure.why == Why::Passing;
                tries.again(failure).await?;
                continue;
            }
            // Some servers say so too when two puts have met and neither was done; and it may be an earlier attempt of this very put.
            match self.size(key, tries).await? {
                Some(size)
                    if unanswered && size == bytes.len() as u64 && self.holds(key, &bytes, tries).await? =>
                {
                    return Ok(());
                }
                Some(_) => return Err(Failure::new(Why::Taken, "it exists")),
                None => tries.again(Failure::new(Why::Passing, "it was said to exist, and does not")).await?,
            }
        }
    }

    async fn holds(&self, key: &Key, bytes: &Bytes, tries: &mut Tries<'_>) -> Result<bool, Failure> {
        Ok(bytes.is_empty() || self.read(key, &(0..bytes.len() as u64), tries).await? == *bytes)
    }

    /// Reads a range that is not empty.
    async fn read(&self, key: &Key, range: &Range<u64>, tries: &mut Tries<'_>) -> Result<Bytes, Failure> {
        let path = self.path(key);
        loop {
            match tries.attempt(self.read_once(&path, range)).await {
                Ok(bytes) => return Ok(bytes),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    async fn read_once(&self, path: &Path, range: &Range<u64>) -> Result<Bytes, Failure> {
        let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let found = self.store.get_opts(path, options).await?;
        // Asked for more than there is, servers give what there is.
        if found.meta.size < range.end {
            return Err(Failure::new(Why::Outside, "the object ends before"));
        }
        let bytes = found.bytes().await?;
        if bytes.len() as u64 != range.end.saturating_sub(range.start) {
            return Err(Failure::new(Why::Passing, format!("the answer had {} bytes", bytes.len())));
        }
        Ok(bytes)
    }

    async fn size(&self, key: &Key, tries: &mut Tries<'_>) -> Result<Option<u64>, Failure> {
        let path = self.path(key);
        loop {
            match tries.attempt(self.store.head(&path)).await {
                Ok(found) => return Ok(Some(found.size)),
                Err(failure) if failure.why == Why::Missing => return Ok(None),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    /// Servers list folders, and each page of a listing is a request: after a failure it goes on behind the last object that was seen.
    async fn list(&self, prefix: &str) -> Result<BTreeMap<Key, u64>, Failure> {
        let above = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder = [self.settings.prefix.as_str(), above].into_iter().filter(|part| !part.is_empty());
        let folder = folder.collect::<Vec<_>>().join("/");
        let folder = (!folder.is_empty()).then(|| Path::from(folder));
        let mut found = BTreeMap::new();
        let mut last: Option<Path> = None;
        let mut tries = self.tries(0);
        'listing: loop {
            let mut pages = match &last {
                Some(last) => self.store.list_with_offset(folder.as_ref(), last),
                None => self.store.list(folder.as_ref()),
            };
            let mut seen = 0_usize;
            loop {
                let next = tries.attempt(async { pages.next().await.transpose() }).await;
                let object = match next {
                    Ok(Some(object)) => object,
                    Ok(None) => return Ok(found),
                    Err(failure) => {
                        tries.again(failure).await?;
                        continue 'listing;
                    }
                };
                if let Some(key) = self.key(&object.location)
                    && key.as_str().starts_with(prefix)
                {
                    found.insert(key, object.size);
                }
                // Only what was not seen before is progress: a server may list the same page for ever.
                if last.as_ref().is_none_or(|last| object.location > *last) {
                    last = Some(object.location);
                    seen = seen.saturating_add(1);
                    if seen.is_multiple_of(LISTED_TOGETHER) {
                        tries = self.tries(0);
                    }
                }
            }
        }
    }
}

/// The refusal of a client that cannot be made. Its own text is left out: it may repeat a credential.
pub(crate) fn not_made(place: &str) -> StorageError {
    let reason = "look at its name, its endpoint and the form of its credentials";
    StorageError::new(ErrorKind::Invalid, format!("make a client of {place}: {reason}"))
}

/// Makes a public type the backend that its `cloud` is.
macro_rules! backend_of_its_cloud {
    ($storage:ident) => {
        #[async_trait::async_trait]
        impl crate::StorageBackend for $storage {
            async fn put(
                &self,
                key: &crate::Key,
                bytes: bytes::Bytes,
                when: crate::PutWhen,
            ) -> Result<(), crate::StorageError> {
                self.cloud.put(key, bytes, when).await
            }

            async fn put_stream(
                &self,
                key: &crate::Key,
                stream: crate::ByteStream,
            ) -> Result<u64, crate::StorageError> {
                self.cloud.put_stream(key, stream).await
            }

            async fn read(
                &self,
                key: &crate::Key,
                range: std::ops::Range<u64>,
            ) -> Result<bytes::Bytes, crate::StorageError> {
                self.cloud.read(key, range).await
            }

            async fn stat(&self, key: &crate::Key) -> Result<Option<crate::Stat>, crate::StorageError> {
                self.cloud.stat(key).await
            }

            async fn list(&self, prefix: &str) -> Result<Vec<crate::Stat>, crate::StorageError> {
                self.cloud.list(prefix).await
            }

            async fn delete(&self, key: &crate::Key) -> Result<(), crate::StorageError> {
                self.cloud.delete(key).await
            }

            fn append(&self) -> Option<&dyn crate::Append> {
                None
            }
        }

        impl std::fmt::Debug for $storage {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($storage)).field(&self.cloud.place()).finish()
            }
        }
    };
}
pub(crate) use backend_of_its_cloud;
