//! Gates look at a release before it is started.

mod fetch;
mod health;
mod inspect;

use async_trait::async_trait;
use mcp_core::{Principal, SeamError, Timestamp};

use crate::{Kind, PromotionId, Release};

pub use fetch::FetchGate;
pub use health::HealthGate;
pub use inspect::InspectGate;

/// The error of a [`Gate`].
pub type GateError = SeamError;

/// What a gate is asked about.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GateRequest<'a> {
    /// Which promotion wants to start.
    pub promotion: &'a PromotionId,
    /// What it is for.
    pub kind: Kind,
    /// What it would bring into the stage.
    pub release: &'a Release,
    /// Who asked for it.
    pub requester: &'a Principal,
    /// The time, by the engine's clock.
    pub now: Timestamp,
}

impl<'a> GateRequest<'a> {
    /// As the engine asks; for tests of a gate.
    #[must_use]
    pub const fn new(
        promotion: &'a PromotionId,
        kind: Kind,
        release: &'a Release,
        requester: &'a Principal,
        now: Timestamp,
    ) -> Self {
        Self { promotion, kind, release, requester, now }
    }
}

/// What a gate says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GateAnswer {
    /// It may start; `evidence` is recorded with the start, up to 4096 characters of it.
    Pass {
        /// What was seen, for whoever reads the history.
        evidence: String,
    },
    /// Not yet. The gate is asked again at `until`, or five minutes later if that is sooner; without `until` after the policy's backoff.
    Wait {
        /// When it is worth asking again, where that is known.
        until: Option<Timestamp>,
        /// What is waited for, and who or what can lift it.
        why: String,
    },
    /// Never: the promotion is rejected. A rollback waits instead, with this as what blocks it, and the gate is asked again: rejected, it would
    /// leave in place what it was to take away.
    Deny {
        /// What was seen.
        why: String,
    },
}

impl GateAnswer {
    /// It may start.
    #[must_use]
    pub fn pass(evidence: impl Into<String>) -> Self {
        Self::Pass { evidence: evidence.into() }
    }

    /// Not yet.
    #[must_use]
    pub fn wait(until: Option<Timestamp>, why: impl Into<String>) -> Self {
        Self::Wait { until, why: why.into() }
    }

    /// Never.
    #[must_use]
    pub fn deny(why: impl Into<String>) -> Self {
        Self::Deny { why: why.into() }
    }
}

/// A question that must be answered with yes before a release is started.
///
/// Implemented by hosts; called by the driver that holds the stage's lease, when nothing else is in the way, in the very step that then
/// records the start. A driver that takes over asks again.
///
/// # Cancel safety
/// The engine drops a call that takes longer than the policy's timeout, and every call when its own future is dropped.
#[async_trait]
pub trait Gate: Send + Sync {
    /// # Errors
    /// `Err` means that it could not be found out. The promotion then waits, and the gate is asked again.
    async fn check(&self, request: &GateRequest<'_>) -> Result<GateAnswer, GateError>;

    /// Whether it looks at what the release is, rather than at whether this is a good time for it: then it is asked also when somebody has
    /// [broken the glass](crate::Glass). Always the same; true unless a gate says otherwise, such as one that asks a calendar or a board.
    fn guards_integrity(&self) -> bool {
        true
    }
}

const _: Option<&dyn Gate> = None;
