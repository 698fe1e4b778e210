use std::collections::BTreeMap;

use mcp_core::{Digest, Id, Name, Principal};

use super::Engine;
use super::plan_stream::{LoadedPlan, PREFIX, stream};
use crate::host;
use crate::plan::{
    Course, Edge, PartState, Plan, PlanEntry, PlanHappened, PlanId, PlanRequest, PlanRequested, PlanState,
    PlanStatus, changed,
};
use crate::{Actor, Blocker, PromotionError, PromotionId, Release, UsedRequestId};

/// How often a command is decided again because others were faster.
const ATTEMPTS: u32 = 32;

/// What a plan would do: what [`Engine::preview_plan`] answers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PlanPreview {
    /// The order in which the stages would be changed; the way back is its [`rollback`](Plan::rollback).
    pub plan: Plan,
    /// Why one stage goes before another one, for each pair that needs an order.
    pub edges: Vec<Edge>,
    /// What each stage runs now, which is what a rollback would bring back; stages that run nothing are absent.
    pub base: BTreeMap<Name, Release>,
}

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
/// Commands are idempotent by the request id of their [`Actor`], and fail as those for promotions do.
impl Engine {
    /// Asks for a plan; a driver requests the promotions of its first wave.
    ///
    /// # Errors
    /// `Invalid`, naming the reason, when there is no such plan, or when a stage runs something else than the request says. `NotFound` for an
    /// unknown stage. `Conflict` when the request id was used for another plan. `Exhausted` when it is larger than an event of the journal may
    /// be.
    pub async fn request_plan(
        &self,
        request: &PlanRequest,
        actor: impl TryInto<Actor, Error: Into<PromotionError>>,
    ) -> Result<PlanId, PromotionError> {
        let Actor { who: requester, request: key } = Self::person(actor)?;
        let id = PlanId(match &key {
            // The same request id finds the same stream.
            Some(key) => {
                let digest = Digest::of(format!("mcp plan\n{key}").as_bytes());
                Id::from_u128(u128::from_be_bytes(*digest.as_bytes().first_chunk().unwrap_or(&[0; 16])))
            }
            None => self.inner.ids.next_id(),
        });
        let used = match key {
            Some(key) => Some(UsedRequestId { command: fingerprint(&(request, &requester))?, id: key }),
            None => None,
        };
        if let Some(before) = &self.load_plan(id).await?.course {
            return match used {
                Some(used) if before.requests.get(&used.id) == Some(&used.command) => Ok(id),
                Some(used) => Err(PromotionError::reused(&stream(id)?, &used.id)),
                None => Err(PromotionError::Plan { reason: format!("the id {id} was given out before") }),
            };
        }
        let plan = request.plan()?;
        let base = self.check_base(request).await?;
        let requested = PlanRequested { request: request.clone(), requester, plan, base };
        let what = PlanHappened::Requested(Box::new(requested));
        let entry = PlanEntry { at: self.now(), request: used.clone(), what };
        if self.append_plan(id, &LoadedPlan::nothing(id)?, &[entry]).await?.is_some() {
            return Ok(id);
        }
        match (&self.load_plan(id).await?.course, used) {
            (Some(before), Some(used)) if before.requests.get(&used.id) == Some(&used.command) => Ok(id),
            (Some(_), Some(used)) => Err(PromotionError::reused(&stream(id)?, &used.id)),
            _ => Err(PromotionError::Contended { stream: stream(id)?, attempts: 1 }),
        }
    }

    /// What a plan would do, without asking for it: nothing is written, and nothing is pinned.
    ///
    /// # Errors
    /// Those of [`request_plan`](Self::request_plan) that the request itself is the reason of.
    pub async fn preview_plan(&self, request: &PlanRequest) -> Result<PlanPreview, PromotionError> {
        let (plan, edges) = (request.plan()?, request.edges()?);
        Ok(PlanPreview { plan, edges, base: self.check_base(request).await? })
    }

    /// What the stages run, if that is what the request says.
    async fn check_base(&self, request: &PlanRequest) -> Result<BTreeMap<Name, Release>, PromotionError> {
        let refuse = |reason: String| Err(PromotionError::Plan { reason });
        let mut base = BTreeMap::new();
        for (stage, release) in request.releases()? {
            let slot = self.slot(&stage).await?;
            Self::as_one(slot, "plan a release into")?;
            let state = self.load(slot).await?;
            if state.is_unsettled() {
                return refuse(format!(
                    "nobody knows what {stage} runs since a failure there was acknowledged"
                ));
            }
            let current = state.current().map(|deployed| &deployed.release);
            let mut runs: BTreeMap<_, _> = current
                .into_iter()
                .flat_map(|release| release.artifacts())
                .map(|artifact| (&artifact.reference.name, &artifact.reference.version))
                .collect();
            for item in request.items.iter().filter(|item| item.stage == stage) {
                let name = &item.artifact.reference.name;
                let found = runs.remove(name);
                if found != item.from.as_ref() {
                    let shown = |version: Option<&_>| version.map_or("none".to_owned(), ToString::to_string);
                    let (found, from) = (shown(found), shown(item.from.as_ref()));
                    return refuse(format!("of {name}, {stage} runs {found}, and the request says {from}"));
                }
            }
            if let Some((name, version)) = runs.into_iter().next() {
                return refuse(format!("{stage} also runs {name} {version}, which the request leaves out"));
            }
            if current.is_some_and(|current| current.digest() == release.digest()) {
                return refuse(format!("{stage} runs all of this already; name it as present instead"));
            }
            base.extend(current.map(|current| (stage, current.clone())));
        }
        Ok(base)
    }

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
    /// [`PlanStatus::lifted_by`].
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

fn fingerprint(command: &impl serde::Serialize) -> Result<Digest, PromotionError> {
    let json = serde_json::to_vec(command).map_err(|error| PromotionError::Internal {
        attempted: "write a command as JSON".to_owned(),
        reason: error.to_string(),
    })?;
    Ok(Digest::of(&json))
}
