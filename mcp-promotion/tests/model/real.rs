//! The engine that lives the same life as the model; now and then a second one beside it, whose journal is a file.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_core::{ManualClock, Name, SequentialIds};
use mcp_promotion::machine::StageState;
use mcp_promotion::{
    Actor, Blocker, Engine, Journal, Kind, MemoryJournal, Pipeline, Promotion, PromotionError, PromotionId,
    Settings, State, Step,
};
use tokio::runtime::Runtime;

use crate::act::{Act, Deed, Transition};
use crate::commands::newest;
use crate::model::{Model, NAMES, Outcome, Rules};
use crate::toy::{Counting, Staff, Toy, World, release, version_of};

pub(crate) struct Real {
    runtime: Runtime,
    sides: Vec<Side>,
    /// Removed at the end.
    _folder: Option<tempfile::TempDir>,
}

enum Kept {
    Memory(MemoryJournal),
    File(PathBuf),
}

struct Side {
    kept: Kept,
    rules: Rules,
    clock: Arc<ManualClock>,
    ids: Arc<SequentialIds>,
    stages: [Toy; 2],
    engine: Option<Engine>,
    /// Of each stage, in the order of the requests.
    known: Mutex<[Vec<PromotionId>; 2]>,
    /// What was compared at its end.
    ended: Mutex<BTreeSet<PromotionId>>,
}

impl Real {
    pub(crate) fn new(model: &Model) -> Self {
        let folder = (model.rules.on_disk && cfg!(feature = "sqlite")).then(|| tempfile::tempdir().unwrap());
        let file = folder.iter().map(|folder| Kept::File(folder.path().join("journal.db")));
        let kept = std::iter::once(Kept::Memory(MemoryJournal::new())).chain(file);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let sides = kept.map(|kept| Side::new(kept, &model.rules)).collect();
        Self { runtime, sides, _folder: folder }
    }

    pub(crate) fn obey(&mut self, model: &Model, transition: &Transition) {
        for side in &mut self.sides {
            let outcome = self.runtime.block_on(side.obey(transition));
            assert_eq!(outcome, model.outcome, "{transition:?}");
        }
    }

    pub(crate) fn compare(&self, model: &Model) {
        for side in &self.sides {
            self.runtime.block_on(side.compare(model));
        }
    }

    /// Reads everything again, and compares the journals.
    pub(crate) fn end(self, model: &Model) {
        let mut streams = Vec::new();
        for mut side in self.sides {
            streams.push(self.runtime.block_on(async {
                side.reopen().await;
                side.engine().verify().await.unwrap();
                for (at, name) in NAMES.into_iter().enumerate() {
                    let all = side.engine().promotions(name).await.unwrap();
                    side.compare_promotions(model, at, &all);
                }
                side.streams().await
            }));
        }
        assert!(streams.windows(2).all(|pair| pair[0] == pair[1]), "the journals differ");
    }
}

impl Side {
    fn new(kept: Kept, rules: &Rules) -> Self {
        let toy = || Toy(Arc::new(Mutex::new(World::new())));
        let mut side = Self {
            kept,
            rules: rules.clone(),
            clock: Arc::new(ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap())),
            ids: Arc::new(SequentialIds::starting_at(1)),
            stages: [toy(), toy()],
            engine: None,
            known: Mutex::default(),
            ended: Mutex::default(),
        };
        side.engine = Some(side.open());
        side
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn journal(&self) -> Arc<dyn Journal> {
        match &self.kept {
            Kept::Memory(journal) => Arc::new(journal.clone()),
            #[cfg(feature = "sqlite")]
            Kept::File(path) => Arc::new(mcp_promotion::SqliteJournal::open(path).unwrap()),
            #[cfg(not(feature = "sqlite"))]
            Kept::File(path) => panic!("no journal can be kept in {}", path.display()),
        }
    }

    fn open(&self) -> Engine {
        let mut settings = Settings::default();
        settings.snapshot_events = 8;
        let [dev, prod] = [0, 1].map(|at| self.rules.policy(at));
        let pipeline = Pipeline::builder().stage("dev", dev).stage("prod", prod).build().unwrap();
        let [dev, prod] = self.stages.clone();
        Engine::builder(pipeline, self.journal())
            .stage("dev", dev)
            .stage("prod", prod)
            .judge("counting", Counting)
            .authorizer(Staff)
            .clock(self.clock.clone())
            .ids(self.ids.clone())
            .owner("one")
            .settings(settings)
            .build()
            .unwrap()
    }

