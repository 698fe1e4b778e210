//! Stages that lie, hang, fail, panic or say absurd things for ever: a named reason, a person who can end it, and no other stage is
//! concerned.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::{Clock, Digest, ErrorKind, SeamError, Timestamp};
use mcp_promotion::{
    Blocker, Context, Engine, Fence, Fencing, MemoryJournal, Observed, Pipeline, Policy, PromotionId,
    Release, Sample, Stage, StageError, State, Window,
};
use tokio::time::Instant;

use crate::scene::{MINUTE, Puppet, release};

/// What a stage does from now on, whatever it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vice {
    None,
    Hangs,
    Fails,
    Conflicts,
    Panics,
    KnowsNothing,
    RunsSomethingElse,
    RunsNothing,
    /// It refuses what it is told, and says so at great length.
    Babbles,
    CountsNothing,
    CountsNoNumbers,
    CountsMoreGoodThanAll,
    CountsTooMuch,
    CountsTooManyInstances,
    CountsOneInstanceTwice,
    CountsThePast,
}

impl Vice {
    const ALL: [Self; 15] = {
        use Vice::{
            Babbles, Conflicts, CountsMoreGoodThanAll, CountsNoNumbers, CountsNothing,
            CountsOneInstanceTwice, CountsThePast, CountsTooManyInstances, CountsTooMuch, Fails, Hangs,
            KnowsNothing, Panics, RunsNothing, RunsSomethingElse,
        };
        [
            Hangs,
            Fails,
            Conflicts,
            Panics,
            KnowsNothing,
            RunsSomethingElse,
            RunsNothing,
            Babbles,
            CountsNothing,
            CountsNoNumbers,
            CountsMoreGoodThanAll,
            CountsTooMuch,
            CountsTooManyInstances,
            CountsOneInstanceTwice,
            CountsThePast,
        ]
    };

    /// Where a promotion comes to rest, and what the reason begins with.
    const fn outcome(self) -> (State, &'static str) {
        match self {
            Self::None => (State::Succeeded, ""),
            Self::Hangs => (
                State::Paused,
                "the stage runs something unknown (observe: no answer within 30000 ms (unavailable))",
            ),
            Self::Fails => {
                (State::Paused, "the stage runs something unknown (ask the machines (unavailable))")
            }
            Self::Conflicts => (State::Paused, "the stage runs something unknown (fence is old (conflict))"),
            Self::Panics => {
                (State::Paused, "the stage runs something unknown (observe panicked: boom (internal))")
            }
            Self::KnowsNothing => (State::Paused, "the stage runs something unknown (who knows)"),
            Self::RunsSomethingElse => (State::Paused, "the stage runs the release blake3:"),
            Self::RunsNothing => (State::Paused, "the stage runs nothing"),
            Self::Babbles => {
                (State::Failed, "nothing was applied: 3 attempts failed, the last one with apply: xxx")
            }
            Self::CountsNothing
            | Self::CountsNoNumbers
            | Self::CountsMoreGoodThanAll
            | Self::CountsTooMuch
            | Self::CountsTooManyInstances
            | Self::CountsOneInstanceTwice
            | Self::CountsThePast => (State::Paused, "no window of the last "),
        }
    }

    /// What the timeline says of its samples.
    const fn trouble(self) -> &'static str {
        match self {
            Self::CountsNoNumbers => "sample: \"heap\" of an instance is NaN",
            Self::CountsMoreGoodThanAll => "sample: 2 of 1 requests of \"a\" went well",
            Self::CountsTooMuch => "sample: the number of requests does not fit into 64 bits",
            Self::CountsTooManyInstances => "sample: 20000 samples, at most 10000 are taken",
            Self::CountsOneInstanceTwice => "sample: instance \"a\" is there twice",
            Self::CountsThePast => "sample: all of 1 samples are stale",
            _ => "",
        }
    }
}

#[derive(Clone)]
struct Wicked {
    vice: Arc<Mutex<Vice>>,
    puppet: Puppet,
}

impl Wicked {
    fn vice(&self) -> Vice {
        *self.vice.lock().unwrap()
    }

