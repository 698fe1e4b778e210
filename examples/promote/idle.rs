//! When `run --until-idle` ends: nothing moves, and neither time nor a driver will move anything. What it waits for meanwhile is told.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::Duration;

use mcp_core::{Clock, Name, SystemClock};
use mcp_promotion::machine::StageState;
use mcp_promotion::{
    Blocker, Engine, LiftedBy, PartState, PlanId, PlanState, PlanStatus, Promotion, PromotionId, State,
};

use crate::failure::Failure;
use crate::file::PipelineFile;
use crate::plain;

/// How often is looked.
const LOOK: Duration = Duration::from_millis(100);
/// At every which look everything is looked at, and not only whether anything moves: once a second.
const WHOLE: u32 = 10;
/// After how many such looks in a row it is told what is waited for.
const STEADY: u32 = 4;

/// Returns when only people can go on. What is waited for longer than a few seconds is told, each time that it is something else.
pub async fn wait(engine: &Engine, file: &PipelineFile, owner: &Name) -> Result<(), Failure> {
    let (mut looks, mut steady) = (0_u32, BTreeMap::new());
    loop {
        looks = looks.wrapping_add(1);
        let all = looks % WHOLE == 0;
        let mut look = Look { engine, file, owner, all, moving: BTreeSet::new() };
        look.everywhere().await?;
        if look.moving.is_empty() {
            return Ok(());
        }
        if all {
            steady = told(&steady, look.moving);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// For how many looks in a row each was waited for by now; those for which that is long are told, once.
fn told(steady: &BTreeMap<String, u32>, moving: BTreeSet<String>) -> BTreeMap<String, u32> {
    let count = |line: String| {
        let times = steady.get(&line).map_or(1, |times| times.saturating_add(1));
        if times == STEADY {
            // For people who look on: that nobody does is no reason to end.
            drop(writeln!(std::io::stderr(), "promote: waits: {}", plain::line(&line)));
        }
        (line, times)
    };
    moving.into_iter().map(count).collect()
}

/// One look at what moves, or will without people.
struct Look<'a> {
    engine: &'a Engine,
    file: &'a PipelineFile,
    /// Who drives here.
    owner: &'a Name,
    /// Whether everything is looked for; else the first is enough.
    all: bool,
    /// What was found, for people.
    moving: BTreeSet<String>,
}

impl Look<'_> {
    fn is_enough(&self) -> bool {
        !self.all && !self.moving.is_empty()
    }

    async fn everywhere(&mut self) -> Result<(), Failure> {
        let engine = self.engine;
        for (stage, policy) in engine.pipeline().stages() {
            self.stage(stage, stage).await?;
            if policy.queue.is_parallel() && !self.is_enough() {
                for status in engine.lanes(stage.clone()).await? {
                    self.stage(&status.lane.name, stage).await?;
                }
            }
            if self.is_enough() {
                return Ok(());
            }
        }
        for id in engine.plans().await? {
            self.plan(id).await?;
            if self.is_enough() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A stage, or a lane of the stage `of`.
    async fn stage(&mut self, stage: &Name, of: &Name) -> Result<(), Failure> {
        let state = self.engine.stage_state(stage.clone()).await?;
        if let Some(watch) = state.watch().filter(|_| !self.is_out_of_reach(&state, of)) {
            let promotion = state.id(watch.promotion);
            self.moving.insert(format!("{promotion} has succeeded, and is watched"));
        }
        for promotion in state.open() {
            if self.promotion(promotion).await? && self.is_enough() {
                return Ok(());
            }
        }
        if let Some(candidate) = self.engine.candidate(stage.clone()).await?
            && !candidate.blockers.iter().any(waits_for_people)
        {
            let text = format!("{stage} promotes {} by itself", candidate.release);
            self.moving.insert(with(text, &candidate.blockers));
        }
        Ok(())
    }

    /// Whether another driver, which may be gone, has the lease of a stage that cannot refuse it: an operator releases it.
    fn is_out_of_reach(&self, state: &StageState, stage: &Name) -> bool {
        let now = SystemClock::new().now();
        let other = state.lease().filter(|lease| lease.owner != *self.owner);
        other.is_some_and(|lease| !self.file.is_fenced(stage) && lease.is_over(now))
    }

    /// Whether a promotion moves, or will.
    async fn promotion(&mut self, promotion: &Promotion) -> Result<bool, Failure> {
        let Promotion { id, state, .. } = promotion;
        if state.needs_a_person() {
            return Ok(false);
        }
        let blockers = self.engine.blockers(id).await?;
        let rests = match state {
            State::Pending => blockers.iter().any(waits_for_people),
            // It is under way: what stands in its way for a moment, such as a journal that is busy, is tried again.
            _ => blockers
                .iter()
                .any(|blocker| matches!(blocker, Blocker::Leased { .. } | Blocker::StageGone { .. })),
        };
        if !rests {
            self.moving.insert(with(format!("{id} is {state}"), &blockers));
        }
        Ok(!rests)
    }

    /// Whether something happens in a plan. Its promotions are looked at once more behind its own state, so that nothing is missed that has
    /// happened since their stages were looked at.
    async fn plan(&mut self, id: PlanId) -> Result<(), Failure> {
        let plan = self.engine.plan_status(id).await?;
        if plan.state.is_terminal() {
            return Ok(());
        }
        let (mut under_way, mut pending) = (false, false);
        for (stage, part) in &plan.parts {
            if let (PartState::Asked | PartState::Reversing, Some(number)) = (part.state, part.promotion) {
                let promotion = self.engine.status(&PromotionId::new(stage.clone(), number)).await?;
                // What has ended is yet to be written down in the plan.
                if promotion.state.is_terminal() {
                    self.moving.insert(format!("plan {id} is {}", plan.state));
                    return Ok(());
                }
                if self.promotion(&promotion).await? {
                    return Ok(());
                }
                (under_way, pending) = (true, pending || promotion.state == State::Pending);
            }
        }
        let moves = match plan.state {
            PlanState::Running => has_room(&plan),
            // What is still pending is withdrawn.
            PlanState::Halted => pending,
            PlanState::RollingBack => pending || !under_way,
            _ => false,
        };
        if moves {
            self.moving.insert(format!("plan {id} is {}", plan.state));
        }
        Ok(())
    }
}

/// What is waited for, and what lifts it.
fn with(text: String, blockers: &[Blocker]) -> String {
    let blockers: Vec<String> = blockers.iter().map(ToString::to_string).collect();
    if blockers.is_empty() { text } else { format!("{text}: {}", blockers.join("; ")) }
}

/// Whether neither time nor this driver lifts it: a person does, or something that itself waits or is looked at on its own.
fn waits_for_people(blocker: &Blocker) -> bool {
    fn people(by: &LiftedBy) -> bool {
        match by {
            LiftedBy::Time | LiftedBy::Gate(_) | LiftedBy::Driver(_) => false,
            LiftedBy::AnyOf(several) => several.iter().all(people),
            _ => true,
        }
    }
    people(&blocker.lifted_by())
}

/// Whether a running plan is about to request something, or to say that it has succeeded.
fn has_room(plan: &PlanStatus) -> bool {
    let is = |stage: &Name, state: PartState| plan.parts.get(stage).is_some_and(|part| part.state == state);
    let mut waves = plan.plan.waves().iter();
    let Some(wave) = waves.find(|wave| !wave.iter().flatten().all(|stage| is(stage, PartState::Done))) else {
        return true;
    };
    let waits = |stage: &Name| is(stage, PartState::Waiting);
    let begun = wave.iter().any(|group| group.iter().any(waits) && !group.iter().all(waits));
    let whole = wave.iter().any(|group| group.iter().all(waits));
    let busy = wave.iter().filter(|group| group.iter().any(|stage| is(stage, PartState::Asked))).count();
    let limit = plan.request.parallelism.map_or(usize::MAX, |limit| limit.get() as usize);
    begun || (whole && busy < limit)
}
