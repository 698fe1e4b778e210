//! Judges a release from samples, one JSON line per interval in, one line out for each line in.
//!
//! ```text
//! in   {"at": "2026-01-02T03:04:00Z", "samples": [{"instance": "a", "arm": "canary", "good": 99, "total": 100}, ...]}
//! out  {"verdict": "undecided", "evidence": 1.3}
//! in   {"reset": true}
//! out  {"reset": true}
//! ```
//!
//! An interval begins where the one before ended, also after a gap; the first one is a minute long. A sample may say with an `at` of its own until
//! when it was counted: one that ends before its interval begins is stale, and no data. After five minutes without data that counts the verdict
//! is `inconclusive`, until there is some again; `pass` and `fail` are final until a reset. `evidence` is the e-value of `rank` and `count`, and
//! the number of bad intervals in a row of `guardrail`. A line that cannot be used is answered by `{"error": ...}` and changes nothing.

#[path = "judge/lines.rs"]
mod lines;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::*;
use lines::Chosen;
use mcp_promotion::{CountTest, Guardrail, RankTest};

const USAGE: &str = "\
Judges a release from samples: a JSON line per interval in, a line out for each line in.

usage: cargo run --release --example judge -- [options] < intervals

  --judge rank|count|guardrail  which judge (default: rank)
  --alpha SHARE                 share of releases that may be failed although no worse (default: 0.01; not for guardrail)
  --margin FACTOR               how many times the baseline's error rate is still no worse (default: 1; not for guardrail)
  --bake MINUTES                how long a release is watched before it passes (default: 30)
  --help                        print this
";

/// Reads the arguments; `None` when only the usage was asked for.
fn chosen() -> Result<Option<Chosen>, lexopt::Error> {
    let (mut name, mut alpha, mut margin) = ("rank".to_owned(), None, None);
    let mut bake = Duration::from_secs(30 * 60);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("judge") => name = parser.value()?.parse()?,
            Long("alpha") => alpha = Some(millionths(number(&mut parser, "alpha", 1e-6, 0.5)?)),
            Long("margin") => margin = Some(millionths(number(&mut parser, "margin", 1e-6, 1000.0)?)),
            Long("bake") => {
                bake = Duration::from_secs_f64(number(&mut parser, "bake", 0.0, 1e6)? * 60.0);
            }
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    if let ("guardrail", Some(option)) = (name.as_str(), alpha.map(|_| "alpha").or(margin.map(|_| "margin")))
    {
        return Err(format!("--{option} is not for guardrail, which has none; leave it out").into());
    }
    let (alpha_ppm, margin_ppm) = (alpha.unwrap_or(10_000), margin.unwrap_or(1_000_000));
    let (mut rank, mut count, mut guardrail) =
        (RankTest::default(), CountTest::default(), Guardrail::default());
    (rank.alpha_ppm, rank.margin_ppm, rank.bake) = (alpha_ppm, margin_ppm, bake);
    (count.alpha_ppm, count.margin_ppm, count.bake) = (alpha_ppm, margin_ppm, bake);
    guardrail.bake = bake;
    match name.as_str() {
        "rank" => Ok(Some(Chosen::Rank(rank))),
        "count" => Ok(Some(Chosen::Count(count))),
        "guardrail" => Ok(Some(Chosen::Guardrail(guardrail))),
        _ => Err(format!("no judge {name:?}: it is rank, count or guardrail").into()),
    }
}

/// The value of an option, which is within these bounds.
fn number(parser: &mut lexopt::Parser, option: &str, least: f64, most: f64) -> Result<f64, lexopt::Error> {
    let text = parser.value()?;
    let value: f64 = text.parse().map_err(|_| format!("--{option}: {text:?} is no number"))?;
    if (least..=most).contains(&value) {
        Ok(value)
    } else {
        Err(format!("--{option}: {value} is not between {least} and {most}").into())
    }
}

fn millionths(value: f64) -> u32 {
    (value * 1e6).round() as u32
}

fn main() -> ExitCode {
    match chosen() {
        Ok(None) => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Ok(Some(chosen)) => match lines::judge_lines(&chosen, io::stdin().lock(), io::stdout().lock()) {
            Ok(()) => ExitCode::SUCCESS,
            // Who reads the answers has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("judge the intervals: {error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("read the arguments: {error}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}
