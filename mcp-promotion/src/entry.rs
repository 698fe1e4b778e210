use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use mcp_core::{Digest, Holder, Id, Name, Principal, RequestId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::judge::{Beside, Judgement};
use crate::{Counts, Fence, Kind, Lane, Opening, Policy, Reach, Release, Skipped, State, Vote, Window};

/// One event of a stage's stream: what the journal holds, and all that the state is computed from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// When it was decided, by the clock of the engine that decided it.
    pub at: Timestamp,
    /// The request id of the command that led to it, at the first of the command's events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<UsedRequestId>,
    /// What happened.
    pub what: Happened,
}

/// A request id together with what it was used for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedRequestId {
    /// The id.
    pub id: RequestId,
    /// The digest of the command.
    pub command: Digest,
}

/// What happened in a stage. Promotions are named by their number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Happened {
    /// A promotion was requested; its number is the position of this event.
    Requested(Box<Requested>),
    /// The pin of its artifacts has no expiry any more.
    Pinned {
        /// Of which promotion.
        promotion: u64,
    },
    /// The pin of its artifacts was given up.
    Unpinned {
        /// Of which promotion.
        promotion: u64,
    },
    /// Somebody voted.
    Voted {
        /// On which promotion.
        promotion: u64,
        /// Who.
        voter: Principal,
        /// What.
        vote: Vote,
        /// What the vote binds to.
        binding: Digest,
        /// For which level an approval counts; absent where the policy has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        level: Option<Name>,
        /// Of which groups the voter was, among those that the level asks for.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        groups: BTreeSet<Name>,
    },
    /// A gate or a seam keeps it pending.
    Delayed {
        /// Which promotion.
        promotion: u64,
        /// Which gate or seam, such as `gate scan`.
        by: String,
        /// What it said.
        why: String,
        /// Until when, where it said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// Every gate passed; the next event is the start.
    Passed {
        /// Which promotion.
        promotion: u64,
        /// What the gates said.
        evidence: Evidence,
    },
    /// It went from one state to another.
    Changed {
        /// Which promotion.
        promotion: u64,
        /// From which state.
        from: State,
        /// To which state.
        to: State,
        /// Why; empty where the state says it all.
        reason: String,
        /// Who decided it, where it was a person.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Principal>,
    },
    /// A call to the stage did not succeed; whether it had an effect is unknown.
    CallFailed {
        /// Which promotion.
        promotion: u64,
        /// Which call, such as `apply`.
        call: String,
        /// What it said.
        why: String,
    },
    /// The stage says that it runs this release.
    Applied {
        /// On behalf of which promotion.
        promotion: u64,
        /// Which release.
        release: Digest,
        /// How much of the stage runs it; all of it where absent in JSON.
        #[serde(default, skip_serializing_if = "Reach::is_all")]
        reach: Reach,
    },
    /// A person took the place of the judge: what only the canary runs may reach everything.
    Overridden {
        /// Which promotion.
        promotion: u64,
        /// Who decided it.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// Somebody lets it start without waiting for what its policy asks for, except for what guards integrity.
    GlassBroken {
        /// Which promotion.
        promotion: u64,
        /// Who decided it.
        by: Principal,
        /// Why.
        reason: String,
        /// Until when somebody else must review it.
        review_by: Timestamp,
    },
    /// Somebody else has reviewed why the glass was broken.
    Reviewed {
        /// For which promotion.
        promotion: u64,
        /// Who.
        by: Principal,
        /// What they found.
        note: String,
    },
    /// Nobody has reviewed it in time.
    ReviewOverdue {
        /// For which promotion.
        promotion: u64,
    },
    /// A window of samples was judged.
    Sampled(Box<Sampled>),
    /// Nothing but rollbacks starts from now on.
    Held {
        /// Who put the hold there.
        by: Principal,
        /// Why.
        reason: String,
        /// An id that no other event has, in any journal.
        unique: Id,
    },
    /// Everything may start again, also by itself after a rollback.
    HoldLifted {
        /// Who lifted it.
        by: Principal,
    },
    /// A window of samples was judged after the promotion had succeeded.
    Watched(Box<Sampled>),
    /// The watch after a success is over, and no window of it had what its judge needs: nobody knows whether the release stayed well.
    WatchedInVain {
        /// Which promotion.
        promotion: u64,
        /// How many windows there were.
        windows: u64,
    },
    /// A lane of the stage got its first request, in the same append.
    LaneOpened {
        /// Which lane.
        lane: Lane,
        /// The unique id of that request.
        unique: Id,
    },
    /// A promotion in a lane of the stage was started, in the same append.
    LaneStarted {
        /// Which lane.
        lane: Name,
        /// Its number there.
        promotion: u64,
        /// Whether the stage was held, and it started in spite of that: a rollback, or one whose glass was broken.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        despite_hold: bool,
        /// How many may be in flight in the stage at once, by its policy.
        limit: u32,
    },
    /// A promotion that was in flight in a lane of the stage has ended, in the same append.
    LaneEnded {
        /// Which lane.
        lane: Name,
        /// Its number there.
        promotion: u64,
    },
    /// A driver took the stage's lease; its fence is the position of this event.
    LeaseTaken {
        /// Which driver.
        owner: Name,
        /// Until when nobody else takes it.
        until: Timestamp,
    },
    /// The driver keeps its lease.
    LeaseRenewed {
        /// Which lease.
        fence: Fence,
        /// Until when nobody else takes it.
        until: Timestamp,
    },
    /// Nobody drives the stage any more.
    LeaseReleased {
        /// Which lease.
        fence: Fence,
        /// The operator who gave it up for a driver that is gone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Principal>,
    },
}

/// A promotion was requested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requested {
    /// An id that no other promotion has, in any journal.
    pub unique: Id,
    /// What it is for.
    pub kind: Kind,
    /// What is promoted.
    pub release: Release,
    /// Who asked for it.
    pub requester: Principal,
    /// The policy that counts for it.
    pub policy: Arc<Policy>,
    /// What votes bind to.
    pub binding: Digest,
    /// In whose name its artifacts are pinned, where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Holder>,
}

