use mcp_core::{Artifact, Digest, ErrorKind, Name, SeamError};

use super::{Failure, ensure};
use crate::{Context, Fence, Kind, Observed, PromotionId, Release, Stage};

/// A stage under test, with what is needed to call it.
pub(super) struct Probe<'a> {
    pub(super) stage: &'a dyn Stage,
    above: u64,
    name: Name,
    effects: Option<&'a (dyn Fn() -> u64 + Sync)>,
}

impl<'a> Probe<'a> {
    pub(super) fn new(
        stage: &'a dyn Stage,
        above: u64,
        effects: Option<&'a (dyn Fn() -> u64 + Sync)>,
    ) -> Result<Self, Failure> {
        let name = "conformance".parse().map_err(|_| Failure::new("a name"))?;
        Ok(Self { stage, above, name, effects })
    }

    pub(super) fn release(&self, version: &str) -> Result<Release, Failure> {
        let reference =
            format!("{}@{version}", self.name).parse().map_err(|_| Failure::new("a reference"))?;
        let artifact = Artifact::new(reference, Digest::of(version.as_bytes()));
        Release::of([artifact]).map_err(|error| Failure::new(error.to_string()))
    }

    pub(super) const fn fence(&self, step: u64) -> Fence {
        Fence(self.above.saturating_add(step))
    }

    pub(super) fn context(&self, step: u64, key: &str) -> Context {
        let promotion = PromotionId::new(self.name.clone(), 1);
        let key = format!("conformance/{}/{key}", self.above);
        Context::new(self.fence(step), key, promotion, Kind::Deploy, None)
    }

    pub(super) async fn observe(&self, step: u64) -> Result<Observed, Failure> {
        let fence = self.fence(step);
        self.stage.observe(fence).await.map_err(Failure::call(format!("observe with fence {fence}")))
    }

    pub(super) async fn apply(
        &self,
        release: &Release,
        context: &Context,
        what: &str,
    ) -> Result<(), Failure> {
        self.stage.apply(release, context).await.map_err(Failure::call(what))
    }

    /// How many effects there were so far, where the host counts them.
    pub(super) fn effects(&self) -> Option<u64> {
        self.effects.map(|count| count())
    }

    pub(super) fn no_effect_since(&self, before: Option<u64>, what: &str) -> Result<(), Failure> {
        ensure(self.effects() == before, what)
    }
}

pub(super) fn refused(outcome: Result<(), SeamError>, what: &str) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
        Err(error) => Err(Failure::call(format!("{what} as a conflict"))(error)),
        Ok(()) => Err(Failure::new(what)),
    }
}
