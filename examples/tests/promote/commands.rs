//! Each command, its answers and its exit codes.

use serde_json::json;

use mcp_core::Digest;
use mcp_promotion::Release;

use crate::program::Host;

/// The digest of a release of `app` at this version, whose only artifact has these bytes.
pub fn release(version: &str, bytes: &str) -> String {
    let reference = format!("app@{version}");
    Release::of([(reference.as_str(), Digest::of(bytes.as_bytes()))]).unwrap().digest().to_string()
}

/// Writes a file of these bytes; how the command line names it as `app` at this version.
pub fn build(host: &Host, version: &str, bytes: &str) -> String {
    std::fs::write(host.path(version), bytes).unwrap();
    format!("app@{version}={version}")
}

#[test]
fn a_release_goes_to_prod_when_another_person_has_approved_it() {
    let host = Host::with_the_sample();
    let app = build(&host, "1.0.0", "one");
    assert_eq!(host.done(&["--as", "alice", "request", "dev", &app]), "dev/1");
    host.done(&["run", "--until-idle"]);
    assert_eq!(host.state("dev/1"), "succeeded");
    let prod = host.done(&["--as", "alice", "--request-id", "build-1", "request", "prod", &app]);
    let again = host.done(&["--as", "alice", "--request-id", "build-1", "request", "prod", &app]);
    assert_eq!((prod.as_str(), again.as_str()), ("prod/1", "prod/1"));
    host.done(&["run", "--until-idle"]);
    assert_eq!(host.effects("prod"), [], "nobody has approved it");
    let blockers = host.call(&["--json", "blockers", "prod/1"]).json();
    assert_eq!(blockers["blockers"][0]["lifted_by"], "approvers");
    let own = host.call(&["--as", "alice", "approve", "prod/1"]);
    assert_eq!(own.code, Some(1), "{own:?}");
    host.done(&["--as", "bob", "approve", "prod/1"]);
    let checkpoint = host.done(&["checkpoint"]);
    host.done(&["run", "--until-idle"]);
    assert_eq!(host.state("prod/1"), "succeeded");
    let ran: Vec<String> = host.effects("prod").into_iter().map(|(_, _, running)| running).collect();
    assert_eq!(ran, [format!("running {}", release("1.0.0", "one"))]);
    let status = host.call(&["--json", "status", "prod"]).json();
    assert_eq!(status["current"]["digest"], release("1.0.0", "one"));
    assert_eq!(status["open"], json!([]));
    std::fs::write(host.path("checkpoint"), checkpoint).unwrap();
    assert_eq!(host.call(&["--json", "verify", "--against", "checkpoint"]).json()["sound"], true);
}

#[test]
fn a_release_that_fails_in_prod_is_taken_back_and_the_one_before_runs_again() {
    let host = Host::with_the_sample();
    for (version, sick) in [("1.0.0", false), ("2.0.0", true)] {
        let app = build(&host, version, version);
        let dev = host.done(&["--as", "alice", "request", "dev", &app]);
        let prod = host.done(&["--as", "alice", "request", "prod", &app]);
        host.done(&["--as", "bob", "approve", &prod]);
        if sick {
            std::fs::write(host.path("data/stages/prod/sick"), "").unwrap();
        }
        host.done(&["run", "--until-idle"]);
        assert_eq!(host.state(&dev), "succeeded");
        assert_eq!(host.state(&prod), if sick { "rolled_back" } else { "succeeded" }, "{version}");
    }
    let ran: Vec<String> = host.effects("prod").into_iter().map(|(_, _, running)| running).collect();
    let (one, two) = (release("1.0.0", "1.0.0"), release("2.0.0", "2.0.0"));
    assert_eq!(ran, [&one, &two, &one].map(|digest| format!("running {digest}")));
}

#[test]
fn a_held_stage_starts_nothing_until_the_hold_is_lifted() {
    let host = Host::with_the_sample();
    let app = build(&host, "1.0.0", "one");
    let hold = |who: &str| host.call(&["--as", who, "hold", "dev", "audit"]);
    assert_eq!(hold("alice").code, Some(1), "she is no operator");
    assert_eq!(hold("carol").code, Some(0));
    host.done(&["--as", "alice", "request", "dev", &app]);
    host.done(&["run", "--until-idle"]);
    assert_eq!(host.state("dev/2"), "pending");
    assert!(host.done(&["status"]).contains("audit"), "{}", host.done(&["status"]));
    host.done(&["--as", "bob", "lift", "dev"]);
    host.done(&["run", "--until-idle"]);
    assert_eq!(host.state("dev/2"), "succeeded");
}

#[test]
fn the_exit_code_says_whether_the_caller_the_file_or_the_journal_is_wrong() {
    let host = Host::with_two_stages();
    let code = |arguments: &[&str]| host.call(arguments).code;
    assert_eq!(code(&["--help"]), Some(0));
    assert_eq!(code(&["pipeline", "check", "pipeline.yaml"]), Some(0));
    assert_eq!(code(&["verify"]), Some(1), "there is no journal yet");
    assert_eq!(code(&["run", "--until-idle"]), Some(0));
    for wrong in
        [&["fly"][..], &["request", "a"], &["--as", "x", "approve", "a"], &["approve", "a/1"], &["--nope"]]
    {
        assert_eq!(code(wrong), Some(2), "{wrong:?}");
    }
    assert_eq!(code(&["status", "a/7"]), Some(1));
    let digest = format!("app@1.0.0={}", Digest::of(b"x"));
    assert_eq!(code(&["--as", "x", "request", "c", &digest]), Some(1));
    // What a log beside it still holds would be read instead of the file.
    for log in ["data/journal.db-wal", "data/journal.db-shm"] {
        if host.path(log).exists() {
            std::fs::remove_file(host.path(log)).unwrap();
        }
    }
    std::fs::write(host.path("data/journal.db"), "no journal".repeat(1000)).unwrap();
    assert_eq!(code(&["verify"]), Some(3));
}

#[test]
fn a_wrong_pipeline_file_is_refused_with_the_line_and_what_is_wrong() {
    let host = Host::with_two_stages();
    let check = |text: &str| {
        std::fs::write(host.path("wrong.yaml"), text).unwrap();
        let outcome = host.call(&["pipeline", "check", "wrong.yaml"]);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        outcome.err
    };
    let policy = "policy: {verification: {unverified: {reason: x}}";
    let misspelt = check(&format!("stages:\n  - name: a\n    command: [x]\n    {policy}, aproval: 1}}\n"));
    assert!(misspelt.contains("aproval") && misspelt.contains("line 4"), "{misspelt}");
    let cycle = check(&format!("stages:\n  - name: a\n    command: [x]\n    {policy}, after: [a]}}\n"));
    assert!(cycle.contains("stages wait for each other: a -> a"), "{cycle}");
}
