//! Mixed work on one validation engine for as long as it is told to: valid, invalid and hostile documents of every format, one by one and as
//! streams, in order and as completed, some dropped in their midst; a verdict cache, panicking validators, and schemas that are compiled and
//! thrown away.
//!
//! `cargo run --release -p mcp-benches --bin soak_validation -- --seconds 600 --seed 7`; 20 seconds and seed 1 by default. It ends with 1 at a
//! verdict that is not what the document was made for, at counts that do not add up, or when memory grows beyond the bound that it prints.

mod documents;
mod tally;
mod work;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mcp_benches::{peak_bytes, resident_bytes};
use mcp_validation::ValidationEngine;
use tally::Tally;

/// How many threads ask at the same time.
const CALLERS: u64 = 6;
/// What verdicts may take; by the middle of a run the cache is full.
const CACHE_BYTES: u64 = 8 << 20;
/// By how much the memory of the last quarter of a run may exceed that of the second one. What the allocator keeps of documents that
/// were judged at the same time differs from second to second by this much.
const MAY_GROW_BYTES: u64 = 48 << 20;

fn argument(name: &str) -> Option<u64> {
    std::env::args().skip_while(|argument| argument != name).nth(1)?.parse().ok()
}

fn median(samples: &[u64]) -> Option<u64> {
    let mut samples = samples.to_vec();
    samples.sort_unstable();
    samples.get(samples.len() / 2).copied()
}

/// The second quarter against the last one.
fn grows(samples: &[u64]) -> Option<String> {
    let quarter = samples.len() / 4;
    let (early, late) = (median(samples.get(quarter..2 * quarter)?)?, median(samples.get(3 * quarter..)?)?);
    let bound = early + MAY_GROW_BYTES;
    println!(
        "memory: {} MiB early, {} MiB late, at most {} MiB; peak {} MiB",
        early >> 20,
        late >> 20,
        bound >> 20,
        peak_bytes() >> 20
    );
    (late > bound).then(|| format!("memory grows: {early} bytes early, {late} late"))
}

/// What the engine says that it did, against what came of it.
fn add_up(engine: &ValidationEngine, tally: &Tally) -> Vec<String> {
    let stats = engine.stats();
    let cache = stats.cache;
    let [p50, p99] = [0.5, 0.99].map(|part| stats.judge_us.quantile(part).unwrap_or_default());
    println!("engine: {} judged, p50 {p50} us, p99 {p99} us; {cache:?}", stats.judge_us.count);
    let mut wrong = Vec::new();
    let outcomes = stats.judged() + stats.exhausted + stats.errors;
    // A panic comes after the document was counted as a miss or a bypass, and counts as an error once.
    if cache.hits + cache.misses + cache.bypasses != outcomes {
        wrong.push(format!("{outcomes} outcomes, but hits, misses and bypasses differ: {cache:?}"));
    }
    // Streams that were dropped judged more than anybody took.
    if outcomes < tally.judged() {
        wrong.push(format!("{outcomes} outcomes, but {} were taken", tally.judged()));
    }
    if cache.hits == 0 || cache.evictions == 0 || cache.bytes > CACHE_BYTES {
        wrong.push(format!("the cache was not used as it should be: {cache:?}"));
    }
    wrong
}

fn main() -> ExitCode {
    // Panics of validators are part of the work; they are counted, and their traces would hide the rest.
    std::panic::set_hook(Box::new(|panic| {
        if !panic.to_string().contains(work::ON_PURPOSE) {
            println!("{panic}");
        }
    }));
    let (seconds, seed) = (argument("--seconds").unwrap_or(20), argument("--seed").unwrap_or(1));
    println!("seed {seed}, {seconds} s, {CALLERS} callers");
    let engine = work::engine(CACHE_BYTES);
    let (tally, stop) = (Tally::default(), AtomicBool::new(false));
    let samples = std::thread::scope(|scope| {
        for number in 0..CALLERS {
            let (engine, tally, stop) = (Arc::clone(&engine), &tally, &stop);
            scope.spawn(move || work::work(&engine, tally, stop, seed ^ (number << 32)));
        }
        let (start, mut samples, mut seen) = (Instant::now(), Vec::new(), 0);
        while start.elapsed() < Duration::from_secs(seconds) {
            std::thread::sleep(Duration::from_millis(500));
            samples.push(resident_bytes());
            if samples.len() % 20 == 0 {
                let now = tally.judged();
                let mib = resident_bytes() >> 20;
                println!("{:4} s: {} documents/s, {mib} MiB", samples.len() / 2, (now - seen) / 10);
                seen = now;
            }
        }
        stop.store(true, Ordering::Relaxed);
        samples
    });
    let mut wrong = tally.wrong();
    wrong.extend(grows(&samples));
    wrong.extend(add_up(&engine, &tally));
    tally.show();
    wrong.iter().take(20).for_each(|what| println!("WRONG: {what}"));
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
