//! Journals that earlier builds have written are opened for ever, and mean what they meant.
//!
//! Each `testdata/journals/<n>/life.db` was written by `writes_a_journal` with the build of its time (1: that of commit b33c8c8, which knew
//! fewer events), and `life.txt` says what that build read from it. A later build adds a folder and never touches the old ones:
//! `MCP_WRITE_TESTDATA=1 cargo test -p mcp-promotion --test engine writes_a_journal`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcp_core::{ErrorKind, ManualClock};
use mcp_promotion::{
    Ed25519Verifier, Engine, Happened, PlanHappened, PlanState, Release, SignedCheckpoint, State,
};

use crate::fleet::artifact;
use crate::old_lives::{Life, SIGNER, builder, stages};
use crate::scene::{Puppet, release};

pub(crate) fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/journals")
}

/// What the journal of this folder says, as text.
pub(crate) async fn told(engine: &Engine, folder: &str) -> String {
    let mut text = String::new();
    for stage in stages(folder) {
        let state = engine.stage_state(*stage).await.unwrap();
        let shown = |deployed: Option<&mcp_promotion::Deployed>| {
            deployed.map_or_else(|| "nothing".to_owned(), |deployed| deployed.release.to_string())
        };
        let (current, previous) = (shown(state.current()), shown(state.previous()));
        writeln!(text, "stage {stage} runs {current}, before {previous}").unwrap();
        if let Some(hold) = state.hold() {
            writeln!(text, "{hold}").unwrap();
        }
        for promotion in engine.promotions(*stage).await.unwrap() {
            let (id, kind, state, release) =
                (&promotion.id, promotion.kind, promotion.state, &promotion.release);
            writeln!(text, "{id} {kind:?} {release} {state:?} {}", promotion.reason).unwrap();
        }
        for status in engine.lanes(*stage).await.unwrap() {
            writeln!(text, "{} runs {}", status.lane, shown(status.current.as_ref())).unwrap();
        }
    }
    for owed in engine.obligations().await.unwrap() {
        writeln!(text, "{owed}, told that it is overdue: {}", owed.told_overdue).unwrap();
    }
    for id in engine.plans().await.unwrap() {
        let status = engine.plan_status(id).await.unwrap();
        writeln!(text, "plan {id} {:?} {}", status.state, status.reason).unwrap();
        for entry in engine.plan_history(id).await.unwrap() {
            writeln!(text, "    {}", entry.what).unwrap();
        }
    }
    for head in engine.verify().await.unwrap().heads {
        writeln!(text, "{} {} {}", head.stream, head.version, head.digest).unwrap();
    }
    text
}

/// Every folder of `testdata/journals`: name, and a copy of its journal that may be written to.
pub(crate) fn old_journals() -> Vec<(String, tempfile::TempDir)> {
    let mut found: Vec<_> = std::fs::read_dir(testdata())
        .unwrap()
        .map(|folder| {
            let folder = folder.unwrap().path();
            let copy = tempfile::tempdir().unwrap();
            std::fs::copy(folder.join("life.db"), copy.path().join("life.db")).unwrap();
            (folder.file_name().unwrap().to_str().unwrap().to_owned(), copy)
        })
        .collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
}

fn open(name: &str, folder: &tempfile::TempDir) -> (mcp_promotion::EngineBuilder, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at("2026-11-24T12:00:00Z".parse().unwrap()));
    (builder(name, &folder.path().join("life.db"), &clock), clock)
}

/// Invariant 4, across builds.
#[tokio::test]
async fn every_old_journal_opens_verifies_and_says_what_it_said_when_it_was_written() {
    let names: Vec<String> = old_journals().iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names[..2], ["1", "2"]);
    for (name, folder) in old_journals() {
        let engine = open(&name, &folder).0.build().unwrap();
        let expected = std::fs::read_to_string(testdata().join(&name).join("life.txt")).unwrap();
        assert_eq!(told(&engine, &name).await, expected, "testdata/journals/{name}");
    }
}

