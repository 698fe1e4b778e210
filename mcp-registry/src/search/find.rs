use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::cursor::{Cursor, Statistics};
use super::facets::Counting;
use super::filter::Filter;
use super::index::{AUTHORS, Index, TAGS};
use super::words::{Phrase, Query};
use super::{Facets, Found, Search, Sort};
use crate::RegistryError;

/// How much a word counts where it occurs.
const NAME_WEIGHT: u32 = 8;
const DESCRIPTION_WEIGHT: u32 = 2;
const TAGS_WEIGHT: u32 = 4;
const AUTHORS_WEIGHT: u32 = 1;
/// Of BM25: how soon further occurrences stop counting, and how much long documents lose.
const K1: f64 = 1.2;
const B: f64 = 0.75;
/// A score as a whole number, so that a cursor compares with it exactly.
const SCORE_UNITS: f64 = 1e6;
/// How many documents are looked at between two looks at whether anybody still waits.
const LOOKS: usize = 1024;

/// What is found at one position of the feed.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) hits: Vec<Found>,
    pub(super) total: u64,
    pub(super) facets: Option<Facets>,
    pub(super) next: Option<Cursor>,
}

/// By what hits are ordered; names are distinct, so no two are equal.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    tier: u8,
    rank: i64,
    name: &'a str,
    /// Publish of the version that is shown.
    head: u32,
}

/// A word of the query as numbers of words.
enum Word {
    One(u32),
    /// All that begin so.
    Any(Bits),
}

impl Word {
    fn is(&self, word: u32) -> bool {
        match self {
            Self::One(number) => *number == word,
            Self::Any(numbers) => numbers.has(word),
        }
    }
}

impl Index {
    /// All documents that match, and of these the hits of one page.
    ///
    /// Each document in which the rarest word of the query occurs is looked at, and ranked exactly.
    pub(super) fn find(
        &self,
        search: &Search,
        query: &Query,
        after: Option<&Cursor>,
        abandoned: &AtomicBool,
    ) -> Result<Page, RegistryError> {
        let at = after.map_or(self.position, |cursor| cursor.at);
        let mut page = Page { hits: Vec::new(), total: 0, facets: None, next: None };
        let mut counting = search.facets.then(|| Counting::new(self));
        let phrases: Option<Vec<Vec<Word>>> =
            query.phrases.iter().map(|phrase| self.phrase(phrase)).collect();
        let filter = Filter::new(self, &search.filters);
        let nothing = query.phrases.is_empty() && query.name.is_empty() && !query.all;
        let (Some(phrases), Some(mut filter), false) = (phrases, filter, nothing) else {
            page.facets = counting.map(|counting| counting.finish(self));
            return Ok(page);
        };
        let statistics = match after {
            Some(cursor) => cursor.statistics.clone(),
            None => self.statistics(&phrases),
        };
        let ranking = Ranking::new(&statistics);
        let mut best: BinaryHeap<Key<'_>> = BinaryHeap::new();
        for (looked, number) in self.candidates(&phrases).enumerate() {
            if looked % LOOKS == 0 && abandoned.load(Ordering::Relaxed) {
                return Err(RegistryError::Closed);
            }
            let Some(document) = self.documents.get(number as usize) else { continue };
            let Some((head, newest, text)) = self.lead_at(document, at) else { continue };
            let name = self.name(document);
            let named = !query.name.is_empty() && name.starts_with(&query.name);
            if phrases.is_empty() && !named && !query.all {
                continue;
            }
            let Some(score) = ranking.score(self.words_of_name(document), text, &phrases) else { continue };
            if !filter.admits(self, document, at, counting.as_mut()) {
                continue;
            }
            page.total += 1;
            let (tier, rank) = match search.sort {
                Sort::Relevance if named => (u8::from(name != query.name), 0),
                Sort::Relevance => (2, -score),
                Sort::Name => (0, 0),
                Sort::Newest => (0, newest.saturating_neg()),
                Sort::Oldest => (0, newest),
            };
            let key = Key { tier, rank, name, head };
            let begun = |cursor: &Cursor| {
                (key.tier, key.rank, key.name) <= (cursor.tier, cursor.rank, cursor.name.as_str())
            };
            if after.is_some_and(begun) {
                continue;
            }
            // One more than is wanted tells whether there is a next page.
            if best.len() <= search.limit {
                best.push(key);
            } else if best.peek().is_some_and(|worst| key < *worst) {
                best.pop();
                best.push(key);
            }
        }
        page.facets = counting.map(|counting| counting.finish(self));
        let mut keys = best.into_sorted_vec();
        let more = keys.len() > search.limit;
        keys.truncate(search.limit);
        if let (true, Some(last)) = (more, keys.last()) {
            let (tier, rank, name) = (last.tier, last.rank, last.name.to_owned());
            page.next = Some(Cursor { search: search.fingerprint(), at, statistics, tier, rank, name });
        }
        page.hits = keys
            .into_iter()
            .filter_map(|key| {
                let publish = self.publishes.get(key.head as usize)?;
                let version = self.versions.value(publish.version)?.clone();
                Some(Found { name: key.name.parse().ok()?, version, seq: publish.seq })
            })
            .collect();
        Ok(page)
    }

