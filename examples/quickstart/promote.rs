//! Brings one edition of the crate index through the stages.

use std::time::Duration;

use mcp_core::{Clock, ErrorKind};
use mcp_promotion::{Actor, Engine, Promotion, PromotionError, PromotionId, Release, State, Step};

use crate::editions::Published;
use crate::failure::{Failure, chain};
use crate::folder::Folder;
use crate::screen::Screen;
use crate::stages::{APPROVERS, PLANS, REQUESTER, Stages};

/// A promotion that takes longer than this is waiting for something that this program does not know.
const PATIENCE: Duration = Duration::from_secs(120);

/// What to do about a promotion that cannot go on.
pub const ADVICE: &str = "mend the cause and run it again: it continues where it was";

/// Promotes one edition through every stage, until one does not take it.
pub async fn promote(
    published: &Published,
    stages: &Stages,
    folder: &Folder,
    clock: &dyn Clock,
    screen: &Screen,
) -> Result<Vec<Promotion>, Failure> {
    let artifact = &published.artifact;
    let attempt = |stage: &str| {
        format!(
            "promote {} into {stage}, with the journal {}",
            artifact.reference,
            folder.journal().display()
        )
    };
    let mut promotions = Vec::new();
    for plan in &PLANS {
        let failed = |error: PromotionError| Failure::because(attempt(plan.name), &error).advise(ADVICE);
        let release = Release::of([artifact.clone()]).map_err(failed)?;
        let key = format!("{}/{}", artifact.reference.version, plan.name);
        let requester = person(REQUESTER, &key, "request").map_err(failed)?;
        let id = stages.engine.request(plan.name, &release, requester).await.map_err(failed)?;
        let before = stages.engine.status(&id).await.map_err(failed)?;
        if before.policy.approvals > 0 && before.state == State::Pending {
            vote(&id, &key, &stages.engine, screen).await.map_err(failed)?;
        }
        let bar = screen.waiting(format!("{} into {}", artifact.reference.version, plan.name));
        let ended = drive(&id, &stages.engine, clock, &attempt(plan.name)).await;
        bar.finish_and_clear();
        let ended = ended?;
        tell(&ended, before.state.is_terminal(), screen);
        let succeeded = ended.state == State::Succeeded;
        promotions.push(ended);
        if !succeeded {
            break;
        }
    }
    Ok(promotions)
}

/// Somebody who acts, under a request id that is the same in every run.
fn person(who: &str, key: &str, act: &str) -> Result<Actor, PromotionError> {
    Actor::new(who)?.request_id(format!("quickstart/{key}/{act}").as_str())
}

/// The requester tries, and is refused; then two others approve.
async fn vote(id: &PromotionId, key: &str, engine: &Engine, screen: &Screen) -> Result<(), PromotionError> {
    match engine.approve(id, person(REQUESTER, key, "own-vote")?).await {
        Err(error) if error.kind() == ErrorKind::Denied => {
            screen.detail(&format!("{REQUESTER}'s own vote is refused: {}", chain(&error)));
        }
        Err(error) => return Err(error),
        Ok(()) => screen.detail(&format!("{REQUESTER}'s own vote was taken, which should never happen")),
    }
    for approver in APPROVERS {
        engine.approve(id, person(approver, key, approver)?).await?;
        screen.detail(&format!("{approver} approves"));
    }
    Ok(())
}

/// Makes transitions, one after the other, until the promotion has ended.
///
/// `Engine::run` would do that too, and never give up; somebody who waits wants to hear the first error.
async fn drive(
    id: &PromotionId,
    engine: &Engine,
    clock: &dyn Clock,
    attempt: &str,
) -> Result<Promotion, Failure> {
    let failed = |error: PromotionError| Failure::because(attempt, &error).advise(ADVICE);
    let began = clock.monotonic();
    loop {
        let promotion = engine.status(id).await.map_err(failed)?;
        if promotion.state.is_terminal() {
            return Ok(promotion);
        }
        let step = if promotion.state.needs_a_person() {
            Step::Waiting(None)
        } else {
            engine.step().await.map_err(failed)?
        };
        let patient = clock.monotonic().saturating_sub(began) < PATIENCE;
        match step {
            Step::Waiting(Some(until)) if patient => {
                tokio::time::sleep(until.saturating_since(clock.now())).await
            }
            Step::Advanced(_) | Step::Overtaken(_) if patient => {}
            _ => {
                let blockers = engine.blockers(id).await.map_err(failed)?;
                let blockers: Vec<String> = blockers.iter().map(ToString::to_string).collect();
                return Err(Failure::new(format!(
                    "{attempt}: it is {}: {}",
                    promotion.state,
                    blockers.join("; ")
                )));
            }
        }
    }
}

fn tell(promotion: &Promotion, before: bool, screen: &Screen) {
    let state = words(promotion.state);
    let earlier = if before { ", in an earlier run" } else { "" };
    let reason = if promotion.reason.is_empty() { String::new() } else { format!(": {}", promotion.reason) };
    screen.detail(&format!("{:<7} {state}{earlier}{reason}", promotion.id.stage.as_str()));
}

/// A state as people say it.
pub fn words(state: State) -> String {
    state.as_str().replace('_', " ")
}
