//! Journals that earlier builds have written are opened for ever, and mean what they meant.
//!
//! Each `testdata/journals/<n>/life.db` was written by `writes_a_journal` below with the build of its time (1: that of commit b33c8c8), and
//! `life.txt` says what that build read from it. A later build adds a folder and never touches the old ones:
//! `MCP_WRITE_TESTDATA=1 cargo test -p mcp-promotion --test engine writes_a_journal`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcp_core::{Clock, ManualClock, SequentialIds};
use mcp_promotion::{
    Actor, AllowList, Calls, Engine, Pipeline, Policy, PromotionId, Reach, SqliteJournal, State, Step,
};

use crate::scene::{MINUTE, Puppet, Trick, release};

const STAGES: [&str; 4] = ["blue", "dev", "paused", "prod"];

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/journals")
}

fn builder(path: &Path, clock: &Arc<ManualClock>) -> mcp_promotion::EngineBuilder {
    let pipeline = Pipeline::builder()
        .stage("dev", Policy::unverified("demo"))
        .stage("blue", Policy::healthy_for(MINUTE).canary().calls(Calls::default()))
        .stage("prod", Policy::healthy_for(MINUTE).after("dev").approvals(2))
        .stage("paused", Policy::healthy_for(MINUTE))
        .build()
        .unwrap();
    Engine::builder(pipeline, SqliteJournal::open(path).unwrap())
        .authorizer(AllowList::of(["bob", "carol", "dave"]).unwrap())
        .clock(clock.clone())
        .ids(Arc::new(SequentialIds::starting_at(1)))
        .owner("one")
}

/// What the journal says, as text.
async fn told(engine: &Engine) -> String {
    let mut text = String::new();
    for stage in STAGES {
        let state = engine.stage_state(stage).await.unwrap();
        let shown = |deployed: Option<&mcp_promotion::Deployed>| {
            deployed.map_or_else(|| "nothing".to_owned(), |deployed| deployed.release.to_string())
        };
        let (current, previous) = (shown(state.current()), shown(state.previous()));
        writeln!(text, "stage {stage} runs {current}, before {previous}").unwrap();
        for promotion in engine.promotions(stage).await.unwrap() {
            let (id, kind, state, release) =
                (&promotion.id, promotion.kind, promotion.state, &promotion.release);
            writeln!(text, "{id} {kind:?} {release} {state:?} {}", promotion.reason).unwrap();
        }
    }
    for head in engine.verify().await.unwrap().heads {
        writeln!(text, "{} {} {}", head.stream, head.version, head.digest).unwrap();
    }
    text
}

struct Life {
    engine: Engine,
    clock: Arc<ManualClock>,
}

impl Life {
    async fn step(&self) -> bool {
        match self.engine.step().await.unwrap() {
            Step::Waiting(Some(until)) => self.clock.advance(until.saturating_since(self.clock.now())),
            Step::Waiting(None) => return false,
            _ => {}
        }
        true
    }

    async fn until(&self, id: &PromotionId, wanted: impl Fn(&mcp_promotion::Promotion) -> bool) {
        for _ in 0..1000 {
            if wanted(&self.engine.status(id).await.unwrap()) {
                return;
            }
            self.step().await;
        }
        panic!("{id} never gets there");
    }

    async fn ends(&self, id: &PromotionId, state: State) {
        self.until(id, |promotion| promotion.state == state).await;
    }

    async fn promoted(&self, stage: &str, version: &str) -> PromotionId {
        let id = self.engine.request(stage, &release(version), "alice").await.unwrap();
        self.ends(&id, State::Succeeded).await;
        id
    }
}

