use std::collections::BTreeSet;
use std::time::Duration;

use mcp_core::{Name, SeamError};
use serde_json::Value;

use super::call::{bounded, told};
use super::drive::{Step, Turn};
use super::stream::Change;
use super::{Driving, Engine, Task};
use crate::gate::{GateAnswer, GateRequest};
use crate::host;
use crate::journal::Append;
use crate::judge::{Beside, Heard, Judgement, Occasion, hear};
use crate::machine::{Command, Looking, StageState, consequence, counts};
use crate::verification::Verification;
use crate::{
    Counts, Evidence, GateEvidence, Kind, Progress, Promotion, PromotionError, Sample, Skipped, StageCall,
    State, UpstreamEvidence, Window,
};

/// How much of a gate's evidence is recorded.
const MAX_EVIDENCE_CHARS: usize = 4096;

/// One function for each effect: the calls, then one append.
impl Engine {
    pub(super) async fn expire(&self, turn: &Turn<'_>, promotion: u64) -> Result<Step, PromotionError> {
        self.go_to(turn, promotion, State::Expired, "it was not started in time".to_owned()).await
    }

    pub(super) async fn conclude(&self, turn: &Turn<'_>, promotion: u64) -> Result<Step, PromotionError> {
        let reason = match &turn.state.find(promotion)?.policy.verification {
            Verification::Unverified { reason } => format!("unverified: {reason}"),
            Verification::Judged(_) => String::new(),
        };
        self.go_to(turn, promotion, State::Succeeded, reason).await
    }

    pub(super) async fn strand(&self, turn: &Turn<'_>, number: u64) -> Result<Step, PromotionError> {
        let promotion = turn.state.find(number)?;
        let last = promotion.last_failure.as_ref().map_or("", |(_, why)| why.as_str());
        let reason = format!("{} attempts to roll back failed, the last one with {last}", promotion.failures);
        self.go_to(turn, number, State::Stuck, reason).await
    }

    pub(super) async fn go_to(
        &self,
        turn: &Turn<'_>,
        promotion: u64,
        to: State,
        reason: String,
    ) -> Result<Step, PromotionError> {
        self.record_about(turn, promotion, &Command::Move { fence: turn.fence, promotion, to, reason }).await
    }

    pub(super) async fn make_pin_last(&self, turn: &Turn<'_>, number: u64) -> Result<Step, PromotionError> {
        let promotion = turn.state.find(number)?;
        let outcome = match (&self.inner.pin, &promotion.holder) {
            (Some(pin), Some(holder)) => {
                let call = || pin.pin(holder, promotion.release.artifacts(), None);
                bounded(turn.timing, promotion.policy.calls.timeout, "pin", call)
                    .await
                    .map_err(|error| told(&error))
            }
            _ => {
                Err("this engine has no pin, and the request was made by one that has; give it with pin(..)"
                    .to_owned())
            }
        };
        if let Err(why) = outcome {
            return self.delay(turn, promotion, "pin", why, None).await;
        }
        turn.slot.paced.done(number);
        let recorded =
            self.record_about(turn, number, &Command::Pinned { fence: turn.fence, promotion: number }).await;
        // One that is left behind has no pin any more.
        let released = |state: &StageState| state.promotion(number).is_none_or(|known| known.pin_released);
        if recorded.is_err() && released(&*self.load(turn.slot).await?) {
            // Pins have no fences: while this driver slept, another one took over, and gave up the pin that this one has just made again.
            if let (Some(pin), Some(holder)) = (&self.inner.pin, &promotion.holder) {
                let attempted = format!("release the pin of {}, which was given up before", promotion.id);
                host::call("release a pin", || pin.release(holder))
                    .await
                    .map_err(PromotionError::seam(attempted))?;
            }
        }
        recorded
    }

    pub(super) async fn give_up_pin(&self, turn: &Turn<'_>, number: u64) -> Result<Step, PromotionError> {
        let promotion = turn.state.find(number)?;
        if let (Some(pin), Some(holder)) = (&self.inner.pin, &promotion.holder) {
            let call = || pin.release(holder);
            let task = Task::Unpin(promotion.id.clone());
            if let Err(error) =
                bounded(turn.timing, promotion.policy.calls.timeout, "release a pin", call).await
            {
                // The artifacts stay for longer than needed, which harms nobody; it is tried again.
                self.inner.troubles.met(task, &PromotionError::seam("release a pin")(error), self.now());
                return Ok(Step::Waiting(Some(self.pace(turn, promotion, None))));
            }
            self.inner.troubles.over(&task);
        }
        turn.slot.paced.done(number);
        self.record_about(turn, number, &Command::Unpinned { fence: turn.fence, promotion: number }).await
    }

