use std::sync::Arc;
use std::time::Duration;

use mcp_core::{
    Artifact, ArtifactRef, Digest, ErrorKind, Fetch, Holder, ManualClock, Pin, SequentialIds, Timestamp,
};
use mcp_registry::{
    Bump, ChangeRow, Draft, Expect, Registry, RegistryChange, RegistryError, Select, genesis,
};

use crate::{assert_sound, in_memory, kind, name, put, resolved, text, version};

#[tokio::test]
async fn selections_mean_what_they_say() {
    let registry = in_memory().await;
    for v in ["1.0.0", "1.2.0", "1.10.0", "2.0.0-rc.1", "2.0.0-rc.2", "0.9.0"] {
        put(&registry, &format!("app@{v}"), v).await;
    }
    registry.yank(&name("app"), &version("1.10.0"), "broken").await.unwrap();
    let digest = Digest::of(b"1.0.0");
    let cases = [
        (Select::latest(), Ok("1.2.0")),
        (Select::latest_with_pre_releases(), Ok("2.0.0-rc.2")),
        (Select::exact("1.10.0"), Ok("1.10.0")),
        (Select::exact("1.0.0+any"), Ok("1.0.0")),
        (Select::exact("1.1.0"), Err(ErrorKind::NotFound)),
        (Select::requirement("^1"), Ok("1.2.0")),
        (Select::requirement("<1"), Ok("0.9.0")),
        (Select::requirement(">=2.0.0-rc.1, <2.0.0-rc.2"), Ok("2.0.0-rc.1")),
        (Select::requirement("^2"), Err(ErrorKind::NotFound)),
        (Select::requirement("1 || 2"), Err(ErrorKind::Invalid)),
        (Select::digest(digest), Ok("1.0.0")),
        (Select::digest(Digest::of(b"?")), Err(ErrorKind::NotFound)),
        (Select::channel("stable"), Err(ErrorKind::NotFound)),
        (Select::channel("../x"), Err(ErrorKind::Invalid)),
    ];
    for (select, expected) in cases {
        let shown = format!("{select:?}");
        assert_eq!(resolved(&registry, "app", select).await, expected.map(str::to_owned), "{shown}");
    }
    let entry = registry.resolve(&name("app"), Select::exact("1.10.0")).await.unwrap();
    assert_eq!(entry.yanked.as_deref(), Some("broken"));
    registry.unyank(&name("app"), &version("1.10.0"), "mended").await.unwrap();
    assert_eq!(resolved(&registry, "app", Select::latest()).await, Ok("1.10.0".to_owned()));
    assert_sound(&registry).await;
}

#[tokio::test]
async fn a_refusal_says_what_there_is_instead() {
    let registry = in_memory().await;
    put(&registry, "pre@1.0.0-rc.1", "x").await;
    put(&registry, "gone@1.0.0", "x").await;
    registry.yank(&name("gone"), &version("1.0.0"), "r").await.unwrap();
    for (of, expected) in [
        ("none", "find the latest version of none: nothing was published under this name"),
        ("pre", "find the latest version of pre: it has pre-releases only; ask for them"),
        ("gone", "find the latest version of gone: all its versions are yanked"),
    ] {
        let error = registry.resolve(&name(of), Select::latest()).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::NotFound, expected));
    }
}

#[tokio::test]
async fn of_versions_with_one_digest_the_last_live_one_is_meant() {
    let registry = in_memory().await;
    for at in ["a@1.0.0", "a@2.0.0", "a@1.5.0", "b@9.0.0"] {
        put(&registry, at, "same").await;
    }
    let select = || Select::digest(Digest::of(b"same"));
    assert_eq!(resolved(&registry, "a", select()).await, Ok("1.5.0".to_owned()));
    registry.yank(&name("a"), &version("1.5.0"), "r").await.unwrap();
    assert_eq!(resolved(&registry, "a", select()).await, Ok("2.0.0".to_owned()));
}

