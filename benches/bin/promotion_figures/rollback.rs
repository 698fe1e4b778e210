//! From the decision to roll back to the call that does it, durable.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mcp_benches::BareSqlite;
use mcp_core::{Event, EventKind, EventSink, PromotionEvent};
use mcp_promotion::{
    Context, Engine, Fence, Fencing, Observed, Pipeline, Policy, Release, Sample, SqliteJournal, Stage,
    StageError, State, Window,
};
use tokio::runtime::Runtime;

use super::Figure;
use super::world::{AtOnce, median, release, shown, timed};

const ROLLBACKS: u64 = 40;
const AT_MOST_MS: f64 = 10.0;

/// When what happened last.
#[derive(Default)]
struct Seen {
    sampled: Option<Instant>,
    decided: Option<Instant>,
    told: Option<Instant>,
}

impl Seen {
    fn tell(&mut self) {
        if self.decided.is_some() {
            self.told.get_or_insert_with(Instant::now);
        }
    }
}

/// Runs what it is told; of all releases but the first, every request fails.
#[derive(Clone, Default)]
struct Watched {
    inner: AtOnce,
    running: Arc<Mutex<Option<mcp_core::Digest>>>,
    seen: Arc<Mutex<Seen>>,
}

#[async_trait]
impl Stage for Watched {
    fn fencing(&self) -> Fencing {
        Fencing::Enforced
    }

    async fn observe(&self, fence: Fence) -> Result<Observed, StageError> {
        self.inner.observe(fence).await
    }

    async fn apply(&self, wanted: &Release, context: &Context) -> Result<(), StageError> {
        *self.running.lock().expect("no panic") = Some(wanted.digest());
        self.seen.lock().expect("no panic").tell();
        self.inner.apply(wanted, context).await
    }

    async fn sample(&self, _window: Window) -> Result<Vec<Sample>, StageError> {
        let good = *self.running.lock().expect("no panic") == Some(release(0).digest());
        self.seen.lock().expect("no panic").sampled = Some(Instant::now());
        Ok(vec![Sample::canary("one", if good { 100 } else { 0 }, 100)])
    }
}

impl EventSink for Watched {
    fn emit(&self, event: &Event) {
        if let EventKind::Promotion(PromotionEvent::Changed(changed)) = &event.kind
            && changed.to == "rolling_back"
        {
            self.seen.lock().expect("no panic").decided = Some(Instant::now());
        }
    }
}

pub(crate) fn measure() -> Vec<Figure> {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let mut bare = BareSqlite::create(folder.path()).expect("a database");
    let policy = Policy::healthy_for(Duration::from_millis(30));
    let pipeline = Pipeline::builder().stage("prod", policy).build().expect("a pipeline");
    let journal = SqliteJournal::open(folder.path().join("journal.db")).expect("a journal");
    let stage = Watched::default();
    let engine = Engine::builder(pipeline, journal)
        .stage("prod", stage.clone())
        .events(Arc::new(stage.clone()))
        .build()
        .expect("an engine");
    let driver = runtime.spawn(engine.clone().run());
    let promote = |number: u64| {
        runtime.block_on(async {
            let id = engine.request("prod", &release(number), "alice").await.expect("a request");
            engine.wait(&id).await.expect("an end")
        })
    };
    assert_eq!(promote(0), State::Succeeded);
    let (mut from_sample, mut from_decision, mut transactions) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=ROLLBACKS {
        transactions.push(timed(|| bare.transaction(&[7; 200]).expect("durable")).1);
        *stage.seen.lock().expect("no panic") = Seen::default();
        assert_eq!(promote(number), State::RolledBack);
        let seen = stage.seen.lock().expect("no panic");
        let told = seen.told.expect("it was told to go back");
        from_sample.push(told - seen.sampled.expect("it was sampled"));
        from_decision.push(told - seen.decided.expect("it was decided"));
    }
    engine.stop();
    runtime.block_on(driver).expect("it ends");
    let slowest = from_decision.iter().max().copied().unwrap_or_default();
    let (sample, decision, alone) = (median(from_sample), median(from_decision), median(transactions));
    vec![Figure {
        what: format!(
            "from the recorded decision to roll back to `apply(previous)`, SQLite journal, slowest of {ROLLBACKS}"
        ),
        target: "10 ms",
        reached: format!(
            "{} (median {}; from the samples on {})",
            shown(slowest),
            shown(decision),
            shown(sample)
        ),
        peer: format!(
            "one bare transaction: {}; the median is {:.1} times",
            shown(alone),
            decision.as_secs_f64() / alone.as_secs_f64()
        ),
        met: Some(slowest.as_secs_f64() * 1e3 <= AT_MOST_MS),
    }]
}
