use std::collections::BTreeSet;

use mcp_core::{Principal, Timestamp};

use super::command::Command;
use super::stage_state::StageState;
use super::upstream::{counts, named, open_upstream, uncovered};
use super::watch;
use super::{automatic, glass, hold};
use crate::approval::{binding, tally};
use crate::judge::Judgement;
use crate::verification::{OnInconclusive, Verification};
use crate::{
    Evidence, Happened, Kind, OnNoPredecessor, Promotion, PromotionError, Queue, Reach, Requested, Sampled,
    Standing, State, Vote,
};

type Decision = Result<Vec<Happened>, PromotionError>;

/// What happens when `command` is obeyed at `now`; nothing, when it has happened already.
///
/// # Errors
/// By kind: `NotFound` for a promotion that `state` does not remember; `Denied` for a vote that is not the voter's to cast; `Conflict` when the state of the
/// promotion does not allow it, or when the command acts under a lease that is not the newest.
pub fn decide(state: &StageState, command: &Command, now: Timestamp) -> Decision {
    if let Some(fence) = command.fence()
        && state.lease().is_none_or(|lease| lease.fence != fence)
    {
        return Err(PromotionError::StaleDriver { stage: state.stage().clone() });
    }
    match command {
        Command::Request { .. } => request(state, command, now),
        Command::Vote { promotion, voter, vote, reason, standing } => {
            cast(state, find(state, *promotion, command)?, voter, (*vote, reason), standing.as_ref(), now)
        }
        Command::Cancel { promotion, by } => {
            let promotion =
                expect(state, *promotion, command, &[State::Pending], "only a pending one can be cancelled")?;
            Ok(vec![changed(promotion, State::Cancelled, String::new(), Some(by))])
        }
        Command::Pause { promotion, by, reason } => {
            let allowed = [State::Deploying, State::Verifying];
            let promotion =
                expect(state, *promotion, command, &allowed, "only what deploys or verifies can be paused")?;
            Ok(vec![changed(promotion, State::Paused, reason.clone(), Some(by))])
        }
        Command::Resume { promotion, by } => resume(find(state, *promotion, command)?, by),
        Command::Override { promotion, by, reason } => {
            let promotion = expect(state, *promotion, command, &[State::Paused], "pause it first")?;
            if reason.trim().is_empty() {
                let reason = "an override needs a reason".to_owned();
                return Err(PromotionError::Denied {
                    attempted: attempted(promotion, command),
                    who: by.clone(),
                    reason,
                });
            }
            if state.needs_widening(promotion) {
                // At most its canary runs the release: that everything does is what can be called a success.
                let overridden = Happened::Overridden {
                    promotion: promotion.id.number,
                    by: by.clone(),
                    reason: cut(reason.clone()),
                };
                return Ok(vec![
                    overridden,
                    changed(promotion, State::Verifying, "overridden".to_owned(), Some(by)),
                ]);
            }
            Ok(vec![changed(promotion, State::Succeeded, reason.clone(), Some(by))])
        }
        Command::Abort { promotion, by, reason } => {
            let allowed = [State::Deploying, State::Verifying, State::Paused];
            let why = "only what was started and has not ended can be aborted";
            let promotion = expect(state, *promotion, command, &allowed, why)?;
            let to = if promotion.kind == Kind::Rollback { State::Stuck } else { State::RollingBack };
            Ok(vec![changed(promotion, to, reason.clone(), Some(by))])
        }
        Command::Acknowledge { promotion, by, reason } => {
            let promotion =
                expect(state, *promotion, command, &[State::Stuck], "only a stuck one is acknowledged")?;
            Ok(vec![changed(promotion, State::Failed, reason.clone(), Some(by))])
        }
        Command::Retry { promotion, by } => {
            let promotion =
                expect(state, *promotion, command, &[State::Stuck], "only a stuck one is retried")?;
            if promotion.kind == Kind::Rollback {
                return Err(not_now(
                    promotion,
                    command,
                    "a rollback; acknowledge it, then request another one",
                ));
            }
            Ok(vec![changed(promotion, State::RollingBack, "retried".to_owned(), Some(by))])
        }
        Command::BreakGlass { promotion, by, reason } => {
            glass::break_glass(find(state, *promotion, command)?, by, reason, now)
        }
        Command::Review { promotion, by, note } => glass::review(state, *promotion, by, note),
        Command::Hold { by, reason, unique } => hold::hold(state, by, cut(reason.clone()), *unique),
        Command::LiftHold { by } => hold::lift(state, by),
        Command::ReleaseLease { .. }
        | Command::TakeLease { .. }
        | Command::RenewLease { .. }
        | Command::DropLease { .. } => lease(state, command, now),
        Command::Pinned { promotion, .. } => Ok(vec![Happened::Pinned { promotion: *promotion }]),
        Command::Unpinned { promotion, .. } => Ok(vec![Happened::Unpinned { promotion: *promotion }]),
        Command::Remind { promotion, .. } => Ok(glass::remind(state, *promotion, now)),
        Command::Delay { promotion, by, why, until, .. } => {
            let known = find(state, *promotion, command)?;
            // Whatever the time that it names: a gate that names another one each time that it is asked would fill the journal.
            let same = known.delay.as_ref().is_some_and(|old| old.by == *by && old.why == *why);
            let (promotion, by, why, until) = (*promotion, by.clone(), why.clone(), *until);
            let delayed = Happened::Delayed { promotion, by, why, until };
            Ok(if same { Vec::new() } else { vec![delayed] })
        }
        Command::Start { .. } => start(state, command, now),
        Command::Move { promotion, to, reason, .. } => {
            let promotion = find(state, *promotion, command)?;
            if !promotion.state.may_become(*to) {
                return Err(not_now(promotion, command, &format!("which cannot become {to}")));
            }
            Ok(vec![changed(promotion, *to, reason.clone(), None)])
        }
        Command::CallFailed { promotion, call, why, .. } => {
            let why: String = why.chars().take(MAX_TEXT_CHARS).collect();
            Ok(vec![Happened::CallFailed { promotion: *promotion, call: call.clone(), why }])
        }
        Command::Applied { promotion, release, reach, .. } => {
            let promotion = find(state, *promotion, command)?;
            let (to, reason) = match promotion.state {
                State::Deploying => (State::Verifying, String::new()),
                State::Verifying if promotion.is_widening() => {
                    (State::Succeeded, promotion.overridden.clone().unwrap_or_default())
                }
                // Going back has its reason already.
                State::RollingBack => (State::RolledBack, promotion.reason.clone()),
                _ => return Err(not_now(promotion, command, "nothing is being applied")),
            };
            let number = promotion.id.number;
            let applied = Happened::Applied { promotion: number, release: *release, reach: *reach };
            Ok(vec![applied, changed(promotion, to, reason, None)])
        }
        Command::Sampled { .. } => sampled(state, command),
        Command::Watched { sampled, response, .. } => watch::decide(state, sampled, response),
    }
}

