//! Judges that compare, in a stage that counts each instance for what it really runs.

use mcp_core::Clock;
use mcp_promotion::{
    CountTest, Guardrail, JudgeChoice, OnInconclusive, Pipeline, Policy, PromotionId, RankTest, Sequential,
    State, Step, Together,
};

use crate::scene::{MINUTE, Puppet, Scene, release};
use crate::watching::{rollbacks, succeeded, watched};

const ALONE: &str = "nothing ran beside it to compare it with";

fn rank() -> JudgeChoice {
    JudgeChoice::Rank(RankTest::default())
}

fn policy(judge: JudgeChoice) -> Policy {
    Policy::judged_by(judge, MINUTE).canary().on_inconclusive(OnInconclusive::RollBack)
}

/// A canary and nineteen others.
fn scene(policy: Policy) -> Scene {
    let puppet = Puppet::default();
    puppet.script.lock().unwrap().peers = 19;
    Scene::with(policy, puppet, |builder| builder)
}

async fn ended(scene: &Scene, id: &PromotionId) -> (State, String) {
    let status = scene.engine.status(id).await.unwrap();
    (status.state, status.reason)
}

/// One step, after as much time as it takes.
async fn step(scene: &Scene) {
    if let Step::Waiting(Some(until)) = scene.engine.step().await.unwrap() {
        scene.clock.advance(until.saturating_since(scene.clock.now()));
    }
}

#[tokio::test]
async fn a_comparing_judge_lets_the_first_release_a_repeat_and_a_rollback_succeed_and_fails_a_worse_canary() {
    let count = CountTest::default();
    let together = [Sequential::Rank(RankTest::default()), Sequential::Count(count.clone())];
    for judge in [rank(), JudgeChoice::Count(count), JudgeChoice::Together(Together::of(together))] {
        let scene = scene(policy(judge));
        let alone = (State::Succeeded, ALONE.to_owned());
        let first = scene.promoted("prod", "1.0.0").await;
        assert_eq!(ended(&scene, &first).await, alone);
        let again = scene.promoted("prod", "1.0.0").await;
        assert_eq!(ended(&scene, &again).await, alone);
        let second = scene.promoted("prod", "2.0.0").await;
        assert_eq!(ended(&scene, &second).await, (State::Succeeded, String::new()));
        let compared = scene.engine.status(&second).await.unwrap().verification.unwrap();
        assert!(
            compared.windows >= 30,
            "it was compared for its whole bake time, {} windows",
            compared.windows
        );
        let back = scene.engine.rollback("prod", "bob").await.unwrap();
        scene.settle().await;
        assert_eq!(ended(&scene, &back).await, alone);
        scene.prod.ill(&release("3.0.0"), Some(50));
        let third = scene.promoted("prod", "3.0.0").await;
        let (state, why) = ended(&scene, &third).await;
        assert_eq!(state, State::RolledBack);
        assert!(why.contains("the evidence that the canary is worse than the baseline is"), "{why}");
        assert_eq!(scene.prod.running(), Some(release("1.0.0").digest()));
        scene.engine.verify().await.unwrap();
    }
}

#[tokio::test]
async fn what_has_nothing_to_be_compared_with_is_recorded_and_without_any_data_it_does_not_pass() {
    let scene = scene(policy(rank()));
    scene.prod.ill(&release("1.0.0"), None);
    let first = scene.promoted("prod", "1.0.0").await;
    let (state, why) = ended(&scene, &first).await;
    assert_eq!(state, State::Paused, "there is nothing to go back to");
    assert!(why.starts_with("no window of the last 300000 ms counted, 0 did before"), "{why}");
    scene.prod.script.lock().unwrap().health.clear();
    scene.engine.resume(&first, "bob").await.unwrap();
    scene.settle().await;
    assert_eq!(ended(&scene, &first).await, (State::Succeeded, ALONE.to_owned()));
    let told = scene.engine.timeline("prod").await.unwrap().to_string();
    assert!(told.contains("2000 of 2000 good, pass"), "{told}");
}

