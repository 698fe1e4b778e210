//! The life of a promotion through the pure core, for rows that need events and no engine.

use std::sync::Arc;

use mcp_core::{Id, Timestamp};
use mcp_promotion::machine::{Command, StageState, decide};
use mcp_promotion::{Entry, Evidence, Fence, Fencing, Kind, Policy, Reach, State};

use super::world::release;

/// How many commands one promotion takes.
pub(crate) const COMMANDS: u64 = 6;

fn obey(state: &mut StageState, command: &Command, now: Timestamp, each: &mut impl FnMut(Entry)) {
    for what in decide(state, command, now).expect("it is allowed") {
        let entry = Entry { at: now, request: None, what };
        state.apply(&entry).expect("it can have happened");
        each(entry);
    }
}

/// Promotes release `number` from request to success, as a driver does: each command is decided and its events are applied, then given to
/// `each`.
pub(crate) fn promote(
    state: &mut StageState,
    policy: &Arc<Policy>,
    number: u64,
    mut each: impl FnMut(Entry),
) {
    let now = Timestamp::from_micros(i64::try_from(number).expect("a small number") * 1000);
    let release = release(number);
    let digest = release.digest();
    let request = Command::Request {
        kind: Kind::Deploy,
        release,
        requester: "alice".parse().expect("a name"),
        policy: Arc::clone(policy),
        unique: Id::from_u128(number.into()),
        holder: None,
        glass: None,
        succeeded_at: None,
    };
    obey(state, &request, now, &mut each);
    let promotion = state.version();
    let take = Command::TakeLease {
        owner: "driver".parse().expect("a name"),
        until: Timestamp::from_micros(i64::MAX),
        fencing: Fencing::Enforced,
    };
    obey(state, &take, now, &mut each);
    let fence = Fence(state.version());
    let evidence = Evidence {
        release: digest,
        gates: Vec::new(),
        upstream: Vec::new(),
        approved_by: Vec::new(),
        opening: None,
        skipped: Vec::new(),
    };
    let rest = [
        Command::Start { fence, promotion, evidence, upstream: Vec::new() },
        Command::Applied { fence, promotion, release: digest, reach: Reach::All },
        Command::Move { fence, promotion, to: State::Succeeded, reason: String::new() },
        Command::DropLease { fence },
    ];
    for command in &rest {
        obey(state, command, now, &mut each);
    }
}