    /// Another engine comes to the same state, from the beginning or from a snapshot.
    async fn reopen(&mut self) {
        let mut before = Vec::new();
        for name in NAMES {
            before.push(self.engine().stage_state(name).await.unwrap());
        }
        // The first one gives its name up.
        drop(self.engine.take());
        self.engine = Some(self.open());
        for (before, name) in before.iter().zip(NAMES) {
            assert_eq!(self.engine().stage_state(name).await.unwrap(), *before, "{name}, read again");
        }
    }

    async fn streams(&self) -> Vec<(Name, Vec<Vec<u8>>)> {
        let (journal, mut all) = (self.journal(), Vec::new());
        for stream in journal.streams("").await.unwrap() {
            all.push((stream.clone(), journal.read(&stream, 0, usize::MAX).await.unwrap()));
        }
        all
    }

    async fn obey(&mut self, Transition { act, by, key }: &Transition) -> Outcome {
        let actor = Actor::new(by.name()).unwrap();
        let actor = match key {
            Some(key) => actor.request_id(format!("key-{key}").as_str()).unwrap(),
            None => actor,
        };
        let kind = |error: PromotionError| error.kind();
        match *act {
            Act::Request { at, version } => {
                let asked = self.engine().request(NAMES[at], &release(version), actor).await;
                asked.map(|id| Some(self.place(at, &id))).map_err(kind)
            }
            Act::RequestUrgently { at, version } => {
                let release = release(version);
                let asked =
                    self.engine().request_without_waiting(NAMES[at], &release, actor, "it burns").await;
                asked.map(|id| Some(self.place(at, &id))).map_err(kind)
            }
            Act::Rollback { at } => {
                let asked = self.engine().rollback(NAMES[at], actor).await;
                asked.map(|id| Some(self.place(at, &id))).map_err(kind)
            }
            Act::Do { at, which, deed } => {
                self.deed(at, which, deed, actor).await.map(|()| None).map_err(kind)
            }
            Act::Hold { at } => {
                self.engine().hold(NAMES[at], actor, "look first").await.map(|()| None).map_err(kind)
            }
            Act::LiftHold { at } => {
                self.engine().lift_hold(NAMES[at], actor).await.map(|()| None).map_err(kind)
            }
            Act::Pass(seconds) => {
                self.clock.advance(Duration::from_secs(seconds));
                Ok(None)
            }
            Act::Step => self.step(false).await,
            Act::Settle => self.step(true).await,
            Act::Mood { at, mood } => {
                self.stages[at].0.lock().unwrap().mood = mood;
                Ok(None)
            }
            Act::Health { at, version, health } => {
                self.stages[at].0.lock().unwrap().set_health(version, health);
                Ok(None)
            }
            Act::Tamper { at, version } => {
                self.stages[at].0.lock().unwrap().runs = version;
                Ok(None)
            }
            Act::Reopen => {
                self.reopen().await;
                Ok(None)
            }
        }
    }

    async fn deed(
        &self,
        at: usize,
        which: usize,
        deed: Deed,
        mut actor: Actor,
    ) -> Result<(), PromotionError> {
        let known = self.known.lock().unwrap()[at].clone();
        let id = match newest(known.len(), which) {
            Some(which) => known[which].clone(),
            None => {
                actor.request = None;
                PromotionId::new(NAMES[at].parse().unwrap(), 1)
            }
        };
        let engine = self.engine();
        match deed {
            Deed::Approve => engine.approve(&id, actor).await,
            Deed::Reject => engine.reject(&id, actor).await,
            Deed::Revoke => engine.revoke(&id, actor).await,
            Deed::Veto => engine.veto(&id, actor, "not this one").await,
            Deed::Cancel => engine.cancel(&id, actor).await,
            Deed::Pause => engine.pause(&id, actor, "wait").await,
            Deed::Resume => engine.resume(&id, actor).await,
            Deed::Override => engine.override_with(&id, actor, "known").await,
            Deed::Abort => engine.abort(&id, actor, "no").await,
            Deed::Acknowledge => engine.acknowledge(&id, actor, "seen").await,
            Deed::Retry => engine.retry(&id, actor).await,
            Deed::BreakGlass => engine.break_glass(&id, actor, "it burns").await,
            Deed::Review => engine.review(&id, actor, "it burnt").await,
        }
    }

    /// Until something shows, or until nothing is left to do.
    async fn step(&self, settle: bool) -> Outcome {
        let before = self.shown().await;
        for _ in 0..1000 {
            if let Step::Waiting(_) = self.engine().step().await.unwrap() {
                return Ok(None);
            }
            if !settle && self.shown().await != before {
                return Ok(None);
            }
        }
        panic!("it does not come to rest");
    }

