//! One target in this process, until the time is over or it breaks.

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcp_core::{Clock as _, SystemClock};
use mcp_fuzz::{TARGETS, Target};

use crate::Wanted;
use crate::change::{Random, changed};

/// No input may take longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// As small as the stack of a thread that a host starts.
const STACK_BYTES: usize = 2 << 20;

/// What runs now, and since when.
type Running = Arc<Mutex<Option<(Vec<u8>, Duration)>>>;

pub fn alone(wanted: &Wanted) -> ExitCode {
    let Some((target, run)) = TARGETS.into_iter().find(|(target, _)| wanted.targets.first() == Some(target))
    else {
        return ExitCode::from(2);
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<_> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().filter_map(|file| std::fs::read(file).ok()).collect();
    let saved = Path::new(&wanted.save).join(target);
    if std::fs::create_dir_all(&wanted.save).is_err() || corpus.is_empty() {
        eprintln!("{target}: there is no corpus, or {} cannot be made", wanted.save);
        return ExitCode::from(2);
    }
    let running = Running::default();
    watch(target, &running, saved.clone());
    let worker = std::thread::Builder::new().stack_size(STACK_BYTES);
    let (wanted, trace) = (wanted.clone(), wanted.trace.then(|| saved.clone()));
    let worker = worker.spawn(move || mutate(&wanted, run, &corpus, &running, trace.as_deref()));
    let Ok(worker) = worker else { return ExitCode::from(2) };
    match worker.join() {
        Ok((executions, None, spent)) => {
            println!(
                "{target}: {executions} executions in {:.0} s of the clock, {} s of the processor; nothing found",
                spent.as_secs_f64(),
                shown(processor())
            );
            ExitCode::SUCCESS
        }
        Ok((executions, Some(input), _)) => {
            let told = std::fs::write(&saved, &input)
                .map_or_else(|error| error.to_string(), |()| saved.display().to_string());
            println!("{target}: it panicked at execution {executions}; the input is {told}");
            ExitCode::from(1)
        }
        Err(_) => ExitCode::from(2),
    }
}

/// How many inputs were run, which one panicked, and how long it took.
fn mutate(
    wanted: &Wanted,
    run: Target,
    corpus: &[Vec<u8>],
    running: &Running,
    trace: Option<&Path>,
) -> (u64, Option<Vec<u8>>, Duration) {
    let clock = SystemClock::new();
    let begun = clock.monotonic();
    let mut random = Random::new(wanted.seed);
    let mut executions = 0_u64;
    loop {
        let now = clock.monotonic();
        let spent = now.saturating_sub(begun);
        let is_over = match (wanted.cpu_seconds, executions % 64) {
            (None, _) => spent.as_secs() >= wanted.seconds,
            (Some(seconds), 0) => processor().unwrap_or(spent).as_secs() >= seconds,
            _ => false,
        };
        if is_over {
            return (executions, None, spent);
        }
        let input = changed(&mut random, corpus);
        if let Some(file) = trace {
            // When it cannot be written, there is nothing to be found by it.
            let _written = std::fs::write(file, &input);
        }
        *running.lock().unwrap_or_else(PoisonError::into_inner) = Some((input.clone(), now));
        executions += 1;
        if std::panic::catch_unwind(|| run(&input)).is_err() {
            return (executions, Some(input), spent);
        }
    }
}

/// Ends the process when one input takes too long.
fn watch(target: &'static str, running: &Running, saved: std::path::PathBuf) {
    let running = Arc::clone(running);
    std::thread::spawn(move || {
        let clock = SystemClock::new();
        loop {
            std::thread::park_timeout(Duration::from_secs(1));
            let now = running.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some((input, since)) = now
                && clock.monotonic().saturating_sub(since) > PATIENCE
            {
                let _written = std::fs::write(&saved, &input);
                println!(
                    "{target}: one input takes more than {} s; it is {}",
                    PATIENCE.as_secs(),
                    saved.display()
                );
                std::process::exit(1);
            }
        }
    });
}

/// What this process has had of the processor, where the system tells: fields 14 and 15 of `proc(5)`, in hundredths of a second.
fn processor() -> Option<Duration> {
    let line = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = line.rsplit_once(')')?;
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(ticks * 10))
}

fn shown(processor: Option<Duration>) -> String {
    processor.map_or_else(|| "unknown".to_owned(), |processor| format!("{:.0}", processor.as_secs_f64()))
}
