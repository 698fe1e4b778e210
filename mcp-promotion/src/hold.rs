use std::fmt;

use mcp_core::{Principal, Timestamp};
use serde::{Deserialize, Serialize};

/// That nothing starts in a stage, or nothing by itself, until somebody lifts it. Rollbacks start in spite of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Hold {
    /// Who put it there; `watch` for the engine itself.
    pub by: Principal,
    /// Why.
    pub reason: String,
    /// When.
    pub since: Timestamp,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} holds it since {}: {}", self.by, self.since, self.reason)
    }
}
