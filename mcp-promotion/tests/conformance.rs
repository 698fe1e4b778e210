//! The built-in journals and a stage in a file pass the checks for hosts, and ones that are wrong do not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use mcp_core::{Digest, ErrorKind, Name, SeamError};
use mcp_promotion::{
    Append, Context, Fence, Fencing, Journal, JournalError, MemoryJournal, Observed, Reach, Release, Sample,
    Stage, StageError, Window, conformance,
};

/// What is wrong with a stage, if anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    TakesOldFences,
    NeverRemoves,
    /// No flaw: it refuses to reach a canary only.
    RefusesCanaries,
    /// No flaw: it takes no notice of the reach.
    HasNoCanaries,
    /// It refuses to reach a canary only, after it has changed everything.
    RefusesTooLate,
    /// It says that it has reached its canary, and has not.
    ForgetsCanaries,
    /// What its canary runs stays when it is told to run something everywhere.
    LeavesCanaries,
    /// It knows the last key only.
    ForgetsKeys,
    /// It does again what it has done already under the same key.
    Repeats,
    /// It takes part in what it refuses.
    WorksBeforeItRefuses,
    /// It compares fences everywhere but where it removes.
    RemovesForAnybody,
    /// It compares fences everywhere but where it reaches a canary.
    CanariesForAnybody,
    /// It looks at the key before it looks at the fence.
    KeysForAnybody,
    /// It compares fences everywhere but where it observes.
    ObservesForAnybody,
    /// It compares fences, waits, and then changes.
    ComparesTooEarly,
    /// It cannot remove where nothing runs.
    RemovesOnce,
    /// It changes something when it is asked to count.
    SamplesWithEffect,
    SamplesTwice,
    SamplesNonsense,
}

/// Fence, key, canary and rest in one file, replaced as a whole under a lock: what a real target does in its own way.
struct FileStage {
    path: PathBuf,
    lock: Mutex<()>,
    flaw: Flaw,
    effects: AtomicU64,
}

#[derive(Default)]
struct Record {
    fence: u64,
    /// Those that were used under this fence, each followed by a comma.
    keys: String,
    canary: Option<Digest>,
    rest: Option<Digest>,
}

impl Record {
    fn read(path: &Path) -> Self {
        let Ok(text) = std::fs::read_to_string(path) else { return Self::default() };
        let lines: Vec<&str> = text.lines().collect();
        let digest = |line: &str| (!line.is_empty()).then(|| line.parse().unwrap());
        Self {
            fence: lines[0].parse().unwrap(),
            keys: lines[1].to_owned(),
            canary: digest(lines[2]),
            rest: digest(lines[3]),
        }
    }

    fn write(&self, path: &Path) {
        let shown = |digest: Option<Digest>| digest.map(|digest| digest.to_string()).unwrap_or_default();
        let text = format!("{}\n{}\n{}\n{}\n", self.fence, self.keys, shown(self.canary), shown(self.rest));
        std::fs::write(path.with_extension("new"), text).unwrap();
        std::fs::rename(path.with_extension("new"), path).unwrap();
    }
}

impl FileStage {
    fn new(folder: &Path, flaw: Flaw) -> Self {
        Self {
            path: folder.join(format!("{flaw:?}")),
            lock: Mutex::new(()),
            flaw,
            effects: AtomicU64::new(0),
        }
    }

    fn effect(&self) {
        self.effects.fetch_add(1, Ordering::Relaxed);
    }

    /// Reads what there is, lets `change` change it, and writes it back; whoever comes with an old fence is refused, unless `anybody` may.
    fn update<T>(
        &self,
        fence: Fence,
        anybody: bool,
        change: impl FnOnce(&mut Record) -> T,
    ) -> Result<T, StageError> {
        let _lock = self.lock.lock().unwrap();
        let mut record = Record::read(&self.path);
        if !anybody && self.flaw != Flaw::TakesOldFences && fence.0 < record.fence {
            if self.flaw == Flaw::WorksBeforeItRefuses {
                self.effect();
            }
            let context = format!("fence {fence} is older than {}", record.fence);
            return Err(SeamError::new(ErrorKind::Conflict, context));
        }
        if fence.0 > record.fence {
            record.fence = fence.0;
            if self.flaw != Flaw::KeysForAnybody {
                record.keys.clear();
            }
        }
        let outcome = change(&mut record);
        record.write(&self.path);
        Ok(outcome)
    }
}

