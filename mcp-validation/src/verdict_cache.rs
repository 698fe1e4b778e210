//! Verdicts that are remembered: what a contract said of the same bytes before.
//!
//! Hashing bytes costs less than parsing and judging them, hashing what was parsed costs more; so the key is made of the raw bytes alone.
//! A verdict is kept when making it took longer than looking for it will, and is made once for all who ask for it at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use mcp_core::{ArtifactRef, Digest, Digester};
use quick_cache::sync::{Cache, GuardResult};
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};

use crate::meter::Timer;
use crate::stats::CacheStats;
use crate::{Contract, Document, Encoding, Report, ValidationError};

/// A document with fewer bytes is judged at once: looking for it would save next to nothing.
pub(crate) const SMALLEST_BYTES: usize = 128;
/// What a look takes beside the hashing.
const LOOK_NANOS: u64 = 300;
/// Keeping pays where judging took at least so many times what a look takes.
const WORTH: u64 = 2;
/// After so many verdicts in a row that were not worth keeping, a contract's documents are mostly not looked for any more.
const WASTED_AT_MOST: u32 = 32;
/// One document in so many is looked for even then: documents change.
const TRY_EVERY: u32 = 64;
/// So many misses are hashed again to see what hashing costs, and afterwards one in [`SAMPLE_EVERY`].
const SAMPLES_FIRST: u64 = 16;
const SAMPLE_EVERY: u64 = 1024;
/// What a report takes with its place in the cache and that of a key whose report has gone, besides its texts.
const ENTRY_BYTES: u64 = 512;

/// What a verdict depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    document: Digest,
    scope: Digest,
    encoding: Encoding,
}

/// What became of a judgement, for those who wait for it and those who come later.
#[derive(Clone)]
enum Made {
    /// It is kept.
    Kept(Arc<Report>),
    /// It goes to those who wait for it, and is not kept.
    Passed(Arc<Report>),
    /// There is no verdict: whoever waited judges for himself, since a limit of time may hold for one and not for another.
    Nothing,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Made> for Weight {
    /// What weighs more than the whole cache never comes into it.
    fn weight(&self, _: &Key, made: &Made) -> u64 {
        match made {
            Made::Kept(report) => weight(report),
            Made::Passed(_) | Made::Nothing => u64::MAX,
        }
    }
}

/// About what a report takes while it is kept.
pub(crate) fn weight(report: &Report) -> u64 {
    report.findings.iter().fold(ENTRY_BYTES, |sum, finding| {
        let value = finding.value.as_ref().map_or(0, String::len);
        let texts =
            finding.path.len() + finding.schema_path.len() + finding.message.len() + finding.code.len();
        let all = texts.saturating_add(value).saturating_add(std::mem::size_of_val(finding));
        sum.saturating_add(u64::try_from(all).unwrap_or(u64::MAX))
    })
}

/// Counts what goes.
#[derive(Clone, Default)]
struct Evictions(Arc<AtomicU64>);

impl Lifecycle<Key, Made> for Evictions {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: Key, made: Made) {
        if matches!(made, Made::Kept(_)) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What the cache knows of one registered contract.
#[derive(Debug)]
pub(crate) struct Scope {
    /// Everything but the document that a report depends on; `None` where something of it has no fingerprint.
    digest: Option<Digest>,
    wasted: AtomicU32,
    passed_by: AtomicU32,
}

impl Scope {
    /// `artifact` belongs to it, since a report names it.
    pub(crate) fn of(contract: &Contract, artifact: &ArtifactRef) -> Self {
        let digest = contract.fingerprint().map(|fingerprint| {
            let mut digester = Digester::new();
            digester.update(b"mcp-validation verdict 1").update(fingerprint.as_bytes());
            digester.update(artifact.to_string().as_bytes());
            digester.digest()
        });
        Self { digest, wasted: AtomicU32::new(0), passed_by: AtomicU32::new(0) }
    }

