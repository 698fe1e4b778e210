//! The next version by comparison.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::future::join_all;
use mcp_core::{Candidate, Change, Classify, ErrorKind, SeamError};
use mcp_registry::{Bump, Draft, Registry, RegistryError, Select};

use crate::{assert_sound, in_memory, kind, name, put, resolved, version};

/// The first word of the new text says what it is; `same` for all that begins so. Counts how often it was asked.
#[derive(Default)]
struct FirstWord(AtomicU64);

#[async_trait]
impl Classify for FirstWord {
    async fn classify(&self, old: &Candidate, new: &Candidate) -> Result<Change, SeamError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        assert!(old.version.is_some() && new.version.is_none() && old.digest != new.digest);
        let text = String::from_utf8_lossy(&new.bytes).into_owned();
        Ok(match text.split(' ').next().unwrap_or_default() {
            "same" => Change::Identical,
            "patch" => Change::Patch,
            "minor" => Change::Minor,
            "major" => Change::Major,
            "error" => return Err(SeamError::new(ErrorKind::Unavailable, "ask the comparer")),
            _ => Change::Unknown,
        })
    }
}

async fn open() -> (Registry, Arc<FirstWord>) {
    let classify = Arc::new(FirstWord::default());
    (Registry::in_memory().classify(classify.clone()).open().await.unwrap(), classify)
}

async fn auto(registry: &Registry, text: &str) -> Result<(String, bool), RegistryError> {
    let done = registry.publish_next(Draft::new(&name("app"), text.to_owned()), Bump::Auto).await?;
    Ok((done.artifact.version.to_string(), done.created))
}

#[tokio::test]
async fn the_next_version_is_what_the_comparison_says() {
    let (registry, classify) = open().await;
    let app = name("app");
    for (text, expected) in [
        ("first", ("0.1.0", true)),
        ("patch 1", ("0.1.1", true)),
        ("patch 1", ("0.1.1", false)),
        ("major 1", ("0.2.0", true)),
        ("unknown", ("0.3.0", true)),
        ("minor 1", ("0.4.0", true)),
        ("same 1", ("0.4.0", false)),
    ] {
        assert_eq!(auto(&registry, text).await.unwrap(), (expected.0.to_owned(), expected.1), "{text}");
    }
    assert_eq!(
        classify.0.load(Ordering::SeqCst),
        5,
        "equal bytes need no comparison, and a first version none"
    );
    put(&registry, "app@1.0.0", "one").await;
    put(&registry, "app@1.0.1", "taken").await;
    registry.yank(&app, &version("1.0.1"), "r").await.unwrap();
    for (text, expected) in
        [("patch 2", "1.0.2"), ("minor 2", "1.1.0"), ("major 2", "2.0.0"), ("what", "3.0.0")]
    {
        assert_eq!(auto(&registry, text).await.unwrap().0, expected, "{text}");
    }
    match auto(&registry, "error").await {
        Err(error @ RegistryError::Classification { .. }) => assert_eq!(error.kind(), ErrorKind::Unavailable),
        other => panic!("{other:?}"),
    }
    assert_eq!(resolved(&registry, "app", Select::latest()).await, Ok("3.0.0".to_owned()));
    assert_sound(&registry).await;
}

#[tokio::test]
async fn without_a_comparer_it_is_refused_and_pre_releases_are_a_head_too() {
    let registry = in_memory().await;
    let error = auto(&registry, "x").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (
            ErrorKind::Unsupported,
            "choose the next version of app: the registry was opened without a Classify; say which number counts up"
        )
    );
    let (registry, _) = open().await;
    put(&registry, "app@2.0.0-rc.1", "x").await;
    assert_eq!(auto(&registry, "same").await.unwrap(), ("2.0.0-rc.1".to_owned(), false));
    assert_eq!(auto(&registry, "major").await.unwrap(), ("2.0.0".to_owned(), true));
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_also_where_nothing_was_published() {
    let (registry, classify) = open().await;
    let ask = async |text: &'static str, id: &str| {
        let draft = Draft::new(&name("app"), text).request_id(id);
        let done = registry.publish_next(draft, Bump::Auto).await?;
        Ok::<_, RegistryError>((done.artifact.version.to_string(), done.seq, done.created))
    };
    assert_eq!(ask("first", "r1").await.unwrap(), ("0.1.0".to_owned(), 1, true));
    assert_eq!(ask("same", "r2").await.unwrap(), ("0.1.0".to_owned(), 1, false));
    put(&registry, "app@5.0.0", "x").await;
    let asked = classify.0.load(Ordering::SeqCst);
    assert_eq!(ask("first", "r1").await.unwrap(), ("0.1.0".to_owned(), 1, false));
    assert_eq!(ask("same", "r2").await.unwrap(), ("0.1.0".to_owned(), 1, false));
    assert_eq!(classify.0.load(Ordering::SeqCst), asked);
    assert_eq!(kind(ask("other", "r2").await), Some(ErrorKind::Conflict));
    assert_sound(&registry).await;
}

