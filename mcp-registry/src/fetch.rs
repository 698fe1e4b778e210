use async_trait::async_trait;
use mcp_core::{ArtifactRef, Fetch, Fetched, SeamError};

use crate::{Registry, RegistryError, Select};

#[async_trait]
impl Fetch for Registry {
    async fn fetch(&self, artifact: &ArtifactRef, max_bytes: u64) -> Result<Fetched, SeamError> {
        let (entry, location) = self.locate(&artifact.name, Select::exact(artifact.version.clone())).await?;
        let own = self.settings().max_artifact_bytes;
        let (limit, setting) =
            if max_bytes <= own { (max_bytes, "max_bytes") } else { (own, "max_artifact_bytes") };
        if entry.size > limit {
            let what = format!("fetch {artifact}");
            return Err(RegistryError::TooLarge { what, size: entry.size, limit, setting }.into());
        }
        let content = self.content(entry, location).await?;
        Ok(Fetched::new(content.entry.digest, content.entry.media_type.clone(), content.bytes))
    }
}
