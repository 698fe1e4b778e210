//! The registry from outside: what design.md says must always hold, under faults, kills, damage and crowds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

mod automatic;
mod concurrency;
mod damage;
mod damage_classes;
mod describing;
mod faults;
mod feed;
mod kill;
mod lifecycle;
mod linearizable;
mod model;
mod old_format;
mod opening;
mod publishing;
mod refusals;
mod remote;
mod requests;
mod search_model;
mod searching;
mod stats;
mod storage;
mod streams;
mod surroundings;

use mcp_core::{ErrorKind, Name, Version};
use mcp_registry::{Draft, Registry, RegistryError, Select};

pub(crate) fn name(text: &str) -> Name {
    text.parse().expect(text)
}

pub(crate) fn version(text: &str) -> Version {
    text.parse().expect(text)
}

pub(crate) async fn in_memory() -> Registry {
    Registry::in_memory().open().await.expect("a registry in memory")
}

/// Publishes `text` as `name@version`, and gives its position.
pub(crate) async fn put(registry: &Registry, at: &str, text: &str) -> u64 {
    let (name, version) = at.split_once('@').expect("name@version");
    let draft = Draft::new(&name.parse().expect(name), text.to_owned());
    registry.publish(draft, &version.parse().expect(version)).await.expect(at).seq
}

/// The bytes that a selection gives, or the kind of its error.
pub(crate) async fn text(registry: &Registry, of: &str, select: Select) -> Result<String, ErrorKind> {
    let content = registry.get(&name(of), select).await.map_err(|error| error.kind())?;
    Ok(String::from_utf8(content.bytes.to_vec()).expect("text"))
}

pub(crate) async fn resolved(registry: &Registry, of: &str, select: Select) -> Result<String, ErrorKind> {
    let entry = registry.resolve(&name(of), select).await.map_err(|error| error.kind())?;
    Ok(entry.artifact.version.to_string())
}

/// Verifies, and shows whatever is wrong.
pub(crate) async fn assert_sound(registry: &Registry) {
    assert_eq!(registry.verify().await.expect("verified").faults, []);
}

pub(crate) fn kind<T>(outcome: Result<T, RegistryError>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind())
}
