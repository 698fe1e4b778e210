use std::sync::Arc;

use mcp_core::{ManualClock, Name, SequentialIds};
use mcp_promotion::{
    AllowList, Engine, Journal, MemoryJournal, Pipeline, Policy, SqliteJournal, State, Step,
};

use crate::scene::{MINUTE, Puppet, release};

fn pipeline() -> Pipeline {
    let prod = Policy::healthy_for(MINUTE).after("dev").approvals(1);
    Pipeline::builder().stage("dev", Policy::unverified("demo")).stage("prod", prod).build().unwrap()
}

/// One life of a promotion through both stages, and what the journal then holds.
async fn live(journal: impl Journal + Clone + 'static) -> Vec<(Name, Vec<Vec<u8>>)> {
    let clock = Arc::new(ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap()));
    let engine = Engine::builder(pipeline(), journal.clone())
        .stage("dev", Puppet::default())
        .stage("prod", Puppet::default())
        .authorizer(AllowList::of(["bob"]).unwrap())
        .clock(clock.clone())
        .ids(Arc::new(SequentialIds::starting_at(1)))
        .owner("one")
        .build()
        .unwrap();
    engine.request("dev", &release("1.0.0"), "alice").await.unwrap();
    let prod = engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
    engine.approve(&prod, "bob").await.unwrap();
    while !engine.status(&prod).await.unwrap().state.is_terminal() {
        if let Step::Waiting(_) = engine.step().await.unwrap() {
            clock.advance(MINUTE / 6);
        }
    }
    let heads = engine.verify().await.unwrap().heads;
    let mut all = Vec::new();
    for stream in journal.streams("").await.unwrap() {
        let events = journal.read(&stream, 0, usize::MAX).await.unwrap();
        assert!(heads.iter().any(|head| head.stream == stream && head.version == events.len() as u64));
        all.push((stream, events));
    }
    all
}

#[tokio::test]
async fn the_same_life_leaves_the_same_bytes_in_both_journals() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = SqliteJournal::open(folder.path().join("journal.db")).unwrap();
    let (memory, sqlite) = (live(MemoryJournal::new()).await, live(sqlite).await);
    assert_eq!(memory.len(), 2);
    assert_eq!(memory, sqlite);
}

/// Invariant 6, with real time and threads: whoever holds the lease drives, the other one waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_engines_on_one_file_drive_every_promotion_to_its_end_once() {
    let folder = tempfile::tempdir().unwrap();
    let puppet = Puppet::default();
    let engines: Vec<Engine> = (0..2)
        .map(|_| {
            let journal = SqliteJournal::open(folder.path().join("journal.db")).unwrap();
            let mut settings = mcp_promotion::Settings::default();
            settings.poll = std::time::Duration::from_millis(5);
            let pipeline = Pipeline::builder().stage("dev", Policy::unverified("demo")).build().unwrap();
            Engine::builder(pipeline, journal)
                .stage("dev", puppet.clone())
                .settings(settings)
                .build()
                .unwrap()
        })
        .collect();
    let runs: Vec<_> = engines.iter().map(|engine| tokio::spawn(engine.clone().run())).collect();
    let mut ids = Vec::new();
    for version in 1..=10 {
        let engine = &engines[version % 2];
        ids.push(engine.request("dev", &release(&format!("{version}.0.0")), "alice").await.unwrap());
    }
    for id in &ids {
        assert_eq!(engines[0].wait(id).await.unwrap(), State::Succeeded);
    }
    for engine in &engines {
        engine.stop();
    }
    for run in runs {
        run.await.unwrap();
    }
    let wanted: Vec<String> = (1..=10).map(|version| format!("app@{version}.0.0")).collect();
    assert_eq!(puppet.script.lock().unwrap().applied, wanted);
    assert_eq!(engines[0].verify().await.unwrap(), engines[1].verify().await.unwrap());
}
