use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use mcp_core::{Clock, ErrorKind, SeamError, SystemClock, Timestamp};

/// Counts the steps of one judgement, and now and then looks at the clock. Once either is spent, it stays spent.
#[derive(Debug)]
pub(crate) struct Meter {
    /// Steps that are taken without another look at anything, but for the last of them: this is all that most steps see.
    at_hand: Cell<u64>,
    /// The steps beside those.
    behind: Cell<u64>,
    spent: Cell<bool>,
    watch: Option<Watch>,
}

/// So many steps are taken between two looks at the clock; what takes fewer never looks.
const STEPS_PER_LOOK: u64 = 4096;

/// The time of one judgement.
#[derive(Debug)]
struct Watch {
    timer: Timer,
    most: Duration,
    /// When the clock was looked at first.
    began: Cell<Option<Duration>>,
    late: Cell<bool>,
}

/// Whose clock tells how long a judgement takes.
#[derive(Clone)]
pub(crate) enum Timer {
    /// The operating system's. It is copied, so that no counter is shared by the threads that judge.
    System(SystemClock),
    /// The host's.
    Lent(Arc<dyn Clock>),
}

impl Timer {
    pub(crate) fn system() -> Self {
        Self::System(SystemClock::new())
    }

    pub(crate) fn now(&self) -> Timestamp {
        match self {
            Self::System(clock) => clock.now(),
            Self::Lent(clock) => clock.now(),
        }
    }

    pub(crate) fn monotonic(&self) -> Duration {
        match self {
            Self::System(clock) => clock.monotonic(),
            Self::Lent(clock) => clock.monotonic(),
        }
    }
}

impl std::fmt::Debug for Timer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::System(_) => "System",
            Self::Lent(_) => "Lent",
        })
    }
}

impl Meter {
    pub(crate) const fn new(max_steps: u64) -> Self {
        Self { at_hand: Cell::new(max_steps), behind: Cell::new(0), spent: Cell::new(false), watch: None }
    }

    /// The same, for no longer than `most` once the first [`STEPS_PER_LOOK`] steps were taken.
    pub(crate) fn timed(mut self, timer: Timer, most: Duration) -> Self {
        self.watch = Some(Watch { timer, most, began: Cell::new(None), late: Cell::new(false) });
        self.lay_out(self.at_hand.get());
        self
    }

    /// Takes `steps`; false when they are not to be had any more.
    #[inline]
    pub(crate) fn take(&self, steps: u64) -> bool {
        self.take_at_hand(steps) || self.take_behind(steps)
    }

    /// Takes `steps`; false when that needs a look at more than the number of steps, which [`take`](Self::take) does.
    #[inline]
    pub(crate) fn take_at_hand(&self, steps: u64) -> bool {
        let at_hand = self.at_hand.get();
        let enough = steps < at_hand;
        if enough {
            self.at_hand.set(at_hand - steps);
        }
        enough
    }

    #[cold]
    fn take_behind(&self, steps: u64) -> bool {
        self.put_away();
        match self.behind.get().checked_sub(steps) {
            Some(left) if !self.spent.get() && self.is_in_time() => {
                self.lay_out(left);
                true
            }
            _ => {
                self.spent.set(true);
                false
            }
        }
    }

    /// Leaves no step at hand.
    pub(crate) fn put_away(&self) {
        self.behind.set(self.behind.get().saturating_add(self.at_hand.take()));
    }

    /// Lets so many steps be left, and as many of them at hand as may be taken before the clock is looked at.
    fn lay_out(&self, left: u64) {
        let at_hand = if self.watch.is_some() { left.min(STEPS_PER_LOOK + 1) } else { left };
        self.at_hand.set(at_hand);
        self.behind.set(left - at_hand);
    }

    fn is_in_time(&self) -> bool {
        let Some(watch) = &self.watch else { return true };
        let now = watch.timer.monotonic();
        let began = watch.began.get().unwrap_or(now);
        watch.began.set(Some(began));
        watch.late.set(now.saturating_sub(began) > watch.most);
        !watch.late.get()
    }

    pub(crate) const fn is_spent(&self) -> bool {
        self.spent.get()
    }

    /// Whether it was the time that ran out.
    pub(crate) fn is_late(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.late.get())
    }

    /// The error of a check that has no step left.
    pub(crate) fn exhausted() -> SeamError {
        SeamError::new(
            ErrorKind::Exhausted,
            "judge a document within the steps and the time that its contract allows",
        )
    }
}

/// One step for the value, and one for every 64 bytes of it.
pub(crate) fn text_steps(bytes: usize) -> u64 {
    1 + u64::try_from(bytes / 64).unwrap_or(u64::MAX - 1)
}

#[cfg(test)]
mod tests {
    use mcp_core::ManualClock;

    use super::*;

    #[test]
    fn what_is_spent_stays_spent() {
        let meter = Meter::new(3);
        assert!(meter.take(3));
        assert!(!meter.is_spent());
        assert!(!meter.take(1));
        assert!(!meter.take(0), "even nothing is refused afterwards");
        assert!(meter.is_spent());
    }

    #[test]
    fn time_is_looked_at_every_4096_steps_and_runs_out_for_good() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(0)));
        let lent = Timer::Lent(Arc::clone(&clock) as Arc<dyn Clock>);
        let meter = Meter::new(1 << 20).timed(lent, Duration::from_secs(1));
        clock.advance(Duration::from_secs(9));
        assert!(meter.take(4096), "the clock was not looked at");
        clock.advance(Duration::from_secs(9));
        assert!(meter.take(1), "the first look begins");
        clock.advance(Duration::from_secs(1));
        assert!(meter.take(4097), "just in time");
        clock.advance(Duration::from_micros(1));
        assert!(meter.take(4096), "nobody looks between");
        assert!(!meter.take(1));
        assert_eq!((meter.is_spent(), meter.is_late(), meter.take(0)), (true, true, false));
    }

    #[test]
    fn steps_that_run_out_are_not_late() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(0)));
        let meter = Meter::new(10_000).timed(Timer::Lent(clock), Duration::from_secs(1));
        assert!(meter.take(9000) && !meter.take(9000));
        assert_eq!((meter.is_spent(), meter.is_late()), (true, false));
    }

    #[test]
    fn long_text_costs_a_step_for_every_64_bytes() {
        assert_eq!([0, 63, 64, 127, 128].map(text_steps), [1, 1, 2, 2, 3]);
    }
}