    /// `None`: a word of it occurs nowhere.
    fn phrase(&self, phrase: &Phrase) -> Option<Vec<Word>> {
        let last = phrase.words.len().saturating_sub(1);
        let word = |(place, word): (usize, &String)| {
            if !phrase.open || place < last {
                return self.terms.find(word).map(Word::One);
            }
            let mut numbers = Bits::new(self.terms.len());
            self.terms.beginning_with(word).for_each(|number| numbers.set(number));
            Some(Word::Any(numbers))
        };
        phrase.words.iter().enumerate().map(word).collect()
    }

    /// In how many documents a word may occur: a version that is not shown may say it too.
    fn occurrences(&self, word: &Word) -> usize {
        match word {
            Word::One(number) => self.terms.documents(*number).len(),
            Word::Any(numbers) => numbers.iter().map(|number| self.terms.documents(number).len()).sum(),
        }
    }

    fn statistics(&self, phrases: &[Vec<Word>]) -> Statistics {
        let documents = u32::try_from(self.documents.len()).unwrap_or(u32::MAX);
        let rarest = |phrase: &Vec<Word>| {
            let rarest = phrase.iter().map(|word| self.occurrences(word)).min().unwrap_or(0);
            u32::try_from(rarest).unwrap_or(u32::MAX).min(documents)
        };
        Statistics {
            documents,
            average_words: self.average_words(),
            occurrences: phrases.iter().map(rarest).collect(),
        }
    }

    /// The documents in which the rarest word occurs; without words, all.
    fn candidates(&self, phrases: &[Vec<Word>]) -> Box<dyn Iterator<Item = u32> + '_> {
        let words = phrases.iter().flatten();
        match words.min_by_key(|word| self.occurrences(word)) {
            None => Box::new(0..u32::try_from(self.documents.len()).unwrap_or(u32::MAX)),
            Some(Word::One(number)) => Box::new(self.terms.documents(*number).iter().copied()),
            Some(Word::Any(numbers)) => {
                let mut documents = Bits::new(self.documents.len());
                let occurring = numbers.iter().flat_map(|number| self.terms.documents(number));
                occurring.for_each(|document| documents.set(*document));
                Box::new(documents.into_iter())
            }
        }
    }
}

/// BM25 over the fields together, each occurrence counting by its field.
///
/// Robertson, Zaragoza: The Probabilistic Relevance Framework (2009), section 3.5, with one length for the whole document.
struct Ranking {
    /// Of each phrase: the rarer, the more it counts.
    weights: Vec<f64>,
    average_words: f64,
}

