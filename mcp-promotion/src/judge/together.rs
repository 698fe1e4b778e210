use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::sequential::{Seen, Terms, Verdict, alpha_contradiction, corrupt, enough, shown};
use super::{CountTest, Judge, JudgeError, Judgement, RankTest};
use crate::{Sample, Window};

/// Several sequential judges under one budget of false rollbacks: of several metrics, or of the ranks and the counts of one.
///
/// It fails when the **mean** of their e-values reaches a million / `alpha_ppm`. The mean of e-values is one, however they depend on each
/// other (Vovk and Wang, arXiv 1912.06116, section 3), so the budget holds as long as what each of them assumes does. It is never later than
/// splitting the budget among k judges: as soon as one of them reaches k / alpha, the mean reaches 1 / alpha. Only small evidence that
/// several of them share is what splitting would lose.
///
/// It passes when each of them has seen enough windows and time, and is inconclusive as soon as one of them is. A verdict is terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Together {
    /// The budget of false rollbacks of all of them: how many of a million releases that are no worse may be failed; 10,000 (1%) by default,
    /// from 1 to 500,000.
    #[serde(default = "one_percent")]
    pub alpha_ppm: u32,
    /// The judges, from 1 to 16; their own `alpha_ppm` is not looked at.
    pub judges: Vec<Sequential>,
}

const fn one_percent() -> u32 {
    10_000
}

/// A judge that keeps an e-value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Sequential {
    /// By the ranks of instances.
    Rank(RankTest),
    /// By the counts of both groups.
    Count(CountTest),
}

impl Sequential {
    fn terms(&self) -> Terms {
        match self {
            Self::Rank(rank) => rank.terms(),
            Self::Count(count) => count.terms(),
        }
    }
}

/// What it keeps: in JSON `{"judges": [...], "verdict": ...}`, where each judge is as it is alone, without a verdict.
struct Kept {
    judges: Vec<Seen>,
    verdict: Option<Verdict>,
}

impl Together {
    const MAX_JUDGES: usize = 16;

    /// These judges, under a budget of 1%.
    #[must_use]
    pub fn of(judges: impl IntoIterator<Item = Sequential>) -> Self {
        Self { alpha_ppm: one_percent(), judges: judges.into_iter().collect() }
    }

    /// The e-value in `state`, 1 before the first window.
    ///
    /// # Errors
    /// `Corrupt` when `state` is not one of its own.
    pub fn evidence(&self, state: &Value) -> Result<f64, JudgeError> {
        self.read(state).map(|kept| shown(mean(&kept.judges)))
    }

    pub(crate) fn contradiction(&self) -> Option<String> {
        if self.judges.is_empty() || self.judges.len() > Self::MAX_JUDGES {
            return Some(format!("{} judges are not between 1 and {}", self.judges.len(), Self::MAX_JUDGES));
        }
        alpha_contradiction(self.alpha_ppm).or_else(|| {
            self.judges.iter().find_map(|judge| match judge {
                Sequential::Rank(rank) => {
                    RankTest { alpha_ppm: self.alpha_ppm, ..rank.clone() }.contradiction()
                }
                Sequential::Count(count) => {
                    CountTest { alpha_ppm: self.alpha_ppm, ..count.clone() }.contradiction()
                }
            })
        })
    }

    fn read(&self, state: &Value) -> Result<Kept, JudgeError> {
        if state.is_null() {
            let judges = self.judges.iter().map(|_| Seen::default()).collect();
            return Ok(Kept { judges, verdict: None });
        }
        let corrupt = |reason| corrupt("together", reason);
        let judges = state.get("judges").and_then(Value::as_array);
        let judges = judges.filter(|judges| judges.len() == self.judges.len());
        let judges = judges.ok_or_else(|| corrupt("it does not have a state of each of its judges"))?;
        let judges: Vec<Seen> =
            judges.iter().map(|judge| Seen::read("together", judge)).collect::<Result<_, _>>()?;
        let verdict = match state.get("verdict") {
            Some(Value::Null) => None,
            Some(Value::String(verdict)) if verdict == "pass" => Some(Verdict::Pass),
            Some(Value::String(verdict)) if verdict == "fail" => Some(Verdict::Fail),
            _ => return Err(corrupt("its verdict is none")),
        };
        let failed = mean(&judges) >= enough(self.alpha_ppm);
        if failed != (verdict == Some(Verdict::Fail)) || judges.iter().any(|judge| judge.verdict.is_some()) {
            return Err(corrupt("its evidence and its verdict contradict each other"));
        }
        Ok(Kept { judges, verdict })
    }
}

