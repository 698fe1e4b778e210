use mcp_core::{Digest, Holder, Id, Name, Principal, Timestamp};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

use super::stage_state::Verified;
use super::watch::Response;
use crate::judge::{Beside, Judgement};
use crate::{
    Counts, Evidence, Fence, Fencing, Kind, Policy, Reach, Release, Sampled, Standing, State,
    UpstreamEvidence, Vote, Window,
};

/// What somebody wants to happen in a stage: first what people want, then what the driver under a lease wants.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Command {
    /// Bring a release into the stage.
    Request {
        /// For what.
        kind: Kind,
        /// Which release.
        release: Release,
        /// Who asks.
        requester: Principal,
        /// The policy that is to count.
        #[serde(skip)]
        policy: Arc<Policy>,
        /// An id that no other promotion has.
        #[serde(skip)]
        unique: Id,
        /// In whose name the artifacts are pinned.
        #[serde(skip)]
        holder: Option<Holder>,
        /// Why it is not to wait; `None` for one that waits.
        #[serde(skip_serializing_if = "Option::is_none")]
        glass: Option<String>,
        /// When it succeeded in the stages before, for what the engine requests by itself: nothing happens where the stage does not want
        /// it any more.
        #[serde(skip)]
        succeeded_at: Option<Timestamp>,
    },
    /// Approve, reject or revoke.
    Vote {
        /// On which promotion.
        promotion: u64,
        /// Who.
        voter: Principal,
        /// What.
        vote: Vote,
        /// Why; empty where the vote says it all.
        #[serde(skip_serializing_if = "String::is_empty")]
        reason: String,
        /// Whether the authorizer says that it is theirs to say.
        #[serde(skip)]
        standing: Option<Standing>,
    },
    /// Withdraw a pending promotion.
    Cancel {
        /// Which.
        promotion: u64,
        /// Who.
        by: Principal,
    },
    /// Let nothing more happen for now.
    Pause {
        /// Which.
        promotion: u64,
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// Go on after a pause, also when the stage ran something unexpected.
    Resume {
        /// Which.
        promotion: u64,
        /// Who.
        by: Principal,
    },
    /// Call a paused promotion a success; one of which at most the canary runs the release takes the way of a canary that was judged well.
    Override {
        /// Which.
        promotion: u64,
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// Go back to what ran before.
    Abort {
        /// Which.
        promotion: u64,
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// Take over from a stuck promotion: it failed, and a person cares for the stage.
    Acknowledge {
        /// Which.
        promotion: u64,
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// Try again to roll back.
    Retry {
        /// Which.
        promotion: u64,
        /// Who.
        by: Principal,
    },
    /// Let a pending promotion start without waiting.
    BreakGlass {
        /// Which.
        promotion: u64,
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// Say what became clear about a promotion for which the glass was broken.
    Review {
        /// Which.
        promotion: u64,
        /// Who.
        by: Principal,
        /// What they found.
        note: String,
    },
    /// Let nothing but rollbacks start.
    Hold {
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
        /// An id that no other event has.
        #[serde(skip)]
        unique: Id,
    },
    /// Let everything start again, also by itself.
    LiftHold {
        /// Who.
        by: Principal,
    },
    /// Give up the lease of a driver that is surely gone.
    ReleaseLease {
        /// Which lease; the newest one.
        fence: Fence,
        /// Who says so.
        by: Principal,
    },

    /// A driver wants the lease.
    TakeLease {
        /// Which driver.
        owner: Name,
        /// Until when.
        until: Timestamp,
        /// Whether the stage refuses drivers that were replaced.
        #[serde(skip)]
        fencing: Fencing,
    },
    /// A driver goes on with its lease.
    RenewLease {
        /// Which lease.
        fence: Fence,
        /// Until when.
        until: Timestamp,
    },
    /// A driver has nothing to do for now.
    DropLease {
        /// Which lease.
        fence: Fence,
    },
    /// The pin has no expiry any more.
    Pinned {
        /// Under which lease.
        fence: Fence,
        /// Of which promotion.
        promotion: u64,
    },
    /// The pin was given up.
    Unpinned {
        /// Under which lease.
        fence: Fence,
        /// Of which promotion.
        promotion: u64,
    },
    /// Nobody has reviewed it in time.
    Remind {
        /// Under which lease.
        fence: Fence,
        /// For which promotion the glass was broken.
        promotion: u64,
    },
    /// A gate or a seam keeps it pending.
    Delay {
        /// Under which lease.
        fence: Fence,
        /// Which promotion.
        promotion: u64,
        /// Which gate or seam.
        by: String,
        /// What it said.
        why: String,
        /// Until when, where it said so.
        until: Option<Timestamp>,
    },
    /// Every gate passed.
    Start {
        /// Under which lease.
        fence: Fence,
        /// Which promotion.
        promotion: u64,
        /// What the gates said; the approvals in it are filled in by `decide`.
        evidence: Evidence,
        /// What stood in the streams of the stages before.
        #[serde(skip)]
        upstream: Vec<(UpstreamEvidence, Verified)>,
    },
    /// The table allows it and the driver has a reason.
    Move {
        /// Under which lease.
        fence: Fence,
        /// Which promotion.
        promotion: u64,
        /// To which state.
        to: State,
        /// Why.
        reason: String,
    },
    /// A call to the stage failed.
    CallFailed {
        /// Under which lease.
        fence: Fence,
        /// On behalf of which promotion.
        promotion: u64,
        /// Which call.
        call: String,
        /// What it said.
        why: String,
    },
    /// The stage says that it runs what it was told to.
    Applied {
        /// Under which lease.
        fence: Fence,
        /// On behalf of which promotion.
        promotion: u64,
        /// Which release.
        release: Digest,
        /// How much of it runs that.
        reach: Reach,
    },
    /// A window was judged.
    Sampled {
        /// Under which lease.
        fence: Fence,
        /// Of which promotion.
        promotion: u64,
        /// Which window.
        window: Window,
        /// What the instances with the new release counted.
        canary: Counts,
        /// What those with the previous release counted.
        baseline: Counts,
        /// Why there is no data.
        trouble: Option<String>,
        /// What the judge keeps.
        judge: Value,
        /// What was said.
        judgement: Judgement,
        /// What guardrails and shadow judges keep and said.
        beside: Beside,
    },
    /// A window was judged after the promotion had succeeded.
    Watched {
        /// Under which lease.
        fence: Fence,
        /// The window, and what the judge said.
        sampled: Box<Sampled>,
        /// What a regression leads to.
        #[serde(skip)]
        response: Response,
    },
}

impl Command {
    /// What it attempts, for error messages, such as `cancel`.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Request { .. } => "request",
            Self::Vote { vote: Vote::Approve, .. } => "approve",
            Self::Vote { vote: Vote::Reject, .. } => "reject",
            Self::Vote { vote: Vote::Revoke, .. } => "revoke the approval of",
            Self::Cancel { .. } => "cancel",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::Override { .. } => "override",
            Self::Abort { .. } => "abort",
            Self::Acknowledge { .. } => "acknowledge",
            Self::Retry { .. } => "retry",
            Self::BreakGlass { .. } => "break the glass for",
            Self::Review { .. } => "review",
            Self::Hold { .. } => "hold",
            Self::LiftHold { .. } => "lift the hold of",
            Self::ReleaseLease { .. } => "release the lease of",
            Self::TakeLease { .. } | Self::RenewLease { .. } | Self::DropLease { .. } => {
                "change the lease of"
            }
            Self::Pinned { .. } | Self::Unpinned { .. } => "record a pin of",
            Self::Remind { .. } => "tell of the overdue review of",
            Self::Delay { .. } => "delay",
            Self::Start { .. } => "start",
            Self::Move { .. } => "move on",
            Self::CallFailed { .. } => "record a failed call of",
            Self::Applied { .. } => "record a change of",
            Self::Sampled { .. } | Self::Watched { .. } => "record a window of",
        }
    }

    /// Which promotion it is about, where it is about one that exists.
    #[must_use]
    pub const fn promotion(&self) -> Option<u64> {
        match self {
            Self::Vote { promotion, .. }
            | Self::Cancel { promotion, .. }
            | Self::Pause { promotion, .. }
            | Self::Resume { promotion, .. }
            | Self::Override { promotion, .. }
            | Self::Abort { promotion, .. }
            | Self::Acknowledge { promotion, .. }
            | Self::Retry { promotion, .. }
            | Self::BreakGlass { promotion, .. }
            | Self::Review { promotion, .. }
            | Self::Pinned { promotion, .. }
            | Self::Unpinned { promotion, .. }
            | Self::Delay { promotion, .. }
            | Self::Start { promotion, .. }
            | Self::Move { promotion, .. }
            | Self::CallFailed { promotion, .. }
            | Self::Applied { promotion, .. }
            | Self::Sampled { promotion, .. } => Some(*promotion),
            Self::Watched { sampled, .. } => Some(sampled.promotion),
            Self::Request { .. }
            | Self::Hold { .. }
            | Self::LiftHold { .. }
            | Self::Remind { .. }
            | Self::ReleaseLease { .. }
            | Self::TakeLease { .. }
            | Self::RenewLease { .. }
            | Self::DropLease { .. } => None,
        }
    }

    /// Under which lease it acts, where it acts under one.
    #[must_use]
    pub const fn fence(&self) -> Option<Fence> {
        match self {
            Self::RenewLease { fence, .. }
            | Self::DropLease { fence }
            | Self::Pinned { fence, .. }
            | Self::Unpinned { fence, .. }
            | Self::Delay { fence, .. }
            | Self::Remind { fence, .. }
            | Self::Start { fence, .. }
            | Self::Move { fence, .. }
            | Self::CallFailed { fence, .. }
            | Self::Applied { fence, .. }
            | Self::Sampled { fence, .. }
            | Self::Watched { fence, .. } => Some(*fence),
            _ => None,
        }
    }
}
