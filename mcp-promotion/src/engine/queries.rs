use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use mcp_core::{Digest, InUse, Name, SeamError, Timestamp, Usage};

use super::stream::Loaded;
use super::{Engine, Slot};
use crate::history::{History, Moment};
use crate::machine::{Deployed, StageState, Upstream, View, blockers};
use crate::{Blocker, Entry, Fencing, Happened, Promotion, PromotionError, PromotionId, State};

/// How many events are read at once.
const PAGE: usize = 4096;

/// How far one stream was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Head {
    /// Which stream.
    pub stream: Name,
    /// How many events it has.
    pub version: u64,
    /// The digest that vouches for all of them, in order.
    pub digest: Digest,
}

/// What [`Engine::verify`] has looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audit {
    /// Every stream, sorted by name.
    pub heads: Vec<Head>,
}

/// What is known.
///
/// All fail with `Unavailable` when the journal does not answer, and with `Corrupt` or `Unsupported` when the stage's stream cannot be
/// read.
impl Engine {
    /// A promotion as it stands. One that has ended and that nothing refers to any more is read from the journal, from its request to its end.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn status(&self, id: &PromotionId) -> Result<Promotion, PromotionError> {
        let slot = self.slot(&id.stage)?;
        let state = self.load(slot).await?;
        Ok(Arc::unwrap_or_clone(self.promotion(slot, &state, id.number).await?))
    }

    /// What keeps a promotion from going on, and who or what lifts each; nothing when it has ended or a driver is about to move it on.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn blockers(&self, id: &PromotionId) -> Result<Vec<Blocker>, PromotionError> {
        let slot = self.slot(&id.stage)?;
        let state = self.load(slot).await?;
        let promotion = self.promotion(slot, &state, id.number).await?;
        let upstream = self.upstream(Some(&*promotion)).await?;
        let (paced, now) = (BTreeMap::new(), self.now());
        let view = View { state: &state, upstream: &upstream, paced: &paced, pins: false, now };
        let mut list = blockers(&view, id.number);
        if promotion.state.is_terminal() || promotion.state.needs_a_person() {
            return Ok(list);
        }
        match &slot.stage {
            None => list.push(Blocker::NotDriven { stage: slot.name.clone() }),
            Some(stage) => {
                let other = state.lease().filter(|lease| lease.owner != self.inner.owner);
                if let Some(lease) =
                    other.filter(|lease| stage.fencing() == Fencing::Unfenced && lease.is_over(now))
                {
                    list.push(Blocker::Leased { owner: lease.owner.clone() });
                }
            }
        }
        Ok(list)
    }

    /// What is known of the stages that `promotion` comes after, with regard to its release.
    pub(super) async fn upstream(
        &self,
        promotion: Option<&Promotion>,
    ) -> Result<BTreeMap<Name, Upstream>, PromotionError> {
        let mut upstream = BTreeMap::new();
        let Some(promotion) = promotion else {
            return Ok(upstream);
        };
        for stage in &promotion.policy.after {
            // A stage that the pipeline has lost since the request can never succeed again, and blocks.
            let Some(slot) = self.inner.slots.get(stage) else {
                continue;
            };
            let state = self.load(slot).await?;
            let verified = state.verified(promotion.release.digest()).cloned();
            upstream.insert(stage.clone(), Upstream { version: state.version(), verified });
        }
        Ok(upstream)
    }

    /// What `stage` runs: the release of the last promotion that succeeded. While another one is in flight it is what would come back.
    ///
    /// # Errors
    /// `NotFound` for an unknown stage.
    pub async fn current(
        &self,
        stage: impl TryInto<Name, Error: Into<PromotionError>>,
    ) -> Result<Option<Deployed>, PromotionError> {
        Ok(self.stage_state(stage).await?.current().cloned())
    }

    /// Every promotion of `stage`, in the order of the requests; read from the journal, all of the stage's stream.
    ///
    /// # Errors
    /// `NotFound` for an unknown stage.
    pub async fn promotions(
        &self,
        stage: impl TryInto<Name, Error: Into<PromotionError>>,
    ) -> Result<Vec<Promotion>, PromotionError> {
        let stage = stage.try_into().map_err(Into::into)?;
        let slot = self.slot(&stage)?;
        let mut promotions: BTreeMap<u64, Promotion> = BTreeMap::new();
        self.replay(slot.name.clone(), slot.stream.clone(), |position, Entry { at, what, .. }| {
            if let Happened::Requested(requested) = &what {
                let id = PromotionId::new(slot.name.clone(), position);
                promotions.insert(position, Promotion::requested(id, at, requested));
            } else if let Some(number) = what.promotion(position)
                && let Some(promotion) = promotions.get_mut(&number)
            {
                promotion.follow(position, at, &what);
            }
        })
        .await?;
        Ok(promotions.into_values().collect())
    }

    /// What happened to a promotion, event by event; read from the journal, all of the stage's stream.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn history(&self, id: &PromotionId) -> Result<History, PromotionError> {
        let slot = self.slot(&id.stage)?;
        let mut history = self.read_all(slot).await?;
        history.moments.retain(|moment| moment.entry.what.promotion(moment.position) == Some(id.number));
        if history.moments.is_empty() {
            return Err(PromotionError::UnknownPromotion { promotion: id.clone() });
        }
        Ok(history)
    }

    /// What happened in a stage, event by event, leases included.
    ///
    /// # Errors
    /// `NotFound` for an unknown stage.
    pub async fn timeline(
        &self,
        stage: impl TryInto<Name, Error: Into<PromotionError>>,
    ) -> Result<History, PromotionError> {
        let stage = stage.try_into().map_err(Into::into)?;
        self.read_all(self.slot(&stage)?).await
    }

    async fn read_all(&self, slot: &Slot) -> Result<History, PromotionError> {
        let mut moments = Vec::new();
        self.replay(slot.name.clone(), slot.stream.clone(), |position, entry| {
            moments.push(Moment { position, entry });
        })
        .await?;
        Ok(History { stage: slot.name.clone(), moments })
    }

    /// Reads a stream from its beginning, independently of what is remembered of it.
    async fn replay(
        &self,
        stage: Name,
        stream: Name,
        mut each: impl FnMut(u64, Entry),
    ) -> Result<Loaded, PromotionError> {
        let mut loaded = Loaded::nothing(stage, stream.clone());
        loop {
            let page = self.read_page(&stream, loaded.chain().version(), PAGE).await?;
            if page.is_empty() {
                return Ok(loaded);
            }
            for bytes in page {
                let entry = loaded.read(&bytes)?;
                each(loaded.chain().version(), entry);
            }
        }
    }

    /// Reads every stage's stream from its beginning: each event must fit the chain before it, the table of states and the invariants; and
    /// what this engine remembers must be what the events say (invariant 4).
    ///
    /// An end that was cut off leaves a chain that fits, and a stream that is gone as a whole has no head, so that its stage counts as new:
    /// compare the heads with ones that were kept elsewhere.
    ///
    /// # Errors
    /// `Corrupt`, naming the first event that does not fit.
    pub async fn verify(&self) -> Result<Audit, PromotionError> {
        let mut heads = Vec::new();
        for (stage, stream) in self.all_stages().await? {
            let replayed = self.replay(stage.clone(), stream.clone(), |_, _| ()).await?;
            if let Some(slot) = self.inner.slots.get(&stage) {
                let loaded = slot.loaded.lock().await;
                let same_version = loaded.chain().version() == replayed.chain().version();
                let ahead = loaded.chain().version() > replayed.chain().version();
                if ahead
                    || (same_version
                        && (loaded.chain(), loaded.state()) != (replayed.chain(), replayed.state()))
                {
                    return Err(PromotionError::Corrupt {
                        stream,
                        position: loaded.chain().version(),
                        reason: "this engine has read something else from it before".to_owned(),
                    });
                }
            }
            let (version, digest) = (replayed.chain().version(), replayed.chain().head());
            heads.push(Head { stream, version, digest });
        }
        Ok(Audit { heads })
    }

    /// Every stage that the journal knows, also those that the pipeline has no more, with its stream.
    async fn all_stages(&self) -> Result<Vec<(Name, Name)>, PromotionError> {
        const PREFIX: &str = "stage/";
        let attempted = "list the streams of the journal";
        let streams = self.inner.journal.streams(PREFIX).await.map_err(PromotionError::seam(attempted))?;
        let stage =
            |stream: Name| Ok((stream.as_str().strip_prefix(PREFIX).unwrap_or_default().parse()?, stream));
        streams.into_iter().map(stage).collect()
    }

    async fn state_of(&self, stage: Name, stream: Name) -> Result<Arc<StageState>, PromotionError> {
        match self.inner.slots.get(&stage) {
            Some(slot) => self.load(slot).await,
            None => Ok(Arc::clone(self.replay(stage, stream, |_, _| ()).await?.state())),
        }
    }
}

#[async_trait]
impl InUse for Engine {
    async fn in_use(&self) -> Result<Vec<Usage>, SeamError> {
        let mut usage = Vec::new();
        for (stage, stream) in self.all_stages().await? {
            usage.extend(self.state_of(stage, stream).await?.usage());
        }
        usage.sort();
        usage.dedup();
        Ok(usage)
    }
}

/// When to look again at what other processes do, at the latest.
pub(super) fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Whether a driver has to keep the lease although there is nothing to do at the moment.
pub(super) fn keeps_lease(state: &StageState) -> bool {
    let busy = [State::Deploying, State::Verifying, State::RollingBack];
    state.in_flight().is_some_and(|promotion| busy.contains(&promotion.state))
}
