use mcp_core::{Name, Principal, Timestamp};

use super::apply::{Impossible, impossible};
use super::decide::cut;
use super::stage_state::{StageState, Verified};
use super::upstream::{open_upstream, uncovered};
use crate::approval::tally;
use crate::{
    Evidence, Glass, Happened, Obligation, Policy, Promotion, PromotionError, Skipped, State,
    UpstreamEvidence,
};

impl Promotion {
    /// What has to hold before it starts: its policy, or what is left of that because the glass was broken.
    #[must_use]
    pub fn rules(&self) -> &Policy {
        self.glass.as_ref().map_or(&self.policy, |glass| &glass.rules)
    }

    pub(super) fn break_glass(&mut self, by: &Principal, reason: &str, at: Timestamp) {
        self.glass = Some(Glass::new(by.clone(), reason.to_owned(), at, &self.policy));
    }
}

impl StageState {
    /// What is still to be reviewed, in the order of the promotions.
    pub fn obligations(&self) -> impl Iterator<Item = &Obligation> {
        self.obligations.values()
    }

    pub(super) fn may_break_glass(&self, promotion: &Promotion) -> Result<(), Impossible> {
        if promotion.glass.is_some() || promotion.state != State::Pending {
            return impossible(format!("{} has no glass that could be broken", promotion.id));
        }
        Ok(())
    }

    pub(super) fn owe_review(&mut self, number: u64, due: Timestamp) {
        let owed = self.promotion(number).and_then(|promotion| {
            let Glass { by, reason, since, .. } = promotion.glass.as_ref()?;
            Some(Obligation {
                promotion: promotion.id.clone(),
                requester: promotion.requester.clone(),
                by: by.clone(),
                reason: reason.clone(),
                since: *since,
                due,
                told_overdue: false,
            })
        });
        self.obligations.extend(owed.map(|owed| (number, owed)));
    }

    pub(super) fn overdue(&mut self, number: u64) -> Result<(), Impossible> {
        match self.obligations.get_mut(&number) {
            Some(owed) if !owed.told_overdue => owed.told_overdue = true,
            _ => return impossible(format!("promotion {number} owes no review that could be overdue")),
        }
        Ok(())
    }

    /// The obligations that a driver is to tell of once they are overdue, and since when.
    pub(super) fn to_be_told(&self) -> impl Iterator<Item = (u64, Timestamp)> {
        self.obligations
            .iter()
            .filter(|(_, owed)| !owed.told_overdue)
            .map(|(number, owed)| (*number, owed.due))
    }

    pub(super) fn reviewed(&mut self, number: u64, by: &Principal) -> Result<(), Impossible> {
        match self.obligations.get(&number) {
            Some(owed) if is_third_person(owed, by) => drop(self.obligations.remove(&number)),
            Some(_) => return impossible(format!("{by} reviews what they did themselves")),
            None => return impossible(format!("promotion {number} owes no review")),
        }
        Ok(())
    }
}

fn is_third_person(owed: &Obligation, by: &Principal) -> bool {
    *by != owed.by && *by != owed.requester
}

/// The glass is broken for a promotion that exists.
pub(super) fn break_glass(
    promotion: &Promotion,
    by: &Principal,
    reason: &str,
    now: Timestamp,
) -> Result<Vec<Happened>, PromotionError> {
    let attempted = || format!("break the glass for {}", promotion.id);
    if promotion.state != State::Pending || promotion.glass.is_some() {
        let reason = match promotion.glass {
            Some(_) if promotion.state == State::Pending => "and its glass is broken already",
            _ => "only a pending one can be started without waiting",
        };
        let (state, reason) = (promotion.state, reason.to_owned());
        return Err(PromotionError::NotNow { attempted: attempted(), state, reason });
    }
    Ok(vec![broken(promotion.id.number, &promotion.policy, by, reason, now, attempted)?])
}

