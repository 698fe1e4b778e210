use std::collections::BTreeMap;
use std::time::Duration;

use mcp_core::{Name, Timestamp};

use super::stage_state::{StageState, Verified};
use super::upstream::before;
use super::watch;
use crate::approval::tally;
use crate::promotion::Delay;
use crate::verification::Verification;
use crate::{Blocker, Promotion, State, Window};

/// What a driver should do next in a stage. Numbers are those of promotions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// Record that a pending promotion was not started in time.
    Expire(u64),
    /// Tell that its review is overdue.
    Remind(u64),
    /// Make the pin of its artifacts lasting.
    Pin(u64),
    /// Give up the pin of its artifacts.
    Unpin(u64),
    /// Ask the gates, and start it.
    Start(u64),
    /// Observe the stage, and apply the release.
    Deploy(u64),
    /// Every attempt to apply failed: observe, and give up accordingly.
    GiveUp(u64),
    /// Record the success of a promotion that nobody verifies.
    Conclude(u64),
    /// Sample the stage over a window, and judge.
    Sample(u64, Window),
    /// Sample the stage over a window after a success, and judge.
    Watch(u64, Window),
    /// The canary was judged well: observe the stage, and apply the release everywhere.
    Widen(u64),
    /// Observe the stage, and apply the previous release.
    RollBack(u64),
    /// Every attempt to roll back failed: record that it is stuck.
    Strand(u64),
}

/// The next thing to do, or how long to wait for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Do this now.
    Do(Effect),
    /// Nothing until then; `None` until something else happens.
    Wait(Option<Timestamp>),
}

/// What is known of a stage that must come before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The version of its stream.
    pub version: u64,
    /// Whether the release of the promotion whose turn it is succeeded there.
    pub verified: Option<Verified>,
}

/// Everything that [`next`] and [`blockers`] look at.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The stage, or the lane.
    pub state: &'a StageState,
    /// For a lane, the stage that it is of.
    pub whole: Option<&'a StageState>,
    /// The stages before it, with regard to the promotion whose turn it is (or, for [`blockers`], that is asked about).
    pub upstream: &'a BTreeMap<Name, Upstream>,
    /// Promotions whose pin or gates were tried in vain, and when to try again.
    pub paced: &'a BTreeMap<u64, Timestamp>,
    /// Whether the driver can give up pins.
    pub pins: bool,
    /// The time.
    pub now: Timestamp,
}

/// The next thing that a driver should do.
#[must_use]
pub fn next(view: &View<'_>) -> Next {
    let mut wait = Wait { now: view.now, until: None };
    if let Some(promotion) = view.state.in_flight()
        && let Some(effect) = in_flight(promotion, &mut wait)
    {
        return Next::Do(effect);
    }
    match watch::due(view.state, view.now) {
        Some(Ok((number, window))) => return Next::Do(Effect::Watch(number, window)),
        Some(Err(due)) => drop(wait.is_over(due)),
        None => {}
    }
    let promotions = &view.state.promotions;
    if let Some((expiry, number)) = promotions.first_to_expire()
        && wait.is_over(expiry)
    {
        return Next::Do(Effect::Expire(number));
    }
    for number in promotions.unpinned() {
        if wait.is_paced(view, number) {
            return Next::Do(Effect::Pin(number));
        }
    }
    for (number, due) in view.state.to_be_told() {
        if wait.is_over(due) {
            return Next::Do(Effect::Remind(number));
        }
    }
    if view.pins
        && let Some(number) = view.state.pin_to_release()
        && wait.is_paced(view, number)
    {
        return Next::Do(Effect::Unpin(number));
    }
    if let Some(head) = view.state.head()
        && view.state.in_flight().is_none()
        && (head.holder.is_none() || head.pin_lasts)
        && requirements(view, head, &mut wait).is_empty()
        && wait.is_paced(view, head.id.number)
    {
        return Next::Do(Effect::Start(head.id.number));
    }
    Next::Wait(wait.until)
}

/// Collects the earliest time that is waited for.
struct Wait {
    now: Timestamp,
    until: Option<Timestamp>,
}

impl Wait {
    /// Whether `until` has come; if not, it is waited for.
    fn is_over(&mut self, until: Timestamp) -> bool {
        let over = self.now >= until;
        if !over {
            self.until = Some(self.until.map_or(until, |other| other.min(until)));
        }
        over
    }

    fn is_paced(&mut self, view: &View<'_>, number: u64) -> bool {
        view.paced.get(&number).is_none_or(|until| self.is_over(*until))
    }
}

