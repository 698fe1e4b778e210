use std::collections::BTreeMap;

use mcp_core::{
    Artifact, ArtifactRef, Digest, Digester, Holder, Id, Name, Principal, RequestId, Timestamp, Version,
};
use serde::{Deserialize, Serialize};

use crate::{Metadata, RegistryError};

/// One numbered row of the change feed: one mutation of the registry.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChangeRow {
    /// Its position, from 1 without gaps.
    pub seq: u64,
    /// When it was committed, by the lent clock.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Principal,
    /// By which request, where one was named.
    pub request_id: Option<RequestId>,
    /// What it did.
    pub change: RegistryChange,
    /// The chained hash: BLAKE3 over the chain of the row before and this row's canonical bytes.
    pub chain: Digest,
    canonical: Vec<u8>,
}

impl ChangeRow {
    /// Whether this row follows one whose chain is `previous`; for the first row, the chain of [`genesis`].
    #[must_use]
    pub fn follows(&self, previous: &Digest) -> bool {
        link(previous, &self.canonical) == self.chain
    }

    /// The bytes that the chain covers, field by field as `FORMAT.md` has them under "The chain": who does not trust
    /// [`follows`](Self::follows) hashes the chain before and these.
    #[must_use]
    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }
}

/// What a row of the change feed did.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RegistryChange {
    /// A version was published.
    Published {
        /// Its name and version.
        artifact: ArtifactRef,
        /// The digest of its bytes.
        digest: Digest,
        /// The SHA-256 hash of its bytes.
        sha256: [u8; 32],
        /// How many bytes it has.
        size: u64,
        /// What kind of bytes these are.
        media_type: String,
        /// What was said about it.
        metadata: Box<Metadata>,
    },
    /// A version was yanked.
    Yanked {
        /// Which.
        artifact: ArtifactRef,
        /// Why.
        reason: String,
    },
    /// A yanked version was restored.
    Unyanked {
        /// Which.
        artifact: ArtifactRef,
        /// Why.
        reason: String,
    },
    /// A channel was made or moved.
    ChannelMoved {
        /// Of which name.
        name: Name,
        /// Which channel.
        channel: Name,
        /// Where it pointed before.
        from: Option<Version>,
        /// Where it points now.
        to: Version,
    },
    /// A channel was removed; it may be made again.
    ChannelRemoved {
        /// Of which name.
        name: Name,
        /// Which channel.
        channel: Name,
        /// Where it pointed.
        from: Version,
    },
    /// The labels of a version were changed.
    LabelsChanged {
        /// Which.
        artifact: ArtifactRef,
        /// All its labels from then on.
        labels: BTreeMap<String, String>,
    },
    /// A version was deprecated, or the message of its deprecation replaced.
    Deprecated {
        /// Which.
        artifact: ArtifactRef,
        /// What its users are told.
        message: String,
    },
    /// A deprecation was taken back.
    Undeprecated {
        /// Which.
        artifact: ArtifactRef,
        /// Why.
        reason: String,
    },
    /// A command with a request id had nothing to do; a repetition gets the same answer.
    Answered {
        /// What it was about.
        name: Name,
        /// Which version it was about, or where the channel pointed; `None` for a channel that was removed.
        version: Option<Version>,
        /// The row that had done it before.
        by: u64,
    },
    /// Artifacts were pinned.
    Pinned {
        /// For whom.
        holder: Holder,
        /// Which.
        artifacts: Vec<Artifact>,
        /// Until when; `None` until released.
        expires: Option<Timestamp>,
    },
    /// All pins of a holder were given up.
    Released {
        /// Whose.
        holder: Holder,
    },
}

/// The chain before the first row of the registry with this catalog id.
#[must_use]
pub fn genesis(catalog: Id) -> Digest {
    Digest::of(format!("mcp-registry feed 1 {catalog}").as_bytes())
}

fn link(previous: &Digest, canonical: &[u8]) -> Digest {
    let mut digester = Digester::new();
    digester.update(previous.as_bytes()).update(canonical);
    digester.digest()
}

/// What a row says, by a number that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowKind {
    Published = 1,
    Yanked = 2,
    Unyanked = 3,
    ChannelMoved = 4,
    Pinned = 5,
    Released = 6,
    LabelsChanged = 7,
    Deprecated = 8,
    Undeprecated = 9,
    ChannelRemoved = 10,
    Answered = 11,
}

impl RowKind {
    pub(crate) const fn from_number(number: i64) -> Option<Self> {
        Some(match number {
            1 => Self::Published,
            2 => Self::Yanked,
            3 => Self::Unyanked,
            4 => Self::ChannelMoved,
            5 => Self::Pinned,
            6 => Self::Released,
            7 => Self::LabelsChanged,
            8 => Self::Deprecated,
            9 => Self::Undeprecated,
            10 => Self::ChannelRemoved,
            11 => Self::Answered,
            _ => return None,
        })
    }
}

