use std::collections::BTreeMap;

use mcp_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::distinct::{Distinct, Estimate, Identity};
use super::exact_sum::ExactSum;
use super::frequent::{Frequent, FrequentValue};
use super::policy::QualityPolicy;
use super::spread::Spread;
use super::typed::Known;

/// What is kept of the values of one field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct FieldState {
    /// Whether the policy names it.
    named: bool,
    /// How many are of each type, in the order of [`TYPES`].
    types: [u64; 7],
    distinct: Distinct,
    /// Where values are kept.
    frequent: Option<Frequent>,
    /// Where there are numbers.
    numbers: Option<Box<Numbers>>,
    /// The earliest and the latest date or timestamp, in microseconds.
    moments: Option<(i64, i64)>,
}

/// What numbers are, of values that are there.
const TYPES: [&str; 7] = ["boolean", "integer", "number", "text", "date", "timestamp", "composite"];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Numbers {
    sum: ExactSum,
    squares: ExactSum,
    least: Number,
    greatest: Number,
    spread: Spread,
}

/// A number that keeps all its digits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Number {
    Integer(i64),
    Float(f64),
}

impl Number {
    /// The nearest float.
    #[expect(clippy::cast_precision_loss, reason = "quantiles of integers beyond 2^53 are floats")]
    const fn float(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }

    fn json(self) -> serde_json::Number {
        match self {
            Self::Integer(integer) => integer.into(),
            Self::Float(float) => serde_json::Number::from_f64(float).unwrap_or_else(|| 0.into()),
        }
    }

    fn is_below(self, other: Self) -> bool {
        match (self, other) {
            (Self::Integer(one), Self::Integer(two)) => one < two,
            // A float here is no integer of 64 bits, so it has a fraction or lies beyond them all.
            (one, two) => one.float() < two.float(),
        }
    }
}

impl FieldState {
    pub(super) fn new(policy: &QualityPolicy, named: bool) -> Self {
        Self {
            named,
            types: [0; 7],
            distinct: Distinct::new(policy.max_values),
            frequent: (policy.profile.frequent > 0).then(|| Frequent::new(policy.max_values)),
            numbers: None,
            moments: None,
        }
    }

    /// Counts a value that is there, `count` times.
    pub(super) fn add(
        &mut self,
        policy: &QualityPolicy,
        identity: Identity,
        known: Known,
        text: &str,
        count: u64,
    ) {
        let place = match known {
            Known::Boolean(_) => 0,
            Known::Integer(_) => 1,
            Known::Number(_) => 2,
            Known::Text => 3,
            Known::Date(_) => 4,
            Known::Moment(_) => 5,
            Known::Composite => 6,
        };
        if let Some(total) = self.types.get_mut(place) {
            *total = total.saturating_add(count);
        }
        self.distinct.add(identity, count);
        if let Some(frequent) = &mut self.frequent {
            frequent.add(identity, &known.shown(text), count);
        }
        match known {
            Known::Integer(integer) => self.number(policy, Number::Integer(integer), count),
            Known::Number(float) => self.number(policy, Number::Float(float), count),
            Known::Date(micros) | Known::Moment(micros) => {
                let (first, last) = self.moments.get_or_insert((micros, micros));
                (*first, *last) = ((*first).min(micros), (*last).max(micros));
            }
            _ => {}
        }
    }

    fn number(&mut self, policy: &QualityPolicy, number: Number, count: u64) {
        let numbers = self.numbers.get_or_insert_with(|| {
            Box::new(Numbers {
                sum: ExactSum::default(),
                squares: ExactSum::default(),
                least: number,
                greatest: number,
                spread: Spread::new(policy.max_values),
            })
        });
        match number {
            Number::Integer(integer) => {
                numbers.sum.add_integer(integer, count);
                numbers.squares.add_integer_square(integer, count);
            }
            Number::Float(float) => {
                numbers.sum.add(float, count);
                numbers.squares.add_square(float, count);
            }
        }
        numbers.spread.add(number.float(), count);
        numbers.widen(number);
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (mine, theirs) in self.types.iter_mut().zip(other.types) {
            *mine = mine.saturating_add(theirs);
        }
        self.distinct.merge(other.distinct);
        if let (Some(mine), Some(theirs)) = (&mut self.frequent, other.frequent) {
            mine.merge(theirs);
        }
        match (&mut self.numbers, other.numbers) {
            (Some(mine), Some(theirs)) => mine.merge(*theirs),
            (mine @ None, theirs) => *mine = theirs,
            (Some(_), None) => {}
        }
        self.moments = match (self.moments, other.moments) {
            (Some(one), Some(two)) => Some((one.0.min(two.0), one.1.max(two.1))),
            (one, two) => one.or(two),
        };
    }

    pub(super) fn settle(&mut self) {
        self.distinct.settle();
        if let Some(frequent) = &mut self.frequent {
            frequent.settle();
        }
    }

    pub(super) const fn is_named(&self) -> bool {
        self.named
    }

