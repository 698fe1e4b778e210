//! The sequential judges inside the engine: read from a policy, journaled, and obeyed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::{Clock, Digest, ManualClock, SequentialIds};
use mcp_promotion::{
    Context, CountTest, Engine, Fence, Fencing, Guardrail, JudgeChoice, MemoryJournal, Observed, Pipeline,
    Policy, Promotion, RankTest, Release, Sample, Stage, StageError, State, Step, Window,
};

const MINUTE: Duration = Duration::from_secs(60);

/// A stage whose one canary has so many failures of 1,000 beside ten baseline instances with five each.
#[derive(Clone)]
struct Fleet(Arc<Mutex<Option<Digest>>>, u64);

#[async_trait]
impl Stage for Fleet {
    fn fencing(&self) -> Fencing {
        Fencing::Enforced
    }

    async fn observe(&self, _fence: Fence) -> Result<Observed, StageError> {
        Ok(self.0.lock().unwrap().map_or(Observed::Nothing, Observed::Running))
    }

    async fn apply(&self, release: &Release, _context: &Context) -> Result<(), StageError> {
        *self.0.lock().unwrap() = Some(release.digest());
        Ok(())
    }

    async fn sample(&self, _window: Window) -> Result<Vec<Sample>, StageError> {
        let baseline = (0..10).map(|at| Sample::baseline(format!("b{at}"), 995, 1000));
        Ok(std::iter::once(Sample::canary("c", 1000 - self.1, 1000)).chain(baseline).collect())
    }
}

fn engine(policy: &Policy, fleet: &Fleet, clock: &Arc<ManualClock>, journal: &MemoryJournal) -> Engine {
    let pipeline = Pipeline::builder().stage("prod", policy.clone()).build().unwrap();
    Engine::builder(pipeline, journal.clone())
        .stage("prod", fleet.clone())
        .clock(clock.clone())
        .ids(Arc::new(SequentialIds::starting_at(1)))
        .owner("one")
        .build()
        .unwrap()
}

/// More than any release here has.
fn loose() -> Guardrail {
    let mut guardrail = Guardrail::default();
    guardrail.max_errors_ppm = 100_000;
    guardrail
}

/// Where a release ends, and after how many windows. With `restart`, a new engine goes on after each wait.
async fn ends(choice: &str, failures: u64, restart: bool) -> (State, u64) {
    let choice: JudgeChoice = serde_json::from_str(choice).unwrap();
    let shadow = JudgeChoice::Guardrail(Guardrail::default());
    let policy = Policy::judged_by(choice, MINUTE).guardrail(loose()).shadow(shadow);
    let promotion = driven(policy, failures, restart).await;
    (promotion.state, promotion.verification.as_ref().unwrap().windows)
}

async fn driven(policy: Policy, failures: u64, restart: bool) -> Promotion {
    let clock = Arc::new(ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap()));
    let (journal, fleet) = (MemoryJournal::new(), Fleet(Arc::default(), failures));
    let mut engine_now = engine(&policy, &fleet, &clock, &journal);
    let release = Release::of([("app@1.0.0", Digest::of(b"app"))]).unwrap();
    let id = engine_now.request("prod", &release, "alice").await.unwrap();
    for _ in 0..500 {
        match engine_now.step().await.unwrap() {
            Step::Waiting(Some(until)) => {
                clock.advance(until.saturating_since(clock.now()));
                if restart {
                    engine_now = engine(&policy, &fleet, &clock, &journal);
                }
            }
            Step::Waiting(None) => break,
            _ => {}
        }
    }
    engine_now.status(&id).await.unwrap()
}

const RANK: &str = r#"{"rank":{"bake_ms":600000}}"#;
const TOGETHER: &str =
    r#"{"together":{"judges":[{"rank":{"bake_ms":600000}},{"count":{"bake_ms":600000}}]}}"#;
const COUNT: &str = r#"{"count":{"bake_ms":600000}}"#;

#[tokio::test]
async fn a_release_that_is_no_worse_succeeds_at_the_end_of_the_bake_time() {
    for judge in [RANK, COUNT, TOGETHER] {
        assert_eq!(ends(judge, 5, false).await, (State::Succeeded, 10), "{judge}");
    }
}

/// Without a predecessor, a failure pauses.
#[tokio::test]
async fn a_release_that_is_worse_is_stopped_before() {
    for judge in [RANK, COUNT, TOGETHER] {
        let (state, windows) = ends(judge, 50, false).await;
        assert!(state == State::Paused && windows < 5, "{judge}: {state} after {windows}");
    }
}

#[tokio::test]
async fn engines_that_take_over_after_every_wait_go_on_with_the_same_evidence() {
    for judge in [RANK, COUNT, TOGETHER] {
        for failures in [5, 8, 50] {
            let (one, many) = (ends(judge, failures, false).await, ends(judge, failures, true).await);
            assert_eq!(one, many, "{judge} {failures}");
        }
    }
}

/// 11 failures of 1,000 are within three times those of the baseline, and above 1%.
#[tokio::test]
async fn a_guardrail_beside_the_judge_stops_a_release_and_one_in_the_shadow_is_only_recorded() {
    let choice = r#"{"rank":{"bake_ms":600000,"margin_ppm":3000000}}"#;
    let policy = Policy::judged_by(serde_json::from_str(choice).unwrap(), MINUTE);
    let strict = Guardrail::default();
    let acts = driven(policy.clone().guardrail(strict.clone()), 11, true).await;
    assert_eq!(acts.state, State::Paused);
    assert!(
        acts.reason.starts_with("11 of 1000 requests failed, the 3rd window in a row"),
        "{}",
        acts.reason
    );
    let shadow = driven(policy.shadow(JudgeChoice::Guardrail(strict)), 11, true).await;
    assert_eq!(shadow.state, State::Succeeded, "{}", shadow.reason);
    let beside = shadow.verification.unwrap().beside;
    let said: Vec<(&str, String)> =
        beside.shadow.iter().map(|shadow| (shadow.judge.as_str(), shadow.judgement.to_string())).collect();
    let failed = "fail: 11 of 1000 requests failed, the 3rd window in a row above 10000 per million";
    assert_eq!(said, [("guardrail", failed.to_owned())]);
}

#[test]
fn a_pipeline_whose_judge_cannot_be_obeyed_is_refused() {
    let build = |choice| Pipeline::builder().stage("prod", Policy::judged_by(choice, MINUTE)).build();
    let mut rank = RankTest::default();
    rank.alpha_ppm = 0;
    let error = build(JudgeChoice::Rank(rank)).unwrap_err().to_string();
    assert!(error.contains("alpha_ppm of 0 is not between 1 and 500000"), "{error}");
    let mut count = CountTest::default();
    count.patience = Duration::from_nanos(1);
    let error = build(JudgeChoice::Count(count)).unwrap_err().to_string();
    assert!(error.contains("patience of 1ns is not a whole number of milliseconds"), "{error}");
}
