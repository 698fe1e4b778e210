//! A child process is killed under load; everything that it acknowledged is there afterwards, and the rest is whole or invisible.
//!
//! `MCP_KILL_ROUNDS` says how often, 25 times unless given.
#![expect(
    clippy::disallowed_methods,
    reason = "the child of the test learns from its environment that it is one, and the test how long to go on"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use mcp_core::{Digest, Version};
use mcp_registry::{Bump, Draft, Expect, Registry, Select};

use crate::{assert_sound, name, version};

const FOLDER: &str = "MCP_REGISTRY_KILL_FOLDER";
const SEED: u64 = 20_261_123;

fn rounds() -> u64 {
    std::env::var("MCP_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(25)
}

fn body(round: u64, worker: u64, count: u64) -> String {
    format!("{round} {worker} {count} ").repeat(if count.is_multiple_of(7) { 2000 } else { 20 })
}

/// More than two chunks, so that it becomes a pack of its own before its commit.
fn large(round: u64, count: u64) -> Vec<Bytes> {
    let part =
        |n: u64| Bytes::from(Digest::of(format!("{round} {count} {n}").as_bytes()).to_string().repeat(8000));
    (0..9).map(part).collect()
}

fn acknowledge(what: &str, artifact: &str, round: u64, worker: u64, count: u64) {
    let line = format!("ack {what} {artifact} {round} {worker} {count}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// In the child: publishes from six tasks, streams from one, and yanks and moves a channel in another until it is killed, and says on
/// standard output what was acknowledged.
#[test]
fn child_of_the_kill_test() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (folder, round) =
        folder.to_str().unwrap().rsplit_once('#').map(|(f, r)| (f.to_owned(), r.to_owned())).unwrap();
    let round: u64 = round.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let registry = Registry::open(folder).await.unwrap();
        let publishers = (0..6).map(|worker| tokio::spawn(publish(registry.clone(), round, worker)));
        let others =
            [tokio::spawn(streams(registry.clone(), round)), tokio::spawn(moves(registry.clone(), round))];
        join_all(publishers.chain(others)).await;
    });
}

async fn publish(registry: Registry, round: u64, worker: u64) {
    for count in 0.. {
        let id = format!("{round}-{worker}-{count}");
        let draft = Draft::new(&name("app"), body(round, worker, count)).request_id(id.as_str());
        let version = registry.publish_next(draft, Bump::Patch).await.unwrap().artifact.version;
        acknowledge("next", &version.to_string(), round, worker, count);
    }
}

async fn streams(registry: Registry, round: u64) {
    for count in 0.. {
        let parts = stream::iter(large(round, count).into_iter().map(Ok)).boxed();
        let version = Version::new(round, count, 0);
        registry.publish(Draft::stream(&name("large"), parts), &version).await.unwrap();
        acknowledge("large", &version.to_string(), round, 6, count);
    }
}

async fn moves(registry: Registry, round: u64) {
    let moved = name("moved");
    let mut before: Option<Version> = None;
    for count in 0.. {
        let at = Version::new(round, count, 0);
        registry.publish(Draft::new(&moved, body(round, 7, count)), &at).await.unwrap();
        acknowledge("put", &at.to_string(), round, 7, count);
        let expect = before.take().map_or(Expect::Any, Expect::At);
        registry.set_channel(&moved, "stable", &at, expect).await.unwrap();
        acknowledge("channel", &at.to_string(), round, 7, count);
        if count > 0 {
            let last = Version::new(round, count - 1, 0);
            registry.yank(&moved, &last, "superseded").await.unwrap();
            acknowledge("yank", &last.to_string(), round, 7, count);
        }
        before = Some(at);
    }
}

#[derive(Debug)]
struct Acknowledged {
    what: String,
    version: Version,
    round: u64,
    worker: u64,
    count: u64,
}

impl Acknowledged {
    /// The test harness of the child writes into the same line.
    fn read(line: &str) -> Option<Self> {
        let parts: Vec<&str> = line.split_once("ack ")?.1.split(' ').collect();
        let number = |part: usize| parts[part].parse::<u64>().unwrap();
        let version = version(parts[1]);
        Some(Self {
            what: parts[0].to_owned(),
            version,
            round: number(2),
            worker: number(3),
            count: number(4),
        })
    }
}

