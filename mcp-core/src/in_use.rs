use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Artifact, SeamError};

/// Why an artifact must stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UsageReason {
    /// A stage runs it.
    Deployed,
    /// A promotion that has not ended wants it.
    InFlight,
    /// A stage would go back to it.
    RollbackTarget,
}

/// One artifact that must stay, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Usage {
    /// What must stay.
    pub artifact: Artifact,
    /// Why.
    pub reason: UsageReason,
    /// Where, such as the stage `prod`.
    pub place: String,
}

impl Usage {
    /// `artifact` must stay because of `reason` at `place`.
    #[must_use]
    pub fn new(artifact: Artifact, reason: UsageReason, place: impl Into<String>) -> Self {
        Self { artifact, reason, place: place.into() }
    }
}

/// Tells which artifacts are deployed, in flight, or rollback targets.
///
/// Implemented by promotion; asked by the registry just before it deletes, as a second look beside the pins.
///
/// # Cancel safety
/// Callers may drop the future at any await.
#[async_trait]
pub trait InUse: Send + Sync {
    /// Everything in use, sorted, each combination once.
    ///
    /// # Errors
    /// On any error the caller deletes nothing.
    async fn in_use(&self) -> Result<Vec<Usage>, SeamError>;
}

const _: Option<&dyn InUse> = None;
