//! Whatever panics is one failed call: `run` goes on, and nothing is poisoned.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::{
    Artifact, ArtifactRef, Candidate, Digest, ErrorKind, Event, Fetch, Fetched, FnSink, Holder, Inspect,
    Name, Pin, SeamError, Timestamp, Verdict,
};
use mcp_promotion::{
    Append, Authorizer, Blocker, Calls, Context, Engine, Fence, Fencing, Gate, GateAnswer, GateRequest,
    InspectGate, Journal, JournalError, Judge, JudgeChoice, JudgeError, Judgement, LiftedBy, MemoryJournal,
    Observed, Pipeline, Policy, PromotionError, Release, Sample, Settings, Snapshots, Stage, StageError,
    Standing, State, Step, Task, Verification, VoteRequest, Window,
};

use crate::scene::{MINUTE, Puppet, Scene, release};

/// Panics in one of its functions, and is a stage, a gate, a judge, … otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bomb {
    Observe,
    Apply,
    Sample,
    Gate,
    Judge,
    Authorizer,
    Pin,
    Fetch,
    Inspect,
}

const POOR: &str = "boom";

struct Mined {
    bomb: Bomb,
    puppet: Puppet,
}

#[async_trait]
impl Stage for Mined {
    fn fencing(&self) -> Fencing {
        Fencing::Enforced
    }

    async fn observe(&self, fence: Fence) -> Result<Observed, StageError> {
        assert!(self.bomb != Bomb::Observe, "{POOR}");
        self.puppet.observe(fence).await
    }

    async fn apply(&self, release: &Release, context: &Context) -> Result<(), StageError> {
        assert!(self.bomb != Bomb::Apply, "{POOR}");
        self.puppet.apply(release, context).await
    }

    async fn sample(&self, window: Window) -> Result<Vec<Sample>, StageError> {
        assert!(self.bomb != Bomb::Sample, "{POOR}");
        self.puppet.sample(window).await
    }
}

#[async_trait]
impl Gate for Bomb {
    async fn check(&self, _request: &GateRequest<'_>) -> Result<GateAnswer, SeamError> {
        assert!(*self != Self::Gate, "{POOR}");
        Ok(GateAnswer::pass("seen"))
    }
}

impl Judge for Bomb {
    fn judge(
        &self,
        _state: &serde_json::Value,
        _window: Window,
        samples: &[Sample],
    ) -> Result<(serde_json::Value, Judgement), JudgeError> {
        assert!(*self != Self::Judge, "{POOR}");
        let why = "there is no data".to_owned();
        let judgement = if samples.is_empty() { Judgement::Inconclusive { why } } else { Judgement::Pass };
        Ok((serde_json::Value::Null, judgement))
    }
}

#[async_trait]
impl Authorizer for Bomb {
    async fn standing(&self, _request: &VoteRequest<'_>) -> Result<Option<Standing>, SeamError> {
        assert!(*self != Self::Authorizer, "{POOR}");
        Ok(Some(Standing::every_level()))
    }
}

#[async_trait]
impl Pin for Bomb {
    async fn pin(&self, _: &Holder, _: &[Artifact], _: Option<Timestamp>) -> Result<(), SeamError> {
        assert!(*self != Self::Pin, "{POOR}");
        Ok(())
    }

    async fn release(&self, _: &Holder) -> Result<(), SeamError> {
        assert!(*self != Self::Pin, "{POOR}");
        Ok(())
    }
}

#[async_trait]
impl Fetch for Bomb {
    async fn fetch(&self, _artifact: &ArtifactRef, _max_bytes: u64) -> Result<Fetched, SeamError> {
        assert!(*self != Self::Fetch, "{POOR}");
        let bytes = b"1.0.0";
        Ok(Fetched::new(Digest::of(bytes), "text/plain", bytes.as_slice().into()))
    }
}

#[async_trait]
impl Inspect for Bomb {
    async fn inspect(&self, _candidate: &Candidate) -> Result<Verdict, SeamError> {
        assert!(*self != Self::Inspect, "{POOR}");
        Ok(Verdict::of(Vec::new()))
    }
}

