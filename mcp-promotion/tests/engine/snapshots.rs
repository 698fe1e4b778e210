//! A snapshot is a cache: whatever stands in it, the state is that of the stream.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mcp_core::{Digest, Name};
use mcp_promotion::machine::StageState;
use mcp_promotion::{
    Append, Calls, Engine, Journal, JournalError, MemoryJournal, Pipeline, Policy, Settings, Snapshots,
};
use proptest::prelude::*;

use crate::random::{act, perform};
use crate::scene::{MINUTE, Puppet, Scene};

/// A journal in memory that keeps one snapshot, and counts how often a stream is read from its beginning.
#[derive(Clone, Default)]
struct Keeping {
    journal: MemoryJournal,
    kept: Arc<Mutex<Option<Vec<u8>>>>,
    beginnings: Arc<AtomicUsize>,
}

#[async_trait]
impl Journal for Keeping {
    async fn append(&self, batch: &[Append]) -> Result<(), JournalError> {
        self.journal.append(batch).await
    }

    async fn read(&self, stream: &Name, after: u64, max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        // One event is read to compare a snapshot with.
        if after == 0 && max > 1 {
            self.beginnings.fetch_add(1, Ordering::Relaxed);
        }
        self.journal.read(stream, after, max).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<Name>, JournalError> {
        self.journal.streams(prefix).await
    }

    fn snapshots(&self) -> Option<&dyn Snapshots> {
        Some(self)
    }
}

#[async_trait]
impl Snapshots for Keeping {
    async fn load(&self, _stream: &Name) -> Result<Option<Vec<u8>>, JournalError> {
        Ok(self.kept.lock().unwrap().clone())
    }

    async fn keep(&self, _stream: &Name, snapshot: Vec<u8>) -> Result<(), JournalError> {
        *self.kept.lock().unwrap() = Some(snapshot);
        Ok(())
    }
}

impl Keeping {
    /// With these events behind those that it has.
    async fn add(&self, events: &[Vec<u8>]) {
        let has = self.journal.read(&stream(), 0, usize::MAX).await.unwrap().len() as u64;
        self.append(&[Append::new(stream(), has, events.to_vec())]).await.unwrap();
    }

    fn kept(&self) -> Option<Vec<u8>> {
        self.kept.lock().unwrap().clone()
    }

    fn beginnings(&self) -> usize {
        self.beginnings.load(Ordering::Relaxed)
    }
}

fn stream() -> Name {
    "stage/prod".parse().unwrap()
}

fn engine(journal: impl Journal + 'static) -> Engine {
    let pipeline = Pipeline::builder().stage("prod", Policy::unverified("demo")).build().unwrap();
    let mut settings = Settings::default();
    settings.snapshot_events = 1;
    Engine::builder(pipeline, journal).settings(settings).build().unwrap()
}

async fn state(journal: impl Journal + 'static) -> Arc<StageState> {
    engine(journal).stage_state("prod").await.unwrap()
}

fn sealed(format: u8, body: &[u8]) -> Vec<u8> {
    let digest = Digest::of(&[b"mcp snapshot\n", body].concat());
    [&[format], digest.as_bytes().as_slice(), body].concat()
}

/// What stands in `text` from `begin` up to and with the next `end`.
fn part<'a>(text: &'a str, begin: &str, end: char) -> &'a str {
    let from = text.find(begin).unwrap();
    let length = text.get(from..).unwrap().find(end).unwrap();
    text.get(from..=from + length).unwrap()
}

