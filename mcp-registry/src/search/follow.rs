use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use tokio::runtime::Handle;

use super::index::Index;
use crate::RegistryError;
use crate::catalog::{FeedRow, Readers};

/// How many rows of the change feed are taken in at once: searches wait so long, some milliseconds.
const STEP_ROWS: u64 = 1_000;
/// From so many rows on, the index catches up without waiting for a search.
const LAG_ROWS: u64 = 2_000;

/// The text index, which follows the change feed from the first search on.
#[derive(Clone)]
pub(crate) struct SearchIndex(Arc<Following>);

struct Following {
    readers: Readers,
    index: RwLock<Index>,
    /// The last row that the index has; 0 before the first search.
    position: AtomicU64,
    /// One catches up at a time.
    turn: Mutex<()>,
    /// Whether one does so unasked.
    ahead: AtomicBool,
    closed: AtomicBool,
}

impl SearchIndex {
    pub(crate) fn new(readers: Readers) -> Self {
        Self(Arc::new(Following {
            readers,
            index: RwLock::default(),
            position: AtomicU64::new(0),
            turn: Mutex::default(),
            ahead: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }))
    }

    /// Takes note of a commit whose last row is `seq`. A registry that nobody searches has no index, and pays nothing.
    pub(crate) fn committed(&self, seq: u64, runtime: &Handle) {
        let position = self.0.position.load(Ordering::Relaxed);
        if position == 0
            || seq < position.saturating_add(LAG_ROWS)
            || self.0.ahead.swap(true, Ordering::AcqRel)
        {
            return;
        }
        let index = self.clone();
        runtime.spawn_blocking(move || {
            // Whatever fails here fails again at the next search, which tells.
            drop(index.catch_up(&AtomicBool::new(false)));
            index.0.ahead.store(false, Ordering::Release);
        });
    }

    pub(crate) fn close(&self) {
        self.0.closed.store(true, Ordering::Relaxed);
    }

    /// The index with all that was committed when this was called.
    pub(super) fn current(
        &self,
        abandoned: &AtomicBool,
    ) -> Result<RwLockReadGuard<'_, Index>, RegistryError> {
        self.catch_up(abandoned)?;
        Ok(self.0.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn catch_up(&self, abandoned: &AtomicBool) -> Result<(), RegistryError> {
        let mut head = self.0.readers.read_here(|now| now.last_seq())?;
        if head == self.0.position.load(Ordering::Acquire) {
            return Ok(());
        }
        let _turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut position = self.0.position.load(Ordering::Acquire);
        if head < position {
            // Beside its writer a catalog never goes back: another one has gone further meanwhile.
            if self.0.readers.is_beside_writer() {
                return Ok(());
            }
            let again = self.0.readers.read_here(|now| now.last_seq())?;
            if again >= position {
                return Ok(());
            }
            // The catalog is no more what it was.
            let mut index = self.0.index.write().unwrap_or_else(PoisonError::into_inner);
            *index = Index::default();
            self.0.position.store(0, Ordering::Release);
            (head, position) = (again, 0);
        }
        while position < head {
            if abandoned.load(Ordering::Relaxed) || self.0.closed.load(Ordering::Relaxed) {
                return Err(RegistryError::Closed);
            }
            // In a damaged catalog the next row may be very far away.
            let next = self.0.readers.read_here(|now| now.next_seq(position))?.unwrap_or(head);
            let to = head.min(next.saturating_add(STEP_ROWS - 1));
            let rows = self.rows(next.saturating_sub(1), to)?;
            let mut index = self.0.index.write().unwrap_or_else(PoisonError::into_inner);
            rows.iter().for_each(|row| index.apply(row));
            index.position = to;
            index.terms.settle();
            drop(index);
            position = to;
            self.0.position.store(position, Ordering::Release);
        }
        Ok(())
    }

    fn rows(&self, after: u64, to: u64) -> Result<Vec<FeedRow>, RegistryError> {
        self.0.readers.read_here(|now| {
            let rows = now.feed(after, to);
            if !matches!(&rows, Err(error) if error.kind() == mcp_core::ErrorKind::Corrupt) {
                return rows;
            }
            // A page of the database cannot be read: rows on others can.
            Ok((after..to).filter_map(|seq| now.feed_at(seq.saturating_add(1))).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use mcp_core::Version;

    use super::*;
    use crate::{Draft, Registry};

    async fn publish(registry: &Registry, from: u64, to: u64) {
        let name = "app".parse().expect("name");
        let drafts = (from..to).map(|number| (Draft::new(&name, "x"), Version::new(1, 0, number)));
        for outcome in registry.publish_many(drafts).await {
            outcome.expect("published");
        }
    }

    #[tokio::test]
    async fn an_index_that_is_in_use_catches_up_without_a_search_and_no_other_does() {
        let registry = Registry::in_memory().open().await.expect("open");
        let position = || registry.search_index().0.position.load(Ordering::Acquire);
        publish(&registry, 0, 3 * LAG_ROWS).await;
        assert_eq!(position(), 0);
        registry.search("app").await.expect("hits");
        assert_eq!(position(), 3 * LAG_ROWS);
        publish(&registry, 3 * LAG_ROWS, 6 * LAG_ROWS).await;
        for _ in 0..100_000_000_u64 {
            if position() > 3 * LAG_ROWS {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert!(position() > 3 * LAG_ROWS, "{}", position());
    }
}
