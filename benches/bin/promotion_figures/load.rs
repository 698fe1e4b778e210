//! Ten thousand promotions requested at once: in one stage, and over many.

use std::time::{Duration, Instant};

use mcp_promotion::{Engine, Journal, MemoryJournal, Pipeline, Policy, SqliteJournal};
use tokio::runtime::Runtime;

use super::Figure;
use super::world::{AtOnce, busy, release, shown, timed};

const MANY: u64 = 10_000;
/// How much longer one promotion may take when ten thousand wait than when ten do.
const AT_MOST: f64 = 3.0;

fn name(stage: u64) -> String {
    format!("stage-{stage:03}")
}

fn engine(journal: impl Journal + 'static, stages: u64) -> Engine {
    let pipeline = (0..stages).fold(Pipeline::builder(), |builder, stage| {
        builder.stage(name(stage).as_str(), Policy::unverified("a benchmark"))
    });
    (0..stages)
        .fold(Engine::builder(pipeline.build().expect("a pipeline"), journal), |builder, stage| {
            builder.stage(name(stage).as_str(), AtOnce::default())
        })
        .build()
        .expect("an engine")
}

/// Requests `count` promotions, drives them all to their end, and says how long that took.
async fn promote(engine: &Engine, stages: u64, count: u64) -> Duration {
    let start = Instant::now();
    for number in 0..count {
        let (stage, release) = (name(number % stages), release(number));
        engine.request(stage.as_str(), &release, "alice").await.expect("a request");
    }
    let driver = tokio::spawn(engine.clone().run());
    for stage in 0..stages {
        while engine.stage_state(name(stage).as_str()).await.expect("a state").open().next().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let took = start.elapsed();
    engine.stop();
    driver.await.expect("it ends");
    took
}

pub(crate) fn measure() -> Vec<Figure> {
    let runtime = Runtime::new().expect("a runtime");
    let each = |count: u64| {
        let time = busy(|| {
            for _ in 0..2 * MANY / count {
                runtime.block_on(promote(&engine(MemoryJournal::new(), 1), 1, count));
            }
        });
        time.div_f64(2.0 * MANY as f64)
    };
    let (few, many) = (each(100), each(MANY));
    let folder = tempfile::tempdir().expect("a folder");
    let journal = SqliteJournal::open(folder.path().join("journal.db")).expect("a journal");
    let engine = engine(journal, 100);
    let (_, durable) = timed(|| runtime.block_on(promote(&engine, 100, MANY)));
    let growth = many.as_secs_f64() / few.as_secs_f64();
    vec![
        Figure {
            what: format!(
                "each of {MANY} promotions requested at once in one stage, memory journal, processor time"
            ),
            target: "3 times",
            reached: format!("{:.1} us; {growth:.2} times", many.as_secs_f64() * 1e6),
            peer: format!("each of 100: {:.1} us", few.as_secs_f64() * 1e6),
            met: Some(growth <= AT_MOST),
        },
        Figure {
            what: format!(
                "{MANY} promotions requested at once in 100 stages, SQLite journal, until the last has ended"
            ),
            target: "",
            reached: shown(durable),
            peer: String::new(),
            met: None,
        },
    ]
}
