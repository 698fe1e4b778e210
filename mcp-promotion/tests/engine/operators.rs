//! Holds, vetoes, and what every command of a person has in common.

use mcp_core::ErrorKind;
use mcp_promotion::{Actor, AllowList, Engine, Policy, PromotionError, PromotionId, State, Step};

use crate::scene::{MINUTE, Scene, Trick, release};
use crate::transcripts::check;

fn policy() -> Policy {
    Policy::healthy_for(MINUTE).approvals(1)
}

fn bob(request: &str) -> Actor {
    Actor::new("bob").unwrap().request_id(request).unwrap()
}

#[tokio::test]
async fn while_a_stage_is_held_nothing_starts_there_but_a_rollback() {
    let scene = Scene::new(Policy::healthy_for(MINUTE));
    scene.promoted("prod", "1.0.0").await;
    scene.promoted("prod", "2.0.0").await;
    scene.engine.hold("prod", "bob", "the database moves").await.unwrap();
    let third = scene.promoted("prod", "3.0.0").await;
    assert_eq!(
        scene.blockers(&third).await,
        ["bob holds the stage: the database moves; nothing but rollbacks starts until the hold is lifted"]
    );
    let back = scene.engine.rollback("prod", "carol").await.unwrap();
    scene.settle().await;
    assert_eq!((scene.state(&back).await, scene.state(&third).await), (State::Succeeded, State::Pending));
    assert_eq!(scene.prod.running(), Some(release("1.0.0").digest()));
    scene.engine.lift_hold("prod", "bob").await.unwrap();
    scene.settle().await;
    assert_eq!(scene.state(&third).await, State::Succeeded);
    check(&scene, "held").await;
}

#[tokio::test]
async fn a_hold_needs_a_reason_is_put_once_and_lifted_once_and_counts_in_a_stage_without_promotions() {
    let scene = Scene::new(Policy::healthy_for(MINUTE));
    let told = |outcome: Result<(), PromotionError>| {
        let error = outcome.unwrap_err();
        (error.kind(), error.to_string())
    };
    assert_eq!(
        told(scene.engine.hold("prod", "bob", " ").await),
        (ErrorKind::Denied, "hold stage prod by bob: a hold needs a reason".to_owned())
    );
    assert_eq!(
        told(scene.engine.lift_hold("prod", "bob").await),
        (ErrorKind::Conflict, "lift the hold of stage prod: nobody holds it".to_owned())
    );
    scene.engine.hold("prod", "bob", "freeze").await.unwrap();
    assert_eq!(
        told(scene.engine.hold("prod", "carol", "me too").await),
        (
            ErrorKind::Conflict,
            "hold stage prod: bob holds it since 2026-11-23T12:00:00.000000Z: freeze; lift that first"
                .to_owned()
        )
    );
    let id = scene.promoted("prod", "1.0.0").await;
    assert_eq!(scene.state(&id).await, State::Pending);
}

#[tokio::test]
async fn a_veto_ends_a_pending_promotion_after_any_number_of_approvals_and_says_why() {
    let scene = Scene::new(Policy::healthy_for(MINUTE).approvals(3));
    let id = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    scene.engine.approve(&id, "bob").await.unwrap();
    scene.engine.approve(&id, "carol").await.unwrap();
    let reasonless = scene.engine.veto(&id, "carol", "").await.unwrap_err();
    assert_eq!(reasonless.to_string(), format!("veto {id} by carol: a veto needs a reason"));
    let stranger = scene.engine.veto(&id, "mallory", "no").await.unwrap_err();
    assert_eq!((stranger.kind(), scene.state(&id).await), (ErrorKind::Denied, State::Pending));
    scene.engine.veto(&id, "carol", "the contract forbids it").await.unwrap();
    let status = scene.engine.status(&id).await.unwrap();
    assert_eq!((status.state, status.reason.as_str()), (State::Rejected, "the contract forbids it"));
    check(&scene, "vetoed").await;
}

/// Every command of a person about a promotion or a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Approve,
    Reject,
    Veto,
    Revoke,
    Cancel,
    Pause,
    Resume,
    Override,
    Abort,
    Acknowledge,
    Retry,
    Hold,
    LiftHold,
    ReleaseLease,
}

const ALL: [Operation; 14] = {
    use Operation::{
        Abort, Acknowledge, Approve, Cancel, Hold, LiftHold, Override, Pause, Reject, ReleaseLease, Resume,
        Retry, Revoke, Veto,
    };
    [
        Approve,
        Reject,
        Veto,
        Revoke,
        Cancel,
        Pause,
        Resume,
        Override,
        Abort,
        Acknowledge,
        Retry,
        Hold,
        LiftHold,
        ReleaseLease,
    ]
};