/// The checkpoint that was signed when the journal was written vouches for it, and not for one that lost an event since.
#[tokio::test]
async fn an_old_checkpoint_still_vouches_for_its_journal() {
    let verifier = Ed25519Verifier::of([SIGNER.with(mcp_promotion::Ed25519Signer::public_key)]).unwrap();
    for (name, folder) in old_journals().into_iter().skip(1) {
        let text = std::fs::read_to_string(testdata().join(&name).join("life.checkpoint")).unwrap();
        let checkpoint = SignedCheckpoint::open(&text, &verifier).unwrap();
        let audit = open(&name, &folder).0.build().unwrap().verify_against(&checkpoint).await.unwrap();
        let heads: Vec<_> = audit.heads.into_iter().filter(|head| head.version > 0).collect();
        assert_eq!(checkpoint.heads(), heads, "testdata/journals/{name}");
        let connection = rusqlite::Connection::open(folder.path().join("life.db")).unwrap();
        let last =
            "stream = 'stage/eu' AND position = (SELECT max(position) FROM event WHERE stream = 'stage/eu')";
        connection.execute_batch(&format!("DELETE FROM event WHERE {last}; DELETE FROM snapshot")).unwrap();
        let error = open(&name, &folder).0.build().unwrap().verify_against(&checkpoint).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
}

/// What was open when the old build ended is driven to its end by this one.
#[tokio::test]
async fn the_promotions_and_plans_of_an_old_journal_go_on_where_they_stood() {
    for (name, folder) in old_journals() {
        let (blue, web) = (Puppet::default(), Puppet::default());
        {
            let mut script = blue.script.lock().unwrap();
            script.running = Some(release("2.0.0").digest());
            script.canary = Some(release("5.0.0").digest());
        }
        let before = Release::of([artifact("web", "2.0.0")]).unwrap();
        web.script.lock().unwrap().running = Some(before.digest());
        let (builder, clock) = open(&name, &folder);
        let builder = builder.stage("blue", blue);
        let builder = if name == "1" { builder } else { builder.stage("web", web) };
        let life = Life { engine: builder.build().unwrap(), clock };
        let open = life.engine.promotions("blue").await.unwrap().pop().unwrap();
        assert_eq!(open.release, release("5.0.0"), "testdata/journals/{name}");
        life.ends(&open.id, State::Succeeded).await;
        for id in life.engine.plans().await.unwrap() {
            for (waiting, _) in life.engine.plan_blockers(id).await.unwrap() {
                assert_eq!(waiting.stage.as_str(), "web");
                life.engine.approve(&waiting, "bob").await.unwrap();
                life.ends(&waiting, State::Succeeded).await;
                life.plan_ends(id, PlanState::Succeeded).await;
            }
        }
        if name != "1" {
            let runs = life.engine.current("web").await.unwrap().unwrap();
            assert_eq!(runs.release.artifacts(), [artifact("web", "3.0.0")]);
        }
        life.engine.verify().await.unwrap();
    }
}

/// What an event is called in JSON.
fn variant(what: &impl serde::Serialize) -> String {
    match serde_json::to_value(what).unwrap() {
        serde_json::Value::Object(fields) => fields.keys().next().unwrap().clone(),
        serde_json::Value::String(name) => name,
        other => panic!("{other}"),
    }
}

/// What every event of an enum is called in JSON: what is expected in place of one that there is not.
fn variants<T: serde::de::DeserializeOwned + std::fmt::Debug>() -> BTreeSet<String> {
    let error = serde_json::from_str::<T>(r#"{"none of them": {}}"#).unwrap_err().to_string();
    let (_, listed) = error.split_once("expected one of ").unwrap();
    listed.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Who adds an event adds a journal that has it.
#[tokio::test]
async fn every_event_that_there_is_stands_in_one_of_the_old_journals() {
    let (mut stages, mut plans) = (BTreeSet::new(), BTreeSet::new());
    for (name, folder) in old_journals() {
        let engine = open(&name, &folder).0.build().unwrap();
        for head in engine.verify().await.unwrap().heads {
            if let Some(stage) = head.stream.as_str().strip_prefix("stage/") {
                let timeline = engine.timeline(stage).await.unwrap();
                stages.extend(timeline.moments.iter().map(|moment| variant(&moment.entry.what)));
            }
        }
        for id in engine.plans().await.unwrap() {
            plans.extend(engine.plan_history(id).await.unwrap().iter().map(|entry| variant(&entry.what)));
        }
    }
    assert_eq!(stages, variants::<Happened>());
    assert_eq!(plans, variants::<PlanHappened>());
    assert_eq!((stages.len() > 20, plans.len() > 8), (true, true), "{stages:?} {plans:?}");
}
