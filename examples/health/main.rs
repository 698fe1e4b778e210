//! Health checks over HTTP and TCP: what a host adds to `mcp-promotion`, as a small command line.
//!
//! `cargo run --release --example health -- http://127.0.0.1:8080/healthz tcp://127.0.0.1:5432`
//!
//! Exit code 0 when all are healthy, 1 when one is not, 2 for wrong usage and when nothing could be learned of one.

mod http;
mod tcp;

use std::fmt::Display;
use std::num::{NonZeroU32, NonZeroU64};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::HttpCheck;
use lexopt::prelude::*;
use mcp_promotion::{Health, HealthCheck, HealthCheckExt, HealthError};
use tcp::TcpCheck;

const USAGE: &str = "usage: health [--timeout-ms N] [--attempts N] [--pause-ms N] [--any] [--json] TARGET...

TARGET is http://HOST:PORT/PATH (healthy when it answers with 200 to 299) or tcp://HOST:PORT (healthy when it accepts a connection).
Each has 2000 ms to answer and 1 attempt, with 1000 ms between attempts. With --any one healthy target is enough.";

struct Wanted {
    timeout: Duration,
    attempts: u32,
    pause: Duration,
    any: bool,
    json: bool,
    targets: Vec<(String, Arc<dyn HealthCheck>)>,
}

fn wanted() -> Result<Wanted, lexopt::Error> {
    let mut wanted = Wanted {
        timeout: Duration::from_secs(2),
        attempts: 1,
        pause: Duration::from_secs(1),
        any: false,
        json: false,
        targets: Vec::new(),
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("timeout-ms") => {
                let millis: NonZeroU64 = number(&mut arguments, "timeout-ms")?;
                wanted.timeout = Duration::from_millis(millis.get());
            }
            Long("attempts") => {
                let attempts: NonZeroU32 = number(&mut arguments, "attempts")?;
                wanted.attempts = attempts.get();
            }
            Long("pause-ms") => wanted.pause = Duration::from_millis(number(&mut arguments, "pause-ms")?),
            Long("any") => wanted.any = true,
            Long("json") => wanted.json = true,
            Value(target) => {
                let target = target.string()?;
                let check = of(&target)?;
                wanted.targets.push((target, check));
            }
            other => return Err(other.unexpected()),
        }
    }
    if wanted.targets.is_empty() { Err("no TARGET was given".into()) } else { Ok(wanted) }
}

/// The value of an option.
fn number<N: FromStr<Err: Display>>(
    arguments: &mut lexopt::Parser,
    option: &str,
) -> Result<N, lexopt::Error> {
    let text = arguments.value()?.string()?;
    text.parse().map_err(|error| format!("--{option}: {text:?}: {error}").into())
}

/// The check that a target asks for.
fn of(target: &str) -> Result<Arc<dyn HealthCheck>, String> {
    match target.split_once("://") {
        Some(("http", _)) => Ok(Arc::new(HttpCheck::new(target)?)),
        Some(("tcp", address)) => Ok(Arc::new(TcpCheck::new(address)?)),
        _ => Err(format!("{target:?} is neither http://HOST:PORT/PATH nor tcp://HOST:PORT")),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let wanted = match wanted() {
        Ok(wanted) => wanted,
        Err(error) => {
            eprintln!("health: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let ask = |(target, check): &(String, Arc<dyn HealthCheck>)| {
        let check = Arc::clone(check).within(wanted.timeout).retried(wanted.attempts, wanted.pause);
        let target = target.clone();
        async move { (target, check.check().await) }
    };
    let answers = futures::future::join_all(wanted.targets.iter().map(ask)).await;
    for (target, answer) in &answers {
        println!("{}", if wanted.json { as_json(target, answer) } else { as_text(target, answer) });
    }
    let healthy = |answer: &Result<Health, HealthError>| answer.as_ref().is_ok_and(Health::is_healthy);
    let count = answers.iter().filter(|(_, answer)| healthy(answer)).count();
    let decided = answers.iter().any(|(_, answer)| matches!(answer, Ok(Health::Unhealthy { .. })));
    if count == answers.len() || wanted.any && count > 0 {
        ExitCode::SUCCESS
    } else if decided && (!wanted.any || answers.iter().all(|(_, answer)| answer.is_ok())) {
        ExitCode::from(1)
    } else {
        ExitCode::from(2)
    }
}

fn as_text(target: &str, answer: &Result<Health, HealthError>) -> String {
    match answer {
        Ok(health) => format!("{target}: {health}"),
        Err(error) => format!("{target}: could not find out: {}", chain(error)),
    }
}

fn as_json(target: &str, answer: &Result<Health, HealthError>) -> String {
    let (health, text) = match answer {
        Ok(health) => (if health.is_healthy() { "healthy" } else { "unhealthy" }, health.seen().to_owned()),
        Err(error) => ("unknown", chain(error)),
    };
    serde_json::json!({"target": target, "health": health, "seen": text}).to_string()
}

/// An error with its causes, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes: Vec<String> =
        std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
    causes.join(": ")
}
