use mcp_core::{Name, Principal, RequestId};

use super::Engine;
use super::stream::Change;
use crate::authorizer::Operation;
use crate::machine::Command;
use crate::{Actor, Happened, PromotionError, PromotionId};

/// What operators command. Each is idempotent by the request id of its [`Actor`], also when the promotion has ended since.
///
/// In a stage that the pipeline has lost, promotions can still be ended, but nothing is driven.
///
/// The [`Authorizer`](crate::Authorizer) is asked whether they may, and `Denied` tells who may.
///
/// All fail with `Unavailable` when the journal does not answer, the outcome then being unknown: repeat them with the same request id;
/// with `Conflict` when the request id was used for another command; with `Corrupt` or `Unsupported` when the stage's stream cannot be read;
/// with `Invalid` for names that are none.
impl Engine {
    /// Withdraws a pending promotion.
    ///
    /// # Errors
    /// `Conflict` when it is not pending; `NotFound`.
    pub async fn cancel(
        &self,
        id: &PromotionId,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
    ) -> Result<(), PromotionError> {
        self.operate(id, Operation::Cancel, actor, |promotion, by| Command::Cancel { promotion, by }).await
    }

    /// Stops a promotion that deploys or verifies, until somebody resumes, overrides or aborts it. A call that is under way is not taken back.
    ///
    /// # Errors
    /// `Conflict` when it neither deploys nor verifies; `NotFound`.
    pub async fn pause(
        &self,
        id: &PromotionId,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
        reason: impl Into<String>,
    ) -> Result<(), PromotionError> {
        let reason = reason.into();
        self.operate(id, Operation::Pause, actor, |promotion, by| Command::Pause { promotion, by, reason })
            .await
    }

    /// Lets a paused promotion go on where it was, with the evidence that it had.
    ///
    /// Where the stage ran something that nobody here had put there, this accepts that it is replaced.
    ///
    /// # Errors
    /// `Conflict` when it is not paused, or when its judgement was that the release failed; `NotFound`.
    pub async fn resume(
        &self,
        id: &PromotionId,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
    ) -> Result<(), PromotionError> {
        self.operate(id, Operation::Resume, actor, |promotion, by| Command::Resume { promotion, by }).await
    }

    /// Declares a paused promotion a success, for a reason that is not empty.
    ///
    /// Where at most the canary runs the release, this takes the place of the judge's verdict only: the promotion is verifying again, the
    /// release is applied everywhere, whatever the stage runs there, and only then has it succeeded. If that fails for good, it is rolled
    /// back.
    ///
    /// # Errors
    /// `Denied` without a reason; `Conflict` when it is not paused; `NotFound`.
    pub async fn override_with(
        &self,
        id: &PromotionId,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
        reason: impl Into<String>,
    ) -> Result<(), PromotionError> {
        let reason = reason.into();
        self.operate(id, Operation::Override, actor, |promotion, by| Command::Override {
            promotion,
            by,
            reason,
        })
        .await
    }

    /// Goes back to what ran before, or to nothing where nothing did. A promotion of kind rollback becomes stuck instead.
    ///
    /// # Errors
    /// `Conflict` when it was not started or has ended; `NotFound`.
    pub async fn abort(
        &self,
        id: &PromotionId,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
        reason: impl Into<String>,
    ) -> Result<(), PromotionError> {
        let reason = reason.into();
        self.operate(id, Operation::Abort, actor, |promotion, by| Command::Abort { promotion, by, reason })
            .await
    }

    /// Ends a stuck promotion as failed: a person cares for what the stage runs.
    ///
    /// # Errors
    /// `Conflict` when it is not stuck; `NotFound`.
    pub async fn acknowledge(
        &self,
        id: &PromotionId,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
        reason: impl Into<String>,
    ) -> Result<(), PromotionError> {
        let reason = reason.into();
        self.operate(id, Operation::Acknowledge, actor, |promotion, by| Command::Acknowledge {
            promotion,
            by,
            reason,
        })
        .await
    }

    /// Tries again to roll a stuck promotion back.
    ///
    /// # Errors
    /// `Conflict` when it is not stuck, or is a rollback itself; `NotFound`.
    pub async fn retry(
        &self,
        id: &PromotionId,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
    ) -> Result<(), PromotionError> {
        self.operate(id, Operation::Retry, actor, |promotion, by| Command::Retry { promotion, by }).await
    }