    /// Whether so far looking has paid, or it is time to see whether it does.
    fn pays(&self) -> bool {
        self.wasted.load(Ordering::Relaxed) < WASTED_AT_MOST
            || self.passed_by.fetch_add(1, Ordering::Relaxed).is_multiple_of(TRY_EVERY)
    }

    fn learn(&self, worth: bool) {
        if worth {
            if self.wasted.load(Ordering::Relaxed) > 0 {
                self.wasted.store(0, Ordering::Relaxed);
            }
        } else if self.wasted.load(Ordering::Relaxed) < WASTED_AT_MOST {
            self.wasted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Remembers reports up to so many bytes.
pub(crate) struct VerdictCache {
    cache: Cache<Key, Made, Weight, DefaultHashBuilder, Evictions>,
    evictions: Evictions,
    hits: AtomicU64,
    misses: AtomicU64,
    bypasses: AtomicU64,
    not_worth: AtomicU64,
    hashing: Hashing,
}

impl VerdictCache {
    pub(crate) fn new(bytes: u64) -> Self {
        let evictions = Evictions::default();
        let entries = usize::try_from(bytes / ENTRY_BYTES).unwrap_or(usize::MAX);
        let cache = Cache::with(entries, bytes, Weight, DefaultHashBuilder::default(), evictions.clone());
        Self {
            cache,
            evictions,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            bypasses: AtomicU64::new(0),
            not_worth: AtomicU64::new(0),
            hashing: Hashing::default(),
        }
    }

    /// What `judge` says of `document`, or has said before. `judge` also tells how long it took. A `judge` that panics leaves nothing
    /// behind, and whoever waits for it judges in its stead.
    pub(crate) fn judge(
        &self,
        scope: &Scope,
        max_bytes: u64,
        document: &Document,
        timer: &Timer,
        judge: impl FnOnce() -> (Result<Arc<Report>, ValidationError>, Duration),
    ) -> Result<Arc<Report>, ValidationError> {
        let Some((key, bytes)) = Self::key(scope, max_bytes, document) else {
            self.bypasses.fetch_add(1, Ordering::Relaxed);
            return judge().0;
        };
        let guard = match self.cache.get_value_or_guard(&key, None) {
            GuardResult::Value(Made::Kept(report) | Made::Passed(report)) => {
                self.hits.fetch_add(1, Ordering::Relaxed);
                return Ok(report);
            }
            GuardResult::Guard(guard) => Some(guard),
            GuardResult::Value(Made::Nothing) | GuardResult::Timeout => None,
        };
        self.misses.fetch_add(1, Ordering::Relaxed);
        let (outcome, took) = judge();
        let made = match &outcome {
            Ok(report) => {
                let worth = self.hashing.is_worth(took, bytes, timer);
                scope.learn(worth);
                if worth {
                    Made::Kept(Arc::clone(report))
                } else {
                    self.not_worth.fetch_add(1, Ordering::Relaxed);
                    Made::Passed(Arc::clone(report))
                }
            }
            Err(_) => Made::Nothing,
        };
        if let Some(guard) = guard {
            // Refused only where somebody removed the key meanwhile, which nobody does.
            let _refused = guard.insert(made);
        }
        outcome
    }

    fn key<'d>(scope: &Scope, max_bytes: u64, document: &'d Document) -> Option<(Key, &'d [u8])> {
        let bytes = document.bytes()?;
        let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= max_bytes);
        if !fits || bytes.len() < SMALLEST_BYTES {
            return None;
        }
        let scope = scope.digest.filter(|_| scope.pays())?;
        Some((Key { document: document.digest()?, scope, encoding: document.encoding() }, bytes))
    }

    pub(crate) fn stats(&self) -> CacheStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheStats {
            hits: load(&self.hits),
            misses: load(&self.misses),
            bypasses: load(&self.bypasses),
            not_worth: load(&self.not_worth),
            entries: u64::try_from(self.cache.len()).unwrap_or(u64::MAX),
            bytes: self.cache.weight(),
            evictions: load(&self.evictions.0),
        }
    }
}

/// What hashing costs on this machine, as it is measured now and then.
#[derive(Default)]
struct Hashing {
    misses: AtomicU64,
    /// A moving mean; 0 until it was measured.
    nanos_per_kib: AtomicU64,
}

impl Hashing {
    /// Whether a judgement that took so long is worth a place. A clock that stands still tells nothing, and then it is.
    fn is_worth(&self, took: Duration, bytes: &[u8], timer: &Timer) -> bool {
        let miss = self.misses.fetch_add(1, Ordering::Relaxed);
        if miss < SAMPLES_FIRST || miss.is_multiple_of(SAMPLE_EVERY) {
            self.measure(bytes, timer);
        }
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let per_kib = self.nanos_per_kib.load(Ordering::Relaxed);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let look = (per_kib.saturating_mul(length) / 1024).saturating_add(LOOK_NANOS);
        took == 0 || took >= look.saturating_mul(WORTH)
    }

