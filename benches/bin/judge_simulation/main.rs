//! How often each judge fails a release that is no worse, and how soon one that is, over simulated traffic: 4,000 seeded runs a figure.
//!
//! `cargo run --release -p mcp-benches --bin judge_simulation`; with `-- --check` it ends with 1 when the rank judge exceeds its budget or
//! detects later than promised.

mod gates;
mod traffic;

use std::process::ExitCode;
use std::time::Duration;

use gates::{Judged, Look, MannWhitney, PlainRank, Threshold, ZTest};
use mcp_benches::random::Random;
use mcp_promotion::{CountTest, RankTest};
use traffic::Traffic;

/// How many runs each figure rests on.
const RUNS: usize = 4000;

/// How many minutes a run has, from where the release becomes worse.
const MINUTES: usize = 60;

/// The most false rollbacks in [`RUNS`] runs of a judge with a true rate of 1%, with a probability of 99.9%: the mean of 40 and 3.09
/// standard deviations of 6.29.
const MOST_FALSE: usize = 60;

type Make = fn() -> Box<dyn Look>;

/// With settings under which it never passes, so that only failing is counted.
fn rank(margin_ppm: u32) -> Box<dyn Look> {
    let mut judge = RankTest::default();
    (judge.bake, judge.margin_ppm) = (Duration::MAX, margin_ppm);
    Box::new(Judged::new(judge))
}

fn count() -> Box<dyn Look> {
    let mut judge = CountTest::default();
    judge.bake = Duration::MAX;
    Box::new(Judged::new(judge))
}

const RANK: (&str, Make) = ("rank judge", || rank(1_000_000));

/// In which minute each run failed, from 1. `first_baseline_only` leaves out the other ones, for gates that compare two instances.
fn simulate(traffic: &Traffic, make: Make, minutes: usize, first_baseline_only: bool) -> Vec<Option<usize>> {
    let names: Vec<String> = (0..100).map(|at| format!("instance-{at:02}")).collect();
    let run = |seed: usize| {
        let mut random = Random::new((seed as u64 + 1).wrapping_mul(0xd134_2543_de82_ef95));
        let mut gate = make();
        let failed = (0..minutes).find(|minute| {
            let samples = traffic.minute(*minute, &mut random, &names);
            let seen = if first_baseline_only { traffic.canaries + 1 } else { samples.len() };
            gate.fails(&samples[..seen])
        });
        failed.map(|minute| minute + 1)
    };
    std::thread::scope(|scope| {
        let half = scope.spawn(|| (0..RUNS / 2).map(run).collect::<Vec<_>>());
        let other: Vec<_> = (RUNS / 2..RUNS).map(run).collect();
        half.join().expect("the other half of the runs").into_iter().chain(other).collect()
    })
}

/// How many runs failed.
fn failed(runs: &[Option<usize>]) -> usize {
    runs.iter().flatten().count()
}

fn percent(count: usize) -> String {
    format!("{:.2}%", 100.0 * count as f64 / RUNS as f64)
}

/// The median minute of failing, counted from `from`, `None` when half of the runs or more did not fail.
fn median(runs: &[Option<usize>], from: usize) -> Option<usize> {
    let mut minutes: Vec<usize> =
        runs.iter().map(|minute| minute.map_or(usize::MAX, |minute| minute.saturating_sub(from))).collect();
    minutes.sort_unstable();
    minutes.get(RUNS / 2).copied().filter(|minute| *minute < usize::MAX)
}

