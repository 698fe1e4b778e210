//! Whatever is done to a journal is found, by stream and event, against a checkpoint that was kept elsewhere.

use std::sync::Arc;

use mcp_core::{ErrorKind, ManualClock, Name};
use mcp_promotion::{
    Append, Chain, Checkpoint, Ed25519Signer, Ed25519Verifier, Engine, Journal, MemoryJournal, Pipeline,
    Policy, PromotionError, SignedCheckpoint,
};
use proptest::prelude::*;

use crate::scene::{MINUTE, Scene};

type Streams = Vec<(Name, Vec<Vec<u8>>)>;

/// What was done to a journal.
#[derive(Clone, Debug)]
enum Edit {
    Flip {
        byte: usize,
        bit: u8,
    },
    Drop,
    Swap {
        other: usize,
    },
    Cut,
    DropStream,
    /// The whole journal is one of before.
    OldCopy,
    /// One event says something else, and the chain from there on is computed anew.
    Forge,
    /// An event of another stream is appended.
    Foreign,
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (any::<usize>(), 0..8_u8).prop_map(|(byte, bit)| Edit::Flip { byte, bit }),
        Just(Edit::Drop),
        any::<usize>().prop_map(|other| Edit::Swap { other }),
        Just(Edit::Cut),
        Just(Edit::DropStream),
        Just(Edit::OldCopy),
        Just(Edit::Forge),
        Just(Edit::Foreign),
    ]
}

async fn streams(journal: &impl Journal) -> Streams {
    let mut streams = Vec::new();
    for stream in journal.streams("").await.unwrap() {
        let events = journal.read(&stream, 0, usize::MAX).await.unwrap();
        streams.push((stream, events));
    }
    streams
}

fn engine(journal: impl Journal + 'static) -> Engine {
    let prod = Policy::healthy_for(MINUTE);
    let pipeline =
        Pipeline::builder().stage("dev", Policy::unverified("demo")).stage("prod", prod).build().unwrap();
    let clock = Arc::new(ManualClock::at("2026-11-24T12:00:00Z".parse().unwrap()));
    Engine::builder(pipeline, journal).clock(clock).owner("one").build().unwrap()
}

/// Some promotions in both stages, and the checkpoint after them.
async fn lived(promotions: &[bool]) -> (Scene, Checkpoint) {
    let scene = Scene::new(Policy::healthy_for(MINUTE));
    for (number, prod) in promotions.iter().enumerate() {
        scene.promoted(if *prod { "prod" } else { "dev" }, &format!("{number}.0.0")).await;
    }
    let checkpoint = scene.engine.checkpoint().await.unwrap();
    (scene, checkpoint)
}

/// Does it to event `place` of stream `which`, and returns where it must be found.
fn tamper(streams: &mut Streams, edit: &Edit, which: usize, place: usize) -> (Name, u64) {
    let which = which % streams.len();
    let foreign = streams[(which + 1) % streams.len()].1[0].clone();
    let (name, events) = &mut streams[which];
    let name = name.clone();
    let place = place % events.len();
    let mut found = place as u64 + 1;
    match edit {
        Edit::Flip { byte, bit } => {
            let byte = byte % events[place].len();
            events[place][byte] ^= 1 << bit;
        }
        Edit::Drop => drop(events.remove(place)),
        Edit::Swap { other } => {
            let place = place.min(events.len() - 2);
            let other = place + 1 + other % (events.len() - place - 1);
            events.swap(place, other);
            found = place as u64 + 1;
        }
        Edit::Cut => events.truncate(place),
        Edit::DropStream => {
            streams.remove(which);
            found = 1;
        }
        Edit::OldCopy => {
            let mut first = None;
            for (name, events) in streams.iter_mut() {
                let left = events.len() * (place + 1) / (place + 2);
                events.truncate(left);
                first.get_or_insert((name.clone(), left as u64 + 1));
            }
            return first.unwrap();
        }
        Edit::Forge => {
            found = events.len() as u64;
            let (mut old, mut new) = (Chain::start(name.clone()), Chain::start(name.clone()));
            for (number, event) in events.iter_mut().enumerate() {
                let mut entry = old.read(event).unwrap();
                if number == place {
                    // Later times are refused by nobody: only the checkpoint knows.
                    entry.at = entry.at.saturating_add(std::time::Duration::from_millis(1));
                }
                *event = new.write(&entry).unwrap();
            }
        }
        Edit::Foreign => {
            found = events.len() as u64 + 1;
            events.push(foreign);
        }
    }
    (name, found)
}

