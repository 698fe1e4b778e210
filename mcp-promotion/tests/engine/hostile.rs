use std::sync::Arc;

use mcp_core::{Digest, ErrorKind};
use mcp_promotion::{
    Actor, Append, Blocker, GateAnswer, GateError, GateRequest, Journal, Policy, PromotionId, State,
};

use crate::scene::{MINUTE, Puppet, Scene, Trick, release};

fn plain() -> Policy {
    Policy::unverified("test")
}

#[tokio::test]
async fn the_requester_cannot_approve_and_a_stranger_cannot_vote() {
    let scene = Scene::new(plain().approvals(1));
    let id = scene.engine.request("prod", &release("1.0.0"), "bob").await.unwrap();
    let own = scene.engine.approve(&id, "bob").await.unwrap_err();
    assert_eq!(
        (own.kind(), own.to_string().as_str()),
        (
            ErrorKind::Denied,
            "approve prod/1 by bob: who requested a promotion cannot approve it; somebody else must"
        )
    );
    for outcome in [scene.engine.approve(&id, "mallory").await, scene.engine.reject(&id, "mallory").await] {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Denied);
    }
    let nothing = scene.engine.revoke(&id, "carol").await.unwrap_err();
    assert_eq!(nothing.to_string(), "revoke prod/1 by carol: there is no approval of theirs to take back");
    assert_eq!(scene.engine.status(&id).await.unwrap().votes, []);
}

