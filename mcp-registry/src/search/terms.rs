use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// A number that stands for nothing.
pub(super) const NONE: u32 = u32::MAX;

/// Values and the numbers that stand for them, given in the order of first use and never taken back.
#[derive(Debug)]
pub(super) struct Numbered<T> {
    numbers: HashMap<T, u32>,
    values: Vec<T>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), values: Vec::new() }
    }
}

impl<T: Clone + Eq + Hash> Numbered<T> {
    pub(super) fn find<Q: ?Sized + Eq + Hash>(&self, value: &Q) -> Option<u32>
    where
        T: std::borrow::Borrow<Q>,
    {
        self.numbers.get(value).copied()
    }

    pub(super) fn number<'a, Q: ?Sized + Eq + Hash>(&mut self, value: &'a Q) -> u32
    where
        T: std::borrow::Borrow<Q> + From<&'a Q>,
    {
        if let Some(number) = self.find(value) {
            return number;
        }
        self.add(value.into())
    }

    pub(super) fn add(&mut self, value: T) -> u32 {
        let number = number(self.values.len());
        self.values.push(value.clone());
        self.numbers.insert(value, number);
        number
    }

    pub(super) fn value(&self, number: u32) -> Option<&T> {
        self.values.get(number as usize)
    }

    pub(super) fn values(&self) -> &[T] {
        &self.values
    }
}

/// What stands for the element at `place`. There are never so many that it runs out: each takes dozens of bytes.
pub(super) fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(NONE)
}

/// The words that occur, and for each the documents in which it does.
#[derive(Debug, Default)]
pub(super) struct Terms {
    words: Numbered<Arc<str>>,
    /// Numbers of documents, ascending, for each word.
    occurrences: Vec<Occurrences>,
    /// The first words of `words`, by their text; those behind are not sorted in yet.
    sorted: Vec<u32>,
}

/// Most words occur in one document only.
#[derive(Debug)]
enum Occurrences {
    One(u32),
    Several(Vec<u32>),
}

/// So many words may wait to be sorted in, besides an eighth of the sorted ones.
const UNSORTED: usize = 1024;

impl Terms {
    /// The number of `word`, which from now on is known to occur in `document`.
    pub(super) fn note(&mut self, word: &str, document: u32) -> u32 {
        let word = self.words.number(word);
        let Some(occurrences) = self.occurrences.get_mut(word as usize) else {
            self.occurrences.push(Occurrences::One(document));
            return word;
        };
        match occurrences {
            Occurrences::One(one) if *one == document => {}
            Occurrences::One(one) => {
                *occurrences = Occurrences::Several(vec![document.min(*one), document.max(*one)]);
            }
            Occurrences::Several(documents) => match documents.last() {
                Some(last) if *last < document => documents.push(document),
                _ => {
                    if let Err(place) = documents.binary_search(&document) {
                        documents.insert(place, document);
                    }
                }
            },
        }
        word
    }

    pub(super) fn documents(&self, word: u32) -> &[u32] {
        match self.occurrences.get(word as usize) {
            Some(Occurrences::One(document)) => std::slice::from_ref(document),
            Some(Occurrences::Several(documents)) => documents,
            None => &[],
        }
    }

    pub(super) fn find(&self, word: &str) -> Option<u32> {
        self.words.find(word)
    }

    pub(super) fn len(&self) -> usize {
        self.occurrences.len()
    }

    /// All words that begin so.
    pub(super) fn beginning_with<'a>(&'a self, beginning: &'a str) -> impl Iterator<Item = u32> + 'a {
        let text = |number: u32| self.words.value(number).map_or("", |word| &**word);
        let from = self.sorted.partition_point(|number| text(*number) < beginning);
        let sorted = self.sorted.get(from..).unwrap_or_default().iter().copied();
        let sorted = sorted.take_while(move |number| text(*number).starts_with(beginning));
        let waiting = number(self.sorted.len())..number(self.words.values().len());
        sorted.chain(waiting.filter(move |number| text(*number).starts_with(beginning)))
    }

    /// Sorts new words in, once they are many.
    pub(super) fn settle(&mut self) {
        let (known, all) = (self.sorted.len(), self.words.values().len());
        if all.saturating_sub(known) <= UNSORTED + known / 8 {
            return;
        }
        self.sorted.extend(number(known)..number(all));
        // It finds the sorted run, and merges.
        let words = self.words.values();
        self.sorted.sort_by(|a, b| words.get(*a as usize).cmp(&words.get(*b as usize)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_by_their_beginning_whether_or_not_they_are_sorted_in() {
        let mut terms = Terms::default();
        for step in 0..5_000_u32 {
            // 7 and 5,000 have no factor in common: every number once, in no order.
            terms.note(&format!("w{}", step * 7 % 5_000), step);
            if step % 700 == 0 {
                terms.settle();
            }
        }
        for beginning in ["w", "w1", "w49", "w4999", "x", ""] {
            let found = terms.beginning_with(beginning).count();
            let expected = (0..5_000).filter(|number| format!("w{number}").starts_with(beginning)).count();
            assert_eq!(found, expected, "{beginning}");
        }
    }

    #[test]
    fn documents_are_ascending_and_each_is_there_once() {
        let mut terms = Terms::default();
        for (document, expected) in [(3, &[3][..]), (3, &[3]), (5, &[3, 5]), (4, &[3, 4, 5]), (3, &[3, 4, 5])]
        {
            let word = terms.note("w", document);
            assert_eq!(terms.documents(word), expected);
        }
    }
}
