//! Approvals in levels, by people with roles.

use mcp_core::ErrorKind;
use mcp_promotion::{Level, Policy, Roles, State};

use crate::scene::{Puppet, Scene, release};

fn roles() -> Roles {
    let text = r#"{
        "people": {"bob": ["dev"], "carol": ["dev", "security"], "dora": ["leads"], "erin": ["guests"]},
        "voters": ["leads"],
        "levels": {"review": ["dev"], "release": ["leads"]}
    }"#;
    serde_json::from_str(text).unwrap()
}

fn two_levels() -> Policy {
    let review = Level::new("review".parse().unwrap(), 2).from_group("security".parse().unwrap(), 1);
    Policy::unverified("test").level(review).level(Level::new("release".parse().unwrap(), 1))
}

/// Invariant 5.
#[tokio::test]
async fn levels_are_approved_in_order_by_those_whose_roles_allow_it() {
    let scene = Scene::with(two_levels(), Puppet::default(), |builder| builder.authorizer(roles()));
    let id = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    let open = "3 of 3 approvals are missing; eligible people other than alice can give them, now for level review, 1 of group security";
    assert_eq!(scene.blockers(&id).await, [open]);
    let early = scene.engine.approve(&id, "dora").await.unwrap_err();
    assert_eq!(
        early.to_string(),
        "approve prod/1 by dora: level review is asked for now, and is not theirs to approve"
    );
    for stranger in ["erin", "mallory"] {
        let error = scene.engine.approve(&id, stranger).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    }
    scene.engine.approve(&id, "bob").await.unwrap();
    scene.engine.approve(&id, "carol").await.unwrap();
    scene.settle().await;
    assert_eq!(scene.state(&id).await, State::Pending);
    scene.engine.approve(&id, "dora").await.unwrap();
    scene.engine.revoke(&id, "carol").await.unwrap();
    scene.settle().await;
    let again = "1 of 3 approvals are missing; eligible people other than alice can give them, now for level review, 1 of group security";
    assert_eq!(
        scene.blockers(&id).await,
        [again],
        "what dora approved stands, and waits for the first level"
    );
    scene.engine.approve(&id, "carol").await.unwrap();
    scene.settle().await;
    assert_eq!(scene.state(&id).await, State::Succeeded);
    scene.engine.verify().await.unwrap();
}

#[tokio::test]
async fn without_levels_the_groups_of_voters_approve_and_every_approver_may_reject() {
    let scene = Scene::with(Policy::unverified("test").approvals(1), Puppet::default(), |builder| {
        builder.authorizer(roles())
    });
    let id = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    assert_eq!(scene.engine.approve(&id, "bob").await.unwrap_err().kind(), ErrorKind::Denied);
    scene.engine.approve(&id, "dora").await.unwrap();
    scene.engine.reject(&id, "bob").await.unwrap();
    assert_eq!(scene.state(&id).await, State::Rejected);
}

#[test]
fn levels_that_cannot_be_obeyed_are_named() {
    let refused = |policy: Policy| {
        let built = mcp_promotion::Pipeline::builder().stage("prod", policy).build();
        built.unwrap_err().to_string().replace("build the pipeline: stage prod, ", "")
    };
    let level = |name: &str, quorum| Level::new(name.parse().unwrap(), quorum);
    let plain = || Policy::unverified("test");
    assert_eq!(
        refused(plain().level(level("a", 0))),
        "levels[0].quorum: level a has a quorum of nobody; ask for at least 1"
    );
    assert_eq!(
        refused(plain().level(level("a", 1)).level(level("a", 1))),
        "levels[1].name: two of its levels are called a; give each its own name"
    );
    let group = level("a", 1).from_group("security".parse().unwrap(), 2);
    assert_eq!(
        refused(plain().level(group)),
        "levels[0].groups.security: level a asks for 2 of group security, with a quorum of 1; raise the quorum, or ask for fewer of the group"
    );
    assert_eq!(
        refused(plain().level(level("a", 1)).approvals(1)),
        "approvals: it asks for approvals without levels and for levels; say it with levels alone"
    );
}
