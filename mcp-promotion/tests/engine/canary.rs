//! A release that reaches the canary first, and everything else once it was judged well.

use mcp_core::{Digest, UsageReason};
use mcp_promotion::{
    Calls, Engine, Judgement, Kind, Observed, OnInconclusive, Pipeline, Policy, PromotionId, Reach, State,
    Step,
};

use crate::scene::{Canaries, MINUTE, Puppet, Scene, Trick, release};
use crate::transcripts::check;

const FIRST: &str = "app@1.0.0";
const CANARY: &str = "app@2.0.0 in the canary only";
const SECOND: &str = "app@2.0.0";

fn policy() -> Policy {
    Policy::healthy_for(MINUTE).canary()
}

fn digest(version: &str) -> Digest {
    release(version).digest()
}

/// The first release runs everywhere.
async fn scene() -> Scene {
    let scene = Scene::new(policy());
    scene.promoted("prod", "1.0.0").await;
    assert_eq!((scene.prod.running(), scene.prod.applied()), (Some(digest("1.0.0")), vec![FIRST.to_owned()]));
    scene
}

/// Steps until the second release, requested here, is in the position that `wanted` recognizes.
async fn position(scene: &Scene, wanted: impl Fn(&mcp_promotion::Promotion) -> bool) -> PromotionId {
    let id = scene.engine.request("prod", &release("2.0.0"), "alice").await.unwrap();
    for _ in 0..100 {
        if wanted(&scene.engine.status(&id).await.unwrap()) {
            return id;
        }
        step(scene).await;
    }
    panic!("{id} never gets there");
}

/// One step, after as much time as it takes.
async fn step(scene: &Scene) {
    use mcp_core::Clock;
    if let Step::Waiting(Some(until)) = scene.engine.step().await.unwrap() {
        scene.clock.advance(until.saturating_since(scene.clock.now()));
    }
}

#[tokio::test]
async fn a_release_reaches_the_canary_is_judged_and_only_then_reaches_everything() {
    let scene = scene().await;
    let id = position(&scene, |promotion| promotion.reach == Some(Reach::Canary)).await;
    assert_eq!(scene.prod.script.lock().unwrap().canary, Some(digest("2.0.0")));
    assert_eq!(scene.prod.script.lock().unwrap().running, Some(digest("1.0.0")));
    assert_eq!(scene.engine.current("prod").await.unwrap().unwrap().release, release("1.0.0"));
    let usage = scene.engine.stage_state("prod").await.unwrap().usage();
    let reasons: Vec<UsageReason> = usage.iter().map(|usage| usage.reason).collect();
    assert_eq!(reasons, [UsageReason::Deployed, UsageReason::RollbackTarget, UsageReason::InFlight]);
    scene.settle().await;
    assert_eq!(scene.state(&id).await, State::Succeeded);
    assert_eq!(scene.prod.running(), Some(digest("2.0.0")));
    assert_eq!(scene.prod.applied(), [FIRST, CANARY, SECOND]);
    let keys = scene.prod.script.lock().unwrap().keys.clone();
    let (canary, all) = (keys[1].clone(), keys[2].clone());
    assert!(all.ends_with("/all") && canary != all, "{canary} {all}");
    check(&scene, "canary").await;
}

#[tokio::test]
async fn a_canary_that_fails_is_rolled_back_before_anything_else_has_seen_the_release() {
    let scene = scene().await;
    scene.prod.ill(&release("2.0.0"), Some(90));
    let id = scene.promoted("prod", "2.0.0").await;
    assert_eq!(scene.state(&id).await, State::RolledBack);
    assert_eq!(scene.prod.running(), Some(digest("1.0.0")));
    assert_eq!(scene.prod.applied(), [FIRST, CANARY, FIRST]);
    check(&scene, "canary_failed").await;
}

#[tokio::test]
async fn what_has_nothing_to_be_compared_with_reaches_everything_at_once() {
    let scene = scene().await;
    let again = scene.promoted("prod", "1.0.0").await;
    assert_eq!(scene.state(&again).await, State::Succeeded, "the same release");
    let second = scene.promoted("prod", "2.0.0").await;
    let back = scene.engine.rollback("prod", "bob").await.unwrap();
    let asked = scene.engine.status(&back).await.unwrap();
    assert_eq!(
        (asked.kind, asked.policy.canary),
        (Kind::Rollback, false),
        "votes and readers see what counts"
    );
    scene.settle().await;
    assert_eq!((scene.state(&second).await, scene.state(&back).await), (State::Succeeded, State::Succeeded));
    assert_eq!(scene.prod.applied(), [FIRST, FIRST, CANARY, SECOND, FIRST]);
}

