//! Shares of a whole, as bars.

use super::html::Html;
use crate::screen::percent;

/// A part of a whole, both shown.
#[derive(Clone, Debug)]
pub struct Bar {
    /// What is counted.
    pub label: String,
    /// How many have it.
    pub numerator: u64,
    /// Of how many.
    pub denominator: u64,
}

impl Bar {
    pub(super) fn write(&self, page: &mut Html) {
        let Self { label, numerator, denominator } = self;
        #[expect(clippy::cast_precision_loss, reason = "a width on a screen")]
        let width = if *denominator == 0 { 0.0 } else { 100.0 * (*numerator as f64) / (*denominator as f64) };
        page.raw("<div class=\"bar\"><span>").text(label).raw("</span>");
        page.raw("<svg viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
        page.raw("<rect class=\"fill-track\" width=\"100\" height=\"8\"/>");
        page.raw(&format!("<rect class=\"fill-move\" width=\"{width:.2}\" height=\"8\"/></svg>"));
        let share = percent(*numerator, *denominator);
        page.raw("<span class=\"count\">")
            .text(&format!("{numerator} of {denominator} · {share}"))
            .raw("</span></div>\n");
    }
}
