//! Rollbacks that somebody asks for: where they go, what may hold them up, and how they end when they fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::{ErrorKind, SeamError};
use mcp_promotion::{
    CheckFn, Context, Engine, Fence, Fencing, Gate, GateAnswer, GateError, GateRequest, Health, HealthGate,
    Kind, MemoryJournal, Observed, Pipeline, Policy, PromotionError, Release, Sample, Stage, StageError,
    State, Window,
};

use crate::scene::{MINUTE, Puppet, Scene, Trick, release};

fn plain() -> Policy {
    Policy::unverified("test")
}

/// Invariant 7: what should have gone runs still, and a person is asked.
#[tokio::test]
async fn a_rollback_of_which_nothing_could_be_applied_is_stuck() {
    let scene = Scene::new(plain());
    scene.promoted("prod", "1.0.0").await;
    scene.promoted("prod", "2.0.0").await;
    let attempts = plain().calls.attempts as usize;
    scene.prod.trick(std::iter::repeat_n(Trick::ApplyFails, attempts));
    let back = scene.engine.rollback("prod", "bob").await.unwrap();
    scene.settle().await;
    assert_eq!(scene.prod.running(), Some(release("2.0.0").digest()));
    let status = scene.engine.status(&back).await.unwrap();
    assert_eq!(status.state, State::Stuck);
    assert!(status.reason.ends_with("reach the machines (unavailable)"), "{}", status.reason);
    assert!(scene.blockers(&back).await[0].ends_with("acknowledge it, or retry it unless it is a rollback"));
}

/// Nobody knows what runs then, and yet what somebody wanted to leave is nothing to fall back to.
#[tokio::test]
async fn after_an_acknowledged_rollback_a_failure_brings_back_what_it_would_have_brought_back() {
    let scene = Scene::new(Policy::healthy_for(MINUTE));
    scene.promoted("prod", "1.0.0").await;
    scene.promoted("prod", "2.0.0").await;
    scene.prod.trick([Trick::ObserveUnknown]);
    let back = scene.engine.rollback("prod", "bob").await.unwrap();
    scene.settle().await;
    assert_eq!(scene.state(&back).await, State::Paused);
    scene.engine.abort(&back, "bob", "by hand, then").await.unwrap();
    scene.engine.acknowledge(&back, "bob", "1.0.0 was put there by hand").await.unwrap();
    let state = scene.engine.stage_state("prod").await.unwrap();
    assert_eq!((state.is_unsettled(), state.previous().is_none()), (true, true));
    assert_eq!(scene.engine.current("prod").await.unwrap().unwrap().release, release("1.0.0"));
    scene.engine.lift_hold("prod", "bob").await.unwrap();
    scene.prod.ill(&release("3.0.0"), Some(50));
    let third = scene.promoted("prod", "3.0.0").await;
    assert_eq!(scene.state(&third).await, State::RolledBack);
    assert_eq!(scene.prod.running(), Some(release("1.0.0").digest()));
    scene.engine.verify().await.unwrap();
}

#[tokio::test]
async fn while_a_promotion_is_in_flight_there_is_nothing_to_go_back_to() {
    let scene = Scene::new(Policy::healthy_for(MINUTE));
    scene.promoted("prod", "1.0.0").await;
    scene.promoted("prod", "2.0.0").await;
    scene.engine.request("prod", &release("3.0.0"), "alice").await.unwrap();
    while scene.engine.stage_state("prod").await.unwrap().in_flight().is_none() {
        scene.engine.step().await.unwrap();
    }
    let error = scene.engine.rollback("prod", "bob").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("abort it, which brings back what ran before"), "{error}");
    scene.settle().await;
    let back = scene.engine.rollback("prod", "bob").await.unwrap();
    scene.settle().await;
    assert_eq!(
        (scene.state(&back).await, scene.prod.running()),
        (State::Succeeded, Some(release("2.0.0").digest()))
    );
}

