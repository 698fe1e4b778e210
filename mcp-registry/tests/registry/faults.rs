//! Storage that fails at the k-th write, for every k, and what is left afterwards.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use mcp_core::ErrorKind;
use mcp_registry::{
    Append, ByteStream, Draft, Expect, Key, LocalStorage, PutWhen, Registry, Select, Settings, Stat,
    StorageBackend, StorageError,
};

use crate::opening::copy_folder;
use crate::{assert_sound, kind, name, put, text, version};

#[derive(Clone, Copy, Debug)]
enum Failure {
    /// Nothing is written.
    Refused,
    /// The first half is.
    Torn,
    /// All is written, and its sync fails.
    Unsynced,
}

/// Fails at one write, and works otherwise: so that a retry would be seen to succeed.
struct Failing {
    inner: LocalStorage,
    appends: bool,
    at: u64,
    failure: Failure,
    writes: AtomicU64,
}

impl Failing {
    fn next(&self) -> bool {
        self.writes.fetch_add(1, Ordering::SeqCst) + 1 == self.at
    }

    fn error(&self) -> StorageError {
        StorageError::new(ErrorKind::Unavailable, format!("write {} {:?}", self.at, self.failure))
    }

    fn part(&self, bytes: &Bytes) -> Option<Bytes> {
        match self.failure {
            Failure::Refused => None,
            Failure::Torn => Some(bytes.slice(..bytes.len() / 2)),
            Failure::Unsynced => Some(bytes.clone()),
        }
    }
}

#[async_trait]
impl StorageBackend for Failing {
    async fn put(&self, key: &Key, bytes: Bytes, when: PutWhen) -> Result<(), StorageError> {
        if !self.next() {
            return self.inner.put(key, bytes, when).await;
        }
        // An object is there whole or not at all.
        if let Failure::Unsynced = self.failure {
            self.inner.put(key, bytes, when).await?;
        }
        Err(self.error())
    }

    async fn put_stream(&self, key: &Key, stream: ByteStream) -> Result<u64, StorageError> {
        if !self.next() {
            return self.inner.put_stream(key, stream).await;
        }
        if let Failure::Unsynced = self.failure {
            self.inner.put_stream(key, stream).await?;
        }
        Err(self.error())
    }

    async fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StorageError> {
        self.inner.read(key, range).await
    }

