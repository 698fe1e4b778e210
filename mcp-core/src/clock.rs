use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::Timestamp;

/// The time, lent by the host.
///
/// Called by every engine, often; so it must be quick. Engines never wait through it: each brings the timer of its own runtime.
pub trait Clock: Send + Sync {
    /// The wall clock. It may be set back; nothing that must not go backwards is decided by it.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment before. It never goes back: budgets and leases of one process are measured with it.
    fn monotonic(&self) -> Duration;
}

/// The operating system's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    opened: Instant,
}

impl SystemClock {
    /// [`monotonic`](Clock::monotonic) counts from this call.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the operating system's clocks")]
    pub fn new() -> Self {
        Self { opened: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the operating system's clocks")]
    fn now(&self) -> Timestamp {
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Timestamp::UNIX_EPOCH.saturating_add(since),
            Err(before) => Timestamp::UNIX_EPOCH.saturating_sub(before.duration()),
        }
    }

    fn monotonic(&self) -> Duration {
        self.opened.elapsed()
    }
}

/// A clock that stands still until it is told otherwise, for tests and replays.
#[derive(Debug)]
pub struct ManualClock(Mutex<(Timestamp, Duration)>);

impl ManualClock {
    /// Stands at `now`; its monotonic time is zero.
    #[must_use]
    pub const fn at(now: Timestamp) -> Self {
        Self(Mutex::new((now, Duration::ZERO)))
    }

    /// Lets `duration` pass on both clocks.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = (state.0.saturating_add(duration), state.1.saturating_add(duration));
    }

    /// Sets the wall clock, forwards or back, as an operator would; monotonic time does not notice.
    pub fn set(&self, now: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = now;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

const _: Option<&dyn Clock> = None;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_the_wall_clock_back_leaves_monotonic_time_alone() {
        let clock = ManualClock::at(Timestamp::from_micros(5_000_000));
        clock.advance(Duration::from_secs(3));
        clock.set(Timestamp::UNIX_EPOCH);
        assert_eq!((clock.now(), clock.monotonic()), (Timestamp::UNIX_EPOCH, Duration::from_secs(3)));
    }

    #[test]
    fn the_system_clock_tells_a_time_after_this_was_written() {
        let written: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a moment");
        let clock = SystemClock::new();
        let first = clock.monotonic();
        assert!(clock.now() > written && clock.monotonic() >= first);
    }
}
