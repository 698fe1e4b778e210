//! Code of the host is called through here: a panic in it is the error of that one call, and ends nothing else.
//!
//! That needs unwinding: a program that is built with `panic = "abort"` ends at a panic, wherever it is.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::FutureExt;
use mcp_core::{ErrorKind, SeamError};

/// How much of a panic's message is kept, in characters.
const MAX_MESSAGE_CHARS: usize = 500;

/// Calls a function of the host.
///
/// What a panic leaves behind is the host's: the engine looks at nothing that the call has touched, but at what it returns.
///
/// # Errors
/// Those of `call`, and `Internal` with the message of a panic.
pub(crate) fn ask<T>(what: &str, call: impl FnOnce() -> Result<T, SeamError>) -> Result<T, SeamError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(panicked(what, panic)))
}

/// Calls an asynchronous function of the host; as [`ask`].
pub(crate) async fn call<T, F>(what: &str, call: impl FnOnce() -> F) -> Result<T, SeamError>
where
    F: Future<Output = Result<T, SeamError>>,
{
    // Within the future, so that a function that panics before it returns one is caught as well.
    let call = async { call().await };
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|panic| Err(panicked(what, panic)))
}

/// Tells the host something that it cannot answer: a panic of it changes nothing.
pub(crate) fn tell(news: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(news)) {
        discard(panic);
    }
}

fn panicked(what: &str, panic: Box<dyn Any + Send>) -> SeamError {
    let message = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
    discard(panic);
    let message: String = message.unwrap_or_default().chars().take(MAX_MESSAGE_CHARS).collect();
    SeamError::new(ErrorKind::Internal, format!("{what} panicked: {message}"))
}

/// A panic may carry any value, and dropping that may panic too; the value of such a second panic is left alone.
fn discard(panic: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told<T: std::fmt::Debug>(outcome: Result<T, SeamError>) -> (ErrorKind, String) {
        let error = outcome.expect_err("it panicked");
        (error.kind(), error.to_string())
    }

    #[test]
    fn a_panic_is_an_error_with_its_message_whatever_it_carries() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        let told = |call: fn() -> Result<(), SeamError>| told(ask("judge", call));
        let said = |message: &str| (ErrorKind::Internal, format!("judge panicked: {message}"));
        assert_eq!(told(|| panic!("plain")), said("plain"));
        assert_eq!(told(|| panic!("made of {}", "parts")), said("made of parts"));
        assert_eq!(told(|| std::panic::panic_any(Bomb)), said(""));
        assert_eq!(told(|| panic!("{}", "é".repeat(501))), said(&"é".repeat(500)));
    }

    #[test]
    fn a_future_that_panics_before_during_or_after_an_await_is_an_error() {
        type Pending = std::pin::Pin<Box<dyn Future<Output = Result<(), SeamError>>>>;
        let calls: [fn() -> Pending; 3] = [
            || panic!("before"),
            || Box::pin(async { panic!("during") }),
            || {
                Box::pin(async {
                    tokio::task::yield_now().await;
                    panic!("after")
                })
            },
        ];
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        for (call, message) in calls.into_iter().zip(["before", "during", "after"]) {
            let outcome = runtime.block_on(super::call("observe", call));
            assert_eq!(told(outcome), (ErrorKind::Internal, format!("observe panicked: {message}")));
        }
    }
}
