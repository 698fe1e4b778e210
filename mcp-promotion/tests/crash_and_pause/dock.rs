//! A stage with two lanes. What is promoted in one of them succeeds, and what is promoted in the other is rolled back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::{Artifact, Clock, Holder, ManualClock, Name, Pin, SeamError, SequentialIds, Timestamp};
use mcp_promotion::machine::StageState;
use mcp_promotion::{
    Actor, Append, Chain, Engine, Guardrail, Journal, JournalError, JudgeChoice, Lane, MemoryJournal,
    Pipeline, Policy, PromotionId, Queue, Reach, State,
};

use crate::probe::{Probe, Probed};
use crate::process::{Run, Scenario, drive};
use crate::world::{Life, Outcome, Switches, World, copy, now};

const LANES: [(&str, Outcome); 2] = [("prod/good", Outcome::Succeeds), ("prod/ill", Outcome::RollsBack)];

#[derive(Clone)]
pub(crate) struct Dock {
    journal: MemoryJournal,
    clock: Arc<ManualClock>,
    ids: Arc<SequentialIds>,
    lanes: [World; 2],
    /// How many promotions may be in flight at once.
    limit: u32,
    /// The most that ever were.
    pub(crate) most: Arc<Mutex<usize>>,
    violations: Arc<Mutex<Vec<String>>>,
}

/// The dock, as one process sees it.
#[derive(Clone)]
struct Seen {
    dock: Dock,
    owner: Name,
    probe: Arc<Probe>,
}

#[async_trait]
impl Journal for Seen {
    async fn append(&self, batch: &[Append]) -> Result<(), JournalError> {
        self.probe.around(|| self.dock.append(&self.owner, batch)).await
    }

    async fn read(&self, stream: &Name, after: u64, max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        self.dock.journal.read(stream, after, max).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<Name>, JournalError> {
        self.dock.journal.streams(prefix).await
    }
}

/// The artifacts of a promotion are those of one lane, so that lane keeps its pin.
#[async_trait]
impl Pin for Seen {
    async fn pin(
        &self,
        holder: &Holder,
        artifacts: &[Artifact],
        expires: Option<Timestamp>,
    ) -> Result<(), SeamError> {
        let name = format!("prod/{}", artifacts[0].reference.name);
        self.probe.around(|| self.dock.lane(&name).pin(holder, artifacts, expires)).await
    }

    async fn release(&self, holder: &Holder) -> Result<(), SeamError> {
        self.probe.around(|| self.dock.lanes.iter().try_for_each(|lane| lane.unpin(holder))).await
    }
}

impl Dock {
    /// The first release runs in both lanes.
    pub(crate) fn new(limit: u32, switches: Switches) -> Self {
        let worlds =
            LANES.map(|(name, outcome)| World::empty(name, Life { outcome, canary: false }, switches));
        let [World { journal, clock, ids, .. }, _] = worlds.clone();
        let lanes = worlds.map(|world| world.copy_into(&journal, &clock, &ids));
        let (most, violations) = (Arc::default(), Arc::default());
        let dock = Self { journal, clock, ids, lanes, limit, most, violations };
        let setup = dock.engine("setup", &Arc::new(Probe::default()));
        for lane in &dock.lanes {
            now(setup.request("prod", &lane.first, "alice")).unwrap();
        }
        now(drive(setup, Arc::clone(&dock.clock))).unwrap();
        dock.lanes.iter().for_each(World::begin);
        assert_eq!(dock.violations(), [""; 0]);
        dock
    }

    fn lane(&self, name: &str) -> &World {
        self.lanes.iter().find(|lane| lane.stage.as_str() == name).unwrap()
    }

    fn append(&self, owner: &Name, batch: &[Append]) -> Result<(), JournalError> {
        let before = self.lanes.each_ref().map(World::state);
        self.lanes[0].append_switched(batch)?;
        for (lane, before) in self.lanes.iter().zip(before) {
            lane.check_written(owner, before);
        }
        self.check_in_flight();
        Ok(())
    }

