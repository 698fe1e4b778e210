use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::sequential::{BETS, Terms};
use super::{Judge, JudgeError, Judgement};
use crate::{Arm, Counts, Sample, Window, millis};

/// Fails a release whose canary instances have higher error rates than the baseline instances of the same windows.
///
/// A sequential test on ranks: in each window, the error rates of all instances are put in order, and bets are won when the canary's stand
/// near the end. As long as the instances of a window are exchangeable (the new release is no worse, and no instance differs from the
/// others in traffic or machine in a way that moves its rate), each set of places is equally likely for the canary, whatever hits all
/// instances at once and however errors cluster; so a release that is no worse is failed with a probability of at most `alpha_ppm`, over
/// all windows together.
///
/// A window counts when at least `min_canaries` and `min_baselines` instances had `min_requests` each; the others are left out of it, and
/// instances may come and go from window to window. A verdict is terminal.
///
/// # The algorithm
/// With N instances, the bet of exponent a in {2, 4, 8, 16, 32} on a set of places is proportional to the product of (place / N)^(a - 1)
/// over it, scaled to mean 1 over all sets of that size; tied instances give the mean over all orders of them, so that no random
/// numbers are needed. Of more than 16 canary instances, every 16 in the order of their names bet alone, and the mean counts. Test by
/// betting: Vovk and others, arXiv 2006.02329; its use for releases: Netflix, arXiv 2205.14762.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RankTest {
    /// The budget of false rollbacks: how many of a million releases that are no worse may be failed; 10,000 (1%) by default, from 1 to
    /// 500,000.
    pub alpha_ppm: u32,
    /// How many millionths of the baseline's error rate still count as no worse; 1,000,000 (just as high) by default. With 1,250,000 a
    /// quarter more is tolerated.
    pub margin_ppm: u32,
    /// How many requests an instance needs in a window to take part in it; 1 by default.
    pub min_requests: u64,
    /// How many canary instances a window needs to count; 1 by default. More keep one bad machine from failing a release.
    pub min_canaries: u32,
    /// How many baseline instances a window needs to count; 3 by default. With n of them, one window can multiply the evidence by no more
    /// than n + 1 for each canary instance.
    pub min_baselines: u32,
    /// How many windows must count before it passes; 3 by default.
    pub min_windows: u32,
    /// How long the release must have been watched before it passes, in milliseconds, in windows that count; 30 minutes by default.
    #[serde(rename = "bake_ms", with = "millis")]
    pub bake: Duration,
    /// After how long without a window that counts it gives up, in milliseconds; five minutes by default.
    #[serde(rename = "patience_ms", with = "millis")]
    pub patience: Duration,
}

impl Default for RankTest {
    fn default() -> Self {
        Self {
            alpha_ppm: 10_000,
            margin_ppm: 1_000_000,
            min_requests: 1,
            min_canaries: 1,
            min_baselines: 3,
            min_windows: 3,
            bake: Duration::from_secs(30 * 60),
            patience: Duration::from_secs(300),
        }
    }
}

impl RankTest {
    /// How many canary instances bet together: above it, numbers become too small for a float.
    const MAX_BLOCK: usize = 16;

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
            judge: "rank",
            alpha_ppm: self.alpha_ppm,
            min_windows: self.min_windows,
            bake: self.bake,
            patience: self.patience,
        }
    }

    /// What the window multiplies each bet by, or why it does not count.
    fn factors(&self, samples: &[Sample]) -> Result<[f64; BETS], String> {
        Counts::of(samples)?;
        let busy = |sample: &&Sample| sample.total >= self.min_requests.max(1);
        let baseline: Vec<f64> = samples
            .iter()
            .filter(|sample| sample.arm == Arm::Baseline)
            .filter(busy)
            .map(|sample| rate(sample, self.margin_ppm.max(1)))
            .collect();
        let mut canary: Vec<&Sample> =
            samples.iter().filter(|sample| sample.arm == Arm::Canary).filter(busy).collect();
        if canary.len() < self.min_canaries.max(1) as usize
            || baseline.len() < self.min_baselines.max(1) as usize
        {
            return Err(format!(
                "{} canary and {} baseline instances with {} requests, and needed {} and {}",
                canary.len(),
                baseline.len(),
                self.min_requests.max(1),
                self.min_canaries.max(1),
                self.min_baselines.max(1)
            ));
        }
        if canary.len() > Self::MAX_BLOCK {
            canary
                .sort_unstable_by(|a, b| (&a.instance, a.good, a.total).cmp(&(&b.instance, b.good, b.total)));
        }
        let mut mean = [0.0; BETS];
        let mut blocks = 0.0;
        for block in canary.chunks(Self::MAX_BLOCK) {
            let canary = block.iter().map(|sample| (rate(sample, 1_000_000), true));
            let places = canary.chain(baseline.iter().map(|rate| (*rate, false))).collect();
            blocks += 1.0;
            for (mean, factor) in mean.iter_mut().zip(bet(places)) {
                *mean += (factor - *mean) / blocks;
            }
        }
        Ok(mean)
    }
}

