use std::collections::BTreeMap;
use std::sync::Arc;

use mcp_core::{Clock, EventSink, Fetch, IdSource, Name, NullSink, ParseError, Pin, RandomIds, SystemClock};
use tokio::sync::OnceCell;

use super::lanes::MakeLane;
use super::plan_news::PlanNews;
use super::{Engine, Inner, Settings, Slot};
use crate::verification::{JudgeChoice, Verification};
use crate::{Authorizer, FetchGate, Gate, Journal, Judge, Lane, Pipeline, PromotionError, Stage};

/// Collects what an [`Engine`] works with; checked in [`build`](Self::build).
pub struct EngineBuilder {
    pipeline: Pipeline,
    journal: Arc<dyn Journal>,
    stages: Vec<(Result<Name, ParseError>, Arc<dyn Stage>)>,
    lanes: Vec<(Result<Name, ParseError>, MakeLane)>,
    gates: Vec<(Result<Name, ParseError>, Arc<dyn Gate>)>,
    judges: Vec<(Result<Name, ParseError>, Arc<dyn Judge>)>,
    fetch: Option<Arc<dyn Fetch>>,
    authorizer: Option<Arc<dyn Authorizer>>,
    pin: Option<Arc<dyn Pin>>,
    clock: Arc<dyn Clock>,
    ids: Option<Arc<dyn IdSource>>,
    events: Arc<dyn EventSink>,
    owner: Option<Result<Name, ParseError>>,
    settings: Settings,
}

/// The name of the gate that [`EngineBuilder::fetch`] adds.
const FETCH: &str = "fetch";

impl EngineBuilder {
    pub(super) fn new(pipeline: Pipeline, journal: Arc<dyn Journal>) -> Self {
        Self {
            pipeline,
            journal,
            stages: Vec::new(),
            lanes: Vec::new(),
            gates: Vec::new(),
            judges: Vec::new(),
            fetch: None,
            authorizer: None,
            pin: None,
            clock: Arc::new(SystemClock::new()),
            ids: None,
            events: Arc::new(NullSink),
            owner: None,
            settings: Settings::default(),
        }
    }

    /// The way to one of the pipeline's stages. A stage without one takes commands, and waits for an engine that can drive it.
    #[must_use]
    pub fn stage(
        mut self,
        name: impl TryInto<Name, Error = ParseError>,
        stage: impl Stage + 'static,
    ) -> Self {
        self.stages.push((name.try_into(), Arc::new(stage)));
        self
    }

