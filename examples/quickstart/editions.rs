//! Publishes the editions of the crate index.

use std::path::Path;

use mcp_core::{Artifact, ErrorKind, Name, Version};
use mcp_registry::{Draft, Registry, RegistryError};

use crate::failure::Failure;
use crate::index::{self, Edition, Index};
use crate::stages::REQUESTER;

/// One edition of the index, published.
#[derive(Clone, Debug)]
pub struct Published {
    /// Which edition.
    pub edition: Edition,
    /// What it is called, and its digest.
    pub artifact: Artifact,
    /// How many crates it lists.
    pub crates: usize,
    /// Whether this run has published it.
    pub created: bool,
}

/// Publishes the three editions into the registry at `place`: as 1.0.0, 1.1.0 and 1.2.0 or, where an earlier run has published another content under these, with
/// the next major version for which that is not so.
pub async fn publish_editions(
    full: &Index,
    registry: &Registry,
    place: &Path,
) -> Result<Vec<Published>, Failure> {
    let failed = |error: &RegistryError| {
        Failure::because(format!("publish {} into {}", index::NAME, place.display()), error)
            .advise("mend the cause and run it again: it continues where it was")
    };
    let name: Name = index::NAME.parse().map_err(|error| failed(&RegistryError::from(error)))?;
    for major in 1.. {
        match publish_generation(full, registry, &name, major).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            outcome => return outcome.map_err(|error| failed(&error)),
        }
    }
    Ok(Vec::new())
}

async fn publish_generation(
    full: &Index,
    registry: &Registry,
    name: &Name,
    major: u64,
) -> Result<Vec<Published>, RegistryError> {
    let mut published = Vec::new();
    for (minor, edition) in (0..).zip(Edition::ALL) {
        let index = edition.of(full);
        let draft = Draft::new(name, index.to_bytes().map_err(unwritable)?)
            .media_type(index::MEDIA_TYPE)
            .actor(REQUESTER)
            .description(format!("an index of crates that {}", edition.story()));
        let outcome = registry.publish(draft, &Version::new(major, minor, 0)).await?;
        let artifact = Artifact::new(outcome.artifact, outcome.digest);
        published.push(Published { edition, artifact, crates: index.crates.len(), created: outcome.created });
    }
    Ok(published)
}

fn unwritable(error: serde_json::Error) -> RegistryError {
    RegistryError::Invalid { what: "write a crate index as JSON".to_owned(), reason: error.to_string() }
}
