//! Asks the registry a few things that people ask a registry.

use mcp_core::{ErrorKind, Name};
use mcp_registry::{Registry, RegistryError, Select};

use crate::screen::Screen;

/// What is searched for.
const SEARCHES: [&str; 2] = ["serde", "derive macro"];
/// What is resolved: a name, and which version of it.
const NAME: &str = "serde";
/// How many hits are printed.
const SHOWN: usize = 4;

/// Searches and resolves, and prints what comes back.
pub async fn look_up(registry: &Registry, screen: &Screen) -> Result<(), RegistryError> {
    for text in SEARCHES {
        let hits = registry.search(text).await?;
        screen.line(&format!("search \"{text}\": {} hits", hits.len()));
        for hit in hits.iter().take(SHOWN) {
            let description: String = hit.description.chars().take(80).collect();
            screen.item(&format!("{} {}: {description}", hit.name, hit.version));
        }
    }
    let name: Name = NAME.parse()?;
    for (asked, select) in [("^1", Select::requirement("^1")), ("latest", Select::latest())] {
        match registry.resolve(&name, select).await {
            Ok(entry) => screen.line(&format!(
                "{NAME} {asked} is {} ({})",
                entry.artifact,
                short(&entry.digest.to_string())
            )),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                screen.line(&format!("{NAME} {asked}: {error}"))
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A digest for people: its beginning.
pub fn short(digest: &str) -> String {
    digest.chars().take(19).chain(['…']).collect()
}
