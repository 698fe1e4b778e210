use std::sync::Arc;
use std::time::Duration;

use mcp_core::{Holder, Id, Principal, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::apply::{Impossible, impossible};
use super::decide::cut;
use super::next::since;
use super::stage_state::StageState;
use crate::approval::binding;
use crate::judge::{Beside, Judgement};
use crate::{
    Happened, Kind, Policy, Progress, Promotion, PromotionError, Release, Requested, Sampled, Verification,
    Window,
};

/// A release that has succeeded, and at which its judge goes on to look for the `watch` time of its policy.
///
/// The judge begins anew, because a sequential one has said its last word: a watch may spend its declared false-rollback budget once more.
/// A sequential judge has no bake time here: it looks for a regression until the watch ends.
/// While another promotion is on its way, the watch is set aside. It goes on when that one ends without a success, except where a person had
/// to acknowledge it: then nobody knows what runs.
/// Only what a judge has passed is watched: not a release that a person declared a success, and not a rollback.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Watch {
    /// Which promotion brought it.
    pub promotion: u64,
    /// How much longer it is to be; the sum of the windows counts, each at most twice as long as the policy says, whatever the clock does.
    pub left: Duration,
    /// How many windows had what is needed to find a regression.
    pub seen: u64,
    /// How far it has come.
    pub progress: Progress,
}

/// What a driver needs to have at hand for a regression.
#[derive(Clone, Debug)]
pub struct Response {
    /// In whose name the engine acts.
    pub by: Principal,
    /// The policy of the rollback.
    pub policy: Arc<Policy>,
    /// Two ids that nothing else has: of the rollback, and of the hold.
    pub unique: [Id; 2],
    /// In whose name the artifacts are pinned. Until a driver has done so, the pin of the promotion that brought them before holds them.
    pub holder: Option<Holder>,
}

impl StageState {
    /// What is watched.
    #[must_use]
    pub const fn watch(&self) -> Option<&Watch> {
        self.watch.as_ref()
    }

    pub(super) fn begin_watch(&mut self, at: Timestamp, promotion: &Promotion) {
        let passed =
            promotion.verification.as_ref().is_some_and(|progress| progress.judgement == Judgement::Pass);
        let watched = promotion.kind == Kind::Deploy && passed && promotion.overridden.is_none();
        let left = promotion.policy.watch.filter(|left| watched && !left.is_zero());
        let number = promotion.id.number;
        let (windows, judge, judgement, beside) = (0, Value::Null, Judgement::Undecided, Beside::default());
        let progress = Progress { until: at, windows, judge, judgement, beside };
        self.watch = left.map(|left| Watch { promotion: number, left, seen: 0, progress });
        self.aside = None;
    }

    pub(super) fn set_watch_aside(&mut self) {
        if let Some(watch) = self.watch.take() {
            self.aside = Some(watch);
        }
    }

    /// The same evidence goes on, but the time in between was not watched.
    pub(super) fn go_on_watching(&mut self, at: Timestamp) {
        self.watch = self.aside.take();
        if let Some(watch) = &mut self.watch {
            watch.progress.until = at;
        }
    }

    pub(super) fn watched(&mut self, sampled: &Sampled) -> Result<(), Impossible> {
        let seen = self.promotion(sampled.promotion).is_some_and(|promotion| sees(promotion, sampled));
        let Some(watch) = self.watch.as_mut().filter(|watch| watch.promotion == sampled.promotion) else {
            return impossible(format!("promotion {} is not being watched", sampled.promotion));
        };
        watch.left = watch.left.saturating_sub(sampled.window.length());
        watch.seen = watch.seen.saturating_add(u64::from(seen));
        watch.progress.take(sampled);
        if watch.left.is_zero() || matches!(sampled.judgement, Judgement::Fail { .. }) {
            self.watch = None;
        }
        Ok(())
    }
}

/// The window that is due, or the time at which it will be.
pub(super) fn due(state: &StageState, now: Timestamp) -> Option<Result<(u64, Window), Timestamp>> {
    let watch = state.watch()?;
    let Verification::Judged(judged) = &state.promotion(watch.promotion)?.policy.verification else {
        return None;
    };
    let due = watch.progress.until.saturating_add(judged.window.min(watch.left));
    Some(if now < watch.progress.until {
        // The clock was set back: a window of no length, and the next ones go on from here.
        Ok((watch.promotion, Window { from: now, to: now }))
    } else if now < due {
        Err(due)
    } else {
        Ok((watch.promotion, since(watch.progress.until, judged.window, now)))
    })
}

/// Whether a regression could have been found in a window. A judge that compares needs a baseline, which most stages have no more once
/// everything runs the release; a guardrail needs requests.
fn sees(promotion: &Promotion, sampled: &Sampled) -> bool {
    let Verification::Judged(judged) = &promotion.policy.verification else { return false };
    let comparable = !judged.judge.compares()
        || !judged.guardrails.is_empty()
        || sampled.baseline.instances > 0
        || sampled.canary.total > 0;
    let inconclusive = matches!(sampled.judgement, Judgement::Inconclusive { .. });
    comparable && sampled.canary.instances > 0 && !inconclusive
}

/// A window after success. A regression asks for a rollback and puts a hold on the stage, in one step.
pub(super) fn decide(
    state: &StageState,
    sampled: &Sampled,
    response: &Response,
) -> Result<Vec<Happened>, PromotionError> {
    let promotion = state.find(sampled.promotion)?;
    let Some(watch) = state.watch().filter(|watch| watch.promotion == sampled.promotion) else {
        return Err(PromotionError::NotNow {
            attempted: format!("record a window of {}", promotion.id),
            state: promotion.state,
            reason: "and not watched any more".to_owned(),
        });
    };
    let mut events = vec![Happened::Watched(Box::new(sampled.clone()))];
    let Judgement::Fail { why } = &sampled.judgement else {
        let ends = sampled.window.length() >= watch.left;
        if ends && watch.seen == 0 && !sees(promotion, sampled) {
            let windows = watch.progress.windows.saturating_add(1);
            events.push(Happened::WatchedInVain { promotion: sampled.promotion, windows });
        }
        return Ok(events);
    };
    let mut reason = format!("{} got worse after it had succeeded: {why}", promotion.id);
    match state.previous() {
        // Somebody was faster.
        Some(_) if state.open().any(|open| open.kind == Kind::Rollback) => {}
        Some(previous) => events.push(rollback(state, &previous.release, response)?),
        None => reason.push_str("; nothing ran before that could be brought back"),
    }
    if state.hold().is_none() {
        let [_, unique] = response.unique;
        events.push(Happened::Held { by: response.by.clone(), reason: cut(reason), unique });
    }
    Ok(events)
}

fn rollback(state: &StageState, release: &Release, response: &Response) -> Result<Happened, PromotionError> {
    let [unique, _] = response.unique;
    Ok(Happened::Requested(Box::new(Requested {
        unique,
        kind: Kind::Rollback,
        release: release.clone(),
        requester: response.by.clone(),
        policy: Arc::clone(&response.policy),
        binding: binding(state.stage(), release, &response.policy)?,
        holder: response.holder.clone(),
    })))
}
