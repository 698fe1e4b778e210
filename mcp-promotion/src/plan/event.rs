use std::collections::BTreeMap;
use std::fmt;

use mcp_core::{Holder, Name, Principal, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Plan, PlanRequest, PlanState};
use crate::{Release, State, UsedRequestId};

/// One event of a plan's stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanEntry {
    /// When it was decided, by the clock of the engine that decided it.
    pub at: Timestamp,
    /// The request id of the command that led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<UsedRequestId>,
    /// What happened.
    pub what: PlanHappened,
}

/// What happened to a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PlanHappened {
    /// It was requested; the first event of its stream.
    Requested(Box<PlanRequested>),
    /// A promotion of its release was requested in a stage, in the same append.
    Asked {
        /// Which stage.
        stage: Name,
        /// The number of the promotion.
        promotion: u64,
    },
    /// That promotion has ended.
    Ended {
        /// Which stage.
        stage: Name,
        /// How it ended.
        state: State,
        /// Whether the stage is known to run what it ran before the plan.
        back: bool,
    },
    /// That promotion was still pending, and was withdrawn in the same append.
    Withdrawn {
        /// Which stage.
        stage: Name,
    },
    /// A stage that had succeeded does not run the planned release any more.
    Lost {
        /// Which stage.
        stage: Name,
        /// Whether it is known to run what it ran before the plan.
        back: bool,
    },
    /// A rollback was requested in a stage, in the same append.
    Reversing {
        /// Which stage.
        stage: Name,
        /// The number of the promotion.
        promotion: u64,
    },
    /// That rollback has ended.
    Reversed {
        /// Which stage.
        stage: Name,
        /// How it ended.
        state: State,
        /// Whether the stage is known to run what it ran before the plan.
        back: bool,
    },
    /// A stage was found to run what it ran before the plan, without a rollback by the plan.
    Settled {
        /// Which stage.
        stage: Name,
    },
    /// The pin of its artifacts has no expiry any more.
    Pinned,
    /// That pin was given up; the last event of its stream.
    Unpinned,
    /// It went from one state to another.
    Changed {
        /// From which state.
        from: PlanState,
        /// To which state.
        to: PlanState,
        /// Why; empty where the state says it all.
        reason: String,
        /// Who decided it, where it was a person.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Principal>,
    },
}

/// A plan was requested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRequested {
    /// What was asked for.
    pub request: PlanRequest,
    /// Who asked; the requester of its promotions, too.
    pub requester: Principal,
    /// In which order the stages are changed.
    pub plan: Plan,
    /// What each stage ran at that time; stages that ran nothing are absent.
    pub base: BTreeMap<Name, Release>,
    /// In whose name everything that it brings, and may bring back, is pinned, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Holder>,
}

impl fmt::Display for PlanHappened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs =
            |back: &bool| if *back { "as before the plan" } else { "not known to be as before the plan" };
        match self {
            Self::Requested(requested) => {
                let count = requested.plan.waves().iter().flatten().flatten().count();
                let waves = requested.plan.waves().len();
                write!(f, "requested by {}: {count} stages in {waves} waves", requested.requester)
            }
            Self::Asked { stage, promotion } => write!(f, "{stage}/{promotion} requested"),
            Self::Ended { stage, state: State::Succeeded, .. } => write!(f, "{stage} succeeded"),
            Self::Ended { stage, state, back } => write!(f, "{stage} {state}, {}", runs(back)),
            Self::Withdrawn { stage } => write!(f, "{stage} withdrawn"),
            Self::Lost { stage, back } => {
                write!(f, "{stage} does not run the planned release any more, {}", runs(back))
            }
            Self::Reversing { stage, promotion } => write!(f, "rollback {stage}/{promotion} requested"),
            Self::Reversed { stage, state, back } => write!(f, "rollback of {stage} {state}, {}", runs(back)),
            Self::Settled { stage } => write!(f, "{stage} is as before the plan"),
            Self::Pinned => f.write_str("its artifacts are pinned"),
            Self::Unpinned => f.write_str("its artifacts are not pinned any more"),
            Self::Changed { from, to, reason, by } => {
                write!(f, "{from} -> {to}")?;
                if let Some(by) = by {
                    write!(f, " by {by}")?;
                }
                if reason.is_empty() { Ok(()) } else { write!(f, ": {reason}") }
            }
        }
    }
}
