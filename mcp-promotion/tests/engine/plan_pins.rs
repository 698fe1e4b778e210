//! What a plan brings, and what it may bring back, is pinned from before it is recorded until it has ended.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use mcp_core::{Artifact, Clock, ErrorKind, Holder, Pin, SeamError, Timestamp};
use mcp_promotion::{Actor, Need, OnFailure, PlanId, PlanRequest, PlanState, Settings, Step, Task};

use crate::fleet::{Fleet, NAMES, artifact, item, request};
use crate::scene::Trick;

type Kept = BTreeMap<Artifact, Option<Timestamp>>;

/// Keeps what it is told to, and fails as it is told to.
#[derive(Default)]
struct Shelf {
    kept: Mutex<BTreeMap<Holder, Kept>>,
    /// What the next calls for a plan come to; well where there is nothing.
    failures: Mutex<VecDeque<ErrorKind>>,
    /// Whether the next call to `pin` never returns, after it has pinned.
    hangs: Mutex<bool>,
}

impl Shelf {
    fn fails(&self, holder: &Holder) -> Result<(), SeamError> {
        let plan = holder.as_str().starts_with("plan/");
        let next = if plan { self.failures.lock().unwrap().pop_front() } else { None };
        next.map_or(Ok(()), |kind| Err(SeamError::new(kind, "the shelf says no")))
    }

    fn fail(&self, kinds: impl IntoIterator<Item = ErrorKind>) {
        self.failures.lock().unwrap().extend(kinds);
    }

    /// What is kept for plans.
    fn plans(&self) -> Vec<Kept> {
        let kept = self.kept.lock().unwrap();
        let plans = kept.iter().filter(|(holder, _)| holder.as_str().starts_with("plan/"));
        plans.map(|(_, kept)| kept.clone()).collect()
    }
}

