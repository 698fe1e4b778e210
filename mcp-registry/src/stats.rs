use serde::Serialize;

use crate::{Registry, RegistryError};

/// What a registry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Published versions, yanked ones included.
    pub versions: u64,
    /// Names with at least one version.
    pub names: u64,
    /// Distinct contents.
    pub blobs: u64,
    /// Versions whose content was stored already when they were published.
    pub deduplicated: u64,
    /// The sizes of all versions together.
    pub logical_bytes: u64,
    /// What the blobs take in packs, with their headers; neither packs' own headers and footers nor the catalog.
    pub stored_bytes: u64,
}

impl Registry {
    /// What the registry holds; the counts are kept with each commit, so this does not scan.
    ///
    /// # Errors
    /// `Corrupt` or `Unavailable` when the catalog cannot be read.
    pub async fn stats(&self) -> Result<Stats, RegistryError> {
        let totals = self.readers().look_up(|snapshot| snapshot.totals()).await?;
        Ok(Stats {
            versions: totals.versions,
            names: totals.names,
            blobs: totals.blobs,
            deduplicated: totals.versions.saturating_sub(totals.blobs),
            logical_bytes: totals.logical_bytes,
            stored_bytes: totals.stored_bytes,
        })
    }
}
