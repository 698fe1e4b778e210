use mcp_core::{ArtifactRef, Name, Version};

use crate::catalog::{Class, Snapshot};
use crate::{Dependency, Entry, Registry, RegistryError};

/// The most dependents of one page.
const MAX_LIMIT: usize = 1000;
/// How many versions or names one page looks at: a filter that admits few must not make a page long.
const MAX_LOOKED_AT: usize = 4096;

/// Which versions need an artifact.
///
/// ```
/// use mcp_core::Name;
/// use mcp_registry::Dependents;
///
/// let name: Name = "billing/invoice".parse()?;
/// let broken_by = Dependents::of(&name).admitting("1.4.0".parse()?).latest_only().limit(50);
/// # let _ = broken_by;
/// # Ok::<(), mcp_core::ParseError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Dependents {
    name: Name,
    admitting: Option<Version>,
    latest_only: bool,
    after: Option<ArtifactRef>,
    limit: usize,
}

impl Dependents {
    /// All versions that need `name`, whatever of it and what for, yanked ones included.
    pub fn of(name: &Name) -> Self {
        Self { name: name.clone(), admitting: None, latest_only: false, after: None, limit: 100 }
    }

    /// Only those with a requirement that this version satisfies.
    pub fn admitting(mut self, version: Version) -> Self {
        self.admitting = Some(version);
        self
    }

    /// Of each name only the version that `latest` gives, or where there is no release the highest pre-release; none where that one
    /// does not need it any more.
    pub const fn latest_only(mut self) -> Self {
        self.latest_only = true;
        self
    }

    /// Goes on behind this version: [`DependentsPage::next`] of the page before.
    pub fn after(mut self, artifact: &ArtifactRef) -> Self {
        self.after = Some(artifact.clone());
        self
    }

    /// At most so many, 100 by default, never more than 1,000 and never less than one.
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = match limit {
            0 => 1,
            1..=MAX_LIMIT => limit,
            _ => MAX_LIMIT,
        };
        self
    }
}

/// A version that needs the artifact that was asked about.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Dependent {
    /// The version that needs it.
    pub entry: Entry,
    /// How it needs it: those of its dependencies that were asked for.
    pub dependencies: Vec<Dependency>,
}

/// Some of the versions that need an artifact, by name and then by version, the lowest first.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DependentsPage {
    /// The versions.
    pub dependents: Vec<Dependent>,
    /// Where to go on with [`Dependents::after`]; `None` when there are no more. A page may have few or none and yet not be the last.
    pub next: Option<ArtifactRef>,
}

impl Registry {
    /// Which versions need an artifact, whether or not that was ever published. An index leads to them.
    ///
    /// # Errors
    /// `Corrupt` or `Unavailable` when the catalog cannot be read.
    pub async fn dependents(&self, query: Dependents) -> Result<DependentsPage, RegistryError> {
        self.readers()
            .read(move |now| if query.latest_only { latest(now, &query) } else { all(now, &query) })
            .await
    }
}

fn all(now: &Snapshot<'_>, query: &Dependents) -> Result<DependentsPage, RegistryError> {
    let after = query.after.as_ref().map(|after| (&after.name, &after.version));
    let found = now.dependents(&query.name, after, MAX_LOOKED_AT)?;
    let complete = found.len() < MAX_LOOKED_AT;
    let mut page = DependentsPage::default();
    let mut last = None;
    for (position, seq) in found.iter().enumerate() {
        if page.dependents.len() >= query.limit {
            page.next = last.or_else(|| query.after.clone());
            return Ok(page);
        }
        let publish = now.row(*seq)?.row;
        let corrupt =
            || RegistryError::corrupt_row(i64::try_from(*seq).unwrap_or(i64::MAX), "it is no publish");
        let (Some(name), Some(version)) = (publish.name, publish.version) else { return Err(corrupt()) };
        let hit = now.version(&name, &version)?.ok_or_else(corrupt)?;
        page.dependents.extend(dependent(now.entry(hit)?.0, query));
        last = Some(ArtifactRef::new(name, version));
        if position + 1 == found.len() && !complete {
            page.next = last.take();
        }
    }
    Ok(page)
}

fn latest(now: &Snapshot<'_>, query: &Dependents) -> Result<DependentsPage, RegistryError> {
    let mut page = DependentsPage::default();
    let mut after = query.after.clone();
    for _ in 0..MAX_LOOKED_AT {
        let behind = after.as_ref().map_or("", |after| after.name.as_str());
        let Some(name) = now.next_dependent_name(&query.name, behind)? else { return Ok(page) };
        if page.dependents.len() >= query.limit {
            break;
        }
        let release = now.highest(&name, Class::Release, None)?;
        let hit = match release {
            Some(hit) => Some(hit),
            None => now.highest(&name, Class::PreRelease, None)?,
        };
        // Only its name counts when the next page begins.
        let mut seen = ArtifactRef::new(name, Version::new(0, 0, 0));
        if let Some(hit) = hit {
            let entry = now.entry(hit)?.0;
            seen = entry.artifact.clone();
            page.dependents.extend(dependent(entry, query));
        }
        after = Some(seen);
    }
    page.next = after;
    Ok(page)
}

/// The entry, if it needs what was asked for.
fn dependent(entry: Entry, query: &Dependents) -> Option<Dependent> {
    let admits = |dependency: &&Dependency| {
        dependency.name == query.name
            && query.admitting.as_ref().is_none_or(|version| dependency.requirement.matches(version))
    };
    let dependencies: Vec<Dependency> = entry.metadata.dependencies.iter().filter(admits).cloned().collect();
    (!dependencies.is_empty()).then_some(Dependent { entry, dependencies })
}
