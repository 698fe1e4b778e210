//! Streams of documents: order, bounds, panics, and what is left when one is dropped. Nothing here sleeps: gates and channels say when.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

use futures::executor::block_on;
use futures::{FutureExt, StreamExt, stream};
use mcp_core::{Digest, ErrorKind, Name, Version};
use mcp_validation::rule::Rule;
use mcp_validation::{
    Contract, Document, Findings, Report, StreamOrder, StreamSettings, ValidationEngine, ValidationError,
    Validator, ValidatorError,
};

/// Longer than anything here takes; only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

fn subject() -> Name {
    "orders".parse().unwrap()
}

fn one() -> Version {
    Version::new(1, 0, 0)
}

fn settings(change: impl FnOnce(&mut StreamSettings)) -> StreamSettings {
    let mut settings = StreamSettings::default();
    change(&mut settings);
    settings
}

/// Calls a function with the number that a document is.
struct Judge<F>(F);

impl<F: Fn(u64, &mut Findings) + Send + Sync> Validator for Judge<F> {
    fn validate(&self, document: &Document, findings: &mut Findings) -> Result<(), ValidatorError> {
        (self.0)(document.value()?.as_u64().unwrap_or(0), findings);
        Ok(())
    }

    fn fingerprint(&self) -> Option<Digest> {
        None
    }
}

fn engine(
    workers: usize,
    judge: impl Fn(u64, &mut Findings) + Send + Sync + 'static,
) -> Arc<ValidationEngine> {
    let engine = ValidationEngine::builder().workers(workers).build().unwrap();
    engine
        .register(&subject(), &one(), Contract::builder().validator(Judge(judge)).build().unwrap())
        .unwrap();
    Arc::new(engine)
}

fn numbers(count: u64) -> impl futures::Stream<Item = (u64, Document)> {
    stream::iter(0..count).map(|number| (number, Document::json(number.to_string())))
}

fn odd_is_wrong(number: u64, findings: &mut Findings) {
    if number % 2 == 1 {
        findings.error("odd", "", "odd", None);
    }
}

fn verdict(outcome: Result<Arc<Report>, ValidationError>) -> Result<bool, ErrorKind> {
    outcome.map(|report| report.valid).map_err(|error| error.kind())
}

/// Closed until it is opened; a thread waits before it.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }

    fn pass(&self) {
        let (open, timeout) =
            self.1.wait_timeout_while(self.0.lock().unwrap(), PATIENCE, |open| !*open).unwrap();
        assert!(*open && !timeout.timed_out(), "the gate was never opened");
    }
}

#[test]
fn ten_thousand_outcomes_come_in_the_order_of_their_documents() {
    let engine = engine(2, odd_is_wrong);
    let judged = engine.validate_stream(&subject(), &one(), numbers(10_000), StreamSettings::default());
    let outcomes: Vec<_> = block_on(judged.unwrap().collect());
    let expected: Vec<_> = (0..10_000).map(|number| (number, Ok(number % 2 == 0))).collect();
    let found: Vec<_> = outcomes.into_iter().map(|(number, outcome)| (number, verdict(outcome))).collect();
    assert!(found == expected, "each in its place");
    let stats = engine.stats();
    assert_eq!((stats.valid, stats.invalid, stats.errors), (5000, 5000, 0));
}

#[test]
fn as_completed_gives_what_is_ready_while_an_earlier_document_is_still_judged() {
    let gate = Arc::new(Gate::default());
    let waits = Arc::clone(&gate);
    let engine = engine(2, move |number, _| {
        if number == 0 {
            waits.pass();
        }
    });
    let settings = settings(|settings| settings.order = StreamOrder::AsCompleted);
    let mut judged = engine.validate_stream(&subject(), &one(), numbers(100), settings).unwrap();
    block_on(async {
        let mut seen = BTreeSet::new();
        for _ in 1..100 {
            seen.insert(judged.next().await.unwrap().0);
        }
        assert_eq!(seen, (1..100).collect(), "all but the first");
        gate.open();
        assert_eq!(
            judged.next().await.map(|(number, outcome)| (number, verdict(outcome))),
            Some((0, Ok(true)))
        );
        assert!(judged.next().await.is_none());
    });
}

