//! A driver that is gone is replaced at once, one that lives is not, and only where a fence stops what the first one began.
#![expect(
    clippy::disallowed_methods,
    reason = "the child of the test learns from its environment that it is one"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mcp_core::{ErrorKind, ManualClock, Name};
use mcp_promotion::{
    Append, Claim, Engine, Happened, Journal, JournalError, Lease, Owners, Pipeline, Policy, SqliteJournal,
    State, Step,
};

use crate::scene::{Puppet, release};

const FOLDER: &str = "MCP_PROMOTION_TAKEOVER_FOLDER";

/// One of several engines on one file; the clock of all stands still.
fn engine(journal: impl Journal + 'static, puppet: &Puppet, owner: &str) -> Engine {
    let pipeline = Pipeline::builder().stage("prod", Policy::unverified("demo")).build().unwrap();
    Engine::builder(pipeline, journal)
        .stage("prod", puppet.clone())
        .clock(Arc::new(ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap())))
        .owner(owner)
        .build()
        .unwrap()
}

fn open(folder: &Path) -> SqliteJournal {
    SqliteJournal::open(folder.join("journal.db")).unwrap()
}

async fn lease(engine: &Engine) -> Lease {
    engine.stage_state("prod").await.unwrap().lease().unwrap().clone()
}

fn advanced() -> Step {
    Step::Advanced("prod".parse().unwrap())
}

