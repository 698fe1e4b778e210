use std::cmp::Ordering;

use super::pass::{Pass, Source};
use super::plan::RowCheck;
use super::typed::{Known, identity};
use crate::ValidationError;

/// What was found of the whole record before anything is counted, since it may not be possible to tell.
pub(super) struct Judged {
    valid: Option<bool>,
    /// In the order of the rules.
    rules: Vec<bool>,
}

impl Pass<'_> {
    /// Asks the contract, and the rules of which it is not known what they look at.
    pub(super) fn judge(&self, source: &Source<'_>) -> Result<Judged, ValidationError> {
        let valid = match &self.quality.contract {
            Some(contract) => Some(contract.is_valid(source.document(self.quality))?),
            None => None,
        };
        let mut rules = Vec::new();
        for check in &self.quality.rows {
            if let RowCheck::Rule { contract, .. } = check {
                rules.push(contract.is_valid(source.document(self.quality))?);
            }
        }
        Ok(Judged { valid, rules })
    }

    /// Counts what concerns the record as a whole, and the record itself.
    pub(super) fn relate(&mut self, source: &Source<'_>, judged: &Judged) {
        self.records = self.records.saturating_add(1);
        let mut rules = judged.rules.iter();
        for check in &self.quality.rows {
            let (at, passes) = match check {
                RowCheck::Lookup { check, key, field, entries } => {
                    let seen = |at: usize| Some(self.current.get(at)?.as_ref()?.0);
                    let right = seen(*key).and_then(|key| entries.get(&key));
                    (*check, right.zip(seen(*field)).map(|(right, found)| *right == found))
                }
                RowCheck::Compare { check, left, operator, right, contract } => {
                    let known = |at: usize| Some(self.current.get(at)?.as_ref()?.1);
                    let both = known(*left).zip(known(*right));
                    let passes = both.map(|(left, right)| match order(left, right) {
                        Some(order) => operator.admits(order),
                        // What could not be judged within its limits does not pass.
                        None => contract.is_valid(source.document(self.quality)).unwrap_or(false),
                    });
                    (*check, passes)
                }
                RowCheck::Rule { check, .. } => (*check, rules.next().copied()),
            };
            if let (Some(passes), Some(count)) = (passes, self.counts.get_mut(at)) {
                count.add(passes, 1);
                if !passes {
                    self.failed.push(at);
                }
            }
        }
        if let (Some(valid), Some(at)) = (judged.valid, self.quality.validity())
            && let Some(count) = self.counts.get_mut(at)
        {
            count.add(valid, 1);
            if !valid {
                self.failed.push(at);
            }
        }
        self.failed.sort_unstable();
        self.count_keys();
    }

    fn count_keys(&mut self) {
        for (plan, key) in self.quality.keys.iter().zip(&mut self.keys) {
            let mut seen =
                plan.columns.iter().map(|at| self.current.get(*at)?.as_ref().map(|(identity, _)| *identity));
            let value = match plan.columns.len() {
                1 => seen.next().flatten(),
                _ => {
                    self.parts.clear();
                    let all = seen.try_for_each(|part| {
                        self.parts.extend_from_slice(&part?.to_le_bytes());
                        Some(())
                    });
                    all.map(|()| identity(&self.parts))
                }
            };
            if let Some(value) = value {
                key.records = key.records.saturating_add(1);
                key.values.add(value, 1);
            }
        }
    }
}

/// How two numbers or two moments stand to each other; `None` where a rule has to say.
fn order(left: Known, right: Known) -> Option<Ordering> {
    // A float here is no integer of 64 bits: it has a fraction, or lies beyond them all.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "beyond 128 bits it saturates, which leaves the order as it is"
    )]
    let mixed =
        |integer: i64, float: f64| i128::from(integer).cmp(&(float.floor() as i128)).then(Ordering::Less);
    match (left, right) {
        (Known::Integer(left), Known::Integer(right))
        | (Known::Date(left), Known::Date(right))
        | (Known::Moment(left), Known::Moment(right)) => Some(left.cmp(&right)),
        (Known::Integer(left), Known::Number(right)) => Some(mixed(left, right)),
        (Known::Number(left), Known::Integer(right)) => Some(mixed(right, left).reverse()),
        (Known::Number(left), Known::Number(right)) => left.partial_cmp(&right),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_floats_are_ordered_without_rounding() {
        let ascending = [
            Known::Number(-1e300),
            Known::Integer(i64::MIN),
            Known::Number(-0.5),
            Known::Integer(0),
            Known::Number(0.5),
            Known::Integer(1),
            Known::Integer(i64::MAX),
            Known::Number(1e300),
        ];
        for (place, left) in ascending.iter().enumerate() {
            for (other, right) in ascending.iter().enumerate() {
                assert_eq!(order(*left, *right), Some(place.cmp(&other)), "{left:?} {right:?}");
            }
        }
        assert_eq!(order(Known::Text, Known::Text), None);
    }
}
