//! A stage belongs to one plan at a time, and what becomes of a stage without the plan is said.

use mcp_core::ErrorKind;
use mcp_promotion::{Blocker, Need, OnFailure, PlanRequest, PlanState, PromotionId, Release, State};

use crate::fleet::{Fleet, NAMES, artifact, item, request};

fn shown(blockers: &[(PromotionId, Vec<Blocker>)]) -> Vec<String> {
    blockers.iter().map(|(id, list)| format!("{id}: {}", list.last().unwrap())).collect()
}

#[tokio::test]
async fn a_second_plan_for_the_same_artifact_and_stage_is_refused_naming_the_first_until_that_has_ended() {
    let fleet = Fleet::approved().await;
    let first = fleet.engine.request_plan(&request(), "alice").await.unwrap();
    fleet.settle().await;
    let second = PlanRequest::new([item("web")]);
    let told = |state: &str| {
        format!(
            "plan the release: stage web belongs to plan {first}, which is {state}; wait until it has ended, or abort or acknowledge it"
        )
    };
    // Also in another process, and where it would only be looked at.
    for engine in [&fleet.engine, &fleet.another("two")] {
        let refused = engine.request_plan(&second, "dave").await.unwrap_err();
        assert_eq!((refused.kind(), refused.to_string()), (ErrorKind::Conflict, told("running")));
        assert_eq!(engine.preview_plan(&second).await.unwrap_err().to_string(), told("running"));
    }
    fleet.engine.pause_plan(first, "carol", "lunch").await.unwrap();
    fleet.settle().await;
    let refused = fleet.engine.request_plan(&second, "dave").await.unwrap_err();
    assert_eq!(refused.to_string(), told("halted"));
    assert_eq!(fleet.engine.plans().await.unwrap(), [first], "nothing was recorded");
    fleet.engine.acknowledge_plan(first, "carol", "later").await.unwrap();
    let second = fleet.engine.request_plan(&second, "dave").await.unwrap();
    fleet.settle().await;
    assert_eq!(fleet.approve(second).await, "web");
    assert_eq!(fleet.state(second).await, PlanState::Succeeded);
    assert_eq!(fleet.running(), "auth@2.0.0 billing@2.0.0 web@2.0.0");
}

#[tokio::test]
async fn of_two_plans_that_are_requested_at_once_one_is_refused() {
    let fleet = Fleet::plain(&NAMES).await;
    let (one, other) = (request(), PlanRequest::new([item("billing")]));
    let (one, other) = futures_join(&fleet, &one, &other).await;
    assert_eq!(usize::from(one) + usize::from(other), 1);
}

async fn futures_join(fleet: &Fleet, one: &PlanRequest, other: &PlanRequest) -> (bool, bool) {
    let (one, other) =
        tokio::join!(fleet.engine.request_plan(one, "alice"), fleet.engine.request_plan(other, "dave"));
    (one.is_ok(), other.is_ok())
}

#[tokio::test]
async fn a_plan_whose_next_stage_is_gone_from_the_pipeline_waits_and_says_so_until_it_is_put_back() {
    let fleet = Fleet::plain(&NAMES).await;
    let id = fleet.engine.request_plan(&request(), "alice").await.unwrap();
    let without = fleet.of("one", &["auth", "billing"]);
    let fleet = fleet.driven_by(without);
    fleet.settle().await;
    assert_eq!(fleet.state(id).await, PlanState::Running);
    let gone = "the pipeline has stage web no more, and nobody drives it; put it back, or cancel or acknowledge the promotion";
    let blockers = fleet.engine.plan_blockers(id).await.unwrap();
    assert_eq!(shown(&blockers), [format!("web/0: {gone}")]);
    fleet.engine.verify().await.unwrap();
    let back = fleet.another("one");
    let fleet = fleet.driven_by(back);
    assert_eq!(fleet.engine.plan_blockers(id).await.unwrap(), []);
    fleet.settle().await;
    assert_eq!(fleet.state(id).await, PlanState::Succeeded);
}