#[async_trait]
impl Stage for FileStage {
    fn fencing(&self) -> Fencing {
        Fencing::Enforced
    }

    async fn observe(&self, fence: Fence) -> Result<Observed, StageError> {
        self.update(fence, self.flaw == Flaw::ObservesForAnybody, |record| {
            match (record.canary, record.rest) {
                (Some(canary), rest) if rest != Some(canary) => Observed::Canary { canary, rest },
                (_, rest) => rest.map_or(Observed::Nothing, Observed::Running),
            }
        })
    }

    async fn apply(&self, release: &Release, context: &Context) -> Result<(), StageError> {
        let unsupported = || Err(SeamError::new(ErrorKind::Unsupported, "there is no canary here"));
        let only_canary = context.reach == Reach::Canary && self.flaw != Flaw::HasNoCanaries;
        if only_canary && self.flaw == Flaw::RefusesCanaries {
            return unsupported();
        }
        let key = format!("{},", context.key);
        let wanted = (!release.is_empty()).then(|| release.digest());
        let mut anybody = match self.flaw {
            Flaw::RemovesForAnybody => wanted.is_none(),
            Flaw::CanariesForAnybody => only_canary,
            Flaw::KeysForAnybody => Record::read(&self.path).keys.contains(&key),
            _ => false,
        };
        if self.flaw == Flaw::ComparesTooEarly {
            self.update(context.fence, false, |_| ())?;
            tokio::task::yield_now().await;
            anybody = true;
        }
        let before = Record::read(&self.path);
        if self.flaw == Flaw::RemovesOnce
            && wanted.is_none()
            && before.rest.is_none()
            && !before.keys.contains(&key)
        {
            return Err(SeamError::new(ErrorKind::NotFound, "nothing runs"));
        }
        self.update(context.fence, anybody, |record| {
            if record.keys.contains(&key) {
                if self.flaw == Flaw::Repeats {
                    self.effect();
                }
                return;
            }
            self.effect();
            if self.flaw == Flaw::ForgetsKeys {
                record.keys.clear();
            }
            record.keys.push_str(&key);
            match self.flaw {
                Flaw::NeverRemoves if wanted.is_none() => {}
                Flaw::ForgetsCanaries if only_canary => {}
                Flaw::RefusesTooLate => (record.canary, record.rest) = (wanted, wanted),
                _ if only_canary => record.canary = wanted,
                Flaw::LeavesCanaries => record.rest = wanted,
                _ => (record.canary, record.rest) = (wanted, wanted),
            }
        })?;
        if only_canary && self.flaw == Flaw::RefusesTooLate { unsupported() } else { Ok(()) }
    }

    async fn sample(&self, _window: Window) -> Result<Vec<Sample>, StageError> {
        Ok(match self.flaw {
            Flaw::SamplesTwice => vec![Sample::canary("a", 1, 1), Sample::canary("a", 1, 1)],
            Flaw::SamplesNonsense => vec![Sample::canary("a", 2, 1)],
            Flaw::SamplesWithEffect => {
                self.effect();
                Vec::new()
            }
            _ => vec![Sample::canary("a", 1, 1), Sample::baseline("a", 1, 1)],
        })
    }
}

#[tokio::test]
async fn a_stage_in_a_file_passes_twice_with_a_canary_and_without() {
    let folder = tempfile::tempdir().unwrap();
    for flaw in [Flaw::None, Flaw::RefusesCanaries, Flaw::HasNoCanaries] {
        let good = FileStage::new(folder.path(), flaw);
        for above in [0, 100] {
            let count = || good.effects.load(Ordering::Relaxed);
            if let Err(failure) = conformance::stage_with_effects(&good, above, &count).await {
                panic!("{flaw:?}, {above}: {failure}: {:?}", std::error::Error::source(&failure));
            }
        }
    }
}

