use std::path::PathBuf;

use async_trait::async_trait;
use mcp_core::{ErrorKind, SeamError};
use mcp_promotion::{Context, Fence, Fencing, Observed, Release, Sample, Stage, StageError, Window};

/// A stage that keeps the digest of what it runs in a file. It cannot refuse a driver that was replaced, and says so.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new(folder: &str) -> Self {
        Self(folder.into())
    }
}

#[async_trait]
impl Stage for Directory {
    fn fencing(&self) -> Fencing {
        Fencing::Unfenced
    }

    async fn observe(&self, _fence: Fence) -> Result<Observed, StageError> {
        Ok(match std::fs::read_to_string(self.0.join("release")) {
            Ok(text) => text.parse().map_or(Observed::Unknown(text), Observed::Running),
            Err(_) => Observed::Nothing,
        })
    }

    async fn apply(&self, release: &Release, _context: &Context) -> Result<(), StageError> {
        std::fs::create_dir_all(&self.0)
            .and_then(|()| std::fs::write(self.0.join("release"), release.digest().to_string()))
            .map_err(|error| {
                let attempted = format!("write the release into {}", self.0.display());
                SeamError::new(ErrorKind::Unavailable, attempted).with_source(error)
            })
    }

    async fn sample(&self, _window: Window) -> Result<Vec<Sample>, StageError> {
        Ok(vec![Sample::canary("directory", 100, 100)])
    }
}
