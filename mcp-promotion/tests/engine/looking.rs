//! Dry runs and explanations: what people see.

use mcp_core::ErrorKind;
use mcp_promotion::{
    Ahead, Blocker, Calendar, Deed, GateAnswer, GateError, GateRequest, Journal, Kind, LiftedBy,
    OnNoPredecessor, Policy, Queue, Reach, Return, State, Verified,
};

use crate::scene::{MINUTE, Puppet, Scene, release};

fn plain() -> Policy {
    Policy::unverified("test")
}

/// Fails the test when it is asked.
struct NotAsked;

#[async_trait::async_trait]
impl mcp_promotion::Gate for NotAsked {
    async fn check(&self, request: &GateRequest<'_>) -> Result<GateAnswer, GateError> {
        panic!("asked about {:?}", request.promotion)
    }
}

async fn versions(scene: &Scene) -> Vec<usize> {
    let mut lengths = Vec::new();
    for stream in ["stage/dev", "stage/prod"] {
        lengths.push(scene.journal.read(&stream.parse().unwrap(), 0, 10_000).await.unwrap().len());
    }
    lengths
}

#[tokio::test]
async fn a_preview_tells_what_blocks_what_it_goes_through_and_writes_nothing() {
    let freeze = Calendar::span("freeze", "UTC", "2026-11-23T00:00", "2026-11-24T00:00").unwrap();
    let policy = Policy::healthy_for(MINUTE).after("dev").soak(MINUTE).approvals(2).gate("scan").deny(freeze);
    let policy = policy.canary().watch(10 * MINUTE);
    let scene = Scene::with(policy, Puppet::default(), |builder| builder.gate("scan", NotAsked));
    scene.promoted("dev", "1.0.0").await;
    let (before, news) = (versions(&scene).await, scene.events.events().len());
    let preview = scene.engine.preview("prod", &release("1.0.0"), "alice").await.unwrap();
    assert_eq!(
        preview.to_string(),
        "promote app@1.0.0 in prod for alice, as of 2026-11-23T12:00:00.000000Z\n  \
         nothing has succeeded in the stage\n  \
         blocked: 2 of 2 approvals are missing; eligible people other than alice can give them\n  \
         blocked: freeze freeze is on; it may start at 2026-11-24T00:00:00.000000Z\n  \
         blocked: the release must run in dev until 2026-11-23T12:01:00.000000Z\n  \
         1. 2 people approve it\n  \
         2. gates pass: scan\n  \
         3. everything runs it\n  \
         4. judge guardrail looks at windows of 10s, for at least 1m\n  \
         5. it has succeeded, and the judge watches it for 10m\n  \
         if it fails, it pauses, because nothing ran before\n"
    );
    let lifted: Vec<_> =
        preview.obstacles.iter().map(|one| (one.lifted_by.clone(), one.until.is_some())).collect();
    assert_eq!(lifted, [(LiftedBy::Approvers, false), (LiftedBy::Time, true), (LiftedBy::Time, true)]);
    assert_eq!((versions(&scene).await, scene.events.events().len()), (before, news));
    let json = serde_json::to_string(&preview).unwrap();
    assert_eq!(serde_json::from_str::<mcp_promotion::Preview>(&json).unwrap(), preview);
}

#[tokio::test]
async fn a_preview_tells_what_is_superseded_what_comes_first_and_where_a_canary_begins() {
    let policy = Policy::healthy_for(MINUTE).canary().queue(Queue::SupersedePending);
    let scene = Scene::new(policy);
    scene.promoted("prod", "1.0.0").await;
    scene.promoted("prod", "2.0.0").await;
    let back = scene.engine.preview_rollback("prod", "bob").await.unwrap();
    assert_eq!(
        (back.kind, &back.release, back.on_failure),
        (Kind::Rollback, &release("1.0.0"), Return::Stuck)
    );
    assert_eq!((back.supersedes, back.behind), (vec![], vec![]));
    let under_way = scene.engine.request("prod", &release("3.0.0"), "alice").await.unwrap();
    while scene.state(&under_way).await == State::Pending {
        scene.engine.step().await.unwrap();
    }
    let pending = scene.engine.request("prod", &release("4.0.0"), "alice").await.unwrap();
    let preview = scene.engine.preview("prod", &release("5.0.0"), "bob").await.unwrap();
    assert_eq!((preview.supersedes, preview.behind), (vec![pending.clone()], vec![under_way.clone()]));
    assert_eq!(preview.on_failure, Return::Release(release("2.0.0")));
    let reaches: Vec<_> = preview
        .steps
        .iter()
        .filter_map(|step| if let Ahead::Apply { reach } = step { Some(*reach) } else { None })
        .collect();
    assert_eq!(reaches, [Reach::Canary, Reach::All]);
    let refused = scene.engine.preview_rollback("prod", "bob").await.unwrap_err();
    assert_eq!(refused.to_string(), scene.engine.rollback("prod", "bob").await.unwrap_err().to_string());
    // What was foreseen is what happens.
    let five = scene.engine.request("prod", &release("5.0.0"), "bob").await.unwrap();
    assert_eq!(scene.state(&pending).await, State::Superseded);
    let blockers = scene.engine.blockers(&five).await.unwrap();
    assert_eq!(preview.obstacles.into_iter().map(|one| one.blocker).collect::<Vec<_>>(), blockers);
}

