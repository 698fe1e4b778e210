//! Every crash, every pair of crashes, and every pause with a takeover, over the engine's own code.
//!
//! A process asks for a release, approves it and drives it to its end. Each journal write, stage call and pin call has two points, before
//! and after it, at which the process can be stopped: for ever (a crash) or until another one has gone on for a while (a pause). Futures are
//! polled by hand, so every run is exactly repeatable.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests stop at the first surprise, and print their counts"
)]

mod dock;
mod fleet;
mod lanes;
mod plans;
mod probe;
mod process;
mod relay;
mod world;

use process::{Process, Progress, Scenario};
use world::{Life, Outcome, Switches, World};

/// What a run of one kind came to.
#[derive(Default)]
struct Counts {
    runs: usize,
    violations: Vec<String>,
}

impl Counts {
    fn add(&mut self, what: String, world: &impl Scenario) {
        self.runs += 1;
        let found = world.violations();
        if !found.is_empty() {
            self.violations.push(format!("{what}: {}", found.join("; ")));
        }
    }

    #[track_caller]
    fn expect_none(&self, what: &str) {
        println!("{what}: {} runs, {} with violations", self.runs, self.violations.len());
        assert!(
            self.violations.is_empty(),
            "{what}, the first ones:\n{}",
            self.violations[..self.violations.len().min(5)].join("\n")
        );
    }
}

/// How the next process comes up after a crash.
#[derive(Clone, Copy, Debug)]
enum Restart {
    /// Another process, which waits for the lease to end.
    OtherOwner,
    /// The same service, started again under its name.
    SameOwner,
    /// The same process: only the future was dropped.
    SameEngine,
}

const RESTARTS: [Restart; 3] = [Restart::OtherOwner, Restart::SameOwner, Restart::SameEngine];

fn restart<S: Scenario>(world: &S, crashed: Process<S>, how: Restart, owner: &str) -> Process<S> {
    match how {
        Restart::OtherOwner => Process::new(world, owner),
        Restart::SameOwner => Process::new(world, "a"),
        Restart::SameEngine => crashed.again(),
    }
}

/// Which of the pairs of points are run.
#[derive(Clone, Copy, Debug)]
enum Pairs {
    All,
    /// One in so many, drawn by the points.
    OneIn(u64),
    None,
}

