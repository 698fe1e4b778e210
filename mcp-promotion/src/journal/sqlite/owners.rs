use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use mcp_core::{Digest, ErrorKind, Name, SeamError};

use crate::journal::{Claim, JournalError, Owners};

/// How often a claim is tried again while others only look whether it is held.
const ATTEMPTS: usize = 100;

/// One empty file for each owner name, in the folder `<journal>.owners`. A claim is an exclusive lock of the operating system on it; whoever
/// looks takes a shared one for a moment.
///
/// The files stay: without its file a name counts as never claimed. The calls open one file and try its lock; none waits for anybody.
#[derive(Debug)]
pub(super) struct LockFiles {
    folder: PathBuf,
}

/// A lock that was taken for good.
struct Held(File);

impl Drop for Held {
    /// Closing the file is not enough: a process that is being started has it open too, for the moment before it becomes another program.
    fn drop(&mut self) {
        drop(self.0.unlock());
    }
}

/// What a lock file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lock {
    Taken,
    Held,
}

impl LockFiles {
    /// Those of the journal at `path`, which must be the same for everybody who opens it.
    pub(super) fn beside(path: &Path) -> Self {
        let mut folder = path.as_os_str().to_owned();
        folder.push(".owners");
        Self { folder: folder.into() }
    }

    /// A name may be longer than a file name, and has slashes.
    fn path(&self, owner: &Name) -> PathBuf {
        let digest = Digest::of(owner.as_str().as_bytes()).to_string();
        self.folder.join(digest.rsplit(':').next().unwrap_or_default())
    }

    fn open(&self, owner: &Name) -> io::Result<File> {
        std::fs::create_dir_all(&self.folder)?;
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(self.path(owner))
    }
}

/// Takes the lock for good, unless somebody else has it for good.
fn take(file: &File) -> io::Result<Lock> {
    for _ in 0..ATTEMPTS {
        if of(file.try_lock())? == Lock::Taken {
            return Ok(Lock::Taken);
        }
        if of(file.try_lock_shared())? == Lock::Held {
            return Ok(Lock::Held);
        }
        // Whoever had it was only looking.
        file.unlock()?;
        std::thread::yield_now();
    }
    Err(io::Error::other("others look at its lock all the time"))
}

fn of(outcome: Result<(), TryLockError>) -> io::Result<Lock> {
    match outcome {
        Ok(()) => Ok(Lock::Taken),
        Err(TryLockError::WouldBlock) => Ok(Lock::Held),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[async_trait]
impl Owners for LockFiles {
    async fn claim(&self, owner: &Name) -> Result<Claim, JournalError> {
        let claimed = self.open(owner).and_then(|file| Ok((take(&file)?, file)));
        match claimed {
            Ok((Lock::Taken, file)) => Ok(Claim::new(Held(file))),
            Ok((Lock::Held, _)) => {
                let context = format!(
                    "claim the owner name {owner}: another engine that is alive holds it; give each its own, or stop that one"
                );
                Err(SeamError::new(ErrorKind::Conflict, context))
            }
            Err(error) => {
                let context = format!("claim the owner name {owner} in {}", self.folder.display());
                Err(SeamError::new(ErrorKind::Unavailable, context).with_source(error))
            }
        }
    }

    async fn is_gone(&self, owner: &Name) -> Result<bool, JournalError> {
        let looked = OpenOptions::new().read(true).open(self.path(owner));
        let looked = looked.and_then(|file| {
            let lock = of(file.try_lock_shared());
            file.unlock()?;
            lock
        });
        match looked {
            Ok(lock) => Ok(lock == Lock::Taken),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => {
                let context = format!("look for the owner {owner} in {}", self.folder.display());
                Err(SeamError::new(ErrorKind::Unavailable, context).with_source(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_looks_never_keeps_an_owner_from_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let files = LockFiles::beside(&folder.path().join("journal.db"));
        let owner: Name = "one".parse().unwrap();
        drop(files.claim(&owner).await.unwrap());
        let looking = OpenOptions::new().read(true).open(files.path(&owner)).unwrap();
        looking.try_lock_shared().unwrap();
        assert!(files.is_gone(&owner).await.unwrap(), "two may look at once");
        let refused = files.claim(&owner).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable, "not held, only looked at: {refused}");
        drop(looking);
        let claim = files.claim(&owner).await.unwrap();
        assert!(!files.is_gone(&owner).await.unwrap());
        drop(claim);
        assert!(files.is_gone(&owner).await.unwrap());
    }

    #[test]
    fn what_is_given_up_is_free_although_a_process_that_is_being_started_has_the_file_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let open = || OpenOptions::new().write(true).create(true).truncate(false).open(&path).unwrap();
        let held = open();
        assert_eq!(take(&held).unwrap(), Lock::Taken);
        let inherited = held.try_clone().unwrap();
        drop(Held(held));
        assert_eq!(take(&open()).unwrap(), Lock::Taken);
        drop(inherited);
    }

    #[tokio::test]
    async fn names_that_differ_in_a_separator_or_are_long_are_claimed_apart() {
        let folder = tempfile::tempdir().unwrap();
        let files = LockFiles::beside(&folder.path().join("journal.db"));
        let long = ["a"; 127].join("/");
        for name in ["a.b", "a/b", "a_b", long.as_str()] {
            let owner: Name = name.parse().unwrap();
            assert!(!files.is_gone(&owner).await.unwrap(), "{name} was never claimed");
            let claim = files.claim(&owner).await.unwrap();
            assert_eq!(files.claim(&owner).await.unwrap_err().kind(), ErrorKind::Conflict, "{name}");
            drop(claim);
        }
    }
}
