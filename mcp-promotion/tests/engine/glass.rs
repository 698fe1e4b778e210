//! Starting without waiting, what that does not skip, and who answers for it afterwards.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mcp_core::{Clock, ErrorKind};
use mcp_promotion::{
    Actor, AllowList, Calendar, Engine, Gate, GateAnswer, GateError, GateRequest, Obligation, Policy,
    Skipped, State, Step,
};

use crate::scene::{MINUTE, Puppet, Scene, release};
use crate::transcripts::check;

/// Says the same to everybody, and counts how often it was asked.
#[derive(Clone)]
struct Porter {
    says: Arc<Mutex<GateAnswer>>,
    asked: Arc<AtomicUsize>,
    integrity: bool,
}

impl Porter {
    fn new(says: GateAnswer, integrity: bool) -> Self {
        Self { says: Arc::new(Mutex::new(says)), asked: Arc::default(), integrity }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Gate for Porter {
    async fn check(&self, _request: &GateRequest<'_>) -> Result<GateAnswer, GateError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(self.says.lock().unwrap().clone())
    }

    fn guards_integrity(&self) -> bool {
        self.integrity
    }
}

fn roles() -> mcp_promotion::Roles {
    let text = r#"{
        "people": {"bob": ["dev"], "dave": ["sre"], "erin": ["leads"]},
        "voters": ["dev"], "operators": ["sre"], "glass_breakers": ["sre"], "reviewers": ["leads", "sre"]
    }"#;
    serde_json::from_str(text).unwrap()
}

fn freeze() -> Calendar {
    Calendar::span("year-end", "UTC", "2026-11-01T00:00", "2026-12-27T00:00").unwrap()
}

/// Everything that keeps a release from `prod` for a while.
fn slow() -> Policy {
    let policy = Policy::healthy_for(MINUTE).after("dev").soak(60 * MINUTE).approvals(2).deny(freeze());
    policy.gate("scan").gate("board").review_within(120 * MINUTE)
}

struct Night {
    scene: Scene,
    scan: Porter,
    board: Porter,
}

impl Night {
    fn new(policy: Policy, scan: GateAnswer) -> Self {
        let (scan, board) =
            (Porter::new(scan, true), Porter::new(GateAnswer::deny("ask by daylight"), false));
        let scene = Scene::with(policy, Puppet::default(), |builder| {
            builder.authorizer(roles()).gate("scan", scan.clone()).gate("board", board.clone())
        });
        Self { scene, scan, board }
    }

