//! Commands with a request id: a repetition answers what the first did, and does nothing again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use mcp_core::{Candidate, ErrorKind, Inspect, RequestId, SeamError, Verdict};
use mcp_registry::{Bump, Draft, Expect, LabelChange, Registry, RegistryChange, RegistryError, Select};

use crate::{assert_sound, in_memory, kind, name, put, resolved, version};

/// One of each command, as a whole call.
const COMMANDS: [&str; 9] =
    ["publish", "next", "yank", "unyank", "channel", "remove channel", "labels", "deprecate", "undeprecate"];

async fn run(registry: &Registry, command: &str) -> Result<(), RegistryError> {
    let (app, v) = (name("app"), version("1.0.0"));
    match command {
        "publish" => drop(registry.publish(Draft::new(&app, "new"), &version("5.0.0")).await?),
        "next" => drop(registry.publish_next(Draft::new(&app, "next"), Bump::Minor).await?),
        "yank" => registry.yank(&app, &v, "r").await?,
        "unyank" => registry.unyank(&app, &v, "r").await?,
        "channel" => registry.set_channel(&app, "stable", &version("2.0.0"), Expect::Any).await?,
        "remove channel" => registry.remove_channel(&app, "stable", Expect::Any).await?,
        "labels" => registry.set_labels(&app, &v, LabelChange::new().set("a", "b")).await?,
        "deprecate" => registry.deprecate(&app, &v, "m").await?,
        "undeprecate" => registry.undeprecate(&app, &v, "m").await?,
        other => panic!("{other}"),
    }
    Ok(())
}

/// Undoes what `run` did, so that a repetition which acts again would be seen.
async fn undo(registry: &Registry, command: &str) {
    match command {
        "yank" => run(registry, "unyank").await.unwrap(),
        "unyank" => run(registry, "yank").await.unwrap(),
        "channel" => run(registry, "remove channel").await.unwrap(),
        "remove channel" => run(registry, "channel").await.unwrap(),
        "labels" => {
            let change = LabelChange::new().remove("a");
            registry.set_labels(&name("app"), &version("1.0.0"), change).await.unwrap();
        }
        "deprecate" => run(registry, "undeprecate").await.unwrap(),
        "undeprecate" => run(registry, "deprecate").await.unwrap(),
        _ => {}
    }
}

fn id(text: &str) -> RequestId {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_repeated_command_does_nothing_again_whatever_happened_since_also_after_reopening() {
    // With something to do at first, and with nothing.
    for done_before in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut registry = Registry::open(folder.path()).await.unwrap();
        put(&registry, "app@1.0.0", "one").await;
        put(&registry, "app@2.0.0", "two").await;
        for command in COMMANDS {
            run(&registry, "channel").await.unwrap();
            undo(&registry, command).await;
            if done_before {
                run(&registry, command).await.unwrap();
            }
            let asked = registry.with_request_id(id(&format!("r-{}", command.replace(' ', "-"))));
            run(&asked, command).await.unwrap();
            undo(&registry, command).await;
            let before = registry.changes(0, 999).await.unwrap();
            run(&asked, command).await.unwrap();
            assert_eq!(registry.changes(0, 999).await.unwrap(), before, "{command}");
        }
        let before = registry.changes(0, 999).await.unwrap();
        registry.close().await.unwrap();
        registry = Registry::open(folder.path()).await.unwrap();
        for command in COMMANDS {
            let request = id(&format!("r-{}", command.replace(' ', "-")));
            run(&registry.with_request_id(request), command).await.unwrap();
        }
        assert_eq!(registry.changes(0, 999).await.unwrap(), before);
        assert_sound(&registry).await;
    }
}

