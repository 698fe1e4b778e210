use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::drive::{Step, Timing};
use super::{Engine, Slot};
use crate::machine::Command;

impl Engine {
    /// Drives every stage that this engine has until [`stop`](Self::stop) is called, each on its own: a stage that hangs holds up no other.
    ///
    /// Needs the timer of the tokio runtime; spawn it, or poll it beside other work. What goes wrong is recorded, shows among the
    /// [`blockers`](Self::blockers), and is tried again: neither a failing stage nor a journal that is away ends it; a panic in a stage, a gate
    /// or a judge does, for all stages, and a new `run` goes on where it was. Commands of this engine
    /// wake it at once; what other processes do it sees within [`Settings::poll`](super::Settings).
    ///
    /// # Cancel safety
    /// Dropping it stops it as a crash would: its leases stay until they are over, except for an engine with the same owner name.
    pub async fn run(self) {
        // An engine that was stopped can be run again.
        self.inner.stopped.send_replace(false);
        let mut stages: FuturesUnordered<_> = self
            .inner
            .slots
            .values()
            .filter(|slot| slot.stage.is_some())
            .map(|slot| self.run_stage(slot))
            .collect();
        while stages.next().await.is_some() {}
    }

    /// Tells every [`run`](Self::run) of this engine to finish the step that it is in, give up its leases, and return.
    pub fn stop(&self) {
        self.inner.stopped.send_replace(true);
    }

    async fn run_stage(&self, slot: &Slot) {
        let mut news = slot.news.subscribe();
        let mut stopped = self.inner.stopped.subscribe();
        while !*stopped.borrow_and_update() {
            news.mark_unchanged();
            let pause = match self.step_stage(slot, Timing::Timed).await {
                Ok(Step::Advanced(_) | Step::Overtaken(_)) => {
                    // Others may want the thread.
                    tokio::task::yield_now().await;
                    continue;
                }
                Ok(Step::Waiting(until)) => {
                    let due = until.map_or(Duration::MAX, |until| until.saturating_since(self.now()));
                    due.min(self.inner.settings.poll)
                }
                // The journal is away or damaged; commands and queries tell.
                Err(_) => self.inner.settings.poll,
            };
            tokio::select! {
                _ = news.changed() => {}
                _ = stopped.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.give_up_lease(slot).await;
    }

    /// Lets another driver begin at once; when that fails, it begins when the lease is over.
    async fn give_up_lease(&self, slot: &Slot) {
        let mut driving = slot.driving.lock().await;
        if let Some(fence) = driving.fence.take() {
            drop(self.record(slot, &Command::DropLease { fence }).await);
        }
    }
}
