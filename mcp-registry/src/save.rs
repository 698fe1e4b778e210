use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::StreamExt as _;
use mcp_core::Name;

use crate::storage::StorageError;
use crate::storage::local::{storage_error, sync_folder};
use crate::{Entry, Registry, RegistryError, Select};

impl Registry {
    /// Saves the bytes of the version that the selection means as the file `path`, durably, replacing a file that is there; anything
    /// else that is there, such as a link, a folder or a device, is refused. Until all of them
    /// were compared with their digest they stand in a file beside it, whose name begins with a dot.
    ///
    /// # Errors
    /// As [`get_stream`](Self::get_stream) has them, and those of writing the file; what was at `path` is then still there.
    ///
    /// # Cancel safety
    /// A dropped call has replaced the file as a whole or not at all.
    pub async fn save(
        &self,
        name: &Name,
        select: Select,
        path: impl Into<PathBuf>,
    ) -> Result<Entry, RegistryError> {
        let mut content = self.get_stream(name, select).await?;
        let path = path.into();
        let what = format!("saving {} as {}", content.entry.artifact, path.display());
        let failed = |source| RegistryError::Storage { what: what.clone(), source };
        let at = path.clone();
        let mut target = blocking(move || SavedFile::create(&at)).await.map_err(failed)?;
        while let Some(bytes) = content.next().await {
            let bytes = bytes?;
            target = blocking(move || target.write(&bytes)).await.map_err(failed)?;
        }
        blocking(move || target.finish(&path)).await.map_err(failed)?;
        Ok(Arc::unwrap_or_clone(content.entry))
    }
}

/// A file that is being written under another name; removed unless it is finished.
struct SavedFile {
    temporary: PathBuf,
    file: File,
    finished: bool,
}

impl SavedFile {
    fn create(path: &Path) -> std::io::Result<Self> {
        // Renaming over a link or a device would put a file in its place.
        match fs::symlink_metadata(path) {
            Ok(data) if !data.is_file() => {
                let text = "something that is no regular file stands there";
                return Err(std::io::Error::new(std::io::ErrorKind::AlreadyExists, text));
            }
            _ => {}
        }
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().ok_or(std::io::ErrorKind::InvalidInput)?);
        for count in 0..1000_u32 {
            let mut numbered = name.clone();
            numbered.push(format!(".{}-{count}", std::process::id()));
            let temporary = path.with_file_name(numbered);
            match File::create_new(&temporary) {
                Ok(file) => return Ok(Self { temporary, file, finished: false }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(std::io::ErrorKind::AlreadyExists.into())
    }

    fn write(mut self, bytes: &[u8]) -> std::io::Result<Self> {
        self.file.write_all(bytes)?;
        Ok(self)
    }

    fn finish(mut self, path: &Path) -> std::io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.temporary, path)?;
        self.finished = true;
        path.parent().map_or(Ok(()), sync_folder)
    }
}

impl Drop for SavedFile {
    fn drop(&mut self) {
        if !self.finished {
            drop(fs::remove_file(&self.temporary));
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, StorageError> {
    let done =
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    done.map_err(|error| storage_error("write the file".to_owned(), error))
}
