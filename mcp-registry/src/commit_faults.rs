//! A catalog whose k-th commit fails, for every k of a scenario: before it is durable, or after, with its answer lost.

use std::path::Path;

use futures::StreamExt as _;
use mcp_core::{ErrorKind, Name, RequestId, Version};

use crate::catalog::CommitFault;
use crate::{Bump, Draft, Expect, LabelChange, Registry, RegistryChange, RegistryError, Select, Settings};

#[derive(Clone, Copy, Debug)]
enum Step {
    Publish(u64),
    Stream(u64),
    Next,
    Yank(u64),
    Unyank(u64),
    Move(u64),
    Remove(u64),
    Label(u64),
    Deprecate(u64),
}

const SCENARIO: [Step; 13] = [
    Step::Publish(1),
    Step::Publish(2),
    Step::Move(1),
    Step::Next,
    Step::Label(1),
    Step::Yank(2),
    Step::Stream(3),
    Step::Move(3),
    Step::Unyank(2),
    Step::Next,
    Step::Deprecate(2),
    Step::Remove(3),
    Step::Publish(9),
];

fn name() -> Name {
    "app".parse().expect("a name")
}

fn version(major: u64) -> Version {
    Version::new(major, 0, 0)
}

fn body(of: &str) -> String {
    format!("the body of {of}, ").repeat(20)
}

async fn perform(registry: &Registry, place: usize, step: Step) -> Result<(), RegistryError> {
    let id: RequestId = format!("step-{place}").parse().expect("a request id");
    let (name, text) = (name(), body(&place.to_string()));
    let registry = registry.with_request_id(id.clone());
    match step {
        Step::Publish(major) => {
            registry.publish(Draft::new(&name, text).request_id(id), &version(major)).await.map(drop)
        }
        Step::Stream(major) => {
            // More than two chunks: a pack of its own.
            let parts = (0..4).map(move |part| Ok(body(&part.to_string()).repeat(3000).into()));
            let draft = Draft::stream(&name, futures::stream::iter(parts).boxed()).request_id(id);
            registry.publish(draft, &version(major)).await.map(drop)
        }
        Step::Next => {
            registry.publish_next(Draft::new(&name, text).request_id(id), Bump::Minor).await.map(drop)
        }
        Step::Yank(major) => registry.yank(&name, &version(major), "withdrawn").await,
        Step::Unyank(major) => registry.unyank(&name, &version(major), "mended").await,
        Step::Move(major) => registry.set_channel(&name, "stable", &version(major), Expect::Any).await,
        Step::Remove(major) => registry.remove_channel(&name, "stable", Expect::At(version(major))).await,
        Step::Label(major) => {
            registry.set_labels(&name, &version(major), LabelChange::new().set("k", "v")).await.map(drop)
        }
        Step::Deprecate(major) => registry.deprecate(&name, &version(major), "use 3").await,
    }
}

async fn open(folder: &Path, fault: Option<CommitFault>) -> Registry {
    // Packs are sealed in between, with rows of their own.
    let settings = Settings { pack_bytes: 1500, ..Settings::default() };
    let mut builder = Registry::local(folder).settings(settings);
    builder.catalog_fault = fault;
    builder.open().await.expect("opened")
}

/// Everything that was recorded, in its order, and the bytes of each version.
async fn state(registry: &Registry) -> (Vec<(u64, RegistryChange)>, Vec<(Version, bool, usize)>) {
    let feed = registry.changes(0, 1000).await.expect("the feed");
    let changes = feed.into_iter().map(|row| (row.seq, row.change)).collect();
    let mut versions = Vec::new();
    for entry in registry.versions(&name(), None, 100).await.expect("versions") {
        let at = entry.artifact.version;
        let content = registry.get(&name(), Select::exact(at.clone())).await.expect("its bytes");
        versions.push((at, entry.yanked.is_some(), content.bytes.len()));
    }
    assert_eq!(registry.verify().await.expect("verified").faults, []);
    (changes, versions)
}

/// Performs the scenario from `from` on; gives how many steps of it are acknowledged in the end.
async fn perform_from(registry: &Registry, from: usize) -> usize {
    for (place, step) in SCENARIO.into_iter().enumerate().skip(from) {
        if let Err(error) = perform(registry, place, step).await {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{step:?}: {error}");
            return place;
        }
    }
    SCENARIO.len()
}

#[tokio::test]
async fn invariants_1_2_4_and_11_whichever_commit_fails_a_retry_ends_as_if_none_had() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = open(folder.path(), None).await;
    assert_eq!(perform_from(&registry, 0).await, SCENARIO.len());
    let expected = state(&registry).await;
    registry.close().await.expect("closed");
    for after in [false, true] {
        let mut failed = 0_usize;
        for at in 1..=SCENARIO.len() as u64 + 1 {
            let context = format!("commit {at} failed {}", if after { "after" } else { "before" });
            let folder = tempfile::tempdir().expect("a folder");
            let registry = open(folder.path(), Some(CommitFault { at, after })).await;
            let acknowledged = perform_from(&registry, 0).await;
            let before = if acknowledged < SCENARIO.len() {
                failed += 1;
                // A failed commit is never retried: nothing is written any more, and what was acknowledged can be read.
                for (place, step) in SCENARIO.into_iter().enumerate().skip(acknowledged) {
                    let kind = perform(&registry, place, step).await.map_err(|error| error.kind());
                    assert_eq!(kind, Err(ErrorKind::Unavailable), "{context}: {step:?}");
                }
                acknowledged
            } else {
                SCENARIO.len()
            };
            let closed = registry.close().await;
            assert_eq!(
                closed.is_err(),
                acknowledged < SCENARIO.len() || at > SCENARIO.len() as u64,
                "{context}"
            );
            let registry = open(folder.path(), None).await;
            let (changes, _) = state(&registry).await;
            let there = before + usize::from(after && before < SCENARIO.len());
            assert_eq!(changes, expected.0.get(..there).expect("a beginning"), "{context}");
            assert_eq!(perform_from(&registry, before).await, SCENARIO.len(), "{context}");
            assert_eq!(state(&registry).await, expected, "{context}");
            registry.close().await.expect("closed");
        }
        assert_eq!(failed, SCENARIO.len(), "each step is a commit");
    }
}
