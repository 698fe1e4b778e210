//! What is counted and timed while the load is on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mcp_core::Recorder;

use crate::documents::Verdict;

#[derive(Default)]
struct Counts {
    /// By what was done: times in nanoseconds.
    times: BTreeMap<&'static str, Recorder>,
    verdicts: BTreeMap<String, u64>,
    wrong: Vec<String>,
}

#[derive(Default)]
pub(crate) struct Tally {
    counts: Mutex<Counts>,
    judged: AtomicU64,
}

impl Tally {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, what: &'static str, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts().times.entry(what).or_default().record(nanos);
    }

    /// A document of the kind `what` was judged; it was made for `expected`.
    pub(crate) fn judged_as(&self, what: &'static str, expected: Verdict, found: Verdict) {
        self.judged.fetch_add(1, Ordering::Relaxed);
        let mut counts = self.counts();
        *counts.verdicts.entry(format!("{found:?}")).or_default() += 1;
        if found != expected && counts.wrong.len() < 100 {
            counts.wrong.push(format!("{what}: {found:?}, but it was made to be {expected:?}"));
        }
    }

    pub(crate) fn check(&self, what: &str, right: bool) {
        if !right {
            self.counts().wrong.push(what.to_owned());
        }
    }

    pub(crate) fn judged(&self) -> u64 {
        self.judged.load(Ordering::Relaxed)
    }

    pub(crate) fn wrong(&self) -> Vec<String> {
        self.counts().wrong.clone()
    }

    pub(crate) fn show(&self) {
        let counts = self.counts();
        println!("| operation | count | p50, us | p99, us | p99.9, us |\n|---|---|---|---|---|");
        for (what, times) in &counts.times {
            let times = times.snapshot();
            let [p50, p99, p999] =
                [0.5, 0.99, 0.999].map(|part| times.quantile(part).unwrap_or_default() as f64 / 1e3);
            println!("| {what} | {} | {p50:.1} | {p99:.1} | {p999:.1} |", times.count);
        }
        println!("verdicts: {:?}", counts.verdicts);
    }
}
