//! Where everything is kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::failure::Failure;

/// The data folder, and the places in it.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes `given` or, without it, `quickstart` in the target folder of the workspace.
    pub fn prepare(given: Option<PathBuf>) -> Result<Self, Failure> {
        let folder = Self(given.unwrap_or_else(|| target().join("quickstart")));
        for path in [folder.registry(), folder.stages()] {
            fs::create_dir_all(&path).map_err(|error| {
                Failure::because(format!("make the folder {}", path.display()), &error)
                    .advise("name a folder that can be written with --data DIR")
            })?;
        }
        Ok(folder)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The registry's own folder.
    pub fn registry(&self) -> PathBuf {
        self.0.join("registry")
    }

    /// One file for each stage: what it runs.
    pub fn stages(&self) -> PathBuf {
        self.0.join("stages")
    }

    /// The promotion journal.
    pub fn journal(&self) -> PathBuf {
        self.0.join("promotion.db")
    }

    /// The page.
    pub fn report(&self) -> PathBuf {
        self.0.join("report.html")
    }
}

/// The workspace's target folder, which a setting may have moved: cargo knows.
#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells its programs by the environment which cargo it is"
)]
fn target() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let metadata = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version=1", "--manifest-path"])
        .arg(workspace.join("Cargo.toml"))
        .output();
    let told = metadata.ok().and_then(|output| {
        let json: Value = serde_json::from_slice(&output.stdout).ok()?;
        Some(PathBuf::from(json.get("target_directory")?.as_str()?))
    });
    told.unwrap_or_else(|| workspace.join("target"))
}
