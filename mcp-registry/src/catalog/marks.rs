//! What was said of a version after it was published, apart from a yank: its labels, and that it is deprecated.

use std::collections::BTreeMap;

use rusqlite::OptionalExtension as _;

use super::query::Snapshot;
use super::writer::Commit;
use super::{failed, signed, unsigned};
use crate::RegistryError;
use crate::feed::{DeprecationBody, LabelsBody};

/// Which rows say what holds now of the version that was published by one row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// The row that changed its labels last.
    pub(crate) labels: Option<u64>,
    /// The row of the deprecation that stands.
    pub(crate) deprecation: Option<u64>,
}

impl Snapshot<'_> {
    pub(crate) fn marks(&self, publish: u64) -> Result<Marks, RegistryError> {
        let fail = |error| failed("find the marks of a version", error);
        let mut statement = self
            .connection
            .prepare_cached("SELECT labels, deprecation FROM mark WHERE publish = ?1")
            .map_err(fail)?;
        let found = statement
            .query_row([signed(publish)?], |row| {
                Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?))
            })
            .optional()
            .map_err(fail)?;
        let Some((labels, deprecation)) = found else { return Ok(Marks::default()) };
        Ok(Marks {
            labels: labels.map(unsigned).transpose()?,
            deprecation: deprecation.map(unsigned).transpose()?,
        })
    }

    /// The labels of a version that was published with `initial` ones.
    pub(crate) fn labels(
        &self,
        marks: Marks,
        initial: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, RegistryError> {
        marks.labels.map_or_else(
            || Ok(initial.clone()),
            |seq| Ok(self.row(seq)?.row.read_body::<LabelsBody>()?.labels),
        )
    }

    /// What users of a deprecated version are told.
    pub(crate) fn deprecation(&self, marks: Marks) -> Result<Option<String>, RegistryError> {
        let read = |seq| Ok(self.row(seq)?.row.read_body::<DeprecationBody>()?.message);
        marks.deprecation.map(read).transpose()
    }
}

impl Commit<'_> {
    /// Replaces the marks of the version that was published by the row `publish`.
    pub(crate) fn set_marks(&mut self, publish: u64, marks: Marks) -> Result<(), RegistryError> {
        self.run(
            "index the marks of a version",
            "INSERT INTO mark VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET labels = ?2, deprecation = ?3",
            rusqlite::params![
                signed(publish)?,
                marks.labels.map(signed).transpose()?,
                marks.deprecation.map(signed).transpose()?
            ],
        )
    }
}
