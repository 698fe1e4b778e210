//! What people do to plans.

use mcp_core::ErrorKind;
use mcp_promotion::{Actor, Item, Need, OnFailure, PlanRequest, PlanState, State};

use crate::fleet::{Fleet, NAMES, artifact, item, request};
use crate::scene::Trick;

#[tokio::test]
async fn a_paused_plan_withdraws_what_is_pending_and_goes_on_when_it_is_resumed() {
    let fleet = Fleet::approved().await;
    let id = fleet.engine.request_plan(&request(), "alice").await.unwrap();
    fleet.settle().await;
    let (web, _) = fleet.engine.plan_blockers(id).await.unwrap().remove(0);
    fleet.engine.pause_plan(id, "carol", "lunch").await.unwrap();
    assert_eq!(fleet.engine.pause_plan(id, "carol", "lunch").await.unwrap_err().kind(), ErrorKind::Conflict);
    fleet.settle().await;
    let status = fleet.engine.plan_status(id).await.unwrap();
    assert_eq!((status.state, status.reason.as_str()), (PlanState::Halted, "lunch"));
    assert_eq!(status.lifted_by(), Some("a person who resumes, aborts or acknowledges the plan"));
    assert_eq!(fleet.engine.status(&web).await.unwrap().state, State::Cancelled);
    assert_eq!(fleet.running(), "auth@2.0.0 billing@2.0.0 web@1.0.0");
    fleet.engine.resume_plan(id, "carol").await.unwrap();
    fleet.settle().await;
    let (again, _) = fleet.engine.plan_blockers(id).await.unwrap().remove(0);
    assert_ne!(again, web);
    fleet.engine.approve(&again, "bob").await.unwrap();
    fleet.settle().await;
    assert_eq!(fleet.state(id).await, PlanState::Succeeded);
    assert_eq!(fleet.running(), "auth@2.0.0 billing@2.0.0 web@2.0.0");
    fleet.engine.verify().await.unwrap();
}

/// A withdrawal that a resumption overtakes is no failure.
#[tokio::test]
async fn a_plan_that_is_resumed_just_after_a_withdrawal_goes_on() {
    let fleet = Fleet::approved().await;
    let id = fleet.engine.request_plan(&request(), "alice").await.unwrap();
    fleet.settle().await;
    let (web, _) = fleet.engine.plan_blockers(id).await.unwrap().remove(0);
    fleet.engine.pause_plan(id, "carol", "lunch").await.unwrap();
    while fleet.engine.status(&web).await.unwrap().state == State::Pending {
        fleet.engine.step().await.unwrap();
    }
    fleet.engine.resume_plan(id, "carol").await.unwrap();
    fleet.settle().await;
    assert_eq!(fleet.state(id).await, PlanState::Running);
    assert_eq!(fleet.engine.plan_blockers(id).await.unwrap().len(), 1, "it waits for an approval again");
}

#[tokio::test]
async fn the_reason_of_a_command_never_changes_what_it_does() {
    let fleet = Fleet::plain(&NAMES).await;
    let id = fleet.engine.request_plan(&request(), "alice").await.unwrap();
    fleet.stage("billing").trick([Trick::ObserveUnknown]);
    while fleet.stage("auth").applied().len() < 2 {
        fleet.engine.step().await.unwrap();
    }
    // Somebody else takes auth, so that the way back is stuck.
    let other = mcp_promotion::Release::of([artifact("auth", "3.0.0")]).unwrap();
    fleet.engine.request("auth", &other, "dave").await.unwrap();
    fleet.settle().await;
    fleet.engine.abort_plan(id, "carol", "resumed").await.ok();
    fleet.settle().await;
    assert_eq!(fleet.state(id).await, PlanState::Stuck);
    let refused = fleet.engine.abort_plan(id, "carol", "resumed").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    assert_eq!(
        fleet.engine.pause_plan(id, "carol", "resumed").await.unwrap_err().kind(),
        ErrorKind::Conflict
    );
    assert_eq!(fleet.state(id).await, PlanState::Stuck);
}

#[tokio::test]
async fn a_command_that_is_repeated_under_its_request_id_is_done_once() {
    let fleet = Fleet::approved().await;
    let id = fleet.engine.request_plan(&request(), "alice").await.unwrap();
    fleet.settle().await;
    let carol = |key: &str| Actor::new("carol").unwrap().request_id(key).unwrap();
    fleet.engine.pause_plan(id, carol("p"), "lunch").await.unwrap();
    fleet.engine.pause_plan(id, carol("p"), "lunch").await.unwrap();
    fleet.engine.resume_plan(id, carol("r")).await.unwrap();
    // Late repetitions of both: nothing happens, also in another process.
    fleet.another("two").pause_plan(id, carol("p"), "lunch").await.unwrap();
    fleet.engine.resume_plan(id, carol("r")).await.unwrap();
    assert_eq!(fleet.state(id).await, PlanState::Running);
    let reused = fleet.engine.abort_plan(id, carol("r"), "no").await.unwrap_err();
    assert_eq!(reused.kind(), ErrorKind::Conflict, "{reused}");
    let changes =
        fleet.history(id).await.into_iter().filter(|line| line.contains(" -> ")).collect::<Vec<_>>();
    assert_eq!(changes, ["running -> halted by carol: lunch", "halted -> running by carol: resumed"]);
}