    /// Asks every gate of the recorded policy, and starts the promotion when all pass.
    pub(super) async fn start(&self, turn: &Turn<'_>, number: u64) -> Result<Step, PromotionError> {
        let promotion = turn.state.find(number)?;
        let (mut gates, mut skipped) = (Vec::new(), Vec::new());
        for name in &promotion.policy.gates {
            let by = format!("gate {name}");
            let Some(gate) = self.inner.gates.get(name) else {
                let why = "this engine has no gate of this name".to_owned();
                return self.delay(turn, promotion, &by, why, None).await;
            };
            if promotion.glass.is_some() && !gate.guards_integrity() {
                skipped.push(Skipped::Gate { gate: name.clone() });
                continue;
            }
            let request = GateRequest {
                promotion: &promotion.id,
                kind: promotion.kind,
                release: &promotion.release,
                requester: &promotion.requester,
                now: self.now(),
            };
            let call = || gate.check(&request);
            match bounded(turn.timing, promotion.policy.calls.timeout, &by, call).await {
                Ok(GateAnswer::Pass { evidence }) => {
                    let saw = evidence.chars().take(MAX_EVIDENCE_CHARS).collect();
                    gates.push(GateEvidence { gate: name.clone(), saw });
                }
                Ok(GateAnswer::Wait { until, why }) => {
                    return self.delay(turn, promotion, &by, why, until).await;
                }
                // The way back is not closed by a gate for ever: the release that should go would stay.
                Ok(GateAnswer::Deny { why }) if promotion.kind == Kind::Rollback => {
                    return self.delay(turn, promotion, &by, format!("denied: {why}"), None).await;
                }
                Ok(GateAnswer::Deny { why }) => {
                    return self.go_to(turn, number, State::Rejected, format!("{by}: {why}")).await;
                }
                Err(error) => return self.delay(turn, promotion, &by, told(&error), None).await,
            }
        }
        turn.slot.paced.done(number);
        // Looked at again after the gates, which may have taken their time, and asserted in the append.
        let now = self.now();
        let (mut upstream, mut asserts) = (Vec::new(), Vec::new());
        for (stage, seen) in self.upstream(Some(promotion)).await.0 {
            let verified = seen.verified.filter(|verified| counts(promotion.rules(), &stage, verified, now));
            if let (Some(verified), Some(slot)) =
                (verified, self.slot_of_release(&stage, &promotion.release).await?)
            {
                let ran = verified.until.unwrap_or(now).saturating_since(verified.at);
                let evidence = UpstreamEvidence {
                    stage,
                    lane: slot.lane.as_ref().map(|lane| lane.name.clone()),
                    version: seen.version,
                    promotion: verified.promotion,
                    succeeded_at: verified.at,
                    ran_ms: u64::try_from(ran.as_millis()).unwrap_or(u64::MAX),
                };
                upstream.push((evidence, verified));
                asserts.push(Append::assert(slot.stream.clone(), seen.version));
            }
        }
        let release = promotion.release.digest();
        let evidence = Evidence {
            release,
            gates,
            upstream: Vec::new(),
            approved_by: Vec::new(),
            opening: None,
            skipped,
        };
        let command = Command::Start { fence: turn.fence, promotion: number, evidence, upstream };
        // Decided once: after a lost race the stages before may have changed too, and are looked at again.
        let change = Change { asserts, attempts: 1, ..Change::about(&command, promotion) };
        self.record_if(turn.slot, change).await
    }

    /// Records why a pending promotion does not start, unless that is known, and lets some time pass before it is tried again.
    async fn delay(
        &self,
        turn: &Turn<'_>,
        promotion: &Promotion,
        by: &str,
        why: String,
        until: Option<mcp_core::Timestamp>,
    ) -> Result<Step, PromotionError> {
        let again = self.pace(turn, promotion, until);
        let why = why.chars().take(MAX_EVIDENCE_CHARS).collect();
        let (fence, number) = (turn.fence, promotion.id.number);
        let command = Command::Delay { fence, promotion: number, by: by.to_owned(), why, until };
        match self.record_about(turn, number, &command).await? {
            Step::Waiting(_) => Ok(Step::Waiting(Some(again))),
            step => Ok(step),
        }
    }