#[tokio::test]
async fn a_preview_of_what_would_be_refused_is_refused_alike() {
    let scene = Scene::new(plain().on_no_predecessor(OnNoPredecessor::Remove));
    let empty = mcp_promotion::Release::empty();
    let of = |error: mcp_promotion::PromotionError| (error.kind(), error.to_string());
    assert_eq!(
        of(scene.engine.preview("prod", &empty, "alice").await.unwrap_err()),
        of(scene.engine.request("prod", &empty, "alice").await.unwrap_err())
    );
    assert_eq!(
        of(scene.engine.preview_rollback("prod", "alice").await.unwrap_err()),
        of(scene.engine.rollback("prod", "alice").await.unwrap_err())
    );
    let unknown = scene.engine.preview("qa", &release("1.0.0"), "alice").await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    let first = scene.engine.preview("prod", &release("1.0.0"), "alice").await.unwrap();
    assert!(first.to_string().contains("  nothing keeps it from starting at once\n"));
    assert_eq!((first.on_failure, first.obstacles), (Return::Remove, vec![]));
}

/// The engine that previews has no such stage: that is one more obstacle, as it is a blocker of what was requested.
#[tokio::test]
async fn a_preview_names_a_stage_that_nobody_here_drives() {
    let pipeline = mcp_promotion::Pipeline::builder().stage("prod", plain()).build().unwrap();
    let engine =
        mcp_promotion::Engine::builder(pipeline, mcp_promotion::MemoryJournal::new()).build().unwrap();
    let preview = engine.preview("prod", &release("1.0.0"), "alice").await.unwrap();
    let blockers: Vec<_> = preview.obstacles.into_iter().map(|one| one.blocker).collect();
    assert_eq!(blockers, [Blocker::NotDriven { stage: "prod".parse().unwrap() }]);
}

#[tokio::test]
async fn a_release_is_explained_by_who_asked_who_approved_and_what_was_seen() {
    let scene = Scene::new(Policy::healthy_for(MINUTE).after("dev").approvals(1));
    for version in ["1.0.0", "2.0.0"] {
        scene.promoted("dev", version).await;
        let id = scene.engine.request("prod", &release(version), "alice").await.unwrap();
        scene.engine.approve(&id, "bob").await.unwrap();
        scene.settle().await;
    }
    let stage = scene.engine.explain_stage("prod").await.unwrap();
    let runs = stage.runs.clone().unwrap();
    assert_eq!(runs.release, release("2.0.0"));
    assert_eq!(runs.approved_by, ["bob".parse().unwrap()]);
    assert_eq!(runs.replaced.as_ref().unwrap().release, release("1.0.0"));
    assert_eq!(runs, scene.engine.explain(&runs.promotion).await.unwrap());
    assert!(
        matches!(&runs.verified, Some(Verified::Judged { by, windows: 6, .. }) if by == "guardrail"),
        "{runs:?}"
    );
    let text = include_str!("../../testdata/explained.txt");
    assert_eq!(stage.to_string(), text);
    let json = serde_json::to_string(&stage).unwrap();
    assert_eq!(serde_json::from_str::<mcp_promotion::StageExplanation>(&json).unwrap(), stage);
}

