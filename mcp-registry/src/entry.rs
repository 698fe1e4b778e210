use std::collections::BTreeMap;

use bytes::Bytes;
use mcp_core::{ArtifactRef, Digest, Principal, Timestamp};

use crate::Metadata;
use crate::pack::PackName;

/// What the registry knows of one published version.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// Its name and version, build metadata included.
    pub artifact: ArtifactRef,
    /// The digest of its bytes.
    pub digest: Digest,
    /// The SHA-256 hash of its bytes, for other ecosystems.
    pub sha256: [u8; 32],
    /// How many bytes it has.
    pub size: u64,
    /// What kind of bytes these are.
    pub media_type: String,
    /// What was said about it when it was published.
    pub metadata: Metadata,
    /// Who published it.
    pub actor: Principal,
    /// When it was published.
    pub published_at: Timestamp,
    /// The position of its publish in the change feed.
    pub seq: u64,
    /// Why it is yanked; `None` when it is not.
    pub yanked: Option<String>,
    /// Its labels now: those that it was published with, until they were changed.
    pub labels: BTreeMap<String, String>,
    /// What its users are told about its deprecation; `None` when it is not deprecated.
    pub deprecated: Option<String>,
}

/// A version with its bytes, which were compared with its digest.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Content {
    /// What the registry knows of it.
    pub entry: Entry,
    /// All its bytes, or those of the range that was asked for.
    pub bytes: Bytes,
}

/// What a publish came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// The name and version, which `publish_next` has chosen.
    pub artifact: ArtifactRef,
    /// The digest of the bytes.
    pub digest: Digest,
    /// The position of the publish in the change feed: of the first one, where this was a repetition.
    pub seq: u64,
    /// Whether this call made the version; `false` when it was there already with the same content, or by the same request id.
    pub created: bool,
    /// Whether this call made the version of bytes that were stored already.
    pub deduplicated: bool,
}

/// Where a blob's record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Location {
    pub(crate) pack: PackName,
    pub(crate) offset: u64,
    /// With its header.
    pub(crate) record_bytes: u64,
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} offset {}", self.pack, self.offset)
    }
}
