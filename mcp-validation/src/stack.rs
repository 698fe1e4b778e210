//! Running deep recursion where there is room for it: the caller's thread may have no more than 2 MiB.

#[cfg(feature = "json-schema")]
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(feature = "json-schema")]
use std::sync::mpsc::{self, Receiver, Sender};
#[cfg(feature = "json-schema")]
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use mcp_core::{ErrorKind, SeamError};

/// What is assumed to be free on any thread.
const FREE_BYTES: usize = 512 << 10;
/// No stack is larger. Only what is touched of it takes memory.
const MAX_BYTES: usize = 256 << 20;

/// Calls `work` with at least `bytes` of stack: here where that is little, else on a thread of its own, and waits for it.
///
/// # Errors
/// `Exhausted` when it would take more than 256 MiB, `Unavailable` when the operating system gives no thread, `Internal` when `work`
/// panics there.
pub(crate) fn with_stack<T: Send>(bytes: usize, work: impl FnOnce() -> T + Send) -> Result<T, SeamError> {
    if bytes <= FREE_BYTES {
        return Ok(work());
    }
    if bytes > MAX_BYTES {
        return Err(SeamError::new(
            ErrorKind::Exhausted,
            format!(
                "judge a document by a schema whose references nest too deep for it: that would take {bytes} bytes of stack, at most {MAX_BYTES} are allowed, lower max_depth or shorten the chains of references"
            ),
        ));
    }
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("mcp-validation".to_owned())
            .stack_size(bytes.saturating_add(FREE_BYTES))
            .spawn_scoped(scope, work)
            .map_err(|error| not_started(bytes, error))?;
        worker.join().map_err(|_| panicked())
    })
}

fn not_started(bytes: usize, error: std::io::Error) -> SeamError {
    SeamError::new(ErrorKind::Unavailable, format!("start a thread with {bytes} bytes of stack"))
        .with_source(error)
}

fn panicked() -> SeamError {
    SeamError::new(ErrorKind::Internal, "validate on a thread with a large stack: the validator panicked")
}

/// Whether every thread has so much stack.
#[cfg(feature = "json-schema")]
pub(crate) const fn is_little(bytes: usize) -> bool {
    bytes <= FREE_BYTES
}

/// How much stack a thread has that is kept.
#[cfg(feature = "json-schema")]
const KEPT_BYTES: usize = 16 << 20;
/// So many threads are kept while they have nothing to do.
#[cfg(feature = "json-schema")]
const MOST_KEPT: usize = 4;

/// Threads with a large stack that wait for the next one who needs it: to start one takes longer than to judge most documents, and to
/// touch its stack for the first time still longer. There are as many as callers, of whom each waits for its own; they end with this.
#[cfg(feature = "json-schema")]
#[derive(Default)]
pub(crate) struct Kept {
    idle: Mutex<Vec<Sender<Task>>>,
}

/// Does its work, and gives back what tells the outcome.
#[cfg(feature = "json-schema")]
type Work = Box<dyn FnOnce() -> Box<dyn FnOnce() + Send> + Send>;

#[cfg(feature = "json-schema")]
struct Task {
    work: Work,
    /// Through which the next task comes.
    next: Sender<Self>,
}