    /// How many values are there.
    pub(super) fn present(&self) -> u64 {
        self.types.iter().fold(0, |total, count| total.saturating_add(*count))
    }

    pub(super) fn frequent(&self) -> Option<&Frequent> {
        self.frequent.as_ref()
    }

    /// Whether it can have been made under `policy`, of no more than `records`.
    pub(super) fn is_sound(&self, policy: &QualityPolicy, records: u64) -> bool {
        self.present() <= records
            && self.distinct.is_sound(policy.max_values)
            && self.frequent.is_some() == (policy.profile.frequent > 0)
            && self.frequent.as_ref().is_none_or(|frequent| frequent.is_sound(policy.max_values))
            && self.numbers.as_ref().is_none_or(|numbers| {
                let finite =
                    [numbers.least, numbers.greatest].iter().all(|number| number.float().is_finite());
                finite && numbers.spread.is_sound(policy.max_values)
            })
    }

    /// Its figures; `records` are all that could be read.
    pub(super) fn profile(&self, policy: &QualityPolicy, path: &str, records: u64) -> FieldProfile {
        let present = self.present();
        let types = TYPES.iter().zip(self.types).filter(|(_, count)| *count > 0);
        let moment = |micros| Timestamp::from_micros(micros);
        FieldProfile {
            field: path.to_owned(),
            nulls: records.saturating_sub(present),
            types: types.map(|(name, count)| ((*name).to_owned(), count)).collect(),
            distinct: self.distinct.distinct(),
            frequent: self
                .frequent
                .as_ref()
                .map(|frequent| frequent.top(usize::try_from(policy.profile.frequent).unwrap_or(usize::MAX)))
                .unwrap_or_default(),
            numbers: self.numbers.as_ref().map(|numbers| {
                let count = self
                    .types
                    .iter()
                    .skip(1)
                    .take(2)
                    .fold(0_u64, |total, count| total.saturating_add(*count));
                numbers.profile(&policy.profile.quantiles, count)
            }),
            earliest: self.moments.map(|(first, _)| moment(first)),
            latest: self.moments.map(|(_, last)| moment(last)),
        }
    }
}

impl Numbers {
    fn widen(&mut self, number: Number) {
        if number.is_below(self.least) {
            self.least = number;
        }
        if self.greatest.is_below(number) {
            self.greatest = number;
        }
    }

    fn merge(&mut self, other: Self) {
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
        self.spread.merge(other.spread);
        self.widen(other.least);
        self.widen(other.greatest);
    }

    #[expect(clippy::cast_precision_loss, reason = "a count is divided by, which rounds anyway")]
    fn profile(&self, quantiles: &[f64], count: u64) -> NumberProfile {
        let sum = self.sum.value();
        let finite = |value: f64| Some(value).filter(|value| value.is_finite());
        let variance =
            self.squares.spread(&self.sum, count) / (count as f64) / (count.saturating_sub(1) as f64);
        let quantile = |share: &f64| Some(Quantile { share: *share, value: self.spread.quantile(*share)? });
        NumberProfile {
            count,
            min: self.least.json(),
            max: self.greatest.json(),
            sum: finite(sum),
            mean: finite(sum / count as f64),
            standard_deviation: if count < 2 { None } else { finite(variance.sqrt()) },
            quantiles: quantiles.iter().filter_map(quantile).collect(),
            quantile_error: self.spread.relative_error(),
        }
    }
}

/// The figures of one field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FieldProfile {
    /// Where it stands, as a JSON Pointer.
    pub field: String,
    /// In how many readable records it is null or absent.
    pub nulls: u64,
    /// How many values are of each type: boolean, integer, number (which no integer of 64 bits can be), text, date, timestamp, composite.
    pub types: BTreeMap<String, u64>,
    /// How many different values there are.
    pub distinct: Estimate,
    /// Those that are seen most often, as many as the policy asks for.
    pub frequent: Vec<FrequentValue>,
    /// Of the values that are numbers, if any are.
    pub numbers: Option<NumberProfile>,
    /// Of the values that are dates or timestamps.
    pub earliest: Option<Timestamp>,
    /// Of the values that are dates or timestamps.
    pub latest: Option<Timestamp>,
}

/// The figures of numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NumberProfile {
    /// How many numbers there are.
    pub count: u64,
    /// The least.
    pub min: serde_json::Number,
    /// The greatest.
    pub max: serde_json::Number,
    /// Their sum, rounded once; `None` beyond the largest float.
    pub sum: Option<f64>,
    /// The sum divided by the count.
    pub mean: Option<f64>,
    /// Of a sample: the sum of squared differences from the mean, without rounding on the way, by one less than the count; `None` for one.
    pub standard_deviation: Option<f64>,
    /// As many as the policy asks for.
    pub quantiles: Vec<Quantile>,
    /// By how much of itself each value that a quantile lies at or between may be wrong; 0 where all values were kept.
    pub quantile_error: f64,
}

/// A value, and which share of all is not greater.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Quantile {
    /// From 0 to 1.
    pub share: f64,
    /// Interpolated between neighbours.
    pub value: f64,
}
