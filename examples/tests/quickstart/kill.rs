//! Killed in the middle, and started again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::archives::write_thirty;
use crate::outcome::Outcome;
use crate::program::{run, start_over};

/// How often it is killed.
const KILLS: usize = 20;
/// How many runs go on at the same time: they mostly wait for windows of samples to end.
const AT_ONCE: usize = 3;
/// The moments follow from this.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64 (Steele, Lea, Flood 2014): the next number of the sequence that `state` stands in.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[test]
fn a_run_killed_at_any_of_20_moments_and_started_again_ends_as_one_that_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input");
    write_thirty(&input);
    let undisturbed = folder.path().join("undisturbed");
    let mut reference = start_over(&input, &undisturbed);
    reference.wait(1, Duration::from_secs(60));
    let began = reference.started.elapsed();
    reference.wait(usize::MAX, Duration::from_secs(180));
    let whole = reference.started.elapsed();
    let lines = reference.seen.len();
    let reference = reference.end();
    assert_eq!(reference.code, Some(0), "{}", reference.stderr);
    let expected = (reference.result().join("\n"), Outcome::of(&undisturbed));

    println!("seed {SEED:#x}; a whole run prints {lines} lines in {whole:?}, the first one after {began:?}");
    let (taken, struck) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let faults = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let kill = taken.fetch_add(1, Ordering::Relaxed);
                    if kill >= KILLS {
                        return;
                    }
                    let data = folder.path().join(format!("kill-{kill}"));
                    let mut state = SEED.wrapping_add(kill as u64);
                    let moment = Moment::draw(kill, &mut state, lines, whole);
                    let mut running = start_over(&input, &data);
                    moment.wait(&mut running);
                    let (elapsed, seen) = (running.started.elapsed(), running.seen.len());
                    let was_running = running.kill();
                    struck.fetch_add(usize::from(was_running), Ordering::Relaxed);
                    println!("kill {kill}: {moment:?}, after {elapsed:?} and {seen} lines, still running: {was_running}");
                    let ended = run(&input, &data);
                    let found = (ended.result().join("\n"), Outcome::of(&data));
                    if ended.code != Some(0) || found != expected {
                        let end = format!("{:?} {}\n{}", ended.code, ended.stderr, found.0);
                        faults.lock().unwrap().push(format!("kill {kill} {moment:?}: {end}\n{:?}", found.1.releases));
                    }
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "instead of\n{}\n{}", expected.0, faults.join("\n"));
    let struck = struck.into_inner();
    assert!(struck >= KILLS * 3 / 4, "only {struck} of {KILLS} runs were still running");
}

/// When a run is killed. Half of the moments follow the output, which is dense where much happens quickly; half follow the time.
#[derive(Debug)]
enum Moment {
    /// So long after so many lines.
    Line(usize, Duration),
    /// So long after the start.
    Time(Duration),
}

impl Moment {
    /// The `kill`th of all, somewhere in its own part of the course.
    fn draw(kill: usize, state: &mut u64, lines: usize, whole: Duration) -> Self {
        let parts = (KILLS / 2) as u64;
        let part = (kill / 2) as u64;
        let within = next(state) % 1000;
        let thousandths = (part * 1000 + within) / parts;
        if kill.is_multiple_of(2) {
            let line = 1 + (lines.saturating_sub(2) as u64 * thousandths / 1000) as usize;
            Self::Line(line, Duration::from_micros(next(state) % 30_000))
        } else {
            Self::Time(whole * u32::try_from(thousandths).unwrap() / 1000)
        }
    }

    fn wait(&self, running: &mut crate::program::Running) {
        match self {
            Self::Time(after) => running.wait(usize::MAX, *after),
            Self::Line(line, after) => {
                running.wait(*line, Duration::from_secs(60));
                running.wait(usize::MAX, running.started.elapsed() + *after);
            }
        }
    }
}
