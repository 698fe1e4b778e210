use memchr::{memchr, memchr_iter};
use serde::{Deserialize, Serialize};

use super::cells::{Cells, Span};

/// How a table is written as text (RFC 4180): rows end with a line feed or with a carriage return and a line feed, cells that hold one of these
/// or a delimiter are quoted, and a quote within them is doubled. Blank lines are no rows. A quote inside a cell that does not begin with one
/// is text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Csv {
    /// What stands between cells.
    pub delimiter: u8,
    /// What stands around cells.
    pub quote: u8,
    /// The names of the columns; `None` where the first row has them.
    pub columns: Option<Vec<String>>,
}

impl Default for Csv {
    /// Commas, double quotes, and names in the first row.
    fn default() -> Self {
        Self { delimiter: b',', quote: b'"', columns: None }
    }
}

impl Csv {
    /// Cells that `delimiter` stands between.
    #[must_use]
    pub fn delimited_by(delimiter: u8) -> Self {
        Self { delimiter, ..Self::default() }
    }
}

/// Where in a row one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the beginning of a cell.
    Begin,
    /// In a cell without quotes, or behind its closing quote and more.
    Plain,
    /// Within quotes.
    Quoted,
    /// Behind a quote within quotes: it closes them, or is the first of two.
    Closing,
}

impl Place {
    /// Behind one more byte, which is no end of a line.
    pub(super) const fn step(self, byte: u8, csv: &Csv) -> Self {
        if byte == csv.quote {
            return match self {
                Self::Begin | Self::Closing => Self::Quoted,
                Self::Plain => Self::Plain,
                Self::Quoted => Self::Closing,
            };
        }
        match self {
            Self::Quoted => Self::Quoted,
            _ if byte == csv.delimiter => Self::Begin,
            _ => Self::Plain,
        }
    }
}

/// Finds the cells of one row after the other.
pub(super) struct Rows<'b> {
    csv: &'b Csv,
    bytes: &'b [u8],
    at: usize,
    /// Whether each line is a row, whatever its quotes say.
    lines_only: bool,
    any_quotes: bool,
    spans: Vec<Span>,
    unquoted: Vec<u8>,
}

/// A row that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) start: usize,
    /// Without the end of its line.
    pub(super) end: usize,
    /// How many lines it takes.
    pub(super) lines: u64,
    /// Whether a quote is never closed.
    pub(super) open: bool,
    pub(super) blank: bool,
}

impl<'b> Rows<'b> {
    /// The rows of `bytes`, which begin with one.
    pub(super) fn new(csv: &'b Csv, bytes: &'b [u8], lines_only: bool) -> Self {
        let any_quotes = memchr(csv.quote, bytes).is_some();
        Self { csv, bytes, at: 0, lines_only, any_quotes, spans: Vec::new(), unquoted: Vec::new() }
    }

