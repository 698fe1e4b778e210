use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mcp_core::Name;
use tokio::sync::watch;

/// How many changes are remembered: whoever is further behind looks at everything.
const REMEMBERED: usize = 4096;

/// Which stages have changed, as far as this engine knows, for those who drive plans: so that they look at these only.
#[derive(Debug)]
pub(super) struct PlanNews {
    /// How much has happened.
    count: watch::Sender<u64>,
    changed: Mutex<Changed>,
}

#[derive(Debug, Default)]
struct Changed {
    /// How many there have ever been.
    end: u64,
    last: VecDeque<Name>,
}

impl PlanNews {
    pub(super) fn new() -> Self {
        Self { count: watch::Sender::new(0), changed: Mutex::default() }
    }

    /// Something may let a plan go on: what happened in this stage, or to the plan.
    pub(super) fn tell(&self, stage: Option<&Name>) {
        if let Some(stage) = stage {
            let mut changed = self.lock();
            changed.end = changed.end.saturating_add(1);
            changed.last.push_back(stage.clone());
            if changed.last.len() > REMEMBERED {
                changed.last.pop_front();
            }
        }
        self.count.send_modify(|count| *count = count.saturating_add(1));
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    /// How many changes there have been.
    pub(super) fn end(&self) -> u64 {
        self.lock().end
    }

    /// The stages that have changed after the first `seen` changes, and how many changes there are now; `None` when it is not known any more.
    pub(super) fn since(&self, seen: u64) -> Option<(Vec<Name>, u64)> {
        let changed = self.lock();
        let behind = usize::try_from(changed.end.saturating_sub(seen)).ok()?;
        let skip = changed.last.len().checked_sub(behind)?;
        let mut stages: Vec<Name> = changed.last.iter().skip(skip).cloned().collect();
        stages.sort_unstable();
        stages.dedup();
        Some((stages, changed.end))
    }

    fn lock(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reader_gets_each_stage_that_changed_once_and_is_told_when_it_is_too_far_behind() {
        let news = PlanNews::new();
        let name = |text: &str| -> Name { text.parse().unwrap() };
        for stage in ["b", "a", "b"] {
            news.tell(Some(&name(stage)));
        }
        news.tell(None);
        assert_eq!(news.since(0), Some((vec![name("a"), name("b")], 3)));
        assert_eq!(news.since(2), Some((vec![name("b")], 3)));
        assert_eq!(news.since(3), Some((vec![], 3)));
        (0..REMEMBERED).for_each(|_| news.tell(Some(&name("c"))));
        assert_eq!(news.since(2), None, "b has been forgotten");
        assert_eq!(news.since(3), Some((vec![name("c")], news.end())));
    }
}