#[cfg(feature = "json-schema")]
impl Kept {
    /// Calls `work` on a thread with at least `bytes` of stack, and waits for it.
    ///
    /// # Errors
    /// As [`with_stack`].
    pub(crate) fn run<T: Send + 'static>(
        self: &Arc<Self>,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, SeamError> {
        if bytes > KEPT_BYTES {
            return with_stack(bytes, work);
        }
        let (answer, outcome) = mpsc::sync_channel(1);
        let work: Work = Box::new(move || {
            let done = work();
            Box::new(move || {
                // Whoever asked waits for it.
                let _waits = answer.send(done);
            })
        });
        let thread = match self.idle().pop() {
            Some(thread) => thread,
            None => self.start()?,
        };
        // A thread that waits has not ended.
        let _waits = thread.send(Task { work, next: thread.clone() });
        drop(thread);
        outcome.recv().map_err(|_| panicked())
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Sender<Task>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(self: &Arc<Self>) -> Result<Sender<Task>, SeamError> {
        let (sender, tasks) = mpsc::channel();
        let kept = Arc::downgrade(self);
        let started = thread::Builder::new()
            .name("mcp-validation".to_owned())
            .stack_size(KEPT_BYTES.saturating_add(FREE_BYTES))
            .spawn(move || Self::work(&kept, &tasks));
        started.map_err(|error| not_started(KEPT_BYTES, error))?;
        Ok(sender)
    }

    /// On a thread that is kept: ends when nobody holds what sends tasks to it.
    fn work(kept: &Weak<Self>, tasks: &Receiver<Task>) {
        while let Ok(Task { work, next }) = tasks.recv() {
            let done = catch_unwind(AssertUnwindSafe(work));
            // Before the answer, so that who gets it finds this thread idle.
            if let Some(kept) = kept.upgrade() {
                let mut idle = kept.idle();
                if idle.len() < MOST_KEPT {
                    idle.push(next);
                }
            }
            if let Ok(answer) = done {
                answer();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_runs_here_and_much_on_a_thread_of_its_own() {
        let here = thread::current().id();
        assert_eq!(with_stack(FREE_BYTES, || thread::current().id()).map_err(|error| error.kind()), Ok(here));
        let there = with_stack(FREE_BYTES + 1, || thread::current().id()).map_err(|error| error.kind());
        assert!(there.is_ok_and(|there| there != here));
    }

    #[test]
    fn too_much_is_exhausted_and_a_panic_is_internal() {
        assert_eq!(with_stack(MAX_BYTES + 1, || ()).map_err(|error| error.kind()), Err(ErrorKind::Exhausted));
        let panicked = with_stack(1 << 20, || panic!("a test")).map_err(|error| error.kind());
        assert_eq!(panicked, Err::<(), _>(ErrorKind::Internal));
    }

    #[cfg(feature = "json-schema")]
    #[test]
    fn a_thread_is_kept_for_the_next_one_and_a_panic_does_not_end_it() {
        let kept = Arc::new(Kept::default());
        let run = || kept.run(1 << 20, || thread::current().id()).map_err(|error| error.kind());
        let first = run();
        assert!(first.is_ok_and(|there| there != thread::current().id()));
        assert_eq!(run(), first);
        let panicked: Result<(), _> = kept.run(1 << 20, || panic!("a test")).map_err(|error| error.kind());
        assert_eq!(panicked, Err(ErrorKind::Internal));
        assert_eq!(kept.run(1 << 20, || 7).map_err(|error| error.kind()), Ok(7));
        assert_eq!(kept.run(MAX_BYTES + 1, || 7).map_err(|error| error.kind()), Err(ErrorKind::Exhausted));
    }

    #[cfg(feature = "json-schema")]
    #[test]
    fn no_more_threads_than_a_few_are_kept_and_those_end_with_their_owner() {
        let kept = Arc::new(Kept::default());
        let barrier = Arc::new(std::sync::Barrier::new(MOST_KEPT + 3));
        thread::scope(|scope| {
            for _ in 0..MOST_KEPT + 3 {
                let (kept, barrier) = (Arc::clone(&kept), Arc::clone(&barrier));
                scope.spawn(move || {
                    kept.run(1 << 20, move || barrier.wait().is_leader()).map_err(|error| error.kind())
                });
            }
        });
        assert_eq!(kept.idle().len(), MOST_KEPT);
        let (ended, end) = mpsc::channel::<()>();
        let asked = kept.run(1 << 20, move || {
            // Dropped when the thread ends.
            thread_local!(static HELD: std::cell::RefCell<Option<Sender<()>>> = const { std::cell::RefCell::new(None) });
            HELD.set(Some(ended));
        });
        assert!(asked.is_ok());
        drop(kept);
        assert!(end.recv().is_err(), "the thread has ended");
    }
}
