use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use mcp_core::ErrorKind;

use crate::RegistryError;
use crate::storage::local::{storage_error, sync_folder};

/// The version of everything on disk that this build writes, and the newest that it reads.
pub(crate) const FORMAT: u32 = 1;

const FILE: &str = "FORMAT";
const PREFIX: &str = "mcp-registry ";

/// Checks the folder's `FORMAT` file, and durably writes it where it is missing: it is the first file of a registry.
pub(crate) fn prepare(folder: &Path) -> Result<(), RegistryError> {
    match check(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        other => return other,
    }
    let write = || {
        // Whole or not at all: a reader never sees half of it.
        let temporary = folder.join(".FORMAT");
        let mut file = File::create(&temporary)?;
        file.write_all(format!("{PREFIX}{FORMAT}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, folder.join(FILE))?;
        sync_folder(folder)
    };
    write().map_err(|error| failed("write the format file", error))
}

/// Checks that this build can read what the folder holds.
pub(crate) fn check(folder: &Path) -> Result<(), RegistryError> {
    let mut text = String::new();
    let read = File::open(folder.join(FILE)).and_then(|file| file.take(100).read_to_string(&mut text));
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // It is durable before there is a catalog.
            if folder.join("catalog.db").exists() {
                return Err(corrupt(folder, "it is missing although there is a catalog"));
            }
            let what = format!("a registry in {}", folder.display());
            let reason = if folder.is_dir() {
                "it has no FORMAT file; open it for writing once"
            } else {
                "there is no such folder; look at its path, or open it for writing to make one"
            };
            return Err(RegistryError::not_found(what, reason));
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(corrupt(folder, "it is not text"));
        }
        Err(error) => return Err(failed("read the format file", error)),
    }
    let number = text.strip_prefix(PREFIX).and_then(|rest| rest.trim_end().parse::<u32>().ok());
    match number {
        Some(FORMAT) => Ok(()),
        Some(found) if found > FORMAT => Err(RegistryError::NewerFormat { found, known: FORMAT }),
        _ => Err(corrupt(folder, "it does not name a format")),
    }
}

fn corrupt(folder: &Path, reason: &str) -> RegistryError {
    RegistryError::Corrupt {
        what: "the format".to_owned(),
        place: folder.join(FILE).display().to_string(),
        reason: reason.to_owned(),
    }
}

fn failed(what: &str, error: io::Error) -> RegistryError {
    RegistryError::Storage { what: what.to_owned(), source: storage_error(what.to_owned(), error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_format_is_unsupported_and_a_broken_one_corrupt() {
        let folder = tempfile::tempdir().expect("a folder");
        let kind_of = |text: &[u8]| {
            fs::write(folder.path().join(FILE), text).expect("written");
            prepare(folder.path()).map_err(|error| error.kind())
        };
        assert_eq!(kind_of(b"mcp-registry 1\n"), Ok(()));
        assert_eq!(kind_of(b"mcp-registry 2\n"), Err(ErrorKind::Unsupported));
        for broken in [&b""[..], b"mcp-registry", b"mcp-registry x", b"\xff\xfe", b"mcp-registry 0"] {
            assert_eq!(kind_of(broken), Err(ErrorKind::Corrupt), "{broken:?}");
        }
    }

    #[test]
    fn a_catalog_without_its_format_is_corrupt() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(check(folder.path()).map_err(|error| error.kind()), Err(ErrorKind::NotFound));
        fs::write(folder.path().join("catalog.db"), b"").expect("written");
        assert_eq!(prepare(folder.path()).map_err(|error| error.kind()), Err(ErrorKind::Corrupt));
        assert_eq!(check(folder.path()).map_err(|error| error.kind()), Err(ErrorKind::Corrupt));
    }
}
