//! Everything that the registry has, page by page.

use std::collections::BTreeMap;

use mcp_core::{Name, Version};
use mcp_registry::{Entry, Registry, RegistryError};

use crate::index::{self, Index};

/// How much is listed at once.
const PAGE: usize = 1000;

/// Every name, in order.
pub async fn names(registry: &Registry) -> Result<Vec<Name>, RegistryError> {
    let mut names: Vec<Name> = Vec::new();
    loop {
        let page = registry.names("", names.last(), PAGE).await?;
        if page.is_empty() {
            return Ok(names);
        }
        names.extend(page);
    }
}

/// Every version of `name`, the highest first.
pub async fn versions(registry: &Registry, name: &Name) -> Result<Vec<Entry>, RegistryError> {
    let mut versions: Vec<Entry> = Vec::new();
    loop {
        let below: Option<&Version> = versions.last().map(|entry| &entry.artifact.version);
        let page = registry.versions(name, below, PAGE).await?;
        if page.is_empty() {
            return Ok(versions);
        }
        versions.extend(page);
    }
}

/// The index that the registry's content makes, all crates included.
pub async fn full_index(registry: &Registry) -> Result<Index, RegistryError> {
    let mut crates = BTreeMap::new();
    // Names with a '/' are none of a crate: among them the index itself.
    for name in names(registry).await?.iter().filter(|name| !name.as_str().contains('/')) {
        let versions = versions(registry, name).await?;
        let text = |text: &str| (!text.trim().is_empty()).then(|| text.to_owned());
        let release = versions.iter().find(|entry| !entry.artifact.version.is_pre_release());
        let entry = release.or(versions.first()).map(|latest| index::Entry {
            latest: latest.artifact.version.to_string(),
            versions: versions.iter().rev().map(|entry| entry.artifact.version.to_string()).collect(),
            description: text(&latest.metadata.description),
            license: text(&latest.metadata.license),
        });
        crates.extend(entry.map(|entry| (name.to_string(), entry)));
    }
    Ok(Index { crates })
}
