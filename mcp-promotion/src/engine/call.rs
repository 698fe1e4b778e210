//! Calls to stages, gates and the other seams.

use std::future::Future;
use std::time::Duration;

use mcp_core::{ErrorKind, SeamError};

use crate::host;

/// Whether calls to stages and gates are bounded in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timing {
    /// By the timer of the tokio runtime.
    Timed,
    /// Not at all: the future can be polled by hand.
    Untimed,
}

/// Waits for `call`, no longer than `limit` where there is a timer.
///
/// # Errors
/// Those of the call. `Unavailable` after `limit`: the call was dropped, and nobody knows whether it had an effect. `Internal` when it
/// panicked, and then nobody knows either.
pub(super) async fn bounded<T, F>(
    timing: Timing,
    limit: Duration,
    what: &str,
    call: impl FnOnce() -> F,
) -> Result<T, SeamError>
where
    F: Future<Output = Result<T, SeamError>>,
{
    let call = host::call(what, call);
    match timing {
        Timing::Untimed => call.await,
        Timing::Timed => tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
            let context = format!("{what}: no answer within {} ms", limit.as_millis());
            Err(SeamError::new(ErrorKind::Unavailable, context))
        }),
    }
}

/// What a seam said, with its causes.
pub(super) fn told(error: &SeamError) -> String {
    // The causes are of the host's types.
    host::ask("telling an error", || Ok(with_causes(error)))
        .unwrap_or_else(|panic| format!("{error}: {panic}"))
}

fn with_causes(error: &SeamError) -> String {
    let mut text = format!("{error} ({})", error.kind());
    let mut cause = std::error::Error::source(error);
    // A chain of causes may be as long as a stranger likes.
    for _ in 0..8 {
        let Some(error) = cause else { break };
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
