//! When a promotion may start.

use std::time::Duration;

use mcp_core::Clock;
use mcp_promotion::{Blocker, Calendar, Day, Policy, State};

use crate::scene::{MINUTE, Scene, release};

/// The scene begins on Monday 23 November 2026, at noon UTC.
fn tuesdays() -> Policy {
    Policy::unverified("test")
        .allow(Calendar::weekly("tuesdays", "UTC", [Day::Tue], "09:00", "10:00").unwrap())
}

fn freeze() -> Calendar {
    Calendar::span("freeze", "UTC", "2026-11-23T13:00", "2026-11-30T00:00").unwrap()
}

/// Invariant 5.
#[tokio::test]
async fn a_promotion_starts_when_its_window_opens_and_says_until_then_when_that_is() {
    let scene = Scene::new(tuesdays());
    let id = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    assert_eq!(scene.blockers(&id).await, ["no window is open; it may start at 2026-11-24T09:00:00.000000Z"]);
    scene.settle().await;
    let status = scene.engine.status(&id).await.unwrap();
    assert_eq!((status.state, status.since), (State::Succeeded, "2026-11-24T09:00:00Z".parse().unwrap()));
    let opening = status.evidence.unwrap().opening.unwrap();
    assert_eq!(opening.inside.unwrap().as_str(), "tuesdays");
    scene.engine.verify().await.unwrap();
}

#[tokio::test]
async fn a_freeze_holds_a_deployment_but_not_a_rollback_unless_it_is_told_to() {
    for rollbacks_too in [false, true] {
        let mut policy = Policy::unverified("test").deny(freeze()).expires_after(None);
        policy.windows.rollbacks_too = rollbacks_too;
        let scene = Scene::new(policy);
        for version in ["1.0.0", "2.0.0"] {
            let id = scene.promoted("prod", version).await;
            assert_eq!(scene.state(&id).await, State::Succeeded);
        }
        scene.clock.advance(60 * MINUTE);
        let third = scene.promoted("prod", "3.0.0").await;
        let thaw = "2026-11-30T00:00:00Z".parse().unwrap();
        let blocked = [Blocker::Window { closed_by: Some("freeze".parse().unwrap()), opens_at: Some(thaw) }];
        assert_eq!(scene.engine.blockers(&third).await.unwrap(), blocked);
        scene.engine.cancel(&third, "alice").await.unwrap();
        let back = scene.engine.rollback("prod", "alice").await.unwrap();
        scene.settle().await;
        let expected = if rollbacks_too { State::Pending } else { State::Succeeded };
        assert_eq!(scene.state(&back).await, expected);
        scene.clock.advance(thaw.saturating_since(scene.clock.now()) + Duration::from_secs(1));
        scene.settle().await;
        assert_eq!(scene.state(&back).await, State::Succeeded);
    }
}
