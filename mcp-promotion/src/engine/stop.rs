use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;

use crate::host;

/// How often an engine was told to stop.
#[derive(Debug, Default)]
pub(super) struct Stops(watch::Sender<u64>);

impl Stops {
    pub(super) fn stop(&self) {
        self.0.send_modify(|times| *times = times.wrapping_add(1));
    }

    /// What one run listens to, from now on.
    pub(super) fn listen(&self) -> Stop {
        let told = self.0.subscribe();
        let before = *told.borrow();
        Stop { told, before }
    }
}

/// Whether one run was told to stop.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    told: watch::Receiver<u64>,
    /// How often the engine was told before this run began, which does not concern it.
    before: u64,
}

impl Stop {
    pub(super) fn is_told(&self) -> bool {
        *self.told.borrow() != self.before
    }

    /// Waits until the run is told to stop.
    pub(super) async fn told(&mut self) {
        let before = self.before;
        // An engine that is gone tells nobody any more, and stops its runs too.
        drop(self.told.wait_for(|times| *times != before).await);
    }

    /// What `work` comes to; `None` when it was dropped because it was still under way `grace` after the run was told to stop.
    pub(super) async fn within<T>(
        &mut self,
        grace: Duration,
        mut work: impl Future<Output = T> + Unpin,
    ) -> Option<T> {
        let over = async {
            self.told().await;
            tokio::time::sleep(grace).await;
        };
        let done = tokio::select! {
            biased;
            done = &mut work => Some(done),
            () = over => None,
        };
        // Futures of the host are dropped with it.
        host::tell(|| drop(work));
        done
    }
}
