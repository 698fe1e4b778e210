use std::convert::Infallible;

use mcp_core::{ErrorKind, Name, ParseError, Principal, RequestId, SeamError};
use thiserror::Error;

use crate::fault::{Fault, listed};
use crate::{PlanId, PlanState, PromotionId, State};

/// Why the promotion engine could not do what it was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PromotionError {
    /// A name, a reference or an id is not what it should be.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// Text that is no promotion id.
    #[error("read {shown:?} as promotion id: it is not a stage, '/' and a number from 1, such as prod/7")]
    MalformedId {
        /// The beginning of the text, at most 60 characters.
        shown: String,
    },
    /// A release cannot be made of these artifacts.
    #[error("make a release: {reason}")]
    Release {
        /// What is wrong, and with which artifact.
        reason: String,
    },
    /// Stages and policies do not fit together.
    #[error("build the pipeline: {}", listed(faults))]
    Pipeline {
        /// Everything that is wrong, in the order that [`PipelineBuilder::build`](crate::PipelineBuilder::build) states; at least one.
        faults: Vec<Fault>,
    },
    /// The collaborators given to the builder do not fit the pipeline.
    #[error("build the promotion engine: {reason}")]
    Setup {
        /// What is missing or too much, and what to do.
        reason: String,
    },
    /// A calendar cannot be made of this text.
    #[error("make a calendar: {reason}")]
    Calendar {
        /// What is wrong, and in which calendar.
        reason: String,
    },
    /// A plan cannot be made.
    #[error("plan the release: {reason}")]
    Plan {
        /// Which constraints exclude each other.
        reason: String,
    },
    /// The journal has no such plan.
    #[error("find plan {plan}: nothing was requested under this id")]
    UnknownPlan {
        /// The id that was given.
        plan: PlanId,
    },
    /// The plan is in a state in which this cannot be done.
    #[error("bring plan {plan} to {to}: it is {state}, or has begun, and cannot be from there")]
    PlanNotNow {
        /// Which plan.
        plan: PlanId,
        /// The state it is in.
        state: PlanState,
        /// The state it was to go to.
        to: PlanState,
    },
    /// A stage belongs to another plan until that has ended.
    #[error(
        "plan the release: stage {stage} belongs to plan {plan}, which is {state}; wait until it has ended, or abort or acknowledge it"
    )]
    StagePlanned {
        /// Which stage.
        stage: Name,
        /// Which plan.
        plan: PlanId,
        /// The state that plan is in.
        state: PlanState,
    },
    /// The pipeline has no such stage.
    #[error("find stage {stage}: the pipeline has none of this name")]
    UnknownStage {
        /// The name that was given.
        stage: Name,
    },
    /// The stage has no such promotion.
    #[error("find promotion {promotion}: nothing was requested under this id")]
    UnknownPromotion {
        /// The id that was given.
        promotion: PromotionId,
    },
    /// A rule says that this person may not do it.
    #[error("{attempted} by {who}: {reason}")]
    Denied {
        /// What was attempted, on which promotion.
        attempted: String,
        /// Who tried.
        who: Principal,
        /// Which rule says no.
        reason: String,
    },
    /// The promotion is in a state in which this cannot be done.
    #[error("{attempted}: it is {state}, {reason}")]
    NotNow {
        /// What was attempted, on which promotion.
        attempted: String,
        /// The state it is in.
        state: State,
        /// Why that state does not allow it, or what does.
        reason: String,
    },
    /// The stage has nothing to go back to.
    #[error("roll back stage {stage}: {reason}")]
    NoRollbackTarget {
        /// Which stage.
        stage: Name,
        /// Why there is none.
        reason: String,
    },
    /// A driver acted under a lease that is not the newest one.
    #[error("drive stage {stage}: its lease went to another driver")]
    StaleDriver {
        /// Which stage.
        stage: Name,
    },
    /// A lease cannot be taken or given up.
    #[error("change the lease of stage {stage}: {reason}")]
    Lease {
        /// Which stage.
        stage: Name,
        /// Who has it, or that nobody has.
        reason: String,
    },
    /// Nothing is left to be reviewed.
    #[error("review {promotion}: its glass was not broken, or somebody has reviewed it already")]
    NoObligation {
        /// Which promotion.
        promotion: PromotionId,
    },
    /// A lane cannot be what was asked for.
    #[error("use lane {lane}: {reason}")]
    Lane {
        /// Which lane.
        lane: Name,
        /// Which other lane is in the way, and what to do.
        reason: String,
    },
    /// The stage has lanes, each with a release of its own.
    #[error(
        "{attempted} stage {stage}: its lanes run releases of their own; name one of them, such as {stage}/app"
    )]
    HasLanes {
        /// What was attempted.
        attempted: &'static str,
        /// Which stage.
        stage: Name,
    },
    /// A hold cannot be put on a stage or lifted.
    #[error("{attempted} stage {stage}: {reason}")]
    Hold {
        /// What was attempted.
        attempted: &'static str,
        /// Which stage.
        stage: Name,
        /// Who holds it, or that nobody does.
        reason: String,
    },
    /// The request id was used before, for something else.
    #[error("use request id {request_id}: another command of stage {stage} has used it; choose a new one")]
    RequestIdReused {
        /// The id.
        request_id: RequestId,
        /// Of which stage.
        stage: Name,
    },
    /// Others wrote to the stage's stream again and again just before.
    #[error("write to stream {stream}: others were faster {attempts} times in a row; try again")]
    Contended {
        /// Which stream.
        stream: Name,
        /// How often it was tried.
        attempts: u32,
    },
    /// What the journal holds is not what was written to it.
    #[error("read event {position} of stream {stream}: {reason}; verify the journal, then restore it")]
    Corrupt {
        /// Which stream.
        stream: Name,
        /// Which event of it, from 1.
        position: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// An event was written by a build that knows more than this one.
    #[error("read event {position} of stream {stream}: its format {format} is not known to this build")]
    NewerFormat {
        /// Which stream.
        stream: Name,
        /// Which event of it, from 1.
        position: u64,
        /// The version byte of the event.
        format: u8,
    },
    /// An event fits its chain, and this build does not know what it says: a newer one wrote it.
    #[error(
        "read event {position} of stream {stream}: this build does not know it ({reason}); use a newer build"
    )]
    UnknownEvent {
        /// Which stream.
        stream: Name,
        /// Which event of it, from 1.
        position: u64,
        /// What is not known.
        reason: String,
    },
    /// What is to be recorded is larger than a journal takes.
    #[error(
        "write an event to stream {stream}: it has {bytes} bytes, at most {limit} are allowed; ask for less at once"
    )]
    TooLarge {
        /// Which stream.
        stream: Name,
        /// How many bytes it has.
        bytes: usize,
        /// How many an event may have.
        limit: usize,
    },
    /// A text is no checkpoint.
    #[error("read a checkpoint of the journal: {reason}")]
    Checkpoint {
        /// What is wrong with it.
        reason: String,
    },
    /// A journal, a stage, a gate or another seam failed.
    #[error("{attempted}")]
    Seam {
        /// What was attempted, on what.
        attempted: String,
        /// What the seam said.
        source: SeamError,
    },
    /// The engine contradicts itself.
    #[error("{attempted}: {reason}")]
    Internal {
        /// What was attempted.
        attempted: String,
        /// What cannot be.
        reason: String,
    },
}

