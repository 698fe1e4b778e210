//! What is written into `testdata/journals`: lives that have everything that a journal can say.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use mcp_core::{Artifact, Clock, Holder, ManualClock, Pin, SeamError, SequentialIds, Timestamp};
use mcp_promotion::{
    Actor, Authorizer, Calendar, Calls, CheckFn, Day, Ed25519Signer, Engine, EngineBuilder, Gate, GateAnswer,
    GateError, GateRequest, Guardrail, Health, HealthGate, Item, JudgeChoice, Lane, Level, Need, OnFailure,
    OperateRequest, Permission, Pipeline, PlanId, PlanRequest, PlanState, Policy, PromotionId, Queue,
    RankTest, Reach, Release, Settings, SqliteJournal, Standing, State, Step, VoteRequest,
};

use crate::fleet::{NAMES, artifact};
use crate::old_journals::{old_journals, testdata, told};
use crate::scene::{MINUTE, Puppet, Trick, release};
use crate::yard::cargo;

thread_local! {
    /// Who has signed the checkpoints.
    pub(crate) static SIGNER: Ed25519Signer = Ed25519Signer::from_secret(&[7; 32]).unwrap();
}

const PLAIN: [&str; 4] = ["blue", "dev", "paused", "prod"];
const ALL: [&str; 10] = ["auth", "billing", "blue", "dev", "eu", "lab", "paused", "prod", "sites", "web"];

/// The stages of the journal in this folder.
pub(crate) fn stages(folder: &str) -> &'static [&'static str] {
    if folder == "1" { &PLAIN } else { &ALL }
}

fn pipeline(folder: &str) -> Pipeline {
    let plain = Pipeline::builder()
        .stage("dev", Policy::unverified("demo"))
        .stage("blue", Policy::healthy_for(MINUTE).canary().calls(Calls::default()))
        .stage("prod", Policy::healthy_for(MINUTE).after("dev").approvals(2))
        .stage("paused", Policy::healthy_for(MINUTE));
    if folder == "1" {
        return plain.build().unwrap();
    }
    let name = |name: &str| name.parse().unwrap();
    let days = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri];
    let eu = Policy::healthy_for(MINUTE)
        .canary()
        .watch(5 * MINUTE)
        .guardrail(Guardrail::default())
        .shadow(JudgeChoice::Rank(RankTest::default()))
        .after("lab")
        .soak(MINUTE)
        .automatic()
        .level(Level::new(name("review"), 1))
        .level(Level::new(name("release"), 1).from_group(name("security"), 1))
        .gate("health")
        .gate("board")
        .allow(Calendar::weekly("weekdays", "UTC", days, "00:00", "24:00").unwrap())
        .deny(Calendar::span("year-end", "Europe/Berlin", "2026-12-24T00:00", "2026-12-27T00:00").unwrap())
        .review_within(30 * MINUTE);
    plain
        .stage("lab", Policy::unverified("demo"))
        .stage("eu", eu)
        .stage("sites", Policy::unverified("demo").queue(Queue::Parallel(2)))
        .stage("auth", Policy::unverified("demo"))
        .stage("billing", Policy::unverified("demo"))
        .stage("web", Policy::unverified("demo").approvals(1))
        .build()
        .unwrap()
}

/// An engine on the journal of this folder, without a way to any stage.
pub(crate) fn builder(folder: &str, path: &Path, clock: &Arc<ManualClock>) -> EngineBuilder {
    let mut settings = Settings::default();
    settings.snapshot_events = 16;
    let builder = Engine::builder(pipeline(folder), SqliteJournal::open(path).unwrap())
        .authorizer(Staff)
        .clock(clock.clone())
        .ids(Arc::new(SequentialIds::starting_at(1)))
        .owner("one");
    if folder == "1" { builder } else { builder.settings(settings).pin(Arc::new(Keeps)).gate("board", Board) }
}

/// All of them may do everything, and one of them is of a group.
struct Staff;

#[async_trait]
impl Authorizer for Staff {
    async fn standing(&self, request: &VoteRequest<'_>) -> Result<Option<Standing>, SeamError> {
        let mut standing = Standing::every_level();
        if request.voter.as_str() == "erin" {
            standing.groups.insert("security".parse().unwrap());
        }
        Ok(Some(standing))
    }

    async fn may_operate(&self, _request: &OperateRequest<'_>) -> Result<Permission, SeamError> {
        Ok(Permission::Granted)
    }
}

/// Keeps everything.
struct Keeps;

#[async_trait]
impl Pin for Keeps {
    async fn pin(&self, _: &Holder, _: &[Artifact], _: Option<Timestamp>) -> Result<(), SeamError> {
        Ok(())
    }

    async fn release(&self, _: &Holder) -> Result<(), SeamError> {
        Ok(())
    }
}

/// Agrees, and need not be asked in an emergency.
struct Board;

#[async_trait]
impl Gate for Board {
    async fn check(&self, _request: &GateRequest<'_>) -> Result<GateAnswer, GateError> {
        Ok(GateAnswer::pass("agreed"))
    }