/// The event, or that it needs a reason.
pub(super) fn broken(
    promotion: u64,
    policy: &Policy,
    by: &Principal,
    reason: &str,
    now: Timestamp,
    attempted: impl FnOnce() -> String,
) -> Result<Happened, PromotionError> {
    if reason.trim().is_empty() {
        return Err(PromotionError::Denied {
            attempted: attempted(),
            who: by.clone(),
            reason: "breaking the glass needs a reason".to_owned(),
        });
    }
    let review_by = now.saturating_add(policy.review_within);
    let (by, reason) = (by.clone(), cut(reason.to_owned()));
    Ok(Happened::GlassBroken { promotion, by, reason, review_by })
}

/// Tells once that nobody has reviewed it in time.
pub(super) fn remind(state: &StageState, number: u64, now: Timestamp) -> Vec<Happened> {
    let overdue = state.to_be_told().any(|(owed, due)| owed == number && now >= due);
    if overdue { vec![Happened::ReviewOverdue { promotion: number }] } else { Vec::new() }
}

/// Closes the obligation of a promotion.
pub(super) fn review(
    state: &StageState,
    number: u64,
    by: &Principal,
    note: &str,
) -> Result<Vec<Happened>, PromotionError> {
    let Some(owed) = state.obligations.get(&number) else {
        let promotion = state.find(number)?.id.clone();
        return Err(PromotionError::NoObligation { promotion });
    };
    let denied = |reason: &str| {
        let attempted = format!("review {}", owed.promotion);
        Err(PromotionError::Denied { attempted, who: by.clone(), reason: reason.to_owned() })
    };
    if !is_third_person(owed, by) {
        return denied("who requested it or broke the glass cannot review it; somebody else must");
    }
    if note.trim().is_empty() {
        return denied("a review needs a note that says what was found");
    }
    Ok(vec![Happened::Reviewed { promotion: number, by: by.clone(), note: cut(note.to_owned()) }])
}

/// What `promotion` does not wait for at `now` because its glass is broken; `evidence` has the gates that were not asked.
pub(super) fn skipped(
    state: &StageState,
    promotion: &Promotion,
    evidence: &Evidence,
    upstream: &[(UpstreamEvidence, Verified)],
    now: Timestamp,
) -> Vec<Skipped> {
    let mut skipped = Vec::new();
    if promotion.glass.is_none() {
        return skipped;
    }
    let policy = &promotion.policy;
    let tally = tally(&promotion.votes, policy, promotion.binding, &promotion.requester, now);
    if !tally.is_complete() {
        skipped.push(Skipped::Approvals { missing: tally.missing(), needed: tally.needed });
    }
    let seen = |stage: &Name| upstream.iter().find(|(seen, _)| seen.stage == *stage);
    let soaks = |stage: &Name| {
        seen(stage).is_some_and(|(_, verified)| open_upstream(stage, Some(verified), policy, now).is_none())
    };
    for (seen, _) in uncovered(policy, soaks).into_iter().filter_map(seen) {
        skipped.push(Skipped::Soak { stage: seen.stage.clone(), ran_ms: seen.ran_ms });
    }
    if !policy.windows.is_empty()
        && let Err(closed) = policy.windows.open(now)
    {
        skipped.push(Skipped::Window { closed_by: closed.by });
    }
    if let Some(hold) = state.hold().filter(|_| promotion.kind != crate::Kind::Rollback) {
        skipped.push(Skipped::Hold { by: hold.by.clone(), reason: hold.reason.clone() });
    }
    skipped
        .extend(evidence.skipped.iter().filter(|skipped| matches!(skipped, Skipped::Gate { .. })).cloned());
    skipped
}

/// A gate that the policy asks for and that neither passed nor was rightly skipped.
pub(super) fn missing_gate<'a>(promotion: &'a Promotion, evidence: &Evidence) -> Option<&'a Name> {
    let passed = |gate: &Name| {
        let skipped = Skipped::Gate { gate: gate.clone() };
        evidence.gates.iter().any(|passed| passed.gate == *gate)
            || (promotion.glass.is_some() && evidence.skipped.contains(&skipped))
    };
    promotion.policy.gates.iter().find(|gate| !passed(gate))
}