fn in_flight(promotion: &Promotion, wait: &mut Wait) -> Option<Effect> {
    let number = promotion.id.number;
    let calls = &promotion.policy.calls;
    let exhausted = promotion.failures >= calls.attempts.max(1);
    let rested = |wait: &mut Wait| retry_at(promotion, wait.now).is_none_or(|until| wait.is_over(until));
    match promotion.state {
        State::Deploying if exhausted => Some(Effect::GiveUp(number)),
        State::Deploying => rested(wait).then_some(Effect::Deploy(number)),
        State::RollingBack if exhausted => Some(Effect::Strand(number)),
        State::RollingBack => rested(wait).then_some(Effect::RollBack(number)),
        State::Verifying if promotion.is_widening() => {
            if exhausted {
                return Some(Effect::GiveUp(number));
            }
            rested(wait).then_some(Effect::Widen(number))
        }
        State::Verifying => match (&promotion.policy.verification, &promotion.verification) {
            (Verification::Unverified { .. }, _) => Some(Effect::Conclude(number)),
            (Verification::Judged(judged), progress) => {
                let from = progress.as_ref().map_or(promotion.since, |progress| progress.until);
                if wait.now < from {
                    // The clock was set back: a window that ends now, and the next ones go on from here.
                    return Some(Effect::Sample(number, Window { from: wait.now, to: wait.now }));
                }
                let due = from.saturating_add(judged.window);
                wait.is_over(due).then(|| Effect::Sample(number, since(from, judged.window, wait.now)))
            }
        },
        _ => None,
    }
}

/// The window from `from` to now, or its end where it is more than twice as long as `length`. A clock that jumped ahead and a driver
/// that was away leave a gap in which nobody looked, and a judge takes the length of a window for time watched.
pub(super) fn since(from: Timestamp, length: Duration, now: Timestamp) -> Window {
    Window { from: from.max(now.saturating_sub(length.saturating_mul(2))), to: now }
}

/// When a failed call is tried again; at once when the clock was set back since.
fn retry_at(promotion: &Promotion, now: Timestamp) -> Option<Timestamp> {
    let (failed_at, _) = promotion.last_failure.as_ref().filter(|(failed_at, _)| *failed_at <= now)?;
    Some(failed_at.saturating_add(promotion.policy.calls.backoff_after(promotion.failures)))
}

/// What the policy of a pending promotion still asks for: approvals, and success in the stages before.
fn requirements(view: &View<'_>, promotion: &Promotion, wait: &mut Wait) -> Vec<Blocker> {
    let mut blockers = Vec::new();
    let policy = promotion.rules();
    if let Some(hold) = view.state.hold_on(promotion) {
        blockers.push(Blocker::Held { by: hold.by.clone(), reason: hold.reason.clone() });
    }
    if let Some(after) = view.state.distrust_on(promotion) {
        blockers.push(Blocker::Distrusted { after });
    }
    blockers.extend(view.whole.iter().flat_map(|whole| whole.shuts_out(promotion)));
    blockers.extend(view.state.busy_lanes());
    let tally = tally(&promotion.votes, policy, promotion.binding, &promotion.requester, view.now);
    if !tally.is_complete() {
        blockers.push(Blocker::Approvals {
            missing: tally.missing(),
            needed: tally.needed,
            requester: promotion.requester.clone(),
            level: tally.open_level().map(|level| level.name.clone()),
            lacking: tally.open_level().map(|level| level.lacking.clone()).unwrap_or_default(),
        });
    }
    if !policy.windows.is_empty()
        && let Err(closed) = policy.windows.open(view.now)
    {
        if let Some(until) = closed.closed_until {
            wait.is_over(until);
        }
        blockers.push(Blocker::Window { closed_by: closed.by, opens_at: closed.opens_at });
    }
    for blocker in before(policy, |stage| view.upstream.get(stage), view.now) {
        if let Some(until) = blocker.until() {
            wait.is_over(until);
        }
        blockers.push(blocker);
    }
    blockers
}

/// What keeps the promotion with this number from going on; nothing for one that has ended or that a driver is about to move on.
#[must_use]
pub fn blockers(view: &View<'_>, number: u64) -> Vec<Blocker> {
    let Some(promotion) = view.state.promotion(number) else {
        return Vec::new();
    };
    match promotion.state {
        State::Pending => {
            let mut wait = Wait { now: view.now, until: None };
            let mut blockers = requirements(view, promotion, &mut wait);
            if let Some(other) = view.state.in_flight() {
                blockers.push(Blocker::InFlight { promotion: other.id.clone(), state: other.state });
            }
            if let Some(head) = view.state.head().filter(|head| head.id != promotion.id) {
                blockers.push(Blocker::Queued { behind: head.id.clone() });
            }
            if let Some(Delay { by, why, until }) = promotion.delay.clone() {
                // When the driver asks again is nearer to the truth than what was said first.
                let until = view.paced.get(&number).copied().or(until).filter(|until| *until > view.now);
                blockers.push(Blocker::Delayed { by, why, until });
            }
            blockers
        }
        State::Paused | State::Stuck => {
            vec![Blocker::Person { state: promotion.state, why: promotion.reason.clone() }]
        }
        _ => match (&promotion.last_failure, retry_at(promotion, view.now)) {
            (Some((_, why)), Some(until)) => {
                vec![Blocker::CallFailing { failures: promotion.failures, why: why.clone(), until }]
            }
            _ => Vec::new(),
        },
    }
}