/// `dev` is well; in `prod` this goes off.
fn engine(bomb: Bomb) -> Engine {
    let (judge, gate) =
        (JudgeChoice::Named("bomb".parse().unwrap()), InspectGate::new(Arc::new(bomb), Arc::new(bomb)));
    // The engine's clock is the real one, the runtime's is not.
    let mut calls = Calls::default();
    calls.backoff = Duration::ZERO;
    let prod = Policy::judged_by(judge, Duration::from_millis(1))
        .calls(calls)
        .gate("bomb")
        .gate("inspect")
        .approvals(1);
    let pipeline =
        Pipeline::builder().stage("dev", Policy::unverified("demo")).stage("prod", prod).build().unwrap();
    Engine::builder(pipeline, MemoryJournal::new())
        .stage("dev", Puppet::default())
        .stage("prod", Mined { bomb, puppet: Puppet::default() })
        .gate("bomb", bomb)
        .gate("inspect", gate)
        .judge("bomb", bomb)
        .authorizer(bomb)
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_the_failure_of_that_call_and_run_goes_on_with_everything_else() {
    let stuck = "the stage runs something unknown (observe panicked: boom (internal))";
    let failed =
        "nothing was applied: 3 attempts failed, the last one with apply: apply panicked: boom (internal)";
    let judged = "the judge failed: judge panicked: boom (internal)";
    let delayed =
        |by: &str, what: &str| format!("gate {by} does not let it start: {what} panicked: boom (internal)");
    let cases = [
        (Bomb::Observe, State::Paused, stuck.to_owned()),
        (Bomb::Apply, State::Failed, failed.to_owned()),
        (Bomb::Judge, State::Paused, judged.to_owned()),
        (Bomb::Gate, State::Pending, delayed("bomb", "gate bomb")),
        (Bomb::Fetch, State::Pending, delayed("inspect", "gate inspect")),
        (Bomb::Inspect, State::Pending, delayed("inspect", "gate inspect")),
        (Bomb::Sample, State::Paused, "there is no data".to_owned()),
    ];
    for (bomb, state, why) in cases {
        let engine = engine(bomb);
        let run = tokio::spawn(engine.clone().run());
        let id = engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
        engine.approve(&id, "bob").await.unwrap();
        let told = if state == State::Pending {
            while engine.status(&id).await.unwrap().delay.is_none() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let [Blocker::Delayed { by, .. }] = &engine.blockers(&id).await.unwrap()[..] else { panic!() };
            assert!(by.starts_with("gate "), "{by}");
            let told = engine.blockers(&id).await.unwrap()[0].to_string();
            // A person ends it.
            engine.cancel(&id, "alice").await.unwrap();
            assert_eq!(engine.wait(&id).await.unwrap(), State::Cancelled);
            told
        } else {
            tokio::time::timeout(MINUTE * 60, engine.wait(&id)).await.unwrap().unwrap();
            let status = engine.status(&id).await.unwrap();
            assert_eq!(status.state, state, "{bomb:?}: {}", status.reason);
            status.reason
        };
        assert!(told.starts_with(&why), "{bomb:?}: {told}");
        let dev = engine.request("dev", &release("1.0.0"), "alice").await.unwrap();
        assert_eq!(engine.wait(&dev).await.unwrap(), State::Succeeded, "{bomb:?}");
        assert_eq!(engine.troubles(), [], "{bomb:?}");
        engine.stop();
        run.await.unwrap();
    }
}

#[tokio::test]
async fn a_panic_of_the_authorizer_or_the_pin_is_the_error_of_that_command_and_records_nothing() {
    let engine = engine(Bomb::Authorizer);
    let id = engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    let error = engine.approve(&id, "bob").await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!((error.kind(), cause.as_str()), (ErrorKind::Internal, "authorizer panicked: boom"));
    assert_eq!(engine.status(&id).await.unwrap().votes, []);

    let scene = Scene::with(Policy::unverified("test"), Puppet::default(), |builder| {
        builder.pin(Arc::new(Bomb::Pin))
    });
    let error = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!((error.kind(), cause.as_str()), (ErrorKind::Internal, "pin panicked: boom"));
    assert_eq!(scene.engine.promotions("prod").await.unwrap(), []);
}

#[tokio::test]
async fn a_shadow_judge_that_panics_is_recorded_and_the_promotion_succeeds() {
    let mut policy = Policy::healthy_for(MINUTE);
    let Verification::Judged(judged) = &mut policy.verification else { panic!("it is judged") };
    judged.shadow = vec![JudgeChoice::Named("bomb".parse().unwrap())];
    let scene = Scene::with(policy, Puppet::default(), |builder| builder.judge("bomb", Bomb::Judge));
    let id = scene.promoted("prod", "1.0.0").await;
    let status = scene.engine.status(&id).await.unwrap();
    let shadow = &status.verification.unwrap().beside.shadow[0];
    let said = "inconclusive: the judge failed: judge panicked: boom";
    assert_eq!((status.state, shadow.judgement.to_string().as_str()), (State::Succeeded, said));
}

#[tokio::test]
async fn a_sink_that_panics_hears_nothing_and_changes_nothing() {
    let sink = Arc::new(FnSink::new(|_event: &Event| panic!("{POOR}")));
    let scene = Scene::with(Policy::unverified("test"), Puppet::default(), |builder| builder.events(sink));
    let id = scene.promoted("prod", "1.0.0").await;
    assert_eq!(scene.state(&id).await, State::Succeeded);
    scene.engine.verify().await.unwrap();
}

/// Panics where nothing else can: when it is asked whether it has fences.
struct Fencer(Arc<AtomicBool>, Puppet);

#[async_trait]
impl Stage for Fencer {
    fn fencing(&self) -> Fencing {
        assert!(!self.0.load(Ordering::Relaxed), "{POOR}");
        Fencing::Enforced
    }

    async fn observe(&self, fence: Fence) -> Result<Observed, StageError> {
        self.1.observe(fence).await
    }

    async fn apply(&self, release: &Release, context: &Context) -> Result<(), StageError> {
        self.1.apply(release, context).await
    }

    async fn sample(&self, window: Window) -> Result<Vec<Sample>, StageError> {
        self.1.sample(window).await
    }
}

/// What is not caught as one call is caught as one step.
#[tokio::test]
async fn a_panic_between_the_calls_is_trouble_until_a_step_succeeds() {
    let faint = Arc::new(AtomicBool::new(false));
    let pipeline = Pipeline::builder().stage("prod", Policy::unverified("demo")).build().unwrap();
    let engine = Engine::builder(pipeline, MemoryJournal::new())
        .stage("prod", Fencer(Arc::clone(&faint), Puppet::default()))
        .build()
        .unwrap();
    let id = engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    faint.store(true, Ordering::Relaxed);
    let error = engine.step().await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Internal, "drive stage prod"));
    let trouble = engine.troubles();
    assert_eq!((trouble.len(), &trouble[0].task), (1, &Task::Stage("prod".parse().unwrap())));
    assert_eq!(trouble[0].error, "drive stage prod: the driver panicked: boom (internal)");
    faint.store(false, Ordering::Relaxed);
    let blockers = engine.blockers(&id).await.unwrap();
    assert!(matches!(blockers[..], [Blocker::NotRecorded { times: 1, .. }]), "{blockers:?}");
    assert_eq!(blockers[0].lifted_by(), LiftedBy::Journal);
    while !matches!(engine.step().await.unwrap(), Step::Waiting(_)) {}
    assert_eq!(engine.troubles(), []);
    assert_eq!(engine.status(&id).await.unwrap().state, State::Succeeded);
}

