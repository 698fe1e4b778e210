//! Ten promotions at a time, then ten thousand at once, then ten again: how long each takes, and what stays in memory.

use std::time::{Duration, Instant};

use mcp_benches::resident_bytes;
use mcp_promotion::{Engine, Pipeline, Policy, SqliteJournal, State};
use tokio::runtime::Runtime;

use super::Figure;
use super::world::{AtOnce, release, shown};

const STAGES: u64 = 100;
const FEW: u64 = 10;
const MANY: u64 = 10_000;
/// How often ten are promoted before the spike, and after it.
const ROUNDS: u64 = 300;
/// How much longer ten may take after the spike than before it.
const AT_MOST: f64 = 2.0;

fn name(stage: u64) -> String {
    format!("stage-{stage:03}")
}

/// Requests `count` promotions at the same time; how long each took until it had ended, the shortest first.
async fn promote(engine: &Engine, first: u64, count: u64) -> Vec<Duration> {
    let one = |number: u64| {
        let (engine, release) = (engine.clone(), release(number));
        tokio::spawn(async move {
            let start = Instant::now();
            let id =
                engine.request(name(number % STAGES).as_str(), &release, "alice").await.expect("a request");
            assert_eq!(engine.wait(&id).await.expect("an end"), State::Succeeded);
            start.elapsed()
        })
    };
    let all: Vec<_> = (first..first + count).map(one).collect();
    let mut times = Vec::with_capacity(all.len());
    for task in all {
        times.push(task.await.expect("no panic"));
    }
    times.sort_unstable();
    times
}

async fn promote_few(engine: &Engine, first: u64) -> Vec<Duration> {
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        times.extend(promote(engine, first + round * FEW, FEW).await);
    }
    times.sort_unstable();
    times
}

fn quantile(times: &[Duration], part: f64) -> Duration {
    let at = (times.len() as f64 * part) as usize;
    times.get(at).or(times.last()).copied().unwrap_or_default()
}

fn quantiles(times: &[Duration]) -> String {
    let [half, most, nearly_all] = [0.5, 0.99, 0.999].map(|part| shown(quantile(times, part)));
    format!("p50 {half}, p99 {most}, p99.9 {nearly_all}")
}

pub(crate) fn measure() -> Vec<Figure> {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
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
    let mib = || resident_bytes() as f64 / f64::from(1 << 20);
    let before = runtime.block_on(promote_few(&engine, 0));
    let memory_before = mib();
    let spike = runtime.block_on(promote(&engine, 1_000_000, MANY));
    let memory_spike = mib();
    let after = runtime.block_on(promote_few(&engine, 2_000_000));
    let memory_after = mib();
    engine.stop();
    runtime.block_on(driver).expect("it ends");
    let growth = quantile(&after, 0.5).as_secs_f64() / quantile(&before, 0.5).as_secs_f64();
    let row = |what: String, target, times: &[Duration], memory: f64, peer: String, met| Figure {
        what,
        target,
        reached: format!("{}; {memory:.0} MiB", quantiles(times)),
        peer,
        met,
    };
    vec![
        row(
            format!(
                "{FEW} promotions at a time in {STAGES} stages, SQLite journal, each until its end, {ROUNDS} rounds"
            ),
            "",
            &before,
            memory_before,
            String::new(),
            None,
        ),
        row(format!("then {MANY} at once"), "", &spike, memory_spike, String::new(), None),
        row(
            format!("then {FEW} at a time again"),
            "twice before",
            &after,
            memory_after,
            format!("median {growth:.2} times that before the spike"),
            Some(growth <= AT_MOST),
        ),
    ]
}