/// The e-value of all of them, in millionths of a millionth; rounded down, which favours the release.
fn mean(judges: &[Seen]) -> u64 {
    let sum: u128 = judges.iter().map(|judge| u128::from(judge.evidence())).sum();
    u64::try_from(sum / (judges.len() as u128).max(1)).unwrap_or(u64::MAX)
}

impl Judge for Together {
    fn judge(
        &self,
        state: &Value,
        window: Window,
        samples: &[Sample],
    ) -> Result<(Value, Judgement), JudgeError> {
        let mut kept = self.read(state)?;
        let mut given_up = None;
        if kept.verdict.is_none() {
            let (mut ripe, mut all) = (true, true);
            for (judge, seen) in self.judges.iter().zip(&mut kept.judges) {
                let factors = match judge {
                    Sequential::Rank(rank) => rank.factors(window, samples),
                    Sequential::Count(count) => count.factors(samples),
                };
                let (missing, terms) = (seen.take(window, factors), judge.terms());
                all &= missing.is_empty();
                ripe &= terms.is_ripe(seen);
                given_up = given_up.or_else(|| terms.given_up(seen, &missing));
            }
            kept.verdict = if mean(&kept.judges) >= enough(self.alpha_ppm) {
                Some(Verdict::Fail)
            } else {
                (all && ripe).then_some(Verdict::Pass)
            };
        }
        let judgement = match (kept.verdict, given_up) {
            (Some(Verdict::Pass), _) => Judgement::Pass,
            (Some(Verdict::Fail), _) => Judgement::Fail { why: self.failed(&kept.judges) },
            (None, Some(why)) => Judgement::Inconclusive { why },
            (None, None) => Judgement::Undecided,
        };
        let judges: Vec<Value> = kept.judges.iter().map(Seen::to_value).collect();
        let verdict = match kept.verdict {
            None => Value::Null,
            Some(Verdict::Pass) => "pass".into(),
            Some(Verdict::Fail) => "fail".into(),
        };
        Ok((serde_json::json!({"judges": judges, "verdict": verdict}), judgement))
    }
}

