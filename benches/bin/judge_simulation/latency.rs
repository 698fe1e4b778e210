//! Releases that are slower.

use crate::gates::{self, Judged, Look};
use crate::run::{MINUTES, Promises, simulate};
use crate::slow::Slow;

type Make = fn() -> Box<dyn Look>;

fn quantile(ppm: u32) -> Box<dyn Look> {
    Box::new(Judged::new(gates::latency(ppm)))
}

const JUDGES: [(&str, Make); 4] = [
    ("rank judge, median", || quantile(500_000)),
    ("rank judge, p90", || quantile(900_000)),
    ("rank judge, p99", || quantile(990_000)),
    ("median and p99 together", || Box::new(gates::together([500_000, 990_000].map(gates::latency)))),
];

/// What the canary can be: this many times as slow, for so many thousandths of its requests.
pub const WORSE: [(&str, f64, u64); 4] =
    [("+20%", 1.2, 1000), ("+50%", 1.5, 1000), ("x2", 2.0, 1000), ("5% of requests x3", 3.0, 50)];

/// Prints the table; `full` with what the promises do not name.
pub fn table(full: bool, promises: &mut Promises) {
    println!(
        "\nlatencies, 200 requests each: false rollbacks, and median minutes until a release fails that is slower"
    );
    println!(
        "{:26}{:>8}{:>15}{:>16}{:>16}{:>16}{:>20}",
        "", "alike", "shared outage", "+20%", "+50%", "x2", "5% of requests x3"
    );
    for (name, make) in JUDGES {
        if !full && !name.starts_with("median and") {
            continue;
        }
        let alike = simulate(&Slow::by(1.0, 0), make, MINUTES);
        let outage = simulate(&Slow::by(1.0, 0).outage(20, 30), make, MINUTES);
        promises.budget(&format!("latencies, {name}"), &alike);
        promises.budget(&format!("latencies with a shared outage, {name}"), &outage);
        let found =
            WORSE.map(|(_, ratio, permille)| simulate(&Slow::by(ratio, permille), make, MINUTES).found(0));
        println!(
            "{name:26}{:>8}{:>15}{:>16}{:>16}{:>16}{:>20}",
            alike.percent(),
            outage.percent(),
            found[0],
            found[1],
            found[2],
            found[3]
        );
    }
}
