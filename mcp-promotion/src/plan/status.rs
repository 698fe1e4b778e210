use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use mcp_core::{Id, Name, ParseError, Principal, Timestamp};

use super::{Plan, PlanRequest, PlanState};
use crate::Release;

/// Names one plan, in any journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanId(pub Id);

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PlanId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text.parse().map(Self)
    }
}

/// How far a plan is in one stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartState {
    /// Nothing was requested there, or it is to be requested again.
    Waiting,
    /// A promotion is under way.
    Asked,
    /// It has succeeded.
    Done,
    /// A rollback is under way.
    Reversing,
    /// The stage is as before the plan.
    Back,
    /// Nobody knows what the stage runs, or it is something that the plan does not know.
    Astray,
}

impl PartState {
    /// The state as one word, such as `asked`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Asked => "asked",
            Self::Done => "done",
            Self::Reversing => "reversing",
            Self::Back => "back",
            Self::Astray => "astray",
        }
    }
}

impl fmt::Display for PartState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One stage of a plan.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Part {
    /// What it is to run.
    pub release: Release,
    /// What it ran when the plan was requested.
    pub base: Option<Release>,
    /// How far it is.
    pub state: PartState,
    /// The newest promotion that the plan has requested there.
    pub promotion: Option<u64>,
}

/// A plan as it stands: everything that its stream says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PlanStatus {
    /// Which plan.
    pub id: PlanId,
    /// Who asked for it.
    pub requester: Principal,
    /// When.
    pub requested_at: Timestamp,
    /// What was asked for.
    pub request: PlanRequest,
    /// In which order the stages are changed.
    pub plan: Plan,
    /// Where it stands.
    pub state: PlanState,
    /// Why it is there; empty where the state says it all.
    pub reason: String,
    /// Each stage.
    pub parts: BTreeMap<Name, Part>,
    /// The stages that have succeeded and were not taken back, in the order in which they did.
    pub done: Vec<Name>,
}

impl PlanStatus {
    /// Who lets the plan go on, and how; `None` while nothing but its promotions holds it up (see
    /// [`plan_blockers`](crate::Engine::plan_blockers)), and when it is over.
    #[must_use]
    pub const fn lifted_by(&self) -> Option<&'static str> {
        match self.state {
            PlanState::Halted => Some("a person who resumes, aborts or acknowledges the plan"),
            PlanState::Stuck => Some("a person who resumes its way back, or acknowledges that it stays so"),
            _ => None,
        }
    }
}
