//! HTML text, in which everything that is not ours is escaped.

use crate::plain;

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
        for c in plain::line(text).chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
        self
    }

    /// An element that holds only text.
    pub fn element(&mut self, tag: &str, class: &str, text: &str) -> &mut Self {
        self.raw(&format!("<{tag} class=\"{class}\">")).text(text).raw(&format!("</{tag}>"))
    }

    /// A bar that is filled to `share`.
    pub fn bar(&mut self, share: f64, class: &str) -> &mut Self {
        let width = (share.clamp(0.0, 1.0) * 100.0).max(if share > 0.0 { 0.5 } else { 0.0 });
        self.raw("<svg class=\"bar\" viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" role=\"img\" aria-hidden=\"true\">")
            .raw("<rect class=\"track\" width=\"100\" height=\"10\"/>")
            .raw(&format!("<rect class=\"{class}\" width=\"{width:.2}\" height=\"10\"/></svg>"))
    }

    /// The finished page.
    pub fn finish(self) -> String {
        self.0
    }
}
