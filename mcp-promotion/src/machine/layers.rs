use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A map that may grow for as long as a stage lives, and that is as cheap to clone as it is to look into: sorted layers of which each is at
/// least twice as long as the next one, shared between clones.
///
/// `n` entries are in at most log2(n) + 1 layers. A look-up searches them from the newest, an insert merges those that it has grown to the
/// length of: log2(n) moves of an entry on average, all of them once in `n` inserts. Nothing is kept but the entries (Bentley and Saxe,
/// Decomposable searching problems I, 1980).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Layers<K, V> {
    layers: Vec<Arc<[(K, V)]>>,
}

impl<K: Ord + Copy, V: Copy> Layers<K, V> {
    pub(super) const fn new() -> Self {
        Self { layers: Vec::new() }
    }

    /// How many entries there are, those that were replaced included.
    pub(super) fn len(&self) -> usize {
        self.layers.iter().map(|layer| layer.len()).sum()
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.layers.iter().rev().find_map(|layer| {
            let place = layer.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
            layer.get(place).map(|(_, value)| value)
        })
    }

    /// Adds an entry, in the place of one with the same key.
    pub(super) fn insert(&mut self, key: K, value: V) {
        let mut newest = vec![(key, value)];
        while let Some(older) = self.layers.pop_if(|older| older.len() < newest.len().saturating_mul(2)) {
            newest = merged(&older, &newest);
        }
        self.layers.push(newest.into());
    }
}

/// The entries of both, sorted; of two with the same key the newer one.
fn merged<K: Ord + Copy, V: Copy>(older: &[(K, V)], newer: &[(K, V)]) -> Vec<(K, V)> {
    let mut all = Vec::with_capacity(older.len().saturating_add(newer.len()));
    let mut older = older.iter().peekable();
    for entry in newer {
        while let Some(smaller) = older.next_if(|(key, _)| *key < entry.0) {
            all.push(*smaller);
        }
        older.next_if(|(key, _)| *key == entry.0);
        all.push(*entry);
    }
    all.extend(older);
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_says_what_a_plain_map_says_and_a_clone_keeps_what_it_had(
            inserts in proptest::collection::vec((0..200_u16, any::<u8>()), 0..500),
            cut in 0..500_usize,
        ) {
            let (mut layers, mut model, mut before) = (Layers::new(), BTreeMap::new(), None);
            for (place, (key, value)) in inserts.iter().enumerate() {
                if place == cut {
                    before = Some((layers.clone(), model.clone()));
                }
                layers.insert(*key, *value);
                model.insert(*key, *value);
            }
            for (layers, model) in before.iter().chain([&(layers, model)]) {
                for key in 0..200 {
                    prop_assert_eq!(layers.get(&key), model.get(&key));
                }
            }
        }
    }

    #[test]
    fn a_hundred_thousand_entries_are_in_no_more_than_seventeen_layers() {
        let mut layers = Layers::new();
        for key in 0..100_000_u32 {
            layers.insert(key.reverse_bits(), key);
            let (count, entries) =
                (layers.layers.len(), layers.layers.iter().map(|layer| layer.len()).sum::<usize>());
            assert!(count <= 17 && entries as u64 == u64::from(key) + 1, "{count} layers, {entries} entries");
        }
        assert!((0..100_000).all(|key: u32| layers.get(&key.reverse_bits()) == Some(&key)));
    }
}
