use serde::{Deserialize, Serialize};

/// A sum of floats without any rounding, so that it does not depend on the order in which they were added.
///
/// Fixed-point digits of 32 bits from 2^-2176 on: room for every finite float, for its square, and for 2^64 of them. Each digit has 128 bits, so
/// that carries can wait. The idea is Kulisch's long accumulator.
#[derive(Clone, Debug, Default)]
pub(super) struct ExactSum {
    /// Empty as long as nothing was added; the last digit holds the sign.
    digits: Vec<i128>,
    /// How many additions the digits have taken since carries were last settled.
    waiting: u32,
}

/// What the lowest digit counts, as a power of two.
const LOWEST: i32 = -2176;
const DIGITS: usize = 136;
const DIGIT_BITS: u32 = 32;
const LOW: u128 = (1 << DIGIT_BITS) - 1;
/// One addition moves a digit by less than 2^98: this many fit into 127 bits.
const MOST_WAITING: u32 = 1 << 20;

impl ExactSum {
    /// Adds `value`, `count` times. What is not finite adds nothing.
    pub(super) fn add(&mut self, value: f64, count: u64) {
        let (mantissa, exponent) = parts(value);
        self.add_parts(u128::from(mantissa), exponent, value.is_sign_negative(), count);
    }

    /// Adds the square of `value`, `count` times.
    pub(super) fn add_square(&mut self, value: f64, count: u64) {
        let (mantissa, exponent) = parts(value);
        let mantissa = u128::from(mantissa);
        self.add_parts(mantissa.saturating_mul(mantissa), exponent.saturating_mul(2), false, count);
    }

    /// Adds an integer, `count` times.
    pub(super) fn add_integer(&mut self, value: i64, count: u64) {
        self.add_parts(u128::from(value.unsigned_abs()), 0, value < 0, count);
    }

    /// Adds the square of an integer, `count` times.
    pub(super) fn add_integer_square(&mut self, value: i64, count: u64) {
        let magnitude = u128::from(value.unsigned_abs());
        self.add_parts(magnitude.saturating_mul(magnitude), 0, false, count);
    }

