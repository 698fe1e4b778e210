use mcp_promotion::{Actor, Calls, OnNoPredecessor, Policy, State};

use crate::scene::{MINUTE, Puppet, Scene, Trick, release};

/// Compares what happened in `prod` with a file in `testdata/`.
pub(crate) async fn check(scene: &Scene, name: &str) {
    let actual = scene.engine.timeline("prod").await.unwrap().to_string();
    let path = format!("{}/testdata/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if actual != expected {
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.txt"));
        std::fs::write(&folder, &actual).unwrap();
        panic!("{path} says something else than {}:\n{actual}", folder.display());
    }
    scene.engine.verify().await.unwrap();
}

fn healthy() -> Policy {
    Policy::healthy_for(MINUTE)
}

#[tokio::test]
async fn normal_life_is_pending_deploying_verifying_succeeded() {
    let scene = Scene::new(healthy().after("dev").approvals(2).soak(MINUTE));
    let prod = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    assert_eq!(
        scene.blockers(&prod).await,
        [
            "2 of 2 approvals are missing; eligible people other than alice can give them",
            "the release has not succeeded in dev; promote it there first",
        ]
    );
    let dev = scene.engine.request("dev", &release("1.0.0"), "alice").await.unwrap();
    scene.engine.approve(&prod, "bob").await.unwrap();
    scene.engine.approve(&prod, "carol").await.unwrap();
    while scene.state(&dev).await != State::Succeeded {
        scene.engine.step().await.unwrap();
    }
    assert_eq!(
        scene.blockers(&prod).await,
        ["the release must run in dev until 2026-11-23T12:01:00.000000Z"]
    );
    scene.settle().await;
    assert_eq!(scene.state(&prod).await, State::Succeeded);
    assert_eq!(scene.prod.running(), Some(release("1.0.0").digest()));
    check(&scene, "normal_life").await;
}

#[tokio::test]
async fn a_failed_verification_brings_the_previous_release_back() {
    let scene = Scene::new(healthy());
    scene.promoted("prod", "1.0.0").await;
    scene.prod.ill(&release("2.0.0"), Some(90));
    let second = scene.promoted("prod", "2.0.0").await;
    assert_eq!(scene.state(&second).await, State::RolledBack);
    assert_eq!(scene.prod.running(), Some(release("1.0.0").digest()));
    check(&scene, "failed_verification").await;
}

#[tokio::test]
async fn one_rejection_ends_a_promotion() {
    let scene = Scene::new(healthy().approvals(2));
    let id = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    scene.engine.approve(&id, "bob").await.unwrap();
    scene.engine.reject(&id, "carol").await.unwrap();
    scene.settle().await;
    assert_eq!((scene.state(&id).await, scene.prod.running()), (State::Rejected, None));
    check(&scene, "rejected").await;
}

#[tokio::test]
async fn a_cancelled_promotion_is_never_started() {
    let scene = Scene::new(healthy().approvals(1));
    let id = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    scene.engine.cancel(&id, "alice").await.unwrap();
    let late = scene.engine.approve(&id, "bob").await.unwrap_err();
    assert_eq!(late.to_string(), "approve prod/1: it is cancelled, votes count only while it is pending");
    scene.settle().await;
    assert_eq!((scene.state(&id).await, scene.prod.running()), (State::Cancelled, None));
    check(&scene, "cancelled").await;
}

#[tokio::test]
async fn a_rollback_that_fails_is_stuck_until_somebody_retries_it() {
    let scene = Scene::new(healthy().calls(Calls::default()));
    scene.promoted("prod", "1.0.0").await;
    scene.prod.ill(&release("2.0.0"), Some(0));
    let second = scene.engine.request("prod", &release("2.0.0"), "alice").await.unwrap();
    while scene.state(&second).await != State::RollingBack {
        scene.engine.step().await.map(drop).unwrap();
        scene.clock.advance(MINUTE / 6);
    }
    scene.prod.trick([Trick::ApplyFails, Trick::ApplyLies, Trick::ObserveFails, Trick::ApplyFails]);
    scene.settle().await;
    assert_eq!(scene.state(&second).await, State::Stuck);
    let third = scene.engine.request("prod", &release("3.0.0"), "alice").await.unwrap();
    assert_eq!(scene.blockers(&third).await, ["prod/16 is stuck; it must end first"]);
    scene.engine.retry(&second, "bob").await.unwrap();
    scene.engine.cancel(&third, "alice").await.unwrap();
    scene.settle().await;
    assert_eq!(scene.state(&second).await, State::RolledBack);
    assert_eq!(scene.prod.running(), Some(release("1.0.0").digest()));
    check(&scene, "stuck").await;
}

