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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequential_judge_is_read_from_json_with_its_defaults() {
        let read: JudgeChoice =
            serde_json::from_str(r#"{"rank":{"margin_ppm":1250000,"bake_ms":60000}}"#).unwrap();
        let bake = Duration::from_secs(60);
        assert_eq!(read, JudgeChoice::Rank(RankTest { margin_ppm: 1_250_000, bake, ..RankTest::default() }));
        let error =
            serde_json::from_str::<JudgeChoice>(r#"{"count":{"alpha":0.01}}"#).unwrap_err().to_string();
        assert!(error.starts_with("unknown field `alpha`"), "{error}");
    }

    #[test]
    fn settings_of_a_sequential_judge_that_cannot_be_obeyed_are_named() {
        let why = |rank: RankTest| JudgeChoice::Rank(rank).contradiction().unwrap();
        let usual = RankTest::default;
        assert_eq!(JudgeChoice::Rank(usual()).contradiction(), None);
        assert_eq!(why(RankTest { alpha_ppm: 0, ..usual() }), "alpha_ppm of 0 is not between 1 and 500000");
        assert_eq!(
            why(RankTest { margin_ppm: 0, ..usual() }),
            "margin_ppm of 0 is not between 1 and 1000000000"
        );
        let bake = Duration::from_micros(1);
        assert_eq!(why(RankTest { bake, ..usual() }), "bake of 1µs is not a whole number of milliseconds");
        let count = JudgeChoice::Count(CountTest { alpha_ppm: 600_000, ..CountTest::default() });
        assert_eq!(count.contradiction().unwrap(), "alpha_ppm of 600000 is not between 1 and 500000");
    }
}
