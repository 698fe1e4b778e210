//! Which versions need a name: one entry for each version and each name that it needs, by the name that is needed.

use std::collections::BTreeSet;

use mcp_core::{Name, Version};
use rusqlite::{OptionalExtension as _, params};

use super::query::Snapshot;
use super::writer::Commit;
use super::{failed, signed, stored, unsigned};
use crate::RegistryError;
use crate::metadata::Metadata;
use crate::version_key::VersionKey;

impl Snapshot<'_> {
    /// The rows of the publishes that need `dependency`, by name and version, behind `after`; at most `limit`.
    pub(crate) fn dependents(
        &self,
        dependency: &Name,
        after: Option<(&Name, &Version)>,
        limit: usize,
    ) -> Result<Vec<u64>, RegistryError> {
        let fail = |error| failed("list dependents", error);
        let sql = "SELECT seq FROM dependent WHERE dependency = ?1 AND (name, key) > (?2, ?3) ORDER BY name, key LIMIT ?4";
        let mut statement = self.connection.prepare_cached(sql).map_err(fail)?;
        // No name is empty: everything stands behind this.
        let name = after.map_or("", |(name, _)| name.as_str());
        let key = after.map(|(_, version)| VersionKey::of(version));
        let key = key.as_ref().map_or(&[][..], VersionKey::as_bytes);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = statement
            .query_map(params![dependency.as_str(), name, key, limit], |row| row.get::<_, i64>(0))
            .map_err(fail)?;
        found.map(|seq| unsigned(seq.map_err(fail)?)).collect()
    }

    /// The next name behind `after` of which some version needs `dependency`.
    pub(crate) fn next_dependent_name(
        &self,
        dependency: &Name,
        after: &str,
    ) -> Result<Option<Name>, RegistryError> {
        let fail = |error| failed("list dependents", error);
        let sql = "SELECT name FROM dependent WHERE dependency = ?1 AND name > ?2 ORDER BY name LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql).map_err(fail)?;
        let found: Option<String> = statement
            .query_row(params![dependency.as_str(), after], |row| row.get(0))
            .optional()
            .map_err(fail)?;
        found.map(|name| stored("a name of the index of dependents", &name)).transpose()
    }

    /// Whether the index leads from `dependency` to the publish at `seq`.
    pub(crate) fn has_dependent(
        &self,
        dependency: &Name,
        (name, version): (&Name, &Version),
        seq: u64,
    ) -> Result<bool, RegistryError> {
        let fail = |error| failed("find a dependent", error);
        let sql = "SELECT 1 FROM dependent WHERE dependency = ?1 AND name = ?2 AND key = ?3 AND seq = ?4";
        let mut statement = self.connection.prepare_cached(sql).map_err(fail)?;
        let key = VersionKey::of(version);
        statement
            .exists(params![dependency.as_str(), name.as_str(), key.as_bytes(), signed(seq)?])
            .map_err(fail)
    }
}

impl Commit<'_> {
    /// Indexes what the publish at `seq` needs.
    pub(crate) fn add_dependencies(
        &mut self,
        (name, version): (&Name, &Version),
        dependencies: &[Name],
        seq: u64,
    ) -> Result<(), RegistryError> {
        let key = VersionKey::of(version);
        dependencies.iter().try_for_each(|dependency| {
            self.run(
                "index a dependency",
                "INSERT INTO dependent VALUES (?1, ?2, ?3, ?4)",
                params![dependency.as_str(), name.as_str(), key.as_bytes(), signed(seq)?],
            )
        })
    }
}

/// The names that a version with this metadata needs, each once.
pub(crate) fn needed(metadata: &Metadata) -> Vec<Name> {
    let names: BTreeSet<&Name> = metadata.dependencies.iter().map(|dependency| &dependency.name).collect();
    names.into_iter().cloned().collect()
}
