//! When `run --until-idle` ends: nothing moves, and neither time nor a driver will move anything.

use std::time::Duration;

use mcp_core::Name;
use mcp_promotion::{
    Blocker, Engine, LiftedBy, PartState, PlanId, PlanState, PlanStatus, Promotion, PromotionId, State,
};

use crate::failure::Failure;

/// How often is looked.
const LOOK: Duration = Duration::from_millis(100);

/// Returns when only people can go on.
pub async fn wait(engine: &Engine) -> Result<(), Failure> {
    while moves(engine).await? {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

async fn moves(engine: &Engine) -> Result<bool, Failure> {
    for (stage, policy) in engine.pipeline().stages() {
        if stage_moves(engine, stage).await? {
            return Ok(true);
        }
        if policy.queue.is_parallel() {
            for status in engine.lanes(stage.clone()).await? {
                if stage_moves(engine, &status.lane.name).await? {
                    return Ok(true);
                }
            }
        }
    }
    for id in engine.plans().await? {
        if plan_moves(engine, id).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn stage_moves(engine: &Engine, stage: &Name) -> Result<bool, Failure> {
    let state = engine.stage_state(stage.clone()).await?;
    if state.watch().is_some() {
        return Ok(true);
    }
    for promotion in state.open() {
        if promotion_moves(engine, promotion).await? {
            return Ok(true);
        }
    }
    let candidate = engine.candidate(stage.clone()).await?;
    Ok(candidate.is_some_and(|candidate| !candidate.blockers.iter().any(waits_for_people)))
}

async fn promotion_moves(engine: &Engine, promotion: &Promotion) -> Result<bool, Failure> {
    Ok(match promotion.state {
        State::Pending => !engine.blockers(&promotion.id).await?.iter().any(waits_for_people),
        state => !state.needs_a_person(),
    })
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

/// Whether something happens in a plan. Its promotions are looked at once more behind its own state, so that nothing is missed that has
/// happened since their stages were looked at.
async fn plan_moves(engine: &Engine, id: PlanId) -> Result<bool, Failure> {
    let plan = engine.plan_status(id).await?;
    if plan.state.is_terminal() {
        return Ok(false);
    }
    let (mut under_way, mut pending) = (false, false);
    for (stage, part) in &plan.parts {
        if let (PartState::Asked | PartState::Reversing, Some(number)) = (part.state, part.promotion) {
            let promotion = engine.status(&PromotionId::new(stage.clone(), number)).await?;
            // What has ended is yet to be written down in the plan.
            if promotion.state.is_terminal() || promotion_moves(engine, &promotion).await? {
                return Ok(true);
            }
            (under_way, pending) = (true, pending || promotion.state == State::Pending);
        }
    }
    Ok(match plan.state {
        PlanState::Running => has_room(&plan),
        // What is still pending is withdrawn.
        PlanState::Halted => pending,
        PlanState::RollingBack => pending || !under_way,
        _ => false,
    })
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
