//! Stages of which one is enough, and stages that a pipeline has lost.

use std::sync::Arc;
use std::time::Duration;

use mcp_core::{Clock, ManualClock, SequentialIds};
use mcp_promotion::{
    Engine, LiftedBy, MemoryJournal, Pipeline, Policy, PromotionId, State, Step, UpstreamRule,
};

use crate::scene::{MINUTE, Puppet, release};

struct World {
    clock: Arc<ManualClock>,
    journal: MemoryJournal,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap()));
        Self { clock, journal: MemoryJournal::new() }
    }

    /// An engine with these stages; each gets a stage that does what it is told.
    fn engine(&self, stages: &[(&str, Policy)]) -> Engine {
        let mut pipeline = Pipeline::builder();
        for (name, policy) in stages {
            pipeline = pipeline.stage(*name, policy.clone());
        }
        let mut builder = Engine::builder(pipeline.build().unwrap(), self.journal.clone())
            .clock(self.clock.clone())
            .owner("one")
            .ids(Arc::new(SequentialIds::starting_at(1)));
        for (name, _) in stages {
            builder = builder.stage(*name, Puppet::default());
        }
        builder.build().unwrap()
    }
}

fn plain() -> Policy {
    Policy::unverified("test")
}

async fn settle(engine: &Engine) -> Option<mcp_core::Timestamp> {
    for _ in 0..1000 {
        if let Step::Waiting(until) = engine.step().await.unwrap() {
            return until;
        }
    }
    panic!("it does not settle");
}

async fn shown(engine: &Engine, id: &PromotionId) -> Vec<String> {
    engine.blockers(id).await.unwrap().iter().map(ToString::to_string).collect()
}

fn either(soak: Duration) -> Policy {
    plain().after("eu").after("us").upstream(UpstreamRule::AnyOf).soak(soak)
}

#[tokio::test]
async fn one_of_the_stages_before_is_enough_where_the_policy_says_so_and_the_evidence_names_it() {
    let world = World::new();
    let engine = world.engine(&[("eu", plain()), ("us", plain()), ("prod", either(10 * MINUTE))]);
    let prod = engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    settle(&engine).await;
    assert_eq!(
        shown(&engine, &prod).await,
        [
            "one of these must be lifted: the release has not succeeded in eu; promote it there first; or the release has not \
          succeeded in us; promote it there first"
        ]
    );
    let us = engine.request("us", &release("1.0.0"), "alice").await.unwrap();
    let until = settle(&engine).await;
    assert_eq!(
        until,
        Some(world.clock.now().saturating_add(10 * MINUTE)),
        "woken when the soak time is over"
    );
    let blockers = engine.blockers(&prod).await.unwrap();
    assert_eq!(blockers.iter().map(mcp_promotion::Blocker::until).collect::<Vec<_>>(), [until]);
    let eu = "eu".parse().unwrap();
    assert_eq!(blockers[0].lifted_by(), LiftedBy::AnyOf(vec![LiftedBy::Stage(eu), LiftedBy::Time]));
    world.clock.advance(10 * MINUTE);
    // A success that has not soaked is no evidence.
    engine.request("eu", &release("1.0.0"), "alice").await.unwrap();
    settle(&engine).await;
    let ended = engine.status(&prod).await.unwrap();
    assert_eq!(ended.state, State::Succeeded);
    let upstream = ended.evidence.unwrap().upstream;
    let told: Vec<_> =
        upstream.iter().map(|seen| (seen.stage.as_str(), seen.promotion, seen.ran_ms)).collect();
    assert_eq!(told, [("us", us.number, 600_000)]);
}

#[tokio::test]
async fn all_of_the_stages_before_are_asked_for_unless_the_policy_says_otherwise() {
    let world = World::new();
    let both = plain().after("eu").after("us");
    let engine = world.engine(&[("eu", plain()), ("us", plain()), ("prod", both)]);
    engine.request("eu", &release("1.0.0"), "alice").await.unwrap();
    let prod = engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    settle(&engine).await;
    assert_eq!(shown(&engine, &prod).await, ["the release has not succeeded in us; promote it there first"]);
}

#[tokio::test]
async fn a_changed_pipeline_counts_for_new_requests_and_one_that_lost_a_stage_before_is_a_named_blocker() {
    let world = World::new();
    let old = world.engine(&[("dev", plain()), ("prod", plain().after("dev"))]);
    let before = old.request("prod", &release("1.0.0"), "alice").await.unwrap();
    let new = world.engine(&[("prod", plain())]);
    let free = new.request("prod", &release("2.0.0"), "alice").await.unwrap();
    settle(&new).await;
    assert_eq!(
        shown(&new, &before).await,
        [
            "the pipeline has stage dev no more, and the release would have to succeed there; put it back, or cancel the promotion and request it again"
        ]
    );
    assert_eq!(new.blockers(&before).await.unwrap()[0].lifted_by(), LiftedBy::Operator);
    assert_eq!(new.status(&free).await.unwrap().state, State::Pending, "it is not its turn");
    new.cancel(&before, "alice").await.unwrap();
    settle(&new).await;
    assert_eq!(new.status(&free).await.unwrap().state, State::Succeeded, "by the policy of its own request");
}