/// What the stream says of leases.
async fn leases(engine: &Engine) -> Vec<String> {
    let timeline = engine.timeline("prod").await.unwrap();
    timeline
        .moments
        .iter()
        .filter_map(|moment| match &moment.entry.what {
            Happened::LeaseTaken { owner, .. } => Some(format!("taken by {owner}")),
            Happened::LeaseReleased { by, .. } => Some(format!("released by {by:?}")),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn a_driver_whose_engine_is_gone_is_replaced_at_once_and_one_that_lives_is_not() {
    let (folder, puppet) = (tempfile::tempdir().unwrap(), Puppet::default());
    let one = engine(open(folder.path()), &puppet, "one");
    let two = engine(open(folder.path()), &puppet, "two");
    let id = two.request("prod", &release("1.0.0"), "alice").await.unwrap();
    assert_eq!(one.step().await.unwrap(), advanced());
    let held = lease(&two).await;
    assert_eq!(two.step().await.unwrap(), Step::Waiting(Some(held.until)), "one lives");
    drop(one);
    while !matches!(two.step().await.unwrap(), Step::Waiting(_)) {}
    assert_eq!(two.status(&id).await.unwrap().state, State::Succeeded);
    assert_eq!(
        leases(&two).await[..3],
        ["taken by one", "released by None", "taken by two"].map(str::to_owned),
        "and the clock stood still"
    );
    assert_eq!(puppet.applied(), ["app@1.0.0"]);
}

/// It may have begun something outside of its process that still goes on, and nothing would stop that.
#[tokio::test]
async fn a_driver_that_is_gone_is_not_replaced_where_nothing_stops_what_it_began() {
    let (folder, puppet) = (tempfile::tempdir().unwrap(), Puppet { unfenced: true, ..Puppet::default() });
    let one = engine(open(folder.path()), &puppet, "one");
    let two = engine(open(folder.path()), &puppet, "two");
    two.request("prod", &release("1.0.0"), "alice").await.unwrap();
    one.step().await.unwrap();
    drop(one);
    assert_eq!(two.step().await.unwrap(), Step::Waiting(None));
    assert_eq!(lease(&two).await.owner.as_str(), "one");
}

#[tokio::test]
async fn a_second_living_engine_of_the_same_name_is_refused_and_says_so() {
    let (folder, puppet) = (tempfile::tempdir().unwrap(), Puppet::default());
    let first = engine(open(folder.path()), &puppet, "one");
    let second = engine(open(folder.path()), &puppet, "one");
    first.request("prod", &release("1.0.0"), "alice").await.unwrap();
    assert_eq!(first.step().await.unwrap(), advanced());
    let before = lease(&first).await;
    let error = second.step().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("owner name one") && cause.contains("alive"), "{error}: {cause}");
    assert_eq!(lease(&first).await, before);
    drop(first);
    assert_eq!(second.step().await.unwrap(), advanced());
    assert!(lease(&second).await.fence > before.fence);
}

/// Between the answer that its owner is gone and what follows from it, that owner comes back and takes a new lease.
struct ComesBack {
    journal: SqliteJournal,
    back: Mutex<Option<Engine>>,
}

#[async_trait]
impl Journal for ComesBack {
    async fn append(&self, batch: &[Append]) -> Result<(), JournalError> {
        self.journal.append(batch).await
    }

    async fn read(&self, stream: &Name, after: u64, max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        self.journal.read(stream, after, max).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<Name>, JournalError> {
        self.journal.streams(prefix).await
    }

    fn owners(&self) -> Option<&dyn Owners> {
        Some(self)
    }
}

#[async_trait]
impl Owners for ComesBack {
    async fn claim(&self, owner: &Name) -> Result<Claim, JournalError> {
        self.journal.owners().unwrap().claim(owner).await
    }

    async fn is_gone(&self, owner: &Name) -> Result<bool, JournalError> {
        let gone = self.journal.owners().unwrap().is_gone(owner).await?;
        let back = self.back.lock().unwrap().clone();
        if let Some(back) = back.filter(|_| gone) {
            assert_eq!(back.step().await.unwrap(), advanced());
        }
        Ok(gone)
    }
}

/// Invariant 6: what was found out about one lease is no ground to take another.
#[tokio::test]
async fn an_owner_that_comes_back_while_it_is_replaced_keeps_its_new_lease() {
    let (folder, puppet) = (tempfile::tempdir().unwrap(), Puppet::default());
    let one = engine(open(folder.path()), &puppet, "one");
    one.request("prod", &release("1.0.0"), "alice").await.unwrap();
    one.step().await.unwrap();
    let old = lease(&one).await;
    drop(one);
    let back = engine(open(folder.path()), &puppet, "one");
    let journal = Arc::new(ComesBack { journal: open(folder.path()), back: Mutex::new(Some(back.clone())) });
    let two = engine(Arc::clone(&journal), &puppet, "two");
    assert_eq!(two.step().await.unwrap(), Step::Overtaken("prod".parse().unwrap()));
    let new = lease(&back).await;
    assert!(new.owner.as_str() == "one" && new.fence > old.fence, "{new:?}");
    assert_eq!(two.step().await.unwrap(), Step::Waiting(Some(new.until)));
}

/// In the child: takes the lease, says so, and then does nothing until it is killed.
#[test]
fn child_of_the_takeover_test() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let engine = engine(open(Path::new(&folder)), &Puppet::default(), "child");
    runtime.block_on(async {
        engine.request("prod", &release("1.0.0"), "alice").await.unwrap();
        assert_eq!(engine.step().await.unwrap(), advanced());
    });
    std::io::stdout().lock().write_all(b"leased\n").unwrap();
    drop(std::io::stdin().lock().read(&mut [0]));
}

#[cfg(unix)]
#[tokio::test]
async fn a_process_that_is_stopped_keeps_its_lease_and_one_that_is_killed_loses_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "takeover::child_of_the_takeover_test", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The test harness of the child writes into the same line.
    assert!(lines.any(|line| line.unwrap().ends_with("leased")));
    let parent = engine(open(folder.path()), &Puppet::default(), "parent");
    let held = lease(&parent).await;
    assert_eq!(held.owner.as_str(), "child");
    let stop = Command::new("kill").args(["-STOP", &child.id().to_string()]).status().unwrap();
    assert!(stop.success());
    assert_eq!(parent.step().await.unwrap(), Step::Waiting(Some(held.until)), "stopped, not gone");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!([parent.step().await.unwrap(), parent.step().await.unwrap()], [advanced(), advanced()]);
    let taken = lease(&parent).await;
    assert!(taken.owner.as_str() == "parent" && taken.fence > held.fence, "{taken:?}");
}
