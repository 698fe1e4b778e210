//! HTML text, in which everything that is not ours is escaped.

use crate::screen::steers;

/// A page in the making.
#[derive(Debug, Default)]
pub struct Html(String);

impl Html {
    /// Our own markup, as it is.
    pub fn raw(&mut self, markup: &str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text, for between tags and in quoted attributes.
    pub fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c if steers(c) && c != '\n' => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        self
    }

    /// An element that holds only text.
    pub fn element(&mut self, tag: &str, text: &str) -> &mut Self {
        self.raw("<").raw(tag).raw(">").text(text).raw("</").raw(tag).raw(">\n")
    }

    /// The finished page.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.0)
    }
}