/// A row as it is stored, apart from where its bytes lie: that may change when packs are rewritten, and stands outside the chain.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) seq: u64,
    pub(crate) kind: RowKind,
    pub(crate) at: Timestamp,
    pub(crate) actor: Principal,
    pub(crate) request_id: Option<RequestId>,
    pub(crate) name: Option<Name>,
    pub(crate) version: Option<Version>,
    pub(crate) content: Option<RowContent>,
    /// JSON: the metadata of a publish, otherwise one of the bodies below.
    pub(crate) body: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RowContent {
    pub(crate) digest: Digest,
    pub(crate) sha256: [u8; 32],
    pub(crate) size: u64,
    pub(crate) media_type: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct YankBody {
    pub(crate) reason: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChannelBody {
    pub(crate) channel: Name,
    pub(crate) from: Option<Version>,
    /// The row that moved it before: so its history is a list to walk.
    pub(crate) previous: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LabelsBody {
    /// All of them, not only those that changed: so a reader needs no other row.
    pub(crate) labels: BTreeMap<String, String>,
    /// The row that changed them before.
    pub(crate) previous: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DeprecationBody {
    pub(crate) message: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AnsweredBody {
    pub(crate) by: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PinBody {
    pub(crate) holder: Holder,
    pub(crate) artifacts: Vec<Artifact>,
    pub(crate) expires: Option<Timestamp>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReleaseBody {
    pub(crate) holder: Holder,
}

/// The JSON of a row that is no publish.
pub(crate) fn encode_body(body: &impl Serialize) -> Result<String, RegistryError> {
    serde_json::to_string(body).map_err(|error| RegistryError::Invalid {
        what: "write a row of the change feed as JSON".to_owned(),
        reason: error.to_string(),
    })
}

impl Row {
    /// The bytes that the chain covers: `FORMAT.md`, "The chain".
    pub(crate) fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.body.len());
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.push(self.kind as u8);
        out.extend_from_slice(&self.at.as_micros().to_le_bytes());
        let mut field = |bytes: Option<&[u8]>| {
            // No field comes near 4 GiB; the settings see to it.
            let length = bytes.map_or(u32::MAX, |bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX - 1));
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(bytes.unwrap_or_default());
        };
        let version = self.version.as_ref().map(ToString::to_string);
        let content = self.content.as_ref();
        field(Some(self.actor.as_str().as_bytes()));
        field(self.request_id.as_ref().map(|id| id.as_str().as_bytes()));
        field(self.name.as_ref().map(|name| name.as_str().as_bytes()));
        field(version.as_ref().map(String::as_bytes));
        field(content.map(|content| &content.digest.as_bytes()[..]));
        field(content.map(|content| &content.sha256[..]));
        field(content.map(|content| content.size.to_le_bytes()).as_ref().map(|size| &size[..]));
        field(content.map(|content| content.media_type.as_bytes()));
        field(Some(self.body.as_bytes()));
        out
    }

    pub(crate) fn chain(&self, previous: &Digest) -> Digest {
        link(previous, &self.canonical())
    }

    /// As hosts see it.
    pub(crate) fn into_change(self, chain: Digest) -> Result<ChangeRow, RegistryError> {
        let canonical = self.canonical();
        let seq = i64::try_from(self.seq).unwrap_or(i64::MAX);
        let missing = || RegistryError::corrupt_row(seq, "a part that its kind needs is missing");
        let artifact = || Some(ArtifactRef::new(self.name.clone()?, self.version.clone()?));
        let change = match self.kind {
            RowKind::Published => {
                let content = self.content.clone().ok_or_else(missing)?;
                RegistryChange::Published {
                    artifact: artifact().ok_or_else(missing)?,
                    digest: content.digest,
                    sha256: content.sha256,
                    size: content.size,
                    media_type: content.media_type,
                    metadata: Box::new(self.read_body()?),
                }
            }
            RowKind::Yanked => RegistryChange::Yanked {
                artifact: artifact().ok_or_else(missing)?,
                reason: self.read_body::<YankBody>()?.reason,
            },
            RowKind::Unyanked => RegistryChange::Unyanked {
                artifact: artifact().ok_or_else(missing)?,
                reason: self.read_body::<YankBody>()?.reason,
            },
            RowKind::ChannelMoved => {
                let body: ChannelBody = self.read_body()?;
                RegistryChange::ChannelMoved {
                    name: self.name.clone().ok_or_else(missing)?,
                    channel: body.channel,
                    from: body.from,
                    to: self.version.clone().ok_or_else(missing)?,
                }
            }
            RowKind::ChannelRemoved => {
                let body: ChannelBody = self.read_body()?;
                RegistryChange::ChannelRemoved {
                    name: self.name.clone().ok_or_else(missing)?,
                    channel: body.channel,
                    from: body.from.ok_or_else(missing)?,
                }
            }
            RowKind::LabelsChanged => RegistryChange::LabelsChanged {
                artifact: artifact().ok_or_else(missing)?,
                labels: self.read_body::<LabelsBody>()?.labels,
            },
            RowKind::Deprecated => RegistryChange::Deprecated {
                artifact: artifact().ok_or_else(missing)?,
                message: self.read_body::<DeprecationBody>()?.message,
            },
            RowKind::Undeprecated => RegistryChange::Undeprecated {
                artifact: artifact().ok_or_else(missing)?,
                reason: self.read_body::<YankBody>()?.reason,
            },
            RowKind::Answered => RegistryChange::Answered {
                name: self.name.clone().ok_or_else(missing)?,
                version: self.version.clone(),
                by: self.read_body::<AnsweredBody>()?.by,
            },
            RowKind::Pinned => {
                let PinBody { holder, artifacts, expires } = self.read_body()?;
                RegistryChange::Pinned { holder, artifacts, expires }
            }
            RowKind::Released => RegistryChange::Released { holder: self.read_body::<ReleaseBody>()?.holder },
        };
        Ok(ChangeRow {
            seq: self.seq,
            at: self.at,
            actor: self.actor,
            request_id: self.request_id,
            change,
            chain,
            canonical,
        })
    }

    pub(crate) fn read_body<'a, T: Deserialize<'a>>(&'a self) -> Result<T, RegistryError> {
        let seq = i64::try_from(self.seq).unwrap_or(i64::MAX);
        serde_json::from_str(&self.body).map_err(|error| RegistryError::corrupt_row(seq, error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            seq: 7,
            kind: RowKind::Published,
            at: Timestamp::from_micros(1),
            actor: "ci".parse().expect("actor"),
            request_id: None,
            name: Some("app".parse().expect("name")),
            version: Some(Version::new(1, 0, 0)),
            content: Some(RowContent {
                digest: Digest::of(b"x"),
                sha256: [1; 32],
                size: 1,
                media_type: "text/plain".to_owned(),
            }),
            body: "{}".to_owned(),
        }
    }

    #[test]
    fn every_part_of_a_row_is_in_its_chain() {
        let previous = genesis(Id::from_u128(1));
        let content = || row().content.expect("content");
        let changed = [
            Row { seq: 8, ..row() },
            Row { kind: RowKind::Yanked, ..row() },
            Row { at: Timestamp::from_micros(2), ..row() },
            Row { actor: "cj".parse().expect("actor"), ..row() },
            Row { request_id: Some("r".parse().expect("id")), ..row() },
            Row { name: None, ..row() },
            Row { name: Some("appl".parse().expect("name")), ..row() },
            Row { version: Some("1.0.0+b".parse().expect("version")), ..row() },
            Row { content: None, ..row() },
            Row { content: Some(RowContent { digest: Digest::of(b"y"), ..content() }), ..row() },
            Row { content: Some(RowContent { sha256: [2; 32], ..content() }), ..row() },
            Row { content: Some(RowContent { size: 2, ..content() }), ..row() },
            Row { content: Some(RowContent { media_type: "text/plai".to_owned(), ..content() }), ..row() },
            Row { body: "{ }".to_owned(), ..row() },
        ];
        let mut chains: Vec<Digest> = changed.iter().map(|row| row.chain(&previous)).collect();
        chains.push(row().chain(&previous));
        chains.push(row().chain(&genesis(Id::from_u128(2))));
        let count = chains.len();
        chains.sort();
        chains.dedup();
        assert_eq!(chains.len(), count);
    }

    #[test]
    fn the_canonical_bytes_are_those_that_format_md_documents() {
        let digest = Digest::of(b"x");
        let parts: [&[u8]; 15] = [
            b"\x07\0\0\0\0\0\0\0\x01\x01\0\0\0\0\0\0\0",
            b"\x02\0\0\0ci",
            b"\xff\xff\xff\xff",
            b"\x03\0\0\0app",
            b"\x05\0\0\0",
            b"1.0.0",
            b"\x20\0\0\0",
            digest.as_bytes(),
            b"\x20\0\0\0",
            &[1; 32],
            b"\x08\0\0\0\x01\0\0\0\0\0\0\0",
            b"\x0a\0\0\0",
            b"text/plain",
            b"\x02\0\0\0",
            b"{}",
        ];
        assert_eq!(row().canonical(), parts.concat());
    }

    #[test]
    fn a_change_follows_only_the_row_before_it() {
        let previous = genesis(Id::from_u128(1));
        let change = row().into_change(row().chain(&previous)).expect("a change");
        assert!(change.follows(&previous));
        assert!(!change.follows(&genesis(Id::from_u128(2))));
    }
}
