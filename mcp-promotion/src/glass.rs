use std::fmt;
use std::sync::Arc;

use mcp_core::{Name, Principal, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Policy, PromotionId};

/// That somebody broke the glass for a promotion, to start it without waiting.
///
/// It then needs no approvals and no soak time, starts in spite of freezes, closed windows and holds, goes before every pending request but
/// a rollback, and skips the gates that do not [guard integrity](crate::Gate::guards_integrity). Everything else counts as ever: the
/// gates that do, success in the stages before, one promotion in flight, pins, canary, verification and the way back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Glass {
    /// Who did it.
    pub by: Principal,
    /// Why.
    pub reason: String,
    /// When.
    pub since: Timestamp,
    /// What is left of the policy.
    pub(crate) rules: Arc<Policy>,
}

impl Glass {
    pub(crate) fn new(by: Principal, reason: String, since: Timestamp, policy: &Policy) -> Self {
        Self { by, reason, since, rules: Arc::new(policy.with_broken_glass()) }
    }
}

/// What a promotion did not wait for because the glass was broken, as it was when it started. Recorded in its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Skipped {
    /// Approvals were missing.
    Approvals {
        /// How many.
        missing: u32,
        /// Of how many.
        needed: u32,
    },
    /// The release had not run long enough in a stage before.
    Soak {
        /// Which stage.
        stage: Name,
        /// How long it had run there, in milliseconds.
        ran_ms: u64,
    },
    /// A freeze was on, or no window was open.
    Window {
        /// Which freeze; `None` where no window was open.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        closed_by: Option<Name>,
    },
    /// The stage was held.
    Hold {
        /// By whom.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// A gate was not asked.
    Gate {
        /// Which gate.
        gate: Name,
    },
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Approvals { missing, needed } => write!(f, "{missing} of {needed} approvals"),
            Self::Soak { stage, ran_ms } => write!(f, "the soak time in {stage}, after {ran_ms} ms"),
            Self::Window { closed_by: Some(freeze) } => write!(f, "freeze {freeze}"),
            Self::Window { closed_by: None } => f.write_str("the closed window"),
            Self::Hold { by, reason } => write!(f, "the hold by {by} ({reason})"),
            Self::Gate { gate } => write!(f, "gate {gate}"),
        }
    }
}

/// That somebody must still review why the glass was broken: neither who broke it nor who requested the promotion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Obligation {
    /// For which promotion.
    pub promotion: PromotionId,
    /// Who had requested it.
    pub requester: Principal,
    /// Who broke the glass.
    pub by: Principal,
    /// Why.
    pub reason: String,
    /// When.
    pub since: Timestamp,
    /// Until when it is to be reviewed, as its policy says with [`Policy::review_within`].
    pub due: Timestamp,
    /// Whether a driver has told that nobody did so.
    pub told_overdue: bool,
}

impl Obligation {
    /// Whether it should have been reviewed by `now`.
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        now >= self.due
    }
}

impl fmt::Display for Obligation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promotion, by, reason, since, due, .. } = self;
        write!(f, "{by} broke the glass for {promotion} at {since}: {reason}; to be reviewed until {due}")
    }
}
