use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use mcp_core::{Name, RequestId};

use crate::version_key::VersionKey;

/// Tells of most keys that they were never indexed, without a look at the tables: a Bloom filter, in which all bits of a key lie in one block of
/// 64 bytes (Putze, Sanders, Singler: "Cache-, Hash- and Space-Efficient Bloom Filters", 2007).
///
/// It grows by layers, each twice as large as the one before, up to [`MAX_BYTES`]; beyond, it knows less and less.
#[derive(Debug)]
pub(super) struct Filter {
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    blocks: Vec<[u64; 8]>,
    keys: u64,
    capacity: u64,
}

const BITS_PER_KEY: u64 = 12;
const BITS_PER_BLOCK: u64 = 512;
/// Six bits of a block for each key: at 12 bits per key, about one in 100 strangers is taken for known.
const BITS_OF_A_KEY: u32 = 6;
const MAX_BYTES: usize = 64 << 20;

/// A key, hashed with its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FilterKey(u64);

impl FilterKey {
    pub(super) fn version(name: &Name, key: &VersionKey) -> Self {
        Self::of(1, |hasher| {
            name.as_str().hash(hasher);
            key.as_bytes().hash(hasher);
        })
    }

    pub(super) fn digest(prefix: i64) -> Self {
        Self::of(2, |hasher| prefix.hash(hasher))
    }

    pub(super) fn request(id: &RequestId) -> Self {
        Self::of(3, |hasher| id.as_str().hash(hasher))
    }

    pub(super) fn name(name: &Name) -> Self {
        Self::of(4, |hasher| name.as_str().hash(hasher))
    }

    fn of(kind: u8, hash: impl FnOnce(&mut DefaultHasher)) -> Self {
        let mut hasher = DefaultHasher::new();
        kind.hash(&mut hasher);
        hash(&mut hasher);
        Self(hasher.finish())
    }

    /// The block, and the bits in it: two parts of the hash that do not overlap.
    fn block(self, blocks: usize) -> usize {
        let scaled = (u128::from(self.0 >> 32) * blocks as u128) >> 32;
        usize::try_from(scaled).unwrap_or(0)
    }

    fn bits(self) -> impl Iterator<Item = (usize, u64)> {
        // 32 bits do not give six positions of nine bits: so they are stretched first.
        let stretched = (self.0 & 0xffff_ffff).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (0..BITS_OF_A_KEY).map(move |number| {
            let bit = (stretched >> (64 - 9 * (number + 1))) & (BITS_PER_BLOCK - 1);
            (usize::try_from(bit / 64).unwrap_or(0), 1 << (bit % 64))
        })
    }
}

impl Filter {
    /// One with room for so many keys before it grows.
    pub(super) fn with_capacity(keys: u64) -> Self {
        let mut filter = Self { layers: Vec::new() };
        filter.add_layer(keys);
        filter
    }

    pub(super) fn insert(&mut self, key: FilterKey) {
        if let Some(full) = self.layers.last().filter(|last| last.keys >= last.capacity) {
            self.add_layer(full.capacity.saturating_mul(2));
        }
        let Some(layer) = self.layers.last_mut() else { return };
        layer.keys = layer.keys.saturating_add(1);
        let at = key.block(layer.blocks.len());
        if let Some(block) = layer.blocks.get_mut(at) {
            for (word, bit) in key.bits() {
                if let Some(word) = block.get_mut(word) {
                    *word |= bit;
                }
            }
        }
    }

    /// `false`: it was never inserted.
    pub(super) fn may_have(&self, key: FilterKey) -> bool {
        self.layers.iter().any(|layer| {
            let block = layer.blocks.get(key.block(layer.blocks.len()));
            block.is_some_and(|block| {
                key.bits().all(|(word, bit)| block.get(word).is_some_and(|word| word & bit != 0))
            })
        })
    }

    fn add_layer(&mut self, keys: u64) {
        let blocks = keys.max(1 << 10).saturating_mul(BITS_PER_KEY) / BITS_PER_BLOCK;
        let held: usize = self.layers.iter().map(|layer| layer.blocks.len() * size_of::<[u64; 8]>()).sum();
        let room = MAX_BYTES.saturating_sub(held) / size_of::<[u64; 8]>();
        let blocks = usize::try_from(blocks).unwrap_or(room).min(room);
        if blocks == 0 && !self.layers.is_empty() {
            return;
        }
        let capacity = blocks as u64 * BITS_PER_BLOCK / BITS_PER_KEY;
        self.layers.push(Layer { blocks: vec![[0; 8]; blocks.max(1)], keys: 0, capacity });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_was_inserted_is_known_and_few_others_are() {
        let mut filter = Filter::with_capacity(1 << 15);
        let key = |number: i64| FilterKey::digest(number.wrapping_mul(0x1234_5678_9abc_def1));
        // Several layers.
        (0..300_000).for_each(|number| filter.insert(key(number)));
        assert!(filter.layers.len() >= 3, "{}", filter.layers.len());
        assert!((0..300_000).all(|number| filter.may_have(key(number))));
        let strangers = (300_000..400_000).filter(|number| filter.may_have(key(*number))).count();
        assert!(strangers < 5_000, "{strangers} of 100,000");
    }

    #[test]
    fn kinds_of_keys_do_not_meet() {
        let name: Name = "app".parse().expect("a name");
        let id: RequestId = "app".parse().expect("an id");
        assert_ne!(FilterKey::name(&name), FilterKey::request(&id));
        assert_ne!(FilterKey::name(&name), FilterKey::version(&name, &VersionKey::first()));
    }
}