/// What the gates said in the step that started a promotion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The release that they looked at.
    pub release: Digest,
    /// Each gate, and what it saw.
    pub gates: Vec<GateEvidence>,
    /// Each stage before, and what stood in its stream.
    pub upstream: Vec<UpstreamEvidence>,
    /// Whose approval counted.
    pub approved_by: Vec<Principal>,
    /// Which window was open; `None` where the policy has no windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<Opening>,
    /// What was not waited for because the glass was broken; empty where it was not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
}

/// What a gate saw when it passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateEvidence {
    /// Which gate.
    pub gate: Name,
    /// What it saw.
    pub saw: String,
}

/// That a release succeeded in a stage before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamEvidence {
    /// Which stage.
    pub stage: Name,
    /// Which lane of it; `None` where the stage has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<Name>,
    /// The version of its stream at which that was seen; asserted in the append that records the start.
    pub version: u64,
    /// Which promotion of it succeeded.
    pub promotion: u64,
    /// When it succeeded.
    pub succeeded_at: Timestamp,
    /// How long it ran there, in milliseconds.
    pub ran_ms: u64,
}

/// A window of samples was judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampled {
    /// Of which promotion.
    pub promotion: u64,
    /// Which window.
    pub window: Window,
    /// What the instances with the new release counted.
    pub canary: Counts,
    /// What those with the previous release counted.
    pub baseline: Counts,
    /// Why there is no data, where a call failed or samples contradicted themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// What the judge keeps.
    pub judge: Value,
    /// What was said: by the judge, unless a guardrail beside it decided.
    pub judgement: Judgement,
    /// What guardrails and shadow judges keep and said.
    #[serde(default, skip_serializing_if = "Beside::is_empty")]
    pub beside: Beside,
}