async fn check(journal: impl Journal + 'static, checkpoint: &Checkpoint, wanted: &(Name, u64), what: &str) {
    match engine(journal).verify_against(checkpoint).await {
        Err(PromotionError::Corrupt { stream, position, reason }) => {
            assert_eq!((&stream, position), (&wanted.0, wanted.1), "{what}: {reason}");
        }
        other => panic!("{what} is not found: {other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Invariant 4.
    #[test]
    fn whatever_is_done_to_a_journal_is_found_where_it_was_done(
        mut promotions in proptest::collection::vec(any::<bool>(), 1..5),
        edit in edit(),
        which in any::<usize>(),
        place in any::<usize>(),
    ) {
        promotions.extend([false, true]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (scene, checkpoint) = lived(&promotions).await;
            let before = streams(&scene.journal).await;
            engine(scene.journal.clone()).verify_against(&checkpoint).await.unwrap();
            let mut after = before.clone();
            let wanted = tamper(&mut after, &edit, which, place);
            let memory = MemoryJournal::new();
            for (stream, events) in after.clone() {
                memory.append(&[Append::new(stream, 0, events)]).await.unwrap();
            }
            check(memory, &checkpoint, &wanted, "in memory").await;
            #[cfg(feature = "sqlite")]
            in_sqlite(&before, &after, &edit, &wanted, &checkpoint).await;
        });
    }
}

/// The same with rows: what a person with the file and a shell can do.
#[cfg(feature = "sqlite")]
async fn in_sqlite(
    before: &Streams,
    after: &Streams,
    edit: &Edit,
    wanted: &(Name, u64),
    checkpoint: &Checkpoint,
) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = mcp_promotion::SqliteJournal::open(&path).unwrap();
    for (stream, events) in before.clone() {
        journal.append(&[Append::new(stream, 0, events)]).await.unwrap();
    }
    let rows = rusqlite::Connection::open(&path).unwrap();
    rows.execute_batch("PRAGMA synchronous = off; BEGIN").unwrap();
    if let Edit::Drop = edit {
        // Leaves a gap, which is not what a shifted stream looks like.
        let delete = "DELETE FROM event WHERE stream = ?1 AND position = ?2";
        rows.execute(delete, (wanted.0.as_str(), i64::try_from(wanted.1).unwrap())).unwrap();
    } else {
        rows.execute("DELETE FROM event", []).unwrap();
        for (stream, events) in after {
            for (position, event) in (1_i64..).zip(events) {
                rows.execute("INSERT INTO event VALUES (?1, ?2, ?3)", (stream.as_str(), position, event))
                    .unwrap();
            }
        }
    }
    rows.execute_batch("COMMIT").unwrap();
    check(journal, checkpoint, wanted, "in SQLite").await;
}

#[tokio::test]
async fn what_was_appended_since_is_no_fault() {
    let (scene, checkpoint) = lived(&[false, true]).await;
    scene.promoted("dev", "9.0.0").await;
    let audit = scene.engine.verify_against(&checkpoint).await.unwrap();
    let grown: Vec<bool> = audit
        .heads
        .iter()
        .map(|head| head.version > checkpoint.head(&head.stream).unwrap().version)
        .collect();
    assert_eq!(grown, [true, false]);
}

#[tokio::test]
async fn a_stage_without_events_is_verified_as_one_and_is_no_part_of_a_checkpoint() {
    let (scene, checkpoint) = lived(&[true]).await;
    let heads = scene.engine.verify().await.unwrap().heads;
    let shown: Vec<(&str, bool)> =
        heads.iter().map(|head| (head.stream.as_str(), head.version > 0)).collect();
    assert_eq!(shown, [("stage/dev", false), ("stage/prod", true)]);
    assert_eq!(checkpoint.heads(), &heads[1..]);
    assert_eq!(checkpoint.at().to_string(), mcp_core::Clock::now(&*scene.clock).to_string());
}

/// A stream that this engine has read, and that is gone, is found without a checkpoint too.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn an_engine_that_has_read_more_finds_a_stream_that_is_gone_or_shorter() {
    let (scene, _) = lived(&[false, true]).await;
    for (delete, position) in [("stream = 'stage/dev'", 1), ("stream = 'stage/dev' AND position >= 3", 3)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let journal = mcp_promotion::SqliteJournal::open(&path).unwrap();
        for (stream, events) in streams(&scene.journal).await {
            journal.append(&[Append::new(stream, 0, events)]).await.unwrap();
        }
        let engine = engine(journal);
        engine.stage_state("dev").await.unwrap();
        rusqlite::Connection::open(&path)
            .unwrap()
            .execute_batch(&format!("DELETE FROM event WHERE {delete}"))
            .unwrap();
        match engine.verify().await {
            Err(PromotionError::Corrupt { stream, position: found, .. }) => {
                assert_eq!((stream.as_str(), found), ("stage/dev", position));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_signed_checkpoint_opens_with_its_key_and_not_with_any_byte_changed() {
    let (_, checkpoint) = lived(&[false, true]).await;
    let signer = Ed25519Signer::from_secret(&[7; 32]).unwrap();
    let stranger = Ed25519Signer::from_secret(&[8; 32]).unwrap();
    let verifier = Ed25519Verifier::of([signer.public_key()]).unwrap();
    let text = checkpoint.clone().sign(&signer).await.unwrap().to_string();
    assert_eq!(SignedCheckpoint::open(&text, &verifier).unwrap(), checkpoint);

    let other = Ed25519Verifier::of([stranger.public_key()]).unwrap();
    assert_eq!(SignedCheckpoint::open(&text, &other).unwrap_err().kind(), ErrorKind::Denied);
    let forged = checkpoint.clone().sign(&stranger).await.unwrap();
    let forged = forged.to_string().replace(forged.signature().key.as_str(), {
        let (_, line) = text.split_once("\nsigned ").unwrap();
        line.split_once(' ').unwrap().0
    });
    assert_eq!(SignedCheckpoint::open(&forged, &verifier).unwrap_err().kind(), ErrorKind::Denied);
    for byte in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[byte] ^= 1;
        let changed = String::from_utf8(bytes).unwrap();
        let error = SignedCheckpoint::open(&changed, &verifier).unwrap_err();
        let kinds = [ErrorKind::Denied, ErrorKind::Invalid];
        assert!(kinds.contains(&error.kind()), "byte {byte}: {error}");
    }
    for changed in
        [format!("{text}\n"), format!("\n{text}"), text.trim_end().to_owned(), checkpoint.to_string()]
    {
        assert!(SignedCheckpoint::open(&changed, &verifier).is_err(), "{changed}");
    }
}
