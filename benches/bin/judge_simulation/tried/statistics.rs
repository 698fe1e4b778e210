//! What of the latencies of an instance is put in order.

use std::collections::BTreeMap;

use mcp_promotion::{Metric, RankTest, Sample};

use crate::gates::{self, Judged, Look};
use crate::latency::WORSE;
use crate::run::{MINUTES, simulate};
use crate::slow::Slow;

/// The number of each instance, from the microseconds and counts of all.
type Of = fn(&[Vec<(u64, u64)>]) -> Vec<f64>;

/// The rank judge of a number that is computed from the latencies of all instances of a window.
struct Statistic {
    of: Of,
    judge: Judged<RankTest>,
}

impl Statistic {
    fn boxed(of: Of) -> Box<dyn Look> {
        let judge = Judged::new(gates::rank(Metric::Number("statistic".to_owned()), 1_000_000));
        Box::new(Self { of, judge })
    }
}

impl Look for Statistic {
    fn fails(&mut self, samples: &[Sample]) -> bool {
        let all: Vec<Vec<(u64, u64)>> =
            samples.iter().map(|sample| sample.latencies.clone().expect("latencies").into()).collect();
        let numbers = (self.of)(&all);
        let samples: Vec<Sample> = samples
            .iter()
            .zip(numbers)
            .map(|(sample, number)| sample.clone().number("statistic", number))
            .collect();
        self.judge.fails(&samples)
    }
}

fn total(pairs: &[(u64, u64)]) -> f64 {
    pairs.iter().map(|(_, count)| *count as f64).sum()
}

fn mean_by(pairs: &[(u64, u64)], value: impl Fn(u64) -> f64) -> f64 {
    pairs.iter().map(|(micros, count)| value(*micros) * *count as f64).sum::<f64>() / total(pairs)
}

/// Somewhere inside its bucket, as if the requests of a bucket were evenly spread.
fn between(pairs: &[(u64, u64)], share: f64) -> f64 {
    let wanted = total(pairs) * share;
    let mut seen = 0.0;
    for (micros, count) in pairs {
        let count = *count as f64;
        if seen + count >= wanted {
            let width = (1_u64 << (micros.ilog2() - 4)) as f64;
            return *micros as f64 - width * (1.0 - (wanted - seen) / count);
        }
        seen += count;
    }
    0.0
}

/// The mean place of an instance's requests among those of all instances (Wilcoxon 1945, for two groups).
fn mean_place(all: &[Vec<(u64, u64)>]) -> Vec<f64> {
    let mut pooled: BTreeMap<u64, f64> = BTreeMap::new();
    for (micros, count) in all.iter().flatten() {
        *pooled.entry(*micros).or_default() += *count as f64;
    }
    let mut before = 0.0;
    for place in pooled.values_mut() {
        let count = *place;
        *place = before + count / 2.0;
        before += count;
    }
    all.iter().map(|pairs| mean_by(pairs, |micros| pooled[&micros])).collect()
}

type Make = fn() -> Box<dyn Look>;

fn quantile(ppm: u32) -> Box<dyn Look> {
    Box::new(Judged::new(gates::latency(ppm)))
}

pub fn table() {
    println!("\nlatencies, 200 requests each: false rollbacks, and median minutes (share found within 60)");
    println!("{:34}{:>8}{:>16}{:>16}{:>16}{:>20}", "", "alike", "+20%", "+50%", "x2", "5% of requests x3");
    let ways: [(&str, Make); 11] = [
        ("median", || quantile(500_000)),
        ("median, inside its bucket", || {
            Statistic::boxed(|all| all.iter().map(|pairs| between(pairs, 0.5)).collect())
        }),
        ("p90", || quantile(900_000)),
        ("p95", || quantile(950_000)),
        ("p99", || quantile(990_000)),
        ("p99, inside its bucket", || {
            Statistic::boxed(|all| all.iter().map(|pairs| between(pairs, 0.99)).collect())
        }),
        ("mean", || {
            Statistic::boxed(|all| all.iter().map(|pairs| mean_by(pairs, |micros| micros as f64)).collect())
        }),
        ("mean of the logarithm", || {
            Statistic::boxed(|all| {
                all.iter().map(|pairs| mean_by(pairs, |micros| (micros as f64).ln())).collect()
            })
        }),
        ("mean place among all requests", || Statistic::boxed(mean_place)),
        ("median and p99 together", || Box::new(gates::together([500_000, 990_000].map(gates::latency)))),
        ("median, p90 and p99 together", || {
            Box::new(gates::together([500_000, 900_000, 990_000].map(gates::latency)))
        }),
    ];
    for (name, make) in ways {
        let alike = simulate(&Slow::by(1.0, 0), make, MINUTES).percent();
        let found =
            WORSE.map(|(_, ratio, permille)| simulate(&Slow::by(ratio, permille), make, MINUTES).found(0));
        println!("{name:34}{alike:>8}{:>16}{:>16}{:>16}{:>20}", found[0], found[1], found[2], found[3]);
    }
}
