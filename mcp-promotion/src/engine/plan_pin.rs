use std::collections::BTreeMap;
use std::sync::Arc;

use mcp_core::{ErrorKind, Holder, Name, SeamError};

use super::drive::Step;
use super::plan_stream::LoadedPlan;
use super::{Engine, Task};
use crate::plan::{Course, PlanHappened, PlanId, PlanRequest, failure, kept};
use crate::{PromotionError, Release, host};

/// The pin of a plan: everything that it brings and may bring back, from before its request is recorded until it has ended. Its promotions
/// have pins of their own besides.
///
/// Pins have no fences. A driver that wakes up after making one looks whether it is still wanted.
impl Engine {
    /// Pins what a plan would bring and may bring back, until a driver makes that lasting; in whose name, where this engine has a pin.
    pub(super) async fn pin_for_plan(
        &self,
        request: &PlanRequest,
        base: &BTreeMap<Name, Release>,
    ) -> Result<Option<Holder>, PromotionError> {
        let Some(pin) = &self.inner.pin else { return Ok(None) };
        let releases = request.releases()?;
        let artifacts = kept(releases.values().chain(base.values()));
        // Not by the id of the plan: whoever asks a second time under one request id has a pin of its own to give up.
        let holder: Holder = format!("plan/{}", self.inner.ids.next_id()).parse()?;
        let expires = self.now().saturating_add(self.inner.settings.pin_grace);
        host::call("pin", || pin.pin(&holder, &artifacts, Some(expires)))
            .await
            .map_err(PromotionError::seam("pin the artifacts of a plan"))?;
        Ok(Some(holder))
    }

    /// Gives a pin up that nothing was recorded for.
    pub(super) async fn keep_pin_of(
        &self,
        holder: Option<Holder>,
        recorded: &Result<Option<Arc<LoadedPlan>>, PromotionError>,
    ) {
        let keep = match recorded {
            Ok(after) => after.is_some(),
            // It may have been recorded; if not, the pin expires.
            Err(error) => error.kind() == ErrorKind::Unavailable,
        };
        if let (Some(pin), Some(holder)) = (&self.inner.pin, holder.filter(|_| !keep))
            && host::call("release a pin", || pin.release(&holder)).await.is_err()
        {
            // Nothing to add: the pin expires.
        }
    }

    /// Makes the pin lasting; what cannot be pinned any more fails the plan before it has begun.
    pub(super) async fn pin_plan(
        &self,
        id: PlanId,
        loaded: &LoadedPlan,
        course: &Course,
    ) -> Result<Step, PromotionError> {
        let attempted = format!("make the pin of plan {id} lasting");
        let (Some(pin), Some(holder)) = (&self.inner.pin, course.holder()) else {
            let why =
                "this engine has no pin, and the request was made by one that has; give it with pin(..)";
            return Err(PromotionError::seam(attempted)(SeamError::new(ErrorKind::Unavailable, why)));
        };
        let artifacts = course.artifacts();
        match host::call("pin", || pin.pin(holder, &artifacts, None)).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                return Err(PromotionError::seam(attempted)(error));
            }
            Err(error) => {
                let failed = failure(course, format!("{attempted}: {error} ({})", error.kind()));
                return self.record_plan(id, loaded, vec![failed]).await;
            }
        }
        let recorded = self.record_plan(id, loaded, vec![PlanHappened::Pinned]).await;
        if !matches!(recorded, Ok(Step::Advanced(_)))
            && self.load_plan(id).await?.course.as_ref().is_none_or(|course| !course.is_pinned())
        {
            // While this driver slept, another one took the plan to its end, and gave up the pin that this one has just made again.
            let attempted = format!("release the pin of plan {id}, which was given up before");
            host::call("release a pin", || pin.release(holder))
                .await
                .map_err(PromotionError::seam(attempted))?;
        }
        recorded
    }

    pub(super) async fn unpin_plan(
        &self,
        id: PlanId,
        loaded: &LoadedPlan,
        course: &Course,
    ) -> Result<Step, PromotionError> {
        // An engine without a pin leaves that to one that has it.
        let (Some(pin), Some(holder)) = (&self.inner.pin, course.holder()) else {
            return Ok(Step::Waiting(None));
        };
        let task = Task::UnpinPlan(id);
        if let Err(error) = host::call("release a pin", || pin.release(holder)).await {
            // The artifacts stay for longer than needed, which harms nobody; it is tried again.
            self.inner.troubles.met(task, &PromotionError::seam("release a pin")(error), self.now());
            return Ok(Step::Waiting(None));
        }
        self.inner.troubles.over(&task);
        self.record_plan(id, loaded, vec![PlanHappened::Unpinned]).await
    }
}
