//! Several metrics under one budget: other ways than the mean of the e-values.

use mcp_core::Timestamp;
use mcp_promotion::{Judge, Metric, RankTest, Sample, Window};
use serde_json::Value;

use crate::gates::{self, Judged, Look};
use crate::run::{MINUTES, simulate};
use crate::traffic::{Metrics, Traffic};

/// Each judge with its own part of the budget; the first failure decides.
struct Split(Vec<Judged<RankTest>>);

impl Split {
    fn new() -> Self {
        let part = |metric| {
            let mut judge = gates::rank(metric, 1_000_000);
            judge.alpha_ppm /= 3;
            Judged::new(judge)
        };
        Self(gates::metrics().map(part).into_iter().collect())
    }
}

impl Look for Split {
    fn fails(&mut self, samples: &[Sample]) -> bool {
        self.0.iter_mut().any(|judge| judge.fails(samples))
    }
}

/// The product of the e-values, which is one only where the metrics are independent.
struct Product(Vec<(RankTest, Value)>);

impl Product {
    fn new() -> Self {
        let judge = |metric| {
            let mut judge = gates::rank(metric, 1_000_000);
            judge.alpha_ppm = 1;
            (judge, Value::Null)
        };
        Self(gates::metrics().map(judge).into_iter().collect())
    }
}

impl Look for Product {
    fn fails(&mut self, samples: &[Sample]) -> bool {
        let window = Window { from: Timestamp::UNIX_EPOCH, to: Timestamp::from_micros(60_000_000) };
        let mut product = 1.0;
        for (judge, state) in &mut self.0 {
            *state = judge.judge(state, window, samples).expect("its own state").0;
            product *= judge.evidence(state).expect("its own state");
        }
        product >= 100.0
    }
}

/// One judge of what `of` makes of the places that an instance has in each metric.
struct Places {
    of: fn([f64; 3]) -> f64,
    judge: Judged<RankTest>,
}

impl Places {
    fn new(of: fn([f64; 3]) -> f64) -> Self {
        Self { of, judge: Judged::new(gates::rank(Metric::Number("place".to_owned()), 1_000_000)) }
    }
}

impl Look for Places {
    fn fails(&mut self, samples: &[Sample]) -> bool {
        let [queue, heap] =
            Metrics::NUMBERS.map(|name| samples.iter().map(|sample| sample.numbers[name]).collect());
        let errors: Vec<f64> = samples.iter().map(|sample| (sample.total - sample.good) as f64).collect();
        let [errors, queue, heap] = [errors, queue, heap].map(|values: Vec<f64>| places(&values));
        let combined: Vec<Sample> = samples
            .iter()
            .zip(errors.iter().zip(queue.iter().zip(&heap)))
            .map(|(sample, (errors, (queue, heap)))| {
                sample.clone().number("place", (self.of)([*errors, *queue, *heap]))
            })
            .collect();
        self.judge.fails(&combined)
    }
}

/// The place of each value among all, the mean of places for equal ones.
pub fn places(values: &[f64]) -> Vec<f64> {
    let place = |value: &f64| {
        let below = values.iter().filter(|other| *other < value).count() as f64;
        let equal = values.iter().filter(|other| *other == value).count() as f64;
        below + (equal + 1.0) / 2.0
    };
    values.iter().map(place).collect()
}

type Make = fn() -> Box<dyn Look>;

pub fn table() {
    println!("\nthree metrics, bursty: false rollbacks, and median minutes (share found within 60)");
    println!(
        "{:34}{:>8}{:>16}{:>16}{:>16}{:>16}{:>16}",
        "", "alike", "one x1.5", "one x2", "one x3", "all x1.5", "all x2"
    );
    let ways: [(&str, Make); 5] = [
        ("mean of the e-values (together)", || {
            Box::new(gates::together(gates::metrics().map(|metric| gates::rank(metric, 1_000_000))))
        }),
        ("a third of the budget each", || Box::new(Split::new())),
        ("product of the e-values", || Box::new(Product::new())),
        ("rank of the sum of the places", || Box::new(Places::new(|places| places.iter().sum()))),
        ("rank of the worst place", || {
            Box::new(Places::new(|places| places.into_iter().fold(0.0, f64::max)))
        }),
    ];
    for (name, make) in ways {
        let source = |errors: f64, numbers: f64| Metrics {
            traffic: Traffic { ratio: errors, ..Traffic::bursty() },
            ratios: [numbers; 2],
        };
        let alike = simulate(&source(1.0, 1.0), make, MINUTES).percent();
        let found = [(1.5, 1.0), (2.0, 1.0), (3.0, 1.0), (1.5, 1.5), (2.0, 2.0)]
            .map(|(errors, numbers)| simulate(&source(errors, numbers), make, MINUTES).found(0));
        println!(
            "{name:34}{alike:>8}{:>16}{:>16}{:>16}{:>16}{:>16}",
            found[0], found[1], found[2], found[3], found[4]
        );
    }
}
