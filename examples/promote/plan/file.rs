//! A plan file: which artifacts go into which stages, and what they need of each other.

use std::num::NonZeroU32;
use std::path::Path;

use mcp_core::{Artifact, Name, Version};
use mcp_promotion::{Item, Lockstep, Need, OnFailure, PlanRequest, Present};
use serde::Deserialize;

use crate::command;
use crate::failure::Failure;

/// A plan file as it is written, in YAML or JSON: a `PlanRequest` whose artifacts may be files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    items: Vec<WrittenItem>,
    #[serde(default)]
    present: Vec<Present>,
    #[serde(default)]
    lockstep: Option<Lockstep>,
    #[serde(default)]
    parallelism: Option<NonZeroU32>,
    #[serde(default)]
    on_failure: OnFailure,
    #[serde(default)]
    downgrades: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenItem {
    stage: Name,
    artifact: WrittenArtifact,
    #[serde(default)]
    from: Option<Version>,
    #[serde(default)]
    needs: Vec<Need>,
    #[serde(default)]
    needed_before: Vec<Need>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "an artifact is REF=FILE, REF=DIGEST, or an object of ref and digest")]
enum WrittenArtifact {
    /// As on the command line; the file is looked for beside the plan file.
    Line(String),
    Whole(Artifact),
}

/// Reads a plan file. What it says of versions and needs is checked when it is planned.
pub fn read(path: &Path) -> Result<PlanRequest, Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::usage(format!("read the plan file {}: {error}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let written: Written = serde_saphyr::from_str(&text).map_err(|error| wrong(&error))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut items = Vec::with_capacity(written.items.len());
    for item in written.items {
        let artifact = match item.artifact {
            WrittenArtifact::Whole(artifact) => artifact,
            WrittenArtifact::Line(text) => {
                command::artifact(&text, folder).map_err(|failure| wrong(&failure.message))?
            }
        };
        let mut planned = Item::new(item.stage, artifact);
        (planned.from, planned.needs, planned.needed_before) = (item.from, item.needs, item.needed_before);
        items.push(planned);
    }
    let mut request = PlanRequest::new(items);
    (request.present, request.parallelism) = (written.present, written.parallelism);
    (request.on_failure, request.downgrades) = (written.on_failure, written.downgrades);
    request.lockstep = written.lockstep.unwrap_or(request.lockstep);
    Ok(request)
}