    fn add_parts(&mut self, mantissa: u128, exponent: i32, negative: bool, count: u64) {
        if mantissa == 0 || count == 0 {
            return;
        }
        if self.digits.is_empty() {
            self.digits = vec![0; DIGITS];
        }
        let position = exponent.saturating_sub(LOWEST).unsigned_abs();
        let (first, shift) = (position / DIGIT_BITS, position % DIGIT_BITS);
        for (half, half_first) in [(mantissa & u128::from(u64::MAX), first), (mantissa >> 64, first + 2)] {
            // 64 bits, shifted by at most 31: three digits.
            let mut rest = half << shift;
            for digit in self.digits.iter_mut().skip(half_first as usize).take(3) {
                let part = (rest & LOW).saturating_mul(u128::from(count)).cast_signed();
                *digit = digit.saturating_add(if negative { -part } else { part });
                rest >>= DIGIT_BITS;
            }
        }
        self.waiting = self.waiting.saturating_add(1);
        if self.waiting >= MOST_WAITING {
            self.settle();
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if other.digits.is_empty() {
            return;
        }
        self.settle();
        let mut other = other.clone();
        other.settle();
        if self.digits.is_empty() {
            *self = other;
            return;
        }
        for (mine, theirs) in self.digits.iter_mut().zip(&other.digits) {
            *mine = mine.saturating_add(*theirs);
        }
        self.settle();
    }

    /// Carries: from here on equal sums have equal digits, all but the last from 0 to 2^32 - 1.
    fn settle(&mut self) {
        self.waiting = 0;
        let last = self.digits.len().saturating_sub(1);
        let mut carry = 0_i128;
        for (place, digit) in self.digits.iter_mut().enumerate() {
            *digit = digit.saturating_add(carry);
            if place < last {
                carry = *digit >> DIGIT_BITS;
                *digit &= LOW.cast_signed();
            }
        }
    }

    /// The sign, and the digits of the magnitude from the lowest on.
    fn magnitude(&self) -> (bool, Vec<u32>) {
        let mut sum = self.clone();
        sum.settle();
        let negative = sum.digits.last().is_some_and(|digit| *digit < 0);
        if negative {
            sum.digits.iter_mut().for_each(|digit| *digit = digit.saturating_neg());
            sum.settle();
        }
        let digit = |digit: &i128| u32::try_from(*digit).unwrap_or(u32::MAX);
        (negative, sum.digits.iter().map(digit).collect())
    }

    /// The nearest float; infinite beyond the largest.
    pub(super) fn value(&self) -> f64 {
        let (negative, digits) = self.magnitude();
        let value = rounded(&digits, LOWEST);
        if negative { -value } else { value }
    }

    /// `count` times the sum of squares in `self`, minus the square of `sum`, rounded once: `count` squared times the variance.
    pub(super) fn spread(&self, sum: &Self, count: u64) -> f64 {
        let (_, squares) = self.magnitude();
        let (_, sum) = sum.magnitude();
        // Both begin at 2 * LOWEST, which is 68 digits below LOWEST.
        let below = LOWEST.unsigned_abs() / DIGIT_BITS;
        let mut result = vec![0_i128; DIGITS * 2 + 4];
        for (place, digit) in squares.iter().enumerate().filter(|(_, digit)| **digit != 0) {
            let product = u128::from(*digit).saturating_mul(u128::from(count)).cast_signed();
            if let Some(at) = result.get_mut(place + below as usize) {
                *at = at.saturating_add(product);
            }
        }
        for (left, a) in sum.iter().enumerate().filter(|(_, digit)| **digit != 0) {
            for (right, b) in sum.iter().enumerate().filter(|(_, digit)| **digit != 0) {
                if let Some(at) = result.get_mut(left + right) {
                    *at = at.saturating_sub(i128::from(*a).saturating_mul(i128::from(*b)));
                }
            }
        }
        let mut carry = 0_i128;
        for digit in &mut result {
            *digit = digit.saturating_add(carry);
            carry = *digit >> DIGIT_BITS;
            *digit &= LOW.cast_signed();
        }
        let digits: Vec<u32> = result.iter().map(|digit| u32::try_from(*digit).unwrap_or(u32::MAX)).collect();
        rounded(&digits, LOWEST.saturating_mul(2))
    }
}

/// The magnitude of a finite float as an integer times a power of two; nothing for what is not finite.
fn parts(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let exponent = i32::try_from(bits >> 52 & 0x7ff).unwrap_or(0);
    match exponent {
        0 => (fraction, -1074),
        0x7ff => (0, 0),
        _ => (fraction | 1 << 52, exponent.saturating_sub(1075)),
    }
}

/// The float nearest to digits of 32 bits, the lowest of which counts 2^`lowest`.
#[expect(clippy::cast_precision_loss, reason = "this is where it is rounded, once")]
fn rounded(digits: &[u32], lowest: i32) -> f64 {
    let Some(top) = digits.iter().rposition(|digit| *digit != 0) else { return 0.0 };
    let first = top.saturating_sub(3);
    let mut head = 0_u128;
    for digit in digits.iter().take(top.saturating_add(1)).skip(first).rev() {
        head = head << DIGIT_BITS | u128::from(*digit);
    }
    // At least 97 bits: one more below them decides ties, and nothing else.
    if digits.iter().take(first).any(|digit| *digit != 0) {
        head |= 1;
    }
    let mut exponent = i32::try_from(first).unwrap_or(i32::MAX).saturating_mul(32).saturating_add(lowest);
    let mut value = head as f64;
    while exponent != 0 {
        let step = exponent.clamp(-900, 900);
        value *= 2_f64.powi(step);
        exponent = exponent.saturating_sub(step);
    }
    value
}

impl PartialEq for ExactSum {
    fn eq(&self, other: &Self) -> bool {
        Saved::from(self.clone()) == Saved::from(other.clone())
    }
}

/// The digits that are not zero, with their places.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Saved(Vec<(u16, i64)>);

impl From<ExactSum> for Saved {
    fn from(mut sum: ExactSum) -> Self {
        sum.settle();
        let digits = sum.digits.iter().enumerate().filter(|(_, digit)| **digit != 0);
        let saved = |(place, digit): (usize, &i128)| {
            (u16::try_from(place).unwrap_or(u16::MAX), i64::try_from(*digit).unwrap_or(i64::MAX))
        };
        Self(digits.map(saved).collect())
    }
}

impl TryFrom<Saved> for ExactSum {
    type Error = &'static str;

