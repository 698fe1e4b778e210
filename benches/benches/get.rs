//! A verified read by exact version, by requirement and of the latest, beside a bare file read with BLAKE3 in the same run.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros make items without docs, and a benchmark stops at a failure"
)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mcp_benches::distinct_bytes;
use mcp_core::{Digest, Name, Version};
use mcp_registry::{Draft, Registry, Select};
use tokio::runtime::Runtime;

const NAMES: u64 = 100;
const VERSIONS: u64 = 100;

fn get(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let registry = runtime.block_on(Registry::open(folder.path())).unwrap();
    let name = |number: u64| -> Name { format!("bench/artifact-{number}").parse().unwrap() };
    let drafts = (0..NAMES * VERSIONS).map(|number| {
        let draft = Draft::new(&name(number % NAMES), distinct_bytes(number, 1024))
            .media_type("application/octet-stream")
            .actor("bench");
        (draft, Version::new(1, 0, number / NAMES))
    });
    for outcome in runtime.block_on(registry.publish_many(drafts)) {
        outcome.unwrap();
    }
    let mut group = criterion.benchmark_group("get/1 KiB of 10,000");
    group.throughput(Throughput::Elements(1));
    let mut number = 0_u64;
    let mut next = || {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (name((number >> 33) % NAMES), (number >> 40) % VERSIONS)
    };
    group.bench_function("engine: exact version", |bencher| {
        bencher.iter(|| {
            let (name, patch) = next();
            let select = Select::exact(Version::new(1, 0, patch));
            black_box(runtime.block_on(registry.get(&name, select)).unwrap().bytes.len())
        });
    });
    group.bench_function("engine: resolve ^1", |bencher| {
        let requirement: mcp_core::Requirement = "^1".parse().unwrap();
        bencher.iter(|| {
            let (name, _) = next();
            black_box(
                runtime.block_on(registry.resolve(&name, Select::requirement(requirement.clone()))).unwrap(),
            )
        });
    });
    group.bench_function("engine: resolve latest", |bencher| {
        bencher.iter(|| {
            let (name, _) = next();
            black_box(runtime.block_on(registry.resolve(&name, Select::latest())).unwrap())
        });
    });
    let bytes = distinct_bytes(7, 1024);
    let digest = Digest::of(&bytes);
    let path = folder.path().join("bare-file");
    std::fs::write(&path, &bytes).unwrap();
    group.bench_function("peer: read a file, compare BLAKE3", |bencher| {
        bencher.iter(|| assert_eq!(Digest::of(&std::fs::read(black_box(&path)).unwrap()), digest));
    });
    group.finish();
    runtime.block_on(registry.close()).unwrap();
}

criterion_group!(benches, get);
criterion_main!(benches);
