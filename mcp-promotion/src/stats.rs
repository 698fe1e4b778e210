use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::State;

/// What an engine has done since it was built, and what it knows to be open. It counts its own doing: what other engines append to the same
/// journal shows among what is open, once it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// How many promotions were requested.
    pub requested: u64,
    /// How many went into each state.
    pub transitions: BTreeMap<State, u64>,
    /// How long those took that have ended, from their request.
    pub promotions: Durations,
    /// The calls to stages, and how long each took, failed or not.
    pub calls: BTreeMap<StageCall, Durations>,
    /// How many of those failed.
    pub failed: BTreeMap<StageCall, u64>,
    /// How many batches were appended to the journal.
    pub appends: u64,
    /// How many events were in them.
    pub events: u64,
    /// How many batches were not, because somebody else was faster.
    pub lost_races: u64,
    /// How many promotions are pending, as far as this engine has read.
    pub pending: u64,
    /// How many were started and have not ended, as far as this engine has read.
    pub in_flight: u64,
}

/// A call to a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StageCall {
    /// What it runs.
    Observe,
    /// To change what it runs.
    Apply,
    /// What it has counted.
    Sample,
}

impl fmt::Display for StageCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Observe => "observe",
            Self::Apply => "apply",
            Self::Sample => "sample",
        })
    }
}

/// How long things took: how many, together, the longest, and how many took less than each power of two of milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Durations {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub total: Duration,
    /// The longest.
    pub longest: Duration,
    /// How many took less than 2^n milliseconds, and no less than half of that (none for n = 0), by n.
    pub below: BTreeMap<u8, u64>,
}

impl Durations {
    pub(crate) fn add(&mut self, duration: Duration) {
        self.count = self.count.saturating_add(1);
        self.total = self.total.saturating_add(duration);
        self.longest = self.longest.max(duration);
        let bits = u128::BITS.saturating_sub(duration.as_millis().leading_zeros());
        let bucket = self.below.entry(u8::try_from(bits).unwrap_or(u8::MAX)).or_default();
        *bucket = bucket.saturating_add(1);
    }

    /// Below which duration this part of them stayed, such as 0.99, to the next power of two of milliseconds; `None` for none.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let mut seen = 0_u64;
        self.below.iter().find_map(|(bits, count)| {
            seen = seen.saturating_add(*count);
            let millis = 1_u64.checked_shl(u32::from(*bits)).unwrap_or(u64::MAX);
            #[expect(clippy::cast_precision_loss, reason = "a count that large is exact enough")]
            let reached = seen as f64 >= part * self.count as f64;
            reached.then(|| Duration::from_millis(millis))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_to_the_next_power_of_two_of_milliseconds() {
        let mut durations = Durations::default();
        assert_eq!(durations.quantile(0.5), None);
        for micros in [10, 999, 1000, 1999, 2000, 70_000] {
            durations.add(Duration::from_micros(micros));
        }
        let below: Vec<(u8, u64)> = durations.below.clone().into_iter().collect();
        assert_eq!(below, [(0, 2), (1, 2), (2, 1), (7, 1)]);
        let millis = |part| durations.quantile(part).map(|duration| duration.as_millis());
        assert_eq!([0.33, 0.5, 0.83, 0.99].map(millis), [Some(1), Some(2), Some(4), Some(128)]);
        assert_eq!((durations.count, durations.longest), (6, Duration::from_millis(70)));
        let mut endless = Durations::default();
        endless.add(Duration::MAX);
        assert_eq!(endless.quantile(1.0), Some(Duration::from_millis(u64::MAX)));
    }
}
