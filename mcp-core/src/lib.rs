//! The words that the validation, registry and promotion engines share.
//!
//! ```
//! use mcp_core::{Artifact, ArtifactRef, Digest};
//!
//! let reference: ArtifactRef = "billing/invoice@1.2.0".parse()?;
//! let artifact = Artifact::new(reference, Digest::of(b"{}"));
//! assert_eq!(artifact.reference.name.as_str(), "billing/invoice");
//! assert!(artifact.to_string().starts_with("billing/invoice@1.2.0 blake3:"));
//! # Ok::<(), mcp_core::ParseError>(())
//! ```
//!
//! A word belongs here only when two engines, or every host, must agree on it:
//!
//! - what things are called: [`Name`], [`Version`], [`Requirement`], [`ArtifactRef`], [`Digest`], [`Artifact`],
//!   [`Principal`], [`RequestId`], [`Id`];
//! - what the host lends: [`Clock`], [`IdSource`], [`EventSink`];
//! - what is told: [`Event`], which shows itself as a CloudEvents 1.0 document, [`Finding`], and [`Histogram`], in which every engine
//!   counts, so that a host exports them alike;
//! - what went wrong, by what the caller should do: [`ErrorKind`], and [`SeamError`] for the traits that strangers
//!   implement;
//! - the seams, by which the engines meet although none knows another: [`Inspect`], [`Classify`], [`Fetch`], [`Pin`],
//!   [`InUse`].
//!
//! This crate imports no async runtime, no HTTP and no file system.

mod artifact;
mod artifact_ref;
mod classify;
mod clock;
mod digest;
mod error;
mod event;
mod event_kind;
mod fetch;
mod finding;
mod histogram;
mod id;
mod in_use;
mod inspect;
mod name;
mod pin;
mod principal;
mod request_id;
mod requirement;
mod sink;
mod text;
mod timestamp;
mod version;

pub use artifact::Artifact;
pub use artifact_ref::ArtifactRef;
pub use classify::{Change, Classify};
pub use clock::{Clock, ManualClock, SystemClock};
pub use digest::{Digest, Digester};
pub use error::{ErrorKind, ParseError, SeamError};
pub use event::{Event, Source};
pub use event_kind::{
    ArtifactCorrupt, ArtifactDeduplicated, ArtifactDeprecated, ArtifactPublished, ArtifactYanked,
    ChannelMoved, ChannelRemoved, ContractRegistered, DocumentJudged, EventKind, GlassBroken, GlassReviewed,
    LabelsChanged, PlanChanged, PlanRequested, PlanStageChanged, PromotionChanged, PromotionDelayed,
    PromotionEvent, PromotionRequested, PublishRefused, RegistryEvent, ReviewOverdue, StageCallFailed,
    StageHeld, StageHoldLifted, ValidationEvent, VoteCast,
};
pub use fetch::{Fetch, Fetched};
pub use finding::{Finding, Severity};
pub use histogram::{Bucket, Histogram, Recorder};
pub use id::{Id, IdSource, RandomIds, SequentialIds};
pub use in_use::{InUse, Usage, UsageReason};
pub use inspect::{Candidate, Inspect, Verdict};
pub use name::Name;
pub use pin::{Holder, Pin};
pub use principal::Principal;
pub use request_id::RequestId;
pub use requirement::Requirement;
pub use sink::{EventSink, FnSink, NullSink, RecordingSink, TeeSink};
pub use timestamp::Timestamp;
pub use version::Version;