#[tokio::test]
async fn a_stream_is_compared_as_a_whole_and_refused_where_it_is_too_large() {
    let settings = mcp_registry::Settings { max_artifact_bytes: 100, ..Default::default() };
    let classify = Arc::new(FirstWord::default());
    let registry = Registry::in_memory().settings(settings).classify(classify).open().await.unwrap();
    let chunks = |count: usize| {
        let chunks: Vec<_> = (0..count).map(|_| Ok(bytes::Bytes::from_static(b"minor and more "))).collect();
        Draft::stream(&name("app"), futures::stream::iter(chunks))
    };
    let publish = async |draft| registry.publish_next(draft, Bump::Auto).await;
    assert_eq!(publish(chunks(1)).await.unwrap().artifact.to_string(), "app@0.1.0");
    assert_eq!(publish(chunks(2)).await.unwrap().artifact.to_string(), "app@0.2.0");
    assert_eq!(kind(publish(chunks(7)).await), Some(ErrorKind::Exhausted));
}

/// Takes note of the bytes in flight while it compares.
#[derive(Default)]
struct Watching {
    registry: std::sync::OnceLock<Registry>,
    seen: std::sync::Mutex<Vec<u64>>,
}

#[async_trait]
impl Classify for Watching {
    async fn classify(&self, _: &Candidate, _: &Candidate) -> Result<Change, SeamError> {
        let seen = self.registry.get().unwrap().activity().bytes_in_flight;
        self.seen.lock().unwrap().push(seen);
        Ok(Change::Minor)
    }
}

const KIB: u64 = 1 << 10;

/// Room for one artifact of 8 KiB and its metadata at a time.
fn narrow() -> mcp_registry::Settings {
    mcp_registry::Settings {
        max_artifact_bytes: 8 * KIB,
        max_metadata_bytes: KIB,
        max_bytes_in_flight: 9 * KIB,
        ..Default::default()
    }
}

