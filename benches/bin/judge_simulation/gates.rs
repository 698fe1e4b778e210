//! The judges under test, and the gates that others use, for comparison.

use std::time::Duration;

use mcp_core::Timestamp;
use mcp_promotion::{
    Arm, CountTest, Counts, Judge, Judgement, Metric, RankTest, Sample, Sequential, Together, Window,
};
use serde_json::Value;

use crate::traffic::Metrics;

/// Something that looks at every minute and may fail the release.
pub trait Look {
    /// Whether the release fails now.
    fn fails(&mut self, samples: &[Sample]) -> bool;
}

/// A judge of the crate, with what it keeps.
pub struct Judged<J>(J, Value, Timestamp);

impl<J: Judge> Judged<J> {
    /// Before its first window.
    pub const fn new(judge: J) -> Self {
        Self(judge, Value::Null, Timestamp::UNIX_EPOCH)
    }
}

impl<J: Judge> Look for Judged<J> {
    fn fails(&mut self, samples: &[Sample]) -> bool {
        let to = self.2.saturating_add(Duration::from_secs(60));
        let (kept, judgement) =
            self.0.judge(&self.1, Window { from: self.2, to }, samples).expect("its own state");
        (self.1, self.2) = (kept, to);
        matches!(judgement, Judgement::Fail { .. })
    }
}

impl Look for Box<dyn Look> {
    fn fails(&mut self, samples: &[Sample]) -> bool {
        (**self).fails(samples)
    }
}

/// The rank judge of one metric, with settings under which it never passes, so that only failing is counted.
pub fn rank(metric: Metric, margin_ppm: u32) -> RankTest {
    let mut judge = RankTest::default();
    (judge.metric, judge.margin_ppm, judge.bake) = (metric, margin_ppm, Duration::MAX);
    judge
}

/// The default rank judge.
pub fn errors() -> Judged<RankTest> {
    Judged::new(rank(Metric::Errors, 1_000_000))
}

/// The rank judge of a latency.
pub fn latency(quantile_ppm: u32) -> RankTest {
    rank(Metric::Latency { quantile_ppm }, 1_000_000)
}

/// The count judge.
pub fn count() -> Judged<CountTest> {
    let mut judge = CountTest::default();
    judge.bake = Duration::MAX;
    Judged::new(judge)
}

/// What [`Metrics`] has: errors and two numbers.
pub fn metrics() -> [Metric; 3] {
    let [queue, heap] = Metrics::NUMBERS.map(|name| Metric::Number(name.to_owned()));
    [Metric::Errors, queue, heap]
}

/// Several rank judges under one budget.
pub fn together(judges: impl IntoIterator<Item = RankTest>) -> Judged<Together> {
    Judged::new(Together::of(judges.into_iter().map(Sequential::Rank)))
}

fn arms(samples: &[Sample]) -> (Counts, Counts) {
    Counts::of(samples).expect("samples that can be")
}

/// At least 99% of the canary's requests must go well; so many minutes in which they do not fail it.
pub struct Threshold {
    /// With which bad minute it fails, all together.
    pub fatal: u32,
    /// How many there were.
    pub bad: u32,
}

impl Look for Threshold {
    fn fails(&mut self, samples: &[Sample]) -> bool {
        let (canary, _) = arms(samples);
        self.bad += u32::from(canary.bad() * 100 > canary.total);
        self.bad >= self.fatal
    }
}

/// The z-test of two proportions on all that was counted so far, at every minute, one-sided at 1%.
#[derive(Default)]
pub struct ZTest([f64; 4]);

impl Look for ZTest {
    fn fails(&mut self, samples: &[Sample]) -> bool {
        let (canary, baseline) = arms(samples);
        let counts = [canary.bad(), canary.total, baseline.bad(), baseline.total];
        for (sum, count) in self.0.iter_mut().zip(counts) {
            *sum += count as f64;
        }
        let [x, n, y, m] = self.0;
        let pooled = (x + y) / (n + m);
        let deviation = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
        deviation > 0.0 && (x / n - y / m) / deviation > 2.326
    }
}

/// The Mann-Whitney test on the error rates of the last ten minutes, every ten minutes, one-sided at a sixth of 1%, because an hour has
/// six looks; the baseline's are those of the whole group.
#[derive(Default)]
pub struct MannWhitney(Vec<(f64, f64)>);

impl Look for MannWhitney {
    fn fails(&mut self, samples: &[Sample]) -> bool {
        let (canary, baseline) = arms(samples);
        let rate = |counts: Counts| counts.bad() as f64 / counts.total as f64;
        self.0.push((rate(canary), rate(baseline)));
        if self.0.len() < 10 {
            return false;
        }
        let minutes = std::mem::take(&mut self.0);
        let n = minutes.len() as f64;
        let above: f64 = minutes
            .iter()
            .flat_map(|(canary, _)| minutes.iter().map(move |(_, baseline)| (canary, baseline)))
            .map(|(canary, baseline)| {
                if canary > baseline {
                    1.0
                } else if canary == baseline {
                    0.5
                } else {
                    0.0
                }
            })
            .sum();
        let mut all: Vec<f64> = minutes.iter().flat_map(|(canary, baseline)| [*canary, *baseline]).collect();
        all.sort_by(f64::total_cmp);
        let ties: f64 =
            all.chunk_by(|a, b| a == b).map(|tied| (tied.len() as f64).powi(3) - tied.len() as f64).sum();
        let variance = n * n / 12.0 * ((2.0 * n + 1.0) - ties / (2.0 * n * (2.0 * n - 1.0)));
        variance > 0.0 && (above - n * n / 2.0 - 0.5) / variance.sqrt() > 2.935
    }
}

/// The factors of the five bets on the place of one canary, written down as plainly as possible.
pub fn factors(samples: &[Sample]) -> [f64; 5] {
    let rate = |sample: &Sample| (sample.total - sample.good) as f64 / sample.total as f64;
    let canary = rate(samples.iter().find(|sample| sample.arm == Arm::Canary).expect("a canary"));
    let baseline: Vec<f64> = samples.iter().filter(|sample| sample.arm == Arm::Baseline).map(rate).collect();
    let places = baseline.len() + 1;
    let less = baseline.iter().filter(|rate| **rate < canary).count();
    let tied = baseline.iter().filter(|rate| **rate == canary).count();
    [2, 4, 8, 16, 32].map(|exponent| {
        let bet = |place: usize| (place as f64 / places as f64).powi(exponent - 1);
        let mean = (1..=places).map(bet).sum::<f64>() / places as f64;
        let won = (less + 1..=less + 1 + tied).map(bet).sum::<f64>() / (tied + 1) as f64;
        won / mean
    })
}

/// The rank e-process of one canary with all its capital bet at the start.
pub struct PlainRank([f64; 5]);

impl Default for PlainRank {
    fn default() -> Self {
        Self([0.2; 5])
    }
}

impl Look for PlainRank {
    fn fails(&mut self, samples: &[Sample]) -> bool {
        for (product, factor) in self.0.iter_mut().zip(factors(samples)) {
            *product *= factor;
        }
        self.0.iter().sum::<f64>() >= 100.0
    }
}
