use std::fmt;
use std::sync::Arc;

use mcp_core::Timestamp;

use super::glass::missing_gate;
use super::stage_state::{Deployed, StageState, Verified};
use super::upstream::{named, soaked, uncovered};
use crate::approval::{binding, tally};
use crate::judge::Judgement;
use crate::promotion::Progress;
use crate::{
    Entry, Evidence, Fence, Happened, Kind, Lease, Opening, Promotion, Release, Requested, State, Vote,
};

/// Why an event cannot have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impossible(pub(crate) String);

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Impossible {}

pub(super) fn impossible<T>(why: impl Into<String>) -> Result<T, Impossible> {
    Err(Impossible(why.into()))
}

impl StageState {
    /// Goes on by one event.
    ///
    /// # Errors
    /// [`Impossible`] when the event breaks the table of states or an invariant; nothing was changed then.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Impossible> {
        let position = self.version.saturating_add(1);
        if let Some(request) = &entry.request
            && self.request(&request.id).is_some()
        {
            return impossible(format!("request id {} was used before", request.id));
        }
        match &entry.what {
            Happened::Requested(requested) => self.request_made(position, entry.at, requested)?,
            Happened::Changed { promotion, from, to, .. } => {
                self.change(position, entry, *promotion, (*from, *to))?;
            }
            Happened::Held { by, reason, unique } => self.held(entry.at, by, reason, *unique)?,
            Happened::HoldLifted { .. } => self.hold_lifted()?,
            Happened::Watched(sampled) => self.watched(sampled)?,
            Happened::WatchedInVain { promotion, .. } => self.known(*promotion).map(|_known| ())?,
            Happened::ReviewOverdue { promotion } => self.overdue(*promotion)?,
            Happened::Reviewed { promotion, by, .. } => self.reviewed(*promotion, by)?,
            Happened::LaneOpened { lane, unique } => self.lane_opened(lane, *unique)?,
            Happened::LaneStarted { lane, promotion, despite_hold, limit } => {
                self.lane_started(position, (lane, *promotion), *despite_hold, *limit)?;
            }
            Happened::LaneEnded { lane, promotion } => self.lane_ended(lane, *promotion)?,
            Happened::LeaseTaken { owner, until } => {
                let fence = Fence(position);
                self.lease = Some(Lease { owner: owner.clone(), fence, since: entry.at, until: *until });
            }
            Happened::LeaseRenewed { fence, until } => match &mut self.lease {
                Some(lease) if lease.fence == *fence => (lease.since, lease.until) = (entry.at, *until),
                _ => return impossible(format!("lease {fence} is not the newest one")),
            },
            Happened::LeaseReleased { fence, .. } => match &self.lease {
                Some(lease) if lease.fence == *fence => self.lease = None,
                _ => return impossible(format!("lease {fence} is not the newest one")),
            },
            _ => self.detail(position, entry)?,
        }
        self.version = position;
        if let Some(request) = &entry.request {
            self.use_request(&request.id, position);
        }
        Ok(())
    }

    fn request_made(
        &mut self,
        position: u64,
        at: Timestamp,
        requested: &Requested,
    ) -> Result<(), Impossible> {
        let expected = binding(&self.stage, &requested.release, &requested.policy);
        if !expected.is_ok_and(|expected| expected == requested.binding) {
            return impossible("its binding is not that of its stage, release and policy");
        }
        let promotion = Promotion::requested(self.id(position), at, requested);
        self.feed.get_or_insert(requested.unique);
        self.promotions.insert(position, promotion);
        Ok(())
    }

    fn known(&self, number: u64) -> Result<&Arc<Promotion>, Impossible> {
        let unknown = || Impossible(format!("there is no promotion {number}, or it has ended"));
        self.promotion(number).ok_or_else(unknown)
    }

    fn follow(&mut self, number: u64, position: u64, entry: &Entry) {
        self.promotions.update(number, |promotion| promotion.follow(position, entry.at, &entry.what));
    }

    /// The events that leave a promotion in its state.
    fn detail(&mut self, position: u64, entry: &Entry) -> Result<(), Impossible> {
        let Some(number) = entry.what.promotion(position) else {
            return impossible("an event of no promotion");
        };
        let promotion = self.known(number)?;
        let state = promotion.state;
        let expect = |allowed: &[State]| {
            if allowed.contains(&state) {
                Ok(())
            } else {
                impossible(format!("promotion {number} is {state}"))
            }
        };
        match &entry.what {
            Happened::Pinned { .. } => {
                if promotion.holder.is_none() || promotion.pin_lasts || promotion.pin_released {
                    return impossible(format!("promotion {number} has no pin that could be made lasting"));
                }
            }
            Happened::Unpinned { .. } => {
                if self.is_needed(number) || !promotion.is_pinned() {
                    return impossible(format!("promotion {number} has no pin that could be given up"));
                }
            }
            Happened::Delayed { .. } => expect(&[State::Pending])?,
            Happened::GlassBroken { .. } => self.may_break_glass(promotion)?,
            Happened::Voted { voter, vote, level, .. } => {
                expect(&[State::Pending])?;
                let policy = &promotion.policy;
                let votes =
                    || tally(&promotion.votes, policy, promotion.binding, &promotion.requester, entry.at);
                let expected = match vote {
                    Vote::Approve if !policy.levels.is_empty() => {
                        votes().level_for(voter).map(|level| level.name.clone())
                    }
                    _ => None,
                };
                if *level != expected {
                    return impossible(format!("a vote on promotion {number} for a level that is not open"));
                }
            }
            Happened::Passed { evidence, .. } => {
                expect(&[State::Pending])?;
                check_evidence(promotion, evidence, entry.at)?;
            }
            Happened::CallFailed { .. } => {
                if !promotion.is_widening() {
                    expect(&[State::Deploying, State::RollingBack])?;
                }
            }
            Happened::Applied { release, reach, .. } => {
                let Some(goal) = self.goal(promotion) else {
                    return impossible(format!("promotion {number} is {state}"));
                };
                if *release != goal.release.digest() {
                    return impossible(format!("promotion {number} did not want {release}"));
                }
                let tolerated = promotion.accepts_drift || self.is_unsettled();
                if *reach != goal.reach && !(tolerated && reach.is_all()) {
                    return impossible(format!("promotion {number} did not want {release} {reach}"));
                }
            }
            Happened::Overridden { .. } => {
                expect(&[State::Paused])?;
                if !self.needs_widening(promotion) {
                    return impossible(format!("promotion {number} has no canary that could be overridden"));
                }
            }
            Happened::Sampled(_) => {
                expect(&[State::Verifying])?;
                let terminal = |progress: &Progress| {
                    matches!(progress.judgement, Judgement::Pass | Judgement::Fail { .. })
                };
                if promotion.overridden.is_some() || promotion.verification.as_ref().is_none_or(terminal) {
                    return impossible(format!("promotion {number} is not being judged"));
                }
            }
            _ => return impossible("it belongs to no promotion"),
        }
        self.follow(number, position, entry);
        if let Happened::GlassBroken { review_by, .. } = &entry.what {
            self.owe_review(number, *review_by);
        }
        if let Happened::Unpinned { .. } = &entry.what {
            self.forget(number);
        }
        Ok(())
    }

    /// What rolling back brings back: what the stage ran before the promotion in flight, or nothing.
    #[must_use]
    pub fn rollback_target(&self) -> Release {
        self.current.as_ref().map_or_else(Release::empty, |deployed| deployed.release.clone())
    }

    fn change(
        &mut self,
        position: u64,
        entry: &Entry,
        number: u64,
        (from, to): (State, State),
    ) -> Result<(), Impossible> {
        let promotion = Arc::clone(self.known(number)?);
        if promotion.state != from || !from.may_become(to) {
            return impossible(format!(
                "promotion {number} is {}, and cannot go from {from} to {to}",
                promotion.state
            ));
        }
        if promotion.kind == Kind::Rollback && to == State::RollingBack {
            return impossible(format!("promotion {number} is a rollback, which is never rolled back"));
        }
        if from == State::Pending && to == State::Deploying {
            if promotion.evidence.is_none() {
                return impossible(format!("promotion {number} starts although no gate passed"));
            }
            if let Some(hold) = self.hold_on(&promotion) {
                return impossible(format!("promotion {number} starts although {hold}"));
            }
            if let Some(after) = self.distrust_on(&promotion) {
                return impossible(format!("promotion {number} starts by itself after {after}"));
            }
            if let Some(other) = self.in_flight() {
                return impossible(format!("promotion {number} starts while {} is in flight", other.id));
            }
            if let Some(busy) = self.busy_lanes() {
                return impossible(format!("promotion {number} starts although {busy}"));
            }
        }
        if to == State::Succeeded && self.needs_widening(&promotion) {
            return impossible(format!(
                "promotion {number} succeeds although at most its canary was reached"
            ));
        }
        if to == State::Deploying {
            self.set_watch_aside();
        }
        self.follow(number, position, entry);
        if to.is_terminal() {
            let brought = |deployed: &Option<Deployed>| deployed.as_ref().map(|deployed| deployed.promotion);
            let before = [Some(number), brought(&self.current), brought(&self.previous), self.unsettled];
            self.ended(entry.at, &promotion, to);
            before.into_iter().flatten().for_each(|number| self.forget(number));
        }
        Ok(())
    }

    /// What should have gone is not to come back, whatever runs now: what should have come is what a later promotion falls back to.
    fn leave_current(&mut self) {
        if let Some(previous) = self.previous.take() {
            let left = self.current.replace(previous);
            if let Some(left) = left {
                self.verified.insert(left.release.digest(), None);
            }
        }
    }

    fn ended(&mut self, at: Timestamp, promotion: &Promotion, to: State) {
        let number = promotion.id.number;
        let digest = promotion.release.digest();
        match to {
            State::Succeeded => {
                let before = self.current.take();
                let replaced = before.as_ref().map(|before| before.release.digest());
                if let Some(replaced) = replaced.filter(|replaced| *replaced != digest) {
                    if promotion.kind == Kind::Rollback {
                        self.distrusted = Some(number);
                        // It was judged bad: it has to succeed here again before it goes further.
                        self.verified.insert(replaced, None);
                    } else if let Some(verified) = self.verified(replaced).copied() {
                        let until = verified.until.or(Some(at));
                        self.verified.insert(replaced, Some(Verified { until, ..verified }));
                    }
                }
                self.verified.insert(digest, Some(Verified { promotion: number, at, until: None }));
                match promotion.kind {
                    Kind::Rollback => self.previous = None,
                    Kind::Deploy if replaced == Some(digest) => {}
                    Kind::Deploy => self.previous = before,
                }
                self.trust_again(promotion);
                self.begin_watch(at, promotion);
                self.current = Some(Deployed { release: promotion.release.clone(), promotion: number });
                self.unsettled = None;
            }
            State::RolledBack => {
                if self.current.as_ref().is_none_or(|current| current.release.digest() != digest) {
                    self.verified.insert(digest, None);
                }
                self.distrusted = Some(number);
                self.unsettled = None;
                self.go_on_watching(at);
            }
            State::Failed if promotion.state == State::Stuck => {
                self.verified.insert(digest, None);
                (self.distrusted, self.unsettled) = (Some(number), Some(number));
                self.aside = None;
                if promotion.kind == Kind::Rollback {
                    self.leave_current();
                }
            }
            State::Failed => self.go_on_watching(at),
            _ => {}
        }
    }
}

