use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use mcp_core::{Digest, SeamError};
use serde::{Deserialize, Serialize};

use crate::{Kind, PromotionId, Release, Sample, Window};

/// The error of a [`Stage`].
pub type StageError = SeamError;

/// Which driver acts: larger is later. It is the position of the driver's lease in the stage's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fence(pub u64);

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether the target behind a [`Stage`] refuses drivers that were replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fencing {
    /// It keeps the largest fence that it was shown, and refuses smaller ones.
    Enforced,
    /// It cannot. Then no other driver takes over by itself: an operator must first give up the lease of the one that is gone. And after an
    /// [`apply`](Stage::apply) that did not end within its time a person must say how to go on: it may still have its effect. A process that
    /// begins anew under the same owner name goes on at once, so that what its predecessor has started must have ended with it.
    Unfenced,
}

/// What a stage runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Exactly the release with this digest, everywhere.
    Running(Digest),
    /// Nothing.
    Nothing,
    /// Exactly these two: the canary runs one release, and everything else another one or nothing.
    Canary {
        /// The release that the canary runs.
        canary: Digest,
        /// The release that everything else runs; `None` for nothing.
        rest: Option<Digest>,
    },
    /// It cannot be told, or is any other mixture; the text says what was seen.
    Unknown(String),
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(digest) => write!(f, "the release {digest}"),
            Self::Nothing => f.write_str("nothing"),
            Self::Canary { canary, rest: Some(rest) } => {
                write!(f, "the release {canary} in its canary and {rest} elsewhere")
            }
            Self::Canary { canary, rest: None } => {
                write!(f, "the release {canary} in its canary and nothing elsewhere")
            }
            Self::Unknown(seen) => {
                write!(f, "something unknown ({})", seen.chars().take(200).collect::<String>())
            }
        }
    }
}

/// How much of a stage a change is meant for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Only the canary: the instances that the stage counts as [`Arm::Canary`](crate::Arm::Canary).
    Canary,
    /// Every instance.
    #[default]
    All,
}

impl Reach {
    /// Whether it is every instance.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Canary => "in the canary only",
            Self::All => "everywhere",
        })
    }
}

/// What [`Stage::apply`] is called for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Context {
    /// Which driver calls.
    pub fence: Fence,
    /// The same for every repetition of the same change, and different for every other change.
    pub key: String,
    /// On behalf of which promotion.
    pub promotion: PromotionId,
    /// [`Kind::Deploy`] on the way forward, [`Kind::Rollback`] on the way back.
    pub kind: Kind,
    /// What the stage is believed to run now, outside of its canary; `None` for nothing.
    pub previous: Option<Release>,
    /// How much of the stage is to be changed.
    pub reach: Reach,
}

impl Context {
    /// A context that reaches every instance, as the engine makes one; for tests of a stage.
    #[must_use]
    pub const fn new(
        fence: Fence,
        key: String,
        promotion: PromotionId,
        kind: Kind,
        previous: Option<Release>,
    ) -> Self {
        Self { fence, key, promotion, kind, previous, reach: Reach::All }
    }

    /// The same with another reach.
    #[must_use]
    pub const fn reaching(mut self, reach: Reach) -> Self {
        self.reach = reach;
        self
    }
}

/// A place where releases run: the host's way to its cluster, its machines, its folder.
///
/// Implemented by hosts; called by the one driver that holds the stage's lease, one call at a time. A driver that was replaced may
/// still be calling, and that is what fences are for.
///
/// What must hold, for [`Fencing::Enforced`]:
/// - once `observe` was called with a fence, no call with a smaller one changes anything, however late it arrives; it fails with
///   `Conflict`. The target itself must compare, in the same step in which it changes: a comparison in this process is too early.
/// - `apply` with a key whose change is already in place changes nothing and succeeds.
/// - `apply` with a key whose change was in place, and was replaced under another key since, is a call that was delivered twice: it changes
///   nothing, and succeeds or fails with `Conflict`. Keys need to be remembered for as long as the largest fence stays the same.
///
/// The checks of `conformance::stage` (feature `conformance`) try both.
///
/// # Cancel safety
/// The engine drops a call that takes longer than the policy's timeout, and every call when its own future is dropped. The call may
/// then still happen, in whole or in part; the engine goes on with a new fence and observes first.
#[async_trait]
pub trait Stage: Send + Sync {
    /// Whether the target refuses drivers that were replaced. It never changes.
    fn fencing(&self) -> Fencing;

    /// What runs there now. Before it answers, the target has taken note of `fence`.
    ///
    /// # Errors
    /// `Conflict` when the target knows a larger fence; `Unavailable` and others are tried again as the policy says.
    async fn observe(&self, fence: Fence) -> Result<Observed, StageError>;

    /// Makes as much of the stage as [`Context::reach`] says run exactly `release`, and nothing where it is [empty](Release::is_empty).
    /// A stage that needs time waits for it here: when it returns `Ok`, `observe` answers
    /// - [`Observed::Running`] that release after [`Reach::All`] (or [`Observed::Nothing`]), whatever the canary ran before;
    /// - [`Observed::Canary`] with that release after [`Reach::Canary`]: everything else was left as it is.
    ///
    /// [`Reach::Canary`] is asked for only where the policy says [`canary`](crate::Policy::canary), on the way forward, and while another
    /// release runs to compare with. Once the judge has passed it, the same release comes again with [`Reach::All`] and a key of its own.
    /// Rolling back is one call with the previous release and [`Reach::All`].
    ///
    /// A stage without canaries refuses [`Reach::Canary`] with `Unsupported`, or takes no notice of the reach and changes everything, and
    /// `observe` then says so. The engine never takes that for a canary: it pauses the promotion, and a person decides.
    ///
    /// # Errors
    /// `Conflict` when the target knows a larger fence; `Unavailable` and others are tried again as the policy says, with the same key.
    async fn apply(&self, release: &Release, context: &Context) -> Result<(), StageError>;

    /// What the instances counted within `window`. No samples mean no data, which is never taken for good health.
    ///
    /// # Errors
    /// Any error is recorded and counts as no data.
    async fn sample(&self, window: Window) -> Result<Vec<Sample>, StageError>;
}

const _: Option<&dyn Stage> = None;

#[async_trait]
impl<S: Stage + ?Sized> Stage for Arc<S> {
    fn fencing(&self) -> Fencing {
        (**self).fencing()
    }

    async fn observe(&self, fence: Fence) -> Result<Observed, StageError> {
        (**self).observe(fence).await
    }

    async fn apply(&self, release: &Release, context: &Context) -> Result<(), StageError> {
        (**self).apply(release, context).await
    }

    async fn sample(&self, window: Window) -> Result<Vec<Sample>, StageError> {
        (**self).sample(window).await
    }
}
