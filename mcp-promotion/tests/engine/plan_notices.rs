//! Each event of a plan is told to the host once, whichever append it was written by.

use std::collections::BTreeSet;
use std::sync::Arc;

use mcp_core::{Event, EventKind, PromotionEvent, RecordingSink};
use mcp_promotion::{PlanHappened, PlanId};

use crate::fleet::{Fleet, request};
use crate::scene::Trick;

fn of_plan(event: &Event) -> Option<(u64, String)> {
    let EventKind::Promotion(kind) = &event.kind else { return None };
    let told = match kind {
        PromotionEvent::PlanRequested(asked) => {
            format!("requested by {}: {} stages", asked.requester, asked.stages)
        }
        PromotionEvent::PlanChanged(changed) => format!("{} -> {}", changed.from, changed.to),
        PromotionEvent::PlanStageChanged(changed) => {
            assert!(changed.promotion.starts_with(&format!("{}/", changed.stage)), "{changed:?}");
            format!("{}: {}", changed.to, changed.what)
        }
        _ => return None,
    };
    Some((event.seq, told))
}

/// What was told of a plan that was driven by an engine of this fleet, and what its stream says.
async fn check(fleet: &Fleet, events: &RecordingSink, id: PlanId) -> Vec<String> {
    let events = events.events();
    let told: Vec<(u64, String)> = events.iter().filter_map(of_plan).collect();
    let history = fleet.engine.plan_history(id).await.unwrap();
    let news = |what: &PlanHappened| !matches!(what, PlanHappened::Pinned | PlanHappened::Unpinned);
    let expected: Vec<u64> =
        (1..).zip(&history).filter(|(_, entry)| news(&entry.what)).map(|(at, _)| at).collect();
    assert_eq!(told.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), expected, "each once, in order");
    let ids: BTreeSet<String> = events.iter().map(Event::id).collect();
    assert_eq!(ids.len(), events.len());
    for event in events.iter().filter(|event| of_plan(event).is_some()) {
        assert_eq!(event.subject, format!("plan/{id}"));
        let json = serde_json::to_value(event).unwrap();
        assert!(json["type"].as_str().unwrap().starts_with("mcp.promotion.plan."), "{json}");
    }
    told.into_iter().map(|(_, told)| told).collect()
}

async fn listened() -> (Fleet, Arc<RecordingSink>) {
    let (fleet, events) = (Fleet::approved().await, Arc::new(RecordingSink::new()));
    let engine = fleet.with("heard", |builder| builder.events(events.clone()));
    (fleet.driven_by(engine), events)
}

#[tokio::test]
async fn a_plan_that_is_paused_resumed_and_fails_tells_each_of_its_events_once() {
    let (fleet, events) = listened().await;
    let id = fleet.engine.request_plan(&request(), "alice").await.unwrap();
    fleet.settle().await;
    fleet.engine.pause_plan(id, "carol", "lunch").await.unwrap();
    fleet.settle().await;
    fleet.engine.resume_plan(id, "carol").await.unwrap();
    fleet.settle().await;
    fleet.stage("web").trick(std::iter::repeat_n(Trick::ApplyFails, 20));
    assert_eq!(fleet.approve(id).await, "web");
    let told = check(&fleet, &events, id).await;
    let heads: Vec<String> =
        told.iter().map(|line| line.split('/').next().unwrap().trim_end_matches(" ").to_owned()).collect();
    assert_eq!(
        heads,
        [
            "requested by alice: 3 stages",
            "asked: auth",
            "done: auth succeeded",
            "asked: billing",
            "done: billing succeeded",
            "asked: web",
            "running -> halted",
            "back: web withdrawn",
            "halted -> running",
            "asked: web",
            "back: web failed, as before the plan",
            "running -> rolling_back",
            "reversing: rollback billing",
            "back: rollback of billing succeeded, as before the plan",
            "reversing: rollback auth",
            "back: rollback of auth succeeded, as before the plan",
            "rolling_back -> rolled_back",
        ]
    );
}

#[tokio::test]
async fn what_one_engine_has_told_another_one_does_not_tell_again() {
    let (fleet, events) = listened().await;
    let other = Arc::new(RecordingSink::new());
    let id = fleet.engine.request_plan(&request(), "alice").await.unwrap();
    for _ in 0..8 {
        fleet.engine.step().await.unwrap();
    }
    let first = events.events().iter().filter_map(of_plan).count();
    let engine = fleet.with("heard", |builder| builder.events(other.clone()));
    let fleet = Fleet::driven_by(fleet, engine);
    fleet.settle().await;
    assert_eq!(fleet.running(), "auth@2.0.0 billing@2.0.0 web@1.0.0");
    let told: Vec<u64> =
        events.events().iter().chain(&other.events()).filter_map(of_plan).map(|told| told.0).collect();
    let all = fleet.engine.plan_history(id).await.unwrap().len() as u64;
    assert_eq!(told, (1..=all).collect::<Vec<u64>>());
    assert!(first > 1 && (first as u64) < all, "{first} of {all}");
}
