//! The crate index: the JSON artifact that is promoted, in the three editions of the story.

use std::collections::BTreeMap;

use bytes::Bytes;
use mcp_core::{ErrorKind, SeamError};
use serde::{Deserialize, Serialize};

/// What the index is published under. No crate's name has a '/', so it meets none of them.
pub const NAME: &str = "quickstart/crate-index";
/// The media type by which admission and the gate know it.
pub const MEDIA_TYPE: &str = "application/vnd.quickstart.crate-index+json";
/// Its schema, draft 2020-12.
pub const SCHEMA: &str = include_str!("index.schema.json");

/// All crates of a registry, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// One entry for each name.
    pub crates: BTreeMap<String, Entry>,
}

/// One crate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The version that is taken where nothing else is asked for.
    pub latest: String,
    /// Every version, in ascending order.
    pub versions: Vec<String>,
    /// What it says of itself; since the second edition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its licence; since the second edition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
}

/// What happens to the index in the course of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// It lists all crates.
    First,
    /// Each entry says more.
    Described,
    /// A third of the entries got lost, as by a broken export; each that is left is as it should be.
    Damaged,
}

impl Edition {
    /// In the order in which they are promoted; the position is the minor version.
    pub const ALL: [Self; 3] = [Self::First, Self::Described, Self::Damaged];

    /// What is new about it, in a few words.
    pub const fn story(self) -> &'static str {
        match self {
            Self::First => "lists every crate of the registry",
            Self::Described => "adds description and licence to each entry",
            Self::Damaged => "lost a third of its entries, which no schema can see",
        }
    }

    /// The index that this edition makes of the whole truth.
    pub fn of(self, full: &Index) -> Index {
        let undescribed = |entry: &Entry| Entry { description: None, license: None, ..entry.clone() };
        let entries = full.crates.iter().enumerate();
        let lost = |place: usize| self == Self::Damaged && full.crates.len() > 1 && place.is_multiple_of(3);
        let crates = entries.filter(|(place, _)| !lost(*place)).map(|(_, (name, entry))| {
            let entry = if self == Self::First { undescribed(entry) } else { entry.clone() };
            (name.clone(), entry)
        });
        Index { crates: crates.collect() }
    }
}

impl Index {
    /// Its JSON: the same index gives the same bytes.
    pub fn to_bytes(&self) -> Result<Bytes, serde_json::Error> {
        Ok(serde_json::to_vec(self)?.into())
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SeamError> {
        serde_json::from_slice(bytes).map_err(|error| {
            SeamError::new(ErrorKind::Invalid, "read a crate index as JSON").with_source(error)
        })
    }
}