/// How much of a stranger's text is recorded.
const MAX_TEXT_CHARS: usize = 2000;

fn attempted(promotion: &Promotion, command: &Command) -> String {
    format!("{} {}", command.verb(), promotion.id)
}

fn not_now(promotion: &Promotion, command: &Command, reason: &str) -> PromotionError {
    PromotionError::NotNow {
        attempted: attempted(promotion, command),
        state: promotion.state,
        reason: reason.to_owned(),
    }
}

fn find<'a>(state: &'a StageState, number: u64, _command: &Command) -> Result<&'a Promotion, PromotionError> {
    state.find(number).map(|promotion| &**promotion)
}

fn expect<'a>(
    state: &'a StageState,
    number: u64,
    command: &Command,
    allowed: &[State],
    reason: &str,
) -> Result<&'a Promotion, PromotionError> {
    let promotion = find(state, number, command)?;
    if allowed.contains(&promotion.state) { Ok(promotion) } else { Err(not_now(promotion, command, reason)) }
}

fn changed(promotion: &Promotion, to: State, reason: String, by: Option<&Principal>) -> Happened {
    let (number, reason) = (promotion.id.number, cut(reason));
    Happened::Changed { promotion: number, from: promotion.state, to, reason, by: by.cloned() }
}

pub(super) fn cut(text: String) -> String {
    if text.chars().nth(MAX_TEXT_CHARS).is_some() {
        text.chars().take(MAX_TEXT_CHARS).collect()
    } else {
        text
    }
}