    async fn stat(&self, key: &Key) -> Result<Option<Stat>, StorageError> {
        self.inner.stat(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Stat>, StorageError> {
        self.inner.list(prefix).await
    }

    async fn delete(&self, key: &Key) -> Result<(), StorageError> {
        self.inner.delete(key).await
    }

    fn append(&self) -> Option<&dyn Append> {
        self.appends.then_some(self)
    }
}

impl Append for Failing {
    fn grow(&self, key: &Key, offset: u64, bytes: Bytes) -> Result<(), StorageError> {
        let inner = self.inner.append().expect("local storage appends");
        if !self.next() {
            return inner.grow(key, offset, bytes);
        }
        if let Some(part) = self.part(&bytes) {
            inner.grow(key, offset, part)?;
        }
        Err(self.error())
    }
}

const STEPS: u64 = 8;

fn small_packs() -> Settings {
    Settings { pack_bytes: 400, ..Settings::default() }
}

fn body(step: u64) -> String {
    format!("body {step} ").repeat(10)
}

/// Publishes, yanks and moves; gives how many steps were acknowledged, and how the rest failed.
async fn scenario(registry: &Registry) -> (u64, Vec<Option<ErrorKind>>) {
    let app = name("app");
    let mut acknowledged = 0;
    let mut failures = Vec::new();
    for step in 1..=STEPS {
        let v = mcp_core::Version::new(step, 0, 0);
        let outcome = registry.publish(Draft::new(&app, body(step)), &v).await.map(drop);
        let outcome = match outcome {
            Ok(()) => registry.set_channel(&app, "stable", &v, Expect::Any).await,
            failed => failed,
        };
        let outcome = match outcome {
            Ok(()) if step == 3 => registry.yank(&app, &version("2.0.0"), "r").await,
            other => other,
        };
        if outcome.is_ok() {
            assert_eq!(failures, [], "nothing succeeds once the writer has stopped");
            acknowledged = step;
        } else {
            failures.push(kind(outcome));
        }
    }
    (acknowledged, failures)
}

/// What was acknowledged is there, and everything else is whole or invisible.
async fn check(folder: &Path, acknowledged: u64, context: &str) {
    let registry = Registry::open(folder).await.unwrap_or_else(|error| panic!("{context}: {error}"));
    let found = registry.verify().await.unwrap();
    assert_eq!(found.faults, [], "{context}");
    let versions = registry.versions(&name("app"), None, 100).await.unwrap();
    assert!(versions.len() as u64 >= acknowledged, "{context}: {} of {acknowledged}", versions.len());
    for entry in versions {
        let step = entry.artifact.version.major();
        let read = text(&registry, "app", Select::exact(entry.artifact.version)).await;
        assert_eq!(read, Ok(body(step)), "{context}");
        assert_eq!(entry.yanked.is_some(), step == 2 && acknowledged >= 3, "{context}");
    }
    put(&registry, "after@1.0.0", "goes on").await;
    assert_sound(&registry).await;
    registry.close().await.unwrap();
}

#[tokio::test]
async fn invariant_2_whichever_write_fails_what_was_acknowledged_is_there() {
    for appends in [true, false] {
        for failure in [Failure::Refused, Failure::Torn, Failure::Unsynced] {
            let mut failed_once = false;
            for at in 1..=STEPS + 4 {
                let folder = tempfile::tempdir().unwrap();
                let inner = LocalStorage::new(folder.path());
                let storage = Arc::new(Failing { inner, appends, at, failure, writes: AtomicU64::new(0) });
                let builder = Registry::builder(storage.clone()).catalog_in(folder.path());
                let registry = match builder.settings(small_packs()).open().await {
                    Ok(registry) => registry,
                    // The owner object is the first write.
                    Err(error) => {
                        assert_eq!((at, error.kind()), (1, ErrorKind::Unavailable), "{failure:?}: {error}");
                        check(folder.path(), 0, &format!("appends {appends}, {failure:?} at opening")).await;
                        continue;
                    }
                };
                let (acknowledged, failures) = scenario(&registry).await;
                let context = format!("appends {appends}, {failure:?} at write {at}");
                let writes = storage.writes.load(Ordering::SeqCst);
                if acknowledged < STEPS {
                    failed_once = true;
                    assert!(failures.iter().all(|kind| *kind == Some(ErrorKind::Unavailable)), "{context}");
                    assert_eq!(writes, at, "{context}: nothing is written after a failure");
                }
                let closed = registry.close().await;
                let (before, after) = (writes, storage.writes.load(Ordering::SeqCst));
                assert_eq!(closed.is_err(), at <= after, "{context}");
                assert!(acknowledged == STEPS || before == after, "{context}: closing writes nothing either");
                check(folder.path(), acknowledged, &context).await;
            }
            assert!(failed_once);
        }
    }
}

#[tokio::test]
async fn invariant_2_a_copy_of_the_folder_at_any_moment_opens_with_what_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::local(folder.path()).settings(small_packs()).open().await.unwrap();
    for step in 1..=STEPS {
        let v = mcp_core::Version::new(step, 0, 0);
        registry.publish(Draft::new(&name("app"), body(step)), &v).await.unwrap();
        if step == 3 {
            registry.yank(&name("app"), &version("2.0.0"), "r").await.unwrap();
        }
        let copy = tempfile::tempdir().unwrap();
        copy_folder(folder.path(), copy.path());
        check(copy.path(), step, &format!("after step {step}")).await;
    }
    registry.close().await.unwrap();
}

#[tokio::test]
async fn a_log_that_was_cut_anywhere_opens_with_a_beginning_of_the_history_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    for step in 1..=4_u64 {
        let v = mcp_core::Version::new(step, 0, 0);
        registry.publish(Draft::new(&name("app"), body(step)), &v).await.unwrap();
    }
    let cut = tempfile::tempdir().unwrap();
    copy_folder(folder.path(), cut.path());
    let wal = cut.path().join("catalog.db-wal");
    let whole = std::fs::read(&wal).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    let mut lost = false;
    for length in (0..=whole.len()).rev().step_by(2500) {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(cut.path(), copy.path());
        std::fs::remove_file(copy.path().join("catalog.db-shm")).unwrap();
        std::fs::write(copy.path().join("catalog.db-wal"), &whole[..length]).unwrap();
        let registry = match Registry::open(copy.path()).await {
            // Its very tables are cut away.
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                lost = true;
                continue;
            }
            opened => opened.unwrap_or_else(|error| panic!("{length}: {error}")),
        };
        assert!(!lost, "cut to {length}: a longer log was refused");
        let versions = registry.versions(&name("app"), None, 100).await.unwrap();
        let steps: Vec<u64> = versions.iter().rev().map(|entry| entry.artifact.version.major()).collect();
        assert_eq!(steps, (1..=steps.len() as u64).collect::<Vec<_>>(), "cut to {length}");
        seen.insert(steps.len());
        put(&registry, "after@1.0.0", "goes on").await;
        assert_sound(&registry).await;
        registry.close().await.unwrap();
    }
    assert_eq!((seen.into_iter().collect::<Vec<_>>(), lost), (vec![0, 1, 2, 3, 4], true));
    registry.close().await.unwrap();
}

