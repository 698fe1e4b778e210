use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Four buckets for each power of two, up to 2^36: about 19 hours, in microseconds.
const BUCKETS: usize = 4 * 35;

/// How often values of each size came, in buckets that are at most a quarter wide: fixed, so that snapshots of many processes can be
/// added up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Histogram {
    /// How many values there were.
    pub count: u64,
    /// All of them together.
    pub sum: u64,
    /// The buckets that have any, from the lowest.
    pub buckets: Vec<Bucket>,
}

/// Values up to a bound, and above that of the bucket before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Bucket {
    /// The greatest value that belongs here; the last bucket takes all above it too.
    pub up_to: u64,
    /// How many there were.
    pub count: u64,
}

impl Histogram {
    /// A value that this part of all values does not exceed, at most a quarter too great: 0.99 of them for the 99th percentile. `None`
    /// while there are no values.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<u64> {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank among counts that fit; out of range it saturates"
        )]
        let rank = ((self.count as f64 * part).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0_u64;
        self.buckets.iter().find_map(|bucket| {
            seen = seen.saturating_add(bucket.count);
            (seen >= rank).then_some(bucket.up_to)
        })
    }
}

/// A histogram that many threads add to without a lock.
pub struct Recorder {
    sum: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl Default for Recorder {
    fn default() -> Self {
        Self { sum: AtomicU64::new(0), buckets: [const { AtomicU64::new(0) }; BUCKETS] }
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.snapshot().fmt(f)
    }
}

impl Recorder {
    /// Counts `value`.
    pub fn record(&self, value: u64) {
        self.sum.fetch_add(value, Ordering::Relaxed);
        if let Some(bucket) = self.buckets.get(index(value)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was counted so far. While others record, it may lack a value of which the sum tells already.
    #[must_use]
    pub fn snapshot(&self) -> Histogram {
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        let buckets: Vec<Bucket> = counts
            .enumerate()
            .filter(|(_, count)| *count > 0)
            .map(|(index, count)| Bucket { up_to: greatest(index), count })
            .collect();
        let count = buckets.iter().map(|bucket| bucket.count).fold(0, u64::saturating_add);
        Histogram { count, sum: self.sum.load(Ordering::Relaxed), buckets }
    }
}

/// The bucket of a value: its highest bit, and the two behind it.
fn index(value: u64) -> usize {
    if value < 4 {
        return usize::try_from(value).unwrap_or(0);
    }
    let octave = value.ilog2();
    let quarter = (value >> (octave - 2)) & 3;
    let index = u64::from(octave - 1) * 4 + quarter;
    usize::try_from(index).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The greatest value of a bucket.
fn greatest(index: usize) -> u64 {
    let index = index as u64;
    if index < 4 {
        return index;
    }
    let (octave, quarter) = (index / 4 + 1, index % 4);
    ((5 + quarter) << (octave - 2)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_in_the_bucket_that_ends_at_most_a_quarter_above_it() {
        let values = (0..5000).chain((12..36).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 7]));
        for value in values {
            let end = greatest(index(value));
            assert!(end >= value && end - value <= value / 4, "{value} is in the bucket up to {end}");
            assert!(index(value) == 0 || greatest(index(value) - 1) < value, "{value}");
        }
        assert_eq!((index(u64::MAX), greatest(BUCKETS - 1)), (BUCKETS - 1, (1 << 36) - 1));
    }

    #[test]
    fn a_quantile_is_the_bound_of_the_bucket_in_which_its_value_is() {
        let recorder = Recorder::default();
        assert_eq!(recorder.snapshot().quantile(0.5), None);
        (1..=1000).for_each(|value| recorder.record(value));
        let found = recorder.snapshot();
        assert_eq!((found.count, found.sum), (1000, 500_500));
        for (part, exact) in [(0.0, 1), (0.5, 500), (0.99, 990), (0.999, 999), (1.0, 1000), (7.0, 1000)] {
            let end = found.quantile(part).expect("a value");
            assert!(end >= exact && end - exact <= exact / 4, "{part}: {end}");
        }
    }
}
