use super::Engine;
use crate::PromotionError;
use crate::render::{Diagram, Live};

impl Engine {
    /// The pipeline as it is drawn, with how its stages stand now: what runs there, what is under way and what waits.
    ///
    /// # Errors
    /// `Unavailable` when the journal does not answer, `Corrupt` or `Unsupported` when a stage's stream cannot be read.
    pub async fn diagram(&self) -> Result<Diagram, PromotionError> {
        let mut diagram = self.pipeline().diagram();
        for stage in &mut diagram.stages {
            let slot = self.slot(&stage.name).await?;
            let state = self.load(slot).await?;
            let mut lanes = Vec::new();
            for lane in self.lane_slots(slot).await? {
                lanes.push(self.load(lane).await?);
            }
            stage.live = Some(Live::of(&state, &lanes));
        }
        Ok(diagram)
    }
}