    /// An engine that has read nothing yet.
    fn later(&self) -> Engine {
        Engine::builder(self.scene.engine.pipeline().clone(), self.scene.journal.clone())
            .authorizer(roles())
            .clock(self.scene.clock.clone())
            .build()
            .unwrap()
    }
}

fn stage(name: &str) -> mcp_core::Name {
    name.parse().unwrap()
}

/// Invariant 5: what guards integrity was asked, and everything that was skipped stands in the evidence.
#[tokio::test]
async fn breaking_the_glass_skips_everything_that_only_takes_time_and_records_each_thing_that_it_skipped() {
    let night = Night::new(slow(), GateAnswer::pass("no known holes"));
    let scene = &night.scene;
    scene.engine.request("dev", &release("1.0.0"), "alice").await.unwrap();
    scene.settle().await;
    scene.engine.hold("prod", "dave", "the database moves").await.unwrap();
    let id = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    scene.engine.approve(&id, "bob").await.unwrap();
    let soaked = "2026-11-23T13:00:00Z".parse().unwrap();
    assert_eq!(scene.engine.step().await.unwrap(), Step::Waiting(Some(soaked)));
    scene.engine.break_glass(&id, "dave", "customers cannot pay").await.unwrap();
    assert_eq!(scene.blockers(&id).await, [""; 0]);
    while scene.state(&id).await != State::Succeeded {
        if let Step::Waiting(Some(until)) = scene.engine.step().await.unwrap() {
            scene.clock.advance(until.saturating_since(scene.clock.now()));
        }
    }
    scene.engine.step().await.unwrap();
    let status = scene.engine.status(&id).await.unwrap();
    assert_eq!((status.state, scene.prod.running()), (State::Succeeded, Some(release("1.0.0").digest())));
    let evidence = status.evidence.unwrap();
    assert_eq!(
        evidence.skipped,
        [
            Skipped::Approvals { missing: 1, needed: 2 },
            Skipped::Soak { stage: stage("dev"), ran_ms: 0 },
            Skipped::Window { closed_by: Some(stage("year-end")) },
            Skipped::Hold { by: "dave".parse().unwrap(), reason: "the database moves".to_owned() },
            Skipped::Gate { gate: stage("board") },
        ]
    );
    let told: Vec<_> = evidence.gates.iter().map(|gate| (gate.gate.as_str(), gate.saw.as_str())).collect();
    assert_eq!((told, night.board.asked()), (vec![("scan", "no known holes")], 0));
    scene.engine.review(&id, "erin", "the fix was right").await.unwrap();
    check(scene, "broken_glass").await;
}

/// Invariant 5.
#[tokio::test]
async fn broken_glass_skips_neither_a_gate_that_guards_integrity_nor_success_before_nor_the_promotion_in_flight()
 {
    let refused = Night::new(slow().soak(MINUTE), GateAnswer::deny("it has a hole"));
    refused.scene.promoted("dev", "1.0.0").await;
    let id = refused.scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    refused.scene.engine.break_glass(&id, "dave", "now").await.unwrap();
    refused.scene.settle().await;
    let status = refused.scene.engine.status(&id).await.unwrap();
    assert_eq!((status.state, status.reason.as_str()), (State::Rejected, "gate scan: it has a hole"));
    assert_eq!((refused.scan.asked(), refused.board.asked()), (1, 0));

    let night = Night::new(slow(), GateAnswer::pass("fine"));
    let scene = &night.scene;
    let unproven = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    scene.engine.break_glass(&unproven, "dave", "now").await.unwrap();
    scene.settle().await;
    assert_eq!(
        scene.blockers(&unproven).await,
        ["the release has not succeeded in dev; promote it there first"]
    );
    scene.engine.request("dev", &release("1.0.0"), "alice").await.unwrap();
    while scene.state(&unproven).await != State::Verifying {
        scene.engine.step().await.unwrap();
    }
    scene.engine.request("dev", &release("2.0.0"), "alice").await.unwrap();
    while !matches!(scene.engine.step().await.unwrap(), Step::Waiting(_)) {}
    let next = scene
        .engine
        .request_without_waiting("prod", &release("2.0.0"), "dave", "that was not enough")
        .await
        .unwrap();
    scene.engine.step().await.unwrap();
    assert_eq!(scene.blockers(&next).await, [format!("{unproven} is verifying; it must end first")]);
    scene.settle().await;
    assert_eq!(scene.prod.running(), Some(release("2.0.0").digest()));
}

#[tokio::test]
async fn who_breaks_the_glass_goes_before_everybody_who_waits() {
    let scene = Night::new(Policy::unverified("test").approvals(1), GateAnswer::pass("")).scene;
    let first = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    let urgent = scene
        .engine
        .request_without_waiting("prod", &release("2.0.0"), "dave", "customers cannot pay")
        .await
        .unwrap();
    scene.settle().await;
    assert_eq!((scene.state(&first).await, scene.state(&urgent).await), (State::Pending, State::Succeeded));
}

#[tokio::test]
async fn only_whom_the_authorizer_lets_breaks_the_glass_and_only_for_a_reason() {
    let scene = Night::new(slow(), GateAnswer::pass("")).scene;
    let id = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    let told = async |by: &str, reason: &str| {
        let error = scene.engine.break_glass(&id, by, reason).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        error.to_string()
    };
    assert_eq!(
        told("bob", "now").await,
        "break the glass for prod/1 by bob: the authorizer does not count them among those who may: dave"
    );
    assert_eq!(
        told("dave", " ").await,
        "break the glass for prod/1 by dave: breaking the glass needs a reason"
    );
    let stage = scene.engine.request_without_waiting("prod", &release("2.0.0"), "bob", "now").await;
    assert_eq!(
        stage.unwrap_err().to_string(),
        "break the glass for stage prod by bob: the authorizer does not count them among those who may: dave"
    );
    let version = scene.engine.stage_state("prod").await.unwrap().version();
    assert_eq!(version, 1, "nothing was recorded");

    // Whoever says only who may vote has said of nobody that they may break the glass.
    let open = Scene::new(Policy::unverified("test"));
    let id = open.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    let error = open.engine.break_glass(&id, "bob", "now").await.unwrap_err();
    assert_eq!(error.to_string(), "break the glass for prod/1 by bob: the authorizer names nobody who may");
}

#[tokio::test]
async fn somebody_else_owes_a_review_until_it_is_given_whatever_happens_to_the_promotion() {
    let night = Night::new(slow(), GateAnswer::pass(""));
    let scene = &night.scene;
    let id = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    let nothing = scene.engine.review(&id, "erin", "fine").await.unwrap_err();
    assert_eq!(
        (nothing.kind(), nothing.to_string().as_str()),
        (ErrorKind::Conflict, "review prod/1: its glass was not broken, or somebody has reviewed it already")
    );
    scene.engine.break_glass(&id, "dave", "customers cannot pay").await.unwrap();
    scene.engine.cancel(&id, "alice").await.unwrap();

    let later = night.later();
    let [owed]: [Obligation; 1] = later.obligations().await.unwrap().try_into().unwrap();
    assert_eq!(
        owed.to_string(),
        "dave broke the glass for prod/1 at 2026-11-23T12:00:00.000000Z: customers cannot pay; to be reviewed until \
         2026-11-23T14:00:00.000000Z"
    );
    let overdue = [MINUTE * 119, MINUTE].map(|time| {
        scene.clock.advance(time);
        owed.is_overdue(scene.clock.now())
    });
    assert_eq!(overdue, [false, true]);

    let told = async |by: &str, note: &str| later.review(&id, by, note).await.unwrap_err().to_string();
    let own =
        "review prod/1 by dave: who requested it or broke the glass cannot review it; somebody else must";
    assert_eq!(told("dave", "I was right").await, own);
    assert_eq!(
        told("alice", "fine").await,
        "review prod/1 by alice: the authorizer does not count them among those who may: dave, erin"
    );
    assert_eq!(
        told("erin", "").await,
        "review prod/1 by erin: a review needs a note that says what was found"
    );
    later.review(&id, "erin", "a canary would have done").await.unwrap();
    assert_eq!(scene.engine.obligations().await.unwrap(), []);
    let history = scene.engine.history(&id).await.unwrap().to_string();
    assert!(history.ends_with("prod/1 reviewed by erin: a canary would have done\n"), "{history}");
    scene.engine.verify().await.unwrap();
}

#[tokio::test]
async fn breaking_the_glass_and_reviewing_it_are_answered_as_the_first_time() {
    let night = Night::new(Policy::unverified("test").approvals(1), GateAnswer::pass(""));
    let engine = &night.scene.engine;
    let by = |who: &str, request: &str| Actor::new(who).unwrap().request_id(request).unwrap();
    let urgent = async |engine: &Engine, reason: &str| {
        engine.request_without_waiting("prod", &release("1.0.0"), by("dave", "r1"), reason).await
    };
    let id = urgent(engine, "now").await.unwrap();
    let second = engine.request("prod", &release("2.0.0"), "alice").await.unwrap();
    engine.break_glass(&second, by("dave", "r2"), "this too").await.unwrap();
    let again = engine.break_glass(&second, "dave", "again").await.unwrap_err();
    assert_eq!(
        again.to_string(),
        format!("break the glass for {second}: it is pending, and its glass is broken already")
    );
    night.scene.settle().await;
    engine.review(&id, by("erin", "r3"), "fine").await.unwrap();
    let version = engine.stage_state("prod").await.unwrap().version();

    let later = Engine::builder(engine.pipeline().clone(), night.scene.journal.clone())
        .authorizer(AllowList::of(["zoe"]).unwrap())
        .build()
        .unwrap();
    assert_eq!(urgent(&later, "now").await.unwrap(), id);
    later.break_glass(&second, by("dave", "r2"), "this too").await.unwrap();
    later.review(&id, by("erin", "r3"), "fine").await.unwrap();
    let other = urgent(&later, "another reason").await.unwrap_err();
    assert_eq!(
        other.to_string(),
        "use request id r1: another command of stage prod has used it; choose a new one"
    );
    assert_eq!(later.stage_state("prod").await.unwrap().version(), version);
}
