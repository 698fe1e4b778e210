use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How often each number was seen, for quantiles: exact up to `max` different numbers.
///
/// Beyond that, the lowest bits of the mantissa are dropped, as few as make the groups fit. How many that are depends on the set of numbers
/// alone, and the groups add up, so merging keeps all its laws. Within a group, numbers differ from its middle by no more than
/// [`relative_error`](Self::relative_error); numbers nearer to zero than any normal one then count as zero. This is the idea of DDSketch's collapsing buckets (Epicoco and others, UDDSketch, 2020), with the
/// float's own bits as logarithm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spread {
    max: u64,
    /// How many of the 63 bits of the magnitude are dropped.
    dropped: u32,
    groups: BTreeMap<i64, u64>,
}

/// One group for every power of two, 2,046 of each sign: never more.
const MOST_DROPPED: u32 = 52;

impl Spread {
    pub(super) const fn new(max: u64) -> Self {
        Self { max, dropped: 0, groups: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, value: f64, count: u64) {
        let total = self.groups.entry(group(value, self.dropped)).or_default();
        *total = total.saturating_add(count);
        self.keep_size();
    }

    pub(super) fn merge(&mut self, mut other: Self) {
        let dropped = self.dropped.max(other.dropped);
        self.drop_bits(dropped.saturating_sub(self.dropped));
        other.drop_bits(dropped.saturating_sub(other.dropped));
        for (group, count) in other.groups {
            let total = self.groups.entry(group).or_default();
            *total = total.saturating_add(count);
        }
        self.keep_size();
    }

    fn keep_size(&mut self) {
        while self.groups.len() as u64 > self.max && self.dropped < MOST_DROPPED {
            self.drop_bits(1);
        }
    }

    fn drop_bits(&mut self, bits: u32) {
        if bits == 0 {
            return;
        }
        self.dropped = self.dropped.saturating_add(bits).min(MOST_DROPPED);
        let mut groups = BTreeMap::new();
        for (group, count) in std::mem::take(&mut self.groups) {
            // Towards zero on both sides of it, as the magnitude's bits are dropped.
            let coarser = if group < 0 { -((-(group + 1)) >> bits) - 1 } else { group >> bits };
            let total: &mut u64 = groups.entry(coarser).or_default();
            *total = total.saturating_add(count);
        }
        self.groups = groups;
    }

    /// By how much of itself a quantile may be wrong; 0 while all numbers are kept.
    pub(super) fn relative_error(&self) -> f64 {
        if self.dropped == 0 { 0.0 } else { 2_f64.powi(self.dropped.cast_signed() - 53) }
    }

    /// The value at `share` of the way from the least to the greatest, between two neighbours by linear interpolation, as pandas has it.
    #[expect(clippy::cast_precision_loss, reason = "a place among 2^53 values and more is rounded")]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is no less than 0 and below the count"
    )]
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let total = self.groups.values().fold(0_u64, |total, count| total.saturating_add(*count));
        let place = share.clamp(0.0, 1.0) * total.checked_sub(1)? as f64;
        let below = place.floor() as u64;
        let (low, high) = (self.at(below)?, self.at(below.saturating_add(1).min(total - 1))?);
        let part = place - place.floor();
        // From the nearer end, so that equal neighbours give themselves, and without a difference that overflows.
        Some(if low == high {
            low
        } else if high - low == f64::INFINITY {
            low * (1.0 - part) + high * part
        } else if part < 0.5 {
            low + (high - low) * part
        } else {
            high - (high - low) * (1.0 - part)
        })
    }

    /// The value at a place in ascending order, from 0.
    fn at(&self, place: u64) -> Option<f64> {
        let mut before = 0_u64;
        for (group, count) in &self.groups {
            before = before.saturating_add(*count);
            if place < before {
                return Some(self.middle(*group));
            }
        }
        None
    }

    fn middle(&self, group: i64) -> f64 {
        let negative = group < 0;
        let magnitude = if negative { -(group + 1) } else { group }.cast_unsigned();
        let least = f64::from_bits(magnitude << self.dropped);
        // Among the numbers nearest to zero, zero itself is what is seen; the others are below the least normal number.
        let value = if self.dropped == 0 || magnitude == 0 {
            least
        } else {
            f64::from_bits(magnitude << self.dropped | 1 << (self.dropped - 1))
        };
        // The middle of the highest group may be no number any more.
        let value = if value.is_finite() { value } else { least };
        if negative { -value } else { value }
    }

    /// Whether it can have been made by adding with `max`.
    pub(super) fn is_sound(&self, max: u64) -> bool {
        self.max == max
            && self.dropped <= MOST_DROPPED
            && (self.groups.len() as u64 <= max || self.dropped == MOST_DROPPED)
            && self.groups.keys().all(|group| {
                let magnitude = if *group < 0 { -(group + 1) } else { *group };
                magnitude <= (f64::MAX.to_bits() >> self.dropped).cast_signed()
            })
    }
}

