//! Journals keep the streams of events that everything else is computed from.

mod chain;
mod checkpoint;
#[cfg(feature = "ed25519")]
mod ed25519;
mod memory;
mod owners;
mod signer;
mod snapshots;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
use mcp_core::{ErrorKind, Name, SeamError};

pub use chain::{Chain, FORMAT, MAX_EVENT_BYTES};
pub use checkpoint::{Checkpoint, Head, SignedCheckpoint};
#[cfg(feature = "ed25519")]
pub use ed25519::{Ed25519Signer, Ed25519Verifier};
pub use memory::MemoryJournal;
pub use owners::{Claim, Owners};
pub use signer::{Signature, Signer, Verifier};
pub use snapshots::Snapshots;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteJournal;

/// After how many bytes a [`Journal`] may end what it gives at once: several events of the largest size.
pub const MAX_READ_BYTES: usize = 4 * MAX_EVENT_BYTES;

/// The error of a [`Journal`].
pub type JournalError = SeamError;

/// What one append does to one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Which stream.
    pub stream: Name,
    /// How many events it must have before.
    pub expected: u64,
    /// What is added behind them; nothing, where only the version is asserted.
    pub events: Vec<Vec<u8>>,
}

impl Append {
    /// Adds `events` behind the first `expected`.
    #[must_use]
    pub const fn new(stream: Name, expected: u64, events: Vec<Vec<u8>>) -> Self {
        Self { stream, expected, events }
    }

    /// Only asserts that the stream has `expected` events.
    #[must_use]
    pub const fn assert(stream: Name, expected: u64) -> Self {
        Self { stream, expected, events: Vec::new() }
    }

    /// Whether a stream with `version` events is the one that is expected; `Conflict` otherwise.
    pub(crate) fn check_version(&self, version: u64) -> Result<(), JournalError> {
        let Self { stream, expected, .. } = self;
        if version == *expected {
            return Ok(());
        }
        let context = format!("append to stream {stream}: it has {version} events, not {expected}");
        Err(SeamError::new(ErrorKind::Conflict, context))
    }
}

/// Whether `batch` names no stream twice (`Invalid`) and has no event that is too large (`Exhausted`).
pub(crate) fn check_shape(batch: &[Append]) -> Result<(), JournalError> {
    let mut rest = batch;
    while let Some((Append { stream, events, .. }, others)) = rest.split_first() {
        rest = others;
        if others.iter().any(|other| other.stream == *stream) {
            let context = format!("append to stream {stream}: it stands twice in one batch");
            return Err(SeamError::new(ErrorKind::Invalid, context));
        }
        if let Some(large) = events.iter().find(|event| event.len() > MAX_EVENT_BYTES) {
            let context = format!(
                "append to stream {stream}: an event has {} bytes, at most {MAX_EVENT_BYTES} are allowed",
                large.len()
            );
            return Err(SeamError::new(ErrorKind::Exhausted, context));
        }
    }
    Ok(())
}

/// Streams of events: opaque bytes at positions 1, 2, 3, and so on. A stream exists from its first event on.
///
/// Implemented here in memory and in SQLite, and by hosts; called by the engine, from many tasks at once. Several engines, and processes
/// where the implementation says so, may share one.
///
/// What must hold:
/// - an append happens as a whole or not at all, also across streams, and before all readers at one moment;
/// - of two appends that expect the same version of a stream and add to it, one fails;
/// - when `append` has returned `Ok`, its events survive whatever the implementation promises to survive;
/// - events are never changed, moved or removed.
///
/// The checks of `conformance::journal` (feature `conformance`) try all that can be tried without a crash.
///
/// # Cancel safety
/// A dropped append has happened or has not, never in part; the engine reads to find out.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Adds to some streams, all or nothing. The streams of `batch` differ.
    ///
    /// # Errors
    /// `Conflict` when one of the streams does not have the version that `batch` expects, `Invalid` when a stream stands in it twice,
    /// `Exhausted` when an event has more than [`MAX_EVENT_BYTES`]: nothing was added. `Unavailable` when the outcome is unknown.
    async fn append(&self, batch: &[Append]) -> Result<(), JournalError>;

    /// The events of `stream` behind position `after`, in order, at most `max` of them; none when there are none. Fewer may be given when
    /// those that are given have [`MAX_READ_BYTES`] or more: who wants the rest reads on from there.
    ///
    /// # Errors
    /// `Unavailable`, or `Corrupt`.
    async fn read(&self, stream: &Name, after: u64, max: usize) -> Result<Vec<Vec<u8>>, JournalError>;

    /// The streams whose names begin with `prefix`, sorted.
    ///
    /// # Errors
    /// `Unavailable`, or `Corrupt`.
    async fn streams(&self, prefix: &str) -> Result<Vec<Name>, JournalError>;

    /// The capability to keep snapshots beside the streams, where the journal has it. What forgets to hand it on is slower to open, and the
    /// same in every other way.
    fn snapshots(&self) -> Option<&dyn Snapshots> {
        None
    }

    /// The capability to tell which owners of leases are gone, where the journal has it. What forgets to hand it on waits for their leases
    /// to be over, and is the same in every other way.
    fn owners(&self) -> Option<&dyn Owners> {
        None
    }
}

const _: Option<&dyn Journal> = None;

#[async_trait]
impl<J: Journal + ?Sized> Journal for Arc<J> {
    async fn append(&self, batch: &[Append]) -> Result<(), JournalError> {
        (**self).append(batch).await
    }

    async fn read(&self, stream: &Name, after: u64, max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        (**self).read(stream, after, max).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<Name>, JournalError> {
        (**self).streams(prefix).await
    }

    fn snapshots(&self) -> Option<&dyn Snapshots> {
        (**self).snapshots()
    }

    fn owners(&self) -> Option<&dyn Owners> {
        (**self).owners()
    }
}
