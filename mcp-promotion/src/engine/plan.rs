use mcp_core::{Digest, Name, Principal};

use super::Engine;
use super::plan_stream::{LoadedPlan, PREFIX, stream};
use crate::authorizer::{OperatedPlan, Operation};
use crate::host;
use crate::plan::{Course, PartState, PlanEntry, PlanHappened, PlanId, PlanState, PlanStatus, changed};
use crate::{Actor, Blocker, PromotionError, PromotionId, UsedRequestId};

/// How often a command is decided again because others were faster.
const ATTEMPTS: u32 = 32;

/// What a person wants of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Cancel,
    Pause,
    Abort,
    Resume,
    Acknowledge,
}

impl Order {
    /// Where it leads from `state`.
    const fn to(self, state: PlanState) -> PlanState {
        match self {
            Self::Cancel => PlanState::Cancelled,
            Self::Pause => PlanState::Halted,
            Self::Abort => PlanState::RollingBack,
            Self::Resume if matches!(state, PlanState::Stuck) => PlanState::RollingBack,
            Self::Resume => PlanState::Running,
            Self::Acknowledge => PlanState::Failed,
        }
    }

    const fn operation(self) -> Operation {
        match self {
            Self::Cancel => Operation::Cancel,
            Self::Pause => Operation::Pause,
            Self::Abort => Operation::Abort,
            Self::Resume => Operation::Resume,
            Self::Acknowledge => Operation::Acknowledge,
        }
    }

    /// What it does to a plan; `None` when it cannot be done now.
    fn decide(self, course: &Course, reason: &str, by: Principal) -> Option<PlanHappened> {
        let to = self.to(course.state);
        let fits = match self {
            Self::Cancel => course.all(|part| part == PartState::Waiting),
            // The way back is taken again when somebody resumes it.
            Self::Abort => course.state != PlanState::Stuck,
            _ => true,
        };
        let reason = reason.chars().take(2000).collect();
        (fits && course.state.may_become(to)).then(|| changed(course, to, reason, Some(by)))
    }
}

