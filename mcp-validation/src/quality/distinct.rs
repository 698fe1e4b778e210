use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use serde::{Deserialize, Serialize};

use super::Score;

/// What identifies a value: the first 16 bytes of the BLAKE3 digest of what it means.
pub(super) type Identity = u128;

/// How often each value was seen: exact up to `max` different ones, and from then on a sample.
///
/// The sample holds the `max` smallest identities, each with its full count: identities are as good as random, so they are a sample of the
/// different values (Bar-Yossef and others, Counting distinct elements in a data stream, 2002). Which ones these are depends on the set
/// of values alone, so merging keeps all its laws.
#[derive(Clone, Debug)]
pub(super) struct Distinct {
    max: u64,
    /// No identity from here on is kept; above all of them while none was dropped.
    bound: Option<Identity>,
    counts: HashMap<Identity, u64, BuildHasherDefault<Unhashed>>,
}

/// Identities are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unhashed(u64);

impl Hasher for Unhashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    #[expect(clippy::cast_possible_truncation, reason = "the low half is as random as the high one")]
    fn write_u128(&mut self, identity: u128) {
        self.0 = identity as u64;
    }
}

/// A number with what it may be off by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Estimate {
    /// The number, or the best guess at it.
    pub value: f64,
    /// By how much it may be wrong: zero where it was counted, else three standard errors.
    pub error: f64,
}

impl Estimate {
    /// A number that was counted.
    #[expect(clippy::cast_precision_loss, reason = "2^53 records are more than are ever counted")]
    pub(super) const fn exact(value: u64) -> Self {
        Self { value: value as f64, error: 0.0 }
    }

    /// Whether it was counted.
    #[must_use]
    pub fn is_exact(self) -> bool {
        self.error == 0.0
    }
}

impl Distinct {
    pub(super) fn new(max: u64) -> Self {
        Self { max, bound: None, counts: HashMap::default() }
    }

    pub(super) fn add(&mut self, identity: Identity, count: u64) {
        if self.bound.is_some_and(|bound| identity >= bound) {
            return;
        }
        let total = self.counts.entry(identity).or_default();
        *total = total.saturating_add(count);
        // A little more than is kept, so that not every new value sorts all of them.
        if self.counts.len() as u64 > self.max.saturating_add(self.max / 8) {
            self.settle();
        }
    }

    /// Takes all of `other`.
    pub(super) fn merge(&mut self, mut other: Self) {
        if other.counts.len() > self.counts.len() {
            std::mem::swap(self, &mut other);
        }
        self.bound = match (self.bound, other.bound) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        if let Some(bound) = self.bound {
            self.counts.retain(|identity, _| *identity < bound);
        }
        for (identity, count) in other.counts.drain() {
            self.add(identity, count);
        }
        self.settle();
    }

    /// Drops what is too much: only now do equal sets of values have equal states.
    pub(super) fn settle(&mut self) {
        let Some(excess) = (self.counts.len() as u64).checked_sub(self.max).filter(|excess| *excess > 0)
        else {
            return;
        };
        let mut identities: Vec<Identity> = self.counts.keys().copied().collect();
        let first_dropped = identities.len().saturating_sub(usize::try_from(excess).unwrap_or(usize::MAX));
        let bound = *identities.select_nth_unstable(first_dropped).1;
        drop(identities);
        self.counts.retain(|identity, _| *identity < bound);
        self.bound = Some(bound);
    }

    /// Which share of all identities is looked at.
    #[expect(clippy::cast_precision_loss, reason = "a share of three digits is asked for")]
    fn share(&self) -> Option<f64> {
        self.bound.map(|bound| bound as f64 / 2_f64.powi(128))
    }

    /// How many different values there are.
    pub(super) fn distinct(&self) -> Estimate {
        self.estimate(self.counts.len())
    }

    /// How many values were seen once.
    pub(super) fn once(&self) -> Estimate {
        self.estimate(self.counts.values().filter(|count| **count == 1).count())
    }

    /// What `seen` values of the sample say about all.
    #[expect(clippy::cast_precision_loss, reason = "a sample has far fewer than 2^53 values")]
    fn estimate(&self, seen: usize) -> Estimate {
        match self.share() {
            None => Estimate::exact(seen as u64),
            Some(0.0) => Estimate { value: 0.0, error: f64::MAX },
            Some(share) => {
                // The variance of a count of a sample is about the count; nine more keep it honest where few or none were seen, and
                // the share itself is known to one part in the square root of the size.
                let kept = self.counts.len().max(1) as f64;
                let value = seen as f64 / share;
                let of_sample = ((seen as f64 + 9.0) * (1.0 - share)).sqrt() / share;
                Estimate { value, error: 3.0 * of_sample.hypot(value / kept.sqrt()) }
            }
        }
    }

