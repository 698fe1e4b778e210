use std::collections::{BTreeMap, BTreeSet};

use mcp_core::{Digest, Id, Name};

use super::Engine;
use super::plan::fingerprint;
use super::plan_stream::{LoadedPlan, stream};
use crate::authorizer::Operation;
use crate::plan::{Edge, Plan, PlanEntry, PlanHappened, PlanId, PlanRequest, PlanRequested};
use crate::{Actor, PromotionError, Release, UsedRequestId};

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

/// Asking for plans.
impl Engine {
    /// Asks for a plan; a driver requests the promotions of its first wave.
    ///
    /// Where the engine has a pin, everything that the plan brings, and all that it may bring back, is pinned first, until the plan has ended.
    ///
    /// A stage belongs to one plan at a time. Two engines that are asked at the same moment may both say yes; the promotions of one plan then
    /// wait for those of the other one, and what it finds changed halts it or takes it back.
    ///
    /// # Errors
    /// `Invalid`, naming the reason, when there is no such plan, or when a stage runs something else than the request says. `NotFound` for an
    /// unknown stage, and, with a pin, for an artifact that was never published. `Conflict` when the request id was used for another plan, when
    /// a stage belongs to another plan that has not ended, for a stage with lanes, which are named one by one, and for a lane that cannot be.
    /// `Denied` when the authorizer says so of one of the stages. `Exhausted` when it is larger than an event of the journal may be.
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
        if self.is_requested(id, used.as_ref()).await? {
            return Ok(id);
        }
        let plan = request.plan()?;
        let stages: BTreeSet<&Name> = request.items.iter().map(|item| &item.stage).collect();
        self.permit_plan(None, stages, Operation::RequestPlan, &requester).await?;
        // Of two requests for the same stage in this process the second one finds the first; which may be its own, made twice.
        let alone = self.inner.planning.lock().await;
        if self.is_requested(id, used.as_ref()).await? {
            return Ok(id);
        }
        let base = self.check_base(request).await?;
        self.check_free(request, Some(id)).await?;
        let holder = self.pin_for_plan(request, &base).await?;
        let requested =
            PlanRequested { request: request.clone(), requester, plan, base, holder: holder.clone() };
        let what = PlanHappened::Requested(Box::new(requested));
        let entry = PlanEntry { at: self.now(), request: used.clone(), what };
        let recorded = self.append_plan(id, &LoadedPlan::nothing(id)?, &[entry]).await;
        drop(alone);
        self.keep_pin_of(holder, &recorded).await;
        if recorded?.is_some() || self.is_requested(id, used.as_ref()).await? {
            return Ok(id);
        }
        Err(PromotionError::Contended { stream: stream(id)?, attempts: 1 })
    }

    /// Whether this very request was recorded before.
    async fn is_requested(&self, id: PlanId, used: Option<&UsedRequestId>) -> Result<bool, PromotionError> {
        let loaded = self.load_plan(id).await?;
        let Some(before) = &loaded.course else { return Ok(false) };
        match used {
            Some(used) if before.requests.get(&used.id) == Some(&used.command) => Ok(true),
            Some(used) => Err(PromotionError::reused(&stream(id)?, &used.id)),
            None => Err(PromotionError::Plan { reason: format!("the id {id} was given out before") }),
        }
    }

    /// What a plan would do, without asking for it: nothing is written, and nothing is pinned.
    ///
    /// # Errors
    /// Those of [`request_plan`](Self::request_plan) that the request itself is the reason of.
    pub async fn preview_plan(&self, request: &PlanRequest) -> Result<PlanPreview, PromotionError> {
        let (plan, edges) = (request.plan()?, request.edges()?);
        let base = self.check_base(request).await?;
        self.check_free(request, None).await?;
        Ok(PlanPreview { plan, edges, base })
    }

    /// What the stages run, if that is what the request says.
    async fn check_base(&self, request: &PlanRequest) -> Result<BTreeMap<Name, Release>, PromotionError> {
        let refuse = |reason: String| Err(PromotionError::Plan { reason });
        let (mut base, mut items) = (BTreeMap::new(), BTreeMap::<&Name, Vec<_>>::new());
        for item in &request.items {
            items.entry(&item.stage).or_default().push(item);
        }
        for (stage, release) in request.releases()? {
            let slot = self.slot_for_plan(&stage, &release).await?;
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
            for item in items.remove(&stage).unwrap_or_default() {
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

    /// That no plan but `own`, which another engine may just have recorded, has one of the stages.
    async fn check_free(&self, request: &PlanRequest, own: Option<PlanId>) -> Result<(), PromotionError> {
        for id in self.plans().await?.into_iter().filter(|id| Some(*id) != own) {
            if self.remembered_plan(id).await.is_some_and(|plan| plan.is_over()) {
                continue;
            }
            let other = self.load_plan(id).await?;
            let Some(course) = other.course.as_ref().filter(|course| !course.state.is_terminal()) else {
                continue;
            };
            if let Some(item) = request.items.iter().find(|item| course.place(&item.stage).is_some()) {
                let stage = item.stage.clone();
                return Err(PromotionError::StagePlanned { stage, plan: id, state: course.state });
            }
        }
        Ok(())
    }
}
