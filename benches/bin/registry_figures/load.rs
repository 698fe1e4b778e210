//! Ten operations at a time, then a thousand and ten thousand at once, then ten again: how long each takes, and what stays in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mcp_benches::resident_bytes;
use mcp_core::ErrorKind;
use mcp_registry::{Registry, RegistryError, Select};
use tokio::runtime::Runtime;

use super::Figure;
use super::world::{artifact, draft, noise, open, runtime};

const NAMES: u64 = 1000;
const FEW: u64 = 10;
const FEW_ROUNDS: u64 = 300;
const MANY: u64 = 10_000;
const MANY_ROUNDS: u64 = 5;
/// How much longer the median of ten may take after the spike than before it.
const AT_MOST: f64 = 2.0;

/// One of ten is a publish, the others read what was published before.
async fn operation(registry: &Registry, number: u64) -> Result<(), RegistryError> {
    let (name, version) = artifact(number, NAMES);
    match number % 10 {
        0 => registry.publish(draft(&name, number, noise(number, 1024)), &version).await.map(drop),
        1 => registry.resolve(&name, Select::latest()).await.map(drop),
        _ => {
            let (name, version) = artifact(number.wrapping_mul(7919) % NAMES, NAMES);
            registry.get(&name, Select::exact(version)).await.map(drop)
        }
    }
}

#[derive(Default)]
struct Seen {
    times: Vec<Duration>,
    backpressure: u64,
    errors: u64,
}

impl Seen {
    fn quantile(&self, part: f64) -> Duration {
        let at = (self.times.len() as f64 * part) as usize;
        self.times.get(at).or(self.times.last()).copied().unwrap_or_default()
    }
}

/// So many at once, again and again.
fn run(runtime: &Runtime, registry: &Registry, at_once: u64, rounds: u64, next: &Arc<AtomicU64>) -> Seen {
    let mut seen = Seen::default();
    for _ in 0..rounds {
        let one = || {
            let (registry, next) = (registry.clone(), Arc::clone(next));
            runtime.spawn(async move {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let start = Instant::now();
                (operation(&registry, number).await, start.elapsed())
            })
        };
        let all: Vec<_> = (0..at_once).map(|_| one()).collect();
        for task in all {
            let (outcome, time) = runtime.block_on(task).expect("no panic");
            seen.times.push(time);
            match outcome {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Exhausted => seen.backpressure += 1,
                Err(_) => seen.errors += 1,
            }
        }
    }
    seen.times.sort_unstable();
    seen
}

pub(crate) fn measure() -> Vec<Figure> {
    let runtime = runtime();
    let folder = tempfile::tempdir().expect("a folder");
    let registry = open(&runtime, folder.path());
    let first = (0..NAMES).map(|number| {
        let (name, version) = artifact(number, NAMES);
        (draft(&name, number, noise(number, 1024)), version)
    });
    let published = runtime.block_on(registry.publish_many(first.collect::<Vec<_>>()));
    assert!(published.iter().all(Result::is_ok));
    let next = Arc::new(AtomicU64::new(NAMES));
    let mib = || resident_bytes() >> 20;
    let before = run(&runtime, &registry, FEW, FEW_ROUNDS, &next);
    let memory_before = mib();
    let thousand = run(&runtime, &registry, MANY / 10, MANY_ROUNDS * 10, &next);
    let memory_thousand = mib();
    let spike = run(&runtime, &registry, MANY, MANY_ROUNDS, &next);
    let memory_spike = mib();
    let after = run(&runtime, &registry, FEW, FEW_ROUNDS, &next);
    let memory_after = mib();
    runtime.block_on(registry.close()).expect("closed");
    let growth = after.quantile(0.5).as_secs_f64() / before.quantile(0.5).as_secs_f64();
    let row = |what: String, target, seen: &Seen, memory: u64, peer: String, met: bool| {
        let [half, most, nearly_all] =
            [0.5, 0.99, 0.999].map(|part| format!("{:.2} ms", seen.quantile(part).as_secs_f64() * 1e3));
        Figure {
            what,
            target,
            reached: format!("p50 {half}, p99 {most}, p99.9 {nearly_all}; {memory} MiB"),
            peer: format!(
                "{} refused for want of room, {} other errors{peer}",
                seen.backpressure, seen.errors
            ),
            met: Some(met && seen.errors == 0),
        }
    };
    let none = String::new;
    vec![
        row(
            format!("{FEW} operations at a time, a tenth publishes"),
            "no error",
            &before,
            memory_before,
            none(),
            true,
        ),
        row("1,000 at once".to_owned(), "no error", &thousand, memory_thousand, none(), true),
        row(format!("{MANY} at once"), "no error", &spike, memory_spike, none(), true),
        row(
            format!("{FEW} at a time again"),
            "twice before",
            &after,
            memory_after,
            format!("; the median is {growth:.2} times that before"),
            growth <= AT_MOST,
        ),
    ]
}
