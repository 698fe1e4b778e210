//! Measures the quality of records in CSV or JSON lines: scores by a policy, figures of every field, failing records, change over time.
//!
//! `cargo run --release --example quality -- --help` tells what there is; the README shows it at work.

#[path = "quality/arguments.rs"]
mod arguments;
#[path = "quality/failures.rs"]
mod failures;
#[path = "quality/html.rs"]
mod html;
#[path = "quality/input.rs"]
mod input;
#[path = "quality/output.rs"]
mod output;
#[path = "quality/page.rs"]
mod page;
#[path = "promote/plain.rs"]
mod plain;
#[path = "quality/text.rs"]
mod text;

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::{fs, thread};

use arguments::{Arguments, USAGE};
use mcp_core::SystemClock;
use mcp_validation::quality::{
    Comparison, Quality, QualityPolicy, QualityState, QualitySummary, Reading, Verdict,
};
use mcp_validation::{Contract, ValidationError};
use serde::Serialize;

/// What is known at the end.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// What was read, and as what.
    pub inputs: Vec<input::Source>,
    /// The scores and figures of all of it.
    pub summary: QualitySummary,
    /// How it differs from an older state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            return match write!(std::io::stdout(), "{USAGE}") {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&format!("write to standard output: {error}")),
            };
        }
        Err(reason) => return failed(&format!("{reason}; --help tells what there is")),
    };
    let measured = match measure(&arguments) {
        Ok(measured) => measured,
        Err(reason) => return failed(&reason),
    };
    match tell(&measured, &arguments) {
        Ok(()) => exit_code(&measured),
        Err(reason) => failed(&reason),
    }
}

/// On standard error; where nobody can be told, the exit code still tells.
fn say(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

fn failed(reason: &str) -> ExitCode {
    say(&format!("quality: {}", plain::lines(reason)));
    ExitCode::from(2)
}

/// 0 where all is as expected, 1 where something is worse, 2 where it could not be told.
fn exit_code(measured: &Measured) -> ExitCode {
    let allowed = measured.comparison.as_ref().is_none_or(Comparison::is_allowed);
    match measured.summary.verdict {
        Verdict::Fail => ExitCode::from(1),
        _ if !allowed => ExitCode::from(1),
        Verdict::Unknown => ExitCode::from(2),
        Verdict::Pass | Verdict::Warn => ExitCode::SUCCESS,
    }
}

fn measure(arguments: &Arguments) -> Result<Measured, String> {
    output::check(arguments)?;
    let mut quality = Quality::new(policy(arguments)?).map_err(|error| shown(&error))?;
    quality = quality.clock(Arc::new(SystemClock::new()));
    if let Some(schema) = &arguments.schema {
        let contract = Contract::json_schema(text_of(schema)?).build().map_err(|error| shown(&error))?;
        quality = quality.contract(contract);
    }
    let before = arguments.compare.as_ref().map(|file| load(&quality, file)).transpose()?;
    let mut state = quality.state();
    for file in &arguments.merge {
        merge(&mut state, load(&quality, file)?)?;
    }
    let mut failures = failures::Failures::open(arguments.failures.as_deref())?;
    let mut inputs = Vec::new();
    for file in &arguments.files {
        let opened = input::open(file, arguments.format, arguments.delimiter)?;
        if !arguments.json {
            say(&plain::line(&opened.source.said()));
        }
        let mut reading = Reading::new(opened.format).workers(workers());
        reading.max_record_bytes = arguments.max_record_bytes;
        failures.begin(file);
        let read = quality.read(opened.bytes, &reading, &mut failures);
        merge(&mut state, read.map_err(|error| format!("{file}: {}", shown(&error)))?)?;
        inputs.push(opened.source);
    }
    failures.finish()?;
    let summary = quality.summary(&state).map_err(|error| shown(&error))?;
    if summary.records > 0 && summary.unreadable == summary.records {
        let records = summary.records;
        return Err(format!(
            "measure {records} records: none of them can be read; name their format with --format"
        ));
    }
    let compare = |before| quality.compare(&before, &state).map_err(|error| shown(&error));
    let comparison = before.map(compare).transpose()?;
    if let Some(file) = &arguments.state {
        output::replace(file, &state.save().map_err(|error| shown(&error))?)?;
    }
    Ok(Measured { inputs, summary, comparison })
}

fn tell(measured: &Measured, arguments: &Arguments) -> Result<(), String> {
    if let Some(file) = &arguments.html {
        output::replace(file, page::page(measured).as_bytes())?;
    }
    let text = if arguments.json {
        serde_json::to_string_pretty(measured).map_err(|error| format!("write JSON: {error}"))?
    } else {
        text::report(measured)
    };
    writeln!(std::io::stdout(), "{text}").map_err(|error| format!("write to standard output: {error}"))
}

/// The policy of the file, or figures of every field.
fn policy(arguments: &Arguments) -> Result<QualityPolicy, String> {
    let Some(file) = &arguments.policy else {
        return Ok(QualityPolicy::new().profile_all([0.05, 0.25, 0.5, 0.75, 0.95], 5));
    };
    let text = text_of(file)?;
    let yaml = [".yaml", ".yml"].iter().any(|end| file.ends_with(end));
    let read = if yaml {
        serde_saphyr::from_str(&text).map_err(|error| error.to_string())
    } else {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    };
    read.map_err(|error| format!("read the policy {file}: {error}"))
}

fn text_of(file: &str) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("read {file}: {error}"))
}

fn load(quality: &Quality, file: &str) -> Result<QualityState, String> {
    let bytes = fs::read(file).map_err(|error| format!("read {file}: {error}"))?;
    quality.load(&bytes).map_err(|error| format!("{file}: {}", shown(&error)))
}

fn merge(state: &mut QualityState, other: QualityState) -> Result<(), String> {
    state.merge(other).map_err(|error| shown(&error))
}

/// An error with its causes.
fn shown(error: &ValidationError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// One for each processor, but no more than memory is meant for.
fn workers() -> NonZeroUsize {
    let most = NonZeroUsize::new(8).unwrap_or(NonZeroUsize::MIN);
    thread::available_parallelism().map_or(NonZeroUsize::MIN, |processors| processors.min(most))
}
