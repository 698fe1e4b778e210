//! One update of each judge with 20 instances, from the state that is kept as JSON to the next one.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros make items without docs, and a benchmark stops at a failure"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use mcp_core::Timestamp;
use mcp_promotion::{CountTest, Counts, Guardrail, Judge, RankTest, Sample, Window};
use serde_json::Value;

/// Two canary and 18 baseline instances with 2,000 requests each, of which about 10 fail.
fn samples() -> Vec<Sample> {
    (0..20_u64)
        .map(|at| {
            let (name, good) = (format!("instance-{at:02}"), 1983 + at * 7 % 13);
            if at < 2 { Sample::canary(name, good, 2000) } else { Sample::baseline(name, good, 2000) }
        })
        .collect()
}

fn judge(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one judge update, 20 instances");
    let samples = samples();
    let from = Timestamp::UNIX_EPOCH;
    let window = Window { from, to: from.saturating_add(Duration::from_secs(60)) };
    let judges: [(&str, Box<dyn Judge>); 3] = [
        ("rank", Box::new(RankTest::default())),
        ("count", Box::new(CountTest::default())),
        ("guardrail", Box::new(Guardrail::default())),
    ];
    group.bench_function("peer: add up the samples", |bencher| {
        bencher.iter(|| Counts::of(black_box(&samples)).unwrap());
    });
    for (name, judge) in judges {
        let (state, _) = judge.judge(&Value::Null, window, &samples).unwrap();
        group.bench_function(name, |bencher| {
            bencher.iter(|| judge.judge(black_box(&state), window, black_box(&samples)).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, judge);
criterion_main!(benches);
