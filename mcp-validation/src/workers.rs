//! A bounded pool of threads, which all streams of one engine share.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use mcp_core::{ErrorKind, SeamError};

/// Work that is done bit by bit, so that everybody who shares the threads comes forward.
pub(crate) trait Turn: Send + Sync {
    /// Does a bit of it; whether there is more to do at once.
    fn take(&self) -> bool;
}

/// Threads that start when they are needed, and end when this is dropped and what they do then is done.
pub(crate) struct Workers {
    pool: Arc<Pool>,
    most: usize,
}

#[derive(Default)]
struct Pool {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    turns: VecDeque<Arc<dyn Turn>>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Workers {
    /// No more than `most` threads, at least one.
    pub(crate) fn new(most: usize) -> Self {
        Self { pool: Arc::default(), most: most.max(1) }
    }

    /// How many threads there are at most.
    pub(crate) const fn most(&self) -> usize {
        self.most
    }

    /// Lets a thread take `turn`, behind those that wait.
    ///
    /// # Errors
    /// `Unavailable` when there is no thread yet and the operating system gives none.
    pub(crate) fn submit(&self, turn: Arc<dyn Turn>) -> Result<(), SeamError> {
        let mut queue = self.pool.queue();
        if queue.idle <= queue.turns.len() && queue.threads < self.most {
            let pool = Arc::clone(&self.pool);
            let named = thread::Builder::new().name("mcp-validation-stream".to_owned());
            match named.spawn(move || pool.work()) {
                Ok(_detached) => queue.threads += 1,
                Err(error) if queue.threads == 0 => {
                    let context = "start a thread that judges the documents of a stream";
                    return Err(SeamError::new(ErrorKind::Unavailable, context).with_source(error));
                }
                // Those that there are do it.
                Err(_) => {}
            }
        }
        queue.turns.push_back(turn);
        drop(queue);
        self.pool.changed.notify_one();
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.pool.queue().closed = true;
        self.pool.changed.notify_all();
    }
}

impl Pool {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some(turn) = self.next() {
            // What judges catches its own panics; a waker or the drop of somebody's value may panic too, and the thread goes on.
            let more = catch_unwind(AssertUnwindSafe(|| turn.take())).unwrap_or(false);
            if more {
                self.queue().turns.push_back(turn);
            }
        }
    }

    /// The next turn; `None` when nothing can come any more.
    fn next(&self) -> Option<Arc<dyn Turn>> {
        let mut queue = self.queue();
        loop {
            if let Some(turn) = queue.turns.pop_front() {
                return Some(turn);
            }
            if queue.closed {
                queue.threads -= 1;
                return None;
            }
            queue.idle += 1;
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }
}