#[tokio::test]
async fn invariant_2_streams_among_writes_that_fail_are_there_whole_or_not_at_all() {
    let large = |n: u64| crate::streams::body((4 << 20) + 1 + usize::try_from(n).unwrap());
    let mut failed_alone = 0;
    for failure in [Failure::Refused, Failure::Torn, Failure::Unsynced] {
        // The first write is that of the owner object.
        for at in 2..=7 {
            let folder = tempfile::tempdir().unwrap();
            let writes = AtomicU64::new(0);
            let inner = LocalStorage::new(folder.path());
            let storage = Arc::new(Failing { inner, appends: true, at, failure, writes });
            let registry = Registry::builder(storage).catalog_in(folder.path()).open().await.unwrap();
            let mut acknowledged = Vec::new();
            let mut failures = Vec::new();
            for n in 0..6_u64 {
                let v = mcp_core::Version::new(n, 0, 0);
                let streams = n % 2 == 1;
                let draft = if streams {
                    crate::streams::streamed("app", &large(n))
                } else {
                    Draft::new(&name("app"), body(n))
                };
                match registry.publish(draft, &v).await {
                    Ok(_) => acknowledged.push(n),
                    Err(error) => failures.push((streams, error.kind())),
                }
            }
            drop(registry.close().await);
            let context = format!("{failure:?} at write {at}: {acknowledged:?}, {failures:?}");
            if let [(true, ErrorKind::Unavailable)] = failures[..] {
                failed_alone += 1;
            }
            let registry = Registry::open(folder.path()).await.unwrap();
            let listed = registry.versions(&name("app"), None, 10).await.unwrap();
            assert!(listed.len() >= acknowledged.len(), "{context}");
            for n in acknowledged {
                assert!(listed.iter().any(|entry| entry.artifact.version.major() == n), "{context}");
            }
            for entry in listed {
                let n = entry.artifact.version.major();
                let read = registry.get(&name("app"), Select::exact(entry.artifact.version)).await.unwrap();
                let right = if n % 2 == 1 { large(n) } else { body(n).into() };
                assert!(read.bytes == right, "{context}: {n}");
            }
            assert_sound(&registry).await;
            registry.close().await.unwrap();
        }
    }
    assert!(
        failed_alone >= 3,
        "a stream that could not be stored fails its own caller alone: {failed_alone}"
    );
}
