//! What the registry is asked to reach, and what it does, each beside a bare peer of the same run.
//!
//! `cargo run --release -p mcp-benches --bin registry_figures` prints all rows, each from a process of its own; names of rows print only
//! those, and `--check` ends with 1 when one of them misses its target.

mod alone;
mod compressible;
mod load;
mod million;
mod peers;
mod publish;
mod resolve;
mod world;

use std::process::ExitCode;

use mcp_benches::figures::{self, Figure, Row};

const ROWS: [Row; 6] = [
    ("publish", publish::measure),
    ("compressible", compressible::measure),
    ("alone", alone::measure),
    ("resolve", resolve::measure),
    ("million", million::measure),
    ("load", load::measure),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let ["--open", folder, names] = arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        million::open_and_tell(folder.as_ref(), names.parse().expect("a number"));
        return ExitCode::SUCCESS;
    }
    figures::run(&ROWS)
}