impl Ranking {
    fn new(statistics: &Statistics) -> Self {
        let documents = f64::from(statistics.documents);
        let weight = |occurrences: &u32| {
            let occurrences = f64::from(*occurrences).min(documents);
            (1.0 + (documents - occurrences + 0.5) / (occurrences + 0.5)).ln() * (K1 + 1.0)
        };
        let weights = statistics.occurrences.iter().map(weight).collect();
        Self { weights, average_words: statistics.average_words.max(1.0) }
    }

    /// `None` when a phrase does not occur.
    fn score(&self, name: &[u32], text: &[u32], phrases: &[Vec<Word>]) -> Option<i64> {
        let mut counts = [0_u32; super::words::MAX_WORDS];
        let counts = counts.get_mut(..phrases.len())?;
        for (phrase, count) in phrases.iter().zip(counts.iter_mut()) {
            *count = occurrences(name, NAME_WEIGHT, phrase) + occurrences(text, DESCRIPTION_WEIGHT, phrase);
            if *count == 0 {
                return None;
            }
        }
        let length = (name.len() + text.len()) as f64 / self.average_words;
        let flattening = K1 * (1.0 - B + B * length);
        let score: f64 = counts
            .iter()
            .zip(&self.weights)
            .map(|(count, weight)| {
                let count = f64::from(*count);
                weight * count / (count + flattening)
            })
            .sum();
        #[allow(
            clippy::cast_possible_truncation,
            reason = "it saturates, and is at most some thousands of units"
        )]
        Some((score * SCORE_UNITS) as i64)
    }
}

/// How often a phrase occurs, each time counting by its field, the first of which counts `weight`.
fn occurrences(words: &[u32], weight: u32, phrase: &[Word]) -> u32 {
    let Some((first, rest)) = phrase.split_first() else { return 0 };
    let mut found = 0_u32;
    let mut from = 0;
    while let Some(behind) = words.get(from..) {
        // Most words are others: this runs over them quickly.
        let next = match first {
            Word::One(number) => behind.iter().position(|word| word == number),
            Word::Any(numbers) => behind.iter().position(|word| numbers.has(*word)),
        };
        let Some(next) = next else { break };
        let place = from.saturating_add(next);
        from = place.saturating_add(1);
        let behind = words.get(from..).unwrap_or_default();
        if behind.len() < rest.len() || !rest.iter().zip(behind).all(|(wanted, word)| wanted.is(*word)) {
            continue;
        }
        let before = words.get(..place).unwrap_or_default();
        found = found.saturating_add(if before.contains(&AUTHORS) {
            AUTHORS_WEIGHT
        } else if before.contains(&TAGS) {
            TAGS_WEIGHT
        } else {
            weight
        });
    }
    found
}

/// A set of numbers below a bound.
struct Bits(Vec<u64>);

impl Bits {
    fn new(bound: usize) -> Self {
        Self(vec![0; bound.div_ceil(64)])
    }

    fn set(&mut self, number: u32) {
        if let Some(word) = self.0.get_mut((number / 64) as usize) {
            *word |= 1 << (number % 64);
        }
    }

    fn has(&self, number: u32) -> bool {
        self.0.get((number / 64) as usize).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        numbers(self.0.iter().copied())
    }

    fn into_iter(self) -> impl Iterator<Item = u32> {
        numbers(self.0.into_iter())
    }
}

fn numbers(words: impl Iterator<Item = u64>) -> impl Iterator<Item = u32> {
    (0_u32..).zip(words).flat_map(|(place, word)| {
        let rest = std::iter::successors(Some(word), |word| Some(word & word.wrapping_sub(1)));
        rest.take_while(|word| *word != 0).map(move |word| place * 64 + word.trailing_zeros())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_gives_its_numbers_in_order() {
        let mut bits = Bits::new(200);
        [199, 0, 63, 64, 63, 1000].into_iter().for_each(|number| bits.set(number));
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0, 63, 64, 199]);
        assert!(bits.has(63) && !bits.has(62) && !bits.has(1000));
        assert_eq!(bits.into_iter().count(), 4);
    }
}
