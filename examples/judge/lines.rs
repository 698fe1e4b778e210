//! Lines in, lines out: everything of the program but its arguments.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Read, Write};
use std::time::Duration;

use mcp_core::Timestamp;
use mcp_promotion::{CountTest, Counts, Guardrail, Judge, Judgement, RankTest, Sample, Window};
use serde::Deserialize;
use serde_json::{Value, json};

/// The longest line that is read, in bytes; 10,000 samples need about a tenth.
const MAX_LINE: u64 = 8 * 1024 * 1024;
/// How much of what is wrong with a line is told, in characters: some of it is the line's own text.
const TOLD: usize = 400;

/// The judge that was asked for.
pub enum Chosen {
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

/// Answers each line of `input` by one of `output`, whatever it holds.
///
/// # Errors
/// Those of `input` and `output`.
pub fn judge_lines(chosen: &Chosen, mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let mut run = Run::default();
    while let Some(line) = next_line(&mut input)? {
        let answer = line.and_then(|line| run.answer(chosen, &line));
        let answer =
            answer.unwrap_or_else(|why| json!({ "error": why.chars().take(TOLD).collect::<String>() }));
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
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

/// One line in: an interval, or a reset.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    reset: Option<bool>,
    at: Option<Timestamp>,
    samples: Option<Vec<Sample>>,
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
        // As an array of its fields, in the order that they happen to have here, a line would be read too.
        if line.trim_ascii_start().first() == Some(&b'[') {
            return Err("read the line: it is an array, and not an object".to_owned());
        }
        let line: Line = serde_json::from_slice(line).map_err(|error| format!("read the line: {error}"))?;
        match line {
            Line { reset: Some(true), at: None, samples: None } => {
                *self = Self::default();
                Ok(json!({"reset": true}))
            }
            Line { reset: None, at: Some(at), samples: Some(samples) } => {
                self.judge(chosen, at, samples).map_err(|why| format!("judge the interval to {at}: {why}"))
            }
            _ => {
                let both = r#"{"at": ..., "samples": [...]} nor {"reset": true}"#;
                Err(format!("read the line: it is neither {both}"))
            }
        }
    }

    fn judge(&mut self, chosen: &Chosen, at: Timestamp, samples: Vec<Sample>) -> Result<Value, String> {
        if let Some(until) = self.until.filter(|until| at <= *until) {
            return Err(format!("it is not later than {until}, where the last one ended"));
        }
        let from = self.until.unwrap_or_else(|| at.saturating_sub(Duration::from_secs(60)));
        let window = Window { from, to: at };
        let samples = fresh(samples, window)?;
        if let Some(verdict) = &self.verdict {
            self.until = Some(at);
            return Ok(verdict.clone());
        }
        let judged = chosen.judge().judge(&self.state, window, &samples);
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

/// What can be believed and is about this interval, as the engine sees to it before it asks a judge: stale samples are no data.
fn fresh(mut samples: Vec<Sample>, window: Window) -> Result<Vec<Sample>, String> {
    Counts::of(&samples)?;
    let mut instances = BTreeSet::new();
    if let Some(twice) =
        samples.iter().find(|sample| !instances.insert((sample.arm, sample.instance.as_str())))
    {
        let shown: String = twice.instance.chars().take(60).collect();
        return Err(format!("instance {shown:?} is there twice"));
    }
    samples.retain(|sample| !sample.is_stale(window));
    Ok(samples)
}
