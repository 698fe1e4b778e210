use mcp_core::{Name, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Fence, Fencing};

/// Who drives a stage: the newest such event in the stage's stream counts, and no other.
///
/// Its position in the stream is the fence, so fences only grow. Every event that a driver appends is appended at the version that the
/// driver read, and is refused in [`decide`](crate::machine::decide) when the newest lease has another fence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Whose it is. An owner name belongs to one living process at a time.
    pub owner: Name,
    /// Its position in the stream.
    pub fence: Fence,
    /// When it was taken or renewed last.
    pub since: Timestamp,
    /// Until when nobody else takes it.
    pub until: Timestamp,
}

impl Lease {
    /// Whether it is over at `now`.
    ///
    /// A lease with more than twice its whole time left was given before the clock was set back, and is over as well: otherwise a stage
    /// would wait for as long as the clock was wrong. To take it too early does no harm where fences are enforced.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        let whole = self.until.saturating_since(self.since);
        now >= self.until || self.until.saturating_since(now) > whole.saturating_mul(2)
    }

    /// Whether less than half of its time is left at `now`.
    #[must_use]
    pub fn is_low(&self, now: Timestamp) -> bool {
        let whole = self.until.saturating_since(self.since);
        self.is_over(now) || self.until.saturating_since(now) < whole / 2
    }

    /// Whether the driver `owner` may take it at `now`.
    ///
    /// The same owner may at once: it is the same process, or the one before it is gone. Another one may when it is over, but never where
    /// the target does not refuse the driver that it would replace.
    #[must_use]
    pub fn may_be_taken(&self, owner: &Name, fencing: Fencing, now: Timestamp) -> bool {
        self.owner == *owner || (fencing == Fencing::Enforced && self.is_over(now))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn lease() -> Lease {
        Lease { owner: "a".parse().unwrap(), fence: Fence(3), since: at(1000), until: at(1060) }
    }

    #[test]
    fn another_owner_waits_until_the_lease_is_over_and_an_unfenced_one_for_ever() {
        let (a, b): (Name, Name) = ("a".parse().unwrap(), "b".parse().unwrap());
        let may = |owner: &Name, fencing, now| lease().may_be_taken(owner, fencing, at(now));
        assert!(may(&a, Fencing::Enforced, 1001) && may(&a, Fencing::Unfenced, 1001));
        assert!(!may(&b, Fencing::Enforced, 1059) && may(&b, Fencing::Enforced, 1060));
        assert!(!may(&b, Fencing::Unfenced, 1_000_000));
    }

    #[test]
    fn a_clock_set_back_by_a_year_does_not_keep_a_lease_for_a_year() {
        let earlier = at(1000).saturating_sub(Duration::from_secs(365 * 24 * 3600));
        assert!(lease().is_over(earlier));
        assert!(!lease().is_over(at(999)), "clocks of two hosts may differ a little");
    }

    #[test]
    fn a_lease_is_low_in_its_second_half() {
        assert_eq!([1029, 1031, 1061].map(|now| lease().is_low(at(now))), [false, true, true]);
    }
}
