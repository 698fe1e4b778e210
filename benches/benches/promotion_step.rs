//! A transition of a promotion: durable in SQLite, beside a bare durable SQLite transaction of the same run, and in memory.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros make items without docs, and a benchmark stops at a failure"
)]

use async_trait::async_trait;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mcp_benches::BareSqlite;
use mcp_core::Digest;
use mcp_promotion::{
    Context, Engine, Fence, Fencing, Journal, MemoryJournal, Observed, Pipeline, Policy, Release, Sample,
    SqliteJournal, Stage, StageError, State, Step, Window,
};
use tokio::runtime::Runtime;

/// A stage that does at once whatever it is told.
struct Instant(std::sync::Mutex<Option<Digest>>);

#[async_trait]
impl Stage for Instant {
    fn fencing(&self) -> Fencing {
        Fencing::Enforced
    }

    async fn observe(&self, _fence: Fence) -> Result<Observed, StageError> {
        Ok(self.0.lock().unwrap().map_or(Observed::Nothing, Observed::Running))
    }

    async fn apply(&self, release: &Release, _context: &Context) -> Result<(), StageError> {
        *self.0.lock().unwrap() = Some(release.digest());
        Ok(())
    }

    async fn sample(&self, _window: Window) -> Result<Vec<Sample>, StageError> {
        Ok(Vec::new())
    }
}

fn engine(journal: impl Journal + 'static) -> Engine {
    let pipeline = Pipeline::builder().stage("dev", Policy::unverified("a benchmark")).build().unwrap();
    Engine::builder(pipeline, journal).stage("dev", Instant(std::sync::Mutex::new(None))).build().unwrap()
}

/// One promotion from request to success, and how many steps its driver took.
async fn promote(engine: &Engine, number: u64) -> u64 {
    let release =
        Release::of([(format!("app@1.0.{number}").as_str(), Digest::of(&number.to_le_bytes()))]).unwrap();
    let id = engine.request("dev", &release, "alice").await.unwrap();
    let mut steps = 0;
    while !matches!(engine.step().await.unwrap(), Step::Waiting(_)) {
        steps += 1;
    }
    assert_eq!(engine.status(&id).await.unwrap().state, State::Succeeded);
    steps
}

fn step(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut group = criterion.benchmark_group("promotion");
    group.sample_size(20);

    let mut bare = BareSqlite::create(folder.path()).unwrap();
    group.throughput(Throughput::Elements(1));
    group.bench_function("peer: one bare SQLite transaction of 200 bytes, FULL", |bencher| {
        bencher.iter(|| bare.transaction(&[7; 200]).unwrap());
    });

    let mut number = 0;
    let durable = engine(SqliteJournal::open(folder.path().join("journal.db")).unwrap());
    let steps = runtime.block_on(promote(&durable, 0));
    println!("one promotion takes a request and {steps} steps of its driver");
    let old = engine(MemoryJournal::new());
    for number in 0..10_000 {
        runtime.block_on(promote(&old, 1_000_000 + number));
    }
    for (label, engine) in [
        ("one whole promotion, SQLite journal, FULL", durable),
        ("one whole promotion, memory journal", engine(MemoryJournal::new())),
        ("one whole promotion, memory journal, after 10,000 ended ones", old),
    ] {
        group.throughput(Throughput::Elements(steps + 1));
        group.bench_function(label, |bencher| {
            bencher.iter_batched(
                || {
                    number += 1;
                    number
                },
                |number| runtime.block_on(promote(&engine, number)),
                BatchSize::SmallInput,
            );
        });
    }
    group.bench_function("one whole promotion, memory journal, the first one of its stage", |bencher| {
        bencher.iter_batched(
            || engine(MemoryJournal::new()),
            |engine| {
                runtime.block_on(promote(&engine, 1));
                engine
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
