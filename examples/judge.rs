//! Judges a release from samples, one JSON line per interval in, one line out for each line in.
//!
//! ```text
//! in   {"at": "2026-01-02T03:04:00Z", "samples": [{"instance": "a", "arm": "canary", "good": 99, "total": 100}, ...]}
//! out  {"verdict": "undecided", "evidence": 1.3}
//! in   {"reset": true}
//! out  {"reset": true}
//! ```
//!
//! An interval begins where the one before ended; the first one is a minute long. `evidence` is the e-value of `rank` and `count`, and the number
//! of bad intervals in a row of `guardrail`. A line that cannot be used is answered by `{"error": ...}` and changes nothing.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::*;
use mcp_core::Timestamp;
use mcp_promotion::{CountTest, Counts, Guardrail, Judge, Judgement, RankTest, Sample, Window};
use serde::Deserialize;
use serde_json::{Value, json};

const USAGE: &str = "\
Judges a release from samples: a JSON line per interval in, a line out for each line in.

usage: cargo run --release --example judge -- [options] < intervals

  --judge rank|count|guardrail  which judge (default: rank)
  --alpha SHARE                 share of releases that may be failed although no worse (default: 0.01; not for guardrail)
  --margin FACTOR               how many times the baseline's error rate is still no worse (default: 1; not for guardrail)
  --bake MINUTES                how long a release is watched before it passes (default: 30)
  --help                        print this
";

/// The longest line that is read, in bytes; 10,000 samples need about a tenth.
const MAX_LINE: u64 = 8 * 1024 * 1024;

/// The judge that was asked for.
enum Chosen {
    Rank(RankTest),
    Count(CountTest),
    Guardrail(Guardrail),
}

impl Chosen {
    fn judge(&self) -> &dyn Judge {
        match self {
            Self::Rank(judge) => judge,
            Self::Count(judge) => judge,
            Self::Guardrail(judge) => judge,
        }
    }

    fn evidence(&self, state: &Value) -> Result<Value, String> {
        match self {
            Self::Rank(judge) => judge.evidence(state).map(Value::from),
            Self::Count(judge) => judge.evidence(state).map(Value::from),
            Self::Guardrail(_) => return Ok(state.get("bad").cloned().unwrap_or_else(|| 0.into())),
        }
        .map_err(|error| error.to_string())
    }
}

/// Reads the arguments; `None` when only the usage was asked for.
fn chosen() -> Result<Option<Chosen>, lexopt::Error> {
    let (mut name, mut alpha_ppm, mut margin_ppm, mut bake) =
        ("rank".to_owned(), 10_000, 1_000_000, Duration::from_secs(30 * 60));
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("judge") => name = parser.value()?.parse()?,
            Long("alpha") => alpha_ppm = millionths(parser.value()?.parse()?, 0.5)?,
            Long("margin") => margin_ppm = millionths(parser.value()?.parse()?, 1000.0)?,
            Long("bake") => {
                let minutes: f64 = parser.value()?.parse()?;
                if !(0.0..=1e6).contains(&minutes) {
                    return Err("a bake time is a number of minutes from 0 to 1000000".into());
                }
                bake = Duration::from_secs_f64(minutes * 60.0);
            }
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
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

fn millionths(value: f64, most: f64) -> Result<u32, lexopt::Error> {
    if (1e-6..=most).contains(&value) {
        Ok((value * 1e6).round() as u32)
    } else {
        Err(format!("{value} is not between 0.000001 and {most}").into())
    }
}

/// One line in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Interval {
    at: Timestamp,
    samples: Vec<Sample>,
}

/// What was seen since the start, or the last reset.
#[derive(Default)]
struct Run {
    state: Value,
    until: Option<Timestamp>,
    /// The last answer, once it is final.
    verdict: Option<Value>,
}

impl Run {
    fn answer(&mut self, chosen: &Chosen, line: &[u8]) -> Result<Value, String> {
        let line: Value = serde_json::from_slice(line).map_err(|error| format!("read the line: {error}"))?;
        if line.get("reset").is_some() {
            let reset = json!({"reset": true});
            if line != reset {
                return Err("read the line: a reset is {\"reset\": true} and nothing else".to_owned());
            }
            *self = Self::default();
            return Ok(reset);
        }
        let Interval { at, samples } =
            serde_json::from_value(line).map_err(|error| format!("read the line: {error}"))?;
        let from = self.until.unwrap_or_else(|| at.saturating_sub(Duration::from_secs(60)));
        if self.until.is_some_and(|until| at <= until) {
            return Err(format!(
                "judge the interval to {at}: it is not later than {from}, where the last one ended"
            ));
        }
        Counts::of(&samples).map_err(|why| format!("judge the interval to {at}: {why}"))?;
        let mut instances = BTreeSet::new();
        if let Some(twice) = samples.iter().find(|sample| !instances.insert(&sample.instance)) {
            return Err(format!("judge the interval to {at}: instance {:?} is there twice", twice.instance));
        }
        if let Some(verdict) = &self.verdict {
            self.until = Some(at);
            return Ok(verdict.clone());
        }
        let judged = chosen.judge().judge(&self.state, Window { from, to: at }, &samples);
        let (state, judgement) = judged.map_err(|error| error.to_string())?;
        let (verdict, terminal) = match judgement {
            Judgement::Undecided => ("undecided", false),
            Judgement::Pass => ("pass", true),
            Judgement::Fail { .. } => ("fail", true),
            Judgement::Inconclusive { .. } => ("inconclusive", false),
        };
        let answer = json!({"verdict": verdict, "evidence": chosen.evidence(&state)?});
        (self.state, self.until) = (state, Some(at));
        self.verdict = terminal.then(|| answer.clone());
        Ok(answer)
    }
}

/// The next line without its end; `None` after the last, an error inside when it is too long.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<Result<Vec<u8>, String>>> {
    let mut line = Vec::new();
    if input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') || (line.len() as u64) < MAX_LINE {
        return Ok(Some(Ok(line)));
    }
    input.skip_until(b'\n')?;
    Ok(Some(Err(format!("read the line: it is longer than {MAX_LINE} bytes"))))
}

fn judge_all(chosen: &Chosen) -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut run = Run::default();
    while let Some(line) = next_line(&mut input)? {
        let answer = line.and_then(|line| run.answer(chosen, &line));
        writeln!(output, "{}", answer.unwrap_or_else(|error| json!({"error": error})))?;
        output.flush()?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match chosen() {
        Ok(None) => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Ok(Some(chosen)) => match judge_all(&chosen) {
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
