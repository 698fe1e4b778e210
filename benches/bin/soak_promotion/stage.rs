//! A stage that behaves badly: calls fail, hang, and are said to have worked when they have not.

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use mcp_benches::random::Random;
use mcp_core::{Digest, ErrorKind, SeamError};
use mcp_promotion::{Context, Fence, Fencing, Observed, Release, Sample, Stage, StageError, Window};

struct Inner {
    random: Random,
    fence: u64,
    running: Option<Digest>,
    /// Whether it has stopped to behave badly.
    healed: bool,
    /// How many calls came with a fence that was replaced.
    stale: u64,
}

/// Shared by the engines; it enforces fences.
#[derive(Clone)]
pub(crate) struct Unreliable(Arc<Mutex<Inner>>);

enum Fault {
    Fails,
    Hangs,
    Lies,
}

fn broken(what: &str) -> SeamError {
    SeamError::new(ErrorKind::Unavailable, what)
}

impl Unreliable {
    pub(crate) fn new(seed: u64) -> Self {
        let random = Random::new(seed);
        Self(Arc::new(Mutex::new(Inner { random, fence: 0, running: None, healed: false, stale: 0 })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nobody panics while holding it")
    }

    /// From now on it does what it is told.
    pub(crate) fn heal(&self) {
        self.lock().healed = true;
    }

    pub(crate) fn running(&self) -> Option<Digest> {
        self.lock().running
    }

    pub(crate) fn stale(&self) -> u64 {
        self.lock().stale
    }

    fn accept(&self, fence: Fence) -> Result<(), StageError> {
        let mut inner = self.lock();
        if fence.0 < inner.fence {
            inner.stale += 1;
            return Err(SeamError::new(ErrorKind::Conflict, "an older fence"));
        }
        inner.fence = fence.0;
        Ok(())
    }

    fn fault(&self) -> Option<Fault> {
        let mut inner = self.lock();
        if inner.healed {
            return None;
        }
        match inner.random.below(1000) {
            0..40 => Some(Fault::Fails),
            40..45 => Some(Fault::Hangs),
            45..55 => Some(Fault::Lies),
            _ => None,
        }
    }
}

#[async_trait]
impl Stage for Unreliable {
    fn fencing(&self) -> Fencing {
        Fencing::Enforced
    }

    async fn observe(&self, fence: Fence) -> Result<Observed, StageError> {
        self.accept(fence)?;
        match self.fault() {
            Some(Fault::Fails) => return Err(broken("observe")),
            Some(Fault::Hangs) => std::future::pending().await,
            Some(Fault::Lies) | None => {}
        }
        Ok(self.running().map_or(Observed::Nothing, Observed::Running))
    }

    async fn apply(&self, release: &Release, context: &Context) -> Result<(), StageError> {
        self.accept(context.fence)?;
        match self.fault() {
            Some(Fault::Fails) => return Err(broken("apply")),
            Some(Fault::Hangs) => std::future::pending().await,
            Some(Fault::Lies) => return Ok(()),
            None => {}
        }
        self.lock().running = (!release.is_empty()).then(|| release.digest());
        Ok(())
    }

    /// Of every seventh release each request fails, of the others none.
    async fn sample(&self, _window: Window) -> Result<Vec<Sample>, StageError> {
        let ill = self.running().is_some_and(|running| running.as_bytes()[0] % 7 == 0);
        Ok(vec![Sample::canary("one", if ill { 0 } else { 100 }, 100)])
    }
}
