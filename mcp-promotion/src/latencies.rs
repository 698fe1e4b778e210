use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long requests took: a count for each of 976 fixed buckets, so that those of several instances can be added up.
///
/// Below 32 microseconds every microsecond has a bucket of its own; above, each doubling has 16, so that a bucket is at most 1/16 (6.25%) of
/// its value wide. Values are kept as the upper end of their bucket. As JSON it is a list of pairs of microseconds and counts, such as
/// `[[1500, 98], [20000, 2]]`; any microseconds can be given, in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct Latencies {
    /// The buckets that are not empty, in order.
    buckets: Vec<(u16, u64)>,
    /// The sum of their counts.
    count: u64,
}

impl Latencies {
    /// Of no requests.
    #[must_use]
    pub const fn new() -> Self {
        Self { buckets: Vec::new(), count: 0 }
    }

    /// One request more that took this long.
    pub fn record(&mut self, took: Duration) {
        self.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), 1);
    }

    /// So many requests more that took so many microseconds each. A count that does not fit any more stays at the most that fits.
    pub fn add(&mut self, micros: u64, count: u64) {
        self.add_to(bucket(micros), count);
    }

    fn add_to(&mut self, bucket: u16, count: u64) {
        if count == 0 {
            return;
        }
        self.count = self.count.saturating_add(count);
        match self.buckets.binary_search_by_key(&bucket, |(at, _)| *at) {
            Ok(found) => {
                if let Some((_, held)) = self.buckets.get_mut(found) {
                    *held = held.saturating_add(count);
                }
            }
            Err(place) => self.buckets.insert(place, (bucket, count)),
        }
    }

    /// Takes in what another one holds. The order of merging changes nothing.
    pub fn merge(&mut self, other: &Self) {
        for (at, count) in &other.buckets {
            self.add_to(*at, *count);
        }
    }

    /// How many requests it holds.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// `keep` of its requests, drawn bucket by bucket: `among(marked, keep, total)` draws how many of `marked` requests are among `keep` of
    /// `total`.
    pub(crate) fn thinned(&self, mut keep: u64, mut among: impl FnMut(u64, u64, u64) -> u64) -> Self {
        let mut left = self.count();
        let mut thinned = Self::new();
        for (at, count) in &self.buckets {
            let kept = among(*count, keep, left);
            left = left.saturating_sub(*count);
            keep = keep.saturating_sub(kept);
            thinned.add_to(*at, kept);
        }
        thinned
    }

    /// Within how many microseconds so many millionths of the requests were done: at most 1/16 more than exact; `None` of no requests.
    #[must_use]
    pub fn quantile(&self, ppm: u32) -> Option<u64> {
        let count = u128::from(self.count());
        let wanted = (count * u128::from(ppm.min(1_000_000))).div_ceil(1_000_000).max(1);
        let mut seen = 0_u128;
        self.buckets.iter().find_map(|(at, count)| {
            seen += u128::from(*count);
            (seen >= wanted).then(|| upper(*at))
        })
    }
}

impl From<Vec<(u64, u64)>> for Latencies {
    fn from(pairs: Vec<(u64, u64)>) -> Self {
        let mut latencies = Self::new();
        pairs.into_iter().for_each(|(micros, count)| latencies.add(micros, count));
        latencies
    }
}

impl From<Latencies> for Vec<(u64, u64)> {
    fn from(latencies: Latencies) -> Self {
        latencies.buckets.into_iter().map(|(at, count)| (upper(at), count)).collect()
    }
}

/// In which bucket a value is.
fn bucket(micros: u64) -> u16 {
    let at = match micros.checked_ilog2() {
        Some(doubling) if doubling >= 5 => {
            u64::from(32 + (doubling - 5) * 16) + (micros >> (doubling - 4) & 15)
        }
        _ => micros,
    };
    u16::try_from(at).unwrap_or(u16::MAX)
}

/// The largest value of a bucket.
fn upper(at: u16) -> u64 {
    let Some(above) = at.checked_sub(32) else {
        return u64::from(at);
    };
    let end = (u128::from(above % 16) + 17) << (above / 16 + 1);
    u64::try_from(end - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bucket_ends_where_the_next_one_begins_and_the_last_one_holds_the_most_that_fits() {
        for at in 0..975 {
            assert_eq!((bucket(upper(at)), bucket(upper(at) + 1)), (at, at + 1));
        }
        assert_eq!((bucket(u64::MAX), upper(975)), (975, u64::MAX));
    }

    #[test]
    fn quantiles_are_those_of_a_sorted_list_up_to_the_width_of_a_bucket() {
        let latencies = Latencies::from((1..=1000).map(|micros| (micros * 1000, 1)).collect::<Vec<_>>());
        for (ppm, exact) in [(0, 1000), (500_000, 500_000), (990_000, 990_000), (1_000_000, 1_000_000)] {
            let seen = latencies.quantile(ppm).unwrap();
            assert!(seen >= exact && seen <= exact + exact / 16, "{ppm}: {seen} is not about {exact}");
        }
        assert_eq!(Latencies::new().quantile(500_000), None);
    }

    proptest! {
        #[test]
        fn json_and_merging_lose_nothing(
            one in proptest::collection::vec((any::<u64>(), 0_u64..9), 0..9),
            other in proptest::collection::vec((any::<u64>(), 0_u64..9), 0..9),
        ) {
            let all = Latencies::from([one.clone(), other.clone()].concat());
            let (mut merged, other) = (Latencies::from(one), Latencies::from(other));
            merged.merge(&other);
            prop_assert_eq!(&merged, &all);
            let json = serde_json::to_string(&all).unwrap();
            prop_assert_eq!(serde_json::from_str::<Latencies>(&json).unwrap(), all);
        }
    }
}