/// Release plans: many stages, changed in an order in which every state on the way works.
///
/// A plan requests promotions in its stages, which wait for approvals, gates and turns as any others do, and whose requester is that of the
/// plan. It has a stream of its own, and no lease: each thing that it does to a stage is a request or a withdrawal there, appended together
/// with (or under the condition of) the version of the plan's stream, so that a driver that has missed something appends nothing.
///
/// Commands are idempotent by the request id of their [`Actor`], and fail as those for promotions do: with `Denied`, telling who may, where
/// the [`Authorizer`](crate::Authorizer) says that somebody may not do it in one of the stages.
impl Engine {
    /// A plan as it stands.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn plan_status(&self, id: PlanId) -> Result<PlanStatus, PromotionError> {
        let loaded = self.load_plan(id).await?;
        let course = loaded.course.as_ref().ok_or(PromotionError::UnknownPlan { plan: id })?;
        Ok(course.status())
    }

    /// The plans that the journal knows, in the order of their ids.
    ///
    /// # Errors
    /// What the journal says.
    pub async fn plans(&self) -> Result<Vec<PlanId>, PromotionError> {
        let attempted = "list the plans of the journal";
        let streams = host::call("journal", || self.inner.journal.streams(PREFIX))
            .await
            .map_err(PromotionError::seam(attempted))?;
        let id = |stream: Name| Ok(stream.as_str().strip_prefix(PREFIX).unwrap_or_default().parse()?);
        streams.into_iter().map(id).collect()
    }

    /// What keeps the promotions of a plan from going on, each with its blockers; who lets the plan itself go on is said by
    /// [`PlanStatus::lifted_by`]. A stage that the pipeline has lost holds up the plan that must still change it; where nothing was
    /// requested there yet, the number of its promotion is 0.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn plan_blockers(
        &self,
        id: PlanId,
    ) -> Result<Vec<(PromotionId, Vec<Blocker>)>, PromotionError> {
        let loaded = self.load_plan(id).await?;
        let course = loaded.course.as_ref().ok_or(PromotionError::UnknownPlan { plan: id })?;
        let mut list = Vec::new();
        for (_, planned, part) in course.parts() {
            if let (PartState::Asked | PartState::Reversing, Some(number)) = (part.state, part.promotion) {
                let promotion = PromotionId::new(planned.stage.clone(), number);
                let blockers = self.blockers(&promotion).await?;
                if !blockers.is_empty() {
                    list.push((promotion, blockers));
                }
                continue;
            }
            let waits = match course.state {
                PlanState::Running => part.state == PartState::Waiting,
                PlanState::RollingBack => matches!(part.state, PartState::Done | PartState::Astray),
                _ => false,
            };
            if waits && self.part_slot(planned).await?.is_none() {
                let promotion = PromotionId::new(planned.stage.clone(), part.promotion.unwrap_or_default());
                list.push((promotion, vec![Blocker::StageGone { stage: planned.stage.clone() }]));
            }
        }
        Ok(list)
    }

    /// What happened to a plan, event by event.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn plan_history(&self, id: PlanId) -> Result<Vec<PlanEntry>, PromotionError> {
        let mut entries = Vec::new();
        self.replay_plan(id, LoadedPlan::nothing(id)?.into(), |entry| entries.push(entry)).await?;
        if entries.is_empty() { Err(PromotionError::UnknownPlan { plan: id }) } else { Ok(entries) }
    }

    /// Where a plan stands, waiting until nothing more happens without a person.
    ///
    /// Needs a driver, and the timer of the tokio runtime; looks every [`Settings::poll`](super::Settings).
    ///
    /// # Errors
    /// `NotFound`, and whatever the journal says.
    pub async fn wait_plan(&self, id: PlanId) -> Result<PlanState, PromotionError> {
        loop {
            let loaded = self.load_plan(id).await?;
            let state = loaded.course.as_ref().ok_or(PromotionError::UnknownPlan { plan: id })?.state;
            if state.is_terminal() || state.needs_a_person() {
                return Ok(state);
            }
            tokio::time::sleep(self.inner.settings.poll).await;
        }
    }

    /// Withdraws a plan of which nothing was requested yet.
    ///
    /// # Errors
    /// `Conflict` when something was, or when it is not running; `NotFound`.
    pub async fn cancel_plan(
        &self,
        id: PlanId,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
    ) -> Result<(), PromotionError> {
        self.move_plan(id, Order::Cancel, actor, String::new()).await
    }

    /// Halts a running plan: nothing more is started, what is still pending is withdrawn, and what is under way goes on to its end. It is
    /// resumed, aborted or acknowledged as one that a failure has halted.
    ///
    /// # Errors
    /// `Conflict` when it is not running; `NotFound`.
    pub async fn pause_plan(
        &self,
        id: PlanId,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
        reason: impl Into<String>,
    ) -> Result<(), PromotionError> {
        self.move_plan(id, Order::Pause, actor, reason.into()).await
    }

    /// Takes back what has succeeded, in exact reverse order. What is still pending is withdrawn, what is under way is waited for.
    ///
    /// # Errors
    /// `Conflict` when it is neither running nor halted; `NotFound`.
    pub async fn abort_plan(
        &self,
        id: PlanId,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
        reason: impl Into<String>,
    ) -> Result<(), PromotionError> {
        self.move_plan(id, Order::Abort, actor, reason.into()).await
    }

    /// Lets a halted plan go on, with new promotions where they have failed or were withdrawn, or a stuck one try its way back again.
    ///
    /// # Errors
    /// `Conflict` when it is neither halted nor stuck; `NotFound`.
    pub async fn resume_plan(
        &self,
        id: PlanId,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
    ) -> Result<(), PromotionError> {
        self.move_plan(id, Order::Resume, actor, "resumed".to_owned()).await
    }

    /// Ends a halted or stuck plan as failed: its stages stay as they are.
    ///
    /// # Errors
    /// `Conflict` when it is neither halted nor stuck; `NotFound`.
    pub async fn acknowledge_plan(
        &self,
        id: PlanId,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
        reason: impl Into<String>,
    ) -> Result<(), PromotionError> {
        self.move_plan(id, Order::Acknowledge, actor, reason.into()).await
    }

    async fn move_plan(
        &self,
        id: PlanId,
        order: Order,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
        reason: String,
    ) -> Result<(), PromotionError> {
        let Actor { who, request } = Self::person(actor)?;
        let used = match request {
            Some(id) => Some(UsedRequestId {
                command: fingerprint(&(order.to(PlanState::Running), &who, &reason))?,
                id,
            }),
            None => None,
        };
        let mut permitted = false;
        for _ in 0..ATTEMPTS {
            let loaded = self.load_plan(id).await?;
            let Some(course) = &loaded.course else {
                return Err(PromotionError::UnknownPlan { plan: id });
            };
            if let Some(used) = &used
                && let Some(command) = course.requests.get(&used.id)
            {
                let same = *command == used.command;
                return if same { Ok(()) } else { Err(PromotionError::reused(&stream(id)?, &used.id)) };
            }
            if !permitted {
                let plan = OperatedPlan::new(id, course.requester());
                let stages = course.parts().map(|(_, planned, _)| &planned.stage);
                self.permit_plan(Some(plan), stages, order.operation(), &who).await?;
                permitted = true;
            }
            let (state, to) = (course.state, order.to(course.state));
            let what = order.decide(course, &reason, who.clone());
            let what = what.ok_or(PromotionError::PlanNotNow { plan: id, state, to })?;
            let entry = PlanEntry { at: self.now(), request: used.clone(), what };
            if self.append_plan(id, &loaded, &[entry]).await?.is_some() {
                return Ok(());
            }
        }
        Err(PromotionError::Contended { stream: stream(id)?, attempts: ATTEMPTS })
    }
}

pub(super) fn fingerprint(command: &impl serde::Serialize) -> Result<Digest, PromotionError> {
    let json = serde_json::to_vec(command).map_err(|error| PromotionError::Internal {
        attempted: "write a command as JSON".to_owned(),
        reason: error.to_string(),
    })?;
    Ok(Digest::of(&json))
}
