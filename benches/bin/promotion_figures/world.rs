//! What the rows share: a stage that does at once what it is told, and the engines around it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mcp_benches::processor_time;
use mcp_core::Digest;
use mcp_promotion::{Context, Fence, Fencing, Observed, Release, Sample, Stage, StageError, Window};

/// A stage that does at once whatever it is told, and has no traffic.
#[derive(Clone, Default)]
pub(crate) struct AtOnce(Arc<Mutex<(u64, Option<Digest>)>>);

impl AtOnce {
    fn accept(&self, fence: Fence) -> std::sync::MutexGuard<'_, (u64, Option<Digest>)> {
        let mut known = self.0.lock().expect("nobody panics while holding it");
        assert!(fence.0 >= known.0, "fence {fence} came after {}", known.0);
        known.0 = fence.0;
        known
    }
}

#[async_trait]
impl Stage for AtOnce {
    fn fencing(&self) -> Fencing {
        Fencing::Enforced
    }

    async fn observe(&self, fence: Fence) -> Result<Observed, StageError> {
        Ok(self.accept(fence).1.map_or(Observed::Nothing, Observed::Running))
    }

    async fn apply(&self, release: &Release, context: &Context) -> Result<(), StageError> {
        self.accept(context.fence).1 = Some(release.digest());
        Ok(())
    }

    async fn sample(&self, _window: Window) -> Result<Vec<Sample>, StageError> {
        Ok(Vec::new())
    }
}

/// The release number `number` of one application.
pub(crate) fn release(number: u64) -> Release {
    let reference = format!("app@1.0.{number}");
    Release::of([(reference.as_str(), Digest::of(&number.to_le_bytes()))]).expect("a release")
}

/// How long `work` takes.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let outcome = work();
    (outcome, start.elapsed())
}

/// How long `work` keeps processors busy, where that is known, and otherwise how long it takes.
pub(crate) fn busy(work: impl FnOnce()) -> Duration {
    let before = processor_time();
    let ((), elapsed) = timed(work);
    processor_time().zip(before).map_or(elapsed, |(after, before)| after - before)
}

/// The one in the middle.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// As milliseconds with three digits behind the point.
pub(crate) fn shown(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}
