//! Many seeded runs of one gate over one kind of traffic, and what they say.

use mcp_benches::random::Random;
use mcp_promotion::Sample;

use crate::gates::Look;

/// How many runs each figure rests on.
pub const RUNS: usize = 4000;

/// How many minutes a run has, from where the release becomes worse.
pub const MINUTES: usize = 60;

/// The most false rollbacks in [`RUNS`] runs of a judge with a true rate of 1%, with a probability of 99.9%: the mean of 40 and 3.09
/// standard deviations of 6.29.
pub const MOST_FALSE: usize = 60;

/// Made-up traffic.
pub trait Source: Sync {
    /// The samples of one minute: those of the canary first.
    fn minute(&self, minute: usize, random: &mut Random, names: &[String]) -> Vec<Sample>;
}

/// One canary and one baseline instance of it, for gates that compare two.
pub struct Pair<S>(pub S);

impl<S: Source> Source for Pair<S> {
    fn minute(&self, minute: usize, random: &mut Random, names: &[String]) -> Vec<Sample> {
        let mut samples = self.0.minute(minute, random, names);
        samples.truncate(2);
        samples
    }
}

/// In which minute each run failed, from 1.
pub struct Runs(Vec<Option<usize>>);

/// Runs a new gate for each seed.
pub fn simulate<L: Look>(source: &dyn Source, make: impl Fn() -> L + Sync, minutes: usize) -> Runs {
    each(|random, names| {
        let mut gate = make();
        (1..=minutes).find(|minute| gate.fails(&source.minute(minute - 1, random, names)))
    })
    .into()
}

/// What `run` makes of each seed, on two threads.
pub fn each<T: Send>(run: impl Fn(&mut Random, &[String]) -> T + Sync) -> Vec<T> {
    let names: Vec<String> = (0..100).map(|at| format!("instance-{at:02}")).collect();
    let some = |seeds: std::ops::Range<usize>| {
        let seeded = |seed: usize| Random::new((seed as u64 + 1).wrapping_mul(0xd134_2543_de82_ef95));
        seeds.map(|seed| run(&mut seeded(seed), &names)).collect::<Vec<T>>()
    };
    std::thread::scope(|scope| {
        let half = scope.spawn(|| some(0..RUNS / 2));
        let other = some(RUNS / 2..RUNS);
        half.join().expect("the other half of the runs").into_iter().chain(other).collect()
    })
}

impl From<Vec<Option<usize>>> for Runs {
    fn from(runs: Vec<Option<usize>>) -> Self {
        Self(runs)
    }
}

impl Runs {
    /// How many failed.
    pub fn failed(&self) -> usize {
        self.0.iter().flatten().count()
    }

    /// The share that failed.
    pub fn percent(&self) -> String {
        format!("{:.2}%", 100.0 * self.failed() as f64 / RUNS as f64)
    }

    /// The median minute of failing, counted from `from`, `None` when half of the runs or more did not fail.
    pub fn median(&self, from: usize) -> Option<usize> {
        let after = |minute: &Option<usize>| minute.map_or(usize::MAX, |minute| minute.saturating_sub(from));
        let mut minutes: Vec<usize> = self.0.iter().map(after).collect();
        minutes.sort_unstable();
        minutes.get(RUNS / 2).copied().filter(|minute| *minute < usize::MAX)
    }

    /// The median and the share found, such as `10 (99.95%)`.
    pub fn found(&self, from: usize) -> String {
        let median = self.median(from).map_or("none".to_owned(), |minute| minute.to_string());
        format!("{median} ({})", self.percent())
    }
}

/// What is promised, and whether it was held.
#[derive(Default)]
pub struct Promises(Vec<(String, bool)>);

impl Promises {
    /// That a judge with a budget of 1% kept it in these runs, as far as [`RUNS`] can tell.
    pub fn budget(&mut self, what: &str, runs: &Runs) {
        let failed = runs.failed();
        self.0.push((format!("{what}: {failed} of {RUNS}, at most {MOST_FALSE}"), failed <= MOST_FALSE));
    }

    /// That half of the runs failed within so many minutes.
    pub fn within(&mut self, what: &str, runs: &Runs, from: usize, minutes: usize) {
        let median = runs.median(from);
        let shown = median.map_or("none".to_owned(), |minute| minute.to_string());
        self.0.push((
            format!("{what}: median {shown}, at most {minutes}"),
            median.is_some_and(|minute| minute <= minutes),
        ));
    }

    /// Prints them; whether all were held.
    pub fn show(&self) -> bool {
        println!("\npromises");
        for (what, held) in &self.0 {
            println!("{:8}{what}", if *held { "held" } else { "BROKEN" });
        }
        self.0.iter().all(|(_, held)| *held)
    }
}
