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
}

/// Fence, key, canary and rest in one file, replaced as a whole under a lock: what a real target does in its own way.
struct FileStage {
    path: PathBuf,
    lock: Mutex<()>,
    flaw: Flaw,
}

#[derive(Default)]
struct Record {
    fence: u64,
    key: String,
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
            key: lines[1].to_owned(),
            canary: digest(lines[2]),
            rest: digest(lines[3]),
        }
    }

    fn write(&self, path: &Path) {
        let shown = |digest: Option<Digest>| digest.map(|digest| digest.to_string()).unwrap_or_default();
        let text = format!("{}\n{}\n{}\n{}\n", self.fence, self.key, shown(self.canary), shown(self.rest));
        std::fs::write(path.with_extension("new"), text).unwrap();
        std::fs::rename(path.with_extension("new"), path).unwrap();
    }
}

impl FileStage {
    fn new(folder: &Path, flaw: Flaw) -> Self {
        Self { path: folder.join(format!("{flaw:?}")), lock: Mutex::new(()), flaw }
    }

    /// Reads what there is, lets `change` change it, and writes it back.
    fn update<T>(&self, fence: Fence, change: impl FnOnce(&mut Record) -> T) -> Result<T, StageError> {
        let _lock = self.lock.lock().unwrap();
        let mut record = Record::read(&self.path);
        if self.flaw != Flaw::TakesOldFences && fence.0 < record.fence {
            let context = format!("fence {fence} is older than {}", record.fence);
            return Err(SeamError::new(ErrorKind::Conflict, context));
        }
        record.fence = record.fence.max(fence.0);
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
        self.update(fence, |record| match (record.canary, record.rest) {
            (Some(canary), rest) if rest != Some(canary) => Observed::Canary { canary, rest },
            (_, rest) => rest.map_or(Observed::Nothing, Observed::Running),
        })
    }

    async fn apply(&self, release: &Release, context: &Context) -> Result<(), StageError> {
        let unsupported = || Err(SeamError::new(ErrorKind::Unsupported, "there is no canary here"));
        let only_canary = context.reach == Reach::Canary && self.flaw != Flaw::HasNoCanaries;
        if only_canary && self.flaw == Flaw::RefusesCanaries {
            return unsupported();
        }
        self.update(context.fence, |record| {
            if record.key == context.key {
                return;
            }
            record.key.clone_from(&context.key);
            let wanted = (!release.is_empty()).then(|| release.digest());
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
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn a_stage_in_a_file_passes_twice_with_a_canary_and_without() {
    let folder = tempfile::tempdir().unwrap();
    for flaw in [Flaw::None, Flaw::RefusesCanaries, Flaw::HasNoCanaries] {
        let good = FileStage::new(folder.path(), flaw);
        for above in [0, 100] {
            if let Err(failure) = conformance::stage(&good, above).await {
                panic!("{flaw:?}, {above}: {failure}: {:?}", std::error::Error::source(&failure));
            }
        }
    }
}

#[tokio::test]
async fn a_stage_without_fences_without_removal_or_with_a_canary_that_is_none_fails() {
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
    ];
    let folder = tempfile::tempdir().unwrap();
    for (flaw, what) in cases {
        let failure = conformance::stage(&FileStage::new(folder.path(), flaw), 0).await.unwrap_err();
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
