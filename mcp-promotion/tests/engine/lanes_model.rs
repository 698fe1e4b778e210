//! Random commands and steps in a stage with lanes, compared with a model of lists.

use std::collections::BTreeMap;

use mcp_promotion::{Engine, Kind, Promotion, PromotionError, PromotionId, State, Step};
use proptest::prelude::*;

use crate::scene::Trick;
use crate::yard::{Yard, cargo};

/// The artifacts of each lane, and what it is called.
const LANES: [(&[&str], &str); 4] =
    [(&["a"], "prod/a"), (&["b"], "prod/b"), (&["c", "d"], "prod/set-c7ccb0daee900c33"), (&["e"], "prod/e")];

#[derive(Clone, Debug)]
enum Act {
    Request(usize, u8),
    Rollback(usize),
    Operate(usize, u8),
    Hold,
    Lift,
    /// The lane cannot tell what it runs, when it is asked next.
    Trick(usize),
    Restart,
    Step,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => (0..4_usize, 1..5_u8).prop_map(|(lane, version)| Act::Request(lane, version)),
        1 => (0..4_usize).prop_map(Act::Rollback),
        3 => (any::<usize>(), 0..4_u8).prop_map(|(which, how)| Act::Operate(which, how)),
        1 => Just(Act::Hold),
        1 => Just(Act::Lift),
        1 => (0..4_usize).prop_map(Act::Trick),
        1 => Just(Act::Restart),
        20 => Just(Act::Step),
    ]
}

/// What was asked for in one lane, in that order, and what became of it.
#[derive(Clone, Debug)]
struct Asked {
    id: PromotionId,
    kind: Kind,
    release: String,
    state: State,
}

#[derive(Clone, Debug, Default)]
struct Model {
    lanes: BTreeMap<String, Vec<Asked>>,
    held: bool,
    /// The release that each lane runs.
    runs: BTreeMap<String, String>,
}

impl Model {
    fn add(&mut self, promotion: &Promotion) {
        let (id, kind, release) = (promotion.id.clone(), promotion.kind, promotion.release.to_string());
        let lane = self.lanes.entry(id.stage.to_string()).or_default();
        if lane.iter().all(|asked| asked.id != id) {
            lane.push(Asked { id, kind, release, state: State::Pending });
        }
    }

    fn in_flight(&self) -> usize {
        self.lanes.values().flatten().filter(|asked| asked.state.is_in_flight()).count()
    }

    /// What may start now in each lane.
    fn startable(&self, limit: u32) -> Vec<&Asked> {
        let free = self.in_flight() < limit as usize;
        let idle = self.lanes.values().filter(|lane| free && !lane.iter().any(|a| a.state.is_in_flight()));
        idle.filter_map(|lane| {
            let mut pending = lane.iter().filter(|asked| asked.state == State::Pending);
            let rollback = pending.clone().find(|asked| asked.kind == Kind::Rollback);
            rollback.or_else(|| pending.next().filter(|_| !self.held))
        })
        .collect()
    }

    /// Goes on to what the engine says, one act later, if that can be.
    async fn follow(&mut self, engine: &Engine, limit: u32) {
        let before = self.clone();
        for (name, lane) in &mut self.lanes {
            for asked in lane {
                let state = engine.status(&asked.id).await.unwrap().state;
                let was = std::mem::replace(&mut asked.state, state);
                if was == state {
                    continue;
                }
                assert!(!was.is_terminal(), "{} was {was} and is {state}", asked.id);
                if was == State::Pending && state.is_in_flight() {
                    let may = before.startable(limit);
                    assert!(
                        may.iter().any(|may| may.id == asked.id),
                        "{} starts, and only {may:?} may",
                        asked.id
                    );
                }
                if state == State::Succeeded {
                    self.runs.insert(name.clone(), asked.release.clone());
                }
            }
            let lanes = engine.lanes("prod").await.unwrap();
            let lane = lanes.iter().find(|lane| lane.lane.name.as_str() == name).unwrap();
            let current = lane.current.as_ref().map(|current| current.release.to_string());
            assert_eq!(current.as_ref(), self.runs.get(name), "{name}");
        }
        assert!(self.in_flight() <= limit as usize, "{self:?}");
    }
}

async fn perform(yard: &Yard, engine: &Engine, model: &Model, act: &Act) -> Result<(), PromotionError> {
    let ids: Vec<&PromotionId> = model.lanes.values().flatten().map(|asked| &asked.id).collect();
    match *act {
        Act::Request(lane, version) => {
            let references: Vec<String> =
                LANES[lane].0.iter().map(|name| format!("{name}@{version}.0.0")).collect();
            let id = engine.request("prod", &cargo(&references.join(" ")), "alice").await?;
            assert_eq!(id.stage.as_str(), LANES[lane].1);
        }
        Act::Rollback(lane) => drop(engine.rollback(LANES[lane].1, "bob").await?),
        Act::Operate(which, how) => {
            let Some(id) = ids.get(which % ids.len().max(1)) else { return Ok(()) };
            match how {
                0 => engine.cancel(id, "alice").await?,
                1 => engine.abort(id, "bob", "no").await?,
                2 => engine.acknowledge(id, "bob", "seen").await?,
                _ => engine.resume(id, "bob").await?,
            }
        }
        Act::Hold => engine.hold("prod", "bob", "audit").await?,
        Act::Lift => engine.lift_hold("prod", "bob").await?,
        Act::Trick(lane) => yard.puppet(LANES[lane].1).trick([Trick::ObserveUnknown]),
        Act::Restart | Act::Step => {}
    }
    Ok(())
}

async fn play(limit: u32, acts: &[Act]) {
    let yard = Yard::new(limit);
    let (mut engine, mut model) = (yard.engine("one"), Model::default());
    for act in acts {
        if let Act::Restart = act {
            engine = yard.engine("one");
        }
        let outcome = perform(&yard, &engine, &model, act).await;
        if outcome.is_ok() {
            model.held = match act {
                Act::Hold => true,
                Act::Lift => false,
                _ => model.held,
            };
        }
        for promotion in engine.promotions("prod").await.unwrap() {
            model.add(&promotion);
        }
        let mut waits = false;
        if let Act::Step = act {
            waits = matches!(engine.step().await.unwrap(), Step::Waiting(_));
        }
        model.follow(&engine, limit).await;
        if waits {
            let idle = model.startable(limit);
            assert!(idle.is_empty(), "nothing is done, and these could start: {idle:?}");
        }
    }
    // Everything ends: whoever was paused or stuck is released, and nothing is held.
    drop(engine.lift_hold("prod", "bob").await);
    for _ in 0..100 {
        yard.settle(&engine).await;
        let all = engine.promotions("prod").await.unwrap();
        for promotion in &all {
            match promotion.state {
                State::Paused => engine.abort(&promotion.id, "bob", "end").await.unwrap(),
                State::Stuck => engine.acknowledge(&promotion.id, "bob", "end").await.unwrap(),
                _ => {}
            }
        }
        if all.iter().all(|promotion| promotion.state.is_terminal()) {
            break;
        }
    }
    let open = engine.promotions("prod").await.unwrap();
    assert!(open.iter().all(|promotion| promotion.state.is_terminal()), "{open:?}");
    engine.verify().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_commanded_lanes_start_in_turn_and_within_the_limit_and_none_is_left_idle(
        limit in 1..4_u32,
        acts in proptest::collection::vec(act(), 1..120),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(play(limit, &acts));
    }
}
