use std::sync::Arc;

use async_trait::async_trait;
use mcp_core::{Artifact, ErrorKind, Fetch, Fetched};

use super::{Gate, GateAnswer, GateError, GateRequest};

/// Passes when every artifact of the release can be fetched, and has the digest that the release says.
///
/// An artifact that was not published yet is waited for. One that has other bytes, is too large, or whose stored bytes are damaged denies; a
/// storage that does not answer is an error, and asked again.
pub struct FetchGate {
    fetch: Arc<dyn Fetch>,
    max_bytes: u64,
}

impl FetchGate {
    /// The size up to which an artifact is fetched unless another is given, in bytes: 64 MiB.
    pub const DEFAULT_MAX_BYTES: u64 = 64 * 1024 * 1024;

    /// Fetches artifacts of up to [`DEFAULT_MAX_BYTES`](Self::DEFAULT_MAX_BYTES).
    #[must_use]
    pub fn new(fetch: Arc<dyn Fetch>) -> Self {
        Self { fetch, max_bytes: Self::DEFAULT_MAX_BYTES }
    }

    /// Fetches artifacts of up to this many bytes; a larger one denies.
    #[must_use]
    pub const fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }
}

#[async_trait]
impl Gate for FetchGate {
    async fn check(&self, request: &GateRequest<'_>) -> Result<GateAnswer, GateError> {
        let mut bytes = 0_u64;
        for artifact in request.release.artifacts() {
            match fetch_exactly(&*self.fetch, artifact, self.max_bytes).await? {
                Ok(fetched) => bytes = bytes.saturating_add(fetched.bytes.len() as u64),
                Err(answer) => return Ok(answer),
            }
        }
        let count = request.release.artifacts().len();
        Ok(GateAnswer::pass(format!("{count} of {count} artifacts have their digests, {bytes} bytes in all")))
    }
}

/// The artifact's bytes, or what a gate answers when there are none that fit its digest.
pub(super) async fn fetch_exactly(
    fetch: &dyn Fetch,
    artifact: &Artifact,
    max_bytes: u64,
) -> Result<Result<Fetched, GateAnswer>, GateError> {
    match fetch.fetch(&artifact.reference, max_bytes).await {
        Ok(fetched) if fetched.digest == artifact.digest => Ok(Ok(fetched)),
        Ok(fetched) => Ok(Err(GateAnswer::deny(format!(
            "{} has the digest {}, the release says {}",
            artifact.reference, fetched.digest, artifact.digest
        )))),
        Err(error) => {
            let why = format!("{}: {error} ({})", artifact.reference, error.kind());
            match error.kind() {
                ErrorKind::NotFound => Ok(Err(GateAnswer::wait(None, format!("{why}; publish it")))),
                ErrorKind::Exhausted | ErrorKind::Corrupt => Ok(Err(GateAnswer::deny(why))),
                _ => Err(error),
            }
        }
    }
}
