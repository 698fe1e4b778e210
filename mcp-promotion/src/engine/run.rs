use std::future::Future;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::call::Timing;
use super::drive::{Step, is_overtaken};
use super::stop::Stop;
use super::{Engine, Slot, Task};
use crate::host;
use crate::machine::Command;
use crate::{Fencing, PromotionError, Stage};

impl Engine {
    /// Drives every stage that this engine has until [`stop`](Self::stop) is called, each on its own: a stage that hangs holds up no other.
    /// Several runs of one engine take turns.
    ///
    /// Needs the timer of the tokio runtime; spawn it, or poll it beside other work. What goes wrong is recorded, shows among the
    /// [`blockers`](Self::blockers), and is tried again; what cannot be recorded shows there too, and in [`troubles`](Self::troubles). Neither a
    /// failing stage nor a journal that is away ends it, and a panic in the host's code is an error of that one call, where panics unwind. A
    /// call that blocks the thread instead of waiting cannot be helped, and holds up all stages. Commands of this engine wake it at once;
    /// what other processes do it sees within [`Settings::poll`](super::Settings).
    ///
    /// # Cancel safety
    /// Dropping it stops it as a crash would: its leases stay until they are over, except for an engine with the same owner name.
    /// When the engine is dropped too, a journal with [`Owners`](crate::Owners) lets others take over at once.
    pub fn run(self) -> impl Future<Output = ()> + Send + 'static {
        // From the call on, and not from the first poll: what is spawned and stopped at once must stop.
        let stop = self.inner.stops.listen();
        async move {
            let slots = self.inner.slots.values().filter(|slot| slot.stage.is_some());
            let mut stages: FuturesUnordered<_> =
                slots.map(|slot| self.run_stage(slot, stop.clone())).collect();
            let stages = async { while stages.next().await.is_some() {} };
            let slots = self.inner.slots.values().filter(|slot| slot.make_lane.is_some());
            let mut lanes: FuturesUnordered<_> =
                slots.map(|slot| self.run_lanes(slot, stop.clone())).collect();
            let lanes = async { while lanes.next().await.is_some() {} };
            futures::join!(stages, lanes, self.run_plans(stop.clone()));
        }
    }

    /// Ends every [`run`](Self::run) of this engine that was called before; a later one is not concerned, and goes on where they were.
    ///
    /// A run then begins no further step. The one that it is in may go on for [`Settings::stop_grace`](super::Settings), and is then dropped;
    /// giving the leases back may take as long again, so that the run ends within twice that time. The lease of a stage that enforces no
    /// fences is not given back when a call to it was dropped: nobody knows whether the call has ended, and an operator who does gives it up
    /// with [`release_lease`](Self::release_lease).
    pub fn stop(&self) {
        self.inner.stops.stop();
    }

    pub(super) async fn run_stage(&self, slot: &Slot, mut stop: Stop) {
        let mut news = slot.news.subscribe();
        let grace = self.inner.settings.stop_grace;
        while !stop.is_told() {
            news.mark_unchanged();
            // In a box, so that a stage with nothing to do takes little memory.
            let step = Box::pin(self.step_stage(slot, Timing::Timed));
            let Some(step) = stop.within(grace, step).await else { break };
            let pause = match step {
                Ok(Step::Advanced(_) | Step::Overtaken(_)) => {
                    // Others may want the thread.
                    tokio::task::yield_now().await;
                    continue;
                }
                Ok(Step::Waiting(until)) => {
                    let due = until.map_or(Duration::MAX, |until| until.saturating_since(self.now()));
                    due.min(self.inner.settings.poll)
                }
                // It is among the troubles.
                Err(_) => self.inner.settings.poll,
            };
            tokio::select! {
                _ = news.changed() => {}
                () = stop.told() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        let Some(stage) = &slot.stage else { return };
        let give_up = Box::pin(self.give_up_lease(slot, &**stage));
        if let Ok(Err(error)) = tokio::time::timeout(grace, give_up).await
            && !is_overtaken(&error)
        {
            self.inner.troubles.met(Task::Stage(slot.name.clone()), &error, self.now());
        }
    }

    /// Lets another driver begin at once; when that fails, it begins when the lease is over.
    async fn give_up_lease(&self, slot: &Slot, stage: &dyn Stage) -> Result<(), PromotionError> {
        let mut driving = slot.driving.lock().await;
        let fence = match driving.fence.take() {
            Some(fence) => Some(fence),
            // A call may still be under way, which the stage refuses once it was shown the fence of the next driver.
            None if host::ask("stage", || Ok(stage.fencing()))
                .is_ok_and(|fencing| fencing == Fencing::Enforced) =>
            {
                let state = self.load(slot).await?;
                state.lease().filter(|lease| lease.owner == self.inner.owner).map(|lease| lease.fence)
            }
            None => None,
        };
        match fence {
            Some(fence) => self.record(slot, &Command::DropLease { fence }).await.map(drop),
            None => Ok(()),
        }
    }
}
