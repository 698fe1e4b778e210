//! A failure in each stage of a plan: what runs afterwards, and in which order it was taken back.

use std::num::NonZeroU32;

use mcp_core::Clock;
use mcp_promotion::{
    Item, Lockstep, Need, OnFailure, PlanHappened, PlanId, PlanRequest, PlanState, State, Step,
};
use proptest::prelude::*;

use crate::fleet::{Fleet, artifact, item};
use crate::scene::Trick;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// `a` and `b` first, then `c` and `d` at once, then `e`.
fn request() -> PlanRequest {
    let new = |item: Item, name: &str| item.need(Need::new(name, "^2").unwrap());
    let old = |item: Item, name: &str| item.needed_before(Need::new(name, "^1").unwrap());
    let mut request = PlanRequest::new([
        item("a"),
        item("b"),
        old(new(new(item("c"), "d"), "a"), "d"),
        new(item("d"), "b"),
        new(item("e"), "c"),
    ]);
    request.lockstep = Lockstep::Allow;
    request
}

/// What the plan has done, in order: stages forward, and stages back with a minus.
async fn moves(fleet: &Fleet, id: PlanId) -> Vec<String> {
    let history = fleet.engine.plan_history(id).await.unwrap();
    let told = history.into_iter().filter_map(|entry| match entry.what {
        PlanHappened::Ended { stage, state: State::Succeeded, .. } => Some(stage.to_string()),
        PlanHappened::Reversed { stage, state: State::Succeeded, .. } => Some(format!("-{stage}")),
        _ => None,
    });
    told.collect()
}

