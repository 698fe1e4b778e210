//! How long each promotion spent in which state, as one row each.

use std::time::Duration;

use super::Tone;
use super::html::Html;

/// The way of one promotion, from its request to its end.
#[derive(Debug)]
pub struct Way {
    /// Which release into which stage.
    pub title: String,
    /// What came of it.
    pub outcome: String,
    /// Its states, in order.
    pub phases: Vec<Phase>,
}

/// Some time in one state.
#[derive(Debug)]
pub struct Phase {
    /// Which state.
    pub state: String,
    /// How it is meant.
    pub tone: Tone,
    /// How long.
    pub lasted: Duration,
}

const WIDTH: f64 = 420.0;
const ROW: f64 = 34.0;
const BAR: f64 = 12.0;

/// Rows on one common scale, which the longest fills.
pub(super) fn write(ways: &[Way], page: &mut Html) {
    let total = |way: &Way| way.phases.iter().map(|phase| phase.lasted).sum::<Duration>().as_secs_f64();
    let longest = ways.iter().map(total).fold(0.001, f64::max);
    page.raw("<div class=\"two\">\n");
    for half in ways.chunks(ways.len().div_ceil(2).max(1)) {
        #[expect(clippy::cast_precision_loss, reason = "a height on a screen")]
        let height = ROW * half.len() as f64 + 4.0;
        page.raw(&format!("<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n"));
        let mut top = 0.0;
        for way in half {
            row(way, top, longest, total(way), page);
            top += ROW;
        }
        page.raw("</svg>\n");
    }
    page.raw(
        "</div>\n<p class=\"key\"><span class=\"wait\">pending</span><span class=\"move\">deploying</span>",
    );
    page.raw("<span class=\"quiet\">verifying</span><span class=\"bad\">rolling back</span></p>\n");
}

fn row(way: &Way, top: f64, longest: f64, total: f64, page: &mut Html) {
    page.raw(&format!("<text class=\"strong\" x=\"0\" y=\"{}\">", top + 12.0))
        .text(&way.title)
        .raw("</text>");
    page.raw(&format!("<text class=\"strong\" x=\"{WIDTH}\" y=\"{}\" text-anchor=\"end\">", top + 12.0));
    page.text(&format!("{} after {total:.1} s", way.outcome)).raw("</text>\n");
    let mut left = 0.0;
    for phase in &way.phases {
        let seconds = phase.lasted.as_secs_f64();
        // What was there is shown, however short.
        let width = (WIDTH * seconds / longest).max(1.5);
        let y = top + 17.0;
        let class = phase.tone.class();
        page.raw(&format!("<rect class=\"fill-{class}\" x=\"{left:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\"><title>"));
        page.text(&format!("{} for {seconds:.3} s", phase.state)).raw("</title></rect>\n");
        left += width;
    }
}
