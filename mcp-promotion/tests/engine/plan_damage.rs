//! Whatever is done to the stream of a plan is found.

use mcp_core::{ErrorKind, Name};
use mcp_promotion::{
    Append, Chain, Checkpoint, Engine, Journal, MemoryJournal, PlanState, PromotionError, Release,
};

use crate::fleet::{Fleet, NAMES, artifact, request};
use crate::scene::Trick;

type Streams = Vec<(Name, Vec<Vec<u8>>)>;

/// A plan that was rolled back, and the checkpoint after it.
async fn lived() -> (Fleet, Checkpoint, Streams, usize) {
    let fleet = Fleet::plain(&NAMES).await;
    fleet.stage("web").trick(std::iter::repeat_n(Trick::ApplyFails, 20));
    let id = fleet.engine.request_plan(&request(), "alice").await.unwrap();
    fleet.settle().await;
    assert_eq!(fleet.state(id).await, PlanState::RolledBack);
    let checkpoint = fleet.engine.checkpoint().await.unwrap();
    let mut streams = Vec::new();
    for stream in fleet.journal.streams("").await.unwrap() {
        let events = fleet.journal.read(&stream, 0, usize::MAX).await.unwrap();
        streams.push((stream, events));
    }
    let plan = streams.iter().position(|(stream, _)| stream.as_str().starts_with("plan/")).unwrap();
    (fleet, checkpoint, streams, plan)
}

async fn engine(fleet: &Fleet, streams: &Streams) -> Engine {
    let journal = MemoryJournal::new();
    for (stream, events) in streams.iter().filter(|(_, events)| !events.is_empty()) {
        journal.append(&[Append::new(stream.clone(), 0, events.clone())]).await.unwrap();
    }
    fleet.on(journal)
}

fn place(found: Result<mcp_promotion::Audit, PromotionError>, what: &str) -> (String, u64) {
    match found {
        Err(PromotionError::Corrupt { stream, position, .. }) => (stream.to_string(), position),
        other => panic!("{what} is not found: {other:?}"),
    }
}

/// Invariant 4.
#[tokio::test]
async fn an_event_of_a_plan_that_was_edited_dropped_moved_or_cut_off_is_found_where_it_stands() {
    let (fleet, checkpoint, streams, plan) = lived().await;
    let (name, events) = (streams[plan].0.to_string(), streams[plan].1.len());
    assert!(events > 10, "{events}");
    for at in 0..events {
        let mut edited = streams.clone();
        let half = edited[plan].1[at].len() / 2;
        edited[plan].1[at][half] ^= 1;
        let found = engine(&fleet, &edited).await.verify().await;
        assert_eq!(place(found, "an edit"), (name.clone(), at as u64 + 1));
        let mut dropped = streams.clone();
        dropped[plan].1.remove(at);
        let found = engine(&fleet, &dropped).await.verify_against(&checkpoint).await;
        assert_eq!(place(found, "a drop"), (name.clone(), at as u64 + 1));
        if at + 1 < events {
            let mut moved = streams.clone();
            moved[plan].1.swap(at, at + 1);
            let found = engine(&fleet, &moved).await.verify().await;
            assert_eq!(place(found, "a move"), (name.clone(), at as u64 + 1));
        }
        let mut cut = streams.clone();
        cut[plan].1.truncate(at);
        let found = engine(&fleet, &cut).await.verify_against(&checkpoint).await;
        assert_eq!(place(found, "a cut"), (name.clone(), at as u64 + 1));
    }
}

/// The chain of `events` computed anew, after `edit` has changed the text of each.
fn forged(stream: &Name, events: &[Vec<u8>], edit: impl Fn(usize, String) -> String) -> Vec<Vec<u8>> {
    let mut digest = Chain::start(stream.clone()).head();
    let forge = |(place, event): (usize, &Vec<u8>)| {
        let text = edit(place, String::from_utf8(event[33..].to_vec()).unwrap());
        let mut digester = mcp_core::Digester::new();
        digester.update(digest.as_bytes()).update(&event[..1]).update(text.as_bytes());
        digest = digester.digest();
        [&event[..1], digest.as_bytes().as_slice(), text.as_bytes()].concat()
    };
    events.iter().enumerate().map(forge).collect()
}

