//! Those who use the engines: some promote releases to their end, others get in their way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mcp_benches::random::Random;
use mcp_core::Digest;
use mcp_promotion::{Engine, PromotionId, Release, State};

use super::tally::Tally;

/// How many releases each group has, again and again: what a stage remembers of them for ever stays bounded.
const RELEASES: u64 = 200;

/// What everybody shares.
pub(crate) struct Place {
    pub(crate) engines: Vec<Engine>,
    pub(crate) groups: u64,
    pub(crate) tally: Tally,
    pub(crate) stop: AtomicBool,
    /// The newest promotions, for those who get in their way.
    pub(crate) recent: Mutex<Vec<PromotionId>>,
}

impl Place {
    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn note(&self, id: &PromotionId) {
        let mut recent = self.recent.lock().expect("no panic");
        recent.push(id.clone());
        if recent.len() > 256 {
            recent.drain(..128);
        }
    }

    fn engine(&self, random: &mut Random) -> &Engine {
        &self.engines[random.below(self.engines.len() as u64) as usize]
    }
}

pub(crate) fn stage(group: u64, name: &str) -> String {
    format!("app-{group:02}/{name}")
}

/// Brings one release after the other through the two stages of a group, and decides where a person has to.
pub(crate) async fn promote(place: Arc<Place>, group: u64, seed: u64) {
    let mut random = Random::new(seed);
    while !place.is_over() {
        let version = random.below(RELEASES);
        let reference = format!("app-{group:02}@1.0.{version}");
        let digest = Digest::of(reference.as_bytes());
        let release = Release::of([(reference.as_str(), digest)]).expect("a release");
        for name in ["dev", "prod"] {
            if !bring(&place, &stage(group, name), &release, &mut random).await {
                break;
            }
        }
    }
}

/// Whether it succeeded.
async fn bring(place: &Place, stage: &str, release: &Release, random: &mut Random) -> bool {
    let (engine, tally, start) = (place.engine(random), &place.tally, Instant::now());
    let Some(id) = tally.command(engine.request(stage, release, "alice")).await else { return false };
    place.note(&id);
    if stage.ends_with("prod") {
        tally.command(engine.approve(&id, "bob")).await;
    }
    loop {
        let state = match engine.wait(&id).await {
            Ok(state) => state,
            Err(error) => {
                tally.broken.lock().expect("no panic").push(format!("wait for {id}: {error}"));
                return false;
            }
        };
        match state {
            State::Paused if random.permille(300) => {
                tally.command(engine.abort(&id, "bob", "enough")).await;
            }
            State::Paused if random.permille(100) => {
                tally.command(engine.override_with(&id, "bob", "known")).await;
            }
            State::Paused => drop(tally.command(engine.resume(&id, "bob")).await),
            State::Stuck if random.permille(500) => drop(tally.command(engine.retry(&id, "bob")).await),
            State::Stuck => drop(tally.command(engine.acknowledge(&id, "bob", "seen")).await),
            ended => {
                tally.ended(ended.as_str(), start.elapsed());
                return ended == State::Succeeded;
            }
        }
    }
}

/// Votes, cancels, pauses, aborts, holds and rolls back at random, a few hundred times a second.
pub(crate) async fn meddle(place: Arc<Place>, seed: u64) {
    let mut random = Random::new(seed);
    while !place.is_over() {
        tokio::time::sleep(Duration::from_millis(2)).await;
        let engine = place.engine(&mut random);
        let id = {
            let recent = place.recent.lock().expect("no panic");
            let Some(newest) = recent.len().checked_sub(1) else { continue };
            recent[newest - random.below(newest.min(31) as u64 + 1) as usize].clone()
        };
        let somewhere = stage(random.below(place.groups), "prod");
        let tally = &place.tally;
        match random.below(20) {
            0..4 => drop(tally.command(engine.approve(&id, "carol")).await),
            4..6 => drop(tally.command(engine.revoke(&id, "carol")).await),
            6 => drop(tally.command(engine.reject(&id, "carol")).await),
            7 => drop(tally.command(engine.cancel(&id, "alice")).await),
            8..11 => drop(tally.command(engine.pause(&id, "bob", "look first")).await),
            11..13 => drop(tally.command(engine.resume(&id, "bob")).await),
            13 => drop(tally.command(engine.abort(&id, "bob", "no")).await),
            14 => drop(tally.command(engine.rollback(somewhere.as_str(), "bob")).await),
            15 => drop(tally.command(engine.release_lease(somewhere.as_str(), "bob")).await),
            16 => drop(tally.command(engine.hold(somewhere.as_str(), "bob", "look first")).await),
            _ => lift_all(&place).await,
        }
    }
}

/// So that no hold stays for long.
pub(crate) async fn lift_all(place: &Place) {
    for group in 0..place.groups {
        for engine in place.engines.iter().take(1) {
            let stage = stage(group, "prod");
            if engine.stage_state(stage.as_str()).await.is_ok_and(|state| state.hold().is_some()) {
                place.tally.command(engine.lift_hold(stage.as_str(), "bob")).await;
            }
        }
    }
}
