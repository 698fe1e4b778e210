//! Where results are written: never over what is read, and a whole file or none.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use crate::arguments::Arguments;

/// Refuses to write failures, a page or a state into a file that is read, or two of them into one.
pub fn check(arguments: &Arguments) -> Result<(), String> {
    let real = |file: &str| fs::canonicalize(file).unwrap_or_else(|_| PathBuf::from(file));
    let mut taken: Vec<PathBuf> = arguments.files.iter().map(|file| real(file)).collect();
    taken.extend([&arguments.policy, &arguments.schema].into_iter().flatten().map(|file| real(file)));
    // A state may replace the one that it goes on from, or is compared with: both are read before.
    let states = arguments.merge.iter().chain(&arguments.compare);
    let states: Vec<PathBuf> = states.map(|file| real(file)).collect();
    for (file, replaces) in [(&arguments.failures, false), (&arguments.html, false), (&arguments.state, true)]
    {
        let Some(file) = file else { continue };
        let path = real(file);
        if taken.contains(&path) || (!replaces && states.contains(&path)) {
            return Err(format!(
                "write {file}: it is read or written for something else too; name another file"
            ));
        }
        taken.push(path);
    }
    Ok(())
}

/// Writes a file beside `file`, and puts it in its place.
pub fn replace(file: &str, bytes: &[u8]) -> Result<(), String> {
    let beside = format!("{file}.{}.part", std::process::id());
    let written = File::create(&beside)
        .and_then(|mut out| out.write_all(bytes).and_then(|()| out.sync_all()))
        .and_then(|()| fs::rename(&beside, file));
    written.map_err(|error| {
        // It may never have been made.
        drop(fs::remove_file(&beside));
        format!("write {file}: {error}")
    })
}
