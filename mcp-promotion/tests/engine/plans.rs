//! Release plans, driven.

use std::num::NonZeroU32;

use mcp_core::{ErrorKind, InUse};
use mcp_promotion::{OnFailure, PlanRequest, PlanState, Release};

use crate::fleet::{Fleet, NAMES, artifact, request};
use crate::scene::Trick;

#[tokio::test]
async fn a_plan_goes_wave_by_wave_and_waits_for_approvals_as_any_promotion_does() {
    let fleet = Fleet::approved().await;
    let id = fleet.engine.request_plan(&request(), "alice").await.unwrap();
    fleet.settle().await;
    assert_eq!(fleet.running(), "auth@2.0.0 billing@2.0.0 web@1.0.0");
    let blockers = fleet.engine.plan_blockers(id).await.unwrap();
    let shown: Vec<String> = blockers.iter().map(|(id, list)| format!("{id}: {}", list[0])).collect();
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(shown[0].starts_with("web/") && shown[0].contains("1 of 1 approvals"), "{shown:?}");
    assert!(
        fleet.engine.approve(&blockers[0].0, "alice").await.is_err(),
        "the plan's requester is the requester"
    );
    let usage = fleet.engine.in_use().await.unwrap();
    assert!(usage.iter().any(|usage| usage.artifact == artifact("web", "2.0.0")), "{usage:?}");
    fleet.engine.approve(&blockers[0].0, "bob").await.unwrap();
    fleet.settle().await;
    assert_eq!(fleet.running(), "auth@2.0.0 billing@2.0.0 web@2.0.0");
    assert_eq!(fleet.state(id).await, PlanState::Succeeded);
    let history = fleet.history(id).await;
    let heads: Vec<&str> = history.iter().map(|line| line.split('/').next().unwrap()).collect();
    assert_eq!(
        heads,
        [
            "requested by alice: 3 stages in 3 waves",
            "auth",
            "auth succeeded",
            "billing",
            "billing succeeded",
            "web",
            "web succeeded",
            "running -> succeeded"
        ]
    );
    let audit = fleet.engine.verify().await.unwrap();
    assert!(audit.heads.iter().any(|head| head.stream.as_str() == format!("plan/{id}") && head.version == 8));
}

/// Invariant 7, of a plan.
#[tokio::test]
async fn a_failure_in_the_third_stage_takes_everything_back_in_exact_reverse_order() {
    let fleet = Fleet::approved().await;
    let id = fleet.engine.request_plan(&request(), "alice").await.unwrap();
    fleet.settle().await;
    let (web, _) = fleet.engine.plan_blockers(id).await.unwrap().remove(0);
    fleet.engine.reject(&web, "bob").await.unwrap();
    fleet.settle().await;
    assert_eq!(fleet.running(), "auth@1.0.0 billing@1.0.0 web@1.0.0");
    let history = fleet.history(id).await;
    let end: Vec<&str> = history[6..].iter().map(|line| line.split('/').next().unwrap()).collect();
    assert_eq!(
        end,
        [
            "web rejected, as before the plan",
            "running -> rolling_back: the promotion into web ended as rejected",
            "rollback billing",
            "rollback of billing succeeded, as before the plan",
            "rollback auth",
            "rollback of auth succeeded, as before the plan",
            "rolling_back -> rolled_back: the promotion into web ended as rejected",
        ]
    );
}

#[tokio::test]
async fn a_plan_that_halts_keeps_what_succeeded_until_it_is_resumed_or_aborted() {
    for abort in [false, true] {
        let fleet = Fleet::approved().await;
        let mut halting = request();
        halting.on_failure = OnFailure::Halt;
        halting.parallelism = NonZeroU32::new(1);
        let id = fleet.engine.request_plan(&halting, "alice").await.unwrap();
        fleet.settle().await;
        let (web, _) = fleet.engine.plan_blockers(id).await.unwrap().remove(0);
        fleet.engine.reject(&web, "bob").await.unwrap();
        fleet.settle().await;
        assert_eq!(fleet.state(id).await, PlanState::Halted);
        assert_eq!(fleet.running(), "auth@2.0.0 billing@2.0.0 web@1.0.0");
        if abort {
            fleet.engine.abort_plan(id, "carol", "not today").await.unwrap();
            fleet.settle().await;
            assert_eq!(fleet.state(id).await, PlanState::RolledBack);
            assert_eq!(fleet.running(), "auth@1.0.0 billing@1.0.0 web@1.0.0");
        } else {
            fleet.engine.resume_plan(id, "carol").await.unwrap();
            fleet.settle().await;
            let (again, _) = fleet.engine.plan_blockers(id).await.unwrap().remove(0);
            assert_ne!(again, web, "a new promotion");
            fleet.engine.approve(&again, "bob").await.unwrap();
            fleet.settle().await;
            assert_eq!(fleet.state(id).await, PlanState::Succeeded);
        }
        let late = fleet.engine.abort_plan(id, "carol", "late").await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Conflict, "{late}");
    }
}

