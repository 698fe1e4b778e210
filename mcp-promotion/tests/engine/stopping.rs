//! `run` and `stop`: when a run ends, what becomes of the call under way, and of its leases.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::Name;
use mcp_promotion::{
    Append, Context, Engine, Fence, Fencing, Journal, JournalError, MemoryJournal, Observed, Pipeline,
    Policy, PromotionId, Release, Sample, Settings, Stage, StageError, State, Window,
};
use tokio::time::Instant;

use crate::scene::{Puppet, release};

const SECOND: Duration = Duration::from_secs(1);
const GRACE: Duration = Duration::from_secs(10);

/// A stage that takes this long to apply.
struct Slow(Duration, Puppet);

#[async_trait]
impl Stage for Slow {
    fn fencing(&self) -> Fencing {
        self.1.fencing()
    }

    async fn observe(&self, fence: Fence) -> Result<Observed, StageError> {
        self.1.observe(fence).await
    }

    async fn apply(&self, release: &Release, context: &Context) -> Result<(), StageError> {
        tokio::time::sleep(self.0).await;
        self.1.apply(release, context).await
    }

    async fn sample(&self, window: Window) -> Result<Vec<Sample>, StageError> {
        self.1.sample(window).await
    }
}

/// A journal whose appends hang when they are told to, and that counts what is read.
#[derive(Clone, Default)]
struct Lazy {
    journal: MemoryJournal,
    hangs: Arc<std::sync::atomic::AtomicBool>,
    reads: Arc<AtomicU64>,
}

#[async_trait]
impl Journal for Lazy {
    async fn append(&self, batch: &[Append]) -> Result<(), JournalError> {
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        self.journal.append(batch).await
    }