/// Promotions of each kind, with each end, and some that have not ended. With `MCP_WRITE_TESTDATA` in the environment it writes a further
/// folder of testdata, which then stays as it is.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a person asks for it, by hand")]
async fn writes_a_journal() {
    if std::env::var_os("MCP_WRITE_TESTDATA").is_none() {
        println!("nothing written: MCP_WRITE_TESTDATA is not set");
        return;
    }
    let folder = testdata().join((old_journals().len() + 1).to_string());
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("life.db");
    let clock = Arc::new(ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap()));
    let (blue, prod, paused) = (Puppet::default(), Puppet::default(), Puppet::default());
    let engine = builder(&path, &clock)
        .stage("dev", Puppet::default())
        .stage("blue", blue.clone())
        .stage("prod", prod.clone())
        .stage("paused", paused.clone())
        .build()
        .unwrap();
    let life = Life { engine: engine.clone(), clock };

    for version in ["1.0.0", "2.0.0"] {
        life.promoted("dev", version).await;
    }
    let by = Actor::new("alice").unwrap().request_id("r1").unwrap();
    let back = engine.rollback("dev", by).await.unwrap();
    life.ends(&back, State::Succeeded).await;
    let cancelled = engine.request("dev", &release("3.0.0"), "alice").await.unwrap();
    engine.cancel(&cancelled, "alice").await.unwrap();

    let first = engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    engine.approve(&first, "bob").await.unwrap();
    engine.revoke(&first, "bob").await.unwrap();
    engine.approve(&first, "bob").await.unwrap();
    engine.approve(&first, "carol").await.unwrap();
    life.ends(&first, State::Succeeded).await;
    let rejected = engine.request("prod", &release("2.0.0"), "alice").await.unwrap();
    engine.reject(&rejected, "dave").await.unwrap();
    let waiting = engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    engine.approve(&waiting, "bob").await.unwrap();

    paused.trick([Trick::ObserveUnknown]);
    let resumed = engine.request("paused", &release("1.0.0"), "alice").await.unwrap();
    life.ends(&resumed, State::Paused).await;
    engine.resume(&resumed, "bob").await.unwrap();
    life.ends(&resumed, State::Succeeded).await;
    paused.ill(&release("2.0.0"), None);
    let overridden = engine.request("paused", &release("2.0.0"), "alice").await.unwrap();
    life.ends(&overridden, State::Paused).await;
    engine.override_with(&overridden, "bob", "seen with my own eyes").await.unwrap();
    life.ends(&overridden, State::Succeeded).await;
    paused.ill(&release("3.0.0"), None);
    let left = engine.request("paused", &release("3.0.0"), "alice").await.unwrap();
    life.ends(&left, State::Paused).await;

    life.promoted("blue", "1.0.0").await;
    life.promoted("blue", "2.0.0").await;
    blue.ill(&release("3.0.0"), Some(10));
    let bad = engine.request("blue", &release("3.0.0"), "alice").await.unwrap();
    life.ends(&bad, State::RolledBack).await;
    blue.ill(&release("4.0.0"), Some(10));
    let stuck = engine.request("blue", &release("4.0.0"), "alice").await.unwrap();
    life.until(&stuck, |promotion| promotion.state == State::RollingBack).await;
    blue.trick([Trick::ApplyFails, Trick::ApplyLies, Trick::ObserveFails, Trick::ApplyFails]);
    life.ends(&stuck, State::Stuck).await;
    engine.acknowledge(&stuck, "bob", "looked after by hand").await.unwrap();
    let open = engine.request("blue", &release("5.0.0"), "alice").await.unwrap();
    life.until(&open, |promotion| promotion.reach == Some(Reach::Canary)).await;

    std::fs::write(folder.join("life.txt"), told(&engine).await).unwrap();
    drop((life, engine));
    // What is in the log goes into the file, so that the file is all there is.
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    connection.pragma_update(None, "journal_mode", "delete").unwrap();
    connection.execute_batch("VACUUM").unwrap();
}

/// Every folder of `testdata/journals`: name, and a copy of its journal that may be written to.
fn old_journals() -> Vec<(String, tempfile::TempDir)> {
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

/// Invariant 4, across builds.
#[tokio::test]
async fn every_old_journal_opens_verifies_and_says_what_it_said_when_it_was_written() {
    let names: Vec<String> = old_journals().iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names.first().map(String::as_str), Some("1"));
    for (name, folder) in old_journals() {
        let clock = Arc::new(ManualClock::at("2026-11-24T12:00:00Z".parse().unwrap()));
        let engine = builder(&folder.path().join("life.db"), &clock).build().unwrap();
        let expected = std::fs::read_to_string(testdata().join(&name).join("life.txt")).unwrap();
        assert_eq!(told(&engine).await, expected, "testdata/journals/{name}");
    }
}

/// What was open when the old build ended is driven to its end by this one.
#[tokio::test]
async fn the_promotions_of_an_old_journal_go_on_where_they_stood() {
    for (name, folder) in old_journals() {
        let clock = Arc::new(ManualClock::at("2026-11-24T12:00:00Z".parse().unwrap()));
        let blue = Puppet::default();
        {
            let mut script = blue.script.lock().unwrap();
            script.running = Some(release("2.0.0").digest());
            script.canary = Some(release("5.0.0").digest());
        }
        let engine = builder(&folder.path().join("life.db"), &clock).stage("blue", blue).build().unwrap();
        let open = engine.promotions("blue").await.unwrap().pop().unwrap();
        assert_eq!(open.release, release("5.0.0"), "testdata/journals/{name}");
        let life = Life { engine, clock };
        life.ends(&open.id, State::Succeeded).await;
        life.engine.verify().await.unwrap();
    }
}
