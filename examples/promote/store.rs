//! Where the journal is; only what begins something makes one.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use mcp_promotion::SqliteJournal;

use crate::failure::Failure;

/// The commands that have something to do where there is no journal yet.
const BEGIN: [&str; 4] = ["request", "hold", "run", "plan submit"];

/// The journal in the folder `data` for the command `name`, and where that folder is.
pub fn open(data: &Path, name: &str) -> Result<(SqliteJournal, PathBuf), Failure> {
    let file = |folder: &Path| folder.join("journal.db");
    if BEGIN.contains(&name) {
        let attempted = format!("make the folder {}", data.display());
        std::fs::create_dir_all(data).map_err(|error| Failure::unavailable(&attempted, &error))?;
    } else {
        look(&file(data), name)?;
    }
    // Scripts run in another folder, and are told this one.
    let attempted = format!("find the folder {}", data.display());
    let folder = data.canonicalize().map_err(|error| Failure::unavailable(&attempted, &error))?;
    Ok((SqliteJournal::open(file(&folder))?, folder))
}

/// Whether there is a journal: an empty one in the place of one that is lost would be found sound.
fn look(path: &Path, name: &str) -> Result<(), Failure> {
    let attempted = format!("{name}: open the journal {}", path.display());
    let why = match std::fs::metadata(path) {
        Ok(found) if found.len() > 0 => return Ok(()),
        Ok(_) => "the file is empty, and never was a journal or has lost it".to_owned(),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            error.to_string()
        }
        Err(error) => return Err(Failure::unavailable(&attempted, &error)),
    };
    Err(Failure::not_found(format!(
        "{attempted}: {why}; say with --data where it is, or restore it; {} make a new one",
        BEGIN.join(", ")
    )))
}
