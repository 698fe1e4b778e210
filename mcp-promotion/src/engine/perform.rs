use std::time::Duration;

use mcp_core::{ErrorKind, SeamError};
use serde_json::Value;

use super::drive::{Step, Turn, bounded, told};
use super::stream::Change;
use super::{Driving, Engine};
use crate::gate::{GateAnswer, GateRequest};
use crate::journal::Append;
use crate::judge::{Judge, Judgement, MAX_JUDGE_STATE_BYTES};
use crate::machine::{Command, Looking, StageState, consequence};
use crate::verification::{JudgeChoice, Verification};
use crate::{
    Counts, Evidence, GateEvidence, Promotion, PromotionError, Sample, State, UpstreamEvidence, Window,
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

    pub(super) async fn make_pin_last(
        &self,
        turn: &Turn<'_>,
        driving: &mut Driving,
        number: u64,
    ) -> Result<Step, PromotionError> {
        let promotion = turn.state.find(number)?;
        let outcome = match (&self.inner.pin, &promotion.holder) {
            (Some(pin), Some(holder)) => {
                let call = pin.pin(holder, promotion.release.artifacts(), None);
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
            return self.delay(turn, driving, promotion, "pin", why, None).await;
        }
        driving.paced.remove(&number);
        let recorded =
            self.record_about(turn, number, &Command::Pinned { fence: turn.fence, promotion: number }).await;
        // One that is left behind has no pin any more.
        let released = |state: &StageState| state.promotion(number).is_none_or(|known| known.pin_released);
        if recorded.is_err() && released(&*self.load(turn.slot).await?) {
            // Pins have no fences: while this driver slept, another one took over, and gave up the pin that this one has just made again.
            if let (Some(pin), Some(holder)) = (&self.inner.pin, &promotion.holder) {
                let attempted = format!("release the pin of {}, which was given up before", promotion.id);
                pin.release(holder).await.map_err(PromotionError::seam(attempted))?;
            }
        }
        recorded
    }

    pub(super) async fn give_up_pin(
        &self,
        turn: &Turn<'_>,
        driving: &mut Driving,
        number: u64,
    ) -> Result<Step, PromotionError> {
        let promotion = turn.state.find(number)?;
        if let (Some(pin), Some(holder)) = (&self.inner.pin, &promotion.holder) {
            let call = pin.release(holder);
            if bounded(turn.timing, promotion.policy.calls.timeout, "release a pin", call).await.is_err() {
                // The artifacts stay for longer than needed, which harms nobody; it is tried again.
                return Ok(Step::Waiting(Some(self.pace(driving, promotion, None))));
            }
        }
        driving.paced.remove(&number);
        self.record_about(turn, number, &Command::Unpinned { fence: turn.fence, promotion: number }).await
    }

    /// Asks every gate of the recorded policy, and starts the promotion when all pass.
    pub(super) async fn start(
        &self,
        turn: &Turn<'_>,
        driving: &mut Driving,
        number: u64,
    ) -> Result<Step, PromotionError> {
        let promotion = turn.state.find(number)?;
        let mut gates = Vec::new();
        for name in &promotion.policy.gates {
            let by = format!("gate {name}");
            let Some(gate) = self.inner.gates.get(name) else {
                let why = "this engine has no gate of this name".to_owned();
                return self.delay(turn, driving, promotion, &by, why, None).await;
            };
            let request = GateRequest {
                promotion: &promotion.id,
                kind: promotion.kind,
                release: &promotion.release,
                requester: &promotion.requester,
                now: self.now(),
            };
            let call = gate.check(&request);
            match bounded(turn.timing, promotion.policy.calls.timeout, &by, call).await {
                Ok(GateAnswer::Pass { evidence }) => {
                    let saw = evidence.chars().take(MAX_EVIDENCE_CHARS).collect();
                    gates.push(GateEvidence { gate: name.clone(), saw });
                }
                Ok(GateAnswer::Wait { until, why }) => {
                    return self.delay(turn, driving, promotion, &by, why, until).await;
                }
                Ok(GateAnswer::Deny { why }) => {
                    return self.go_to(turn, number, State::Rejected, format!("{by}: {why}")).await;
                }
                Err(error) => return self.delay(turn, driving, promotion, &by, told(&error), None).await,
            }
        }
        driving.paced.remove(&number);
        // Looked at again after the gates, which may have taken their time, and asserted in the append.
        let now = self.now();
        let (mut upstream, mut asserts) = (Vec::new(), Vec::new());
        for (stage, seen) in self.upstream(Some(promotion)).await? {
            if let (Some(verified), Some(slot)) = (seen.verified, self.inner.slots.get(&stage)) {
                let ran = verified.until.unwrap_or(now).saturating_since(verified.at);
                let evidence = UpstreamEvidence {
                    stage,
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
        let evidence = Evidence { release, gates, upstream: Vec::new(), approved_by: Vec::new() };
        let command = Command::Start { fence: turn.fence, promotion: number, evidence, upstream };
        // Decided once: after a lost race the stages before may have changed too, and are looked at again.
        let change = Change { asserts, attempts: 1, ..Change::about(&command, promotion) };
        self.record_if(turn.slot, change).await
    }

    /// Records why a pending promotion does not start, unless that is known, and lets some time pass before it is tried again.
    async fn delay(
        &self,
        turn: &Turn<'_>,
        driving: &mut Driving,
        promotion: &Promotion,
        by: &str,
        why: String,
        until: Option<mcp_core::Timestamp>,
    ) -> Result<Step, PromotionError> {
        let until = self.pace(driving, promotion, until);
        let why = why.chars().take(MAX_EVIDENCE_CHARS).collect();
        let (fence, number) = (turn.fence, promotion.id.number);
        let command = Command::Delay { fence, promotion: number, by: by.to_owned(), why };
        match self.record_about(turn, number, &command).await? {
            Step::Waiting(_) => Ok(Step::Waiting(Some(until))),
            step => Ok(step),
        }
    }

    /// When to try again what was tried in vain; `asked` where the other side knows, but not later than the longest backoff.
    fn pace(
        &self,
        driving: &mut Driving,
        promotion: &Promotion,
        asked: Option<mcp_core::Timestamp>,
    ) -> mcp_core::Timestamp {
        let now = self.now();
        let times = driving.paced.get(&promotion.id.number).map_or(0, |(.., times)| *times).saturating_add(1);
        let backoff = promotion.policy.calls.backoff_after(times).max(Duration::from_millis(1));
        let until = asked.filter(|asked| *asked > now).unwrap_or(now.saturating_add(backoff));
        let until = until.min(now.saturating_add(crate::Calls::MAX_BACKOFF));
        driving.paced.insert(promotion.id.number, (now, until, times));
        until
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
            driving.fence = None;
            let call = bounded(turn.timing, limit, "sample", turn.stage.sample(window)).await;
            match call.map_err(|error| told(&error)).and_then(|taken| Counts::of(&taken).map(|_| taken)) {
                Ok(taken) => (samples, driving.fence) = (taken, Some(turn.fence)),
                Err(why) => trouble = Some(format!("sample: {why}")),
            }
        }
        let (canary, baseline) = Counts::of(&samples).unwrap_or_default();
        let (judge, judgement) = match self.judge(promotion, window, &samples) {
            Ok(judged) => judged,
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
        };
        self.record_about(turn, number, &command).await
    }

    /// What the judge says, fit for the journal.
    fn judge(
        &self,
        promotion: &Promotion,
        window: Window,
        samples: &[Sample],
    ) -> Result<(Value, Judgement), SeamError> {
        let (state, judgement) = self.ask_judge(promotion, window, samples)?;
        let bytes = state.to_string().len();
        if bytes > MAX_JUDGE_STATE_BYTES {
            let context =
                format!("keep its state of {bytes} bytes: at most {MAX_JUDGE_STATE_BYTES} are journaled");
            return Err(SeamError::new(ErrorKind::Exhausted, context));
        }
        Ok((state, judgement.in_short()))
    }

    fn ask_judge(
        &self,
        promotion: &Promotion,
        window: Window,
        samples: &[Sample],
    ) -> Result<(Value, Judgement), SeamError> {
        let null = Value::Null;
        let kept = promotion.verification.as_ref().map_or(&null, |progress| &progress.judge);
        match &promotion.policy.verification {
            Verification::Unverified { .. } => Ok((Value::Null, Judgement::Undecided)),
            Verification::Judged(judged) => match &judged.judge {
                JudgeChoice::Guardrail(guardrail) => guardrail.judge(kept, window, samples),
                JudgeChoice::Rank(rank) => rank.judge(kept, window, samples),
                JudgeChoice::Count(count) => count.judge(kept, window, samples),
                JudgeChoice::Named(name) => match self.inner.judges.get(name) {
                    Some(judge) => judge.judge(kept, window, samples),
                    None => Err(SeamError::new(
                        ErrorKind::NotFound,
                        format!("find judge {name}: this engine has none of this name"),
                    )),
                },
            },
        }
    }
}
