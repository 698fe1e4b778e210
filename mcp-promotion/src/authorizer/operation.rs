use std::fmt;

use mcp_core::{Name, Principal};
use serde::{Deserialize, Serialize};

use crate::{PlanId, Promotion};

/// What a person wants to do, other than to request a promotion and to vote. Of a plan somebody may cancel, pause, resume, abort and
/// acknowledge what the words say of a promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operation {
    /// Withdraw a pending promotion.
    Cancel,
    /// Reject a pending promotion for a reason. Who may vote is asked too.
    Veto,
    /// Stop a promotion for now.
    Pause,
    /// Let a paused promotion go on.
    Resume,
    /// Declare a paused promotion a success.
    Override,
    /// Bring back what ran before a promotion that has not ended.
    Abort,
    /// Take over from a stuck promotion.
    Acknowledge,
    /// Let a stuck promotion try again to go back.
    Retry,
    /// Ask for what a stage ran before.
    Rollback,
    /// Let nothing start in a stage but rollbacks.
    Hold,
    /// Let everything start again, also by itself.
    LiftHold,
    /// Give up the lease of a driver that is gone.
    ReleaseLease,
    /// Let a promotion start without waiting.
    BreakGlass,
    /// Review why the glass was broken.
    Review,
    /// Ask for a release plan, which also takes back what it has done.
    RequestPlan,
}

impl Operation {
    /// What counts where nobody says anything else: everybody may do everything but break the glass.
    #[must_use]
    pub const fn by_default(self) -> Permission {
        match self {
            Self::BreakGlass => Permission::Denied { who_may: Vec::new() },
            _ => Permission::Granted,
        }
    }
}

impl fmt::Display for Operation {
    /// As it stands before what it is done to, such as `lift the hold of`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cancel => "cancel",
            Self::Veto => "veto",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Override => "override",
            Self::Abort => "abort",
            Self::Acknowledge => "acknowledge",
            Self::Retry => "retry",
            Self::Rollback => "roll back",
            Self::Hold => "hold",
            Self::LiftHold => "lift the hold of",
            Self::ReleaseLease => "release the lease of",
            Self::BreakGlass => "break the glass for",
            Self::Review => "review",
            Self::RequestPlan => "request a plan for",
        })
    }
}

/// Who wants to do what.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OperateRequest<'a> {
    /// Who.
    pub who: &'a Principal,
    /// What.
    pub operation: Operation,
    /// In which stage.
    pub stage: &'a Name,
    /// About which promotion; `None` where it is about the stage, or about a promotion that is yet to be requested.
    pub promotion: Option<&'a Promotion>,
    /// About which plan that changes the stage; `None` where it is about none, or about one that is yet to be requested. What a plan does to
    /// several stages is asked for each of them.
    pub plan: Option<OperatedPlan<'a>>,
}

/// A plan that somebody wants to do something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OperatedPlan<'a> {
    /// Which plan.
    pub id: PlanId,
    /// Who asked for it.
    pub requester: &'a Principal,
}

impl<'a> OperatedPlan<'a> {
    /// All fields, in their order.
    #[must_use]
    pub const fn new(id: PlanId, requester: &'a Principal) -> Self {
        Self { id, requester }
    }
}

impl<'a> OperateRequest<'a> {
    /// About a promotion or a stage: all fields but the plan, in their order.
    #[must_use]
    pub const fn new(
        who: &'a Principal,
        operation: Operation,
        stage: &'a Name,
        promotion: Option<&'a Promotion>,
    ) -> Self {
        Self { who, operation, stage, promotion, plan: None }
    }

    /// The same about a plan.
    #[must_use]
    pub const fn of_plan(mut self, plan: OperatedPlan<'a>) -> Self {
        self.plan = Some(plan);
        self
    }
}

/// Whether somebody may do something.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Permission {
    /// They may.
    Granted,
    /// They may not.
    Denied {
        /// Who may, for the one who asked to know whom to turn to; empty where nobody may or that is not told.
        who_may: Vec<String>,
    },
}
