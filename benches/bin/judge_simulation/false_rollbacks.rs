//! How often each gate fails a release that is no worse.

use mcp_promotion::Metric;

use crate::gates::{self, Judged, Look, MannWhitney, PlainRank, Threshold, ZTest};
use crate::run::{MINUTES, Pair, Promises, simulate};
use crate::traffic::Traffic;

const NAMES: [&str; 3] = ["calm", "shared outage", "bursty"];

type Make = fn() -> Box<dyn Look>;

/// What others do, beside the figures that the project's facts tell of them.
fn peers() {
    println!("\npeers, one canary beside one instance        facts");
    let gates: [(&str, &str, Make); 5] = [
        ("99% threshold, 5 failures", "52 / 100 / 26", || Box::new(Threshold { fatal: 5, bad: 0 })),
        ("99% threshold, 0 failures allowed", "99 / 100 / 97", || Box::new(Threshold { fatal: 1, bad: 0 })),
        ("Mann-Whitney every 10 minutes", "0.0 / 0.1 / 0.7", || Box::new(MannWhitney::default())),
        ("z-test every minute", "7 / 13 / 46", || Box::new(ZTest::default())),
        ("count judge", "0.4 to 0.6 / 0.4 / 17", || Box::new(gates::count())),
    ];
    for (name, facts, make) in gates {
        let [calm, outage, bursty] =
            Traffic::three().map(|traffic| simulate(&Pair(traffic), make, MINUTES).percent());
        println!("{name:44}{facts:24}{calm:>10}{outage:>16}{bursty:>10}");
    }
    let [calm, outage, bursty] =
        Traffic::three().map(|traffic| simulate(&traffic, PlainRank::default, MINUTES).percent());
    println!(
        "{:44}{:24}{calm:>10}{outage:>16}{bursty:>10}",
        "plain rank e-process, 19 baselines", "0.5 / 0.5 / 0.5"
    );
}

/// Prints the table; `full` with the peers and the traffic that the promises do not name.
pub fn table(full: bool, promises: &mut Promises) {
    println!("false rollbacks of a release that is no worse, 60 looks");
    println!("{:68}{:>10}{:>16}{:>10}", "", NAMES[0], NAMES[1], NAMES[2]);
    let shown = Traffic::three().map(|traffic| simulate(&traffic, gates::errors, MINUTES));
    let [calm, outage, bursty] = shown.each_ref().map(|runs| runs.percent());
    println!("{:68}{calm:>10}{outage:>16}{bursty:>10}", "rank judge, one canary beside 19");
    for (name, runs) in NAMES.into_iter().zip(&shown) {
        promises.budget(&format!("rank judge, {name}"), runs);
    }
    for (name, traffic) in unlike() {
        let runs = simulate(&traffic, gates::errors, MINUTES);
        println!("{:68}{:>10}", format!("rank judge, {name}"), runs.percent());
        promises.budget(&format!("rank judge, {name}"), &runs);
    }
    let worse = Traffic { ratio: 1.25, ..Traffic::bursty() };
    let margin = || Judged::new(gates::rank(Metric::Errors, 1_250_000));
    let runs = simulate(&worse, margin, MINUTES);
    println!(
        "{:44}{:24}{:>10}",
        "rank judge, margin 1.25, a true 1.25",
        "facts: 0.35 to 0.7",
        runs.percent()
    );
    promises.budget("rank judge, margin 1.25 at a true ratio of 1.25", &runs);
    for baselines in [19, 3] {
        let rare = Traffic { ratio: 5.0, baselines, ..Traffic::new(0.0005, 200) };
        let runs = simulate(&rare, || Judged::new(gates::rank(Metric::Errors, 5_000_000)), MINUTES);
        let what = format!("rank judge, margin 5, a true 5, 0.1 failures a minute, {baselines} baselines");
        println!("{what:68}{:>10}", runs.percent());
        promises.budget(&what, &runs);
    }
    if full {
        let runs = simulate(&worse, gates::errors, MINUTES);
        println!("{:44}{:24}{:>10}", "rank judge, no margin, a true 1.25", "facts: 21", runs.percent());
        peers();
    }
}

/// Traffic in which the instances do not have the same numbers of requests, or there are more canaries.
fn unlike() -> [(&'static str, Traffic); 5] {
    let (calm, bursty) = (Traffic::calm(), Traffic::bursty());
    [
        ("bursty, 4 canaries of 20 instances", Traffic { canaries: 4, baselines: 16, ..bursty.clone() }),
        ("canary with a quarter of 200 requests", Traffic { canary_requests: 50, ..calm.clone() }),
        ("canary with 0.95 of 200 requests", Traffic { canary_requests: 190, ..calm }),
        (
            "bursty, canary with a quarter of 2000 requests",
            Traffic { canary_requests: 500, ..bursty.clone() },
        ),
        ("bursty, 1000 to 2000 requests, anew each minute", Traffic { least_percent: 50, ..bursty }),
    ]
}
