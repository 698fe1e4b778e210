use std::fmt;
use std::sync::Arc;

use mcp_core::Timestamp;

use super::stage_state::{Deployed, StageState, Verified};
use crate::approval::{binding, tally};
use crate::judge::Judgement;
use crate::promotion::Progress;
use crate::{Entry, Evidence, Fence, Happened, Kind, Lease, Promotion, Release, Requested, State};

/// Why an event cannot have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impossible(pub(crate) String);

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Impossible {}

fn impossible<T>(why: impl Into<String>) -> Result<T, Impossible> {
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
        self.promotions.insert(position, Arc::new(promotion));
        self.open.insert(position);
        if requested.holder.is_some() {
            self.pinned.insert(position);
        }
        Ok(())
    }

    fn known(&self, number: u64) -> Result<&Arc<Promotion>, Impossible> {
        let unknown = || Impossible(format!("there is no promotion {number}, or it has ended"));
        self.promotion(number).ok_or_else(unknown)
    }

    fn follow(&mut self, number: u64, position: u64, entry: &Entry) {
        if let Some(promotion) = self.promotions.get_mut(&number) {
            Arc::make_mut(promotion).follow(position, entry.at, &entry.what);
        }
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
                if self.is_needed(number) || !self.pinned.contains(&number) {
                    return impossible(format!("promotion {number} has no pin that could be given up"));
                }
            }
            Happened::Voted { .. } | Happened::Delayed { .. } => expect(&[State::Pending])?,
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
        if let Happened::Unpinned { .. } = &entry.what {
            self.pinned.remove(&number);
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
            if let Some(other) = self.in_flight() {
                return impossible(format!("promotion {number} starts while {} is in flight", other.id));
            }
        }
        if to == State::Succeeded && self.needs_widening(&promotion) {
            return impossible(format!(
                "promotion {number} succeeds although at most its canary was reached"
            ));
        }
        self.follow(number, position, entry);
        if to.is_terminal() {
            self.open.remove(&number);
            let brought = |deployed: &Option<Deployed>| deployed.as_ref().map(|deployed| deployed.promotion);
            let before = [Some(number), brought(&self.current), brought(&self.previous), self.unsettled];
            self.ended(entry.at, &promotion, to);
            before.into_iter().flatten().for_each(|number| self.forget(number));
        }
        Ok(())
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
                self.current = Some(Deployed { release: promotion.release.clone(), promotion: number });
                self.unsettled = None;
            }
            State::RolledBack => {
                if self.current.as_ref().is_none_or(|current| current.release.digest() != digest) {
                    self.verified.insert(digest, None);
                }
                self.unsettled = None;
            }
            State::Failed if promotion.state == State::Stuck => {
                self.verified.insert(digest, None);
                self.unsettled = Some(number);
            }
            _ => {}
        }
    }
}

/// Invariant 5: every gate of the recorded policy is there, for this very release, and so are the approvals.
fn check_evidence(promotion: &Promotion, evidence: &Evidence, at: Timestamp) -> Result<(), Impossible> {
    let policy = &promotion.policy;
    if evidence.release != promotion.release.digest() {
        return impossible("the evidence is about another release");
    }
    if let Some(gate) =
        policy.gates.iter().find(|gate| !evidence.gates.iter().any(|passed| passed.gate == **gate))
    {
        return impossible(format!("gate {gate} did not pass"));
    }
    for stage in &policy.after {
        let soaked = |ran_ms: u64| u128::from(ran_ms) >= policy.soak.as_millis();
        if !evidence.upstream.iter().any(|before| before.stage == *stage && soaked(before.ran_ms)) {
            return impossible(format!("the release did not succeed and soak in {stage}"));
        }
    }
    let tally = tally(&promotion.votes, policy, promotion.binding, &promotion.requester, at);
    if !tally.is_complete() {
        return impossible(format!("{} approvals are missing", tally.missing()));
    }
    Ok(())
}
