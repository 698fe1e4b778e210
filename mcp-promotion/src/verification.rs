use std::time::Duration;

use mcp_core::Name;
use serde::{Deserialize, Serialize};

use crate::{CountTest, Guardrail, RankTest, millis};

/// How a stage finds out whether a release that it runs is well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verification {
    /// Not at all, for this reason.
    Unverified {
        /// Why nobody looks; it stands in the history.
        reason: String,
    },
    /// A judge decides from samples.
    Judged(Judged),
}

/// A verification by a judge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judged {
    /// Which judge.
    pub judge: JudgeChoice,
    /// How long one window is, in milliseconds; at least 1.
    #[serde(rename = "window_ms", with = "millis")]
    pub window: Duration,
    /// What an inconclusive judgement leads to; to pause, by default.
    #[serde(default)]
    pub on_inconclusive: OnInconclusive,
}

/// Which judge decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JudgeChoice {
    /// The built-in limit on the error rate.
    Guardrail(Guardrail),
    /// The built-in comparison of the ranks of instances, for a canary beside at least three baseline instances.
    Rank(RankTest),
    /// The built-in comparison of the counts of two groups, for requests that fail independently of each other.
    Count(CountTest),
    /// One that the host gave to the engine's builder under this name.
    Named(Name),
}

impl JudgeChoice {
    /// Why its settings cannot be obeyed.
    pub(crate) fn contradiction(&self) -> Option<String> {
        match self {
            Self::Rank(rank) => rank.contradiction(),
            Self::Count(count) => count.contradiction(),
            Self::Guardrail(_) | Self::Named(_) => None,
        }
    }
}

/// What follows when a judge can neither pass nor fail a release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnInconclusive {
    /// A person decides.
    #[default]
    Pause,
    /// It counts as a failure.
    RollBack,
}
