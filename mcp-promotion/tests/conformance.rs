//! The built-in journals and a stage in a file pass the checks for hosts, and ones that are wrong do not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use std::path::PathBuf;
use std::sync::Mutex;

use async_trait::async_trait;
use mcp_core::{Digest, ErrorKind, Name, SeamError};
use mcp_promotion::{
    Append, Context, Fence, Fencing, Journal, JournalError, MemoryJournal, Observed, Release, Sample, Stage,
    StageError, Window, conformance,
};

/// Fence, key and release in one file, replaced as a whole under a lock: what a real target does in its own way.
struct FileStage {
    path: PathBuf,
    lock: Mutex<()>,
    fenced: bool,
    removes: bool,
}

impl FileStage {
    fn new(path: PathBuf) -> Self {
        Self { path, lock: Mutex::new(()), fenced: true, removes: true }
    }

    /// Reads fence, key and release, lets `change` change them, and writes them back.
    fn update<T>(
        &self,
        fence: Fence,
        change: impl FnOnce(&mut String, &mut Option<Digest>) -> T,
    ) -> Result<T, StageError> {
        let _lock = self.lock.lock().unwrap();
        let text = std::fs::read_to_string(&self.path).unwrap_or_else(|_| "0\n\n".to_owned());
        let mut lines = text.lines();
        let known: u64 = lines.next().unwrap().parse().unwrap();
        let mut key = lines.next().unwrap().to_owned();
        let mut running: Option<Digest> = lines.next().map(|line| line.parse().unwrap());
        if self.fenced && fence.0 < known {
            return Err(SeamError::new(ErrorKind::Conflict, format!("fence {fence} is older than {known}")));
        }
        let outcome = change(&mut key, &mut running);
        let running = running.map(|digest| format!("{digest}\n")).unwrap_or_default();
        std::fs::write(self.path.with_extension("new"), format!("{}\n{key}\n{running}", known.max(fence.0)))
            .unwrap();
        std::fs::rename(self.path.with_extension("new"), &self.path).unwrap();
        Ok(outcome)
    }
}

#[async_trait]
impl Stage for FileStage {
    fn fencing(&self) -> Fencing {
        Fencing::Enforced
    }

    async fn observe(&self, fence: Fence) -> Result<Observed, StageError> {
        self.update(fence, |_, running| running.map_or(Observed::Nothing, Observed::Running))
    }

    async fn apply(&self, release: &Release, context: &Context) -> Result<(), StageError> {
        self.update(context.fence, |key, running| {
            if *key != context.key {
                key.clone_from(&context.key);
                if !release.is_empty() {
                    *running = Some(release.digest());
                } else if self.removes {
                    *running = None;
                }
            }
        })
    }

    async fn sample(&self, _window: Window) -> Result<Vec<Sample>, StageError> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn a_stage_in_a_file_passes_twice_and_one_without_fences_or_removal_fails() {
    let folder = tempfile::tempdir().unwrap();
    let good = FileStage::new(folder.path().join("good"));
    conformance::stage(&good, 0).await.unwrap();
    conformance::stage(&good, 100).await.unwrap();
    let open = FileStage { fenced: false, ..FileStage::new(folder.path().join("open")) };
    assert_eq!(
        conformance::stage(&open, 0).await.unwrap_err().to_string(),
        "observe was called with a larger fence, so apply with a smaller one is refused"
    );
    let stuck = FileStage { removes: false, ..FileStage::new(folder.path().join("stuck")) };
    assert_eq!(
        conformance::stage(&stuck, 0).await.unwrap_err().to_string(),
        "after the empty release nothing runs"
    );
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
