//! What remembering verdicts brings, and how streams of documents hold under load, each beside a peer of the same run.
//!
//! `cargo run --release -p mcp-benches --bin cache_figures` prints all rows, each from a process of its own; names of rows (`repeated zipf
//! load`) print only those, and `--check` ends with 1 when one of them misses its target.

mod load;
mod repeated;
mod world;
mod zipf;

use std::process::{Command, ExitCode};

/// One measured figure.
struct Figure {
    /// What was measured.
    what: String,
    /// What it should reach.
    target: &'static str,
    /// What it reached.
    reached: String,
    /// What the peer of the same run reached.
    peer: String,
    /// Whether the target was met; `None` where there is none.
    met: Option<bool>,
}

type Row = (&'static str, fn() -> Vec<Figure>);

const ROWS: [Row; 3] = [("repeated", repeated::measure), ("zipf", zipf::measure), ("load", load::measure)];

/// In the process of one row.
fn print_row(row: &Row) -> bool {
    let figures = row.1();
    for Figure { what, target, reached, peer, met } in &figures {
        let met = match met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "",
        };
        println!("| {what} | {target} | {reached} | {peer} | {met} |");
    }
    figures.iter().all(|figure| figure.met != Some(false))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let ["--row", name] = arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        let row = ROWS.iter().find(|row| row.0 == *name).expect("a row of this name");
        return if print_row(row) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let check = arguments.iter().any(|argument| argument == "--check");
    let names: Vec<&String> = arguments.iter().filter(|argument| *argument != "--check").collect();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load before: {}", load.split(' ').take(3).collect::<Vec<_>>().join(" "));
    println!("| what | target | reached | peer of the same run | |\n|---|---|---|---|---|");
    let mut missed = false;
    for (name, _) in ROWS.iter().filter(|row| names.is_empty() || names.iter().any(|name| *name == row.0)) {
        let this = std::env::current_exe().expect("the path of this program");
        let status = Command::new(this).args(["--row", name]).status().expect("a process for the row");
        missed |= !status.success();
    }
    if check && missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