#[tokio::test]
async fn a_stage_with_any_one_flaw_fails_the_check_that_is_about_it() {
    let only = "a release applied in the canary only is observed there, and the one before elsewhere";
    let cases = [
        (
            Flaw::TakesOldFences,
            "observe was called with a larger fence, so apply with a smaller one is refused",
        ),
        (Flaw::NeverRemoves, "after the empty release nothing runs"),
        (Flaw::RefusesTooLate, "a canary that is refused changes nothing"),
        (Flaw::ForgetsCanaries, only),
        (Flaw::LeavesCanaries, "going back reaches the canary too"),
        (Flaw::ForgetsKeys, "a key that was used before another one took its place brings nothing back"),
        (Flaw::Repeats, "applying with the same key again changes nothing"),
        (Flaw::WorksBeforeItRefuses, "a refused call has no effect"),
        (Flaw::RemovesForAnybody, "a driver that was replaced is refused to remove"),
        (Flaw::CanariesForAnybody, "a driver that was replaced is refused to reach a canary"),
        (Flaw::KeysForAnybody, "a driver that was replaced is refused also with a key that was used before"),
        (Flaw::ObservesForAnybody, "observe with a smaller fence is refused"),
        (
            Flaw::ComparesTooEarly,
            "what was observed with a new fence is not changed by a call that was under way with an older one",
        ),
        (Flaw::RemovesOnce, "apply the empty release where nothing runs"),
        (Flaw::SamplesWithEffect, "neither sampling nor observing has an effect"),
        (Flaw::SamplesTwice, "each instance is sampled once"),
        (Flaw::SamplesNonsense, "samples can be believed: 2 of 1 requests of \"a\" went well"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (flaw, what) in cases {
        let flawed = FileStage::new(folder.path(), flaw);
        let count = || flawed.effects.load(Ordering::Relaxed);
        let failure = conformance::stage_with_effects(&flawed, 0, &count).await.unwrap_err();
        assert_eq!(failure.to_string(), what, "{flaw:?}");
    }
}

#[tokio::test]
async fn the_memory_journal_passes() {
    conformance::journal(&MemoryJournal::new()).await.unwrap();
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn the_sqlite_journal_passes_and_holds_everything_when_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = mcp_promotion::SqliteJournal::open(&path).unwrap();
    conformance::journal(&journal).await.unwrap();
    let stream: Name = "conformance/a".parse().unwrap();
    let before = journal.read(&stream, 0, 100).await.unwrap();
    drop(journal);
    let journal = mcp_promotion::SqliteJournal::open(&path).unwrap();
    assert_eq!(journal.read(&stream, 0, 100).await.unwrap(), before);
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn two_connections_to_one_file_see_each_other_and_only_one_wins_a_race() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let (one, two) = (
        mcp_promotion::SqliteJournal::open(&path).unwrap(),
        mcp_promotion::SqliteJournal::open(&path).unwrap(),
    );
    let stream: Name = "stage/prod".parse().unwrap();
    for version in 0..20 {
        let append = |bytes: u8| [Append::new(stream.clone(), version, vec![vec![bytes]])];
        let (first, second) = (append(1), append(2));
        let (first, second) = tokio::join!(one.append(&first), two.append(&second));
        assert_eq!([first.is_ok(), second.is_ok()].iter().filter(|won| **won).count(), 1);
        assert_eq!(one.read(&stream, 0, 100).await.unwrap(), two.read(&stream, 0, 100).await.unwrap());
    }
}

/// Forgets to look at assertions.
struct Careless(MemoryJournal);

#[async_trait]
impl Journal for Careless {
    async fn append(&self, batch: &[Append]) -> Result<(), JournalError> {
        let batch: Vec<Append> = batch.iter().filter(|append| !append.events.is_empty()).cloned().collect();
        self.0.append(&batch).await
    }

    async fn read(&self, stream: &Name, after: u64, max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        self.0.read(stream, after, max).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<Name>, JournalError> {
        self.0.streams(prefix).await
    }
}

#[tokio::test]
async fn a_journal_that_ignores_assertions_fails() {
    let failure = conformance::journal(&Careless(MemoryJournal::new())).await.unwrap_err();
    assert_eq!(failure.to_string(), "an assertion of another version is refused as a conflict");
}

/// What an append does to plain vectors.
fn model_append(
    model: &mut std::collections::BTreeMap<Name, Vec<Vec<u8>>>,
    batch: &[Append],
) -> Result<(), ErrorKind> {
    let names: std::collections::BTreeSet<&Name> = batch.iter().map(|append| &append.stream).collect();
    if names.len() < batch.len() {
        return Err(ErrorKind::Invalid);
    }
    if batch.iter().any(|a| model.get(&a.stream).map_or(0, Vec::len) as u64 != a.expected) {
        return Err(ErrorKind::Conflict);
    }
    for append in batch.iter().filter(|append| !append.events.is_empty()) {
        model.entry(append.stream.clone()).or_default().extend(append.events.iter().cloned());
    }
    Ok(())
}

#[cfg(feature = "sqlite")]
proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Batches as `(stream, error of the expected version, number of events)`: mostly right, so that streams grow.
    #[test]
    fn both_journals_do_what_plain_vectors_do(
        batches in proptest::collection::vec(
            proptest::collection::vec((0..4_usize, proptest::prop_oneof![9 => 0..1_u64, 1 => 1..3_u64], 0..4_u8), 0..4),
            1..25,
        ),
        (after, max) in (0..20_u64, 0..20_usize),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let names = ["a", "a.b", "a/b", "b"].map(|name| name.parse::<Name>().unwrap());
            let journals: [Box<dyn Journal>; 2] = [
                Box::new(MemoryJournal::new()),
                Box::new(mcp_promotion::SqliteJournal::open(folder.path().join("journal.db")).unwrap()),
            ];
            let mut model = std::collections::BTreeMap::new();
            for (number, batch) in (0_u8..).zip(&batches) {
                let batch: Vec<Append> = batch
                    .iter()
                    .map(|(stream, off, count)| {
                        let stream = names[*stream].clone();
                        let version = model.get(&stream).map_or(0, Vec::len) as u64;
                        let events = (0..*count).map(|event| vec![number, event]).collect();
                        Append::new(stream, version + off, events)
                    })
                    .collect();
                let expected = model_append(&mut model, &batch);
                for journal in &journals {
                    let outcome = journal.append(&batch).await.map_err(|error| error.kind());
                    assert_eq!(outcome, expected, "{batch:?}");
                }
            }
            for journal in &journals {
                for prefix in ["", "a", "a.", "a/", "b", "c"] {
                    let listed = model.keys().filter(|name| name.as_str().starts_with(prefix));
                    assert_eq!(journal.streams(prefix).await.unwrap(), listed.cloned().collect::<Vec<_>>());
                }
                for name in &names {
                    let events = model.get(name).cloned().unwrap_or_default();
                    let from = usize::try_from(after).unwrap().min(events.len());
                    let to = from.saturating_add(max).min(events.len());
                    assert_eq!(journal.read(name, after, max).await.unwrap(), events[from..to]);
                }
            }
        });
    }
}

