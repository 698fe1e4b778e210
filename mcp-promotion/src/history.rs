use std::fmt;

use mcp_core::Name;
use serde::Serialize;

use crate::Entry;

/// What happened, event by event, as it stands in the journal.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct History {
    /// In which stage.
    pub stage: Name,
    /// The events, in order.
    pub moments: Vec<Moment>,
}

/// One event of a [`History`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Moment {
    /// Its position in the stage's stream.
    pub position: u64,
    /// What happened, and when.
    pub entry: Entry,
}

impl fmt::Display for History {
    /// One line an event: position, time, and what happened.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for moment in &self.moments {
            let Moment { position, entry } = moment;
            write!(f, "{position:>4} {} {}", entry.at, self.stage)?;
            if let Some(promotion) = entry.what.promotion(*position) {
                write!(f, "/{promotion}")?;
            }
            // A reason that somebody gave cannot begin a line of its own.
            writeln!(f, " {}", crate::render::plain(&entry.what.to_string()))?;
        }
        Ok(())
    }
}
