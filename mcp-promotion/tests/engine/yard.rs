//! A stage with lanes, each of them a puppet, which looks at every call how many promotions the journal says are in flight.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::{Clock, Digest, ManualClock, Name, SequentialIds};
use mcp_promotion::machine::StageState;
use mcp_promotion::{
    AllowList, Chain, Context, Engine, EngineBuilder, Fence, Fencing, Journal, Lane, MemoryJournal, Observed,
    Pipeline, Policy, PromotionId, Queue, Release, Sample, Stage, StageError, State, Step, Window,
};

use crate::scene::Puppet;

#[derive(Clone)]
pub(crate) struct Yard {
    pub(crate) journal: MemoryJournal,
    pub(crate) clock: Arc<ManualClock>,
    ids: Arc<SequentialIds>,
    puppets: Arc<Mutex<BTreeMap<Name, Puppet>>>,
    folded: Arc<Mutex<BTreeMap<Name, (Chain, StageState)>>>,
    /// The most promotions that were ever in flight at once.
    pub(crate) most: Arc<Mutex<usize>>,
    pub(crate) limit: u32,
}

/// One lane of it.
struct Berth {
    yard: Yard,
    puppet: Puppet,
}

/// Such as `app@1.0.0 worker@2.0.0`.
pub(crate) fn cargo(references: &str) -> Release {
    Release::of(references.split(' ').map(|text| (text, Digest::of(text.as_bytes())))).unwrap()
}

impl Yard {
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            journal: MemoryJournal::new(),
            clock: Arc::new(ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap())),
            ids: Arc::new(SequentialIds::starting_at(1)),
            puppets: Arc::default(),
            folded: Arc::default(),
            most: Arc::default(),
            limit,
        }
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy::unverified("demo").queue(Queue::Parallel(self.limit))
    }

    pub(crate) fn engine(&self, owner: &str) -> Engine {
        self.with(owner, self.policy(), |builder| builder)
    }

    pub(crate) fn with(
        &self,
        owner: &str,
        policy: Policy,
        more: impl FnOnce(EngineBuilder) -> EngineBuilder,
    ) -> Engine {
        let pipeline = Pipeline::builder().stage("prod", policy).build().unwrap();
        more(self.builder(owner, pipeline)).build().unwrap()
    }

    /// An engine that has the lanes of `prod`.
    pub(crate) fn builder(&self, owner: &str, pipeline: Pipeline) -> EngineBuilder {
        let yard = self.clone();
        Engine::builder(pipeline, self.journal.clone())
            .lanes("prod", move |lane: &Lane| Berth {
                yard: yard.clone(),
                puppet: yard.puppet(lane.name.as_str()),
            })
            .authorizer(AllowList::of(["bob"]).unwrap())
            .clock(self.clock.clone())
            .ids(self.ids.clone())
            .owner(owner)
    }

    /// What is behind a lane such as `prod/app`.
    pub(crate) fn puppet(&self, lane: &str) -> Puppet {
        self.puppets.lock().unwrap().entry(lane.parse().unwrap()).or_default().clone()
    }

    /// Drives until nothing more happens without a person.
    pub(crate) async fn settle(&self, engine: &Engine) {
        let end = self.clock.now().saturating_add(Duration::from_secs(24 * 60 * 60));
        for _ in 0..10_000 {
            match engine.step().await.unwrap() {
                Step::Waiting(Some(until)) if until < end => {
                    self.clock.advance(until.saturating_since(self.clock.now()));
                }
                Step::Waiting(_) => return,
                _ => {}
            }
        }
        panic!("it does not settle");
    }

    /// Invariant 5, by what the streams of the lanes themselves say: at most so many in flight, no artifact twice.
    pub(crate) async fn look(&self) -> BTreeSet<PromotionId> {
        let streams = self.journal.streams("stage/prod/").await.unwrap();
        let (mut in_flight, mut artifacts) = (BTreeSet::new(), BTreeSet::new());
        for stream in streams {
            let lane: Name = stream.as_str().strip_prefix("stage/").unwrap().parse().unwrap();
            let start = || (Chain::start(stream.clone()), StageState::new(lane.clone()));
            let version = self.folded.lock().unwrap().entry(lane.clone()).or_insert_with(start).0.version();
            let events = self.journal.read(&stream, version, usize::MAX).await.unwrap();
            let mut folded = self.folded.lock().unwrap();
            let (chain, state) = folded.get_mut(&lane).unwrap();
            for bytes in events {
                state.apply(&chain.read(&bytes).unwrap()).unwrap();
            }
            for promotion in state.open().filter(|promotion| promotion.state.is_in_flight()) {
                in_flight.insert(promotion.id.clone());
                for artifact in promotion.release.artifacts() {
                    let name = &artifact.reference.name;
                    assert!(artifacts.insert(name.clone()), "{name} is in flight twice: {in_flight:?}");
                }
            }
        }
        assert!(in_flight.len() <= self.limit as usize, "{in_flight:?} are in flight");
        let mut most = self.most.lock().unwrap();
        *most = in_flight.len().max(*most);
        in_flight
    }
}

#[async_trait]
impl Stage for Berth {
    fn fencing(&self) -> Fencing {
        self.puppet.fencing()
    }

    async fn observe(&self, fence: Fence) -> Result<Observed, StageError> {
        self.yard.look().await;
        tokio::task::yield_now().await;
        self.puppet.observe(fence).await
    }

    async fn apply(&self, release: &Release, context: &Context) -> Result<(), StageError> {
        let in_flight = self.yard.look().await;
        assert!(
            in_flight.contains(&context.promotion),
            "{} is applied, and is not in flight",
            context.promotion
        );
        tokio::task::yield_now().await;
        self.puppet.apply(release, context).await
    }

    async fn sample(&self, window: Window) -> Result<Vec<Sample>, StageError> {
        self.yard.look().await;
        self.puppet.sample(window).await
    }
}

/// Requests it for alice.
pub(crate) async fn request(engine: &Engine, references: &str) -> PromotionId {
    engine.request("prod", &cargo(references), "alice").await.unwrap()
}

pub(crate) async fn state(engine: &Engine, id: &PromotionId) -> State {
    engine.status(id).await.unwrap().state
}
