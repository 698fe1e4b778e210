use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use mcp_core::ErrorKind;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::RegistryError;
use crate::pack::PackName;
use crate::storage::{PutWhen, StorageBackend, StorageError};

/// Writes packs beside the committer: while the bytes of a commit become durable, its rows go into the catalog.
pub(crate) struct PackWriter {
    storage: Arc<dyn StorageBackend>,
    runtime: Handle,
    /// Appends for the committer; started when it first has much to write.
    thread: Option<(SyncSender<Job>, JoinHandle<()>)>,
}

struct Job {
    name: PackName,
    offset: u64,
    bytes: Bytes,
    done: oneshot::Sender<Result<(), StorageError>>,
}

/// A write that has begun: nothing may refer to its bytes before [`wait`](Self::wait) says that they are durable.
#[must_use = "a write that nobody waits for may have failed"]
pub(crate) struct Writing {
    name: PackName,
    outcome: oneshot::Receiver<Result<(), StorageError>>,
}

impl PackWriter {
    pub(crate) fn new(storage: Arc<dyn StorageBackend>, runtime: Handle) -> Self {
        Self { storage, runtime, thread: None }
    }

    pub(crate) fn appends(&self) -> bool {
        self.storage.append().is_some()
    }

    /// Begins to write the bytes. `beside`: on another thread; the way there is not worth while for a few bytes.
    pub(crate) fn begin(
        &mut self,
        name: PackName,
        offset: u64,
        bytes: Bytes,
        beside: bool,
    ) -> Result<Writing, RegistryError> {
        let (done, outcome) = oneshot::channel();
        if let Some(append) = self.storage.append() {
            if beside {
                let job = Job { name, offset, bytes, done };
                // One that has ended drops the sender, which tells of it.
                drop(self.thread()?.send(job));
            } else {
                drop(done.send(append.grow(&name.key(), offset, bytes)));
            }
        } else {
            let storage = Arc::clone(&self.storage);
            let put = async move { storage.put(&name.key(), bytes, PutWhen::Absent).await };
            drop(self.runtime.spawn(send(put, done)));
        }
        Ok(Writing { name, outcome })
    }

    fn thread(&mut self) -> Result<&SyncSender<Job>, RegistryError> {
        if self.thread.is_none() {
            let (sender, jobs) = sync_channel(1);
            let storage = Arc::clone(&self.storage);
            let thread = thread::Builder::new()
                .name("mcp-registry-packs".to_owned())
                .spawn(move || append(&*storage, &jobs))
                .map_err(|error| RegistryError::Catalog {
                    what: "start the thread of packs",
                    kind: ErrorKind::Unavailable,
                    source: error.into(),
                })?;
            self.thread = Some((sender, thread));
        }
        self.thread.as_ref().map(|(sender, _)| sender).ok_or(RegistryError::Closed)
    }

    /// Waits until nothing is written any more.
    pub(crate) fn close(&mut self) {
        if let Some((sender, thread)) = self.thread.take() {
            drop(sender);
            drop(thread.join());
        }
    }
}

fn append(storage: &dyn StorageBackend, jobs: &Receiver<Job>) {
    for Job { name, offset, bytes, done } in jobs {
        let Some(append) = storage.append() else { return };
        drop(done.send(append.grow(&name.key(), offset, bytes)));
    }
}

async fn send(
    put: impl Future<Output = Result<(), StorageError>>,
    done: oneshot::Sender<Result<(), StorageError>>,
) {
    drop(done.send(put.await));
}

impl Writing {
    /// Waits on this thread until the bytes are durable.
    pub(crate) fn wait(self) -> Result<(), RegistryError> {
        let gone = |_| {
            Err(StorageError::new(
                ErrorKind::Unavailable,
                "it panicked, or the runtime that opened the registry ended",
            ))
        };
        let outcome = self.outcome.blocking_recv().unwrap_or_else(gone);
        outcome.map_err(|source| RegistryError::Storage { what: format!("writing {}", self.name), source })
    }
}
