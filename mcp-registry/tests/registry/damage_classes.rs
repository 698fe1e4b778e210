//! Damage by class of byte: packs of chunks, packs that still grow, packs that change places, columns of rows, the database's own bytes and
//! its log. Reads give the right bytes or an error, `verify` finds what is wrong, and the rest stays readable.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt as _;
use mcp_core::ErrorKind;
use mcp_registry::{
    Append, ByteStream, Key, LocalStorage, PutWhen, Registry, RegistryError, Select, Stat, StorageBackend,
    StorageError,
};

use crate::opening::copy_folder;
use crate::streams::streamed;
use crate::{kind, name, put, text, version};

/// Text that compresses well, in five chunks.
fn large() -> Bytes {
    let mut bytes = Vec::new();
    while bytes.len() <= 4 << 20 {
        bytes.extend_from_slice(format!("{{\"line\":{}}}\n", bytes.len()).repeat(40).as_bytes());
    }
    bytes.into()
}

const LARGE_PACK: &str = "packs/0000000001-0000000001";

/// A closed registry: one large blob in a pack of its own, and a small one in another.
async fn sample(folder: &Path) -> PathBuf {
    let registry = Registry::open(folder).await.unwrap();
    registry.publish(streamed("large", &large()), &version("1.0.0")).await.unwrap();
    put(&registry, "small@1.0.0", "small").await;
    registry.close().await.unwrap();
    folder.join(LARGE_PACK)
}

/// Reads the large blob in all ways. Gives whether any of them found damage.
async fn read_large(registry: &Registry, right: &Bytes, context: &str) -> bool {
    let of = name("large");
    let mut damaged = false;
    let mut check = |read: Result<Bytes, RegistryError>, right: &[u8]| match read {
        Ok(bytes) => assert!(bytes == right, "invariant 1, {context}"),
        Err(RegistryError::Corrupt { what, place, .. }) => {
            assert_eq!(what, "large@1.0.0", "{context}");
            assert!(place.starts_with("packs/") && place.contains(" offset "), "{context}: {place}");
            damaged = true;
        }
        Err(other) => panic!("{context}: {other:?}"),
    };
    check(registry.get(&of, Select::latest()).await.map(|content| content.bytes), right);
    let range = registry.get_range(&of, Select::latest(), 3_000_000..3_000_100).await;
    check(range.map(|content| content.bytes), &right[3_000_000..3_000_100]);
    let stream = match registry.get_stream(&of, Select::latest()).await {
        Ok(stream) => {
            let mut given = 0;
            let checked = stream.try_for_each(|part| {
                let expected = &right[given..given + part.len()];
                assert!(part == expected, "invariant 1, {context}");
                given += part.len();
                std::future::ready(Ok(()))
            });
            checked.await.map(|()| right.clone())
        }
        Err(error) => Err(error),
    };
    check(stream, right);
    damaged
}

#[tokio::test]
async fn every_class_of_byte_of_a_pack_of_chunks_may_flip_and_verify_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let pack = sample(folder.path()).await;
    let (good, right) = (fs::read(&pack).unwrap(), large());
    let registry = Registry::open_read_only(folder.path()).await.unwrap();
    // Behind the chunks: five entries of the table, the tail, one entry of the footer, the trailer.
    let behind = good.len() - 5 * 36 - 80 - 48 - 48;
    let (header, head) = (0..32, 32..56);
    let classes = [
        ("header", header.step_by(5), false),
        ("head", head.step_by(3), true),
        ("chunks", (56..behind).step_by((behind - 56) / 40), true),
        ("table", (behind..behind + 180).step_by(11), true),
        ("tail", (behind + 180..behind + 260).step_by(7), true),
        ("footer", (behind + 260..behind + 308).step_by(7), false),
        ("trailer", (behind + 308..good.len()).step_by(5), false),
    ];
    for (class, places, needed) in classes {
        for at in places {
            let context = format!("byte {at}, {class}");
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(&pack, &bad).unwrap();
            let damaged = read_large(&registry, &right, &context).await;
            // Some bits of a zstd frame mean nothing; all that verify asks is that nothing is wrong then.
            assert!(damaged == needed || class == "chunks", "{context}");
            assert_eq!(text(&registry, "small", Select::latest()).await, Ok("small".to_owned()), "{context}");
            let faults = registry.verify().await.unwrap().faults;
            assert!(!faults.is_empty() || (class == "chunks" && !damaged), "{context}");
            assert!(faults.iter().all(|fault| fault.place.starts_with(LARGE_PACK)), "{context}: {faults:?}");
        }
    }
    for length in [
        0,
        1,
        31,
        32,
        40,
        56,
        100,
        behind / 2,
        behind,
        behind + 36,
        behind + 200,
        behind + 290,
        good.len() - 1,
    ] {
        let context = format!("cut to {length}");
        fs::write(&pack, &good[..length]).unwrap();
        let damaged = read_large(&registry, &right, &context).await;
        assert_eq!(damaged, length < behind + 260, "{context}: all but the footer is needed");
        assert_eq!(text(&registry, "small", Select::latest()).await, Ok("small".to_owned()), "{context}");
        assert_ne!(registry.verify().await.unwrap().faults, [], "{context}");
    }
    fs::write(&pack, &good).unwrap();
    assert!(!read_large(&registry, &right, "whole again").await);
    fs::remove_file(&pack).unwrap();
    let registry = Registry::open_read_only(folder.path()).await.unwrap();
    assert!(read_large(&registry, &right, "removed").await);
    assert_ne!(registry.verify().await.unwrap().faults, []);
}

