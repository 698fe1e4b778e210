use std::fmt;

use mcp_core::Name;
use serde::{Deserialize, Serialize};

/// Why one stage of a plan is changed before another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// The stage that is changed first...
    pub first: Name,
    /// ...and the one that is changed after it.
    pub later: Name,
    /// The need that would not be fulfilled in the other order; the first one where there are several.
    pub why: String,
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, later, why } = self;
        write!(f, "{first} before {later}: {why}")
    }
}
