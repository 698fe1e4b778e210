use mcp_core::Digest;

use super::words::MAX_WORDS;
use crate::RegistryError;

/// Where a page ended: all that the next one needs to go on, wherever and whenever it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cursor {
    /// What the search was, apart from where it goes on and how many hits it wants.
    pub(super) search: u64,
    /// The position of the change feed at the first page: later pages are about the same state.
    pub(super) at: u64,
    pub(super) statistics: Statistics,
    pub(super) tier: u8,
    pub(super) rank: i64,
    /// Of the last hit.
    pub(super) name: String,
}

/// What ranking takes from all documents, as it was at the first page.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Statistics {
    pub(super) documents: u32,
    pub(super) average_words: f64,
    /// In how many documents each phrase may occur.
    pub(super) occurrences: Vec<u32>,
}

const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 4;
/// No cursor has more text.
const MAX_TEXT: usize = 2048;

impl Cursor {
    pub(super) fn encode(&self) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(self.search.to_le_bytes());
        bytes.extend(self.at.to_le_bytes());
        bytes.extend(self.statistics.documents.to_le_bytes());
        bytes.extend(self.statistics.average_words.to_le_bytes());
        bytes.push(u8::try_from(self.statistics.occurrences.len()).unwrap_or(u8::MAX));
        bytes.extend(self.statistics.occurrences.iter().flat_map(|count| count.to_le_bytes()));
        bytes.push(self.tier);
        bytes.extend(self.rank.to_le_bytes());
        bytes.extend(self.name.as_bytes());
        bytes.extend(checksum(&bytes));
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn decode(text: &str) -> Result<Self, RegistryError> {
        Self::read(text).ok_or_else(|| RegistryError::Invalid {
            what: "go on with a search".to_owned(),
            reason: "its cursor is none that a search gave; begin again without".to_owned(),
        })
    }

    fn read(text: &str) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
        let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
        let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_BYTES)?)?;
        if !rest.is_empty() || sum != checksum(body) {
            return None;
        }
        let mut rest = body;
        let [VERSION] = take(&mut rest)? else { return None };
        let search = u64::from_le_bytes(take(&mut rest)?);
        let at = u64::from_le_bytes(take(&mut rest)?);
        let documents = u32::from_le_bytes(take(&mut rest)?);
        let average_words = f64::from_le_bytes(take(&mut rest)?);
        let [count] = take(&mut rest)?;
        if usize::from(count) > MAX_WORDS || !average_words.is_finite() {
            return None;
        }
        let occurrences = (0..count).map(|_| Some(u32::from_le_bytes(take(&mut rest)?)));
        let occurrences = occurrences.collect::<Option<_>>()?;
        let [tier] = take(&mut rest)?;
        let rank = i64::from_le_bytes(take(&mut rest)?);
        let name = String::from_utf8(rest.to_vec()).ok()?;
        let statistics = Statistics { documents, average_words, occurrences };
        Some(Self { search, at, statistics, tier, rank, name })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

/// Not against whoever makes up a cursor, who gets nothing by it, but against one that was cut off or mixed up.
fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    Digest::of(bytes).as_bytes().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor() -> Cursor {
        let statistics = Statistics { documents: 7, average_words: 2.5, occurrences: vec![1, 2] };
        Cursor { search: 1, at: 2, statistics, tier: 2, rank: -9, name: "a/b".to_owned() }
    }

    #[test]
    fn a_cursor_comes_back_from_its_text() {
        assert_eq!(Cursor::decode(&cursor().encode()).expect("a cursor"), cursor());
    }

    #[test]
    fn a_cursor_that_is_cut_changed_or_made_up_is_refused() {
        let text = cursor().encode();
        let cut = (0..text.len()).map(|end| text.chars().take(end).collect());
        let changed = (0..text.len()).map(|at| {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            String::from_utf8(bytes).expect("ASCII")
        });
        let made_up = ["é", "zz", "\0", "00000000", "'; --"].map(str::to_owned);
        for text in cut.chain(changed).chain(made_up).chain(["ab".repeat(1 << 20)]) {
            let error = Cursor::decode(&text).expect_err(&text);
            assert_eq!(error.kind(), mcp_core::ErrorKind::Invalid);
        }
    }
}
