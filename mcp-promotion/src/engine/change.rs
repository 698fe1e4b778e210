use std::time::Duration;

use mcp_core::SeamError;

use super::call::{bounded, told};
use super::drive::{Step, Turn};
use super::{Driving, Engine};
use crate::machine::{Command, Goal, Looking, consequence};
use crate::{Context, Fencing, Kind, Observed, Promotion, PromotionError, Stage, StageCall, State, host};

/// The effects that change what a stage runs: look, apply, look again, then one append.
impl Engine {
    /// Looks at what the stage runs, and shows it the fence.
    pub(super) async fn observe(
        &self,
        turn: &Turn<'_>,
        driving: &mut Driving,
        limit: Duration,
    ) -> Result<Observed, SeamError> {
        driving.fence = None;
        let call = bounded(turn.timing, limit, "observe", || turn.stage.observe(turn.fence));
        let observed = self.count_call(StageCall::Observe, call).await?;
        (driving.fence, driving.shown) = (Some(turn.fence), true);
        Ok(observed)
    }

    /// One attempt to make the stage run what the promotion wants now: its release, in the canary or everywhere, or on the way back the
    /// previous one.
    pub(super) async fn change_stage(
        &self,
        turn: &Turn<'_>,
        driving: &mut Driving,
        number: u64,
    ) -> Result<Step, PromotionError> {
        let promotion = turn.state.find(number)?;
        let Some(goal) = turn.state.goal(promotion) else {
            return Ok(Step::Overtaken(turn.slot.name.clone()));
        };
        let limit = promotion.policy.calls.timeout;
        let failed = |call: &str, why: String| Command::CallFailed {
            fence: turn.fence,
            promotion: number,
            call: call.to_owned(),
            why,
        };
        let observed = match self.observe(turn, driving, limit).await {
            Ok(observed) => observed,
            Err(error) => return self.record_about(turn, number, &failed("observe", told(&error))).await,
        };
        if let Some((to, reason)) = consequence(&turn.state, promotion, &observed, Looking::BeforeApply) {
            return self.go_to(turn, number, to, reason).await;
        }
        let context = context(turn, promotion, &goal);
        driving.fence = None;
        let Goal { release, reach } = &goal;
        let mut ended = false;
        let call = bounded(turn.timing, limit, "apply", || async {
            let outcome = turn.stage.apply(release, &context).await;
            ended = true;
            outcome
        });
        if let Err(error) = self.count_call(StageCall::Apply, call).await {
            if !ended && is_unfenced(turn.stage) {
                let to = if promotion.state == State::RollingBack { State::Stuck } else { State::Paused };
                let why = told(&error);
                let reason = format!(
                    "{why}, and nothing keeps it from having its effect later; look whether it has ended"
                );
                return self.go_to(turn, number, to, reason).await;
            }
            return self.record_about(turn, number, &failed("apply", told(&error))).await;
        }
        // What a stage says that it did, and what it runs, are two things.
        let observed = match self.observe(turn, driving, limit).await {
            Ok(observed) => observed,
            Err(error) => return self.record_about(turn, number, &failed("observe", told(&error))).await,
        };
        let Some(reached) = turn.state.reached(promotion, &goal, &observed) else {
            let place = if reach.is_all() { String::new() } else { format!(" {reach}") };
            let why =
                format!("it was told to run {release}{place} and said that it does, but runs {observed}");
            return self.record_about(turn, number, &failed("apply", why)).await;
        };
        let (fence, release) = (turn.fence, release.digest());
        let command = Command::Applied { fence, promotion: number, release, reach: reached };
        self.record_about(turn, number, &command).await
    }

    /// Every attempt has failed: what the stage runs decides how the promotion ends.
    pub(super) async fn give_up(
        &self,
        turn: &Turn<'_>,
        driving: &mut Driving,
        number: u64,
    ) -> Result<Step, PromotionError> {
        let promotion = turn.state.find(number)?;
        let observed = match self.observe(turn, driving, promotion.policy.calls.timeout).await {
            Ok(observed) => observed,
            Err(error) => Observed::Unknown(told(&error)),
        };
        match consequence(&turn.state, promotion, &observed, Looking::AfterLastAttempt) {
            Some((to, reason)) => self.go_to(turn, number, to, reason).await,
            None => Ok(Step::Waiting(None)),
        }
    }
}

/// Whether a call that was dropped may still change something after the next one.
fn is_unfenced(stage: &dyn Stage) -> bool {
    // Who cannot say is believed to enforce nothing.
    !host::ask("stage", || Ok(stage.fencing())).is_ok_and(|fencing| fencing == Fencing::Enforced)
}

fn context(turn: &Turn<'_>, promotion: &Promotion, goal: &Goal) -> Context {
    let back = promotion.state == State::RollingBack;
    // One key for each time that the promotion enters the state: the same after a crash, another one after a retry. A canary is judged and
    // widened in one state.
    let part = if promotion.is_widening() { "/all" } else { "" };
    let previous = if back {
        Some(promotion.release.clone())
    } else {
        turn.state.current().map(|current| current.release.clone())
    };
    Context::new(
        turn.fence,
        format!("{}/{}{part}", promotion.unique, promotion.entered),
        promotion.id.clone(),
        if back { Kind::Rollback } else { promotion.kind },
        previous,
    )
    .reaching(goal.reach)
}