/// Ordered as the numbers are; both zeros are one.
fn group(value: f64, dropped: u32) -> i64 {
    let magnitude = (value.abs().to_bits() >> dropped).cast_signed();
    if value < 0.0 { -magnitude - 1 } else { magnitude }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spread(values: &[f64], max: u64) -> Spread {
        let mut spread = Spread::new(max);
        values.iter().for_each(|value| spread.add(*value, 1));
        spread
    }

    #[test]
    fn quantiles_between_two_values_are_interpolated() {
        let values = spread(&[4.0, 1.0, 2.0, -3.0], 100);
        assert_eq!(values.quantile(0.0), Some(-3.0));
        assert_eq!(values.quantile(0.5), Some(1.5));
        assert_eq!(values.quantile(0.75), Some(2.5));
        assert_eq!(values.quantile(1.0), Some(4.0));
        assert_eq!(spread(&[], 100).quantile(0.5), None);
        assert_eq!(spread(&[f64::MAX, -f64::MAX], 100).quantile(0.5), Some(0.0));
    }

    #[test]
    fn beyond_its_size_it_stays_within_it_and_knows_its_error() {
        let values: Vec<f64> = (1..=10_000).map(|n| f64::from(n) * 1.37 - 5000.0).collect();
        let (exact, rough) = (spread(&values, 1_000_000), spread(&values, 500));
        assert!(rough.groups.len() <= 500, "{}", rough.groups.len());
        assert_eq!(exact.relative_error(), 0.0);
        let error = rough.relative_error();
        assert!(error > 0.0 && error < 0.04, "{error}");
        for percent in 0..=100 {
            let share = f64::from(percent) / 100.0;
            // Interpolation is between neighbours that may each be off.
            let (right, got) = (exact.quantile(share).unwrap(), rough.quantile(share).unwrap());
            assert!((right - got).abs() <= (right.abs() + 1.37) * error, "{percent} {right} {got} {error}");
        }
    }

    #[test]
    fn zero_stays_zero_beside_however_many_other_numbers() {
        let mut rough = spread(&(1..=10_000).map(f64::from).collect::<Vec<_>>(), 100);
        rough.add(0.0, 30_000);
        rough.add(-1.0, 1);
        assert!(rough.relative_error() > 0.0);
        assert_eq!(rough.quantile(0.5), Some(0.0));
    }

    proptest! {
        #[test]
        fn any_order_and_any_split_give_the_same_groups(
            values in prop::collection::vec(prop_oneof![prop::num::f64::NORMAL, (-9_i32..9).prop_map(f64::from)], 0..80),
            cut in any::<prop::sample::Index>(),
            max in 1_u64..40,
        ) {
            let whole = spread(&values, max);
            let (left, right) = values.split_at(cut.index(values.len() + 1));
            let mut merged = spread(right, max);
            merged.merge(spread(left, max));
            prop_assert_eq!(&merged, &whole);
            prop_assert!(whole.is_sound(max));
            let mut backwards: Vec<f64> = values.clone();
            backwards.reverse();
            prop_assert_eq!(spread(&backwards, max), whole);
        }

        #[test]
        fn no_value_is_further_from_its_group_than_the_error_says(value in prop::num::f64::NORMAL, bits in 0_u32..=52) {
            let mut spread = spread(&[value], 100);
            spread.drop_bits(bits);
            let got = spread.quantile(0.5).unwrap();
            prop_assert!((got - value).abs() <= value.abs() * spread.relative_error(), "{} {}", value, got);
        }
    }
}
