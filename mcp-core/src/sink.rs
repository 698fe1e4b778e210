use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Event;

/// Hears what happened, as it happens.
///
/// Called by every engine after the fact, on the thread that did the work: it must be quick, and it cannot fail. Events are news, at
/// most once; whoever must miss nothing reads the registry's change feed or the promotion journal.
pub trait EventSink: Send + Sync {
    /// Takes note of `event`. It must not call back into the engine that emits.
    fn emit(&self, event: &Event);
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullSink;

impl EventSink for NullSink {
    fn emit(&self, _event: &Event) {}
}

/// Calls a function with each event.
pub struct FnSink<F>(F);

impl<F: Fn(&Event) + Send + Sync> FnSink<F> {
    /// Calls `function` with each event.
    pub const fn new(function: F) -> Self {
        Self(function)
    }
}

impl<F: Fn(&Event) + Send + Sync> EventSink for FnSink<F> {
    fn emit(&self, event: &Event) {
        (self.0)(event);
    }
}

impl<F> fmt::Debug for FnSink<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnSink").finish_non_exhaustive()
    }
}

/// Passes each event to several sinks, in order.
pub struct TeeSink(Vec<Arc<dyn EventSink>>);

impl TeeSink {
    /// Passes each event to `sinks`, in their order.
    #[must_use]
    pub const fn new(sinks: Vec<Arc<dyn EventSink>>) -> Self {
        Self(sinks)
    }
}

impl EventSink for TeeSink {
    fn emit(&self, event: &Event) {
        for sink in &self.0 {
            sink.emit(event);
        }
    }
}

impl fmt::Debug for TeeSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TeeSink({} sinks)", self.0.len())
    }
}

/// Keeps every event, for tests.
#[derive(Debug, Default)]
pub struct RecordingSink(Mutex<Vec<Event>>);

impl RecordingSink {
    /// With nothing recorded yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was recorded so far, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl EventSink for RecordingSink {
    fn emit(&self, event: &Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
    }
}

const _: Option<&dyn EventSink> = None;
