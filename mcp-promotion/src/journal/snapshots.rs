use async_trait::async_trait;
use mcp_core::Name;

use super::JournalError;

/// Keeps, beside each stream, what was computed from its beginning: what journals that outlive the process can do.
///
/// A snapshot is a cache. Whoever reads one compares it with the event that it was made after and goes on from there, or ignores it and
/// reads the stream from its beginning; so an old, damaged or missing one costs time and nothing else. One that somebody has forged, with a seal that fits, is believed until
/// [`Engine::verify`] computes it again: whoever may write there is trusted as whoever may write the journal.
///
/// [`Engine::verify`]: crate::Engine::verify
#[async_trait]
pub trait Snapshots: Send + Sync {
    /// What was kept last beside `stream`; `None` where there is nothing.
    ///
    /// # Errors
    /// Any; it is the same as nothing.
    async fn load(&self, stream: &Name) -> Result<Option<Vec<u8>>, JournalError>;

    /// Keeps `snapshot` beside `stream`, in the place of the one before. It need not be durable before the next append, nor at all.
    ///
    /// # Errors
    /// Any; what was kept before may be lost.
    async fn keep(&self, stream: &Name, snapshot: Vec<u8>) -> Result<(), JournalError>;
}

const _: Option<&dyn Snapshots> = None;
