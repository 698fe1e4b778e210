use std::sync::Arc;

use async_trait::async_trait;
use mcp_core::{Candidate, Fetch, Inspect};

use super::fetch::fetch_exactly;
use super::{FetchGate, Gate, GateAnswer, GateError, GateRequest};

/// Passes when an inspection accepts every artifact of the release; it fetches and compares them as [`FetchGate`] does.
///
/// An inspection that fails is an error: what nobody judged does not pass.
pub struct InspectGate {
    fetch: Arc<dyn Fetch>,
    inspect: Arc<dyn Inspect>,
    max_bytes: u64,
}

impl InspectGate {
    /// Inspects artifacts of up to [`FetchGate::DEFAULT_MAX_BYTES`].
    #[must_use]
    pub fn new(fetch: Arc<dyn Fetch>, inspect: Arc<dyn Inspect>) -> Self {
        Self { fetch, inspect, max_bytes: FetchGate::DEFAULT_MAX_BYTES }
    }

    /// Inspects artifacts of up to this many bytes; a larger one denies.
    #[must_use]
    pub const fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }
}

#[async_trait]
impl Gate for InspectGate {
    async fn check(&self, request: &GateRequest<'_>) -> Result<GateAnswer, GateError> {
        let mut findings = 0;
        for artifact in request.release.artifacts() {
            let fetched = match fetch_exactly(&*self.fetch, artifact, self.max_bytes).await? {
                Ok(fetched) => fetched,
                Err(answer) => return Ok(answer),
            };
            let candidate =
                Candidate::new(artifact.reference.name.clone(), fetched.media_type, fetched.bytes);
            if candidate.digest != artifact.digest {
                return Ok(GateAnswer::deny(format!(
                    "{}: the fetched bytes have the digest {}, the release says {}",
                    artifact.reference, candidate.digest, artifact.digest
                )));
            }
            let candidate = candidate.with_version(artifact.reference.version.clone());
            let verdict = self.inspect.inspect(&candidate).await?;
            findings += verdict.findings.len();
            if !verdict.accepted {
                let first = verdict.findings.first().map(ToString::to_string).unwrap_or_default();
                let count = verdict.findings.len();
                return Ok(GateAnswer::deny(format!(
                    "{} was not accepted, {count} findings: {first}",
                    artifact.reference
                )));
            }
        }
        let count = request.release.artifacts().len();
        Ok(GateAnswer::pass(format!("{count} of {count} artifacts accepted, findings: {findings}")))
    }
}