impl Together {
    fn failed(&self, judges: &[Seen]) -> String {
        let each: Vec<String> = self
            .judges
            .iter()
            .zip(judges)
            .map(|(judge, seen)| {
                let name = match judge {
                    Sequential::Rank(rank) => format!("rank of {}", rank.metric),
                    Sequential::Count(_) => "count".to_owned(),
                };
                format!("{name} {:.1} after {} windows", shown(seen.evidence()), seen.counted)
            })
            .collect();
        format!(
            "the evidence that the canary is worse than the baseline is {:.1} at the mean ({}), and {:.1} is enough for a false-rollback \
             budget of {} per million",
            shown(mean(judges)),
            each.join(", "),
            shown(enough(self.alpha_ppm)),
            self.alpha_ppm.max(1)
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mcp_core::{ErrorKind, Timestamp};

    use super::*;
    use crate::{Latencies, Metric};

    const MINUTE: Window = Window { from: Timestamp::UNIX_EPOCH, to: Timestamp::from_micros(60_000_000) };

    fn together() -> Together {
        let bake = Duration::from_secs(600);
        let rank = |metric| Sequential::Rank(RankTest { metric, bake, ..RankTest::default() });
        let metrics =
            [Metric::Errors, Metric::Latency { quantile_ppm: 990_000 }, Metric::Number("heap".to_owned())];
        Together::of(metrics.map(rank))
    }

    /// One canary with this error count, latency and heap, beside 19 instances that differ a little.
    fn fleet(bad: u64, micros: u64, heap: f64) -> Vec<Sample> {
        let with = |sample: Sample, micros, heap| {
            sample.latencies(Latencies::from(vec![(micros, 100)])).number("heap", heap)
        };
        let baseline = (0..19_u64).map(|at| {
            with(
                Sample::baseline(format!("b{at}"), 95 + at % 5, 100),
                1000 + 200 * (at % 5),
                10.0 + at as f64,
            )
        });
        std::iter::once(with(Sample::canary("c", 100 - bad, 100), micros, heap)).chain(baseline).collect()
    }

    fn say(judge: &Together, windows: &[Vec<Sample>]) -> (Value, Vec<String>) {
        let (mut state, mut said) = (Value::Null, Vec::new());
        for samples in windows {
            // Through text, as in the journal.
            let read: Value = serde_json::from_str(&state.to_string()).unwrap();
            let (kept, judgement) = judge.judge(&read, MINUTE, samples).unwrap();
            state = kept;
            said.push(judgement.to_string());
        }
        (state, said)
    }

    #[test]
    fn a_release_that_is_worse_in_one_of_three_metrics_fails_and_one_that_is_not_passes() {
        for (bad, micros, heap) in [(50, 1300, 15.0), (2, 9000, 15.0), (2, 1300, 99.0)] {
            let said = say(&together(), &vec![fleet(bad, micros, heap); 6]).1;
            assert!(said[5].starts_with("fail: the evidence that the canary is worse"), "{said:?}");
        }
        let said = say(&together(), &vec![fleet(2, 1300, 15.0); 11]).1;
        assert_eq!((said[8].as_str(), said[9].as_str(), said[10].as_str()), ("undecided", "pass", "pass"));
    }

    #[test]
    fn the_evidence_is_the_mean_of_what_each_has_alone() {
        let windows = [vec![fleet(50, 1300, 15.0); 2], vec![fleet(0, 9000, 1.0); 1]].concat();
        let (state, _) = say(&together(), &windows);
        let alone = together().judges.into_iter().map(|judge| {
            let Sequential::Rank(rank) = judge else { panic!("not a rank judge") };
            let mut state = Value::Null;
            for samples in &windows {
                state = rank.judge(&state, MINUTE, samples).unwrap().0;
            }
            rank.evidence(&state).unwrap()
        });
        let mean = alone.sum::<f64>() / 3.0;
        assert!((together().evidence(&state).unwrap() - mean).abs() < 1e-9, "{mean}");
    }

    #[test]
    fn one_metric_without_data_is_inconclusive_after_its_patience_and_never_a_pass() {
        let without: Vec<Sample> = fleet(2, 1300, 15.0)
            .into_iter()
            .map(|sample| Sample { numbers: Default::default(), ..sample })
            .collect();
        let said = say(&together(), &vec![without; 20]).1;
        assert_eq!(said[3], "undecided");
        let why = "inconclusive: no window of the last 300000 ms counted, 0 did before; the last one had 0 canary and 0 baseline \
                   instances with the number \"heap\", and needed 1 and 3";
        assert_eq!(said[4], why);
        assert!(said[4..].iter().all(|said| said.starts_with("inconclusive")), "{said:?}");
    }

    #[test]
    fn a_verdict_stays_and_a_state_that_is_not_its_own_is_refused() {
        let windows = [vec![fleet(50, 9000, 99.0); 6], vec![fleet(0, 1, 1.0); 30]].concat();
        let (state, said) = say(&together(), &windows);
        assert!(said[5..].iter().all(|later| *later == said[5] && later.starts_with("fail")), "{said:?}");
        let mut pass = state.clone();
        pass["verdict"] = "pass".into();
        let mut fewer = state.clone();
        fewer["judges"].as_array_mut().unwrap().pop();
        for strange in [pass, fewer, serde_json::json!({}), serde_json::json!(7)] {
            let error = together().judge(&strange, MINUTE, &fleet(0, 1, 1.0)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{strange}");
        }
    }

    #[test]
    fn settings_that_cannot_be_obeyed_are_named() {
        assert_eq!(Together::of([]).contradiction().unwrap(), "0 judges are not between 1 and 16");
        let mut none = together();
        none.alpha_ppm = 0;
        assert_eq!(none.contradiction().unwrap(), "alpha_ppm of 0 is not between 1 and 500000");
        let metric = Metric::Latency { quantile_ppm: 0 };
        let strange = Together::of([Sequential::Rank(RankTest { metric, ..RankTest::default() })]);
        assert_eq!(strange.contradiction().unwrap(), "quantile_ppm of 0 is not between 1 and 1000000");
        assert_eq!(together().contradiction(), None);
    }
}
