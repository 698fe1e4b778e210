//! Who may ask for plans, and do what to them.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mcp_core::{ErrorKind, SeamError};
use mcp_promotion::{
    Actor, Authorizer, Engine, OperateRequest, Operation, Permission, PlanId, PlanState, PromotionError,
    Roles, Standing, VoteRequest,
};

use crate::fleet::{Fleet, NAMES, request};

fn roles() -> Roles {
    let text = r#"{
        "people": {"alice": ["sre"], "bob": ["dev"], "dave": ["sre"], "erin": ["leads"]},
        "voters": ["dev"], "operators": ["sre"]
    }"#;
    serde_json::from_str(text).unwrap()
}

async fn every_command(engine: &Engine, id: PlanId, by: &str) -> Vec<PromotionError> {
    let all = [
        engine.request_plan(&request(), by).await.map(drop),
        engine.cancel_plan(id, by).await,
        engine.pause_plan(id, by, "wait").await,
        engine.abort_plan(id, by, "no").await,
        engine.resume_plan(id, by).await,
        engine.acknowledge_plan(id, by, "seen").await,
    ];
    all.into_iter().map(|outcome| outcome.unwrap_err()).collect()
}

#[tokio::test]
async fn by_roles_the_operators_ask_for_plans_and_operate_them_and_nobody_else_does() {
    let fleet = Fleet::approved().await;
    let engine = fleet.with("roles", |builder| builder.authorizer(roles()));
    let id = engine.request_plan(&request(), "alice").await.unwrap();
    let before = engine.plan_history(id).await.unwrap();
    // A voter, a person without such a group, and one whom nobody knows.
    for by in ["bob", "erin", "mallory"] {
        let attempts = ["request a plan for stage auth", "cancel", "pause", "abort", "resume", "acknowledge"];
        for (error, attempt) in every_command(&engine, id, by).await.iter().zip(attempts) {
            let attempt = match attempt.contains(' ') {
                true => attempt.to_owned(),
                false => format!("{attempt} plan {id} in stage auth"),
            };
            let told = format!(
                "{attempt} by {by}: the authorizer does not count them among those who may: alice, dave"
            );
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::Denied, told));
        }
    }
    assert_eq!(engine.plan_history(id).await.unwrap(), before, "nothing has changed");
    engine.pause_plan(id, "dave", "lunch").await.unwrap();
    engine.resume_plan(id, "alice").await.unwrap();
    engine.cancel_plan(id, "dave").await.unwrap();
    assert_eq!(engine.plan_status(id).await.unwrap().state, PlanState::Cancelled);
}

#[tokio::test]
async fn who_asked_for_a_plan_may_cancel_it_whatever_became_of_their_role() {
    let fleet = Fleet::approved().await;
    let engine = fleet.with("roles", |builder| builder.authorizer(roles()));
    let id = engine.request_plan(&request(), "alice").await.unwrap();
    let mut fewer = roles();
    fewer.people.remove(&"alice".parse().unwrap());
    let later = fleet.with("later", |builder| builder.authorizer(fewer));
    let refused = later.pause_plan(id, "alice", "wait").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied, "{refused}");
    later.cancel_plan(id, "alice").await.unwrap();
    assert_eq!(later.plan_status(id).await.unwrap().state, PlanState::Cancelled);
}

#[tokio::test]
async fn a_command_that_was_obeyed_is_answered_again_whoever_may_give_it_by_now() {
    let fleet = Fleet::approved().await;
    let engine = fleet.with("roles", |builder| builder.authorizer(roles()));
    let alice = |key: &str| Actor::new("alice").unwrap().request_id(key).unwrap();
    let id = engine.request_plan(&request(), alice("ask")).await.unwrap();
    engine.pause_plan(id, alice("pause"), "lunch").await.unwrap();
    let nobody = fleet.with("later", |builder| builder.authorizer(Roles::default()));
    assert_eq!(nobody.request_plan(&request(), alice("ask")).await.unwrap(), id);
    nobody.pause_plan(id, alice("pause"), "lunch").await.unwrap();
    assert_eq!(nobody.resume_plan(id, alice("new")).await.unwrap_err().kind(), ErrorKind::Denied);
}

/// Lets everybody do everything, but in one stage; and remembers what it was asked.
#[derive(Clone, Default)]
struct NotInWeb(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Authorizer for NotInWeb {
    async fn standing(&self, _request: &VoteRequest<'_>) -> Result<Option<Standing>, SeamError> {
        Ok(None)
    }

    async fn may_operate(&self, request: &OperateRequest<'_>) -> Result<Permission, SeamError> {
        let OperateRequest { who, operation, stage, plan, .. } = request;
        let plan = plan.map(|plan| format!(" of the plan of {}", plan.requester)).unwrap_or_default();
        self.0.lock().unwrap().push(format!("{who}: {operation} {stage}{plan}"));
        let denied = stage.as_str() == "web" && *operation != Operation::RequestPlan;
        Ok(if denied { Permission::Denied { who_may: Vec::new() } } else { Permission::Granted })
    }
}

#[tokio::test]
async fn what_is_done_to_a_plan_is_asked_for_each_of_its_stages_and_one_no_is_enough() {
    let (fleet, asked) = (Fleet::plain(&NAMES).await, NotInWeb::default());
    let engine = fleet.with("strict", |builder| builder.authorizer(asked.clone()));
    let id = engine.request_plan(&request(), "alice").await.unwrap();
    let refused = engine.pause_plan(id, "bob", "wait").await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("pause plan {id} in stage web by bob: the authorizer names nobody who may")
    );
    assert_eq!(
        *asked.0.lock().unwrap(),
        [
            "alice: request a plan for auth",
            "alice: request a plan for billing",
            "alice: request a plan for web",
            "bob: pause auth of the plan of alice",
            "bob: pause billing of the plan of alice",
            "bob: pause web of the plan of alice",
        ]
    );
    assert_eq!(engine.plan_status(id).await.unwrap().state, PlanState::Running);
}
