//! Many documents judged on a bounded pool, as a stream of what became of them.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::Stream;
use mcp_core::SeamError;
use serde::{Deserialize, Serialize};

use crate::workers::{Turn, Workers};
use crate::{Document, Report, ValidationError};

/// How [`ValidationEngine::validate_stream`](crate::ValidationEngine::validate_stream) goes through its documents.
///
/// A document is in flight from when it is taken from the input until its outcome is taken from the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct StreamSettings {
    /// In which order outcomes come.
    pub order: StreamOrder,
    /// How many documents are judged at once, at least 1; no more than the engine has [workers](crate::ValidationEngineBuilder::workers).
    pub max_concurrent: usize,
    /// How many documents are in flight, at least 1. While there are as many, the input is not asked for more.
    pub max_in_flight: usize,
    /// How many bytes the documents in flight have, and the reports that wait to be taken, both. While there are as many, the input is not
    /// asked for more, and while the reports alone have as many, nothing new is judged; so it is exceeded by no more than the last
    /// document and a report for each that was being judged. A document that was given as a value counts as 1 KiB.
    pub max_bytes_in_flight: u64,
}

impl Default for StreamSettings {
    /// In the order of the input, on all workers, with 1,024 documents and 64 MiB in flight.
    fn default() -> Self {
        Self {
            order: StreamOrder::AsGiven,
            max_concurrent: usize::MAX,
            max_in_flight: 1024,
            max_bytes_in_flight: 64 << 20,
        }
    }
}

impl StreamSettings {
    fn check(&self) -> Result<(), ValidationError> {
        let least_one = [
            ("max_concurrent", self.max_concurrent == 0),
            ("max_in_flight", self.max_in_flight == 0),
            ("max_bytes_in_flight", self.max_bytes_in_flight == 0),
        ];
        match least_one.into_iter().find(|(_, is_zero)| *is_zero) {
            None => Ok(()),
            Some((limit, _)) => {
                let reason = "it is 0, and with less than 1 nothing would ever be judged".to_owned();
                Err(ValidationError::BrokenLimits { limit, reason })
            }
        }
    }
}

/// In which order the outcomes of a stream come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StreamOrder {
    /// As the documents came; what is judged earlier waits.
    #[default]
    AsGiven,
    /// As soon as each is judged.
    AsCompleted,
}

/// What became of a document of a stream.
pub type Outcome = Result<Arc<Report>, ValidationError>;

/// What a document that was given as a value counts as.
const VALUE_BYTES: u64 = 1024;
/// As many documents are taken from the input before the outcomes have their turn.
const TAKEN_AT_ONCE: usize = 64;

/// The outcomes of [`ValidationEngine::validate_stream`](crate::ValidationEngine::validate_stream), each with what came with its document.
///
/// # Cancel safety
/// A `next()` that is dropped loses nothing. When the stream is dropped, what waits is dropped with it; what is being judged at that moment
/// is judged to its end, within its contract's limits, and forgotten.
pub struct Judgements<S, T> {
    input: Option<Pin<Box<S>>>,
    shared: Arc<Shared<T>>,
}

/// What the stream and the threads that work for it have in common.
struct Shared<T> {
    state: Mutex<State<T>>,
    settings: StreamSettings,
    workers: Arc<Workers>,
    judge: Box<dyn Fn(&Document) -> Outcome + Send + Sync>,
}

struct Waiting<T> {
    number: u64,
    tag: T,
    document: Document,
}

struct State<T> {
    waiting: VecDeque<Waiting<T>>,
    /// By the place at which each comes out.
    done: BTreeMap<u64, (T, Outcome)>,
    /// How many came in, how many are judged, and how many went out.
    taken: u64,
    judged: u64,
    given: u64,
    /// How many are being judged.
    running: usize,
    /// How many turns wait in the pool, or are being taken.
    turns: usize,
    document_bytes: u64,
    report_bytes: u64,
    waker: Option<Waker>,
    closed: bool,
}

impl<T> Default for State<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            done: BTreeMap::new(),
            taken: 0,
            judged: 0,
            given: 0,
            running: 0,
            turns: 0,
            document_bytes: 0,
            report_bytes: 0,
            waker: None,
            closed: false,
        }
    }
}

impl<S, T> Judgements<S, T>
where
    S: Stream<Item = (T, Document)>,
    T: Send + 'static,
{
    pub(crate) fn new(
        input: S,
        settings: StreamSettings,
        workers: Arc<Workers>,
        judge: Box<dyn Fn(&Document) -> Outcome + Send + Sync>,
    ) -> Result<Self, ValidationError> {
        settings.check()?;
        let shared = Shared { state: Mutex::default(), settings, workers, judge };
        Ok(Self { input: Some(Box::pin(input)), shared: Arc::new(shared) })
    }

    /// Takes documents from the input while there is room for them; whether there may be more at once.
    fn fill(&mut self, context: &mut Context<'_>) -> bool {
        for _ in 0..TAKEN_AT_ONCE {
            let Some(input) = self.input.as_mut().filter(|_| self.shared.has_room()) else { return false };
            match input.as_mut().poll_next(context) {
                Poll::Ready(Some((tag, document))) => self.shared.admit(tag, document),
                Poll::Ready(None) => {
                    self.input = None;
                    return false;
                }
                Poll::Pending => return false,
            }
        }
        true
    }
}

