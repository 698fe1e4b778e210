//! Mixed commands, failing, hanging and lying stages, and two engines on one journal file, for as long as it is told to.
//!
//! `cargo run --release -p mcp-benches --bin soak_promotion -- --seconds 600 --seed 7`; 20 seconds and seed 1 by default. It ends with 1 when a
//! promotion is stuck, when an error says that something is broken, when a stage does not run what its journal says, when `verify` finds
//! something, or when memory grows.

mod people;
mod stage;
mod tally;

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mcp_benches::resident_bytes;
use mcp_promotion::{
    AllowList, Blocker, Calls, Engine, Pipeline, Policy, PromotionId, Queue, Settings, SqliteJournal, State,
};
use people::Place;
use stage::Unreliable;
use tally::Tally;

/// Pairs of stages, `dev` and `prod`.
const GROUPS: u64 = 12;
/// How many promote in each group, at the same time.
const PROMOTERS: u64 = 3;
const MEDDLERS: u64 = 3;
/// How long everything has to come to an end once nothing is broken any more.
const GRACE: Duration = Duration::from_secs(60);
/// By how much the memory of the second half of a run may exceed that of its second quarter.
const MAY_GROW: f64 = 1.25;
const MAY_GROW_BYTES: f64 = 16.0 * 1024.0 * 1024.0;

fn argument(name: &str) -> Option<u64> {
    std::env::args().skip_while(|argument| argument != name).nth(1)?.parse().ok()
}

fn pipeline() -> Pipeline {
    let mut calls = Calls::default();
    (calls.backoff, calls.timeout) = (Duration::from_millis(5), Duration::from_millis(200));
    let builder = (0..GROUPS).fold(Pipeline::builder(), |builder, group| {
        let (dev, prod) = (people::stage(group, "dev"), people::stage(group, "prod"));
        let queue = if group % 2 == 0 { Queue::Serial } else { Queue::SupersedePending };
        let policy = Policy::healthy_for(Duration::from_millis(30)).approvals(1).queue(queue);
        builder
            .stage(dev.as_str(), Policy::unverified("a soak test").calls(calls.clone()))
            .stage(prod.as_str(), policy.after(dev.as_str()).calls(calls.clone()))
    });
    builder.build().expect("a pipeline")
}

fn engine(path: &Path, owner: &str, stages: &[(String, Unreliable)]) -> Engine {
    let mut settings = Settings::default();
    (settings.lease, settings.poll) = (Duration::from_secs(2), Duration::from_millis(50));
    let journal = SqliteJournal::open(path).expect("a journal");
    let builder = Engine::builder(pipeline(), journal)
        .authorizer(AllowList::of(["bob", "carol"]).expect("names"))
        .owner(owner)
        .settings(settings);
    let add = |builder: mcp_promotion::EngineBuilder, (name, stage): &(String, Unreliable)| {
        builder.stage(name.as_str(), stage.clone())
    };
    stages.iter().fold(builder, add).build().expect("an engine")
}

/// The load, sampled once a second; then everything is mended, and must end. What was wrong.
async fn soak(place: &Arc<Place>, stages: &[(String, Unreliable)], seconds: u64, seed: u64) -> Vec<String> {
    let drivers: Vec<_> = place.engines.iter().map(|engine| tokio::spawn(engine.clone().run())).collect();
    let mut promoters = tokio::task::JoinSet::new();
    for number in 0..GROUPS * PROMOTERS {
        promoters.spawn(people::promote(place.clone(), number % GROUPS, seed ^ (number << 32)));
    }
    let mut meddlers = tokio::task::JoinSet::new();
    for number in 0..MEDDLERS {
        meddlers.spawn(people::meddle(place.clone(), seed ^ (number << 48) ^ 1));
    }
    let (start, mut memory) = (Instant::now(), Vec::new());
    let mut seen = (0, 0);
    while start.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        memory.push(resident_bytes() as f64);
        let now = (
            place.tally.commands.lock().expect("no panic").count(),
            place.tally.promotions.lock().expect("no panic").count(),
        );
        if memory.len() % 10 == 0 {
            let mib = memory.last().copied().unwrap_or_default() / f64::from(1 << 20);
            let rates = ((now.0 - seen.0) / 10, (now.1 - seen.1) / 10);
            println!("{:4} s: {} commands/s, {} promotions/s, {mib:.0} MiB", memory.len(), rates.0, rates.1);
            seen = now;
        }
    }
    place.stop.store(true, Ordering::Relaxed);
    while meddlers.join_next().await.is_some() {}
    people::lift_all(place).await;
    stages.iter().for_each(|(_, stage)| stage.heal());
    let mut wrong = Vec::new();
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline {
        while promoters.try_join_next().is_some() {}
        if promoters.is_empty() && open(place, stages).await.is_empty() {
            break;
        }
        settle(place, stages).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    if !promoters.is_empty() {
        wrong.push(format!("{} who promote still wait after {} s", promoters.len(), GRACE.as_secs()));
    }
    place.engines.iter().for_each(Engine::stop);
    for driver in drivers {
        driver.await.expect("no driver panics");
    }
    let left = open(place, stages).await;
    println!("stuck promotions: {}", left.len());
    wrong.extend(left.iter().map(|(id, state)| format!("{id} is still {state}")));
    wrong.extend(grows(&memory));
    wrong
}