impl Happened {
    /// Which promotion it is about, where it is about one; `position` is its own.
    #[must_use]
    pub fn promotion(&self, position: u64) -> Option<u64> {
        match self {
            Self::Requested(_) => Some(position),
            Self::Pinned { promotion }
            | Self::Unpinned { promotion }
            | Self::Voted { promotion, .. }
            | Self::Delayed { promotion, .. }
            | Self::Passed { promotion, .. }
            | Self::Changed { promotion, .. }
            | Self::CallFailed { promotion, .. }
            | Self::Overridden { promotion, .. }
            | Self::GlassBroken { promotion, .. }
            | Self::Reviewed { promotion, .. }
            | Self::ReviewOverdue { promotion }
            | Self::WatchedInVain { promotion, .. }
            | Self::Applied { promotion, .. } => Some(*promotion),
            Self::Sampled(sampled) | Self::Watched(sampled) => Some(sampled.promotion),
            Self::Held { .. }
            | Self::HoldLifted { .. }
            | Self::LaneOpened { .. }
            | Self::LaneStarted { .. }
            | Self::LaneEnded { .. }
            | Self::LeaseTaken { .. }
            | Self::LeaseRenewed { .. }
            | Self::LeaseReleased { .. } => None,
        }
    }
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested(requested) => {
                let what = match requested.kind {
                    Kind::Deploy => "requested",
                    Kind::Rollback => "rollback requested",
                };
                write!(f, "{what} by {}: {}", requested.requester, requested.release)
            }
            Self::Pinned { .. } => f.write_str("artifacts pinned"),
            Self::Unpinned { .. } => f.write_str("pin given up"),
            Self::Voted { voter, vote, level, .. } => match level {
                Some(level) => write!(f, "{vote} by {voter} for level {level}"),
                None => write!(f, "{vote} by {voter}"),
            },
            Self::Delayed { by, why, .. } => write!(f, "delayed by {by}: {why}"),
            Self::Passed { evidence, .. } => {
                f.write_str("may start")?;
                for gate in &evidence.gates {
                    write!(f, "; {}: {}", gate.gate, gate.saw)?;
                }
                for before in &evidence.upstream {
                    let place = before.lane.as_ref().unwrap_or(&before.stage);
                    write!(f, "; {place}/{} ran {} ms", before.promotion, before.ran_ms)?;
                }
                for person in &evidence.approved_by {
                    write!(f, "; approved by {person}")?;
                }
                if let Some(window) = evidence.opening.as_ref().and_then(|opening| opening.inside.as_ref()) {
                    write!(f, "; within {window}")?;
                }
                for skipped in &evidence.skipped {
                    write!(f, "; without {skipped}")?;
                }
                Ok(())
            }
            Self::Changed { from, to, reason, by, .. } => {
                write!(f, "{from} -> {to}")?;
                if let Some(by) = by {
                    write!(f, " by {by}")?;
                }
                if reason.is_empty() { Ok(()) } else { write!(f, ": {reason}") }
            }
            Self::CallFailed { call, why, .. } => write!(f, "{call} failed: {why}"),
            Self::Applied { release, reach, .. } => {
                let hex: String = release.to_string().chars().take(15).collect();
                match reach {
                    Reach::All => write!(f, "runs {hex}"),
                    Reach::Canary => write!(f, "runs {hex} {reach}"),
                }
            }
            Self::Overridden { by, reason, .. } => write!(f, "overridden by {by}: {reason}"),
            Self::GlassBroken { by, reason, review_by, .. } => {
                write!(f, "glass broken by {by}: {reason}; to be reviewed until {review_by}")
            }
            Self::ReviewOverdue { .. } => f.write_str("its review is overdue"),
            Self::Reviewed { by, note, .. } => write!(f, "reviewed by {by}: {note}"),
            Self::Sampled(sampled) | Self::Watched(sampled) => {
                if matches!(self, Self::Watched(_)) {
                    f.write_str("watched: ")?;
                }
                let Counts { good, total, .. } = sampled.canary;
                write!(f, "{good} of {total} good, {}", sampled.judgement)?;
                for shadow in &sampled.beside.shadow {
                    write!(f, ", in the shadow {} {}", shadow.judge, shadow.judgement)?;
                }
                match &sampled.trouble {
                    Some(trouble) => write!(f, " ({trouble})"),
                    None => Ok(()),
                }
            }
            Self::WatchedInVain { windows, .. } => {
                write!(f, "watched in vain: none of {windows} windows had what its judge needs")
            }
            Self::Held { by, reason, .. } => write!(f, "held by {by}: {reason}"),
            Self::HoldLifted { by } => write!(f, "hold lifted by {by}"),
            Self::LaneOpened { lane, .. } => write!(f, "{lane} opened"),
            Self::LaneStarted { lane, promotion, .. } => write!(f, "{lane}/{promotion} started"),
            Self::LaneEnded { lane, promotion } => write!(f, "{lane}/{promotion} ended"),
            Self::LeaseTaken { owner, .. } => write!(f, "lease taken by {owner}"),
            Self::LeaseRenewed { fence, .. } => write!(f, "lease {fence} renewed"),
            Self::LeaseReleased { fence, by: Some(by) } => write!(f, "lease {fence} given up by {by}"),
            Self::LeaseReleased { fence, by: None } => write!(f, "lease {fence} given up"),
        }
    }
}