/// Takes note of the longest read.
struct Longest {
    inner: LocalStorage,
    bytes: AtomicU64,
}

#[async_trait]
impl StorageBackend for Longest {
    async fn put(&self, key: &Key, bytes: Bytes, when: PutWhen) -> Result<(), StorageError> {
        self.inner.put(key, bytes, when).await
    }

    async fn put_stream(&self, key: &Key, stream: ByteStream) -> Result<u64, StorageError> {
        self.inner.put_stream(key, stream).await
    }

    async fn read(&self, key: &Key, range: std::ops::Range<u64>) -> Result<Bytes, StorageError> {
        self.bytes.fetch_max(range.end.saturating_sub(range.start), Ordering::SeqCst);
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
        None
    }
}

/// Verifies `folder`. Gives the places of the faults in packs, and the length of the longest read.
async fn verified(folder: &Path) -> (Vec<String>, u64) {
    let storage = Arc::new(Longest { inner: LocalStorage::new(folder), bytes: AtomicU64::new(0) });
    let lent: Arc<dyn StorageBackend> = storage.clone();
    let registry = Registry::builder(lent).catalog_in(folder).open_read_only().await.unwrap();
    let faults = registry.verify().await.unwrap().faults;
    assert_ne!(faults, []);
    let places = faults.into_iter().map(|fault| fault.place).filter(|place| place.starts_with("packs/"));
    (places.collect(), storage.bytes.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_large_blob_whose_row_is_damaged_is_verified_chunk_by_chunk() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    // Noise: six chunks of 1 MiB each.
    let noise: Vec<u8> =
        (0..6_u64 << 15).flat_map(|at| *mcp_core::Digest::of(&at.to_le_bytes()).as_bytes()).collect();
    registry.publish(streamed("large", &noise.into()), &version("1.0.0")).await.unwrap();
    registry.close().await.unwrap();
    let catalog = rusqlite::Connection::open(folder.path().join("catalog.db")).unwrap();
    assert_eq!(catalog.execute("UPDATE row SET body = 'x' WHERE seq = 1", []).unwrap(), 1);
    drop(catalog);
    assert_eq!(verified(folder.path()).await, (Vec::new(), 1 << 20));
    // What is wrong in it is found all the same.
    let pack = folder.path().join(LARGE_PACK);
    let good = fs::read(&pack).unwrap();
    for (at, place) in [(56, 56), ((5 << 20) + 100, 56 + (5 << 20))] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&pack, bad).unwrap();
        assert_eq!(verified(folder.path()).await, (vec![format!("{LARGE_PACK} offset {place}")], 1 << 20));
    }
    // A long record that is not one of chunks is a fault, and is not read.
    let mut bad = good.clone();
    bad[32] ^= 1;
    fs::write(&pack, bad).unwrap();
    let (places, longest) = verified(folder.path()).await;
    assert_eq!(places, [format!("{LARGE_PACK} offset 32")]);
    assert!(longest <= 1 << 20, "{longest}");
}