fn request(state: &StageState, command: &Command, now: Timestamp) -> Decision {
    let Command::Request { kind, release, requester, policy, unique, holder, glass, succeeded_at } = command
    else {
        return Ok(Vec::new());
    };
    if release.is_empty() {
        let reason = "it has no artifacts, and cannot be requested".to_owned();
        return Err(PromotionError::Release { reason });
    }
    if let Some(other) = state.in_flight().filter(|_| *kind == Kind::Rollback) {
        // Its end decides what ran before.
        return Err(PromotionError::NotNow {
            attempted: format!("roll back stage {}", state.stage()),
            state: other.state,
            reason: format!(
                "{} is in flight; abort it, which brings back what ran before, or wait",
                other.id
            ),
        });
    }
    let is_target = state.previous().is_some_and(|previous| previous.release == *release);
    if *kind == Kind::Rollback && !is_target {
        let reason = "what was there before is not this release any more".to_owned();
        return Err(PromotionError::NoRollbackTarget { stage: state.stage().clone(), reason });
    }
    if succeeded_at.is_some_and(|at| !automatic::is_wanted(state, release, at)) {
        return Ok(Vec::new());
    }
    let number = state.version().saturating_add(1);
    let mut events = vec![Happened::Requested(Box::new(Requested {
        unique: *unique,
        kind: *kind,
        release: release.clone(),
        requester: requester.clone(),
        policy: policy.clone(),
        binding: binding(state.stage(), release, policy)?,
        holder: holder.clone(),
    }))];
    let by_hand = succeeded_at.is_none();
    if *kind == Kind::Deploy || policy.queue == Queue::SupersedePending {
        // What nobody asked for stands in nobody's way, and takes nobody's place.
        let gives_way = |older: &Promotion| {
            let forward = older.state == State::Pending
                && older.kind == Kind::Deploy
                && (older.glass.is_none() || glass.is_some());
            forward && (older.is_automatic() || (by_hand && policy.queue == Queue::SupersedePending))
        };
        let older = state.open().filter(|older| gives_way(older));
        let reason = format!("{} was requested", state.id(number));
        events.extend(older.map(|older| changed(older, State::Superseded, reason.clone(), None)));
    }
    if let Some(reason) = glass {
        let attempted = || format!("break the glass of stage {}", state.stage());
        events.push(glass::broken(number, policy, requester, reason, now, attempted)?);
    }
    Ok(events)
}

fn cast(
    state: &StageState,
    promotion: &Promotion,
    voter: &Principal,
    (vote, reason): (Vote, &str),
    standing: Option<&Standing>,
    now: Timestamp,
) -> Decision {
    let denied = |reason: &str| {
        let attempted = format!("{vote} {}", promotion.id);
        Err(PromotionError::Denied { attempted, who: voter.clone(), reason: reason.to_owned() })
    };
    if promotion.state != State::Pending {
        return Err(PromotionError::NotNow {
            attempted: format!("{vote} {}", promotion.id),
            state: promotion.state,
            reason: "votes count only while it is pending".to_owned(),
        });
    }
    if vote == Vote::Approve && *voter == promotion.requester {
        return denied("who requested a promotion cannot approve it; somebody else must");
    }
    let last = promotion.votes.iter().find(|ballot| ballot.voter == *voter).map(|ballot| ballot.vote);
    if vote == Vote::Revoke {
        match last {
            // The second time it changes nothing, and yet is recorded: its request id is used up by that.
            Some(Vote::Approve | Vote::Revoke) => {}
            _ => return denied("there is no approval of theirs to take back"),
        }
    }
    let nobody = "the authorizer does not count them among those who may";
    let (mut level, mut groups) = (None, BTreeSet::new());
    match standing {
        None if vote != Vote::Revoke => return denied(nobody),
        Some(standing) if vote == Vote::Approve && !promotion.policy.levels.is_empty() => {
            let tally =
                tally(&promotion.votes, &promotion.policy, promotion.binding, &promotion.requester, now);
            let open = tally.level_for(voter).map(|level| level.name.clone());
            let asked = promotion.policy.levels.iter().find(|level| Some(&level.name) == open.as_ref());
            if let Some(asked) = asked {
                if !standing.may_approve(&asked.name) {
                    return denied(&format!(
                        "level {} is asked for now, and is not theirs to approve",
                        asked.name
                    ));
                }
                groups.extend(
                    standing.groups.iter().filter(|group| asked.groups.contains_key(*group)).cloned(),
                );
            }
            level = open;
        }
        _ => {}
    }
    let binding = binding(state.stage(), &promotion.release, &promotion.policy)?;
    let number = promotion.id.number;
    let mut events =
        vec![Happened::Voted { promotion: number, voter: voter.clone(), vote, binding, level, groups }];
    if vote == Vote::Reject {
        events.push(changed(promotion, State::Rejected, reason.to_owned(), Some(voter)));
    }
    Ok(events)
}

