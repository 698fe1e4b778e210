use std::collections::BTreeMap;
use std::sync::Arc;

use mcp_core::{Id, Name};
use serde::{Deserialize, Serialize};

use super::apply::{Impossible, impossible};
use super::stage_state::StageState;
use crate::{Blocker, Happened, Lane, Promotion, PromotionError, PromotionId, Queue, Release, State};

/// What the stream of a stage says of its lanes. The promotions of a lane stand in its own stream; what stands here, in the same append, is
/// when they start and end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lanes {
    by_name: BTreeMap<Name, LaneState>,
    /// In which lane each artifact is.
    by_artifact: BTreeMap<Name, Name>,
}

/// What the stream of a stage says of one of its lanes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LaneState {
    /// Which lane.
    pub lane: Arc<Lane>,
    /// The number of the promotion that is under way in it.
    pub in_flight: Option<u64>,
    /// How many promotions have started in it.
    pub starts: u64,
    /// The position of the event that says so of the last one; 0 where there was none.
    pub last_start: u64,
}

impl LaneState {
    /// How many promotions have ended in it that were started.
    #[must_use]
    pub fn ends(&self) -> u64 {
        self.starts.saturating_sub(u64::from(self.in_flight.is_some()))
    }
}

impl StageState {
    /// The lanes that were opened, by name.
    pub fn lanes(&self) -> impl Iterator<Item = &LaneState> {
        self.lanes.by_name.values()
    }

    /// The lane with this name.
    #[must_use]
    pub fn lane(&self, name: &Name) -> Option<&LaneState> {
        self.lanes.by_name.get(name)
    }

    /// What is under way in the lanes.
    pub fn in_flight_in_lanes(&self) -> impl Iterator<Item = PromotionId> {
        self.lanes().filter_map(|state| Some(PromotionId::new(state.lane.name.clone(), state.in_flight?)))
    }

    /// Why there cannot be such a lane, if there cannot.
    ///
    /// # Errors
    /// `Conflict`, naming the lane that has some of its artifacts, and what to do.
    pub(crate) fn may_have(&self, lane: &Lane) -> Result<(), PromotionError> {
        let refuse = |reason: String| Err(PromotionError::Lane { lane: lane.name.clone(), reason });
        let same = self.lane(&lane.name).map(|known| &known.lane);
        if same.is_some_and(|known| known.artifacts == lane.artifacts) {
            return Ok(());
        }
        for artifact in &lane.artifacts {
            let other = self.lanes.by_artifact.get(artifact).and_then(|name| self.lane(name));
            if let Some(LaneState { lane: other, .. }) = other {
                return refuse(format!(
                    "{artifact} goes through {other}, whose artifacts are promoted together and by themselves; request a release of \
                     exactly these"
                ));
            }
        }
        match same {
            Some(other) => refuse(format!("{other} has the name already")),
            None => Ok(()),
        }
    }

    pub(super) fn lane_opened(&mut self, lane: &Lane, unique: Id) -> Result<(), Impossible> {
        if lane.artifacts.is_empty() || self.lane(&lane.name).is_some() {
            return impossible(format!("{lane} is opened twice, or has no artifacts"));
        }
        self.may_have(lane).map_err(|error| Impossible(error.to_string()))?;
        self.feed.get_or_insert(unique);
        let lanes = Arc::make_mut(&mut self.lanes);
        let artifacts = lane.artifacts.iter().map(|artifact| (artifact.clone(), lane.name.clone()));
        lanes.by_artifact.extend(artifacts);
        let state = LaneState { lane: Arc::new(lane.clone()), in_flight: None, starts: 0, last_start: 0 };
        lanes.by_name.insert(lane.name.clone(), state);
        Ok(())
    }

    /// Invariant 5 of a stage with lanes.
    pub(super) fn lane_started(
        &mut self,
        position: u64,
        (name, promotion): (&Name, u64),
        despite_hold: bool,
        limit: u32,
    ) -> Result<(), Impossible> {
        let starting = PromotionId::new(name.clone(), promotion);
        if let Some(blocker) = self.shut(&starting, despite_hold, limit).first() {
            return impossible(format!("{starting} starts although {blocker}"));
        }
        match Arc::make_mut(&mut self.lanes).by_name.get_mut(name) {
            Some(state) if state.in_flight.is_none() => {
                (state.in_flight, state.last_start) = (Some(promotion), position);
                state.starts = state.starts.saturating_add(1);
                Ok(())
            }
            Some(_) => impossible(format!("{starting} starts while another promotion is in flight there")),
            None => impossible(format!("{starting} starts, and there is no such lane")),
        }
    }