    async fn read(&self, stream: &Name, after: u64, max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.journal.read(stream, after, max).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<Name>, JournalError> {
        self.journal.streams(prefix).await
    }
}

fn engine(journal: &Lazy, stage: impl Stage + 'static, owner: &'static str) -> Engine {
    let mut settings = Settings::default();
    settings.stop_grace = GRACE;
    let pipeline = Pipeline::builder().stage("prod", Policy::unverified("demo")).build().unwrap();
    Engine::builder(pipeline, journal.clone())
        .stage("prod", stage)
        .owner(owner)
        .settings(settings)
        .build()
        .unwrap()
}

/// A run in the middle of `apply`.
async fn in_the_middle(engine: &Engine) -> (tokio::task::JoinHandle<()>, PromotionId) {
    let run = tokio::spawn(engine.clone().run());
    let id = engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    while engine.status(&id).await.unwrap().state != State::Deploying {
        tokio::time::sleep(SECOND / 10).await;
    }
    tokio::time::sleep(SECOND / 10).await;
    (run, id)
}

async fn lease(engine: &Engine) -> Option<String> {
    engine.stage_state("prod").await.unwrap().lease().map(|lease| lease.owner.to_string())
}

/// How long `run` still takes, in seconds.
async fn ends_after(run: tokio::task::JoinHandle<()>) -> u64 {
    let begin = Instant::now();
    run.await.unwrap();
    begin.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_may_end_within_the_grace_and_the_lease_is_given_back() {
    let engine = engine(&Lazy::default(), Slow(SECOND * 4, Puppet::default()), "one");
    let (run, id) = in_the_middle(&engine).await;
    engine.stop();
    assert!((2..=4).contains(&ends_after(run).await));
    let verifying = engine.status(&id).await.unwrap();
    assert_eq!((verifying.state, verifying.failures), (State::Verifying, 0), "what was done is recorded");
    assert_eq!(lease(&engine).await, None);
    let run = tokio::spawn(engine.clone().run());
    assert_eq!(engine.wait(&id).await.unwrap(), State::Succeeded, "a run can follow");
    engine.stop();
    run.await.unwrap();
    assert_eq!(lease(&engine).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_is_dropped_after_the_grace_and_another_driver_goes_on_at_once() {
    let journal = Lazy::default();
    let one = engine(&journal, Slow(SECOND * 1_000_000, Puppet::default()), "one");
    let (run, id) = in_the_middle(&one).await;
    one.stop();
    assert_eq!(ends_after(run).await, 10);
    assert_eq!(lease(&one).await, None);
    let two = engine(&journal, Puppet::default(), "two");
    let run = tokio::spawn(two.clone().run());
    let begin = Instant::now();
    assert_eq!(two.wait(&id).await.unwrap(), State::Succeeded);
    assert!(begin.elapsed() < SECOND * 2);
    two.stop();
    run.await.unwrap();
}

/// Nobody knows whether the dropped call has ended, and the target could not refuse it.
#[tokio::test(start_paused = true)]
async fn the_lease_of_a_stage_without_fences_is_kept_when_a_call_to_it_was_dropped() {
    let puppet = Puppet { unfenced: true, ..Puppet::default() };
    let journal = Lazy::default();
    let one = engine(&journal, Slow(SECOND * 1_000_000, puppet.clone()), "one");
    let (run, _) = in_the_middle(&one).await;
    one.stop();
    assert_eq!(ends_after(run).await, 10);
    assert_eq!(lease(&one).await, Some("one".to_owned()));
    one.release_lease("prod", "bob").await.unwrap();
    assert_eq!(lease(&one).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_within_twice_the_grace_although_the_journal_hangs() {
    let journal = Lazy::default();
    let engine = engine(&journal, Slow(SECOND * 4, Puppet::default()), "one");
    let (run, _) = in_the_middle(&engine).await;
    journal.hangs.store(true, Ordering::Relaxed);
    engine.stop();
    assert_eq!(ends_after(run).await, 20);
}

#[tokio::test(start_paused = true)]
async fn stop_ends_the_runs_that_were_called_before_it_and_no_other() {
    let engine = engine(&Lazy::default(), Slow(SECOND * 4, Puppet::default()), "one");
    engine.stop();
    let never_polled = engine.clone().run();
    let (first, id) = in_the_middle(&engine).await;
    let second = tokio::spawn(engine.clone().run());
    engine.stop();
    let third = tokio::spawn(engine.clone().run());
    never_polled.await;
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(engine.wait(&id).await.unwrap(), State::Succeeded, "by the third");
    assert!(!third.is_finished());
    engine.stop();
    third.await.unwrap();
    assert_eq!(lease(&engine).await, None);
}

#[tokio::test(start_paused = true)]
async fn several_runs_of_one_engine_apply_everything_once() {
    let puppet = Puppet::default();
    let engine = engine(&Lazy::default(), puppet.clone(), "one");
    let runs: Vec<_> = (0..4).map(|_| tokio::spawn(engine.clone().run())).collect();
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
        let id = engine.request("prod", &release(version), "alice").await.unwrap();
        assert_eq!(engine.wait(&id).await.unwrap(), State::Succeeded);
    }
    engine.stop();
    for run in runs {
        run.await.unwrap();
    }
    assert_eq!(puppet.applied(), ["app@1.0.0", "app@2.0.0", "app@3.0.0"]);
}

/// Ten events for each of 300 promotions would be 900,000 reads if each woke everybody.
#[tokio::test(start_paused = true)]
async fn who_waits_for_a_promotion_is_not_woken_by_all_the_others_in_its_stage() {
    let journal = Lazy::default();
    let engine = engine(&journal, Puppet::default(), "one");
    let mut waiting = Vec::new();
    for number in 0..300 {
        let id = engine.request("prod", &release(&format!("{number}.0.0")), "alice").await.unwrap();
        let engine = engine.clone();
        waiting.push(tokio::spawn(async move { engine.wait(&id).await.unwrap() }));
    }
    let run = tokio::spawn(engine.clone().run());
    for waiter in waiting {
        assert_eq!(waiter.await.unwrap(), State::Succeeded);
    }
    engine.stop();
    run.await.unwrap();
    let reads = journal.reads.load(Ordering::Relaxed);
    let events = engine.stage_state("prod").await.unwrap().version();
    assert!(reads < 4 * events, "{reads} reads for {events} events");
}

/// What another process does is seen by everybody who waits, although one of them looks for all.
#[tokio::test(start_paused = true)]
async fn who_waits_without_a_driver_sees_what_another_process_does() {
    let journal = Lazy::default();
    let (here, there) =
        (engine(&journal, Puppet::default(), "one"), engine(&journal, Puppet::default(), "two"));
    let mut waiting = Vec::new();
    for number in 0..10 {
        let id = here.request("prod", &release(&format!("{number}.0.0")), "alice").await.unwrap();
        let engine = here.clone();
        waiting.push(tokio::spawn(async move { engine.wait(&id).await.unwrap() }));
    }
    tokio::time::sleep(SECOND / 2).await;
    let run = tokio::spawn(there.clone().run());
    let begin = Instant::now();
    for waiter in waiting {
        assert_eq!(waiter.await.unwrap(), State::Succeeded);
    }
    assert!(begin.elapsed() <= SECOND * 2, "{:?}", begin.elapsed());
    there.stop();
    run.await.unwrap();
}
