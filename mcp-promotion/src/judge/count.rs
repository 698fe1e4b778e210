use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::sequential::{BETS, Terms};
use super::{Judge, JudgeError, Judgement};
use crate::{Counts, Sample, Window, millis};

/// Fails a release whose canary group has a higher error rate than the baseline group.
///
/// A sequential test of two proportions, for requests that fail **independently of each other**: then a release that is no worse is failed
/// with a probability of at most `alpha_ppm`, over all windows together. Where errors come in bursts that hit single instances, that does not
/// hold and false rollbacks are many times as frequent; use [`RankTest`](crate::RankTest) there. It needs no several instances, and sees a
/// smaller difference where traffic is low.
///
/// A window counts when each of the two groups had `min_requests`. A verdict is terminal.
///
/// # The algorithm
/// With c and b requests and x and y failures of canary and baseline, and margin m, the bet on a ratio r multiplies by
/// r^x d^(x + y), where d = (m c + b) / (r m c + b); for r in {1.5, 2, 3, 5, 10}. That is the likelihood ratio of r m against m for Poisson
/// counts. For any independent requests its mean is at most 1 while the canary's rate is at most m times the baseline's, because
/// 1 + p (r d - 1) is at most the exponential of p (r d - 1), and these exponents then add up to at most 0. Tests of two proportions as products
/// of such factors: Turner, Ly and Grünwald, arXiv 2106.02693; of counts of events: Lindon and Malek, arXiv 2011.03567.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CountTest {
    /// The budget of false rollbacks: how many of a million releases that are no worse may be failed; 10,000 (1%) by default, from 1 to
    /// 500,000.
    pub alpha_ppm: u32,
    /// How many millionths of the baseline's error rate still count as no worse; 1,000,000 (just as high) by default. With 1,250,000 a
    /// quarter more is tolerated.
    pub margin_ppm: u32,
    /// How many requests each group needs in a window for it to count; 1 by default.
    pub min_requests: u64,
    /// How many windows must count before it passes; 3 by default.
    pub min_windows: u32,
    /// How long the release must have been watched before it passes, in milliseconds, in windows that count; 30 minutes by default.
    #[serde(rename = "bake_ms", with = "millis")]
    pub bake: Duration,
    /// After how long without a window that counts it gives up, in milliseconds; five minutes by default.
    #[serde(rename = "patience_ms", with = "millis")]
    pub patience: Duration,
    /// How many instances each group needs in a window for it to count; 1 by default.
    #[serde(skip_serializing_if = "is_one")]
    pub min_instances: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) const fn is_one(count: &u32) -> bool {
    *count == 1
}

impl Default for CountTest {
    fn default() -> Self {
        Self {
            alpha_ppm: 10_000,
            margin_ppm: 1_000_000,
            min_requests: 1,
            min_windows: 3,
            bake: Duration::from_secs(30 * 60),
            patience: Duration::from_secs(300),
            min_instances: 1,
        }
    }
}

impl CountTest {
    /// The ratios that are bet on.
    const RATIOS: [f64; BETS] = [1.5, 2.0, 3.0, 5.0, 10.0];

    /// The e-value in `state`: how many times the capital has multiplied that was bet against the release, 1 before the first window. It
    /// fails at a million / `alpha_ppm`.
    ///
    /// # Errors
    /// `Corrupt` when `state` is not one of its own.
    pub fn evidence(&self, state: &Value) -> Result<f64, JudgeError> {
        self.terms().evidence(state)
    }

    pub(crate) fn contradiction(&self) -> Option<String> {
        self.terms().contradiction(self.margin_ppm)
    }

    pub(super) fn terms(&self) -> Terms {
        Terms {
            judge: "count",
            alpha_ppm: self.alpha_ppm,
            min_windows: self.min_windows,
            bake: self.bake,
            patience: self.patience,
        }
    }

    /// What the window multiplies each bet by, or why it does not count.
    pub(super) fn factors(&self, samples: &[Sample]) -> Result<[f64; BETS], String> {
        let (canary, baseline) = Counts::of(samples)?;
        let needed = self.min_requests.max(1);
        if canary.total < needed || baseline.total < needed {
            return Err(format!(
                "{} requests of the canary and {} of the baseline, and needed {needed} of each",
                canary.total, baseline.total
            ));
        }
        let instances = u64::from(self.min_instances.max(1));
        if canary.instances < instances || baseline.instances < instances {
            return Err(format!(
                "{} canary and {} baseline instances, and needed {instances} of each",
                canary.instances, baseline.instances
            ));
        }
        Ok(bet(&canary, &baseline, f64::from(self.margin_ppm.max(1)) / 1e6))
    }
}

impl Judge for CountTest {
    fn judge(
        &self,
        state: &Value,
        window: Window,
        samples: &[Sample],
    ) -> Result<(Value, Judgement), JudgeError> {
        self.terms().judge(state, window, self.factors(samples))
    }
}