    pub(super) fn lane_ended(&mut self, name: &Name, promotion: u64) -> Result<(), Impossible> {
        match Arc::make_mut(&mut self.lanes).by_name.get_mut(name) {
            Some(state) if state.in_flight == Some(promotion) => {
                state.in_flight = None;
                Ok(())
            }
            _ => impossible(format!("{name}/{promotion} ends, and is not in flight")),
        }
    }

    /// Why the stage as a whole does not let a promotion of one of its lanes start.
    fn shut(&self, starting: &PromotionId, despite_hold: bool, limit: u32) -> Vec<Blocker> {
        let mut blockers = Vec::new();
        if let Some(hold) = self.hold().filter(|_| !despite_hold) {
            blockers.push(Blocker::Held { by: hold.by.clone(), reason: hold.reason.clone() });
        }
        if let Some(own) = self.in_flight() {
            blockers.push(Blocker::InFlight { promotion: own.id.clone(), state: own.state });
        }
        let others = self.in_flight_in_lanes().filter(|other| other.stage != starting.stage);
        blockers.extend(full(limit, others.collect()));
        blockers
    }

    /// The same, by the policy that counts for `promotion`.
    pub(super) fn shuts_out(&self, promotion: &Promotion) -> Vec<Blocker> {
        self.shut(&promotion.id, self.is_despite_hold(promotion), limit(promotion))
    }

    /// Whether the stage is held, and this promotion starts in spite of that.
    fn is_despite_hold(&self, promotion: &Promotion) -> bool {
        self.hold().is_some() && self.hold_on(promotion).is_none()
    }

    /// What is under way in lanes keeps the stage from changing as a whole, as it did before it had lanes.
    pub(super) fn busy_lanes(&self) -> Option<Blocker> {
        full(1, self.in_flight_in_lanes().collect())
    }
}

fn full(limit: u32, in_flight: Vec<PromotionId>) -> Option<Blocker> {
    let full = in_flight.len() >= usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
    full.then_some(Blocker::Full { limit: limit.max(1), in_flight })
}

/// How many promotions may be in flight at once in the stage of a lane, this one included.
fn limit(promotion: &Promotion) -> u32 {
    match promotion.policy.queue {
        Queue::Parallel(limit) => limit,
        Queue::Serial | Queue::SupersedePending => 1,
    }
}

/// Whether such an event of a lane may ask for one in the stream of its stage.
pub(crate) fn concerns_stage(event: &Happened) -> bool {
    match event {
        Happened::Requested(_) => true,
        Happened::Changed { from, to, .. } => from.is_in_flight() != to.is_in_flight(),
        _ => false,
    }
}

/// What is to be appended to the stream of a stage, together with these events of one of its lanes.
///
/// # Errors
/// `Conflict` when the stage as a whole does not allow them.
pub fn beside(
    whole: &StageState,
    lane: &StageState,
    events: &[&Happened],
) -> Result<Vec<Happened>, PromotionError> {
    let (mut list, name) = (Vec::new(), lane.stage());
    for event in events {
        match event {
            Happened::Requested(requested) => {
                let asked = asked(name, &requested.release);
                whole.may_have(&asked)?;
                if whole.lane(name).is_none() {
                    if lane.version() > 0 {
                        let reason = "a stage of this name is in the journal already".to_owned();
                        return Err(PromotionError::Lane { lane: name.clone(), reason });
                    }
                    list.push(Happened::LaneOpened { lane: asked, unique: requested.unique });
                }
            }
            Happened::Changed { promotion, from: State::Pending, to: State::Deploying, .. } => {
                let starting = lane.find(*promotion)?;
                if let Some(blocker) = whole.shuts_out(starting).first() {
                    return Err(PromotionError::NotNow {
                        attempted: format!("start {}", starting.id),
                        state: starting.state,
                        reason: format!("and {blocker}"),
                    });
                }
                list.push(Happened::LaneStarted {
                    lane: name.clone(),
                    promotion: *promotion,
                    despite_hold: whole.is_despite_hold(starting),
                    limit: limit(starting),
                });
            }
            Happened::Changed { promotion, from, to, .. } if from.is_in_flight() && to.is_terminal() => {
                list.push(Happened::LaneEnded { lane: name.clone(), promotion: *promotion });
            }
            _ => {}
        }
    }
    Ok(list)
}

/// The lane of this name, if it has the artifacts of `release`.
fn asked(name: &Name, release: &Release) -> Lane {
    let artifacts = release.artifacts().iter().map(|artifact| artifact.reference.name.clone()).collect();
    Lane { name: name.clone(), artifacts }
}