impl Pairs {
    fn has(self, first: usize, second: usize) -> bool {
        match self {
            Self::All => true,
            // Fibonacci hashing; both points count.
            Self::OneIn(count) => {
                let mixed = ((first as u64) << 32 | second as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                (mixed >> 32).is_multiple_of(count)
            }
            Self::None => false,
        }
    }
}

/// How many points a run without any stop has.
fn points<S: Scenario>(begin: &S) -> usize {
    let world = begin.copy();
    let mut process = Process::new(&world, "a");
    assert_eq!(process.go_on(None), Progress::Done);
    world.check_end();
    assert_eq!(world.violations(), [""; 0], "without any stop");
    process.points()
}

fn crashes<S: Scenario>(begin: &S, pairs: Pairs) -> (Counts, Counts) {
    let (mut single, mut double) = (Counts::default(), Counts::default());
    for how in RESTARTS {
        for first in 0..points(begin) {
            let run = |second: Option<usize>| {
                let world = begin.copy();
                let mut process = Process::new(&world, "a");
                assert_eq!(process.go_on(Some(first)), Progress::Stopped);
                let mut process = restart(&world, process, how, "b");
                let stopped = process.go_on(second) == Progress::Stopped;
                let points = process.points();
                if stopped {
                    restart(&world, process, how, "c").go_on(None);
                }
                world.check_end();
                (world, points)
            };
            let (world, points) = run(None);
            single.add(format!("{how:?}, crash at {first}"), &world);
            for second in (0..points).filter(|second| pairs.has(first, *second)) {
                let (world, _) = run(Some(second));
                double.add(format!("{how:?}, crash at {first} and {second}"), &world);
            }
        }
    }
    (single, double)
}

fn pauses<S: Scenario>(begin: &S, pairs: Pairs) -> Counts {
    let mut counts = Counts::default();
    for first in 0..points(begin) {
        let mut run = |second: Option<usize>| {
            let world = begin.copy();
            let mut a = Process::new(&world, "a");
            assert_eq!(a.go_on(Some(first)), Progress::Stopped);
            let mut b = Process::new(&world, "b");
            let b_stopped = b.go_on(second) == Progress::Stopped;
            let points = b.points();
            a.go_on(None);
            if b_stopped {
                b.go_on(None);
            }
            // Whoever comes last finds nothing left to do, or does it.
            Process::new(&world, "c").go_on(None);
            world.check_end();
            counts.add(format!("a pauses at {first}, b goes on to {second:?}"), &world);
            points
        };
        for second in (0..run(None)).filter(|second| pairs.has(first, *second)) {
            run(Some(second));
        }
    }
    counts
}

const fn life(outcome: Outcome, canary: bool) -> Life {
    Life { outcome, canary }
}

#[track_caller]
fn no_crash_breaks_an_invariant(life: Life) {
    let begin = World::new(life, Switches::default());
    let (single, pairs) = crashes(&begin, Pairs::All);
    single.expect_none(&format!("{life}, single crashes"));
    pairs.expect_none(&format!("{life}, pairs of crashes"));
    assert!(single.runs >= 3 * points(&begin) && pairs.runs > 1000, "{} {}", single.runs, pairs.runs);
}

/// Invariants 4, 5, 6, 7 and 11.
#[test]
fn no_crash_and_no_pair_of_crashes_breaks_an_invariant() {
    no_crash_breaks_an_invariant(life(Outcome::RollsBack, false));
    no_crash_breaks_an_invariant(life(Outcome::Succeeds, false));
}

/// Invariants 4, 5, 6, 7 and 11.
#[test]
fn no_crash_and_no_pair_of_crashes_breaks_an_invariant_of_a_canary() {
    no_crash_breaks_an_invariant(life(Outcome::RollsBack, true));
    no_crash_breaks_an_invariant(life(Outcome::Succeeds, true));
}

/// Invariants 4, 5, 6, 7 and 11.
#[test]
fn no_pause_with_a_takeover_breaks_an_invariant() {
    for canary in [false, true] {
        for outcome in [Outcome::RollsBack, Outcome::Succeeds] {
            let life = life(outcome, canary);
            let counts = pauses(&World::new(life, Switches::default()), Pairs::All);
            counts.expect_none(&format!("{life}, pauses"));
            assert!(counts.runs > 500, "{}", counts.runs);
        }
    }
}

/// The enumeration has teeth: what the invariants rest on is taken away, one thing at a time.
#[track_caller]
fn something_taken_away_is_found(life: Life) {
    let cases = [
        ("the target ignores fences", Switches { target_ignores_fences: true, ..Switches::default() }),
        ("observe registers no fence", Switches { observe_registers_no_fence: true, ..Switches::default() }),
        ("the journal ignores versions", Switches { journal_ignores_versions: true, ..Switches::default() }),
        ("the target ignores keys", Switches { target_ignores_keys: true, ..Switches::default() }),
    ];
    for (what, switches) in cases {
        let begin = World::new(life, switches);
        let pauses = pauses(&begin, Pairs::All);
        let (single, _) = crashes(&begin, Pairs::None);
        println!(
            "{life}, {what}: violations in {} of {} pauses, {} of {} crashes",
            pauses.violations.len(),
            pauses.runs,
            single.violations.len(),
            single.runs,
        );
        let found = pauses.violations.len();
        assert!(found > 0, "{life}, {what}: {found} violations");
    }
}

#[test]
fn without_fences_or_expected_versions_the_enumeration_finds_violations() {
    something_taken_away_is_found(life(Outcome::RollsBack, false));
}

#[test]
fn without_fences_or_expected_versions_it_finds_violations_on_the_way_back_from_a_canary() {
    something_taken_away_is_found(life(Outcome::RollsBack, true));
}

#[test]
fn without_fences_or_expected_versions_it_finds_violations_on_the_way_on_from_a_canary() {
    something_taken_away_is_found(life(Outcome::Succeeds, true));
}
