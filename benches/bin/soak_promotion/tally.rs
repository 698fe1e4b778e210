//! What is counted and timed while the load is on.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use mcp_core::ErrorKind;
use mcp_promotion::PromotionError;

/// Times in buckets of a tenth of a power of two: whatever the run lasts, they take the same memory.
#[derive(Default)]
pub(crate) struct Times {
    buckets: BTreeMap<u32, u64>,
    count: u64,
}

impl Times {
    fn add(&mut self, time: Duration) {
        let micros = time.as_secs_f64().mul_add(1e6, 1.0);
        *self.buckets.entry((micros.log2() * 10.0) as u32).or_default() += 1;
        self.count += 1;
    }

    /// The time within which this share was done, to a twentieth.
    fn quantile(&self, share: f64) -> Duration {
        let mut left = (self.count as f64 * share).ceil() as u64;
        for (bucket, count) in &self.buckets {
            if left <= *count {
                return Duration::from_secs_f64(2_f64.powf(f64::from(*bucket + 1) / 10.0) / 1e6);
            }
            left -= count;
        }
        Duration::ZERO
    }

    pub(crate) fn shown(&self) -> String {
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| self.quantile(share).as_secs_f64() * 1e3);
        format!("{} (p50 {p50:.1} ms, p99 {p99:.1} ms, p99.9 {p999:.1} ms)", self.count)
    }

    pub(crate) const fn count(&self) -> u64 {
        self.count
    }
}

#[derive(Default)]
pub(crate) struct Tally {
    /// Commands, whatever they were answered.
    pub(crate) commands: Mutex<Times>,
    /// Promotions from their request to their end.
    pub(crate) promotions: Mutex<Times>,
    /// How they ended.
    pub(crate) ends: Mutex<BTreeMap<String, u64>>,
    /// Refusals by kind.
    pub(crate) refusals: Mutex<BTreeMap<String, u64>>,
    /// What must not be.
    pub(crate) broken: Mutex<Vec<String>>,
}

impl Tally {
    /// Waits for a command and takes its time; `None` where it was refused.
    pub(crate) async fn command<T>(
        &self,
        command: impl Future<Output = Result<T, PromotionError>>,
    ) -> Option<T> {
        let start = Instant::now();
        let outcome = command.await;
        self.commands.lock().expect("no panic").add(start.elapsed());
        match outcome {
            Ok(done) => Some(done),
            Err(error) => {
                let kind = error.kind();
                *self.refusals.lock().expect("no panic").entry(kind.to_string()).or_default() += 1;
                if matches!(kind, ErrorKind::Corrupt | ErrorKind::Internal | ErrorKind::Unsupported) {
                    self.broken.lock().expect("no panic").push(error.to_string());
                }
                None
            }
        }
    }

    pub(crate) fn ended(&self, state: &str, time: Duration) {
        self.promotions.lock().expect("no panic").add(time);
        *self.ends.lock().expect("no panic").entry(state.to_owned()).or_default() += 1;
    }
}
