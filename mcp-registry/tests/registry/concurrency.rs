use std::collections::BTreeSet;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::join_all;
use mcp_core::ErrorKind;
use mcp_registry::{Bump, Draft, Expect, Registry, RegistryError, Select, Settings};

use crate::{assert_sound, kind, name, put, resolved, text, version};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_publishers_of_one_name_get_numbers_without_gaps_or_duplicates() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    let publishers = (0..100_u64).map(|n| {
        let registry = registry.clone();
        tokio::spawn(async move {
            let draft = Draft::new(&name("app"), format!("body {n}")).request_id(&*format!("r{n}"));
            registry.publish_next(draft, Bump::Patch).await.unwrap().artifact.version.patch()
        })
    });
    let given: BTreeSet<u64> = join_all(publishers).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(given, (0..100).collect());
    let versions = registry.versions(&name("app"), None, 1000).await.unwrap();
    assert_eq!(versions.len(), 100);
    assert_sound(&registry).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_publishers_of_one_version_one_wins_and_the_others_learn_its_digest() {
    let registry = Registry::in_memory().open().await.unwrap();
    let publishers = (0..50_u64).map(|n| {
        let registry = registry.clone();
        tokio::spawn(async move {
            let draft = Draft::new(&name("app"), format!("body {}", n % 5));
            registry.publish(draft, &version("1.0.0")).await.map_err(|error| error.kind())
        })
    });
    let outcomes: Vec<_> = join_all(publishers).await.into_iter().map(Result::unwrap).collect();
    let winner = registry.resolve(&name("app"), Select::exact("1.0.0")).await.unwrap();
    let same = outcomes.iter().flatten().filter(|published| published.digest == winner.digest).count();
    let created = outcomes.iter().flatten().filter(|published| published.created).count();
    let conflicts = outcomes.iter().filter(|outcome| **outcome == Err(ErrorKind::Conflict)).count();
    assert_eq!((same, created, conflicts), (10, 1, 40));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_channel_swaps_from_one_version_one_wins() {
    let registry = Registry::in_memory().open().await.unwrap();
    for patch in 0..20 {
        put(&registry, &format!("app@1.0.{patch}"), "x").await;
    }
    let swaps = (0..20).map(|patch| {
        let registry = registry.clone();
        let to = mcp_core::Version::new(1, 0, patch);
        tokio::spawn(async move { registry.set_channel(&name("app"), "stable", &to, Expect::Absent).await })
    });
    let outcomes: Vec<_> = join_all(swaps).await.into_iter().map(Result::unwrap).collect();
    let winners: Vec<usize> =
        outcomes.iter().enumerate().filter(|(_, o)| o.is_ok()).map(|(n, _)| n).collect();
    assert_eq!(winners.len(), 1);
    let expected = format!("1.0.{}", winners[0]);
    assert_eq!(resolved(&registry, "app", Select::channel("stable")).await, Ok(expected));
}

#[tokio::test]
async fn invariant_11_a_dropped_publish_happened_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    let big = "big ".repeat(50_000);
    for n in 0..40_u64 {
        let body = if n % 2 == 0 { format!("{n}") } else { format!("{n}{big}") };
        let v = mcp_core::Version::new(n, 0, 0);
        let mut publish = Box::pin(registry.publish(Draft::new(&name("app"), body), &v));
        // Dropped after n polls: before, while and after it is handed over.
        for _ in 0..n % 5 {
            let _finished = publish.as_mut().now_or_never().is_some_and(|outcome| outcome.is_ok());
            if _finished {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    put(&registry, "last@1.0.0", "x").await;
    for entry in registry.versions(&name("app"), None, 100).await.unwrap() {
        let n = entry.artifact.version.major();
        let expected = if n.is_multiple_of(2) { format!("{n}") } else { format!("{n}{big}") };
        let v = entry.artifact.version;
        assert_eq!(text(&registry, "app", Select::exact(v)).await, Ok(expected));
    }
    assert_sound(&registry).await;
    registry.close().await.unwrap();
}

#[tokio::test]
async fn a_tiny_budget_makes_publishers_wait_and_loses_none() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        max_artifact_bytes: 4096,
        max_metadata_bytes: 1024,
        max_bytes_in_flight: 5120,
        max_requests_in_flight: 1,
        pack_bytes: 10_000,
        ..Settings::default()
    };
    let registry = Registry::local(folder.path()).settings(settings).open().await.unwrap();
    let drafts = (0..200_u64).map(|n| {
        let body = format!("{n:04}").repeat(250);
        (Draft::new(&name("app"), body), mcp_core::Version::new(1, 0, n))
    });
    let outcomes = registry.publish_many(drafts).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 200);
    // Small packs: many were sealed, and all of them verify.
    let packs = std::fs::read_dir(folder.path().join("packs")).unwrap().count();
    assert!(packs >= 10, "{packs} packs");
    assert_sound(&registry).await;
    registry.close().await.unwrap();
}

#[tokio::test]
async fn a_handle_acts_under_its_own_name_and_closes_with_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    let other = registry.acting_as("alice".parse().unwrap());
    put(&other, "app@1.0.0", "x").await;
    registry.close().await.unwrap();
    registry.close().await.unwrap();
    let write = other.publish(Draft::new(&name("app"), "y"), &version("2.0.0")).await;
    assert_eq!(kind(write), Some(ErrorKind::Unavailable));
    assert_eq!(resolved(&other, "app", Select::latest()).await, Err(ErrorKind::Unavailable));
    let again = Registry::open(folder.path()).await.unwrap();
    assert_eq!(again.changes(0, 1).await.unwrap()[0].actor.as_str(), "alice");
}

#[tokio::test]
async fn a_dropped_close_gives_the_folder_back_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    put(&registry, "app@1.0.0", "x").await;
    assert!(registry.close().now_or_never().is_none());
    // The lock is the only sign that it is over.
    while matches!(Registry::open(folder.path()).await, Err(RegistryError::Locked { .. })) {
        tokio::task::yield_now().await;
    }
    let again = Registry::open_read_only(folder.path()).await.unwrap();
    assert_eq!(text(&again, "app", Select::latest()).await, Ok("x".to_owned()));
}

#[tokio::test]
async fn storage_that_cannot_append_gets_one_pack_for_each_commit() {
    let storage = mcp_registry::MemoryStorage::new();
    let registry = Registry::builder(Arc::new(storage.clone())).open().await.unwrap();
    for n in 0..3 {
        put(&registry, &format!("app@{n}.0.0"), &n.to_string()).await;
    }
    put(&registry, "app@9.0.0", "0").await;
    let packs = mcp_registry::StorageBackend::list(&storage, "packs/").await.unwrap();
    let keys: Vec<&str> = packs.iter().map(|stat| stat.key.as_str()).collect();
    let expected: Vec<String> = (1..=3).map(|n| format!("packs/0000000001-{n:010}")).collect();
    assert_eq!(keys, expected);
    assert_sound(&registry).await;
}
