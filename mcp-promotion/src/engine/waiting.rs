use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use super::{Engine, Slot};
use crate::machine::StageState;
use crate::{Happened, PromotionError, PromotionId, State};

/// Who waits for which promotion of a stage. Each event wakes those only whom it concerns, so that a thousand who wait cost a thousand
/// wake-ups, and not as many for each event.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    waiters: Mutex<BTreeMap<u64, (usize, Arc<Notify>)>>,
    /// When one of them looked at the journal last, for all of them.
    looked: Mutex<Option<Instant>>,
}

/// The number of a promotion that comes to rest with this event.
pub(super) fn comes_to_rest(what: &Happened) -> Option<u64> {
    match what {
        Happened::Changed { promotion, to, .. } if is_at_rest(*to) => Some(*promotion),
        _ => None,
    }
}

const fn is_at_rest(state: State) -> bool {
    state.is_terminal() || state.needs_a_person()
}

impl Waiting {
    fn waiters(&self) -> MutexGuard<'_, BTreeMap<u64, (usize, Arc<Notify>)>> {
        // Nothing of the host's runs under this lock, and every change is whole.
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes those who wait for this promotion.
    pub(super) fn tell(&self, number: u64) {
        if let Some((_, notify)) = self.waiters().get(&number) {
            notify.notify_waiters();
        }
    }

    /// Wakes all: nobody saw which promotions came to rest.
    pub(super) fn tell_all(&self) {
        self.waiters().values().for_each(|(_, notify)| notify.notify_waiters());
    }

    fn wait_for(&self, number: u64) -> Waiter<'_> {
        let mut waiters = self.waiters();
        let (count, notify) = waiters.entry(number).or_default();
        *count = count.saturating_add(1);
        Waiter { waiting: self, number, notify: Arc::clone(notify) }
    }

    /// Whether it is time for somebody to look at the journal, who is then the one.
    fn is_time_to_look(&self, poll: Duration) -> bool {
        let now = Instant::now();
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let due = looked.is_none_or(|looked| now.duration_since(looked) >= poll);
        if due {
            *looked = Some(now);
        }
        due
    }
}

/// Somebody who waits.
struct Waiter<'a> {
    waiting: &'a Waiting,
    number: u64,
    notify: Arc<Notify>,
}

impl Waiter<'_> {
    /// Ends when the promotion comes to rest after this call, also before the future is polled.
    fn told(&self) -> Notified<'_> {
        self.notify.notified()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiters = self.waiting.waiters();
        if let Some((count, _)) = waiters.get_mut(&self.number) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                waiters.remove(&self.number);
            }
        }
    }
}

impl Engine {
    /// Where a promotion stands, waiting until nothing more happens without a person: it has ended, or is paused or stuck.
    ///
    /// Needs a driver, and the timer of the tokio runtime. What other processes do is seen within twice [`Settings::poll`](super::Settings).
    ///
    /// # Errors
    /// `NotFound`, and whatever the journal says.
    pub async fn wait(&self, id: &PromotionId) -> Result<State, PromotionError> {
        let place = self.place(&id.stage).await?;
        let slot = &*place;
        let poll = self.inner.settings.poll;
        let waiter = slot.waiting.wait_for(id.number);
        let mut look = true;
        loop {
            // Before looking, so that nothing is missed in between.
            let told = waiter.told();
            let known = if look { self.load(slot).await? } else { self.known(slot).await };
            let state = self.promotion(slot, &known, id.number).await?.state;
            if is_at_rest(state) {
                return Ok(state);
            }
            look = tokio::select! {
                () = told => false,
                () = tokio::time::sleep(poll) => slot.waiting.is_time_to_look(poll),
            };
        }
    }

    /// What this engine has read of a stage, without reading more.
    async fn known(&self, slot: &Slot) -> Arc<StageState> {
        Arc::clone(slot.loaded.lock().await.state())
    }
}
