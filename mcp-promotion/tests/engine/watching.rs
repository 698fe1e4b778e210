//! What happens to a release that succeeded and then gets worse.

use std::time::Duration;

use mcp_core::Clock;
use mcp_promotion::{Engine, Kind, Policy, PromotionId, State, Step};

use crate::scene::{MINUTE, Scene, release};
use crate::transcripts::check;

fn policy() -> Policy {
    Policy::healthy_for(MINUTE).watch(MINUTE * 5)
}

/// Steps until the promotion has ended, and no further.
async fn succeeded(scene: &Scene, version: &str) -> PromotionId {
    let id = scene.engine.request("prod", &release(version), "alice").await.unwrap();
    while !scene.state(&id).await.is_terminal() {
        if let Step::Waiting(Some(until)) = scene.engine.step().await.unwrap() {
            scene.clock.advance(until.saturating_since(scene.clock.now()));
        }
    }
    assert_eq!(scene.state(&id).await, State::Succeeded);
    id
}

async fn watched(engine: &Engine) -> Option<Duration> {
    engine.stage_state("prod").await.unwrap().watch().map(|watch| watch.left)
}

async fn rollbacks(scene: &Scene) -> Vec<(State, String)> {
    let all = scene.engine.promotions("prod").await.unwrap();
    let back = all.into_iter().filter(|promotion| promotion.kind == Kind::Rollback);
    back.map(|back| (back.state, back.requester.to_string())).collect()
}

/// Invariant 7: the promotion that succeeded stays so.
#[tokio::test]
async fn a_regression_after_success_brings_the_previous_release_back_and_holds_the_stage() {
    let scene = Scene::new(policy());
    scene.promoted("prod", "1.0.0").await;
    let second = succeeded(&scene, "2.0.0").await;
    scene.prod.ill(&release("2.0.0"), Some(50));
    scene.settle().await;
    assert_eq!(rollbacks(&scene).await, [(State::Succeeded, "watch".to_owned())]);
    assert_eq!(scene.prod.running(), Some(release("1.0.0").digest()));
    assert_eq!(scene.state(&second).await, State::Succeeded);
    let third = scene.promoted("prod", "3.0.0").await;
    let blockers = scene.blockers(&third).await;
    assert!(
        blockers[0].starts_with(&format!("watch holds the stage: {second} got worse after")),
        "{blockers:?}"
    );
    check(&scene, "watched").await;
}

#[tokio::test]
async fn a_watch_without_a_regression_ends_after_its_time_and_keeps_the_lease_until_then() {
    let scene = Scene::new(policy());
    succeeded(&scene, "1.0.0").await;
    let (start, from) = (watched(&scene.engine).await, scene.clock.now());
    assert_eq!(start, Some(MINUTE * 5));
    while watched(&scene.engine).await.is_some() {
        assert!(scene.engine.stage_state("prod").await.unwrap().lease().is_some());
        if let Step::Waiting(Some(until)) = scene.engine.step().await.unwrap() {
            scene.clock.advance(until.saturating_since(scene.clock.now()));
        }
    }
    assert_eq!(scene.clock.now().saturating_since(from), MINUTE * 5);
    scene.prod.ill(&release("1.0.0"), Some(0));
    scene.settle().await;
    assert_eq!(rollbacks(&scene).await, []);
}

#[tokio::test]
async fn a_regression_with_nothing_to_go_back_to_holds_the_stage_and_changes_nothing() {
    let scene = Scene::new(policy());
    succeeded(&scene, "1.0.0").await;
    scene.prod.ill(&release("1.0.0"), Some(0));
    scene.settle().await;
    assert_eq!(rollbacks(&scene).await, []);
    let state = scene.engine.stage_state("prod").await.unwrap();
    let reason = &state.hold().unwrap().reason;
    assert!(reason.ends_with("; nothing ran before that could be brought back"), "{reason}");
    assert_eq!(scene.prod.running(), Some(release("1.0.0").digest()));
}

#[tokio::test]
async fn no_data_after_success_leads_to_nothing() {
    let scene = Scene::new(policy().watch(MINUTE * 20));
    scene.promoted("prod", "1.0.0").await;
    succeeded(&scene, "2.0.0").await;
    scene.prod.ill(&release("2.0.0"), None);
    scene.settle().await;
    assert_eq!((rollbacks(&scene).await, watched(&scene.engine).await), (Vec::new(), None));
    assert_eq!(scene.engine.stage_state("prod").await.unwrap().hold(), None);
}

#[tokio::test]
async fn another_promotion_ends_the_watch_and_a_rollback_is_not_watched() {
    let scene = Scene::new(policy());
    scene.promoted("prod", "1.0.0").await;
    let second = succeeded(&scene, "2.0.0").await;
    let watch = async || scene.engine.stage_state("prod").await.unwrap().watch().map(|watch| watch.promotion);
    assert_eq!(watch().await, Some(second.number));
    let back = scene.engine.rollback("prod", "bob").await.unwrap();
    while scene.state(&back).await == State::Pending {
        scene.engine.step().await.unwrap();
    }
    assert_eq!(watch().await, None);
    scene.prod.ill(&release("1.0.0"), None);
    scene.settle().await;
    assert_eq!(scene.state(&back).await, State::Paused);
    scene.engine.override_with(&back, "bob", "known").await.unwrap();
    assert_eq!(watch().await, None);
}

/// The evidence is in the journal: another process goes on with it.
#[tokio::test]
async fn a_restart_goes_on_with_the_same_watch() {
    let scene = Scene::new(policy());
    scene.promoted("prod", "1.0.0").await;
    succeeded(&scene, "2.0.0").await;
    scene.prod.ill(&release("2.0.0"), Some(0));
    let windows = async |engine: &Engine| {
        let told = engine.timeline("prod").await.unwrap().to_string();
        told.lines().filter(|line| line.contains("watched: 0 of 100 good, undecided")).count()
    };
    while windows(&scene.engine).await < 2 {
        if let Step::Waiting(Some(until)) = scene.engine.step().await.unwrap() {
            scene.clock.advance(until.saturating_since(scene.clock.now()));
        }
    }
    let later = Engine::builder(scene.engine.pipeline().clone(), scene.journal.clone())
        .stage("prod", scene.prod.clone())
        .authorizer(mcp_promotion::AllowList::of(["bob"]).unwrap())
        .clock(scene.clock.clone())
        .owner("one")
        .build()
        .unwrap();
    scene.clock.advance(MINUTE / 6);
    while later.stage_state("prod").await.unwrap().hold().is_none() {
        assert!(!matches!(later.step().await.unwrap(), Step::Waiting(_)), "the third bad window is due");
    }
    assert_eq!(rollbacks(&scene).await, [(State::Pending, "watch".to_owned())]);
}