    /// What any call comes to, where it does not get to an answer.
    async fn call(&self) -> Result<(), StageError> {
        match self.vice() {
            Vice::Hangs => std::future::pending().await,
            Vice::Fails => Err(SeamError::new(ErrorKind::Unavailable, "ask the machines")),
            Vice::Conflicts => Err(SeamError::new(ErrorKind::Conflict, "fence is old")),
            Vice::Panics => panic!("boom"),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Stage for Wicked {
    fn fencing(&self) -> Fencing {
        Fencing::Enforced
    }

    async fn observe(&self, fence: Fence) -> Result<Observed, StageError> {
        self.call().await?;
        match self.vice() {
            Vice::KnowsNothing => Ok(Observed::Unknown("who knows".to_owned())),
            Vice::RunsSomethingElse => Ok(Observed::Running(Digest::of(b"by hand"))),
            Vice::RunsNothing => Ok(Observed::Nothing),
            _ => self.puppet.observe(fence).await,
        }
    }

    async fn apply(&self, release: &Release, context: &Context) -> Result<(), StageError> {
        self.call().await?;
        if self.vice() == Vice::Babbles {
            return Err(SeamError::new(ErrorKind::Internal, "x".repeat(10 << 20)));
        }
        self.puppet.apply(release, context).await
    }

    async fn sample(&self, window: Window) -> Result<Vec<Sample>, StageError> {
        self.call().await?;
        Ok(match self.vice() {
            Vice::CountsNothing => Vec::new(),
            Vice::CountsNoNumbers => vec![Sample::canary("a", 1, 1).number("heap", f64::NAN)],
            Vice::CountsMoreGoodThanAll => vec![Sample::canary("a", 2, 1)],
            Vice::CountsTooMuch => {
                vec![Sample::canary("a", u64::MAX, u64::MAX), Sample::canary("b", u64::MAX, u64::MAX)]
            }
            Vice::CountsTooManyInstances => vec![Sample::canary("a", 1, 1); 20_000],
            Vice::CountsOneInstanceTwice => vec![Sample::canary("a", 9, 9), Sample::canary("a", 9, 9)],
            Vice::CountsThePast => vec![Sample::canary("a", 9, 9).at(Timestamp::UNIX_EPOCH)],
            _ => return self.puppet.sample(window).await,
        })
    }
}

/// The time of the runtime's timer, which is paused, and jumps to whatever is waited for.
struct TimerClock {
    zero: Timestamp,
    begin: Instant,
}

impl Clock for TimerClock {
    fn now(&self) -> Timestamp {
        self.zero.saturating_add(self.begin.elapsed())
    }

    fn monotonic(&self) -> Duration {
        self.begin.elapsed()
    }
}

fn engine(prod: &Wicked) -> Engine {
    let pipeline = Pipeline::builder()
        .stage("dev", Policy::unverified("demo"))
        .stage("prod", Policy::healthy_for(MINUTE * 6))
        .build()
        .unwrap();
    let clock = TimerClock { zero: "2026-11-23T12:00:00Z".parse().unwrap(), begin: Instant::now() };
    Engine::builder(pipeline, MemoryJournal::new())
        .stage("dev", Puppet::default())
        .stage("prod", prod.clone())
        .clock(Arc::new(clock))
        .build()
        .unwrap()
}

/// What a person does until it has ended; how that went.
async fn end(engine: &Engine, id: &PromotionId) -> State {
    for _ in 0..6 {
        match engine.wait(id).await.unwrap() {
            State::Paused => engine.abort(id, "bob", "no").await.unwrap(),
            State::Stuck => engine.acknowledge(id, "bob", "by hand").await.unwrap(),
            state => return state,
        }
        // Others see the state that a command leaves at once.
        tokio::time::sleep(MINUTE).await;
    }
    panic!("{id} does not end");
}

#[tokio::test(start_paused = true)]
async fn a_wicked_stage_has_a_named_reason_a_person_can_end_it_and_other_stages_go_on() {
    for vice in Vice::ALL {
        let prod = Wicked { vice: Arc::new(Mutex::new(Vice::None)), puppet: Puppet::default() };
        let engine = engine(&prod);
        let run = tokio::spawn(engine.clone().run());
        let first = engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
        assert_eq!(engine.wait(&first).await.unwrap(), State::Succeeded);

        *prod.vice.lock().unwrap() = vice;
        let id = engine.request("prod", &release("2.0.0"), "alice").await.unwrap();
        let next = engine.request("prod", &release("3.0.0"), "alice").await.unwrap();
        let rests = tokio::time::timeout(MINUTE * 60, engine.wait(&id)).await;
        assert!(rests.is_ok(), "{vice:?}: {:?}", engine.blockers(&id).await);
        let status = engine.status(&id).await.unwrap();
        let (state, reason) = vice.outcome();
        assert_eq!(status.state, state, "{vice:?}: {}", status.reason);
        assert!(status.reason.starts_with(reason), "{vice:?}: {}", status.reason);
        assert!(status.reason.chars().count() <= 2200, "{vice:?}");
        let history = engine.history(&id).await.unwrap().to_string();
        assert!(history.contains(vice.trouble()), "{vice:?}: {history}");
        if state == State::Paused {
            let blockers = engine.blockers(&id).await.unwrap();
            assert!(matches!(blockers[..], [Blocker::Person { .. }]), "{vice:?}: {blockers:?}");
            let behind = engine.blockers(&next).await.unwrap();
            assert!(
                behind.iter().any(
                    |blocker| matches!(blocker, Blocker::InFlight { promotion, .. } if *promotion == id)
                )
            );
        }
        let dev = engine.request("dev", &release("2.0.0"), "alice").await.unwrap();
        assert_eq!(engine.wait(&dev).await.unwrap(), State::Succeeded, "{vice:?}");

        let ended = end(&engine, &id).await;
        assert!(matches!(ended, State::RolledBack | State::Failed), "{vice:?}: {ended}");
        // It is well again: what waited behind it can be ended, and then a release succeeds, at most after a person accepts what is there.
        *prod.vice.lock().unwrap() = Vice::None;
        let behind = end(&engine, &next).await;
        assert!(behind.is_terminal(), "{vice:?}: {behind}");
        let last = engine.request("prod", &release("4.0.0"), "alice").await.unwrap();
        if engine.wait(&last).await.unwrap() == State::Paused {
            engine.resume(&last, "bob").await.unwrap();
        }
        let last = (engine.wait(&last).await.unwrap(), prod.puppet.running());
        assert_eq!(last, (State::Succeeded, Some(release("4.0.0").digest())), "{vice:?}");
        assert_eq!(engine.troubles(), [], "{vice:?}");
        engine.verify().await.unwrap();
        engine.stop();
        run.await.unwrap();
    }
}
