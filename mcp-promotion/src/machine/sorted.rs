use std::sync::Arc;

/// A sorted map for thousands of entries of which a few change at a time, cheap to clone: short sorted chunks, shared between clones.
///
/// A clone counts up one reference for each chunk of up to 64 entries, and a change copies one chunk. So keeping an old version beside a
/// new one costs an n/64-th of copying `n` entries; for the tens of thousands that it is meant for, a tree of chunks would save nothing.
#[derive(Clone, Debug)]
pub(super) struct Sorted<K, V> {
    /// None of them is empty; keys ascend within each and from one to the next.
    chunks: Vec<Arc<Vec<(K, V)>>>,
}

/// The most entries of a chunk.
const CHUNK: usize = 64;

impl<K: Ord + Copy, V: Clone> Sorted<K, V> {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new() }
    }

    /// The chunk in which `key` is, or to which it belongs; the last one's successor for a key behind all.
    fn chunk_of(&self, key: &K) -> usize {
        self.chunks.partition_point(|chunk| chunk.last().is_some_and(|(last, _)| last < key))
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        let place = chunk.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
        chunk.get(place).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.chunk_of(key);
        let chunk = self.chunks.get_mut(at)?;
        let place = chunk.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
        Arc::make_mut(chunk).get_mut(place).map(|(_, value)| value)
    }

    /// Adds an entry, in the place of one with the same key.
    pub(super) fn insert(&mut self, key: K, value: V) {
        let at = self.chunk_of(&key);
        if at == self.chunks.len() {
            // Behind all others, which is where most keys come: full chunks stay full.
            match self.chunks.last_mut().filter(|last| last.len() < CHUNK) {
                Some(last) => Arc::make_mut(last).push((key, value)),
                None => self.chunks.push(Arc::new(vec![(key, value)])),
            }
            return;
        }
        let Some(chunk) = self.chunks.get_mut(at).map(Arc::make_mut) else { return };
        match chunk.binary_search_by(|(other, _)| other.cmp(&key)) {
            Ok(place) => chunk.splice(place..=place, [(key, value)]).for_each(drop),
            Err(place) => chunk.insert(place, (key, value)),
        }
        if chunk.len() > CHUNK {
            let upper = chunk.split_off(CHUNK / 2);
            self.chunks.insert(at.saturating_add(1), Arc::new(upper));
        }
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.chunk_of(key);
        let chunk = self.chunks.get_mut(at)?;
        let place = chunk.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
        let (_, value) = Arc::make_mut(chunk).remove(place);
        if chunk.is_empty() {
            self.chunks.remove(at);
        } else {
            self.join(at);
            self.join(at.wrapping_sub(1));
        }
        Some(value)
    }

    /// Makes one chunk of this one and the next where both are small, so that what is left does not stay spread over many.
    fn join(&mut self, at: usize) {
        let behind = at.wrapping_add(1);
        let length = |at: usize| self.chunks.get(at).map_or(CHUNK, |chunk| chunk.len());
        if length(at).saturating_add(length(behind)) > CHUNK / 2 {
            return;
        }
        let next = self.chunks.remove(behind);
        if let Some(chunk) = self.chunks.get_mut(at) {
            Arc::make_mut(chunk).extend(next.iter().cloned());
        }
    }

    pub(super) fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter().map(|(key, value)| (key, value)))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord + Copy> Sorted<K, ()> {
    /// Moves a key; from or to nowhere where there is none.
    pub(super) fn relist(&mut self, before: Option<K>, after: Option<K>) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.remove(&before);
        }
        if let Some(after) = after {
            self.insert(after, ());
        }
    }
}

/// The same entries, however they are cut into chunks.
impl<K: Ord + Copy, V: Clone + PartialEq> PartialEq for Sorted<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_says_what_a_plain_map_says_and_a_clone_keeps_what_it_had(
            acts in proptest::collection::vec((0..600_u16, proptest::option::weighted(0.6, any::<u8>())), 0..2000),
            cut in 0..2000_usize,
        ) {
            let (mut sorted, mut model, mut before) = (Sorted::new(), BTreeMap::new(), None);
            for (place, (key, value)) in acts.iter().enumerate() {
                if place == cut {
                    before = Some((sorted.clone(), model.clone()));
                }
                match value {
                    Some(value) => {
                        sorted.insert(*key, *value);
                        model.insert(*key, *value);
                    }
                    None => prop_assert_eq!(sorted.remove(key), model.remove(key)),
                }
            }
            for (sorted, model) in before.iter().chain([&(sorted, model)]) {
                prop_assert!(sorted.iter().eq(model.iter()));
                for key in 0..600 {
                    prop_assert_eq!(sorted.get(&key), model.get(&key));
                }
            }
        }

        #[test]
        fn chunks_are_neither_empty_nor_too_long_and_hold_sixteen_entries_on_average(
            acts in proptest::collection::vec((0..900_u16, any::<bool>()), 0..3000),
        ) {
            let mut sorted = Sorted::new();
            (0..900_u16).for_each(|key| sorted.insert(key, key));
            for (key, insert) in acts {
                if insert {
                    sorted.insert(key, key);
                } else {
                    prop_assert_eq!(sorted.remove(&key).unwrap_or(key), key);
                }
            }
            let lengths: Vec<usize> = sorted.chunks.iter().map(|chunk| chunk.len()).collect();
            prop_assert!(lengths.iter().all(|length| (1..=CHUNK).contains(length)), "{:?}", lengths);
            let entries = lengths.iter().sum::<usize>();
            prop_assert!(lengths.len() <= 1 + entries / (CHUNK / 4), "{:?}", lengths);
        }
    }
}
