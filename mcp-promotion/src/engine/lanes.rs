use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use mcp_core::Name;
use tokio::sync::mpsc;

use super::stop::Stop;
use super::unmade::Unmade;
use super::{Engine, Slot};
use crate::host;
use crate::machine::StageState;
use crate::{Lane, LaneStatus, PromotionError, Release, Stage};

/// How a host gives the stage of a lane.
pub(super) type MakeLane = Arc<dyn Fn(&Lane) -> Arc<dyn Stage> + Send + Sync>;

/// Stages with lanes: see [`Queue::Parallel`](crate::Queue::Parallel).
impl Engine {
    /// The lanes of `stage`, by name: each from its first request on. None for a stage that never had any.
    ///
    /// # Errors
    /// `NotFound` for an unknown stage; `Corrupt`, `Unsupported`, `Unavailable` from the journal.
    pub async fn lanes(
        &self,
        stage: impl TryInto<Name, Error: Into<PromotionError>>,
    ) -> Result<Vec<LaneStatus>, PromotionError> {
        let stage = stage.try_into().map_err(Into::into)?;
        let whole = self.slot(&stage).await?;
        let mut list = Vec::new();
        for slot in self.lane_slots(whole).await? {
            if let Some(lane) = &slot.lane {
                let state = self.load(slot).await?;
                let in_flight = state.in_flight().map(|promotion| promotion.id.clone());
                let (lane, current) = (Lane::clone(lane), state.current().cloned());
                list.push(LaneStatus { lane, current, in_flight });
            }
        }
        list.sort_by(|one, other| one.lane.name.cmp(&other.lane.name));
        Ok(list)
    }

    /// The stage or the lane of this name.
    pub(super) async fn slot(&self, name: &Name) -> Result<&Slot, PromotionError> {
        if let Some(known) = self.met(name) {
            return Ok(known);
        }
        for whole in self.may_contain(name) {
            if let Some(state) = self.load(whole).await?.lane(name) {
                return self.add_lane(whole, &state.lane);
            }
        }
        Err(PromotionError::UnknownStage { stage: name.clone() })
    }

    /// The same, as far as this engine has met it.
    pub(super) fn met(&self, name: &Name) -> Option<&Slot> {
        let stage = self.inner.slots.get(name);
        stage.or_else(|| self.may_contain(name).find_map(|whole| whole.lanes.get(name)))
    }

    /// The stages of which this could be a lane.
    fn may_contain(&self, name: &Name) -> impl Iterator<Item = &Slot> {
        Lane::stages_above(name).filter_map(|stage| self.inner.slots.get(&stage))
    }