#[tokio::test]
async fn when_everything_else_cannot_be_reached_everything_goes_back() {
    for trick in [Trick::ApplyFails, Trick::ApplyLies, Trick::ObserveFails] {
        let scene = scene().await;
        let id = position(&scene, mcp_promotion::Promotion::is_widening).await;
        let before = scene.engine.status(&id).await.unwrap();
        assert_eq!((before.state, before.reach), (State::Verifying, Some(Reach::Canary)));
        assert_eq!(before.verification.unwrap().judgement, Judgement::Pass);
        let attempts = Calls::default().attempts;
        scene.prod.trick((0..attempts).map(|_| trick.clone()));
        for attempt in 1..=attempts {
            while scene.engine.status(&id).await.unwrap().failures < attempt {
                step(&scene).await;
            }
            assert_eq!(scene.state(&id).await, State::Verifying, "{trick:?}");
        }
        assert!(scene.blockers(&id).await[0].starts_with("calls to the stage failed 3 times"), "{trick:?}");
        scene.settle().await;
        let status = scene.engine.status(&id).await.unwrap();
        assert_eq!(status.state, State::RolledBack, "{trick:?}: {}", status.reason);
        assert!(status.reason.starts_with("3 attempts failed, the last one with"), "{}", status.reason);
        assert_eq!(scene.prod.applied(), [FIRST, CANARY, FIRST], "{trick:?}");
    }
}

/// Invariant 7.
#[tokio::test]
async fn a_verdict_stands_while_everything_else_is_reached_and_later_samples_do_not_count() {
    let scene = scene().await;
    let id = position(&scene, mcp_promotion::Promotion::is_widening).await;
    scene.prod.ill(&release("2.0.0"), Some(0));
    scene.prod.trick([Trick::ApplyFails]);
    scene.clock.advance(MINUTE * 60);
    scene.settle().await;
    assert_eq!(scene.state(&id).await, State::Succeeded);
    assert_eq!(scene.prod.applied(), [FIRST, CANARY, SECOND]);
}

#[tokio::test]
async fn another_driver_goes_on_with_the_canary_where_the_first_one_was() {
    for widening in [false, true] {
        let scene = scene().await;
        let id = position(&scene, |promotion| {
            if widening { promotion.is_widening() } else { promotion.reach == Some(Reach::Canary) }
        })
        .await;
        let pipeline = Pipeline::builder().stage("prod", Policy::unverified("another")).build().unwrap();
        let other = Engine::builder(pipeline, scene.journal.clone())
            .stage("prod", scene.prod.clone())
            .clock(scene.clock.clone())
            .owner("two")
            .build()
            .unwrap();
        scene.clock.advance(MINUTE);
        for _ in 0..20 {
            other.step().await.unwrap();
            scene.clock.advance(MINUTE / 6);
        }
        assert_eq!(other.status(&id).await.unwrap().state, State::Succeeded, "widening: {widening}");
        assert_eq!(scene.prod.applied(), [FIRST, CANARY, SECOND], "widening: {widening}");
    }
}

#[tokio::test]
async fn what_is_not_the_canary_and_the_release_before_pauses_and_a_person_decides() {
    let canary = |canary: &str, rest: Option<&str>| Observed::Canary {
        canary: digest(canary),
        rest: rest.map(digest),
    };
    let cases = [
        (canary("2.0.0", Some("9.0.0")), true),
        (canary("2.0.0", None), true),
        (canary("9.0.0", Some("1.0.0")), true),
        (Observed::Running(digest("1.0.0")), true),
        (Observed::Running(digest("9.0.0")), true),
        (Observed::Nothing, true),
        (Observed::Unknown("two of three answered".to_owned()), true),
        // An attempt whose end nobody has recorded.
        (Observed::Running(digest("2.0.0")), false),
    ];
    for (seen, pauses) in cases {
        let scene = scene().await;
        let id = position(&scene, mcp_promotion::Promotion::is_widening).await;
        scene.prod.trick([Trick::Seen(seen.clone())]);
        scene.settle().await;
        let status = scene.engine.status(&id).await.unwrap();
        let expected = if pauses { State::Paused } else { State::Succeeded };
        assert_eq!(status.state, expected, "{seen:?}: {}", status.reason);
        if pauses {
            assert_eq!(scene.prod.applied(), [FIRST, CANARY], "{seen:?}");
            scene.engine.resume(&id, "bob").await.unwrap();
            scene.settle().await;
            assert_eq!(scene.state(&id).await, State::Succeeded, "{seen:?}");
        }
        assert_eq!(scene.prod.applied(), [FIRST, CANARY, SECOND], "{seen:?}");
    }
}

