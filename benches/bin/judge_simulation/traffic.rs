//! Made-up traffic: instances, requests, and the errors of each minute.

use mcp_promotion::Sample;

use mcp_benches::random::Random;

/// What the instances go through.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// The share of requests that fail, without anything special.
    pub rate: f64,
    /// Instances of the new release.
    pub canaries: usize,
    /// Instances of the previous one.
    pub baselines: usize,
    /// Requests per canary instance and minute.
    pub canary_requests: u64,
    /// Requests per baseline instance and minute.
    pub baseline_requests: u64,
    /// Each instance and minute has between this share of its requests, in percent, and all of them.
    pub least_percent: u64,
    /// Minutes from and to which everything fails four times as often.
    pub outage: Option<(usize, usize)>,
    /// The error rate of each instance and minute is multiplied by a gamma variable of mean 1 and this shape.
    pub burst_shape: Option<u32>,
    /// The canary's error rate is multiplied by this.
    pub ratio: f64,
    /// From this minute on.
    pub worse_from: usize,
}

impl Traffic {
    /// One canary beside 19 baseline instances, all alike.
    pub const fn new(rate: f64, requests: u64) -> Self {
        Self {
            rate,
            canaries: 1,
            baselines: 19,
            canary_requests: requests,
            baseline_requests: requests,
            least_percent: 100,
            outage: None,
            burst_shape: None,
            ratio: 1.0,
            worse_from: 0,
        }
    }

    /// The samples of one minute: those of the canary first.
    pub fn minute(&self, minute: usize, random: &mut Random, names: &[String]) -> Vec<Sample> {
        let outage =
            if self.outage.is_some_and(|(from, to)| (from..to).contains(&minute)) { 4.0 } else { 1.0 };
        let ratio = if minute >= self.worse_from { self.ratio } else { 1.0 };
        let sample = |(at, name): (usize, &String)| {
            let canary = at < self.canaries;
            let burst = self.burst_shape.map_or(1.0, |shape| random.gamma(shape));
            let rate = self.rate * outage * burst * if canary { ratio } else { 1.0 };
            let most = if canary { self.canary_requests } else { self.baseline_requests };
            let total = most * random.between(self.least_percent, 100) / 100;
            let good = total - random.binomial(total, rate);
            if canary { Sample::canary(name, good, total) } else { Sample::baseline(name, good, total) }
        };
        names.iter().take(self.canaries + self.baselines).enumerate().map(sample).collect()
    }
}
