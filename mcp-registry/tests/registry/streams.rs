//! Artifacts that are published and read as streams, from files and in ranges.

use std::future::Future as _;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use mcp_core::{Candidate, Digest, ErrorKind, Inspect, SeamError, Verdict};
use mcp_registry::{
    Append, Bump, ByteStream, ContentStream, Draft, Key, LocalStorage, MemoryStorage, PutWhen, Registry,
    RegistryError, Select, Settings, Stat, StorageBackend, StorageError,
};

use crate::{assert_sound, in_memory, kind, name, put, text, version};

const MIB: usize = 1 << 20;

/// Deterministic bytes: text in every other MiB, noise in the others. A shorter one is the beginning of a longer one.
pub(crate) fn body(size: usize) -> Bytes {
    static LONGEST: OnceLock<Bytes> = OnceLock::new();
    let longest = LONGEST.get_or_init(|| {
        let mut bytes = Vec::with_capacity(10 * MIB);
        while bytes.len() < 10 * MIB {
            let at = bytes.len() as u64;
            if (bytes.len() / MIB).is_multiple_of(2) {
                bytes.extend_from_slice(format!("line {at:>12}\n").repeat(8).as_bytes());
            } else {
                bytes.extend_from_slice(Digest::of(&at.to_le_bytes()).as_bytes());
            }
        }
        bytes.into()
    });
    longest.slice(..size)
}

/// `bytes` in parts of uneven sizes, some of them empty.
pub(crate) fn parts(
    bytes: &Bytes,
) -> impl stream::Stream<Item = Result<Bytes, StorageError>> + Send + 'static {
    let mut rest = bytes.clone();
    let mut count = 0_usize;
    stream::iter(std::iter::from_fn(move || {
        count += 1;
        (!rest.is_empty()).then(|| Ok(rest.split_to(rest.len().min(count * 7919 % 2_500_000))))
    }))
}

pub(crate) fn streamed(of: &str, bytes: &Bytes) -> Draft {
    Draft::stream(&name(of), parts(bytes))
}

async fn gathered(stream: ContentStream) -> Result<Vec<u8>, RegistryError> {
    stream
        .try_fold(Vec::new(), |mut all, part| async move {
            all.extend_from_slice(&part);
            Ok(all)
        })
        .await
}

/// The keys of all packs.
async fn packs(storage: &dyn StorageBackend) -> Vec<String> {
    storage.list("packs/").await.unwrap().iter().map(|stat| stat.key.to_string()).collect()
}

const LARGE: usize = 9 * MIB + 12_345;

#[tokio::test]
async fn what_was_streamed_is_read_whole_as_a_stream_in_ranges_and_as_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let memory: Arc<dyn StorageBackend> = Arc::new(MemoryStorage::new());
    for registry in
        [Registry::open(folder.path()).await.unwrap(), Registry::builder(memory).open().await.unwrap()]
    {
        for size in [0, 1, 100_000, 4 * MIB, 4 * MIB + 1, 8 * MIB, LARGE] {
            let (bytes, of) = (body(size), format!("size-{size}"));
            let of = name(&of);
            let published = registry.publish_next(streamed(of.as_str(), &bytes), Bump::Minor).await.unwrap();
            assert_eq!((published.digest, published.created), (Digest::of(&bytes), true), "{size}");
            let content = registry.get(&of, Select::latest()).await.unwrap();
            assert!(content.bytes == bytes, "{size}");
            assert_eq!(content.entry.size, size as u64);
            let direct = Draft::new(&name("direct"), bytes.clone());
            let direct = registry.publish_next(direct, Bump::Minor).await.unwrap().artifact.version;
            let direct = registry.resolve(&name("direct"), Select::exact(direct)).await.unwrap();
            assert_eq!(direct.sha256, content.entry.sha256, "{size}");
            let stream = registry.get_stream(&of, Select::latest()).await.unwrap();
            assert_eq!(stream.entry, content.entry);
            assert!(gathered(stream).await.unwrap() == bytes, "{size}");
            let end = size as u64;
            let mib = MIB as u64;
            for (from, to) in [
                (0, end),
                (0, 0),
                (end, end),
                (end / 3, end / 2),
                (mib - 1, mib + 1),
                (mib, 3 * mib),
                (end.saturating_sub(5), end),
            ] {
                let read = registry.get_range(&of, Select::latest(), from..to).await;
                if to > end {
                    assert_eq!(kind(read), Some(ErrorKind::Invalid));
                } else {
                    let expected = bytes.slice(usize::try_from(from).unwrap()..usize::try_from(to).unwrap());
                    assert!(read.unwrap().bytes == expected, "{size}: {from} to {to}");
                }
            }
            for range in [end..end + 1, u64::MAX - 1..u64::MAX, std::ops::Range { start: 1, end: 0 }] {
                assert_eq!(
                    kind(registry.get_range(&of, Select::latest(), range).await),
                    Some(ErrorKind::Invalid)
                );
            }
            let saved = folder.path().join("saved");
            std::fs::write(&saved, "what was there").unwrap();
            registry.save(&of, Select::latest(), &saved).await.unwrap();
            assert!(std::fs::read(&saved).unwrap() == bytes, "{size}");
        }
        assert_sound(&registry).await;
        registry.close().await.unwrap();
    }
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(!left.iter().any(|file| file.to_string_lossy().starts_with(".saved")), "{left:?}");
}