#[tokio::test]
async fn every_byte_of_a_pack_that_still_grows_may_flip_and_verify_finds_it() {
    let live = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(live.path()).await.unwrap();
    let bodies = [("one", "first".to_owned()), ("two", "compressible ".repeat(400))];
    for (of, body) in &bodies {
        put(&registry, &format!("{of}@1.0.0"), body).await;
    }
    copy_folder(live.path(), folder.path());
    registry.close().await.unwrap();
    let pack = folder.path().join(LARGE_PACK);
    let good = fs::read(&pack).unwrap();
    let registry = Registry::open_read_only(folder.path()).await.unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&pack, &bad).unwrap();
        let mut corrupt = 0;
        for (of, body) in &bodies {
            match text(&registry, of, Select::latest()).await {
                Ok(read) => assert_eq!(&read, body, "invariant 1, byte {at}"),
                Err(kind) => {
                    assert_eq!(kind, ErrorKind::Corrupt, "byte {at}");
                    corrupt += 1;
                }
            }
        }
        assert!(corrupt <= 1, "byte {at}: the rest stays readable");
        assert_ne!(registry.verify().await.unwrap().faults, [], "byte {at} of {}", good.len());
    }
    // What stands behind the last record was never acknowledged, and means nothing.
    fs::write(&pack, [&good[..], b"torn"].concat()).unwrap();
    assert_eq!(registry.verify().await.unwrap().faults, []);
}

#[tokio::test]
async fn packs_and_chunks_that_change_places_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let pack = sample(folder.path()).await;
    let other = folder.path().join("packs/0000000001-0000000002");
    let right = large();
    let swapped = tempfile::tempdir().unwrap();
    copy_folder(folder.path(), swapped.path());
    fs::copy(&pack, swapped.path().join("packs/0000000001-0000000002")).unwrap();
    fs::copy(&other, swapped.path().join(LARGE_PACK)).unwrap();
    let registry = Registry::open_read_only(swapped.path()).await.unwrap();
    assert!(read_large(&registry, &right, "packs swapped").await);
    assert_eq!(text(&registry, "small", Select::latest()).await, Err(ErrorKind::Corrupt));
    assert_ne!(registry.verify().await.unwrap().faults, []);
    // Two stretches of the chunks change places.
    let mut bad = fs::read(&pack).unwrap();
    let half = bad.len() / 2;
    let (first, second) = bad.split_at_mut(half);
    first[100..5000].swap_with_slice(&mut second[100..5000]);
    fs::write(&pack, bad).unwrap();
    let registry = Registry::open_read_only(folder.path()).await.unwrap();
    assert!(read_large(&registry, &right, "chunks swapped").await);
    assert_ne!(registry.verify().await.unwrap().faults, []);
}

#[tokio::test]
async fn every_column_of_a_row_counts_and_the_other_rows_stay_readable() {
    let made = tempfile::tempdir().unwrap();
    let registry = Registry::open(made.path()).await.unwrap();
    for n in 1..=3 {
        put(&registry, &format!("app@{n}.0.0"), &format!("body {n}")).await;
        put(&registry, &format!("other-{n}@1.0.0"), &format!("other {n}")).await;
    }
    registry.close().await.unwrap();
    // Row 3 is app@2.0.0.
    let values = ["NULL", "-1", "7", "9223372036854775807", "'x'", "''", "zeroblob(32)", "zeroblob(3)"];
    let columns = [
        "seq",
        "chain",
        "kind",
        "at",
        "actor",
        "request",
        "name",
        "version",
        "digest",
        "sha256",
        "size",
        "media_type",
        "body",
        "pack_epoch",
        "pack_number",
        "pack_offset",
        "record_bytes",
    ];
    let mut changed = 0;
    for column in columns {
        for value in values {
            let copy = tempfile::tempdir().unwrap();
            copy_folder(made.path(), copy.path());
            let sql = format!("UPDATE row SET {column} = {value} WHERE seq = 3");
            let catalog = rusqlite::Connection::open(copy.path().join("catalog.db")).unwrap();
            // What the table's types refuse cannot be there; and some columns are NULL already.
            let same: bool = catalog
                .query_row(&format!("SELECT {column} IS {value} FROM row WHERE seq = 3"), [], |row| {
                    row.get(0)
                })
                .unwrap();
            if same || catalog.execute(&sql, []).is_err() {
                continue;
            }
            drop(catalog);
            changed += 1;
            let registry = Registry::open_read_only(copy.path()).await.unwrap();
            for n in [1, 3] {
                let read = text(&registry, "app", Select::exact(mcp_core::Version::new(n, 0, 0))).await;
                assert_eq!(read, Ok(format!("body {n}")), "{sql}");
            }
            if let Ok(read) = text(&registry, "app", Select::exact("2.0.0")).await {
                assert_eq!(read, "body 2", "invariant 1, {sql}");
            }
            let versions = registry.versions(&name("app"), None, 10).await.unwrap();
            let listed: Vec<String> =
                versions.iter().map(|entry| entry.artifact.version.to_string()).collect();
            assert!(
                listed.contains(&"1.0.0".to_owned()) && listed.contains(&"3.0.0".to_owned()),
                "{sql}: {listed:?}"
            );
            assert_eq!(registry.names("", None, 10).await.unwrap().len(), 4, "{sql}");
            let found = registry.search("other").await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            let others = found.hits.iter().filter(|hit| hit.name.as_str().starts_with("other-"));
            assert_eq!(others.count(), 3, "{sql}");
            let found = registry.verify().await.unwrap();
            assert_ne!(found.faults, [], "{sql}");
        }
    }
    assert!(changed > 50, "{changed}");
}