/// Where the forger has computed the chain anew, what the plan says is compared with what its stages say.
#[tokio::test]
async fn a_forged_plan_that_contradicts_its_stages_is_found_without_a_checkpoint() {
    let (fleet, _, streams, plan) = lived().await;
    let (name, events) = &streams[plan];
    let text = |event: &Vec<u8>| String::from_utf8(event[33..].to_vec()).unwrap();
    let same = forged(name, events, |_, text| text);
    assert_eq!(&same, events, "the forger knows his trade");
    let mut kinds = 0;
    for (at, event) in events.iter().enumerate() {
        let text = text(event);
        let lie = if text.contains("\"asked\"") || text.contains("\"reversing\"") {
            let (before, after) = text.split_once("\"promotion\":").unwrap();
            let digits = after.find(|letter: char| !letter.is_ascii_digit()).unwrap();
            let (number, rest) = after.split_at(digits);
            format!("{before}\"promotion\":{}{rest}", number.parse::<u64>().unwrap() + 1)
        } else if text.contains("\"failed\"") {
            text.replace("\"failed\"", "\"rejected\"")
        } else {
            continue;
        };
        kinds += 1;
        let mut forgery = streams.clone();
        forgery[plan].1 = forged(name, events, |place, text| if place == at { lie.clone() } else { text });
        let found = engine(&fleet, &forgery).await.verify().await;
        let (stream, _) = place(found, &lie);
        assert_eq!(stream, name.to_string(), "{lie}");
    }
    assert!(kinds >= 6, "{kinds}");
}

/// An end that was cut off a stage leaves a chain that fits; the plan knows better.
#[tokio::test]
async fn a_stage_whose_end_was_cut_off_contradicts_its_plan() {
    let (fleet, _, streams, plan) = lived().await;
    let stage = streams.iter().position(|(stream, _)| stream.as_str() == "stage/auth").unwrap();
    let mut cut = streams.clone();
    let half = cut[stage].1.len() / 2;
    cut[stage].1.truncate(half);
    let (found, _) = place(engine(&fleet, &cut).await.verify().await, "a cut");
    assert_eq!(found, streams[plan].0.to_string());
}

/// Invariant 4, of plans that were paused, resumed, aborted, lost a stage, and were stuck: nothing true is ever called false.
#[tokio::test]
async fn a_journal_that_nobody_has_touched_verifies_at_every_moment_of_every_plan() {
    for script in 0..32_u32 {
        let fleet = Fleet::plain(&NAMES).await;
        let has = |bit: u32| script >> bit & 1 == 1;
        let mut wanted = request();
        if has(0) {
            wanted.on_failure = mcp_promotion::OnFailure::Halt;
        }
        if has(1) {
            fleet.stage("web").trick(std::iter::repeat_n(Trick::ApplyFails, 3));
        }
        let id = fleet.engine.request_plan(&wanted, "alice").await.unwrap();
        let (mut checkpoint, other) = (fleet.engine.checkpoint().await.unwrap(), fleet.another("two"));
        for round in 0..90 {
            match round {
                12 if has(2) => fleet.engine.pause_plan(id, "carol", "").await.unwrap(),
                20 if has(2) => fleet.engine.resume_plan(id, "carol").await.unwrap(),
                25 if has(3) => {
                    let release = Release::of([artifact("auth", "3.0.0")]).unwrap();
                    fleet.engine.request("auth", &release, "dave").await.unwrap();
                }
                40 if has(4) => drop(fleet.engine.abort_plan(id, "carol", "resumed").await),
                60 => drop(fleet.engine.resume_plan(id, "carol").await),
                _ => {}
            }
            fleet.engine.step().await.unwrap();
            for engine in [&fleet.engine, &other] {
                let audit = engine.verify_against(&checkpoint).await;
                assert_eq!(
                    audit.as_ref().err().map(|error| (error.kind(), error.to_string())),
                    None::<(ErrorKind, String)>
                );
            }
            if round % 10 == 0 {
                checkpoint = fleet.engine.checkpoint().await.unwrap();
            }
        }
        assert_eq!(
            fleet.another("three").plan_status(id).await.unwrap(),
            fleet.engine.plan_status(id).await.unwrap()
        );
    }
}