    /// Where a request for `release` in `slot` belongs: there, or in a lane of it.
    pub(super) async fn lane_for<'a>(
        &'a self,
        slot: &'a Slot,
        release: &Release,
    ) -> Result<&'a Slot, PromotionError> {
        if let Some(lane) = slot.lane.as_ref().filter(|_| !slot.policy.queue.is_parallel()) {
            let reason = "its stage has no lanes any more; request the release in the stage".to_owned();
            return Err(PromotionError::Lane { lane: lane.name.clone(), reason });
        }
        if slot.lane.is_some() || !slot.policy.queue.is_parallel() || release.is_empty() {
            return Ok(slot);
        }
        let lane = Lane::of(&slot.name, release)?;
        self.load(slot).await?.may_have(&lane)?;
        self.add_lane(slot, &Arc::new(lane))
    }

    /// The stage, or the lane, that a plan brings `release` into. A lane may be one that its first request opens.
    ///
    /// # Errors
    /// `NotFound` for neither; `Conflict` for a stage with lanes as a whole, for a lane of one that has none any more, and for a lane that
    /// cannot have the artifacts.
    pub(super) async fn slot_for_plan(
        &self,
        stage: &Name,
        release: &Release,
    ) -> Result<&Slot, PromotionError> {
        let slot = match self.slot(stage).await {
            Err(PromotionError::UnknownStage { stage }) => {
                let opened = self.new_lane(&stage, release).await?;
                return opened.ok_or(PromotionError::UnknownStage { stage });
            }
            slot => slot?,
        };
        Self::as_one(slot, "plan a release into")?;
        let slot = self.lane_for(slot, release).await?;
        if let Some(whole) = self.whole(slot).await? {
            let artifacts = release.artifacts().iter().map(|artifact| artifact.reference.name.clone());
            whole.may_have(&Lane { name: stage.clone(), artifacts: artifacts.collect() })?;
        }
        Ok(slot)
    }

    /// The lane of this name that the first request for `release` would open.
    pub(super) async fn new_lane(
        &self,
        name: &Name,
        release: &Release,
    ) -> Result<Option<&Slot>, PromotionError> {
        for whole in self.may_contain(name).filter(|whole| whole.policy.queue.is_parallel()) {
            let lane = Lane::of(&whole.name, release)?;
            if lane.name == *name {
                self.load(whole).await?.may_have(&lane)?;
                return self.add_lane(whole, &Arc::new(lane)).map(Some);
            }
        }
        Ok(None)
    }

    /// What a stage with lanes does only in one of them.
    ///
    /// # Errors
    /// `Conflict` for the stage as a whole.
    pub(super) fn as_one(slot: &Slot, attempted: &'static str) -> Result<(), PromotionError> {
        if slot.lane.is_none() && slot.policy.queue.is_parallel() {
            return Err(PromotionError::HasLanes { attempted, stage: slot.name.clone() });
        }
        Ok(())
    }

    /// What is known of `release` in `stage`: of the lane with exactly its artifacts, where the stage has lanes.
    pub(super) async fn slot_of_release(
        &self,
        stage: &Name,
        release: &Release,
    ) -> Result<Option<&Slot>, PromotionError> {
        let Some(slot) = self.met(stage) else { return Ok(None) };
        if slot.lane.is_some() || !slot.policy.queue.is_parallel() {
            return Ok(Some(slot));
        }
        let lane = Lane::of(stage, release)?;
        let state = self.load(slot).await?;
        match state.lane(&lane.name).filter(|known| *known.lane == lane) {
            Some(known) => self.add_lane(slot, &known.lane).map(Some),
            None => Ok(Some(slot)),
        }
    }

    /// The stage of this name and its lanes, as far as this engine drives them.
    pub(super) async fn driven(&self, stage: &Name) -> Result<Vec<&Slot>, PromotionError> {
        let slot = self.slot(stage).await?;
        let mut slots = vec![slot];
        if slot.make_lane.is_some() {
            slots.extend(self.lane_slots(slot).await?);
        }
        Ok(slots)
    }

    /// The stage that a lane is of.
    pub(super) fn whole_of(&self, slot: &Slot) -> Option<&Slot> {
        slot.lane_of.as_ref().and_then(|stage| self.inner.slots.get(stage))
    }

    /// What the stream of that stage says now.
    pub(super) async fn whole(&self, slot: &Slot) -> Result<Option<Arc<StageState>>, PromotionError> {
        match self.whole_of(slot) {
            Some(whole) => self.load(whole).await.map(Some),
            None => Ok(None),
        }
    }

    /// Every lane of a stage that the journal knows, the one that was started least recently first.
    pub(super) async fn lane_slots(&self, whole: &Slot) -> Result<Vec<&Slot>, PromotionError> {
        let Some(whole) = self.inner.slots.get(&whole.name) else { return Ok(Vec::new()) };
        let state = self.load(whole).await?;
        let mut lanes: Vec<_> = state.lanes().collect();
        lanes.sort_by_key(|state| state.last_start);
        lanes.into_iter().map(|state| self.add_lane(whole, &state.lane)).collect()
    }

    fn add_lane<'a>(&self, whole: &'a Slot, lane: &Arc<Lane>) -> Result<&'a Slot, PromotionError> {
        if let Some(known) = whole.lanes.get(&lane.name) {
            return Ok(known);
        }
        let stage = whole.make_lane.as_ref().map(|make| {
            host::ask("the stage of a lane", || Ok(make(lane)))
                .unwrap_or_else(|panic| Arc::new(Unmade(panic)))
        });
        let mut slot = Slot::new(&lane.name, Arc::clone(&whole.policy), stage, whole.after_it.clone())?;
        (slot.lane, slot.lane_of) = (Some(Arc::clone(lane)), Some(whole.name.clone()));
        Ok(whole.lanes.get_or_insert(&lane.name, slot))
    }

    /// Wakes who waits in the lanes of a stage: one of them may start.
    pub(super) fn tell_lanes(whole: &Slot, state: &StageState) {
        for lane in state.lanes() {
            if let Some(slot) = whole.lanes.get(&lane.lane.name) {
                slot.news.send_modify(|_| {});
            }
        }
    }

    /// Drives the lanes of a stage until this engine is stopped, also those that are opened meanwhile.
    pub(super) async fn run_lanes(&self, whole: &Slot, stop: Stop) {
        let (found, mut lanes) = mpsc::unbounded_channel();
        let find = async {
            let (mut news, mut stop) = (whole.news.subscribe(), stop.clone());
            let mut known: BTreeSet<&Name> = BTreeSet::new();
            while !stop.is_told() {
                news.mark_unchanged();
                // A journal that is away or damaged shows in commands and queries.
                for slot in self.lane_slots(whole).await.unwrap_or_default() {
                    if known.insert(&slot.name) && found.send(slot).is_err() {
                        return;
                    }
                }
                tokio::select! {
                    _ = news.changed() => {}
                    () = stop.told() => {}
                    () = tokio::time::sleep(self.inner.settings.poll) => {}
                }
            }
            drop(found);
        };
        let drive = async {
            let mut driven = FuturesUnordered::new();
            loop {
                tokio::select! {
                    slot = lanes.recv() => match slot {
                        Some(slot) => driven.push(self.run_stage(slot, stop.clone())),
                        None => break,
                    },
                    Some(()) = driven.next() => {}
                }
            }
            while driven.next().await.is_some() {}
        };
        futures::join!(find, drive);
    }
}