impl Operation {
    async fn give(self, engine: &Engine, id: &PromotionId, by: Actor) -> Result<(), PromotionError> {
        match self {
            Self::Approve => engine.approve(id, by).await,
            Self::Reject => engine.reject(id, by).await,
            Self::Veto => engine.veto(id, by, "no").await,
            Self::Revoke => engine.revoke(id, by).await,
            Self::Cancel => engine.cancel(id, by).await,
            Self::Pause => engine.pause(id, by, "wait").await,
            Self::Resume => engine.resume(id, by).await,
            Self::Override => engine.override_with(id, by, "known").await,
            Self::Abort => engine.abort(id, by, "no").await,
            Self::Acknowledge => engine.acknowledge(id, by, "seen").await,
            Self::Retry => engine.retry(id, by).await,
            Self::Hold => engine.hold("prod", by, "wait").await,
            Self::LiftHold => engine.lift_hold("prod", by).await,
            Self::ReleaseLease => engine.release_lease("prod", by).await,
        }
    }

    /// Brings a promotion where this can be done about it.
    async fn prepare(self, scene: &Scene) -> PromotionId {
        let id = scene.engine.request("prod", &release("2.0.0"), "alice").await.unwrap();
        let engine = &scene.engine;
        match self {
            Self::Approve | Self::Reject | Self::Veto | Self::Cancel | Self::Hold => {}
            Self::Revoke => engine.approve(&id, "bob").await.unwrap(),
            Self::LiftHold => engine.hold("prod", "carol", "wait").await.unwrap(),
            Self::Pause | Self::ReleaseLease | Self::Resume | Self::Override | Self::Abort => {
                engine.approve(&id, "carol").await.unwrap();
                until(scene, &id, State::Verifying).await;
                if !matches!(self, Self::Pause | Self::ReleaseLease) {
                    engine.pause(&id, "carol", "look").await.unwrap();
                }
            }
            Self::Acknowledge | Self::Retry => {
                engine.approve(&id, "carol").await.unwrap();
                until(scene, &id, State::Verifying).await;
                engine.abort(&id, "carol", "no").await.unwrap();
                scene.prod.trick([Trick::ObserveUnknown]);
                until(scene, &id, State::Stuck).await;
            }
        }
        id
    }
}

async fn until(scene: &Scene, id: &PromotionId, state: State) {
    for _ in 0..100 {
        if scene.state(id).await == state {
            return;
        }
        if let Step::Waiting(_) = scene.engine.step().await.unwrap() {
            scene.clock.advance(MINUTE / 6);
        }
    }
    panic!("{id} is never {state}");
}

/// Ends `id`, and brings two more releases, so that nothing remembers it.
async fn leave_behind(scene: &Scene, id: &PromotionId) {
    drop(scene.engine.lift_hold("prod", "carol").await);
    drop(scene.engine.approve(id, "carol").await);
    scene.settle().await;
    match scene.state(id).await {
        State::Paused => scene.engine.abort(id, "carol", "end").await.unwrap(),
        State::Pending => scene.engine.cancel(id, "carol").await.unwrap(),
        _ => {}
    }
    for version in ["3.0.0", "4.0.0"] {
        let next = scene.engine.request("prod", &release(version), "alice").await.unwrap();
        scene.engine.approve(&next, "bob").await.unwrap();
        scene.settle().await;
        assert_eq!(scene.state(&next).await, State::Succeeded);
    }
}

#[tokio::test]
async fn every_command_of_a_person_is_answered_as_the_first_time_and_its_request_id_serves_no_other() {
    for operation in ALL {
        let scene = Scene::new(policy());
        let first = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
        scene.engine.approve(&first, "bob").await.unwrap();
        scene.settle().await;
        let id = operation.prepare(&scene).await;
        let give = async |engine: &Engine| operation.give(engine, &id, bob("r1")).await;
        give(&scene.engine).await.unwrap_or_else(|error| panic!("{operation:?}: {error}"));
        let version = async |engine: &Engine| engine.stage_state("prod").await.unwrap().version();
        let before = version(&scene.engine).await;
        give(&scene.engine).await.unwrap_or_else(|error| panic!("{operation:?} again: {error}"));
        assert_eq!(version(&scene.engine).await, before, "{operation:?} again adds nothing");

        leave_behind(&scene, &id).await;
        // Another process, in which nobody may vote any more.
        let later = Engine::builder(scene.engine.pipeline().clone(), scene.journal.clone())
            .authorizer(AllowList::of(["zoe"]).unwrap())
            .build()
            .unwrap();
        assert!(later.stage_state("prod").await.unwrap().promotion(id.number).is_none(), "{operation:?}");
        let before = version(&later).await;
        give(&later).await.unwrap_or_else(|error| panic!("{operation:?} after a restart: {error}"));
        for other in ALL.into_iter().filter(|other| *other != operation) {
            let error = other.give(&later, &id, bob("r1")).await.unwrap_err();
            let reused = "use request id r1: another command of stage prod has used it; choose a new one";
            assert_eq!(error.to_string(), reused, "{operation:?}, then {other:?}");
            assert_eq!(error.kind(), ErrorKind::Conflict);
        }
        assert_eq!(version(&later).await, before, "{operation:?}");
    }
}
