//! Which archives there are to work on.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The `.crate` files that were found.
#[derive(Debug)]
pub struct Input {
    /// Where they were looked for.
    pub place: PathBuf,
    /// Their paths, ordered by file name, so that every run meets them in the same order.
    pub files: Vec<PathBuf>,
}

impl Input {
    /// The archives directly in `folder` or, without one, those that cargo has downloaded: `registry/cache/*/*.crate` below its home.
    pub fn find(folder: Option<&Path>) -> Result<Self, Failure> {
        let (place, folders) = match folder {
            Some(folder) => (folder.to_owned(), vec![folder.to_owned()]),
            None => {
                let cache = cargo_home()?.join("registry").join("cache");
                // Cargo makes the folder with its first download; without it there is nothing to read.
                let folders = if cache.is_dir() { entries(&cache)? } else { Vec::new() };
                (cache, folders.into_iter().filter(|path| path.is_dir()).collect())
            }
        };
        let mut files = Vec::new();
        for folder in folders {
            let is_archive =
                |path: &PathBuf| path.extension().is_some_and(|e| e == "crate") && path.is_file();
            files.extend(entries(&folder)?.into_iter().filter(is_archive));
        }
        files.sort_by(|a, b| (a.file_name(), a).cmp(&(b.file_name(), b)));
        if files.is_empty() {
            let advice = "name a folder that holds some with --input DIR, or let cargo download this workspace's dependencies with `cargo fetch`";
            return Err(Failure::usage(format!("find .crate files in {}: there are none", place.display()))
                .advise(advice));
        }
        Ok(Self { place, files })
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let read = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
    read().map_err(|error| {
        Failure::because(format!("list the folder {}", folder.display()), &error)
            .advise("name a readable folder of .crate files with --input DIR")
    })
}

/// Where cargo keeps what it downloads.
#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells its folder by the environment, and a program may read it"
)]
fn cargo_home() -> Result<PathBuf, Failure> {
    if let Some(home) = std::env::var_os("CARGO_HOME").filter(|home| !home.is_empty()) {
        return Ok(home.into());
    }
    std::env::home_dir().map(|home| home.join(".cargo")).ok_or_else(|| {
        Failure::usage("find cargo's folder: neither CARGO_HOME nor a home folder is set")
            .advise("name a folder of .crate files with --input DIR")
    })
}