    fn try_from(saved: Saved) -> Result<Self, Self::Error> {
        let mut sum = Self::default();
        if !saved.0.is_empty() {
            sum.digits = vec![0; DIGITS];
        }
        for (place, value) in saved.0 {
            let place = usize::from(place);
            let settled = u32::try_from(value).is_ok() || place == DIGITS - 1;
            match sum.digits.get_mut(place).filter(|_| settled) {
                Some(digit) => *digit = i128::from(value),
                None => return Err("a sum has a digit that cannot be"),
            }
        }
        Ok(sum)
    }
}

impl Serialize for ExactSum {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Saved::from(self.clone()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ExactSum {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(Saved::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(values: &[f64]) -> ExactSum {
        let mut sum = ExactSum::default();
        values.iter().for_each(|value| sum.add(*value, 1));
        sum
    }

    #[test]
    fn nothing_is_lost_between_very_large_and_very_small() {
        assert_eq!(sum(&[1e300, 1.0, -1e300]).value(), 1.0);
        assert_eq!(sum(&[f64::MAX, f64::MIN_POSITIVE, -f64::MAX]).value(), f64::MIN_POSITIVE);
        assert_eq!(sum(&[5e-324, 5e-324]).value(), 1e-323);
        assert_eq!(sum(&[0.1; 10]).value(), 1.0);
        assert_eq!(sum(&[-0.5, -0.25]).value(), -0.75);
        assert_eq!(sum(&[f64::MAX, f64::MAX]).value(), f64::INFINITY);
        assert_eq!(ExactSum::default().value(), 0.0);
    }

    #[test]
    fn a_count_is_that_many_additions() {
        let mut counted = ExactSum::default();
        counted.add(-1.1, 1000);
        counted.add_integer(i64::MIN, u64::MAX);
        counted.add_integer(i64::MIN, 1);
        let mut squares = ExactSum::default();
        squares.add_integer_square(-3, 4);
        squares.add_square(1.5, 2);
        assert_eq!(squares.value(), 40.5);
        let mut one_by_one = sum(&vec![-1.1; 1000]);
        one_by_one.add_integer(i64::MIN, u64::MAX);
        one_by_one.add(i64::MIN as f64, 1);
        assert_eq!(counted, one_by_one);
    }

    #[test]
    fn the_spread_of_values_that_hardly_differ_is_exact() {
        let values = [1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0];
        let mut squares = ExactSum::default();
        values.iter().for_each(|value| squares.add_square(*value, 1));
        assert_eq!(squares.spread(&sum(&values), 4) / (4.0 * 3.0), 30.0);
        let mut square = ExactSum::default();
        square.add_square(0.1, 1);
        assert_eq!(square.spread(&sum(&[0.1]), 1), 0.0);
    }

    proptest! {
        #[test]
        fn any_order_and_any_split_give_the_same_sum(
            values in prop::collection::vec(prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL, 0..40),
            cut in any::<prop::sample::Index>(),
        ) {
            let whole = sum(&values);
            let (left, right) = values.split_at(cut.index(values.len() + 1));
            let mut merged = sum(right);
            merged.merge(&sum(left));
            prop_assert_eq!(&merged, &whole);
            let bytes = serde_json::to_vec(&whole).unwrap();
            prop_assert_eq!(serde_json::from_slice::<ExactSum>(&bytes).unwrap(), whole);
        }

        #[test]
        fn sums_of_integers_are_those_of_128_bits(values in prop::collection::vec(any::<i64>(), 0..40)) {
            let mut exact = ExactSum::default();
            values.iter().for_each(|value| exact.add_integer(*value, 1));
            prop_assert_eq!(exact.value(), values.iter().map(|value| i128::from(*value)).sum::<i128>() as f64);
        }
    }
}
