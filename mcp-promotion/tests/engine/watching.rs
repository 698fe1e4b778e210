//! What happens to a release that succeeded and then gets worse.

use std::time::Duration;

use mcp_core::Clock;
use mcp_promotion::{Engine, Kind, Policy, PromotionId, State, Step};

use crate::scene::{MINUTE, Scene, Trick, release};
use crate::transcripts::check;

fn policy() -> Policy {
    Policy::healthy_for(MINUTE).watch(MINUTE * 5)
}

/// Steps until the promotion has ended, and no further.
pub(crate) async fn succeeded(scene: &Scene, version: &str) -> PromotionId {
    let id = scene.engine.request("prod", &release(version), "alice").await.unwrap();
    while !scene.state(&id).await.is_terminal() {
        if let Step::Waiting(Some(until)) = scene.engine.step().await.unwrap() {
            scene.clock.advance(until.saturating_since(scene.clock.now()));
        }
    }
    assert_eq!(scene.state(&id).await, State::Succeeded);
    id
}

pub(crate) async fn watched(engine: &Engine) -> Option<Duration> {
    engine.stage_state("prod").await.unwrap().watch().map(|watch| watch.left)
}

pub(crate) async fn rollbacks(scene: &Scene) -> Vec<(State, String)> {
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

/// How long a jump of the clock, or an outage of the driver, was is not how long anybody looked.
#[tokio::test]
async fn a_clock_that_jumps_ahead_does_not_end_a_watch() {
    let scene = Scene::new(Policy::healthy_for(MINUTE).watch(MINUTE * 60));
    succeeded(&scene, "1.0.0").await;
    scene.clock.advance(MINUTE * 60);
    for _ in 0..5 {
        scene.engine.step().await.unwrap();
    }
    let left = watched(&scene.engine).await.unwrap();
    assert!(left >= MINUTE * 59, "{left:?}");
}

/// What is left of the watch of 2.0.0 once it was interrupted by 3.0.0, which ends like this.
async fn interrupted(trick: &[Trick], health: u64, ends: State) -> (Scene, Option<(u64, Duration)>) {
    let scene = Scene::new(Policy::healthy_for(MINUTE).watch(MINUTE * 60));
    scene.promoted("prod", "1.0.0").await;
    let second = succeeded(&scene, "2.0.0").await;
    while watched(&scene.engine).await.unwrap() > MINUTE * 55 {
        step(&scene).await;
    }
    scene.prod.trick(trick.iter().cloned());
    scene.prod.ill(&release("3.0.0"), Some(health));
    let third = scene.engine.request("prod", &release("3.0.0"), "alice").await.unwrap();
    while scene.state(&third).await == State::Pending {
        step(&scene).await;
    }
    assert_eq!(watched(&scene.engine).await, None, "nothing else is judged while 3.0.0 is on its way");
    while !scene.state(&third).await.is_terminal() {
        step(&scene).await;
    }
    assert_eq!(scene.state(&third).await, ends);
    let watch = scene.engine.stage_state("prod").await.unwrap().watch().cloned();
    assert!(watch.as_ref().is_none_or(|watch| watch.promotion == second.number || ends == State::Succeeded));
    (scene, watch.map(|watch| (watch.promotion, watch.left)))
}

#[tokio::test]
async fn a_promotion_that_ends_without_a_success_gives_the_watch_back() {
    let fails = [Trick::ApplyFails, Trick::ApplyFails, Trick::ApplyFails];
    for (tricks, health, ends) in [(&fails[..], 100, State::Failed), (&[], 0, State::RolledBack)] {
        let (scene, watch) = interrupted(tricks, health, ends).await;
        assert_eq!(watch.unwrap().1, MINUTE * 55);
        scene.prod.ill(&release("2.0.0"), Some(0));
        scene.settle().await;
        assert_eq!(rollbacks(&scene).await, [(State::Succeeded, "watch".to_owned())]);
        assert_eq!(scene.prod.running(), Some(release("1.0.0").digest()));
        scene.engine.verify().await.unwrap();
    }
}

#[tokio::test]
async fn a_promotion_that_succeeds_is_watched_in_place_of_the_one_before() {
    let (_, watch) = interrupted(&[], 100, State::Succeeded).await;
    assert_eq!(watch.unwrap().1, MINUTE * 60);
}

/// One step, after as much time as it takes.
async fn step(scene: &Scene) {
    if let Step::Waiting(Some(until)) = scene.engine.step().await.unwrap() {
        scene.clock.advance(until.saturating_since(scene.clock.now()));
    }
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
