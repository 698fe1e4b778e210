use std::cell::Cell;

use mcp_core::{ErrorKind, SeamError};

/// Counts the steps of one judgement. Once they are spent, they stay spent.
#[derive(Debug)]
pub(crate) struct Meter {
    left: Cell<u64>,
    spent: Cell<bool>,
}

impl Meter {
    pub(crate) const fn new(max_steps: u64) -> Self {
        Self { left: Cell::new(max_steps), spent: Cell::new(false) }
    }

    /// Takes `steps`; false when they are not to be had any more.
    pub(crate) fn take(&self, steps: u64) -> bool {
        match self.left.get().checked_sub(steps) {
            Some(left) if !self.spent.get() => {
                self.left.set(left);
                true
            }
            _ => {
                self.spent.set(true);
                false
            }
        }
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.spent.get()
    }

    #[cfg(feature = "json-schema")]
    pub(crate) fn left(&self) -> u64 {
        self.left.get()
    }

    /// The error of a check that has no step left.
    pub(crate) fn exhausted() -> SeamError {
        SeamError::new(ErrorKind::Exhausted, "judge a document within the steps that its contract allows")
    }
}

/// One step for the value, and one for every 64 bytes of it.
pub(crate) fn text_steps(bytes: usize) -> u64 {
    1 + u64::try_from(bytes / 64).unwrap_or(u64::MAX - 1)
}

#[cfg(test)]
mod tests {
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
    fn long_text_costs_a_step_for_every_64_bytes() {
        assert_eq!([0, 63, 64, 127, 128].map(text_steps), [1, 1, 2, 2, 3]);
    }
}
