use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::{self, Fuse};
use mcp_core::Name;

use crate::RegistryError;
use crate::chunked::CHUNK_BYTES;
use crate::storage::ByteStream;
use crate::storage::local::storage_error;

/// The bytes of a publish that come part by part, cut into chunks of [`CHUNK_BYTES`].
pub(crate) struct Input {
    name: Name,
    /// The caller's own: it may do anything when it is polled behind its end.
    stream: Fuse<ByteStream>,
    /// What is left of the last part.
    rest: Bytes,
    /// How many bytes were given.
    taken: u64,
    limit: u64,
    setting: &'static str,
}

impl Input {
    pub(crate) fn new(name: &Name, stream: ByteStream, limit: u64, setting: &'static str) -> Self {
        Self { name: name.clone(), stream: stream.fuse(), rest: Bytes::new(), taken: 0, limit, setting }
    }

    pub(crate) const fn taken(&self) -> u64 {
        self.taken
    }

    /// The next chunk: a whole one, the last, or `None` at the end.
    pub(crate) async fn next_chunk(&mut self) -> Result<Option<Bytes>, RegistryError> {
        let mut chunk = BytesMut::new();
        while chunk.len() < CHUNK_BYTES {
            if self.rest.is_empty() {
                let Some(part) = self.stream.next().await else { break };
                self.rest =
                    part.map_err(|source| RegistryError::Input { name: self.name.clone(), source })?;
            }
            let part = self.rest.split_to(self.rest.len().min(CHUNK_BYTES - chunk.len()));
            if chunk.is_empty() && part.len() == CHUNK_BYTES {
                return self.give(part);
            }
            chunk.extend_from_slice(&part);
        }
        self.give(chunk.freeze())
    }

    fn give(&mut self, chunk: Bytes) -> Result<Option<Bytes>, RegistryError> {
        self.taken = self.taken.saturating_add(chunk.len() as u64);
        if self.taken > self.limit {
            return Err(RegistryError::TooLarge {
                what: format!("publish {}, at least", self.name),
                size: self.taken,
                limit: self.limit,
                setting: self.setting,
            });
        }
        Ok((!chunk.is_empty()).then_some(chunk))
    }
}

/// The bytes of the file at `path`, and how many it has now.
pub(crate) async fn file(name: &Name, path: PathBuf) -> Result<(ByteStream, u64), RegistryError> {
    let at = path.clone();
    let opened = blocking(move || {
        let file = File::open(&at)?;
        let data = file.metadata()?;
        if data.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        Ok((file, data.len()))
    });
    let failed = move |error| storage_error(format!("read {}", path.display()), error);
    let (file, bytes) =
        opened.await.map_err(|error| RegistryError::Input { name: name.clone(), source: failed(error) })?;
    let parts = stream::try_unfold((file, failed), |(file, failed)| async move {
        let read = blocking(move || {
            let mut part = Vec::with_capacity(CHUNK_BYTES);
            (&file).take(CHUNK_BYTES as u64).read_to_end(&mut part)?;
            Ok((file, part))
        });
        match read.await {
            Ok((_, part)) if part.is_empty() => Ok(None),
            Ok((file, part)) => Ok(Some((Bytes::from(part), (file, failed)))),
            Err(error) => Err(failed(error)),
        }
    });
    Ok((parts.boxed(), bytes))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
