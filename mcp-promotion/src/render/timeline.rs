use std::fmt;

use mcp_core::{Name, Principal, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{cells, plain};
use crate::preview::spoken;
use crate::{Happened, History, Moment, PromotionId};

/// What happened, for people: the answer of [`History::timeline`].
///
/// As JSON it is `{"stage": "prod", "rows": [{"position": 7, "at": "2026-11-23T12:00:00.000000Z", "promotion": "prod/1", "kind": "changed",
/// "by": "bob", "text": "pending -> deploying"}]}`, where `promotion` and `by` are absent where there are none. New kinds may come; the
/// others keep their names and fields. Shown as text, its columns are aligned, and windows and renewals of leases that say the same one
/// after the other share a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Timeline {
    /// In which stage.
    pub stage: Name,
    /// In the order in which it happened.
    pub rows: Vec<TimelineRow>,
}

/// One event of a [`Timeline`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TimelineRow {
    /// Its position in the stage's stream.
    pub position: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// Which promotion it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<PromotionId>,
    /// What kind of event it is, by its name in the journal, such as `requested`, `voted`, `changed` or `sampled`.
    pub kind: String,
    /// Who did it, where it was a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Principal>,
    /// What happened, in one line.
    pub text: String,
}

impl History {
    /// The same for people.
    #[must_use]
    pub fn timeline(&self) -> Timeline {
        let rows = self.moments.iter().map(|Moment { position, entry }| TimelineRow {
            position: *position,
            at: entry.at,
            promotion: entry
                .what
                .promotion(*position)
                .map(|number| PromotionId::new(self.stage.clone(), number)),
            kind: kind(&entry.what),
            by: person(&entry.what).cloned(),
            text: plain(&entry.what.to_string()),
        });
        Timeline { stage: self.stage.clone(), rows: rows.collect() }
    }
}

/// What it is called in the journal.
fn kind(what: &Happened) -> String {
    match serde_json::to_value(what) {
        Ok(Value::Object(object)) => object.into_iter().next().map(|(kind, _)| kind).unwrap_or_default(),
        Ok(Value::String(kind)) => kind,
        _ => String::new(),
    }
}

fn person(what: &Happened) -> Option<&Principal> {
    match what {
        Happened::Requested(requested) => Some(&requested.requester),
        Happened::Voted { voter, .. } => Some(voter),
        Happened::Overridden { by, .. }
        | Happened::GlassBroken { by, .. }
        | Happened::Reviewed { by, .. }
        | Happened::Held { by, .. }
        | Happened::HoldLifted { by } => Some(by),
        Happened::Changed { by, .. } | Happened::LeaseReleased { by, .. } => by.as_ref(),
        _ => None,
    }
}

impl TimelineRow {
    /// Whether `next` says the same of the same once more.
    fn repeats(&self, next: &Self) -> bool {
        let routine = matches!(self.kind.as_str(), "sampled" | "watched" | "lease_renewed");
        let said = |row: &Self| row.text.split_once(", ").map(|(_, verdict)| verdict.to_owned());
        let same = said(self) == said(next);
        routine && same && (&self.kind, &self.promotion) == (&next.kind, &next.promotion)
    }
}

impl fmt::Display for Timeline {
    /// A line for each event: when, how long after the line before, which promotion, and what happened.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |row: &TimelineRow| {
            row.promotion.as_ref().map_or_else(|| self.stage.to_string(), ToString::to_string)
        };
        let wide = self.rows.iter().map(|row| cells(&name(row))).max().unwrap_or_default();
        let mut before: Option<Timestamp> = None;
        let mut rows = self.rows.iter().peekable();
        while let Some(first) = rows.next() {
            let (mut row, mut times) = (first, 1_u64);
            while let Some(next) = rows.next_if(|next| row.repeats(next)) {
                (row, times) = (next, times.saturating_add(1));
            }
            let after = match before {
                Some(before) if row.at >= before => {
                    let elapsed = row.at.saturating_since(before);
                    if elapsed.is_zero() { String::new() } else { format!("+{}", rough(elapsed)) }
                }
                // The clock was set back.
                Some(_) => "<-".to_owned(),
                None => String::new(),
            };
            before = Some(row.at);
            let at = row.at.to_string();
            let seconds = at.split_once('.').map_or(at.as_str(), |(seconds, _)| seconds);
            write!(f, "{seconds}Z {after:>9} {:<wide$} {}", name(row), row.text)?;
            writeln!(f, "{}", if times > 1 { format!(" ({times} times)") } else { String::new() })?;
        }
        Ok(())
    }
}

/// The two largest units are enough to see what took long.
fn rough(duration: std::time::Duration) -> String {
    let whole =
        if duration.as_secs() > 0 { std::time::Duration::from_secs(duration.as_secs()) } else { duration };
    let spoken = spoken(whole);
    let parts: Vec<&str> = spoken.split(' ').take(2).collect();
    parts.join(" ")
}
