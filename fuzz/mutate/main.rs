//! Gives targets the inputs of their corpus, changed at random: on stable, and the same ones for the same seed.
//!
//! `cargo run --release -p mcp-fuzz --bin mutate -- --help` tells what there is.

mod change;
mod run;

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use lexopt::prelude::*;
use mcp_fuzz::{OF_VALIDATION, TARGETS};

const USAGE: &str = "\
Gives targets the inputs of their corpus, changed at random, until the time is over or one panics.

usage: cargo run --release -p mcp-fuzz --bin mutate -- [options] TARGET...|validation|all

  --seconds N      for each target, of the clock (default: 20)
  --cpu-seconds N  for each target, of the processor, where the system tells (Linux)
  --seed N         of the changes (default: 1)
  --jobs N         so many targets at the same time (default: 1)
  --save DIR       where an input that breaks a target is written (default: target/mutate)
  --help           print this

exit codes: 0 nothing was found; 1 a target broke: its input is saved; 2 wrong usage
";

/// What is asked for.
#[derive(Clone)]
struct Wanted {
    seconds: u64,
    cpu_seconds: Option<u64>,
    seed: u64,
    jobs: usize,
    save: String,
    targets: Vec<&'static str>,
    /// Run by this program itself: one target, in a process that may end as it likes.
    alone: bool,
    /// Write each input before it is run: so the last one is there when the process is gone.
    trace: bool,
}

fn wanted() -> Result<Option<Wanted>, lexopt::Error> {
    let mut wanted = Wanted {
        seconds: 20,
        cpu_seconds: None,
        seed: 1,
        jobs: 1,
        save: "target/mutate".to_owned(),
        targets: Vec::new(),
        alone: false,
        trace: false,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seconds") => wanted.seconds = parser.value()?.parse()?,
            Long("cpu-seconds") => wanted.cpu_seconds = Some(parser.value()?.parse()?),
            Long("seed") => wanted.seed = parser.value()?.parse()?,
            Long("jobs") => wanted.jobs = parser.value()?.parse()?,
            Long("save") => wanted.save = parser.value()?.string()?,
            Long("alone") => wanted.alone = true,
            Long("trace") => wanted.trace = true,
            Short('h') | Long("help") => return Ok(None),
            Value(name) => {
                let name = name.string()?;
                let named = TARGETS.iter().enumerate().map(|(index, (target, _))| (index, *target));
                let chosen: Vec<&'static str> = named
                    .filter(|(index, target)| {
                        *target == name || name == "all" || name == "validation" && *index < OF_VALIDATION
                    })
                    .map(|(_, target)| target)
                    .collect();
                if chosen.is_empty() {
                    let all: Vec<_> = TARGETS.iter().map(|(target, _)| *target).collect();
                    return Err(format!("no target {name:?}: there are {}", all.join(", ")).into());
                }
                wanted.targets.extend(chosen);
            }
            other => return Err(other.unexpected()),
        }
    }
    if wanted.targets.is_empty() || wanted.jobs == 0 {
        return Err("name a target, validation or all; and at least one job".into());
    }
    Ok(Some(wanted))
}

fn main() -> ExitCode {
    match wanted() {
        Ok(None) => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Ok(Some(wanted)) if wanted.alone => run::alone(&wanted),
        Ok(Some(wanted)) => all(&wanted),
        Err(error) => {
            eprintln!("read the arguments: {error}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Each target in a process of its own: an overflowing stack ends that alone.
fn all(wanted: &Wanted) -> ExitCode {
    println!("seed {}", wanted.seed);
    let next = std::sync::Mutex::new(wanted.targets.iter());
    let take = || next.lock().ok().and_then(|mut left| left.next().copied());
    let broken = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..wanted.jobs {
            scope.spawn(|| {
                while let Some(target) = take() {
                    if !one(wanted, target) {
                        broken.store(true, std::sync::atomic::Ordering::Relaxed);
                    }
                }
            });
        }
    });
    ExitCode::from(u8::from(broken.into_inner()))
}

/// Whether the target withstood. What ended its process without a word is found by the same changes again, each written before it is run.
fn one(wanted: &Wanted, target: &str) -> bool {
    let child = |trace: bool| {
        let program = std::env::current_exe().unwrap_or_default();
        let mut command = Command::new(program);
        command.args([
            "--alone",
            "--seed",
            &wanted.seed.to_string(),
            "--seconds",
            &wanted.seconds.to_string(),
        ]);
        command.args(wanted.cpu_seconds.map(|seconds| format!("--cpu-seconds={seconds}")));
        command.args(["--save", &wanted.save, target]).args(trace.then_some("--trace")).stdin(Stdio::null());
        command.output()
    };
    let said = |output: &std::process::Output| {
        print!("{}", String::from_utf8_lossy(&output.stdout));
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
    };
    match child(false) {
        Ok(output) if output.status.success() => {
            said(&output);
            true
        }
        Ok(output) if output.status.code() == Some(1) => {
            said(&output);
            false
        }
        Ok(output) => {
            said(&output);
            println!(
                "{target}: its process ended with {}; the same changes once more, each written before it is run",
                output.status
            );
            let _again = child(true);
            let saved = Path::new(&wanted.save).join(target);
            println!("{target}: the input that ended it is {}", saved.display());
            false
        }
        Err(error) => {
            eprintln!("{target}: start its process: {error}");
            false
        }
    }
}