    fn measure(&self, bytes: &[u8], timer: &Timer) {
        let sample = bytes.get(..64 << 10).unwrap_or(bytes);
        let before = timer.monotonic();
        std::hint::black_box(Digest::of(sample));
        let nanos = u64::try_from(timer.monotonic().saturating_sub(before).as_nanos()).unwrap_or(u64::MAX);
        let length = u64::try_from(sample.len()).unwrap_or(u64::MAX).max(1);
        let now = nanos.saturating_mul(1024) / length;
        let mean = self.nanos_per_kib.load(Ordering::Relaxed);
        let mean = if mean == 0 { now } else { mean - mean / 8 + now / 8 };
        self.nanos_per_kib.store(mean, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    use mcp_core::{ManualClock, Timestamp};

    use super::*;
    use crate::{Findings, Limits};

    const NO_TIME: Duration = Duration::ZERO;

    fn scope() -> Scope {
        Scope { digest: Some(Digest::of(b"scope")), wasted: AtomicU32::new(0), passed_by: AtomicU32::new(0) }
    }

    fn timer() -> Timer {
        Timer::Lent(Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH)))
    }

    fn document(number: usize) -> Document {
        Document::json(format!("\"{number:0>200}\""))
    }

    fn report() -> Arc<Report> {
        Arc::new(Report::of(Findings::new(&Limits::default()), None))
    }

    fn exhausted() -> ValidationError {
        ValidationError::StepsExhausted { max_steps: 1 }
    }

    fn counts(cache: &VerdictCache) -> [u64; 4] {
        let stats = cache.stats();
        [stats.hits, stats.misses, stats.bypasses, stats.entries]
    }

    #[test]
    fn what_was_judged_is_shared_and_what_has_no_verdict_is_judged_again() {
        let (cache, scope, timer) = (VerdictCache::new(1 << 20), scope(), timer());
        let first = cache.judge(&scope, 1000, &document(1), &timer, || (Ok(report()), NO_TIME)).unwrap();
        let again = cache.judge(&scope, 1000, &document(1), &timer, || unreachable!("it is remembered"));
        assert!(Arc::ptr_eq(&first, &again.unwrap()), "one report for both");
        for _ in 0..2 {
            let outcome = cache.judge(&scope, 1000, &document(2), &timer, || (Err(exhausted()), NO_TIME));
            assert!(outcome.is_err());
        }
        assert_eq!(counts(&cache), [1, 3, 0, 1]);
    }