#[tokio::test]
async fn a_file_is_published_and_one_that_is_not_there_is_told_with_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    let registry = crate::in_memory().await;
    for size in [10, LARGE] {
        let path = folder.path().join(format!("file-{size}"));
        std::fs::write(&path, body(size)).unwrap();
        let v = mcp_core::Version::new(size as u64, 0, 0);
        registry.publish(Draft::file(&name("file"), &path), &v).await.unwrap();
        assert!(registry.get(&name("file"), Select::exact(v)).await.unwrap().bytes == body(size));
    }
    for (path, expected) in [("missing", ErrorKind::NotFound), (".", ErrorKind::Unavailable)] {
        let draft = Draft::file(&name("file"), folder.path().join(path));
        let error = registry.publish(draft, &version("1.0.0")).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{error:?}");
        assert_eq!(error.to_string(), "read the bytes of file that are to be published");
    }
}

#[tokio::test]
async fn equal_bytes_are_stored_once_in_whichever_order_and_form_they_come() {
    let bytes = body(LARGE);
    for streamed_first in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(folder.path()).await.unwrap();
        let storage = LocalStorage::new(folder.path());
        let drafts = [Draft::new(&name("direct"), bytes.clone()), streamed("streamed", &bytes)];
        let mut drafts = Vec::from(drafts);
        if streamed_first {
            drafts.reverse();
        }
        let mut seen = Vec::new();
        for draft in drafts {
            let published = registry.publish(draft, &version("1.0.0")).await.unwrap();
            seen.push((published.deduplicated, packs(&storage).await.len()));
        }
        assert_eq!(seen, [(false, 1), (true, 1)], "streamed first: {streamed_first}");
        let again = registry.publish(streamed("streamed", &bytes), &version("1.0.0")).await.unwrap();
        assert!(!again.created);
        let other = registry.publish(streamed("streamed", &body(LARGE - 1)), &version("1.0.0")).await;
        assert_eq!(kind(other), Some(ErrorKind::Conflict));
        assert_eq!(packs(&storage).await.len(), 1, "what no commit has taken is deleted");
        let stats = registry.stats().await.unwrap();
        assert_eq!((stats.versions, stats.blobs, stats.logical_bytes), (2, 1, 2 * LARGE as u64));
        // 4 MiB of it are noise.
        assert!((4 << 20..5 << 20).contains(&stats.stored_bytes), "{stats:?}");
        assert_sound(&registry).await;
        registry.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_stream_that_fails_or_is_too_large_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { max_stream_bytes: LARGE as u64, ..Settings::default() };
    let registry = Registry::local(folder.path()).settings(settings).open().await.unwrap();
    let torn = |size: usize| {
        let error = SeamError::new(ErrorKind::Denied, "read the other side");
        Draft::stream(&name("torn"), parts(&body(size)).chain(stream::iter([Err(error)])))
    };
    for size in [0, 5, LARGE] {
        match registry.publish(torn(size), &version("1.0.0")).await {
            Err(error @ RegistryError::Input { .. }) => assert_eq!(error.kind(), ErrorKind::Denied),
            other => panic!("{size}: {other:?}"),
        }
    }
    match registry.publish(streamed("large", &body(LARGE + 1)), &version("1.0.0")).await {
        Err(RegistryError::TooLarge { limit, setting, .. }) => {
            assert_eq!((limit, setting), (LARGE as u64, "max_stream_bytes"));
        }
        other => panic!("{other:?}"),
    }
    let storage = LocalStorage::new(folder.path());
    assert_eq!(packs(&storage).await, Vec::<String>::new());
    assert_eq!(registry.changes(0, 10).await.unwrap(), []);
    registry.publish(streamed("large", &body(LARGE)), &version("1.0.0")).await.unwrap();
    assert_eq!(packs(&storage).await.len(), 1);
    registry.close().await.unwrap();
}

