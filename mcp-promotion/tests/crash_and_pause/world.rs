//! What survives a crash: the journal, the target behind the stage, the pins, the clock. It watches for violations.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use mcp_core::{
    Artifact, Clock, Digest, ErrorKind, Holder, ManualClock, Name, SeamError, SequentialIds, Timestamp,
};
use mcp_promotion::machine::StageState;
use mcp_promotion::{
    Append, Chain, Context, Engine, Fence, Guardrail, Happened, Journal, JournalError, JudgeChoice, Kind,
    MemoryJournal, Observed, Pipeline, Policy, Reach, Release, Sample, StageError, State,
};

use crate::probe::Probe;
use crate::process::{Run, Scenario, engine, promote};

/// How the promotion ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The second release is well.
    Succeeds,
    /// It is not.
    RollsBack,
}

/// The life of the second promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) outcome: Outcome,
    /// Whether the release first reaches the canary only.
    pub(crate) canary: bool,
}

impl std::fmt::Display for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}{}", self.outcome, if self.canary { " after a canary" } else { "" })
    }
}

/// What can be taken away.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Switches {
    pub(crate) target_ignores_fences: bool,
    pub(crate) observe_registers_no_fence: bool,
    pub(crate) journal_ignores_versions: bool,
    pub(crate) target_ignores_keys: bool,
}

/// One stage and all that there is around it.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) journal: MemoryJournal,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) ids: Arc<SequentialIds>,
    pub(crate) stage: Name,
    pub(crate) first: Release,
    pub(crate) second: Release,
    life: Life,
    switches: Switches,
    target: Arc<Mutex<Target>>,
    /// What was folded of the stream so far; `Err` once it does not fold.
    fold: Arc<Mutex<(Chain, Result<StageState, String>)>>,
    /// What the events say of each promotion, also of those that the state has left behind.
    promotions: Arc<Mutex<BTreeMap<u64, Told>>>,
    /// What was changed to what, in the order in which it happened; shared by the stages of a fleet.
    pub(crate) log: Arc<Mutex<Vec<(Name, Digest)>>>,
}

#[derive(Clone)]
struct Told {
    state: State,
    holder: Option<Holder>,
}

#[derive(Clone, Default)]
struct Target {
    /// The largest fence that it was shown, as far as it takes note.
    fence: u64,
    /// The largest fence that `observe` was called with: the truth, whatever the target takes note of.
    observed: u64,
    /// What everything but the canary runs.
    running: Option<Digest>,
    canary: Option<Digest>,
    last_key: String,
    /// Every change that happened: key, release and reach.
    changes: Vec<(String, Digest, Reach)>,
    pins: BTreeMap<Holder, BTreeMap<Artifact, Option<Timestamp>>>,
    violations: Vec<String>,
}

fn release(name: &str, version: &str) -> Release {
    let reference = format!("{name}@{version}");
    Release::of([(reference.as_str(), Digest::of(reference.as_bytes()))]).unwrap()
}

/// Polls a future that needs nothing from outside.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = Box::pin(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits for something"),
    }
}

impl World {
    /// The first release runs already.
    pub(crate) fn new(life: Life, switches: Switches) -> Self {
        let world = Self::empty("prod", life, switches);
        let setup = engine(&world, "setup", &Arc::new(Probe::default()));
        now(promote(setup, Arc::clone(&world.clock), world.first.clone(), "first")).unwrap();
        world.begin();
        world
    }

