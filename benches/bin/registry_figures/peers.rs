//! Bare peers: what else keeps artifacts in a folder.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use mcp_benches::file_per_artifact;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStoreExt as _, PutPayload};

use super::world::{noise, runtime};

/// How many write at the same time: with fewer, a peer waits for the disk.
pub(crate) const WRITERS: u64 = 16;

/// Runs `work` for the numbers below `count` on so many threads; how many a second.
fn rate(count: u64, threads: u64, work: impl Fn(u64) + Sync) -> f64 {
    let next = AtomicU64::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    work(number);
                }
            });
        }
    });
    count as f64 / start.elapsed().as_secs_f64()
}

/// One file for each artifact, fsync and rename.
pub(crate) fn files(folder: &Path, count: u64) -> f64 {
    rate(count, WRITERS, |number| {
        file_per_artifact(folder, &format!("artifact-{number}"), &noise(number, 1024)).expect("written");
    })
}

/// `cacache`, which syncs nothing.
pub(crate) fn cacache_put(folder: &Path, count: u64, writers: u64) -> f64 {
    rate(count, writers, |number| {
        cacache::write_sync(folder, format!("artifact-{number}"), noise(number, 1024)).expect("written");
    })
}

/// `cacache`, which compares what it reads with its hash.
pub(crate) fn cacache_get(folder: &Path, stored: u64, count: u64) -> f64 {
    rate(count, 2, |number| {
        let key = format!("artifact-{}", number.wrapping_mul(7919) % stored);
        assert_eq!(cacache::read_sync(folder, key).expect("read").len(), 1024);
    })
}

/// `object_store::LocalFileSystem`, and the file and its folder synced.
pub(crate) fn object_store(folder: &Path, count: u64) -> f64 {
    let store = LocalFileSystem::new_with_prefix(folder).expect("a store");
    let runtime = runtime();
    rate(count, WRITERS, |number| {
        let name = format!("artifact-{number}");
        let payload = PutPayload::from(noise(number, 1024));
        runtime.block_on(store.put(&name.as_str().into(), payload)).expect("written");
        File::open(folder.join(name)).and_then(|file| file.sync_all()).expect("synced");
        File::open(folder).and_then(|folder| folder.sync_all()).expect("synced");
    })
}
