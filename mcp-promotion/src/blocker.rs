use std::fmt;

use mcp_core::{Name, Principal, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{PromotionId, State};

/// One thing that keeps a promotion from going on, and who or what lifts it. Computed, never stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Blocker {
    /// Approvals are missing: eligible people other than the requester lift it.
    Approvals {
        /// How many are missing.
        missing: u32,
        /// How many are needed.
        needed: u32,
        /// Who asked for the promotion, and cannot approve it.
        requester: Principal,
    },
    /// The release has not succeeded in a stage before: its success there lifts it.
    Upstream {
        /// Which stage.
        stage: Name,
    },
    /// The release has not run long enough in a stage before: time lifts it.
    Soaking {
        /// Which stage.
        stage: Name,
        /// When it will have; `None` when the stage runs another release by now, so that only running there again helps.
        until: Option<Timestamp>,
    },
    /// An earlier request has its turn first: its end lifts it.
    Queued {
        /// Which one.
        behind: PromotionId,
    },
    /// Another promotion is under way in the stage: its end lifts it.
    InFlight {
        /// Which one.
        promotion: PromotionId,
        /// Where it stands.
        state: State,
    },
    /// A gate or a seam does not let it start: whatever `why` names lifts it. It is asked again by itself.
    Delayed {
        /// Which gate or seam, such as `gate scan`.
        by: String,
        /// What it said.
        why: String,
    },
    /// Calls to the stage fail: they are tried again by themselves.
    CallFailing {
        /// How often in a row it failed.
        failures: u32,
        /// What it said last.
        why: String,
        /// When it is tried again.
        until: Timestamp,
    },
    /// Another driver, which may be gone, holds the lease of a stage that cannot refuse it: that driver, or an operator who made sure that it
    /// is gone and calls `release_lease`, lifts it.
    Leased {
        /// Which driver.
        owner: Name,
    },
    /// It is paused or stuck: an operator lifts it.
    Person {
        /// Where it stands.
        state: State,
        /// Why.
        why: String,
    },
    /// This engine has no such stage: one that has it lifts it.
    NotDriven {
        /// Which stage.
        stage: Name,
    },
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Approvals { missing, needed, requester } => write!(
                f,
                "{missing} of {needed} approvals are missing; eligible people other than {requester} can give them"
            ),
            Self::Upstream { stage } => {
                write!(f, "the release has not succeeded in {stage}; promote it there first")
            }
            Self::Soaking { stage, until: Some(until) } => {
                write!(f, "the release must run in {stage} until {until}")
            }
            Self::Soaking { stage, until: None } => {
                write!(
                    f,
                    "the release did not run long enough in {stage}, and no longer does; promote it there again"
                )
            }
            Self::Queued { behind } => write!(f, "{behind} has its turn first"),
            Self::InFlight { promotion, state } => write!(f, "{promotion} is {state}; it must end first"),
            Self::Delayed { by, why } => write!(f, "{by} does not let it start: {why}; it is asked again"),
            Self::CallFailing { failures, why, until } => {
                write!(f, "calls to the stage failed {failures} times: {why}; the next attempt is at {until}")
            }
            Self::Leased { owner } => write!(
                f,
                "driver {owner} holds the lease of a stage that cannot refuse it; when it is surely gone, release the lease"
            ),
            Self::Person { state, why } => {
                let lift = if *state == State::Stuck {
                    "retry or acknowledge it"
                } else {
                    "resume, override or abort it"
                };
                write!(f, "it is {state}: {why}; {lift}")
            }
            Self::NotDriven { stage } => {
                write!(f, "this engine has no stage {stage}; one that has it must run")
            }
        }
    }
}
