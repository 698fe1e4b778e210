use std::collections::BTreeMap;
use std::fmt::Write;

use super::diagram::{Diagram, Drawn, Tone};
use super::layout::{Layout, Place, Size, layout};
use super::{cells, fitting, plain};

/// The width of a column of the font: 0.6 em at 13 pixels, rounded up.
const CELL: usize = 8;
/// The distance from one line to the next.
const LINE: usize = 19;
/// The distance from the side of a box to its text.
const PADDING: usize = 12;
/// The distance from the edge of the picture.
const MARGIN: usize = 24;
/// The longest line, in columns of the font; a longer one ends in an ellipsis, and is whole in what the pointer shows.
const MOST_CELLS: usize = 36;

/// Light by default, dark where the reader prefers that.
const STYLE: &str = "
  .pipeline { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; }
  .pipeline .paper { fill: #ffffff; }
  .pipeline .box { fill: #f6f8fa; stroke: #57606a; stroke-width: 1.5; }
  .pipeline .name { fill: #1f2328; font-weight: bold; }
  .pipeline .rule { fill: #57606a; }
  .pipeline .live { fill: #1f2328; }
  .pipeline .arrow { fill: none; stroke: #57606a; stroke-width: 1.5; }
  .pipeline .head { fill: #57606a; }
  .pipeline .any { stroke-dasharray: 5 4; }
  .pipeline .quiet .box { fill: #e6f4ea; stroke: #137333; }
  .pipeline .busy .box { fill: #e8f0fe; stroke: #1967d2; }
  .pipeline .alarm .box { fill: #fce8e6; stroke: #c5221f; stroke-width: 2.5; }
  @media (prefers-color-scheme: dark) {
    .pipeline .paper { fill: #0d1117; }
    .pipeline .box { fill: #161b22; stroke: #9198a1; }
    .pipeline .name, .pipeline .live { fill: #f0f6fc; }
    .pipeline .rule { fill: #b1bac4; }
    .pipeline .arrow { stroke: #9198a1; }
    .pipeline .head { fill: #9198a1; }
    .pipeline .quiet .box { fill: #12261b; stroke: #3fb950; }
    .pipeline .busy .box { fill: #121d2f; stroke: #58a6ff; }
    .pipeline .alarm .box { fill: #2d1413; stroke: #f85149; }
  }
";

impl Diagram {
    /// A picture as SVG 1.1, from left to right: stages in columns by how many must come before them. It has a title and a description for
    /// those who cannot see it, no script and nothing that is loaded, and it is readable in light and in dark. A dashed arrow comes from one
    /// of several stages of which one is enough.
    #[must_use]
    pub fn svg(&self) -> String {
        let boxes: Vec<Text> = self.stages.iter().map(Text::of).collect();
        let sizes: Vec<Size> = boxes.iter().map(Text::size).collect();
        let arrows = self.arrows();
        let drawn = layout(&sizes, &arrows);
        let mut svg = String::new();
        // Writing to a string cannot fail.
        if self.write(&mut svg, &boxes, &arrows, &drawn).is_err() {
            svg.clear();
        }
        svg
    }

    fn arrows(&self) -> Vec<(usize, usize)> {
        let places: BTreeMap<_, _> =
            self.stages.iter().enumerate().map(|(place, stage)| (&stage.name, place)).collect();
        let to = |(place, stage): (usize, &'_ Drawn)| -> Vec<(usize, usize)> {
            // One that was put together by hand may name stages that are behind it, or that are not there.
            let before = stage.after.iter().filter_map(|before| places.get(before).copied());
            before.filter(|before| *before < place).map(|before| (before, place)).collect()
        };
        self.stages.iter().enumerate().flat_map(to).collect()
    }

    fn write(
        &self,
        svg: &mut String,
        boxes: &[Text],
        arrows: &[(usize, usize)],
        drawn: &Layout,
    ) -> std::fmt::Result {
        let width = drawn.width.saturating_add(MARGIN.saturating_mul(2));
        let height = drawn.height.saturating_add(MARGIN.saturating_mul(2));
        writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"pipeline\" role=\"img\" aria-labelledby=\"pipeline-title pipeline-desc\" \
             width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">"
        )?;
        let names: Vec<&str> = self.stages.iter().map(|stage| stage.name.as_str()).collect();
        writeln!(svg, "<title id=\"pipeline-title\">Pipeline of {} stages</title>", names.len())?;
        writeln!(svg, "<desc id=\"pipeline-desc\">{}</desc>", escaped(&plain(&self.described())))?;
        writeln!(svg, "<style>{STYLE}</style>")?;
        writeln!(svg, "<rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>")?;
        for ((_, to), points) in arrows.iter().zip(&drawn.arrows) {
            let any = self.stages.get(*to).is_some_and(|stage| stage.any_of && stage.after.len() > 1);
            arrow(svg, points, any)?;
        }
        for (text, place) in boxes.iter().zip(&drawn.places) {
            text.write(svg, *place)?;
        }
        svg.write_str("</svg>\n")
    }

    /// In words, a sentence for each stage.
    fn described(&self) -> String {
        let sentence = |stage: &Drawn| {
            let before: Vec<&str> = stage.after.iter().map(mcp_core::Name::as_str).collect();
            let mut sentence = stage.name.to_string();
            match before.as_slice() {
                [] => sentence.push_str(" comes first"),
                all => {
                    let either = if stage.any_of { "any of " } else { "" };
                    sentence.push_str(&format!(" comes after {either}{}", all.join(", ")));
                }
            }
            for line in stage.rules.iter().chain(stage.live.iter().flat_map(|live| &live.lines)) {
                sentence.push_str("; ");
                sentence.push_str(line);
            }
            sentence
        };
        self.stages.iter().map(sentence).collect::<Vec<_>>().join(". ")
    }
}

/// The lines of a box.
struct Text {
    tone: &'static str,
    /// Each with its class.
    lines: Vec<(&'static str, String)>,
    whole: String,
}

impl Text {
    fn of(stage: &Drawn) -> Self {
        let tone = match stage.live.as_ref().map(|live| live.tone) {
            None => "still",
            Some(Tone::Quiet) => "quiet",
            Some(Tone::Busy) => "busy",
            Some(Tone::Alarm) => "alarm",
        };
        let name = std::iter::once(("name", stage.name.to_string()));
        let rules = stage.rules.iter().map(|line| ("rule", plain(line)));
        let live = stage.live.iter().flat_map(|live| &live.lines).map(|line| ("live", plain(line)));
        let lines: Vec<_> = name.chain(rules).chain(live).collect();
        let whole = lines.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n");
        let lines = lines.into_iter().map(|(class, line)| (class, fitting(&line, MOST_CELLS))).collect();
        Self { tone, lines, whole }
    }

    fn size(&self) -> Size {
        let widest = self.lines.iter().map(|(_, line)| cells(line)).max().unwrap_or_default();
        let both = PADDING.saturating_mul(2);
        Size {
            width: widest.saturating_mul(CELL).saturating_add(both),
            height: self.lines.len().saturating_mul(LINE).saturating_add(both / 2).saturating_add(4),
        }
    }

    fn write(&self, svg: &mut String, place: Place) -> std::fmt::Result {
        let Size { width, height } = self.size();
        let (x, y) = (place.x.saturating_add(MARGIN), place.y.saturating_add(MARGIN));
        writeln!(svg, "<g class=\"{}\"><title>{}</title>", self.tone, escaped(&self.whole))?;
        writeln!(
            svg,
            "<rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>"
        )?;
        for (number, (class, line)) in self.lines.iter().enumerate() {
            let (x, y) =
                (x.saturating_add(PADDING), y.saturating_add(LINE.saturating_mul(number.saturating_add(1))));
            writeln!(
                svg,
                "<text class=\"{class}\" x=\"{x}\" y=\"{}\">{}</text>",
                y.saturating_add(2),
                escaped(line)
            )?;
        }
        writeln!(svg, "</g>")
    }
}

/// Bends between columns, straight lines within them, and a head at the end.
fn arrow(svg: &mut String, points: &[Place], any: bool) -> std::fmt::Result {
    const HEAD: usize = 8;
    let shifted = |place: &Place| (place.x.saturating_add(MARGIN), place.y.saturating_add(MARGIN));
    let (Some(first), Some(last)) = (points.first().map(shifted), points.last().map(shifted)) else {
        return Ok(());
    };
    write!(svg, "<path class=\"{}\" d=\"M{} {}", if any { "arrow any" } else { "arrow" }, first.0, first.1)?;
    let mut here = first;
    for (number, point) in points.iter().enumerate().skip(1) {
        let (mut x, y) = shifted(point);
        if number.saturating_add(1) == points.len() {
            x = x.saturating_sub(HEAD);
        }
        if number % 2 == 1 {
            let middle = here.0.saturating_add(x) / 2;
            write!(svg, " C{middle} {} {middle} {y} {x} {y}", here.1)?;
        } else {
            write!(svg, " L{x} {y}")?;
        }
        here = (x, y);
    }
    writeln!(svg, "\"/>")?;
    let (x, y) = last;
    let back = x.saturating_sub(HEAD);
    writeln!(
        svg,
        "<path class=\"head\" d=\"M{x} {y} L{back} {} L{back} {} Z\"/>",
        y.saturating_sub(4),
        y.saturating_add(4)
    )
}

fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}
