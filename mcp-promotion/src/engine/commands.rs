use std::sync::Arc;

use mcp_core::{ErrorKind, Holder, Name, Timestamp};

use super::stream::{Also, Change, Committed};
use super::{Engine, Slot};
use crate::authorizer::{Operation, VoteRequest};
use crate::host;
use crate::journal::Append;
use crate::machine::Command;
use crate::{Actor, Happened, Kind, Policy, PromotionError, PromotionId, Release, Vote};

/// A request for a promotion.
pub(super) struct Ask<'a> {
    pub(super) kind: Kind,
    pub(super) release: Release,
    pub(super) policy: Arc<Policy>,
    pub(super) actor: Actor,
    /// Why it is not to wait; `None` for one that waits.
    pub(super) glass: Option<String>,
    /// When it succeeded in the stages before, for what the engine asks for by itself.
    pub(super) succeeded_at: Option<Timestamp>,
    /// Versions of other streams that must still hold; then it is tried once.
    pub(super) asserts: Vec<Append>,
    /// What is appended in the same step or not at all.
    pub(super) also: Option<Also<'a>>,
}

impl Ask<'_> {
    pub(super) const fn new(kind: Kind, release: Release, policy: Arc<Policy>, actor: Actor) -> Self {
        let (glass, succeeded_at, also) = (None, None, None);
        Self { kind, release, policy, actor, glass, succeeded_at, asserts: Vec::new(), also }
    }
}

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
    /// when the request id was used for another command, or when a lane of the stage has some of the artifacts and not the others.
    pub async fn request(
        &self,
        stage: impl TryInto<Name, Error: Into<PromotionError>>,
        release: &Release,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
    ) -> Result<PromotionId, PromotionError> {
        let (stage, actor) = (stage.try_into().map_err(Into::into)?, Self::person(actor)?);
        let slot = self.lane_for(self.slot(&stage).await?, release).await?;
        self.ask(slot, Ask::new(Kind::Deploy, release.clone(), Arc::clone(&slot.policy), actor)).await
    }

    /// Asks for what `stage` ran before its present release. It needs no approvals, and goes before pending requests; gates and verification
    /// are those of the stage.
    ///
    /// # Errors
    /// `NotFound` for an unknown stage; `Conflict` when there is nothing to go back to, or for a stage with lanes: each goes back by itself;
    /// otherwise as [`request`](Self::request).
    pub async fn rollback(
        &self,
        stage: impl TryInto<Name, Error: Into<PromotionError>>,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
    ) -> Result<PromotionId, PromotionError> {
        let (stage, actor) = (stage.try_into().map_err(Into::into)?, Self::person(actor)?);
        let slot = self.slot(&stage).await?;
        Self::as_one(slot, "roll back")?;
        self.permit(slot, None, Operation::Rollback, &actor).await?;
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
        self.ask(slot, Ask::new(Kind::Rollback, release, Arc::new(slot.policy.for_rollback()), actor)).await
    }

    pub(super) async fn ask(&self, slot: &Slot, ask: Ask<'_>) -> Result<PromotionId, PromotionError> {
        let Ask { kind, release, policy, actor, glass, succeeded_at, asserts, also } = ask;
        let unique = self.inner.ids.next_id();
        let mut pinned = None;
        if let Some(pin) = &self.inner.pin {
            // An id that is used up already needs no pin; whether it fits is found out below.
            let state = self.load(slot).await?;
            if actor.request.as_ref().is_none_or(|id| state.request(id).is_none()) {
                let holder: Holder = format!("promotion/{unique}").parse()?;
                let expires = self.now().saturating_add(self.inner.settings.pin_grace);
                let attempted = format!("pin {release} for stage {}", slot.name);
                host::call("pin", || pin.pin(&holder, release.artifacts(), Some(expires)))
                    .await
                    .map_err(PromotionError::seam(attempted))?;
                pinned = Some((pin, holder));
            }
        }
        let holder = pinned.as_ref().map(|(_, holder)| holder.clone());
        let requester = actor.who;
        let command =
            Command::Request { kind, release, requester, policy, unique, holder, glass, succeeded_at };
        let change = Change::command(&command, actor.request.as_ref());
        let attempts = if asserts.is_empty() { change.attempts } else { 1 };
        let change = Change { also, asserts, attempts, ..change };
        let outcome = self.commit(slot, change).await;
        let recorded = match &outcome {
            Ok(Committed::Now(_)) => true,
            Ok(Committed::Before(_) | Committed::Nothing) => false,
            // It may have been recorded; if not, the pin expires.
            Err(error) => error.kind() == ErrorKind::Unavailable,
        };
        if let Some((pin, holder)) = pinned.filter(|_| !recorded)
            && host::call("release a pin", || pin.release(&holder)).await.is_err()
        {
            // Nothing to add: the pin expires.
        }
        match outcome? {
            Committed::Now(position) | Committed::Before(position) => {
                Ok(PromotionId::new(slot.name.clone(), position))
            }
            // The stage does not want any more what was to be requested by itself.
            Committed::Nothing if succeeded_at.is_some() => {
                Err(PromotionError::Contended { stream: slot.stream.clone(), attempts: 1 })
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
        self.vote(id, Vote::Approve, String::new(), Self::person(actor)?).await
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
        self.vote(id, Vote::Reject, String::new(), Self::person(actor)?).await
    }

    /// Rejects a pending promotion for a reason that is not empty, after any number of approvals. It is a rejection in every other way.
    ///
    /// # Errors
    /// As [`reject`](Self::reject), and `Denied` without a reason.
    pub async fn veto(
        &self,
        id: &PromotionId,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
        reason: impl Into<String>,
    ) -> Result<(), PromotionError> {
        let (actor, reason) = (Self::person(actor)?, reason.into());
        if reason.trim().is_empty() {
            let (attempted, reason) = (format!("veto {id}"), "a veto needs a reason".to_owned());
            return Err(PromotionError::Denied { attempted, who: actor.who, reason });
        }
        self.permit(&*self.place(&id.stage).await?, Some(id.number), Operation::Veto, &actor).await?;
        self.vote(id, Vote::Reject, reason, actor).await
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
        self.vote(id, Vote::Revoke, String::new(), Self::person(actor)?).await
    }

    async fn vote(
        &self,
        id: &PromotionId,
        vote: Vote,
        reason: String,
        actor: Actor,
    ) -> Result<(), PromotionError> {
        let slot = &*self.place(&id.stage).await?;
        let state = self.load(slot).await?;
        let promotion = self.promotion(slot, &state, id.number).await?;
        // An id that was used before is answered by what it was used for, whoever may vote by now.
        let used = actor.request.as_ref().is_some_and(|id| state.request(id).is_some());
        let standing = match (&self.inner.authorizer, vote) {
            (_, _) if used => None,
            (_, Vote::Revoke) => None,
            (None, _) => None,
            (Some(authorizer), _) => {
                let request = VoteRequest {
                    voter: &actor.who,
                    vote,
                    promotion: id,
                    release: &promotion.release,
                    requester: &promotion.requester,
                    policy: &promotion.policy,
                };
                let attempted = format!("ask whether {} may {vote} {id}", actor.who);
                host::call("authorizer", || authorizer.standing(&request))
                    .await
                    .map_err(PromotionError::seam(attempted))?
            }
        };
        let command = Command::Vote { promotion: id.number, voter: actor.who, vote, reason, standing };
        self.obey(id, command, actor.request).await
    }
}