#[async_trait]
impl Pin for Shelf {
    async fn pin(
        &self,
        holder: &Holder,
        set: &[Artifact],
        expires: Option<Timestamp>,
    ) -> Result<(), SeamError> {
        self.fails(holder)?;
        // Whoever else is at it goes on meanwhile.
        tokio::task::yield_now().await;
        let of = |artifact: &Artifact| (artifact.clone(), expires);
        self.kept.lock().unwrap().entry(holder.clone()).or_default().extend(set.iter().map(of));
        if std::mem::take(&mut *self.hangs.lock().unwrap()) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn release(&self, holder: &Holder) -> Result<(), SeamError> {
        self.fails(holder)?;
        self.kept.lock().unwrap().remove(holder);
        Ok(())
    }
}

async fn pinned(names: &[&'static str]) -> (Fleet, Arc<Shelf>) {
    let (fleet, shelf) = (Fleet::plain(names).await, Arc::new(Shelf::default()));
    let engine = fleet.with("pinned", |builder| builder.pin(shelf.clone()));
    (fleet.driven_by(engine), shelf)
}

/// Both versions of all three.
fn all() -> BTreeSet<Artifact> {
    NAMES.iter().flat_map(|name| [artifact(name, "1.0.0"), artifact(name, "2.0.0")]).collect()
}

fn artifacts(kept: &Kept) -> BTreeSet<Artifact> {
    kept.keys().cloned().collect()
}

#[tokio::test]
async fn a_plan_pins_what_it_brings_and_what_it_may_bring_back_until_it_has_succeeded() {
    let (fleet, shelf) = pinned(&NAMES).await;
    let id = fleet.engine.request_plan(&request(), "alice").await.unwrap();
    let expires = fleet.clock.now().saturating_add(Settings::default().pin_grace);
    assert_eq!(shelf.plans().len(), 1);
    assert_eq!(artifacts(&shelf.plans()[0]), all());
    assert!(shelf.plans()[0].values().all(|until| *until == Some(expires)), "until a driver has it");
    let mut seen = BTreeSet::new();
    while fleet.state(id).await == PlanState::Running {
        fleet.engine.step().await.unwrap();
        let kept = &shelf.plans()[0];
        let lasts = kept.values().all(Option::is_none);
        let asked = fleet.history(id).await.iter().any(|line| line.starts_with("auth/"));
        assert!(lasts || !asked, "nothing is asked for before the pin lasts");
        assert_eq!(artifacts(kept), all());
        seen.insert(lasts);
    }
    assert_eq!(seen.len(), 1, "the first step makes it lasting");
    assert_eq!(fleet.state(id).await, PlanState::Succeeded);
    fleet.settle().await;
    assert_eq!(shelf.plans(), []);
    let history = fleet.history(id).await;
    assert_eq!(history[1], "its artifacts are pinned");
    assert_eq!(history.last().unwrap(), "its artifacts are not pinned any more");
    // What runs has a pin of its promotion.
    let kept = shelf.kept.lock().unwrap();
    let runs: BTreeSet<Artifact> = kept.values().flat_map(|kept| kept.keys().cloned()).collect();
    assert!(NAMES.iter().all(|name| runs.contains(&artifact(name, "2.0.0"))), "{runs:?}");
}

async fn ended(fleet: &Fleet, shelf: &Shelf, id: PlanId, state: PlanState) {
    fleet.settle().await;
    assert_eq!((fleet.state(id).await, shelf.plans()), (state, vec![]));
    fleet.engine.verify().await.unwrap();
}

#[tokio::test]
async fn the_pin_is_given_up_however_a_plan_ends_and_not_before() {
    // Cancelled before a driver has seen it.
    let (fleet, shelf) = pinned(&NAMES).await;
    let id = fleet.engine.request_plan(&request(), "alice").await.unwrap();
    fleet.engine.cancel_plan(id, "alice").await.unwrap();
    ended(&fleet, &shelf, id, PlanState::Cancelled).await;
    // Aborted in the middle.
    let id = fleet.engine.request_plan(&request(), "alice").await.unwrap();
    while fleet.stage("auth").applied().len() < 2 {
        fleet.engine.step().await.unwrap();
    }
    fleet.engine.abort_plan(id, "carol", "no").await.unwrap();
    assert_eq!(artifacts(&shelf.plans()[0]), all());
    ended(&fleet, &shelf, id, PlanState::RolledBack).await;
    // Halted for good.
    fleet.stage("billing").trick(std::iter::repeat_n(Trick::ApplyFails, 20));
    let mut halting = request();
    halting.on_failure = OnFailure::Halt;
    let id = fleet.engine.request_plan(&halting, "alice").await.unwrap();
    fleet.settle().await;
    assert_eq!(fleet.state(id).await, PlanState::Halted);
    assert_eq!(artifacts(&shelf.plans()[0]), all(), "somebody may resume it");
    fleet.engine.acknowledge_plan(id, "carol", "so be it").await.unwrap();
    ended(&fleet, &shelf, id, PlanState::Failed).await;
}

#[tokio::test]
async fn a_plan_that_is_refused_keeps_nothing_and_records_nothing() {
    let (fleet, shelf) = pinned(&NAMES).await;
    let need =
        || Need::new("a-library-with-a-rather-long-name/of-which-there-are-many", ">=1.0.0, <3.0.0").unwrap();
    let mut large = PlanRequest::new([(0..60_000).fold(item("auth"), |item, _| item.need(need()))]);
    let library = serde_json::json!({"name": need().name, "version": "1.0.0"});
    large.present.push(serde_json::from_value(library).unwrap());
    let mut wrong = request();
    wrong.items[0].from = Some("1.5.0".parse().unwrap());
    let impossible = PlanRequest::new([item("auth").need(Need::new("web", "^2").unwrap())]);
    let cases =
        [(large, ErrorKind::Exhausted), (wrong, ErrorKind::Invalid), (impossible, ErrorKind::Invalid)];
    for (request, kind) in cases {
        let refused = fleet.engine.request_plan(&request, "alice").await.unwrap_err();
        assert_eq!((refused.kind(), shelf.plans()), (kind, vec![]), "{refused}");
    }
    // An artifact that was never published.
    shelf.fail([ErrorKind::NotFound]);
    let refused = fleet.engine.request_plan(&request(), "alice").await.unwrap_err();
    assert_eq!((refused.kind(), shelf.plans()), (ErrorKind::NotFound, vec![]), "{refused}");
    assert_eq!(fleet.engine.plans().await.unwrap(), []);
}

/// Invariant 11.
#[tokio::test]
async fn a_crash_between_the_pin_and_the_record_leaves_a_pin_that_expires_and_a_request_that_can_be_repeated()
{
    let (fleet, shelf) = pinned(&NAMES).await;
    let alice = || Actor::new("alice").unwrap().request_id("plan-7").unwrap();
    *shelf.hangs.lock().unwrap() = true;
    let request = request();
    let mut dropped = Box::pin(fleet.engine.request_plan(&request, alice()));
    for _ in 0..4 {
        assert!(matches!(dropped.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
    }
    drop(dropped);
    assert_eq!(fleet.engine.plans().await.unwrap(), []);
    assert_eq!(shelf.plans().len(), 1);
    assert!(shelf.plans()[0].values().all(Option::is_some), "it expires");
    let id = fleet.engine.request_plan(&request, alice()).await.unwrap();
    assert_eq!(fleet.engine.request_plan(&request, alice()).await.unwrap(), id);
    assert_eq!(shelf.plans().len(), 2, "a repeated request pins nothing");
    fleet.settle().await;
    assert_eq!(fleet.state(id).await, PlanState::Succeeded);
    assert_eq!(shelf.plans().len(), 1);
    assert!(shelf.plans()[0].values().all(Option::is_some), "only what expires is left");
}

#[tokio::test]
async fn of_several_that_ask_under_one_request_id_at_once_one_pin_stays() {
    let (fleet, shelf) = pinned(&NAMES).await;
    let other = fleet.with("other", |builder| builder.pin(shelf.clone()));
    let alice = || Actor::new("alice").unwrap().request_id("plan-7").unwrap();
    let request = request();
    let (one, two, three) = tokio::join!(
        fleet.engine.request_plan(&request, alice()),
        other.request_plan(&request, alice()),
        fleet.engine.request_plan(&request, alice()),
    );
    let one = one.unwrap();
    assert_eq!((two.unwrap(), three.unwrap()), (one, one));
    assert_eq!(shelf.plans().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_pinned_any_more_fails_the_plan_before_it_has_begun() {
    let (fleet, shelf) = pinned(&NAMES).await;
    let id = fleet.engine.request_plan(&request(), "alice").await.unwrap();
    shelf.fail([ErrorKind::NotFound]);
    fleet.settle().await;
    let status = fleet.engine.plan_status(id).await.unwrap();
    let why = format!("make the pin of plan {id} lasting: the shelf says no (not_found)");
    assert_eq!((status.state, status.reason.replace("not found", "not_found")), (PlanState::RolledBack, why));
    assert_eq!(fleet.running(), "auth@1.0.0 billing@1.0.0 web@1.0.0");
    assert_eq!(shelf.plans(), []);
}

#[tokio::test]
async fn a_pin_that_is_away_is_among_the_troubles_and_tried_again() {
    let (fleet, shelf) = pinned(&NAMES).await;
    let id = fleet.engine.request_plan(&request(), "alice").await.unwrap();
    shelf.fail([ErrorKind::Unavailable]);
    assert_eq!(fleet.engine.step().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(fleet.engine.troubles()[0].task, Task::Plan(id));
    while fleet.state(id).await == PlanState::Running {
        fleet.engine.step().await.unwrap();
    }
    assert_eq!(fleet.engine.troubles(), []);
    shelf.fail([ErrorKind::Unavailable]);
    assert_eq!(fleet.engine.step().await.unwrap(), Step::Waiting(None));
    let troubles = fleet.engine.troubles();
    assert_eq!(troubles[0].task, Task::UnpinPlan(id));
    assert!(troubles[0].to_string().starts_with(&format!("give up the pin of plan {id}: failed 1 times")));
    fleet.settle().await;
    assert_eq!((shelf.plans(), fleet.engine.troubles()), (vec![], vec![]));
}

/// An engine without the pin neither drives such a plan nor says that it is done with.
#[tokio::test]
async fn a_plan_that_was_pinned_waits_for_an_engine_that_has_the_pin() {
    let (fleet, shelf) = pinned(&NAMES).await;
    let id = fleet.engine.request_plan(&request(), "alice").await.unwrap();
    let without = fleet.another("two");
    let told = without.step().await.unwrap_err();
    assert_eq!(told.to_string(), format!("make the pin of plan {id} lasting"));
    assert!(without.troubles()[0].error.contains("give it with pin(..)"), "{:?}", without.troubles());
    fleet.settle().await;
    assert_eq!((fleet.state(id).await, shelf.plans()), (PlanState::Succeeded, vec![]));
    assert_eq!(without.step().await.unwrap(), Step::Waiting(None));
}
