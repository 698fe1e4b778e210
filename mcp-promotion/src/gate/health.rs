use std::sync::Arc;

use async_trait::async_trait;

use super::{Gate, GateAnswer, GateError, GateRequest};
use crate::{Health, HealthCheck, Kind};

/// Passes while a health check is healthy, such as one of the cluster that would run the release, or of what the release needs.
///
/// While it is not, the promotion waits; it is never denied for that. A rollback passes whatever the check says: what is ill may be what it
/// takes away. It says whether this is a good time, and so nobody who breaks the glass is held up by it.
pub struct HealthGate(Arc<dyn HealthCheck>);

impl HealthGate {
    /// Asks `check`.
    pub fn new(check: impl HealthCheck + 'static) -> Self {
        Self(Arc::new(check))
    }
}

#[async_trait]
impl Gate for HealthGate {
    async fn check(&self, request: &GateRequest<'_>) -> Result<GateAnswer, GateError> {
        if request.kind == Kind::Rollback {
            return Ok(GateAnswer::pass("not asked: a rollback waits for nobody's health"));
        }
        Ok(match self.0.check().await? {
            Health::Healthy { saw } if saw.is_empty() => GateAnswer::pass("healthy"),
            Health::Healthy { saw } => GateAnswer::pass(saw),
            Health::Unhealthy { why } => GateAnswer::wait(None, why),
        })
    }

    fn guards_integrity(&self) -> bool {
        false
    }
}