/// The factors of one window. In logarithms, because the powers of either side alone need not fit; both groups have requests, so nothing
/// is divided by zero.
#[expect(clippy::cast_precision_loss, reason = "15 digits of a count are enough")]
fn bet(canary: &Counts, baseline: &Counts, margin: f64) -> [f64; BETS] {
    let (canary_bad, baseline_bad) = (canary.bad() as f64, baseline.bad() as f64);
    let (weight, other) = (margin * canary.total as f64, baseline.total as f64);
    CountTest::RATIOS.map(|ratio| {
        let fewer = ((weight + other) / (ratio * weight + other)).ln();
        (canary_bad * (ratio.ln() + fewer) + baseline_bad * fewer).exp()
    })
}

#[cfg(test)]
mod tests {
    use mcp_core::Timestamp;

    use super::*;

    const MINUTE: Window = Window { from: Timestamp::UNIX_EPOCH, to: Timestamp::from_micros(60_000_000) };

    fn counts(bad: u64, total: u64) -> Counts {
        Counts { instances: 1, good: total - bad, total }
    }

    fn samples(canary: (u64, u64), baseline: (u64, u64)) -> Vec<Sample> {
        vec![
            Sample::canary("c", canary.1 - canary.0, canary.1),
            Sample::baseline("b", baseline.1 - baseline.0, baseline.1),
        ]
    }

    #[test]
    fn the_factors_are_those_worked_out_by_hand() {
        // Equal groups and a ratio of 3: a failure of the canary multiplies by 3 * 2/4, one of the baseline by 2/4.
        let factors = bet(&counts(2, 10), &counts(1, 10), 1.0);
        assert!((factors[2] - 1.5 * 1.5 * 0.5).abs() < 1e-12, "{factors:?}");
        // With a margin of 2, it is 3 * 3/7 and 3/7.
        let factors = bet(&counts(1, 10), &counts(1, 10), 2.0);
        assert!((factors[2] - 9.0 / 7.0 * 3.0 / 7.0).abs() < 1e-12, "{factors:?}");
        assert_eq!(bet(&counts(0, 10), &counts(0, 99), 1.0), [1.0; BETS]);
    }

    /// Summed over all outcomes of a few requests; with a margin, at the margin itself.
    #[test]
    fn the_mean_of_each_bet_is_at_most_one_while_the_canary_is_no_worse() {
        let chance = |bad: u64, total: u64, p: f64| {
            let ways = (0..bad).fold(1.0, |ways, at| ways * (total - at) as f64 / (at + 1) as f64);
            ways * p.powi(i32::try_from(bad).unwrap()) * (1.0 - p).powi(i32::try_from(total - bad).unwrap())
        };
        for (p, margin) in [(0.01, 1.0), (0.5, 1.0), (0.9, 1.0), (0.4, 1.25), (0.3, 3.0)] {
            for (c, b) in [(3, 3), (5, 20), (8, 1)] {
                let mut mean = [0.0; BETS];
                for (x, y) in (0..=c).flat_map(|x| (0..=b).map(move |y| (x, y))) {
                    let weight = chance(x, c, p * margin) * chance(y, b, p);
                    for (mean, factor) in mean.iter_mut().zip(bet(&counts(x, c), &counts(y, b), margin)) {
                        *mean += weight * factor;
                    }
                }
                assert!(mean.iter().all(|mean| *mean <= 1.0 + 1e-9), "{p} {margin} {c} {b}: {mean:?}");
            }
        }
    }

    #[test]
    fn three_times_the_failures_fail_and_equal_ones_pass() {
        let judge = CountTest { bake: Duration::from_secs(10 * 60), ..CountTest::default() };
        let last = |canary: (u64, u64)| {
            let mut state = Value::Null;
            let mut last = Judgement::Undecided;
            for _ in 0..10 {
                (state, last) = judge.judge(&state, MINUTE, &samples(canary, (20, 4000))).unwrap();
            }
            last.to_string()
        };
        assert_eq!(last((1, 200)), "pass");
        assert!(last((3, 200)).starts_with("fail: after"), "{}", last((3, 200)));
    }

    #[test]
    fn a_group_without_enough_requests_makes_the_window_not_count() {
        let judge = CountTest { min_requests: 5, ..CountTest::default() };
        assert_eq!(
            judge.factors(&samples((4, 4), (0, 100))).unwrap_err(),
            "4 requests of the canary and 100 of the baseline, and needed 5 of each"
        );
        assert_eq!(judge.factors(&samples((0, 5), (0, 5))).unwrap(), [1.0; BETS]);
    }

    #[test]
    fn any_numbers_that_can_be_give_factors_that_are_no_nan() {
        let half = u64::MAX / 2;
        for (canary, baseline) in
            [((half, half), (0, half)), ((0, half), (half, half)), ((1, 1), (half, half))]
        {
            let seen = CountTest::default().factors(&samples(canary, baseline)).unwrap();
            assert!(seen.iter().all(|factor| !factor.is_nan() && *factor >= 0.0), "{seen:?}");
            let (state, _) =
                CountTest::default().judge(&Value::Null, MINUTE, &samples(canary, baseline)).unwrap();
            assert!(CountTest::default().evidence(&state).unwrap().is_finite());
        }
    }
}