/// Invariant 5: every gate of the recorded policy is there, for this very release, and so are the approvals.
fn check_evidence(promotion: &Promotion, evidence: &Evidence, at: Timestamp) -> Result<(), Impossible> {
    let policy = promotion.rules();
    if evidence.release != promotion.release.digest() {
        return impossible("the evidence is about another release");
    }
    if let Some(gate) = missing_gate(promotion, evidence) {
        return impossible(format!("gate {gate} did not pass"));
    }
    if promotion.glass.is_none() && !evidence.skipped.is_empty() {
        return impossible("something was skipped although nobody broke the glass");
    }
    let open = uncovered(policy, |stage| soaked(&evidence.upstream, policy, stage));
    if !open.is_empty() {
        return impossible(format!("the release did not succeed and soak in {}", named(policy, &open)));
    }
    // Not computed again: the rules of time zones change over the years, and what has happened does not.
    let opens = |opening: &Opening| policy.windows.fits(opening, at);
    if !policy.windows.is_empty() && !evidence.opening.as_ref().is_some_and(opens) {
        return impossible("no window was open");
    }
    let tally = tally(&promotion.votes, policy, promotion.binding, &promotion.requester, at);
    if !tally.is_complete() {
        return impossible(format!("{} approvals are missing", tally.missing()));
    }
    Ok(())
}
