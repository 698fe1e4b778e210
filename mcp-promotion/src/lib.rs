//! Moves releases through the stages of a pipeline: approvals, gates, health judgement, automatic rollback, and a journal that can be
//! verified.
//!
//! ```
//! # use std::{path::PathBuf, time::Duration};
//! # use mcp_core::{Digest, ErrorKind, SeamError};
//! # use mcp_promotion::*;
//! # const MINUTE: Duration = Duration::from_millis(60);
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let (d, p, digest) = (folder.path().join("d"), folder.path().join("p"), Digest::of(b"app"));
//! let pipeline = Pipeline::builder()
//!     .stage("dev", Policy::unverified("demo"))
//!     .stage("prod", Policy::healthy_for(MINUTE).after("dev").approvals(1))
//!     .build()?;
//! let engine = Engine::builder(pipeline, MemoryJournal::new())
//!     .stage("dev", Directory(d)).stage("prod", Directory(p))
//!     .authorizer(AllowList::of(["bob"])?).build()?;
//! tokio::spawn(engine.clone().run());
//! let release = Release::of([("app@1.2.0", digest)])?;
//! let dev = engine.request("dev", &release, "alice").await?;
//! engine.wait(&dev).await?;
//! let prod = engine.request("prod", &release, "alice").await?;
//! engine.approve(&prod, "bob").await?;
//! println!("{:?}", engine.wait(&prod).await?); // Succeeded
//! # assert_eq!(engine.status(&prod).await?.state, State::Succeeded);
//! # Ok(())
//! # }
//!
//! /// A stage is a type of yours: this one keeps the digest of what it runs in a file.
//! struct Directory(PathBuf);
//!
//! #[async_trait::async_trait]
//! impl Stage for Directory {
//!     fn fencing(&self) -> Fencing {
//!         Fencing::Unfenced
//!     }
//!     async fn observe(&self, _fence: Fence) -> Result<Observed, StageError> {
//!         Ok(match std::fs::read_to_string(&self.0) {
//!             Ok(text) => text.parse().map_or(Observed::Unknown(text), Observed::Running),
//!             Err(_) => Observed::Nothing,
//!         })
//!     }
//!     async fn apply(&self, release: &Release, _context: &Context) -> Result<(), StageError> {
//!         std::fs::write(&self.0, release.digest().to_string())
//!             .map_err(|error| SeamError::new(ErrorKind::Unavailable, "write the file").with_source(error))
//!     }
//!     async fn sample(&self, _window: Window) -> Result<Vec<Sample>, StageError> {
//!         Ok(vec![Sample::canary("directory", 100, 100)])
//!     }
//! }
//! ```
//!
//! The map:
//!
//! - what is promoted, and how: [`Release`], [`Pipeline`], [`Policy`], [`Verification`];
//! - the engine: [`Engine`], its commands and queries, and its drivers, [`Engine::step`] and [`Engine::run`];
//! - what it works with, all of them traits that hosts implement: [`Stage`], [`Gate`], [`Judge`], [`Authorizer`],
//!   [`Journal`], [`HealthCheck`], and of
//!   [`mcp_core`] `Pin`, `Fetch` and `Inspect`;
//! - what it knows: [`Promotion`] and its [`State`], [`Blocker`]s, [`History`], [`Lease`];
//! - the pure core that decides everything: [`machine`].
//!
//! # What always holds
//! At most one promotion is in flight in a stage (or as many as its policy says, in lanes that have no artifact in common), and nothing is
//! done to a stage before every gate of the recorded policy held in the step that started it. Where a policy asks for a canary, only the
//! canary runs a new release until its verdict, or a person's override, stands in the journal; and only when everything runs it has it
//! succeeded. A driver that was replaced changes neither the journal nor a stage that enforces fences. A promotion that has ended stays so.
//! After a failure the stage runs the previous release, or the promotion is paused or stuck and says why.

mod actor;
mod approval;
mod authorizer;
mod blocker;

#[cfg(feature = "conformance")]
pub mod conformance;
mod engine;
mod entry;
mod error;
mod explain;
mod fault;
mod gate;
mod glass;
mod health;
mod history;
mod hold;
mod host;
mod journal;
mod judge;
mod lane;
mod latencies;
mod lease;
mod level;
pub mod machine;
mod millis;
mod pipeline;
mod plan;

mod policy;
mod preview;
mod promotion;
mod release;
mod render;
mod sample;
mod stage;
mod state;
mod stats;
mod verification;
mod window;

pub use actor::Actor;
pub use approval::{Ballot, LevelTally, Tally, Vote, binding, tally};
pub use authorizer::{
    AllowList, Authorizer, OperateRequest, OperatedPlan, Operation, Permission, Roles, Standing, VoteRequest,
};
pub use blocker::{Blocker, LiftedBy};
pub use engine::{Audit, Engine, EngineBuilder, PlanPreview, Settings, Step, Task, Trouble};
pub use entry::{
    Entry, Evidence, GateEvidence, Happened, Requested, Sampled, UpstreamEvidence, UsedRequestId,
};
pub use error::PromotionError;
pub use explain::{Deed, Exception, Explanation, Replaced, StageExplanation, Verified};
pub use fault::Fault;
pub use gate::{FetchGate, Gate, GateAnswer, GateError, GateRequest, HealthGate, InspectGate};
pub use glass::{Glass, Obligation, Skipped};
pub use health::{
    AllOf, AnyOf, CheckFn, Health, HealthCheck, HealthCheckExt, HealthError, Probes, Retried, Within,
};
pub use history::{History, Moment};
pub use hold::Hold;
#[cfg(feature = "sqlite")]
pub use journal::SqliteJournal;
pub use journal::{
    Append, Chain, FORMAT, Journal, JournalError, MAX_EVENT_BYTES, MAX_READ_BYTES, MemoryJournal,
};
pub use journal::{
    Checkpoint, Claim, Head, Owners, Signature, SignedCheckpoint, Signer, Snapshots, Verifier,
};
#[cfg(feature = "ed25519")]
pub use journal::{Ed25519Signer, Ed25519Verifier};
pub use judge::{
    Beside, Burn, CountTest, Guardrail, Judge, JudgeError, Judgement, Limit, Metric, RankTest, Sequential,
    Shadow, Together, read_state,
};
pub use lane::{Lane, LaneStatus};
pub use latencies::Latencies;
pub use lease::Lease;
pub use level::Level;
pub use machine::Deployed;
pub use pipeline::{Pipeline, PipelineBuilder, PipelineText};

pub use plan::{
    Constraint, Edge, Group, Item, Lockstep, Need, OnFailure, Part, PartState, Plan, PlanEntry, PlanHappened,
    PlanId, PlanRequest, PlanRequested, PlanState, PlanStatus, Present, Wave,
};
pub use policy::{Calls, OnNoPredecessor, Policy, Queue, UpstreamRule};
pub use preview::{Ahead, Obstacle, Preview, Return};
pub use promotion::{Delay, Kind, Progress, Promotion, PromotionId};
pub use release::Release;
pub use render::{Diagram, Drawn, Live, Timeline, TimelineRow, Tone};
pub use sample::{Arm, Counts, Sample, Window};
pub use stage::{Context, Fence, Fencing, Observed, Reach, Stage, StageError};
pub use state::State;
pub use stats::{Durations, StageCall, Stats};
pub use verification::{JudgeChoice, Judged, OnInconclusive, Verification};
pub use window::{Calendar, Closed, Day, Opening, Windows};
