//! Clocks that jump by years between any two steps, and commands that come twice, late, or to the wrong place.

use std::time::Duration;

use mcp_core::{Clock, ErrorKind, ManualClock};
use mcp_promotion::{Actor, Policy, PromotionError, PromotionId, State, Step};

use crate::scene::{MINUTE, Scene, Trick, release};

const FIVE_YEARS: Duration = Duration::from_secs(5 * 365 * 24 * 60 * 60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Jump {
    Ahead,
    Back,
}

fn jump(clock: &ManualClock, jump: Jump) {
    clock.set(match jump {
        Jump::Ahead => clock.now().saturating_add(FIVE_YEARS),
        Jump::Back => clock.now().saturating_sub(FIVE_YEARS),
    });
}

/// A promotion of 2.0.0 after 1.0.0, while the clock jumps before the steps that `jumps` names; where it ends, and what was applied.
async fn promote(ill: bool, jumps: &[(usize, Jump)]) -> (Scene, PromotionId, usize) {
    let policy = Policy::healthy_for(MINUTE).approvals(1).expires_after(None).watch(MINUTE);
    let scene = Scene::new(policy);
    for version in ["1.0.0", "2.0.0"] {
        let id = scene.engine.request("prod", &release(version), "alice").await.unwrap();
        scene.engine.approve(&id, "bob").await.unwrap();
        if version == "1.0.0" {
            scene.settle().await;
        }
    }
    if ill {
        scene.prod.ill(&release("2.0.0"), Some(10));
    }
    let stage = scene.engine.stage_state("prod").await.unwrap();
    let id = stage.open().next().unwrap().id.clone();
    let mut rest = None;
    for step in 0..200 {
        for (_, how) in jumps.iter().filter(|(at, _)| *at == step) {
            jump(&scene.clock, *how);
        }
        if let Step::Waiting(until) = scene.engine.step().await.unwrap() {
            if until.is_none() {
                rest.get_or_insert(step);
            }
            // What is waited for may be years away since the clock was set back; ten seconds pass, whatever it is.
            scene.clock.advance(Duration::from_secs(10));
        }
    }
    (scene, id, rest.unwrap_or(200))
}

#[tokio::test]
async fn a_clock_that_jumps_by_years_before_any_two_steps_changes_neither_the_outcome_nor_what_is_applied() {
    for (ill, state, applied) in [
        (false, State::Succeeded, vec!["app@1.0.0", "app@2.0.0"]),
        (true, State::RolledBack, vec!["app@1.0.0", "app@2.0.0", "app@1.0.0"]),
    ] {
        let (_, _, steps) = promote(ill, &[]).await;
        assert!((5..60).contains(&steps), "{steps}");
        for one in 0..steps {
            for two in one..steps {
                for (how, then) in
                    [(Jump::Ahead, Jump::Back), (Jump::Back, Jump::Ahead), (Jump::Back, Jump::Back)]
                {
                    let (scene, id, _) = promote(ill, &[(one, how), (two, then)]).await;
                    let what = format!("{how:?} before step {one}, {then:?} before step {two}");
                    assert_eq!(scene.state(&id).await, state, "{what}");
                    assert_eq!(scene.prod.applied(), applied, "{what}");
                    assert_eq!(scene.engine.troubles(), [], "{what}");
                    scene.engine.verify().await.unwrap();
                }
            }
        }
    }
}

/// Brings a promotion where it is in this state.
async fn in_state(state: State) -> (Scene, PromotionId) {
    let scene = Scene::new(Policy::healthy_for(MINUTE).approvals(1).expires_after(Some(MINUTE * 60)));
    let first = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    scene.engine.approve(&first, "bob").await.unwrap();
    scene.settle().await;
    let id = scene.engine.request("prod", &release("2.0.0"), "alice").await.unwrap();
    let approve = async || scene.engine.approve(&id, "bob").await.unwrap();
    match state {
        State::Succeeded => approve().await,
        State::RolledBack => {
            scene.prod.ill(&release("2.0.0"), Some(10));
            approve().await;
        }
        State::Failed => {
            scene.prod.trick(vec![Trick::ApplyFails; 3]);
            approve().await;
        }
        State::Rejected => scene.engine.reject(&id, "bob").await.unwrap(),
        State::Cancelled => scene.engine.cancel(&id, "alice").await.unwrap(),
        State::Expired => {}
        other => panic!("{other} is not an end"),
    }
    scene.settle().await;
    (scene, id)
}

#[tokio::test]
async fn what_has_ended_takes_no_command_however_late_and_nothing_is_recorded() {
    use State::{Cancelled, Expired, Failed, Rejected, RolledBack, Succeeded};
    for state in [Succeeded, RolledBack, Failed, Rejected, Cancelled, Expired] {
        let (scene, id) = in_state(state).await;
        assert_eq!(scene.state(&id).await, state);
        let engine = &scene.engine;
        let before = engine.stage_state("prod").await.unwrap().version();
        let late: Vec<(&str, Result<(), PromotionError>)> = vec![
            ("approve", engine.approve(&id, "bob").await),
            ("reject", engine.reject(&id, "bob").await),
            ("veto", engine.veto(&id, "bob", "no").await),
            ("revoke", engine.revoke(&id, "bob").await),
            ("cancel", engine.cancel(&id, "alice").await),
            ("pause", engine.pause(&id, "bob", "wait").await),
            ("resume", engine.resume(&id, "bob").await),
            ("override", engine.override_with(&id, "bob", "known").await),
            ("abort", engine.abort(&id, "bob", "no").await),
            ("acknowledge", engine.acknowledge(&id, "bob", "seen").await),
            ("retry", engine.retry(&id, "bob").await),
        ];
        for (command, outcome) in late {
            let error = outcome.expect_err(command);
            assert_eq!(error.kind(), ErrorKind::Conflict, "{command} {state}: {error}");
            assert!(error.to_string().contains(&format!("it is {state}")), "{command}: {error}");
        }
        assert_eq!(engine.stage_state("prod").await.unwrap().version(), before, "{state}");
        assert_eq!(scene.state(&id).await, state);
    }
}

/// A request id counts for its stage: in another one it is a new command, and never an answer about the wrong promotion.
#[tokio::test]
async fn a_request_id_used_in_one_stage_answers_nothing_in_another() {
    let scene = Scene::new(Policy::unverified("test"));
    let by = || Actor::new("alice").unwrap().request_id("build-812").unwrap();
    let dev = scene.engine.request("dev", &release("1.0.0"), by()).await.unwrap();
    let prod = scene.engine.request("prod", &release("2.0.0"), by()).await.unwrap();
    assert_eq!((dev.stage.as_str(), prod.stage.as_str()), ("dev", "prod"));
    scene.settle().await;
    assert_eq!(scene.engine.request("prod", &release("2.0.0"), by()).await.unwrap(), prod);
    assert_eq!(scene.engine.request("dev", &release("1.0.0"), by()).await.unwrap(), dev);
    assert_eq!(scene.engine.status(&prod).await.unwrap().release, release("2.0.0"));
}

/// An hour in which nobody looked is no hour of good health, whether the clock jumped or the driver was away.
#[tokio::test]
async fn a_clock_that_jumps_ahead_by_the_bake_time_is_not_the_bake_time() {
    let hour = MINUTE * 60;
    let scene = Scene::new(Policy::healthy_for(hour));
    let id = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    while scene.state(&id).await != State::Verifying {
        scene.engine.step().await.unwrap();
    }
    scene.clock.advance(hour);
    scene.settle().await;
    let status = scene.engine.status(&id).await.unwrap();
    assert_eq!(
        (status.state, status.verification.unwrap().windows),
        (State::Succeeded, 59),
        "one of two minutes"
    );
}