/// A journal that panics in one of its functions, while it is told to.
#[derive(Clone, Default)]
struct Ledger(MemoryJournal, Arc<Mutex<&'static str>>);

impl Ledger {
    fn may(&self, what: &str) {
        let faints = *self.1.lock().unwrap() == what;
        assert!(!faints, "{POOR}");
    }
}

#[async_trait]
impl Journal for Ledger {
    async fn append(&self, batch: &[Append]) -> Result<(), JournalError> {
        self.may("append");
        self.0.append(batch).await
    }

    async fn read(&self, stream: &Name, after: u64, max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        self.may("read");
        self.0.read(stream, after, max).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<Name>, JournalError> {
        self.may("streams");
        self.0.streams(prefix).await
    }

    fn snapshots(&self) -> Option<&dyn Snapshots> {
        self.may("snapshots");
        Some(self)
    }
}

#[async_trait]
impl Snapshots for Ledger {
    async fn load(&self, _stream: &Name) -> Result<Option<Vec<u8>>, JournalError> {
        self.may("load");
        Ok(None)
    }

    async fn keep(&self, _stream: &Name, _snapshot: Vec<u8>) -> Result<(), JournalError> {
        self.may("keep");
        Ok(())
    }
}

#[tokio::test]
async fn a_journal_that_panics_fails_a_verification_and_the_next_one_finds_everything_as_it_was() {
    let ledger = Ledger::default();
    let open = || {
        let pipeline = Pipeline::builder().stage("prod", Policy::unverified("demo")).build().unwrap();
        let mut settings = Settings::default();
        settings.snapshot_events = 1;
        Engine::builder(pipeline, ledger.clone()).settings(settings).build().unwrap()
    };
    let engine = open();
    engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    let audit = engine.verify().await.unwrap();
    for what in ["streams", "read"] {
        *ledger.1.lock().unwrap() = what;
        let told =
            |error: PromotionError| (error.kind(), std::error::Error::source(&error).unwrap().to_string());
        let expected = (ErrorKind::Internal, "journal panicked: boom".to_owned());
        assert_eq!(engine.verify().await.map_err(told).unwrap_err(), expected, "{what}");
        assert_eq!(engine.checkpoint().await.map_err(told).unwrap_err(), expected, "{what}");
    }
    *ledger.1.lock().unwrap() = "";
    assert_eq!(engine.verify().await.unwrap(), audit);
    // A snapshot is a cache: where it cannot be had, the stream is read.
    for what in ["snapshots", "load", "keep"] {
        *ledger.1.lock().unwrap() = what;
        assert_eq!(open().stage_state("prod").await.unwrap().version(), 1, "{what}");
    }
}
