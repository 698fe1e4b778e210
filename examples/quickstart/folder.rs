//! Where everything is kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::failure::Failure;

/// How much room there is at least where a database can go on, in bytes: its smallest steps are of this size.
const PROBE_BYTES: usize = 32 * 1024;

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

    /// Why nothing can be written there, if so. A database reports a full disk in several ways, not all of which say so.
    pub fn trouble(&self) -> Option<String> {
        let probe = self.0.join("probe");
        let written = fs::write(&probe, [0; PROBE_BYTES]).and_then(|()| fs::remove_file(&probe));
        written.err().map(|error| {
            // What was written of it takes room that others need.
            fs::remove_file(&probe).ok();
            format!("nothing can be written to {}: {error}", self.0.display())
        })
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

    /// Replaces the page in one step: whoever reads it sees the old one or the new one.
    pub fn write_report(&self, html: &str) -> Result<(), Failure> {
        let temporary = self.0.join("report.html.new");
        fs::write(&temporary, html).and_then(|()| fs::rename(&temporary, self.report())).map_err(|error| {
            Failure::because(format!("write the report to {}", self.report().display()), &error)
                .advise("make room and make it writable, then run it again")
        })
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
