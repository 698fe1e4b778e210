//! What hosts export.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::{Candidate, Inspect, ManualClock, SeamError, Timestamp, Verdict};
use mcp_registry::{Draft, Expect, Registry, Select, Settings};

use crate::{name, put, version};

/// Refuses what begins with `bad`; each look takes 3 ms by the lent clock.
struct NoBad(Arc<ManualClock>);

#[async_trait]
impl Inspect for NoBad {
    async fn inspect(&self, candidate: &Candidate) -> Result<Verdict, SeamError> {
        self.0.advance(Duration::from_millis(3));
        let refused = candidate.bytes.starts_with(b"bad");
        Ok(if refused { Verdict::refused(Vec::new()) } else { Verdict::of(Vec::new()) })
    }
}

#[tokio::test]
async fn each_outcome_is_counted_once_and_times_come_from_the_lent_clock() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
    let inspect = Arc::new(NoBad(Arc::clone(&clock)));
    let registry = Registry::local(folder.path()).clock(clock).inspect(inspect).open().await.unwrap();
    let app = name("app");
    put(&registry, "app@1.0.0", "one").await;
    put(&registry, "app@1.0.0", "one").await;
    put(&registry, "b@1.0.0", "one").await;
    for (at, text) in [("1.0.0", "two"), ("9.0.0", "bad")] {
        drop(registry.publish(Draft::new(&app, text), &version(at)).await.unwrap_err());
    }
    registry.yank(&name("b"), &version("1.0.0"), "r").await.unwrap();
    drop(registry.set_channel(&app, "beta", &version("7.0.0"), Expect::Any).await.unwrap_err());
    registry.get(&app, Select::latest()).await.unwrap();
    registry.get_range(&app, Select::latest(), 1..2).await.unwrap();
    registry.resolve(&app, Select::latest()).await.unwrap();
    drop(registry.resolve(&name("none"), Select::latest()).await.unwrap_err());
    registry.search("app").await.unwrap();
    let stats = registry.stats().await.unwrap();
    assert_eq!((stats.versions, stats.blobs), (2, 1));
    let done = stats.activity;
    assert_eq!(
        (done.created, done.repeated, done.deduplicated, done.refused, done.conflicts, done.failed),
        (2, 1, 1, 1, 1, 0)
    );
    assert_eq!((done.bytes_in, done.reads, done.bytes_out, done.resolves), (6, 2, 6, 4));
    assert_eq!((done.corrupt_reads, done.requests_in_flight, done.bytes_in_flight), (0, 0, 0));
    assert_eq!((done.publish_us.count, done.publish_us.sum), (5, 5 * 3000));
    assert_eq!(done.publish_us.quantile(0.5), Some(3071));
    assert_eq!((done.batch.count, done.batch.sum), (6, 6), "one command in each commit");
    assert_eq!((done.commit_us.count, done.search_us.count, done.wait_us.count), (6, 1, 0));
    let pack = fs::read_dir(folder.path().join("packs")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&pack).unwrap();
    bytes.iter_mut().skip(40).for_each(|byte| *byte ^= 1);
    fs::write(&pack, bytes).unwrap();
    drop(registry.get(&app, Select::exact("1.0.0")).await.unwrap_err());
    let activity = registry.activity();
    assert_eq!((activity.corrupt_reads, activity.reads), (1, 2));
    registry.resolve(&app, Select::exact("1.0.0")).await.unwrap();
    registry.resolve(&app, Select::exact("1.0.0")).await.unwrap();
    let again = registry.activity();
    assert!(again.cache_hits > activity.cache_hits && again.cache_hits < again.resolves, "{again:?}");
    let json = serde_json::to_value(&activity).unwrap();
    assert_eq!(json["publish_us"]["buckets"][0], serde_json::json!({"up_to": 3071, "count": 5}));
}

#[tokio::test]
async fn those_who_wait_for_room_are_counted_and_what_is_in_flight_is_given_back() {
    let settings = Settings {
        max_artifact_bytes: 4096,
        max_metadata_bytes: 1024,
        max_bytes_in_flight: 5120,
        max_requests_in_flight: 1,
        ..Settings::default()
    };
    let registry = Registry::in_memory().settings(settings).open().await.unwrap();
    let drafts = (0..100_u64)
        .map(|n| (Draft::new(&name("app"), format!("{n:04}").repeat(1000)), mcp_core::Version::new(n, 0, 0)));
    assert!(registry.publish_many(drafts).await.iter().all(Result::is_ok));
    let done = registry.activity();
    assert!(done.wait_us.count > 0, "{done:?}");
    assert_eq!((done.created, done.publish_us.count, done.batch.sum), (100, 100, 100));
    // The committer gives back what the last command reserved when it has dropped it, which may be after its answer.
    while registry.activity().bytes_in_flight > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(registry.activity().requests_in_flight, 0);
}
