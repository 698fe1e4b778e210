use mcp_core::{
    Event, EventKind, Name, PromotionChanged, PromotionEvent, PromotionRequested, Source, VoteCast,
};

use super::{Engine, Slot};
use crate::machine::StageState;
use crate::{Entry, Happened};

impl Engine {
    /// Tells the host what was appended behind `before`; after the append, so that news are always true.
    pub(super) fn emit(&self, slot: &Slot, state: &StageState, before: u64, entries: &[Entry]) {
        let (Some(feed), Ok(engine)) = (state.feed(), "promotion".parse::<Name>()) else {
            return;
        };
        let source = Source::new(&engine, feed).part(&slot.name);
        for (position, entry) in (before.saturating_add(1)..).zip(entries) {
            if let Some((number, kind)) = news(state, &entry.what, position) {
                let subject = state.id(number).to_string();
                self.inner.events.emit(&Event::new(entry.at, source.clone(), subject, position, kind));
            }
        }
    }
}

fn news(state: &StageState, what: &Happened, position: u64) -> Option<(u64, EventKind)> {
    let stage = state.stage().clone();
    let number = what.promotion(position)?;
    let id = state.id(number).to_string();
    let event = match what {
        Happened::Requested(requested) => PromotionEvent::Requested(PromotionRequested::new(
            stage,
            id,
            requested.release.digest(),
            requested.requester.clone(),
        )),
        Happened::Voted { voter, vote, .. } => {
            PromotionEvent::Voted(VoteCast::new(stage, id, voter.clone(), vote.to_string()))
        }
        Happened::Changed { from, to, reason, .. } => PromotionEvent::Changed(PromotionChanged::new(
            stage,
            id,
            from.to_string(),
            to.to_string(),
            reason.clone(),
        )),
        _ => return None,
    };
    Some((number, event.into()))
}