#[tokio::test]
async fn numbers_that_were_ever_taken_are_skipped() {
    let registry = in_memory().await;
    let app = name("app");
    let mut given = Vec::new();
    let bumps = [
        (Bump::Minor, None),
        (Bump::Patch, Some("0.1.1")),
        (Bump::Patch, None),
        (Bump::Major, None),
        (Bump::Pre("rc".into()), None),
        (Bump::Pre("rc".into()), Some("1.0.1-rc.2")),
        (Bump::Pre("rc".into()), None),
        (Bump::Pre("beta".into()), None),
        (Bump::Patch, None),
        (Bump::Pre("rc".into()), None),
    ];
    for (n, (bump, yanked)) in bumps.into_iter().enumerate() {
        let published = registry.publish_next(Draft::new(&app, n.to_string()), bump).await.unwrap();
        given.push(published.artifact.version.to_string());
        if let Some(yanked) = yanked {
            registry.yank(&app, &version(yanked), "r").await.unwrap();
        }
    }
    let expected = [
        "0.1.0",
        "0.1.1",
        "0.1.2",
        "1.0.0",
        "1.0.1-rc.1",
        "1.0.1-rc.2",
        "1.0.1-rc.3",
        "1.0.1-beta.1",
        "1.0.1",
        "1.0.2-rc.1",
    ];
    assert_eq!(given, expected);
}

#[tokio::test]
async fn a_channel_moves_only_from_where_it_is_expected() {
    let registry = in_memory().await;
    let app = name("app");
    for v in ["1.0.0", "2.0.0", "3.0.0"] {
        put(&registry, &format!("app@{v}"), v).await;
    }
    let set = |to: &str, expect: Expect| {
        let (registry, app, to) = (registry.clone(), app.clone(), version(to));
        async move { registry.set_channel(&app, "stable", &to, expect).await }
    };
    assert_eq!(kind(set("1.0.0", Expect::At(version("2.0.0"))).await), Some(ErrorKind::Conflict));
    set("1.0.0", Expect::Absent).await.unwrap();
    match set("2.0.0", Expect::Absent).await {
        Err(RegistryError::ChannelElsewhere { current, .. }) => assert_eq!(current, Some(version("1.0.0"))),
        other => panic!("{other:?}"),
    }
    set("2.0.0", Expect::At(version("1.0.0"))).await.unwrap();
    set("2.0.0", Expect::Any).await.unwrap();
    assert_eq!(text(&registry, "app", Select::channel("stable")).await, Ok("2.0.0".to_owned()));
    assert_eq!(kind(set("9.0.0", Expect::Any).await), Some(ErrorKind::NotFound));
    registry.yank(&app, &version("3.0.0"), "r").await.unwrap();
    assert_eq!(kind(set("3.0.0", Expect::Any).await), Some(ErrorKind::Conflict));
    let bad = registry.set_channel(&app, "No Channel", &version("1.0.0"), Expect::Any).await;
    assert_eq!(kind(bad), Some(ErrorKind::Invalid));
    let moves: Vec<(Option<String>, String)> = registry
        .changes(0, 100)
        .await
        .unwrap()
        .into_iter()
        .filter_map(|row| match row.change {
            RegistryChange::ChannelMoved { from, to, .. } => {
                Some((from.map(|v| v.to_string()), to.to_string()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(moves, [(None, "1.0.0".to_owned()), (Some("1.0.0".to_owned()), "2.0.0".to_owned())]);
    assert_sound(&registry).await;
}

#[tokio::test]
async fn pins_are_all_or_none_and_expire_by_the_lent_clock() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_000_000)));
    let registry = Registry::in_memory().clock(clock.clone()).open().await.unwrap();
    put(&registry, "a@1.0.0", "a").await;
    put(&registry, "b@1.0.0", "b").await;
    let artifact = |of: &str, bytes: &[u8]| {
        Artifact::new(ArtifactRef::new(name(of), version("1.0.0")), Digest::of(bytes))
    };
    let holder: Holder = "promotion/1".parse().unwrap();
    let none = registry.pin(&holder, &[artifact("a", b"a"), artifact("c", b"c")], None).await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NotFound);
    let other = registry.pin(&holder, &[artifact("a", b"a"), artifact("b", b"?")], None).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Conflict);
    assert_eq!(registry.pins().await.unwrap(), []);
    let until = Timestamp::from_micros(3_000_000);
    registry.pin(&holder, &[artifact("a", b"a")], Some(until)).await.unwrap();
    registry.pin(&holder, &[artifact("b", b"b")], None).await.unwrap();
    let before = registry.changes(0, 100).await.unwrap().len();
    registry.pin(&holder, &[artifact("b", b"b")], None).await.unwrap();
    assert_eq!(registry.changes(0, 100).await.unwrap().len(), before, "the same pin again records nothing");
    let held = |pins: Vec<mcp_registry::Pinned>| {
        pins.into_iter().map(|pin| (pin.artifact.reference.to_string(), pin.expires)).collect::<Vec<_>>()
    };
    let both = [("a@1.0.0".to_owned(), Some(until)), ("b@1.0.0".to_owned(), None)];
    assert_eq!(held(registry.pins().await.unwrap()), both);
    clock.advance(Duration::from_secs(2));
    assert_eq!(held(registry.pins().await.unwrap()), both[1..]);
    registry.release(&holder).await.unwrap();
    registry.release(&holder).await.unwrap();
    assert_eq!(registry.pins().await.unwrap(), []);
    assert_sound(&registry).await;
}

