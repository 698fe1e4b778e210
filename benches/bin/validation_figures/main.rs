//! What judging is asked to reach, and what it does, each beside a bare peer of the same run.
//!
//! `cargo run --release -p mcp-benches --bin validation_figures` prints all rows, each from a process of its own; names of rows print only
//! those, and `--check` ends with 1 when one of them misses its target. `--data DIR` names what `benches/validation_data.py` has
//! gathered; without it, only generated documents are judged. `--ajv DIR` names a folder with `node_modules/ajv`.

mod ajv;
mod compatibility;
mod data;
mod documents;
mod rules;
mod timing;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// One measured figure.
struct Figure {
    /// What was measured.
    what: String,
    /// What it should reach.
    target: &'static str,
    /// What it reached.
    reached: String,
    /// What the bare peers of the same run reached, and the ratio to them.
    peer: String,
    /// Whether the target was met; `None` where there is none.
    met: Option<bool>,
}

/// Where the data sets and `ajv` are.
#[derive(Default)]
struct Places {
    data: Option<PathBuf>,
    ajv: Option<PathBuf>,
}

type Row = (&'static str, fn(&Places) -> Vec<Figure>);

const ROWS: [Row; 6] = [
    ("tiny", documents::tiny),
    ("parsed", documents::parsed),
    ("bytes", documents::bytes),
    ("ajv", ajv::measure),
    ("rules", rules::measure),
    ("compatibility", compatibility::measure),
];

/// In the process of one row.
fn print_row(row: &Row, places: &Places) -> bool {
    let figures = row.1(places);
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
    let mut places = Places::default();
    let (mut check, mut one, mut names) = (false, false, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--check" => check = true,
            "--row" => one = true,
            "--data" => places.data = arguments.next().map(PathBuf::from),
            "--ajv" => places.ajv = arguments.next().map(PathBuf::from),
            _ => names.push(argument),
        }
    }
    let rows = ROWS.iter().filter(|row| names.is_empty() || names.iter().any(|name| name == row.0));
    if one {
        let missed = rows.filter(|row| !print_row(row, &places)).count();
        return if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load before: {}", load.split(' ').take(3).collect::<Vec<_>>().join(" "));
    println!("| what | target | reached | bare peers of the same run | |\n|---|---|---|---|---|");
    let mut missed = false;
    for (name, _) in rows {
        let this = std::env::current_exe().expect("the path of this program");
        let mut command = Command::new(this);
        command.args(["--row", name]);
        for (flag, place) in [("--data", &places.data), ("--ajv", &places.ajv)] {
            if let Some(place) = place {
                command.arg(flag).arg(place);
            }
        }
        missed |= !command.status().expect("a process for the row").success();
    }
    if check && missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