#[tokio::test]
async fn of_two_rollbacks_that_wait_the_second_is_cancelled_and_goes_no_further_back() {
    let scene = Scene::new(plain());
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
        scene.promoted("prod", version).await;
    }
    let first = scene.engine.rollback("prod", "bob").await.unwrap();
    let second = scene.engine.rollback("prod", "carol").await.unwrap();
    scene.settle().await;
    let status = scene.engine.status(&second).await.unwrap();
    assert_eq!((scene.state(&first).await, status.state), (State::Succeeded, State::Cancelled));
    assert_eq!(status.reason, "what ran before is not this release any more");
    assert_eq!(scene.prod.running(), Some(release("2.0.0").digest()));
}

/// Denies while it is told to.
struct Guard(Arc<AtomicBool>);

#[async_trait]
impl Gate for Guard {
    async fn check(&self, _request: &GateRequest<'_>) -> Result<GateAnswer, GateError> {
        Ok(if self.0.load(Ordering::Relaxed) {
            GateAnswer::deny("too old")
        } else {
            GateAnswer::pass("fine")
        })
    }
}

#[tokio::test]
async fn a_gate_that_denies_a_rollback_is_named_and_asked_again_and_time_does_not_end_it() {
    let denies = Arc::new(AtomicBool::new(false));
    let gate = Guard(denies.clone());
    let policy = plain().gate("guard").expires_after(Some(MINUTE));
    let scene = Scene::with(policy, Puppet::default(), |builder| builder.gate("guard", gate));
    scene.promoted("prod", "1.0.0").await;
    scene.promoted("prod", "2.0.0").await;
    denies.store(true, Ordering::Relaxed);
    let refused = scene.promoted("prod", "3.0.0").await;
    assert_eq!(scene.state(&refused).await, State::Rejected);
    let back = scene.engine.rollback("prod", "bob").await.unwrap();
    for _ in 0..60 {
        scene.engine.step().await.unwrap();
        scene.clock.advance(MINUTE / 20);
    }
    assert_eq!(scene.state(&back).await, State::Pending);
    let blockers = scene.blockers(&back).await;
    assert!(
        blockers.iter().any(|blocker| blocker.contains("gate guard") && blocker.contains("denied: too old")),
        "{blockers:?}"
    );
    denies.store(false, Ordering::Relaxed);
    scene.settle().await;
    assert_eq!(
        (scene.state(&back).await, scene.prod.running()),
        (State::Succeeded, Some(release("1.0.0").digest()))
    );
}

/// The health of what runs is no reason to keep it.
#[tokio::test]
async fn a_health_gate_lets_a_regression_be_taken_back() {
    let healthy = Arc::new(AtomicBool::new(true));
    let seen = healthy.clone();
    let check = CheckFn::new(move || {
        let healthy = seen.load(Ordering::Relaxed);
        async move { Ok(if healthy { Health::healthy("fine") } else { Health::unhealthy("on fire") }) }
    });
    let policy = plain().gate("health");
    let scene =
        Scene::with(policy, Puppet::default(), |builder| builder.gate("health", HealthGate::new(check)));
    scene.promoted("prod", "1.0.0").await;
    scene.promoted("prod", "2.0.0").await;
    healthy.store(false, Ordering::Relaxed);
    let forward = scene.engine.request("prod", &release("3.0.0"), "alice").await.unwrap();
    scene.engine.step().await.unwrap();
    scene.engine.step().await.unwrap();
    assert_eq!(scene.state(&forward).await, State::Pending);
    let back = scene.engine.rollback("prod", "bob").await.unwrap();
    for _ in 0..20 {
        scene.engine.step().await.unwrap();
    }
    assert_eq!(
        (scene.state(&back).await, scene.prod.running()),
        (State::Succeeded, Some(release("1.0.0").digest()))
    );
    let kinds: Vec<Kind> =
        scene.engine.promotions("prod").await.unwrap().iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [Kind::Deploy, Kind::Deploy, Kind::Deploy, Kind::Rollback]);
}

/// Begins what it is told, and answers only after an hour; it keeps no fence.
#[derive(Clone, Default)]
struct Slow(Puppet);

