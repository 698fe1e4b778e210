use std::sync::Arc;

use mcp_core::Timestamp;

use crate::approval::Ballot;
use crate::judge::{Beside, Judgement};
use crate::promotion::{Delay, Progress};
use crate::{Happened, Promotion, PromotionId, Reach, Requested, State};

/// What the events about one promotion make of it. Whether they can have happened, the state of its stage says.
impl Promotion {
    /// As it was requested.
    pub(crate) fn requested(id: PromotionId, at: Timestamp, requested: &Requested) -> Self {
        Self {
            kind: requested.kind,
            release: requested.release.clone(),
            requester: requested.requester.clone(),
            requested_at: at,
            policy: Arc::clone(&requested.policy),
            binding: requested.binding,
            state: State::Pending,
            reason: String::new(),
            since: at,
            entered: id.number,
            id,
            votes: Vec::new(),
            evidence: None,
            glass: None,
            failures: 0,
            last_failure: None,
            delay: None,
            reach: None,
            verification: None,
            overridden: None,
            paused_from: None,
            accepts_drift: false,
            unique: requested.unique,
            holder: requested.holder.clone(),
            pin_lasts: false,
            pin_released: false,
        }
    }

    /// Goes on by one event about it.
    pub(crate) fn follow(&mut self, position: u64, at: Timestamp, what: &Happened) {
        match what {
            Happened::Pinned { .. } => (self.pin_lasts, self.delay) = (true, None),
            Happened::Unpinned { .. } => self.pin_released = true,
            Happened::Voted { voter, vote, binding, level, groups, .. } => {
                self.votes.retain(|earlier| earlier.voter != *voter);
                let (voter, level, groups) = (voter.clone(), level.clone(), groups.clone());
                self.votes.push(Ballot { voter, vote: *vote, at, binding: *binding, level, groups });
            }
            Happened::Delayed { by, why, until, .. } => {
                self.delay = Some(Delay { by: by.clone(), why: why.clone(), until: *until });
            }
            Happened::Passed { evidence, .. } => self.evidence = Some(evidence.clone()),
            Happened::Changed { from, to, reason, .. } => self.change(position, at, (*from, *to), reason),
            Happened::GlassBroken { by, reason, .. } => self.break_glass(by, reason, at),
            Happened::CallFailed { call, why, .. } => {
                self.failures = self.failures.saturating_add(1);
                self.last_failure = Some((at, format!("{call}: {why}")));
            }
            Happened::Applied { reach, .. } => {
                if self.state == State::Deploying {
                    let (windows, judge, judgement) = (0, serde_json::Value::Null, Judgement::Undecided);
                    let beside = Beside::default();
                    self.verification = Some(Progress { until: at, windows, judge, judgement, beside });
                }
                if self.state != State::RollingBack {
                    self.reach = Some(*reach);
                }
            }
            Happened::Overridden { reason, .. } => self.overridden = Some(reason.clone()),
            Happened::Sampled(sampled) => {
                if let Some(progress) = &mut self.verification {
                    progress.take(sampled);
                }
            }
            Happened::Requested(_)
            | Happened::Held { .. }
            | Happened::HoldLifted { .. }
            | Happened::Watched(_)
            | Happened::WatchedInVain { .. }
            | Happened::Reviewed { .. }
            | Happened::ReviewOverdue { .. }
            | Happened::LaneOpened { .. }
            | Happened::LaneStarted { .. }
            | Happened::LaneEnded { .. }
            | Happened::LeaseTaken { .. }
            | Happened::LeaseRenewed { .. }
            | Happened::LeaseReleased { .. } => {}
        }
    }

    fn change(&mut self, position: u64, at: Timestamp, (from, to): (State, State), reason: &str) {
        let resumed = matches!(from, State::Paused | State::Stuck);
        // What was accepted is still there until everything was reached, on the way forward or back.
        let kept = self.accepts_drift
            && self.reach != Some(Reach::All)
            && matches!(to, State::Verifying | State::RollingBack);
        (self.state, self.since, self.entered) = (to, at, position);
        self.reason = reason.to_owned();
        (self.failures, self.last_failure, self.delay) = (0, None, None);
        self.paused_from = (to == State::Paused).then_some(from);
        self.accepts_drift = resumed || kept;
        if resumed && let Some(progress) = &mut self.verification {
            // The same evidence goes on, but the time in between was not watched.
            progress.until = at;
        }
    }
}