#[tokio::test]
async fn what_is_gathered_for_a_comparison_counts_among_the_bytes_in_flight() {
    let classify = Arc::new(Watching::default());
    let registry = Registry::in_memory().settings(narrow()).classify(classify.clone()).open().await.unwrap();
    assert!(classify.registry.set(registry.clone()).is_ok());
    put(&registry, "app@1.0.0", "first").await;
    while registry.activity().bytes_in_flight > 0 {
        tokio::task::yield_now().await;
    }
    let (gathering, observed) = (Arc::new(AtomicU64::new(0)), registry.clone());
    let noted = gathering.clone();
    let parts = futures::stream::iter((0..3_u8).map(move |n| {
        noted.store(observed.activity().bytes_in_flight, Ordering::SeqCst);
        Ok(bytes::Bytes::from(vec![n; 1000]))
    }));
    registry.publish_next(Draft::stream(&name("app"), parts), Bump::Auto).await.unwrap();
    assert!(gathering.load(Ordering::SeqCst) >= 8 * KIB, "all that it may have, while its size is not known");
    // One of known size waits in the same way, and needs no more than that.
    while registry.activity().bytes_in_flight > 0 {
        tokio::task::yield_now().await;
    }
    registry.publish_next(Draft::new(&name("app"), vec![9; 5000]), Bump::Auto).await.unwrap();
    let seen = classify.seen.lock().unwrap().clone();
    assert!((3 * KIB..5 * KIB).contains(&seen[0]), "{seen:?}");
    assert!((5 * KIB..7 * KIB).contains(&seen[1]), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn comparisons_that_wait_for_room_and_for_their_turn_all_come_to_an_end() {
    let classify = Arc::new(FirstWord::default());
    let registry = Registry::in_memory().settings(narrow()).classify(classify).open().await.unwrap();
    put(&registry, "app@1.0.0", "first").await;
    let publishers = (0..60_u64).map(|n| {
        let registry = registry.clone();
        tokio::spawn(async move {
            let bytes = format!("minor {n} ").repeat(300);
            if n % 3 == 0 {
                return registry.publish_next(Draft::new(&name("app"), bytes), Bump::Minor).await;
            }
            let parts = futures::stream::iter([Ok(bytes::Bytes::from(bytes))]);
            registry.publish_next(Draft::stream(&name("app"), parts), Bump::Auto).await
        })
    });
    // Who reserved a second time would wait for ever.
    let done = tokio::time::timeout(std::time::Duration::from_secs(60), join_all(publishers)).await.unwrap();
    let given: BTreeSet<String> =
        done.into_iter().map(|done| done.unwrap().unwrap().artifact.version.to_string()).collect();
    assert_eq!(given.len(), 60);
    while registry.activity().bytes_in_flight > 0 {
        tokio::task::yield_now().await;
    }
}

/// A hundred at once, of each bump alone and of all together: numbers without gaps or duplicates.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_publishers_of_one_name_get_each_their_own_version_with_every_bump() {
    let pre = || Bump::Pre("rc".to_owned());
    for (bump, text) in [
        (Bump::Major, "x"),
        (Bump::Minor, "x"),
        (Bump::Patch, "x"),
        (pre(), "x"),
        (Bump::Auto, "patch"),
        (Bump::Auto, "minor"),
        (Bump::Auto, "major"),
        (Bump::Auto, "what"),
    ] {
        let (registry, _) = open().await;
        put(&registry, "app@1.0.0", "first").await;
        let publishers = (0..100_u64).map(|n| {
            let (registry, bump) = (registry.clone(), bump.clone());
            let draft = Draft::new(&name("app"), format!("{text} {n}"));
            tokio::spawn(async move { registry.publish_next(draft, bump).await.unwrap().artifact.version })
        });
        let given: BTreeSet<String> =
            join_all(publishers).await.into_iter().map(|v| v.unwrap().to_string()).collect();
        let expected = (1..=100_u64).map(|n| match (&bump, text) {
            (Bump::Major, _) | (Bump::Auto, "major" | "what") => format!("{}.0.0", n + 1),
            (Bump::Minor, _) | (Bump::Auto, "minor") => format!("1.{n}.0"),
            (Bump::Pre(_), _) => format!("1.0.1-rc.{n}"),
            _ => format!("1.0.{n}"),
        });
        assert_eq!(given, expected.collect(), "{bump:?} {text}");
    }
    let (registry, _) = open().await;
    let bumps = [Bump::Major, Bump::Minor, Bump::Patch, pre(), Bump::Auto];
    let words = ["major", "minor", "patch", "what"];
    let publishers = (0..100_usize).map(|n| {
        let (registry, bump) = (registry.clone(), bumps[n % 5].clone());
        let draft = Draft::new(&name("app"), format!("{} {n}", words[n % 4]));
        tokio::spawn(async move { registry.publish_next(draft, bump).await.unwrap().artifact.version })
    });
    let given: BTreeSet<String> =
        join_all(publishers).await.into_iter().map(|v| v.unwrap().to_string()).collect();
    assert_eq!(given.len(), 100, "no duplicates");
    assert_no_gaps(&registry).await;
    assert_sound(&registry).await;
}

/// Each release is the next one of the release before it in the feed, and each pre-release counts up its own.
async fn assert_no_gaps(registry: &Registry) {
    let versions = registry.versions(&name("app"), None, 1000).await.unwrap();
    let mut by_row: Vec<_> =
        versions.iter().map(|entry| (entry.seq, entry.artifact.version.clone())).collect();
    by_row.sort();
    let mut releases: Vec<mcp_core::Version> = Vec::new();
    for (_, v) in by_row {
        if v.is_pre_release() {
            let number: u64 = v.pre_release().strip_prefix("rc.").unwrap().parse().unwrap();
            let before = version(&format!("{}.{}.{}-rc.{}", v.major(), v.minor(), v.patch(), number - 1));
            assert!(number == 1 || versions.iter().any(|entry| entry.artifact.version == before), "{v}");
            continue;
        }
        if let Some(last) = releases.iter().max_by(|a, b| a.cmp_precedence(b)) {
            let next = [
                (last.major() + 1, 0, 0),
                (last.major(), last.minor() + 1, 0),
                (last.major(), last.minor(), last.patch() + 1),
            ];
            assert!(next.contains(&(v.major(), v.minor(), v.patch())), "{v} after {last}");
        }
        releases.push(v);
    }
}

#[tokio::test]
async fn bytes_are_found_whatever_their_name_and_live_ones_first() {
    let registry = in_memory().await;
    put(&registry, "a@1.0.0", "same").await;
    put(&registry, "b@1.0.0", "same").await;
    put(&registry, "c@1.0.0", "other").await;
    let find = async |text: &str| {
        let found = registry.find_digest(&mcp_core::Digest::of(text.as_bytes())).await.unwrap();
        found.map(|entry| entry.artifact.to_string())
    };
    registry.yank(&name("a"), &version("1.0.0"), "r").await.unwrap();
    assert_eq!(find("same").await.as_deref(), Some("b@1.0.0"));
    registry.yank(&name("b"), &version("1.0.0"), "r").await.unwrap();
    assert!(find("same").await.is_some(), "a yanked one is better than none");
    assert_eq!(find("other").await.as_deref(), Some("c@1.0.0"));
    assert_eq!(find("none").await, None);
}
