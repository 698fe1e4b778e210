use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use mcp_core::{ErrorKind, Name, SeamError, Timestamp};

use super::queries::{earliest, keeps_lease};
use super::stream::{Change, Committed};
use super::{Driving, Engine, Slot};
use crate::machine::{Command, Effect, Next, StageState, View, next};
use crate::{Fence, Fencing, PromotionError, Stage};

/// What a driver's step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Something was done in this stage and recorded.
    Advanced(Name),
    /// Another driver or a command was faster in this stage; nothing was recorded. Step again.
    Overtaken(Name),
    /// There is nothing to do until then; `None` until something else happens.
    Waiting(Option<Timestamp>),
}

/// Whether calls to stages and gates are bounded in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timing {
    /// By the timer of the tokio runtime.
    Timed,
    /// Not at all: the future can be polled by hand.
    Untimed,
}

/// What a driver knows while it takes one step in one stage.
pub(super) struct Turn<'a> {
    pub(super) slot: &'a Slot,
    pub(super) stage: &'a dyn Stage,
    pub(super) state: Arc<StageState>,
    pub(super) fence: Fence,
    pub(super) timing: Timing,
}

impl Engine {
    /// Takes one step in the first stage that has something to do, in the order of the pipeline: one append to the journal, together with the
    /// calls that lead to it.
    ///
    /// Calls to stages and gates are not bounded in time: only [`run`](Self::run) has a timer. Without a runtime the future can be polled
    /// by hand.
    ///
    /// # Errors
    /// What the journal says, when no stage could go on. What a stage, a gate or another seam says is recorded instead, and shows among
    /// the [`blockers`](Self::blockers).
    pub async fn step(&self) -> Result<Step, PromotionError> {
        let (mut until, mut trouble) = (None, None);
        for (name, _) in self.inner.pipeline.stages() {
            match self.step_stage(self.slot(name)?, Timing::Untimed).await {
                Ok(Step::Waiting(time)) => until = earliest(until, time),
                Ok(step) => return Ok(step),
                // One broken stream does not stop the others.
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        trouble.map_or(Ok(Step::Waiting(until)), Err)
    }

    /// One step in one stage.
    pub(super) async fn step_stage(&self, slot: &Slot, timing: Timing) -> Result<Step, PromotionError> {
        let Some(stage) = &slot.stage else {
            return Ok(Step::Waiting(None));
        };
        let mut driving = slot.driving.lock().await;
        let outcome = self.turn(slot, &**stage, &mut driving, timing).await;
        match outcome {
            // The newest lease is looked at again, from the beginning, before anything else is done.
            Err(
                PromotionError::StaleDriver { .. }
                | PromotionError::Contended { .. }
                | PromotionError::NotNow { .. },
            ) => Ok(Step::Overtaken(slot.name.clone())),
            other => other,
        }
    }

    async fn turn(
        &self,
        slot: &Slot,
        stage: &dyn Stage,
        driving: &mut Driving,
        timing: Timing,
    ) -> Result<Step, PromotionError> {
        let state = self.load(slot).await?;
        let upstream = self.upstream(state.head().map(|head| &**head)).await?;
        let now = self.now();
        driving.paced.retain(|number, (since, ..)| *since <= now && state.promotion(*number).is_some());
        let paced = driving.paced.iter().map(|(number, (_, until, _))| (*number, *until)).collect();
        let pins = self.inner.pin.is_some();
        let view = View { state: &state, upstream: &upstream, paced: &paced, pins, now };
        let held = state.lease().filter(|lease| Some(lease.fence) == driving.fence);
        let effect = match next(&view) {
            Next::Do(effect) => effect,
            Next::Wait(until) => {
                return match held {
                    Some(lease) if !keeps_lease(&state) => {
                        let command = Command::DropLease { fence: lease.fence };
                        driving.fence = None;
                        self.record(slot, &command).await
                    }
                    _ => Ok(Step::Waiting(until)),
                };
            }
        };
        let until = now.saturating_add(self.inner.settings.lease);
        let fence = match (held, state.lease()) {
            (Some(lease), _) if !lease.is_low(now) => lease.fence,
            (Some(lease), _) if !lease.is_over(now) => {
                return self.record(slot, &Command::RenewLease { fence: lease.fence, until }).await;
            }
            (_, Some(lease)) if !lease.may_be_taken(&self.inner.owner, stage.fencing(), now) => {
                let free = stage.fencing() == Fencing::Enforced;
                return Ok(Step::Waiting(free.then_some(lease.until)));
            }
            _ => return self.take_lease(slot, stage, driving, until).await,
        };
        let turn = Turn { slot, stage, state: Arc::clone(&state), fence, timing };
        self.perform(turn, driving, effect).await
    }

    async fn take_lease(
        &self,
        slot: &Slot,
        stage: &dyn Stage,
        driving: &mut Driving,
        until: Timestamp,
    ) -> Result<Step, PromotionError> {
        let owner = self.inner.owner.clone();
        let command = Command::TakeLease { owner, until, fencing: stage.fencing() };
        driving.fence = None;
        match self.commit(slot, Change::drive(&command)).await {
            Ok(Committed::Now(position)) => {
                (driving.fence, driving.shown) = (Some(Fence(position)), false);
                Ok(Step::Advanced(slot.name.clone()))
            }
            Ok(_) | Err(PromotionError::Lease { .. }) => Ok(Step::Overtaken(slot.name.clone())),
            Err(error) => Err(error),
        }
    }

    /// Records what a driver does with its lease.
    pub(super) async fn record(&self, slot: &Slot, command: &Command) -> Result<Step, PromotionError> {
        self.record_if(slot, Change::drive(command)).await
    }

    /// Records what a driver has found out or done about a promotion.
    pub(super) async fn record_about(
        &self,
        turn: &Turn<'_>,
        number: u64,
        command: &Command,
    ) -> Result<Step, PromotionError> {
        self.record_if(turn.slot, Change::about(command, turn.state.find(number)?)).await
    }

    pub(super) async fn record_if(&self, slot: &Slot, change: Change<'_>) -> Result<Step, PromotionError> {
        match self.commit(slot, change).await? {
            Committed::Now(_) | Committed::Before(_) => Ok(Step::Advanced(slot.name.clone())),
            Committed::Nothing => Ok(Step::Waiting(None)),
        }
    }

    async fn perform(
        &self,
        turn: Turn<'_>,
        driving: &mut Driving,
        effect: Effect,
    ) -> Result<Step, PromotionError> {
        match effect {
            Effect::Expire(number) => self.expire(&turn, number).await,
            Effect::Conclude(number) => self.conclude(&turn, number).await,
            Effect::Strand(number) => self.strand(&turn, number).await,
            Effect::Pin(number) => self.make_pin_last(&turn, driving, number).await,
            Effect::Unpin(number) => self.give_up_pin(&turn, driving, number).await,
            Effect::Start(number) => self.start(&turn, driving, number).await,
            Effect::Deploy(number) | Effect::Widen(number) | Effect::RollBack(number) => {
                self.change_stage(&turn, driving, number).await
            }
            Effect::GiveUp(number) => self.give_up(&turn, driving, number).await,
            Effect::Sample(number, window) => self.sample(&turn, driving, number, window).await,
        }
    }
}

/// Waits for `call`, no longer than `limit` where there is a timer.
///
/// # Errors
/// `Unavailable` after `limit`: the call was dropped, and nobody knows whether it had an effect.
pub(super) async fn bounded<T>(
    timing: Timing,
    limit: Duration,
    what: &str,
    call: impl Future<Output = Result<T, SeamError>>,
) -> Result<T, SeamError> {
    match timing {
        Timing::Untimed => call.await,
        Timing::Timed => tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
            let context = format!("{what}: no answer within {} ms", limit.as_millis());
            Err(SeamError::new(ErrorKind::Unavailable, context))
        }),
    }
}

/// What a seam said, with its causes.
pub(super) fn told(error: &SeamError) -> String {
    let mut text = format!("{error} ({})", error.kind());
    let mut cause = std::error::Error::source(error);
    // A chain of causes may be as long as a stranger likes.
    for _ in 0..8 {
        let Some(error) = cause else { break };
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
