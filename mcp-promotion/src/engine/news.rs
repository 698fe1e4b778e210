use mcp_core::{
    Event, EventKind, GlassBroken, GlassReviewed, Name, PlanChanged, PlanRequested, PlanStageChanged,
    PromotionChanged, PromotionDelayed, PromotionEvent, PromotionRequested, ReviewOverdue, Source,
    StageCallFailed, StageHeld, StageHoldLifted, VoteCast,
};

use super::{Engine, Slot};
use crate::approval::tally;
use crate::host;
use crate::machine::StageState;
use crate::plan::Course;
use crate::{Entry, Happened, PartState, PlanEntry, PlanHappened, PlanId, PromotionId, State};

/// The feeds of all engines have their part of the world named like this.
const ENGINE: &str = "promotion";

impl Engine {
    /// Tells the host what was appended behind `before`; after the append, so that news are always true.
    pub(super) fn emit(&self, slot: &Slot, state: &StageState, before: u64, entries: &[Entry]) {
        let (Some(feed), Ok(engine)) = (state.feed(), ENGINE.parse::<Name>()) else {
            return;
        };
        let source = Source::new(&engine, feed).part(&slot.name);
        for (position, entry) in (before.saturating_add(1)..).zip(entries) {
            if let Some(event) = news(state, entry, position) {
                let subject = match entry.what.promotion(position) {
                    Some(number) => state.id(number).to_string(),
                    None => state.stage().to_string(),
                };
                let event = Event::new(entry.at, source.clone(), subject, position, EventKind::from(event));
                host::tell(|| self.inner.events.emit(&event));
            }
        }
    }

    /// The same for a plan, whose stream had `before` events; `course` is the plan shortly before them, or after.
    pub(super) fn emit_plan(&self, id: PlanId, before: u64, entries: &[PlanEntry], course: Option<&Course>) {
        let Ok(engine) = ENGINE.parse::<Name>() else { return };
        let source = Source::new(&engine, id.0);
        for (position, entry) in (before.saturating_add(1)..).zip(entries) {
            if let Some(event) = plan_news(id, &entry.what, course) {
                let subject = format!("plan/{id}");
                let event = Event::new(entry.at, source.clone(), subject, position, EventKind::from(event));
                host::tell(|| self.inner.events.emit(&event));
            }
        }
    }
}

/// What a host may want to notify people of; leases, pins and windows are not.
fn news(state: &StageState, entry: &Entry, position: u64) -> Option<PromotionEvent> {
    let stage = state.stage().clone();
    let id = entry.what.promotion(position).map(|number| state.id(number).to_string()).unwrap_or_default();
    Some(match &entry.what {
        Happened::Requested(requested) => {
            let levels = requested.policy.levels.iter().map(|level| level.quorum);
            let (release, requester) = (requested.release.digest(), requested.requester.clone());
            let approvals = levels.fold(requested.policy.approvals, u32::saturating_add);
            PromotionEvent::Requested(PromotionRequested::new(stage, id, release, requester, approvals))
        }
        Happened::Voted { promotion, voter, vote, .. } => {
            let missing = state.promotion(*promotion).map_or(0, |known| {
                tally(&known.votes, &known.policy, known.binding, &known.requester, entry.at).missing()
            });
            PromotionEvent::Voted(VoteCast::new(stage, id, voter.clone(), vote.to_string(), missing))
        }
        Happened::Changed { from, to, reason, .. } => PromotionEvent::Changed(PromotionChanged::new(
            stage,
            id,
            from.to_string(),
            to.to_string(),
            reason.clone(),
        )),
        Happened::Delayed { by, why, .. } => {
            PromotionEvent::Delayed(PromotionDelayed::new(stage, id, by.clone(), why.clone()))
        }
        Happened::CallFailed { call, why, .. } => {
            PromotionEvent::CallFailed(StageCallFailed::new(stage, id, call.clone(), why.clone()))
        }
        Happened::Held { by, reason, .. } => {
            PromotionEvent::Held(StageHeld::new(stage, by.clone(), reason.clone()))
        }
        Happened::HoldLifted { by } => PromotionEvent::HoldLifted(StageHoldLifted::new(stage, by.clone())),
        Happened::GlassBroken { by, reason, review_by, .. } => {
            PromotionEvent::GlassBroken(GlassBroken::new(stage, id, by.clone(), reason.clone(), *review_by))
        }
        Happened::Reviewed { by, note, .. } => {
            PromotionEvent::Reviewed(GlassReviewed::new(stage, id, by.clone(), note.clone()))
        }
        Happened::ReviewOverdue { promotion } => {
            let owed = state.obligations().find(|owed| owed.promotion.number == *promotion)?;
            PromotionEvent::ReviewOverdue(ReviewOverdue::new(stage, id, owed.by.clone(), owed.due))
        }
        _ => return None,
    })
}

fn plan_news(id: PlanId, what: &PlanHappened, course: Option<&Course>) -> Option<PromotionEvent> {
    let plan = id.to_string();
    let settled = |back: bool| if back { PartState::Back } else { PartState::Astray };
    let (stage, to, promotion) = match what {
        PlanHappened::Asked { stage, promotion } => (stage, PartState::Asked, Some(*promotion)),
        PlanHappened::Reversing { stage, promotion } => (stage, PartState::Reversing, Some(*promotion)),
        PlanHappened::Ended { stage, state: State::Succeeded, .. } => (stage, PartState::Done, None),
        PlanHappened::Ended { stage, back, .. }
        | PlanHappened::Lost { stage, back }
        | PlanHappened::Reversed { stage, back, .. } => (stage, settled(*back), None),
        PlanHappened::Withdrawn { stage } | PlanHappened::Settled { stage } => (stage, PartState::Back, None),
        _ => return plan_as_a_whole(plan, what),
    };
    let known = || course.and_then(|course| course.part(course.place(stage)?)?.1.promotion);
    let number = promotion.or_else(known);
    let promotion = number.map(|number| PromotionId::new(stage.clone(), number).to_string());
    Some(PromotionEvent::PlanStageChanged(PlanStageChanged::new(
        plan,
        stage.clone(),
        promotion.unwrap_or_default(),
        to.to_string(),
        what.to_string(),
    )))
}

fn plan_as_a_whole(plan: String, what: &PlanHappened) -> Option<PromotionEvent> {
    Some(match what {
        PlanHappened::Requested(requested) => {
            let stages = requested.plan.waves().iter().flatten().flatten().count() as u64;
            PromotionEvent::PlanRequested(PlanRequested::new(plan, requested.requester.clone(), stages))
        }
        PlanHappened::Changed { from, to, reason, .. } => {
            let (from, to) = (from.to_string(), to.to_string());
            PromotionEvent::PlanChanged(PlanChanged::new(plan, from, to, reason.clone()))
        }
        _ => return None,
    })
}
