use mcp_core::Histogram;
use serde::Serialize;

use crate::{Registry, RegistryError};

/// What a registry holds, and what it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    /// What was done through this handle and its clones since they were opened.
    pub activity: Activity,
}

/// What was done since the registry was opened, for hosts to export. Counts only grow; each is exact, and a snapshot of several may
/// be taken in the middle of an operation. Times are in microseconds, by the lent monotonic clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Activity {
    /// Versions that were made.
    pub created: u64,
    /// Publishes that found the same version, or whose request was answered before.
    pub repeated: u64,
    /// Versions that were made of bytes which were stored already.
    pub deduplicated: u64,
    /// Publishes that admission refused.
    pub refused: u64,
    /// Publishes of a version that exists with other content, and other conflicts that a commit found.
    pub conflicts: u64,
    /// Publishes that failed in a commit for another reason.
    pub failed: u64,
    /// The sizes of the versions that were made.
    pub bytes_in: u64,
    /// Selections that were looked up, those of reads included.
    pub resolves: u64,
    /// Those of them that were answered from memory.
    pub cache_hits: u64,
    /// Artifacts that were read, whole, in part or as a stream.
    pub reads: u64,
    /// The bytes that these reads have checked.
    pub bytes_out: u64,
    /// Reads that found other bytes than were published.
    pub corrupt_reads: u64,
    /// Commands that wait for the committer now.
    pub requests_in_flight: u64,
    /// Bytes of unfinished publishes now, to the next KiB.
    pub bytes_in_flight: u64,
    /// How long publishers waited for their answers, whatever these were.
    pub publish_us: Histogram,
    /// How long publishers waited for room among the bytes or the requests in flight; those that found room at once do not count.
    pub wait_us: Histogram,
    /// How long the commits took, which succeeded.
    pub commit_us: Histogram,
    /// How many commands each of these commits had.
    pub batch: Histogram,
    /// How long searches took.
    pub search_us: Histogram,
}

impl Registry {
    /// What the registry holds and does; the counts are kept up to date, so this does not scan.
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
            activity: self.activity(),
        })
    }

    /// What was done since this registry was opened, without a look into the catalog: for hosts that export it every second.
    #[must_use]
    pub fn activity(&self) -> Activity {
        let (requests_in_flight, bytes_in_flight) = self.in_flight();
        Activity { requests_in_flight, bytes_in_flight, ..self.counters().snapshot() }
    }
}
