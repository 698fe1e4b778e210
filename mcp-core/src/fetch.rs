use async_trait::async_trait;
use bytes::Bytes;

use crate::{ArtifactRef, Digest, SeamError};

/// Bytes that were checked against their digest.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fetched {
    /// The digest of `bytes`, as it was published.
    pub digest: Digest,
    /// The media type that it was published with.
    pub media_type: String,
    /// The whole content.
    pub bytes: Bytes,
}

impl Fetched {
    /// Of an implementation that has compared `bytes` with `digest`.
    #[must_use]
    pub fn new(digest: Digest, media_type: impl Into<String>, bytes: Bytes) -> Self {
        Self { digest, media_type: media_type.into(), bytes }
    }
}

/// Turns a reference into verified bytes.
///
/// Implemented by the registry; asked by promotion, before a release is deployed.
///
/// # Cancel safety
/// Callers may drop the future at any await.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// Reads no more than `max_bytes`.
    ///
    /// # Errors
    /// By kind: `NotFound` when nothing was published under `artifact`; `Exhausted` when it is larger than `max_bytes`; `Corrupt` when
    /// the stored bytes are not what was published; `Unavailable` when the storage does not answer.
    async fn fetch(&self, artifact: &ArtifactRef, max_bytes: u64) -> Result<Fetched, SeamError>;
}

const _: Option<&dyn Fetch> = None;
