use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::{ManualClock, Name};
use mcp_promotion::{
    Append, Context, Engine, Fence, Fencing, Journal, JournalError, MemoryJournal, Observed, Pipeline,
    Policy, Reach, Release, Sample, Stage, StageError, State, Step, Window,
};

use crate::scene::{Puppet, release};

/// Lets somebody roll `dev` back in the very moment in which a start in `prod` is appended.
#[derive(Clone)]
struct Meddler {
    journal: MemoryJournal,
    other: Arc<Mutex<Option<Engine>>>,
}

#[async_trait]
impl Journal for Meddler {
    async fn append(&self, batch: &[Append]) -> Result<(), JournalError> {
        let other = if batch.len() > 1 { self.other.lock().unwrap().take() } else { None };
        if let Some(other) = other {
            other.rollback("dev", "bob").await.unwrap();
        }
        self.journal.append(batch).await
    }

    async fn read(&self, stream: &Name, after: u64, max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        self.journal.read(stream, after, max).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<Name>, JournalError> {
        self.journal.streams(prefix).await
    }
}

fn engine(journal: impl Journal + 'static, stages: &[&'static str], puppet: &Puppet) -> Engine {
    let pipeline = Pipeline::builder()
        .stage("dev", Policy::unverified("demo"))
        .stage("prod", Policy::unverified("demo").after("dev"))
        .build()
        .unwrap();
    let builder = Engine::builder(pipeline, journal);
    stages.iter().fold(builder, |builder, stage| builder.stage(*stage, puppet.clone())).build().unwrap()
}

/// Invariant 5: what a gate saw in another stage's stream is asserted in the append that records the start.
#[tokio::test]
async fn a_stage_before_that_changes_while_the_start_is_recorded_stops_it() {
    let journal = MemoryJournal::new();
    let (dev_puppet, prod_puppet) = (Puppet::default(), Puppet::default());
    let dev = engine(journal.clone(), &["dev"], &dev_puppet);
    for version in ["1.0.0", "2.0.0"] {
        dev.request("dev", &release(version), "alice").await.unwrap();
        while !matches!(dev.step().await.unwrap(), Step::Waiting(_)) {}
    }
    let meddler = Meddler { journal, other: Arc::new(Mutex::new(Some(dev.clone()))) };
    let prod = engine(meddler, &["prod"], &prod_puppet);
    let id = prod.request("prod", &release("2.0.0"), "alice").await.unwrap();
    let mut steps = Vec::new();
    while steps.last() != Some(&Step::Overtaken("prod".parse().unwrap())) {
        steps.push(prod.step().await.unwrap());
        assert!(steps.len() < 5, "{steps:?}");
    }
    assert_eq!(prod.status(&id).await.unwrap().state, State::Pending);
    // The rollback takes the success in `dev` back, and with it the way into `prod`.
    while !matches!(dev.step().await.unwrap(), Step::Waiting(_)) {}
    for _ in 0..5 {
        prod.step().await.unwrap();
    }
    assert_eq!(prod.status(&id).await.unwrap().state, State::Pending);
    assert_eq!(prod_puppet.running(), None);
}

/// What a person commands while a stage is being changed.
#[derive(Clone, Copy, Debug)]
enum Meanwhile {
    Requests,
    Pauses,
    Aborts,
}

/// A stage during whose first call of `apply` with this reach somebody gives a command through another engine.
struct Busy {
    puppet: Puppet,
    meanwhile: Meanwhile,
    reach: Reach,
    other: Mutex<Option<Engine>>,
}

#[async_trait]
impl Stage for Busy {
    fn fencing(&self) -> Fencing {
        self.puppet.fencing()
    }

    async fn observe(&self, fence: Fence) -> Result<Observed, StageError> {
        self.puppet.observe(fence).await
    }

    async fn apply(&self, release: &Release, context: &Context) -> Result<(), StageError> {
        let other = if context.reach == self.reach { self.other.lock().unwrap().take() } else { None };
        self.puppet.apply(release, context).await?;
        if let Some(other) = other {
            match self.meanwhile {
                Meanwhile::Requests => {
                    other.request("dev", &crate::scene::release("9.0.0"), "carol").await.map(drop).unwrap();
                }
                Meanwhile::Pauses => other.pause(&context.promotion, "bob", "wait").await.unwrap(),
                Meanwhile::Aborts => other.abort(&context.promotion, "bob", "no").await.unwrap(),
            }
        }
        Ok(())
    }

