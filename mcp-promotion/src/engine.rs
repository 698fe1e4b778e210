//! The engine: the pure core, a journal, and the host's stages.

mod automatic;
mod builder;
mod call;
mod change;
mod claims;
mod commands;
mod counting;
mod diagram;
mod drive;
mod explain;
mod glass;
mod lane_slots;
mod lanes;
mod news;
mod operate;
mod owners;
mod pace;
mod perform;
mod permit;
mod place;
mod plan;
mod plan_drive;
mod plan_news;
mod plan_pin;
mod plan_request;
mod plan_sight;
mod plan_stream;
mod preview;
mod queries;
mod recall;
mod run;
mod snapshot;
mod stop;
mod stream;
mod trouble;
mod unmade;
mod verify;
mod verify_lanes;
mod waiting;
mod watching;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mcp_core::{Clock, EventSink, IdSource, Name, Pin, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, OnceCell, watch};

use crate::{
    Authorizer, Claim, Fence, Gate, Journal, Judge, Lane, Pipeline, Policy, PromotionError, Stage,
    machine::StageState,
};

pub use builder::EngineBuilder;
pub use drive::Step;
use lane_slots::LaneSlots;
use lanes::MakeLane;
pub use plan_request::PlanPreview;
use stream::Loaded;
pub use trouble::{Task, Trouble};
pub use verify::Audit;

/// Plain data that an engine can be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// For how long a lease is taken, in milliseconds; a minute by default. It is renewed in its second half. Another process takes over this
    /// long after a driver has died, or at once where the journal can tell that ([`Owners`](crate::Owners)).
    #[serde(rename = "lease_ms", with = "crate::millis")]
    pub lease: Duration,
    /// How often `run` and `wait` look for what other processes have done, in milliseconds; a second by default.
    #[serde(rename = "poll_ms", with = "crate::millis")]
    pub poll: Duration,
    /// How long artifacts are pinned for a request until a driver makes the pin lasting, in milliseconds; a day by default.
    #[serde(rename = "pin_grace_ms", with = "crate::millis")]
    pub pin_grace: Duration,
    /// For how long a step that is under way may go on after `stop`, and again giving the leases back, in milliseconds; ten seconds by default.
    #[serde(rename = "stop_grace_ms", with = "crate::millis")]
    pub stop_grace: Duration,
    /// After how many events of a stream, at the least, what they amount to is kept beside it, where the journal can; 512 by default. A
    /// stage that remembers more than that waits for as many events as it remembers things, so that keeping costs no more than reading.
    pub snapshot_events: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(60),
            poll: Duration::from_secs(1),
            pin_grace: Duration::from_secs(24 * 60 * 60),
            stop_grace: Duration::from_secs(10),
            snapshot_events: 512,
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
    /// Held from the first lease on, where the journal knows of claims.
    claim: OnceCell<Claim>,
    settings: Settings,
    troubles: trouble::Troubles,
    stops: stop::Stops,
    plans: plan_stream::Plans,
    stats: std::sync::Mutex<crate::Stats>,
    plan_news: plan_news::PlanNews,
    sights: plan_sight::Sights,
    /// Held while a plan is checked and recorded.
    planning: Mutex<()>,
}

/// What the engine has of one stage, or of one lane of a stage.
struct Slot {
    name: Name,
    stream: Name,
    policy: Arc<Policy>,
    stage: Option<Arc<dyn Stage>>,
    /// What was read of its stream. Held while reading and appending, never while a stage, a gate or another seam is called.
    loaded: Mutex<Loaded>,
    /// Held by the one step that drives it. Taken before `loaded`, never after.
    driving: Mutex<Driving>,
    /// What was tried in vain on behalf of a promotion.
    paced: pace::Paced,
    waiting: waiting::Waiting,
    /// The version of its stream, as far as this engine knows.
    news: watch::Sender<u64>,
    /// The stages that come after it.
    after_it: Vec<Name>,
    /// Which lane it is, where it is one.
    lane: Option<Arc<Lane>>,
    /// The stage that it is a lane of.
    lane_of: Option<Name>,
    /// Its own lanes.
    lanes: LaneSlots,
    /// How the host gives the stages of its lanes.
    make_lane: Option<MakeLane>,
}

/// What a driver remembers between steps. Losing it costs a new lease, and nothing else.
#[derive(Debug, Default)]
struct Driving {
    /// Its lease; `None` also while a call to the stage is under way, so that after a call whose end nobody saw (a dropped future, a
    /// timeout) the next one comes with a new fence.
    fence: Option<Fence>,
    /// Whether the stage was shown that fence.
    shown: bool,
    /// A request of its own that was tried in vain: when, until when to wait, and how often in a row.
    asking: Option<(Timestamp, Timestamp, u32)>,
    /// The version of the stream at which this driver was overtaken last, and how often there.
    overtaken: (u64, u32),
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
        self.load(&*self.place(&stage).await?).await
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
