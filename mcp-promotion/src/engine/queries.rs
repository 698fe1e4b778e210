use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use mcp_core::{InUse, Name, SeamError, Timestamp, Usage};

use super::stream::{Loaded, PAGE};
use super::{Engine, Slot, Task, Trouble};
use crate::history::{History, Moment};
use crate::machine::{Deployed, StageState, Upstream, View, blockers};
use crate::plan::Course;
use crate::{Blocker, Entry, Fencing, Happened, Promotion, PromotionError, PromotionId, State};

/// What is known, also of stages that the pipeline has lost.
///
/// All fail with `Unavailable` when the journal does not answer, and with `Corrupt` or `Unsupported` when the stage's stream cannot be
/// read.
impl Engine {
    /// A promotion as it stands. One that has ended and that nothing refers to any more is read from the journal, from its request to its end.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn status(&self, id: &PromotionId) -> Result<Promotion, PromotionError> {
        let slot = &*self.place(&id.stage).await?;
        let state = self.load(slot).await?;
        Ok(Arc::unwrap_or_clone(self.promotion(slot, &state, id.number).await?))
    }

    /// What keeps a promotion from going on, and who or what lifts each; nothing when it has ended or a driver is about to move it on.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn blockers(&self, id: &PromotionId) -> Result<Vec<Blocker>, PromotionError> {
        let slot = &*self.place(&id.stage).await?;
        let state = self.load(slot).await?;
        let promotion = self.promotion(slot, &state, id.number).await?;
        self.blockers_in(slot, &state, &promotion).await
    }

    /// What keeps `promotion` from going on, if the stage were in `state`.
    pub(super) async fn blockers_in(
        &self,
        slot: &Slot,
        state: &StageState,
        promotion: &Promotion,
    ) -> Result<Vec<Blocker>, PromotionError> {
        let (upstream, unread) = self.upstream(Some(promotion)).await;
        let (whole, paced, now) = (self.whole(slot).await?, slot.paced.until(), self.now());
        let whole = whole.as_deref();
        let view = View { state, whole, upstream: &upstream, paced: &paced, pins: false, now };
        let mut list = blockers(&view, promotion.id.number);
        if let Some((stage, error)) = unread {
            // What cannot be read is not gone.
            let gone = Blocker::UpstreamGone { stage: stage.clone() };
            let unreadable = Blocker::Unreadable { stage, error: error.to_string() };
            let missing = |blocker: &Blocker| match blocker {
                Blocker::AnyOf { of } => of.contains(&gone),
                blocker => *blocker == gone,
            };
            if list.iter().any(missing) {
                list.retain(|blocker| *blocker != gone);
                list.push(unreadable);
            }
        }
        if self.met(&slot.name).is_none() && !promotion.state.is_terminal() {
            list.push(Blocker::StageGone { stage: slot.name.clone() });
            return Ok(list);
        }
        if promotion.state.is_terminal() || promotion.state.needs_a_person() {
            return Ok(list);
        }
        if let Some(trouble) = self.inner.troubles.of(&Task::Stage(slot.name.clone())) {
            let Trouble { since, times, error, .. } = trouble;
            list.push(Blocker::NotRecorded { since, times, error });
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

    /// What is known of the stages that `promotion` comes after, with regard to its release; and one that cannot be read, which lets nothing
    /// start, and holds up nothing else.
    pub(super) async fn upstream(
        &self,
        promotion: Option<&Promotion>,
    ) -> (BTreeMap<Name, Upstream>, Option<(Name, PromotionError)>) {
        let (mut upstream, mut unread) = (BTreeMap::new(), None);
        let Some(promotion) = promotion else {
            return (upstream, unread);
        };
        for stage in &promotion.policy.after {
            // A stage that the pipeline has lost since the request can never succeed again, and blocks.
            let slot = match self.slot_of_release(stage, &promotion.release).await {
                Ok(Some(slot)) => slot,
                Ok(None) => continue,
                Err(error) => {
                    unread = unread.or(Some((stage.clone(), error)));
                    continue;
                }
            };
            match self.load(slot).await {
                Ok(state) => {
                    let verified = state.verified(promotion.release.digest()).copied();
                    upstream.insert(stage.clone(), Upstream { version: state.version(), verified });
                }
                Err(error) => unread = unread.or(Some((stage.clone(), error))),
            }
        }
        (upstream, unread)
    }

    /// What `stage` runs: the release of the last promotion that succeeded. While another one is in flight it is what would come back.
    ///
    /// # Errors
    /// `NotFound` for an unknown stage; `Conflict` for one with lanes: [`lanes`](Self::lanes) says what each of them runs.
    pub async fn current(
        &self,
        stage: impl TryInto<Name, Error: Into<PromotionError>>,
    ) -> Result<Option<Deployed>, PromotionError> {
        let stage = stage.try_into().map_err(Into::into)?;
        let slot = self.slot(&stage).await?;
        Self::as_one(slot, "ask what runs in")?;
        Ok(self.load(slot).await?.current().cloned())
    }

    /// Every promotion of `stage`, in the order of the requests; read from the journal, all of the stage's stream. Those of its lanes come after
    /// its own, lane by lane.
    ///
    /// # Errors
    /// `NotFound` for an unknown stage.
    pub async fn promotions(
        &self,
        stage: impl TryInto<Name, Error: Into<PromotionError>>,
    ) -> Result<Vec<Promotion>, PromotionError> {
        let stage = stage.try_into().map_err(Into::into)?;
        let slot = &*self.place(&stage).await?;
        let mut list = self.promotions_of(slot).await?;
        for lane in self.lane_slots(slot).await? {
            list.extend(self.promotions_of(lane).await?);
        }
        list.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(list)
    }

    async fn promotions_of(&self, slot: &Slot) -> Result<Vec<Promotion>, PromotionError> {
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
        let slot = &*self.place(&id.stage).await?;
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
        self.read_all(&*self.place(&stage).await?).await
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

    /// Every stage that the journal knows, also those that the pipeline has no more, with its stream.
    pub(super) async fn all_stages(&self) -> Result<Vec<(Name, Name)>, PromotionError> {
        const PREFIX: &str = "stage/";
        let streams = self.list_streams(PREFIX).await?;
        let stage =
            |stream: Name| Ok((stream.as_str().strip_prefix(PREFIX).unwrap_or_default().parse()?, stream));
        streams.into_iter().map(stage).collect()
    }

    pub(super) async fn state_of(
        &self,
        stage: Name,
        stream: Name,
    ) -> Result<Arc<StageState>, PromotionError> {
        match self.slot(&stage).await {
            Ok(slot) => self.load(slot).await,
            Err(_) => Ok(Arc::clone(self.replay(stage, stream, |_, _| ()).await?.state())),
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
        for id in self.plans().await? {
            usage.extend(self.load_plan(id).await?.course.iter().flat_map(Course::usage));
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
    state.watch().is_some() || state.in_flight().is_some_and(|promotion| busy.contains(&promotion.state))
}