    /// Invariant 5: what is in flight, as the lanes say and as the stage says.
    fn check_in_flight(&self) {
        let mut in_flight: Vec<PromotionId> = Vec::new();
        for state in self.lanes.iter().filter_map(|lane| lane.state().ok()) {
            in_flight.extend(state.in_flight().map(|promotion| promotion.id.clone()));
        }
        if in_flight.len() > self.limit as usize {
            self.violate(format!("invariant 5: {in_flight:?} are in flight, {} may be", self.limit));
        }
        let mut most = self.most.lock().unwrap();
        *most = in_flight.len().max(*most);
        let name: Name = "prod".parse().unwrap();
        let (mut state, mut chain) = (StageState::new(name), Chain::start("stage/prod".parse().unwrap()));
        for bytes in now(self.journal.read(chain.stream(), 0, usize::MAX)).unwrap() {
            let entry = match chain.read(&bytes) {
                Ok(entry) => entry,
                Err(error) => return self.violate(format!("invariant 4: {error}")),
            };
            if let Err(why) = state.apply(&entry) {
                return self.violate(format!("invariant 5: the stage's stream does not fold: {why}"));
            }
        }
        let told: Vec<PromotionId> = state.in_flight_in_lanes().collect();
        if told != in_flight {
            self.violate(format!("invariant 5: {in_flight:?} are in flight, and the stage says {told:?}"));
        }
    }
}

impl Scenario for Dock {
    fn engine(&self, owner: &str, probe: &Arc<Probe>) -> Engine {
        let mut guardrail = Guardrail::default();
        (guardrail.consecutive, guardrail.min_windows) = (1, 1);
        guardrail.bake = Duration::from_secs(10);
        let policy = Policy::judged_by(JudgeChoice::Guardrail(guardrail), Duration::from_secs(10));
        let pipeline = Pipeline::builder().stage("prod", policy.queue(Queue::Parallel(self.limit)));
        let owner: Name = owner.parse().unwrap();
        let seen = Seen { dock: self.clone(), owner: owner.clone(), probe: Arc::clone(probe) };
        let (dock, holder, probe) = (self.clone(), owner.clone(), Arc::clone(probe));
        Engine::builder(pipeline.build().unwrap(), seen.clone())
            .lanes("prod", move |lane: &Lane| {
                let world = dock.lane(lane.name.as_str()).clone();
                Probed { world, owner: holder.clone(), probe: Arc::clone(&probe) }
            })
            .pin(Arc::new(seen))
            .clock(self.clock.clone())
            .ids(self.ids.clone())
            .owner(owner.as_str())
            .build()
            .unwrap()
    }

    fn run(&self, engine: Engine) -> Run {
        let releases = self.lanes.each_ref().map(|lane| lane.second.clone());
        let clock = Arc::clone(&self.clock);
        Box::pin(async move {
            for release in &releases {
                engine.request("prod", release, Actor::new("alice")?.request_id("second")?).await?;
            }
            drive(engine, clock).await
        })
    }

    fn copy(&self) -> Self {
        let (journal, ids) = (copy(&self.journal), Arc::new(SequentialIds::starting_at(100)));
        let clock = Arc::new(ManualClock::at(self.clock.now()));
        let lanes = self.lanes.each_ref().map(|lane| lane.copy_into(&journal, &clock, &ids));
        let violations = Arc::new(Mutex::new(self.violations.lock().unwrap().clone()));
        Self { journal, clock, ids, lanes, limit: self.limit, most: Arc::clone(&self.most), violations }
    }

    fn violate(&self, what: String) {
        self.violations.lock().unwrap().push(what);
    }

    fn violations(&self) -> Vec<String> {
        let mut all = self.violations.lock().unwrap().clone();
        for lane in &self.lanes {
            all.extend(lane.violations().into_iter().map(|what| format!("{}: {what}", lane.stage)));
        }
        all
    }

    fn check_end(&self) {
        let verifier = self.engine("verifier", &Arc::new(Probe::default()));
        if let Err(error) = now(verifier.verify()) {
            self.violate(format!("invariant 4: {error}"));
        }
        for (lane, (_, outcome)) in self.lanes.iter().zip(LANES) {
            let (first, second) = (lane.first.digest(), lane.second.digest());
            let (ended, runs, changes) = match outcome {
                Outcome::Succeeds => (State::Succeeded, second, vec![(second, Reach::All)]),
                Outcome::RollsBack => {
                    (State::RolledBack, first, vec![(second, Reach::All), (first, Reach::All)])
                }
            };
            lane.check_stage(&[ended], runs, &changes);
        }
    }
}
