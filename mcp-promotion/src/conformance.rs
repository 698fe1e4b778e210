//! The checks that every [`Journal`](crate::Journal) and every [`Stage`](crate::Stage) must pass; for the tests of whoever writes one.
//!
//! What only a crash of the machine can show is not among them.

mod journal;
mod late;
mod owners;
mod probe;
mod stage;

use std::fmt;

use mcp_core::SeamError;

pub use journal::journal;
pub use stage::{stage, stage_with_effects};

/// What does not hold.
#[derive(Debug)]
pub struct Failure {
    what: String,
    source: Option<SeamError>,
}

impl Failure {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), source: None }
    }

    fn call(what: impl Into<String>) -> impl FnOnce(SeamError) -> Self {
        let what = what.into();
        move |source| Self { what, source: Some(source) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

fn ensure(holds: bool, what: impl Into<String>) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::new(what)) }
}