    /// Nothing has happened yet in a stage of this name, which runs an artifact with the last part of the name.
    pub(crate) fn empty(name: &str, life: Life, switches: Switches) -> Self {
        let stage: Name = name.parse().unwrap();
        let stream = format!("stage/{stage}").parse().unwrap();
        let artifact = name.rsplit('/').next().unwrap();
        Self {
            journal: MemoryJournal::new(),
            clock: Arc::new(ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap())),
            ids: Arc::new(SequentialIds::starting_at(1)),
            first: release(artifact, "1.0.0"),
            second: release(artifact, "2.0.0"),
            life,
            switches,
            target: Arc::default(),
            fold: Arc::new(Mutex::new((Chain::start(stream), Ok(StageState::new(stage.clone()))))),
            promotions: Arc::default(),
            log: Arc::default(),
            stage,
        }
    }

    /// The first release runs, and what follows is looked at.
    pub(crate) fn begin(&self) {
        let mut target = self.target.lock().unwrap();
        assert_eq!(target.running, Some(self.first.digest()), "the first release runs");
        target.changes.clear();
        self.log.lock().unwrap().clear();
    }

    /// How many promotions there were after the first release.
    pub(crate) fn asked(&self) -> usize {
        self.promotions.lock().unwrap().len() - 1
    }

    /// The same stage, come as far as this one, around another journal, clock and ids.
    pub(crate) fn copy_into(
        &self,
        journal: &MemoryJournal,
        clock: &Arc<ManualClock>,
        ids: &Arc<SequentialIds>,
    ) -> Self {
        Self {
            journal: journal.clone(),
            clock: Arc::clone(clock),
            ids: Arc::clone(ids),
            target: Arc::new(Mutex::new(self.target.lock().unwrap().clone())),
            fold: Arc::new(Mutex::new(self.fold.lock().unwrap().clone())),
            promotions: Arc::new(Mutex::new(self.promotions.lock().unwrap().clone())),
            ..self.clone()
        }
    }

    pub(crate) fn pipeline(&self) -> Pipeline {
        let mut guardrail = Guardrail::default();
        (guardrail.consecutive, guardrail.min_windows) = (2, 2);
        guardrail.bake = Duration::from_secs(20);
        let policy = Policy::judged_by(JudgeChoice::Guardrail(guardrail), Duration::from_secs(10));
        let policy = if self.life.canary { policy.canary() } else { policy };
        Pipeline::builder().stage("prod", policy.approvals(1).gate("open")).build().unwrap()
    }

    /// What the journal says now, and the events that came since the last look.
    fn folded(&self) -> (Result<StageState, String>, Vec<(u64, Happened)>) {
        let mut fold = self.fold.lock().unwrap();
        let (chain, state) = &mut *fold;
        let mut news = Vec::new();
        for bytes in now(self.journal.read(chain.stream(), chain.version(), usize::MAX)).unwrap() {
            let Ok(folding) = state else { break };
            let read = chain.read(&bytes).map_err(|error| error.to_string());
            let applied = read.and_then(|entry| {
                folding.apply(&entry).map_err(|why| format!("event {}: {why}", chain.version()))?;
                Ok(entry)
            });
            match applied {
                Ok(entry) => {
                    self.follow(chain.version(), &entry.what);
                    news.push((chain.version(), entry.what));
                }
                Err(why) => *state = Err(why),
            }
        }
        (state.clone(), news)
    }

    fn follow(&self, position: u64, what: &Happened) {
        let mut promotions = self.promotions.lock().unwrap();
        match what {
            Happened::Requested(requested) => {
                let holder = requested.holder.clone();
                promotions.insert(position, Told { state: State::Pending, holder });
            }
            Happened::Changed { promotion, to, .. } => {
                let told = promotions.get_mut(promotion).unwrap();
                let before = std::mem::replace(&mut told.state, *to);
                if before.is_terminal() {
                    let stage = &self.stage;
                    self.violate(format!("invariant 7: {stage}/{promotion} was {before} and is {to}"));
                }
            }
            _ => {}
        }
    }

    /// Appends for the process `owner`; invariant 6 for the journal.
    pub(crate) fn append(&self, owner: &Name, batch: &[Append]) -> Result<(), JournalError> {
        let before = self.state();
        self.append_switched(batch)?;
        self.check_written(owner, before);
        Ok(())
    }

    /// What the journal says of the stage.
    pub(crate) fn state(&self) -> Result<StageState, String> {
        self.folded().0
    }

    pub(crate) fn append_switched(&self, batch: &[Append]) -> Result<(), JournalError> {
        let mut batch = batch.to_vec();
        if self.switches.journal_ignores_versions {
            for append in &mut batch {
                append.expected = now(self.journal.read(&append.stream, 0, usize::MAX)).unwrap().len() as u64;
            }
        }
        now(self.journal.append(&batch))
    }

    /// Looks at what `owner` has written since the state was `before`.
    pub(crate) fn check_written(&self, owner: &Name, before: Result<StageState, String>) {
        let (Ok(before), (Ok(_), news)) = (before, self.folded()) else {
            return self.violate("invariant 4: the stream does not fold any more".to_owned());
        };
        let lease = before.lease().map(|lease| lease.owner.clone());
        for (position, what) in news {
            let by_driver = match what {
                Happened::Requested(_)
                | Happened::Voted { .. }
                | Happened::LeaseTaken { .. }
                | Happened::LeaseReleased { .. } => false,
                Happened::Changed { by, .. } => by.is_none(),
                _ => true,
            };
            if by_driver && lease.as_ref() != Some(owner) {
                self.violate(format!(
                    "invariant 6: {owner} wrote event {position} under a lease of {lease:?}"
                ));
            }
        }
    }

    pub(crate) fn observe(&self, fence: Fence) -> Result<Observed, StageError> {
        let mut target = self.target.lock().unwrap();
        self.fenced(&target, fence)?;
        if !self.switches.observe_registers_no_fence {
            target.fence = target.fence.max(fence.0);
        }
        target.observed = target.observed.max(fence.0);
        Ok(match (target.canary, target.running) {
            (Some(canary), rest) if rest != Some(canary) => Observed::Canary { canary, rest },
            (_, running) => running.map_or(Observed::Nothing, Observed::Running),
        })
    }

    fn fenced(&self, target: &Target, fence: Fence) -> Result<(), StageError> {
        if fence.0 < target.fence && !self.switches.target_ignores_fences {
            let context = format!("fence {fence} is older than {}", target.fence);
            return Err(SeamError::new(ErrorKind::Conflict, context));
        }
        Ok(())
    }

    pub(crate) fn apply(&self, release: &Release, context: &Context) -> Result<(), StageError> {
        let (folded, _) = self.folded();
        let mut target = self.target.lock().unwrap();
        self.fenced(&target, context.fence)?;
        target.fence = target.fence.max(context.fence.0);
        let wanted = Some(release.digest());
        let done = target.canary == wanted && (target.running == wanted || context.reach == Reach::Canary);
        let repeated = target.last_key == context.key && done;
        if repeated && !self.switches.target_ignores_keys {
            return Ok(());
        }
        if context.fence.0 < target.observed {
            let what =
                format!("invariant 6: fence {} changed the stage after {}", context.fence, target.observed);
            target.violations.push(what);
        }
        let promotion = folded.map(|state| state.promotion(context.promotion.number).cloned());
        let seen =
            |found: &mcp_promotion::Promotion| (found.state, found.is_widening(), found.kind == context.kind);
        match promotion.map(|found| found.as_deref().map(seen)) {
            Ok(Some((State::Deploying, _, true))) if !self.judges_first(context) => {}
            // The verdict stands in the journal.
            Ok(Some((State::Verifying, true, true)))
                if context.kind == Kind::Deploy && context.reach.is_all() => {}
            Ok(Some((State::RollingBack, ..)))
                if context.kind == Kind::Rollback && context.reach.is_all() => {}
            other => {
                let what = format!(
                    "invariant 5: {} is applied {} while {other:?}",
                    context.promotion, context.reach
                );
                target.violations.push(what);
            }
        }
        if let Some(artifact) = release.artifacts().iter().find(|artifact| !target.keeps(artifact)) {
            let what = format!("{artifact} is applied although nobody keeps it");
            target.violations.push(what);
        }
        target.canary = wanted;
        if context.reach.is_all() {
            target.running = wanted;
        }
        target.last_key = context.key.clone();
        target.changes.push((context.key.clone(), release.digest(), context.reach));
        self.log.lock().unwrap().push((self.stage.clone(), release.digest()));
        Ok(())
    }

    /// Whether everything would be reached that only the judge may open: the first release has nothing to be compared with.
    fn judges_first(&self, context: &Context) -> bool {
        self.life.canary && context.previous.is_some() && context.reach.is_all()
    }

    pub(crate) fn sample(&self) -> Result<Vec<Sample>, StageError> {
        let ill = self.life.outcome == Outcome::RollsBack
            && self.target.lock().unwrap().canary == Some(self.second.digest());
        Ok(vec![Sample::canary("one", if ill { 50 } else { 100 }, 100)])
    }

    pub(crate) fn pin(
        &self,
        holder: &Holder,
        artifacts: &[Artifact],
        expires: Option<Timestamp>,
    ) -> Result<(), SeamError> {
        let mut target = self.target.lock().unwrap();
        let kept = target.pins.entry(holder.clone()).or_default();
        kept.extend(artifacts.iter().map(|artifact| (artifact.clone(), expires)));
        Ok(())
    }

    pub(crate) fn unpin(&self, holder: &Holder) -> Result<(), SeamError> {
        self.target.lock().unwrap().pins.remove(holder);
        Ok(())
    }

    /// What must hold when every process is through: so the promotions have ended, this is what runs, and so often it was changed.
    pub(crate) fn check_stage(&self, expected: &[State], runs: Digest, changes: &[(Digest, Reach)]) {
        let state = match self.state() {
            Ok(state) => state,
            Err(why) => return self.violate(format!("invariant 4: {why}")),
        };
        let mut target = self.target.lock().unwrap();
        let promotions = self.promotions.lock().unwrap().clone();
        let ended: Vec<State> = promotions.values().skip(1).map(|told| told.state).collect();
        if ended != expected {
            target.violations.push(format!("invariant 7: the promotions ended as {ended:?}"));
        }
        if target.running != Some(runs)
            || target.canary != Some(runs)
            || state.current().map(|current| current.release.digest()) != Some(runs)
        {
            let what = format!(
                "invariant 7: the stage runs {:?}, its canary {:?}, the journal says {:?}",
                target.running,
                target.canary,
                state.current()
            );
            target.violations.push(what);
        }
        let happened: Vec<(Digest, Reach)> =
            target.changes.iter().map(|(_, release, reach)| (*release, *reach)).collect();
        if happened != changes {
            let what =
                format!("invariant 11: the stage was changed {} times: {:?}", happened.len(), target.changes);
            target.violations.push(what);
        }
        let needed: Vec<&Holder> = promotions
            .iter()
            .filter(|(number, _)| state.is_needed(**number))
            .filter_map(|(_, told)| told.holder.as_ref())
            .collect();
        let lasting: Vec<&Holder> = target
            .pins
            .iter()
            .filter(|(_, kept)| kept.values().any(Option::is_none))
            .map(|(holder, _)| holder)
            .collect();
        if needed != lasting {
            let what = format!("pins: {needed:?} are needed, {lasting:?} stay for ever");
            target.violations.push(what);
        }
    }
}

