use super::distinct::Identity;
use super::typed::Known;

/// What was found out about one value, so that it is found out once and not for every record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memo {
    /// Of a value that is there.
    pub(super) value: Option<(Identity, Known)>,
    /// Which of the column's checks are asked of it.
    pub(super) applies: u64,
    /// Which of them it fails.
    pub(super) fails: u64,
}

/// The values of one column that were seen lately, each with what is known of it and how often it was seen.
///
/// Short values only: a look costs a few nanoseconds. When it is full its counts are taken out and it starts anew, so whatever the values
/// are, it costs no more than finding out.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    slots: Vec<Slot>,
    /// Those for which growing left no place.
    spilled: Vec<Slot>,
    memos: Vec<Memo>,
}

/// As long as a line of a processor's cache, so that a look reads one.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Slot {
    key: CellKey,
    memo: u32,
    fails: bool,
    count: u64,
}

/// A short value as it is written: its bytes, or the bits of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CellKey {
    head: u128,
    tail: u128,
    /// The length of text, or what else it is; `EMPTY` where a slot is free.
    kind: u8,
}

/// The longest text that has a key.
pub(super) const LONGEST: usize = 32;
const EMPTY: u8 = u8::MAX;
/// Added to the length of text that comes from JSON, where it is never read as anything else.
const JSON_TEXT: u8 = 100;
const JSON_INTEGER: u8 = 200;
const JSON_FLOAT: u8 = 201;
const JSON_BOOLEAN: u8 = 202;

const FEWEST_SLOTS: usize = 64;
const MOST_SLOTS: usize = 16_384;
/// Further away nothing is put: hostile values that all want the same slot cost no more than this.
const FARTHEST: usize = 16;

impl CellKey {
    /// The key of the text from `start` to `end` of `bytes`; `None` when it is long.
    pub(super) fn of_cell(bytes: &[u8], start: usize, end: usize) -> Option<Self> {
        let length = end.checked_sub(start)?;
        if length > LONGEST {
            return None;
        }
        let kind = u8::try_from(length).ok()?;
        if length <= 16 {
            let head = match bytes.get(start..start.saturating_add(16)).and_then(<[u8]>::first_chunk) {
                // Sixteen bytes at once, of which those behind the cell are cut off.
                Some(sixteen) => u128::from_le_bytes(*sixteen) & low_bytes(length),
                None => padded(bytes.get(start..end)?),
            };
            return Some(Self { head, tail: 0, kind });
        }
        let text = bytes.get(start..end)?;
        let (head, tail) = (text.first_chunk()?, text.last_chunk()?);
        Some(Self { head: u128::from_le_bytes(*head), tail: u128::from_le_bytes(*tail), kind })
    }

    pub(super) fn of_json_text(text: &str) -> Option<Self> {
        let key = Self::of_cell(text.as_bytes(), 0, text.len())?;
        Some(Self { kind: key.kind.saturating_add(JSON_TEXT), ..key })
    }

    pub(super) fn of_json_known(known: Known) -> Option<Self> {
        let (bits, kind) = match known {
            Known::Integer(integer) => (integer.cast_unsigned(), JSON_INTEGER),
            Known::Number(float) => (float.to_bits(), JSON_FLOAT),
            Known::Boolean(truth) => (u64::from(truth), JSON_BOOLEAN),
            _ => return None,
        };
        Some(Self { head: u128::from(bits), tail: 0, kind })
    }

    /// The text that it is the key of; nothing where it was none.
    fn text<'b>(&self, buffer: &'b mut [u8; LONGEST]) -> &'b str {
        let length = match self.kind {
            length if usize::from(length) <= LONGEST => usize::from(length),
            JSON_INTEGER.. => 0,
            length => usize::from(length.saturating_sub(JSON_TEXT)),
        };
        let (head, rest) = buffer.split_at_mut(16);
        head.copy_from_slice(&self.head.to_le_bytes());
        rest.fill(0);
        if let Some(tail) =
            length.checked_sub(16).filter(|start| *start > 0).and_then(|start| buffer.get_mut(start..length))
        {
            tail.copy_from_slice(&self.tail.to_le_bytes());
        }
        buffer.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("")
    }

    #[expect(clippy::cast_possible_truncation, reason = "halves and bits are mixed")]
    fn slot(&self, slots: usize) -> usize {
        let fold = |a: u64, b: u64| {
            let product = u128::from(a).wrapping_mul(u128::from(b));
            product as u64 ^ (product >> 64) as u64
        };
        let head =
            fold(self.head as u64 ^ 0x9e37_79b9_7f4a_7c15, (self.head >> 64) as u64 ^ 0xd1b5_4a32_d192_ed03);
        let tail = self.tail as u64 ^ (self.tail >> 64) as u64;
        let mixed = fold(head ^ tail ^ u64::from(self.kind), 0x9fb2_1c65_1e98_df25);
        mixed as usize & slots.wrapping_sub(1)
    }
}

const fn low_bytes(length: usize) -> u128 {
    if length >= 16 { u128::MAX } else { (1 << (8 * length)) - 1 }
}

