use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use mcp_core::ErrorKind;

use super::{Append, ByteStream, Key, PutWhen, Stat, StorageBackend, StorageError, outside};

/// Keeps each object as one file below a folder. Files and folders are synced before a call returns.
///
/// Unix only. Needs a Tokio runtime: writes, and reads of more than 64 KiB, run on its blocking threads. A shorter read runs where it
/// is called, since it costs less than the way to another thread.
#[derive(Clone, Debug)]
pub struct LocalStorage(Arc<Folder>);

/// Up to this many bytes are read on the calling thread.
const INLINE_READ_BYTES: u64 = 64 << 10;
/// Of how many folders it is remembered that they are durable.
const KNOWN_FOLDERS: usize = 64;
/// How many files stay open for reading.
const OPEN_FILES: usize = 64;

#[derive(Debug)]
struct Folder {
    root: PathBuf,
    /// Open for reading. A file is opened, and a changed one forgotten, under this lock: so no handle outlives its object.
    readable: Mutex<BTreeMap<Key, Arc<File>>>,
    /// The file that grows, with its size; forgotten after any failure.
    growing: Mutex<Option<(Key, File, u64)>>,
    /// Folders below the root of which it is known that a loss of power does not take them away.
    durable: Mutex<BTreeSet<PathBuf>>,
    temporary: AtomicU64,
}

impl LocalStorage {
    /// Objects below `root`, which is created when it is first written to.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Folder {
            root: root.into(),
            readable: Mutex::default(),
            growing: Mutex::default(),
            durable: Mutex::default(),
            temporary: AtomicU64::new(0),
        }))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let folder = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&folder)).await.map_err(|error| {
            StorageError::new(ErrorKind::Unavailable, "run file work on a blocking thread").with_source(error)
        })?
    }
}

#[async_trait]
impl StorageBackend for LocalStorage {
    async fn put(&self, key: &Key, bytes: Bytes, when: PutWhen) -> Result<(), StorageError> {
        let key = key.clone();
        self.blocking(move |folder| folder.put(&key, &bytes, when).map_err(failed("put", &key))).await
    }

    async fn put_stream(&self, key: &Key, mut stream: ByteStream) -> Result<u64, StorageError> {
        let new = key.clone();
        let made = self.blocking(move |folder| {
            let path = folder.path(&new);
            let parent = folder.make_parent(&path).map_err(failed("put", &new))?;
            let (temporary, file) = folder.create_temporary(parent).map_err(failed("put", &new))?;
            Ok((Temporary(temporary), file))
        });
        let (temporary, mut file) = made.await?;
        let mut length = 0_u64;
        while let Some(part) = stream.next().await {
            let (part, key) = (part?, key.clone());
            length = length.saturating_add(part.len() as u64);
            file = self
                .blocking(move |_| {
                    file.write_all(&part).map_err(failed("put", &key))?;
                    Ok(file)
                })
                .await?;
        }
        let key = key.clone();
        self.blocking(move |folder| {
            let path = folder.path(&key);
            let finish = || {
                file.sync_all()?;
                fs::hard_link(&temporary.0, &path)?;
                fs::remove_file(&temporary.0)?;
                path.parent().map_or(Ok(()), sync_folder)
            };
            finish().map_err(failed("put", &key))
        })
        .await?;
        Ok(length)
    }

    async fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StorageError> {
        if range.end.saturating_sub(range.start) <= INLINE_READ_BYTES {
            return self.0.read(key, &range);
        }
        let key = key.clone();
        self.blocking(move |folder| folder.read(&key, &range)).await
    }

    async fn stat(&self, key: &Key) -> Result<Option<Stat>, StorageError> {
        let key = key.clone();
        self.blocking(move |folder| match fs::metadata(folder.path(&key)) {
            Ok(data) if data.is_file() => Ok(Some(Stat::new(key, data.len()))),
            Ok(_) => Ok(None),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(failed("look at", &key)(error)),
        })
        .await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Stat>, StorageError> {
        let prefix = prefix.to_owned();
        self.blocking(move |folder| {
            let mut found = Vec::new();
            folder.walk(&folder.root, "", &prefix, &mut found).map_err(|error| {
                storage_error(format!("list objects below {}", folder.root.display()), error)
            })?;
            found.sort_by(|a, b| a.key.cmp(&b.key));
            Ok(found)
        })
        .await
    }

    async fn delete(&self, key: &Key) -> Result<(), StorageError> {
        let key = key.clone();
        self.blocking(move |folder| folder.delete(&key).map_err(failed("delete", &key))).await
    }

    fn append(&self) -> Option<&dyn Append> {
        Some(self)
    }
}

impl Append for LocalStorage {
    fn grow(&self, key: &Key, offset: u64, bytes: Bytes) -> Result<(), StorageError> {
        self.0.append(key, offset, &bytes).map_err(failed("append to", key))
    }
}

/// A file of a write that is under way; removed when that ends in whatever way.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // One that stays is nobody's object.
        drop(fs::remove_file(&self.0));
    }
}

