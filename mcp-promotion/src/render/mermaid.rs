use std::collections::BTreeMap;

use super::diagram::{Diagram, Drawn, Tone};
use super::plain;

impl Diagram {
    /// A flowchart for Mermaid, from left to right. A dotted arrow comes from one of several stages of which one is enough.
    #[must_use]
    pub fn mermaid(&self) -> String {
        let places: BTreeMap<_, _> =
            self.stages.iter().enumerate().map(|(place, stage)| (&stage.name, place)).collect();
        let mut text = String::from("flowchart LR\n");
        for (place, stage) in self.stages.iter().enumerate() {
            text.push_str(&format!("    s{place}[\"{}\"]{}\n", label(stage), class(stage)));
        }
        for (place, stage) in self.stages.iter().enumerate() {
            let arrow = if stage.any_of && stage.after.len() > 1 { "-.->" } else { "-->" };
            for before in stage.after.iter().filter_map(|before| places.get(before)) {
                text.push_str(&format!("    s{before} {arrow} s{place}\n"));
            }
        }
        if self.stages.iter().any(|stage| stage.live.is_some()) {
            for (class, colours) in [
                ("quiet", "fill:#e6f4ea,stroke:#137333,color:#0b3d1e"),
                ("busy", "fill:#e8f0fe,stroke:#1967d2,color:#0d2f66"),
                ("alarm", "fill:#fce8e6,stroke:#c5221f,color:#5f1210"),
            ] {
                text.push_str(&format!("    classDef {class} {colours}\n"));
            }
        }
        text
    }
}

fn label(stage: &Drawn) -> String {
    let live = stage.live.iter().flat_map(|live| &live.lines);
    let lines =
        std::iter::once(stage.name.as_str()).chain(stage.rules.iter().chain(live).map(String::as_str));
    lines.map(escaped).collect::<Vec<_>>().join("<br/>")
}

fn class(stage: &Drawn) -> &'static str {
    match stage.live.as_ref().map(|live| live.tone) {
        None => "",
        Some(Tone::Quiet) => ":::quiet",
        Some(Tone::Busy) => ":::busy",
        Some(Tone::Alarm) => ":::alarm",
    }
}

/// Mermaid's entities: a number sign, a name or a number, and a semicolon. A label in quotes ends at a quote, and is read as HTML and Markdown.
fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for c in plain(text).chars() {
        match c {
            '"' | '#' | '&' | '<' | '>' | '`' | '\\' | ';' | '*' | '[' | ']' | '{' | '}' | '(' | ')'
            | '|' | '%' | '$' => {
                safe.push_str(&format!("#{};", u32::from(c)));
            }
            c => safe.push(c),
        }
    }
    safe
}
