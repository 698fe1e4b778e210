//! Promotions that have ended and that nothing refers to any more are left behind, and read from the journal when somebody asks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mcp_core::{Artifact, ErrorKind, Holder, Name, Pin, SeamError, Timestamp};
use mcp_promotion::{
    Actor, Append, Engine, Journal, JournalError, MemoryJournal, Pipeline, Policy, PromotionId, State, Step,
};

use crate::scene::{Puppet, Scene, release};

fn plain() -> Policy {
    Policy::unverified("test")
}

async fn numbers(scene: &Scene) -> Vec<u64> {
    let state = scene.engine.stage_state("prod").await.unwrap();
    state.promotions().map(|promotion| promotion.id.number).collect()
}

/// Invariant 4: what is left behind reads as it did when it ended.
#[tokio::test]
async fn a_stage_remembers_what_it_runs_and_would_go_back_to_and_the_rest_stands_in_the_journal() {
    let scene = Scene::new(plain());
    let mut ended = Vec::new();
    for version in 1..=30 {
        let id = scene.promoted("prod", &format!("{version}.0.0")).await;
        ended.push(scene.engine.status(&id).await.unwrap());
    }
    let last: Vec<u64> = ended[28..].iter().map(|promotion| promotion.id.number).collect();
    assert_eq!(numbers(&scene).await, last);
    for promotion in &ended {
        assert_eq!(scene.engine.status(&promotion.id).await.unwrap(), *promotion);
        assert_eq!(scene.engine.wait(&promotion.id).await.unwrap(), State::Succeeded);
        assert_eq!(scene.engine.blockers(&promotion.id).await.unwrap(), []);
        let history = scene.engine.history(&promotion.id).await.unwrap();
        assert_eq!(history.moments[0].position, promotion.id.number);
    }
    assert_eq!(scene.engine.promotions("prod").await.unwrap(), ended);
    let state = scene.engine.stage_state("prod").await.unwrap();
    for promotion in &ended {
        let verified = state.verified(promotion.release.digest()).unwrap();
        assert_eq!(verified.promotion, promotion.id.number, "{}", promotion.release);
    }
    scene.engine.verify().await.unwrap();
}

#[tokio::test]
async fn a_command_about_a_promotion_that_was_left_behind_is_refused_for_the_state_it_ended_in() {
    let scene = Scene::new(plain().approvals(1));
    let rejected = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    scene.engine.reject(&rejected, "bob").await.unwrap();
    assert_eq!(numbers(&scene).await, [0; 0]);
    let engine = &scene.engine;
    let refused = [
        engine.approve(&rejected, "bob").await.unwrap_err(),
        engine.cancel(&rejected, "alice").await.unwrap_err(),
        engine.resume(&rejected, "alice").await.unwrap_err(),
        engine.retry(&rejected, "alice").await.unwrap_err(),
    ];
    let shown: Vec<String> = refused.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "approve prod/1: it is rejected, votes count only while it is pending",
            "cancel prod/1: it is rejected, only a pending one can be cancelled",
            "resume prod/1: it is rejected, only a paused one can be resumed",
            "retry prod/1: it is rejected, only a stuck one is retried",
        ]
    );
    // Event 2 is a vote, and there is no event 99.
    for number in [0, 2, 99, u64::MAX] {
        let id = PromotionId::new("prod".parse().unwrap(), number);
        for error in [
            engine.status(&id).await.unwrap_err(),
            engine.cancel(&id, "alice").await.unwrap_err(),
            engine.approve(&id, "bob").await.unwrap_err(),
            engine.wait(&id).await.unwrap_err(),
            engine.history(&id).await.unwrap_err(),
            engine.blockers(&id).await.unwrap_err(),
        ] {
            assert_eq!(
                error.to_string(),
                format!("find promotion prod/{number}: nothing was requested under this id")
            );
        }
    }
}

#[tokio::test]
async fn request_ids_are_remembered_long_after_their_promotions_are_not() {
    let scene = Scene::new(plain());
    let by = |id: &str| Actor::new("alice").unwrap().request_id(id).unwrap();
    let mut asked = Vec::new();
    for version in 1..=40 {
        let release = release(&format!("{version}.0.0"));
        asked.push(scene.engine.request("prod", &release, by(&format!("r{version}"))).await.unwrap());
        scene.settle().await;
    }
    let back = scene.engine.rollback("prod", by("back")).await.unwrap();
    scene.settle().await;
    for version in 41..=44 {
        scene.promoted("prod", &format!("{version}.0.0")).await;
    }
    assert!(!numbers(&scene).await.contains(&back.number));
    let version = scene.engine.stage_state("prod").await.unwrap().version();
    for (number, id) in (1..).zip(&asked) {
        let (same, name) = (release(&format!("{number}.0.0")), format!("r{number}"));
        assert_eq!(scene.engine.request("prod", &same, by(&name)).await.unwrap(), *id);
        let other = scene.engine.request("prod", &release("99.0.0"), by(&name)).await.unwrap_err();
        assert_eq!(other.kind(), ErrorKind::Conflict);
        assert_eq!(scene.engine.cancel(id, by(&name)).await.unwrap_err().to_string(), other.to_string());
    }
    assert_eq!(scene.engine.rollback("prod", by("back")).await.unwrap(), back);
    assert_eq!(scene.engine.stage_state("prod").await.unwrap().version(), version, "nothing was added");
}

/// Counts what is kept.
#[derive(Default)]
struct Shelf(Mutex<Vec<Holder>>);

