use std::sync::Arc;

use mcp_core::{ErrorKind, Holder, Name, RequestId};

use super::stream::{Change, Committed};
use super::{Engine, Slot};
use crate::authorizer::VoteRequest;
use crate::machine::Command;
use crate::{Actor, Happened, Kind, Policy, PromotionError, PromotionId, Release, State, Vote};

/// What people want. Each is idempotent by the request id of its [`Actor`].
///
/// All fail with `Unavailable` when the journal does not answer, the outcome then being unknown: repeat them with the same request id;
/// with `Corrupt` or `Unsupported` when the stage's stream cannot be read; with `Invalid` for names that are none.
impl Engine {
    /// Asks for `release` in `stage`. It is pending until approvals, the stages before and gates allow a driver to start it.
    ///
    /// Where the engine has a pin, the artifacts are pinned first.
    ///
    /// # Errors
    /// `NotFound` for an unknown stage, and, with a pin, for an artifact that was never published; `Conflict` for one with another digest,
    /// or when the request id was used for another command.
    pub async fn request(
        &self,
        stage: impl TryInto<Name, Error: Into<PromotionError>>,
        release: &Release,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
    ) -> Result<PromotionId, PromotionError> {
        let (stage, actor) = (stage.try_into().map_err(Into::into)?, actor.try_into().map_err(Into::into)?);
        let slot = self.slot(&stage)?;
        self.ask(slot, Kind::Deploy, release.clone(), Arc::clone(&slot.policy), actor).await
    }

    /// Asks for what `stage` ran before its present release. It needs no approvals, and goes before pending requests; gates and verification
    /// are those of the stage.
    ///
    /// # Errors
    /// `NotFound` for an unknown stage; `Conflict` when there is nothing to go back to; otherwise as [`request`](Self::request).
    pub async fn rollback(
        &self,
        stage: impl TryInto<Name, Error: Into<PromotionError>>,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
    ) -> Result<PromotionId, PromotionError> {
        let (stage, actor) = (stage.try_into().map_err(Into::into)?, actor.try_into().map_err(Into::into)?);
        let slot = self.slot(&stage)?;
        let state = self.load(slot).await?;
        let before = actor.request.as_ref().and_then(|id| Some((id, state.request(id)?)));
        let release = match (before, state.previous()) {
            // What it went back to the first time is not the previous release any more.
            (Some((id, position)), _) => match self.entry_at(&slot.stream, position).await?.what {
                Happened::Requested(requested) => requested.release,
                _ => return Err(PromotionError::reused(&stage, id)),
            },
            (None, Some(previous)) => previous.release.clone(),
            (None, None) => {
                let reason = "no release ran there before the present one".to_owned();
                return Err(PromotionError::NoRollbackTarget { stage, reason });
            }
        };
        self.ask(slot, Kind::Rollback, release, Arc::new(slot.policy.for_rollback()), actor).await
    }

    async fn ask(
        &self,
        slot: &Slot,
        kind: Kind,
        release: Release,
        policy: Arc<Policy>,
        actor: Actor,
    ) -> Result<PromotionId, PromotionError> {
        let unique = self.inner.ids.next_id();
        let mut pinned = None;
        if let Some(pin) = &self.inner.pin {
            // An id that is used up already needs no pin; whether it fits is found out below.
            let state = self.load(slot).await?;
            if actor.request.as_ref().is_none_or(|id| state.request(id).is_none()) {
                let holder: Holder = format!("promotion/{unique}").parse()?;
                let expires = self.now().saturating_add(self.inner.settings.pin_grace);
                let attempted = format!("pin {release} for stage {}", slot.name);
                pin.pin(&holder, release.artifacts(), Some(expires))
                    .await
                    .map_err(PromotionError::seam(attempted))?;
                pinned = Some((pin, holder));
            }
        }
        let holder = pinned.as_ref().map(|(_, holder)| holder.clone());
        let requester = actor.who;
        let command = Command::Request { kind, release, requester, policy, unique, holder };
        let outcome = self.commit(slot, Change::command(&command, actor.request.as_ref())).await;
        let recorded = match &outcome {
            Ok(Committed::Now(_)) => true,
            Ok(Committed::Before(_) | Committed::Nothing) => false,
            // It may have been recorded; if not, the pin expires.
            Err(error) => error.kind() == ErrorKind::Unavailable,
        };
        if let Some((pin, holder)) = pinned.filter(|_| !recorded)
            && pin.release(&holder).await.is_err()
        {
            // Nothing to add: the pin expires.
        }
        match outcome? {
            Committed::Now(position) | Committed::Before(position) => {
                Ok(PromotionId::new(slot.name.clone(), position))
            }
            Committed::Nothing => Err(PromotionError::Internal {
                attempted: format!("request a promotion into {}", slot.name),
                reason: "nothing was decided".to_owned(),
            }),
        }
    }

