//! What a driven plan costs does not grow faster than its stages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::{Clock, Digest, ManualClock, Name, SequentialIds, SystemClock};
use mcp_promotion::{
    AllowList, Append, Engine, Item, Journal, JournalError, MemoryJournal, Need, Pipeline, PlanEntry,
    PlanHappened, PlanRequest, PlanState, Policy, Release, State, Step,
};

use crate::fleet::{self, Fleet};
use crate::scene::Puppet;

/// Counts what is read and written.
#[derive(Clone, Default)]
struct Counted {
    journal: MemoryJournal,
    reads: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
}

#[async_trait]
impl Journal for Counted {
    async fn append(&self, batch: &[Append]) -> Result<(), JournalError> {
        let bytes = batch.iter().flat_map(|append| &append.events).map(Vec::len).sum();
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
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

fn stage(number: usize) -> String {
    format!("s{number}")
}

fn artifact(number: usize, version: &str) -> (String, Digest) {
    let reference = format!("s{number}@{version}");
    let digest = Digest::of(reference.as_bytes());
    (reference, digest)
}

/// What a plan has cost.
#[derive(Clone, Copy, Debug)]
struct Cost {
    reads: usize,
    bytes: usize,
    /// Of the processor's time, nearly: nothing else runs on this thread.
    time: Duration,
}

/// Which stages each stage comes after.
type Needs = fn(usize) -> Vec<usize>;

fn flat(_: usize) -> Vec<usize> {
    Vec::new()
}

fn chain(number: usize) -> Vec<usize> {
    number.checked_sub(1).into_iter().collect()
}

/// Ten of those before it at most, spread by Fibonacci hashing.
fn web(number: usize) -> Vec<usize> {
    let spread = |many: usize| (number * 16 + many).wrapping_mul(0x9e37_79b9) >> 7;
    (0..10).map(|many| spread(many) % number.max(1)).filter(|other| *other < number).collect()
}

/// A plan of so many stages, driven to its end by `run`.
async fn driven(count: usize, needs: Needs) -> (Cost, Vec<PlanEntry>) {
    let journal = Counted::default();
    let policy = || Policy::unverified("demo");
    let pipeline =
        (0..count).fold(Pipeline::builder(), |all, number| all.stage(stage(number).as_str(), policy()));
    let builder = Engine::builder(pipeline.build().unwrap(), journal.clone())
        .clock(Arc::new(ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap())))
        .ids(Arc::new(SequentialIds::starting_at(1)))
        .owner("one");
    let builder =
        (0..count).fold(builder, |all, number| all.stage(stage(number).as_str(), Puppet::default()));
    let engine = builder.build().unwrap();
    let running = tokio::spawn(engine.clone().run());
    let mut first = Vec::new();
    for number in 0..count {
        let (reference, digest) = artifact(number, "1.0.0");
        let release = Release::of([(reference.as_str(), digest)]).unwrap();
        first.push(engine.request(stage(number).as_str(), &release, "alice").await.unwrap());
    }
    for id in &first {
        assert_eq!(engine.wait(id).await.unwrap(), State::Succeeded);
    }
    let request = PlanRequest::new((0..count).map(|number| {
        let (reference, digest) = artifact(number, "2.0.0");
        let new = (reference.as_str(), digest).try_into().unwrap();
        let item = Item::new(stage(number).parse().unwrap(), new).from("1.0.0".parse().unwrap());
        let needs = needs(number).into_iter().map(|other| Need::new(&stage(other), "^2").unwrap());
        needs.fold(item, Item::need)
    }));
    let before = [&journal.reads, &journal.bytes].map(|counter| counter.load(Ordering::Relaxed));
    let clock = SystemClock::new();
    let began = clock.monotonic();
    let id = engine.request_plan(&request, "alice").await.unwrap();
    assert_eq!(engine.wait_plan(id).await.unwrap(), PlanState::Succeeded);
    let time = clock.monotonic().saturating_sub(began);
    engine.stop();
    running.await.unwrap();
    let after = [&journal.reads, &journal.bytes].map(|counter| counter.load(Ordering::Relaxed));
    let cost = Cost { reads: after[0] - before[0], bytes: after[1] - before[1], time };
    (cost, engine.plan_history(id).await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn four_times_the_stages_cost_four_times_the_reads_and_bytes_of_the_journal() {
    for (shape, needs) in [("flat", flat as Needs), ("chain", chain)] {
        let ((small, _), (large, _)) = (driven(40, needs).await, driven(160, needs).await);
        println!("{shape}: 40 stages {small:?}, 160 stages {large:?}");
        assert!(large.reads < 5 * small.reads, "reads: {small:?} and {large:?}");
        assert!(large.bytes < 5 * small.bytes, "bytes: {small:?} and {large:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_a_thousand_artifacts_ends_in_an_order_that_keeps_every_need() {
    const COUNT: usize = 1_000;
    let ((small, _), (cost, history)) = (driven(COUNT / 4, web).await, driven(COUNT, web).await);
    println!("{} stages {small:?}, {COUNT} stages {cost:?}", COUNT / 4);
    assert!(cost.time < Duration::from_secs(60), "{:?}", cost.time);
    assert!(cost.reads < 5 * small.reads && cost.bytes < 5 * small.bytes, "{small:?} and {cost:?}");
    let number = |stage: &Name| stage.as_str().trim_start_matches('s').parse::<usize>().unwrap();
    let (mut asked, mut done) = (BTreeMap::new(), BTreeMap::new());
    for (at, entry) in history.iter().enumerate() {
        match &entry.what {
            PlanHappened::Asked { stage, .. } => {
                asked.insert(number(stage), at);
            }
            PlanHappened::Ended { stage, state: State::Succeeded, .. } => {
                done.insert(number(stage), at);
            }
            _ => {}
        }
    }
    assert_eq!((asked.len(), done.len()), (COUNT, COUNT));
    let needs = (0..COUNT).flat_map(|who| web(who).into_iter().map(move |whom| (who, whom)));
    let mut checked = 0;
    for (who, whom) in needs {
        assert!(done[&whom] < asked[&who], "s{who} is asked for before s{whom} has succeeded");
        checked += 1;
    }
    assert!(checked > 9 * COUNT, "{checked}");
}

/// A step reads each stage that the engine drives once, and the plan; what the plan knows of its stages it does not read again.
#[tokio::test]
async fn a_step_of_an_engine_whose_plan_waits_reads_each_stage_once() {
    const COUNT: usize = 60;
    let journal = Counted::default();
    let policy = |approvals| Policy::unverified("demo").approvals(approvals);
    let engine = |approvals| {
        let pipeline = (0..COUNT)
            .fold(Pipeline::builder(), |all, number| all.stage(stage(number).as_str(), policy(approvals)));
        let builder = Engine::builder(pipeline.build().unwrap(), journal.clone())
            .authorizer(AllowList::of(["bob"]).unwrap())
            .clock(Arc::new(ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap())))
            .ids(Arc::new(SequentialIds::starting_at(1 + u64::from(approvals) * 10_000)))
            .owner("one");
        let stages = (0..COUNT).map(|number| (stage(number), Puppet::default()));
        stages.fold(builder, |all, (name, puppet)| all.stage(name.as_str(), puppet)).build().unwrap()
    };
    let request = PlanRequest::new((0..COUNT).map(|number| {
        let (reference, digest) = artifact(number, "2.0.0");
        Item::new(stage(number).parse().unwrap(), (reference.as_str(), digest).try_into().unwrap())
    }));
    let engine = engine(1);
    let id = engine.request_plan(&request, "alice").await.unwrap();
    let settle = async || while !matches!(engine.step().await.unwrap(), Step::Waiting(_)) {};
    settle().await;
    assert_eq!(engine.plan_blockers(id).await.unwrap().len(), COUNT);
    let before = journal.reads.load(Ordering::Relaxed);
    engine.step().await.unwrap();
    let reads = journal.reads.load(Ordering::Relaxed) - before;
    assert!(reads <= COUNT + 2, "{reads} reads for {COUNT} stages");
    // What has changed is seen all the same.
    let (promotion, _) = engine.plan_blockers(id).await.unwrap().remove(0);
    engine.reject(&promotion, "bob").await.unwrap();
    settle().await;
    assert_eq!(engine.plan_status(id).await.unwrap().state, PlanState::RolledBack);
}

/// What an engine does not drive it looks at in each step.
#[tokio::test]
async fn a_step_of_an_engine_that_drives_no_stage_sees_what_others_have_done_there() {
    let fleet = Fleet::plain(&["auth"]).await;
    let pipeline = Pipeline::builder().stage("auth", Policy::unverified("demo")).build().unwrap();
    let alone = Engine::builder(pipeline, fleet.journal.clone()).clock(fleet.clock.clone()).owner("plans");
    let alone = alone.build().unwrap();
    let id = alone.request_plan(&PlanRequest::new([fleet::item("auth")]), "alice").await.unwrap();
    while !matches!(alone.step().await.unwrap(), Step::Waiting(_)) {}
    let blockers = alone.plan_blockers(id).await.unwrap();
    assert_eq!(blockers.len(), 1);
    fleet.engine.cancel(&blockers[0].0, "alice").await.unwrap();
    while !matches!(alone.step().await.unwrap(), Step::Waiting(_)) {}
    assert_eq!(alone.plan_status(id).await.unwrap().state, PlanState::RolledBack);
}
