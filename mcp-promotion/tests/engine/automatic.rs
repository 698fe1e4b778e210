//! What has succeeded in the stages before is requested without anybody asking: once, and not against anybody's word.

use std::sync::Arc;

use mcp_core::{Clock, ErrorKind, ManualClock, SequentialIds};
use mcp_promotion::{
    AllowList, Engine, Happened, MemoryJournal, Pipeline, Policy, PromotionId, State, Step, UpstreamRule,
};

use crate::scene::{MINUTE, Puppet, release};

struct World {
    clock: Arc<ManualClock>,
    journal: MemoryJournal,
    prod: Puppet,
    stages: Vec<(&'static str, Policy)>,
}

fn plain() -> Policy {
    Policy::unverified("test")
}

/// Comes after `dev`, and needs nobody.
fn follows() -> Policy {
    plain().after("dev").automatic()
}

impl World {
    fn new(stages: impl IntoIterator<Item = (&'static str, Policy)>) -> Self {
        let clock = Arc::new(ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap()));
        let stages = stages.into_iter().collect();
        Self { clock, journal: MemoryJournal::new(), prod: Puppet::default(), stages }
    }

    fn after_dev(prod: Policy) -> Self {
        Self::new([("dev", plain()), ("prod", prod)])
    }

    fn engine(&self, owner: &str) -> Engine {
        let mut pipeline = Pipeline::builder();
        for (name, policy) in &self.stages {
            pipeline = pipeline.stage(*name, policy.clone());
        }
        let mut builder = Engine::builder(pipeline.build().unwrap(), self.journal.clone())
            .clock(self.clock.clone())
            .authorizer(AllowList::of(["bob"]).unwrap())
            .owner(owner)
            .ids(Arc::new(SequentialIds::starting_at(1)));
        for (name, _) in &self.stages {
            let stage = if *name == "prod" { self.prod.clone() } else { Puppet::default() };
            builder = builder.stage(*name, stage);
        }
        builder.build().unwrap()
    }
}

/// Until nothing more happens at this time.
async fn rest(engine: &Engine) -> Option<mcp_core::Timestamp> {
    for _ in 0..1000 {
        if let Step::Waiting(until) = engine.step().await.unwrap() {
            return until;
        }
    }
    panic!("it does not settle");
}

async fn by_hand(engine: &Engine, stage: &str, version: &str) -> PromotionId {
    let id = engine.request(stage, &release(version), "alice").await.unwrap();
    rest(engine).await;
    id
}

/// Everything that was asked for in `prod`, by whom, and where it stands.
async fn asked(engine: &Engine) -> Vec<String> {
    let all = engine.promotions("prod").await.unwrap();
    all.iter().map(|p| format!("{} by {}: {}", p.release, p.requester, p.state)).collect()
}

/// What keeps the candidate of `prod` from being requested.
async fn kept(engine: &Engine) -> Vec<String> {
    let candidate = engine.candidate("prod").await.unwrap().expect("a candidate");
    candidate.blockers.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn what_has_succeeded_and_soaked_before_is_requested_once_and_then_waits_for_approvals_as_any_other() {
    let world = World::after_dev(follows().soak(10 * MINUTE).approvals(1));
    let engine = world.engine("one");
    assert_eq!(engine.candidate("prod").await.unwrap(), None);
    by_hand(&engine, "dev", "1.0.0").await;
    assert_eq!(asked(&engine).await, [""; 0]);
    let soaked = world.clock.now().saturating_add(10 * MINUTE);
    assert_eq!(rest(&engine).await, Some(soaked), "a driver is woken when it has soaked");
    assert_eq!(kept(&engine).await, [format!("the release must run in dev until {soaked}")]);
    world.clock.advance(10 * MINUTE);
    rest(&engine).await;
    assert_eq!(asked(&engine).await, ["app@1.0.0 by automatic: pending"]);
    let id = engine.promotions("prod").await.unwrap()[0].id.clone();
    engine.approve(&id, "bob").await.unwrap();
    rest(&engine).await;
    world.clock.advance(60 * MINUTE);
    rest(&world.engine("two")).await;
    assert_eq!(asked(&engine).await, ["app@1.0.0 by automatic: succeeded"]);
    assert_eq!(engine.candidate("prod").await.unwrap(), None);
    engine.verify().await.unwrap();
}

#[tokio::test]
async fn a_newer_release_takes_the_place_of_one_that_is_still_pending_and_so_does_what_a_person_requests() {
    let world = World::after_dev(follows().approvals(1));
    let engine = world.engine("one");
    for version in ["1.0.0", "2.0.0"] {
        by_hand(&engine, "dev", version).await;
    }
    assert_eq!(
        asked(&engine).await,
        ["app@1.0.0 by automatic: superseded", "app@2.0.0 by automatic: pending"]
    );
    let own = by_hand(&engine, "prod", "3.0.0").await;
    assert_eq!(
        asked(&engine).await[1..],
        ["app@2.0.0 by automatic: superseded", "app@3.0.0 by alice: pending"]
    );
    assert_eq!(engine.candidate("prod").await.unwrap(), None, "2.0.0 was requested already");
    by_hand(&engine, "dev", "4.0.0").await;
    assert_eq!(asked(&engine).await[2..], ["app@3.0.0 by alice: pending", "app@4.0.0 by automatic: pending"]);
    assert_eq!(engine.status(&own).await.unwrap().state, State::Pending, "nobody's request is superseded");
}

#[tokio::test]
async fn after_a_rollback_nothing_is_promoted_by_itself_until_the_hold_is_lifted_or_a_person_promotes_a_release()
 {
    for by_lifting in [true, false] {
        let world = World::after_dev(Policy::healthy_for(MINUTE).after("dev").automatic());
        let engine = world.engine("one");
        let drive = async || {
            while let Some(until) = rest(&engine).await {
                world.clock.advance(until.saturating_since(world.clock.now()));
                if engine.stage_state("prod").await.unwrap().in_flight().is_none() {
                    return;
                }
            }
        };
        by_hand(&engine, "dev", "1.0.0").await;
        drive().await;
        world.prod.ill(&release("2.0.0"), Some(0));
        by_hand(&engine, "dev", "2.0.0").await;
        drive().await;
        assert_eq!(
            asked(&engine).await,
            ["app@1.0.0 by automatic: succeeded", "app@2.0.0 by automatic: rolled_back"]
        );
        by_hand(&engine, "dev", "3.0.0").await;
        drive().await;
        assert_eq!(asked(&engine).await.len(), 2);
        let bad = engine.promotions("prod").await.unwrap()[1].id.clone();
        let told = format!(
            "nothing is promoted here by itself after {bad}; lift the hold of the stage, or promote a release by hand"
        );
        assert_eq!(kept(&engine).await, [told]);
        if by_lifting {
            engine.lift_hold("prod", "bob").await.unwrap();
            drive().await;
            assert_eq!(asked(&engine).await[2..], ["app@3.0.0 by automatic: succeeded"]);
        } else {
            by_hand(&engine, "prod", "3.0.0").await;
            drive().await;
            by_hand(&engine, "dev", "4.0.0").await;
            drive().await;
            assert_eq!(
                asked(&engine).await[2..],
                ["app@3.0.0 by alice: succeeded", "app@4.0.0 by automatic: succeeded"]
            );
        }
        // What was taken back here comes back by hand only, also when it is promoted before anew.
        by_hand(&engine, "dev", "2.0.0").await;
        drive().await;
        assert_eq!(
            kept(&engine).await,
            ["the release ran in prod before and does not any more; request it there by hand"]
        );
        engine.verify().await.unwrap();
    }
}

#[tokio::test]
async fn an_automatic_promotion_that_is_pending_does_not_start_after_the_one_before_it_was_taken_back() {
    let world = World::after_dev(Policy::healthy_for(MINUTE).after("dev").automatic());
    let engine = world.engine("one");
    by_hand(&engine, "dev", "1.0.0").await;
    while let Some(until) = rest(&engine).await {
        world.clock.advance(until.saturating_since(world.clock.now()));
        if engine.stage_state("prod").await.unwrap().current().is_some() {
            break;
        }
    }
    by_hand(&engine, "dev", "2.0.0").await;
    let bad = engine.promotions("prod").await.unwrap()[1].id.clone();
    by_hand(&engine, "dev", "3.0.0").await;
    engine.abort(&bad, "bob", "it is bad").await.unwrap();
    rest(&engine).await;
    assert_eq!(
        asked(&engine).await[1..],
        ["app@2.0.0 by automatic: rolled_back", "app@3.0.0 by automatic: pending"]
    );
    let third = engine.promotions("prod").await.unwrap()[2].id.clone();
    let blockers = engine.blockers(&third).await.unwrap();
    assert_eq!(blockers, [mcp_promotion::Blocker::Distrusted { after: bad }]);
    assert_eq!(blockers[0].lifted_by(), mcp_promotion::LiftedBy::Operator);
    engine.lift_hold("prod", "bob").await.unwrap();
    rest(&engine).await;
    assert_eq!(engine.status(&third).await.unwrap().state, State::Verifying);
}

#[tokio::test]
async fn nothing_is_promoted_by_itself_into_a_held_stage_nor_in_place_of_what_a_person_requested_since() {
    let world = World::after_dev(follows().soak(10 * MINUTE));
    let engine = world.engine("one");
    by_hand(&engine, "dev", "1.0.0").await;
    world.clock.advance(MINUTE);
    engine.hold("prod", "bob", "the database moves").await.unwrap();
    world.clock.advance(9 * MINUTE);
    rest(&engine).await;
    assert_eq!(
        kept(&engine).await,
        ["bob holds the stage: the database moves; nothing but rollbacks starts until the hold is lifted"]
    );
    let night = engine.request("prod", &release("1.0.1"), "alice").await.unwrap();
    engine.lift_hold("prod", "bob").await.unwrap();
    rest(&engine).await;
    assert_eq!(
        kept(&engine).await,
        [format!("a person has requested {night} since the release succeeded; request it by hand")]
    );
    assert_eq!(asked(&engine).await, ["app@1.0.1 by alice: pending"]);
}

#[tokio::test]
async fn what_a_stage_before_went_back_to_is_not_promoted_by_itself() {
    let world = World::after_dev(follows().soak(10 * MINUTE));
    let engine = world.engine("one");
    for version in ["1.0.0", "2.0.0"] {
        by_hand(&engine, "dev", version).await;
    }
    engine.rollback("dev", "alice").await.unwrap();
    rest(&engine).await;
    world.clock.advance(60 * MINUTE);
    rest(&engine).await;
    assert_eq!((asked(&engine).await, engine.candidate("prod").await.unwrap()), (Vec::new(), None));
}

#[tokio::test]
async fn every_stage_before_must_have_seen_it_succeed_or_one_where_the_policy_says_so() {
    let both = plain().after("eu").after("us").automatic();
    let all = World::new([("eu", plain()), ("us", plain()), ("prod", both.clone())]);
    let engine = all.engine("one");
    by_hand(&engine, "eu", "1.0.0").await;
    assert_eq!(kept(&engine).await, ["the release has not succeeded in us; promote it there first"]);
    by_hand(&engine, "us", "1.0.0").await;
    by_hand(&engine, "eu", "2.0.0").await;
    assert_eq!(asked(&engine).await, ["app@1.0.0 by automatic: succeeded"]);
    assert_eq!(kept(&engine).await, ["the release has not succeeded in us; promote it there first"]);

    let any = World::new([
        ("eu", plain()),
        ("us", plain()),
        ("prod", both.upstream(UpstreamRule::AnyOf).soak(MINUTE)),
    ]);
    let engine = any.engine("one");
    by_hand(&engine, "eu", "1.0.0").await;
    any.clock.advance(MINUTE / 2);
    by_hand(&engine, "us", "2.0.0").await;
    any.clock.advance(MINUTE / 2);
    rest(&engine).await;
    assert_eq!(asked(&engine).await, ["app@1.0.0 by automatic: succeeded"], "2.0.0 has not soaked");
    any.clock.advance(MINUTE / 2);
    rest(&engine).await;
    assert_eq!(asked(&engine).await[1..], ["app@2.0.0 by automatic: succeeded"]);
}

/// Every driver looks at the same moment; and what a driver has seen is not what is there any more.
#[tokio::test]
async fn however_many_drivers_look_at_once_it_is_requested_once() {
    let world = World::after_dev(follows().approvals(1));
    let engines: Vec<Engine> = ["one", "two", "three", "four"].map(|owner| world.engine(owner)).into();
    engines[0].request("dev", &release("1.0.0"), "alice").await.unwrap();
    for _ in 0..50 {
        let steps = engines.iter().map(|engine| async { drop(engine.step().await.unwrap()) });
        futures::future::join_all(steps).await;
    }
    assert_eq!(asked(&engines[0]).await, ["app@1.0.0 by automatic: pending"]);
    let history = engines[0].timeline("prod").await.unwrap();
    let requests =
        history.moments.iter().filter(|moment| matches!(moment.entry.what, Happened::Requested(_)));
    assert_eq!(requests.count(), 1);
}

#[tokio::test]
async fn nobody_uses_the_name_of_what_happens_by_itself_and_a_policy_without_a_stage_before_cannot_ask_for_it()
 {
    let world = World::after_dev(follows());
    let error = world.engine("one").request("prod", &release("1.0.0"), "automatic").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    let refused = Pipeline::builder().stage("prod", plain().automatic()).build().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "build the pipeline: stage prod, automatic: it asks for automatic promotion, but comes after no stage; name a stage in after, or leave automatic out"
    );
}
