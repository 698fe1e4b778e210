//! What the program shows while it runs: lines, wrapped to the terminal, and a progress bar where somebody watches.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crate::failure::Failure;
use console::{Term, measure_text_width};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Lines longer than this are hard to read on however wide a terminal.
const MAX_COLUMNS: usize = 110;
/// Narrower than this nothing can be laid out.
const MIN_COLUMNS: usize = 30;

/// Standard output, and whether somebody watches it.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    interactive: bool,
    columns: usize,
}

impl Screen {
    /// Of this process.
    pub fn new() -> Self {
        let interactive = io::stdout().is_terminal() && io::stderr().is_terminal();
        // A pipe is for programs, such as grep: there no line is broken.
        let columns = match Term::stdout().size_checked() {
            Some((_rows, columns)) if interactive => usize::from(columns).clamp(MIN_COLUMNS, MAX_COLUMNS),
            _ => usize::MAX,
        };
        Self { interactive, columns }
    }

    /// A heading.
    pub fn heading(&self, text: &str) {
        self.print("");
        if self.interactive { self.print(&format!("\x1b[1m{text}\x1b[0m")) } else { self.print(text) }
    }

    /// A paragraph below a heading.
    pub fn line(&self, text: &str) {
        self.wrapped("  ", "  ", text);
    }

    /// One of a list.
    pub fn item(&self, text: &str) {
        self.wrapped("  - ", "    ", text);
    }

    /// One of a list below an item.
    pub fn detail(&self, text: &str) {
        self.wrapped("      ", "        ", text);
    }

    /// A labelled part of a whole: `label   ████████░░  7 of 10`.
    pub fn share(&self, label: &str, numerator: u64, denominator: u64) {
        const CELLS: u64 = 10;
        let full = numerator.saturating_mul(CELLS).checked_div(denominator).unwrap_or(0).min(CELLS);
        let bar: String = (0..CELLS).map(|cell| if cell < full { '█' } else { '░' }).collect();
        self.print(&format!("  {label:<22} {bar} {numerator} of {denominator}"));
    }

    /// Why the program ends early, on standard error.
    pub fn failure(&self, failure: &Failure) {
        let lines = failure.to_string();
        for (place, line) in lines.lines().enumerate() {
            let prefix = if place == 0 { "error: " } else { "" };
            writeln!(io::stderr(), "{prefix}{}", visible(line, false)).ok();
        }
    }

    /// A text of several lines, as it is.
    pub fn verbatim(&self, text: &str) {
        text.lines().for_each(|line| self.print(line));
    }

    /// A bar that counts up to `length`; it shows itself only where somebody watches.
    pub fn progress(&self, what: &'static str, length: u64) -> ProgressBar {
        let target =
            if self.interactive { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(length), target).with_message(what);
        ProgressStyle::with_template("  {msg} {bar:20} {pos} of {len}")
            .map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
    }

    /// A sign that something goes on which nobody can count; it shows itself only where somebody watches.
    pub fn waiting(&self, what: String) -> ProgressBar {
        if !self.interactive {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new_spinner().with_message(what);
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }

    /// Breaks at spaces; several spaces in a row are a column and stay.
    fn wrapped(&self, first: &str, following: &str, text: &str) {
        let mut line = first.to_owned();
        let mut empty = true;
        for word in text.split(' ') {
            if !empty && measure_text_width(&line) + 1 + measure_text_width(word) > self.columns {
                self.print(&line);
                following.clone_into(&mut line);
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        self.print(&line);
    }

    /// Ends nothing when the reader is gone, as in `quickstart | head`: the work is worth finishing.
    fn print(&self, line: &str) {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", visible(line, self.interactive)).and_then(|()| out.flush()).ok();
    }
}

/// Text from an archive must not steer the terminal: what would becomes visible, but for our own bold.
fn visible(line: &str, interactive: bool) -> String {
    let own = interactive && line.starts_with("\x1b[1m") && line.ends_with("\x1b[0m");
    if own { line.to_owned() } else { line.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect() }
}

/// Whether a character moves the cursor, or turns the order of others around (UAX #9, explicit directional formatting).
pub fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `part` of `whole` in per cent, with one decimal; a whole of nothing has no share.
pub fn percent(part: u64, whole: u64) -> String {
    match part.saturating_mul(1000).checked_div(whole) {
        Some(tenths) => format!("{}.{} %", tenths / 10, tenths % 10),
        None => "n/a".to_owned(),
    }
}

/// A size for people, in decimal units.
pub fn megabytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let megabytes = bytes as f64 / 1e6;
    format!("{megabytes:.1} MB")
}
