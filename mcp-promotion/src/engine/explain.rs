use std::collections::BTreeMap;
use std::sync::Arc;

use mcp_core::Name;

use super::stream::{Loaded, PAGE};
use super::{Engine, Slot};
use crate::explain::{Explanation, Replaced, StageExplanation};
use crate::machine::{Deployed, StageState};
use crate::{Happened, Promotion, PromotionError, PromotionId, State};

/// Why it is as it is.
///
/// All of it is read from the journal, from the beginning of the stage's stream: each event is checked as in
/// [`verify`](Self::verify), and it takes as long as reading a [`timeline`](Self::timeline).
impl Engine {
    /// Why a promotion went as it did: who asked for it, who approved it, what the gates and the stages before said, what it replaced, how it was
    /// judged, and what people decided in place of the rules. Also of one that ended long ago.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn explain(&self, id: &PromotionId) -> Result<Explanation, PromotionError> {
        let slot = self.place(&id.stage).await?;
        let mut retold = self.retell(&slot, Some(id.number)).await?;
        retold.take(id.number).ok_or_else(|| PromotionError::UnknownPromotion { promotion: id.clone() })
    }

    /// Why `stage` runs what it runs: the promotion that brought it, and the one after which it came back, where one did.
    ///
    /// # Errors
    /// `NotFound` for an unknown stage; `Conflict` for one with lanes: each of them is explained by its own name.
    pub async fn explain_stage(
        &self,
        stage: impl TryInto<Name, Error: Into<PromotionError>>,
    ) -> Result<StageExplanation, PromotionError> {
        let stage = stage.try_into().map_err(Into::into)?;
        let slot = self.place(&stage).await?;
        Self::as_one(&slot, "explain what runs in")?;
        let at = self.now();
        let mut retold = self.retell(&slot, None).await?;
        let state = Arc::clone(retold.loaded.state());
        Ok(StageExplanation {
            at,
            runs: state.current().and_then(|current| retold.take(current.promotion)),
            came_back_after: retold.came_back_after.and_then(|number| retold.take(number)).map(Box::new),
            in_flight: state.in_flight().and_then(|other| retold.take(other.id.number)).map(Box::new),
            unsettled: state.is_unsettled(),
            held: state.hold().cloned(),
            previous: state.previous().map(|previous| replaced(&state, previous)),
        })
    }

    /// Tells what is asked about, or else what the stage's state still refers to at the end.
    async fn retell(&self, slot: &Slot, asked: Option<u64>) -> Result<Retold, PromotionError> {
        let loaded = Loaded::nothing(slot.name.clone(), slot.stream.clone());
        let mut retold = Retold { loaded, told: BTreeMap::new(), came_back_after: None };
        loop {
            let page = self.read_page(&slot.stream, retold.loaded.chain().version(), PAGE).await?;
            if page.is_empty() {
                return Ok(retold);
            }
            for bytes in page {
                retold.read(&bytes, asked)?;
            }
        }
    }
}

/// A stream on its way from its first event to its last.
struct Retold {
    loaded: Loaded,
    told: BTreeMap<u64, (Promotion, Explanation)>,
    /// The last promotion that did not stay, where what ran before it runs still.
    came_back_after: Option<u64>,
}

impl Retold {
    fn read(&mut self, bytes: &[u8], asked: Option<u64>) -> Result<(), PromotionError> {
        let brought = |state: &StageState| state.current().map(|current| current.promotion);
        let before = brought(self.loaded.state());
        let entry = self.loaded.read(bytes)?;
        let (position, state) = (self.loaded.chain().version(), self.loaded.state());
        if brought(state) != before {
            self.came_back_after = None;
        }
        let Some(number) =
            entry.what.promotion(position).filter(|number| asked.is_none_or(|one| one == *number))
        else {
            return Ok(());
        };
        if let Happened::Requested(requested) = &entry.what {
            let promotion = Promotion::requested(state.id(number), entry.at, requested);
            let explanation = Explanation::of(&promotion);
            self.told.insert(number, (promotion, explanation));
        } else if let Some((promotion, explanation)) = self.told.get_mut(&number) {
            promotion.follow(position, entry.at, &entry.what);
            let waited = explanation.started_at.is_none();
            explanation.tell(&entry);
            if waited && explanation.started_at.is_some() {
                explanation.replaced = state.current().map(|current| replaced(state, current));
            }
            if promotion.state == State::RolledBack {
                self.came_back_after = Some(number);
            }
            if promotion.state.is_terminal() && asked.is_none() {
                let kept = self.came_back_after;
                self.told.retain(|number, _| state.is_needed(*number) || kept == Some(*number));
            }
        }
        Ok(())
    }

    fn take(&mut self, number: u64) -> Option<Explanation> {
        let (promotion, told) = self.told.remove(&number)?;
        let (started_at, replaced, exceptions) = (told.started_at, told.replaced, told.exceptions);
        Some(Explanation { started_at, replaced, exceptions, ..Explanation::of(&promotion) })
    }
}

fn replaced(state: &StageState, deployed: &Deployed) -> Replaced {
    Replaced { release: deployed.release.clone(), promotion: state.id(deployed.promotion) }
}
