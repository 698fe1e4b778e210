//! What the promotion engine is asked to reach, and what it does, each beside a bare peer of the same run.
//!
//! `cargo run --release -p mcp-benches --bin promotion_figures` prints all rows, each from a process of its own; names of rows print only
//! those, and `--check` ends with 1 when one of them misses its target.

mod durable;
mod group;
mod life;
mod load;
mod memory;
mod reopen;
mod rollback;
mod script;
mod spike;
mod transitions;
mod world;

use std::process::ExitCode;

use mcp_benches::figures::{self, Figure, Row};

const ROWS: [Row; 9] = [
    ("transitions", transitions::measure),
    ("durable", durable::measure),
    ("life", life::measure),
    ("memory", memory::measure),
    ("reopen", reopen::measure),
    ("rollback", rollback::measure),
    ("group", group::measure),
    ("load", load::measure),
    ("spike", spike::measure),
];

fn main() -> ExitCode {
    figures::run(&ROWS)
}
