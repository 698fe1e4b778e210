//! A child process is killed under load; each publish that it acknowledged is there afterwards.
#![expect(
    clippy::disallowed_methods,
    reason = "the child of the test learns from its environment that it is one"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use futures::future::join_all;
use mcp_core::Digest;
use mcp_registry::{Bump, Draft, Registry, Select};

use crate::{assert_sound, name};

const FOLDER: &str = "MCP_REGISTRY_KILL_FOLDER";
const ROUNDS: u64 = 6;
const SEED: u64 = 20_261_123;

fn body(round: u64, worker: u64, count: u64) -> String {
    format!("{round} {worker} {count} ").repeat(if count.is_multiple_of(7) { 2000 } else { 20 })
}

/// In the child: publishes from eight tasks until it is killed, and says on standard output what was acknowledged.
#[test]
fn child_of_the_kill_test() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (folder, round) =
        folder.to_str().unwrap().rsplit_once('#').map(|(f, r)| (f.to_owned(), r.to_owned())).unwrap();
    let round: u64 = round.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let registry = Registry::open(folder).await.unwrap();
        let workers = (0..8).map(|worker| {
            let registry = registry.clone();
            tokio::spawn(async move {
                for count in 0.. {
                    let draft = Draft::new(&name("app"), body(round, worker, count));
                    let version = registry.publish_next(draft, Bump::Patch).await.unwrap().artifact.version;
                    let line = format!("ack {version} {round} {worker} {count}\n");
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            })
        });
        join_all(workers).await;
    });
}

#[tokio::test]
async fn invariant_2_what_a_killed_process_acknowledged_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        // Killed after so many acknowledged publishes: from the first to some hundreds.
        let seed = Digest::of(&(SEED + round).to_le_bytes());
        let wanted = usize::from(seed.as_bytes()[0]) * usize::from(seed.as_bytes()[1] % 4) + 1;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child_of_the_kill_test", "--nocapture"])
            .env(FOLDER, format!("{}#{round}", folder.path().display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut count = 0;
        let mut take = |line: &str| {
            // The test harness of the child writes into the same line.
            let Some((_, ack)) = line.split_once("ack ") else { return false };
            let parts: Vec<&str> = ack.split(' ').collect();
            let number = |part: usize| parts[part].parse::<u64>().unwrap();
            acknowledged.push((parts[0].to_owned(), number(1), number(2), number(3)));
            true
        };
        while count < wanted {
            let line = lines.next().expect("the child goes on until it is killed").unwrap();
            count += usize::from(take(&line));
        }
        child.kill().unwrap();
        // What it said before it died counts as well; a line that was cut does not.
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        for line in rest.iter().take(rest.len().saturating_sub(1)) {
            take(line);
        }
        child.wait().unwrap();
        let registry = Registry::open(folder.path()).await.unwrap();
        assert_sound(&registry).await;
        for (version, round, worker, count) in &acknowledged {
            let content = registry.get(&name("app"), Select::exact(version.as_str())).await;
            let content =
                content.unwrap_or_else(|error| panic!("seed {SEED}, round {round}: {version}: {error}"));
            assert_eq!(content.bytes, body(*round, *worker, *count), "seed {SEED}: {version}");
        }
        registry.close().await.unwrap();
    }
    assert!(acknowledged.len() as u64 > ROUNDS, "{} publishes", acknowledged.len());
}