    #[test]
    fn small_and_large_documents_values_and_contracts_without_a_fingerprint_pass_by() {
        let (cache, timer) = (VerdictCache::new(1 << 20), timer());
        let nameless = Scope { digest: None, ..scope() };
        let small = Document::json(" ".repeat(SMALLEST_BYTES - 1));
        let value = Document::from(serde_json::Value::from("x".repeat(500)));
        for (scope, document) in
            [(&scope(), &small), (&scope(), &document(12)), (&scope(), &value), (&nameless, &document(1))]
        {
            let max_bytes =
                if document.bytes().is_some_and(|bytes| bytes.ends_with(b"12\"")) { 100 } else { 1000 };
            for _ in 0..2 {
                cache.judge(scope, max_bytes, document, &timer, || (Ok(report()), NO_TIME)).unwrap();
            }
        }
        assert_eq!(counts(&cache), [0, 0, 8, 0]);
    }

    #[test]
    fn a_judgement_as_quick_as_a_look_is_not_kept_and_soon_not_looked_for() {
        let (cache, scope, timer) = (VerdictCache::new(1 << 20), scope(), timer());
        let quick = Duration::from_nanos(WORTH * LOOK_NANOS - 1);
        for number in 0..1000 {
            cache.judge(&scope, 1000, &document(number), &timer, || (Ok(report()), quick)).unwrap();
        }
        let stats = cache.stats();
        assert_eq!((stats.entries, stats.not_worth, stats.misses), (0, stats.misses, 32 + 968 / 64 + 1));
        let slow = quick + Duration::from_nanos(1);
        while scope.wasted.load(Ordering::Relaxed) > 0 {
            cache.judge(&scope, 1000, &document(1), &timer, || (Ok(report()), slow)).unwrap();
        }
        assert_eq!(cache.stats().entries, 1, "one that pays is enough to look for the next ones");
    }

    #[test]
    fn its_bytes_stay_within_the_bound_and_what_goes_is_counted() {
        let (cache, scope, timer) = (VerdictCache::new(64 * ENTRY_BYTES), scope(), timer());
        for number in 0..1000 {
            cache.judge(&scope, 1000, &document(number), &timer, || (Ok(report()), NO_TIME)).unwrap();
            assert!(cache.stats().bytes <= 64 * ENTRY_BYTES);
        }
        let stats = cache.stats();
        assert_eq!(stats.entries + stats.evictions, 1000);
        assert!(stats.entries >= 32, "{stats:?}");
    }

    #[test]
    fn many_who_ask_at_once_judge_once() {
        let (cache, scope, timer) = (VerdictCache::new(1 << 20), scope(), timer());
        let (judged, barrier) = (AtomicUsize::new(0), Barrier::new(8));
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| {
                    barrier.wait();
                    let judge = || {
                        judged.fetch_add(1, Ordering::Relaxed);
                        (Ok(report()), NO_TIME)
                    };
                    assert!(cache.judge(&scope, 1000, &document(1), &timer, judge).unwrap().valid);
                });
            }
        });
        assert_eq!(judged.into_inner(), 1);
        assert_eq!(counts(&cache), [7, 1, 0, 1]);
    }

    /// Each of the first seven leaders fails in `how`; all others wait for it, and one goes on in its stead.
    fn followers_go_on(how: fn()) -> usize {
        let (cache, scope, timer) = (VerdictCache::new(1 << 20), scope(), timer());
        let (judged, barrier) = (AtomicUsize::new(0), Barrier::new(8));
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| {
                    barrier.wait();
                    let judge = || {
                        if judged.fetch_add(1, Ordering::Relaxed) < 7 {
                            how();
                            return (Err(exhausted()), NO_TIME);
                        }
                        (Ok(report()), NO_TIME)
                    };
                    let run = AssertUnwindSafe(|| cache.judge(&scope, 1000, &document(1), &timer, judge));
                    let _ended = catch_unwind(run);
                });
            }
        });
        judged.into_inner()
    }

    #[test]
    fn a_leader_that_panics_or_fails_leaves_nobody_waiting() {
        assert_eq!(followers_go_on(|| panic!("a test")), 8);
        assert_eq!(followers_go_on(|| ()), 8);
    }
}
