//! One engine with a manual clock, and a stage that does what the test says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::{Clock, Digest, ErrorKind, ManualClock, RecordingSink, SeamError, SequentialIds};
use mcp_promotion::{
    AllowList, Context, Engine, EngineBuilder, Fence, Fencing, MemoryJournal, Observed, Pipeline, Policy,
    PromotionId, Reach, Release, Sample, Stage, StageError, State, Step, Window,
};

/// What the stage does next, in place of what it should.
#[derive(Clone, Debug)]
pub(crate) enum Trick {
    /// `apply` fails before it has done anything.
    ApplyFails,
    /// `apply` says yes and does nothing.
    ApplyLies,
    /// `observe` cannot tell.
    ObserveUnknown,
    /// `observe` fails.
    ObserveFails,
    /// Somebody else has put this there.
    Foreign(Digest),
    /// `observe` says this once.
    Seen(Observed),
}

/// What the stage does when it is told to reach its canary only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Canaries {
    /// What it should.
    #[default]
    Has,
    /// It has none, and refuses.
    Refuses,
    /// It has none, and changes everything.
    Ignores,
}

#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) running: Option<Digest>,
    /// What the canary runs instead, where that is something else.
    pub(crate) canary: Option<Digest>,
    pub(crate) canaries: Canaries,
    pub(crate) tricks: VecDeque<Trick>,
    /// Good requests of 100, by release; 100 unless listed. `None` is no data.
    pub(crate) health: Vec<(Digest, Option<u64>)>,
    /// How many instances there are beside the one that is the canary.
    pub(crate) peers: usize,
    /// What as many instances elsewhere run and report for comparison, while the canary runs the same as everything else.
    pub(crate) elsewhere: Option<Digest>,
    pub(crate) applied: Vec<String>,
    /// The keys under which that was done.
    pub(crate) keys: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Puppet {
    pub(crate) script: Arc<Mutex<Script>>,
    pub(crate) unfenced: bool,
}

impl Puppet {
    pub(crate) fn trick(&self, tricks: impl IntoIterator<Item = Trick>) {
        self.script.lock().unwrap().tricks.extend(tricks);
    }

    pub(crate) fn ill(&self, release: &Release, good: Option<u64>) {
        self.script.lock().unwrap().health.push((release.digest(), good));
    }

    /// What everything runs; `None` also while the canary runs something else.
    pub(crate) fn running(&self) -> Option<Digest> {
        let script = self.script.lock().unwrap();
        script.running.filter(|_| script.canary.is_none())
    }

    pub(crate) fn applied(&self) -> Vec<String> {
        self.script.lock().unwrap().applied.clone()
    }

    pub(crate) fn canaries(&self, canaries: Canaries) {
        self.script.lock().unwrap().canaries = canaries;
    }
}

fn broken(what: &str) -> SeamError {
    SeamError::new(ErrorKind::Unavailable, what)
}

#[async_trait]
impl Stage for Puppet {
    fn fencing(&self) -> Fencing {
        if self.unfenced { Fencing::Unfenced } else { Fencing::Enforced }
    }

    async fn observe(&self, _fence: Fence) -> Result<Observed, StageError> {
        let mut script = self.script.lock().unwrap();
        match script.tricks.front().cloned() {
            Some(Trick::ObserveUnknown) => {
                script.tricks.pop_front();
                return Ok(Observed::Unknown("two of three machines answered".to_owned()));
            }
            Some(Trick::ObserveFails) => {
                script.tricks.pop_front();
                return Err(broken("ask the machines"));
            }
            Some(Trick::Foreign(digest)) => {
                script.tricks.pop_front();
                (script.running, script.canary) = (Some(digest), None);
            }
            Some(Trick::Seen(observed)) => {
                script.tricks.pop_front();
                return Ok(observed);
            }
            _ => {}
        }
        Ok(match script.canary {
            Some(canary) => Observed::Canary { canary, rest: script.running },
            None => script.running.map_or(Observed::Nothing, Observed::Running),
        })
    }