    /// Approves a pending promotion. The vote is bound to its release, stage and policy.
    ///
    /// # Errors
    /// `Denied` for the requester and for whom the authorizer does not know; `Conflict` when it is not pending; `NotFound`.
    pub async fn approve(
        &self,
        id: &PromotionId,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
    ) -> Result<(), PromotionError> {
        self.vote(id, Vote::Approve, actor.try_into().map_err(Into::into)?).await
    }

    /// Rejects a pending promotion: one rejection ends it.
    ///
    /// # Errors
    /// As [`approve`](Self::approve), except that the requester may.
    pub async fn reject(
        &self,
        id: &PromotionId,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
    ) -> Result<(), PromotionError> {
        self.vote(id, Vote::Reject, actor.try_into().map_err(Into::into)?).await
    }

    /// Takes an approval back, as long as the promotion is pending.
    ///
    /// # Errors
    /// `Denied` for who has not approved; `Conflict` when it is not pending; `NotFound`.
    pub async fn revoke(
        &self,
        id: &PromotionId,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
    ) -> Result<(), PromotionError> {
        self.vote(id, Vote::Revoke, actor.try_into().map_err(Into::into)?).await
    }

    async fn vote(&self, id: &PromotionId, vote: Vote, actor: Actor) -> Result<(), PromotionError> {
        let slot = self.slot(&id.stage)?;
        let state = self.load(slot).await?;
        let promotion = self.promotion(slot, &state, id.number).await?;
        let eligible = match (&self.inner.authorizer, vote) {
            (_, Vote::Revoke) => true,
            (None, _) => false,
            (Some(authorizer), _) => {
                let request = VoteRequest {
                    voter: &actor.who,
                    vote,
                    promotion: id,
                    release: &promotion.release,
                    requester: &promotion.requester,
                };
                let attempted = format!("ask whether {} may {vote} {id}", actor.who);
                authorizer.is_eligible(&request).await.map_err(PromotionError::seam(attempted))?
            }
        };
        let command = Command::Vote { promotion: id.number, voter: actor.who, vote, eligible };
        self.obey(id, command, actor.request).await
    }

    /// Withdraws a pending promotion.
    ///
    /// # Errors
    /// `Conflict` when it is not pending; `NotFound`.
    pub async fn cancel(
        &self,
        id: &PromotionId,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
    ) -> Result<(), PromotionError> {
        let Actor { who: by, request } = actor.try_into().map_err(Into::into)?;
        self.obey(id, Command::Cancel { promotion: id.number, by }, request).await
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
        let (Actor { who: by, request }, reason) = (actor.try_into().map_err(Into::into)?, reason.into());
        self.obey(id, Command::Pause { promotion: id.number, by, reason }, request).await
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
        let Actor { who: by, request } = actor.try_into().map_err(Into::into)?;
        self.obey(id, Command::Resume { promotion: id.number, by }, request).await
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
        let (Actor { who: by, request }, reason) = (actor.try_into().map_err(Into::into)?, reason.into());
        self.obey(id, Command::Override { promotion: id.number, by, reason }, request).await
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
        let (Actor { who: by, request }, reason) = (actor.try_into().map_err(Into::into)?, reason.into());
        self.obey(id, Command::Abort { promotion: id.number, by, reason }, request).await
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
        let (Actor { who: by, request }, reason) = (actor.try_into().map_err(Into::into)?, reason.into());
        self.obey(id, Command::Acknowledge { promotion: id.number, by, reason }, request).await
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
        let Actor { who: by, request } = actor.try_into().map_err(Into::into)?;
        self.obey(id, Command::Retry { promotion: id.number, by }, request).await
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
        let (stage, actor) = (stage.try_into().map_err(Into::into)?, actor.try_into().map_err(Into::into)?);
        let slot = self.slot(&stage)?;
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

    async fn obey(
        &self,
        id: &PromotionId,
        command: Command,
        request: Option<RequestId>,
    ) -> Result<(), PromotionError> {
        self.commit(self.slot(&id.stage)?, Change::command(&command, request.as_ref())).await.map(drop)
    }

    /// Where a promotion stands, waiting until nothing more happens without a person: it has ended, or is paused or stuck.
    ///
    /// Needs a driver, and the timer of the tokio runtime. What other processes do is seen within [`Settings::poll`](super::Settings).
    ///
    /// # Errors
    /// `NotFound`, and whatever the journal says.
    pub async fn wait(&self, id: &PromotionId) -> Result<State, PromotionError> {
        let slot = self.slot(&id.stage)?;
        let mut news = slot.news.subscribe();
        loop {
            news.mark_unchanged();
            let known = self.load(slot).await?;
            let state = self.promotion(slot, &known, id.number).await?.state;
            if state.is_terminal() || state.needs_a_person() {
                return Ok(state);
            }
            tokio::select! {
                _ = news.changed() => {}
                () = tokio::time::sleep(self.inner.settings.poll) => {}
            }
        }
    }
}