impl Scenario for World {
    fn engine(&self, owner: &str, probe: &Arc<Probe>) -> Engine {
        engine(self, owner, probe)
    }

    fn run(&self, engine: Engine) -> Run {
        Box::pin(promote(engine, Arc::clone(&self.clock), self.second.clone(), "second"))
    }

    fn copy(&self) -> Self {
        let (journal, ids) = (copy(&self.journal), Arc::new(SequentialIds::starting_at(100)));
        self.copy_into(&journal, &Arc::new(ManualClock::at(self.clock.now())), &ids)
    }

    fn violate(&self, what: String) {
        self.target.lock().unwrap().violations.push(what);
    }

    fn violations(&self) -> Vec<String> {
        self.target.lock().unwrap().violations.clone()
    }

    fn check_end(&self) {
        let verifier = engine(self, "verifier", &Arc::new(Probe::default()));
        if let Err(error) = now(verifier.verify()) {
            self.violate(format!("invariant 4: {error}"));
        }
        let (first, second) = (self.first.digest(), self.second.digest());
        let (ended, runs) = match self.life.outcome {
            Outcome::Succeeds => (State::Succeeded, second),
            Outcome::RollsBack => (State::RolledBack, first),
        };
        let changes = match (self.life.outcome, self.life.canary) {
            (Outcome::Succeeds, false) => vec![(second, Reach::All)],
            (Outcome::Succeeds, true) => vec![(second, Reach::Canary), (second, Reach::All)],
            (Outcome::RollsBack, false) => vec![(second, Reach::All), (first, Reach::All)],
            (Outcome::RollsBack, true) => vec![(second, Reach::Canary), (first, Reach::All)],
        };
        self.check_stage(&[ended], runs, &changes);
    }
}

/// A journal with the same events.
pub(crate) fn copy(journal: &MemoryJournal) -> MemoryJournal {
    let copy = MemoryJournal::new();
    for stream in now(journal.streams("")).unwrap() {
        let events = now(journal.read(&stream, 0, usize::MAX)).unwrap();
        now(copy.append(&[Append::new(stream, 0, events)])).unwrap();
    }
    copy
}

impl Target {
    fn keeps(&self, artifact: &Artifact) -> bool {
        self.pins.values().any(|kept| kept.contains_key(artifact))
    }
}
