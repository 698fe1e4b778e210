use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a plan stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PlanState {
    /// Its waves are under way, or about to be.
    Running,
    /// A part has failed: nothing more is started until a person resumes, aborts or acknowledges it.
    Halted,
    /// What has succeeded is taken back.
    RollingBack,
    /// Something could not be taken back: a person resumes it, or acknowledges that it stays so.
    Stuck,
    /// Every stage runs what was planned.
    Succeeded,
    /// Every stage runs what it ran before.
    RolledBack,
    /// A person took over after it was halted or stuck.
    Failed,
    /// It was withdrawn before anything was requested.
    Cancelled,
}

impl PlanState {
    /// Whether a plan may go from this state to `to`: the whole table.
    #[must_use]
    pub const fn may_become(self, to: Self) -> bool {
        use PlanState::{Cancelled, Failed, Halted, RolledBack, RollingBack, Running, Stuck, Succeeded};
        matches!(
            (self, to),
            (Running, Succeeded | RollingBack | Halted | Cancelled)
                | (Halted, Running | RollingBack | Failed)
                | (RollingBack, RolledBack | Stuck)
                | (Stuck, RollingBack | Failed)
        )
    }

    /// Whether nothing comes after it.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::RolledBack | Self::Failed | Self::Cancelled)
    }

    /// Whether nothing goes on without a person.
    #[must_use]
    pub const fn needs_a_person(self) -> bool {
        matches!(self, Self::Halted | Self::Stuck)
    }

    /// The state as it stands in JSON, such as `rolling_back`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Halted => "halted",
            Self::RollingBack => "rolling_back",
            Self::Stuck => "stuck",
            Self::Succeeded => "succeeded",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for PlanState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
