use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::RegistryError;
use crate::storage::local::storage_error;

/// The files that a writer has open: SQLite goes on writing into ones that were removed, and what it writes vanishes with them.
pub(super) struct OpenFiles(Vec<(PathBuf, FileId)>);

/// Device and inode.
type FileId = (u64, u64);

impl OpenFiles {
    /// Those of the catalog at `path`, which exist by now.
    pub(super) fn of(path: &Path) -> Result<Self, RegistryError> {
        let files = [path.to_owned(), log_of(path)];
        let ids = files.into_iter().map(|path| {
            let id = id_of(&path).map_err(|error| failed(&path, error))?;
            Ok((path, id))
        });
        ids.collect::<Result<_, _>>().map(Self)
    }

    /// Fails when one of them is not where it was.
    pub(super) fn check(&self) -> Result<(), RegistryError> {
        for (path, id) in &self.0 {
            if id_of(path).map_err(|error| failed(path, error))? != *id {
                let error = io::Error::new(io::ErrorKind::NotFound, "another file is in its place");
                return Err(failed(path, error));
            }
        }
        Ok(())
    }
}

/// The write-ahead log beside the database at `path`.
pub(super) fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

fn id_of(path: &Path) -> io::Result<FileId> {
    fs::metadata(path).map(|data| (data.dev(), data.ino()))
}

fn failed(path: &Path, error: io::Error) -> RegistryError {
    let source = storage_error(format!("find {}, which is open", path.display()), error);
    RegistryError::Storage { what: "the catalog's files".to_owned(), source }
}
