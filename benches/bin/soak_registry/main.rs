//! Mixed work on one registry on disk, for as long as it is told to: publishes of every kind, reads, ranges, resolutions, searches, channels
//! by compare-and-swap, yanks, the change feed, counts, and reopening under load.
//!
//! `cargo run --release -p mcp-benches --bin soak_registry -- --seconds 600 --seed 7`; 20 seconds and seed 1 by default. It ends with 1 at an error that is
//! not backpressure, at an answer that is not what was published, when memory grows beyond the bound that it prints, or at a fault of `verify`.

mod tally;
mod work;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mcp_benches::resident_bytes;
use mcp_registry::{Registry, Settings};
use tally::Tally;
use tokio::sync::RwLock;
use work::Place;

/// How many work at the same time.
const WORKERS: u64 = 64;
/// How long one opening lasts: a twentieth of the run, and no less than this. Each opening makes its search index anew.
const OPENING: Duration = Duration::from_secs(5);
/// By how much the memory of the end of a run may exceed that of its beginning: so much at all, and so much for each version that was
/// published between, of which each may have a text of its own that the search index keeps.
/// Caches that fill as time goes on, whatever is published: SQLite's pages of the writer (64 MiB), entries (32 MiB), two runs of the tail
/// (about 40 MiB), and the pages of four readers in part.
const MAY_GROW_BYTES: u64 = 160 << 20;
const MAY_GROW_VERSION_BYTES: u64 = 400;

fn opening(seconds: u64) -> Duration {
    OPENING.max(Duration::from_secs(seconds / 20))
}

fn argument(name: &str) -> Option<u64> {
    std::env::args().skip_while(|argument| argument != name).nth(1)?.parse().ok()
}

async fn open(folder: &Path) -> Registry {
    // Little room, so that publishers meet its bounds.
    let settings =
        Settings { max_bytes_in_flight: 96 << 20, max_requests_in_flight: 256, ..Settings::default() };
    Registry::local(folder).settings(settings).open().await.expect("the registry opens")
}

/// Memory, and how many versions had been published then.
type Sample = (u64, u64);

/// The load, sampled once a second; every few seconds the registry is closed in its midst and opened again.
async fn soak(place: &Arc<Place>, folder: &Path, seconds: u64, seed: u64) -> Vec<Sample> {
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..WORKERS {
        workers.spawn(work::work(Arc::clone(place), seed ^ (number << 32)));
    }
    let opening = opening(seconds);
    let (start, mut opened, mut samples, mut seen) = (Instant::now(), Instant::now(), Vec::new(), 0);
    while start.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        samples.push((resident_bytes(), place.published.load(Ordering::Relaxed)));
        if samples.len() % 10 == 0 {
            let now = place.tally.count();
            let mib = resident_bytes() >> 20;
            println!("{:4} s: {} operations/s, {mib} MiB", samples.len(), (now - seen) / 10);
            seen = now;
        }
        if opened.elapsed() >= opening {
            // Whoever is at work ends what it has begun, and goes on with the next opening.
            let mut registry = place.registry.write().await;
            let begin = Instant::now();
            place.tally.check("close", registry.close().await.map_err(|error| error.to_string()));
            *registry = open(folder).await;
            drop(registry);
            place.tally.add("reopen", begin.elapsed());
            opened = Instant::now();
        }
    }
    place.stop.store(true, Ordering::Relaxed);
    while let Some(worker) = workers.join_next().await {
        worker.expect("no worker panics");
    }
    samples
}

fn median(samples: &[Sample]) -> Option<Sample> {
    let mut samples = samples.to_vec();
    samples.sort_unstable();
    samples.get(samples.len() / 2).copied()
}

/// The second quarter against the last one.
fn grows(samples: &[Sample]) -> Option<String> {
    let quarter = samples.len() / 4;
    let (early, late) = (median(samples.get(quarter..2 * quarter)?)?, median(samples.get(3 * quarter..)?)?);
    let bound = early.0 + MAY_GROW_BYTES + MAY_GROW_VERSION_BYTES * late.1.saturating_sub(early.1);
    println!("memory: {} MiB early, {} MiB late, at most {} MiB", early.0 >> 20, late.0 >> 20, bound >> 20);
    (late.0 > bound).then(|| format!("memory grows: {} bytes early, {} late", early.0, late.0))
}

fn main() -> ExitCode {
    let (seconds, seed) = (argument("--seconds").unwrap_or(20), argument("--seed").unwrap_or(1));
    println!("seed {seed}, {seconds} s, {WORKERS} workers, reopened every {} s", opening(seconds).as_secs());
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let place = Arc::new(Place {
        registry: RwLock::new(runtime.block_on(open(folder.path()))),
        tally: Tally::default(),
        published: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });
    let samples = runtime.block_on(soak(&place, folder.path(), seconds, seed));
    let mut wrong = place.tally.wrong();
    wrong.extend(grows(&samples));
    place.tally.show();
    let registry = runtime.block_on(place.registry.read()).clone();
    match runtime.block_on(registry.verify()) {
        Ok(verified) => {
            println!(
                "verify: {} rows, {} blobs, {} faults",
                verified.rows,
                verified.blobs,
                verified.faults.len()
            );
            wrong.extend(verified.faults.iter().map(ToString::to_string));
        }
        Err(error) => wrong.push(format!("verify: {error}")),
    }
    let stats = runtime.block_on(registry.stats()).expect("counts");
    println!("{} versions of {} names, {} contents", stats.versions, stats.names, stats.blobs);
    if stats.versions != place.published.load(Ordering::Relaxed) {
        wrong.push(format!(
            "{} versions, but {} were acknowledged",
            stats.versions,
            place.published.load(Ordering::Relaxed)
        ));
    }
    wrong.extend(runtime.block_on(registry.close()).err().map(|error| format!("close: {error}")));
    wrong.iter().take(20).for_each(|what| println!("WRONG: {what}"));
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