    fn guards_integrity(&self) -> bool {
        false
    }
}

pub(crate) struct Life {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<ManualClock>,
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

    pub(crate) async fn ends(&self, id: &PromotionId, state: State) {
        self.until(id, |promotion| promotion.state == state).await;
    }

    async fn promoted(&self, stage: &str, version: &str) -> PromotionId {
        let id = self.engine.request(stage, &release(version), "alice").await.unwrap();
        self.ends(&id, State::Succeeded).await;
        id
    }

    pub(crate) async fn plan_ends(&self, id: PlanId, state: PlanState) {
        for _ in 0..1000 {
            if self.engine.plan_status(id).await.unwrap().state == state {
                return;
            }
            self.step().await;
        }
        panic!("plan {id} never is {state}");
    }

    /// The promotion of this release that the stage is asked for, as soon as it is.
    async fn asked(&self, stage: &str, release: &Release) -> PromotionId {
        for _ in 0..1000 {
            let all = self.engine.promotions(stage).await.unwrap();
            if let Some(found) = all.into_iter().rfind(|promotion| promotion.release == *release) {
                return found.id;
            }
            self.step().await;
        }
        panic!("nobody asks {stage} for {release}");
    }
}

/// With `MCP_WRITE_TESTDATA` in the environment it writes a further folder of testdata, which then stays as it is.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a person asks for it, by hand")]
async fn writes_a_journal() {
    if std::env::var_os("MCP_WRITE_TESTDATA").is_none() {
        println!("nothing written: MCP_WRITE_TESTDATA is not set");
        return;
    }
    let name = (old_journals().len() + 1).to_string();
    let folder = testdata().join(&name);
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("life.db");
    let clock = Arc::new(ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap()));
    let [blue, paused, eu, site] = [(); 4].map(|()| Puppet::default());
    let ready = Arc::new(AtomicBool::new(false));
    let (behind, asked) = (site.clone(), Arc::clone(&ready));
    let health = CheckFn::new(move || {
        let ready = asked.load(Ordering::Relaxed);
        async move { Ok(if ready { Health::healthy("up") } else { Health::unhealthy("it is starting") }) }
    });
    let builder = builder(&name, &path, &clock)
        .stage("blue", blue.clone())
        .stage("paused", paused.clone())
        .stage("eu", eu.clone())
        .lanes(
            "sites",
            move |lane: &Lane| {
                if lane.name.as_str() == "sites/b" { behind.clone() } else { Puppet::default() }
            },
        )
        .gate("health", HealthGate::new(health));
    let others = ["dev", "prod", "lab"].into_iter().chain(NAMES);
    let builder = others.fold(builder, |builder, stage| builder.stage(stage, Puppet::default()));
    let life = Life { engine: builder.build().unwrap(), clock };
    promoted_by_itself(&life, &eu, &ready).await;
    urgent(&life).await;
    in_lanes(&life, &site).await;
    planned(&life).await;
    // Last, because it leaves a canary that is not judged yet.
    plain(&life, &blue, &paused).await;
    std::fs::write(folder.join("life.txt"), told(&life.engine, &name).await).unwrap();
    let checkpoint = life.engine.checkpoint().await.unwrap();
    let signer = Ed25519Signer::from_secret(&[7; 32]).unwrap();
    let checkpoint = checkpoint.sign(&signer).await.unwrap();
    std::fs::write(folder.join("life.checkpoint"), checkpoint.to_string()).unwrap();
    drop(life);
    // What is in the log goes into the file, so that the file is all there is.
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    connection.pragma_update(None, "journal_mode", "delete").unwrap();
    connection.execute_batch("VACUUM").unwrap();
    std::fs::remove_dir_all(folder.join("life.db.owners")).unwrap();
}

/// Promotions of each kind, with each end, and some that have not ended.
async fn plain(life: &Life, blue: &Puppet, paused: &Puppet) {
    let engine = &life.engine;
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
}

/// What has succeeded in `lab` goes on to `eu`: through every gate, past a canary that a person overrides, and back after a regression.
async fn promoted_by_itself(life: &Life, eu: &Puppet, ready: &AtomicBool) {
    let engine = &life.engine;
    let approve = async |version: &str| {
        life.promoted("lab", version).await;
        let id = life.asked("eu", &release(version)).await;
        engine.approve(&id, "bob").await.unwrap();
        engine.approve(&id, "erin").await.unwrap();
        id
    };
    let watched = async || {
        while engine.stage_state("eu").await.unwrap().watch().is_some() {
            life.step().await;
        }
    };
    let first = approve("1.0.0").await;
    life.until(&first, |promotion| promotion.delay.is_some()).await;
    ready.store(true, Ordering::Relaxed);
    life.ends(&first, State::Succeeded).await;
    eu.ill(&release("1.0.0"), None);
    watched().await;
    eu.ill(&release("2.0.0"), None);
    let second = approve("2.0.0").await;
    life.ends(&second, State::Paused).await;
    engine.override_with(&second, "carol", "the counters are down").await.unwrap();
    life.ends(&second, State::Succeeded).await;
    eu.script.lock().unwrap().health.clear();
    let third = approve("3.0.0").await;
    life.ends(&third, State::Succeeded).await;
    eu.ill(&release("3.0.0"), Some(50));
    watched().await;
    let back = engine.promotions("eu").await.unwrap().pop().unwrap();
    life.ends(&back.id, State::Succeeded).await;
    engine.lift_hold("eu", "bob").await.unwrap();
}