fn padded(text: &[u8]) -> u128 {
    text.iter().rev().fold(0, |key, byte| key << 8 | u128::from(*byte))
}

impl Dictionary {
    /// Counts the value once more, if it is known: where its memo is, and whether it fails a check.
    #[inline]
    pub(super) fn count(&mut self, key: &CellKey) -> Option<(u32, bool)> {
        let mut at = key.slot(self.slots.len());
        for _ in 0..FARTHEST {
            let slot = self.slots.get_mut(at)?;
            if slot.key == *key {
                slot.count = slot.count.saturating_add(1);
                return Some((slot.memo, slot.fails));
            }
            if slot.key.kind == EMPTY {
                return None;
            }
            at = at.wrapping_add(1) & self.slots.len().wrapping_sub(1);
        }
        None
    }

    pub(super) fn memo(&self, at: u32) -> Option<&Memo> {
        self.memos.get(at as usize)
    }

    /// Whether another value needs [`drain`](Self::drain) first.
    pub(super) const fn is_full(&self) -> bool {
        self.memos.len() >= MOST_SLOTS / 2
    }

    /// Keeps a value that was seen once; `false` when there is no place for it.
    pub(super) fn insert(&mut self, key: CellKey, memo: Memo) -> bool {
        if self.memos.len().saturating_mul(2) >= self.slots.len() && self.slots.len() < MOST_SLOTS {
            self.grow();
        }
        let Ok(at) = u32::try_from(self.memos.len()) else { return false };
        let slot = Slot { key, memo: at, fails: memo.fails != 0, count: 1 };
        if self.put(slot) {
            self.memos.push(memo);
            return true;
        }
        false
    }

    fn put(&mut self, new: Slot) -> bool {
        let mut at = new.key.slot(self.slots.len());
        for _ in 0..FARTHEST {
            match self.slots.get_mut(at) {
                Some(slot) if slot.key.kind == EMPTY => {
                    *slot = new;
                    return true;
                }
                Some(_) => at = at.wrapping_add(1) & self.slots.len().wrapping_sub(1),
                None => return false,
            }
        }
        false
    }

    fn grow(&mut self) {
        let slots = self.slots.len().saturating_mul(4).clamp(FEWEST_SLOTS, MOST_SLOTS);
        let free = Slot { key: CellKey { head: 0, tail: 0, kind: EMPTY }, memo: 0, fails: false, count: 0 };
        let before = std::mem::replace(&mut self.slots, vec![free; slots]);
        for slot in before.into_iter().filter(|slot| slot.key.kind != EMPTY) {
            if !self.put(slot) {
                self.spilled.push(slot);
            }
        }
    }

    /// Takes out all counts.
    pub(super) fn drain(&mut self, mut take: impl FnMut(&Memo, &str, u64)) {
        let mut buffer = [0; LONGEST];
        for slot in self.slots.iter_mut().chain(&mut self.spilled) {
            if slot.key.kind != EMPTY
                && let Some(memo) = self.memos.get(slot.memo as usize)
            {
                take(memo, slot.key.text(&mut buffer), slot.count);
            }
            slot.key.kind = EMPTY;
        }
        self.spilled.clear();
        self.memos.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_tells_short_texts_apart_and_gives_them_back() {
        let mut buffer = [0; LONGEST];
        for length in 0..=LONGEST {
            let text: String = ('a'..='z').cycle().take(length).collect();
            let behind = format!("{text}{}", "x".repeat(40));
            let key = CellKey::of_cell(behind.as_bytes(), 0, length).unwrap();
            assert_eq!(Some(key), CellKey::of_cell(text.as_bytes(), 0, length), "{length}");
            assert_eq!(key.text(&mut buffer), text);
            let json = CellKey::of_json_text(&text).unwrap();
            assert_ne!(json, key);
            assert_eq!(json.text(&mut buffer), text);
        }
        assert_eq!(CellKey::of_cell(&[b'a'; 40], 0, LONGEST + 1), None);
        assert_ne!(CellKey::of_cell(b"a\0", 0, 1), CellKey::of_cell(b"a\0", 0, 2));
    }

    proptest! {
        #[test]
        fn what_was_counted_is_taken_out(values in prop::collection::vec(0_u16..3000, 0..4000)) {
            let memo = Memo { value: None, applies: 0, fails: 0 };
            let (mut dictionary, mut right, mut got) = (Dictionary::default(), BTreeMap::new(), BTreeMap::new());
            for value in &values {
                let text = value.to_string();
                *right.entry(text.clone()).or_insert(0) += 1;
                let key = CellKey::of_cell(text.as_bytes(), 0, text.len()).unwrap();
                if dictionary.count(&key).is_none() && !dictionary.insert(key, memo) {
                    *got.entry(text).or_insert(0) += 1;
                }
            }
            dictionary.drain(|_, text, count| *got.entry(text.to_owned()).or_insert(0) += count);
            prop_assert_eq!(got, right);
            dictionary.drain(|_, text, _| panic!("{text} is still there"));
        }
    }
}