#[tokio::test]
async fn a_repeated_command_answers_what_the_first_did_and_another_one_under_its_id_is_refused() {
    let scene = Scene::new(plain());
    let by = Actor::new("alice").unwrap().request_id("build-812").unwrap();
    let first = scene.engine.request("prod", &release("1.0.0"), by.clone()).await.unwrap();
    scene.settle().await;
    let version = scene.engine.stage_state("prod").await.unwrap().version();
    assert_eq!(scene.engine.request("prod", &release("1.0.0"), by.clone()).await.unwrap(), first);
    assert_eq!(scene.engine.stage_state("prod").await.unwrap().version(), version, "nothing was added");
    let other = scene.engine.request("prod", &release("2.0.0"), by.clone()).await.unwrap_err();
    assert_eq!(
        other.to_string(),
        "use request id build-812: another command of stage prod has used it; choose a new one"
    );
    assert_eq!(scene.engine.cancel(&first, by).await.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn a_stage_that_fails_for_ever_without_applying_ends_as_failed() {
    let scene = Scene::new(plain());
    scene.promoted("prod", "1.0.0").await;
    scene.prod.trick(vec![Trick::ApplyFails; 3]);
    let id = scene.promoted("prod", "2.0.0").await;
    let status = scene.engine.status(&id).await.unwrap();
    let reason =
        "nothing was applied: 3 attempts failed, the last one with apply: reach the machines (unavailable)";
    assert_eq!((status.state, status.reason.as_str()), (State::Failed, reason));
    assert_eq!(scene.prod.running(), Some(release("1.0.0").digest()));
}

#[tokio::test]
async fn a_stage_that_says_yes_and_does_nothing_is_not_believed() {
    let scene = Scene::new(plain());
    scene.promoted("prod", "1.0.0").await;
    scene.prod.trick(vec![Trick::ApplyLies; 3]);
    let id = scene.promoted("prod", "2.0.0").await;
    assert_eq!(scene.state(&id).await, State::Failed);
    scene.prod.trick([Trick::ApplyLies]);
    let id = scene.promoted("prod", "3.0.0").await;
    assert_eq!(scene.state(&id).await, State::Succeeded, "the second attempt was true");
}

#[tokio::test]
async fn what_is_unknown_or_was_put_there_by_others_pauses_and_only_a_person_goes_on() {
    for trick in [Trick::ObserveUnknown, Trick::Foreign(Digest::of(b"by hand"))] {
        let scene = Scene::new(plain());
        scene.prod.trick([trick.clone()]);
        let id = scene.promoted("prod", "1.0.0").await;
        assert_eq!(scene.state(&id).await, State::Paused, "{trick:?}");
        assert!(matches!(scene.engine.blockers(&id).await.unwrap()[..], [Blocker::Person { .. }]));
        assert_eq!(scene.prod.script.lock().unwrap().applied, [""; 0]);
        scene.engine.resume(&id, "bob").await.unwrap();
        scene.settle().await;
        assert_eq!(scene.state(&id).await, State::Succeeded, "{trick:?}");
    }
}

#[tokio::test]
async fn a_request_that_nobody_approves_expires() {
    let scene = Scene::new(plain().approvals(1).expires_after(Some(MINUTE)));
    let id = scene.promoted("prod", "1.0.0").await;
    assert_eq!(scene.state(&id).await, State::Expired);
}

/// Says what it is told to.
#[derive(Clone)]
struct Mood(Arc<std::sync::Mutex<GateAnswer>>);

#[async_trait::async_trait]
impl mcp_promotion::Gate for Mood {
    async fn check(&self, _request: &GateRequest<'_>) -> Result<GateAnswer, GateError> {
        Ok(self.0.lock().unwrap().clone())
    }
}

/// Invariant 5.
#[tokio::test]
async fn nothing_is_applied_while_a_gate_waits_and_a_denial_rejects() {
    let mood = Mood(Arc::new(std::sync::Mutex::new(GateAnswer::wait(None, "the scan is running"))));
    let gate = mood.clone();
    let scene = Scene::with(plain().gate("scan"), Puppet::default(), |builder| builder.gate("scan", gate));
    let id = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    for _ in 0..10 {
        scene.engine.step().await.unwrap();
    }
    assert_eq!(
        scene.blockers(&id).await,
        [
            "gate scan does not let it start: the scan is running; it is asked again at 2026-11-23T12:00:01.000000Z"
        ]
    );
    assert_eq!(scene.prod.running(), None);
    *mood.0.lock().unwrap() = GateAnswer::deny("it has a known hole");
    scene.clock.advance(MINUTE);
    scene.settle().await;
    let status = scene.engine.status(&id).await.unwrap();
    assert_eq!((status.state, status.reason.as_str()), (State::Rejected, "gate scan: it has a known hole"));
    assert_eq!(scene.prod.running(), None);
}

#[tokio::test]
async fn garbage_in_the_journal_is_corrupt_for_its_stage_and_leaves_others_alone() {
    let scene = Scene::new(plain());
    let stream = "stage/prod".parse().unwrap();
    scene.journal.append(&[Append::new(stream, 0, vec![vec![0xff; 100]])]).await.unwrap();
    let error = scene.engine.request("prod", &release("1.0.0"), "alice").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(scene.engine.verify().await.unwrap_err().kind(), ErrorKind::Corrupt);
    let dev = scene.engine.request("dev", &release("1.0.0"), "alice").await.unwrap();
    for _ in 0..4 {
        scene.engine.step().await.unwrap();
    }
    assert_eq!(scene.state(&dev).await, State::Succeeded);
}

#[tokio::test]
async fn unknown_names_and_ids_are_not_found() {
    let scene = Scene::new(plain());
    let stage = scene.engine.request("qa", &release("1.0.0"), "alice").await.unwrap_err();
    assert_eq!(stage.to_string(), "find stage qa: the pipeline has none of this name");
    let id: PromotionId = "prod/7".parse().unwrap();
    let promotion = scene.engine.status(&id).await.unwrap_err();
    assert_eq!(promotion.to_string(), "find promotion prod/7: nothing was requested under this id");
    let name = scene.engine.request("Prod", &release("1.0.0"), "alice").await.unwrap_err();
    assert_eq!(name.kind(), ErrorKind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_hangs_is_given_up_after_the_timeout_and_stop_ends_the_run() {
    struct Hanging;
    #[async_trait::async_trait]
    impl mcp_promotion::Stage for Hanging {
        fn fencing(&self) -> mcp_promotion::Fencing {
            mcp_promotion::Fencing::Enforced
        }
        async fn observe(
            &self,
            _fence: mcp_promotion::Fence,
        ) -> Result<mcp_promotion::Observed, mcp_promotion::StageError> {
            std::future::pending().await
        }
        async fn apply(
            &self,
            _release: &mcp_promotion::Release,
            _context: &mcp_promotion::Context,
        ) -> Result<(), mcp_promotion::StageError> {
            std::future::pending().await
        }
        async fn sample(
            &self,
            _window: mcp_promotion::Window,
        ) -> Result<Vec<mcp_promotion::Sample>, mcp_promotion::StageError> {
            std::future::pending().await
        }
    }
    let mut calls = mcp_promotion::Calls::default();
    calls.backoff = std::time::Duration::ZERO;
    let pipeline = mcp_promotion::Pipeline::builder().stage("prod", plain().calls(calls)).build().unwrap();
    let engine = mcp_promotion::Engine::builder(pipeline, mcp_promotion::MemoryJournal::new())
        .stage("prod", Hanging)
        .build()
        .unwrap();
    let run = tokio::spawn(engine.clone().run());
    let id = engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    assert_eq!(engine.wait(&id).await.unwrap(), State::Paused);
    let reason = engine.status(&id).await.unwrap().reason;
    assert_eq!(reason, "the stage runs something unknown (observe: no answer within 30000 ms (unavailable))");
    engine.stop();
    run.await.unwrap();
}

#[tokio::test]
async fn events_tell_what_was_appended_under_its_position() {
    let scene = Scene::new(plain());
    let id = scene.promoted("prod", "1.0.0").await;
    let seen: Vec<(String, u64)> =
        scene.events.events().iter().map(|event| (event.kind.type_name().to_owned(), event.seq)).collect();
    let changed = |seq| ("mcp.promotion.promotion.changed.v1".to_owned(), seq);
    let requested = ("mcp.promotion.promotion.requested.v1".to_owned(), id.number);
    assert_eq!(seen, [requested, changed(4), changed(6), changed(7)]);
    assert_eq!(scene.events.events()[0].subject, "prod/1");
}

#[tokio::test]
async fn in_use_tells_what_runs_what_comes_back_and_what_is_under_way() {
    use mcp_core::{InUse, UsageReason};
    let scene = Scene::new(plain().approvals(1));
    for version in ["1.0.0", "2.0.0", "3.0.0", "4.0.0"] {
        let id = scene.engine.request("prod", &release(version), "alice").await.unwrap();
        if version != "4.0.0" {
            scene.engine.approve(&id, "bob").await.unwrap();
            scene.settle().await;
        }
    }
    let usage = scene.engine.in_use().await.unwrap();
    let shown: Vec<(String, UsageReason)> =
        usage.iter().map(|usage| (usage.artifact.reference.to_string(), usage.reason)).collect();
    assert_eq!(
        shown,
        [
            ("app@2.0.0".to_owned(), UsageReason::RollbackTarget),
            ("app@3.0.0".to_owned(), UsageReason::Deployed),
            ("app@4.0.0".to_owned(), UsageReason::InFlight),
        ]
    );
}

#[tokio::test]
async fn a_request_id_of_another_command_gives_up_no_lease_and_rolls_nothing_back() {
    let scene = Scene::new(Policy::unverified("test").approvals(1));
    let engine = &scene.engine;
    let actor = |who: &str, id: &str| Actor::new(who).unwrap().request_id(id).unwrap();
    for version in ["1.0.0", "2.0.0"] {
        let id = engine.request("prod", &release(version), "alice").await.unwrap();
        engine.approve(&id, actor("bob", version)).await.unwrap();
        scene.settle().await;
    }
    let errors = [
        engine.release_lease("prod", actor("bob", "2.0.0")).await.unwrap_err(),
        engine.rollback("prod", actor("bob", "2.0.0")).await.unwrap_err(),
    ];
    let expected = "use request id 2.0.0: another command of stage prod has used it; choose a new one";
    assert_eq!(errors.map(|error| error.to_string()), [expected, expected]);

    let asked = engine.rollback("prod", actor("alice", "back")).await.unwrap();
    let step = engine.step().await.unwrap();
    assert!(matches!(step, mcp_promotion::Step::Advanced(_)), "{step:?}");
    engine.release_lease("prod", actor("bob", "free")).await.unwrap();
    engine.release_lease("prod", actor("bob", "free")).await.unwrap();
    let other = engine.release_lease("prod", actor("carol", "free")).await.unwrap_err();
    assert_eq!(
        other.to_string(),
        "use request id free: another command of stage prod has used it; choose a new one"
    );
    scene.settle().await;
    assert_eq!(engine.rollback("prod", actor("alice", "back")).await.unwrap(), asked);
}

/// A judge that says too much, or keeps too much.
struct Verbose {
    kept: usize,
    said: usize,
}

impl mcp_promotion::Judge for Verbose {
    fn judge(
        &self,
        _state: &serde_json::Value,
        _window: mcp_promotion::Window,
        _samples: &[mcp_promotion::Sample],
    ) -> Result<(serde_json::Value, mcp_promotion::Judgement), mcp_promotion::JudgeError> {
        let why = "x".repeat(self.said);
        Ok(("y".repeat(self.kept).into(), mcp_promotion::Judgement::Fail { why }))
    }
}

#[tokio::test]
async fn a_verdict_is_acted_on_however_much_the_judge_says_and_a_judge_that_keeps_too_much_pauses() {
    use mcp_promotion::{Engine, JudgeChoice, MemoryJournal, Pipeline};

    let five_mebibytes = 5 << 20;
    for (kept, said, expected) in [(10, five_mebibytes, State::Paused), (five_mebibytes, 10, State::Paused)] {
        let clock = Arc::new(mcp_core::ManualClock::at(mcp_core::Timestamp::from_micros(1)));
        let judged = Policy::judged_by(JudgeChoice::Named("verbose".parse().unwrap()), MINUTE);
        let engine =
            Engine::builder(Pipeline::builder().stage("prod", judged).build().unwrap(), MemoryJournal::new())
                .stage("prod", Puppet::default())
                .judge("verbose", Verbose { kept, said })
                .clock(clock.clone())
                .build()
                .unwrap();
        let id = engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
        for _ in 0..2 {
            while !matches!(engine.step().await.unwrap(), mcp_promotion::Step::Waiting(_)) {}
            clock.advance(MINUTE);
        }
        let status = engine.status(&id).await.unwrap();
        assert_eq!(status.state, expected, "{kept} kept, {said} said");
        let begin = if kept > said { "the judge failed: keep its state of 5242882 bytes" } else { "xxxx" };
        assert!(status.reason.starts_with(begin), "{}", status.reason.chars().take(90).collect::<String>());
        assert!(status.reason.len() < 2200, "{}", status.reason.len());
    }
}