#[tokio::test]
async fn the_databases_own_bytes_and_those_of_its_log_may_flip_and_nothing_wrong_is_read() {
    let live = tempfile::tempdir().unwrap();
    let (closed, open) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let registry = Registry::open(live.path()).await.unwrap();
    for n in 1..=3 {
        put(&registry, &format!("app@{n}.0.0"), &format!("body {n}")).await;
    }
    copy_folder(live.path(), open.path());
    registry.close().await.unwrap();
    copy_folder(live.path(), closed.path());
    let file_header = 0..100_usize;
    for (folder, file, rest) in [(closed.path(), "catalog.db", 397), (open.path(), "catalog.db-wal", 1_009)] {
        let good = fs::read(folder.join(file)).unwrap();
        let (mut opened, mut refused) = (0, 0);
        for at in file_header.clone().step_by(3).chain((100..good.len()).step_by(rest)) {
            let copy = tempfile::tempdir().unwrap();
            copy_folder(folder, copy.path());
            let mut bad = good.clone();
            bad[at] ^= 0x41;
            fs::write(copy.path().join(file), bad).unwrap();
            let registry = match Registry::open_read_only(copy.path()).await {
                Ok(registry) => registry,
                Err(error) => {
                    assert_ne!(error.kind(), ErrorKind::Internal, "{file} byte {at}: {error}");
                    refused += 1;
                    continue;
                }
            };
            opened += 1;
            for n in 1..=3 {
                let select = Select::exact(mcp_core::Version::new(n, 0, 0));
                if let Ok(content) = registry.get(&name("app"), select).await {
                    // A damaged index may lead to another row: the answer then says which.
                    let said = content.entry.artifact.version.major();
                    assert_eq!(content.bytes, format!("body {said}"), "invariant 1, {file} byte {at}");
                }
            }
            // Neither panics nor hangs.
            drop(registry.verify().await);
            drop(registry.versions(&name("app"), None, 10).await);
        }
        assert!(opened > 10 && opened + refused > 50, "{file}: {opened} opened, {refused} refused");
    }
}

#[tokio::test]
async fn a_catalog_that_is_cut_or_replaced_by_another_is_told() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (folder, body) in [(&one, "one"), (&two, "two")] {
        let registry = Registry::open(folder.path()).await.unwrap();
        put(&registry, "app@1.0.0", body).await;
        registry.close().await.unwrap();
    }
    let good = fs::read(one.path().join("catalog.db")).unwrap();
    fs::copy(two.path().join("catalog.db"), one.path().join("catalog.db")).unwrap();
    let registry = Registry::open_read_only(one.path()).await.unwrap();
    assert_eq!(text(&registry, "app", Select::latest()).await, Err(ErrorKind::Corrupt));
    assert_ne!(registry.verify().await.unwrap().faults, []);
    for length in [1, 50, 100, 4096, good.len() / 2, good.len() - 1] {
        fs::write(one.path().join("catalog.db"), &good[..length]).unwrap();
        let Ok(registry) = Registry::open_read_only(one.path()).await else { continue };
        let read = registry.get(&name("app"), Select::latest()).await;
        match read {
            Ok(content) => assert_eq!(content.bytes, "one", "cut to {length}"),
            Err(_) => assert_ne!(kind(read), Some(ErrorKind::Internal), "cut to {length}"),
        }
        let found = registry.verify().await;
        assert!(!found.is_ok_and(|found| found.faults.is_empty()), "cut to {length}");
    }
}