#[tokio::test]
async fn guardrails_beside_a_comparing_judge_decide_where_there_is_nothing_to_compare_with() {
    let judged = || policy(rank()).guardrail(Guardrail::default());
    let well = scene(judged());
    let first = well.promoted("prod", "1.0.0").await;
    assert_eq!(ended(&well, &first).await, (State::Succeeded, ALONE.to_owned()));
    assert_eq!(well.engine.status(&first).await.unwrap().verification.unwrap().windows, 3);
    let ill = scene(judged());
    ill.prod.ill(&release("1.0.0"), Some(50));
    let first = ill.promoted("prod", "1.0.0").await;
    let (state, why) = ended(&ill, &first).await;
    assert_eq!(state, State::Paused);
    assert!(why.starts_with("1000 of 2000 requests failed, the 3rd window in a row"), "{why}");
}

/// A stage may have a baseline elsewhere although the whole of it runs the new release.
#[tokio::test]
async fn the_judge_of_a_rollback_is_asked_when_there_is_a_baseline_after_all() {
    let scene = scene(policy(rank()));
    scene.promoted("prod", "1.0.0").await;
    scene.promoted("prod", "2.0.0").await;
    scene.prod.script.lock().unwrap().elsewhere = Some(release("2.0.0").digest());
    scene.prod.ill(&release("1.0.0"), Some(50));
    let back = scene.engine.rollback("prod", "bob").await.unwrap();
    scene.settle().await;
    let (state, why) = ended(&scene, &back).await;
    assert_eq!(state, State::Stuck);
    assert!(why.contains("worse than the baseline"), "{why}");
}

#[tokio::test]
async fn a_baseline_that_is_silent_for_a_window_is_waited_for_and_one_that_is_gone_is_not() {
    for (gone, why) in [(false, ""), (true, ALONE)] {
        let scene = scene(policy(rank()));
        let elsewhere = |runs: bool| {
            scene.prod.script.lock().unwrap().elsewhere = runs.then(|| release("0.9.0").digest());
        };
        elsewhere(true);
        let id = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
        let windows = async || {
            scene.engine.status(&id).await.unwrap().verification.map_or(0, |progress| progress.windows)
        };
        while windows().await < 5 {
            step(&scene).await;
        }
        elsewhere(false);
        while windows().await < 6 {
            step(&scene).await;
        }
        elsewhere(!gone);
        scene.settle().await;
        assert_eq!(ended(&scene, &id).await, (State::Succeeded, why.to_owned()));
        assert!((30..=31).contains(&windows().await), "{}", windows().await);
    }
}

/// A deploy over another release that reaches everything at once may have its baseline elsewhere: that none comes is no pass.
#[tokio::test]
async fn a_release_that_should_have_been_compared_is_not_passed_without_a_comparison() {
    let scene = scene(Policy::judged_by(rank(), MINUTE));
    scene.promoted("prod", "1.0.0").await;
    let second = scene.promoted("prod", "2.0.0").await;
    let (state, why) = ended(&scene, &second).await;
    assert_eq!(state, State::Paused);
    assert!(why.starts_with("no window of the last 300000 ms counted"), "{why}");
}

#[tokio::test]
async fn a_regression_long_after_the_bake_time_is_found_while_there_is_a_baseline() {
    let mut short = RankTest::default();
    short.bake = MINUTE * 5;
    let scene = scene(policy(JudgeChoice::Rank(short)).watch(MINUTE * 120));
    scene.promoted("prod", "1.0.0").await;
    let second = succeeded(&scene, "2.0.0").await;
    scene.prod.script.lock().unwrap().elsewhere = Some(release("1.0.0").digest());
    while watched(&scene.engine).await.unwrap() > MINUTE * 100 {
        step(&scene).await;
    }
    scene.prod.ill(&release("2.0.0"), Some(50));
    scene.settle().await;
    assert_eq!(rollbacks(&scene).await, [(State::Succeeded, "watch".to_owned())]);
    let state = scene.engine.stage_state("prod").await.unwrap();
    let reason = &state.hold().unwrap().reason;
    assert!(reason.starts_with(&format!("{second} got worse after it had succeeded: after")), "{reason}");
}

