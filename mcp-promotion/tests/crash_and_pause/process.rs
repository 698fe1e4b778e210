//! One process: an engine, and a client that asks, approves and drives to the end.

use std::pin::Pin as Pinned;
use std::sync::Arc;
use std::task::{Poll, Waker};

use mcp_core::{Clock, ManualClock};
use mcp_promotion::{
    Actor, AllowList, Engine, GateAnswer, GateError, GateRequest, PromotionError, PromotionId, Release, Step,
};

use crate::probe::{Probe, Probed};
use crate::world::World;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It stands at the point at which it was to stop.
    Stopped,
    /// It has nothing more to do.
    Done,
}

pub(crate) type Run = Pinned<Box<dyn Future<Output = Result<(), PromotionError>>>>;

/// What survives a crash, and what a process does with it.
pub(crate) trait Scenario: Clone {
    /// An engine of a process that is stopped by `probe`.
    fn engine(&self, owner: &str, probe: &Arc<Probe>) -> Engine;
    /// All that a process does, from its start to its end; the same again after a crash.
    fn run(&self, engine: Engine) -> Run;
    /// Another one that has come as far as this one.
    fn copy(&self) -> Self;
    fn violate(&self, what: String);
    fn violations(&self) -> Vec<String>;
    /// What must hold when every process is through.
    fn check_end(&self);
}

pub(crate) struct Process<S> {
    world: S,
    engine: Engine,
    probe: Arc<Probe>,
    run: Run,
}

/// Passes always.
struct Open;

#[async_trait::async_trait]
impl mcp_promotion::Gate for Open {
    async fn check(&self, _request: &GateRequest<'_>) -> Result<GateAnswer, GateError> {
        Ok(GateAnswer::pass("open"))
    }
}

pub(crate) fn engine(world: &World, owner: &str, probe: &Arc<Probe>) -> Engine {
    let probed = Probed { world: world.clone(), owner: owner.parse().unwrap(), probe: Arc::clone(probe) };
    Engine::builder(world.pipeline(), probed.clone())
        .stage("prod", probed.clone())
        .gate("open", Open)
        .authorizer(AllowList::of(["bob"]).unwrap())
        .pin(Arc::new(probed))
        .clock(world.clock.clone())
        .ids(world.ids.clone())
        .owner(owner)
        .build()
        .unwrap()
}

impl<S: Scenario> Process<S> {
    pub(crate) fn new(world: &S, owner: &str) -> Self {
        let probe = Arc::new(Probe::default());
        let engine = world.engine(owner, &probe);
        Self::of(world.clone(), engine, probe)
    }

    fn of(world: S, engine: Engine, probe: Arc<Probe>) -> Self {
        let run = world.run(engine.clone());
        Self { world, engine, probe, run }
    }

    /// The same engine after its future was dropped; its points are counted anew.
    pub(crate) fn again(self) -> Self {
        let Self { world, engine, probe, run } = self;
        drop(run);
        probe.restart();
        Self::of(world, engine, probe)
    }

    /// Goes on to its end, or to a point.
    pub(crate) fn go_on(&mut self, stop_at: Option<usize>) -> Progress {
        self.probe.stop_at(stop_at);
        let mut context = std::task::Context::from_waker(Waker::noop());
        match self.run.as_mut().poll(&mut context) {
            Poll::Pending => {
                assert!(self.probe.is_held(), "a future waits for something that nobody holds");
                Progress::Stopped
            }
            Poll::Ready(outcome) => {
                if let Err(error) = outcome {
                    self.world.violate(format!("an error: {error} ({})", error.kind()));
                }
                Progress::Done
            }
        }
    }

    pub(crate) fn points(&self) -> usize {
        self.probe.passed()
    }
}

/// Asks for `release`, approves it, and drives to the end.
pub(crate) async fn promote(
    engine: Engine,
    clock: Arc<ManualClock>,
    release: Release,
    request: &'static str,
) -> Result<(), PromotionError> {
    let alice = Actor::new("alice")?.request_id(request)?;
    let id: PromotionId = engine.request("prod", &release, alice).await?;
    let bob = Actor::new("bob")?.request_id(format!("{request}-approval").as_str())?;
    engine.approve(&id, bob).await?;
    drive(engine, clock).await
}

/// Drives until there is nothing to do; the clock goes on whenever there is something to wait for.
pub(crate) async fn drive(engine: Engine, clock: Arc<ManualClock>) -> Result<(), PromotionError> {
    for _ in 0..500 {
        match engine.step().await? {
            Step::Waiting(Some(until)) => clock.advance(until.saturating_since(clock.now())),
            Step::Waiting(None) => return Ok(()),
            _ => {}
        }
    }
    Err(PromotionError::Internal {
        attempted: "drive to the end".to_owned(),
        reason: "it has none".to_owned(),
    })
}