    async fn sample(&self, window: Window) -> Result<Vec<Sample>, StageError> {
        self.puppet.sample(window).await
    }
}

#[tokio::test]
async fn a_command_during_a_stage_call_counts_and_another_request_repeats_no_call() {
    let cases = [
        (Meanwhile::Requests, State::Succeeded, vec!["app@1.0.0", "app@9.0.0"]),
        (Meanwhile::Pauses, State::Paused, vec!["app@1.0.0"]),
        (Meanwhile::Aborts, State::RolledBack, vec!["app@1.0.0", "nothing"]),
    ];
    for (meanwhile, state, applied) in cases {
        let (journal, puppet) = (MemoryJournal::new(), Puppet::default());
        let other = engine(journal.clone(), &[], &puppet);
        let (reach, other) = (Reach::All, Mutex::new(Some(other)));
        let busy = Busy { puppet: puppet.clone(), meanwhile, reach, other };
        let pipeline = Pipeline::builder().stage("dev", Policy::unverified("demo")).build().unwrap();
        let driver = Engine::builder(pipeline, journal).stage("dev", busy).build().unwrap();
        let id = driver.request("dev", &release("1.0.0"), "alice").await.unwrap();
        while !matches!(driver.step().await.unwrap(), Step::Waiting(_)) {}
        assert_eq!(driver.status(&id).await.unwrap().state, state, "{meanwhile:?}");
        assert_eq!(puppet.script.lock().unwrap().applied, applied, "{meanwhile:?}");
    }
}

/// The same while a canary is reached, and while everything else is: what a person commanded meanwhile counts, and the way from there is known.
#[tokio::test]
async fn a_command_during_either_call_for_a_canary_counts() {
    let (first, canary, second) = ("app@1.0.0", "app@2.0.0 in the canary only", "app@2.0.0");
    let cases = [
        (Meanwhile::Requests, Reach::Canary, State::Succeeded, vec![canary, second]),
        (Meanwhile::Pauses, Reach::Canary, State::Paused, vec![canary]),
        (Meanwhile::Aborts, Reach::Canary, State::RolledBack, vec![canary, first]),
        (Meanwhile::Requests, Reach::All, State::Succeeded, vec![canary, second]),
        (Meanwhile::Pauses, Reach::All, State::Paused, vec![canary, second]),
        (Meanwhile::Aborts, Reach::All, State::RolledBack, vec![canary, second, first]),
    ];
    for (meanwhile, reach, state, applied) in cases {
        for overridden in [false, true] {
            let what = format!("{meanwhile:?} {reach:?} {overridden}");
            let (journal, puppet) = (MemoryJournal::new(), Puppet::default());
            let clock = Arc::new(ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap()));
            let policy = Policy::healthy_for(Duration::from_secs(6)).canary();
            let pipeline = || Pipeline::builder().stage("dev", policy.clone()).build().unwrap();
            let build = |builder: mcp_promotion::EngineBuilder| builder.clock(clock.clone()).build().unwrap();
            let other = build(Engine::builder(pipeline(), journal.clone()));
            let busy = Busy { puppet: puppet.clone(), meanwhile, reach, other: Mutex::default() };
            let busy = Arc::new(busy);
            let driver = build(Engine::builder(pipeline(), journal).stage("dev", Arc::clone(&busy)));
            let drive = async |id: &mcp_promotion::PromotionId| {
                for _ in 0..40 {
                    driver.step().await.unwrap();
                    clock.advance(Duration::from_secs(1));
                }
                driver.status(id).await.unwrap().state
            };
            let id = driver.request("dev", &release("1.0.0"), "alice").await.unwrap();
            assert_eq!(drive(&id).await, State::Succeeded);
            *busy.other.lock().unwrap() = Some(other);
            let id = driver.request("dev", &release("2.0.0"), "alice").await.unwrap();
            assert_eq!(drive(&id).await, state, "{what}");
            let seen = puppet.applied();
            assert_eq!(seen[1..][..applied.len()], applied, "{what}");
            if state != State::Paused {
                continue;
            }
            if overridden {
                driver.override_with(&id, "bob", "known").await.unwrap();
            } else {
                driver.resume(&id, "bob").await.unwrap();
            }
            assert_eq!(drive(&id).await, State::Succeeded, "{what}");
            assert_eq!(puppet.running(), Some(release("2.0.0").digest()), "{what}");
        }
    }
}
