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
/// Of the failures of a window, each is the canary's with a probability of at most t = m c / (m c + b), for c and b requests and the margin
/// m, while the release is no worse. The bet on a ratio r multiplies by the likelihood of what was seen under r m in place of m; for r in
/// {1.5, 2, 3, 5, 10}. This is exact for Poisson counts; for binomial ones the number is hypergeometric, which gives no larger mean to a
/// convex function (Hoeffding 1963, theorem 4). The test of two proportions as a product of such factors: Turner, Ly and Grünwald, arXiv
/// 2106.02693; on counts of events: Lindon and Malek, arXiv 2011.03567.
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

    fn terms(&self) -> Terms {
        Terms {
            judge: "count",
            alpha_ppm: self.alpha_ppm,
            min_windows: self.min_windows,
            bake: self.bake,
            patience: self.patience,
        }
    }

    /// What the window multiplies each bet by, or why it does not count.
    fn factors(&self, samples: &[Sample]) -> Result<[f64; BETS], String> {
        let (canary, baseline) = Counts::of(samples)?;
        let needed = self.min_requests.max(1);
        if canary.total < needed || baseline.total < needed {
            return Err(format!(
                "{} requests of the canary and {} of the baseline, and needed {needed} of each",
                canary.total, baseline.total
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
