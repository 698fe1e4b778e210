//! What a comparison came to, for people.

use crate::batch::compat::{Found, Outcome};

/// The verdict, and what there is to be said of it, a line for each.
pub fn outcome(outcome: &Outcome, old: &[String]) -> String {
    let mut text = match (&outcome.message, outcome.breaks.len()) {
        (Some(message), _) => format!("{}: {message}", outcome.verdict),
        (None, 0) => outcome.verdict.to_owned(),
        (None, 1) => format!("{}: 1 break", outcome.verdict),
        (None, many) => format!("{}: {many} breaks", outcome.verdict),
    };
    for found in &outcome.breaks {
        text.push('\n');
        text.push_str(&line(found, old));
    }
    text
}

fn line(found: &Found, old: &[String]) -> String {
    let place = if found.path.is_empty() { "(schema)" } else { &found.path };
    let direction = found.direction.map_or_else(String::new, |direction| format!("{direction} "));
    let against = match found.against.and_then(|index| old.get(index)) {
        Some(file) if old.len() > 1 => format!(" against {file}"),
        _ => String::new(),
    };
    let mut text = format!("{direction}{} {place}{against}: {}; {}", found.rule, found.message, found.advice);
    if let Some(witness) = &found.witness {
        text.push_str(&format!("\n  for example {witness}"));
    }
    text
}
