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
use std::process::ExitCode;

use mcp_benches::figures::{self, Figure};

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
        let missed = rows.filter(|row| !figures::print(&row.1(&places))).count();
        return if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    figures::print_head();
    let mut missed = false;
    for (name, _) in rows {
        let mut command = figures::of_row(name);
        for (flag, place) in [("--data", &places.data), ("--ajv", &places.ajv)] {
            if let Some(place) = place {
                command.arg(flag).arg(place);
            }
        }
        missed |= !command.status().expect("a process for the row").success();
    }
    if check && missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
