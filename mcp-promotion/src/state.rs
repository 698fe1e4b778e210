use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a promotion stands.
///
/// Waiting for approval, queued or frozen are not states: they are a list of [`Blocker`](crate::Blocker)s while
/// [`Pending`](Self::Pending).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// Requested, and not started.
    Pending,
    /// Started: the stage is told to run the release.
    Deploying,
    /// The stage runs the release, or only its canary does, and its health is judged. A canary that was judged well is then followed by
    /// everything else.
    Verifying,
    /// Something is unknown, or a person asked: nothing happens until a person resumes, overrides or aborts.
    Paused,
    /// The stage is told to run the previous release again.
    RollingBack,
    /// Going back did not work: a person must acknowledge, or retry what is no rollback.
    Stuck,
    /// The stage runs the release.
    Succeeded,
    /// The stage runs the previous release.
    RolledBack,
    /// Nothing was applied, or a person took over after it was stuck.
    Failed,
    /// Somebody or some gate said no.
    Rejected,
    /// It was not started in time.
    Expired,
    /// Somebody withdrew it.
    Cancelled,
    /// A later request took its place.
    Superseded,
}

impl State {
    /// Every state, in the order of declaration.
    pub const ALL: [Self; 13] = [
        Self::Pending,
        Self::Deploying,
        Self::Verifying,
        Self::Paused,
        Self::RollingBack,
        Self::Stuck,
        Self::Succeeded,
        Self::RolledBack,
        Self::Failed,
        Self::Rejected,
        Self::Expired,
        Self::Cancelled,
        Self::Superseded,
    ];

    /// Whether a promotion may go from this state to `to`: the whole table.
    #[must_use]
    pub const fn may_become(self, to: Self) -> bool {
        use State::{
            Cancelled, Deploying, Expired, Failed, Paused, Pending, Rejected, RolledBack, RollingBack, Stuck,
            Succeeded, Superseded, Verifying,
        };
        match (self, to) {
            (Pending, Deploying | Rejected | Expired | Cancelled | Superseded)
            | (Deploying, Verifying | RollingBack | Paused | Failed | Stuck)
            | (Verifying, Succeeded | RollingBack | Paused | Stuck)
            | (Paused, Deploying | Verifying | Succeeded | RollingBack | Stuck)
            | (RollingBack, RolledBack | Stuck)
            | (Stuck, RollingBack | Failed) => true,
            (
                Pending | Deploying | Verifying | Paused | RollingBack | Stuck | Succeeded | RolledBack
                | Failed | Rejected | Expired | Cancelled | Superseded,
                _,
            ) => false,
        }
    }

    /// Whether nothing comes after it.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Pending
            | Self::Deploying
            | Self::Verifying
            | Self::Paused
            | Self::RollingBack
            | Self::Stuck => false,
            Self::Succeeded
            | Self::RolledBack
            | Self::Failed
            | Self::Rejected
            | Self::Expired
            | Self::Cancelled
            | Self::Superseded => true,
        }
    }

    /// Whether it was started and has not ended: the stage may run something else than before.
    #[must_use]
    pub const fn is_in_flight(self) -> bool {
        !self.is_terminal() && !matches!(self, Self::Pending)
    }

    /// Whether nothing goes on without a person: paused or stuck.
    #[must_use]
    pub const fn needs_a_person(self) -> bool {
        matches!(self, Self::Paused | Self::Stuck)
    }

    /// The state as it stands in JSON, such as `rolling_back`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Deploying => "deploying",
            Self::Verifying => "verifying",
            Self::Paused => "paused",
            Self::RollingBack => "rolling_back",
            Self::Stuck => "stuck",
            Self::Succeeded => "succeeded",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as it stands in the design, with the rows for promotions of kind rollback, which become stuck where others roll back.
    const TABLE: &str = "
        pending:      deploying rejected expired cancelled superseded
        deploying:    verifying rolling_back paused failed stuck
        verifying:    succeeded rolling_back paused stuck
        paused:       deploying verifying succeeded rolling_back stuck
        rolling_back: rolled_back stuck
        stuck:        rolling_back failed
    ";

    /// Invariant 7, for the states without a row.
    #[test]
    fn every_pair_of_states_is_allowed_exactly_where_the_table_has_it() {
        for from in State::ALL {
            let row =
                TABLE.lines().find_map(|line| line.trim().strip_prefix(from.as_str())?.strip_prefix(':'));
            let listed: Vec<&str> = row.unwrap_or_default().split_whitespace().collect();
            let allowed: Vec<State> = State::ALL.into_iter().filter(|to| from.may_become(*to)).collect();
            let shown: Vec<&str> = allowed.iter().map(|to| to.as_str()).collect();
            assert!(
                listed.iter().all(|to| shown.contains(to)) && shown.len() == listed.len(),
                "{from}: {shown:?}"
            );
            assert_eq!(from.is_terminal(), listed.is_empty(), "{from}");
        }
    }

    #[test]
    fn a_state_reads_the_same_in_text_and_in_json() {
        for state in State::ALL {
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{state}\""));
        }
    }
}