#[tokio::test]
async fn a_way_back_that_fails_leaves_the_plan_stuck_until_a_person_has_seen_to_it() {
    let fleet = Fleet::approved().await;
    let id = fleet.engine.request_plan(&request(), "alice").await.unwrap();
    fleet.settle().await;
    // Somebody else brings another version into billing, past the plan, and keeps it.
    let other = Release::of([artifact("billing", "3.0.0")]).unwrap();
    fleet.engine.request("billing", &other, "dave").await.unwrap();
    let (web, _) = fleet.engine.plan_blockers(id).await.unwrap().remove(0);
    fleet.settle().await;
    let status = fleet.engine.plan_status(id).await.unwrap();
    assert_eq!(
        (status.state, status.reason.as_str()),
        (PlanState::Stuck, "nobody knows what billing runs, or the plan does not")
    );
    assert_eq!(fleet.running(), "auth@2.0.0 billing@3.0.0 web@1.0.0", "never a guess");
    assert!(fleet.engine.status(&web).await.unwrap().state.is_terminal(), "it was withdrawn");
    fleet.engine.acknowledge_plan(id, "carol", "3.0.0 stays").await.unwrap();
    assert_eq!(fleet.state(id).await, PlanState::Failed);
}

#[tokio::test]
async fn a_stage_that_cannot_be_changed_fails_the_plan_and_a_retried_request_is_the_same_plan() {
    let fleet = Fleet::plain(&NAMES).await;
    fleet.stage("billing").trick(std::iter::repeat_n(Trick::ApplyFails, 20));
    let alice = || mcp_promotion::Actor::new("alice").unwrap().request_id("plan-7").unwrap();
    let id = fleet.engine.request_plan(&request(), alice()).await.unwrap();
    assert_eq!(fleet.engine.request_plan(&request(), alice()).await.unwrap(), id);
    let mut other = request();
    other.on_failure = OnFailure::Halt;
    assert_eq!(fleet.engine.request_plan(&other, alice()).await.unwrap_err().kind(), ErrorKind::Conflict);
    fleet.settle().await;
    assert_eq!(fleet.state(id).await, PlanState::RolledBack);
    assert_eq!(fleet.stage("web").applied(), ["web@1.0.0"]);
    assert_eq!(fleet.stage("auth").applied(), ["auth@1.0.0", "auth@2.0.0", "auth@1.0.0"]);
    // Another process reads the same.
    let second = fleet.another("two");
    assert_eq!(second.plan_status(id).await.unwrap(), fleet.engine.plan_status(id).await.unwrap());
    assert_eq!(second.request_plan(&request(), alice()).await.unwrap(), id, "also after it has ended");
}

#[tokio::test]
async fn a_plan_that_does_not_start_from_what_runs_is_refused() {
    let fleet = Fleet::plain(&NAMES).await;
    let refusal = |request: PlanRequest| {
        let engine = fleet.engine.clone();
        async move { engine.request_plan(&request, "alice").await.unwrap_err().to_string() }
    };
    let mut wrong = request();
    wrong.items[0].from = Some("1.5.0".parse().unwrap());
    assert_eq!(
        refusal(wrong).await,
        "plan the release: of auth, auth runs 1.0.0, and the request says 1.5.0"
    );
    let mut same = request();
    same.items[0].artifact = artifact("auth", "1.0.0");
    same.items[1].needs.clear();
    assert_eq!(
        refusal(same).await,
        "plan the release: auth runs all of this already; name it as present instead"
    );
    let mut unknown = request();
    unknown.items[0].stage = "nowhere".parse().unwrap();
    assert!(refusal(unknown).await.contains("nowhere"));
    let id = fleet.engine.request_plan(&request(), "alice").await.unwrap();
    fleet.engine.cancel_plan(id, "alice").await.unwrap();
    fleet.settle().await;
    assert_eq!(fleet.state(id).await, PlanState::Cancelled);
    assert_eq!(fleet.running(), "auth@1.0.0 billing@1.0.0 web@1.0.0");
}