    /// When to try again what was tried in vain.
    fn pace(
        &self,
        turn: &Turn<'_>,
        promotion: &Promotion,
        asked: Option<mcp_core::Timestamp>,
    ) -> mcp_core::Timestamp {
        turn.slot.paced.failed(promotion.id.number, &promotion.policy.calls, asked, self.now())
    }

    /// Samples one window and judges it. Whatever goes wrong is no data, and never good health.
    pub(super) async fn sample(
        &self,
        turn: &Turn<'_>,
        driving: &mut Driving,
        number: u64,
        window: Window,
    ) -> Result<Step, PromotionError> {
        let promotion = turn.state.find(number)?;
        let limit = promotion.policy.calls.timeout;
        let mut trouble = None;
        if !driving.shown {
            // A new driver: the one before may still be at work, until the stage knows the new fence.
            match self.observe(turn, driving, limit).await {
                Ok(observed) => {
                    if let Some((to, reason)) =
                        consequence(&turn.state, promotion, &observed, Looking::BeforeSample)
                    {
                        return self.go_to(turn, number, to, reason).await;
                    }
                }
                Err(error) => trouble = Some(format!("observe: {}", told(&error))),
            }
        }
        let mut samples = Vec::new();
        if trouble.is_none() {
            match self.take_samples(turn, driving, limit, window).await {
                Ok(taken) => samples = taken,
                Err(why) => trouble = Some(why),
            }
        }
        let (canary, baseline) = Counts::of(&samples).unwrap_or_default();
        let kept = promotion.verification.as_ref();
        let occasion = if turn.state.stands_alone(promotion) { Occasion::Alone } else { Occasion::Beside };
        let heard = self.judge(promotion, occasion, kept, window, &samples);
        let Heard { judge, judgement, beside } = match heard {
            Ok(heard) => heard,
            Err(error) => {
                let why = format!("the judge failed: {}", told(&error));
                return self.go_to(turn, number, State::Paused, why).await;
            }
        };
        let fence = turn.fence;
        let command = Command::Sampled {
            fence,
            promotion: number,
            window,
            canary,
            baseline,
            trouble,
            judge,
            judgement,
            beside,
        };
        self.record_about(turn, number, &command).await
    }

    /// What the stage counted in `window`, or why there is no data.
    pub(super) async fn take_samples(
        &self,
        turn: &Turn<'_>,
        driving: &mut Driving,
        limit: Duration,
        window: Window,
    ) -> Result<Vec<Sample>, String> {
        driving.fence = None;
        let call = bounded(turn.timing, limit, "sample", || turn.stage.sample(window));
        let taken = self.count_call(StageCall::Sample, call).await;
        let taken = taken.map_err(|error| told(&error)).and_then(|taken| fresh(taken, window));
        let taken = taken.map_err(|why| format!("sample: {why}"))?;
        driving.fence = Some(turn.fence);
        Ok(taken)
    }

    /// What the judge and all that stands beside it say who have kept this, fit for the journal.
    pub(super) fn judge(
        &self,
        promotion: &Promotion,
        occasion: Occasion,
        kept: Option<&Progress>,
        window: Window,
        samples: &[Sample],
    ) -> Result<Heard, SeamError> {
        match &promotion.policy.verification {
            Verification::Unverified { .. } => {
                let (judge, judgement) = (Value::Null, Judgement::Undecided);
                Ok(Heard { judge, judgement, beside: Beside::default() })
            }
            Verification::Judged(judged) => {
                let named = |name: &Name| self.inner.judges.get(name).map(|judge| &**judge);
                hear(judged, occasion, kept, window, samples, &named)
            }
        }
    }
}

/// What can be believed and is about this window. Stale samples are no data, and where there are no others, that is said.
fn fresh(mut samples: Vec<Sample>, window: Window) -> Result<Vec<Sample>, String> {
    Counts::of(&samples)?;
    let mut instances = BTreeSet::new();
    if let Some(twice) =
        samples.iter().find(|sample| !instances.insert((sample.arm, sample.instance.as_str())))
    {
        let shown: String = twice.instance.chars().take(60).collect();
        return Err(format!("instance {shown:?} is there twice"));
    }
    let taken = samples.len();
    samples.retain(|sample| !sample.is_stale(window));
    if samples.is_empty() && taken > 0 {
        return Err(format!("all of {taken} samples are stale: they end no later than {}", window.from));
    }
    Ok(samples)
}
