use std::ops::Deref;
use std::sync::Arc;

use mcp_core::Name;
use tokio::sync::{Mutex, watch};

use super::lane_slots::LaneSlots;
use super::stream::Loaded;
use super::{Driving, Engine, Slot};
use crate::{Policy, PromotionError, Stage};

/// A stage that commands and queries are about.
pub(super) enum Place<'a> {
    /// The pipeline has it.
    Here(&'a Slot),
    /// The pipeline has lost it, and the journal knows of it: what is known of it can be read, and what is open can be ended, but nothing is
    /// requested or driven there.
    Lost(Box<Slot>),
}

impl Deref for Place<'_> {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        match self {
            Self::Here(slot) => slot,
            Self::Lost(slot) => slot,
        }
    }
}

impl Slot {
    /// Of a stage of which nothing was read yet.
    pub(super) fn new(
        name: &Name,
        policy: Arc<Policy>,
        stage: Option<Arc<dyn Stage>>,
        after_it: Vec<Name>,
    ) -> Result<Self, PromotionError> {
        let stream: Name = format!("stage/{name}").parse()?;
        Ok(Self {
            name: name.clone(),
            stream: stream.clone(),
            policy,
            stage,
            loaded: Mutex::new(Loaded::nothing(name.clone(), stream)),
            driving: Mutex::new(Driving::default()),
            paced: super::pace::Paced::default(),
            waiting: super::waiting::Waiting::default(),
            news: watch::Sender::new(0),
            after_it,
            lane: None,
            lane_of: None,
            lanes: LaneSlots::default(),
            make_lane: None,
        })
    }
}

impl Engine {
    /// A stage of the pipeline, a lane of one, or one of which the journal knows.
    ///
    /// # Errors
    /// `NotFound` for a stage of which neither knows; whatever the journal says.
    pub(super) async fn place(&self, stage: &Name) -> Result<Place<'_>, PromotionError> {
        match self.slot(stage).await {
            Err(PromotionError::UnknownStage { .. }) => {}
            known => return known.map(Place::Here),
        }
        let nobody = Arc::new(Policy::unverified("the pipeline has this stage no more"));
        let slot = Slot::new(stage, nobody, None, Vec::new())?;
        match self.load(&slot).await?.version() {
            0 => Err(PromotionError::UnknownStage { stage: stage.clone() }),
            _ => Ok(Place::Lost(Box::new(slot))),
        }
    }
}
