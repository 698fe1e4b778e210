use std::time::Duration;

use async_trait::async_trait;

use super::{Health, HealthCheck, HealthError};

/// A health check that must answer in time; see [`within`](super::HealthCheckExt::within).
pub struct Within<C> {
    check: C,
    timeout: Duration,
}

impl<C> Within<C> {
    pub(super) const fn new(check: C, timeout: Duration) -> Self {
        Self { check, timeout }
    }
}

#[async_trait]
impl<C: HealthCheck> HealthCheck for Within<C> {
    async fn check(&self) -> Result<Health, HealthError> {
        let late = || Ok(Health::unhealthy(format!("no answer within {:?}", self.timeout)));
        tokio::time::timeout(self.timeout, self.check.check()).await.unwrap_or_else(|_| late())
    }
}

/// A health check that is asked again; see [`retried`](super::HealthCheckExt::retried).
pub struct Retried<C> {
    check: C,
    attempts: u32,
    pause: Duration,
}

impl<C> Retried<C> {
    pub(super) const fn new(check: C, attempts: u32, pause: Duration) -> Self {
        Self { check, attempts, pause }
    }
}

#[async_trait]
impl<C: HealthCheck> HealthCheck for Retried<C> {
    async fn check(&self) -> Result<Health, HealthError> {
        for _ in 1..self.attempts {
            match self.check.check().await {
                Ok(healthy @ Health::Healthy { .. }) => return Ok(healthy),
                Ok(Health::Unhealthy { .. }) | Err(_) => tokio::time::sleep(self.pause).await,
            }
        }
        self.check.check().await
    }
}
