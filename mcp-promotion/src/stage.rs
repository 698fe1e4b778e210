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
    /// It cannot. Then no other driver takes over by itself: an operator must first give up the lease of the one that is gone.
    Unfenced,
}

/// What a stage runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Exactly the release with this digest, everywhere.
    Running(Digest),
    /// Nothing.
    Nothing,
    /// It cannot be told, or is a mixture; the text says what was seen.
    Unknown(String),
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(digest) => write!(f, "the release {digest}"),
            Self::Nothing => f.write_str("nothing"),
            Self::Unknown(seen) => {
                write!(f, "something unknown ({})", seen.chars().take(200).collect::<String>())
            }
        }
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
    /// What the stage is believed to run now; `None` for nothing.
    pub previous: Option<Release>,
}

impl Context {
    /// A context, as the engine makes one; for tests of a stage.
    #[must_use]
    pub const fn new(
        fence: Fence,
        key: String,
        promotion: PromotionId,
        kind: Kind,
        previous: Option<Release>,
    ) -> Self {
        Self { fence, key, promotion, kind, previous }
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

    /// Makes the stage run exactly `release`, and nothing where it is [empty](Release::is_empty). When it returns `Ok`, `observe`
    /// answers this release: a stage that needs time waits for it here.
    ///
    /// Rolling back is the same call with the previous release.
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
