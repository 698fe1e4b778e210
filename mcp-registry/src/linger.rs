use std::sync::mpsc;
use std::time::Duration;

/// Lets more commands join a commit before it is written, where a commit costs one object whatever it holds.
///
/// Only a crowd is waited for: who publishes alone, one after the other, would gain nothing. What was drained together, now or in the
/// commit before, is a crowd.
#[derive(Debug)]
pub(crate) struct Linger {
    limit: Duration,
    crowd: bool,
}

impl Linger {
    pub(crate) const fn new(limit: Duration) -> Self {
        Self { limit, crowd: false }
    }

    /// Waits once for others to join `commands`, and says whether it did.
    pub(crate) fn wait(&mut self, commands: usize) -> bool {
        let waits = self.waits(commands);
        if waits {
            // Nobody sends: the committer's thread has nothing else to do meanwhile.
            let (_open, nothing) = mpsc::channel::<()>();
            nothing.recv_timeout(self.limit).ok();
        }
        waits
    }

    fn waits(&mut self, commands: usize) -> bool {
        let crowd = std::mem::replace(&mut self.crowd, commands > 1);
        !self.limit.is_zero() && (crowd || commands > 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_crowd_is_waited_for_and_none_where_the_limit_is_zero() {
        let drained = [1, 1, 3, 1, 1, 2];
        let mut linger = Linger::new(Duration::from_millis(1));
        assert_eq!(drained.map(|n| linger.waits(n)), [false, false, true, true, false, true]);
        let mut linger = Linger::new(Duration::ZERO);
        assert_eq!(drained.map(|n| linger.waits(n)), [false; 6]);
    }
}
