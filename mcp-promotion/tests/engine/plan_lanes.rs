//! Plans whose stages are lanes of one stage.

use std::num::NonZeroU32;

use mcp_core::{Artifact, Digest, ErrorKind};
use mcp_promotion::{Engine, Item, Need, PlanHappened, PlanId, PlanRequest, PlanState, Policy, State};

use crate::scene::Trick;
use crate::yard::{Yard, request as by_hand};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn item(name: &str) -> Item {
    let reference = format!("{name}@2.0.0");
    let artifact = Artifact::try_from((reference.as_str(), Digest::of(reference.as_bytes()))).unwrap();
    Item::new(format!("prod/{name}").parse().unwrap(), artifact).from("1.0.0".parse().unwrap())
}

fn first(name: &str) -> Item {
    let mut item = item(name);
    item.from = None;
    item
}

/// `a` to `d` at once, then `e` and `f`.
fn request(parallelism: u32) -> PlanRequest {
    let after = |name| NAMES[..4].iter().fold(item(name), |item, of| item.need(Need::new(of, "^2").unwrap()));
    let items = NAMES.map(|name| if name < "e" { item(name) } else { after(name) });
    let mut request = PlanRequest::new(items);
    request.parallelism = NonZeroU32::new(parallelism);
    request
}

/// Version 1 runs in every lane.
async fn lanes(limit: u32) -> (Yard, Engine) {
    let yard = Yard::new(limit);
    let engine = yard.engine("one");
    for name in NAMES {
        by_hand(&engine, &format!("{name}@1.0.0")).await;
    }
    yard.settle(&engine).await;
    *yard.most.lock().unwrap() = 0;
    (yard, engine)
}

async fn state(engine: &Engine, id: PlanId) -> PlanState {
    engine.plan_status(id).await.unwrap().state
}

/// Where each stage was asked for and done, in the order of the plan's events; and the most that were asked for at once.
async fn waves(engine: &Engine, id: PlanId) -> (Vec<String>, usize) {
    let (mut told, mut open, mut most) = (Vec::new(), 0_usize, 0);
    for entry in engine.plan_history(id).await.unwrap() {
        match entry.what {
            PlanHappened::Asked { stage, .. } => {
                open += 1;
                told.push(format!("+{stage}"));
            }
            PlanHappened::Ended { stage, .. } => {
                open -= 1;
                told.push(format!("{stage}"));
            }
            _ => {}
        }
        most = most.max(open);
    }
    (told, most)
}

/// Invariant 5; each lane looks at it at each of its calls.
#[tokio::test(start_paused = true)]
async fn the_waves_of_a_plan_into_lanes_keep_its_own_limit_and_that_of_the_stage() {
    for (lanes_limit, plan_limit, together) in [(2, 4, 2), (3, 2, 2), (1, 3, 1)] {
        let (yard, engine) = lanes(lanes_limit).await;
        let id = engine.request_plan(&request(plan_limit), "alice").await.unwrap();
        let running = tokio::spawn(engine.clone().run());
        assert_eq!(engine.wait_plan(id).await.unwrap(), PlanState::Succeeded);
        engine.stop();
        running.await.unwrap();
        let (told, most) = waves(&engine, id).await;
        assert!((2..=plan_limit as usize).contains(&most), "{most} at once: {told:?}");
        assert_eq!(*yard.most.lock().unwrap(), together, "as many as both allow are under way");
        let second = told.iter().position(|line| line == "+prod/e" || line == "+prod/f").unwrap();
        let done = |line: &&String| !line.starts_with('+');
        assert_eq!(told[..second].iter().filter(done).count(), 4, "the first wave is done: {told:?}");
        for name in NAMES {
            let applied = yard.puppet(&format!("prod/{name}")).applied();
            assert_eq!(applied, [format!("{name}@1.0.0"), format!("{name}@2.0.0")]);
        }
        engine.verify().await.unwrap();
    }
}

#[tokio::test]
async fn a_failure_in_one_lane_takes_the_others_back_in_exact_reverse_order() {
    for ill in NAMES {
        let (yard, engine) = lanes(2).await;
        yard.puppet(&format!("prod/{ill}")).trick(std::iter::repeat_n(Trick::ApplyFails, 20));
        let id = engine.request_plan(&request(3), "alice").await.unwrap();
        yard.settle(&engine).await;
        assert_eq!(state(&engine, id).await, PlanState::RolledBack, "{ill}");
        let (mut forward, mut back) = (Vec::new(), Vec::new());
        for entry in engine.plan_history(id).await.unwrap() {
            match entry.what {
                PlanHappened::Ended { stage, state: State::Succeeded, .. } => forward.push(stage),
                PlanHappened::Reversed { stage, state: State::Succeeded, .. } => back.push(stage),
                _ => {}
            }
        }
        back.reverse();
        assert_eq!(forward, back, "{ill}");
        assert!(ill < "e" || forward.len() >= 4, "{ill}: {forward:?}");
        for name in NAMES {
            let applied = yard.puppet(&format!("prod/{name}")).applied();
            assert_eq!(applied.last().unwrap(), &format!("{name}@1.0.0"), "{name} after {ill}");
        }
        assert!(*yard.most.lock().unwrap() <= 2);
        engine.verify().await.unwrap();
    }
}