async fn lived() -> Vec<Vec<u8>> {
    let scene = Scene::new(Policy::healthy_for(MINUTE).watch(MINUTE));
    scene.promoted("prod", "1.0.0").await;
    scene.prod.ill(&crate::scene::release("2.0.0"), Some(0));
    scene.promoted("prod", "2.0.0").await;
    scene.engine.hold("prod", "bob", "look first").await.unwrap();
    scene.promoted("prod", "3.0.0").await;
    scene.journal.read(&stream(), 0, usize::MAX).await.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Invariant 4.
    #[test]
    fn a_snapshot_at_any_cut_and_the_events_behind_it_are_the_same_as_all_events(
        acts in proptest::collection::vec(act(), 1..100),
        canary in any::<bool>(),
    ) {
        let policy = Policy::healthy_for(MINUTE).approvals(1).watch(MINUTE).calls(Calls::default());
        let policy = if canary { policy.canary() } else { policy };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let scene = Scene::with(policy, Puppet::default(), |builder| builder);
            let mut ids = Vec::new();
            for act in &acts {
                drop(perform(&scene, &mut ids, act).await);
            }
            let events = scene.journal.read(&stream(), 0, usize::MAX).await.unwrap();
            let whole = state(scene.journal.clone()).await;
            for cut in 1..=events.len() {
                let (before, behind) = events.split_at(cut);
                let journal = Keeping::default();
                journal.add(before).await;
                state(journal.clone()).await;
                prop_assert!(cut < 4 || journal.kept().is_some(), "nothing was kept after {} events", cut);
                let (beginnings, kept) = (journal.beginnings(), journal.kept().is_some());
                journal.add(behind).await;
                prop_assert_eq!(&state(journal.clone()).await, &whole, "after {} of {}", cut, events.len());
                prop_assert_eq!(journal.beginnings() > beginnings, !kept);
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_snapshot_that_is_damaged_old_or_of_another_history_is_ignored_and_replaced() {
    let events = lived().await;
    let journal = Keeping::default();
    journal.add(&events).await;
    let whole = state(journal.clone()).await;
    let good = journal.kept().unwrap();
    let body = std::str::from_utf8(&good[33..]).unwrap();
    assert_eq!(sealed(1, &good[33..]), good);
    let mut bad: Vec<(String, Vec<u8>)> = (0..good.len())
        .step_by(5)
        .map(|byte| {
            let mut bytes = good.clone();
            bytes[byte] ^= 1;
            (format!("byte {byte} flipped"), bytes)
        })
        .collect();
    bad.extend([0, 1, 32, 33, 34, good.len() - 1].map(|length| {
        let bytes = good[..length].to_vec();
        (format!("cut to {length}"), bytes)
    }));
    bad.extend([0, 2].map(|format| (format!("format {format}"), sealed(format, &good[33..]))));
    let mut changed = |what: &str, from: &str, to: &str| {
        assert!(body.contains(from), "{what}: {from}");
        bad.push((what.to_owned(), sealed(1, body.replacen(from, to, 1).as_bytes())));
    };
    let version = |version: usize| format!(r#""stream":"stage/prod","version":{version},"#);
    let has = version(events.len());
    changed("an earlier version", &has, &version(events.len() - 1));
    changed("a later version", &has, &version(events.len() + 1));
    changed("no version", &has, &version(0));
    let build = |build: &str| format!(r#"{{"build":"{build}","#);
    changed("another build", &build(env!("CARGO_PKG_VERSION")), &build("0.0.1"));
    changed("another stream", r#""stream":"stage/prod""#, r#""stream":"stage/dev""#);
    let other = format!(r#""head":"{}","#, Digest::of(b"another history"));
    changed("another head", part(body, r#""head":"#, ','), &other);
    changed("another stage", r#""state":{"stage":"prod""#, r#""state":{"stage":"dev""#);
    changed("a field too many", r#""state":{"#, r#""state":{"mood":"good","#);
    let distrusted = part(body, r#""distrusted":"#, ',');
    changed("a field gone that may be empty", distrusted, "");
    for (what, bytes) in bad {
        let read = journal.beginnings();
        *journal.kept.lock().unwrap() = Some(bytes);
        assert_eq!(state(journal.clone()).await, whole, "{what}");
        assert_eq!((journal.beginnings(), journal.kept()), (read + 1, Some(good.clone())), "{what}");
    }
    let read = journal.beginnings();
    assert_eq!((state(journal.clone()).await, journal.beginnings()), (whole, read), "the good one is used");
}

/// A snapshot can be forged by whoever can write to the journal; `verify` reads every event all the same.
#[tokio::test]
async fn verify_finds_a_snapshot_that_fits_the_chain_and_says_something_else() {
    let journal = Keeping::default();
    journal.add(&lived().await).await;
    let whole = state(journal.clone()).await;
    let good = journal.kept().unwrap();
    let body = std::str::from_utf8(&good[33..]).unwrap();
    let forged = body.replacen(part(body, r#""hold":"#, '}'), r#""hold":null"#, 1);
    *journal.kept.lock().unwrap() = Some(sealed(1, forged.as_bytes()));
    // Whether the engine has believed it yet or not.
    for believed in [false, true] {
        let engine = engine(journal.clone());
        if believed {
            assert_ne!(engine.stage_state("prod").await.unwrap(), whole);
        }
        let found = engine.verify().await.unwrap_err().to_string();
        assert!(
            found.contains("the snapshot beside it says something else than the events up to it"),
            "{found}"
        );
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_journal_file_opens_the_same_with_its_snapshot_with_a_damaged_one_and_without_the_table() {
    let (folder, events) = (tempfile::tempdir().unwrap(), lived().await);
    let path = folder.path().join("journal.db");
    let open = || mcp_promotion::SqliteJournal::open(&path).unwrap();
    open().append(&[Append::new(stream(), 0, events)]).await.unwrap();
    let whole = state(open()).await;
    let file = rusqlite::Connection::open(&path).unwrap();
    let rows = || -> Vec<(String, i64)> {
        let mut query = file.prepare("SELECT stream, length(bytes) FROM snapshot").unwrap();
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    let kept = rows();
    assert_eq!(kept.iter().map(|(stream, _)| stream.as_str()).collect::<Vec<_>>(), ["stage/prod"]);
    for damage in [
        "SELECT 1",
        "UPDATE snapshot SET bytes = 'text'",
        "UPDATE snapshot SET bytes = zeroblob(1000)",
        "DELETE FROM snapshot",
        "DROP TABLE snapshot",
    ] {
        file.execute_batch(damage).unwrap();
        assert_eq!(state(open()).await, whole, "{damage}");
        assert_eq!(rows(), kept, "{damage}");
    }
}
