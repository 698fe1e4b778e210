//! A durable publish: 512 in flight and one at a time, beside a bare append + fdatasync and a file per artifact in the same run.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros make items without docs, and a benchmark stops at a failure"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mcp_benches::{BareAppend, distinct_bytes, distinct_json, file_per_artifact};
use mcp_core::{Name, Version};
use mcp_registry::{Draft, Registry};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

const IN_FLIGHT: usize = 512;

fn draft(name: &Name, bytes: Vec<u8>) -> Draft {
    Draft::new(name, bytes)
        .media_type("application/json")
        .actor("bench")
        .description("An artifact of the benchmark, with a description as long as people write them")
        .license("MIT")
        .tag("bench")
}

/// How long it takes to publish `count` artifacts that nobody published before, `IN_FLIGHT` at a time.
async fn publish(registry: &Registry, first: u64, count: u64, length: usize) -> Duration {
    let drafts: Vec<(Draft, Version)> = (first..first + count)
        .map(|number| {
            let name: Name = format!("bench/artifact-{}", number / 100).parse().unwrap();
            let bytes =
                if length > 4096 { distinct_json(number, length) } else { distinct_bytes(number, length) };
            (draft(&name, bytes), Version::new(1, 0, number % 100))
        })
        .collect();
    let gate = Arc::new(Semaphore::new(IN_FLIGHT));
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for (draft, version) in drafts {
        let permit = Arc::clone(&gate).acquire_owned().await.unwrap();
        let registry = registry.clone();
        tasks.spawn(async move {
            registry.publish(draft, &version).await.unwrap();
            drop(permit);
        });
    }
    tasks.join_all().await;
    started.elapsed()
}

fn many(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut next = 0_u64;
    for (label, length) in [("1 KiB distinct", 1024), ("16 KiB compressible", 16 * 1024)] {
        let folder = tempfile::tempdir().unwrap();
        let registry = runtime.block_on(Registry::open(folder.path())).unwrap();
        let mut group = criterion.benchmark_group(format!("publish/{label}"));
        group.sample_size(10).throughput(Throughput::Elements(1));
        group.bench_function("engine: 512 in flight", |bencher| {
            bencher.iter_custom(|iterations| {
                // A batch is large enough for its commits to be shared.
                let count = iterations.max(4096);
                let spent = runtime.block_on(publish(&registry, next, count, length));
                next += count.next_multiple_of(100);
                spent.mul_f64(iterations as f64 / count as f64)
            });
        });
        group.bench_function("engine: one at a time", |bencher| {
            bencher.iter_custom(|iterations| {
                let spent = runtime.block_on(async {
                    let mut spent = Duration::ZERO;
                    for _ in 0..iterations {
                        spent += publish(&registry, next, 1, length).await;
                        next += 1;
                    }
                    spent
                });
                next = next.next_multiple_of(100);
                spent
            });
        });
        let mut bare = BareAppend::create(folder.path()).unwrap();
        let bytes = distinct_bytes(7, length);
        group.bench_function("peer: bare append and fdatasync", |bencher| {
            bencher.iter(|| bare.append(&bytes).unwrap());
        });
        let mut file = 0_u64;
        group.bench_function("peer: one file per artifact, fsync and rename", |bencher| {
            bencher.iter(|| {
                file += 1;
                file_per_artifact(folder.path(), &format!("artifact-{file}"), &bytes).unwrap();
            });
        });
        group.finish();
        runtime.block_on(registry.close()).unwrap();
    }
}

criterion_group!(benches, many);
criterion_main!(benches);
