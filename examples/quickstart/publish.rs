//! Publishes every crate into the registry, many at a time.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use mcp_core::{Clock, ErrorKind, Name, Version};
use mcp_registry::{Draft, Registry, RegistryError};
use serde_json::json;

use crate::failure::{Failure, chain};
use crate::manifest::Manifest;
use crate::read::Crate;
use crate::screen::Screen;

/// How many publishes are under way at the same time.
const IN_FLIGHT: usize = 256;
/// What a `.crate` file is.
const MEDIA_TYPE: &str = "application/gzip";
/// Who publishes.
const ACTOR: &str = "quickstart";

/// What came of publishing.
#[derive(Debug, Default)]
pub struct Publishing {
    /// How many versions are new, and how many bytes they have.
    pub new: (u64, u64),
    /// How many versions were there already, with the same content.
    pub known: u64,
    /// Crates whose name and version another crate has: `file: why`.
    pub collisions: Vec<String>,
    /// Crates that the registry cannot take: `file: why`.
    pub refused: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

/// A crate under the name that it gets in the registry.
struct Candidate<'a> {
    of: &'a Crate,
    name: Name,
    version: Version,
}

/// What came of one of them.
enum Outcome {
    New(u64),
    Known,
    Collision(String),
    Refused(String),
}

/// Publishes `crates` into the registry at `place`; only a registry that cannot go on is a failure.
pub async fn publish(
    crates: &[Crate],
    registry: &Registry,
    place: &Path,
    clock: &dyn Clock,
    screen: &Screen,
) -> Result<Publishing, Failure> {
    let mut publishing = Publishing::default();
    // Who comes first gets a name that several claim. So that this is the same in every run, the others wait for a second round.
    let (mut first, mut second, mut taken) = (Vec::new(), Vec::new(), BTreeSet::new());
    for one in crates {
        match Candidate::new(one) {
            Ok(candidate) if taken.insert(candidate.claim()) => first.push(candidate),
            Ok(candidate) => second.push(candidate),
            Err(why) => publishing.refused.push(format!("{}: {why}", one.file_name())),
        }
    }
    let bar = screen.progress("publishing", crates.len() as u64);
    let began = clock.monotonic();
    for round in [first, second] {
        let publishes = stream::iter(round).map(|candidate| candidate.publish(registry, place));
        // In the order of the files, so that lists read the same in every run.
        let outcomes: Vec<Outcome> =
            publishes.buffered(IN_FLIGHT).inspect(|_| bar.inc(1)).try_collect().await?;
        outcomes.into_iter().for_each(|outcome| publishing.add(outcome));
    }
    publishing.took = clock.monotonic().saturating_sub(began);
    bar.finish_and_clear();
    Ok(publishing)
}

impl Publishing {
    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::New(bytes) => {
                self.new.0 += 1;
                self.new.1 += bytes;
            }
            Outcome::Known => self.known += 1,
            Outcome::Collision(why) => self.collisions.push(why),
            Outcome::Refused(why) => self.refused.push(why),
        }
    }
}

/// What a crate is called in the registry: in lower case, which is where two of them can meet.
pub fn registered_name(name: &str) -> String {
    name.to_ascii_lowercase()
}

impl<'a> Candidate<'a> {
    fn new(of: &'a Crate) -> Result<Self, String> {
        let part = |key: &str| of.manifest().text(key).ok_or_else(|| format!("its manifest has no {key}"));
        let name =
            registered_name(part("name")?).parse().map_err(|error| chain(&error as &mcp_core::ParseError))?;
        let version = part("version")?.parse().map_err(|error| chain(&error as &mcp_core::ParseError))?;
        Ok(Self { of, name, version })
    }

    /// Two crates of the same claim cannot both be published.
    fn claim(&self) -> (Name, Version) {
        (self.name.clone(), self.version.without_build())
    }

    async fn publish(self, registry: &Registry, place: &Path) -> Result<Outcome, Failure> {
        let path = &self.of.file;
        let bytes = match tokio::fs::read(path).await {
            Ok(bytes) => bytes,
            Err(error) => {
                return Ok(Outcome::Refused(format!("{}: read it again: {error}", self.of.file_name())));
            }
        };
        let size = bytes.len() as u64;
        let published = registry.publish(self.draft(bytes), &self.version).await;
        Ok(match published {
            Ok(published) if published.created => Outcome::New(size),
            Ok(_) => Outcome::Known,
            Err(error) => self.not_published(place, &error)?,
        })
    }

    fn draft(&self, bytes: Vec<u8>) -> Draft {
        let manifest: Manifest<'_> = self.of.manifest();
        let mut draft = Draft::new(&self.name, bytes)
            .media_type(MEDIA_TYPE)
            .actor(ACTOR)
            .description(manifest.text("description").unwrap_or_default())
            .license(manifest.text("license").unwrap_or_default())
            .authors(manifest.texts("authors"))
            .extra(json!({
                "crate": manifest.text("name"),
                "edition": manifest.text("edition"),
                "rust-version": manifest.text("rust-version"),
                "repository": manifest.text("repository"),
                "dependencies": manifest.dependencies(),
            }));
        for keyword in manifest.texts("keywords") {
            draft = draft.tag(keyword);
        }
        draft
    }

    /// Something about this crate is reported; something about the registry ends the program.
    fn not_published(&self, place: &Path, error: &RegistryError) -> Result<Outcome, Failure> {
        let told = format!("{}: {}", self.of.file_name(), chain(error));
        match error.kind() {
            ErrorKind::Conflict => Ok(Outcome::Collision(told)),
            ErrorKind::Invalid | ErrorKind::Exhausted | ErrorKind::Denied => Ok(Outcome::Refused(told)),
            _ => Err(Failure::because(
                format!("publish {} into {}", self.of.file.display(), place.display()),
                error,
            )
            .advise("mend the cause and run it again: what was published stays, and the rest follows")),
        }
    }
}
