use std::collections::BTreeMap;
use std::sync::Arc;

use mcp_core::Name;

use super::Engine;
use crate::machine::StageState;
use crate::{Happened, PromotionError};

/// How many promotions have started and ended in a stream, as its own events say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    events: u64,
    starts: u64,
    ends: u64,
}

impl Tally {
    pub(super) fn count(&mut self, what: &Happened) {
        self.events = self.events.saturating_add(1);
        if let Happened::Changed { from, to, .. } = what {
            let (before, after) = (from.is_in_flight(), to.is_in_flight());
            self.starts = self.starts.saturating_add(u64::from(!before && after));
            self.ends = self.ends.saturating_add(u64::from(before && !after));
        }
    }
}

/// The streams that were read, as far as those of stages and of their lanes must agree.
#[derive(Default)]
pub(super) struct Agreement {
    tallies: BTreeMap<Name, Tally>,
    wholes: BTreeMap<Name, Arc<StageState>>,
}

impl Agreement {
    pub(super) fn add(&mut self, state: &Arc<StageState>, tally: Tally) {
        self.tallies.insert(state.stage().clone(), tally);
        if state.lanes().next().is_some() {
            self.wholes.insert(state.stage().clone(), Arc::clone(state));
        }
    }
}

impl Engine {
    /// What the stream of a stage says of its lanes must be what their own streams say. Others may be writing: each lane was read after
    /// its stage, and the stage is read once more after all of them, so that the lane must be between the two.
    pub(super) async fn verify_lanes(&self, read: Agreement) -> Result<(), PromotionError> {
        for (stage, before) in read.wholes {
            let stream: Name = format!("stage/{stage}").parse()?;
            let after = self.state_of(stage.clone(), stream).await?;
            for earlier in before.lanes() {
                let lane = &earlier.lane.name;
                let tally = read.tallies.get(lane).copied().unwrap_or_default();
                let Some(later) = after.lane(lane) else { continue };
                let starts = earlier.starts..=later.starts;
                let ends = earlier.ends()..=later.ends();
                if tally.events == 0 || !starts.contains(&tally.starts) || !ends.contains(&tally.ends) {
                    return Err(PromotionError::Corrupt {
                        stream: format!("stage/{lane}").parse()?,
                        position: tally.events,
                        reason: format!(
                            "{} promotions have started and {} have ended in its {} events; the stream of stage {stage} says {} and {}",
                            tally.starts,
                            tally.ends,
                            tally.events,
                            later.starts,
                            later.ends(),
                        ),
                    });
                }
            }
        }
        Ok(())
    }
}
