//! Three stages, and a plan that changes all of them.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::{
    Artifact, Clock, Digest, Holder, ManualClock, Name, Pin, SeamError, SequentialIds, Timestamp,
};
use mcp_promotion::{
    Actor, Append, Engine, Guardrail, Item, Journal, JournalError, JudgeChoice, MemoryJournal, Need,
    Pipeline, PlanHappened, PlanId, PlanRequest, PlanState, Policy, PromotionError, Reach, State, Step,
};

use crate::probe::{Probe, Probed};
use crate::process::{Run, Scenario, drive};
use crate::world::{Life, Outcome, Switches, World, copy, now};

/// `web` comes after both others, which are changed at the same time.
const NAMES: [&str; 3] = ["auth", "billing", "web"];

/// What becomes of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// All is well.
    Succeeds,
    /// The new `web` is ill: everything is taken back.
    RollsBack,
    /// Somebody aborts it as soon as its first stage has succeeded.
    Aborted,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a plan, {self:?}")
    }
}

#[derive(Clone)]
pub(crate) struct Fleet {
    journal: MemoryJournal,
    clock: Arc<ManualClock>,
    ids: Arc<SequentialIds>,
    sites: [World; 3],
    fate: Fate,
    violations: Arc<Mutex<Vec<String>>>,
}

/// The fleet, as one process sees it.
#[derive(Clone)]
struct Seen {
    fleet: Fleet,
    owner: Name,
    probe: Arc<Probe>,
}

#[async_trait]
impl Journal for Seen {
    async fn append(&self, batch: &[Append]) -> Result<(), JournalError> {
        self.probe.around(|| self.fleet.append(&self.owner, batch)).await
    }

    async fn read(&self, stream: &Name, after: u64, max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        self.fleet.journal.read(stream, after, max).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<Name>, JournalError> {
        self.fleet.journal.streams(prefix).await
    }
}

/// Each stage keeps the pins of its own artifacts: those of a promotion are all of one stage, those of a plan of all.
#[async_trait]
impl Pin for Seen {
    async fn pin(
        &self,
        holder: &Holder,
        artifacts: &[Artifact],
        expires: Option<Timestamp>,
    ) -> Result<(), SeamError> {
        let pin = |site: &World| {
            let own = artifacts.iter().filter(|artifact| artifact.reference.name == site.stage);
            let own: Vec<Artifact> = own.cloned().collect();
            if own.is_empty() { Ok(()) } else { site.pin(holder, &own, expires) }
        };
        self.probe.around(|| self.fleet.sites.iter().try_for_each(pin)).await
    }

    async fn release(&self, holder: &Holder) -> Result<(), SeamError> {
        self.probe.around(|| self.fleet.sites.iter().try_for_each(|site| site.unpin(holder))).await
    }
}

impl Fleet {
    /// The first release runs everywhere.
    pub(crate) fn new(fate: Fate, switches: Switches) -> Self {
        let outcome = |name| match fate {
            Fate::RollsBack if name == "web" => Outcome::RollsBack,
            _ => Outcome::Succeeds,
        };
        let life = |name| Life { outcome: outcome(name), canary: false };
        let first = World::empty(NAMES[0], life(NAMES[0]), switches);
        let (journal, clock, ids) = (first.journal.clone(), Arc::clone(&first.clock), Arc::clone(&first.ids));
        let log = Arc::clone(&first.log);
        let sites = NAMES.map(|name| {
            let mut site = World::empty(name, life(name), switches).copy_into(&journal, &clock, &ids);
            site.log = Arc::clone(&log);
            site
        });
        let fleet = Self { journal, clock, ids, sites, fate, violations: Arc::default() };
        let setup = fleet.engine("setup", &Arc::new(Probe::default()));
        for site in &fleet.sites {
            now(setup.request(site.stage.clone(), &site.first, "alice")).unwrap();
        }
        now(drive(setup, Arc::clone(&fleet.clock))).unwrap();
        fleet.sites.iter().for_each(World::begin);
        fleet
    }

    fn request(&self) -> PlanRequest {
        PlanRequest::new(self.sites.iter().map(|site| {
            let [new] = site.second.artifacts() else { panic!("a stage runs one artifact") };
            let item = Item::new(site.stage.clone(), new.clone()).from("1.0.0".parse().unwrap());
            let needs = if site.stage.as_str() == "web" { &NAMES[..2] } else { &[] };
            needs.iter().fold(item, |item, name| item.need(Need::new(name, "^2").unwrap()))
        }))
    }

    fn append(&self, owner: &Name, batch: &[Append]) -> Result<(), JournalError> {
        let before = self.sites.each_ref().map(World::state);
        self.sites[0].append_switched(batch)?;
        for (site, before) in self.sites.iter().zip(before) {
            site.check_written(owner, before);
        }
        Ok(())
    }

