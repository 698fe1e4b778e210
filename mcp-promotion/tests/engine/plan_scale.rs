//! What a driven plan costs does not grow faster than its stages.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use mcp_core::{Digest, ManualClock, Name, SequentialIds};
use mcp_promotion::{
    Append, Engine, Item, Journal, JournalError, MemoryJournal, Need, Pipeline, PlanRequest, PlanState,
    Policy, Release, State,
};

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

/// Reads and bytes of a plan of so many stages, each of which comes after the one before where they are a chain.
async fn driven(count: usize, chain: bool) -> (usize, usize) {
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
        let before = number.checked_sub(1).filter(|_| chain);
        before.into_iter().fold(item, |item, other| item.need(Need::new(&stage(other), "^2").unwrap()))
    }));
    let before = [&journal.reads, &journal.bytes].map(|counter| counter.load(Ordering::Relaxed));
    let id = engine.request_plan(&request, "alice").await.unwrap();
    assert_eq!(engine.wait_plan(id).await.unwrap(), PlanState::Succeeded);
    engine.stop();
    running.await.unwrap();
    let after = [&journal.reads, &journal.bytes].map(|counter| counter.load(Ordering::Relaxed));
    (after[0] - before[0], after[1] - before[1])
}

#[tokio::test(start_paused = true)]
async fn four_times_the_stages_cost_four_times_the_reads_and_bytes_of_the_journal() {
    for chain in [false, true] {
        let (small, large) = (driven(40, chain).await, driven(160, chain).await);
        println!("chain {chain}: 40 stages {small:?} reads and bytes, 160 stages {large:?}");
        assert!(large.0 < 5 * small.0, "reads: {} and {}", small.0, large.0);
        assert!(large.1 < 5 * small.1, "bytes: {} and {}", small.1, large.1);
    }
}