fn resume(promotion: &Promotion, by: &Principal) -> Decision {
    let refuse = |reason: &str| {
        Err(PromotionError::NotNow {
            attempted: format!("resume {}", promotion.id),
            state: promotion.state,
            reason: reason.to_owned(),
        })
    };
    let Some(from) = promotion.paused_from else {
        return refuse("only a paused one can be resumed");
    };
    let failed = |judgement: &Judgement| matches!(judgement, Judgement::Fail { .. });
    if promotion.verification.as_ref().is_some_and(|progress| failed(&progress.judgement)) {
        return refuse("and its judgement is terminal; override or abort it");
    }
    Ok(vec![changed(promotion, from, "resumed".to_owned(), Some(by))])
}

fn lease(state: &StageState, command: &Command, now: Timestamp) -> Decision {
    let refuse = |reason: String| Err(PromotionError::Lease { stage: state.stage().clone(), reason });
    match command {
        Command::TakeLease { owner, until, fencing } => match state.lease() {
            Some(lease) if !lease.may_be_taken(owner, *fencing, now) => {
                refuse(format!("driver {} holds it until {}", lease.owner, lease.until))
            }
            _ => Ok(vec![Happened::LeaseTaken { owner: owner.clone(), until: *until }]),
        },
        Command::RenewLease { fence, until } => {
            Ok(vec![Happened::LeaseRenewed { fence: *fence, until: *until }])
        }
        Command::DropLease { fence } => Ok(vec![Happened::LeaseReleased { fence: *fence, by: None }]),
        Command::ReleaseLease { fence, by } => match state.lease() {
            Some(lease) if lease.fence == *fence => {
                Ok(vec![Happened::LeaseReleased { fence: *fence, by: Some(by.clone()) }])
            }
            Some(lease) => refuse(format!("its newest lease is {}, not {fence}", lease.fence)),
            None => refuse("nobody holds it".to_owned()),
        },
        _ => Ok(Vec::new()),
    }
}

