//! The checks that any [`StorageBackend`] must pass, for whoever writes one.
//!
//! What cannot be seen from outside, such as what a power loss leaves, is for the backend's own tests.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use mcp_core::ErrorKind;

use crate::{Key, PutWhen, StorageBackend, StorageError};

/// The first thing that a backend did otherwise than [`StorageBackend`] demands.
#[derive(Debug)]
pub struct Violation(String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

/// Runs every check against a backend that has no objects yet.
///
/// # Errors
/// The first violation.
pub async fn check(storage: &Arc<dyn StorageBackend>) -> Result<(), Violation> {
    let storage = &**storage;
    put_and_read(storage).await?;
    streams(storage).await?;
    absence(storage).await?;
    conditions(storage).await?;
    listing(storage).await?;
    match storage.append() {
        Some(_) => growing(storage).await,
        None => Ok(()),
    }
}

async fn put_and_read(storage: &dyn StorageBackend) -> Result<(), Violation> {
    let key = key("conformance/read")?;
    storage
        .put(&key, Bytes::from_static(b"0123456789"), PutWhen::Always)
        .await
        .map_err(failed("put an object"))?;
    for (from, to) in [(0_u64, 10_u64), (0, 0), (10, 10), (3, 7), (9, 10)] {
        let read = storage.read(&key, from..to).await.map_err(failed("read a range"))?;
        let expected: Vec<u8> =
            (from..to).filter_map(|digit| u8::try_from(digit).ok()).map(|digit| b'0' + digit).collect();
        same("the bytes of a range", &read[..], &expected[..])?;
    }
    for range in [0..11, 10..11, 11..11, u64::MAX - 1..u64::MAX, 0..u64::MAX, 0..1 << 40] {
        let what = format!("reading {range:?} of 10 bytes");
        kind(&what, storage.read(&key, range).await, ErrorKind::Invalid)?;
    }
    // Long enough to take any path that is meant for large objects.
    let large: Bytes = (0..3_000_000_u32).flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>().into();
    storage.put(&key, large.clone(), PutWhen::Always).await.map_err(failed("replace an object"))?;
    let size = large.len() as u64;
    let read = storage.read(&key, 0..size).await.map_err(failed("read a large object"))?;
    same("whether a large object is read as it was put", read == large, true)?;
    let stat = storage.stat(&key).await.map_err(failed("look at an object"))?;
    same("the size of an object", stat.map(|stat| stat.bytes), Some(size))?;
    let empty = self::key("conformance/empty")?;
    storage.put(&empty, Bytes::new(), PutWhen::Always).await.map_err(failed("put an empty object"))?;
    let read = storage.read(&empty, 0..0).await.map_err(failed("read an empty object"))?;
    same("the bytes of an empty object", read.len(), 0)?;
    for key in [key, empty] {
        storage.delete(&key).await.map_err(failed("delete an object"))?;
        kind("reading a deleted object", storage.read(&key, 0..0).await, ErrorKind::NotFound)?;
    }
    Ok(())
}

async fn streams(storage: &dyn StorageBackend) -> Result<(), Violation> {
    // Parts of uneven sizes, some empty, together more than one part of a multipart upload takes.
    let part =
        |n: usize| Bytes::from(vec![u8::try_from(n % 251).unwrap_or(0); n.saturating_mul(7919) % 400_000]);
    let parts: Vec<Bytes> = (0..100).map(part).collect();
    let whole = parts.concat();
    let put = key("conformance/stream")?;
    let stream = stream::iter(parts.into_iter().map(Ok)).boxed();
    let length = storage.put_stream(&put, stream).await.map_err(failed("put a stream"))?;
    same("the length of a stream", length, whole.len() as u64)?;
    let read = storage.read(&put, 0..length).await.map_err(failed("read what was streamed"))?;
    same("whether a stream is read as it was put", read[..] == whole[..], true)?;
    storage.delete(&put).await.map_err(failed("delete an object"))?;
    let empty = key("conformance/empty-stream")?;
    let length = storage.put_stream(&empty, stream::iter([]).boxed()).await;
    same("the length of an empty stream", length.map_err(failed("put an empty stream"))?, 0)?;
    let stat = storage.stat(&empty).await.map_err(failed("look at an object"))?;
    same("the size of an empty stream's object", stat.map(|stat| stat.bytes), Some(0))?;
    storage.delete(&empty).await.map_err(failed("delete an object"))?;
    let broken = key("conformance/broken-stream")?;
    let torn = StorageError::new(ErrorKind::Cancelled, "its source ended early");
    let parts = [Ok(Bytes::from(vec![1; 6 << 20])), Err(torn)];
    let outcome = storage.put_stream(&broken, stream::iter(parts).boxed()).await;
    kind("putting a stream that ends in an error", outcome, ErrorKind::Cancelled)?;
    same("what is left of it", storage.stat(&broken).await.map_err(failed("look at nothing"))?, None)?;
    let left = storage.list("conformance/broken").await.map_err(failed("list objects"))?;
    same("what is listed of it", left.len(), 0)
}

async fn absence(storage: &dyn StorageBackend) -> Result<(), Violation> {
    let key = key("conformance/absent")?;
    kind("reading what is not there", storage.read(&key, 0..1).await, ErrorKind::NotFound)?;
    same("what is not there", storage.stat(&key).await.map_err(failed("look at nothing"))?, None)?;
    storage.delete(&key).await.map_err(failed("delete what is not there"))
}

async fn conditions(storage: &dyn StorageBackend) -> Result<(), Violation> {
    let key = key("conformance/once")?;
    let contents: Vec<Bytes> = (0_u8..16).map(|n| Bytes::from(vec![n; 100])).collect();
    let puts = contents.iter().map(|bytes| storage.put(&key, bytes.clone(), PutWhen::Absent));
    let outcomes = join_all(puts).await;
    let winners: Vec<&Bytes> = outcomes
        .iter()
        .zip(&contents)
        .filter(|(outcome, _)| outcome.is_ok())
        .map(|(_, bytes)| bytes)
        .collect();
    same("how many of 16 puts to an absent key succeed", winners.len(), 1)?;
    let read = storage.read(&key, 0..100).await.map_err(failed("read what was put once"))?;
    same("whether the winner's bytes are there", winners.contains(&&read), true)?;
    for outcome in outcomes.into_iter().filter(Result::is_err) {
        kind("putting to a key that is taken", outcome, ErrorKind::Conflict)?;
    }
    storage.delete(&key).await.map_err(failed("delete an object"))
}

async fn listing(storage: &dyn StorageBackend) -> Result<(), Violation> {
    let texts = ["conformance/list/a", "conformance/list/b/c", "conformance/list/b.d", "conformance/listed"];
    for text in texts {
        let bytes = Bytes::from(text);
        storage.put(&key(text)?, bytes, PutWhen::Always).await.map_err(failed("put an object"))?;
    }
    let cases: [(&str, &[&str]); 4] = [
        (
            "conformance/list",
            &["conformance/list/a", "conformance/list/b.d", "conformance/list/b/c", "conformance/listed"],
        ),
        ("conformance/list/", &["conformance/list/a", "conformance/list/b.d", "conformance/list/b/c"]),
        ("conformance/list/b/", &["conformance/list/b/c"]),
        ("conformance/none", &[]),
    ];
    for (prefix, expected) in cases {
        let found = storage.list(prefix).await.map_err(failed("list objects"))?;
        let keys: Vec<&str> = found.iter().map(|stat| stat.key.as_str()).collect();
        same(&format!("the keys that begin with {prefix}, sorted"), &keys[..], expected)?;
        let sizes = found.iter().all(|stat| stat.bytes == stat.key.as_str().len() as u64);
        same("whether listed sizes are right", sizes, true)?;
    }
    for text in texts {
        storage.delete(&key(text)?).await.map_err(failed("delete an object"))?;
    }
    Ok(())
}

async fn growing(storage: &dyn StorageBackend) -> Result<(), Violation> {
    let Some(append) = storage.append() else { return Ok(()) };
    let key = key("conformance/grow")?;
    for (offset, bytes) in [(0_u64, "abc"), (3, "d"), (4, ""), (4, "ef")] {
        append.grow(&key, offset, Bytes::from(bytes)).map_err(failed("append"))?;
    }
    let read = storage.read(&key, 0..6).await.map_err(failed("read what has grown"))?;
    same("the bytes of what has grown", &read[..], b"abcdef")?;
    for offset in [0_u64, 5, 7] {
        let outcome = append.grow(&key, offset, Bytes::from_static(b"x"));
        kind(&format!("appending at {offset} to 6 bytes"), outcome, ErrorKind::Conflict)?;
    }
    append.grow(&key, 6, Bytes::from_static(b"g")).map_err(failed("append after a refusal"))?;
    let read = storage.read(&key, 0..7).await.map_err(failed("read what has grown"))?;
    same("the bytes after refused appends", &read[..], b"abcdefg")?;
    storage.delete(&key).await.map_err(failed("delete what has grown"))?;
    kind("appending to what is not there", append.grow(&key, 7, Bytes::new()), ErrorKind::NotFound)
}

fn key(text: &str) -> Result<Key, Violation> {
    text.parse().map_err(failed("read a key"))
}

fn failed(what: &'static str) -> impl Fn(StorageError) -> Violation {
    move |error| Violation(format!("{what}: {error}"))
}

fn same<T: PartialEq + fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), Violation> {
    if found == expected {
        return Ok(());
    }
    Err(Violation(format!("{what}: found {found:?}, expected {expected:?}")))
}

fn kind<T: fmt::Debug>(
    what: &str,
    outcome: Result<T, StorageError>,
    expected: ErrorKind,
) -> Result<(), Violation> {
    match outcome {
        Err(error) if error.kind() == expected => Ok(()),
        Err(error) => {
            Err(Violation(format!("{what}: failed as {}, expected {expected}: {error}", error.kind())))
        }
        Ok(value) => Err(Violation(format!("{what}: gave {value:?}, expected {expected}"))),
    }
}