#[tokio::test]
async fn a_source_is_not_asked_again_once_it_has_ended() {
    let registry = crate::in_memory().await;
    for (n, size) in (0_u64..).zip([0, 5, MIB + 7, 4 * MIB + 1, LARGE]) {
        let (bytes, v) = (body(size), mcp_core::Version::new(n, 0, 0));
        // This one panics when it is polled behind its end.
        let fragile = stream::unfold(bytes.clone(), |mut rest| async move {
            (!rest.is_empty()).then(|| (Ok(rest.split_to(rest.len().min(700_000))), rest))
        });
        let published = registry.publish(Draft::stream(&name("fragile"), fragile), &v).await.unwrap();
        assert_eq!(published.digest, Digest::of(&bytes), "{size}");
        // And this one begins again.
        let (mut rest, whole) = (bytes.clone(), bytes.clone());
        let endless = stream::poll_fn(move |_| {
            if rest.is_empty() {
                rest = whole.clone();
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Ok(rest.split_to(rest.len().min(700_000)))))
        });
        let draft = Draft::stream(&name("endless"), endless);
        let published = registry.publish(draft, &v).await.unwrap();
        assert_eq!(published.digest, Digest::of(&bytes), "{size}");
    }
}

#[tokio::test]
async fn a_pack_that_another_has_written_under_the_name_of_a_stream_stays() {
    let (storage, key) = (MemoryStorage::new(), "packs/0000000001-0000000001".parse::<Key>().unwrap());
    let registry = Registry::builder(Arc::new(storage.clone())).open().await.unwrap();
    storage.put(&key, Bytes::from_static(b"another's"), PutWhen::Absent).await.unwrap();
    let refused = registry.publish(streamed("app", &body(LARGE)), &version("1.0.0")).await;
    assert_eq!(kind(refused), Some(ErrorKind::Conflict));
    put(&registry, "app@1.0.0", "goes on").await;
    registry.close().await.unwrap();
    assert_eq!(storage.read(&key, 0..9).await.unwrap(), "another's");
}

#[tokio::test]
async fn a_pack_that_another_has_written_stays_also_when_the_stream_fails() {
    let (storage, key) = (MemoryStorage::new(), "packs/0000000001-0000000001".parse::<Key>().unwrap());
    let registry = Registry::builder(Arc::new(storage.clone())).open().await.unwrap();
    storage.put(&key, Bytes::from_static(b"another's"), PutWhen::Absent).await.unwrap();
    let error = SeamError::new(ErrorKind::Denied, "read the other side");
    let torn = Draft::stream(&name("torn"), parts(&body(LARGE)).chain(stream::iter([Err(error)])));
    assert_eq!(kind(registry.publish(torn, &version("1.0.0")).await), Some(ErrorKind::Denied));
    assert_eq!(storage.read(&key, 0..9).await.unwrap(), "another's");
}

/// Accepts everything that is longer than two bytes, and counts.
#[derive(Default)]
struct Longer(AtomicU64);

#[async_trait]
impl Inspect for Longer {
    async fn inspect(&self, candidate: &Candidate) -> Result<Verdict, SeamError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(if candidate.bytes.len() > 2 { Verdict::of(Vec::new()) } else { Verdict::refused(Vec::new()) })
    }
}

