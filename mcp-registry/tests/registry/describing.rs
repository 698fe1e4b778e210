//! What is said about versions: metadata, labels, deprecations, what depends on what, channels.

use std::collections::BTreeMap;
use std::sync::Arc;

use mcp_core::{ArtifactRef, ErrorKind, Event, RecordingSink, Timestamp};
use mcp_registry::{
    BuildInfo, Dependency, DependencyKind, Dependents, Draft, Expect, LabelChange, Registry, RegistryChange,
    RegistryError, Select, Settings,
};

use crate::{assert_sound, in_memory, kind, name, put, resolved, version};

fn labels<const N: usize>(labels: [(&str, &str); N]) -> BTreeMap<String, String> {
    labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[tokio::test]
async fn dependencies_and_build_come_back_sorted_and_each_once() {
    let registry = in_memory().await;
    let build = BuildInfo::new("812")
        .time(Timestamp::from_micros(5))
        .commit("4f1c0de")
        .branch("main")
        .variable("os", "linux");
    let draft = Draft::new(&name("app"), "x")
        .dependency("zlib", "^1.2", DependencyKind::Runtime)
        .dependency("core", "*", "peer".parse().unwrap())
        .dependency("core", ">=1, <3", DependencyKind::Dev)
        .dependency("zlib", "^1.2", DependencyKind::Runtime)
        .build(build.clone());
    registry.publish(draft, &version("1.0.0")).await.unwrap();
    let entry = registry.resolve(&name("app"), Select::latest()).await.unwrap();
    let shown = |dependency: &Dependency| {
        format!("{} {} {}", dependency.name, dependency.requirement, dependency.kind)
    };
    assert_eq!(
        entry.metadata.dependencies.iter().map(shown).collect::<Vec<_>>(),
        ["core >=1, <3 dev", "core * peer", "zlib ^1.2 runtime"]
    );
    assert_eq!(entry.metadata.build, Some(build));
    assert_sound(&registry).await;
}

#[tokio::test]
async fn a_publish_that_differs_in_build_info_only_is_the_same_and_the_first_build_stays() {
    let registry = in_memory().await;
    let draft = |build: Option<&str>| {
        let draft =
            Draft::new(&name("app"), "x").description("d").dependency("b", "1", DependencyKind::Build);
        build.map_or_else(
            || Draft::new(&name("app"), "x").description("d"),
            |id| draft.build(BuildInfo::new(id)),
        )
    };
    let first = registry.publish(draft(Some("1")), &version("1.0.0")).await.unwrap();
    let again = registry.publish(draft(Some("2")), &version("1.0.0")).await.unwrap();
    assert_eq!((again.created, again.seq), (false, first.seq));
    let other = registry.publish(draft(None), &version("1.0.0")).await;
    assert_eq!(kind(other), Some(ErrorKind::Conflict), "without the dependency it is another");
    let entry = registry.resolve(&name("app"), Select::latest()).await.unwrap();
    assert_eq!(entry.metadata.build.unwrap().id, "1");
    assert_eq!(registry.changes(0, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn each_field_of_metadata_has_a_limit_that_its_refusal_names() {
    let registry = Registry::in_memory()
        .settings(Settings { max_extra_bytes: 20, ..Settings::default() })
        .open()
        .await
        .unwrap();
    let app = name("app");
    let long = |bytes: usize| "d".repeat(bytes);
    let new = || Draft::new(&app, "x");
    let many = |count: usize| (0..count).map(|n| n.to_string());
    let needing = |count: usize| {
        many(count).fold(new(), |draft, n| draft.dependency(n.as_str(), "1", DependencyKind::Dev))
    };
    let exhausted = ErrorKind::Exhausted;
    let cases = [
        (new().description(long(16_385)), exhausted, "16385 is more than 16384, the limit of a description"),
        (new().license(long(256)), exhausted, "256 is more than 255, the limit of a licence"),
        (new().authors([long(256)]), exhausted, "256 is more than 255, the limit of an author"),
        (new().authors(many(257)), exhausted, "257 is more than 256, the limit of authors"),
        (new().tag(long(256)), exhausted, "256 is more than 255, the limit of a tag"),
        (new().tag(""), ErrorKind::Invalid, "use \"\" as tag: it is empty"),
        (new().tag("a\nb"), ErrorKind::Invalid, "use \"a\\nb\" as tag: it has a control character"),
        (many(257).fold(new(), Draft::tag), exhausted, "257 is more than 256, the limit of tags"),
        (new().label("", "x"), ErrorKind::Invalid, "use \"\" as label: it is empty"),
        (new().label(long(256), ""), exhausted, "256 is more than 255, the limit of a label's key"),
        (new().label("k", long(4097)), exhausted, "4097 is more than 4096, the limit of a label's value"),
        (needing(1001), exhausted, "1001 is more than 1000, the limit of dependencies"),
        (new().dependency("../x", "1", DependencyKind::Dev), ErrorKind::Invalid, "read \"../x\" as name"),
        (new().dependency("x", "1 || 2", DependencyKind::Dev), ErrorKind::Invalid, "as version requirement"),
        (
            new().build(BuildInfo::new("1").variable("k", long(1025))),
            exhausted,
            "1025 is more than 1024, the limit of one field",
        ),
        (
            new().extra(serde_json::json!({"k": "0123456789abcd"})),
            exhausted,
            "22 is more than 20, the limit of max_extra_bytes",
        ),
    ];
    for (draft, expected, part) in cases {
        let error = registry.publish(draft, &version("1.0.0")).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    let fits = new().extra(serde_json::json!({"k": "0123456789ab"})).license(long(255)).tag(long(255));
    registry.publish(fits, &version("1.0.0")).await.unwrap();
}

#[tokio::test]
async fn labels_change_and_the_publish_is_still_compared_with_the_first_ones() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    let (app, v) = (name("app"), version("1.0.0"));
    let draft = || Draft::new(&app, "x").label("team", "core").label("draft", "yes");
    registry.publish(draft(), &v).await.unwrap();
    let now = async |registry: &Registry| registry.resolve(&app, Select::latest()).await.unwrap().labels;
    assert_eq!(now(&registry).await, labels([("draft", "yes"), ("team", "core")]));
    registry.set_labels(&app, &v, LabelChange::new().remove("draft").set("tier", "1")).await.unwrap();
    assert_eq!(now(&registry).await, labels([("team", "core"), ("tier", "1")]));
    registry.close().await.unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    let expected = labels([("team", "core"), ("tier", "1")]);
    registry.set_labels(&app, &v, LabelChange::to([("a", "b")]).expecting(&expected)).await.unwrap();
    assert_eq!(now(&registry).await, labels([("a", "b")]));
    match registry.set_labels(&app, &v, LabelChange::new().set("c", "d").expecting(&expected)).await {
        Err(RegistryError::LabelsElsewhere { current, .. }) => assert_eq!(current, labels([("a", "b")])),
        other => panic!("{other:?}"),
    }
    // What is there already is no change, and who repeats an unanswered call need not know of a change in between.
    registry.set_labels(&app, &v, LabelChange::to([("a", "b")]).expecting(&expected)).await.unwrap();
    let again = registry.publish(draft(), &v).await.unwrap();
    assert!(!again.created);
    let relabelled = registry.publish(Draft::new(&app, "x").label("a", "b"), &v).await;
    assert_eq!(kind(relabelled), Some(ErrorKind::Conflict), "initial labels are metadata");
    let entry = registry.resolve(&app, Select::latest()).await.unwrap();
    assert_eq!(entry.metadata.labels, labels([("draft", "yes"), ("team", "core")]));
    let rows = registry.changes(1, 9).await.unwrap();
    let all: Vec<_> = rows
        .into_iter()
        .map(|row| match row.change {
            RegistryChange::LabelsChanged { artifact, labels } => (artifact.to_string(), labels),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(all, [("app@1.0.0".to_owned(), expected), ("app@1.0.0".to_owned(), labels([("a", "b")]))]);
    let none = registry.set_labels(&app, &version("2.0.0"), LabelChange::new()).await;
    assert_eq!(kind(none), Some(ErrorKind::NotFound));
    let bad = registry.set_labels(&app, &v, LabelChange::new().set("", "x")).await;
    assert_eq!(kind(bad), Some(ErrorKind::Invalid));
    let many = (0..300).map(|n| (n.to_string(), ""));
    assert_eq!(kind(registry.set_labels(&app, &v, LabelChange::to(many)).await), Some(ErrorKind::Exhausted));
    assert_sound(&registry).await;
}

#[tokio::test]
async fn a_deprecated_version_is_found_and_says_so_until_that_is_taken_back() {
    let registry = in_memory().await;
    let (app, v) = (name("app"), version("1.0.0"));
    put(&registry, "app@1.0.0+build", "x").await;
    let told = async || registry.resolve(&app, Select::latest()).await.unwrap().deprecated;
    assert_eq!(told().await, None);
    registry.undeprecate(&app, &v, "it is not").await.unwrap();
    registry.deprecate(&app, &v, "use 2.0").await.unwrap();
    registry.deprecate(&app, &v, "use 2.0").await.unwrap();
    assert_eq!(told().await.as_deref(), Some("use 2.0"));
    registry.deprecate(&app, &v, "use 3.0").await.unwrap();
    assert_eq!(told().await.as_deref(), Some("use 3.0"));
    assert_eq!(resolved(&registry, "app", Select::requirement("^1")).await, Ok("1.0.0+build".to_owned()));
    assert_sound(&registry).await;
    registry.undeprecate(&app, &v, "still good").await.unwrap();
    assert_eq!(told().await, None);
    let changes: Vec<_> = registry.changes(1, 9).await.unwrap().into_iter().map(|row| row.change).collect();
    let artifact: ArtifactRef = "app@1.0.0+build".parse().unwrap();
    let deprecated = |message: &str| RegistryChange::Deprecated {
        artifact: artifact.clone(),
        message: message.to_owned(),
    };
    let back = RegistryChange::Undeprecated { artifact: artifact.clone(), reason: "still good".to_owned() };
    assert_eq!(changes, [deprecated("use 2.0"), deprecated("use 3.0"), back]);
    let none = registry.deprecate(&app, &version("9.0.0"), "m").await;
    assert_eq!(kind(none), Some(ErrorKind::NotFound));
    let long = registry.deprecate(&app, &v, "m".repeat(1 << 20)).await;
    assert_eq!(kind(long), Some(ErrorKind::Exhausted));
    assert_sound(&registry).await;
}

#[tokio::test]
async fn dependents_are_found_by_the_requirement_and_by_page() {
    let registry = in_memory().await;
    let needs = async |at: &str, requirement: &str, kind: DependencyKind| {
        let artifact: ArtifactRef = at.parse().unwrap();
        let draft = Draft::new(&artifact.name, at.to_owned()).dependency("lib", requirement, kind);
        let draft = draft.dependency("other", "*", DependencyKind::Dev);
        registry.publish(draft, &artifact.version).await.unwrap();
    };
    needs("web@1.0.0", "^1", DependencyKind::Runtime).await;
    needs("web@1.10.0", "^2", DependencyKind::Runtime).await;
    needs("web@1.9.0", "^1", DependencyKind::Runtime).await;
    needs("api@0.1.0-rc.1", "^1", DependencyKind::Build).await;
    needs("job@1.0.0", "^1", DependencyKind::Runtime).await;
    put(&registry, "job@2.0.0", "needs nothing").await;
    needs("libx@1.0.0", "^1", DependencyKind::Runtime).await;
    registry.yank(&name("libx"), &version("1.0.0"), "r").await.unwrap();
    let found = async |query: Dependents| {
        let page = registry.dependents(query).await.unwrap();
        let shown = page.dependents.iter().map(|found| {
            assert!(found.dependencies.iter().all(|dependency| dependency.name == name("lib")));
            found.entry.artifact.to_string()
        });
        (shown.collect::<Vec<_>>(), page.next)
    };
    let lib = name("lib");
    let every = ["api@0.1.0-rc.1", "job@1.0.0", "libx@1.0.0", "web@1.0.0", "web@1.9.0", "web@1.10.0"];
    assert_eq!(found(Dependents::of(&lib)).await.0, every);
    let first = Dependents::of(&lib).admitting(version("1.4.0"));
    assert_eq!(found(first).await.0, ["api@0.1.0-rc.1", "job@1.0.0", "libx@1.0.0", "web@1.0.0", "web@1.9.0"]);
    let latest = Dependents::of(&lib).latest_only();
    assert_eq!(found(latest.clone()).await.0, ["api@0.1.0-rc.1", "web@1.10.0"]);
    assert_eq!(found(latest.admitting(version("1.4.0"))).await.0, ["api@0.1.0-rc.1"]);
    assert_eq!(found(Dependents::of(&name("lib.none"))).await, (vec![], None));
    for query in [Dependents::of(&lib).limit(0), Dependents::of(&lib).limit(2), Dependents::of(&lib).limit(6)]
    {
        let (mut seen, mut page) = (Vec::new(), query.clone());
        loop {
            let (shown, next) = found(page).await;
            seen.extend(shown);
            let Some(next) = next else { break };
            page = query.clone().after(&next);
        }
        assert_eq!(seen, every, "{query:?}");
    }
    let (mut seen, mut page) = (Vec::new(), Dependents::of(&lib).latest_only().limit(1));
    loop {
        let (shown, next) = found(page).await;
        seen.extend(shown);
        let Some(next) = next else { break };
        page = Dependents::of(&lib).latest_only().limit(1).after(&next);
    }
    assert_eq!(seen, ["api@0.1.0-rc.1", "web@1.10.0"]);
    assert_sound(&registry).await;
}

#[tokio::test]
async fn a_removed_channel_keeps_its_history_and_can_be_made_again() {
    let registry = in_memory().await;
    let app = name("app");
    for v in ["1.0.0", "2.0.0"] {
        put(&registry, &format!("app@{v}"), v).await;
    }
    let (one, two) = (version("1.0.0"), version("2.0.0"));
    assert_eq!(kind(registry.remove_channel(&app, "beta", Expect::Any).await), Some(ErrorKind::NotFound));
    registry.set_channel(&app, "beta", &one, Expect::Absent).await.unwrap();
    registry.set_channel(&app, "stable", &one, Expect::Absent).await.unwrap();
    registry.set_channel(&app, "beta", &two, Expect::Any).await.unwrap();
    match registry.remove_channel(&app, "beta", Expect::At(one.clone())).await {
        Err(RegistryError::ChannelElsewhere { current, .. }) => assert_eq!(current, Some(two.clone())),
        other => panic!("{other:?}"),
    }
    assert_eq!(kind(registry.remove_channel(&app, "beta", Expect::Absent).await), Some(ErrorKind::Conflict));
    for _ in 0..2 {
        registry.remove_channel(&app, "beta", Expect::At(two.clone())).await.unwrap();
    }
    let gone = registry.resolve(&app, Select::channel("beta")).await.unwrap_err();
    assert_eq!(gone.to_string(), "find channel beta of app: it was removed");
    let listed = async |after: Option<&str>, limit| {
        let channels = registry.channels(&app, after.map(name).as_ref(), limit).await.unwrap();
        channels.iter().map(|channel| format!("{} {}", channel.channel, channel.version)).collect::<Vec<_>>()
    };
    assert_eq!(listed(None, 9).await, ["stable 1.0.0"]);
    registry.set_channel(&app, "beta", &one, Expect::Absent).await.unwrap();
    assert_eq!(listed(None, 9).await, ["beta 1.0.0", "stable 1.0.0"]);
    assert_eq!(
        (listed(None, 1).await, listed(Some("beta"), 9).await),
        (vec!["beta 1.0.0".to_owned()], vec!["stable 1.0.0".to_owned()])
    );
    let history = async |before, limit| {
        let moves = registry.channel_history(&app, "beta", before, limit).await.unwrap();
        let shown = |at: &Option<mcp_core::Version>| at.as_ref().map_or("-".to_owned(), ToString::to_string);
        moves.iter().map(|at| (at.seq, format!("{} {}", shown(&at.from), shown(&at.to)))).collect::<Vec<_>>()
    };
    let all =
        [(7, "- 1.0.0"), (6, "2.0.0 -"), (5, "1.0.0 2.0.0"), (3, "- 1.0.0")].map(|(n, t)| (n, t.to_owned()));
    assert_eq!(history(None, 9).await, all);
    assert_eq!(history(None, 2).await, all[..2]);
    assert_eq!(history(Some(6), 9).await, all[2..]);
    assert_eq!(history(Some(3), 9).await, []);
    for wrong in [0, 1, 4, 99] {
        let refused = registry.channel_history(&app, "beta", Some(wrong), 9).await;
        assert!(matches!(kind(refused), Some(ErrorKind::Invalid | ErrorKind::Corrupt)), "{wrong}");
    }
    assert_eq!(kind(registry.channel_history(&app, "none", None, 9).await), Some(ErrorKind::NotFound));
    assert_sound(&registry).await;
}

#[tokio::test]
async fn every_change_has_an_event_and_equal_bytes_have_one_apart() {
    let sink = Arc::new(RecordingSink::new());
    let registry = Registry::in_memory().events(sink.clone()).open().await.unwrap();
    let (app, v) = (name("app"), version("1.0.0"));
    put(&registry, "app@1.0.0", "x").await;
    put(&registry, "app@1.1.0", "x").await;
    registry.set_labels(&app, &v, LabelChange::new().set("a", "b")).await.unwrap();
    registry.deprecate(&app, &v, "m").await.unwrap();
    registry.undeprecate(&app, &v, "r").await.unwrap();
    registry.set_channel(&app, "beta", &v, Expect::Absent).await.unwrap();
    registry.remove_channel(&app, "beta", Expect::Any).await.unwrap();
    let shown = |event: &Event| {
        let kind = event.kind.type_name().trim_start_matches("mcp.registry.").trim_end_matches(".v1");
        format!("{} {kind} {}", event.seq, event.subject)
    };
    let events = sink.events();
    assert_eq!(
        events.iter().map(shown).collect::<Vec<_>>(),
        [
            "1 artifact.published app@1.0.0",
            "2 artifact.published app@1.1.0",
            "1 artifact.deduplicated app@1.1.0",
            "3 artifact.labels.changed app@1.0.0",
            "4 artifact.deprecated app@1.0.0",
            "5 artifact.deprecated app@1.0.0",
            "6 channel.moved app:beta",
            "7 channel.removed app:beta",
        ]
    );
    let ids: std::collections::BTreeSet<String> = events.iter().map(Event::id).collect();
    assert_eq!(ids.len(), events.len(), "no two events have one id");
}
