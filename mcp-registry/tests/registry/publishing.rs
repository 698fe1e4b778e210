use std::sync::Arc;

use async_trait::async_trait;
use mcp_core::{
    Candidate, Clock, ErrorKind, Event, EventKind, EventSink, Finding, Inspect, RecordingSink, RegistryEvent,
    SeamError, Severity, Timestamp, Verdict,
};
use mcp_registry::{Bump, Draft, Registry, RegistryError, Select, Settings};

use crate::{assert_sound, in_memory, kind, name, put, resolved, text, version};

#[tokio::test]
async fn invariant_1_a_published_version_never_changes() {
    let registry = in_memory().await;
    let app = name("app");
    let draft = |bytes: &'static str| Draft::new(&app, bytes).media_type("text/plain").description("d");
    let first = registry.publish(draft("one"), &version("1.0.0")).await.unwrap();
    assert!(first.created && first.seq == 1);
    let again = registry.publish(draft("one"), &version("1.0.0")).await.unwrap();
    assert_eq!((again.created, again.seq, again.digest), (false, 1, first.digest));
    let others = [
        (draft("two"), "1.0.0", "the bytes are others"),
        (draft("one").media_type("text/html"), "1.0.0", "the media type is another"),
        (draft("one").tag("new"), "1.0.0", "the metadata is other"),
        (draft("one"), "1.0.0+build", "versions that differ in build metadata only are the same version"),
    ];
    for (draft, at, expected) in others {
        match registry.publish(draft, &version(at)).await {
            Err(RegistryError::VersionTaken { existing, reason, artifact, .. }) => {
                assert_eq!((existing, reason), (first.digest, expected));
                assert_eq!(artifact.to_string(), "app@1.0.0");
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
    assert_eq!(text(&registry, "app", Select::exact("1.0.0")).await, Ok("one".to_owned()));
    assert_eq!(registry.changes(0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn metadata_comes_back_as_it_was_given() {
    let registry = in_memory().await.acting_as("host".parse().unwrap());
    let draft = Draft::new(&name("app"), "x")
        .media_type("application/json; charset=utf-8")
        .description("An app")
        .authors(["b", "a"])
        .license("MIT")
        .tag("web")
        .label("team", "core")
        .extra(serde_json::json!({"b": [1, 2.5], "a": null}));
    registry.publish(draft, &version("1.0.0+b7")).await.unwrap();
    let entry = registry.resolve(&name("app"), Select::exact("1.0.0")).await.unwrap();
    assert_eq!(entry.artifact.to_string(), "app@1.0.0+b7");
    assert_eq!((entry.size, entry.media_type.as_str()), (1, "application/json; charset=utf-8"));
    assert_eq!(entry.actor.as_str(), "host");
    assert_eq!(entry.metadata.authors, ["b", "a"]);
    assert_eq!(entry.metadata.labels["team"], "core");
    assert_eq!(entry.metadata.extra, serde_json::json!({"a": null, "b": [1, 2.5]}));
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_also_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let app = name("app");
    let draft = |bytes: &'static str, id: &'static str| Draft::new(&app, bytes).request_id(id);
    let registry = Registry::open(folder.path()).await.unwrap();
    let first = registry.publish_next(draft("one", "r1"), Bump::Minor).await.unwrap();
    let next = registry.publish_next(draft("one", "r2"), Bump::Minor).await.unwrap();
    assert_eq!(
        (first.artifact.to_string(), next.artifact.to_string()),
        ("app@0.1.0".into(), "app@0.2.0".into())
    );
    registry.close().await.unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    let again = registry.publish_next(draft("one", "r1"), Bump::Minor).await.unwrap();
    assert_eq!((again.artifact.to_string(), again.seq, again.created), ("app@0.1.0".into(), 1, false));
    match registry.publish_next(draft("two", "r1"), Bump::Minor).await {
        Err(RegistryError::RequestReused { seq, did, .. }) => {
            assert_eq!((seq, did.as_str()), (1, "published app@0.1.0"));
        }
        other => panic!("{other:?}"),
    }
    let other_version = registry.publish(draft("one", "r1"), &version("3.0.0")).await;
    assert_eq!(kind(other_version), Some(ErrorKind::Conflict));
    assert_eq!(resolved(&registry, "app", Select::latest()).await, Ok("0.2.0".to_owned()));
}

#[tokio::test]
async fn equal_bytes_are_stored_once_across_names() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    let big = "abc ".repeat(10_000);
    for at in ["a@1.0.0", "b@1.0.0", "b@2.0.0"] {
        put(&registry, at, &big).await;
    }
    put(&registry, "b@3.0.0", "").await;
    let stats = registry.stats().await.unwrap();
    assert_eq!((stats.versions, stats.names, stats.blobs, stats.deduplicated), (4, 2, 2, 2));
    assert_eq!(stats.logical_bytes, 3 * big.len() as u64);
    assert!(stats.stored_bytes < 1000, "compressed once: {stats:?}");
    assert_eq!(text(&registry, "b", Select::exact("2.0.0")).await, Ok(big));
    assert_eq!(text(&registry, "b", Select::latest()).await, Ok(String::new()));
    assert_sound(&registry).await;
}

#[tokio::test]
async fn what_is_too_large_or_malformed_is_refused_with_its_reason_and_stores_nothing() {
    let settings = Settings { max_artifact_bytes: 10, max_metadata_bytes: 50, ..Settings::default() };
    let registry = Registry::in_memory().settings(settings).open().await.unwrap();
    let app = name("app");
    let cases = [
        (Draft::new(&app, "12345678901"), ErrorKind::Exhausted, "publish app: 11 is more than 10"),
        (
            Draft::new(&app, "x").description("d".repeat(50)),
            ErrorKind::Exhausted,
            "the limit of max_metadata_bytes",
        ),
        (Draft::new(&app, "x").actor(" eve"), ErrorKind::Invalid, "read \" eve\" as principal"),
        (Draft::new(&app, "x").request_id("a b"), ErrorKind::Invalid, "as request id"),
        (Draft::new(&app, "x").media_type("plain"), ErrorKind::Invalid, "use \"plain\" as media type"),
    ];
    for (draft, expected, part) in cases {
        let error = registry.publish(draft, &version("1.0.0")).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    for id in ["", "a b", "rc+1", "01"] {
        let outcome = registry.publish_next(Draft::new(&app, "x"), Bump::Pre(id.to_owned())).await;
        assert_eq!(kind(outcome), Some(ErrorKind::Invalid), "{id:?}");
    }
    assert_eq!(registry.changes(0, 10).await.unwrap(), []);
}

#[tokio::test]
async fn one_conflict_among_many_fails_nobody_else() {
    let registry = in_memory().await;
    let app = name("app");
    put(&registry, "app@1.0.1", "taken").await;
    let drafts = (0..4_u64).map(|n| (Draft::new(&app, format!("body {n}")), mcp_core::Version::new(1, 0, n)));
    let outcomes = registry.publish_many(drafts).await;
    let kinds: Vec<_> = outcomes.into_iter().map(kind).collect();
    assert_eq!(kinds, [None, Some(ErrorKind::Conflict), None, None]);
    assert_eq!(text(&registry, "app", Select::exact("1.0.3")).await, Ok("body 3".to_owned()));
    assert_eq!(text(&registry, "app", Select::exact("1.0.1")).await, Ok("taken".to_owned()));
}

/// Refuses what contains `bad`, and cannot judge what contains `odd`.
struct NoBad;

#[async_trait]
impl Inspect for NoBad {
    async fn inspect(&self, candidate: &Candidate) -> Result<Verdict, SeamError> {
        let text = String::from_utf8_lossy(&candidate.bytes);
        if text.contains("odd") {
            return Err(SeamError::new(ErrorKind::Unavailable, "ask the rules"));
        }
        let finding = Finding::new(Severity::Error, "rule.bad", "/x", "it is bad");
        Ok(Verdict::of(if text.contains("bad") { vec![finding] } else { Vec::new() }))
    }
}

#[tokio::test]
async fn admission_refuses_with_its_findings_and_stores_nothing() {
    let sink = Arc::new(RecordingSink::new());
    let registry = Registry::in_memory().inspect(Arc::new(NoBad)).events(sink.clone()).open().await.unwrap();
    match registry.publish_next(Draft::new(&name("app"), "bad").actor("eve"), Bump::Minor).await {
        Err(RegistryError::Refused { findings, truncated, .. }) => {
            assert_eq!((findings[0].code.as_ref(), truncated), ("rule.bad", false));
        }
        other => panic!("{other:?}"),
    }
    let odd = registry.publish_next(Draft::new(&name("app"), "odd"), Bump::Minor).await;
    assert_eq!(kind(odd), Some(ErrorKind::Unavailable));
    assert_eq!(registry.stats().await.unwrap().versions, 0);
    match &sink.events()[..] {
        [event] => match &event.kind {
            EventKind::Registry(RegistryEvent::Refused(refused)) => assert_eq!(refused.actor.as_str(), "eve"),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
    registry.publish_next(Draft::new(&name("app"), "good"), Bump::Minor).await.unwrap();
    assert_eq!(text(&registry, "app", Select::latest()).await, Ok("good".to_owned()));
}

#[tokio::test]
async fn an_event_has_the_position_of_its_row() {
    let sink = Arc::new(RecordingSink::new());
    let registry = Registry::in_memory().events(sink.clone()).open().await.unwrap();
    put(&registry, "a@1.0.0", "x").await;
    put(&registry, "b@1.0.0", "x").await;
    registry.yank(&name("a"), &version("1.0.0"), "wrong").await.unwrap();
    registry.yank(&name("a"), &version("1.0.0"), "again").await.unwrap();
    let told: Vec<(u64, String, bool)> = sink
        .events()
        .iter()
        .map(|event| {
            let deduplicated = matches!(&event.kind,
                EventKind::Registry(RegistryEvent::Published(published)) if published.deduplicated);
            (event.seq, format!("{} {}", event.kind.type_name(), event.subject), deduplicated)
        })
        .collect();
    assert_eq!(
        told,
        [
            (1, "mcp.registry.artifact.published.v1 a@1.0.0".to_owned(), false),
            (2, "mcp.registry.artifact.published.v1 b@1.0.0".to_owned(), true),
            // Apart from the feed, with a position of this opening.
            (1, "mcp.registry.artifact.deduplicated.v1 b@1.0.0".to_owned(), false),
            (3, "mcp.registry.artifact.yanked.v1 a@1.0.0".to_owned(), false),
        ]
    );
}

#[tokio::test]
async fn counting_beyond_the_greatest_pre_release_is_refused_and_stops_nobody() {
    let registry = in_memory().await;
    put(&registry, "app@1.0.0-rc.18446744073709551615", "x").await;
    let next = registry.publish_next(Draft::new(&name("app"), "y"), Bump::Pre("rc".to_owned())).await;
    assert_eq!(kind(next), Some(ErrorKind::Invalid));
    put(&registry, "app@1.0.0", "z").await;
    assert_eq!(text(&registry, "app", Select::latest()).await, Ok("z".to_owned()));
}

/// Panics at one event, and takes note of the others.
struct PanicsAt(u64, RecordingSink);

impl EventSink for PanicsAt {
    fn emit(&self, event: &Event) {
        assert_ne!(event.seq, self.0, "the sink panics");
        self.1.emit(event);
    }
}

#[tokio::test]
async fn a_sink_that_panics_loses_that_event_and_nothing_else() {
    let sink = Arc::new(PanicsAt(2, RecordingSink::new()));
    let registry = Registry::in_memory().events(sink.clone()).open().await.unwrap();
    for (at, seq) in [("app@1.0.0", 1), ("app@2.0.0", 2), ("app@3.0.0", 3)] {
        assert_eq!(put(&registry, at, at).await, seq);
    }
    assert_eq!(sink.1.events().iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(kind(registry.close().await), None);
}

#[tokio::test]
async fn a_sink_that_panics_takes_no_answer_from_whoever_caused_the_event() {
    let sink = Arc::new(PanicsAt(1, RecordingSink::new()));
    let registry = Registry::in_memory().events(sink.clone()).inspect(Arc::new(NoBad)).open().await.unwrap();
    for _ in 0..2 {
        let refused = registry.publish(Draft::new(&name("app"), "bad"), &version("1.0.0")).await;
        assert_eq!(kind(refused), Some(ErrorKind::Denied));
    }
    assert_eq!(registry.activity().refused, 2);
    assert_eq!(sink.1.events().iter().map(|event| event.seq).collect::<Vec<_>>(), [2]);
}

/// Panics once it is told to.
struct PanickingClock(std::sync::atomic::AtomicBool);

impl Clock for PanickingClock {
    fn now(&self) -> Timestamp {
        assert!(!self.0.load(std::sync::atomic::Ordering::SeqCst), "the clock panics");
        Timestamp::UNIX_EPOCH
    }

    fn monotonic(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

#[tokio::test]
async fn a_panic_in_what_the_host_lends_stops_the_writer_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(PanickingClock(false.into()));
    let registry = Registry::local(folder.path()).clock(clock.clone()).open().await.unwrap();
    put(&registry, "app@1.0.0", "x").await;
    clock.0.store(true, std::sync::atomic::Ordering::SeqCst);
    drop(registry.publish(Draft::new(&name("app"), "y"), &version("2.0.0")).await.unwrap_err());
    match registry.publish(Draft::new(&name("app"), "z"), &version("3.0.0")).await {
        Err(RegistryError::WriterStopped { reason, .. }) => {
            assert_eq!(reason, "something that the host has lent panicked during a commit");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(kind(registry.close().await), Some(ErrorKind::Unavailable));
    let registry = Registry::open(folder.path()).await.unwrap();
    assert_eq!(resolved(&registry, "app", Select::latest()).await, Ok("1.0.0".to_owned()));
    assert_sound(&registry).await;
}
