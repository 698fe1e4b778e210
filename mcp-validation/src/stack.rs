//! Running deep recursion where there is room for it: the caller's thread may have no more than 2 MiB.

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
            .map_err(|error| {
                SeamError::new(ErrorKind::Unavailable, format!("start a thread with {bytes} bytes of stack"))
                    .with_source(error)
            })?;
        worker.join().map_err(|_| {
            SeamError::new(
                ErrorKind::Internal,
                "validate on a thread with a large stack: the validator panicked",
            )
        })
    })
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
}
