use std::sync::Arc;

use mcp_core::{Name, Timestamp};

use super::call::Timing;
use super::queries::{earliest, keeps_lease};
use super::stream::{Change, Committed};
use super::{Driving, Engine, Slot, Task};
use crate::host;
use crate::machine::{Command, Effect, Next, StageState, View, next};
use crate::{Fence, Fencing, PromotionError, Stage};

/// What a driver's step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Something was done in this stage, or for this plan (then the name of its stream), and recorded.
    Advanced(Name),
    /// Another driver or a command was faster in this stage; nothing was recorded. Step again.
    Overtaken(Name),
    /// There is nothing to do until then; `None` until something else happens.
    Waiting(Option<Timestamp>),
}

/// Whether somebody else was faster, and nothing is wrong.
pub(super) const fn is_overtaken(error: &PromotionError) -> bool {
    matches!(
        error,
        PromotionError::StaleDriver { .. }
            | PromotionError::Contended { .. }
            | PromotionError::Lease { .. }
            | PromotionError::NotNow { .. }
    )
}

/// How often in a row a driver may be overtaken without anything new in the stream, before that is trouble.
pub(super) const MAX_OVERTAKEN: u32 = 16;

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
            let slots = self.driven(name).await.unwrap_or_else(|error| {
                trouble.get_or_insert(error);
                Vec::new()
            });
            for slot in slots {
                match self.step_stage(slot, Timing::Untimed).await {
                    Ok(Step::Waiting(time)) => until = earliest(until, time),
                    Ok(step) => return Ok(step),
                    // One broken stream does not stop the others.
                    Err(error) => trouble = trouble.or(Some(error)),
                }
            }
        }
        match self.step_plans().await {
            Ok(Step::Waiting(_)) => {}
            Ok(step) => return Ok(step),
            Err(error) => trouble = trouble.or(Some(error)),
        }
        trouble.map_or(Ok(Step::Waiting(until)), Err)
    }

    /// One step in one stage.
    pub(super) async fn step_stage(&self, slot: &Slot, timing: Timing) -> Result<Step, PromotionError> {
        let Some(stage) = &slot.stage else {
            return Ok(Step::Waiting(None));
        };
        let mut driving = slot.driving.lock().await;
        // In a box: each call around it would hold its three kilobytes again, for every stage.
        let turn = Box::pin(self.turn(slot, &**stage, &mut driving, timing));
        // Calls to the host are caught one by one; this is for what is left, such as its clock.
        let outcome = match host::call("the driver", || async { Ok(turn.await) }).await {
            Ok(outcome) => outcome,
            Err(panic) => Err(PromotionError::seam(format!("drive stage {}", slot.name))(panic)),
        };
        let outcome = match outcome {
            // The newest lease is looked at again, from the beginning, before anything else is done.
            Err(error) if is_overtaken(&error) => {
                let version = *slot.news.borrow();
                let (at, times) = driving.overtaken;
                let times = if at == version { times.saturating_add(1) } else { 1 };
                driving.overtaken = (version, times);
                // Who was overtaken finds something new in the stream. Who does not, and tries at once, tries for ever.
                if times > MAX_OVERTAKEN { Err(error) } else { Ok(Step::Overtaken(slot.name.clone())) }
            }
            other => other,
        };
        if !matches!(outcome, Ok(Step::Overtaken(_))) {
            self.note(Task::Stage(slot.name.clone()), &outcome);
        }
        outcome
    }

    async fn turn(
        &self,
        slot: &Slot,
        stage: &dyn Stage,
        driving: &mut Driving,
        timing: Timing,
    ) -> Result<Step, PromotionError> {
        let state = self.load(slot).await?;
        let whole = self.whole(slot).await?;
        let (upstream, unread) = self.upstream(state.head().map(|head| &**head)).await;
        let now = self.now();
        let known = |number| state.promotion(number).is_some();
        slot.paced.keep(now, known);
        self.inner.troubles.keep_pins(&slot.name, known);
        let paced = slot.paced.until();
        let pins = self.inner.pin.is_some();
        let view =
            View { state: &state, whole: whole.as_deref(), upstream: &upstream, paced: &paced, pins, now };
        let held = state.lease().filter(|lease| Some(lease.fence) == driving.fence);
        let effect = match next(&view) {
            Next::Do(effect) => effect,
            Next::Wait(until) => {
                let until = match self.or_promote_by_itself(slot, &state, driving, until).await? {
                    Step::Waiting(until) => until,
                    step => return Ok(step),
                };
                return match held {
                    Some(lease) if !keeps_lease(&state) => {
                        let command = Command::DropLease { fence: lease.fence };
                        driving.fence = None;
                        self.record(slot, &command).await
                    }
                    // A stage before that cannot be read holds up what comes after it, and nothing else here.
                    _ => unread.map_or(Ok(Step::Waiting(until)), |(_, error)| Err(error)),
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
                // What a dead driver began outside of its process may still be under way: only a fence stops that.
                if free && self.is_gone(&lease.owner).await {
                    return self.record(slot, &Command::DropLease { fence: lease.fence }).await;
                }
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
        self.claim().await?;
        let owner = self.inner.owner.clone();
        let command = Command::TakeLease { owner, until, fencing: stage.fencing() };
        driving.fence = None;
        match self.commit(slot, Change::drive(&command)).await {
            Ok(Committed::Now(position)) => {
                (driving.fence, driving.shown) = (Some(Fence(position)), false);
                Ok(Step::Advanced(slot.name.clone()))
            }
            Ok(_) => Ok(Step::Overtaken(slot.name.clone())),
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
            Effect::Remind(promotion) => {
                self.record(turn.slot, &Command::Remind { fence: turn.fence, promotion }).await
            }
            Effect::Pin(number) => self.make_pin_last(&turn, number).await,
            Effect::Unpin(number) => self.give_up_pin(&turn, number).await,
            Effect::Start(number) => self.start(&turn, number).await,
            Effect::Deploy(number) | Effect::Widen(number) | Effect::RollBack(number) => {
                self.change_stage(&turn, driving, number).await
            }
            Effect::GiveUp(number) => self.give_up(&turn, driving, number).await,
            Effect::Watch(number, window) => self.watch(&turn, driving, number, window).await,
            Effect::Sample(number, window) => self.sample(&turn, driving, number, window).await,
        }
    }
}
