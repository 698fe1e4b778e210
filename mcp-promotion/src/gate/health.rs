use std::sync::Arc;

use async_trait::async_trait;

use super::{Gate, GateAnswer, GateError, GateRequest};
use crate::{Health, HealthCheck};

/// Passes while a health check is healthy, such as one of the cluster that would run the release, or of what the release needs.
///
/// While it is not, the promotion waits; it is never denied for that.
pub struct HealthGate(Arc<dyn HealthCheck>);

impl HealthGate {
    /// Asks `check`.
    pub fn new(check: impl HealthCheck + 'static) -> Self {
        Self(Arc::new(check))
    }
}

#[async_trait]
impl Gate for HealthGate {
    async fn check(&self, _request: &GateRequest<'_>) -> Result<GateAnswer, GateError> {
        Ok(match self.0.check().await? {
            Health::Healthy { saw } if saw.is_empty() => GateAnswer::pass("healthy"),
            Health::Healthy { saw } => GateAnswer::pass(saw),
            Health::Unhealthy { why } => GateAnswer::wait(None, why),
        })
    }
}
