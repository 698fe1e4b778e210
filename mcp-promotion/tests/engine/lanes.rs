use mcp_core::{ErrorKind, InUse};
use mcp_promotion::{Actor, Engine, Pipeline, Policy, PromotionError, PromotionId, Queue, State};

use crate::scene::{MINUTE, Puppet};
use crate::yard::{Yard, cargo, request, state};

async fn blockers(engine: &Engine, id: &PromotionId) -> Vec<String> {
    engine.blockers(id).await.unwrap().iter().map(ToString::to_string).collect()
}

async fn currents(engine: &Engine) -> Vec<String> {
    let lanes = engine.lanes("prod").await.unwrap();
    lanes.iter().map(|lane| lane.current.as_ref().map_or("-".to_owned(), |d| d.release.to_string())).collect()
}

fn told<T: std::fmt::Debug>(outcome: Result<T, PromotionError>) -> (ErrorKind, String) {
    let error = outcome.unwrap_err();
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn two_lanes_are_under_way_at_once_and_the_third_starts_when_one_of_them_has_ended() {
    let yard = Yard::new(2);
    let engine = yard.with("one", yard.policy().gate("open"), |builder| builder.gate("open", Open));
    for lane in ["prod/a", "prod/b"] {
        yard.puppet(lane).trick([crate::scene::Trick::ObserveUnknown]);
    }
    let (a, b) = (request(&engine, "a@1.0.0").await, request(&engine, "b@1.0.0").await);
    let (c, again) = (request(&engine, "c@1.0.0 d@1.0.0").await, request(&engine, "a@2.0.0").await);
    assert_eq!([&a, &b, &again].map(ToString::to_string), ["prod/a/1", "prod/b/1", "prod/a/2"]);
    assert_eq!(c.to_string().parse::<PromotionId>().unwrap(), c);
    yard.settle(&engine).await;
    let states = [state(&engine, &a).await, state(&engine, &b).await];
    assert_eq!(states, [State::Paused, State::Paused]);
    assert_eq!(
        blockers(&engine, &c).await,
        ["2 of 2 are in flight: prod/a/1, prod/b/1; one of them must end first"]
    );
    assert_eq!(
        blockers(&engine, &again).await,
        ["prod/a/1 is paused; it must end first"],
        "its own lane is the nearer reason"
    );
    engine.abort(&b, "bob", "no").await.unwrap();
    yard.settle(&engine).await;
    assert_eq!(state(&engine, &b).await, State::RolledBack);
    assert_eq!(state(&engine, &c).await, State::Succeeded);
    assert_eq!(currents(&engine).await, ["-", "-", "c@1.0.0, d@1.0.0"]);
    assert_eq!(*yard.most.lock().unwrap(), 2);
    engine.resume(&a, "bob").await.unwrap();
    yard.settle(&engine).await;
    assert_eq!(currents(&engine).await, ["a@2.0.0", "-", "c@1.0.0, d@1.0.0"]);
    let timeline = engine.timeline("prod").await.unwrap().to_string();
    let path = format!("{}/testdata/lanes.txt", env!("CARGO_MANIFEST_DIR"));
    let expected = std::fs::read_to_string(path).unwrap();
    assert_eq!(timeline, expected, "{timeline}");
    let ids = engine.promotions("prod").await.unwrap();
    assert_eq!(ids.iter().map(|promotion| promotion.id.clone()).collect::<Vec<_>>(), [a, again, b, c]);
    engine.verify().await.unwrap();
}

struct Open;

#[async_trait::async_trait]
impl mcp_promotion::Gate for Open {
    async fn check(
        &self,
        _request: &mcp_promotion::GateRequest<'_>,
    ) -> Result<mcp_promotion::GateAnswer, mcp_promotion::GateError> {
        Ok(mcp_promotion::GateAnswer::pass("open"))
    }
}

/// Invariant 5; the stage looks at it at each of its calls.
#[tokio::test(start_paused = true)]
async fn of_a_hundred_requests_for_twenty_artifacts_three_at_most_are_in_flight_and_none_twice() {
    let yard = Yard::new(3);
    let engines = [yard.engine("one"), yard.engine("two")];
    let runs: Vec<_> = engines.iter().map(|engine| tokio::spawn(engine.clone().run())).collect();
    let mut ids = Vec::new();
    for number in 0..100 {
        let reference = format!("app{}@{}.0.0", number % 20, number / 20 + 1);
        ids.push(request(&engines[number % 2], &reference).await);
        tokio::task::yield_now().await;
    }
    for id in &ids {
        assert_eq!(engines[0].wait(id).await.unwrap(), State::Succeeded, "{id}");
    }
    engines.iter().for_each(Engine::stop);
    for run in runs {
        run.await.unwrap();
    }
    let lanes = engines[1].lanes("prod").await.unwrap();
    for lane in &lanes {
        let artifact = lane.lane.artifacts.first().unwrap();
        assert_eq!(lane.current.as_ref().unwrap().release, cargo(&format!("{artifact}@5.0.0")));
        assert_eq!(lane.in_flight, None);
        let applied = yard.puppet(lane.lane.name.as_str()).applied();
        let expected: Vec<String> = (1..6).map(|major| format!("{artifact}@{major}.0.0")).collect();
        assert_eq!(applied, expected, "each once, in the order of the requests");
    }
    assert_eq!((lanes.len(), *yard.most.lock().unwrap()), (20, 3));
    engines[0].verify().await.unwrap();
}

#[tokio::test]
async fn an_engine_that_is_new_finds_the_lanes_in_the_journal_and_goes_on_with_them() {
    let yard = Yard::new(2);
    let mut ids = Vec::new();
    {
        let engine = yard.engine("one");
        for reference in ["a@1.0.0", "b@1.0.0", "c@1.0.0"] {
            ids.push(request(&engine, reference).await);
        }
        for _ in 0..4 {
            engine.step().await.unwrap();
        }
        assert_eq!(yard.look().await.len(), 2, "in the middle");
    }
    let engine = yard.engine("one");
    let status = engine.status(&ids[2]).await.unwrap();
    assert_eq!((status.id, status.state), (ids[2].clone(), State::Pending));
    yard.settle(&engine).await;
    assert_eq!(currents(&engine).await, ["a@1.0.0", "b@1.0.0", "c@1.0.0"]);
    for lane in ["prod/a", "prod/b", "prod/c"] {
        assert_eq!(yard.puppet(lane).applied().len(), 1, "{lane}");
    }
    let unknown = told(engine.status(&"prod/d/1".parse().unwrap()).await);
    assert_eq!(
        unknown,
        (ErrorKind::NotFound, "find stage prod/d: the pipeline has none of this name".to_owned())
    );
}

#[tokio::test]
async fn a_release_with_some_of_the_artifacts_of_a_lane_is_refused_and_the_lane_is_named() {
    let yard = Yard::new(2);
    let engine = yard.engine("one");
    let pair = request(&engine, "app@1.0.0 worker@1.0.0").await;
    let lane = &pair.stage;
    let cases = ["app@2.0.0", "app@2.0.0 worker@2.0.0 cron@1.0.0", "cron@1.0.0 worker@2.0.0"];
    for references in cases {
        let (kind, text) = told(engine.request("prod", &cargo(references), "alice").await);
        assert_eq!(kind, ErrorKind::Conflict);
        let named = if references.starts_with("cron") { "worker" } else { "app" };
        let expected = format!(
            "{named} goes through lane {lane} (app, worker), whose artifacts are promoted together and by themselves; request a release \
             of exactly these"
        );
        assert!(text.ends_with(&expected), "{text}");
    }
    assert_eq!(request(&engine, "app@2.0.0 worker@1.0.0").await.stage, *lane);
    assert_eq!(engine.lanes("prod").await.unwrap().len(), 1, "nothing else was opened");
    // By its own name a lane takes only what is its.
    let (kind, text) = told(engine.request(lane.as_str(), &cargo("cron@1.0.0"), "alice").await);
    assert_eq!(kind, ErrorKind::Conflict);
    assert_eq!(text, format!("use lane {lane}: lane {lane} (app, worker) has the name already"));
    yard.settle(&engine).await;
    assert_eq!(currents(&engine).await, ["app@2.0.0, worker@1.0.0"]);
}

#[tokio::test]
async fn a_hold_of_the_stage_holds_every_lane_but_no_rollback_and_one_of_a_lane_only_that() {
    let yard = Yard::new(2);
    let engine = yard.engine("one");
    for reference in ["a@1.0.0", "b@1.0.0", "a@2.0.0"] {
        request(&engine, reference).await;
    }
    yard.settle(&engine).await;
    engine.hold("prod", "bob", "audit").await.unwrap();
    let (a, b) = (request(&engine, "a@3.0.0").await, request(&engine, "b@2.0.0").await);
    let back = engine.rollback("prod/a", "bob").await.unwrap();
    yard.settle(&engine).await;
    assert_eq!(currents(&engine).await, ["a@1.0.0", "b@1.0.0"]);
    assert_eq!(state(&engine, &back).await, State::Succeeded);
    let held = "bob holds the stage: audit; nothing but rollbacks starts until the hold is lifted";
    assert_eq!(
        (blockers(&engine, &a).await, blockers(&engine, &b).await),
        (vec![held.to_owned()], vec![held.to_owned()])
    );
    engine.hold("prod/b", "bob", "only this").await.unwrap();
    engine.lift_hold("prod", "bob").await.unwrap();
    yard.settle(&engine).await;
    assert_eq!(currents(&engine).await, ["a@3.0.0", "b@1.0.0"]);
    assert_eq!(state(&engine, &b).await, State::Pending);
    engine.lift_hold("prod/b", "bob").await.unwrap();
    yard.settle(&engine).await;
    assert_eq!(currents(&engine).await, ["a@3.0.0", "b@2.0.0"]);
}

#[tokio::test]
async fn a_lane_goes_back_by_itself_and_the_stage_as_a_whole_does_not() {
    let yard = Yard::new(2);
    let engine = yard.with("one", Policy::healthy_for(MINUTE).queue(Queue::Parallel(2)), |builder| builder);
    for reference in ["a@1.0.0", "b@1.0.0"] {
        request(&engine, reference).await;
    }
    yard.settle(&engine).await;
    yard.puppet("prod/a").ill(&cargo("a@2.0.0"), Some(50));
    let (a, b) = (request(&engine, "a@2.0.0").await, request(&engine, "b@2.0.0").await);
    yard.settle(&engine).await;
    let states = [state(&engine, &a).await, state(&engine, &b).await];
    assert_eq!(states, [State::RolledBack, State::Succeeded]);
    assert_eq!(currents(&engine).await, ["a@1.0.0", "b@2.0.0"]);
    engine.rollback("prod/b", "bob").await.unwrap();
    yard.settle(&engine).await;
    assert_eq!(currents(&engine).await, ["a@1.0.0", "b@1.0.0"]);
    let refused = "stage prod: its lanes run releases of their own; name one of them, such as prod/app";
    assert_eq!(
        told(engine.rollback("prod", "bob").await),
        (ErrorKind::Conflict, format!("roll back {refused}"))
    );
    assert_eq!(
        told(engine.current("prod").await),
        (ErrorKind::Conflict, format!("ask what runs in {refused}"))
    );
    assert_eq!(engine.current("prod/b").await.unwrap().unwrap().release, cargo("b@1.0.0"));
}

#[tokio::test]
async fn a_request_is_answered_the_same_when_it_is_repeated_and_pending_ones_keep_their_turn() {
    let yard = Yard::new(1);
    let engine = yard.engine("one");
    let by = |id: &str| Actor::new("alice").unwrap().request_id(id).unwrap();
    let first = engine.request("prod", &cargo("a@1.0.0"), by("r1")).await.unwrap();
    let second = engine.request("prod", &cargo("a@2.0.0"), by("r2")).await.unwrap();
    assert_eq!(engine.request("prod", &cargo("a@1.0.0"), by("r1")).await.unwrap(), first);
    let other = told(engine.request("prod", &cargo("a@3.0.0"), by("r1")).await);
    assert_eq!(other.0, ErrorKind::Conflict);
    engine.cancel(&first, "alice").await.unwrap();
    yard.settle(&engine).await;
    let states = [state(&engine, &first).await, state(&engine, &second).await];
    assert_eq!(states, [State::Cancelled, State::Succeeded]);
    assert_eq!(yard.puppet("prod/a").applied(), ["a@2.0.0"]);
}

#[tokio::test]
async fn a_stage_after_one_with_lanes_looks_at_the_lane_of_its_release() {
    let yard = Yard::new(2);
    let qa = Puppet::default();
    let after = Policy::unverified("demo").after("prod").soak(MINUTE);
    let pipeline =
        Pipeline::builder().stage("prod", yard.policy()).stage("live", after.queue(Queue::Parallel(9)));
    let builder = yard.builder("one", pipeline.build().unwrap());
    let behind = qa.clone();
    let engine = builder.lanes("live", move |_lane| behind.clone()).build().unwrap();
    let live = engine.request("live", &cargo("b@1.0.0"), "alice").await.unwrap();
    request(&engine, "a@1.0.0").await;
    yard.settle(&engine).await;
    let waits = ["the release has not succeeded in prod; promote it there first"];
    assert_eq!(blockers(&engine, &live).await, waits);
    let b = request(&engine, "b@1.0.0").await;
    yard.settle(&engine).await;
    let status = engine.status(&live).await.unwrap();
    assert_eq!(status.state, State::Succeeded);
    let [seen] = &status.evidence.unwrap().upstream[..] else { panic!("one stage before") };
    assert_eq!((seen.lane.as_ref(), seen.promotion, seen.ran_ms), (Some(&b.stage), b.number, 60_000));
    let history = engine.history(&live).await.unwrap().to_string();
    assert!(history.contains("may start; prod/b/1 ran 60000 ms"), "{history}");
    assert_eq!(qa.running(), Some(cargo("b@1.0.0").digest()));
}

#[tokio::test]
async fn what_lanes_run_and_would_go_back_to_is_in_use() {
    let yard = Yard::new(2);
    let engine = yard.engine("one");
    for reference in ["a@1.0.0", "a@2.0.0", "b@1.0.0"] {
        request(&engine, reference).await;
    }
    yard.settle(&engine).await;
    for engine in [engine, yard.engine("two")] {
        let usage = engine.in_use().await.unwrap();
        let shown: Vec<String> =
            usage.iter().map(|usage| format!("{} {}", usage.artifact.reference, usage.place)).collect();
        assert_eq!(shown, ["a@1.0.0 prod/a", "a@2.0.0 prod/a", "b@1.0.0 prod/b"]);
    }
}

#[tokio::test]
async fn what_cannot_be_a_stage_with_lanes_is_refused_when_it_is_built() {
    let yard = Yard::new(1);
    let parallel = |limit| Policy::unverified("demo").queue(Queue::Parallel(limit));
    let build = |builder: mcp_promotion::PipelineBuilder| builder.build().unwrap_err().to_string();
    let none = build(Pipeline::builder().stage("prod", parallel(0)));
    assert!(none.contains("parallel 0"), "{none}");
    let by_itself = build(
        Pipeline::builder().stage("dev", yard.policy()).stage("prod", parallel(1).after("dev").automatic()),
    );
    assert!(by_itself.contains("its queue is parallel, and what is promoted by itself"), "{by_itself}");
    let plain = Policy::unverified("demo").after("dev").automatic();
    let after = build(Pipeline::builder().stage("dev", yard.policy()).stage("prod", plain));
    assert!(
        after.contains("stage prod, automatic: it is automatic and comes after dev, whose queue is parallel"),
        "{after}"
    );
    let below = build(Pipeline::builder().stage("prod", parallel(1)).stage("prod/app", yard.policy()));
    assert!(below.contains("it has the name of a lane of prod, whose queue is parallel"), "{below}");
    let name = "p".repeat(180);
    let long = build(Pipeline::builder().stage(name.as_str(), parallel(1)));
    assert!(long.contains("its lanes have longer names than it, and it has more than 179 bytes"), "{long}");
    let pipeline = || Pipeline::builder().stage("prod", parallel(1)).build().unwrap();
    let plain = Engine::builder(pipeline(), yard.journal.clone()).stage("prod", Puppet::default()).build();
    assert_eq!(
        plain.unwrap_err().to_string(),
        "build the promotion engine: the queue of stage prod is parallel; give its lanes with lanes(\"prod\", ..) instead of the stage"
    );
    // Without the stage it takes commands.
    let engine = Engine::builder(pipeline(), yard.journal.clone()).build().unwrap();
    let id = request(&engine, "a@1.0.0").await;
    assert_eq!(blockers(&engine, &id).await, ["this engine has no stage prod/a; one that has it must run"]);
}

#[tokio::test]
async fn a_stage_that_is_parallel_no_more_ends_what_its_lanes_had_begun_and_starts_nothing_else_before() {
    let yard = Yard::new(2);
    let engine = yard.engine("one");
    let a = request(&engine, "a@1.0.0").await;
    while state(&engine, &a).await != State::Verifying {
        engine.step().await.unwrap();
    }
    drop(engine);
    let whole = Puppet::default();
    let serial = Policy::unverified("demo");
    let engine = yard.with("one", serial, |builder| builder.stage("prod", whole.clone()));
    let all = request(&engine, "a@2.0.0 b@1.0.0").await;
    assert_eq!(all.to_string(), "prod/3");
    assert_eq!(blockers(&engine, &all).await, ["1 of 1 are in flight: prod/a/1; one of them must end first"]);
    let (kind, text) = told(engine.request("prod/a", &cargo("a@3.0.0"), "alice").await);
    assert_eq!(kind, ErrorKind::Conflict);
    assert!(text.contains("its stage has no lanes any more"), "{text}");
    yard.settle(&engine).await;
    assert_eq!((state(&engine, &a).await, state(&engine, &all).await), (State::Succeeded, State::Succeeded));
    assert_eq!(whole.running(), Some(cargo("a@2.0.0 b@1.0.0").digest()));
    engine.verify().await.unwrap();
}

#[tokio::test]
async fn what_is_under_way_in_lanes_is_counted_drawn_and_explained_lane_by_lane() {
    let yard = Yard::new(2);
    let engine = yard.engine("one");
    let a = request(&engine, "a@1.0.0").await;
    yard.settle(&engine).await;
    yard.puppet("prod/b").trick([crate::scene::Trick::ObserveUnknown]);
    let b = request(&engine, "b@1.0.0").await;
    yard.settle(&engine).await;
    let c = request(&engine, "b@2.0.0").await;
    let states = [state(&engine, &a).await, state(&engine, &b).await, state(&engine, &c).await];
    assert_eq!(states, [State::Succeeded, State::Paused, State::Pending]);
    let stats = engine.stats().await;
    assert_eq!((stats.in_flight, stats.pending), (1, 1));
    let diagram = engine.diagram().await.unwrap();
    let live =
        diagram.stages.iter().find(|stage| stage.name.as_str() == "prod").unwrap().live.clone().unwrap();
    assert_eq!(live.lines, ["1 of 2 lanes run a release", "1 waiting", "prod/b/1 paused"]);
    assert_eq!(live.tone, mcp_promotion::Tone::Alarm);
    let (kind, why) = told(engine.explain_stage("prod").await);
    assert_eq!(kind, ErrorKind::Conflict, "{why}");
    let explained = engine.explain_stage("prod/a").await.unwrap();
    assert_eq!(explained.runs.map(|runs| runs.promotion), Some(a));
}

/// A lane for which the host has no stage fails by itself; everything else goes on.
#[tokio::test(start_paused = true)]
async fn a_host_that_panics_when_it_is_asked_for_the_stage_of_a_lane_fails_that_lane_and_no_other() {
    let policy = Policy::unverified("test").queue(Queue::Parallel(2.try_into().unwrap()));
    let pipeline =
        Pipeline::builder().stage("dev", Policy::unverified("test")).stage("prod", policy).build().unwrap();
    let engine = Engine::builder(pipeline, mcp_promotion::MemoryJournal::new())
        .stage("dev", Puppet::default())
        .lanes("prod", |lane| {
            assert!(lane.name.as_str() != "prod/bad", "no such machine");
            Puppet::default()
        })
        .build()
        .unwrap();
    let run = tokio::spawn(engine.clone().run());
    let bad = request(&engine, "bad@1.0.0").await;
    let good = request(&engine, "good@1.0.0").await;
    let dev = engine.request("dev", &cargo("dev@1.0.0"), "alice").await.unwrap();
    assert_eq!(engine.wait(&bad).await.unwrap(), State::Paused);
    let reason = engine.status(&bad).await.unwrap().reason;
    assert!(reason.contains("the stage of a lane panicked: no such machine"), "{reason}");
    assert_eq!(engine.wait(&good).await.unwrap(), State::Succeeded);
    assert_eq!(engine.wait(&dev).await.unwrap(), State::Succeeded);
    engine.stop();
    run.await.unwrap();
}