    /// What the plan's stream says in the end, and what that means for each stage.
    fn check_plan(&self, engine: &Engine, id: PlanId) -> Result<(), PromotionError> {
        let status = now(engine.plan_status(id))?;
        let expected = match self.fate {
            Fate::Succeeds => PlanState::Succeeded,
            Fate::RollsBack | Fate::Aborted => PlanState::RolledBack,
        };
        if status.state != expected {
            self.violate(format!("the plan is {}: {}", status.state, status.reason));
        }
        // Exact reverse order, by what the plan has recorded.
        let (mut forward, mut back) = (Vec::new(), Vec::new());
        for entry in now(engine.plan_history(id))? {
            match entry.what {
                PlanHappened::Ended { stage, state: State::Succeeded, .. } => forward.push(stage),
                PlanHappened::Reversing { stage, .. } => back.push(stage),
                _ => {}
            }
        }
        back.reverse();
        if expected == PlanState::RolledBack && forward != back {
            self.violate(format!("it went forward by {forward:?} and back by the reverse of {back:?}"));
        }
        for site in &self.sites {
            let (first, second) = (site.first.digest(), site.second.digest());
            let done = forward.contains(&site.stage);
            let (ended, runs, changes) = match (self.fate, done) {
                (Fate::Succeeds, _) => (vec![State::Succeeded], second, vec![second]),
                (_, true) => (vec![State::Succeeded; 2], first, vec![second, first]),
                (Fate::RollsBack, false) => (vec![State::RolledBack], first, vec![second, first]),
                // What was requested was withdrawn before it began.
                (Fate::Aborted, false) if site.asked() == 0 => (vec![], first, vec![]),
                (Fate::Aborted, false) => (vec![State::Cancelled], first, vec![]),
            };
            let changes: Vec<(Digest, Reach)> = changes.into_iter().map(|to| (to, Reach::All)).collect();
            site.check_stage(&ended, runs, &changes);
        }
        Ok(())
    }

    /// Of the mixtures of old and new releases only those are passed that work.
    fn check_mixtures(&self) {
        let mut new = [false; 3];
        for (stage, to) in &*self.sites[0].log.lock().unwrap() {
            let place = NAMES.iter().position(|name| *name == stage.as_str()).unwrap();
            new[place] = *to == self.sites[place].second.digest();
            if new[2] && !(new[0] && new[1]) {
                self.violate(format!("{stage} was changed so that {new:?} of {NAMES:?} are new"));
            }
        }
    }
}

impl Scenario for Fleet {
    fn engine(&self, owner: &str, probe: &Arc<Probe>) -> Engine {
        let mut guardrail = Guardrail::default();
        (guardrail.consecutive, guardrail.min_windows) = (1, 1);
        guardrail.bake = Duration::from_secs(10);
        let judged = Policy::judged_by(JudgeChoice::Guardrail(guardrail), Duration::from_secs(10));
        let policy = |name| if name == "web" { judged.clone() } else { Policy::unverified("enumerated") };
        let pipeline = NAMES.iter().fold(Pipeline::builder(), |all, name| all.stage(*name, policy(*name)));
        let owner: Name = owner.parse().unwrap();
        let seen = Seen { fleet: self.clone(), owner: owner.clone(), probe: Arc::clone(probe) };
        let builder = Engine::builder(pipeline.build().unwrap(), seen.clone())
            .pin(Arc::new(seen))
            .clock(self.clock.clone())
            .ids(self.ids.clone())
            .owner(owner.as_str());
        let builder = self.sites.iter().fold(builder, |builder, site| {
            let (world, owner, probe) = (site.clone(), owner.clone(), Arc::clone(probe));
            builder.stage(site.stage.as_str(), Probed { world, owner, probe })
        });
        builder.build().unwrap()
    }

    fn run(&self, engine: Engine) -> Run {
        Box::pin(plan(engine, Arc::clone(&self.clock), self.request(), self.fate))
    }

    fn copy(&self) -> Self {
        let (journal, ids) = (copy(&self.journal), Arc::new(SequentialIds::starting_at(100)));
        let clock = Arc::new(ManualClock::at(self.clock.now()));
        let log = Arc::new(Mutex::new(self.sites[0].log.lock().unwrap().clone()));
        let sites = self.sites.each_ref().map(|site| {
            let mut site = site.copy_into(&journal, &clock, &ids);
            site.log = Arc::clone(&log);
            site
        });
        let violations = Arc::new(Mutex::new(self.violations.lock().unwrap().clone()));
        Self { journal, clock, ids, sites, fate: self.fate, violations }
    }

    fn violate(&self, what: String) {
        self.violations.lock().unwrap().push(what);
    }

    fn violations(&self) -> Vec<String> {
        let mut all = self.violations.lock().unwrap().clone();
        for site in &self.sites {
            all.extend(site.violations().into_iter().map(|what| format!("{}: {what}", site.stage)));
        }
        all
    }

    fn check_end(&self) {
        self.check_mixtures();
        let verifier = self.engine("verifier", &Arc::new(Probe::default()));
        if let Err(error) = now(verifier.verify()) {
            self.violate(format!("invariant 4: {error}"));
        }
        match now(verifier.plans()) {
            Ok(plans) if plans.len() == 1 => {
                if let Err(error) = self.check_plan(&verifier, plans[0]) {
                    self.violate(format!("the plan: {error}"));
                }
            }
            other => self.violate(format!("one plan was asked for, and there are {other:?}")),
        }
    }
}

/// Asks for the plan, aborts it where that is its fate, and drives it to the end.
async fn plan(
    engine: Engine,
    clock: Arc<ManualClock>,
    request: PlanRequest,
    fate: Fate,
) -> Result<(), PromotionError> {
    let id = engine.request_plan(&request, Actor::new("alice")?.request_id("plan")?).await?;
    if fate == Fate::Aborted {
        for _ in 0..200 {
            let status = engine.plan_status(id).await?;
            if !status.done.is_empty() || status.state != PlanState::Running {
                break;
            }
            if let Step::Waiting(Some(until)) = engine.step().await? {
                clock.advance(until.saturating_since(clock.now()));
            }
        }
        let carol = Actor::new("carol")?.request_id("abort")?;
        engine.abort_plan(id, carol, "enough").await?;
    }
    drive(engine, clock).await
}