    /// Where the next row begins.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// The cells of the row that was found last.
    pub(super) fn cells(&self) -> Cells<'_> {
        Cells { bytes: self.bytes, unquoted: &self.unquoted, spans: &self.spans }
    }

    /// The next row; its cells replace those before.
    pub(super) fn advance(&mut self) -> Option<Row> {
        self.spans.clear();
        self.unquoted.clear();
        let start = self.at;
        let rest = self.bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let length = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = without_return(rest.get(..length)?);
        if self.any_quotes && memchr(self.csv.quote, line).is_some() {
            return Some(self.quoted(start));
        }
        self.at = start.saturating_add(length).saturating_add(1).min(self.bytes.len());
        let end = start.saturating_add(line.len());
        let mut begin = start;
        for (place, byte) in (start..).zip(line) {
            if *byte == self.csv.delimiter {
                self.spans.push((begin, place, false));
                begin = place.saturating_add(1);
            }
        }
        self.spans.push((begin, end, false));
        Some(Row { start, end, lines: 1, open: false, blank: line.is_empty() })
    }

    /// A row that may have quotes, byte by byte.
    fn quoted(&mut self, start: usize) -> Row {
        let bytes = self.bytes;
        let mut cell = Cell { begin: start, copied: None };
        let (mut place, mut at, mut lines) = (Place::Begin, start, 1);
        let end = loop {
            let Some(byte) = bytes.get(at) else { break bytes.len() };
            let ends = match byte {
                b'\n' => true,
                b'\r' => bytes.get(at.saturating_add(1)).is_none_or(|next| *next == b'\n'),
                _ => false,
            };
            if ends && (place != Place::Quoted || self.lines_only) {
                break at;
            }
            lines += u64::from(*byte == b'\n');
            let next = place.step(*byte, self.csv);
            match (place, next) {
                (_, Place::Begin) => {
                    self.close(&mut cell, place, at);
                    cell = Cell { begin: at.saturating_add(1), copied: None };
                }
                // Behind the opening quote.
                (Place::Begin, Place::Quoted) => cell.begin = at.saturating_add(1),
                // The first of two quotes is text, the second is not.
                (Place::Closing, Place::Quoted) => {
                    self.copy(&mut cell, at);
                    cell.begin = at.saturating_add(1);
                }
                // Text behind the closing quote, which is not.
                (Place::Closing, Place::Plain) => {
                    self.copy(&mut cell, at.saturating_sub(1));
                    cell.begin = at;
                }
                _ => {}
            }
            place = next;
            at = at.saturating_add(1);
        };
        self.close(&mut cell, place, end);
        let line_end = bytes
            .get(end..)
            .map_or(0, |rest| memchr(b'\n', rest).map_or(rest.len(), |at| at.saturating_add(1)));
        self.at = end.saturating_add(line_end);
        Row { start, end, lines, open: place == Place::Quoted, blank: false }
    }

    fn copy(&mut self, cell: &mut Cell, end: usize) {
        cell.copied.get_or_insert(self.unquoted.len());
        self.unquoted.extend_from_slice(self.bytes.get(cell.begin..end).unwrap_or_default());
    }

    fn close(&mut self, cell: &mut Cell, place: Place, at: usize) {
        let end = if place == Place::Closing { at.saturating_sub(1) } else { at };
        if let Some(copied) = cell.copied {
            self.copy(cell, end);
            self.spans.push((copied, self.unquoted.len(), true));
        } else {
            self.spans.push((cell.begin, end, false));
        }
    }
}

/// A cell that is being read: where its next bytes begin, and where those before were copied to.
struct Cell {
    begin: usize,
    copied: Option<usize>,
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// How many lines end in `bytes`.
pub(super) fn lines_in(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &[u8]) -> Vec<Vec<String>> {
        let csv = Csv::default();
        let mut rows = Rows::new(&csv, text, false);
        let mut found = Vec::new();
        while let Some(row) = rows.advance() {
            if !row.blank {
                let cells = rows.cells();
                found.push(cells.spans.iter().map(|span| cells.text(*span).to_owned()).collect());
            }
        }
        found
    }

    #[test]
    fn quotes_hold_delimiters_line_ends_and_doubled_quotes() {
        let text = b"a,\"b,\"\"c\"\"\r\nd\",\r\n\n\"\",x\"y\",\"e\"f\"\n\"last\"";
        let right: [&[&str]; 3] = [&["a", "b,\"c\"\r\nd", ""], &["", "x\"y\"", "ef\""], &["last"]];
        assert_eq!(rows(text), right);
    }

    #[test]
    fn a_quote_that_is_never_closed_is_told_and_lines_alone_end_it() {
        let csv = Csv::default();
        let mut whole = Rows::new(&csv, b"\"a\nb,c\n", false);
        assert!(whole.advance().is_some_and(|row| row.open && row.lines == 3));
        let mut lines = Rows::new(&csv, b"\"a\nb,c\n", true);
        assert!(lines.advance().is_some_and(|row| row.open && row.lines == 1));
        assert!(lines.advance().is_some_and(|row| !row.open && row.start == 3));
        assert_eq!(lines.advance(), None);
    }

    proptest! {
        /// The crate `csv` is the naive model: what it reads, this reads.
        #[test]
        fn rows_are_those_of_the_crate_csv(text in "[ab,\"\n\r ]{0,40}") {
            // A carriage return alone ends a line there and is text here.
            let text = text.replace("\r\n", "\n").replace('\r', "");
            let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
            let right: Vec<Vec<String>> =
                reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
            prop_assert_eq!(rows(text.as_bytes()), right, "{:?}", text);
        }
    }
}