    async fn shown(&self) -> Vec<(Vec<(u64, State)>, bool)> {
        let mut shown = Vec::new();
        for name in NAMES {
            let state = self.engine().stage_state(name).await.unwrap();
            let states = state.promotions().map(|promotion| (promotion.id.number, promotion.state));
            shown.push((states.collect(), state.hold().is_some()));
        }
        shown
    }

    /// Which promotion of the stage it is.
    fn place(&self, at: usize, id: &PromotionId) -> usize {
        let known = &mut self.known.lock().unwrap()[at];
        known.iter().position(|known| known == id).unwrap_or_else(|| {
            known.push(id.clone());
            known.len() - 1
        })
    }

    async fn compare(&self, model: &Model) {
        for (at, name) in NAMES.into_iter().enumerate() {
            let state = self.engine().stage_state(name).await.unwrap();
            for promotion in state.promotions() {
                self.place(at, &promotion.id);
            }
            self.compare_stage(model, at, &state).await;
            let known = self.known.lock().unwrap()[at].clone();
            assert_eq!(known.len(), model.stages[at].asked.len(), "{name}");
            for (which, id) in known.iter().enumerate() {
                if self.ended.lock().unwrap().contains(id) {
                    continue;
                }
                let promotion = self.engine().status(id).await.unwrap();
                compare(model, at, which, &promotion);
                if promotion.state == State::Pending {
                    let told = self.engine().blockers(id).await.unwrap();
                    let told: Vec<&str> = told.iter().map(called).collect();
                    assert_eq!(told, model.blockers(at, which), "{id} waits for");
                }
                if promotion.state.is_terminal() {
                    self.ended.lock().unwrap().insert(id.clone());
                }
            }
        }
    }

    async fn compare_stage(&self, model: &Model, at: usize, state: &StageState) {
        let (stage, name) = (&model.stages[at], NAMES[at]);
        let current = self.engine().current(name).await.unwrap();
        let current = current.map(|current| {
            let id = PromotionId::new(name.parse().unwrap(), current.promotion);
            (version_of(&current.release).unwrap(), self.place(at, &id))
        });
        assert_eq!(current, stage.current(), "what {name} runs");
        let previous = state.previous().map(|previous| version_of(&previous.release).unwrap());
        assert_eq!(previous, stage.previous(), "what {name} ran before");
        let held = state.hold().map(|hold| hold.by.to_string());
        assert_eq!(held.as_deref(), stage.held, "who holds {name}");
        assert_eq!(state.distrusted().is_some(), stage.distrusted, "whether {name} is distrusted");
        assert_eq!(state.is_unsettled(), stage.unsettled, "whether {name} is unsettled");
        let left = state.watch().map(|watch| watch.left.as_secs());
        assert_eq!(left, stage.watch.as_ref().map(|watch| watch.left), "how long {name} is watched");
        let place = |promotion: &Arc<Promotion>| self.place(at, &promotion.id);
        assert_eq!(state.head().map(place), stage.head(), "whose turn it is in {name}");
        assert_eq!(state.in_flight().map(place), stage.in_flight(), "what is in flight in {name}");
        let owed: BTreeSet<usize> = state.obligations().map(|owed| self.place(at, &owed.promotion)).collect();
        assert_eq!(owed, stage.owed.iter().copied().collect(), "what is to be reviewed in {name}");
        let runs = self.stages[at].0.lock().unwrap().runs;
        assert_eq!(runs, stage.world.runs, "what {name} really runs");
    }

    fn compare_promotions(&self, model: &Model, at: usize, all: &[Promotion]) {
        assert_eq!(all.len(), model.stages[at].asked.len(), "{}", NAMES[at]);
        for (which, promotion) in all.iter().enumerate() {
            assert_eq!(self.place(at, &promotion.id), which);
            compare(model, at, which, promotion);
        }
    }
}

fn compare(model: &Model, at: usize, which: usize, promotion: &Promotion) {
    let asked = &model.stages[at].asked[which];
    let told = (
        promotion.state,
        promotion.kind == Kind::Rollback,
        version_of(&promotion.release),
        promotion.requester.as_str(),
        promotion.failures,
    );
    let expected = (asked.state, asked.back, Some(asked.version), asked.by, asked.tries);
    assert_eq!(told, expected, "{}", promotion.id);
}

fn called(blocker: &Blocker) -> &'static str {
    match blocker {
        Blocker::Held { .. } => "held",
        Blocker::Approvals { .. } => "approvals",
        Blocker::Upstream { .. } => "upstream",
        Blocker::Soaking { .. } => "soaking",
        Blocker::InFlight { .. } => "in flight",
        Blocker::Queued { .. } => "queued",
        _ => "something else",
    }
}