#[async_trait]
impl Pin for Shelf {
    async fn pin(&self, holder: &Holder, _: &[Artifact], _: Option<Timestamp>) -> Result<(), SeamError> {
        let mut held = self.0.lock().unwrap();
        if !held.contains(holder) {
            held.push(holder.clone());
        }
        Ok(())
    }

    async fn release(&self, holder: &Holder) -> Result<(), SeamError> {
        self.0.lock().unwrap().retain(|held| held != holder);
        Ok(())
    }
}

#[tokio::test]
async fn a_promotion_is_left_behind_only_after_its_pin_was_given_up_and_then_says_so() {
    let shelf = Arc::new(Shelf::default());
    let kept = Arc::clone(&shelf);
    let scene = Scene::with(plain(), Puppet::default(), |builder| builder.pin(shelf));
    let mut ids = Vec::new();
    for version in 1..=5 {
        ids.push(scene.promoted("prod", &format!("{version}.0.0")).await);
    }
    let cancelled = scene.engine.request("prod", &release("6.0.0"), "alice").await.unwrap();
    scene.engine.cancel(&cancelled, "alice").await.unwrap();
    assert!(numbers(&scene).await.contains(&cancelled.number), "its pin is still to be given up");
    scene.settle().await;
    assert_eq!(numbers(&scene).await, [ids[3].number, ids[4].number]);
    let mut pins = Vec::new();
    for id in ids.iter().chain([&cancelled]) {
        let status = scene.engine.status(id).await.unwrap();
        pins.push((status.pin_lasts, status.pin_released));
        assert_eq!(kept.0.lock().unwrap().contains(&status.holder.unwrap()), !status.pin_released);
    }
    let (gone, stays) = ((true, true), (true, false));
    assert_eq!(pins, [gone, gone, gone, stays, stays, (false, true)]);
    let all: Vec<(bool, bool)> = scene
        .engine
        .promotions("prod")
        .await
        .unwrap()
        .iter()
        .map(|promotion| (promotion.pin_lasts, promotion.pin_released))
        .collect();
    assert_eq!(all, pins);
}

/// Counts the events that are read, and changes or hides one when told to.
#[derive(Clone, Default)]
struct Watched {
    journal: MemoryJournal,
    read: Arc<AtomicUsize>,
    changed: Arc<AtomicUsize>,
    cut: Arc<AtomicUsize>,
}

#[async_trait]
impl Journal for Watched {
    async fn append(&self, batch: &[Append]) -> Result<(), JournalError> {
        self.journal.append(batch).await
    }

    async fn read(&self, stream: &Name, after: u64, max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        let mut events = self.journal.read(stream, after, max).await?;
        let after = usize::try_from(after).unwrap();
        let cut = self.cut.load(Ordering::Relaxed);
        if cut > 0 {
            events.truncate(cut.saturating_sub(after));
        }
        for (position, event) in (after + 1..).zip(&mut events) {
            if position == self.changed.load(Ordering::Relaxed) {
                *event.last_mut().unwrap() ^= 1;
            }
        }
        self.read.fetch_add(events.len(), Ordering::Relaxed);
        Ok(events)
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<Name>, JournalError> {
        self.journal.streams(prefix).await
    }
}

async fn drive(engine: &Engine, version: u64) -> PromotionId {
    let by = Actor::new("alice").unwrap().request_id(format!("r{version}").as_str()).unwrap();
    let id = engine.request("prod", &release(&format!("{version}.0.0")), by).await.unwrap();
    while !matches!(engine.step().await.unwrap(), Step::Waiting(_)) {}
    id
}

fn watched() -> (Engine, Watched) {
    let journal = Watched::default();
    let pipeline = Pipeline::builder().stage("prod", plain()).build().unwrap();
    let engine = Engine::builder(pipeline, journal.clone()).stage("prod", Puppet::default()).build().unwrap();
    (engine, journal)
}

#[tokio::test]
async fn a_promotion_costs_as_much_after_five_hundred_others_as_after_five() {
    let (engine, journal) = watched();
    let mut costs = Vec::new();
    for version in 1..=500 {
        let before = journal.read.load(Ordering::Relaxed);
        drive(&engine, version).await;
        let state = engine.stage_state("prod").await.unwrap();
        costs.push((journal.read.load(Ordering::Relaxed) - before, state.promotions().count()));
    }
    assert_eq!(costs[5..], vec![costs[5]; 495], "events read, and promotions remembered");
    let before = journal.read.load(Ordering::Relaxed);
    engine.status(&"prod/1".parse().unwrap()).await.unwrap();
    let read = journal.read.load(Ordering::Relaxed) - before;
    assert!(read <= 64, "{read} events are read to tell of one that was left behind");
}

/// Invariant 4.
#[tokio::test]
async fn damage_to_what_was_left_behind_is_found_when_it_is_read() {
    let (engine, journal) = watched();
    for version in 1..=10 {
        drive(&engine, version).await;
    }
    let third = engine.promotions("prod").await.unwrap()[2].clone();
    let first = usize::try_from(third.id.number).unwrap();
    let last = usize::try_from(third.entered).unwrap();
    for position in first..=last {
        journal.changed.store(position, Ordering::Relaxed);
        let error = engine.status(&third.id).await.unwrap_err();
        let found =
            format!("read event {position} of stream stage/prod: it does not fit the events before it");
        assert!(error.to_string().starts_with(&found), "{error}");
    }
    journal.changed.store(0, Ordering::Relaxed);
    assert_eq!(engine.status(&third.id).await.unwrap(), third);

    journal.cut.store(last - 1, Ordering::Relaxed);
    let by = Actor::new("alice").unwrap().request_id("r10").unwrap();
    for error in [
        engine.status(&third.id).await.unwrap_err(),
        engine.request("prod", &release("10.0.0"), by).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
}
