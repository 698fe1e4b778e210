//! Golden transcripts of what operators do and of what goes wrong, one short life each.

use mcp_core::Clock;
use mcp_promotion::{OnNoPredecessor, Policy, PromotionId, Queue, State, Step};

use crate::scene::{MINUTE, Puppet, Scene, Trick, release};
use crate::transcripts::check;

fn plain() -> Policy {
    Policy::unverified("test")
}

/// Three windows of good health.
fn judged() -> Policy {
    Policy::healthy_for(MINUTE / 2)
}

async fn asked(scene: &Scene, version: &str) -> PromotionId {
    scene.engine.request("prod", &release(version), "alice").await.unwrap()
}

/// Steps, and lets time pass, until the promotion gets there.
async fn until(scene: &Scene, id: &PromotionId, state: State) {
    for _ in 0..200 {
        if scene.state(id).await == state {
            return;
        }
        if let Step::Waiting(Some(until)) = scene.engine.step().await.unwrap() {
            scene.clock.advance(until.saturating_since(scene.clock.now()));
        }
    }
    panic!("{id} is never {state}");
}

/// Version 1.0.0 runs, and version 2.0.0 is on its way in this state.
async fn second(policy: Policy, state: State) -> (Scene, PromotionId) {
    let scene = Scene::new(policy);
    let first = asked(&scene, "1.0.0").await;
    until(&scene, &first, State::Succeeded).await;
    let id = asked(&scene, "2.0.0").await;
    until(&scene, &id, state).await;
    (scene, id)
}

#[tokio::test]
async fn a_request_that_nobody_approves_in_time_expires() {
    let scene = Scene::new(plain().approvals(1).expires_after(Some(MINUTE)));
    let id = asked(&scene, "1.0.0").await;
    until(&scene, &id, State::Expired).await;
    check(&scene, "expired").await;
}

#[tokio::test]
async fn a_newer_request_takes_the_place_of_one_that_is_pending() {
    let scene = Scene::new(plain().approvals(1).queue(Queue::SupersedePending));
    let first = asked(&scene, "1.0.0").await;
    let second = asked(&scene, "2.0.0").await;
    scene.engine.approve(&second, "bob").await.unwrap();
    until(&scene, &second, State::Succeeded).await;
    assert_eq!(scene.state(&first).await, State::Superseded);
    check(&scene, "superseded").await;
}

#[tokio::test]
async fn an_approval_that_is_taken_back_does_not_count() {
    let scene = Scene::new(plain().approvals(2));
    let id = asked(&scene, "1.0.0").await;
    scene.engine.approve(&id, "bob").await.unwrap();
    scene.engine.revoke(&id, "bob").await.unwrap();
    scene.engine.approve(&id, "carol").await.unwrap();
    scene.settle().await;
    assert_eq!(scene.state(&id).await, State::Pending);
    check(&scene, "revoked").await;
}

#[tokio::test]
async fn what_is_aborted_goes_back_from_each_state_in_which_it_may_run_already() {
    for state in [State::Deploying, State::Verifying, State::Paused] {
        let (scene, id) = match state {
            State::Paused => {
                let (scene, id) = second(judged(), State::Verifying).await;
                scene.engine.pause(&id, "bob", "look at it").await.unwrap();
                (scene, id)
            }
            state => second(judged(), state).await,
        };
        scene.engine.abort(&id, "bob", "it is bad").await.unwrap();
        until(&scene, &id, State::RolledBack).await;
        assert_eq!(scene.prod.running(), Some(release("1.0.0").digest()));
        check(&scene, &format!("aborted_{state}")).await;
    }
}

#[tokio::test]
async fn a_paused_promotion_goes_on_where_it_was_or_is_declared_a_success() {
    let (scene, id) = second(judged(), State::Verifying).await;
    scene.engine.pause(&id, "bob", "look at it").await.unwrap();
    scene.engine.resume(&id, "carol").await.unwrap();
    until(&scene, &id, State::Succeeded).await;
    check(&scene, "resumed").await;

    let (scene, id) = second(judged(), State::Verifying).await;
    scene.engine.pause(&id, "bob", "look at it").await.unwrap();
    scene.engine.override_with(&id, "bob", "seen with my own eyes").await.unwrap();
    until(&scene, &id, State::Succeeded).await;
    check(&scene, "overridden").await;
}

