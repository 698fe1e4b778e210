use super::dictionary::CellKey;

/// Where a cell begins and ends, and whether in the text that was freed of its quotes.
pub(super) type Span = (usize, usize, bool);

/// The cells of one row, where they stand.
pub(super) struct Cells<'c> {
    /// UTF-8.
    pub(super) bytes: &'c [u8],
    /// Cells that were quoted, one after the other.
    pub(super) unquoted: &'c [u8],
    pub(super) spans: &'c [Span],
}

impl<'c> Cells<'c> {
    #[inline]
    pub(super) fn key(&self, (start, end, unquoted): Span) -> Option<CellKey> {
        CellKey::of_cell(if unquoted { self.unquoted } else { self.bytes }, start, end)
    }

    pub(super) fn text(&self, (start, end, unquoted): Span) -> &'c str {
        let bytes = if unquoted { self.unquoted } else { self.bytes };
        bytes.get(start..end).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("")
    }
}
