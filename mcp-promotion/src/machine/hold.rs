use mcp_core::{Id, Principal, Timestamp};

use super::apply::{Impossible, impossible};
use super::stage_state::StageState;
use crate::{Happened, Hold, Kind, Promotion, PromotionError, PromotionId};

impl StageState {
    /// Why nothing but rollbacks starts here.
    #[must_use]
    pub const fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// The last promotion after which the stage went back, or nobody knows what it runs: nothing is promoted here by itself until somebody
    /// lifts the hold.
    #[must_use]
    pub fn distrusted(&self) -> Option<PromotionId> {
        self.distrusted.map(|number| self.id(number))
    }

    /// Why this promotion must not start.
    #[must_use]
    pub fn hold_on(&self, promotion: &Promotion) -> Option<&Hold> {
        self.hold().filter(|_| promotion.kind != Kind::Rollback && promotion.glass.is_none())
    }

    pub(super) fn held(
        &mut self,
        at: Timestamp,
        by: &Principal,
        reason: &str,
        unique: Id,
    ) -> Result<(), Impossible> {
        if let Some(hold) = &self.hold {
            return impossible(format!("the stage is held already, {hold}"));
        }
        self.feed.get_or_insert(unique);
        self.hold = Some(Hold { by: by.clone(), reason: reason.to_owned(), since: at });
        Ok(())
    }

    pub(super) fn hold_lifted(&mut self) -> Result<(), Impossible> {
        if self.hold.is_none() && self.distrusted.is_none() {
            return impossible("nothing is held that could be lifted");
        }
        (self.hold, self.distrusted) = (None, None);
        Ok(())
    }
}

/// Lets nothing but rollbacks start.
pub(super) fn hold(
    state: &StageState,
    by: &Principal,
    reason: String,
    unique: Id,
) -> Result<Vec<Happened>, PromotionError> {
    if reason.trim().is_empty() {
        return Err(PromotionError::Denied {
            attempted: format!("hold stage {}", state.stage()),
            who: by.clone(),
            reason: "a hold needs a reason".to_owned(),
        });
    }
    if let Some(hold) = state.hold() {
        return Err(PromotionError::Hold {
            attempted: "hold",
            stage: state.stage().clone(),
            reason: format!("{hold}; lift that first"),
        });
    }
    Ok(vec![Happened::Held { by: by.clone(), reason, unique }])
}

/// Lets everything start again, and be promoted by itself.
pub(super) fn lift(state: &StageState, by: &Principal) -> Result<Vec<Happened>, PromotionError> {
    if state.hold.is_none() && state.distrusted.is_none() {
        return Err(PromotionError::Hold {
            attempted: "lift the hold of",
            stage: state.stage().clone(),
            reason: "nobody holds it".to_owned(),
        });
    }
    Ok(vec![Happened::HoldLifted { by: by.clone() }])
}
