use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mcp_core::{ErrorKind, Histogram, Recorder};
use serde::Serialize;

use crate::{Report, ValidationError};

/// What an engine has done since it was built, for hosts to export. Counts only grow, but for `entries` and `bytes` of the cache; each is
/// exact, and a snapshot of several may be taken in the middle of a judgement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Documents that were found valid, remembered verdicts included.
    pub valid: u64,
    /// Documents that were found invalid, remembered verdicts included.
    pub invalid: u64,
    /// Documents that ran out of a limit.
    pub exhausted: u64,
    /// Documents that could not be judged for another reason.
    pub errors: u64,
    /// How long judging took, in microseconds by the lent monotonic clock, hashing left out; what was remembered does not count.
    pub judge_us: Histogram,
    /// What the verdict cache did; all zero without one.
    pub cache: CacheStats,
}

impl Stats {
    /// Documents that have a report.
    #[must_use]
    pub const fn judged(&self) -> u64 {
        self.valid.saturating_add(self.invalid)
    }
}

/// What a verdict cache has done. Each document that an engine with a cache judges is a hit, a miss or a bypass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CacheStats {
    /// Documents whose report was remembered, or was being made by somebody else.
    pub hits: u64,
    /// Documents that were looked for and had to be judged.
    pub misses: u64,
    /// Documents that were not looked for: values, small documents, contracts without a fingerprint, and those whose judgement costs
    /// little more than the look.
    pub bypasses: u64,
    /// Reports that were not kept since making them took little more than looking for them.
    pub not_worth: u64,
    /// Reports that are kept now.
    pub entries: u64,
    /// What they take, in bytes.
    pub bytes: u64,
    /// Reports that had to go for others, or were too large to come.
    pub evictions: u64,
}

impl CacheStats {
    /// The part of all documents whose report was remembered, from 0 to 1; 0 before the first.
    #[must_use]
    pub fn hit_rate(&self) -> f64 {
        let all = self.hits.saturating_add(self.misses).saturating_add(self.bypasses);
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
        let (hits, all) = (self.hits as f64, all.max(1) as f64);
        hits / all
    }
}

/// What an engine counts while it judges, without a lock.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    valid: AtomicU64,
    invalid: AtomicU64,
    exhausted: AtomicU64,
    errors: AtomicU64,
    judge_us: Recorder,
}

impl Counters {
    /// One judgement, or one verdict that was remembered.
    pub(crate) fn outcome<R: AsRef<Report>>(&self, outcome: &Result<R, ValidationError>) {
        let counter = match outcome {
            Ok(report) if report.as_ref().valid => &self.valid,
            Ok(_) => &self.invalid,
            Err(error) if error.kind() == ErrorKind::Exhausted => &self.exhausted,
            Err(_) => &self.errors,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn took(&self, took: Duration) {
        self.judge_us.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn snapshot(&self, cache: CacheStats) -> Stats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            valid: load(&self.valid),
            invalid: load(&self.invalid),
            exhausted: load(&self.exhausted),
            errors: load(&self.errors),
            judge_us: self.judge_us.snapshot(),
            cache,
        }
    }
}