#[test]
fn the_waves_of_this_plan_are_as_its_tests_say() {
    let plan = request().plan().unwrap();
    assert_eq!(serde_json::to_string(plan.waves()).unwrap(), r#"[[["a"],["b"]],[["c","d"]],[["e"]]]"#);
}

#[tokio::test]
async fn a_failure_in_any_stage_takes_back_all_that_was_done_in_exact_reverse_order() {
    for (place, ill) in NAMES.iter().enumerate() {
        for parallelism in [None, NonZeroU32::new(1)] {
            let fleet = Fleet::plain(&NAMES).await;
            fleet.stage(ill).trick(std::iter::repeat_n(Trick::ApplyFails, 20));
            let request = with(request(), |request| request.parallelism = parallelism);
            let id = fleet.engine.request_plan(&request, "alice").await.unwrap();
            fleet.settle().await;
            assert_eq!(fleet.state(id).await, PlanState::RolledBack, "{ill}");
            assert_eq!(fleet.running(), "a@1.0.0 b@1.0.0 c@1.0.0 d@1.0.0 e@1.0.0", "{ill}");
            let moves = moves(&fleet, id).await;
            let (forward, back) = moves.split_at(moves.len() / 2);
            let reversed: Vec<String> = forward.iter().rev().map(|stage| format!("-{stage}")).collect();
            assert_eq!(back, reversed, "{ill}");
            // Nothing of a later wave was touched.
            let wave = [0, 0, 1, 1, 2];
            for (other, name) in NAMES.iter().enumerate() {
                if wave[other] > wave[place] {
                    assert_eq!(fleet.stage(name).applied().len(), 1, "{name} after {ill}");
                }
            }
            fleet.engine.verify().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_failure_in_any_stage_halts_the_plan_that_says_so_and_it_succeeds_after_a_resumption() {
    for ill in NAMES {
        let fleet = Fleet::plain(&NAMES).await;
        fleet.stage(ill).trick(std::iter::repeat_n(Trick::ApplyFails, 3));
        let request = with(request(), |request| request.on_failure = OnFailure::Halt);
        let id = fleet.engine.request_plan(&request, "alice").await.unwrap();
        fleet.settle().await;
        let mut resumptions = 0;
        while fleet.state(id).await == PlanState::Halted {
            assert_eq!(fleet.stage(ill).applied(), [format!("{ill}@1.0.0")], "{ill}");
            assert_eq!(fleet.history(id).await.iter().filter(|line| line.contains("rollback")).count(), 0);
            resumptions += 1;
            // Another process goes on with it.
            fleet.another("two").resume_plan(id, "carol").await.unwrap();
            fleet.settle().await;
        }
        assert_eq!((fleet.state(id).await, resumptions > 0), (PlanState::Succeeded, true), "{ill}");
        assert_eq!(fleet.running(), "a@2.0.0 b@2.0.0 c@2.0.0 d@2.0.0 e@2.0.0", "{ill}");
        fleet.engine.verify().await.unwrap();
    }
}

fn with(mut request: PlanRequest, change: impl FnOnce(&mut PlanRequest)) -> PlanRequest {
    change(&mut request);
    request
}

#[tokio::test]
async fn as_many_groups_are_under_way_at_a_time_as_the_request_allows() {
    const WIDE: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    for (limit, expected) in [
        (1, vec!["a", "b", "c", "d", "e", "f"]),
        (2, vec!["a b", "c d", "e f"]),
        (4, vec!["a b c d", "e f"]),
        (9, vec!["a b c d e f"]),
    ] {
        let fleet = Fleet::all_approved(&WIDE).await;
        let request =
            with(PlanRequest::new(WIDE.map(item)), |request| request.parallelism = NonZeroU32::new(limit));
        let id = fleet.engine.request_plan(&request, "alice").await.unwrap();
        fleet.settle().await;
        let mut asked = Vec::new();
        while fleet.state(id).await == PlanState::Running {
            asked.push(fleet.approve(id).await);
        }
        assert_eq!(
            (fleet.state(id).await, asked),
            (PlanState::Succeeded, expected.iter().map(ToString::to_string).collect())
        );
    }
}

#[tokio::test]
async fn a_lockstep_group_is_asked_for_together_and_taken_back_before_what_it_needs() {
    let fleet = Fleet::all_approved(&NAMES).await;
    fleet.stage("e").trick(std::iter::repeat_n(Trick::ApplyFails, 20));
    let request = with(request(), |request| request.parallelism = NonZeroU32::new(1));
    let id = fleet.engine.request_plan(&request, "alice").await.unwrap();
    fleet.settle().await;
    let mut asked = Vec::new();
    while fleet.state(id).await == PlanState::Running {
        asked.push(fleet.approve(id).await);
    }
    // One group at a time, and both of one group at once.
    assert_eq!(asked, ["a", "b", "c d", "e"]);
    assert_eq!(moves(&fleet, id).await, ["a", "b", "c", "d", "-d", "-c", "-b", "-a"]);
    assert_eq!(fleet.state(id).await, PlanState::RolledBack);
}

#[tokio::test]
async fn a_plan_goes_on_in_another_process_after_each_of_its_steps() {
    for crash_after in 0..70 {
        let fleet = Fleet::plain(&NAMES).await;
        fleet.stage("e").trick(std::iter::repeat_n(Trick::ApplyFails, 20));
        let id = fleet.engine.request_plan(&request(), "alice").await.unwrap();
        for _ in 0..crash_after {
            fleet.engine.step().await.unwrap();
        }
        // The same service, started again under its name.
        let fleet = Fleet { engine: fleet.another("one"), ..fleet };
        fleet.settle().await;
        assert_eq!(fleet.state(id).await, PlanState::RolledBack, "after {crash_after} steps");
        assert_eq!(fleet.running(), "a@1.0.0 b@1.0.0 c@1.0.0 d@1.0.0 e@1.0.0", "after {crash_after} steps");
        for name in &NAMES[..4] {
            let old = format!("{name}@1.0.0");
            assert_eq!(
                fleet.stage(name).applied(),
                [old.clone(), format!("{name}@2.0.0"), old],
                "after {crash_after} steps"
            );
        }
        fleet.engine.verify().await.unwrap();
    }
}

/// Whether everything that runs has what it needs, by the versions that run.
fn works(needs: &[(usize, usize)], new: &[bool]) -> bool {
    needs.iter().all(|(who, whom)| !new[*who] || new[*whom])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random needs between five stages, a random failure, a random limit, and a driver that is replaced now and then: every change is seen
    /// by the stages in an order in which no need is ever broken, on the way there and back.
    #[test]
    fn a_driven_plan_passes_only_through_states_that_work(
        pairs in prop::collection::vec((0..5_usize, 0..5_usize), 0..8),
        ill in prop::option::of(0..5_usize),
        limit in prop::option::of(1..4_u32),
        restarts in prop::collection::vec(1..30_usize, 0..4),
    ) {
        // From larger to smaller places only, so that there are no cycles.
        let needs: Vec<(usize, usize)> =
            pairs.into_iter().filter(|(who, whom)| who != whom).map(|(a, b)| (a.max(b), a.min(b))).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut fleet = Fleet::plain(&NAMES).await;
            let items = NAMES.iter().enumerate().map(|(who, name)| {
                let of = needs.iter().filter(|(other, _)| *other == who);
                of.fold(item(name), |item, (_, whom)| item.need(Need::new(NAMES[*whom], "^2").unwrap()))
            });
            let request = with(PlanRequest::new(items), |request| request.parallelism = limit.and_then(NonZeroU32::new));
            if let Some(ill) = ill {
                fleet.stage(NAMES[ill]).trick(std::iter::repeat_n(Trick::ApplyFails, 20));
            }
            let id = fleet.engine.request_plan(&request, "alice").await.unwrap();
            let mut new = [false; 5];
            let mut seen = [1; 5];
            let mut look = |fleet: &Fleet| {
                for (place, name) in NAMES.iter().enumerate() {
                    let applied = fleet.stage(name).applied();
                    for version in &applied[seen[place]..] {
                        new[place] = *version == artifact(name, "2.0.0").reference.to_string();
                        assert!(works(&needs, &new), "{new:?} breaks one of {needs:?}");
                    }
                    seen[place] = applied.len();
                }
                new
            };
            for steps in restarts {
                for _ in 0..steps {
                    fleet.engine.step().await.unwrap();
                    look(&fleet);
                }
                fleet = Fleet { engine: fleet.another("one"), ..fleet };
            }
            for _ in 0..1000 {
                if let Step::Waiting(until) = fleet.engine.step().await.unwrap() {
                    let Some(until) = until else { break };
                    fleet.clock.advance(until.saturating_since(fleet.clock.now()));
                }
                look(&fleet);
            }
            let all = look(&fleet);
            let (state, runs) = match ill {
                Some(_) => (PlanState::RolledBack, [false; 5]),
                None => (PlanState::Succeeded, [true; 5]),
            };
            assert_eq!((fleet.state(id).await, all), (state, runs));
            fleet.engine.verify().await.unwrap();
        });
    }
}
