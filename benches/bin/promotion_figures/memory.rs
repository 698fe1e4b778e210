//! What ten thousand stages with a promotion each take in memory.

use mcp_benches::resident_bytes;
use mcp_promotion::{Engine, Pipeline, Policy, SqliteJournal, State};
use tokio::runtime::Runtime;

use super::Figure;
use super::world::{AtOnce, release};

const STAGES: usize = 10_000;
const AT_MOST: f64 = 200.0;

fn name(stage: usize) -> String {
    format!("stage-{stage:05}")
}

async fn promote_all(engine: &Engine) {
    let mut promotions = Vec::new();
    for stage in 0..STAGES {
        let release = release(stage as u64);
        promotions.push(engine.request(name(stage).as_str(), &release, "alice").await.expect("a request"));
    }
    for id in promotions {
        assert_eq!(engine.wait(&id).await.expect("an end"), State::Succeeded);
    }
}

/// How much of the process is in memory, besides what was there before the engine; in flight and after everything has ended.
pub(crate) fn measure() -> Vec<Figure> {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let before = resident_bytes();
    let pipeline = (0..STAGES).fold(Pipeline::builder(), |builder, stage| {
        builder.stage(name(stage).as_str(), Policy::unverified("a benchmark"))
    });
    let journal = SqliteJournal::open(folder.path().join("journal.db")).expect("a journal");
    let builder = Engine::builder(pipeline.build().expect("a pipeline"), journal);
    let engine = (0..STAGES)
        .fold(builder, |builder, stage| builder.stage(name(stage).as_str(), AtOnce::default()))
        .build()
        .expect("an engine");
    let built = resident_bytes();
    let driver = runtime.spawn(engine.clone().run());
    runtime.block_on(promote_all(&engine));
    let after = resident_bytes();
    engine.stop();
    runtime.block_on(driver).expect("it ends");
    let mib = |bytes: u64| bytes.saturating_sub(before) as f64 / f64::from(1 << 20);
    vec![Figure {
        what: format!(
            "{STAGES} stages with a promotion each, resident memory beyond that of the bare process ({:.0} MiB)",
            before as f64 / f64::from(1 << 20)
        ),
        target: "200 MiB",
        reached: format!(
            "{:.0} MiB (the engine before the first request: {:.0} MiB)",
            mib(after),
            mib(built)
        ),
        peer: String::new(),
        met: Some(mib(after) <= AT_MOST),
    }]
}
