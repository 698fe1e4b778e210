//! Made-up latencies: log-normal requests on log-normal instances.

use mcp_benches::random::Random;
use mcp_promotion::{Latencies, Sample};

use crate::run::Source;

/// How many steps a doubling of time is divided into.
const STEPS: f64 = 64.0;

/// The least and the most steps from the median of an instance: 7 standard deviations and everything that multiplies them fits.
const MOST: i32 = 1024;

/// One canary beside 19 baseline instances with 200 requests in each minute. A request takes about 20 ms, log-normal with a deviation of 0.5 (so
/// that the 99th percentile is 3.2 times the median); each instance and minute is slower or faster as a whole, log-normal with 0.1.
pub struct Slow {
    /// Steps from the median at equally likely requests: drawing one is a look into this table.
    requests: Vec<i32>,
    /// Microseconds at each step from `-MOST`.
    micros: Vec<u64>,
    /// The canary's times are multiplied by this.
    ratio: f64,
    /// The share of the canary's requests for which that holds, in thousandths.
    permille: u64,
    /// Minutes from and to which everything takes four times as long.
    outage: Option<(usize, usize)>,
}

impl Slow {
    const REQUESTS: u64 = 200;
    const TABLE: u64 = 1 << 12;

    /// A canary that is this many times as slow for so many thousandths of its requests.
    pub fn by(ratio: f64, permille: u64) -> Self {
        let mut random = Random::new(1);
        let mut drawn: Vec<f64> = (0..Self::TABLE * 64).map(|_| random.normal()).collect();
        drawn.sort_by(f64::total_cmp);
        let steps = |log: f64| (log / std::f64::consts::LN_2 * STEPS).round() as i32;
        let requests = drawn.iter().skip(32).step_by(64).map(|normal| steps(0.5 * normal)).collect();
        let micros =
            (-MOST..=MOST).map(|step| (20_000.0 * (f64::from(step) / STEPS).exp2()) as u64).collect();
        Self { requests, micros, ratio, permille, outage: None }
    }

    /// With minutes from and to which everything takes four times as long.
    pub fn outage(self, from: usize, to: usize) -> Self {
        Self { outage: Some((from, to)), ..self }
    }
}

impl Source for Slow {
    fn minute(&self, minute: usize, random: &mut Random, names: &[String]) -> Vec<Sample> {
        let steps = |ratio: f64| (ratio.log2() * STEPS).round() as i32;
        let all =
            if self.outage.is_some_and(|(from, to)| (from..to).contains(&minute)) { steps(4.0) } else { 0 };
        let slower = steps(self.ratio);
        let sample = |(at, name): (usize, &String)| {
            let worse = at == 0;
            let whole = all + (0.1 * random.normal() / std::f64::consts::LN_2 * STEPS).round() as i32;
            let mut counts = [0_u64; 2 * MOST as usize + 1];
            let (mut least, mut most) = (counts.len(), 0);
            for _ in 0..Self::REQUESTS {
                let request = self.requests[random.below(Self::TABLE) as usize];
                let hit = worse && (self.permille == 1000 || random.permille(self.permille));
                let step = request + whole + if hit { slower } else { 0 };
                let place = (step.clamp(-MOST, MOST) + MOST) as usize;
                counts[place] += 1;
                (least, most) = (least.min(place), most.max(place));
            }
            let mut latencies = Latencies::new();
            for (micros, count) in self.micros.iter().zip(counts).take(most + 1).skip(least) {
                latencies.add(*micros, count);
            }
            let sample = if at == 0 {
                Sample::canary(name, Self::REQUESTS, Self::REQUESTS)
            } else {
                Sample::baseline(name, Self::REQUESTS, Self::REQUESTS)
            };
            sample.latencies(latencies)
        };
        names.iter().take(20).enumerate().map(sample).collect()
    }
}
