//! Release plans from what the artifacts need of each other: 1,000 artifacts with 10,000 needs, and worse shapes.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros make items without docs, and a benchmark stops at a failure"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use mcp_core::{Artifact, Digest};
use mcp_promotion::{Item, Need, PlanRequest};

/// Artifacts that go from 1.0.0 to 2.0.0; each needs the new version of those that `needs` names, all of them with smaller numbers.
fn request(count: usize, needs: impl Fn(usize) -> Vec<usize>) -> PlanRequest {
    PlanRequest::new((0..count).map(|number| {
        let name = format!("team-{}/service-{number}", number % 10);
        let artifact =
            Artifact::try_from((format!("{name}@2.0.0").as_str(), Digest::of(name.as_bytes()))).unwrap();
        let item = Item::new(name.parse().unwrap(), artifact).from("1.0.0".parse().unwrap());
        needs(number).into_iter().fold(item, |item, other| {
            item.need(Need::new(&format!("team-{}/service-{other}", other % 10), "^2.0").unwrap())
        })
    }))
}

/// Ten needs of each, by a fixed sequence of pseudo-random numbers.
fn sparse(number: usize) -> Vec<usize> {
    let mut state = number as u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    (0..10).filter_map(|_| next().checked_rem(number)).collect()
}

fn plan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan");
    let cases = [
        ("1,000 artifacts, 10,000 needs", request(1_000, sparse)),
        ("chain of 10,000", request(10_000, |number| number.checked_sub(1).into_iter().collect())),
        ("clique of 440, 96,580 needs", request(440, |number| (0..number).collect())),
    ];
    for (name, request) in cases {
        let waves = request.plan().unwrap().waves().len();
        let needs: usize = request.items.iter().map(|item| item.needs.len()).sum();
        println!("{name}: {needs} needs, {waves} waves");
        group.bench_function(name, |bencher| bencher.iter(|| black_box(&request).plan().unwrap()));
        let json = serde_json::to_string(&request).unwrap();
        group.bench_function(format!("peer: read it from {} bytes of JSON", json.len()), |bencher| {
            bencher.iter(|| serde_json::from_str::<PlanRequest>(black_box(&json)).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, plan);
criterion_main!(benches);
