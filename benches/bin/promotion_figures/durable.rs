//! Many stages at once, each with a promotion, on one SQLite journal.

use mcp_benches::BareSqlite;
use mcp_promotion::{Engine, Pipeline, Policy, SqliteJournal, State};
use tokio::runtime::Runtime;

use super::Figure;
use super::world::{AtOnce, release, timed};

const STAGES: usize = 512;
const ROUNDS: u64 = 8;
const AT_LEAST: f64 = 20_000.0;

fn name(stage: usize) -> String {
    format!("stage-{stage:03}")
}

async fn events(engine: &Engine) -> u64 {
    let mut sum = 0;
    for stage in 0..STAGES {
        sum += engine.stage_state(name(stage).as_str()).await.expect("a state").version();
    }
    sum
}

/// One promotion in every stage, all at the same time.
async fn promote_all(engine: &Engine, number: u64) {
    let release = release(number);
    let one = |stage: usize| {
        let (engine, release) = (engine.clone(), release.clone());
        tokio::spawn(async move {
            let id = engine.request(name(stage).as_str(), &release, "alice").await.expect("a request");
            assert_eq!(engine.wait(&id).await.expect("an end"), State::Succeeded);
        })
    };
    let all: Vec<_> = (0..STAGES).map(one).collect();
    for task in all {
        task.await.expect("no panic");
    }
}

pub(crate) fn measure() -> Vec<Figure> {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let mut bare = BareSqlite::create(folder.path()).expect("a database");
    let pipeline = (0..STAGES).fold(Pipeline::builder(), |builder, stage| {
        builder.stage(name(stage).as_str(), Policy::unverified("a benchmark"))
    });
    let journal = SqliteJournal::open(folder.path().join("journal.db")).expect("a journal");
    let builder = Engine::builder(pipeline.build().expect("a pipeline"), journal);
    let engine = (0..STAGES)
        .fold(builder, |builder, stage| builder.stage(name(stage).as_str(), AtOnce::default()))
        .build()
        .expect("an engine");
    let driver = runtime.spawn(engine.clone().run());
    let (mut best, mut best_bare) = (0.0_f64, 0.0_f64);
    for round in 0..ROUNDS {
        let ((), alone) = timed(|| (0..200).for_each(|_| bare.transaction(&[7; 200]).expect("durable")));
        best_bare = best_bare.max(200.0 / alone.as_secs_f64());
        let before = runtime.block_on(events(&engine));
        let ((), time) = timed(|| runtime.block_on(promote_all(&engine, round)));
        let after = runtime.block_on(events(&engine));
        best = best.max((after - before) as f64 / time.as_secs_f64());
    }
    engine.stop();
    runtime.block_on(driver).expect("it ends");
    vec![Figure {
        what: format!(
            "durable transitions, SQLite journal, {STAGES} stages with a promotion each, best of {ROUNDS} rounds"
        ),
        target: "20,000/s",
        reached: format!("{best:.0}/s"),
        peer: format!("{best_bare:.0} bare transactions/s, one at a time: {:.1} times", best / best_bare),
        met: Some(best >= AT_LEAST),
    }]
}