#[tokio::test]
async fn a_plan_opens_the_lanes_of_first_versions_and_an_engine_that_is_new_goes_on_with_them() {
    let yard = Yard::new(2);
    let mut id = None;
    for crash_after in [3, 9, 20, 1000] {
        let engine = yard.engine("one");
        let id = match id {
            Some(id) => id,
            None => {
                let request = PlanRequest::new(NAMES[..3].iter().map(|name| first(name)));
                assert_eq!(engine.lanes("prod").await.unwrap(), []);
                *id.insert(engine.request_plan(&request, "alice").await.unwrap())
            }
        };
        for _ in 0..crash_after {
            engine.step().await.unwrap();
        }
        engine.verify().await.unwrap();
        assert!(crash_after < 1000 || state(&engine, id).await == PlanState::Succeeded);
    }
    let lanes = yard.engine("two").lanes("prod").await.unwrap();
    let runs: Vec<String> =
        lanes.iter().map(|lane| lane.current.as_ref().unwrap().release.to_string()).collect();
    assert_eq!(runs, ["a@2.0.0", "b@2.0.0", "c@2.0.0"]);
}

#[tokio::test]
async fn a_stage_with_lanes_as_a_whole_and_a_lane_that_cannot_be_are_refused_with_what_to_do() {
    let (yard, engine) = lanes(2).await;
    by_hand(&engine, "x@1.0.0 y@1.0.0").await;
    yard.settle(&engine).await;
    let refusal = async |item: Item| {
        let refused = engine.request_plan(&PlanRequest::new([item]), "alice").await.unwrap_err();
        (refused.kind(), refused.to_string())
    };
    let mut whole = item("a");
    whole.stage = "prod".parse().unwrap();
    let told = "plan a release into stage prod: its lanes run releases of their own; name one of them, such as prod/app";
    assert_eq!(refusal(whole).await, (ErrorKind::Conflict, told.to_owned()));
    let (kind, told) = refusal(first("x")).await;
    assert_eq!(kind, ErrorKind::Conflict);
    assert!(told.starts_with("use lane prod/x: x goes through lane prod/set-"), "{told}");
    let mut other = item("b");
    other.stage = "prod/a".parse().unwrap();
    other.from = None;
    let (kind, told) = refusal(other).await;
    assert_eq!(kind, ErrorKind::Conflict);
    assert!(told.starts_with("use lane prod/a: "), "{told}");
    let mut unknown = first("z");
    unknown.stage = "prod/y".parse().unwrap();
    assert_eq!(refusal(unknown).await.0, ErrorKind::NotFound);
}

#[tokio::test]
async fn a_lane_that_somebody_else_has_opened_otherwise_fails_the_plan_naming_it() {
    let yard = Yard::new(2);
    let engine = yard.engine("one");
    let request = PlanRequest::new([first("a"), first("b").need(Need::new("a", "^2").unwrap())]);
    let id = engine.request_plan(&request, "alice").await.unwrap();
    by_hand(&engine, "b@1.0.0 c@1.0.0").await;
    yard.settle(&engine).await;
    let status = engine.plan_status(id).await.unwrap();
    assert_eq!(status.state, PlanState::Stuck, "nothing ran in prod/a before");
    let history = engine.plan_history(id).await.unwrap();
    let told: Vec<String> = history.iter().map(|entry| entry.what.to_string()).collect();
    assert!(
        told.iter()
            .any(|line| line.starts_with("running -> rolling_back: use lane prod/b: b goes through lane")),
        "{told:#?}"
    );
    assert_eq!(status.reason, "nothing ran in prod/a before");
}

#[tokio::test]
async fn a_stage_that_has_no_lanes_any_more_fails_the_plan_and_says_so() {
    let (yard, engine) = lanes(2).await;
    let id = engine.request_plan(&request(1), "alice").await.unwrap();
    let serial = yard.with("one", Policy::unverified("demo"), |builder| builder);
    yard.settle(&serial).await;
    let status = serial.plan_status(id).await.unwrap();
    assert_eq!(
        (status.state, status.reason.as_str()),
        (
            PlanState::RolledBack,
            "use lane prod/a: its stage has no lanes any more; request the release in the stage"
        )
    );
}
