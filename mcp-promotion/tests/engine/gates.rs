use std::sync::Arc;

use async_trait::async_trait;
use mcp_core::{
    ArtifactRef, Candidate, Digest, ErrorKind, Fetch, Fetched, Finding, Inspect, SeamError, Severity, Verdict,
};
use mcp_promotion::{InspectGate, Policy, State};

use crate::scene::{Puppet, Scene};

/// Has one artifact, `app@1.0.0`, with these bytes, or fails in this way.
struct Shelf(Result<&'static str, ErrorKind>);

#[async_trait]
impl Fetch for Shelf {
    async fn fetch(&self, artifact: &ArtifactRef, _max_bytes: u64) -> Result<Fetched, SeamError> {
        let bytes = self.0.map_err(|kind| SeamError::new(kind, format!("fetch {artifact}")))?;
        Ok(Fetched::new(Digest::of(bytes.as_bytes()), "text/plain", bytes.into()))
    }
}

/// Refuses whatever says "bad".
struct Reader;

#[async_trait]
impl Inspect for Reader {
    async fn inspect(&self, candidate: &Candidate) -> Result<Verdict, SeamError> {
        let bad = candidate.bytes.as_ref() == b"bad";
        let found = bad.then(|| Finding::new(Severity::Error, "reader.bad", "", "it is bad"));
        Ok(Verdict::of(found.into_iter().collect()))
    }
}

/// Where a promotion of `app@1.0.0` with the digest of `wanted` goes, and why.
async fn outcome(wanted: &str, shelf: Result<&'static str, ErrorKind>) -> (State, String) {
    let shelf = Arc::new(Shelf(shelf));
    let gate = InspectGate::new(shelf.clone(), Arc::new(Reader));
    let policy = Policy::unverified("test").gate("inspect");
    let scene = Scene::with(policy, Puppet::default(), |builder| builder.fetch(shelf).gate("inspect", gate));
    let release = mcp_promotion::Release::of([("app@1.0.0", Digest::of(wanted.as_bytes()))]).unwrap();
    let id = scene.engine.request("prod", &release, "alice").await.unwrap();
    for _ in 0..10 {
        scene.engine.step().await.unwrap();
    }
    let status = scene.engine.status(&id).await.unwrap();
    assert_eq!(scene.prod.running().is_some(), status.state == State::Succeeded);
    let delay = status.delay.map(|delay| format!("{}: {}", delay.by, delay.why));
    (status.state, delay.unwrap_or(status.reason))
}

/// Invariant 5.
#[tokio::test]
async fn only_what_exists_has_its_digest_and_is_accepted_is_started() {
    assert_eq!(outcome("good", Ok("good")).await, (State::Succeeded, "unverified: test".to_owned()));
    let (state, why) = outcome("good", Ok("other")).await;
    assert_eq!(state, State::Rejected);
    assert!(why.starts_with("gate fetch: app@1.0.0 has the digest blake3:"), "{why}");
    let missing = outcome("good", Err(ErrorKind::NotFound)).await;
    // It may still be published.
    let why = "gate fetch: app@1.0.0: fetch app@1.0.0 (not_found); publish it".to_owned();
    assert_eq!(missing, (State::Pending, why));
    for lost in [ErrorKind::Exhausted, ErrorKind::Corrupt] {
        let why = format!("gate fetch: app@1.0.0: fetch app@1.0.0 ({lost})");
        assert_eq!(outcome("good", Err(lost)).await, (State::Rejected, why));
    }
    let away = outcome("good", Err(ErrorKind::Unavailable)).await;
    assert_eq!(away, (State::Pending, "gate fetch: fetch app@1.0.0 (unavailable)".to_owned()));
    let refused = outcome("bad", Ok("bad")).await;
    let why = "gate inspect: app@1.0.0 was not accepted, 1 findings: error reader.bad (document): it is bad";
    assert_eq!(refused, (State::Rejected, why.to_owned()));
}
