//! Pictures for people: timelines as text, pipelines as Mermaid and as SVG. Text from outside cannot break out of them.

mod diagram;
mod layout;
mod mermaid;
mod svg;
mod timeline;

pub use diagram::{Diagram, Drawn, Live, Tone};
pub use timeline::{Timeline, TimelineRow};

/// On one line, and nothing in it that moves the cursor or turns the direction of writing: each such character becomes `\u{fffd}`.
pub(crate) fn plain(text: &str) -> String {
    let harmless = |c: char| {
        let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
        if c.is_control() || turns { '\u{fffd}' } else { c }
    };
    text.chars().map(harmless).collect()
}

/// How many columns of a fixed-width font a text takes, at most.
fn cells(text: &str) -> usize {
    text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum()
}

/// The beginning that fits into so many columns.
fn fitting(text: &str, most: usize) -> String {
    if cells(text) <= most {
        return text.to_owned();
    }
    let mut used = 2;
    let mut shown: String = text
        .chars()
        .take_while(|c| {
            used += if c.is_ascii() { 1 } else { 2 };
            used <= most
        })
        .collect();
    shown.push('…');
    shown
}
