use std::io::Read;

use mcp_core::{ErrorKind, SeamError};
use memchr::{memchr, memrchr};

use super::csv::{Csv, Place, lines_in};
use crate::ValidationError;

/// Cuts an input into pieces of whole records, so that workers can take one each.
pub(super) struct Chunks<'c, R> {
    input: R,
    /// Where quotes may hold the ends of lines.
    csv: Option<&'c Csv>,
    max_record_bytes: usize,
    buffer: Vec<u8>,
    /// The line that the buffer begins with, from 1.
    line: u64,
    ended: bool,
    began: bool,
}

/// Part of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Whole records.
    Records {
        bytes: Vec<u8>,
        first_line: u64,
        /// Each line is a record: a quote in the first was not closed within the longest record.
        lines_only: bool,
    },
    /// A record that is longer than may be; its bytes are gone.
    TooLong { line: u64 },
}

/// How much is read at once.
const CHUNK_BYTES: usize = 256 << 10;

impl<'c, R: Read> Chunks<'c, R> {
    pub(super) const fn new(input: R, csv: Option<&'c Csv>, max_record_bytes: usize) -> Self {
        Self { input, csv, max_record_bytes, buffer: Vec::new(), line: 1, ended: false, began: false }
    }

    /// The next piece; `None` at the end.
    pub(super) fn advance(&mut self) -> Result<Option<Piece>, ValidationError> {
        let mut wanted = CHUNK_BYTES;
        loop {
            self.fill(wanted)?;
            if self.buffer.is_empty() {
                return Ok(None);
            }
            let (end, open) = self.boundary();
            if end > 0 {
                return Ok(Some(self.take(end, false)));
            }
            let too_long = self.buffer.len() > self.max_record_bytes;
            if too_long || (open && self.ended) {
                // A line that ends here ends within quotes. Each byte is looked at twice at most: what was searched for the closing quote is read by lines.
                let lines = memrchr(b'\n', &self.buffer).map_or(0, |at| at.saturating_add(1));
                let lines = if self.ended { self.buffer.len() } else { lines };
                if lines > 0 {
                    return Ok(Some(self.take(lines, true)));
                }
            }
            if self.ended {
                return Ok(Some(self.take(self.buffer.len(), false)));
            }
            if too_long {
                return self.skip_line().map(Some);
            }
            wanted = wanted.saturating_mul(2).min(self.max_record_bytes.saturating_add(CHUNK_BYTES));
        }
    }

    fn fill(&mut self, wanted: usize) -> Result<(), ValidationError> {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        while !self.ended && self.buffer.len() < wanted {
            let missing = wanted.saturating_sub(self.buffer.len());
            self.buffer.reserve_exact(missing);
            let read = self.input.by_ref().take(missing as u64).read_to_end(&mut self.buffer);
            let read = read.map_err(|error| ValidationError::NotRead {
                source: SeamError::new(ErrorKind::Unavailable, "read records").with_source(error),
            })?;
            self.ended = read < missing;
            if !self.began && self.buffer.starts_with(MARK) {
                self.buffer.drain(..MARK.len());
            }
            self.began = true;
        }
        Ok(())
    }

    /// Behind the last whole record, and whether a quote is open at the end.
    fn boundary(&self) -> (usize, bool) {
        let last_line = || memrchr(b'\n', &self.buffer).map_or(0, |at| at.saturating_add(1));
        let Some(csv) = self.csv.filter(|csv| memchr(csv.quote, &self.buffer).is_some()) else {
            return (if self.ended { self.buffer.len() } else { last_line() }, false);
        };
        let (mut boundary, mut at, mut place) = (0, 0, Place::Begin);
        while let Some(rest) = self.buffer.get(at..).filter(|rest| !rest.is_empty()) {
            let length = memchr(b'\n', rest);
            let line = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
            let plain = matches!(place, Place::Begin) && memchr(csv.quote, line).is_none();
            if !plain {
                place = line.iter().fold(place, |place, byte| place.step(*byte, csv));
            }
            let Some(length) = length else { break };
            at = at.saturating_add(length).saturating_add(1);
            if place != Place::Quoted {
                (boundary, place) = (at, Place::Begin);
            }
        }
        let open = place == Place::Quoted;
        (if self.ended && !open { self.buffer.len() } else { boundary }, open)
    }

