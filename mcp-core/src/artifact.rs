use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ArtifactRef, Digest, ParseError};

/// One published version together with the digest of its bytes: what a release holds, and what is pinned.
///
/// The reference alone would trust whoever resolves it; with the digest a later look can tell that it is still the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Artifact {
    /// What it is called, and which version.
    #[serde(rename = "ref")]
    pub reference: ArtifactRef,
    /// What its bytes are.
    pub digest: Digest,
}

impl Artifact {
    /// An artifact of this name, version and content.
    #[must_use]
    pub const fn new(reference: ArtifactRef, digest: Digest) -> Self {
        Self { reference, digest }
    }
}

impl fmt::Display for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.reference, self.digest)
    }
}

impl TryFrom<(&str, Digest)> for Artifact {
    type Error = ParseError;

    fn try_from((reference, digest): (&str, Digest)) -> Result<Self, ParseError> {
        Ok(Self { reference: reference.parse()?, digest })
    }
}
