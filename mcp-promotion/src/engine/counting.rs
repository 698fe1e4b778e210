use std::future::Future;
use std::sync::{MutexGuard, PoisonError};

use super::Engine;
use crate::machine::StageState;
use crate::{Entry, Happened, StageCall, Stats};

/// Counting what is done.
impl Engine {
    /// What this engine has done since it was built. It asks nobody: neither the journal nor a stage.
    pub async fn stats(&self) -> Stats {
        let mut stats = self.counted().clone();
        let stages = self.inner.slots.values();
        for slot in stages.flat_map(|whole| std::iter::once(whole).chain(whole.lanes.iter())) {
            let state = slot.loaded.lock().await.state().clone();
            let in_flight = state.open().filter(|open| open.state.is_in_flight()).count() as u64;
            stats.in_flight = stats.in_flight.saturating_add(in_flight);
            stats.pending =
                stats.pending.saturating_add((state.open().count() as u64).saturating_sub(in_flight));
        }
        stats
    }

    /// Never held while anything is waited for.
    fn counted(&self) -> MutexGuard<'_, Stats> {
        self.inner.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These were appended; `after` is the state after them, and `before` the one before.
    pub(super) fn count_append(&self, before: &StageState, after: &StageState, entries: &[Entry]) {
        let mut stats = self.counted();
        stats.appends = stats.appends.saturating_add(1);
        stats.events = stats.events.saturating_add(entries.len() as u64);
        for entry in entries {
            match &entry.what {
                Happened::Requested(_) => stats.requested = stats.requested.saturating_add(1),
                Happened::Changed { promotion, to, .. } => {
                    let count = stats.transitions.entry(*to).or_default();
                    *count = count.saturating_add(1);
                    let known = before.promotion(*promotion).or_else(|| after.promotion(*promotion));
                    if let Some(known) = known.filter(|_| to.is_terminal()) {
                        stats.promotions.add(entry.at.saturating_since(known.requested_at));
                    }
                }
                _ => {}
            }
        }
    }

    pub(super) fn count_lost_race(&self) {
        let mut stats = self.counted();
        stats.lost_races = stats.lost_races.saturating_add(1);
    }

    /// Counts a call to a stage, and how long it takes; one whose future is dropped is not counted.
    pub(super) async fn count_call<T, E>(
        &self,
        call: StageCall,
        outcome: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let began = self.inner.clock.monotonic();
        let outcome = outcome.await;
        let took = self.inner.clock.monotonic().saturating_sub(began);
        let mut stats = self.counted();
        stats.calls.entry(call).or_default().add(took);
        if outcome.is_err() {
            let failed = stats.failed.entry(call).or_default();
            *failed = failed.saturating_add(1);
        }
        outcome
    }
}
