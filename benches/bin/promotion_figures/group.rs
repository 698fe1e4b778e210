//! Group commit: how many appends a second a SQLite journal takes from so many callers at once.

use std::time::Instant;

use mcp_benches::BareSqlite;
use mcp_core::Name;
use mcp_promotion::{Append, Journal, SqliteJournal};
use tokio::runtime::Runtime;

use super::Figure;
use super::world::timed;

const CALLERS: [u64; 4] = [1, 8, 64, 512];
const SECONDS: f64 = 1.0;
const ROUNDS: usize = 3;

/// Each caller has a stream of its own and waits for each append; appends a second.
async fn rate(journal: &SqliteJournal, callers: u64, round: usize) -> f64 {
    let start = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let journal = journal.clone();
            let stream: Name = format!("group/{callers}/{round}/{caller}").parse().expect("a name");
            tokio::spawn(async move {
                let mut version = 0;
                while start.elapsed().as_secs_f64() < SECONDS {
                    let batch = [Append::new(stream.clone(), version, vec![vec![7; 200]])];
                    journal.append(&batch).await.expect("appended");
                    version += 1;
                }
                version
            })
        })
        .collect();
    let mut appends = 0;
    for task in tasks {
        appends += task.await.expect("no panic");
    }
    appends as f64 / start.elapsed().as_secs_f64()
}

pub(crate) fn measure() -> Vec<Figure> {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let mut bare = BareSqlite::create(folder.path()).expect("a database");
    let journal = SqliteJournal::open(folder.path().join("journal.db")).expect("a journal");
    let mut figures = Vec::new();
    for callers in CALLERS {
        let (mut best, mut alone) = (0.0_f64, 0.0_f64);
        for round in 0..ROUNDS {
            let ((), time) = timed(|| (0..200).for_each(|_| bare.transaction(&[7; 200]).expect("durable")));
            alone = alone.max(200.0 / time.as_secs_f64());
            best = best.max(runtime.block_on(rate(&journal, callers, round)));
        }
        figures.push(Figure {
            what: format!(
                "appends of 200 bytes to a SQLite journal, {callers} callers, best of {ROUNDS} rounds"
            ),
            target: "",
            reached: format!("{best:.0}/s"),
            peer: format!("{alone:.0} bare transactions/s; {:.1} times", best / alone),
            met: None,
        });
    }
    figures
}
