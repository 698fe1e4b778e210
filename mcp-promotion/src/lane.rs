use std::collections::BTreeSet;
use std::fmt;

use mcp_core::{Digester, Name};
use serde::{Deserialize, Serialize};

use crate::machine::Deployed;
use crate::{Pipeline, PromotionError, PromotionId, Release};

/// Artifacts that go into a stage together, beside those of its other lanes: see [`Queue::Parallel`](crate::Queue::Parallel).
///
/// A lane is a small stage: it has a stream, a lease, a present and a previous release of its own. Two lanes of one stage have no artifact in
/// common, and the artifacts of a lane never change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Lane {
    /// What it is called: the stage and the artifact, such as `prod/app`; for several artifacts `prod/set-` and sixteen hexadecimal digits.
    pub name: Name,
    /// The names of its artifacts.
    pub artifacts: BTreeSet<Name>,
}

/// How a lane stands.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LaneStatus {
    /// Which lane.
    pub lane: Lane,
    /// What it runs, as [`Engine::current`](crate::Engine::current) says.
    pub current: Option<Deployed>,
    /// The promotion that is under way in it.
    pub in_flight: Option<PromotionId>,
}

impl Lane {
    /// How many bytes longer than that of its stage the name of a lane may always be.
    pub(crate) const MORE_BYTES: usize = "/set-0123456789abcdef".len();

    /// The lane of `stage` for the artifacts of `release`.
    pub(crate) fn of(stage: &Name, release: &Release) -> Result<Self, PromotionError> {
        let names = release.artifacts().iter().map(|artifact| artifact.reference.name.clone());
        let artifacts: BTreeSet<Name> = names.collect();
        let only = artifacts.first().filter(|_| artifacts.len() == 1);
        let plain = only.map(|artifact| format!("{stage}/{artifact}"));
        let name = match plain.filter(|name| name.len() <= Pipeline::MAX_STAGE_BYTES) {
            Some(name) => name.parse()?,
            None => {
                let mut digester = Digester::new();
                for artifact in &artifacts {
                    digester.update(artifact.as_str().as_bytes()).update(b"\n");
                }
                let digest = digester.digest();
                let first = digest.as_bytes().first_chunk().copied().unwrap_or_default();
                format!("{stage}/set-{:016x}", u64::from_be_bytes(first)).parse()?
            }
        };
        Ok(Self { name, artifacts })
    }

    /// The stages of which something with this name could be a lane.
    pub(crate) fn stages_above(name: &Name) -> impl Iterator<Item = Name> {
        let ends = name.as_str().match_indices('/').map(|(end, _)| end);
        ends.filter_map(|end| name.as_str().get(..end)?.parse().ok())
    }
}

impl fmt::Display for Lane {
    /// Its name and its artifacts, such as `lane prod/app (app)`; beyond three, how many more there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lane {} (", self.name)?;
        for (place, artifact) in self.artifacts.iter().take(3).enumerate() {
            write!(f, "{}{artifact}", if place == 0 { "" } else { ", " })?;
        }
        match self.artifacts.len().saturating_sub(3) {
            0 => f.write_str(")"),
            more => write!(f, " and {more} more)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use mcp_core::Digest;

    use super::*;

    fn lane(stage: &str, references: &[&str]) -> Lane {
        let release = Release::of(references.iter().map(|text| (*text, Digest::of(b"a")))).unwrap();
        Lane::of(&stage.parse().unwrap(), &release).unwrap()
    }

    #[test]
    fn a_lane_is_named_by_its_artifacts_and_not_by_their_versions() {
        assert_eq!(lane("prod", &["billing/app@1.0.0"]).name.as_str(), "prod/billing/app");
        let (one, other) = (lane("prod", &["a@1.0.0", "b@1.0.0"]), lane("prod", &["b@2.0.0", "a@3.0.0"]));
        assert_eq!(one, other);
        assert_eq!(one.to_string(), "lane prod/set-41153ec5e22e7e1d (a, b)");
        assert_ne!(one.name, lane("prod", &["ab@1.0.0"]).name);
    }

    #[test]
    fn a_lane_in_a_stage_with_a_long_name_has_a_name_that_is_short_enough() {
        let stage = "s".repeat(Pipeline::MAX_STAGE_BYTES - Lane::MORE_BYTES);
        let long = lane(&stage, &["an-artifact-with-a-long-name@1.0.0"]);
        assert_eq!(long.name.as_str().len(), Pipeline::MAX_STAGE_BYTES);
        assert!(long.name.as_str().starts_with(&format!("{stage}/set-")), "{long}");
    }
}
