use std::collections::BTreeMap;
use std::sync::Arc;

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

impl Entry {
    /// About how many bytes its texts take in memory.
    pub(crate) fn text_bytes(&self) -> u64 {
        let metadata = &self.metadata;
        let words = metadata.authors.iter().chain(&metadata.tags).map(String::len);
        let labels = metadata
            .labels
            .iter()
            .chain(&self.labels)
            .map(|(key, value)| key.len().saturating_add(value.len()));
        let pieces: usize = words.chain(labels).map(|bytes| bytes.saturating_add(PIECE_BYTES)).sum();
        let texts = [&metadata.description, &metadata.license, &self.media_type];
        let texts: usize =
            texts.into_iter().chain(&self.yanked).chain(&self.deprecated).map(String::len).sum();
        let needs = metadata.dependencies.len().saturating_mul(4 * PIECE_BYTES);
        let built = if metadata.build.is_some() { 8 * PIECE_BYTES } else { 0 };
        let pieces = pieces.saturating_add(needs).saturating_add(built);
        pieces.saturating_add(texts).saturating_add(json_bytes(&metadata.extra)) as u64
    }
}

/// What each text takes besides its characters.
const PIECE_BYTES: usize = 64;

fn json_bytes(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    let inner: usize = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(json_bytes).sum(),
        Value::Object(members) => {
            members.iter().map(|(key, value)| key.len().saturating_add(json_bytes(value))).sum()
        }
    };
    if value.is_null() { 0 } else { inner.saturating_add(PIECE_BYTES) }
}

/// A version with its bytes, which were compared with its digest.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Content {
    /// What the registry knows of it; shared with what it remembers.
    pub entry: Arc<Entry>,
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