#[tokio::test]
async fn a_stuck_promotion_is_given_up_by_a_person_who_cares_for_the_stage() {
    let (scene, id) = second(judged(), State::Verifying).await;
    scene.engine.abort(&id, "bob", "it is bad").await.unwrap();
    scene.prod.trick([Trick::ObserveUnknown]);
    until(&scene, &id, State::Stuck).await;
    scene.engine.acknowledge(&id, "bob", "done by hand").await.unwrap();
    let next = asked(&scene, "3.0.0").await;
    until(&scene, &next, State::Succeeded).await;
    assert_eq!(scene.state(&id).await, State::Failed);
    check(&scene, "acknowledged").await;
}

#[tokio::test]
async fn a_rollback_that_an_operator_requested_and_that_fails_is_stuck_and_never_rolled_back() {
    let (scene, _) = second(judged(), State::Succeeded).await;
    let back = scene.engine.rollback("prod", "bob").await.unwrap();
    scene.prod.ill(&release("1.0.0"), Some(0));
    until(&scene, &back, State::Stuck).await;
    let retried = scene.engine.retry(&back, "bob").await.unwrap_err();
    assert_eq!(
        retried.to_string(),
        format!("retry {back}: it is stuck, a rollback; acknowledge it, then request another one")
    );
    scene.engine.acknowledge(&back, "bob", "both are bad").await.unwrap();
    check(&scene, "rollback_stuck").await;
}

#[tokio::test]
async fn the_lease_of_a_driver_that_is_gone_is_given_up_by_an_operator() {
    let puppet = Puppet { unfenced: true, ..Puppet::default() };
    let scene = Scene::with(judged(), puppet, |builder| builder);
    let id = asked(&scene, "1.0.0").await;
    until(&scene, &id, State::Verifying).await;
    scene.engine.release_lease("prod", "bob").await.unwrap();
    until(&scene, &id, State::Succeeded).await;
    check(&scene, "lease_given_up").await;
}

#[tokio::test]
async fn a_first_release_that_fails_is_paused_or_removed_by_policy() {
    let paused = Scene::new(judged());
    paused.prod.ill(&release("1.0.0"), Some(0));
    let id = asked(&paused, "1.0.0").await;
    until(&paused, &id, State::Paused).await;
    check(&paused, "first_paused").await;

    let removed = Scene::new(judged().on_no_predecessor(OnNoPredecessor::Remove));
    removed.prod.ill(&release("1.0.0"), Some(0));
    let id = asked(&removed, "1.0.0").await;
    until(&removed, &id, State::RolledBack).await;
    check(&removed, "first_removed").await;
}

#[tokio::test]
async fn what_cannot_be_applied_and_left_no_trace_has_failed() {
    let (scene, id) = second(plain(), State::Deploying).await;
    scene.prod.trick([Trick::ApplyFails, Trick::ApplyFails, Trick::ApplyFails]);
    until(&scene, &id, State::Failed).await;
    check(&scene, "failed").await;
}

#[tokio::test]
async fn what_somebody_else_put_there_pauses_and_is_replaced_once_a_person_accepts_that() {
    let (scene, id) = second(plain(), State::Deploying).await;
    scene.prod.trick([Trick::Foreign(release("9.9.9").digest())]);
    until(&scene, &id, State::Paused).await;
    scene.engine.resume(&id, "bob").await.unwrap();
    until(&scene, &id, State::Succeeded).await;
    check(&scene, "drifted").await;
}

#[tokio::test]
async fn what_has_succeeded_in_dev_goes_on_by_itself_until_a_release_is_taken_back() {
    let scene = Scene::new(judged().after("dev").automatic());
    scene.prod.ill(&release("2.0.0"), Some(0));
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
        scene.promoted("dev", version).await;
    }
    scene.engine.lift_hold("prod", "bob").await.unwrap();
    scene.settle().await;
    assert_eq!(scene.prod.running(), Some(release("3.0.0").digest()));
    check(&scene, "automatic").await;
}

#[tokio::test]
async fn a_review_that_nobody_gives_is_told_of_once() {
    let roles = r#"{"people": {"dave": ["sre"]}, "operators": ["sre"], "glass_breakers": ["sre"]}"#;
    let roles: mcp_promotion::Roles = serde_json::from_str(roles).unwrap();
    let policy = plain().approvals(1).review_within(MINUTE);
    let scene = Scene::with(policy, Puppet::default(), |builder| builder.authorizer(roles));
    let id = scene
        .engine
        .request_without_waiting("prod", &release("1.0.0"), "dave", "customers cannot pay")
        .await
        .unwrap();
    scene.settle().await;
    let owed = scene.engine.obligations().await.unwrap();
    assert_eq!((owed.len(), owed[0].told_overdue), (1, true));
    assert_eq!(scene.state(&id).await, State::Succeeded);
    check(&scene, "overdue").await;
}
