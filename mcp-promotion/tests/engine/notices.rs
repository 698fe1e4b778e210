//! What a host is told, so that it can notify people: once for each thing that happens.

use mcp_core::{EventKind, PromotionEvent};
use mcp_promotion::{Policy, Roles, StageCall, State};
use serde_json::Value;

use crate::scene::{MINUTE, Puppet, Scene, Trick, release};

/// Every event so far: its type without what all have in common, and its subject.
fn told(scene: &Scene) -> Vec<String> {
    scene
        .events
        .events()
        .iter()
        .map(|event| {
            let json = serde_json::to_value(event).unwrap();
            let name = json["type"].as_str().unwrap().to_owned();
            let short = name.trim_start_matches("mcp.promotion.").trim_end_matches(".v1");
            let to = json["data"]["to"].as_str().map(|to| format!(" -> {to}")).unwrap_or_default();
            format!("{} {short}{to}", event.subject)
        })
        .collect()
}

fn data(scene: &Scene, kind: &str) -> Value {
    let events = scene.events.events();
    let found = events.iter().rev().map(|event| serde_json::to_value(event).unwrap());
    let mut found = found.filter(|json| json["type"] == format!("mcp.promotion.{kind}.v1"));
    found.next().unwrap_or_else(|| panic!("no {kind}"))["data"].clone()
}

#[tokio::test]
async fn waiting_for_approval_trouble_and_the_end_are_told_once_however_often_a_driver_looks() {
    let scene = Scene::new(Policy::unverified("test").approvals(2));
    let id = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    assert_eq!(data(&scene, "promotion.requested")["approvals"], 2);
    scene.engine.approve(&id, "bob").await.unwrap();
    assert_eq!(data(&scene, "vote.cast")["missing"], 1);
    for _ in 0..5 {
        scene.engine.step().await.unwrap();
    }
    scene.engine.approve(&id, "carol").await.unwrap();
    assert_eq!(data(&scene, "vote.cast")["missing"], 0);
    scene.prod.trick([Trick::ApplyFails]);
    scene.settle().await;
    assert_eq!(scene.state(&id).await, State::Succeeded);
    assert_eq!(data(&scene, "call.failed")["why"], "reach the machines (unavailable)");
    assert_eq!(
        told(&scene),
        [
            "prod/1 promotion.requested",
            "prod/1 vote.cast",
            "prod/1 vote.cast",
            "prod/1 promotion.changed -> deploying",
            "prod/1 call.failed",
            "prod/1 promotion.changed -> verifying",
            "prod/1 promotion.changed -> succeeded",
        ]
    );
}

#[tokio::test]
async fn holds_broken_glass_and_what_is_owed_for_it_are_told_with_who_and_why() {
    let roles = r#"{
        "people": {"dave": ["sre"], "erin": ["leads"]},
        "operators": ["sre"], "glass_breakers": ["sre"], "reviewers": ["leads"]
    }"#;
    let roles: Roles = serde_json::from_str(roles).unwrap();
    let policy = Policy::unverified("test").approvals(1).review_within(MINUTE);
    let scene = Scene::with(policy, Puppet::default(), |builder| builder.authorizer(roles));
    scene.engine.hold("prod", "dave", "the database moves").await.unwrap();
    let id = scene
        .engine
        .request_without_waiting("prod", &release("1.0.0"), "dave", "customers cannot pay")
        .await
        .unwrap();
    let broken = data(&scene, "glass.broken");
    assert_eq!((&broken["by"], &broken["reason"]), (&"dave".into(), &"customers cannot pay".into()));
    assert_eq!(broken["review_by"], "2026-11-23T12:01:00.000000Z");
    scene.settle().await;
    scene.settle().await;
    scene.engine.review(&id, "erin", "fine").await.unwrap();
    scene.engine.lift_hold("prod", "dave").await.unwrap();
    assert_eq!(
        told(&scene),
        [
            "prod stage.held",
            "prod/2 promotion.requested",
            "prod/2 glass.broken",
            "prod/2 promotion.changed -> deploying",
            "prod/2 promotion.changed -> verifying",
            "prod/2 promotion.changed -> succeeded",
            "prod/2 review.overdue",
            "prod/2 glass.reviewed",
            "prod hold.lifted",
        ]
    );
}

#[tokio::test]
async fn every_event_of_one_stage_has_a_position_of_its_own() {
    let scene = Scene::new(Policy::healthy_for(MINUTE));
    scene.promoted("prod", "1.0.0").await;
    scene.prod.ill(&release("2.0.0"), Some(0));
    scene.promoted("prod", "2.0.0").await;
    let events = scene.events.events();
    let back = events.iter().filter(|event| {
        matches!(&event.kind, EventKind::Promotion(PromotionEvent::Changed(changed)) if changed.to == "rolled_back")
    });
    assert_eq!(back.count(), 1);
    let mut ids: Vec<String> = events.iter().map(mcp_core::Event::id).collect();
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

#[tokio::test]
async fn the_statistics_count_what_this_engine_did_and_what_is_open() {
    let scene = Scene::new(Policy::healthy_for(MINUTE));
    scene.promoted("prod", "1.0.0").await;
    scene.prod.ill(&release("2.0.0"), Some(0));
    scene.prod.trick([Trick::ApplyFails]);
    scene.promoted("prod", "2.0.0").await;
    scene.engine.hold("prod", "bob", "wait").await.unwrap();
    scene.promoted("prod", "3.0.0").await;
    let stats = scene.engine.stats().await;
    let transitions: Vec<(State, u64)> = stats.transitions.clone().into_iter().collect();
    assert_eq!(
        transitions,
        [
            (State::Deploying, 2),
            (State::Verifying, 2),
            (State::RollingBack, 1),
            (State::Succeeded, 1),
            (State::RolledBack, 1),
        ]
    );
    assert_eq!((stats.requested, stats.pending, stats.in_flight, stats.lost_races), (3, 1, 0, 0));
    assert_eq!((stats.promotions.count, stats.promotions.longest), (2, MINUTE));
    let calls = |call| (stats.calls[&call].count, stats.failed.get(&call).copied().unwrap_or_default());
    // Six windows of the first release and three of the second; once in vain, once forward and once back.
    assert_eq!((calls(StageCall::Apply), calls(StageCall::Sample)), ((4, 1), (9, 0)));
    assert_eq!(stats.events, scene.engine.stage_state("prod").await.unwrap().version());
    assert!(stats.appends < stats.events, "{} appends", stats.appends);
}
