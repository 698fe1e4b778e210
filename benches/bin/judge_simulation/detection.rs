//! How soon a release fails that is worse.

use crate::gates::{self, Look, MannWhitney, PlainRank};
use crate::run::{MINUTES, Promises, simulate};
use crate::traffic::Traffic;

type Make = fn() -> Box<dyn Look>;

const RANK: (&str, Make) = ("rank judge", || Box::new(gates::errors()));
const PLAIN: (&str, Make) = ("plain rank e-process", || Box::new(PlainRank::default()));
const COUNT: (&str, Make) = ("count judge", || Box::new(gates::count()));
const MANN_WHITNEY: (&str, Make) = ("Mann-Whitney", || Box::new(MannWhitney::default()));

/// Prints the table; `full` with the peers and the cases that the promises do not name.
pub fn table(full: bool, promises: &mut Promises) {
    println!("\nmedian minutes until a release fails that is worse by x2, x3, x5, and share found within 60");
    let (calm, bursty) = (Traffic::calm(), Traffic::bursty());
    let late = |minutes| Traffic { worse_from: minutes, ..Traffic::bursty() };
    let four = Traffic { canaries: 4, baselines: 16, ..Traffic::bursty() };
    let cases = [
        ("bursty", "10 / 4 / 3", &bursty, RANK, true),
        ("bursty", "10 / 4 / 3", &bursty, PLAIN, false),
        ("bursty, 4 canaries of 20", "", &four, RANK, false),
        ("bursty, after 10 good minutes", "", &late(10), RANK, false),
        ("bursty, after 30 good minutes", "", &late(30), RANK, true),
        ("bursty, after 30 good minutes", "", &late(30), PLAIN, false),
        ("bursty, after 60 good minutes", "", &late(60), RANK, true),
        ("bursty, after 60 good minutes", "", &late(60), PLAIN, false),
        ("bursty, after 600 good minutes", "", &late(600), RANK, false),
        ("calm, 200 v 3800", "40 (72%) / 20 / 10", &calm, MANN_WHITNEY, false),
        ("calm, 200 v 3800", "17 (99.7%) / 5 / 2", &calm, COUNT, false),
        ("calm, 200 v 3800", "", &calm, PLAIN, false),
        ("calm, 200 v 3800", "", &calm, RANK, false),
    ];
    for (case, facts, traffic, (name, make), checked) in cases {
        if !full && !checked {
            continue;
        }
        let shown = [2.0, 3.0, 5.0].map(|ratio| {
            let from = traffic.worse_from;
            let runs = simulate(&Traffic { ratio, ..traffic.clone() }, make, from + MINUTES);
            let most = match (case, ratio as u32) {
                ("bursty", 2) => Some(12),
                ("bursty", 3) => Some(6),
                _ => None,
            };
            if let Some(most) = most.filter(|_| checked) {
                promises.within(&format!("{name}, {case}, x{ratio}"), &runs, from, most);
            }
            runs.found(from)
        });
        println!("{case:32}{name:22}{facts:20}{:>14}{:>14}{:>14}", shown[0], shown[1], shown[2]);
    }
}
