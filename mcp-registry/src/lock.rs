use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek as _, Write as _};
use std::path::Path;

use crate::RegistryError;
use crate::storage::local::storage_error;

/// The operating system's lock on a registry's `LOCK` file; given up when this is dropped, or when its process ends in whatever way.
///
/// The text in the file only says who holds it; what counts is the lock.
#[derive(Debug)]
pub(crate) struct WriterLock(File);

impl Drop for WriterLock {
    /// Closing the file is not enough: a process that is being started has it open too, for the moment before it becomes another program.
    fn drop(&mut self) {
        drop(self.0.unlock());
    }
}

impl WriterLock {
    /// Takes the lock, or says who has it.
    pub(crate) fn take(folder: &Path, holder: &str) -> Result<Self, RegistryError> {
        let path = folder.join("LOCK");
        let fail = |error| RegistryError::Storage {
            what: "the writer's lock".to_owned(),
            source: storage_error(format!("lock {}", path.display()), error),
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = named(&mut file).unwrap_or_else(|| "another writer".to_owned());
                return Err(RegistryError::Locked { place: path.display().to_string(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
        let mut write = || {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{holder}")
        };
        write().map_err(fail)?;
        Ok(Self(file))
    }
}

/// So often it is looked for a name that whoever has just taken the lock may be writing right now.
const LOOKS: usize = 1000;

fn named(file: &mut File) -> Option<String> {
    for _ in 0..LOOKS {
        let mut text = String::new();
        file.rewind().ok()?;
        Read::by_ref(file).take(300).read_to_string(&mut text).ok()?;
        if !text.trim().is_empty() {
            return Some(text.trim().to_owned());
        }
        std::thread::yield_now();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_learns_who_holds_the_lock_until_it_is_dropped() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = WriterLock::take(folder.path(), "process 7 on build-1").expect("the lock");
        match WriterLock::take(folder.path(), "process 8") {
            Err(RegistryError::Locked { holder, .. }) => assert_eq!(holder, "process 7 on build-1"),
            other => panic!("{other:?}"),
        }
        let inherited = first.0.try_clone().expect("as a process that is being started has it");
        drop(first);
        drop(WriterLock::take(folder.path(), "process 8").expect("the lock again"));
        assert_eq!(std::fs::read_to_string(folder.path().join("LOCK")).expect("text"), "process 8\n");
        drop(inherited);
    }
}