/// After the success everything runs the release, and most stages have nothing left to compare it with.
#[tokio::test]
async fn a_watch_that_had_nothing_to_judge_by_says_so_at_its_end() {
    let told = async |scene: &Scene| scene.engine.timeline("prod").await.unwrap().to_string();
    let vain = "watched in vain: none of 10 windows had what its judge needs";
    let blind = scene(policy(rank()).watch(MINUTE * 10));
    let first = succeeded(&blind, "1.0.0").await;
    blind.prod.ill(&release("1.0.0"), None);
    blind.settle().await;
    assert_eq!(blind.state(&first).await, State::Succeeded);
    assert!(told(&blind).await.contains(vain), "{}", told(&blind).await);
    let seeing = scene(policy(rank()).watch(MINUTE * 10));
    seeing.promoted("prod", "1.0.0").await;
    assert!(!told(&seeing).await.contains("in vain"), "{}", told(&seeing).await);
    seeing.engine.verify().await.unwrap();
}

/// Nothing is there to compare it with, and nobody has said what is good enough; but most of its requests fail.
#[tokio::test]
async fn what_does_not_work_at_all_fails_without_a_baseline_and_without_a_guardrail() {
    let scene = scene(policy(rank()).watch(MINUTE * 10));
    scene.prod.ill(&release("0.1.0"), Some(49));
    let dead = scene.promoted("prod", "0.1.0").await;
    let (state, why) = ended(&scene, &dead).await;
    assert_eq!(state, State::Paused, "there is nothing to go back to");
    assert!(why.starts_with("1020 of 2000 requests failed, the 3rd window in a row"), "{why}");
    scene.engine.abort(&dead, "bob", "away with it").await.unwrap();
    scene.settle().await;
    let first = scene.promoted("prod", "1.0.0").await;
    let windows = scene.engine.status(&first).await.unwrap().verification.unwrap().windows;
    assert_eq!((ended(&scene, &first).await, windows), ((State::Succeeded, ALONE.to_owned()), 30));
    succeeded(&scene, "2.0.0").await;
    scene.prod.ill(&release("2.0.0"), Some(0));
    scene.prod.ill(&release("1.0.0"), Some(0));
    scene.settle().await;
    let all = scene.engine.promotions("prod").await.unwrap();
    let back = all.iter().rfind(|promotion| promotion.kind == mcp_promotion::Kind::Rollback).unwrap();
    assert_eq!((back.state, back.requester.as_str()), (State::Stuck, "watch"));
    assert!(back.reason.contains("2000 of 2000 requests failed"), "{}", back.reason);
}

/// The evidence stays; what was waited for in vain before does not.
#[tokio::test]
async fn patience_begins_anew_when_somebody_resumes() {
    for policy in [Policy::healthy_for(MINUTE), Policy::judged_by(rank(), MINUTE)] {
        let scene = scene(policy);
        scene.prod.ill(&release("1.0.0"), None);
        let id = scene.promoted("prod", "1.0.0").await;
        let windows = async || scene.engine.status(&id).await.unwrap().verification.unwrap().windows;
        let patience = windows().await;
        assert!(patience >= 5, "{patience}");
        scene.engine.resume(&id, "bob").await.unwrap();
        scene.settle().await;
        assert_eq!((scene.state(&id).await, windows().await), (State::Paused, 2 * patience));
    }
}

#[test]
fn a_guardrail_that_can_never_fail_is_a_fault() {
    let mut all = Guardrail::default();
    all.max_errors_ppm = 1_000_000;
    let judged = Policy::judged_by(rank(), MINUTE).guardrail(all);
    let error = Pipeline::builder().stage("prod", judged).build().unwrap_err().to_string();
    let why = "stage prod, verification.judged.guardrails[0]: max_errors_ppm of 1000000 is never exceeded";
    assert!(error.contains(why), "{error}");
}
