//! Who may operate, and names that no person can use.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mcp_core::{ErrorKind, SeamError};
use mcp_promotion::{
    Authorizer, Engine, OperateRequest, Operation, Permission, Policy, PromotionError, PromotionId, Roles,
    Standing, State, VoteRequest,
};

use crate::scene::{Puppet, Scene, release};

/// Lets everybody vote and nobody operate, and remembers what it was asked.
#[derive(Clone, Default)]
struct Strict(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Authorizer for Strict {
    async fn standing(&self, _request: &VoteRequest<'_>) -> Result<Option<Standing>, SeamError> {
        Ok(Some(Standing::every_level()))
    }

    async fn may_operate(&self, request: &OperateRequest<'_>) -> Result<Permission, SeamError> {
        let OperateRequest { who, operation, stage, promotion, .. } = request;
        let promotion = promotion.map_or_else(|| format!("stage {stage}"), |p| p.id.to_string());
        self.0.lock().unwrap().push(format!("{who}: {operation} {promotion}"));
        Ok(Permission::Denied { who_may: vec!["zoe".to_owned()] })
    }
}

/// Every command of an operator.
async fn every_command(engine: &Engine, id: &PromotionId, by: &str) -> Vec<PromotionError> {
    let all = [
        engine.cancel(id, by).await,
        engine.veto(id, by, "no").await,
        engine.pause(id, by, "wait").await,
        engine.resume(id, by).await,
        engine.override_with(id, by, "known").await,
        engine.abort(id, by, "no").await,
        engine.acknowledge(id, by, "seen").await,
        engine.retry(id, by).await,
        engine.rollback("prod", by).await.map(drop),
        engine.hold("prod", by, "wait").await,
        engine.lift_hold("prod", by).await,
        engine.release_lease("prod", by).await,
        engine.break_glass(id, by, "now").await,
        engine.request_without_waiting("prod", &release("2.0.0"), by, "now").await.map(drop),
        engine.review(id, by, "fine").await,
    ];
    all.into_iter().map(|outcome| outcome.unwrap_err()).collect()
}

#[tokio::test]
async fn the_authorizer_is_asked_for_every_command_of_an_operator_and_who_may_not_changes_nothing() {
    let strict = Strict::default();
    let scene = Scene::with(Policy::unverified("test").approvals(1), Puppet::default(), |builder| {
        builder.authorizer(strict.clone())
    });
    let id = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    let before = scene.engine.stage_state("prod").await.unwrap();
    let errors = every_command(&scene.engine, &id, "bob").await;
    let asked: Vec<String> =
        strict.0.lock().unwrap().iter().map(|asked| asked.replace("bob: ", "")).collect();
    let told: Vec<String> = errors
        .iter()
        .map(|error| {
            assert_eq!(error.kind(), ErrorKind::Denied);
            let text = error.to_string();
            let end = " by bob: the authorizer does not count them among those who may: zoe";
            text.strip_suffix(end).unwrap_or_else(|| panic!("{text}")).to_owned()
        })
        .collect();
    assert_eq!(told, asked);
    assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), 15, "{asked:?}");
    assert_eq!(*scene.engine.stage_state("prod").await.unwrap(), *before);
}

fn roles() -> Roles {
    let text = r#"{
        "people": {"bob": ["dev"], "dave": ["sre"], "erin": ["leads"], "frank": ["sre", "leads"]},
        "voters": ["dev"], "operators": ["sre"]
    }"#;
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn by_roles_the_operators_operate_the_voters_veto_and_everybody_cancels_what_they_requested() {
    let scene = Scene::with(Policy::unverified("test").approvals(1), Puppet::default(), |builder| {
        builder.authorizer(roles())
    });
    let id = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    let told = async |by: &str| scene.engine.cancel(&id, by).await.unwrap_err().to_string();
    assert_eq!(
        told("erin").await,
        "cancel prod/1 by erin: the authorizer does not count them among those who may: dave, frank"
    );
    assert_eq!(
        scene.engine.hold("prod", "alice", "wait").await.unwrap_err().to_string(),
        "hold stage prod by alice: the authorizer does not count them among those who may: dave, frank"
    );
    scene.engine.hold("prod", "dave", "wait").await.unwrap();
    scene.engine.lift_hold("prod", "frank").await.unwrap();
    scene.engine.cancel(&id, "alice").await.unwrap();
    let second = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    let stranger = scene.engine.veto(&second, "erin", "no").await.unwrap_err();
    assert_eq!(
        stranger.to_string(),
        format!("reject {second} by erin: the authorizer does not count them among those who may")
    );
    scene.engine.veto(&second, "bob", "the contract forbids it").await.unwrap();
    assert_eq!((scene.state(&id).await, scene.state(&second).await), (State::Cancelled, State::Rejected));
}

#[tokio::test]
async fn without_an_authorizer_everybody_may_everything_but_break_the_glass() {
    let all = [
        Operation::Cancel,
        Operation::Veto,
        Operation::Pause,
        Operation::Resume,
        Operation::Override,
        Operation::Abort,
        Operation::Acknowledge,
        Operation::Retry,
        Operation::Rollback,
        Operation::Hold,
        Operation::LiftHold,
        Operation::ReleaseLease,
        Operation::BreakGlass,
        Operation::Review,
    ];
    let refused: Vec<Operation> =
        all.into_iter().filter(|operation| operation.by_default() != Permission::Granted).collect();
    assert_eq!(refused, [Operation::BreakGlass]);
}

#[tokio::test]
async fn no_person_acts_in_a_name_in_which_the_engine_acts_by_itself() {
    let scene = Scene::new(Policy::unverified("test"));
    let id = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    for name in ["watch", "automatic"] {
        let mut errors = every_command(&scene.engine, &id, name).await;
        errors.push(scene.engine.request("prod", &release("2.0.0"), name).await.unwrap_err());
        errors.push(scene.engine.approve(&id, name).await.unwrap_err());
        errors.push(scene.engine.reject(&id, name).await.unwrap_err());
        errors.push(scene.engine.revoke(&id, name).await.unwrap_err());
        for error in errors {
            let told = format!(
                "give a command by {name}: the engine uses this name for what it does by itself; choose another one"
            );
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::Denied, told));
        }
    }
    assert_eq!(scene.engine.stage_state("prod").await.unwrap().version(), 1);
}