impl<S, T> Stream for Judgements<S, T>
where
    S: Stream<Item = (T, Document)>,
    T: Send + 'static,
{
    type Item = (T, Outcome);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let more = self.fill(context);
        Shared::start(&self.shared);
        let mut state = self.shared.state();
        if let Some(outcome) = state.give(self.shared.settings.order) {
            return Poll::Ready(Some(outcome));
        }
        if self.input.is_none() && state.in_flight() == 0 {
            return Poll::Ready(None);
        }
        state.waker = Some(context.waker().clone());
        drop(state);
        if more {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self) -> bool {
        let state = self.state();
        state.in_flight() < u64::try_from(self.settings.max_in_flight).unwrap_or(u64::MAX)
            && state.document_bytes.saturating_add(state.report_bytes) < self.settings.max_bytes_in_flight
    }

    fn admit(&self, tag: T, document: Document) {
        let mut state = self.state();
        state.document_bytes = state.document_bytes.saturating_add(bytes_of(&document));
        let number = state.taken;
        state.taken += 1;
        state.waiting.push_back(Waiting { number, tag, document });
    }

    /// Whether one more may be judged now. Where nothing can be given out, the next one must be.
    fn may_begin(&self, state: &State<T>) -> bool {
        !state.waiting.is_empty()
            && (state.report_bytes < self.settings.max_bytes_in_flight
                || (state.running == 0 && !state.is_ready(self.settings.order)))
    }

    /// Takes the next document to judge it.
    fn begin(&self) -> Option<Waiting<T>> {
        let mut state = self.state();
        let next = if self.may_begin(&state) { state.waiting.pop_front() } else { None };
        match next {
            Some(_) => state.running += 1,
            None => state.turns = state.turns.saturating_sub(1),
        }
        next
    }

    /// Notes what became of a document; whether another may be judged at once.
    fn finish(&self, number: u64, tag: T, document_bytes: u64, outcome: Outcome) -> bool {
        let mut state = self.state();
        state.running = state.running.saturating_sub(1);
        if state.closed {
            drop(state);
            return false;
        }
        state.done(self.settings.order, number, tag, document_bytes, outcome);
        let more = self.may_begin(&state);
        if !more {
            state.turns = state.turns.saturating_sub(1);
        }
        // Nobody needs to look before there is something to take, or room to be filled.
        let waker = if more && !state.is_ready(self.settings.order) { None } else { state.waker.take() };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        more
    }
}

impl<T: Send + 'static> Shared<T> {
    /// Asks for as many turns as can be used.
    fn start(shared: &Arc<Self>) {
        let most = shared.settings.max_concurrent.min(shared.workers.most());
        loop {
            let mut state = shared.state();
            if state.turns >= most
                || state.turns.saturating_sub(state.running) >= state.waiting.len()
                || !shared.may_begin(&state)
            {
                return;
            }
            state.turns += 1;
            drop(state);
            let turn: Arc<dyn Turn> = Arc::<Self>::clone(shared);
            if let Err(source) = shared.workers.submit(turn) {
                shared.give_up(&source);
                return;
            }
        }
    }

    /// No thread is to be had: nothing that waits can be judged.
    fn give_up(&self, source: &SeamError) {
        let mut state = self.state();
        state.turns = state.turns.saturating_sub(1);
        for Waiting { number, tag, document } in std::mem::take(&mut state.waiting) {
            let source = SeamError::new(source.kind(), source.to_string());
            let outcome = Err(ValidationError::NotJudged { source });
            state.done(self.settings.order, number, tag, bytes_of(&document), outcome);
        }
    }
}

impl<T: Send + 'static> Turn for Shared<T> {
    fn take(&self) -> bool {
        let Some(Waiting { number, tag, document }) = self.begin() else { return false };
        let outcome = (self.judge)(&document);
        let bytes = bytes_of(&document);
        drop(document);
        self.finish(number, tag, bytes, outcome)
    }
}

impl<T> State<T> {
    const fn in_flight(&self) -> u64 {
        self.taken.saturating_sub(self.given)
    }

    fn is_ready(&self, order: StreamOrder) -> bool {
        match order {
            StreamOrder::AsGiven => self.done.contains_key(&self.given),
            StreamOrder::AsCompleted => !self.done.is_empty(),
        }
    }

    fn done(&mut self, order: StreamOrder, number: u64, tag: T, document_bytes: u64, outcome: Outcome) {
        self.document_bytes = self.document_bytes.saturating_sub(document_bytes);
        self.report_bytes = self.report_bytes.saturating_add(bytes_of_outcome(&outcome));
        let place = match order {
            StreamOrder::AsGiven => number,
            StreamOrder::AsCompleted => self.judged,
        };
        self.judged += 1;
        self.done.insert(place, (tag, outcome));
    }

    fn give(&mut self, order: StreamOrder) -> Option<(T, Outcome)> {
        if !self.is_ready(order) {
            return None;
        }
        let (_, outcome) = self.done.pop_first()?;
        self.given += 1;
        self.report_bytes = self.report_bytes.saturating_sub(bytes_of_outcome(&outcome.1));
        Some(outcome)
    }
}

fn bytes_of(document: &Document) -> u64 {
    document.bytes().map_or(VALUE_BYTES, |bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX))
}

fn bytes_of_outcome(outcome: &Outcome) -> u64 {
    outcome.as_ref().map_or(VALUE_BYTES, |report| crate::verdict_cache::weight(report))
}

impl<S, T> Drop for Judgements<S, T> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.closed = true;
        // Dropped when the lock is open again: whose they are may do anything.
        let _left = (std::mem::take(&mut state.waiting), std::mem::take(&mut state.done), state.waker.take());
        drop(state);
    }
}

impl<S, T> std::fmt::Debug for Judgements<S, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.shared.state();
        f.debug_struct("Judgements")
            .field("in_flight", &state.in_flight())
            .field("waiting", &state.waiting.len())
            .field("running", &state.running)
            .finish_non_exhaustive()
    }
}
