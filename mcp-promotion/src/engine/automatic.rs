use std::collections::BTreeMap;
use std::sync::Arc;

use mcp_core::{ErrorKind, Name, Timestamp};

use super::commands::Ask;
use super::drive::Step;
use super::queries::earliest;
use super::{Driving, Engine, Slot};
use crate::journal::Append;
use crate::machine::{AUTOMATIC, Candidate, StageState, candidate};
use crate::{Actor, Blocker, Calls, Kind, PromotionError};

/// Requesting by itself what has succeeded in the stages before.
impl Engine {
    /// What a driver would request in `stage` by itself, and what keeps it from doing so; `None` where its policy asks for no
    /// [automatic](crate::Policy::automatic) promotion, where the stages before run nothing that this stage was not asked for, or where it
    /// was requested already.
    ///
    /// # Errors
    /// `NotFound` for an unknown stage; whatever the journal says.
    pub async fn candidate(
        &self,
        stage: impl TryInto<Name, Error: Into<PromotionError>>,
    ) -> Result<Option<Candidate>, PromotionError> {
        let stage = stage.try_into().map_err(Into::into)?;
        let slot = self.slot(&stage).await?;
        if !slot.policy.automatic || slot.lane.is_some() {
            return Ok(None);
        }
        let state = self.load(slot).await?;
        candidate(&state, &slot.policy, &self.before(slot).await?, self.now())
    }

    /// The stages before, as they are now.
    async fn before(&self, slot: &Slot) -> Result<BTreeMap<Name, Arc<StageState>>, PromotionError> {
        let mut before = BTreeMap::new();
        for stage in &slot.policy.after {
            before.insert(stage.clone(), self.load(self.slot(stage).await?).await?);
        }
        Ok(before)
    }

    /// Requests the candidate, if there is one and nothing keeps it; asserts in the same append that the stages before are still as they
    /// were seen. However many drivers do so, and however often they crash, it is requested once.
    pub(super) async fn promote_by_itself(
        &self,
        slot: &Slot,
        state: &StageState,
        driving: &mut Driving,
    ) -> Result<Step, PromotionError> {
        // What is left in the lanes of a stage that has none any more only ends.
        if !slot.policy.automatic || slot.lane.is_some() {
            return Ok(Step::Waiting(None));
        }
        let now = self.now();
        let (before, paced) = (self.before(slot).await?, driving.asking);
        let Some(found) = candidate(state, &slot.policy, &before, now)? else {
            return Ok(Step::Waiting(None));
        };
        if !found.blockers.is_empty() {
            return Ok(Step::Waiting(
                found.blockers.iter().filter_map(Blocker::until).reduce(Timestamp::min),
            ));
        }
        if let Some((_, until, _)) = paced.filter(|(since, until, _)| *since <= now && now < *until) {
            return Ok(Step::Waiting(Some(until)));
        }
        let asserts = before.iter().filter_map(|(stage, known)| {
            Some(Append::assert(self.inner.slots.get(stage)?.stream.clone(), known.version()))
        });
        let actor = Actor { request: Some(found.request), ..Actor::try_from(AUTOMATIC)? };
        let ask = Ask {
            asserts: asserts.collect(),
            succeeded_at: Some(found.succeeded_at),
            ..Ask::new(Kind::Deploy, found.release, Arc::clone(&slot.policy), actor)
        };
        match self.ask(slot, ask).await {
            Ok(_) => {
                driving.asking = None;
                Ok(Step::Advanced(slot.name.clone()))
            }
            // Such as an artifact that cannot be pinned because it was never published: nobody is kept from anything by that.
            Err(PromotionError::Seam { source, .. }) if source.kind() != ErrorKind::Unavailable => {
                let times = paced.map_or(1, |(.., times)| times.saturating_add(1));
                let until =
                    now.saturating_add(slot.policy.calls.backoff_after(times).max(Calls::MIN_BACKOFF));
                driving.asking = Some((now, until, times));
                Ok(Step::Waiting(Some(until)))
            }
            Err(error) => Err(error),
        }
    }

    /// The same as a part of waiting: until when, or what was done instead.
    pub(super) async fn or_promote_by_itself(
        &self,
        slot: &Slot,
        state: &StageState,
        driving: &mut Driving,
        until: Option<Timestamp>,
    ) -> Result<Step, PromotionError> {
        Ok(match self.promote_by_itself(slot, state, driving).await? {
            Step::Waiting(own) => Step::Waiting(earliest(until, own)),
            step => step,
        })
    }
}
