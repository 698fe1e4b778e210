//! The seams between the engines, with the real registry and real contracts on their other side.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mcp_core::{Artifact, ArtifactRef, Digest, ErrorKind, Fetch, InUse, Inspect, Pin, UsageReason};
use mcp_promotion::{
    Blocker, Context, Engine, Fence, Fencing, InspectGate, MemoryJournal, Observed, Pipeline, Policy,
    Release, Sample, Stage, StageError, State, Step, Window,
};
use mcp_registry::{Draft, Registry};
use mcp_validation::rule::Rule;
use mcp_validation::{Contract, ContractInspector, Unmapped};

const JSON: &str = "application/json";

/// Runs what it was told last.
#[derive(Default)]
struct Running(Mutex<Option<Digest>>);

#[async_trait]
impl Stage for Running {
    fn fencing(&self) -> Fencing {
        Fencing::Unfenced
    }
    async fn observe(&self, _fence: Fence) -> Result<Observed, StageError> {
        Ok(self.0.lock().unwrap().map_or(Observed::Nothing, Observed::Running))
    }
    async fn apply(&self, release: &Release, _context: &Context) -> Result<(), StageError> {
        *self.0.lock().unwrap() = Some(release.digest());
        Ok(())
    }
    async fn sample(&self, _window: Window) -> Result<Vec<Sample>, StageError> {
        Ok(Vec::new())
    }
}

/// A registry, and an engine whose one stage `prod` takes only what the registry has and a contract accepts.
struct Meeting {
    folder: tempfile::TempDir,
    registry: Registry,
    stage: Arc<Running>,
    engine: Engine,
}

impl Meeting {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(folder.path()).await.unwrap();
        let contract = Contract::builder().rule(Rule::required("owner", "/owner")).build().unwrap();
        let inspector = ContractInspector::new(Unmapped::Refuse).judge_type(JSON, Arc::new(contract));
        let fetch: Arc<dyn Fetch> = Arc::new(registry.clone());
        let policy = Policy::unverified("a test").gate("contract");
        let stage = Arc::new(Running::default());
        let engine =
            Engine::builder(Pipeline::builder().stage("prod", policy).build().unwrap(), MemoryJournal::new())
                .stage("prod", Arc::clone(&stage))
                .gate(
                    "contract",
                    InspectGate::new(Arc::clone(&fetch), Arc::new(inspector) as Arc<dyn Inspect>),
                )
                .fetch(fetch)
                .pin(Arc::new(registry.clone()) as Arc<dyn Pin>)
                .build()
                .unwrap();
        Self { folder, registry, stage, engine }
    }

    async fn publish(&self, version: &str, text: &str) -> Artifact {
        let (name, version) = ("app".parse().unwrap(), version.parse().unwrap());
        let draft = Draft::new(&name, text.to_owned()).media_type(JSON);
        self.registry.publish(draft, &version).await.unwrap();
        Artifact::new(ArtifactRef::new(name, version), Digest::of(text.as_bytes()))
    }

    /// Requests it, and lets the engine do all that it can; where that led.
    async fn promote(&self, artifact: &Artifact) -> (State, String) {
        let release = Release::of([artifact.clone()]).unwrap();
        let id = self.engine.request("prod", &release, "alice").await.unwrap();
        self.drive().await;
        let promotion = self.engine.status(&id).await.unwrap();
        (promotion.state, promotion.reason)
    }

    async fn drive(&self) {
        while !matches!(self.engine.step().await.unwrap(), Step::Waiting(_)) {}
    }

    /// What the registry keeps, and whether for good.
    async fn pinned(&self) -> Vec<(String, bool)> {
        let pins = self.registry.pins().await.unwrap();
        let mut pins: Vec<_> =
            pins.iter().map(|pin| (pin.artifact.reference.to_string(), pin.expires.is_none())).collect();
        pins.sort();
        pins
    }

    async fn in_use(&self) -> Vec<(String, UsageReason)> {
        let usage = self.engine.in_use().await.unwrap();
        usage.into_iter().map(|usage| (usage.artifact.reference.to_string(), usage.reason)).collect()
    }
}

fn owned(owner: &str) -> String {
    format!("{{\"owner\": \"{owner}\"}}")
}