#[tokio::test]
async fn an_operator_rolls_back_and_the_release_must_succeed_again_before_it_goes_further() {
    let scene = Scene::new(healthy());
    scene.promoted("dev", "1.0.0").await;
    scene.promoted("dev", "2.0.0").await;
    let by = Actor::new("alice").unwrap().request_id("r1").unwrap();
    let back = scene.engine.rollback("dev", by.clone()).await.unwrap();
    scene.settle().await;
    assert_eq!(scene.state(&back).await, State::Succeeded);
    assert_eq!(scene.engine.rollback("dev", by).await.unwrap(), back, "the same command again");
    let dev = scene.engine.stage_state("dev").await.unwrap();
    assert_eq!(dev.current().unwrap().release, release("1.0.0"));
    assert_eq!(dev.verified(release("2.0.0").digest()), None);
    let twice = scene.engine.rollback("dev", "alice").await.unwrap_err();
    assert_eq!(twice.to_string(), "roll back stage dev: no release ran there before the present one");
}

#[tokio::test]
async fn without_a_predecessor_a_failure_pauses_or_removes_by_policy() {
    let pausing = Scene::new(healthy());
    pausing.prod.ill(&release("1.0.0"), Some(0));
    let id = pausing.promoted("prod", "1.0.0").await;
    let status = pausing.engine.status(&id).await.unwrap();
    assert_eq!(status.state, State::Paused);
    assert!(status.reason.ends_with("; nothing ran before that could be brought back"), "{}", status.reason);
    let resumed = pausing.engine.resume(&id, "bob").await.unwrap_err();
    assert_eq!(
        resumed.to_string(),
        "resume prod/1: it is paused, and its judgement is terminal; override or abort it"
    );
    pausing.engine.abort(&id, "bob", "it is bad").await.unwrap();
    pausing.settle().await;
    assert_eq!((pausing.state(&id).await, pausing.prod.running()), (State::RolledBack, None));

    let removing = Scene::new(healthy().on_no_predecessor(OnNoPredecessor::Remove));
    removing.prod.ill(&release("1.0.0"), Some(0));
    let id = removing.promoted("prod", "1.0.0").await;
    assert_eq!((removing.state(&id).await, removing.prod.running()), (State::RolledBack, None));
}

#[tokio::test]
async fn no_data_pauses_and_the_same_evidence_goes_on_after_a_resume() {
    let scene = Scene::new(healthy());
    scene.prod.ill(&release("1.0.0"), None);
    let id = scene.promoted("prod", "1.0.0").await;
    assert_eq!(scene.state(&id).await, State::Paused);
    let before = scene.engine.status(&id).await.unwrap().verification.unwrap();
    scene.prod.script.lock().unwrap().health.clear();
    scene.engine.resume(&id, "bob").await.unwrap();
    let after = scene.engine.status(&id).await.unwrap().verification.unwrap();
    assert_eq!((after.judge, after.windows), (before.judge, before.windows));
    scene.settle().await;
    assert_eq!(scene.state(&id).await, State::Succeeded);
}

#[tokio::test]
async fn an_unfenced_stage_is_never_taken_over_until_an_operator_releases_the_lease() {
    let puppet = Puppet { unfenced: true, ..Puppet::default() };
    let scene = Scene::with(Policy::unverified("test"), puppet.clone(), |builder| builder);
    let id = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    scene.engine.step().await.unwrap();
    let pipeline =
        mcp_promotion::Pipeline::builder().stage("prod", Policy::unverified("test")).build().unwrap();
    let other = mcp_promotion::Engine::builder(pipeline, scene.journal.clone())
        .stage("prod", puppet)
        .clock(scene.clock.clone())
        .owner("two")
        .build()
        .unwrap();
    scene.clock.advance(MINUTE * 60 * 24);
    assert_eq!(other.step().await.unwrap(), mcp_promotion::Step::Waiting(None));
    let blockers = other.blockers(&id).await.unwrap();
    assert_eq!(blockers, [mcp_promotion::Blocker::Leased { owner: "one".parse().unwrap() }]);
    other.release_lease("prod", "bob").await.unwrap();
    for _ in 0..4 {
        other.step().await.unwrap();
    }
    assert_eq!(scene.state(&id).await, State::Succeeded);
}