/// Runs the child until it has acknowledged `wanted` commands, kills it, and gives all that it acknowledged before it died.
fn run_and_kill(folder: &Path, round: u64, wanted: usize) -> Vec<Acknowledged> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child_of_the_kill_test", "--nocapture"])
        .env(FOLDER, format!("{}#{round}", folder.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    while acknowledged.len() < wanted {
        let line = lines.next().expect("the child goes on until it is killed").unwrap();
        acknowledged.extend(Acknowledged::read(&line));
    }
    child.kill().unwrap();
    // What it said before it died counts as well; a line that was cut does not.
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let whole = rest.iter().take(rest.len().saturating_sub(1));
    acknowledged.extend(whole.filter_map(|line| Acknowledged::read(line)));
    child.wait().unwrap();
    acknowledged
}

/// Every version that is visible is whole: what it says of itself is what its publisher was about to write.
async fn all_whole(registry: &Registry, of: &str, expected: impl Fn(&Version, &[u8]) -> bool) {
    let mut below = None;
    loop {
        let page = registry.versions(&name(of), below.as_ref(), 500).await.unwrap();
        let Some(last) = page.last() else { return };
        below = Some(last.artifact.version.clone());
        for entry in page {
            let at = entry.artifact.version.clone();
            let content = registry.get(&name(of), Select::exact(at.clone())).await.unwrap();
            assert!(expected(&at, &content.bytes), "seed {SEED}: {of}@{at} is not whole");
        }
    }
}

async fn check(registry: &Registry, acknowledged: &[Acknowledged], round: u64) {
    let mut channel = None;
    for ack in acknowledged {
        let context = format!("seed {SEED}, round {round}: {ack:?}");
        let of = match ack.what.as_str() {
            "next" => "app",
            "large" => "large",
            _ => "moved",
        };
        let content = registry.get(&name(of), Select::exact(ack.version.clone())).await;
        let content = content.unwrap_or_else(|error| panic!("{context}: {error}"));
        match ack.what.as_str() {
            "large" => assert_eq!(content.bytes, large(ack.round, ack.count).concat(), "{context}"),
            "yank" => assert_eq!(content.entry.yanked.as_deref(), Some("superseded"), "{context}"),
            _ => assert_eq!(content.bytes, body(ack.round, ack.worker, ack.count), "{context}"),
        }
        if ack.what == "channel" {
            channel = Some(ack.version.clone());
        }
    }
    if let Some(acknowledged) = channel {
        let stable = registry.resolve(&name("moved"), Select::channel("stable")).await.unwrap();
        let at = stable.artifact.version;
        let next = Version::new(acknowledged.major(), acknowledged.minor() + 1, 0);
        assert!(at == acknowledged || at == next, "seed {SEED}: {at} after {acknowledged}");
    }
    // Whoever did not hear the answer repeats the request, and gets the first one.
    let last: BTreeMap<u64, &Acknowledged> =
        acknowledged.iter().filter(|ack| ack.what == "next").map(|ack| (ack.worker, ack)).collect();
    for ack in last.into_values() {
        let id = format!("{}-{}-{}", ack.round, ack.worker, ack.count);
        let draft = Draft::new(&name("app"), body(ack.round, ack.worker, ack.count)).request_id(id.as_str());
        let again = registry.publish_next(draft, Bump::Patch).await.unwrap();
        assert_eq!((again.created, &again.artifact.version), (false, &ack.version), "seed {SEED}");
    }
}

#[tokio::test]
async fn invariant_2_what_a_killed_process_acknowledged_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    let mut kinds = BTreeSet::new();
    for round in 0..rounds() {
        // Killed after so many acknowledged commands: from the first to some hundreds.
        let seed = Digest::of(&(SEED + round).to_le_bytes());
        let wanted = usize::from(seed.as_bytes()[0]) * usize::from(seed.as_bytes()[1] % 4) + 1;
        let of_round = run_and_kill(folder.path(), round, wanted);
        kinds.extend(of_round.iter().map(|ack| ack.what.clone()));
        let registry = Registry::open(folder.path()).await.unwrap();
        check(&registry, &of_round, round).await;
        acknowledged.extend(of_round);
        if round % 10 == 0 || round + 1 == rounds() {
            assert_sound(&registry).await;
        }
        registry.close().await.unwrap();
    }
    let registry = Registry::open(folder.path()).await.unwrap();
    let moved = name("moved");
    for ack in acknowledged.iter().filter(|ack| ack.what == "next" || ack.what == "put") {
        let of = if ack.what == "next" { name("app") } else { moved.clone() };
        let content = registry.get(&of, Select::exact(ack.version.clone())).await.unwrap();
        assert_eq!(content.bytes, body(ack.round, ack.worker, ack.count), "seed {SEED}: {ack:?}");
    }
    let written = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let mut numbers = text.split(' ').map(|part| part.parse::<u64>().unwrap_or(u64::MAX));
        let mut next = || numbers.next().unwrap_or(u64::MAX);
        let (round, worker, count) = (next(), next(), next());
        body(round, worker, count).as_bytes() == bytes
    };
    all_whole(&registry, "app", |_, bytes| written(bytes)).await;
    all_whole(&registry, "moved", |_, bytes| written(bytes)).await;
    all_whole(&registry, "large", |at, bytes| large(at.major(), at.minor()).concat() == bytes).await;
    registry.close().await.unwrap();
    let expected = ["channel", "large", "next", "put", "yank"].map(str::to_owned);
    assert_eq!(kinds, BTreeSet::from(expected), "each kind of command was acknowledged");
}