    async fn apply(&self, release: &Release, context: &Context) -> Result<(), StageError> {
        let mut script = self.script.lock().unwrap();
        match script.tricks.front() {
            Some(Trick::ApplyFails) => {
                script.tricks.pop_front();
                return Err(broken("reach the machines"));
            }
            Some(Trick::ApplyLies) => {
                script.tricks.pop_front();
                return Ok(());
            }
            _ => {}
        }
        let wanted = (!release.is_empty()).then(|| release.digest());
        match (context.reach, script.canaries) {
            (Reach::Canary, Canaries::Refuses) => {
                return Err(SeamError::new(ErrorKind::Unsupported, "there is no canary here"));
            }
            (Reach::Canary, Canaries::Has) => {
                script.canary = wanted.filter(|_| wanted != script.running);
                script.applied.push(format!("{release} {}", context.reach));
            }
            _ => {
                (script.running, script.canary) = (wanted, None);
                script.applied.push(release.to_string());
            }
        }
        script.keys.push(context.key.clone());
        Ok(())
    }

    async fn sample(&self, _window: Window) -> Result<Vec<Sample>, StageError> {
        let script = self.script.lock().unwrap();
        let good = |runs: Option<Digest>| {
            let listed = script.health.iter().find(|(release, _)| Some(*release) == runs);
            listed.map_or(Some(100), |(_, good)| *good)
        };
        // Each instance counts for what it really runs.
        let mut samples = Vec::new();
        samples.extend(good(script.canary.or(script.running)).map(|good| Sample::canary("one", good, 100)));
        for peer in 0..script.peers {
            samples.extend(good(script.running).map(|good| match script.canary {
                Some(_) => Sample::baseline(format!("peer-{peer}"), good, 100),
                None => Sample::canary(format!("peer-{peer}"), good, 100),
            }));
            if script.canary.is_none() && script.elsewhere.is_some() {
                let good = good(script.elsewhere);
                samples.extend(good.map(|good| Sample::baseline(format!("else-{peer}"), good, 100)));
            }
        }
        Ok(samples)
    }
}

pub(crate) fn release(version: &str) -> Release {
    Release::of([(format!("app@{version}").as_str(), Digest::of(version.as_bytes()))]).unwrap()
}

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) struct Scene {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) events: Arc<RecordingSink>,
    pub(crate) prod: Puppet,
    pub(crate) journal: MemoryJournal,
}

impl Scene {
    /// `dev`, unverified, and `prod` with this policy.
    pub(crate) fn new(prod: Policy) -> Self {
        Self::with(prod, Puppet::default(), |builder| builder)
    }

    pub(crate) fn with(
        prod: Policy,
        puppet: Puppet,
        more: impl FnOnce(EngineBuilder) -> EngineBuilder,
    ) -> Self {
        let clock = Arc::new(ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap()));
        let (journal, events) = (MemoryJournal::new(), Arc::new(RecordingSink::new()));
        let pipeline =
            Pipeline::builder().stage("dev", Policy::unverified("demo")).stage("prod", prod).build().unwrap();
        let builder = Engine::builder(pipeline, journal.clone())
            .stage("dev", Puppet::default())
            .stage("prod", puppet.clone())
            .authorizer(AllowList::of(["bob", "carol"]).unwrap())
            .clock(clock.clone())
            .ids(Arc::new(SequentialIds::starting_at(1)))
            .events(events.clone())
            .owner("one");
        Self { engine: more(builder).build().unwrap(), clock, events, prod: puppet, journal }
    }

    /// Drives until nothing more happens without a person; the clock goes on, for up to a day, when there is something to wait for.
    pub(crate) async fn settle(&self) {
        let end = self.clock.now().saturating_add(Duration::from_secs(24 * 60 * 60));
        for _ in 0..1000 {
            match self.engine.step().await.unwrap() {
                Step::Waiting(Some(until)) if until < end => {
                    self.clock.advance(until.saturating_since(self.clock.now()));
                }
                Step::Waiting(_) => return,
                _ => {}
            }
        }
        panic!("it does not settle");
    }

    pub(crate) async fn state(&self, id: &PromotionId) -> State {
        self.engine.status(id).await.unwrap().state
    }

    /// Requested by alice and driven as far as it goes.
    pub(crate) async fn promoted(&self, stage: &str, version: &str) -> PromotionId {
        let id = self.engine.request(stage, &release(version), "alice").await.unwrap();
        self.settle().await;
        id
    }

    pub(crate) async fn blockers(&self, id: &PromotionId) -> Vec<String> {
        self.engine.blockers(id).await.unwrap().iter().map(ToString::to_string).collect()
    }
}