    fn take(&mut self, end: usize, lines_only: bool) -> Piece {
        let rest = self.buffer.get(end..).unwrap_or_default().to_vec();
        let mut bytes = std::mem::replace(&mut self.buffer, rest);
        bytes.truncate(end);
        let first_line = self.line;
        self.line = self.line.saturating_add(lines_in(&bytes));
        Piece::Records { bytes, first_line, lines_only }
    }

    /// Drops bytes up to the end of the line.
    fn skip_line(&mut self) -> Result<Piece, ValidationError> {
        let line = self.line;
        loop {
            if let Some(at) = memchr(b'\n', &self.buffer) {
                self.buffer.drain(..=at);
                self.line = self.line.saturating_add(1);
                return Ok(Piece::TooLong { line });
            }
            if self.ended {
                self.buffer.clear();
                return Ok(Piece::TooLong { line });
            }
            self.buffer.clear();
            self.buffer.shrink_to(CHUNK_BYTES);
            self.fill(CHUNK_BYTES)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &[u8], csv: Option<&Csv>, max_record_bytes: usize) -> Vec<(String, u64, bool)> {
        let mut chunks = Chunks::new(text, csv, max_record_bytes);
        let mut pieces = Vec::new();
        while let Some(piece) = chunks.advance().unwrap() {
            pieces.push(match piece {
                Piece::Records { bytes, first_line, lines_only } => {
                    (String::from_utf8(bytes).unwrap(), first_line, lines_only)
                }
                Piece::TooLong { line } => ("too long".to_owned(), line, false),
            });
        }
        pieces
    }

    #[test]
    fn pieces_end_with_records_and_together_are_the_input() {
        let line = format!("{},\"x\ny\"\n", "a".repeat(1000));
        let text = line.repeat(1000);
        let pieces = pieces(text.as_bytes(), Some(&Csv::default()), 1 << 20);
        assert!(pieces.len() > 3, "{}", pieces.len());
        let mut lines = 1;
        for (piece, first_line, lines_only) in &pieces {
            assert!(piece.ends_with("y\"\n") && !lines_only);
            assert_eq!(*first_line, lines);
            lines += lines_in(piece.as_bytes());
        }
        assert_eq!(pieces.into_iter().map(|(piece, ..)| piece).collect::<String>(), text);
    }

    #[test]
    fn a_quote_that_is_never_closed_costs_the_lines_of_one_record() {
        let csv = Csv::default();
        let text = format!("a\n\"b\n{}", "c,d\n".repeat(300_000));
        let pieces = pieces(text.as_bytes(), Some(&csv), 1000);
        assert_eq!((pieces[0].0.as_str(), pieces[0].2), ("a\n", false));
        assert!(pieces[1].0.starts_with("\"b\nc,d\n") && pieces[1].2 && pieces[1].1 == 2);
        assert!(pieces[2..].iter().all(|(_, _, lines_only)| !lines_only));
        assert_eq!(pieces.into_iter().map(|(piece, ..)| piece).collect::<String>(), text);
    }

    #[test]
    fn a_line_that_is_too_long_is_told_and_the_next_is_read() {
        let text = format!("a\n{}\nb\n", "x".repeat(3 << 20));
        let pieces = pieces(text.as_bytes(), None, 1 << 20);
        let shown: Vec<(&str, u64)> = pieces.iter().map(|(text, line, _)| (text.as_str(), *line)).collect();
        assert_eq!(shown, [("a\n", 1), ("too long", 2), ("b\n", 3)]);
    }

    #[test]
    fn a_byte_order_mark_is_no_text() {
        assert_eq!(pieces(b"\xef\xbb\xbfa\n", None, 100), [("a\n".to_owned(), 1, false)]);
        assert_eq!(pieces(b"", None, 100), []);
    }
}