#[tokio::test]
async fn what_a_person_accepts_elsewhere_stays_accepted_until_everything_is_reached() {
    for (ill, end, last) in [(false, State::Succeeded, "2.0.0"), (true, State::RolledBack, "1.0.0")] {
        let scene = scene().await;
        if ill {
            scene.prod.ill(&release("2.0.0"), Some(0));
        }
        scene.prod.trick([Trick::Foreign(digest("9.0.0"))]);
        let id = scene.promoted("prod", "2.0.0").await;
        assert_eq!(scene.state(&id).await, State::Paused);
        assert_eq!(scene.prod.applied(), [FIRST]);
        scene.engine.resume(&id, "bob").await.unwrap();
        scene.settle().await;
        assert_eq!((scene.state(&id).await, scene.prod.running()), (end, Some(digest(last))));
    }
}

#[tokio::test]
async fn a_stage_that_refuses_canaries_is_left_as_it_was() {
    let scene = scene().await;
    scene.prod.canaries(Canaries::Refuses);
    let id = scene.promoted("prod", "2.0.0").await;
    let status = scene.engine.status(&id).await.unwrap();
    let reason = "nothing was applied: 3 attempts failed, the last one with apply: there is no canary here (unsupported)";
    assert_eq!((status.state, status.reason.as_str()), (State::Failed, reason));
    assert_eq!(scene.prod.applied(), [FIRST]);
}

#[tokio::test]
async fn a_stage_that_changes_everything_in_place_of_its_canary_is_not_taken_for_one_that_has_one() {
    for attempts in [1, 3] {
        let mut calls = Calls::default();
        calls.attempts = attempts;
        let new = || async {
            let scene = Scene::new(policy().calls(calls.clone()));
            scene.promoted("prod", "1.0.0").await;
            scene.prod.canaries(Canaries::Ignores);
            let id = scene.promoted("prod", "2.0.0").await;
            (scene, id)
        };
        let (scene, id) = new().await;
        let status = scene.engine.status(&id).await.unwrap();
        let reason = format!(
            "the stage runs the release {}, although only its canary was told to; if it has none, its policy must not ask for one",
            digest("2.0.0")
        );
        assert_eq!((status.state, status.reason), (State::Paused, reason));
        scene.engine.resume(&id, "bob").await.unwrap();
        scene.settle().await;
        let status = scene.engine.status(&id).await.unwrap();
        assert_eq!((status.state, status.reach), (State::Succeeded, Some(Reach::All)), "{}", status.reason);
        assert!(status.verification.unwrap().windows > 0, "it was judged");
        for overridden in [false, true] {
            let (scene, id) = new().await;
            let end = if overridden {
                scene.engine.override_with(&id, "bob", "one machine").await.unwrap();
                (State::Succeeded, Some(digest("2.0.0")))
            } else {
                scene.engine.abort(&id, "bob", "no").await.unwrap();
                (State::RolledBack, Some(digest("1.0.0")))
            };
            scene.settle().await;
            assert_eq!((scene.state(&id).await, scene.prod.running()), end);
        }
    }
}

/// What a person does in one position of a canary's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    PauseResume,
    PauseOverride,
    PauseAbort,
    PausePauseOverride,
    Abort,
}

