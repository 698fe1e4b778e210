//! When the capital of the rank judge is put into its bets, and whether it comes back (as in the jumpers of Vovk and others, arXiv 2102.10439).
//! The judge does `half, then 1/(n + 25), none back`; until commit f60dbb1 it did `half, then 1/(n + 2), none back`.

use crate::gates::factors;
use crate::run::{MINUTES, Runs, Source, each};
use crate::traffic::Traffic;

/// Before the window after n windows, the share `into(n)` of the capital that waits is put into the bets, and `back` of what is in them
/// returns.
struct Schedule {
    name: &'static str,
    into: fn(f64) -> f64,
    back: f64,
}

const fn of(name: &'static str, into: fn(f64) -> f64, back: f64) -> Schedule {
    Schedule { name, into, back }
}

fn half_then(n: f64, later: f64) -> f64 {
    if n < 1.0 { 0.5 } else { later }
}

const SCHEDULES: [Schedule; 16] = [
    of("all at once", |n| if n < 1.0 { 1.0 } else { 0.0 }, 0.0),
    of("half, then 1/(n + 2), none back", |n| 1.0 / (n + 2.0), 0.0),
    of("half, then 1/(n + 25), none back", |n| half_then(n, 1.0 / (n + 25.0)), 0.0),
    of("half, then 1/60 of it, none back", |n| half_then(n, 1.0 / 60.0), 0.0),
    of("half, then 1%, 1% back", |n| half_then(n, 0.01), 0.01),
    of("half, then 2%, 2% back", |n| half_then(n, 0.02), 0.02),
    of("half, then 4%, 2% back", |n| half_then(n, 0.04), 0.02),
    of("half, then 4%, 4% back", |n| half_then(n, 0.04), 0.04),
    of("half, then 4%, 8% back", |n| half_then(n, 0.04), 0.08),
    of("half, then 8%, 8% back", |n| half_then(n, 0.08), 0.08),
    of("half, then 1/(n + 25), 2% back", |n| half_then(n, 1.0 / (n + 25.0)), 0.02),
    of("half, then 1/(n + 25), 4% back", |n| half_then(n, 1.0 / (n + 25.0)), 0.04),
    of("1/(n + 2) down to 4%, 4% back", |n| (1.0 / (n + 2.0)).max(0.04), 0.04),
    of("1/(n + 2) down to 2%, 2% back", |n| (1.0 / (n + 2.0)).max(0.02), 0.02),
    of("1/(n + 2) down to 4%, 2% back", |n| (1.0 / (n + 2.0)).max(0.04), 0.02),
    of("1/(n + 2), 4% back", |n| 1.0 / (n + 2.0), 0.04),
];

/// In which minute each schedule fails each run.
fn runs(source: &dyn Source, minutes: usize) -> Vec<Runs> {
    let seeds: Vec<Vec<Option<usize>>> = each(|random, names| {
        let mut capital = SCHEDULES.map(|_| (1.0_f64, [0.0_f64; 5], None));
        for minute in 0..minutes {
            let factors = factors(&source.minute(minute, random, names));
            for ((waiting, bets, failed), schedule) in capital.iter_mut().zip(&SCHEDULES) {
                let put_in = *waiting * (schedule.into)(minute as f64);
                *waiting += bets.iter().sum::<f64>() * schedule.back - put_in;
                for (bet, factor) in bets.iter_mut().zip(factors) {
                    *bet = (*bet * (1.0 - schedule.back) + put_in / 5.0) * factor;
                }
                if failed.is_none() && *waiting + bets.iter().sum::<f64>() >= 100.0 {
                    *failed = Some(minute + 1);
                }
            }
            if capital.iter().all(|(.., failed)| failed.is_some()) {
                break;
            }
        }
        capital.map(|(.., failed)| failed).to_vec()
    });
    (0..SCHEDULES.len()).map(|at| seeds.iter().map(|runs| runs[at]).collect::<Vec<_>>().into()).collect()
}

pub fn table() {
    println!(
        "capital of the rank judge, bursty: false rollbacks within 60 and 600 minutes; median minutes for x2 and x3 after 0, 10, 30, 60, 600"
    );
    let alike = Traffic::bursty();
    let mut columns = vec![
        runs(&alike, MINUTES).iter().map(Runs::percent).collect::<Vec<_>>(),
        runs(&alike, 10 * MINUTES).iter().map(Runs::percent).collect(),
    ];
    for (worse_from, ratio) in [
        (0, 1.5),
        (0, 2.0),
        (10, 2.0),
        (30, 2.0),
        (60, 2.0),
        (600, 2.0),
        (0, 3.0),
        (10, 3.0),
        (30, 3.0),
        (60, 3.0),
        (600, 3.0),
    ] {
        let traffic = Traffic { worse_from, ratio, ..Traffic::bursty() };
        let median =
            |runs: &Runs| runs.median(worse_from).map_or("none".to_owned(), |minute| minute.to_string());
        columns.push(runs(&traffic, worse_from + MINUTES).iter().map(median).collect());
    }
    print!("{:36}{:>8}{:>8}", "", "60", "600");
    println!(
        "{:>6}{:>6}{:>6}{:>6}{:>6}{:>6}{:>6}{:>6}{:>6}{:>6}{:>6}",
        "x1.5", "x2", "10", "30", "60", "600", "x3", "10", "30", "60", "600"
    );
    for (at, schedule) in SCHEDULES.iter().enumerate() {
        print!("{:36}", schedule.name);
        for (column, shown) in columns.iter().enumerate() {
            print!("{:>1$}", shown[at], if column < 2 { 8 } else { 6 });
        }
        println!();
    }
}
