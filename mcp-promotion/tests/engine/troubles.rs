//! A journal that is away, full, damaged or mad: it shows, and stops one stage only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use mcp_core::{ErrorKind, ManualClock, Name, SeamError};
use mcp_promotion::{
    Append, Blocker, Engine, Journal, JournalError, LiftedBy, MemoryJournal, Pipeline, Policy,
    PromotionError, State, Step, Task,
};

use crate::scene::{MINUTE, Puppet, Scene, release};

/// What is wrong with the appends to the stream of `prod`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ill {
    Not,
    Full,
    Conflicts,
    Panics,
}

#[derive(Clone)]
struct Sick {
    journal: MemoryJournal,
    ill: Arc<std::sync::Mutex<Ill>>,
    refused: Arc<AtomicU64>,
}

#[async_trait]
impl Journal for Sick {
    async fn append(&self, batch: &[Append]) -> Result<(), JournalError> {
        let ill = *self.ill.lock().unwrap();
        if ill == Ill::Not || batch.iter().all(|append| append.stream.as_str() != "stage/prod") {
            return self.journal.append(batch).await;
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(match ill {
            Ill::Full => SeamError::new(ErrorKind::Exhausted, "write the journal").with_source("disk full"),
            Ill::Conflicts => SeamError::new(ErrorKind::Conflict, "it has another version"),
            _ => panic!("boom"),
        })
    }

    async fn read(&self, stream: &Name, after: u64, max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        self.journal.read(stream, after, max).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<Name>, JournalError> {
        self.journal.streams(prefix).await
    }
}

fn engine(prod: Policy) -> (Engine, Sick, Arc<ManualClock>) {
    let (ill, refused) = (Arc::new(std::sync::Mutex::new(Ill::Not)), Arc::default());
    let journal = Sick { journal: MemoryJournal::new(), ill, refused };
    let clock = Arc::new(ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap()));
    let pipeline =
        Pipeline::builder().stage("dev", Policy::unverified("demo")).stage("prod", prod).build().unwrap();
    let engine = Engine::builder(pipeline, journal.clone())
        .stage("dev", Puppet::default())
        .stage("prod", Puppet::default())
        .clock(clock.clone())
        .build()
        .unwrap();
    (engine, journal, clock)
}

#[tokio::test(start_paused = true)]
async fn what_a_driver_cannot_write_down_is_told_until_it_can_and_another_stage_goes_on() {
    let cases = [
        (Ill::Full, "append to stream stage/prod: write the journal (exhausted): disk full"),
        (Ill::Panics, "append to stream stage/prod: journal panicked: boom (internal)"),
        (Ill::Conflicts, "write to stream stage/prod: others were faster 1 times in a row; try again"),
    ];
    for (ill, said) in cases {
        let (engine, journal, clock) = engine(Policy::unverified("test"));
        let id = engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
        *journal.ill.lock().unwrap() = ill;
        let run = tokio::spawn(engine.clone().run());
        while engine.troubles().is_empty() {
            tokio::task::yield_now().await;
        }
        let since = mcp_core::Clock::now(&*clock);
        clock.advance(MINUTE);
        tokio::time::sleep(MINUTE / 6).await;
        let [trouble] = &engine.troubles()[..] else { panic!("{:?}", engine.troubles()) };
        assert_eq!(trouble.task, Task::Stage("prod".parse().unwrap()));
        assert_eq!((trouble.since, trouble.error.as_str()), (since, said));
        assert!((10..=12).contains(&trouble.times), "about once a second: {}", trouble.times);
        let refused = journal.refused.load(Ordering::Relaxed);
        assert!(refused < 50, "it does not try all the time: {refused}");
        let blockers = engine.blockers(&id).await.unwrap();
        let [blocker @ Blocker::NotRecorded { times, error, .. }] = &blockers[..] else {
            panic!("{blockers:?}")
        };
        assert_eq!((*times, error.as_str()), (trouble.times, said));
        assert_eq!((blocker.lifted_by(), blocker.until()), (LiftedBy::Journal, None));
        let dev = engine.request("dev", &release("1.0.0"), "alice").await.unwrap();
        assert_eq!(engine.wait(&dev).await.unwrap(), State::Succeeded, "{ill:?}");

        *journal.ill.lock().unwrap() = Ill::Not;
        assert_eq!(engine.wait(&id).await.unwrap(), State::Succeeded, "{ill:?}");
        tokio::time::sleep(MINUTE).await;
        assert_eq!(engine.troubles(), [], "{ill:?}");
        engine.stop();
        run.await.unwrap();
    }
}

#[tokio::test]
async fn a_driver_that_steps_is_told_of_a_journal_in_which_somebody_is_always_faster() {
    let (engine, journal, _) = engine(Policy::unverified("test"));
    engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    *journal.ill.lock().unwrap() = Ill::Conflicts;
    let mut overtaken = 0;
    let error = loop {
        match engine.step().await {
            Ok(Step::Overtaken(_)) => overtaken += 1,
            Ok(step) => panic!("{step:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(overtaken, 16);
    assert!(matches!(error, PromotionError::Contended { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

/// Ruins the stream of `dev`, for engines that have not read it yet.
async fn ruin(journal: &MemoryJournal, version: u64) {
    let garbage = vec![vec![0xff; 100]];
    journal.append(&[Append::new("stage/dev".parse().unwrap(), version, garbage)]).await.unwrap();
}

#[tokio::test]
async fn a_stage_before_that_cannot_be_read_blocks_what_comes_after_it_and_nothing_else_there() {
    let clock = Arc::new(ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap()));
    let pipeline = Pipeline::builder()
        .stage("dev", Policy::unverified("demo"))
        .stage("prod", Policy::healthy_for(MINUTE).after("dev"))
        .build()
        .unwrap();
    let (journal, puppet) = (MemoryJournal::new(), Puppet::default());
    let engine = Engine::builder(pipeline, journal.clone())
        .stage("dev", Puppet::default())
        .stage("prod", puppet.clone())
        .clock(clock.clone())
        .build()
        .unwrap();
    let settle = async || {
        for _ in 0..100 {
            if let Ok(Step::Waiting(Some(until))) = engine.step().await {
                clock.advance(until.saturating_since(mcp_core::Clock::now(&*clock)));
            }
            clock.advance(MINUTE / 60);
        }
    };
    for version in ["1.0.0", "2.0.0"] {
        engine.request("dev", &release(version), "alice").await.unwrap();
        engine.request("prod", &release(version), "alice").await.unwrap();
        settle().await;
    }
    assert_eq!(puppet.running(), Some(release("2.0.0").digest()));
    ruin(&journal, engine.stage_state("dev").await.unwrap().version()).await;
    let next = engine.request("prod", &release("3.0.0"), "alice").await.unwrap();
    settle().await;
    let blockers = engine.blockers(&next).await.unwrap();
    let [Blocker::Unreadable { stage, .. }, Blocker::NotRecorded { .. }] = &blockers[..] else {
        panic!("{blockers:?}")
    };
    assert_eq!((stage.as_str(), blockers[0].lifted_by()), ("dev", LiftedBy::Journal));
    let back = engine.rollback("prod", "bob").await.unwrap();
    settle().await;
    assert_eq!(engine.status(&back).await.unwrap().state, State::Succeeded);
    assert_eq!(puppet.running(), Some(release("1.0.0").digest()));
    engine.cancel(&next, "alice").await.unwrap();
    settle().await;
    let left: Vec<Task> = engine.troubles().into_iter().map(|trouble| trouble.task).collect();
    assert_eq!(left, [Task::Stage("dev".parse().unwrap())], "only the one that is ruined");
}

#[tokio::test]
async fn when_a_gate_is_asked_again_is_told_by_the_driver_and_by_others_as_the_gate_said_it() {
    use mcp_promotion::{Gate, GateAnswer, GateError, GateRequest};
    struct Later;
    #[async_trait]
    impl Gate for Later {
        async fn check(&self, request: &GateRequest<'_>) -> Result<GateAnswer, GateError> {
            let until = request.now.saturating_add(MINUTE * 2);
            Ok(GateAnswer::wait(Some(until), "the scan is queued"))
        }
    }
    let scene = Scene::with(Policy::unverified("test").gate("scan"), Puppet::default(), |builder| {
        builder.gate("scan", Later)
    });
    let id = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    let other = Engine::builder(scene.engine.pipeline().clone(), scene.journal.clone())
        .clock(scene.clock.clone())
        .build()
        .unwrap();
    let until =
        async |engine: &Engine| engine.blockers(&id).await.unwrap()[0].until().map(|at| at.to_string());
    while scene.engine.status(&id).await.unwrap().delay.is_none() {
        scene.engine.step().await.unwrap();
    }
    let two = Some("2026-11-23T12:02:00.000000Z".to_owned());
    assert_eq!((until(&scene.engine).await, until(&other).await), (two.clone(), two));
    scene.clock.advance(MINUTE * 3);
    let version = scene.engine.stage_state("prod").await.unwrap().version();
    for _ in 0..5 {
        scene.engine.step().await.unwrap();
    }
    let five = Some("2026-11-23T12:05:00.000000Z".to_owned());
    assert_eq!((until(&scene.engine).await, until(&other).await), (five, None));
    let timeline = scene.engine.timeline("prod").await.unwrap();
    let told = timeline.to_string().matches("delayed by gate scan").count();
    assert_eq!(told, 1, "it is not written down again: {timeline} after {version}");
}
