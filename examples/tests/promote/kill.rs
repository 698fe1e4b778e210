//! Drivers are killed with SIGKILL in a loop; their scripts live on for a while. Nothing is lost, nothing is done twice, everything ends.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use mcp_core::Digest;

use crate::program::Host;

pub const SEED: u64 = 20_261_124;

/// How many drivers are killed: 25, and as many as somebody who wants to be surer says.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where somebody who runs the test asks for more rounds"
)]
pub fn rounds() -> u64 {
    std::env::var("MCP_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(25)
}

/// A number below `end` that depends on the seed, the round and what it is for.
fn below(end: u64, round: u64, what: &str) -> u64 {
    let digest = Digest::of(format!("{SEED} {round} {what}").as_bytes());
    u64::from_le_bytes(*digest.as_bytes().first_chunk().unwrap()) % end
}

/// The lines that a driver prints, until it is gone.
pub fn lines(child: &mut Child) -> Receiver<String> {
    let (sender, lines) = channel();
    let out = child.stdout.take().unwrap();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Kills a driver after so many events, and then up to 30 ms later: in the middle of whatever it does next.
pub fn kill(child: &mut Child, round: u64) {
    let lines = lines(child);
    for _ in 0..below(7, round, "events") {
        if lines.recv().is_err() {
            break;
        }
    }
    let mut left = Duration::from_micros(below(30_000, round, "moment"));
    // Lines that come meanwhile change nothing; each takes a little of the time away, so that this ends.
    while let Ok(_line) = lines.recv_timeout(left) {
        left /= 2;
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A request for another release in each stage.
fn request(host: &Host, round: u64) -> [String; 2] {
    let artifact = format!("app@1.0.{round}={}", Digest::of(&round.to_le_bytes()));
    ["a", "b"].map(|stage| host.done(&["--as", "alice", "request", stage, &artifact]))
}

/// Every promotion has succeeded; each was done once, in the order of the requests, under fences that only grew; the journal is sound.
fn check(host: &Host, requested: &[[String; 2]]) {
    for id in requested.iter().flatten() {
        assert_eq!(host.state(id), "succeeded", "seed {SEED}: {id}");
    }
    for (place, stage) in ["a", "b"].iter().enumerate() {
        let effects = host.effects(stage);
        let keys: BTreeSet<&String> = effects.iter().map(|(_, key, _)| key).collect();
        assert_eq!(keys.len(), effects.len(), "seed {SEED}: a change of {stage} was made twice: {effects:?}");
        assert!(effects.is_sorted_by_key(|(fence, ..)| *fence), "seed {SEED}: {stage}: {effects:?}");
        let wanted: Vec<String> = requested
            .iter()
            .map(|ids| {
                let digest = host.call(&["--json", "status", &ids[place]]).json()["digest"].clone();
                format!("running {}", digest.as_str().unwrap())
            })
            .collect();
        let ran: Vec<String> = effects.into_iter().map(|(_, _, running)| running).collect();
        assert_eq!(ran, wanted, "seed {SEED}: {stage}");
    }
    assert_eq!(host.call(&["--json", "verify"]).json()["sound"], true, "seed {SEED}");
}

#[test]
fn killed_in_a_loop_no_effect_is_lost_or_repeated_and_every_promotion_ends() {
    let host = Host::with_two_stages();
    let mut requested = Vec::new();
    for round in 0..rounds() {
        requested.push(request(&host, round));
        kill(&mut host.start(&["run", "--until-idle"]), round);
    }
    host.done(&["run", "--until-idle"]);
    check(&host, &requested);
}

#[test]
fn of_two_living_drivers_one_is_killed_and_the_other_ends_the_work() {
    let host = Host::with_two_stages();
    let mut requested = Vec::new();
    for round in 0..rounds().div_ceil(5) {
        requested.push(request(&host, 1000 + round));
        let mut stays = host.start(&["run", "--until-idle"]);
        let told = lines(&mut stays);
        let mut dies = host.start(&["run", "--until-idle"]);
        kill(&mut dies, 1000 + round);
        while told.recv().is_ok() {}
        assert_eq!(stays.wait().unwrap().code(), Some(0), "seed {SEED}, round {round}");
    }
    check(&host, &requested);
}

/// A stage that is watched for a second and a half; leases of an hour.
const SLOW: &str = "
stages:
  - name: a
    command: [./stage.sh, a]
    fenced: true
    policy:
      verification:
        judged: {judge: {guardrail: {bake_ms: 1500, patience_ms: 60000}}, window_ms: 500}
settings: {lease_ms: 3600000, poll_ms: 50}
";

#[test]
fn after_a_kill_the_next_run_takes_over_at_once_and_not_an_hour_later() {
    let host = Host::with(SLOW);
    let artifact = format!("app@1.0.0={}", Digest::of(b"one"));
    let id = host.done(&["--as", "alice", "request", "a", &artifact]);
    let mut dies = host.start(&["run", "--until-idle"]);
    let told = lines(&mut dies);
    // It holds the lease, and waits for the first window to end.
    while !told.recv().expect("the release is applied").contains("verifying") {}
    dies.kill().unwrap();
    dies.wait().unwrap();
    host.done(&["run", "--until-idle"]);
    assert_eq!(host.state(&id), "succeeded");
    assert_eq!(host.effects("a").len(), 1);
}

#[test]
fn a_living_driver_is_not_taken_over_and_gives_its_lease_up_when_it_is_told_to_stop() {
    let host = Host::with(SLOW);
    let artifact = format!("app@1.0.0={}", Digest::of(b"one"));
    let id = host.done(&["--as", "alice", "request", "a", &artifact]);
    let mut first = host.start(&["run"]);
    let told = lines(&mut first);
    while !told.recv().expect("the release is applied").contains("verifying") {}
    let mut second = host.start(&["run"]);
    let heard = lines(&mut second);
    // It looks every 50 ms, and says nothing as long as the other one has the lease.
    assert_eq!(heard.recv_timeout(Duration::from_millis(700)), Err(RecvTimeoutError::Timeout));
    for child in [&mut first, &mut second] {
        let stop = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(stop.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    let history = host.done(&["history", "a"]);
    assert_eq!(history.matches("lease taken").count(), 1, "{history}");
    // The first one gave its lease up: anybody may go on.
    host.done(&["run", "--until-idle"]);
    assert_eq!(host.state(&id), "succeeded");
}
