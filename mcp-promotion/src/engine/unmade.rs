use async_trait::async_trait;
use mcp_core::SeamError;

use crate::{Context, Fence, Fencing, Observed, Release, Sample, Stage, StageError, Window};

/// In place of a stage that the host could not give: every call is an error that says so, and nothing else here is held up.
pub(super) struct Unmade(pub(super) SeamError);

impl Unmade {
    fn error(&self) -> StageError {
        SeamError::new(self.0.kind(), self.0.to_string())
    }
}

#[async_trait]
impl Stage for Unmade {
    /// It changes nothing, and so nothing of a driver before it comes late.
    fn fencing(&self) -> Fencing {
        Fencing::Enforced
    }

    async fn observe(&self, _fence: Fence) -> Result<Observed, StageError> {
        Err(self.error())
    }

    async fn apply(&self, _release: &Release, _context: &Context) -> Result<(), StageError> {
        Err(self.error())
    }

    async fn sample(&self, _window: Window) -> Result<Vec<Sample>, StageError> {
        Err(self.error())
    }
}