/// Invariant 5: everything that had to hold is looked at once more, in the step that records the start.
fn start(state: &StageState, command: &Command, now: Timestamp) -> Decision {
    let Command::Start { promotion, evidence, upstream, .. } = command else {
        return Ok(Vec::new());
    };
    let promotion =
        expect(state, *promotion, command, &[State::Pending], "only a pending one can be started")?;
    if let Some(other) = state.in_flight() {
        return Err(not_now(promotion, command, &format!("and {} is in flight", other.id)));
    }
    if let Some(busy) = state.busy_lanes() {
        return Err(not_now(promotion, command, &format!("and {busy}")));
    }
    if state.head().is_some_and(|head| head.id != promotion.id) {
        return Err(not_now(promotion, command, "and it is not its turn"));
    }
    let expires = promotion.policy.expires_after.map(|after| promotion.requested_at.saturating_add(after));
    if expires.is_some_and(|expires| now >= expires) {
        let reason = "it was not started in time".to_owned();
        return Ok(vec![changed(promotion, State::Expired, reason, None)]);
    }
    if promotion.kind == Kind::Rollback
        && state.previous().is_none_or(|previous| previous.release != promotion.release)
    {
        let reason = "what ran before is not this release any more".to_owned();
        return Ok(vec![changed(promotion, State::Cancelled, reason, None)]);
    }
    if let Some(hold) = state.hold_on(promotion) {
        return Err(not_now(promotion, command, &format!("and {hold}")));
    }
    if let Some(after) = state.distrust_on(promotion) {
        return Err(not_now(promotion, command, &format!("and nothing starts by itself after {after}")));
    }
    if evidence.release != promotion.release.digest() {
        return Err(not_now(promotion, command, "and the gates looked at another release"));
    }
    let policy = promotion.rules();
    if let Some(gate) = glass::missing_gate(promotion, evidence) {
        return Err(not_now(promotion, command, &format!("and gate {gate} has not passed")));
    }
    let open = uncovered(policy, |stage| {
        let seen = upstream.iter().find(|(evidence, _)| evidence.stage == *stage);
        seen.is_some_and(|(_, verified)| open_upstream(stage, Some(verified), policy, now).is_none())
    });
    if !open.is_empty() {
        let reason = format!("and the release has not succeeded and soaked in {}", named(policy, &open));
        return Err(not_now(promotion, command, &reason));
    }
    let tally = tally(&promotion.votes, policy, promotion.binding, &promotion.requester, now);
    if !tally.is_complete() {
        return Err(not_now(promotion, command, &format!("and {} approvals are missing", tally.missing())));
    }
    let opening = match policy.windows.open(now) {
        _ if policy.windows.is_empty() => None,
        Ok(opening) => Some(opening),
        Err(_) => return Err(not_now(promotion, command, "and no window is open, or a freeze is on")),
    };
    let evidence = Evidence {
        opening,
        skipped: glass::skipped(state, promotion, evidence, upstream, now),
        release: evidence.release,
        gates: evidence.gates.clone(),
        upstream: upstream
            .iter()
            .filter(|(evidence, verified)| counts(policy, &evidence.stage, verified, now))
            .map(|(evidence, _)| evidence.clone())
            .collect(),
        approved_by: tally.approved_by.into_iter().collect(),
    };
    let passed = Happened::Passed { promotion: promotion.id.number, evidence };
    Ok(vec![passed, changed(promotion, State::Deploying, String::new(), None)])
}

fn sampled(state: &StageState, command: &Command) -> Decision {
    let Command::Sampled { promotion, window, canary, baseline, trouble, judge, judgement, beside, .. } =
        command
    else {
        return Ok(Vec::new());
    };
    let promotion = expect(state, *promotion, command, &[State::Verifying], "nothing is being judged")?;
    let mut events = vec![Happened::Sampled(Box::new(Sampled {
        promotion: promotion.id.number,
        window: *window,
        canary: *canary,
        baseline: *baseline,
        trouble: trouble.as_ref().map(|trouble| trouble.chars().take(MAX_TEXT_CHARS).collect()),
        judge: judge.clone(),
        judgement: judgement.clone(),
        beside: beside.clone(),
    }))];
    events.extend(match judgement {
        Judgement::Undecided => None,
        // The verdict stands; everything else is still to be reached.
        Judgement::Pass if promotion.reach == Some(Reach::Canary) => None,
        Judgement::Pass => {
            let reason = state.remark(promotion, baseline.instances).to_owned();
            Some(changed(promotion, State::Succeeded, reason, None))
        }
        Judgement::Fail { why } => {
            let (to, reason) = give_up(state, promotion, why);
            Some(changed(promotion, to, reason, None))
        }
        Judgement::Inconclusive { why } => {
            let roll_back = matches!(
                &promotion.policy.verification,
                Verification::Judged(judged) if judged.on_inconclusive == OnInconclusive::RollBack
            );
            let (to, reason) =
                if roll_back { give_up(state, promotion, why) } else { (State::Paused, why.clone()) };
            Some(changed(promotion, to, reason, None))
        }
    });
    Ok(events)
}

/// Where a promotion goes whose release must not stay.
pub(super) fn give_up(state: &StageState, promotion: &Promotion, why: &str) -> (State, String) {
    if promotion.kind == Kind::Rollback {
        (State::Stuck, why.to_owned())
    } else if state.current().is_none() && promotion.policy.on_no_predecessor == OnNoPredecessor::Pause {
        (State::Paused, format!("{why}; nothing ran before that could be brought back"))
    } else {
        (State::RollingBack, why.to_owned())
    }
}
