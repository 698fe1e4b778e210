//! What the judge saw, window by window, as a line chart.

use std::fmt::Write as _;

use super::Tone;
use super::html::Html;

/// One judged verification.
#[derive(Debug)]
pub struct Evidence {
    /// Which release into which stage.
    pub title: String,
    /// What the judge said at the end.
    pub verdict: String,
    /// How that is meant.
    pub tone: Tone,
    /// The share of failed requests above which a window is bad.
    pub limit: f64,
    /// What was counted, in order.
    pub windows: Vec<Observation>,
}

/// What was counted in one window.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// When it ended, in seconds after the verification began.
    pub seconds: f64,
    /// Good requests and requests of the instances that run the new release.
    pub canary: (u64, u64),
    /// The same of those that run the previous one; `(0, 0)` where there are none.
    pub baseline: (u64, u64),
}

const LEFT: f64 = 44.0;
const RIGHT: f64 = 412.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 176.0;

/// The share of requests that failed; `None` without requests.
#[expect(clippy::cast_precision_loss, reason = "a height on a screen")]
fn failed((good, total): (u64, u64)) -> Option<f64> {
    (total > 0).then(|| total.saturating_sub(good) as f64 / total as f64)
}

/// Where values stand on the screen.
struct Scale {
    seconds: f64,
    share: f64,
}

impl Scale {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * seconds / self.seconds
    }

    fn y(&self, share: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * share / self.share
    }
}

impl Evidence {
    pub(super) fn write(&self, page: &mut Html) {
        let canary = self.series(|window| failed(window.canary));
        let baseline = self.series(|window| failed(window.baseline));
        let highest = canary.iter().chain(&baseline).map(|(_, share)| *share).fold(self.limit, f64::max);
        let last = self.windows.last().map_or(1.0, |window| window.seconds);
        // Steps of 10 points of a per cent, so that two charts are easily compared.
        let scale = Scale { seconds: last.max(0.1), share: ((highest * 10.0).ceil() / 10.0).max(0.1) };
        page.raw("<div class=\"card\">").element("h3", &self.title);
        page.raw("<p class=\"").raw(self.tone.class()).raw("\">").text(&self.verdict).raw("</p>\n");
        page.raw("<svg class=\"chart\" viewBox=\"0 0 420 212\" role=\"img\">\n");
        axes(&scale, page);
        let y = scale.y(self.limit);
        page.raw(&format!("<line class=\"line dashed stroke-quiet\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\n"));
        // The broader line below stays visible where both run together.
        let canary_colour = self.tone.class();
        line(&baseline, &scale, "move", 6, page);
        line(&canary, &scale, canary_colour, 2, page);
        page.raw("</svg>\n<p class=\"key\"><span class=\"").raw(canary_colour).raw("\">canary</span>");
        if !baseline.is_empty() {
            page.raw("<span class=\"move\">baseline</span>");
        }
        page.raw("<span class=\"quiet\">limit ").text(&format!("{:.0} %", self.limit * 100.0));
        page.raw("</span></p>\n</div>\n");
    }

    fn series(&self, value: impl Fn(&Observation) -> Option<f64>) -> Vec<(f64, f64)> {
        self.windows.iter().filter_map(|window| Some((window.seconds, value(window)?))).collect()
    }
}

fn axes(scale: &Scale, page: &mut Html) {
    page.raw("<text x=\"0\" y=\"11\">share of requests that failed</text>\n");
    for step in 0..=2 {
        let share = scale.share * f64::from(step) / 2.0;
        let y = scale.y(share);
        page.raw(&format!("<line class=\"line stroke-rule\" style=\"stroke-width:1\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"));
        page.raw(&format!(
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{:.0} %</text>\n",
            LEFT - 6.0,
            y + 4.0,
            share * 100.0
        ));
    }
    let decimals = if scale.seconds < 2.0 { 2 } else { 1 };
    for step in 0..=4 {
        let seconds = scale.seconds * f64::from(step) / 4.0;
        let x = scale.x(seconds);
        let anchor = if step == 4 { "end" } else { "middle" };
        page.raw(&format!(
            "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{seconds:.decimals$} s</text>\n",
            BOTTOM + 18.0
        ));
    }
    page.raw(&format!(
        "<text x=\"{RIGHT}\" y=\"{}\" text-anchor=\"end\">after the release was applied</text>\n",
        BOTTOM + 33.0
    ));
}

fn line(points: &[(f64, f64)], scale: &Scale, colour: &str, width: u32, page: &mut Html) {
    let mut path = String::new();
    for (place, (seconds, share)) in points.iter().enumerate() {
        let command = if place == 0 { 'M' } else { 'L' };
        write!(path, "{command}{:.1} {:.1}", scale.x(*seconds), scale.y(*share)).ok();
    }
    if points.is_empty() {
        return;
    }
    page.raw(&format!(
        "<path class=\"line stroke-{colour}\" style=\"stroke-width:{width}\" d=\"{path}\"/>\n"
    ));
    for (seconds, share) in points {
        let (x, y) = (scale.x(*seconds), scale.y(*share));
        page.raw(&format!("<circle class=\"fill-{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{}\"><title>{:.1} % of the requests failed, {seconds:.2} s</title></circle>\n", 2 + width / 2, share * 100.0));
    }
}
