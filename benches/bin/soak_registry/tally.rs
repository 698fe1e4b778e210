//! What is counted and timed while the load is on.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mcp_core::ErrorKind;
use mcp_registry::RegistryError;

/// Times in buckets of a tenth of a power of two: whatever the run lasts, they take the same memory.
#[derive(Default)]
struct Times {
    buckets: BTreeMap<u32, u64>,
    count: u64,
}

impl Times {
    fn add(&mut self, time: Duration) {
        let micros = time.as_secs_f64().mul_add(1e6, 1.0);
        *self.buckets.entry((micros.log2() * 10.0) as u32).or_default() += 1;
        self.count += 1;
    }

    /// The time in milliseconds within which this share was done, to a fourteenth.
    fn quantile(&self, share: f64) -> f64 {
        let mut left = (self.count as f64 * share).ceil() as u64;
        for (bucket, count) in &self.buckets {
            if left <= *count {
                return 2_f64.powf(f64::from(*bucket + 1) / 10.0) / 1e3;
            }
            left -= count;
        }
        0.0
    }
}

#[derive(Default)]
struct Counts {
    times: BTreeMap<&'static str, Times>,
    /// What was refused as it should be, by operation and kind.
    refusals: BTreeMap<String, u64>,
    wrong: Vec<String>,
}

#[derive(Default)]
pub(crate) struct Tally(Mutex<Counts>);

impl Tally {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, what: &'static str, time: Duration) {
        self.counts().times.entry(what).or_default().add(time);
    }

    /// Waits for an operation and takes its time; `None` where it was refused as `expected`, or for want of room.
    pub(crate) async fn time<T>(
        &self,
        what: &'static str,
        expected: &[ErrorKind],
        operation: impl Future<Output = Result<T, RegistryError>>,
    ) -> Option<T> {
        let begin = Instant::now();
        let outcome = operation.await;
        self.add(what, begin.elapsed());
        match outcome {
            Ok(done) => Some(done),
            Err(error) => {
                let kind = error.kind();
                let mut counts = self.counts();
                if expected.contains(&kind) || kind == ErrorKind::Exhausted {
                    *counts.refusals.entry(format!("{what}: {kind}")).or_default() += 1;
                } else if counts.wrong.len() < 100 {
                    counts.wrong.push(format!("{what}: {error}"));
                }
                None
            }
        }
    }

    /// Notes what must not be.
    pub(crate) fn check(&self, what: &str, outcome: Result<(), String>) {
        if let Err(reason) = outcome {
            let mut counts = self.counts();
            if counts.wrong.len() < 100 {
                counts.wrong.push(format!("{what}: {reason}"));
            }
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts().times.values().map(|times| times.count).sum()
    }

    pub(crate) fn wrong(&self) -> Vec<String> {
        self.counts().wrong.clone()
    }

    pub(crate) fn show(&self) {
        let counts = self.counts();
        println!("| operation | count | p50, ms | p99, ms | p99.9, ms |\n|---|---|---|---|---|");
        for (what, times) in &counts.times {
            let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| times.quantile(share));
            println!("| {what} | {} | {p50:.2} | {p99:.2} | {p999:.2} |", times.count);
        }
        println!("refused as they should be: {:?}", counts.refusals);
    }
}
