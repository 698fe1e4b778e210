use mcp_core::{Principal, Timestamp};

use super::course::{Course, Planned};
use super::{OnFailure, PartState, PlanHappened, PlanState};
use crate::State;
use crate::machine::StageState;

/// What a driver sees of a stage of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Where the newest promotion that the plan requested there stands, and since when.
    pub(crate) promotion: Option<(State, Timestamp)>,
    pub(crate) runs: Runs,
}

/// What a stage is known to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runs {
    Planned,
    Base,
    Other,
}

impl Runs {
    /// In the eyes of a plan.
    pub(crate) fn of(planned: &Planned, stage: &StageState) -> Self {
        let current = stage.current().map(|deployed| deployed.release.digest());
        if stage.is_unsettled() {
            Self::Other
        } else if current == Some(planned.release.digest()) {
            Self::Planned
        } else if current == planned.base.as_ref().map(crate::Release::digest) {
            Self::Base
        } else {
            Self::Other
        }
    }
}

/// What a driver should do for a plan; stages by their place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PlanNext {
    /// Append these.
    Record(Vec<PlanHappened>),
    /// Make the pin of its artifacts lasting, and record that.
    Pin,
    /// Give its pin up, and record that.
    Unpin,
    /// Request a promotion of the stage's release, and record that.
    Ask(usize),
    /// Request a rollback, and record that.
    Reverse(usize),
    /// Withdraw its pending promotion there.
    Withdraw(usize),
    /// Something must end, or a person must decide.
    Wait,
}

/// What is to be done next, given what is seen of each stage, by its place; pure.
pub(crate) fn next(plan: &Course, seen: &[Option<Seen>]) -> PlanNext {
    if plan.state.is_terminal() {
        return if plan.is_pinned() { PlanNext::Unpin } else { PlanNext::Wait };
    }
    // Before anything is asked for.
    if plan.state == PlanState::Running && plan.needs_pin() {
        return PlanNext::Pin;
    }
    let ended = ended(plan, seen);
    if !ended.is_empty() {
        return PlanNext::Record(ended);
    }
    match plan.state {
        PlanState::Running => forward(plan, seen),
        PlanState::Halted => withdraw(plan, seen).unwrap_or(PlanNext::Wait),
        PlanState::RollingBack => withdraw(plan, seen).unwrap_or_else(|| back(plan, seen)),
        _ => PlanNext::Wait,
    }
}

fn look(seen: &[Option<Seen>], place: usize) -> Option<Seen> {
    seen.get(place).copied().flatten()
}

/// Every promotion and every rollback that has ended, in that order, so that the way back passes what was passed; and what the first failure
/// among them means.
fn ended(plan: &Course, seen: &[Option<Seen>]) -> Vec<PlanHappened> {
    let mut found = Vec::new();
    for (place, planned, progress) in plan.parts() {
        if !matches!(progress.state, PartState::Asked | PartState::Reversing) {
            continue;
        }
        let Some(Seen { promotion: Some((state, since)), runs }) = look(seen, place) else { continue };
        if !state.is_terminal() {
            continue;
        }
        let (stage, back) = (planned.stage.clone(), runs == Runs::Base);
        let failed = if progress.state == PartState::Reversing {
            (!back).then(|| stuck(plan, format!("the rollback of {stage} ended as {state}")))
        } else {
            (plan.state == PlanState::Running && state != State::Succeeded)
                .then(|| failure(plan, format!("the promotion into {stage} ended as {state}")))
        };
        let event = match progress.state {
            PartState::Reversing => PlanHappened::Reversed { stage, state, back },
            _ => PlanHappened::Ended { stage, state, back },
        };
        found.push((since, event, failed));
    }
    found.sort_by_key(|(since, ..)| *since);
    let consequence = found.iter_mut().find_map(|(.., failed)| failed.take());
    found.into_iter().map(|(_, event, _)| event).chain(consequence).collect()
}

