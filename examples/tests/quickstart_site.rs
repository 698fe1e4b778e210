//! Holds the quickstart's stage to the contract of `Stage`: fences, keys, canaries, and what it serves after a restart.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

#[path = "../quickstart/client.rs"]
mod client;
#[allow(dead_code, reason = "the program uses more of it")]
#[path = "../quickstart/failure.rs"]
mod failure;
#[allow(dead_code, reason = "the program uses more of it")]
#[path = "../quickstart/index.rs"]
mod index;
#[path = "../quickstart/instance.rs"]
mod instance;
#[allow(dead_code, reason = "the program uses more of it")]
#[path = "../quickstart/site.rs"]
mod site;
#[path = "../quickstart/site_record.rs"]
mod site_record;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use mcp_core::{Artifact, ArtifactRef, Digest, ErrorKind, Fetch, Fetched, SeamError, Timestamp};
use mcp_promotion::{
    Context, Fence, Kind, Observed, PromotionId, Reach, Release, Sample, Stage, Window, conformance,
};

use client::Client;
use site::{Site, Traffic};

/// Has the artifacts that the kit names: their digests are those of their versions, their content is an index with two crates, of which
/// the second one is called like the version.
struct Artifacts;

#[async_trait]
impl Fetch for Artifacts {
    async fn fetch(&self, artifact: &ArtifactRef, _max_bytes: u64) -> Result<Fetched, SeamError> {
        let version = artifact.version.to_string();
        let index = format!(
            r#"{{"crates": {{"both": {{"latest": "1.0.0", "versions": ["1.0.0"]}}, "{version}": {{"latest": "1.0.0", "versions": ["1.0.0"]}}}}}}"#
        );
        Ok(Fetched::new(Digest::of(version.as_bytes()), "application/json", index.into()))
    }
}

async fn site(folder: &Path, traffic: Traffic) -> Site {
    Site::start("prod", &["canary", "baseline-1", "baseline-2"], traffic, folder, Arc::new(Artifacts))
        .await
        .unwrap()
}

fn release(version: &str) -> Release {
    let reference = format!("conformance@{version}").parse().unwrap();
    Release::of([Artifact::new(reference, Digest::of(version.as_bytes()))]).unwrap()
}

fn context(fence: u64, key: &str) -> Context {
    Context::new(
        Fence(fence),
        key.to_owned(),
        PromotionId::new("prod".parse().unwrap(), 1),
        Kind::Deploy,
        None,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_site_enforces_fences_and_keys_and_keeps_its_canary_apart() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path(), Traffic::Clients).await;
    conformance::stage(&site, 0).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_site_serves_what_it_served_and_knows_its_fence_and_keys() {
    let folder = tempfile::tempdir().unwrap();
    let before = site(folder.path(), Traffic::Clients).await;
    before.observe(Fence(5)).await.unwrap();
    before.apply(&release("1.0.0"), &context(5, "first")).await.unwrap();
    before.apply(&release("2.0.0"), &context(5, "second").reaching(Reach::Canary)).await.unwrap();
    drop(before);

    let after = site(folder.path(), Traffic::Clients).await;
    let mut answers = Vec::new();
    for (name, address) in after.addresses() {
        let answer = Client::new().get(address, "/release").await.unwrap();
        answers.push((name, answer.status, answer.body["release"].as_str().unwrap().to_owned()));
    }
    let one = "conformance@1.0.0".to_owned();
    let expected = [
        ("canary", 200, "conformance@2.0.0".to_owned()),
        ("baseline-1", 200, one.clone()),
        ("baseline-2", 200, one),
    ];
    assert_eq!(answers, expected);
    assert_eq!(after.observe(Fence(4)).await.unwrap_err().kind(), ErrorKind::Conflict);
    // A repetition of what was done already changes nothing, although something else was done since.
    after.apply(&release("1.0.0"), &context(5, "first")).await.unwrap();
    let mixed = Observed::Canary { canary: release("2.0.0").digest(), rest: Some(release("1.0.0").digest()) };
    assert_eq!(after.observe(Fence(5)).await.unwrap(), mixed);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_miss_what_only_the_release_before_has_and_a_smoke_test_does_not() {
    let window = Window { from: Timestamp::UNIX_EPOCH, to: Timestamp::UNIX_EPOCH };
    for (traffic, canary_good) in [(Traffic::Clients, 22), (Traffic::SmokeTest, 45)] {
        let folder = tempfile::tempdir().unwrap();
        let site = site(folder.path(), traffic).await;
        site.apply(&release("1.0.0"), &context(1, "first")).await.unwrap();
        site.apply(&release("2.0.0"), &context(1, "second").reaching(Reach::Canary)).await.unwrap();
        let samples = site.sample(window).await.unwrap();
        // 45 requests for two names in turn, 23 of them for the one that only one release has: the smoke test asks the baseline, too, for what the canary lists.
        let baseline_good = if traffic == Traffic::Clients { 45 } else { 22 };
        let expected = [
            Sample::canary("canary", canary_good, 45),
            Sample::baseline("baseline-1", baseline_good, 45),
            Sample::baseline("baseline-2", baseline_good, 45),
        ];
        assert_eq!(samples, expected, "{traffic:?}");
    }
}
