//! How often each judge fails a release that is no worse, and how soon one that is, over simulated traffic: 4,000 seeded runs a figure.
//!
//! `cargo run --release -p mcp-benches --bin judge_simulation` prints all tables, beside the figures of the project's facts where there are
//! any; `-- --check` only what is promised, and ends with 1 when a judge exceeds its budget or detects later than promised; `-- --tried`
//! what else was tried instead of what the judges do.

mod detection;
mod false_rollbacks;
mod gates;
mod guardrails;
mod latency;
mod run;
mod several;
mod slow;
mod traffic;
mod tried;

use std::process::ExitCode;

use run::Promises;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let full = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => true,
        ["--check"] => false,
        ["--tried"] => {
            tried::tables();
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("usage: judge_simulation [--check | --tried]");
            return ExitCode::from(2);
        }
    };
    let mut promises = Promises::default();
    false_rollbacks::table(full, &mut promises);
    detection::table(full, &mut promises);
    several::table(full, &mut promises);
    latency::table(full, &mut promises);
    if full {
        guardrails::table();
    }
    if promises.show() || full { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
