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
use mcp_promotion::{
    CountTest, Counts, Guardrail, Judge, Metric, RankTest, Sample, Sequential, Together, Window,
};
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

/// The same, each with its latencies in 40 buckets and a number.
fn rich_samples() -> Vec<Sample> {
    let latencies =
        |at: u64| (0..40).map(|bucket| (1000 + bucket * 97 + at * 13, 50)).collect::<Vec<_>>().into();
    let rich =
        |(at, sample): (u64, Sample)| sample.latencies(latencies(at)).number("heap", (at * 7 % 13) as f64);
    (0..).zip(samples()).map(rich).collect()
}

fn judge(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one judge update, 20 instances");
    let from = Timestamp::UNIX_EPOCH;
    let window = Window { from, to: from.saturating_add(Duration::from_secs(60)) };
    let rank = |metric| {
        let mut rank = RankTest::default();
        rank.metric = metric;
        rank
    };
    let latency = || rank(Metric::Latency { quantile_ppm: 990_000 });
    let three =
        [Metric::Errors, Metric::Latency { quantile_ppm: 990_000 }, Metric::Number("heap".to_owned())];
    let judges: [(&str, Box<dyn Judge>, Vec<Sample>); 5] = [
        ("rank", Box::new(rank(Metric::Errors)), samples()),
        ("count", Box::new(CountTest::default()), samples()),
        ("guardrail", Box::new(Guardrail::default()), samples()),
        ("rank of latencies", Box::new(latency()), rich_samples()),
        (
            "three metrics together",
            Box::new(Together::of(three.map(|metric| Sequential::Rank(rank(metric))))),
            rich_samples(),
        ),
    ];
    let plain = samples();
    group.bench_function("peer: add up the samples", |bencher| {
        bencher.iter(|| Counts::of(black_box(&plain)).unwrap());
    });
    for (name, judge, samples) in judges {
        let (state, _) = judge.judge(&Value::Null, window, &samples).unwrap();
        group.bench_function(name, |bencher| {
            bencher.iter(|| judge.judge(black_box(&state), window, black_box(&samples)).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, judge);
criterion_main!(benches);