#[tokio::test]
async fn what_came_back_is_explained_by_the_failure_and_a_hand_that_helped_is_named() {
    let scene = Scene::new(Policy::healthy_for(MINUTE));
    let first = scene.promoted("prod", "1.0.0").await;
    scene.prod.ill(&release("2.0.0"), Some(10));
    let second = scene.promoted("prod", "2.0.0").await;
    let stage = scene.engine.explain_stage("prod").await.unwrap();
    assert_eq!(stage.runs.as_ref().unwrap().promotion, first);
    let failed = stage.came_back_after.unwrap();
    assert_eq!((failed.promotion.clone(), failed.state), (second.clone(), State::RolledBack));
    assert!(failed.reason.contains("90 of 100 requests failed"), "{}", failed.reason);
    assert_eq!(failed.replaced.unwrap().promotion, first);

    scene.prod.ill(&release("3.0.0"), None);
    let third = scene.promoted("prod", "3.0.0").await;
    assert_eq!(scene.state(&third).await, State::Paused, "there is no data");
    let under_way = scene.engine.explain_stage("prod").await.unwrap();
    assert_eq!(under_way.in_flight.unwrap().promotion, third);
    scene.engine.override_with(&third, "carol", "the probe is broken").await.unwrap();
    scene.settle().await;
    scene.engine.hold("prod", "carol", "let it settle").await.unwrap();
    let stage = scene.engine.explain_stage("prod").await.unwrap();
    let runs = stage.runs.as_ref().unwrap();
    assert_eq!((&runs.promotion, runs.exceptions.len()), (&third, 1));
    let deed = &runs.exceptions[0];
    assert_eq!(
        (deed.what, deed.by.as_str(), deed.reason.as_str()),
        (Deed::Overridden, "carol", "the probe is broken")
    );
    assert_eq!((stage.came_back_after.clone(), stage.held.as_ref().unwrap().by.as_str()), (None, "carol"));
    let text = stage.to_string();
    assert!(text.contains("  overridden by carol at "), "{text}");
    assert!(text.ends_with(&format!("a rollback would bring back app@1.0.0 from {first}\n")), "{text}");
}

#[tokio::test]
async fn a_promotion_that_ended_long_ago_and_one_that_never_started_are_explained() {
    let scene = Scene::new(plain().approvals(1));
    let vetoed = scene.engine.request("prod", &release("0.9.0"), "alice").await.unwrap();
    scene.engine.approve(&vetoed, "bob").await.unwrap();
    scene.engine.veto(&vetoed, "carol", "not on a Friday").await.unwrap();
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
        let id = scene.engine.request("prod", &release(version), "alice").await.unwrap();
        scene.engine.approve(&id, "bob").await.unwrap();
        scene.settle().await;
    }
    assert_eq!(
        scene.engine.stage_state("prod").await.unwrap().promotion(vetoed.number),
        None,
        "it was left behind"
    );
    let told = scene.engine.explain(&vetoed).await.unwrap();
    assert_eq!((told.state, told.started_at, told.approved_by.len()), (State::Rejected, None, 1));
    let deeds: Vec<_> =
        told.exceptions.iter().map(|one| (one.what, one.by.as_str(), one.reason.as_str())).collect();
    assert_eq!(deeds, [(Deed::Rejected, "carol", "not on a Friday")]);
    let rollback = scene.engine.rollback("prod", "bob").await.unwrap();
    scene.settle().await;
    let stage = scene.engine.explain_stage("prod").await.unwrap();
    let runs = stage.runs.unwrap();
    assert_eq!((runs.promotion, runs.kind, runs.release), (rollback, Kind::Rollback, release("2.0.0")));
    let nothing = scene.engine.explain(&"prod/3".parse().unwrap()).await.unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::NotFound, "that is a vote, and no request");
    assert_eq!(scene.engine.explain_stage("dev").await.unwrap().runs, None);
}

#[tokio::test]
async fn a_broken_glass_is_explained_with_what_it_skipped_and_who_reviewed_it() {
    let text = r#"{"people": {"bob": ["sre"], "carol": ["leads"]}, "voters": ["leads"], "operators": ["sre"],
        "glass_breakers": ["sre"], "reviewers": ["leads"]}"#;
    let roles: mcp_promotion::Roles = serde_json::from_str(text).unwrap();
    let scene = Scene::with(plain().approvals(1), Puppet::default(), |builder| builder.authorizer(roles));
    let id = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    scene.engine.break_glass(&id, "bob", "the site is down").await.unwrap();
    let slow = scene.engine.request("prod", &release("2.0.0"), "alice").await.unwrap();
    let preview = scene.engine.preview("prod", &release("3.0.0"), "alice").await.unwrap();
    assert_eq!(preview.behind, [id.clone(), slow]);
    scene.settle().await;
    scene.engine.review(&id, "carol", "it was").await.unwrap();
    let told = scene.engine.explain(&id).await.unwrap();
    let deeds: Vec<_> =
        told.exceptions.iter().map(|one| (one.what, one.by.as_str(), one.reason.as_str())).collect();
    assert_eq!(deeds, [(Deed::BrokeGlass, "bob", "the site is down"), (Deed::Reviewed, "carol", "it was")]);
    assert!(told.to_string().contains("  without 1 of 1 approvals\n  nobody looked"), "{told}");
}