fn forward(plan: &Course, seen: &[Option<Seen>]) -> PlanNext {
    for place in &plan.done {
        let (Some(Seen { runs, .. }), Some((planned, _))) = (look(seen, *place), plan.part(*place)) else {
            continue;
        };
        if runs != Runs::Planned {
            let stage = planned.stage.clone();
            let reason = format!("{stage} had succeeded, and does not run the planned release any more");
            let lost = PlanHappened::Lost { stage, back: runs == Runs::Base };
            return PlanNext::Record(vec![lost, failure(plan, reason)]);
        }
    }
    if plan.all(|part| part == PartState::Done) {
        return PlanNext::Record(vec![changed(plan, PlanState::Succeeded, String::new(), None)]);
    }
    // A group that has begun is completed before another one begins.
    let Some((place, (planned, _))) =
        plan.startable().first().and_then(|place| Some((*place, plan.part(*place)?)))
    else {
        return PlanNext::Wait;
    };
    match look(seen, place).map(|seen| seen.runs) {
        Some(Runs::Base) => PlanNext::Ask(place),
        Some(_) => {
            let stage = &planned.stage;
            let reason = format!("{stage} does not run what it ran when the plan was requested");
            PlanNext::Record(vec![failure(plan, reason)])
        }
        None => PlanNext::Wait,
    }
}

fn withdraw(plan: &Course, seen: &[Option<Seen>]) -> Option<PlanNext> {
    let pending =
        |place| matches!(look(seen, place), Some(Seen { promotion: Some((State::Pending, _)), .. }));
    let mut asked = plan.in_state(PartState::Asked);
    asked.find(|(place, ..)| pending(*place)).map(|(place, ..)| PlanNext::Withdraw(place))
}

/// In exact reverse order, one group at a time: the latest wave first, and of a wave what has succeeded last.
fn back(plan: &Course, seen: &[Option<Seen>]) -> PlanNext {
    if !plan.all(|part| part != PartState::Asked) {
        return PlanNext::Wait;
    }
    let under_way = plan.in_state(PartState::Reversing).map(|(place, ..)| place).next();
    let candidates = match under_way {
        Some(place) => plan.to_take_back(|other, _| plan.group(place).contains(&other)),
        None => {
            let wave = plan.to_take_back(|_, _| true).iter().filter_map(|place| plan.wave(*place)).max();
            plan.to_take_back(|_, other| Some(other) == wave)
        }
    };
    if let Some(place) = candidates.first().copied() {
        // What this pipeline does not know must be back before what comes after it.
        let (Some((planned, _)), Some(seen)) = (plan.part(place), look(seen, place)) else {
            return PlanNext::Wait;
        };
        let stage = &planned.stage;
        return match seen.runs {
            Runs::Base => PlanNext::Record(vec![PlanHappened::Settled { stage: stage.clone() }]),
            Runs::Planned if planned.base.is_some() => PlanNext::Reverse(place),
            Runs::Planned => PlanNext::Record(vec![stuck(plan, format!("nothing ran in {stage} before"))]),
            Runs::Other => PlanNext::Record(vec![stuck(
                plan,
                format!("nobody knows what {stage} runs, or the plan does not"),
            )]),
        };
    }
    if plan.all(|part| matches!(part, PartState::Waiting | PartState::Back)) {
        return PlanNext::Record(vec![changed(plan, PlanState::RolledBack, plan.reason.clone(), None)]);
    }
    PlanNext::Wait
}

fn stuck(plan: &Course, reason: String) -> PlanHappened {
    changed(plan, PlanState::Stuck, reason, None)
}

/// That a part has failed.
pub(crate) fn failure(plan: &Course, reason: String) -> PlanHappened {
    let to = match plan.request().on_failure {
        OnFailure::RollBack => PlanState::RollingBack,
        OnFailure::Halt => PlanState::Halted,
    };
    changed(plan, to, reason, None)
}

/// That the plan goes to another state.
pub(crate) fn changed(plan: &Course, to: PlanState, reason: String, by: Option<Principal>) -> PlanHappened {
    PlanHappened::Changed { from: plan.state, to, reason, by }
}
