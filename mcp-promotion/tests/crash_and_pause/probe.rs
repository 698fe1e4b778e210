//! Decorators that stop a process before or after any journal write, stage call or pin call.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

use async_trait::async_trait;
use mcp_core::{Artifact, Holder, Name, Pin, SeamError, Timestamp};
use mcp_promotion::{
    Append, Context, Fence, Fencing, Journal, JournalError, Observed, Release, Sample, Stage, StageError,
    Window,
};

use crate::world::World;

/// Counts the points that a process passes, and holds it at one of them.
#[derive(Debug)]
pub(crate) struct Probe {
    passed: AtomicUsize,
    stop_at: AtomicUsize,
    held: AtomicBool,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            passed: AtomicUsize::new(0),
            stop_at: AtomicUsize::new(usize::MAX),
            held: AtomicBool::new(false),
        }
    }
}

impl Probe {
    pub(crate) fn stop_at(&self, point: Option<usize>) {
        self.stop_at.store(point.unwrap_or(usize::MAX), Ordering::Relaxed);
        self.held.store(false, Ordering::Relaxed);
    }

    pub(crate) fn passed(&self) -> usize {
        self.passed.load(Ordering::Relaxed)
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    async fn point(&self) {
        let here = self.passed.fetch_add(1, Ordering::Relaxed);
        if here == self.stop_at.load(Ordering::Relaxed) {
            self.held.store(true, Ordering::Relaxed);
        }
        poll_fn(|_| if self.is_held() { Poll::Pending } else { Poll::Ready(()) }).await;
    }

    pub(crate) async fn around<T>(&self, act: impl FnOnce() -> T) -> T {
        self.point().await;
        let outcome = act();
        self.point().await;
        outcome
    }
}

/// The world, as one process sees it.
#[derive(Clone)]
pub(crate) struct Probed {
    pub(crate) world: World,
    pub(crate) owner: Name,
    pub(crate) probe: Arc<Probe>,
}

#[async_trait]
impl Journal for Probed {
    async fn append(&self, batch: &[Append]) -> Result<(), JournalError> {
        self.probe.around(|| self.world.append(&self.owner, batch)).await
    }

    async fn read(&self, stream: &Name, after: u64, max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        self.world.journal.read(stream, after, max).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<Name>, JournalError> {
        self.world.journal.streams(prefix).await
    }
}

#[async_trait]
impl Stage for Probed {
    fn fencing(&self) -> Fencing {
        Fencing::Enforced
    }

    async fn observe(&self, fence: Fence) -> Result<Observed, StageError> {
        self.probe.around(|| self.world.observe(fence)).await
    }

    async fn apply(&self, release: &Release, context: &Context) -> Result<(), StageError> {
        self.probe.around(|| self.world.apply(release, context)).await
    }

    async fn sample(&self, _window: Window) -> Result<Vec<Sample>, StageError> {
        self.probe.around(|| self.world.sample()).await
    }
}

#[async_trait]
impl Pin for Probed {
    async fn pin(
        &self,
        holder: &Holder,
        artifacts: &[Artifact],
        expires: Option<Timestamp>,
    ) -> Result<(), SeamError> {
        self.probe.around(|| self.world.pin(holder, artifacts, expires)).await
    }

    async fn release(&self, holder: &Holder) -> Result<(), SeamError> {
        self.probe.around(|| self.world.unpin(holder)).await
    }
}

impl Probe {
    pub(crate) fn restart(&self) {
        self.passed.store(0, Ordering::Relaxed);
    }
}
