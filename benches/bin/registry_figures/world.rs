//! What the rows share: artifacts with metadata as people write it, and crowds that publish and read them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mcp_benches::processor_time;
use mcp_benches::random::Random;
use mcp_core::{Name, Version};
use mcp_registry::{Draft, Registry, Select, Settings};
use tokio::runtime::Runtime;

/// How many publishes are in flight.
pub(crate) const IN_FLIGHT: u64 = 512;
/// How many versions a name has.
pub(crate) const VERSIONS: u64 = 100;

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

pub(crate) fn open(runtime: &Runtime, folder: &Path) -> Registry {
    runtime.block_on(Registry::local(folder).settings(Settings::default()).open()).expect("a registry")
}

/// The artifact `number`: the versions of a name lie far apart.
pub(crate) fn artifact(number: u64, names: u64) -> (Name, Version) {
    let name = format!("team-{:02}/service-{}", number % names % 50, number % names);
    (name.parse().expect("a name"), Version::new(1, number / names / 10, number / names % 10))
}

/// Bytes that do not compress, and never repeat.
pub(crate) fn noise(number: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(number.wrapping_add(1));
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.below(u64::MAX).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// About 280 bytes of metadata as JSON.
pub(crate) fn draft(name: &Name, number: u64, bytes: Vec<u8>) -> Draft {
    Draft::new(name, bytes)
        .media_type("application/json")
        .actor("ci")
        .description("Reads invoices, checks them against the orders, and books them where they belong")
        .authors(["Alice Example <alice@example.com>"])
        .license("MIT OR Apache-2.0")
        .tag("billing")
        .tag("stable")
        .label("team", "payments")
        .label("commit", format!("{number:040x}"))
}

/// Publishes the artifacts from `first` on, each made by `bytes`, so many in flight; how long it takes.
pub(crate) fn publish(
    runtime: &Runtime,
    registry: &Registry,
    (first, count): (u64, u64),
    names: u64,
    bytes: fn(u64) -> Vec<u8>,
) -> Duration {
    let next = Arc::new(AtomicU64::new(first));
    let end = first + count;
    let publisher = || {
        let (registry, next) = (registry.clone(), Arc::clone(&next));
        async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return;
                }
                let (name, version) = artifact(number, names);
                let draft = draft(&name, number, bytes(number));
                registry.publish(draft, &version).await.expect("published");
            }
        }
    };
    let start = Instant::now();
    runtime.block_on(async {
        let all: Vec<_> = (0..IN_FLIGHT.min(count)).map(|_| tokio::spawn(publisher())).collect();
        for task in all {
            task.await.expect("no panic");
        }
    });
    start.elapsed()
}

/// How quick gets were.
#[derive(Clone, Copy)]
pub(crate) struct Gets {
    /// Gets a second.
    pub(crate) rate: f64,
    /// Processor time of each, in microseconds: what a busy machine lengthens less.
    pub(crate) processor_us: f64,
}

/// Gets `count` random ones of `stored` artifacts by exact version, from two tasks.
pub(crate) fn get(runtime: &Runtime, registry: &Registry, stored: u64, names: u64, count: u64) -> Gets {
    let reader = |seed: u64| {
        let registry = registry.clone();
        async move {
            let mut random = Random::new(seed);
            for _ in 0..count / 2 {
                let (name, version) = artifact(random.below(stored), names);
                let content = registry.get(&name, Select::exact(version)).await.expect("found");
                assert_eq!(content.bytes.len(), 1024);
            }
        }
    };
    let processor = processor_time().unwrap_or_default();
    let start = Instant::now();
    runtime.block_on(async {
        let (one, other) = (tokio::spawn(reader(1)), tokio::spawn(reader(2)));
        one.await.expect("no panic");
        other.await.expect("no panic");
    });
    let rate = count as f64 / start.elapsed().as_secs_f64();
    let processor = processor_time().unwrap_or_default().saturating_sub(processor);
    Gets { rate, processor_us: micros(processor) / count as f64 }
}

pub(crate) fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
