//! Quality: what is counted, what is expected of it, and that partial counts merge into the same answer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

#[path = "quality/checks.rs"]
mod checks;
#[path = "quality/merging.rs"]
mod merging;
#[path = "quality/reading.rs"]
mod reading;
#[path = "quality/time.rs"]
mod time;

use mcp_validation::Document;
use mcp_validation::quality::{Failure, Quality, QualityState, QualitySummary, Reading, Unlisted};
use serde_json::Value;

/// The state of these records.
fn state(quality: &Quality, records: &[Value]) -> QualityState {
    let mut pass = quality.pass().unwrap();
    for record in records {
        pass.record(&Document::from(record.clone()), &mut Unlisted).unwrap();
    }
    pass.finish()
}

fn summary(quality: &Quality, records: &[Value]) -> QualitySummary {
    quality.summary(&state(quality, records)).unwrap()
}

/// A check's numerator and denominator.
fn shown(summary: &QualitySummary, target: &str) -> String {
    summary.check(target).unwrap_or_else(|| panic!("no {target}: {summary:?}")).score.to_string()
}

/// A failure in one line: record, line, id, and the check or the reason.
fn told(failure: &Failure<'_>) -> String {
    let what = failure.check.or(failure.reason).unwrap_or("nothing");
    format!("{} {:?} {:?} {what}", failure.record, failure.line, failure.id)
}

/// Reads `input`, with all failures.
fn read(quality: &Quality, input: &[u8], reading: &Reading) -> (QualityState, Vec<String>) {
    let mut failures = Vec::new();
    let mut sink = |failure: &Failure<'_>| {
        failures.push(told(failure));
        Ok(())
    };
    let state = quality.read(input, reading, &mut sink).unwrap();
    (state, failures)
}