impl Judge for RankTest {
    fn judge(
        &self,
        state: &Value,
        window: Window,
        samples: &[Sample],
    ) -> Result<(Value, Judgement), JudgeError> {
        self.terms().judge(state, window, self.factors(samples))
    }
}

/// The error rate times `scale_ppm`. Never NaN, because there were requests; and equal for equal fractions, because division rounds
/// correctly.
#[expect(clippy::cast_precision_loss, reason = "any statistic will do that treats all instances alike")]
fn rate(sample: &Sample, scale_ppm: u32) -> f64 {
    sample.total.saturating_sub(sample.good) as f64 * f64::from(scale_ppm) / sample.total as f64
}

/// The factors of one window: `instances` are rates, each with whether it is the canary's. Neither group is empty.
fn bet(mut instances: Vec<(f64, bool)>) -> [f64; BETS] {
    instances.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let canaries = instances.iter().filter(|(_, canary)| *canary).count();
    let mut won = [1.0; BETS];
    let mut all = Means::new(canaries);
    let mut place = 0.0;
    for tied in instances.chunk_by(|a, b| a.0 == b.0) {
        let inside = tied.iter().filter(|(_, canary)| *canary).count();
        let mut group = Means::new(inside);
        for _ in tied {
            place += 1.0;
            let stakes = powers(place / as_float(instances.len()));
            group.add(&stakes);
            all.add(&stakes);
        }
        for (won, mean) in won.iter_mut().zip(group.last()) {
            *won *= mean;
        }
    }
    for (won, mean) in won.iter_mut().zip(all.last()) {
        *won /= mean;
    }
    won
}

/// x to the powers of 1, 3, 7, 15 and 31, by multiplication alone: the same on every machine.
fn powers(x: f64) -> [f64; BETS] {
    let mut power = 1.0;
    [(); BETS].map(|()| {
        power = power * power * x;
        power
    })
}

/// For each k up to some number, and each bet, the mean of the product of the stakes over all sets of k places.
struct Means {
    places: usize,
    /// Entry k - 1 is for sets of k.
    of: Vec<[f64; BETS]>,
}

impl Means {
    fn new(largest: usize) -> Self {
        Self { places: 0, of: vec![[0.0; BETS]; largest] }
    }

    /// One place more, the n-th: a set of k holds it with a probability of k / n, and is else a set of those before.
    fn add(&mut self, stakes: &[f64; BETS]) {
        self.places += 1;
        let places = as_float(self.places);
        let mut smaller = [1.0; BETS];
        for (k, means) in self.of.iter_mut().take(self.places).enumerate() {
            let holds = as_float(k + 1) / places;
            let same = *means;
            for ((mean, smaller), stake) in means.iter_mut().zip(smaller).zip(stakes) {
                *mean = holds * stake * smaller + (1.0 - holds) * *mean;
            }
            smaller = same;
        }
    }

    /// Over sets of the largest size; the empty product is 1.
    fn last(&self) -> [f64; BETS] {
        self.of.last().copied().unwrap_or([1.0; BETS])
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are at most 10,000 instances")]
const fn as_float(count: usize) -> f64 {
    count as f64
}
