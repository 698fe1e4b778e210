use std::time::Duration;

use mcp_core::Name;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::policy::odd;
use crate::{CountTest, Guardrail, RankTest, Sequential, Together, millis};

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

/// A verification by a judge, and by guardrails beside it.
///
/// The first failure of either decides. It passes in a window in which the judge and every guardrail pass, and is inconclusive in one in which
/// none fails and one of them is.
///
/// The first release of a stage, one that it runs already, and a rollback have nothing to be compared with. There a rank or count judge is
/// asked only about windows in which the stage reports baseline instances all the same, such as those of a blue stage beside a green one. In
/// any other window the guardrails decide without it, and where there are none, the first window with data is enough: that the release
/// answers is all that can be known, and the history says that nothing ran beside it. A baseline that was there and is gone is waited for as
/// long as the judge is patient. Without data it is given up as at any other time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Judged {
    /// Which judge.
    pub judge: JudgeChoice,
    /// How long one window is, in milliseconds; at least 1. One that is late is longer, up to twice that; of a longer gap only the end is
    /// sampled, and no other part of it counts as watched.
    #[serde(rename = "window_ms", with = "millis")]
    pub window: Duration,
    /// What an inconclusive judgement leads to; to pause, by default.
    #[serde(default)]
    pub on_inconclusive: OnInconclusive,
    /// Absolute limits beside the judge, each with its own windows in a row, bake time and patience; at most 16, none by default. They stand
    /// outside the judge's budget of false rollbacks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guardrails: Vec<Guardrail>,
    /// Judges whose verdicts are journaled and never acted upon, to try them out; at most 16, none by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadow: Vec<JudgeChoice>,
}

impl Judged {
    const MAX_BESIDE: usize = 16;

    /// By this judge over windows of this length, and by nothing else.
    #[must_use]
    pub const fn by(judge: JudgeChoice, window: Duration) -> Self {
        let on_inconclusive = OnInconclusive::Pause;
        Self { judge, window, on_inconclusive, guardrails: Vec::new(), shadow: Vec::new() }
    }

    /// What of it cannot be obeyed.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        const AT: &str = "verification.judged";
        let mut faults = Vec::new();
        if self.window.is_zero() {
            let fault = Fault::new("a window of no length never ends", "give it a length");
            faults.push(fault.at(format!("{AT}.window_ms")));
        }
        faults.extend(odd(self.window).map(|fault| fault.at(format!("{AT}.window_ms"))));
        for (field, count) in [("guardrails", self.guardrails.len()), ("shadow", self.shadow.len())] {
            if count > Self::MAX_BESIDE {
                let why = format!("{count} of them are more than {}", Self::MAX_BESIDE);
                faults.push(Fault::new(why, "leave some out").at(format!("{AT}.{field}")));
            }
        }
        let advice = "give it a value that the judge can obey";
        let mut say = |field: String, why: Option<String>| {
            faults.extend(why.map(|why| Fault::new(why, advice).at(format!("{AT}.{field}"))));
        };
        say(format!("judge.{}", self.judge.kind()), self.judge.contradiction());
        for (place, guardrail) in self.guardrails.iter().enumerate().take(Self::MAX_BESIDE) {
            say(format!("guardrails[{place}]"), guardrail.contradiction());
        }
        for (place, judge) in self.shadow.iter().enumerate().take(Self::MAX_BESIDE) {
            say(format!("shadow[{place}].{}", judge.kind()), judge.contradiction());
        }
        faults
    }
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
    /// Several of the two before under one budget.
    Together(Together),
    /// One that the host gave to the engine's builder under this name.
    Named(Name),
}

impl JudgeChoice {
    /// Why its settings cannot be obeyed.
    pub(crate) fn contradiction(&self) -> Option<String> {
        match self {
            Self::Rank(rank) => rank.contradiction(),
            Self::Count(count) => count.contradiction(),
            Self::Together(together) => together.contradiction(),
            Self::Guardrail(guardrail) => guardrail.contradiction(),
            Self::Named(_) => None,
        }
    }

    /// Whether it looks at a canary beside a baseline, and can say nothing without one. Of a host's judge that is not known.
    pub(crate) const fn compares(&self) -> bool {
        matches!(self, Self::Rank(_) | Self::Count(_) | Self::Together(_))
    }

    /// How many windows a judge that compares needs, for how long it looks, and how long it waits for one that counts.
    pub(crate) fn bakes(&self) -> Option<(u32, Duration, Duration)> {
        let rank = |judge: &RankTest| (judge.min_windows, judge.bake, judge.patience);
        let count = |judge: &CountTest| (judge.min_windows, judge.bake, judge.patience);
        match self {
            Self::Rank(judge) => Some(rank(judge)),
            Self::Count(judge) => Some(count(judge)),
            Self::Together(together) => together
                .judges
                .iter()
                .map(|judge| match judge {
                    Sequential::Rank(judge) => rank(judge),
                    Sequential::Count(judge) => count(judge),
                })
                .reduce(|one, other| (one.0.max(other.0), one.1.max(other.1), one.2.max(other.2))),
            Self::Guardrail(_) | Self::Named(_) => None,
        }
    }

    /// The same, if it is sequential, without a time after which it passes.
    pub(crate) fn without_end(&self) -> Self {
        let bake = Duration::MAX;
        let rank = |rank: &RankTest| RankTest { bake, ..rank.clone() };
        let count = |count: &CountTest| CountTest { bake, ..count.clone() };
        match self {
            Self::Rank(judge) => Self::Rank(rank(judge)),
            Self::Count(judge) => Self::Count(count(judge)),
            Self::Together(together) => {
                let judges = together.judges.iter().map(|judge| match judge {
                    Sequential::Rank(judge) => Sequential::Rank(rank(judge)),
                    Sequential::Count(judge) => Sequential::Count(count(judge)),
                });
                Self::Together(Together { judges: judges.collect(), ..together.clone() })
            }
            Self::Guardrail(_) | Self::Named(_) => self.clone(),
        }
    }

    /// What it is called in the history.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Named(name) => name.as_str(),
            _ => self.kind(),
        }
    }

    /// Which of these it is, as in JSON.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Rank(_) => "rank",
            Self::Count(_) => "count",
            Self::Together(_) => "together",
            Self::Guardrail(_) => "guardrail",
            Self::Named(_) => "named",
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
