//! Health checks: the host brings the protocol, these put the answers together.

mod check_fn;
mod patience;
mod probes;
mod several;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::SeamError;
use serde::{Deserialize, Serialize};

pub use check_fn::CheckFn;
pub use patience::{Retried, Within};
pub use probes::Probes;
pub use several::{AllOf, AnyOf};

/// The error of a [`HealthCheck`].
pub type HealthError = SeamError;

/// What a health check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "health")]
pub enum Health {
    /// It is well.
    Healthy {
        /// What was seen, for whoever reads the history; may be empty.
        saw: String,
    },
    /// It is not well.
    Unhealthy {
        /// What was seen.
        why: String,
    },
}

impl Health {
    /// It is well.
    #[must_use]
    pub fn healthy(saw: impl Into<String>) -> Self {
        Self::Healthy { saw: saw.into() }
    }

    /// It is not well.
    #[must_use]
    pub fn unhealthy(why: impl Into<String>) -> Self {
        Self::Unhealthy { why: why.into() }
    }

    /// Whether it is well.
    #[must_use]
    pub const fn is_healthy(&self) -> bool {
        matches!(self, Self::Healthy { .. })
    }

    /// What was seen.
    #[must_use]
    pub fn seen(&self) -> &str {
        match self {
            Self::Healthy { saw: text } | Self::Unhealthy { why: text } => text,
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_healthy() { "healthy" } else { "unhealthy" })?;
        if self.seen().is_empty() { Ok(()) } else { write!(f, ": {}", self.seen()) }
    }
}

/// Asks one thing, such as a port or a page, whether it is well now.
///
/// Implemented by hosts, which bring the protocol; asked by [`Probes`] on behalf of a [`Stage`](crate::Stage), by
/// [`HealthGate`](crate::HealthGate), or by the host itself. It must change nothing in what it asks.
///
/// A thing that answers wrongly or not at all is [`Unhealthy`](Health::Unhealthy). `Err` is for when nothing was learned of it, such as a
/// name that cannot be looked up or a wrong setting; it counts as no data, never as good health and never as bad.
///
/// # Cancel safety
/// A check may be dropped at any await: it must leave nothing behind that matters.
#[async_trait]
pub trait HealthCheck: Send + Sync {
    /// # Errors
    /// When it could not be found out.
    async fn check(&self) -> Result<Health, HealthError>;
}

const _: Option<&dyn HealthCheck> = None;

#[async_trait]
impl<C: HealthCheck + ?Sized> HealthCheck for Arc<C> {
    async fn check(&self) -> Result<Health, HealthError> {
        (**self).check().await
    }
}

/// Comforts for every health check.
pub trait HealthCheckExt: HealthCheck + Sized {
    /// The same, unhealthy when it has not answered within `timeout`. Needs the timer of the tokio runtime.
    fn within(self, timeout: Duration) -> Within<Self> {
        Within::new(self, timeout)
    }

    /// The same, asked up to `attempts` times (at least once) until it is healthy, with `pause` in between; the last answer counts. Needs
    /// the timer of the tokio runtime.
    fn retried(self, attempts: u32, pause: Duration) -> Retried<Self> {
        Retried::new(self, attempts, pause)
    }
}

impl<C: HealthCheck> HealthCheckExt for C {}