#[tokio::test]
async fn fetch_gives_verified_bytes_up_to_a_limit() {
    let registry = in_memory().await;
    put(&registry, "app@1.0.0", "12345").await;
    let reference = ArtifactRef::new(name("app"), version("1.0.0"));
    let fetched = registry.fetch(&reference, 5).await.unwrap();
    assert_eq!((&fetched.bytes[..], fetched.digest), (&b"12345"[..], Digest::of(b"12345")));
    assert_eq!(registry.fetch(&reference, 4).await.unwrap_err().kind(), ErrorKind::Exhausted);
    let absent = ArtifactRef::new(name("app"), version("2.0.0"));
    assert_eq!(registry.fetch(&absent, 5).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn invariant_4_the_feed_is_numbered_and_chained_from_its_genesis() {
    let ids = Arc::new(SequentialIds::starting_at(5));
    let registry = Registry::in_memory().ids(ids).open().await.unwrap();
    for n in 0..5 {
        put(&registry, &format!("app@{n}.0.0"), &n.to_string()).await;
    }
    registry.yank(&name("app"), &version("3.0.0"), "r").await.unwrap();
    let rows = registry.changes(0, 100).await.unwrap();
    let mut chain = genesis(mcp_core::Id::from_u128(5));
    for (row, seq) in rows.iter().zip(1..) {
        assert_eq!(row.seq, seq);
        assert!(row.follows(&chain), "row {seq}");
        chain = row.chain;
    }
    assert!(!rows[3].follows(&rows[1].chain));
    let seqs = |rows: Vec<ChangeRow>| rows.iter().map(|row| row.seq).collect::<Vec<_>>();
    assert_eq!(seqs(registry.changes(3, 2).await.unwrap()), [4, 5]);
    assert_eq!(seqs(registry.changes(u64::MAX, 2).await.unwrap()), [0_u64; 0]);
}

#[tokio::test]
async fn listings_are_in_order_and_go_on_where_they_stopped() {
    let registry = in_memory().await;
    for at in ["b.x@1.0.0", "a@1.0.0", "b@1.0.0", "b@1.1.0-rc.1", "b@0.5.0", "bc@1.0.0", "c@1.0.0"] {
        put(&registry, at, at).await;
    }
    registry.yank(&name("b"), &version("0.5.0"), "r").await.unwrap();
    let shown = |names: Vec<mcp_core::Name>| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown(registry.names("", None, 100).await.unwrap()), ["a", "b", "b.x", "bc", "c"]);
    assert_eq!(shown(registry.names("b", None, 2).await.unwrap()), ["b", "b.x"]);
    assert_eq!(shown(registry.names("b", Some(&name("b.x")), 2).await.unwrap()), ["bc"]);
    assert_eq!(shown(registry.names("'; DROP TABLE row; --", None, 2).await.unwrap()), [""; 0]);
    let versions = |entries: Vec<mcp_registry::Entry>| {
        entries.iter().map(|entry| entry.artifact.version.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        versions(registry.versions(&name("b"), None, 10).await.unwrap()),
        ["1.1.0-rc.1", "1.0.0", "0.5.0"]
    );
    let below = version("1.0.0");
    assert_eq!(versions(registry.versions(&name("b"), Some(&below), 1).await.unwrap()), ["0.5.0"]);
}

#[tokio::test]
async fn a_channel_that_is_where_it_shall_go_stays_whatever_was_expected() {
    let registry = in_memory().await;
    let app = name("app");
    put(&registry, "app@1.0.0", "x").await;
    put(&registry, "app@2.0.0", "y").await;
    let set = |to: &'static str, expect: Expect| {
        let (registry, app) = (registry.clone(), app.clone());
        async move { registry.set_channel(&app, "stable", &version(to), expect).await }
    };
    // As whoever has not heard an answer calls again.
    for _ in 0..2 {
        set("1.0.0", Expect::Absent).await.unwrap();
    }
    for _ in 0..2 {
        set("2.0.0", Expect::At(version("1.0.0"))).await.unwrap();
    }
    assert_eq!(kind(set("1.0.0", Expect::Absent).await), Some(ErrorKind::Conflict));
    assert_eq!(registry.changes(0, 100).await.unwrap().len(), 4, "two publishes and two moves");
}
