//! Several metrics at once under one budget.

use crate::gates::{self, Judged};
use crate::run::{MINUTES, Promises, simulate};
use crate::traffic::{Metrics, Traffic};

/// What the errors, the queue and the heap of a canary are multiplied by that is so many times as bad.
type Worse = fn(f64) -> [f64; 3];

/// Prints the table; `full` with what the promises do not name.
pub fn table(full: bool, promises: &mut Promises) {
    let together = || gates::together(gates::metrics().map(|metric| gates::rank(metric, 1_000_000)));
    println!(
        "\nerrors and two numbers under one budget of 1%: false rollbacks of a release that is no worse"
    );
    println!("{:44}{:>10}{:>16}{:>10}", "", "calm", "shared outage", "bursty");
    let runs = Traffic::three().map(|traffic| simulate(&Metrics::of(traffic), together, MINUTES));
    let [calm, outage, bursty] = runs.each_ref().map(|runs| runs.percent());
    println!("{:44}{calm:>10}{outage:>16}{bursty:>10}", "together");
    for (name, runs) in ["calm", "shared outage", "bursty"].into_iter().zip(&runs) {
        promises.budget(&format!("three metrics together, {name}"), runs);
    }
    if !full {
        return;
    }
    println!("\nbursty: median minutes until it fails, and share found within 60, worse by x1.5, x2, x3");
    let cases: [(&str, Worse); 4] = [
        ("only the errors", |ratio| [ratio, 1.0, 1.0]),
        ("only the queue", |ratio| [1.0, ratio, 1.0]),
        ("errors and queue", |ratio| [ratio, ratio, 1.0]),
        ("all three", |ratio| [ratio; 3]),
    ];
    for (case, worse) in cases {
        let source = |ratio: f64| {
            let [errors, queue, heap] = worse(ratio);
            Metrics { traffic: Traffic { ratio: errors, ..Traffic::bursty() }, ratios: [queue, heap] }
        };
        let ratios = [1.5, 2.0, 3.0];
        let shown = ratios.map(|ratio| simulate(&source(ratio), together, MINUTES).found(0));
        println!("{case:22}{:22}{:>14}{:>14}{:>14}", "together", shown[0], shown[1], shown[2]);
        for (name, metric) in ["errors alone", "queue alone"].into_iter().zip(gates::metrics()) {
            let alone = || Judged::new(gates::rank(metric.clone(), 1_000_000));
            let shown = ratios.map(|ratio| simulate(&source(ratio), alone, MINUTES).found(0));
            println!("{case:22}{name:22}{:>14}{:>14}{:>14}", shown[0], shown[1], shown[2]);
        }
    }
}
