use std::sync::Arc;

use mcp_core::Name;

use super::Engine;
use super::commands::Ask;
use crate::authorizer::Operation;
use crate::machine::Command;
use crate::{Actor, Kind, Obligation, PromotionError, PromotionId, Release};

/// Starting without waiting, and answering for it afterwards. Each command is idempotent by the request id of its [`Actor`].
///
/// All fail as [`cancel`](Engine::cancel) and the other commands of operators do.
impl Engine {
    /// Lets a pending promotion start [without waiting](crate::Glass), for a reason that is not empty. From then on somebody else owes a
    /// [`review`](Self::review), within the time that the promotion's policy says.
    ///
    /// # Errors
    /// `Denied` for whom the authorizer does not let, and without a reason; `Conflict` when it is not pending, or when its glass is broken
    /// already; `NotFound`.
    pub async fn break_glass(
        &self,
        id: &PromotionId,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
        reason: impl Into<String>,
    ) -> Result<(), PromotionError> {
        let reason = reason.into();
        let command = |promotion, by| Command::BreakGlass { promotion, by, reason };
        self.operate(id, Operation::BreakGlass, actor, command).await
    }

    /// Asks for `release` in `stage` as [`request`](Self::request) does, and breaks the glass for it in the same step.
    ///
    /// # Errors
    /// Those of [`request`](Self::request) and of [`break_glass`](Self::break_glass).
    pub async fn request_without_waiting(
        &self,
        stage: impl TryInto<Name, Error: Into<PromotionError>>,
        release: &Release,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
        reason: impl Into<String>,
    ) -> Result<PromotionId, PromotionError> {
        let (stage, actor) = (stage.try_into().map_err(Into::into)?, Self::person(actor)?);
        let slot = self.lane_for(self.slot(&stage).await?, release).await?;
        self.permit(slot, None, Operation::BreakGlass, &actor).await?;
        let ask = Ask::new(Kind::Deploy, release.clone(), Arc::clone(&slot.policy), actor);
        self.ask(slot, Ask { glass: Some(reason.into()), ..ask }).await
    }

    /// Closes the obligation that breaking the glass has left, with a note that says what was found.
    ///
    /// # Errors
    /// `Denied` for who broke the glass, for who had requested the promotion, for whom the authorizer does not let, and without a note;
    /// `Conflict` when nothing is to be reviewed; `NotFound`.
    pub async fn review(
        &self,
        id: &PromotionId,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
        note: impl Into<String>,
    ) -> Result<(), PromotionError> {
        let note = note.into();
        self.operate(id, Operation::Review, actor, |promotion, by| Command::Review { promotion, by, note })
            .await
    }

    /// Everything that is still to be reviewed, in every stage that the journal knows; what is due first comes first.
    ///
    /// # Errors
    /// Whatever the journal says.
    pub async fn obligations(&self) -> Result<Vec<Obligation>, PromotionError> {
        let mut open = Vec::new();
        for (stage, stream) in self.all_stages().await? {
            open.extend(self.state_of(stage, stream).await?.obligations().cloned());
        }
        open.sort_by(|one, other| (one.due, &one.promotion).cmp(&(other.due, &other.promotion)));
        Ok(open)
    }
}