/// What people do who read the blockers of all that is left: they approve, resume, acknowledge, and cancel what waits for a release that was
/// refuted in the stage before.
async fn settle(place: &Place, stages: &[(String, Unreliable)]) {
    let (engine, tally) = (&place.engines[0], &place.tally);
    for (id, state) in open(place, stages).await {
        match state {
            State::Paused => drop(tally.command(engine.resume(&id, "bob")).await),
            State::Stuck => drop(tally.command(engine.acknowledge(&id, "bob", "seen")).await),
            State::Pending => {
                for blocker in engine.blockers(&id).await.unwrap_or_default() {
                    match blocker {
                        Blocker::Approvals { .. } => drop(tally.command(engine.approve(&id, "bob")).await),
                        Blocker::Upstream { .. } => drop(tally.command(engine.cancel(&id, "alice")).await),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

async fn open(place: &Place, stages: &[(String, Unreliable)]) -> Vec<(PromotionId, State)> {
    let mut open = Vec::new();
    for (name, _) in stages {
        let state = place.engines[0].stage_state(name.as_str()).await.expect("a state");
        open.extend(state.open().map(|promotion| (promotion.id.clone(), promotion.state)));
    }
    open
}

fn grows(memory: &[f64]) -> Option<String> {
    let median = |part: &[f64]| {
        let mut part = part.to_vec();
        part.sort_unstable_by(f64::total_cmp);
        part.get(part.len() / 2).copied()
    };
    let quarter = memory.len() / 4;
    let (early, late) = (median(&memory[quarter..2 * quarter])?, median(&memory[3 * quarter..])?);
    println!("memory: {:.1} MiB early, {:.1} MiB late", early / 1048576.0, late / 1048576.0);
    (late > early * MAY_GROW + MAY_GROW_BYTES).then(|| "memory grows".to_owned())
}

/// Invariant 7: what a stage runs is what its journal says, unless a person took it over.
async fn compare(place: &Place, stages: &[(String, Unreliable)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, stage) in stages {
        let state = place.engines[0].stage_state(name.as_str()).await.expect("a state");
        let expected = state.current().map(|current| current.release.digest());
        if !state.is_unsettled() && stage.running() != expected {
            wrong.push(format!("{name} runs {:?}, and its journal says {expected:?}", stage.running()));
        }
    }
    wrong
}

fn main() -> ExitCode {
    let (seconds, seed) = (argument("--seconds").unwrap_or(20), argument("--seed").unwrap_or(1));
    println!("seed {seed}, {seconds} s, {GROUPS} pairs of stages, two engines on one journal file");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.db");
    let stages: Vec<(String, Unreliable)> = (0..GROUPS)
        .flat_map(|group| ["dev", "prod"].map(|name| people::stage(group, name)))
        .enumerate()
        .map(|(number, name)| (name, Unreliable::new(seed ^ (number as u64) << 16)))
        .collect();
    let place = Arc::new(Place {
        engines: ["one", "two"].map(|owner| engine(&path, owner, &stages)).into(),
        groups: GROUPS,
        tally: Tally::default(),
        stop: AtomicBool::new(false),
        recent: Mutex::new(Vec::new()),
    });
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut wrong = runtime.block_on(soak(&place, &stages, seconds, seed));
    wrong.extend(runtime.block_on(compare(&place, &stages)));
    let tally = &place.tally;
    println!("commands: {}", tally.commands.lock().expect("no panic").shown());
    println!("promotions: {}", tally.promotions.lock().expect("no panic").shown());
    println!("they ended: {:?}", tally.ends.lock().expect("no panic"));
    println!("refused: {:?}", tally.refusals.lock().expect("no panic"));
    println!("calls with an old fence: {}", stages.iter().map(|(_, stage)| stage.stale()).sum::<u64>());
    wrong.append(&mut tally.broken.lock().expect("no panic"));
    for engine in &place.engines {
        match runtime.block_on(engine.verify()) {
            Ok(audit) => {
                let events: u64 = audit.heads.iter().map(|head| head.version).sum();
                println!("verify: {events} events in {} streams fit", audit.heads.len());
            }
            Err(error) => wrong.push(format!("verify: {error}")),
        }
    }
    if tally.ends.lock().expect("no panic").get("succeeded").is_none() {
        wrong.push("no promotion succeeded".to_owned());
    }
    wrong.iter().take(20).for_each(|what| println!("WRONG: {what}"));
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