/// Does it after this many steps; whether the promotion could still be paused or aborted.
async fn intervene(act: Act, ill: bool, steps: usize) -> bool {
    let scene = scene().await;
    if ill {
        scene.prod.ill(&release("2.0.0"), Some(0));
    }
    let id = scene.engine.request("prod", &release("2.0.0"), "alice").await.unwrap();
    for _ in 0..steps {
        step(&scene).await;
    }
    let begun = scene.state(&id).await;
    if begun.is_terminal() {
        return false;
    }
    if ![State::Deploying, State::Verifying].contains(&begun) {
        return true;
    }
    let engine = &scene.engine;
    if act != Act::Abort {
        engine.pause(&id, "bob", "wait").await.unwrap();
        scene.settle().await;
        assert_eq!(scene.state(&id).await, State::Paused);
    }
    match act {
        Act::PauseResume => engine.resume(&id, "bob").await.unwrap(),
        Act::PauseAbort | Act::Abort => engine.abort(&id, "bob", "no").await.unwrap(),
        Act::PauseOverride | Act::PausePauseOverride => {
            engine.override_with(&id, "bob", "we know").await.unwrap();
            let status = engine.status(&id).await.unwrap();
            assert_eq!(status.state, State::Verifying, "at most the canary runs it");
            assert_ne!(scene.prod.running(), Some(digest("2.0.0")));
            if act == Act::PausePauseOverride {
                engine.pause(&id, "bob", "wait").await.unwrap();
                engine.override_with(&id, "bob", "we know").await.unwrap();
            }
        }
    }
    scene.settle().await;
    let what = format!("{act:?} after {steps} steps, ill: {ill}");
    let status = engine.status(&id).await.unwrap();
    let wins = match act {
        Act::PauseResume => !ill,
        Act::PauseOverride | Act::PausePauseOverride => true,
        Act::PauseAbort | Act::Abort => false,
    };
    let expected = if wins { (State::Succeeded, "2.0.0") } else { (State::RolledBack, "1.0.0") };
    assert_eq!((status.state, scene.prod.running()), (expected.0, Some(digest(expected.1))), "{what}");
    let applied = scene.prod.applied();
    assert_eq!(applied.iter().filter(|applied| *applied == SECOND).count(), usize::from(wins), "{what}");
    assert!(applied.iter().filter(|applied| *applied == CANARY).count() <= 1, "{what}: {applied:?}");
    if act == Act::PauseOverride {
        assert_eq!(status.reason, "we know", "{what}");
    }
    engine.verify().await.unwrap();
    true
}

#[tokio::test]
async fn a_pause_an_override_and_an_abort_do_the_right_thing_in_every_position_of_a_canary() {
    let acts = [Act::PauseResume, Act::PauseOverride, Act::PauseAbort, Act::PausePauseOverride, Act::Abort];
    for act in acts {
        for ill in [false, true] {
            let mut steps = 0;
            while intervene(act, ill, steps).await {
                steps += 1;
            }
            assert!(steps > 8, "{act:?} in {steps} positions");
        }
    }
}

#[tokio::test]
async fn an_override_of_a_canary_without_data_reaches_everything_and_is_no_sample() {
    let scene = scene().await;
    scene.prod.ill(&release("2.0.0"), None);
    let id = scene.promoted("prod", "2.0.0").await;
    assert_eq!(scene.state(&id).await, State::Paused);
    let without = scene.engine.override_with(&id, "bob", " ").await.unwrap_err();
    assert_eq!(without.to_string(), "override prod/16 by bob: an override needs a reason");
    let data = scene.engine.status(&id).await.unwrap().verification.unwrap();
    assert!(matches!(data.judgement, Judgement::Inconclusive { .. }), "{:?}", data.judgement);
    scene.engine.override_with(&id, "bob", "there is no traffic at night").await.unwrap();
    scene.settle().await;
    let status = scene.engine.status(&id).await.unwrap();
    assert_eq!((status.state, scene.prod.running()), (State::Succeeded, Some(digest("2.0.0"))));
    assert_eq!(status.verification.unwrap(), data, "the override is not a sample");
}

#[tokio::test]
async fn an_overridden_canary_has_its_reason_in_the_history() {
    let scene = scene().await;
    let id = position(&scene, |promotion| promotion.reach == Some(Reach::Canary)).await;
    scene.engine.pause(&id, "bob", "the dashboards are down").await.unwrap();
    scene.settle().await;
    scene.engine.override_with(&id, "carol", "it fixes them").await.unwrap();
    scene.settle().await;
    check(&scene, "canary_overridden").await;
}

#[tokio::test]
async fn an_override_whose_release_cannot_be_applied_everywhere_is_rolled_back() {
    let scene = scene().await;
    let id = position(&scene, |promotion| promotion.reach == Some(Reach::Canary)).await;
    scene.engine.pause(&id, "bob", "wait").await.unwrap();
    scene.engine.override_with(&id, "bob", "we know").await.unwrap();
    scene.prod.trick(vec![Trick::ApplyFails; 3]);
    scene.settle().await;
    assert_eq!((scene.state(&id).await, scene.prod.running()), (State::RolledBack, Some(digest("1.0.0"))));
}

#[tokio::test]
async fn a_canary_that_stays_without_data_is_rolled_back_where_the_policy_says_so() {
    let scene =
        Scene::with(policy().on_inconclusive(OnInconclusive::RollBack), Puppet::default(), |builder| builder);
    scene.promoted("prod", "1.0.0").await;
    scene.prod.ill(&release("2.0.0"), None);
    let id = scene.promoted("prod", "2.0.0").await;
    assert_eq!(scene.state(&id).await, State::RolledBack);
    assert_eq!(scene.prod.applied(), [FIRST, CANARY, FIRST]);
}
