//! What remembering verdicts brings, and how streams of documents hold under load, each beside a peer of the same run.
//!
//! `cargo run --release -p mcp-benches --bin cache_figures` prints all rows, each from a process of its own; names of rows (`repeated zipf
//! load`) print only those, and `--check` ends with 1 when one of them misses its target.

mod load;
mod repeated;
mod world;
mod zipf;

use std::process::ExitCode;

use mcp_benches::figures::{self, Figure, Row};

const ROWS: [Row; 3] = [("repeated", repeated::measure), ("zipf", zipf::measure), ("load", load::measure)];

fn main() -> ExitCode {
    figures::run(&ROWS)
}
