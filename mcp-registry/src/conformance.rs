//! The checks that any [`StorageBackend`] must pass, for whoever writes one.
//!
//! What cannot be seen from outside, such as what a power loss leaves, is for the backend's own tests.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures::future::{join_all, select};
use futures::stream::{self, StreamExt as _};
use mcp_core::ErrorKind;

use crate::error::with_causes;
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
    many(storage).await?;
    replacing(storage).await?;
    giving_up(storage).await?;
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
    // Nothing is left over for a last part.
    let even = key("conformance/even-stream")?;
    let parts = vec![Bytes::from(vec![7; 1 << 20]); 16];
    let length = storage.put_stream(&even, stream::iter(parts.into_iter().map(Ok)).boxed()).await;
    same("the length of a stream of 16 MiB", length.map_err(failed("put a stream"))?, 16 << 20)?;
    let tail = storage.read(&even, (16 << 20) - 3..16 << 20).await.map_err(failed("read its end"))?;
    same("the end of a stream", &tail[..], &[7; 3][..])?;
    storage.delete(&even).await.map_err(failed("delete an object"))?;
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
    let again = storage.put(&key, read, PutWhen::Absent).await;
    kind("putting the very bytes that are there to a key that is taken", again, ErrorKind::Conflict)?;
    storage.delete(&key).await.map_err(failed("delete an object"))?;
    let after = storage.put(&key, Bytes::from_static(b"after"), PutWhen::Absent).await;
    after.map_err(failed("put to a key whose object was deleted"))?;
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

/// More objects than one answer of any known server lists, and the longest of keys.
async fn many(storage: &dyn StorageBackend) -> Result<(), Violation> {
    let mut texts: Vec<String> = (0..1100).map(|n| format!("conformance/many/{n:04}")).collect();
    // 17 bytes and 61 times 8 bytes, and 7 more.
    texts.push(format!("conformance/many/{}0.a_z-9", "0.a_z-9/".repeat(61)));
    texts.sort();
    let keys = texts.iter().map(|text| key(text)).collect::<Result<Vec<_>, _>>()?;
    let puts = keys.iter().map(|key| storage.put(key, Bytes::from(key.to_string()), PutWhen::Absent));
    for put in stream::iter(puts).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await {
        put.map_err(failed("put one of many objects"))?;
    }
    let found = storage.list("conformance/many/").await.map_err(failed("list many objects"))?;
    same("how many of 1,101 objects are listed", found.len(), keys.len())?;
    let sorted = found.iter().map(|stat| &stat.key).eq(&keys);
    same("whether many objects are listed in the order of their keys", sorted, true)?;
    let deletes = keys.iter().map(|key| storage.delete(key));
    for delete in stream::iter(deletes).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await {
        delete.map_err(failed("delete one of many objects"))?;
    }
    let left = storage.list("conformance/many/").await.map_err(failed("list objects"))?;
    same("how many objects are listed after all were deleted", left.len(), 0)
}

const AT_ONCE: usize = 16;

/// Who reads while an object is replaced gets one of both whole.
async fn replacing(storage: &dyn StorageBackend) -> Result<(), Violation> {
    let key = key("conformance/replaced")?;
    let contents = [Bytes::from(vec![1; 300_000]), Bytes::from(vec![2; 300_000])];
    let [first, _] = &contents;
    storage.put(&key, first.clone(), PutWhen::Always).await.map_err(failed("put an object"))?;
    let writes = async {
        for bytes in contents.iter().cycle().take(10) {
            storage.put(&key, bytes.clone(), PutWhen::Always).await.map_err(failed("replace an object"))?;
        }
        Ok(())
    };
    let reads = async {
        for _ in 0..20 {
            let read = storage.read(&key, 0..300_000).await.map_err(failed("read a replaced object"))?;
            same("whether a replaced object is read whole", contents.contains(&read), true)?;
        }
        Ok(())
    };
    futures::future::try_join(writes, reads).await?;
    storage.delete(&key).await.map_err(failed("delete an object"))
}

/// A put that is dropped has happened whole or not at all.
async fn giving_up(storage: &dyn StorageBackend) -> Result<(), Violation> {
    let bytes = Bytes::from(vec![9; 6 << 20]);
    for polls in [1_u32, 2, 5, 20, 100] {
        let (put, streamed) =
            (key(&format!("conformance/dropped/{polls}"))?, key(&format!("conformance/torn/{polls}"))?);
        drop(select(storage.put(&put, bytes.clone(), PutWhen::Absent), pin!(polled(polls))).await);
        let parts = [Ok(bytes.clone()), Ok(bytes.clone())];
        drop(select(storage.put_stream(&streamed, stream::iter(parts).boxed()), pin!(polled(polls))).await);
        for (key, size) in [(&put, bytes.len()), (&streamed, bytes.len().saturating_mul(2))] {
            let size = size as u64;
            let found = storage.stat(key).await.map_err(failed("look at what was dropped"))?;
            if let Some(found) = found {
                same("the size of an object whose put was dropped", found.bytes, size)?;
                let read = storage.read(key, 0..size).await.map_err(failed("read what was dropped"))?;
                same("whether it is whole", read.iter().all(|byte| *byte == 9), true)?;
            }
            storage.delete(key).await.map_err(failed("delete what was dropped"))?;
        }
    }
    Ok(())
}

/// Is ready when it was polled so many times, and wants to be each time.
async fn polled(mut times: u32) {
    poll_fn(|context| {
        times = times.saturating_sub(1);
        if times == 0 {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
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
    move |error| Violation(format!("{what}: {}", with_causes(&error)))
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
            let told = with_causes(&error);
            Err(Violation(format!("{what}: failed as {}, expected {expected}: {told}", error.kind())))
        }
        Ok(value) => Err(Violation(format!("{what}: gave {value:?}, expected {expected}"))),
    }
}