/// Whether two documents are judged at the same time: each waits until the other is being judged too.
#[test]
fn two_workers_judge_two_documents_at_the_same_time() {
    let barrier = Arc::new((Mutex::new((0_usize, BTreeSet::new())), Condvar::new()));
    let shared = Arc::clone(&barrier);
    let engine = engine(2, move |_, _| {
        let (state, changed) = &*shared;
        let mut seen = state.lock().unwrap();
        seen.0 += 1;
        seen.1.insert(format!("{:?}", std::thread::current().id()));
        changed.notify_all();
        let (seen, _) = changed.wait_timeout_while(seen, PATIENCE, |seen| seen.0 < 2).unwrap();
        assert!(seen.0 >= 2, "nobody else came");
    });
    let judged = engine.validate_stream(&subject(), &one(), numbers(2), StreamSettings::default()).unwrap();
    let valid = block_on(judged.map(|(_, outcome)| verdict(outcome)).collect::<Vec<_>>());
    assert_eq!(valid, [Ok(true); 2]);
    assert_eq!(barrier.0.lock().unwrap().1.len(), 2, "on two threads");
}

#[test]
fn no_more_are_judged_at_once_than_was_asked_for() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, peak) = (Arc::clone(&now), Arc::clone(&most));
    let engine = engine(4, move |_, _| {
        peak.fetch_max(count.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::yield_now();
        count.fetch_sub(1, Ordering::SeqCst);
    });
    let settings = settings(|settings| settings.max_concurrent = 1);
    let judged = engine.validate_stream(&subject(), &one(), numbers(2000), settings).unwrap();
    assert_eq!(block_on(judged.count()), 2000);
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[test]
fn a_validator_that_panics_costs_its_own_document_alone() {
    let engine = engine(2, |number, _| assert!(number % 10 != 3, "a test"));
    let judged =
        engine.validate_stream(&subject(), &one(), numbers(1000), StreamSettings::default()).unwrap();
    let kinds: Vec<_> = block_on(judged.map(|(_, outcome)| verdict(outcome)).collect());
    for (number, kind) in kinds.iter().enumerate() {
        let expected = if number % 10 == 3 { Err(ErrorKind::Internal) } else { Ok(true) };
        assert_eq!(*kind, expected, "{number}");
    }
    assert_eq!((engine.stats().valid, engine.stats().errors), (900, 100));
}

/// How many documents were taken from an input while the first one is still being judged.
fn taken_while_the_first_waits(document: impl Fn() -> Document + Send, settings: StreamSettings) -> usize {
    let gate = Arc::new(Gate::default());
    let waits = Arc::clone(&gate);
    let engine = engine(1, move |_, _| waits.pass());
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let input = stream::repeat_with(|| {
        count.fetch_add(1, Ordering::SeqCst);
        ((), document())
    });
    let mut judged = engine.validate_stream(&subject(), &one(), input.take(5000), settings).unwrap();
    // More polls than it takes to fill the room: nothing comes out of any of them.
    for _ in 0..200 {
        assert!(judged.next().now_or_never().is_none());
    }
    gate.open();
    let before = taken.load(Ordering::SeqCst);
    assert_eq!(block_on(judged.count()), 5000, "all come in the end");
    before
}

#[test]
fn the_input_waits_while_as_many_documents_or_bytes_are_in_flight_as_may_be() {
    let small = || Document::json("1");
    let kib = || Document::json(" ".repeat(1023) + "1");
    let many = settings(|settings| settings.max_in_flight = 1000);
    assert_eq!(taken_while_the_first_waits(small, many), 1000);
    let bytes = settings(|settings| settings.max_bytes_in_flight = 100 << 10);
    assert_eq!(taken_while_the_first_waits(kib, bytes), 100);
    assert_eq!(taken_while_the_first_waits(|| Document::from(serde_json::json!(1)), bytes), 100);
}

/// Reports wait, since the first document is still being judged: no more of them are made than may be in flight.
#[test]
fn reports_that_wait_count_as_bytes_in_flight() {
    let gate = Arc::new(Gate::default());
    let (waits, judged) = (Arc::clone(&gate), Arc::new(AtomicUsize::new(0)));
    let (count, (tell, told)) = (Arc::clone(&judged), channel());
    let engine = engine(2, move |number, findings| {
        if number == 0 {
            waits.pass();
        }
        for _ in 0..10 {
            findings.error("long", "", "x".repeat(1000), None);
        }
        count.fetch_add(1, Ordering::SeqCst);
        tell.send(()).unwrap();
    });
    let settings = settings(|settings| settings.max_bytes_in_flight = 100 << 10);
    let mut stream = engine.validate_stream(&subject(), &one(), numbers(1000), settings).unwrap();
    assert!(stream.next().now_or_never().is_none());
    // Ten reports of more than ten KiB fill the bound; the tenth is there when nothing runs any more but the first.
    for _ in 0..9 {
        told.recv_timeout(PATIENCE).unwrap();
    }
    while stream.next().now_or_never().is_none() && judged.load(Ordering::SeqCst) < 9 {}
    assert!(judged.load(Ordering::SeqCst) <= 11, "{}", judged.load(Ordering::SeqCst));
    gate.open();
    assert_eq!(block_on(stream.count()), 1000, "and yet all come in the end");
}

/// Tells when it is dropped.
struct Tag(#[expect(dead_code, reason = "it is dropped")] Sender<()>);

fn wait_for_all(dropped: &Receiver<()>) {
    // The channel closes when the last sender is gone.
    assert_eq!(dropped.recv_timeout(PATIENCE), Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
}

/// Invariant 11: a stream that is dropped leaves no document, no tag, no contract and no thread's work behind.
#[test]
fn a_dropped_stream_leaves_nothing_behind() {
    let gate = Arc::new(Gate::default());
    let waits = Arc::clone(&gate);
    let (tell, dropped) = channel();
    let (begun, begins) = channel();
    let kept = Tag(tell.clone());
    let engine = engine(2, move |_, _| {
        let _kept = &kept;
        begun.send(std::thread::current().id()).unwrap();
        waits.pass();
    });
    let sender = tell.clone();
    let input = stream::repeat_with(move || (Tag(sender.clone()), Document::json("1")));
    let mut judged = engine.validate_stream(&subject(), &one(), input, StreamSettings::default()).unwrap();
    assert!(judged.next().now_or_never().is_none());
    let busy: BTreeSet<String> = (0..2)
        .map(|_| begins.recv_timeout(PATIENCE).unwrap())
        .map(|thread: ThreadId| format!("{thread:?}"))
        .collect();
    assert_eq!(busy.len(), 2, "both threads are at work");
    drop(judged);
    drop((engine, tell));
    gate.open();
    wait_for_all(&dropped);
    assert_eq!(begins.try_iter().count(), 0, "what waited was never judged");
}

#[test]
fn a_next_that_is_dropped_loses_no_outcome() {
    let engine = engine(2, odd_is_wrong);
    let mut judged =
        engine.validate_stream(&subject(), &one(), numbers(500), StreamSettings::default()).unwrap();
    let (mut seen, mut dropped) = (Vec::new(), 0);
    while seen.len() < 500 {
        match judged.next().now_or_never() {
            Some(outcome) => seen.push(outcome.unwrap().0),
            None => {
                dropped += 1;
                std::thread::yield_now();
            }
        }
    }
    assert_eq!(seen, (0..500).collect::<Vec<_>>());
    assert!(dropped > 0, "some were dropped");
}

#[test]
fn streams_that_share_one_thread_come_forward_together() {
    let engine = engine(1, odd_is_wrong);
    let open =
        || engine.validate_stream(&subject(), &one(), numbers(2000), StreamSettings::default()).unwrap();
    let streams: Vec<_> = (0..20).map(|_| open().count()).collect();
    assert_eq!(block_on(futures::future::join_all(streams)), [2000; 20]);
    assert_eq!(engine.stats().judged(), 40_000);
}

#[test]
fn an_unknown_version_and_settings_of_nothing_are_refused() {
    let engine = engine(1, odd_is_wrong);
    let kind = |version: Version, settings: StreamSettings| {
        let judged = engine.validate_stream(&subject(), &version, numbers(1), settings);
        judged.map(|_| ()).map_err(|error| (error.kind(), error.to_string()))
    };
    assert_eq!(kind(Version::new(9, 0, 0), StreamSettings::default()).unwrap_err().0, ErrorKind::NotFound);
    let refused = kind(one(), settings(|settings| settings.max_in_flight = 0)).unwrap_err();
    let text = "use the limit max_in_flight: it is 0, and with less than 1 nothing would ever be judged";
    assert_eq!(refused, (ErrorKind::Invalid, text.to_owned()));
}

#[test]
fn equal_documents_of_a_stream_are_judged_once_with_a_cache() {
    let engine = ValidationEngine::builder().workers(2).cache_bytes(1 << 20);
    let clock = Arc::new(mcp_core::ManualClock::at(mcp_core::Timestamp::UNIX_EPOCH));
    let engine = Arc::new(engine.clock(clock).build().unwrap());
    let contract = Contract::builder().rule(Rule::required("r", "/a")).build().unwrap();
    engine.register(&subject(), &one(), contract).unwrap();
    let input = stream::iter(0..1000)
        .map(|number| ((), Document::json(format!("{{\"a\": {}{}}}", number % 5, " ".repeat(200)))));
    let judged = engine.validate_stream(&subject(), &one(), input, StreamSettings::default()).unwrap();
    assert_eq!(
        block_on(
            judged.filter(|(_, outcome)| std::future::ready(outcome.as_ref().is_ok_and(|r| r.valid))).count()
        ),
        1000
    );
    let stats = engine.stats();
    assert_eq!((stats.cache.hits, stats.cache.misses, stats.judge_us.count), (995, 5, 5));
}
