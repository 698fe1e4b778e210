use std::sync::Arc;

use mcp_core::{Id, Name};

use super::{Engine, Slot};
use crate::machine::{Command, StageState, decide};
use crate::preview::{Ahead, Obstacle, Preview, Return};
use crate::{Actor, Entry, Kind, Policy, Promotion, PromotionError, Release, State};

/// Dry runs.
impl Engine {
    /// What [`request`](Self::request) would lead to now, and what would keep it from starting. Nothing is written, neither to the journal nor to pins;
    /// gates are not asked, because their answer counts only in the step that starts a promotion, and asking may have a cost. The request
    /// id of `actor` is not looked at.
    ///
    /// It is decided by the code that decides requests, on a copy of the stage's state.
    ///
    /// # Errors
    /// As [`request`](Self::request), except that pins are not asked whether the artifacts exist.
    pub async fn preview(
        &self,
        stage: impl TryInto<Name, Error: Into<PromotionError>>,
        release: &Release,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
    ) -> Result<Preview, PromotionError> {
        let (stage, actor) = (stage.try_into().map_err(Into::into)?, Self::person(actor)?);
        let slot = self.lane_for(self.slot(&stage).await?, release).await?;
        let state = self.load(slot).await?;
        self.foresee(slot, &state, Kind::Deploy, release.clone(), Arc::clone(&slot.policy), actor).await
    }

    /// The same for [`rollback`](Self::rollback): which release it would bring back, and what would keep it from starting.
    ///
    /// # Errors
    /// As [`rollback`](Self::rollback).
    pub async fn preview_rollback(
        &self,
        stage: impl TryInto<Name, Error: Into<PromotionError>>,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
    ) -> Result<Preview, PromotionError> {
        let (stage, actor) = (stage.try_into().map_err(Into::into)?, Self::person(actor)?);
        let slot = self.slot(&stage).await?;
        Self::as_one(slot, "roll back")?;
        let state = self.load(slot).await?;
        let Some(previous) = state.previous() else {
            let reason = "no release ran there before the present one".to_owned();
            return Err(PromotionError::NoRollbackTarget { stage, reason });
        };
        let (release, policy) = (previous.release.clone(), Arc::new(slot.policy.for_rollback()));
        self.foresee(slot, &state, Kind::Rollback, release, policy, actor).await
    }

    async fn foresee(
        &self,
        slot: &Slot,
        state: &Arc<StageState>,
        kind: Kind,
        release: Release,
        policy: Arc<Policy>,
        actor: Actor,
    ) -> Result<Preview, PromotionError> {
        let (at, requester) = (self.now(), actor.who);
        let command = Command::Request {
            kind,
            release: release.clone(),
            requester: requester.clone(),
            policy: Arc::clone(&policy),
            unique: Id::from_u128(0),
            holder: None,
            glass: None,
            succeeded_at: None,
        };
        let number = state.version().saturating_add(1);
        let mut after = StageState::clone(state);
        for what in decide(state, &command, at)? {
            after.apply(&Entry { at, request: None, what }).map_err(|why| PromotionError::Internal {
                attempted: format!("foresee a promotion into {}", slot.name),
                reason: why.to_string(),
            })?;
        }
        let promotion = after.find(number)?;
        let pending = |state: &StageState| -> Vec<_> {
            let open = state.open().filter(|open| open.state == State::Pending && open.id.number != number);
            // Whose turn it is: first rollbacks, then those for which the glass was broken, then in the order of the requests.
            let rank = |open: &Promotion| (open.kind != Kind::Rollback, open.glass.is_none());
            let mut open: Vec<_> = open.map(|open| (rank(open), open.id.clone())).collect();
            open.sort();
            open
        };
        let still = pending(&after);
        let gone = pending(state).into_iter().filter(|one| !still.contains(one));
        let supersedes = gone.map(|(_, id)| id).collect();
        let mine = (kind != Kind::Rollback, true);
        let first = still.into_iter().filter(|(rank, _)| *rank <= mine).map(|(_, id)| id);
        let behind = after.in_flight().map(|other| other.id.clone()).into_iter().chain(first).collect();
        let runs = after.current().map(|current| current.release.clone());
        let obstacles = self.blockers_in(slot, &after, promotion).await?;
        Ok(Preview {
            at,
            stage: slot.name.clone(),
            kind,
            release,
            requester,
            supersedes,
            behind,
            obstacles: obstacles.into_iter().map(Obstacle::of).collect(),
            steps: Ahead::all(&policy, after.first_reach(promotion)),
            on_failure: Return::of(kind, &policy, runs.as_ref()),
            runs,
        })
    }
}
