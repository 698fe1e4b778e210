//! Where packs are kept: objects under keys.

#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "cloud")]
mod cloud;
#[cfg(feature = "gcs")]
mod gcs;
pub(crate) mod local;
mod memory;
#[cfg(feature = "s3")]
mod s3;

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use mcp_core::{ErrorKind, SeamError};

#[cfg(feature = "azure")]
pub use azure::{AzureCredentials, AzureSettings, AzureStorage};
#[cfg(feature = "cloud")]
pub use cloud::{RemoteSettings, Secret};
#[cfg(feature = "gcs")]
pub use gcs::{GcsCredentials, GcsSettings, GcsStorage};
pub use local::LocalStorage;
pub use memory::MemoryStorage;
#[cfg(feature = "s3")]
pub use s3::{S3Credentials, S3Settings, S3Storage};

/// What a [`StorageBackend`] fails with.
pub type StorageError = SeamError;

/// Bytes that arrive part by part; after an error nothing more comes.
pub type ByteStream = BoxStream<'static, Result<Bytes, StorageError>>;

/// What an object is called: segments of `[a-z0-9_-][a-z0-9._-]*` joined by `/`, at most 512 bytes.
///
/// No segment begins with a dot, so a key below a folder stays below it, and a backend can keep files of its own there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// The longest key, in bytes.
    pub const MAX_BYTES: usize = 512;

    /// The text as it was parsed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For text that is a key by the way it was made.
    pub(crate) fn known(text: String) -> Self {
        Self(text.into())
    }
}

impl FromStr for Key {
    type Err = StorageError;

    fn from_str(text: &str) -> Result<Self, StorageError> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        let good =
            |segment: &str| !segment.is_empty() && !segment.starts_with('.') && segment.bytes().all(allowed);
        if text.len() > Self::MAX_BYTES || !text.split('/').all(good) {
            let shown: String = text.chars().take(60).collect();
            let rule = "segments of a to z, 0 to 9, '.', '_', '-', none beginning with '.', joined by '/'";
            let context =
                format!("read {shown:?} as object key: it must be {rule}, at most {} bytes", Self::MAX_BYTES);
            return Err(StorageError::new(ErrorKind::Invalid, context));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0)
    }
}

/// When a [`put`](StorageBackend::put) may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutWhen {
    /// Always; what was there is replaced.
    Always,
    /// Only when nothing is there. Of several at once, one wins.
    Absent,
}

/// One object, as [`list`](StorageBackend::list) and [`stat`](StorageBackend::stat) see it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stat {
    /// What it is called.
    pub key: Key,
    /// Its size in bytes.
    pub bytes: u64,
}

impl Stat {
    /// An object of this many bytes.
    #[must_use]
    pub const fn new(key: Key, bytes: u64) -> Self {
        Self { key, bytes }
    }
}

/// Keeps objects.
///
/// Called by the registry; implemented by [`MemoryStorage`], [`LocalStorage`] and by hosts. What must hold:
/// - when a writing call returns `Ok`, its effect survives a power loss;
/// - a reader sees an object that was put either whole or not at all;
/// - a call that failed, or was dropped, has happened whole or not at all; a [`grow`](Append::grow) may besides have left a part of
///   its bytes behind the former end.
///
/// Errors by kind: `NotFound` for a key without an object, `Conflict` for a condition that does not hold, `Invalid` for a range outside
/// the object, `Denied`, `Exhausted` for a full disk, `Unavailable` for what may pass.
///
/// The conformance kit behind the feature `conformance` checks what can be checked from outside.
#[async_trait]
pub trait StorageBackend: Send + Sync {
    /// Stores `bytes` under `key`.
    ///
    /// # Errors
    /// `Conflict` when `when` is [`PutWhen::Absent`] and something is there: then nothing was written.
    async fn put(&self, key: &Key, bytes: Bytes, when: PutWhen) -> Result<(), StorageError>;

    /// Stores what `stream` gives under `key`, without holding more than a few parts of it in memory, and says how many bytes it was.
    ///
    /// The caller uses each such key once: a backend may, but need not, notice that something is there.
    ///
    /// # Errors
    /// `Conflict` where something is noticed to be there, and the stream's own error: then nothing was written.
    async fn put_stream(&self, key: &Key, stream: ByteStream) -> Result<u64, StorageError>;

    /// Reads exactly the bytes of `range`, which may be empty.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` when the object ends before the range does.
    async fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StorageError>;

    /// Looks at an object; `None` when there is none.
    ///
    /// # Errors
    /// When the backend could not find out.
    async fn stat(&self, key: &Key) -> Result<Option<Stat>, StorageError>;

    /// Every object whose key begins with `prefix`, sorted by key.
    ///
    /// # Errors
    /// When the backend could not find out.
    async fn list(&self, prefix: &str) -> Result<Vec<Stat>, StorageError>;

    /// Deletes an object; one that is not there is no error.
    ///
    /// # Errors
    /// When the object may still be there.
    async fn delete(&self, key: &Key) -> Result<(), StorageError>;

    /// The capability to grow objects, where the backend has it.
    fn append(&self) -> Option<&dyn Append>;
}

/// Grows objects in place: what local files can and object stores cannot.
pub trait Append: Send + Sync {
    /// Writes `bytes` behind the first `offset` bytes of the object; offset 0 creates it. Durable when it returns.
    ///
    /// Blocks: the registry calls it on a thread of its own.
    ///
    /// # Errors
    /// `Conflict` when the object has another size than `offset`, or exists although `offset` is 0: then nothing was written. After
    /// any other error the object may end in a part of `bytes`, and the caller writes to it no more.
    fn grow(&self, key: &Key, offset: u64, bytes: Bytes) -> Result<(), StorageError>;
}

const _: Option<(&dyn StorageBackend, &dyn Append)> = None;

/// The refusal of a range that the object does not have.
pub(crate) fn outside(key: &Key, range: &Range<u64>, size: u64) -> StorageError {
    let context = format!("read bytes {} to {} of {key}, which has {size} bytes", range.start, range.end);
    StorageError::new(ErrorKind::Invalid, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_could_leave_its_folder_is_refused() {
        let long = "a".repeat(513);
        for text in [
            "",
            "/",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a//b",
            "a/",
            ".hidden",
            "a/.tmp",
            "A",
            "a\\b",
            "a\0",
            &long,
        ] {
            let error = text.parse::<Key>().expect_err(text);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text:?}");
        }
        assert_eq!("packs/1-2.x".parse::<Key>().expect("a key").as_str(), "packs/1-2.x");
    }
}