/// `calm`, `shared outage` and `bursty` traffic in which the canary is no worse.
fn scenarios() -> [(&'static str, Traffic); 3] {
    let calm = Traffic::new(0.005, 200);
    let outage = Traffic { outage: Some((20, 30)), ..calm.clone() };
    [("calm, 200", calm), ("x4 outage of all, 200", outage), ("bursty, 2000", bursty())]
}

/// Errors in bursts: each instance and minute has an error rate of its own, with a standard deviation of half the mean.
fn bursty() -> Traffic {
    Traffic { burst_shape: Some(4), ..Traffic::new(0.005, 2000) }
}

/// False rollbacks of each gate; whether the rank judge kept its budget.
fn false_rollbacks() -> bool {
    println!("false rollbacks of a release that is no worse, 60 looks, one canary");
    println!("{:44}{:>14}{:>24}{:>14}", "", "calm, 200", "x4 outage of all, 200", "bursty, 2000");
    let gates: [(&str, bool, Make); 7] = [
        ("99% threshold, 5 failures", true, || Box::new(Threshold { allowed: 5, bad: 0 })),
        ("99% threshold, 0 failures", true, || Box::new(Threshold { allowed: 0, bad: 0 })),
        ("Mann-Whitney every 10 minutes, corrected", true, || Box::new(MannWhitney::default())),
        ("z-test every minute", true, || Box::new(ZTest::default())),
        ("count judge", true, count),
        ("plain rank e-process, 19 baselines", false, || Box::new(PlainRank::default())),
        ("rank judge, 19 baselines", false, RANK.1),
    ];
    let mut kept = true;
    for (name, first_baseline_only, make) in gates {
        let counts =
            scenarios().map(|(_, traffic)| failed(&simulate(&traffic, make, MINUTES, first_baseline_only)));
        let [calm, outage, bursts] = counts.map(percent);
        println!("{name:44}{calm:>14}{outage:>24}{bursts:>14}");
        if name.starts_with("rank judge") {
            kept = counts.iter().all(|count| *count <= MOST_FALSE);
        }
    }
    for (name, traffic, make) in [
        (
            "rank judge, 4 canaries of 20 instances",
            Traffic { canaries: 4, baselines: 16, ..bursty() },
            RANK.1,
        ),
        ("rank judge, margin 1.25, a true ratio of 1.25", Traffic { ratio: 1.25, ..bursty() }, || {
            rank(1_250_000)
        }),
        ("rank judge, no margin, a true ratio of 1.25", Traffic { ratio: 1.25, ..bursty() }, RANK.1),
    ] {
        println!("{name:60} {}", percent(failed(&simulate(&traffic, make, MINUTES, false))));
    }
    for (name, traffic) in unlike() {
        let count = failed(&simulate(&traffic, RANK.1, MINUTES, false));
        println!("{:60} {}", format!("rank judge, {name}"), percent(count));
        kept &= count <= MOST_FALSE;
    }
    kept
}

/// Traffic in which the instances do not have the same numbers of requests.
fn unlike() -> [(&'static str, Traffic); 4] {
    let calm = Traffic::new(0.005, 200);
    [
        ("canary with a quarter of 200 requests", Traffic { canary_requests: 50, ..calm.clone() }),
        ("canary with 0.95 of 200 requests", Traffic { canary_requests: 190, ..calm }),
        ("bursty, canary with a quarter of 2000 requests", Traffic { canary_requests: 500, ..bursty() }),
        ("bursty, 1000 to 2000 requests, anew each minute", Traffic { least_percent: 50, ..bursty() }),
    ]
}

/// Median minutes to failing; whether the rank judge was as quick as promised.
fn detection() -> bool {
    println!("\nmedian minutes until a release fails that is worse by x2, x3, x5, and share found within 60");
    let calm = Traffic::new(0.005, 200);
    let late = Traffic { worse_from: 60, ..bursty() };
    let four = Traffic { canaries: 4, baselines: 16, ..bursty() };
    let plain: (&str, Make) = ("plain rank e-process", || Box::new(PlainRank::default()));
    let mut quick = true;
    for (case, traffic, (name, make)) in [
        ("200 v 3800, calm", &calm, ("Mann-Whitney", (|| Box::new(MannWhitney::default())) as Make)),
        ("200 v 3800, calm", &calm, ("count judge", count)),
        ("200 v 3800, calm", &calm, plain),
        ("200 v 3800, calm", &calm, RANK),
        ("2000 each, bursty", &bursty(), plain),
        ("2000 each, bursty", &bursty(), RANK),
        ("2000 each, bursty, 4 canaries of 20", &four, RANK),
        ("2000 each, bursty, after 60 good minutes", &late, plain),
        ("2000 each, bursty, after 60 good minutes", &late, RANK),
    ] {
        let shown = [2.0, 3.0, 5.0].map(|ratio| {
            let worse = Traffic { ratio, ..traffic.clone() };
            let runs = simulate(&worse, make, traffic.worse_from + MINUTES, false);
            let median = median(&runs, traffic.worse_from);
            if case == "2000 each, bursty" && name == RANK.0 {
                let most = if ratio == 2.0 { 12 } else { 6 };
                quick &= median.is_some_and(|minute| minute <= most);
            }
            let minutes = median.map_or("none".to_owned(), |minute| minute.to_string());
            format!("{minutes} ({})", percent(failed(&runs)))
        });
        println!("{case:42}{name:22}{:>15}{:>15}{:>15}", shown[0], shown[1], shown[2]);
    }
    quick
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument != "--check") {
        eprintln!("usage: judge_simulation [--check]");
        return ExitCode::from(2);
    }
    let (kept, quick) = (false_rollbacks(), detection());
    let verdict = |held: bool| if held { "held" } else { "BROKEN" };
    println!(
        "\nbudget: at most {MOST_FALSE} of {RUNS} false rollbacks of the rank judge in each scenario: {}",
        verdict(kept)
    );
    println!("speed: bursty, x2 within 12 and x3 within 6 minutes at the median: {}", verdict(quick));
    if arguments.is_empty() || (kept && quick) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