    /// Lets nothing start in `stage` but rollbacks, until somebody lifts the hold. What is under way goes on.
    ///
    /// # Errors
    /// `NotFound` for an unknown stage; `Denied` without a reason; `Conflict` when it is held already.
    pub async fn hold(
        &self,
        stage: impl TryInto<Name, Error: Into<PromotionError>>,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
        reason: impl Into<String>,
    ) -> Result<(), PromotionError> {
        let (reason, unique) = (reason.into(), self.inner.ids.next_id());
        self.govern(stage, Operation::Hold, actor, |by| Command::Hold { by, reason, unique }).await
    }

    /// Lets everything start in `stage` again. Also lets the engine promote there by itself again, which it does not after the stage went
    /// back to an earlier release or was left to a person.
    ///
    /// # Errors
    /// `NotFound` for an unknown stage; `Conflict` when nothing is held.
    pub async fn lift_hold(
        &self,
        stage: impl TryInto<Name, Error: Into<PromotionError>>,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
    ) -> Result<(), PromotionError> {
        self.govern(stage, Operation::LiftHold, actor, |by| Command::LiftHold { by }).await
    }

    /// Gives up the newest lease of `stage` for a driver that is surely gone.
    ///
    /// Only needed where the stage cannot refuse a driver that was replaced; if that driver lives, it may still change the stage.
    ///
    /// # Errors
    /// `NotFound` for an unknown stage; `Conflict` when nobody holds a lease, or when the request id was used for another command.
    pub async fn release_lease(
        &self,
        stage: impl TryInto<Name, Error: Into<PromotionError>>,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
    ) -> Result<(), PromotionError> {
        let (stage, actor) = (stage.try_into().map_err(Into::into)?, Self::person(actor)?);
        let slot = self.slot(&stage).await?;
        self.permit(slot, None, Operation::ReleaseLease, &actor).await?;
        let state = self.load(slot).await?;
        if let Some(id) = &actor.request
            && let Some(position) = state.request(id)
        {
            // The lease that it gave up is not the newest one any more, so that its fingerprint cannot be computed again.
            return match self.entry_at(&slot.stream, position).await?.what {
                Happened::LeaseReleased { by: Some(by), .. } if by == actor.who => Ok(()),
                _ => Err(PromotionError::reused(&stage, id)),
            };
        }
        let Some(lease) = state.lease() else {
            return Err(PromotionError::Lease { stage, reason: "nobody holds it".to_owned() });
        };
        let command = Command::ReleaseLease { fence: lease.fence, by: actor.who };
        self.commit(slot, Change::command(&command, actor.request.as_ref())).await.map(drop)
    }

    /// A person's command about one promotion.
    pub(super) async fn operate(
        &self,
        id: &PromotionId,
        operation: Operation,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
        command: impl FnOnce(u64, Principal) -> Command,
    ) -> Result<(), PromotionError> {
        let actor = Self::person(actor)?;
        self.permit(&*self.place(&id.stage).await?, Some(id.number), operation, &actor).await?;
        let Actor { who, request } = actor;
        self.obey(id, command(id.number, who), request).await
    }

    /// A person's command about a stage.
    async fn govern(
        &self,
        stage: impl TryInto<Name, Error: Into<PromotionError>>,
        operation: Operation,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
        command: impl FnOnce(Principal) -> Command,
    ) -> Result<(), PromotionError> {
        let (stage, actor) = (stage.try_into().map_err(Into::into)?, Self::person(actor)?);
        let slot = self.slot(&stage).await?;
        self.permit(slot, None, operation, &actor).await?;
        let Actor { who, request } = actor;
        let command = command(who);
        self.commit(slot, Change::command(&command, request.as_ref())).await.map(drop)
    }

    pub(super) async fn obey(
        &self,
        id: &PromotionId,
        command: Command,
        request: Option<RequestId>,
    ) -> Result<(), PromotionError> {
        self.commit(&*self.place(&id.stage).await?, Change::command(&command, request.as_ref()))
            .await
            .map(drop)
    }
}