#[async_trait]
impl Stage for Slow {
    fn fencing(&self) -> Fencing {
        Fencing::Unfenced
    }

    async fn observe(&self, fence: Fence) -> Result<Observed, StageError> {
        self.0.observe(fence).await
    }

    async fn apply(&self, release: &Release, context: &Context) -> Result<(), StageError> {
        let (puppet, release, context) = (self.0.clone(), release.clone(), context.clone());
        let work = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            puppet.apply(&release, &context).await
        });
        work.await.map_err(|error| SeamError::new(ErrorKind::Internal, error.to_string()))?
    }

    async fn sample(&self, window: Window) -> Result<Vec<Sample>, StageError> {
        self.0.sample(window).await
    }
}

/// Invariant 7: nobody says that nothing was applied while it may still come.
#[tokio::test(start_paused = true)]
async fn a_call_that_may_still_have_its_effect_where_no_fence_stops_it_waits_for_a_person() {
    let stage = Slow::default();
    let pipeline = Pipeline::builder().stage("prod", plain()).build().unwrap();
    let engine =
        Engine::builder(pipeline, MemoryJournal::new()).stage("prod", stage.clone()).build().unwrap();
    let run = tokio::spawn(engine.clone().run());
    let id = engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    assert_eq!(engine.wait(&id).await.unwrap(), State::Paused);
    let reason = engine.status(&id).await.unwrap().reason;
    let expected = "apply: no answer within 30000 ms (unavailable), and nothing keeps it from having its effect later; look whether it has ended";
    assert_eq!((reason.as_str(), stage.0.applied().len()), (expected, 0));
    tokio::time::advance(Duration::from_secs(3600)).await;
    while stage.0.applied().is_empty() {
        tokio::task::yield_now().await;
    }
    engine.override_with(&id, "bob", "it has ended").await.unwrap();
    assert_eq!(engine.wait(&id).await.unwrap(), State::Succeeded);
    engine.stop();
    run.await.unwrap();
}

/// A request that nobody may supersede, because somebody answers for its haste.
#[tokio::test]
async fn what_was_requested_without_waiting_is_not_superseded_by_what_waits() {
    let policy = plain().queue(mcp_promotion::Queue::SupersedePending).approvals(1);
    let scene = Scene::with(policy, Puppet::default(), |builder| {
        let roles = r#"{"people": {"dave": ["sre"]}, "operators": ["sre"], "glass_breakers": ["sre"]}"#;
        builder.authorizer(serde_json::from_str::<mcp_promotion::Roles>(roles).unwrap())
    });
    let hotfix =
        scene.engine.request_without_waiting("prod", &release("1.0.1"), "dave", "down").await.unwrap();
    let feature = scene.engine.request("prod", &release("1.1.0"), "alice").await.unwrap();
    assert_eq!((scene.state(&hotfix).await, scene.state(&feature).await), (State::Pending, State::Pending));
    scene.settle().await;
    assert_eq!(scene.prod.running(), Some(release("1.0.1").digest()));
}

#[tokio::test]
async fn a_repeated_revocation_never_takes_back_a_later_approval() {
    let scene = Scene::new(plain().approvals(1));
    let actor = |request: &str| mcp_promotion::Actor::new("bob").unwrap().request_id(request).unwrap();
    let id = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    scene.engine.approve(&id, "bob").await.unwrap();
    scene.engine.revoke(&id, actor("first")).await.unwrap();
    scene.engine.revoke(&id, actor("second")).await.unwrap();
    scene.engine.approve(&id, "bob").await.unwrap();
    scene.engine.revoke(&id, actor("second")).await.unwrap();
    let votes = scene.engine.status(&id).await.unwrap().votes;
    assert_eq!(votes.iter().map(|ballot| ballot.vote).collect::<Vec<_>>(), [mcp_promotion::Vote::Approve]);
    let reused: PromotionError = scene.engine.cancel(&id, actor("second")).await.unwrap_err();
    assert_eq!(reused.kind(), ErrorKind::Conflict);
}
