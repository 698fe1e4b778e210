//! A pipeline that is changed while promotions are under way: it counts for new ones.

use std::sync::Arc;

use mcp_core::{ErrorKind, ManualClock, SequentialIds};
use mcp_promotion::{
    Actor, AllowList, Blocker, Engine, LiftedBy, MemoryJournal, Pipeline, Policy, PromotionId, State, Step,
};

use crate::scene::{MINUTE, Puppet, release};

struct World {
    clock: Arc<ManualClock>,
    journal: MemoryJournal,
    stage: Puppet,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap()));
        Self { clock, journal: MemoryJournal::new(), stage: Puppet::default() }
    }

    fn engine(&self, stages: &[(&str, Policy)]) -> Engine {
        let pipeline = stages.iter().fold(Pipeline::builder(), |all, (name, p)| all.stage(*name, p.clone()));
        let builder = Engine::builder(pipeline.build().unwrap(), self.journal.clone())
            .authorizer(AllowList::of(["bob", "carol"]).unwrap())
            .clock(self.clock.clone())
            .owner("one")
            .ids(Arc::new(SequentialIds::starting_at(1)));
        let stage = |name: &str| if name == "prod" { self.stage.clone() } else { Puppet::default() };
        stages.iter().fold(builder, |all, (name, _)| all.stage(*name, stage(name))).build().unwrap()
    }
}

fn plain() -> Policy {
    Policy::unverified("test")
}

async fn rest(engine: &Engine) {
    for _ in 0..1000 {
        if let Step::Waiting(_) = engine.step().await.unwrap() {
            return;
        }
    }
    panic!("it does not settle");
}

async fn state(engine: &Engine, id: &PromotionId) -> State {
    engine.status(id).await.unwrap().state
}

#[tokio::test]
async fn what_is_open_in_a_stage_that_was_removed_stays_readable_names_what_lifts_it_and_can_be_ended() {
    let world = World::new();
    let old = world.engine(&[("dev", plain()), ("prod", Policy::healthy_for(MINUTE))]);
    let running = old.request("prod", &release("1.0.0"), "alice").await.unwrap();
    rest(&old).await;
    let pending = old.request("prod", &release("2.0.0"), "alice").await.unwrap();
    assert_eq!(
        (state(&old, &running).await, state(&old, &pending).await),
        (State::Verifying, State::Pending)
    );

    let new = world.engine(&[("dev", plain())]);
    let gone = Blocker::StageGone { stage: "prod".parse().unwrap() };
    assert_eq!(gone.lifted_by(), LiftedBy::Operator);
    assert_eq!(new.blockers(&running).await.unwrap(), std::slice::from_ref(&gone));
    assert_eq!(new.blockers(&pending).await.unwrap().last(), Some(&gone));
    assert_eq!(
        gone.to_string(),
        "the pipeline has stage prod no more, and nobody drives it; put it back, or cancel or acknowledge the promotion"
    );
    assert_eq!(
        new.history(&running).await.unwrap().to_string(),
        old.history(&running).await.unwrap().to_string()
    );
    assert_eq!(new.timeline("prod").await.unwrap(), old.timeline("prod").await.unwrap());
    assert_eq!(new.promotions("prod").await.unwrap(), old.promotions("prod").await.unwrap());
    world.clock.advance(10 * MINUTE);
    rest(&new).await;
    assert_eq!(state(&new, &running).await, State::Verifying, "nobody drives it");
    new.cancel(&pending, "alice").await.unwrap();
    assert_eq!(state(&new, &pending).await, State::Cancelled);
    let refused = new.request("prod", &release("3.0.0"), "alice").await.unwrap_err();
    assert_eq!(refused.to_string(), "find stage prod: the pipeline has none of this name");
    assert_eq!(new.explain(&pending).await.unwrap(), old.explain(&pending).await.unwrap());
    assert_eq!(new.wait(&pending).await.unwrap(), State::Cancelled);
    let unknown = new.status(&"test/1".parse().unwrap()).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    new.verify().await.unwrap();

    // Put back, it goes on where it was.
    let back = world.engine(&[("prod", Policy::healthy_for(MINUTE)), ("dev", plain())]);
    for _ in 0..10 {
        rest(&back).await;
        world.clock.advance(MINUTE / 6);
    }
    assert_eq!(state(&back, &running).await, State::Succeeded);
}

#[tokio::test]
async fn a_promotion_keeps_the_policy_of_its_request_and_the_next_one_gets_the_new_policy() {
    let world = World::new();
    let old = world.engine(&[("prod", plain().approvals(2))]);
    let by = || Actor::new("alice").unwrap().request_id("r1").unwrap();
    let first = old.request("prod", &release("1.0.0"), by()).await.unwrap();
    old.approve(&first, "bob").await.unwrap();

    let new = world.engine(&[("prod", plain())]);
    assert_eq!(new.request("prod", &release("1.0.0"), by()).await.unwrap(), first, "the same command");
    rest(&new).await;
    let missing = "1 of 2 approvals are missing; eligible people other than alice can give them";
    assert_eq!(new.blockers(&first).await.unwrap()[0].to_string(), missing);
    new.approve(&first, "carol").await.unwrap();
    rest(&new).await;
    assert_eq!(state(&new, &first).await, State::Succeeded, "the vote under the old policy counts");
    let second = new.request("prod", &release("2.0.0"), "alice").await.unwrap();
    rest(&new).await;
    assert_eq!(state(&new, &second).await, State::Succeeded);
}

#[tokio::test]
async fn stages_that_were_added_put_in_another_order_or_made_to_come_after_others_change_nothing_under_way() {
    let world = World::new();
    let old = world.engine(&[("dev", plain()), ("prod", plain().after("dev"))]);
    let first = old.request("prod", &release("1.0.0"), "alice").await.unwrap();
    rest(&old).await;

    // dev now comes after prod, and a new stage between them.
    let turned = [("prod", plain()), ("staging", plain().after("prod")), ("dev", plain().after("staging"))];
    let new = world.engine(&turned);
    let waits = "the release has not succeeded in dev; promote it there first";
    assert_eq!(new.blockers(&first).await.unwrap()[0].to_string(), waits);
    new.cancel(&first, "alice").await.unwrap();
    for stage in ["dev", "staging"] {
        new.request(stage, &release("2.0.0"), "alice").await.unwrap();
    }
    let free = new.request("prod", &release("2.0.0"), "alice").await.unwrap();
    rest(&new).await;
    assert_eq!(state(&new, &free).await, State::Succeeded, "prod comes after nothing any more");
    for stage in ["staging", "dev"] {
        let runs = new.current(stage).await.unwrap().map(|deployed| deployed.release);
        assert_eq!(runs, Some(release("2.0.0")), "{stage} follows in the new order");
    }
    new.verify().await.unwrap();
}