/// Of many threads that write to the same streams, each append happens as a whole, and none is lost or done twice.
#[cfg(feature = "sqlite")]
#[test]
fn threads_with_connections_of_their_own_lose_nothing_to_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let shared = mcp_promotion::SqliteJournal::open(&path).unwrap();
    let streams = ["stage/a", "stage/b"].map(|name| name.parse::<Name>().unwrap());
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let journal = if thread % 2 == 0 {
                shared.clone()
            } else {
                mcp_promotion::SqliteJournal::open(&path).unwrap()
            };
            let streams = &streams;
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(async {
                    for number in 0..20_u8 {
                        loop {
                            let version =
                                journal.read(&streams[0], 0, usize::MAX).await.unwrap().len() as u64;
                            let event = vec![vec![thread, number]];
                            let batch =
                                streams.each_ref().map(|s| Append::new(s.clone(), version, event.clone()));
                            match journal.append(&batch).await {
                                Ok(()) => break,
                                Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict),
                            }
                        }
                    }
                });
            });
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let [a, b] = streams.map(|s| runtime.block_on(shared.read(&s, 0, usize::MAX)).unwrap());
    assert_eq!(a, b);
    let distinct: std::collections::BTreeSet<&Vec<u8>> = a.iter().collect();
    assert_eq!((a.len(), distinct.len()), (80, 80));
}
