//! A registry that was written once and must always open: `testdata/format/v1`.
//!
//! `MCP_WRITE_TESTDATA=1` writes it anew, for a format that was never released.
#![expect(clippy::disallowed_methods, reason = "the environment says whether the data is to be written")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use mcp_core::{Artifact, ManualClock, Pin as _, SequentialIds, Timestamp};
use mcp_registry::{Bump, DependencyKind, Draft, Expect, LabelChange, Registry, Select, Settings};

use crate::opening::copy_folder;
use crate::{assert_sound, name, put, text, version};

const ROWS: u64 = 13;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/format/v1")
}

/// More than a chunk of one kind: some that become smaller, and one that does not.
fn large() -> Vec<Bytes> {
    let noise =
        (0_u64..4096).flat_map(|n| *mcp_core::Digest::of(&n.to_le_bytes()).as_bytes()).collect::<Vec<u8>>();
    let mut parts = vec![Bytes::from("many equal words, ".repeat(60_000)); 5];
    parts.push(noise.into());
    parts
}

async fn write() {
    let folder = folder();
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    let settings = Settings { pack_bytes: 1000, ..Settings::default() };
    let open = |ids: u64| {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_790_000_000_000_000)));
        let ids = Arc::new(SequentialIds::starting_at(ids));
        Registry::local(&folder)
            .settings(settings.clone())
            .clock(clock)
            .ids(ids)
            .holder("the first format")
            .open()
    };
    let (app, lib) = (name("app"), name("lib/core"));
    let registry = open(1).await.unwrap();
    put(&registry, "lib/core@1.0.0-rc.1", "the first words").await;
    let draft = Draft::new(&app, "app ".repeat(300))
        .media_type("text/plain")
        .request_id("r-1")
        .description("What it is")
        .authors(["ada"])
        .license("MIT")
        .tag("docs")
        .label("team", "blue")
        .dependency("lib/core", "^1.0", DependencyKind::Runtime)
        .extra(serde_json::json!({"b": [1, null], "a": "x"}));
    registry.publish(draft, &version("1.0.0")).await.unwrap();
    put(&registry, "lib/core@1.0.0", &"app ".repeat(300)).await;
    registry.close().await.unwrap();
    let registry = open(2).await.unwrap();
    let stream = stream::iter(large().into_iter().map(Ok)).boxed();
    registry.publish(Draft::stream(&app, stream), &version("2.0.0+linux")).await.unwrap();
    registry.publish_next(Draft::new(&app, "three"), Bump::Minor).await.unwrap();
    registry.set_channel(&app, "stable", &version("1.0.0"), Expect::Absent).await.unwrap();
    registry.set_channel(&app, "stable", &version("2.0.0"), Expect::Any).await.unwrap();
    registry.set_channel(&app, "old", &version("1.0.0"), Expect::Absent).await.unwrap();
    registry.remove_channel(&app, "old", Expect::Any).await.unwrap();
    registry.yank(&app, &version("2.1.0"), "too early").await.unwrap();
    registry.set_labels(&app, &version("1.0.0"), LabelChange::new().set("team", "red")).await.unwrap();
    registry.deprecate(&lib, &version("1.0.0"), "use 2").await.unwrap();
    let kept = registry.resolve(&app, Select::exact("1.0.0")).await.unwrap();
    let holder = "prod".parse().unwrap();
    registry.pin(&holder, &[Artifact::new(kept.artifact, kept.digest)], None).await.unwrap();
    registry.close().await.unwrap();
}

#[tokio::test]
async fn a_registry_of_the_first_format_opens_and_says_what_it_said() {
    if std::env::var_os("MCP_WRITE_TESTDATA").is_some() {
        write().await;
    }
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&folder(), copy.path());
    let (app, lib) = (name("app"), name("lib/core"));
    for writes in [false, true] {
        let registry = if writes {
            Registry::open(copy.path()).await.unwrap()
        } else {
            Registry::open_read_only(copy.path()).await.unwrap()
        };
        assert_sound(&registry).await;
        assert_eq!(registry.changes(0, 100).await.unwrap().len() as u64, ROWS);
        let first = registry.resolve(&app, Select::exact("1.0.0")).await.unwrap();
        assert_eq!(
            serde_json::to_string(&first.metadata).unwrap(),
            r#"{"description":"What it is","authors":["ada"],"license":"MIT","tags":["docs"],"labels":{"team":"blue"},"dependencies":[{"name":"lib/core","requirement":"^1.0","kind":"runtime"}],"extra":{"a":"x","b":[1,null]}}"#
        );
        assert_eq!(first.labels.get("team").map(String::as_str), Some("red"));
        assert_eq!(first.published_at, Timestamp::from_micros(1_790_000_000_000_000));
        assert_eq!(text(&registry, "app", Select::exact("1.0.0")).await, Ok("app ".repeat(300)));
        let stable = registry.get(&app, Select::channel("stable")).await.unwrap();
        assert_eq!(stable.entry.artifact.to_string(), "app@2.0.0+linux");
        assert_eq!(stable.bytes, large().concat());
        let part = registry.get_range(&app, Select::latest(), 5_400_000..5_400_020).await.unwrap();
        assert_eq!(part.bytes, large().concat()[5_400_000..5_400_020]);
        let early = registry.resolve(&app, Select::exact("2.1.0")).await.unwrap();
        assert_eq!(early.yanked.as_deref(), Some("too early"));
        let core = registry.resolve(&lib, Select::requirement("^1")).await.unwrap();
        assert_eq!((core.digest, core.deprecated.as_deref()), (first.digest, Some("use 2")));
        assert_eq!(registry.pins().await.unwrap()[0].artifact.reference.to_string(), "app@1.0.0");
        assert_eq!(registry.search("what").await.unwrap().total, 0, "only the latest version's words count");
        if writes {
            put(&registry, "app@3.0.0", "it goes on").await;
            assert_sound(&registry).await;
        }
        registry.close().await.unwrap();
    }
}