impl Folder {
    fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    fn put(&self, key: &Key, bytes: &[u8], when: PutWhen) -> io::Result<()> {
        let path = self.path(key);
        let parent = self.make_parent(&path)?;
        // Keys have no segment that begins with a dot, so this is nobody's object; a kill leaves it behind, unseen.
        let (temporary, mut file) = self.create_temporary(parent)?;
        let written = (|| {
            file.write_all(bytes)?;
            file.sync_all()?;
            match when {
                PutWhen::Always => fs::rename(&temporary, &path),
                PutWhen::Absent => fs::hard_link(&temporary, &path),
            }
        })();
        self.forget(key);
        let removed = match (when, &written) {
            (PutWhen::Always, Ok(())) => Ok(()),
            _ => fs::remove_file(&temporary)
                .or_else(|error| if is_absence(&error) { Ok(()) } else { Err(error) }),
        };
        written?;
        removed?;
        sync_folder(parent)
    }

    /// A file that was not there: a left-over name may be a second name of an object.
    fn create_temporary(&self, parent: &Path) -> io::Result<(PathBuf, File)> {
        loop {
            let count = self.temporary.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{TEMPORARY}{}-{count}", std::process::id()));
            match File::create_new(&path) {
                // Locked until it is closed: so a file that a kill has left can be told from this one.
                Ok(file) => match file.try_lock() {
                    Err(TryLockError::WouldBlock) => {}
                    // Without locks nothing is ever taken for left over.
                    Ok(()) | Err(TryLockError::Error(_)) => return Ok((path, file)),
                },
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn read(&self, key: &Key, range: &Range<u64>) -> Result<Bytes, StorageError> {
        let file = self.open(key).map_err(failed("read", key))?;
        let size = || file.metadata().map(|data| data.len()).map_err(failed("look at", key));
        let length = range.end.checked_sub(range.start).and_then(|length| usize::try_from(length).ok());
        let Some(length) = length else { return Err(outside(key, range, size()?)) };
        // A huge range must not allocate before it is known to exist.
        if length as u64 > INLINE_READ_BYTES && range.end > size()? {
            return Err(outside(key, range, size()?));
        }
        let mut bytes = vec![0; length];
        match file.read_exact_at(&mut bytes, range.start) {
            Ok(()) if length > 0 || range.end <= size()? => Ok(bytes.into()),
            Ok(()) => Err(outside(key, range, size()?)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(outside(key, range, size()?)),
            // An offset beyond what the system can seek to.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(outside(key, range, size()?)),
            Err(error) => Err(failed("read", key)(error)),
        }
    }

    fn open(&self, key: &Key) -> io::Result<Arc<File>> {
        let mut readable = self.readable.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = readable.get(key) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(File::open(self.path(key))?);
        if readable.len() >= OPEN_FILES {
            readable.pop_first();
        }
        readable.insert(key.clone(), Arc::clone(&file));
        Ok(file)
    }

    fn forget(&self, key: &Key) {
        self.readable.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        let mut growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        growing.take_if(|(grown, ..)| grown == key);
    }

    fn delete(&self, key: &Key) -> io::Result<()> {
        let path = self.path(key);
        let removed = fs::remove_file(&path);
        self.forget(key);
        match removed {
            Ok(()) => path.parent().map_or(Ok(()), sync_folder),
            Err(error) if is_absence(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn append(&self, key: &Key, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken out: after a failure nothing is known of the file's end.
        let kept = growing.take().filter(|(grown, _, size)| grown == key && *size == offset);
        let path = self.path(key);
        let file = match kept {
            Some((_, file, _)) => file,
            None if offset == 0 => {
                self.make_parent(&path)?;
                OpenOptions::new().write(true).create_new(true).open(&path)?
            }
            None => {
                let file = OpenOptions::new().write(true).open(&path)?;
                let size = file.metadata()?.len();
                if size != offset {
                    let text = format!("it has {size} bytes, not {offset}");
                    return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
                }
                file
            }
        };
        file.write_all_at(bytes, offset)?;
        file.sync_data()?;
        // A file that was removed or replaced still takes bytes, which vanish with it.
        let written = file.metadata()?;
        let is_written = |found: fs::Metadata| (found.dev(), found.ino()) == (written.dev(), written.ino());
        let there = match fs::metadata(&path) {
            Ok(found) => is_written(found),
            Err(error) if is_absence(&error) => false,
            Err(error) => return Err(error),
        };
        if !there {
            let text = "it was removed or replaced while it grew";
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        if offset == 0 {
            path.parent().map_or(Ok(()), sync_folder)?;
        }
        *growing = Some((key.clone(), file, offset.saturating_add(bytes.len() as u64)));
        Ok(())
    }

    /// Creates the folders above `path`, each durably in its own parent.
    fn make_parent<'a>(&self, path: &'a Path) -> io::Result<&'a Path> {
        let parent = path.parent().unwrap_or(path);
        let known = || self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(parent) && parent.exists() {
            return Ok(parent);
        }
        create_folders(&self.root, parent, sync_folder)?;
        let mut known = known();
        if known.len() >= KNOWN_FOLDERS {
            known.pop_first();
        }
        known.insert(parent.to_owned());
        Ok(parent)
    }

    fn walk(&self, folder: &Path, above: &str, prefix: &str, found: &mut Vec<Stat>) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if is_absence(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // What is not a key is not an object: files of others, and writes that were cut short.
            let text = if above.is_empty() { name } else { format!("{above}/{name}") };
            let Ok(key) = text.parse::<Key>() else { continue };
            let data = match entry.metadata() {
                Ok(data) => data,
                Err(error) if is_absence(&error) => continue,
                Err(error) => return Err(error),
            };
            if data.is_dir() && (prefix.starts_with(&text) || text.starts_with(prefix)) {
                self.walk(&entry.path(), &text, prefix, found)?;
            } else if data.is_file() && text.starts_with(prefix) {
                found.push(Stat::new(key, data.len()));
            }
        }
        Ok(())
    }
}

/// What the names of files begin with that are being written.
const TEMPORARY: &str = ".put-";

/// Removes the files of writes in `folder` that a kill has cut short. One that cannot be removed stays, and means nothing.
pub(crate) fn remove_left_over(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let is_temporary = entry.file_name().to_str().is_some_and(|name| name.starts_with(TEMPORARY));
        if is_temporary
            && entry.file_type().is_ok_and(|kind| kind.is_file())
            && let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            drop(fs::remove_file(entry.path()));
        }
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Creates `folder` and what is missing above it, each durably in its own parent. Those below `within` are made durable also where they
/// are there: whoever created them may have been killed before it came to that.
pub(crate) fn create_folders(
    within: &Path,
    folder: &Path,
    sync: impl Fn(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let levels: Vec<&Path> = folder.ancestors().filter(|level| !level.as_os_str().is_empty()).collect();
    for level in levels.into_iter().rev() {
        if level.exists() {
            if level == within || !level.starts_with(within) {
                continue;
            }
        } else if let Err(error) = fs::create_dir(level) {
            // Another one was quicker, and has perhaps not synced yet.
            if error.kind() != io::ErrorKind::AlreadyExists {
                return Err(error);
            }
        }
        level.parent().map_or(Ok(()), &sync)?;
    }
    Ok(())
}

/// Makes what was created, renamed or deleted in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    // The parent of a relative name is the empty path.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

fn failed(action: &'static str, key: &Key) -> impl Fn(io::Error) -> StorageError {
    move |error| storage_error(format!("{action} {key}"), error)
}

pub(crate) fn storage_error(context: String, error: io::Error) -> StorageError {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::AlreadyExists => ErrorKind::Conflict,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            ErrorKind::Exhausted
        }
        _ => ErrorKind::Unavailable,
    };
    StorageError::new(kind, context).with_source(error)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// The folders that are synced, below `base`.
    fn synced(base: &Path, within: &str, folder: &str) -> Vec<String> {
        let seen = RefCell::new(Vec::new());
        let record = |folder: &Path| {
            let below = folder.strip_prefix(base).expect("below");
            seen.borrow_mut().push(below.to_str().expect("text").to_owned());
            Ok(())
        };
        create_folders(&base.join(within), &base.join(folder), record).expect("created");
        assert!(base.join(folder).is_dir());
        seen.into_inner()
    }

    #[test]
    fn each_folder_that_is_created_is_made_durable_in_its_own_parent() {
        let base = tempfile::tempdir().expect("folder");
        assert_eq!(synced(base.path(), "a/b", "a/b/c"), ["", "a", "a/b"]);
        assert_eq!(synced(base.path(), "x/y/z", "x/y/z/packs"), ["", "x", "x/y", "x/y/z"]);
    }

    #[test]
    fn folders_of_one_who_was_killed_before_it_synced_them_are_made_durable() {
        let base = tempfile::tempdir().expect("folder");
        fs::create_dir_all(base.path().join("root/packs/deep")).expect("created");
        assert_eq!(synced(base.path(), "root", "root/packs/deep"), ["root", "root/packs"]);
        assert_eq!(synced(base.path(), "root", "root"), Vec::<String>::new());
        assert_eq!(synced(base.path(), "", "root"), [""]);
    }

    #[test]
    fn a_folder_that_was_removed_since_is_created_again() {
        let base = tempfile::tempdir().expect("folder");
        let LocalStorage(folder) = LocalStorage::new(base.path());
        let key: Key = "packs/a".parse().expect("key");
        for _ in 0..2 {
            folder.put(&key, b"x", PutWhen::Always).expect("put");
            fs::remove_dir_all(base.path().join("packs")).expect("removed");
        }
    }
}
