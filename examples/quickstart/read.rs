//! Reads the manifests out of all archives, several at a time.

use std::path::PathBuf;

use futures::{StreamExt, stream};
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::archive::Archive;
use crate::input::Input;
use crate::manifest::Manifest;
use crate::screen::Screen;

/// How many archives are unpacked at the same time; more than there are processors only wait.
const AT_ONCE: usize = 8;

/// An archive that was read.
#[derive(Debug)]
pub struct Crate {
    /// Where it is.
    pub file: PathBuf,
    /// How large it is, in bytes.
    pub bytes: u64,
    /// Its manifest, as JSON.
    pub json: Value,
}

impl Crate {
    /// The name of the file, for messages.
    pub fn file_name(&self) -> String {
        self.file.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// What its manifest says.
    pub const fn manifest(&self) -> Manifest<'_> {
        Manifest(&self.json)
    }
}

/// What was read, in the order of the files.
#[derive(Debug, Default)]
pub struct Reading {
    /// Those with a manifest.
    pub crates: Vec<Crate>,
    /// Those without: the file, and why.
    pub unreadable: Vec<(PathBuf, String)>,
}

/// Reads every archive of `input`.
pub async fn read(input: &Input, screen: &Screen) -> Reading {
    let bar = screen.progress("reading", input.files.len() as u64);
    let archives = stream::iter(input.files.clone()).map(|file| async move {
        let path = file.clone();
        let archive = spawn_blocking(move || Archive::read(&path)).await;
        (file, archive)
    });
    let mut archives = archives.buffered(AT_ONCE);
    let mut reading = Reading::default();
    while let Some((file, archive)) = archives.next().await {
        bar.inc(1);
        match archive {
            Ok(Ok(Archive { bytes, manifest })) => reading.crates.push(Crate { file, bytes, json: manifest }),
            Ok(Err(why)) => reading.unreadable.push((file, why.to_string())),
            Err(stopped) => reading.unreadable.push((file, stopped.to_string())),
        }
    }
    bar.finish_and_clear();
    reading
}
