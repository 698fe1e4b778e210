use mcp_core::{Name, Principal};

use super::{Engine, Slot};
use crate::authorizer::{OperateRequest, OperatedPlan, Operation, Permission};
use crate::host;
use crate::machine::RESERVED;
use crate::{Actor, PromotionError, PromotionId};

/// How many of those who may are told to one who may not.
const MAX_TOLD: usize = 8;

/// Who is asking, and whether they may.
impl Engine {
    /// The person or program outside that gives a command.
    ///
    /// # Errors
    /// `Invalid` for a name that is none; `Denied` for one in which the engine acts by itself.
    pub(super) fn person(
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
    ) -> Result<Actor, PromotionError> {
        let actor = actor.try_into().map_err(Into::into)?;
        if RESERVED.contains(&actor.who.as_str()) {
            return Err(PromotionError::Denied {
                attempted: "give a command".to_owned(),
                who: actor.who,
                reason: "the engine uses this name for what it does by itself; choose another one".to_owned(),
            });
        }
        Ok(actor)
    }

    /// Asks the authorizer whether somebody may do something about a promotion of this stage, or about the stage.
    ///
    /// # Errors
    /// `Denied`, telling who may; `NotFound` for a promotion that was never requested; whatever the authorizer says.
    pub(super) async fn permit(
        &self,
        slot: &Slot,
        promotion: Option<u64>,
        operation: Operation,
        actor: &Actor,
    ) -> Result<(), PromotionError> {
        let state = self.load(slot).await?;
        // An id that was used before is answered by what it was used for, whoever may do it by now.
        if actor.request.as_ref().is_some_and(|id| state.request(id).is_some()) {
            return Ok(());
        }
        let subject = match promotion {
            Some(number) => PromotionId::new(slot.name.clone(), number).to_string(),
            None => format!("stage {}", slot.name),
        };
        let promotion = match promotion {
            Some(number) => Some(self.promotion(slot, &state, number).await?),
            None => None,
        };
        let request = OperateRequest::new(&actor.who, operation, &slot.name, promotion.as_deref());
        self.permit_to(&request, &subject).await
    }

    /// The same about a plan that changes these stages: whoever may not do it in one of them may not do it. `plan` is `None` for one that is
    /// yet to be requested.
    pub(super) async fn permit_plan(
        &self,
        plan: Option<OperatedPlan<'_>>,
        stages: impl IntoIterator<Item = &Name>,
        operation: Operation,
        who: &Principal,
    ) -> Result<(), PromotionError> {
        for stage in stages {
            let request = OperateRequest::new(who, operation, stage, None);
            let (request, subject) = match plan {
                Some(plan) => (request.of_plan(plan), format!("plan {} in stage {stage}", plan.id)),
                None => (request, format!("stage {stage}")),
            };
            self.permit_to(&request, &subject).await?;
        }
        Ok(())
    }

    async fn permit_to(&self, request: &OperateRequest<'_>, subject: &str) -> Result<(), PromotionError> {
        let OperateRequest { who, operation, .. } = request;
        let permission = match &self.inner.authorizer {
            None => operation.by_default(),
            Some(authorizer) => {
                let attempted = format!("ask whether {who} may {operation} {subject}");
                host::call("authorizer", || authorizer.may_operate(request))
                    .await
                    .map_err(PromotionError::seam(attempted))?
            }
        };
        match permission {
            Permission::Granted => Ok(()),
            Permission::Denied { who_may } => Err(denied(&format!("{operation} {subject}"), who, &who_may)),
        }
    }
}

fn denied(attempted: &str, who: &Principal, who_may: &[String]) -> PromotionError {
    let told: Vec<&str> = who_may.iter().take(MAX_TOLD).map(String::as_str).collect();
    let more = who_may.len().saturating_sub(told.len());
    let reason = match (told.join(", "), more) {
        (told, 0) if told.is_empty() => "the authorizer names nobody who may".to_owned(),
        (told, 0) => format!("the authorizer does not count them among those who may: {told}"),
        (told, more) => {
            format!("the authorizer does not count them among those who may: {told} and {more} more")
        }
    };
    PromotionError::Denied { attempted: attempted.to_owned(), who: who.clone(), reason }
}
