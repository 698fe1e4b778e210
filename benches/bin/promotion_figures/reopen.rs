//! Opening a journal with a million events: as one stream, and over 512 streams.

use std::path::Path;
use std::sync::Arc;

use mcp_benches::{BareSqlite, peak_bytes, processor_time, resident_bytes};
use mcp_promotion::machine::StageState;
use mcp_promotion::{Append, Chain, Engine, Journal, Pipeline, Policy, SqliteJournal};
use tokio::runtime::Runtime;

use super::Figure;
use super::script::promote;
use super::world::{shown, timed};

const EVENTS: u64 = 1_000_000;
const PER_PROMOTION: u64 = 8;
const AT_MOST_MS: f64 = 2000.0;

fn name(stage: u64) -> String {
    format!("stage-{stage:03}")
}

/// A journal as an engine would have left it behind, with as many events in each of `stages` streams.
async fn write(path: &Path, stages: u64) {
    let journal = SqliteJournal::open(path).expect("a journal");
    let policy = Arc::new(Policy::unverified("a benchmark"));
    for stage in 0..stages {
        let mut state = StageState::new(name(stage).parse().expect("a name"));
        let mut chain = Chain::start(format!("stage/{}", name(stage)).parse().expect("a name"));
        let mut events = Vec::new();
        for number in 0..EVENTS / PER_PROMOTION / stages {
            promote(&mut state, &policy, number, |entry| events.push(chain.write(&entry).expect("small")));
            if events.len() >= 10_000 {
                append(&journal, &chain, &mut events).await;
            }
        }
        append(&journal, &chain, &mut events).await;
    }
}

async fn append(journal: &SqliteJournal, chain: &Chain, events: &mut Vec<Vec<u8>>) {
    let events = std::mem::take(events);
    let before = chain.version() - events.len() as u64;
    let batch = [Append::new(chain.stream().clone(), before, events)];
    journal.append(&batch).await.expect("appended");
}

/// Reads what every stage is, from the file on; how many events that were.
async fn reopen(path: &Path, stages: u64) -> u64 {
    let pipeline = (0..stages).fold(Pipeline::builder(), |builder, stage| {
        builder.stage(name(stage).as_str(), Policy::unverified("a benchmark"))
    });
    let journal = SqliteJournal::open(path).expect("a journal");
    let engine = Engine::builder(pipeline.build().expect("a pipeline"), journal).build().expect("an engine");
    let mut events = 0;
    for stage in 0..stages {
        events += engine.stage_state(name(stage).as_str()).await.expect("a state").version();
    }
    events
}

pub(crate) fn measure() -> Vec<Figure> {
    let runtime = Runtime::new().expect("a runtime");
    let mut figures = Vec::new();
    for stages in [1, 512] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.db");
        runtime.block_on(write(&path, stages));
        let (count, bare) = timed(|| BareSqlite::read_all(&path).expect("readable"));
        let before = resident_bytes();
        for what in ["the first time", "again"] {
            let processor = processor_time();
            let (events, time) = timed(|| runtime.block_on(reopen(&path, stages)));
            let processor = processor_time().zip(processor).map(|(after, before)| after - before);
            assert_eq!(events, count, "every event is there");
            figures.push(Figure {
                what: format!("reopening {events} events in {stages} streams, SQLite journal, {what}"),
                target: if what == "again" { "2 s" } else { "" },
                reached: format!(
                    "{} ({} of processor time, at most {:.0} MiB more in memory)",
                    shown(time),
                    processor.map_or_else(String::new, shown),
                    peak_bytes().saturating_sub(before) as f64 / f64::from(1 << 20)
                ),
                peer: format!(
                    "reading the bare rows: {}; {:.2} times",
                    shown(bare),
                    time.as_secs_f64() / bare.as_secs_f64()
                ),
                met: (what == "again").then_some(time.as_secs_f64() * 1e3 <= AT_MOST_MS),
            });
        }
    }
    figures
}
