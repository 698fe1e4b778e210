//! Made-up traffic: instances, requests, the errors of each minute, and further numbers.

use mcp_benches::random::Random;
use mcp_promotion::Sample;

use crate::run::Source;

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

    /// 0.5% of errors among 200 requests each, independent of each other.
    pub const fn calm() -> Self {
        Self::new(0.005, 200)
    }

    /// Errors in bursts: each instance and minute has an error rate of its own, with a standard deviation of half the mean.
    pub const fn bursty() -> Self {
        Self { burst_shape: Some(4), ..Self::new(0.005, 2000) }
    }

    /// The three in which a canary that is no worse must be let be: `calm`, one with an outage that all share, and `bursty`.
    pub const fn three() -> [Self; 3] {
        [Self::calm(), Self { outage: Some((20, 30)), ..Self::calm() }, Self::bursty()]
    }

    fn outage(&self, minute: usize) -> f64 {
        if self.outage.is_some_and(|(from, to)| (from..to).contains(&minute)) { 4.0 } else { 1.0 }
    }
}

impl Source for Traffic {
    fn minute(&self, minute: usize, random: &mut Random, names: &[String]) -> Vec<Sample> {
        let outage = self.outage(minute);
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

/// Errors and two further numbers, `queue` and `heap`. All three of an instance rise together in a burst, so that they are not independent.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// The errors; its ratio is that of the errors alone.
    pub traffic: Traffic,
    /// What the canary's numbers are multiplied by, from `traffic.worse_from` on.
    pub ratios: [f64; 2],
}

impl Metrics {
    /// The names of the numbers.
    pub const NUMBERS: [&str; 2] = ["queue", "heap"];

    /// With a canary that is no worse.
    pub const fn of(traffic: Traffic) -> Self {
        Self { traffic, ratios: [1.0; 2] }
    }
}

impl Source for Metrics {
    fn minute(&self, minute: usize, random: &mut Random, names: &[String]) -> Vec<Sample> {
        let errors = &self.traffic;
        let outage = errors.outage(minute);
        let sample = |(at, name): (usize, &String)| {
            let canary = at < errors.canaries;
            let worse = canary && minute >= errors.worse_from;
            let burst = errors.burst_shape.map_or(1.0, |shape| random.gamma(shape));
            let rate = errors.rate * outage * burst * if worse { errors.ratio } else { 1.0 };
            let total = errors.canary_requests;
            let good = total - random.binomial(total, rate);
            let named =
                if canary { Sample::canary(name, good, total) } else { Sample::baseline(name, good, total) };
            Self::NUMBERS.into_iter().zip(self.ratios).fold(named, |sample, (number, ratio)| {
                let noise = (0.3 * random.normal()).exp();
                sample.number(number, 100.0 * outage * burst * noise * if worse { ratio } else { 1.0 })
            })
        };
        names.iter().take(errors.canaries + errors.baselines).enumerate().map(sample).collect()
    }
}