#[tokio::test]
async fn a_request_id_of_another_command_is_a_conflict_that_names_the_row() {
    let registry = in_memory().await;
    put(&registry, "app@1.0.0", "one").await;
    put(&registry, "app@2.0.0", "two").await;
    for (n, first) in COMMANDS.into_iter().enumerate() {
        if first == "remove channel" {
            run(&registry, "channel").await.unwrap();
        }
        let asked = registry.with_request_id(id(&format!("r{n}")));
        run(&asked, first).await.unwrap();
        for second in COMMANDS.into_iter().filter(|second| *second != first) {
            match run(&asked, second).await {
                Err(error @ RegistryError::RequestReused { .. }) => {
                    assert_eq!(error.kind(), ErrorKind::Conflict);
                    assert!(error.to_string().starts_with(&format!("use request id r{n}: it ")), "{error}");
                }
                other => panic!("{first} then {second}: {other:?}"),
            }
        }
    }
    let other_reason = registry.with_request_id(id("r2")).yank(&name("app"), &version("1.0.0"), "s").await;
    assert_eq!(kind(other_reason), Some(ErrorKind::Conflict));
    assert_sound(&registry).await;
}

#[tokio::test]
async fn a_command_with_nothing_to_do_is_remembered_with_the_row_that_had_done_it() {
    let registry = in_memory().await;
    let (app, v) = (name("app"), version("1.0.0"));
    put(&registry, "app@1.0.0", "one").await;
    registry.yank(&app, &v, "r").await.unwrap();
    let asked = registry.with_request_id(id("late"));
    asked.yank(&app, &v, "r").await.unwrap();
    let again = registry.publish(Draft::new(&app, "one").request_id("again"), &v).await.unwrap();
    assert_eq!((again.created, again.seq), (false, 1));
    let rows = registry.changes(2, 9).await.unwrap();
    let answered = |by| RegistryChange::Answered { name: app.clone(), version: Some(v.clone()), by };
    assert_eq!(rows.iter().map(|row| row.change.clone()).collect::<Vec<_>>(), [answered(2), answered(1)]);
    registry.unyank(&app, &v, "mended").await.unwrap();
    asked.yank(&app, &v, "r").await.unwrap();
    assert_eq!(resolved(&registry, "app", Select::latest()).await, Ok("1.0.0".to_owned()));
    let once_more = registry.publish(Draft::new(&app, "one").request_id("again"), &v).await.unwrap();
    assert_eq!((once_more.created, once_more.seq, once_more.digest), (false, 1, again.digest));
    assert_sound(&registry).await;
}

#[tokio::test]
async fn a_command_that_failed_is_tried_again() {
    let registry = in_memory().await;
    let asked = registry.with_request_id(id("r"));
    assert_eq!(kind(asked.yank(&name("app"), &version("1.0.0"), "r").await), Some(ErrorKind::NotFound));
    put(&registry, "app@1.0.0", "one").await;
    asked.yank(&name("app"), &version("1.0.0"), "r").await.unwrap();
    assert_eq!(resolved(&registry, "app", Select::latest()).await, Err(ErrorKind::NotFound));
}

/// Accepts once, and refuses from then on.
#[derive(Default)]
struct Once(AtomicBool);

#[async_trait]
impl Inspect for Once {
    async fn inspect(&self, _candidate: &Candidate) -> Result<Verdict, SeamError> {
        let refused = self.0.swap(true, Ordering::SeqCst);
        Ok(if refused { Verdict::refused(Vec::new()) } else { Verdict::of(Vec::new()) })
    }
}

#[tokio::test]
async fn a_repeated_publish_gets_the_first_answer_whatever_admission_says_by_now() {
    let registry = Registry::in_memory().inspect(Arc::new(Once::default())).open().await.unwrap();
    let draft = || Draft::new(&name("app"), "x");
    let asked = registry.with_request_id(id("r"));
    let first = asked.publish_next(draft(), Bump::Minor).await.unwrap();
    let refused = registry.publish_next(draft(), Bump::Minor).await;
    assert_eq!(kind(refused), Some(ErrorKind::Denied));
    let again = asked.publish_next(draft(), Bump::Minor).await.unwrap();
    assert_eq!((again.artifact, again.seq, again.created), (first.artifact, 1, false));
}
