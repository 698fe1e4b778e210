//! Guardrails: outside any budget by choice, so only reported.

use std::time::Duration;

use mcp_promotion::{Burn, Guardrail, Limit};

use crate::gates::Judged;
use crate::run::{MINUTES, simulate};
use crate::traffic::Traffic;

fn consecutive(windows: u32) -> Guardrail {
    let mut guardrail = Guardrail::default();
    (guardrail.consecutive, guardrail.bake) = (windows, Duration::MAX);
    guardrail
}

/// Of an objective of so many failing requests per million.
fn burn(budget_ppm: u32) -> Guardrail {
    let mut guardrail = consecutive(1);
    (guardrail.max_errors_ppm, guardrail.limit) = (budget_ppm, Limit::Burn(vec![Burn::FAST, Burn::SLOW]));
    guardrail
}

/// Prints the table.
pub fn table() {
    println!(
        "\nguardrails, outside any budget: rollbacks of a release that is no worse, and median minutes of a bursty one at 0.5% times 2, 5, 20"
    );
    println!(
        "{:44}{:>8}{:>15}{:>10}{:>16}{:>16}{:>16}",
        "", "calm", "shared outage", "bursty", "x2", "x5", "x20"
    );
    let cases = [
        ("1% in 1 window", consecutive(1)),
        ("1% in 3 consecutive windows", consecutive(3)),
        ("1% in 5 consecutive windows", consecutive(5)),
        ("burn 14.4 and 6 of a 0.1% objective", burn(1000)),
        ("burn 14.4 and 6 of a 1% objective", burn(10_000)),
    ];
    for (name, guardrail) in cases {
        let make = || Judged::new(guardrail.clone());
        let [calm, outage, bursty] =
            Traffic::three().map(|traffic| simulate(&traffic, make, MINUTES).percent());
        let found = [2.0, 5.0, 20.0]
            .map(|ratio| simulate(&Traffic { ratio, ..Traffic::bursty() }, make, MINUTES).found(0));
        println!(
            "{name:44}{calm:>8}{outage:>15}{bursty:>10}{:>16}{:>16}{:>16}",
            found[0], found[1], found[2]
        );
    }
}
