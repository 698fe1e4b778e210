use std::collections::BTreeMap;
use std::sync::Arc;

use mcp_core::{ErrorKind, Name, Timestamp};

use super::commands::Ask;
use super::drive::{MAX_OVERTAKEN, Step};
use super::plan_sight::Sight;
use super::plan_stream::LoadedPlan;
use super::stop::Stop;
use super::stream::Change;
use super::{Engine, Task};
use crate::journal::Append;
use crate::machine::Command;
use crate::plan::{Course, PlanEntry, PlanHappened, PlanId, PlanNext, PlanState, changed, failure, next};
use crate::{Actor, Kind, PromotionError};

/// Driving plans: look at the stages, then one append.
impl Engine {
    /// One step in the first plan that has something to do.
    pub(super) async fn step_plans(&self) -> Result<Step, PromotionError> {
        let mut trouble = None;
        let plans = self.plans().await;
        self.note(Task::Plans, &plans);
        for id in plans? {
            let mut sight = self.inner.sights.take(id);
            // What this engine drives it has just read, and knows what has changed there.
            sight.forget(|stage| self.met(stage).is_none_or(|slot| slot.stage.is_none()));
            let step = self.step_plan(id, &mut sight).await;
            self.note(Task::Plan(id), &step);
            if step.is_ok() {
                self.inner.sights.keep(id, sight);
            }
            match step {
                Ok(Step::Waiting(_)) => {}
                Ok(step) => return Ok(step),
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        trouble.map_or(Ok(Step::Waiting(None)), Err)
    }

    /// One step in one plan; whatever is not in `sight` yet, or has changed since, is looked at.
    async fn step_plan(&self, id: PlanId, sight: &mut Sight) -> Result<Step, PromotionError> {
        if self.remembered_plan(id).await.is_some_and(|plan| plan.is_over()) {
            *sight = Sight::default();
            self.inner.troubles.over(&Task::UnpinPlan(id));
            return Ok(Step::Waiting(None));
        }
        let loaded = self.load_plan(id).await?;
        let Some(course) = &loaded.course else {
            return Ok(Step::Waiting(None));
        };
        self.look(course, sight).await?;
        loop {
            let todo = next(course, &sight.seen);
            let place = match &todo {
                PlanNext::Ask(place) | PlanNext::Reverse(place) | PlanNext::Withdraw(place) => *place,
                PlanNext::Record(events) => return self.record_plan(id, &loaded, events.clone()).await,
                PlanNext::Pin => return self.pin_plan(id, &loaded, course).await,
                PlanNext::Unpin => return self.unpin_plan(id, &loaded, course).await,
                PlanNext::Wait => return Ok(Step::Waiting(None)),
            };
            // Before anything is done to a stage it is looked at once more.
            if self.look_at(course, sight, place).await? {
                continue;
            }
            let Some((planned, _)) = course.part(place) else {
                return Ok(Step::Waiting(None));
            };
            let stage = planned.stage.clone();
            let step = match todo {
                PlanNext::Withdraw(_) => self.withdraw(id, &loaded, course, &stage).await,
                PlanNext::Reverse(_) => self.ask_in(id, &loaded, course, Kind::Rollback, stage).await,
                _ => self.ask_in(id, &loaded, course, Kind::Deploy, stage).await,
            };
            return match step {
                Err(PromotionError::Contended { .. } | PromotionError::NotNow { .. }) => {
                    Ok(Step::Overtaken(loaded.chain.stream().clone()))
                }
                other => other,
            };
        }
    }

    pub(super) async fn record_plan(
        &self,
        id: PlanId,
        loaded: &LoadedPlan,
        events: Vec<PlanHappened>,
    ) -> Result<Step, PromotionError> {
        let at = self.now();
        let entries: Vec<PlanEntry> =
            events.into_iter().map(|what| PlanEntry { at, request: None, what }).collect();
        let stream = loaded.chain.stream().clone();
        let appended = self.append_plan(id, loaded, &entries).await?.is_some();
        Ok(if appended { Step::Advanced(stream) } else { Step::Overtaken(stream) })
    }

    /// Requests a promotion, in one append with the event that says so in the plan.
    async fn ask_in(
        &self,
        id: PlanId,
        loaded: &LoadedPlan,
        course: &Course,
        kind: Kind,
        stage: Name,
    ) -> Result<Step, PromotionError> {
        let Some((part, _)) = course.place(&stage).and_then(|place| course.part(place)) else {
            return Ok(Step::Waiting(None));
        };
        let release = match (kind, &part.base) {
            (Kind::Deploy, _) => part.release.clone(),
            (Kind::Rollback, Some(base)) => base.clone(),
            (Kind::Rollback, None) => return Ok(Step::Waiting(None)),
        };
        let at = self.now();
        let entry = |promotion: u64| {
            let stage = stage.clone();
            let what = match kind {
                Kind::Deploy => PlanHappened::Asked { stage, promotion },
                Kind::Rollback => PlanHappened::Reversing { stage, promotion },
            };
            PlanEntry { at, request: None, what }
        };
        let also = |promotion: u64| -> Result<Append, PromotionError> {
            Ok(loaded.write(id, &[entry(promotion)])?.0)
        };
        let asked = async {
            let slot = self.slot_for_plan(&stage, &release).await?;
            let policy = match kind {
                Kind::Deploy => Arc::clone(&slot.policy),
                Kind::Rollback => Arc::new(slot.policy.for_rollback()),
            };
            let actor = Actor::from(course.requester().clone());
            let ask = Ask { also: Some(&also), ..Ask::new(kind, release.clone(), policy, actor) };
            self.ask(slot, ask).await
        };
        let reason = match asked.await {
            Ok(promotion) => {
                self.emit_plan(id, loaded.chain.version(), &[entry(promotion.number)], Some(course));
                return Ok(Step::Advanced(loaded.chain.stream().clone()));
            }
            Err(PromotionError::NoRollbackTarget { reason, .. }) => format!("roll back {stage}: {reason}"),
            // Such as a stage that has lanes since.
            Err(error @ (PromotionError::Lane { .. } | PromotionError::HasLanes { .. })) => error.to_string(),
            // Such as an artifact that was never published: asking again does not help.
            Err(error @ PromotionError::Seam { .. }) if error.kind() != ErrorKind::Unavailable => {
                format!("{error}: {}", error.kind())
            }
            Err(error) => return Err(error),
        };
        let failed = match kind {
            Kind::Deploy => failure(course, reason),
            Kind::Rollback => changed(course, PlanState::Stuck, reason, None),
        };
        self.record_plan(id, loaded, vec![failed]).await
    }

    /// Withdraws the pending promotion of a plan that does not want it any more, in one append with the event that says so.
    async fn withdraw(
        &self,
        id: PlanId,
        loaded: &LoadedPlan,
        course: &Course,
        stage: &Name,
    ) -> Result<Step, PromotionError> {
        let part = course.place(stage).and_then(|place| course.part(place));
        let Some(promotion) = part.and_then(|(_, part)| part.promotion) else {
            return Ok(Step::Waiting(None));
        };
        let (at, by) = (self.now(), course.requester().clone());
        let what = PlanHappened::Withdrawn { stage: stage.clone() };
        let entries = [PlanEntry { at, request: None, what }];
        let also = |_| -> Result<Append, PromotionError> { Ok(loaded.write(id, &entries)?.0) };
        let command = Command::Cancel { promotion, by };
        let change = Change { also: Some(&also), ..Change::command(&command, None) };
        self.commit(self.slot(stage).await?, change).await?;
        self.emit_plan(id, loaded.chain.version(), &entries, Some(course));
        Ok(Step::Advanced(loaded.chain.stream().clone()))
    }

    /// Drives the plans until this engine is stopped. What has happened in other processes is looked for as often as [`Settings::poll`] says;
    /// what this engine knows of is looked at at once, and nothing else is: a plan of many stages costs as much for each.
    ///
    /// [`Settings::poll`]: super::Settings
    pub(super) async fn run_plans(&self, mut stop: Stop) {
        let mut news = self.inner.plan_news.subscribe();
        let mut overtaken = 0_u32;
        let (mut sights, mut look) = (BTreeMap::new(), self.now());
        while !stop.is_told() {
            news.mark_unchanged();
            let round = Box::pin(self.step_known_plans(&mut sights, &mut look));
            let step = stop.within(self.inner.settings.stop_grace, round).await;
            overtaken = if let Some(Step::Overtaken(_)) = step { overtaken.saturating_add(1) } else { 0 };
            match step {
                None => break,
                // Who is always overtaken must not try all the time.
                Some(Step::Advanced(_) | Step::Overtaken(_)) if overtaken <= MAX_OVERTAKEN => {
                    tokio::task::yield_now().await;
                    continue;
                }
                _ => {}
            }
            tokio::select! {
                _ = news.changed() => {}
                () = stop.told() => {}
                () = tokio::time::sleep(self.inner.settings.poll) => {}
            }
        }
    }

    /// One step in each plan: what one of them has come to, where not all wait.
    async fn step_known_plans(&self, sights: &mut BTreeMap<PlanId, Sight>, look: &mut Timestamp) -> Step {
        self.find_plans(sights, look).await;
        let mut first = None;
        for (id, sight) in sights {
            let step = self.step_plan(*id, sight).await;
            self.note(Task::Plan(*id), &step);
            match step {
                Ok(Step::Waiting(_)) => {}
                Ok(step @ Step::Advanced(_)) => first = Some(step),
                Ok(step) => first = first.or(Some(step)),
                // It is tried again, with another look.
                Err(_) => *sight = Sight::default(),
            }
        }
        first.unwrap_or(Step::Waiting(None))
    }

    /// The plans that are not over: those of the journal, each to be looked at anew, when it is time for that, and those that this engine has
    /// come to know since.
    async fn find_plans(&self, sights: &mut BTreeMap<PlanId, Sight>, look: &mut Timestamp) {
        let now = self.now();
        if *look <= now || look.saturating_since(now) > self.inner.settings.poll {
            *look = now.saturating_add(self.inner.settings.poll);
            let plans = self.plans().await;
            self.note(Task::Plans, &plans);
            if let Ok(plans) = plans {
                *sights = plans.into_iter().map(|id| (id, Sight::default())).collect();
            }
        }
        let plans = self.inner.plans.lock().await;
        for (id, plan) in plans.iter() {
            if plan.is_over() {
                sights.remove(id);
            } else {
                sights.entry(*id).or_default();
            }
        }
    }
}