impl PromotionError {
    /// What the caller should do.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Parse(_)
            | Self::MalformedId { .. }
            | Self::Release { .. }
            | Self::Pipeline { .. }
            | Self::Setup { .. }
            | Self::Calendar { .. }
            | Self::Plan { .. }
            | Self::Checkpoint { .. } => ErrorKind::Invalid,
            Self::UnknownPlan { .. } | Self::UnknownStage { .. } | Self::UnknownPromotion { .. } => {
                ErrorKind::NotFound
            }
            Self::Denied { .. } => ErrorKind::Denied,
            Self::NotNow { .. }
            | Self::PlanNotNow { .. }
            | Self::StagePlanned { .. }
            | Self::NoRollbackTarget { .. }
            | Self::StaleDriver { .. }
            | Self::Lease { .. }
            | Self::Hold { .. }
            | Self::NoObligation { .. }
            | Self::Lane { .. }
            | Self::HasLanes { .. }
            | Self::RequestIdReused { .. } => ErrorKind::Conflict,
            Self::TooLarge { .. } => ErrorKind::Exhausted,
            Self::Contended { .. } => ErrorKind::Unavailable,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::NewerFormat { .. } | Self::UnknownEvent { .. } => ErrorKind::Unsupported,
            Self::Seam { source, .. } => source.kind(),
            Self::Internal { .. } => ErrorKind::Internal,
        }
    }

    /// `id` was used for another command of `stage`.
    pub(crate) fn reused(stage: &Name, id: &RequestId) -> Self {
        Self::RequestIdReused { request_id: id.clone(), stage: stage.clone() }
    }

    pub(crate) fn seam(attempted: impl Into<String>) -> impl FnOnce(SeamError) -> Self {
        let attempted = attempted.into();
        move |source| Self::Seam { attempted, source }
    }
}

impl From<Infallible> for PromotionError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<PromotionError> for SeamError {
    fn from(error: PromotionError) -> Self {
        Self::new(error.kind(), error.to_string()).with_source(error)
    }
}