#[tokio::test]
async fn an_artifact_is_pinned_before_its_request_stands_and_for_good_once_it_is_driven() {
    let meeting = Meeting::new().await;
    let artifact = meeting.publish("1.0.0", &owned("ann")).await;
    let release = Release::of([artifact]).unwrap();
    meeting.engine.request("prod", &release, "alice").await.unwrap();
    assert_eq!(
        meeting.pinned().await,
        [("app@1.0.0".to_owned(), false)],
        "with an expiry, until it is driven"
    );
    assert_eq!(meeting.in_use().await, [("app@1.0.0".to_owned(), UsageReason::InFlight)]);
    meeting.drive().await;
    assert_eq!(meeting.pinned().await, [("app@1.0.0".to_owned(), true)]);
    assert_eq!(meeting.in_use().await, [("app@1.0.0".to_owned(), UsageReason::Deployed)]);
}

#[tokio::test]
async fn a_pin_is_given_up_when_its_artifact_is_no_rollback_target_any_more() {
    let meeting = Meeting::new().await;
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
        let artifact = meeting.publish(version, &owned(version)).await;
        assert_eq!(meeting.promote(&artifact).await.0, State::Succeeded, "{version}");
    }
    let kept = [("app@2.0.0".to_owned(), true), ("app@3.0.0".to_owned(), true)];
    assert_eq!(meeting.pinned().await, kept);
    let used = [
        ("app@2.0.0".to_owned(), UsageReason::RollbackTarget),
        ("app@3.0.0".to_owned(), UsageReason::Deployed),
    ];
    assert_eq!(meeting.in_use().await, used);
}

#[tokio::test]
async fn what_was_never_published_or_has_other_bytes_is_refused_and_leaves_no_request_and_no_pin() {
    let meeting = Meeting::new().await;
    let published = meeting.publish("1.0.0", &owned("ann")).await;
    let unknown = Release::of([("app@9.0.0", Digest::of(b"x"))]).unwrap();
    let error = meeting.engine.request("prod", &unknown, "alice").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let other = Artifact { digest: Digest::of(b"other"), ..published };
    let error = meeting.engine.request("prod", &Release::of([other]).unwrap(), "alice").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(meeting.engine.promotions("prod").await.unwrap().is_empty());
    assert!(meeting.pinned().await.is_empty() && meeting.in_use().await.is_empty());
}

#[tokio::test]
async fn a_document_that_its_contract_does_not_accept_never_reaches_the_stage() {
    let meeting = Meeting::new().await;
    let artifact = meeting.publish("1.0.0", "{\"name\": \"nobody's\"}").await;
    let (state, reason) = meeting.promote(&artifact).await;
    assert_eq!(state, State::Rejected);
    assert!(
        reason.contains("app@1.0.0 was not accepted, 1 findings") && reason.contains("owner"),
        "{reason}"
    );
    assert_eq!(*meeting.stage.0.lock().unwrap(), None);
    assert!(meeting.pinned().await.is_empty(), "what was rejected is kept no longer");
}

/// The files below `packs/`.
fn packs(folder: &std::path::Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder.join("packs")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn a_damaged_pack_keeps_its_release_out_of_the_stage() {
    let meeting = Meeting::new().await;
    let artifact = meeting.publish("1.0.0", &owned("ann")).await;
    for pack in packs(meeting.folder.path()) {
        let mut bytes = std::fs::read(&pack).unwrap();
        bytes.iter_mut().skip(16).for_each(|byte| *byte ^= 0x5a);
        std::fs::write(&pack, bytes).unwrap();
    }
    let release = Release::of([artifact.clone()]).unwrap();
    let id = meeting.engine.request("prod", &release, "alice").await.unwrap();
    meeting.drive().await;
    let promotion = meeting.engine.status(&id).await.unwrap();
    let told = match promotion.state {
        State::Rejected => promotion.reason,
        State::Pending => match meeting.engine.blockers(&id).await.unwrap().as_slice() {
            [Blocker::Delayed { why, .. }] => why.clone(),
            others => panic!("{others:?}"),
        },
        other => panic!("{other}"),
    };
    assert!(told.contains("app@1.0.0"), "{told}");
    assert_eq!(*meeting.stage.0.lock().unwrap(), None);
}
