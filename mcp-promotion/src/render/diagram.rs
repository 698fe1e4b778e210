use std::sync::Arc;

use mcp_core::Name;
use serde::{Deserialize, Serialize};

use super::plain;
use crate::machine::StageState;
use crate::policy::{Queue, UpstreamRule};
use crate::preview::spoken;
use crate::verification::Verification;
use crate::{Pipeline, Policy, State};

/// A pipeline as it is drawn: with [`mermaid`](Self::mermaid) or with [`svg`](Self::svg).
///
/// ```
/// use mcp_promotion::{Pipeline, Policy};
///
/// let pipeline = Pipeline::builder()
///     .stage("dev", Policy::unverified("demo"))
///     .stage("prod", Policy::unverified("demo").after("dev").approvals(2))
///     .build()?;
/// let expected = "flowchart LR\n    s0[\"dev<br/>unverified\"]\n    s1[\"prod<br/>2 approvals<br/>unverified\"]\n    s0 --> s1\n";
/// assert_eq!(pipeline.diagram().mermaid(), expected);
/// # Ok::<(), mcp_promotion::PromotionError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Diagram {
    /// Every stage behind those that it comes after.
    pub stages: Vec<Drawn>,
}

/// One stage of a [`Diagram`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Drawn {
    /// Its name.
    pub name: Name,
    /// What its policy asks for, in short lines.
    pub rules: Vec<String>,
    /// Which stages it comes after.
    pub after: Vec<Name>,
    /// Whether one of those is enough.
    pub any_of: bool,
    /// How it stands, where that is drawn too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Live>,
}

/// How a stage stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Live {
    /// How urgent it is.
    pub tone: Tone,
    /// What runs, what is under way and what waits, in short lines.
    pub lines: Vec<String>,
}

/// How urgent the state of a stage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Tone {
    /// Nothing is going on.
    Quiet,
    /// A promotion is under way or waits.
    Busy,
    /// A person is needed: paused, stuck, held, or nobody knows what runs.
    Alarm,
}

impl Pipeline {
    /// As it is drawn, without how its stages stand.
    #[must_use]
    pub fn diagram(&self) -> Diagram {
        let stages = self.stages().map(|(name, policy)| Drawn {
            name: name.clone(),
            rules: rules(policy),
            after: policy.after.iter().cloned().collect(),
            any_of: policy.upstream == UpstreamRule::AnyOf,
            live: None,
        });
        Diagram { stages: stages.collect() }
    }
}

fn rules(policy: &Policy) -> Vec<String> {
    let names = |names: Vec<&Name>| names.into_iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
    let mut rules = Vec::new();
    match (policy.approvals, policy.levels.as_slice()) {
        (0, []) => {}
        (1, []) => rules.push("1 approval".to_owned()),
        (many, []) => rules.push(format!("{many} approvals")),
        (_, levels) => {
            rules.push(format!("approved by {}", names(levels.iter().map(|level| &level.name).collect())));
        }
    }
    if !policy.soak.is_zero() {
        rules.push(format!("soak {}", spoken(policy.soak)));
    }
    if !policy.gates.is_empty() {
        rules.push(format!("gates {}", names(policy.gates.iter().collect())));
    }
    let count = |many: usize, what: &str| match many {
        0 => None,
        1 => Some(format!("1 {what}")),
        many => Some(format!("{many} {what}s")),
    };
    rules.extend(count(policy.windows.allow.len(), "window"));
    rules.extend(count(policy.windows.deny.len(), "freeze"));
    if policy.queue == Queue::SupersedePending {
        rules.push("the newest request counts".to_owned());
    }
    match &policy.verification {
        Verification::Unverified { .. } => rules.push("unverified".to_owned()),
        Verification::Judged(judged) => {
            let canary = if policy.canary { "canary, " } else { "" };
            rules.push(format!("{canary}judge {}", judged.judge.name()));
        }
    }
    rules.extend(policy.watch.map(|watch| format!("watch {}", spoken(watch))));
    rules
}

/// How many promotions in flight are named: a stage with lanes may have many.
const MAX_MOVING: usize = 3;

impl Live {
    /// A stage, and the lanes that it has.
    pub(crate) fn of(state: &StageState, lanes: &[Arc<StageState>]) -> Self {
        let all = || std::iter::once(state).chain(lanes.iter().map(|lane| &**lane));
        let mut lines = vec![match state.current() {
            Some(current) => format!("runs {}", plain(&current.release.to_string())),
            None if lanes.is_empty() => "runs nothing".to_owned(),
            None => {
                let running = lanes.iter().filter(|lane| lane.current().is_some()).count();
                format!("{running} of {} lanes run a release", lanes.len())
            }
        }];
        let mut tone = Tone::Quiet;
        let pending = all().flat_map(StageState::open).filter(|open| open.state == State::Pending).count();
        if pending > 0 {
            lines.push(format!("{pending} waiting"));
            tone = Tone::Busy;
        }
        let mut moving: Vec<_> = all().filter_map(StageState::in_flight).collect();
        // Those that need somebody first.
        moving.sort_by_key(|promotion| !promotion.state.needs_a_person());
        if let Some(first) = moving.first() {
            tone = if first.state.needs_a_person() { Tone::Alarm } else { Tone::Busy };
        }
        lines.extend(
            moving.iter().take(MAX_MOVING).map(|promotion| format!("{} {}", promotion.id, promotion.state)),
        );
        if let Some(more) = moving.len().checked_sub(MAX_MOVING).filter(|more| *more > 0) {
            lines.push(format!("and {more} more under way"));
        }
        if let Some(hold) = state.hold() {
            lines.push(format!("held by {}", plain(hold.by.as_str())));
            tone = Tone::Alarm;
        }
        if all().any(StageState::is_unsettled) {
            lines.push("not known what runs".to_owned());
            tone = Tone::Alarm;
        }
        Self { tone, lines }
    }
}
