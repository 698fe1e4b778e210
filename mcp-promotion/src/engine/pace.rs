use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mcp_core::Timestamp;

use crate::Calls;

/// The promotions of a stage whose pin or gates were tried in vain, and when to try again. Losing it costs one more attempt.
#[derive(Debug, Default)]
pub(super) struct Paced(Mutex<BTreeMap<u64, Pace>>);

#[derive(Clone, Copy, Debug)]
struct Pace {
    /// When it was tried.
    since: Timestamp,
    /// When to try again.
    until: Timestamp,
    /// How often in a row.
    times: u32,
}

impl Paced {
    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Pace>> {
        // Nothing of the host's runs under this lock, and every change is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When to try again, for each promotion.
    pub(super) fn until(&self) -> BTreeMap<u64, Timestamp> {
        self.all().iter().map(|(number, pace)| (*number, pace.until)).collect()
    }

    /// Forgets what is not wanted any more, and what was tried later than `now`: the clock was set back.
    pub(super) fn keep(&self, now: Timestamp, wanted: impl Fn(u64) -> bool) {
        self.all().retain(|number, pace| pace.since <= now && wanted(*number));
    }

    /// Notes that it was tried in vain. The answer is when to try again: `asked` where the other side knows, but not later than the longest
    /// backoff.
    pub(super) fn failed(
        &self,
        number: u64,
        calls: &Calls,
        asked: Option<Timestamp>,
        now: Timestamp,
    ) -> Timestamp {
        let mut all = self.all();
        let times = all.get(&number).map_or(0, |pace| pace.times).saturating_add(1);
        let backoff = calls.backoff_after(times).max(std::time::Duration::from_millis(1));
        let until = asked.filter(|asked| *asked > now).unwrap_or(now.saturating_add(backoff));
        let until = until.min(now.saturating_add(Calls::MAX_BACKOFF));
        all.insert(number, Pace { since: now, until, times });
        until
    }

    /// Notes that it succeeded.
    pub(super) fn done(&self, number: u64) {
        self.all().remove(&number);
    }
}
