use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::distinct::Identity;

/// How often each value was seen, with its text: exact up to `max` different ones.
///
/// Beyond that, the counts of all are lowered until the rarest are gone, and `missed` says by how much at most (Misra and Gries, Finding
/// repeated elements, 1982; merged as Agarwal and others, Mergeable summaries, 2012). Which values are left then depends on the order; each
/// count is still right to within `missed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Frequent {
    max: u64,
    missed: u64,
    counts: BTreeMap<Identity, (u64, Box<str>)>,
}

/// A value that was seen often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FrequentValue {
    /// Its first 64 bytes as text.
    pub value: String,
    /// How often it was seen at least.
    pub count: u64,
    /// How much more often it may have been seen; 0 where all were counted.
    pub missed: u64,
}

const MAX_TEXT_BYTES: usize = 64;

impl Frequent {
    pub(super) const fn new(max: u64) -> Self {
        Self { max, missed: 0, counts: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, identity: Identity, text: &str, count: u64) {
        match self.counts.get_mut(&identity) {
            Some((total, _)) => *total = total.saturating_add(count),
            None => {
                self.counts.insert(identity, (count, beginning(text).into()));
            }
        }
        if self.counts.len() as u64 > self.max.saturating_mul(2) {
            self.settle();
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.missed = self.missed.saturating_add(other.missed);
        for (identity, (count, text)) in other.counts {
            match self.counts.get_mut(&identity) {
                Some((total, _)) => *total = total.saturating_add(count),
                None => {
                    self.counts.insert(identity, (count, text));
                }
            }
        }
        self.settle();
    }

    /// Lowers the counts until no more than `max` are left.
    pub(super) fn settle(&mut self) {
        let Ok(max) = usize::try_from(self.max) else { return };
        if self.counts.len() <= max {
            return;
        }
        let mut counts: Vec<u64> = self.counts.values().map(|(count, _)| *count).collect();
        let by = *counts.select_nth_unstable_by(max, |a, b| b.cmp(a)).1;
        self.missed = self.missed.saturating_add(by);
        self.counts.retain(|_, (count, _)| {
            *count = count.saturating_sub(by);
            *count > 0
        });
    }

    /// The most frequent first; among equals by text.
    pub(super) fn top(&self, most: usize) -> Vec<FrequentValue> {
        let mut values: Vec<&(u64, Box<str>)> = self.counts.values().collect();
        values.sort_unstable_by(|a, b| (b.0, &a.1).cmp(&(a.0, &b.1)));
        let shown = |(count, text): &(u64, Box<str>)| FrequentValue {
            value: text.to_string(),
            count: *count,
            missed: self.missed,
        };
        values.into_iter().take(most).map(shown).collect()
    }

    /// Values that `self` has and `other` has not, by text; `None` unless both have counted all.
    pub(super) fn beyond(&self, other: &Self) -> Option<Vec<String>> {
        if self.missed > 0 || other.missed > 0 {
            return None;
        }
        let new = self.counts.iter().filter(|(identity, _)| !other.counts.contains_key(identity));
        let mut new: Vec<String> = new.map(|(_, (_, text))| text.to_string()).collect();
        new.sort_unstable();
        Some(new)
    }

    /// Whether it can have been made by adding with `max`.
    pub(super) fn is_sound(&self, max: u64) -> bool {
        self.max == max
            && self.counts.len() as u64 <= max
            && self.counts.values().all(|(_, text)| text.len() <= MAX_TEXT_BYTES)
    }
}

fn beginning(text: &str) -> &str {
    let end = (0..=MAX_TEXT_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frequent(values: &[u8], max: u64) -> Frequent {
        let mut frequent = Frequent::new(max);
        values.iter().for_each(|value| frequent.add(u128::from(*value), &value.to_string(), 1));
        frequent.settle();
        frequent
    }

    #[test]
    fn the_most_frequent_come_first() {
        let top = frequent(&[3, 1, 3, 2, 2, 3], 10).top(2);
        let seen: Vec<(&str, u64, u64)> = top.iter().map(|v| (v.value.as_str(), v.count, v.missed)).collect();
        assert_eq!(seen, [("3", 3, 0), ("2", 2, 0)]);
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let mut frequent = Frequent::new(3);
        frequent.add(1, &format!("{}é", "a".repeat(63)), 1);
        assert_eq!(frequent.top(1)[0].value, "a".repeat(63));
        assert!(frequent.is_sound(3));
    }

    proptest! {
        #[test]
        fn every_count_is_right_to_within_what_was_missed(
            values in prop::collection::vec((0_u8..20, 0_u8..12).prop_map(|(a, b)| a * b / 12), 0..200),
            cut in any::<prop::sample::Index>(),
            max in 1_u64..30,
        ) {
            let (left, right) = values.split_at(cut.index(values.len() + 1));
            let mut merged = frequent(right, max);
            merged.merge(frequent(left, max));
            prop_assert!(merged.is_sound(max));
            prop_assert!(merged.missed <= values.len() as u64 / (max + 1) * 2, "{}", merged.missed);
            for value in 0..20_u8 {
                let right = values.iter().filter(|other| **other == value).count() as u64;
                let got = merged.counts.get(&u128::from(value)).map_or(0, |(count, _)| *count);
                prop_assert!(got <= right && right <= got + merged.missed, "{} {} {}", value, right, got);
            }
            let different: std::collections::BTreeSet<&u8> = values.iter().collect();
            if different.len() as u64 <= max {
                prop_assert_eq!(&merged, &frequent(&values, max));
            }
        }
    }
}