#[tokio::test]
async fn a_stream_is_inspected_whole_or_refused_when_it_is_too_large_for_that() {
    let inspect = Arc::new(Longer::default());
    let settings = Settings { max_artifact_bytes: 6 << 20, ..Settings::default() };
    let registry = Registry::in_memory().settings(settings).inspect(inspect.clone()).open().await.unwrap();
    registry.publish(streamed("fits", &body(5 * MIB)), &version("1.0.0")).await.unwrap();
    let read = registry.get_range(&name("fits"), Select::latest(), 4_000_000..4_000_005).await.unwrap();
    assert_eq!(read.bytes, body(5 * MIB).slice(4_000_000..4_000_005));
    let short = registry.publish(streamed("short", &body(2)), &version("1.0.0")).await;
    assert_eq!(kind(short), Some(ErrorKind::Denied));
    let large = registry.publish(streamed("large", &body(7 * MIB)), &version("1.0.0")).await.unwrap_err();
    assert_eq!(large.kind(), ErrorKind::Exhausted);
    assert!(
        large.to_string().ends_with("the limit of max_artifact_bytes, since it must be inspected"),
        "{large}"
    );
    assert_eq!(inspect.0.load(Ordering::SeqCst), 2);
    assert_eq!(registry.changes(0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn invariant_11_a_publish_dropped_at_any_await_leaves_nothing_visible() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    put(&registry, "other@1.0.0", "other").await;
    let bytes = body(5 * MIB);
    let v = version("1.0.0");
    let mut polls = 0;
    let published = loop {
        // Every count of a few, and then by strides.
        polls += 1 + polls / 10;
        let mut publish = Box::pin(registry.publish(streamed("app", &bytes), &v));
        let mut done = None;
        for _ in 0..polls {
            // Whatever it waits for happens meanwhile, or not: each count of polls cuts it somewhere.
            let mut context = Context::from_waker(Waker::noop());
            if let Poll::Ready(outcome) = publish.as_mut().poll(&mut context) {
                done = Some(outcome.unwrap());
                break;
            }
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
        drop(publish);
        if let Some(published) = done {
            break published;
        }
        if let Ok(entry) = registry.resolve(&name("app"), Select::latest()).await {
            // It was handed to the committer before it was dropped: then the whole of it is there.
            assert_eq!(entry.digest, Digest::of(&bytes));
            break registry.publish(streamed("app", &bytes), &v).await.unwrap();
        }
        assert!(polls < 100_000);
    };
    assert_eq!(published.digest, Digest::of(&bytes));
    assert!(polls > 5, "{polls} polls");
    assert!(
        gathered(registry.get_stream(&name("app"), Select::latest()).await.unwrap()).await.unwrap() == bytes
    );
    assert_sound(&registry).await;
    registry.close().await.unwrap();
}

/// Stores a stream, or something else under its name, and then fails or hangs, as when the answer of a server is lost.
struct Mute {
    inner: MemoryStorage,
    hangs: bool,
    instead: Option<&'static [u8]>,
}

#[async_trait]
impl StorageBackend for Mute {
    async fn put(&self, key: &Key, bytes: Bytes, when: PutWhen) -> Result<(), StorageError> {
        self.inner.put(key, bytes, when).await
    }

    async fn put_stream(&self, key: &Key, stream: ByteStream) -> Result<u64, StorageError> {
        let length = self.inner.put_stream(key, stream).await?;
        if let Some(instead) = self.instead {
            // Nothing: as many bytes, in another order.
            let mut other = self.inner.read(key, 0..length).await?.to_vec();
            other.reverse();
            let other = if instead.is_empty() { other.into() } else { Bytes::from_static(instead) };
            self.inner.put(key, other, PutWhen::Always).await?;
        }
        if self.hangs {
            std::future::pending::<()>().await;
        }
        Err(StorageError::new(ErrorKind::Unavailable, "hear an answer"))
    }

    async fn read(&self, key: &Key, range: std::ops::Range<u64>) -> Result<Bytes, StorageError> {
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

#[tokio::test]
async fn what_was_written_of_a_stream_that_failed_or_was_dropped_is_deleted_and_the_writer_goes_on() {
    for hangs in [false, true] {
        let inner = MemoryStorage::new();
        let storage = Arc::new(Mute { inner: inner.clone(), hangs, instead: None });
        let registry = Registry::builder(storage).open().await.unwrap();
        let v = version("1.0.0");
        let mut publish = Box::pin(registry.publish(streamed("app", &body(5 * MIB)), &v));
        if hangs {
            while packs(&inner).await.is_empty() {
                let mut context = Context::from_waker(Waker::noop());
                assert!(publish.as_mut().poll(&mut context).is_pending());
                tokio::task::yield_now().await;
            }
            drop(publish);
        } else {
            match publish.await {
                Err(RegistryError::Storage { what, source }) => {
                    assert_eq!(
                        (what.as_str(), source.kind()),
                        ("writing packs/0000000001-0000000001", ErrorKind::Unavailable)
                    );
                }
                other => panic!("{other:?}"),
            }
        }
        while !packs(&inner).await.is_empty() {
            tokio::task::yield_now().await;
        }
        put(&registry, "app@1.0.0", "goes on").await;
        assert_eq!(packs(&inner).await, ["packs/0000000001-0000000002"], "no name is used twice");
        assert_sound(&registry).await;
    }
}

#[tokio::test]
async fn what_another_wrote_under_the_name_of_a_stream_that_was_given_up_stays() {
    for instead in [&b"another's"[..], b""] {
        let inner = MemoryStorage::new();
        let storage = Arc::new(Mute { inner: inner.clone(), hangs: false, instead: Some(instead) });
        let registry = Registry::builder(storage).open().await.unwrap();
        assert_eq!(
            kind(registry.publish(streamed("app", &body(5 * MIB)), &version("1.0.0")).await),
            Some(ErrorKind::Unavailable)
        );
        put(&registry, "app@1.0.0", "goes on").await;
        assert_eq!(packs(&inner).await, ["packs/0000000001-0000000001", "packs/0000000001-0000000002"]);
        registry.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_verification_tells_how_far_it_is_and_can_be_stopped() {
    let registry = crate::in_memory().await;
    for n in 0..3_u64 {
        put(&registry, &format!("small@{n}.0.0"), &format!("body {n}")).await;
    }
    registry.publish(streamed("large", &body(LARGE)), &version("1.0.0")).await.unwrap();
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let telling = told.clone();
    let found = registry
        .verify_with(move |progress| {
            telling.lock().unwrap().push(progress);
            ControlFlow::Continue(())
        })
        .await
        .unwrap();
    let told = told.lock().unwrap().clone();
    let last = told.last().unwrap();
    let stored = registry.stats().await.unwrap().stored_bytes;
    assert_eq!((last.blobs, last.all_blobs, last.bytes, last.all_bytes), (4, 4, stored, stored));
    assert_eq!((found.rows, found.blobs, found.faults.len()), (4, 4, 0));
    assert!(told.windows(2).all(|pair| pair[0].bytes <= pair[1].bytes), "{told:?}");
    for stop in 1..=told.len() {
        let mut count = 0;
        let stopped = registry.verify_with(move |_| {
            count += 1;
            assert!(count <= stop, "nothing is told once it was stopped");
            if count == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(kind(stopped.await), Some(ErrorKind::Cancelled), "at {stop}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_and_small_publishes_at_once_use_packs_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { pack_bytes: 20_000, ..Settings::default() };
    let registry = Registry::local(folder.path()).settings(settings.clone()).open().await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..6_u64 {
        let registry = registry.clone();
        tasks.spawn(async move {
            let bytes = body(LARGE - usize::try_from(n).unwrap());
            registry.publish(streamed("large", &bytes), &mcp_core::Version::new(n, 0, 0)).await.unwrap();
        });
    }
    for n in 0..300_u64 {
        let registry = registry.clone();
        tasks.spawn(async move {
            put(&registry, &format!("small@{n}.0.0"), &format!("small {n} ").repeat(30)).await;
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    for n in 0..6_u64 {
        let select = Select::exact(mcp_core::Version::new(n, 0, 0));
        let read = gathered(registry.get_stream(&name("large"), select).await.unwrap()).await.unwrap();
        assert!(read == body(LARGE - usize::try_from(n).unwrap()), "{n}");
    }
    assert_eq!(text(&registry, "small", Select::exact("299.0.0")).await, Ok("small 299 ".repeat(30)));
    assert_sound(&registry).await;
    registry.close().await.unwrap();
    let registry = Registry::local(folder.path()).settings(settings).open().await.unwrap();
    assert_sound(&registry).await;
    registry.close().await.unwrap();
}

#[tokio::test]
async fn a_damaged_chunk_ends_the_stream_at_its_place_and_the_others_stay_readable() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    let bytes = body(LARGE);
    registry.publish(streamed("app", &bytes), &version("1.0.0")).await.unwrap();
    let pack = folder.path().join("packs/0000000001-0000000001");
    let good = std::fs::read(&pack).unwrap();
    // Into the third quarter: the noise of chunk 5, 7 or so, whose bytes all count.
    let mut bad = good.clone();
    let at = good.len() * 3 / 5;
    bad[at] ^= 1;
    std::fs::write(&pack, &bad).unwrap();
    let mut stream = registry.get_stream(&name("app"), Select::latest()).await.unwrap();
    let mut read = Vec::new();
    let error = loop {
        match stream.next().await.unwrap() {
            Ok(part) => read.extend_from_slice(&part),
            Err(error) => break error,
        }
    };
    assert!(stream.next().await.is_none(), "nothing behind the error");
    assert!(!read.is_empty() && bytes.starts_with(&read), "invariant 1");
    let RegistryError::Corrupt { what, place, reason } = error else { panic!("{error:?}") };
    assert_eq!(
        (what.as_str(), reason.as_str()),
        ("app@1.0.0", "the bytes of a chunk do not match their digest")
    );
    let offset: usize = place.strip_prefix("packs/0000000001-0000000001 offset ").unwrap().parse().unwrap();
    assert!((offset..offset + MIB).contains(&at), "{place}");
    let damaged = read.len() as u64;
    let app = name("app");
    let range = |from: u64, to: u64| registry.get_range(&app, Select::latest(), from..to);
    assert_eq!(kind(range(damaged, damaged + 1).await), Some(ErrorKind::Corrupt));
    assert_eq!(kind(range(damaged - 1, damaged + 1).await), Some(ErrorKind::Corrupt));
    let behind = damaged + MIB as u64;
    for (from, to) in [(0, damaged), (behind, LARGE as u64)] {
        let expected = bytes.slice(usize::try_from(from).unwrap()..usize::try_from(to).unwrap());
        assert!(range(from, to).await.unwrap().bytes == expected);
    }
    assert_eq!(kind(registry.get(&name("app"), Select::latest()).await), Some(ErrorKind::Corrupt));
    let target = folder.path().join("target");
    std::fs::write(&target, "before").unwrap();
    assert_eq!(kind(registry.save(&name("app"), Select::latest(), &target).await), Some(ErrorKind::Corrupt));
    assert_eq!(std::fs::read(&target).unwrap(), b"before");
    let faults = registry.verify().await.unwrap().faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!((faults[0].place.as_str(), faults[0].subject.as_str()), (place.as_str(), "app@1.0.0"));
    std::fs::write(&pack, &good).unwrap();
    assert_sound(&registry).await;
    registry.close().await.unwrap();
}

#[tokio::test]
async fn an_artifact_larger_than_may_be_held_is_read_as_a_stream_only() {
    let settings = Settings { max_artifact_bytes: 5 << 20, ..Settings::default() };
    let registry = Registry::in_memory().settings(settings).open().await.unwrap();
    let bytes = body(LARGE);
    registry.publish(streamed("app", &bytes), &version("1.0.0")).await.unwrap();
    assert_eq!(kind(registry.get(&name("app"), Select::latest()).await), Some(ErrorKind::Exhausted));
    let whole = registry.get_range(&name("app"), Select::latest(), 0..LARGE as u64).await;
    assert_eq!(kind(whole), Some(ErrorKind::Exhausted));
    assert!(
        gathered(registry.get_stream(&name("app"), Select::latest()).await.unwrap()).await.unwrap() == bytes
    );
}

#[tokio::test]
async fn saving_replaces_a_file_and_refuses_anything_else() {
    let folder = tempfile::tempdir().unwrap();
    let registry = in_memory().await;
    put(&registry, "app@1.0.0", "x").await;
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    std::fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for other in [&link, folder.path()] {
        let saved = registry.save(&name("app"), Select::latest(), other).await;
        assert_eq!(kind(saved), Some(ErrorKind::Conflict), "{}", other.display());
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "old");
    registry.save(&name("app"), Select::latest(), &file).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "x");
}
