use std::collections::BTreeMap;

use mcp_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::RegistryError;
use crate::metadata::within;

/// The longest text of one field, in bytes.
const MAX_FIELD_BYTES: u64 = 1 << 10;
/// The most variables of the environment.
const MAX_VARIABLES: u64 = 256;

/// What a version was built from, and where. It is no part of what makes two publishes the same: the first one's stays.
///
/// ```
/// use mcp_registry::BuildInfo;
///
/// let build = BuildInfo::new("812").commit("4f1c0de").branch("main").variable("os", "linux");
/// assert_eq!(build.environment["os"], "linux");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct BuildInfo {
    /// What the build is called where it ran.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// When it was built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// The commit of its sources.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub commit: String,
    /// The branch of its sources.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub branch: String,
    /// What it was built in, such as `os` and `toolchain`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
}

impl BuildInfo {
    /// Of the build with this id.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }

    /// When it was built.
    #[must_use]
    pub const fn time(mut self, time: Timestamp) -> Self {
        self.time = Some(time);
        self
    }

    /// The commit of its sources.
    #[must_use]
    pub fn commit(mut self, commit: impl Into<String>) -> Self {
        self.commit = commit.into();
        self
    }

    /// The branch of its sources.
    #[must_use]
    pub fn branch(mut self, branch: impl Into<String>) -> Self {
        self.branch = branch.into();
        self
    }

    /// One more variable of what it was built in; the same one again replaces it.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    pub(crate) fn check(&self) -> Result<(), RegistryError> {
        let variables = self.environment.len();
        within("publish with this build's environment", variables, MAX_VARIABLES, "a build's variables")?;
        let fields = [&self.id, &self.commit, &self.branch];
        let variables = self.environment.iter().flat_map(|(name, value)| [name, value]);
        fields.into_iter().chain(variables).try_for_each(|text| {
            let what = "publish with this build information";
            within(what, text.len(), MAX_FIELD_BYTES, "one field of it, in bytes")
        })
    }
}
