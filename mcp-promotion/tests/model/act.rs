//! What may happen next.

use crate::toy::{Health, Mood};

/// Releases are `app@1.0.0`, `app@2.0.0` and so on.
pub(crate) const VERSIONS: u8 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Person {
    Alice,
    Bob,
    Carol,
    /// May request, and nothing else.
    Mallory,
}

impl Person {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Alice => "alice",
            Self::Bob => "bob",
            Self::Carol => "carol",
            Self::Mallory => "mallory",
        }
    }
}

/// What a person does about one promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Approve,
    Reject,
    Revoke,
    Veto,
    Cancel,
    Pause,
    Resume,
    Override,
    Abort,
    Acknowledge,
    Retry,
    BreakGlass,
    Review,
}

/// `at` is a stage: 0 the first one, 1 the second. `which` counts promotions from the newest one, and begins again after the oldest.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Request {
        at: usize,
        version: u8,
    },
    /// A request whose glass is broken in the same step.
    RequestUrgently {
        at: usize,
        version: u8,
    },
    Rollback {
        at: usize,
    },
    Do {
        at: usize,
        which: usize,
        deed: Deed,
    },
    Hold {
        at: usize,
    },
    LiftHold {
        at: usize,
    },
    /// So many seconds.
    Pass(u64),
    /// Until something changes that the model knows of.
    Step,
    /// Until there is nothing to do at this time.
    Settle,
    Mood {
        at: usize,
        mood: Mood,
    },
    Health {
        at: usize,
        version: u8,
        health: Health,
    },
    /// Somebody else changes what runs there.
    Tamper {
        at: usize,
        version: Option<u8>,
    },
    /// Another process opens the journal.
    Reopen,
}

#[derive(Clone, Debug)]
pub(crate) struct Transition {
    pub(crate) act: Act,
    pub(crate) by: Person,
    /// Under which request id; few of them, so that they come again.
    pub(crate) key: Option<u8>,
}
