//! When `run --until-idle` ends, and what it tells of what it waits for.

use std::io::{BufRead as _, BufReader};
use std::process::Command;
use std::time::Duration;

use mcp_core::{Clock as _, Digest, SystemClock};
use mcp_promotion::{Calendar, Policy};
use serde_json::json;

use crate::program::Host;

fn request(host: &Host, stage: &str) -> String {
    host.done(&["--as", "alice", "request", stage, &format!("app@1.0.0={}", Digest::of(b"one"))])
}

/// Of an unfenced stage, in which an `apply` says that it has begun and then waits for a word.
const UNFENCED: &str = "
stages:
  - name: a
    command: [sh, wait.sh]
    policy: {verification: {unverified: {reason: a test}}}
settings: {lease_ms: 1000, poll_ms: 50}
";

#[test]
fn a_stage_that_waits_for_its_lease_to_be_released_keeps_nobody_waiting() {
    let host = Host::with(UNFENCED);
    for pipe in ["begun", "go"] {
        assert!(Command::new("mkfifo").arg(host.path(pipe)).status().unwrap().success());
    }
    let script = "if [ \"$1\" = apply ]; then echo > begun; read word < go; else echo nothing; fi\n";
    std::fs::write(host.path("wait.sh"), script).unwrap();
    let id = request(&host, "a");
    let mut dies = host.start(&["run"]);
    // The other end is opened by the script.
    std::fs::read(host.path("begun")).unwrap();
    dies.kill().unwrap();
    dies.wait().unwrap();
    // The script lives on, and has the lock of its driver's name: this run is another owner, which may not take over.
    host.done(&["run", "--until-idle"]);
    let blockers = host.call(&["--json", "blockers", &id]).json();
    assert_eq!(blockers["blockers"][0]["blocker"], json!({"leased": {"owner": "driver-0"}}), "{blockers}");
    assert_eq!(host.state(&id), "deploying");
    std::fs::write(host.path("go"), "on\n").unwrap();
}

#[test]
fn what_is_waited_for_is_told_once_for_each_change() {
    let end = SystemClock::new().now().saturating_add(Duration::from_secs(35 * 24 * 3600)).to_string();
    let end: String = end.chars().take("2026-01-02T03:04".len()).collect();
    let freeze = Calendar::span("quiet", "UTC", "2020-01-01T00:00", &end).unwrap();
    let policy = json!(Policy::unverified("a test").deny(freeze));
    let stage =
        |name: &str| json!({"name": name, "command": ["./stage.sh", name], "fenced": true, "policy": policy});
    let pipeline = json!({"stages": [stage("a"), stage("b")], "settings": {"poll_ms": 50}});
    let host = Host::with(&pipeline.to_string());
    request(&host, "a");
    let mut driver = host.start_heard(&["run", "--until-idle"]);
    let mut heard = BufReader::new(driver.stderr.take().unwrap()).lines().map(Result::unwrap);
    let waits = |id: &str| {
        format!("promote: waits: {id} is pending: freeze quiet is on; it may start at {end}:00.000000Z")
    };
    assert_eq!(heard.next(), Some(waits("a/1")));
    request(&host, "b");
    assert_eq!(heard.next(), Some(waits("b/1")), "and not the first one again");
    let stop = Command::new("kill").args(["-TERM", &driver.id().to_string()]).status();
    assert!(stop.unwrap().success());
    assert_eq!((driver.wait().unwrap().code(), heard.next()), (Some(0), None));
}