    /// Records whose value no other has, of `records`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is no less than 0 and at most the records"
    )]
    #[expect(clippy::cast_precision_loss, reason = "the error is far larger than the last digit")]
    pub(super) fn unique(&self, records: u64) -> Score {
        let once = self.once();
        if once.is_exact() {
            return Score::new(once.value as u64, records);
        }
        let numerator = once.value.round().clamp(0.0, records as f64) as u64;
        let error = if records == 0 { 0.0 } else { (once.error / records as f64).min(1.0) };
        Score { error, ..Score::new(numerator, records) }
    }

    /// Whether it can have been made by adding with `max`.
    pub(super) fn is_sound(&self, max: u64) -> bool {
        self.max == max
            && self.counts.len() as u64 <= max
            && self.bound.is_none_or(|bound| self.counts.keys().all(|identity| *identity < bound))
    }
}

impl PartialEq for Distinct {
    fn eq(&self, other: &Self) -> bool {
        self.max == other.max && self.bound == other.bound && self.counts == other.counts
    }
}

#[derive(Serialize, Deserialize)]
struct Saved {
    max: u64,
    bound: Option<[u8; 16]>,
    counts: Vec<([u8; 16], u64)>,
}

impl Serialize for Distinct {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut counts: Vec<([u8; 16], u64)> =
            self.counts.iter().map(|(identity, count)| (identity.to_be_bytes(), *count)).collect();
        counts.sort_unstable();
        Saved { max: self.max, bound: self.bound.map(u128::to_be_bytes), counts }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let saved = Saved::deserialize(deserializer)?;
        let counts = saved.counts.into_iter().map(|(identity, count)| (u128::from_be_bytes(identity), count));
        Ok(Self { max: saved.max, bound: saved.bound.map(u128::from_be_bytes), counts: counts.collect() })
    }
}

#[cfg(test)]
mod tests {
    use mcp_core::Digest;
    use proptest::prelude::*;

    use super::*;

    fn identity(value: u32) -> Identity {
        u128::from_be_bytes(*Digest::of(&value.to_le_bytes()).as_bytes().first_chunk().unwrap())
    }

    fn distinct(values: &[u32], max: u64) -> Distinct {
        let mut distinct = Distinct::new(max);
        values.iter().for_each(|value| distinct.add(identity(*value), 1));
        distinct.settle();
        distinct
    }

    #[test]
    fn up_to_its_size_it_counts_and_beyond_it_keeps_within_its_error() {
        // 30,000 values once, 10,000 values three times.
        let values: Vec<u32> =
            (0..60_000).map(|n| if n < 30_000 { n } else { 30_000 + n % 10_000 }).collect();
        let exact = distinct(&values, 40_000);
        assert_eq!((exact.distinct(), exact.once()), (Estimate::exact(40_000), Estimate::exact(30_000)));
        let rough = distinct(&values, 2000);
        assert_eq!(rough.counts.len(), 2000);
        for (estimate, right) in [(rough.distinct(), 40_000.0), (rough.once(), 30_000.0)] {
            assert!((estimate.value - right).abs() <= estimate.error, "{estimate:?} {right}");
            assert!(estimate.error < right * 0.15, "{estimate:?}");
        }
        let score = rough.unique(60_000);
        assert!((score.ratio().unwrap() - 0.5).abs() <= score.error && score.error > 0.0, "{score:?}");
        assert!(!rough.once().is_exact());
    }

    proptest! {
        #[test]
        fn any_order_and_any_split_give_the_same_sample(
            values in prop::collection::vec(0_u32..60, 0..100),
            cut in any::<prop::sample::Index>(),
            max in 0_u64..80,
        ) {
            let whole = distinct(&values, max);
            let (left, right) = values.split_at(cut.index(values.len() + 1));
            let mut merged = distinct(right, max);
            merged.merge(distinct(left, max));
            prop_assert_eq!(&merged, &whole);
            prop_assert!(whole.is_sound(max));
            let mut backwards = values.clone();
            backwards.reverse();
            prop_assert_eq!(&distinct(&backwards, max), &whole);
            let bytes = serde_json::to_vec(&whole).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Distinct>(&bytes).unwrap(), whole);
        }
    }
}