#[tokio::test]
async fn the_way_back_waits_for_a_stage_that_is_gone_and_keeps_its_order() {
    // All of one wave, so that only the order in which they succeeded says what comes first on the way back.
    let fleet = Fleet::plain(&NAMES).await;
    let mut request = PlanRequest::new(NAMES.map(item));
    request.on_failure = OnFailure::Halt;
    let id = fleet.engine.request_plan(&request, "alice").await.unwrap();
    while fleet.engine.plan_status(id).await.unwrap().done.len() < 2 {
        fleet.engine.step().await.unwrap();
    }
    let status = fleet.engine.plan_status(id).await.unwrap();
    assert_eq!(status.done.iter().map(ToString::to_string).collect::<Vec<_>>(), ["auth", "billing"]);
    fleet.engine.abort_plan(id, "carol", "no").await.unwrap();
    let without = fleet.of("one", &["auth", "web"]);
    let fleet = fleet.driven_by(without);
    fleet.settle().await;
    assert_eq!(fleet.state(id).await, PlanState::RollingBack);
    let blockers = shown(&fleet.engine.plan_blockers(id).await.unwrap());
    assert!(blockers.iter().any(|told| told.contains("has stage billing no more")), "{blockers:?}");
    let auth = |fleet: &Fleet| fleet.stage("auth").applied().last().cloned();
    assert_eq!(auth(&fleet).as_deref(), Some("auth@2.0.0"), "billing goes first");
    let back = fleet.another("one");
    let fleet = fleet.driven_by(back);
    fleet.settle().await;
    assert_eq!((fleet.state(id).await, auth(&fleet).as_deref()), (PlanState::RolledBack, Some("auth@1.0.0")));
    fleet.engine.verify().await.unwrap();
}

#[tokio::test]
async fn a_request_by_hand_waits_behind_what_a_plan_has_asked_for_and_says_so() {
    let fleet = Fleet::approved().await;
    let id = fleet.engine.request_plan(&request(), "alice").await.unwrap();
    fleet.settle().await;
    let (planned, _) = fleet.engine.plan_blockers(id).await.unwrap().remove(0);
    let other = Release::of([artifact("web", "3.0.0")]).unwrap();
    let by_hand = fleet.engine.request("web", &other, "dave").await.unwrap();
    fleet.engine.approve(&by_hand, "bob").await.unwrap();
    fleet.settle().await;
    let blockers = fleet.engine.blockers(&by_hand).await.unwrap();
    assert_eq!(blockers, [Blocker::Queued { behind: planned.clone() }]);
    fleet.engine.approve(&planned, "bob").await.unwrap();
    fleet.settle().await;
    assert_eq!(fleet.engine.status(&by_hand).await.unwrap().state, State::Succeeded);
    assert_eq!(fleet.running(), "auth@2.0.0 billing@2.0.0 web@3.0.0");
    fleet.engine.verify().await.unwrap();
}

#[tokio::test]
async fn a_request_by_hand_that_comes_before_the_plan_does_fails_the_plan_naming_the_stage() {
    let fleet = Fleet::all_approved(&NAMES).await;
    let mut request = request();
    request.on_failure = OnFailure::Halt;
    let id = fleet.engine.request_plan(&request, "alice").await.unwrap();
    fleet.settle().await;
    let other = Release::of([artifact("web", "3.0.0")]).unwrap();
    let by_hand = fleet.engine.request("web", &other, "dave").await.unwrap();
    fleet.engine.approve(&by_hand, "bob").await.unwrap();
    fleet.settle().await;
    assert_eq!(fleet.approve(id).await, "auth");
    assert_eq!(fleet.approve(id).await, "billing");
    let status = fleet.engine.plan_status(id).await.unwrap();
    assert_eq!(
        (status.state, status.reason.as_str()),
        (PlanState::Halted, "web does not run what it ran when the plan was requested")
    );
    assert_eq!(fleet.running(), "auth@2.0.0 billing@2.0.0 web@3.0.0");
}

/// Nothing of a plan of many artifacts is left when one of them is refused: all or nothing.
#[tokio::test]
async fn a_plan_that_names_a_stage_of_another_plan_among_its_own_leaves_nothing_behind() {
    let fleet = Fleet::approved().await;
    fleet.engine.request_plan(&PlanRequest::new([item("web")]), "alice").await.unwrap();
    let needs = |name, other| item(name).need(Need::new(other, "^2").unwrap());
    let wide = PlanRequest::new([item("auth"), needs("billing", "auth"), needs("web", "billing")]);
    assert_eq!(fleet.engine.request_plan(&wide, "dave").await.unwrap_err().kind(), ErrorKind::Conflict);
    fleet.settle().await;
    assert_eq!(fleet.running(), "auth@1.0.0 billing@1.0.0 web@1.0.0");
}
