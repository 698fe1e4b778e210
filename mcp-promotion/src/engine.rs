//! The engine: the pure core, a journal, and the host's stages.

mod builder;
mod change;
mod commands;
mod drive;
mod news;
mod perform;
mod queries;
mod recall;
mod run;
mod stream;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mcp_core::{Clock, EventSink, IdSource, Name, Pin, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, watch};

use crate::{
    Authorizer, Fence, Gate, Journal, Judge, Pipeline, Policy, PromotionError, Stage, machine::StageState,
};

pub use builder::EngineBuilder;
pub use drive::Step;
pub use queries::{Audit, Head};
use stream::Loaded;

/// Plain data that an engine can be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// For how long a lease is taken, in milliseconds; a minute by default. It is renewed in its second half. Another process takes over this
    /// long after a driver has died.
    #[serde(rename = "lease_ms", with = "crate::millis")]
    pub lease: Duration,
    /// How often `run` and `wait` look for what other processes have done, in milliseconds; a second by default.
    #[serde(rename = "poll_ms", with = "crate::millis")]
    pub poll: Duration,
    /// How long artifacts are pinned for a request until a driver makes the pin lasting, in milliseconds; a day by default.
    #[serde(rename = "pin_grace_ms", with = "crate::millis")]
    pub pin_grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(60),
            poll: Duration::from_secs(1),
            pin_grace: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// Promotes releases through the stages of a pipeline. Clones are the same engine.
///
/// What it knows is in its journal: several engines, in several processes where the journal allows that, work on one. Commands only write
/// to the journal; a driver ([`step`](Self::step) or [`run`](Self::run), in this process or another) does the work.
///
/// # Cancel safety
/// Every future may be dropped at any await: it is as if the process had crashed there. A command has happened or has not, and its
/// request id tells which.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    pipeline: Pipeline,
    slots: BTreeMap<Name, Slot>,
    journal: Arc<dyn Journal>,
    gates: BTreeMap<Name, Arc<dyn Gate>>,
    judges: BTreeMap<Name, Arc<dyn Judge>>,
    authorizer: Option<Arc<dyn Authorizer>>,
    pin: Option<Arc<dyn Pin>>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    events: Arc<dyn EventSink>,
    owner: Name,
    settings: Settings,
    stopped: watch::Sender<bool>,
}

/// What the engine has of one stage.
struct Slot {
    name: Name,
    stream: Name,
    policy: Arc<Policy>,
    stage: Option<Arc<dyn Stage>>,
    /// What was read of its stream. Held while reading and appending, never while a stage, a gate or another seam is called.
    loaded: Mutex<Loaded>,
    /// Held by the one step that drives it. Taken before `loaded`, never after.
    driving: Mutex<Driving>,
    /// The version of its stream, as far as this engine knows.
    news: watch::Sender<u64>,
    /// The stages that come after it.
    after_it: Vec<Name>,
}

/// What a driver remembers between steps. Losing it costs a new lease, and nothing else.
#[derive(Debug, Default)]
struct Driving {
    /// Its lease; `None` also while a call to the stage is under way, so that after a call whose end nobody saw (a dropped future, a
    /// timeout) the next one comes with a new fence.
    fence: Option<Fence>,
    /// Whether the stage was shown that fence.
    shown: bool,
    /// Promotions whose pin or gates were tried in vain: when, until when to wait, and how often in a row.
    paced: BTreeMap<u64, (Timestamp, Timestamp, u32)>,
}

impl Engine {
    /// An engine for the stages of `pipeline` that keeps its events in `journal`.
    pub fn builder(pipeline: Pipeline, journal: impl Journal + 'static) -> EngineBuilder {
        EngineBuilder::new(pipeline, Arc::new(journal))
    }

    /// The pipeline, as it counts for new requests.
    #[must_use]
    pub fn pipeline(&self) -> &Pipeline {
        &self.inner.pipeline
    }

    /// The name under which this engine takes leases.
    #[must_use]
    pub fn owner(&self) -> &Name {
        &self.inner.owner
    }

    /// Everything that the stream of `stage` says now.
    ///
    /// # Errors
    /// By kind: `NotFound` for an unknown stage; `Corrupt`, `Unsupported`, `Unavailable` from the journal.
    pub async fn stage_state(
        &self,
        stage: impl TryInto<Name, Error: Into<PromotionError>>,
    ) -> Result<Arc<StageState>, PromotionError> {
        let stage = stage.try_into().map_err(Into::into)?;
        self.load(self.slot(&stage)?).await
    }

    fn slot(&self, stage: &Name) -> Result<&Slot, PromotionError> {
        let unknown = || PromotionError::UnknownStage { stage: stage.clone() };
        self.inner.slots.get(stage).ok_or_else(unknown)
    }

    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages: Vec<&str> = self.inner.slots.keys().map(Name::as_str).collect();
        f.debug_struct("Engine")
            .field("owner", &self.inner.owner)
            .field("stages", &stages)
            .finish_non_exhaustive()
    }
}

const fn assert_send_sync<T: Send + Sync>() {}
const _: () = assert_send_sync::<Engine>();
