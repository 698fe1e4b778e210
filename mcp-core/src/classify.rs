use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Candidate, SeamError};

/// How far one artifact is from the one before it, in the words of semantic versioning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It means the same.
    Identical,
    /// Nobody who uses it can tell.
    Patch,
    /// It can do more; who used the old one can use the new one.
    Minor,
    /// Some who used the old one cannot use the new one.
    Major,
    /// It could not be decided; callers assume the worst.
    Unknown,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Identical => "identical",
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
            Self::Unknown => "unknown",
        })
    }
}

/// Compares two artifacts of one name.
///
/// Implemented by the validation engine; asked by the registry, outside its commit, to choose the next version.
///
/// # Cancel safety
/// Callers may drop the future at any await; an implementation leaves nothing half done.
#[async_trait]
pub trait Classify: Send + Sync {
    /// # Errors
    /// `Err` means that the comparison could not be made; a comparison without an answer is [`Change::Unknown`].
    async fn classify(&self, old: &Candidate, new: &Candidate) -> Result<Change, SeamError>;
}

const _: Option<&dyn Classify> = None;