/// Two that could not wait, of which one is never reviewed.
async fn urgent(life: &Life) {
    let engine = &life.engine;
    life.promoted("lab", "4.0.0").await;
    let fourth = engine.request("eu", &release("4.0.0"), "alice").await.unwrap();
    engine.hold("eu", "bob", "look first").await.unwrap();
    engine.break_glass(&fourth, "dave", "customers cannot pay").await.unwrap();
    life.ends(&fourth, State::Succeeded).await;
    engine.review(&fourth, "erin", "it was right").await.unwrap();
    life.promoted("lab", "5.0.0").await;
    let fifth = engine.request_without_waiting("eu", &release("5.0.0"), "dave", "again").await.unwrap();
    life.until(&fifth, |promotion| promotion.state == State::Verifying).await;
    engine.release_lease("eu", "bob").await.unwrap();
    life.ends(&fifth, State::Succeeded).await;
    while !engine.obligations().await.unwrap()[0].told_overdue {
        life.step().await;
    }
}

/// Three lanes, of which one goes back in spite of a hold, and one is left paused.
async fn in_lanes(life: &Life, site: &Puppet) {
    let engine = &life.engine;
    for references in ["a@1.0.0", "a@2.0.0", "b@1.0.0", "c@1.0.0 d@1.0.0"] {
        let id = engine.request("sites", &cargo(references), "alice").await.unwrap();
        life.ends(&id, State::Succeeded).await;
    }
    engine.hold("sites", "bob", "audit").await.unwrap();
    let back = engine.rollback("sites/a", "bob").await.unwrap();
    life.ends(&back, State::Succeeded).await;
    engine.lift_hold("sites", "bob").await.unwrap();
    site.trick([Trick::ObserveUnknown]);
    let left = engine.request("sites", &cargo("b@2.0.0"), "alice").await.unwrap();
    life.ends(&left, State::Paused).await;
}

/// One plan that succeeds, three that are taken back, and one that waits for an approval.
async fn planned(life: &Life) {
    let engine = &life.engine;
    for name in NAMES {
        let first = Release::of([artifact(name, "1.0.0")]).unwrap();
        let id = engine.request(name, &first, "alice").await.unwrap();
        engine.approve(&id, "bob").await.unwrap();
        life.ends(&id, State::Succeeded).await;
    }
    // Up to where the last stage waits for an approval.
    let begun = async |to: u8, on_failure: OnFailure| {
        let mut request = raise(to);
        request.on_failure = on_failure;
        let plan = engine.request_plan(&request, "alice").await.unwrap();
        for _ in 0..1000 {
            let blockers = engine.plan_blockers(plan).await.unwrap();
            if let Some((web, _)) = blockers.into_iter().find(|(id, _)| id.stage.as_str() == "web") {
                return (plan, web);
            }
            life.step().await;
        }
        panic!("the plan does not get to its last stage");
    };
    let (plan, web) = begun(2, OnFailure::RollBack).await;
    engine.approve(&web, "bob").await.unwrap();
    life.plan_ends(plan, PlanState::Succeeded).await;
    let (plan, web) = begun(3, OnFailure::RollBack).await;
    engine.reject(&web, "bob").await.unwrap();
    life.plan_ends(plan, PlanState::RolledBack).await;
    let (plan, web) = begun(3, OnFailure::Halt).await;
    engine.pause_plan(plan, "carol", "lunch").await.unwrap();
    life.ends(&web, State::Cancelled).await;
    let back = engine.rollback("auth", "dave").await.unwrap();
    life.ends(&back, State::Succeeded).await;
    engine.abort_plan(plan, "carol", "not today").await.unwrap();
    life.plan_ends(plan, PlanState::RolledBack).await;
    let (plan, _) = begun(3, OnFailure::RollBack).await;
    let back = engine.rollback("billing", "dave").await.unwrap();
    life.ends(&back, State::Succeeded).await;
    life.plan_ends(plan, PlanState::RolledBack).await;
    begun(3, OnFailure::RollBack).await;
}

/// Every stage goes to this version, each after the one before.
fn raise(to: u8) -> PlanRequest {
    let version = |major: u8| format!("{major}.0.0");
    PlanRequest::new(NAMES.iter().enumerate().map(|(place, name)| {
        let item = Item::new(name.parse().unwrap(), artifact(name, &version(to)));
        let item = item.from(version(to - 1).parse().unwrap());
        let before = place.checked_sub(1).map(|before| Need::new(NAMES[before], &format!("^{to}")).unwrap());
        before.into_iter().fold(item, Item::need)
    }))
}