    /// The way to the lanes of one of the pipeline's stages, whose queue is [`Parallel`](crate::Queue::Parallel): `lane` gives the stage of
    /// each. Where several ask for the same lane at once it may be called more than once, and one of those stages is kept; one that it panics
    /// for fails every call, until there is another engine. It knows fences, keys and releases of its own, and nothing of the other lanes.
    ///
    /// A stage that was parallel and is not any more needs it until nothing is open in its lanes.
    #[must_use]
    pub fn lanes<S: Stage + 'static>(
        mut self,
        name: impl TryInto<Name, Error = ParseError>,
        lane: impl Fn(&Lane) -> S + Send + Sync + 'static,
    ) -> Self {
        let make: MakeLane = Arc::new(move |which: &Lane| Arc::new(lane(which)));
        self.lanes.push((name.try_into(), make));
        self
    }

    /// A gate that policies can name.
    #[must_use]
    pub fn gate(mut self, name: impl TryInto<Name, Error = ParseError>, gate: impl Gate + 'static) -> Self {
        self.gates.push((name.try_into(), Arc::new(gate)));
        self
    }

    /// A judge that policies can name.
    #[must_use]
    pub fn judge(
        mut self,
        name: impl TryInto<Name, Error = ParseError>,
        judge: impl Judge + 'static,
    ) -> Self {
        self.judges.push((name.try_into(), Arc::new(judge)));
        self
    }

    /// Adds a [`FetchGate`] named `fetch` to every stage: nothing is started whose artifacts do not exist, or have other digests.
    #[must_use]
    pub fn fetch(mut self, fetch: Arc<dyn Fetch>) -> Self {
        self.fetch = Some(fetch);
        self
    }

    /// Who may vote; needed where a policy asks for approvals.
    #[must_use]
    pub fn authorizer(mut self, authorizer: impl Authorizer + 'static) -> Self {
        self.authorizer = Some(Arc::new(authorizer));
        self
    }

    /// Keeps the artifacts of what is requested, runs, or may come back. Without it nothing is kept.
    #[must_use]
    pub fn pin(mut self, pin: Arc<dyn Pin>) -> Self {
        self.pin = Some(pin);
        self
    }

    /// The time; the operating system's by default.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// New ids; random ones by default.
    #[must_use]
    pub fn ids(mut self, ids: Arc<dyn IdSource>) -> Self {
        self.ids = Some(ids);
        self
    }

    /// Who hears what happens; nobody by default.
    #[must_use]
    pub fn events(mut self, events: Arc<dyn EventSink>) -> Self {
        self.events = events;
        self
    }

    /// The name under which this engine takes leases; a new id by default.
    ///
    /// It must belong to one living engine at a time: whoever comes with the name of the present owner takes over at once. A journal that
    /// has [`Owners`](crate::Owners) refuses a second one; with any other, the host must see to it.
    #[must_use]
    pub fn owner(mut self, owner: impl TryInto<Name, Error = ParseError>) -> Self {
        self.owner = Some(owner.try_into());
        self
    }

    /// Times that are not part of a policy.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Checks that everything fits together.
    ///
    /// # Errors
    /// `Invalid`, naming what is missing or too much: a stage that the pipeline does not have, a gate or judge that a policy names and nobody
    /// gave, approvals without an authorizer, a name given twice, settings of no length. `Unavailable` when the operating system has no
    /// random bytes to give.
    pub fn build(self) -> Result<Engine, PromotionError> {
        let refuse = |reason: String| Err(PromotionError::Setup { reason });
        let Settings { lease, poll, .. } = self.settings;
        if lease.is_zero() || poll.is_zero() {
            return refuse("a lease or a poll interval of no length never ends waiting".to_owned());
        }
        let mut stages = named("stage", self.stages)?;
        let mut lanes = named("lanes of stage", self.lanes)?;
        let mut gates = named("gate", self.gates)?;
        let judges = named("judge", self.judges)?;
        let mut pipeline = self.pipeline;
        if let Some(fetch) = self.fetch {
            let name: Name = FETCH.parse()?;
            if gates.insert(name.clone(), Arc::new(FetchGate::new(fetch))).is_some() {
                return refuse(format!(
                    "gate {FETCH} was given, and is also what fetch(..) adds; give one of them"
                ));
            }
            pipeline = pipeline.with_gate(&name);
        }
        if let Some(stage) = stages.keys().chain(lanes.keys()).find(|stage| pipeline.policy(stage).is_none())
        {
            return refuse(format!("stage {stage} was given, and the pipeline has none of this name"));
        }
        for (stage, policy) in pipeline.stages() {
            if (policy.approvals > 0 || !policy.levels.is_empty()) && self.authorizer.is_none() {
                return refuse(format!(
                    "stage {stage} asks for approvals; say with authorizer(..) who may give them"
                ));
            }
            // An engine without the stage only takes commands, and needs neither its gates nor its judge.
            if !stages.contains_key(stage) && !lanes.contains_key(stage) {
                continue;
            }
            if policy.queue.is_parallel() && !lanes.contains_key(stage) {
                return refuse(format!(
                    "the queue of stage {stage} is parallel; give its lanes with lanes(\"{stage}\", ..) instead of the stage"
                ));
            }
            if let Some(gate) = policy.gates.iter().find(|gate| !gates.contains_key(*gate)) {
                return refuse(format!(
                    "stage {stage} asks for gate {gate}; give it with gate({gate:?}, ..)"
                ));
            }
            if let Verification::Judged(judged) = &policy.verification {
                for choice in std::iter::once(&judged.judge).chain(&judged.shadow) {
                    if let JudgeChoice::Named(judge) = choice
                        && !judges.contains_key(judge)
                    {
                        return refuse(format!(
                            "stage {stage} asks for judge {judge}; give it with judge({judge:?}, ..)"
                        ));
                    }
                }
            }
        }
        let ids = match self.ids {
            Some(ids) => ids,
            None => Arc::new(RandomIds::new().map_err(PromotionError::seam("find a source of ids"))?),
        };
        let owner = match self.owner {
            Some(owner) => owner?,
            None => ids.next_id().to_string().parse()?,
        };
        let mut slots = BTreeMap::new();
        let followers = pipeline.followers();
        for (name, policy) in pipeline.stages() {
            let after_it = followers.get(name).into_iter().flatten().copied().cloned().collect();
            let mut slot = Slot::new(name, Arc::clone(policy), stages.remove(name), after_it)?;
            slot.make_lane = lanes.remove(name);
            slots.insert(name.clone(), slot);
        }
        let inner = Inner {
            pipeline,
            slots,
            journal: self.journal,
            gates,
            judges,
            authorizer: self.authorizer,
            pin: self.pin,
            clock: self.clock,
            ids,
            events: self.events,
            owner,
            claim: OnceCell::new(),
            settings: self.settings,
            troubles: super::trouble::Troubles::default(),
            stops: super::stop::Stops::default(),
            plans: super::plan_stream::Plans::default(),
            stats: std::sync::Mutex::default(),
            plan_news: PlanNews::new(),
            sights: super::plan_sight::Sights::default(),
            planning: tokio::sync::Mutex::default(),
        };
        Ok(Engine { inner: Arc::new(inner) })
    }
}

fn named<T>(
    what: &str,
    given: Vec<(Result<Name, ParseError>, T)>,
) -> Result<BTreeMap<Name, T>, PromotionError> {
    let mut named = BTreeMap::new();
    for (name, thing) in given {
        let name = name?;
        if named.insert(name.clone(), thing).is_some() {
            return Err(PromotionError::Setup { reason: format!("{what} {name} was given twice") });
        }
    }
    Ok(named)
}
