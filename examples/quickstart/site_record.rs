//! What a site runs, in a file that survives the process.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use mcp_core::{ErrorKind, SeamError};
use mcp_promotion::Release;
use serde::{Deserialize, Serialize};

/// The state of one site.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The largest fence that any driver showed; a smaller one is refused.
    pub fence: u64,
    /// What the first instance serves: the canary, where there are several.
    pub canary: Option<Release>,
    /// What the others serve.
    pub rest: Option<Release>,
    /// The keys of the changes that were made.
    pub applied: BTreeSet<String>,
}

impl Record {
    /// Reads it; a site without a file has never run anything.
    pub fn load(path: &Path) -> Result<Self, SeamError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                let attempt = format!("read the state of a stage from {}", path.display());
                return Err(SeamError::new(ErrorKind::Unavailable, attempt).with_source(error));
            }
        };
        serde_json::from_slice(&text).map_err(|error| {
            let attempt = format!("read the state of a stage from {}", path.display());
            SeamError::new(ErrorKind::Corrupt, attempt).with_source(error)
        })
    }

    /// Replaces the file in one step, durably: a kill leaves the old one or the new one.
    pub fn store(&self, path: &Path) -> Result<(), SeamError> {
        let write = || {
            let text = serde_json::to_vec_pretty(self)?;
            let temporary = path.with_extension("json.new");
            let mut file = File::create(&temporary)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            // The name is durable only with its folder.
            path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        };
        write().map_err(|error: io::Error| {
            let attempt = format!("write the state of a stage to {}", path.display());
            SeamError::new(ErrorKind::Unavailable, attempt).with_source(error)
        })
    }
}