/// The way back goes by waves, also where a stage of an early wave was brought forward again last.
#[tokio::test]
async fn a_stage_that_was_lost_and_brought_forward_again_is_still_taken_back_after_those_that_need_it() {
    let names = ["auth", "billing", "web", "zoo"];
    let fleet = Fleet::plain(&names).await;
    let needs = |name, other| item(name).need(Need::new(other, "^2").unwrap());
    let mut request = PlanRequest::new([
        item("auth"),
        needs("billing", "auth"),
        needs("web", "billing"),
        needs("zoo", "web"),
    ]);
    request.on_failure = OnFailure::Halt;
    fleet.stage("zoo").trick(std::iter::repeat_n(Trick::ApplyFails, 20));
    let id = fleet.engine.request_plan(&request, "alice").await.unwrap();
    fleet.settle().await;
    assert_eq!(fleet.state(id).await, PlanState::Halted);
    // Somebody rolls auth back, past the plan; it halts again, and goes on.
    fleet.engine.rollback("auth", "dave").await.unwrap();
    fleet.settle().await;
    fleet.engine.resume_plan(id, "carol").await.unwrap();
    fleet.settle().await;
    assert_eq!(fleet.state(id).await, PlanState::Halted);
    fleet.engine.resume_plan(id, "carol").await.unwrap();
    while fleet.stage("auth").applied().len() < 4 {
        fleet.engine.step().await.unwrap();
    }
    while !fleet.engine.plan_status(id).await.unwrap().done.iter().any(|stage| stage.as_str() == "auth") {
        fleet.engine.step().await.unwrap();
    }
    fleet.engine.abort_plan(id, "carol", "enough").await.unwrap();
    fleet.settle().await;
    let history = fleet.history(id).await;
    let back = history.iter().filter_map(|line| line.strip_prefix("rollback "));
    let back: Vec<&str> = back.filter_map(|line| line.split_once('/')).map(|(stage, _)| stage).collect();
    assert_eq!(back, ["web", "billing", "auth"], "{history:#?}");
    assert_eq!(fleet.state(id).await, PlanState::RolledBack);
    fleet.engine.verify().await.unwrap();
}

#[tokio::test]
async fn a_preview_says_why_each_stage_waits_for_another_one_and_writes_nothing() {
    let fleet = Fleet::plain(&NAMES).await;
    let before = fleet.engine.verify().await.unwrap();
    let preview = fleet.engine.preview_plan(&request()).await.unwrap();
    assert_eq!(
        serde_json::to_string(preview.plan.waves()).unwrap(),
        r#"[[["auth"]],[["billing"]],[["web"]]]"#
    );
    let edges: Vec<String> = preview.edges.iter().map(ToString::to_string).collect();
    assert_eq!(
        edges,
        [
            "auth before billing: billing 2.0.0 needs auth ^2, which is 1.0.0",
            "billing before web: web 2.0.0 needs billing ^2, which is 1.0.0",
        ]
    );
    assert_eq!(preview.base.len(), 3);
    assert_eq!(fleet.engine.verify().await.unwrap(), before);
    let mut wrong = request();
    wrong.items[0].from = Some("1.5.0".parse().unwrap());
    assert_eq!(fleet.engine.preview_plan(&wrong).await.unwrap_err().kind(), ErrorKind::Invalid);
}

/// Invariant 9.
#[tokio::test]
async fn a_plan_that_no_journal_takes_is_refused_with_the_limit() {
    let fleet = Fleet::plain(&["auth"]).await;
    let need =
        || Need::new("a-library-with-a-rather-long-name/of-which-there-are-many", ">=1.0.0, <3.0.0").unwrap();
    let many = (0..60_000).fold(item("auth"), |item: Item, _| item.need(need()));
    let mut request = PlanRequest::new([many]);
    let library = need().name;
    request
        .present
        .push(serde_json::from_value(serde_json::json!({"name": library, "version": "1.0.0"})).unwrap());
    let refused = fleet.engine.request_plan(&request, "alice").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Exhausted, "{refused}");
    assert!(refused.to_string().contains("at most 4194304 are allowed"), "{refused}");
}
