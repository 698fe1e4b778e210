use std::time::Duration;

use mcp_core::Clock;
use mcp_promotion::{Calls, Kind, Policy, PromotionError, PromotionId, Queue, State};
use proptest::prelude::*;

use crate::scene::{Canaries, MINUTE, Puppet, Scene, Trick, release};

/// What happens next; numbers choose among the promotions that there are.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Request(u8),
    Vote(usize, u8),
    Operate(usize, u8),
    Rollback,
    Hold,
    LiftHold,
    Step,
    Pass(u16),
    Trick(u8),
    SetBack(u16),
}

pub(crate) fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (0..4_u8).prop_map(Act::Request),
        3 => (any::<usize>(), 0..4_u8).prop_map(|(which, how)| Act::Vote(which, how)),
        2 => (any::<usize>(), 0..8_u8).prop_map(|(which, how)| Act::Operate(which, how)),
        1 => Just(Act::Rollback),
        1 => Just(Act::Hold),
        1 => Just(Act::LiftHold),
        12 => Just(Act::Step),
        3 => (1..600_u16).prop_map(Act::Pass),
        2 => (0..8_u8).prop_map(Act::Trick),
        1 => (1..600_u16).prop_map(Act::SetBack),
    ]
}

pub(crate) async fn perform(
    scene: &Scene,
    ids: &mut Vec<PromotionId>,
    act: &Act,
) -> Result<(), PromotionError> {
    let pick = |which: usize| ids.get(which % ids.len().max(1)).cloned();
    let engine = &scene.engine;
    match *act {
        Act::Request(version) => {
            ids.push(engine.request("prod", &release(&format!("{version}.0.0")), "alice").await?);
            Ok(())
        }
        Act::Rollback => {
            ids.push(engine.rollback("prod", "bob").await?);
            Ok(())
        }
        Act::Hold => engine.hold("prod", "bob", "look first").await,
        Act::LiftHold => engine.lift_hold("prod", "bob").await,
        Act::Vote(which, how) => match (pick(which), how) {
            (None, _) => Ok(()),
            (Some(id), 0) => engine.reject(&id, "carol").await,
            (Some(id), 1) => engine.revoke(&id, "bob").await,
            (Some(id), _) => engine.approve(&id, "bob").await,
        },
        Act::Operate(which, how) => match (pick(which), how) {
            (None, _) => Ok(()),
            (Some(id), 0) => engine.cancel(&id, "alice").await,
            (Some(id), 1) => engine.pause(&id, "bob", "wait").await,
            (Some(id), 2) => engine.resume(&id, "bob").await,
            (Some(id), 3) => engine.override_with(&id, "bob", "known").await,
            (Some(id), 4) => engine.abort(&id, "bob", "no").await,
            (Some(id), 5) => engine.acknowledge(&id, "bob", "seen").await,
            (Some(id), 6) => engine.retry(&id, "bob").await,
            (Some(_), _) => engine.release_lease("prod", "bob").await,
        },
        Act::Step => engine.step().await.map(drop),
        Act::Pass(seconds) => {
            scene.clock.advance(Duration::from_secs(seconds.into()));
            Ok(())
        }
        Act::SetBack(seconds) => {
            scene.clock.set(scene.clock.now().saturating_sub(Duration::from_secs(seconds.into())));
            Ok(())
        }
        Act::Trick(how) => {
            match how {
                0 => scene.prod.trick([Trick::ApplyFails, Trick::ApplyFails]),
                1 => scene.prod.trick([Trick::ApplyLies]),
                2 => scene.prod.trick([Trick::ObserveUnknown]),
                3 => scene.prod.ill(&release("1.0.0"), Some(0)),
                4 => scene.prod.canaries(Canaries::Has),
                5 => scene.prod.canaries(Canaries::Refuses),
                6 => scene.prod.canaries(Canaries::Ignores),
                _ => scene.prod.ill(&release("2.0.0"), None),
            }
            Ok(())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    /// Invariants 4, 5 and 7: `verify` replays the stream, refuses what the table does not have or two in flight, and compares the replayed
    /// state with the one that was built up step by step. Under a hold nothing but rollbacks starts.
    #[test]
    fn no_sequence_of_commands_leaves_the_table_and_a_replay_gives_the_same_state(
        acts in proptest::collection::vec(act(), 1..120),
        supersede in any::<bool>(),
        canary in any::<bool>(),
        watch in any::<bool>(),
    ) {
        let mut policy = Policy::healthy_for(MINUTE).approvals(1).calls(Calls::default());
        if supersede {
            policy = policy.queue(Queue::SupersedePending);
        }
        if canary {
            policy = policy.canary();
        }
        if watch {
            policy = policy.watch(MINUTE);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let scene = Scene::with(policy, Puppet::default(), |builder| builder);
            let mut ids = Vec::new();
            let mut states = std::collections::BTreeMap::new();
            for act in &acts {
                let held = scene.engine.stage_state("prod").await.unwrap().hold().is_some();
                if let Err(error) = perform(&scene, &mut ids, act).await {
                    let refused = matches!(
                        error,
                        PromotionError::NotNow { .. } | PromotionError::Denied { .. }
                            | PromotionError::NoRollbackTarget { .. } | PromotionError::Lease { .. }
                            | PromotionError::Hold { .. }
                    );
                    prop_assert!(refused, "{act:?}: {error}");
                }
                // A watch asks for rollbacks of its own.
                let known = scene.engine.stage_state("prod").await.unwrap();
                let new = known.promotions().map(|promotion| promotion.id.clone());
                let new: Vec<_> = new.filter(|id| !ids.contains(id)).collect();
                ids.extend(new);
                for id in &ids {
                    let promotion = scene.engine.status(id).await.unwrap();
                    let state = promotion.state;
                    let before = states.insert(id.clone(), state);
                    let ended = before.filter(|before| before.is_terminal());
                    prop_assert!(ended.is_none_or(|before| before == state), "{id} was {before:?}, is {state}");
                    let starts = before == Some(State::Pending) && state.is_in_flight();
                    let may = !held || promotion.kind == Kind::Rollback;
                    prop_assert!(!starts || may, "{id} starts under a hold");
                }
            }
            for promotion in scene.engine.promotions("prod").await.unwrap() {
                let told = scene.engine.status(&promotion.id).await.unwrap();
                prop_assert_eq!(told, promotion, "what was left behind reads as it was");
            }
            scene.engine.verify().await.map_err(|error| TestCaseError::fail(error.to_string()))?;
            Ok(())
        })?;
    }
}
