//! What people do to a promotion, with a reason.

use serde_json::json;

use mcp_core::Digest;

use crate::commands::build;
use crate::kill::lines;
use crate::program::Host;

/// A stage that is judged for an hour, so that somebody can step in.
const PATIENT: &str = "
stages:
  - name: a
    command: [./stage.sh, a]
    fenced: true
    policy:
      verification:
        judged: {judge: {guardrail: {bake_ms: 3600000, patience_ms: 60000}}, window_ms: 100}
settings: {poll_ms: 50}
";

/// Two artifacts may be under way at once.
const LANES: &str = "
stages:
  - name: a
    command: [./stage.sh, a]
    fenced: true
    policy: {queue: {parallel: 2}, verification: {unverified: {reason: a test}}}
settings: {poll_ms: 50}
";

#[test]
fn a_veto_rejects_after_an_approval_and_tells_why() {
    let host = Host::with_the_sample();
    let app = build(&host, "1.0.0", "one");
    let prod = host.done(&["--as", "alice", "request", "prod", &app]);
    host.done(&["--as", "bob", "approve", &prod]);
    let stranger = host.call(&["--as", "mallory", "veto", &prod, "no"]);
    assert_eq!(stranger.code, Some(1), "{stranger:?}");
    let silent = host.call(&["--as", "carol", "veto", &prod, " "]);
    assert_eq!(
        (silent.code, silent.err.as_str()),
        (Some(1), "promote: veto prod/1 by carol: a veto needs a reason\n")
    );
    assert_eq!(host.done(&["--as", "carol", "veto", &prod, "not on a Friday"]), "veto prod/1: done");
    let status = host.call(&["--json", "status", &prod]).json();
    assert_eq!(status["state"], "rejected");
    assert!(status["reason"].as_str().unwrap().contains("not on a Friday"), "{status}");
    host.done(&["run", "--until-idle"]);
    assert_eq!(host.effects("prod"), []);
}

/// Drives a first release into `a` until it is judged, and pauses it; the driver ends, because only a person can go on.
fn paused(host: &Host) -> String {
    let id = host.done(&["--as", "alice", "request", "a", &build(host, "1.0.0", "one")]);
    let mut driver = host.start(&["run", "--until-idle"]);
    let told = lines(&mut driver);
    while !told.recv().expect("the release is applied").ends_with("verifying") {}
    host.done(&["--as", "bob", "pause", &id, "lunch"]);
    assert_eq!(driver.wait().unwrap().code(), Some(0));
    let status = host.call(&["--json", "status", &id]).json();
    assert_eq!((&status["state"], &status["reason"]), (&json!("paused"), &json!("lunch")));
    id
}

#[test]
fn a_paused_promotion_is_a_success_by_override() {
    let host = Host::with(PATIENT);
    let id = paused(&host);
    let blockers = host.call(&["--json", "blockers", &id]).json();
    assert_eq!(blockers["blockers"][0]["lifted_by"], "operator");
    host.done(&["--as", "bob", "override", &id, "seen by hand"]);
    host.done(&["run", "--until-idle"]);
    assert_eq!(host.state(&id), "succeeded");
    let exceptions = host.call(&["--json", "explain", &id]).json()["exceptions"].clone();
    let deeds: Vec<(&str, &str)> = exceptions
        .as_array()
        .unwrap()
        .iter()
        .map(|deed| (deed["what"].as_str().unwrap(), deed["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(deeds, [("paused", "lunch"), ("overridden", "seen by hand")]);
}

#[test]
fn a_resumed_promotion_goes_on_and_an_aborted_one_takes_back_what_it_brought() {
    let host = Host::with(PATIENT);
    let id = paused(&host);
    host.done(&["--as", "bob", "resume", &id]);
    let mut driver = host.start(&["run", "--until-idle"]);
    let told = lines(&mut driver);
    host.done(&["--as", "bob", "abort", &id, "enough"]);
    while told.recv().is_ok() {}
    assert_eq!(driver.wait().unwrap().code(), Some(0));
    assert_eq!(host.state(&id), "rolled_back");
    let ran: Vec<String> = host.effects("a").into_iter().map(|(_, _, running)| running).collect();
    assert_eq!((ran.len(), ran[1].as_str()), (2, "nothing"), "nothing ran before");
}

#[test]
fn a_broken_glass_starts_without_approval_and_somebody_else_owes_a_review() {
    let host = Host::with_the_sample();
    let app = build(&host, "1.0.0", "one");
    let prod = host.done(&["--as", "alice", "request", "prod", &app]);
    let denied = host.call(&["--as", "alice", "break-glass", &prod, "outage"]);
    assert_eq!(denied.code, Some(1), "{denied:?}");
    assert!(denied.err.contains("break the glass for prod/1 by alice"), "{denied:?}");
    host.done(&["--as", "bob", "break-glass", &prod, "outage"]);
    host.done(&["--as", "alice", "request", "dev", &app]);
    host.done(&["run", "--until-idle"]);
    assert_eq!(host.state(&prod), "succeeded");
    let owed = host.call(&["--json", "obligations"]).json();
    assert_eq!(owed["obligations"][0]["promotion"], "prod/1");
    assert_eq!(owed["obligations"][0]["reason"], "outage");
    assert_eq!(host.call(&["--as", "bob", "review", &prod, "fine"]).code, Some(1), "he broke it");
    host.done(&["--as", "carol", "review", &prod, "it was an outage"]);
    assert_eq!(host.call(&["--json", "obligations"]).json(), json!({"obligations": []}));
    let again = host.call(&["--as", "carol", "review", &prod, "once more"]);
    assert_eq!(again.code, Some(1), "{again:?}");
}

#[test]
fn the_lanes_of_a_parallel_stage_are_driven_shown_and_explained_one_by_one() {
    let host = Host::with(LANES);
    let request = |name: &str| {
        let artifact = format!("{name}@1.0.0={}", Digest::of(name.as_bytes()));
        host.done(&["--as", "alice", "request", "a", &artifact])
    };
    assert_eq!([request("x"), request("y")], ["a/x/1", "a/y/1"]);
    host.done(&["run", "--until-idle"]);
    let status = host.call(&["--json", "status", "a"]).json();
    let lanes: Vec<(&str, &str)> = status["lanes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|lane| (lane["stage"].as_str().unwrap(), lane["current"]["promotion"].as_str().unwrap()))
        .collect();
    assert_eq!(lanes, [("a/x", "a/x/1"), ("a/y", "a/y/1")]);
    assert_eq!([host.effects("a/x").len(), host.effects("a/y").len()], [1, 1]);
    assert_eq!(host.done(&["status", "a"]), "a runs nothing\n  a/x runs x@1.0.0\n  a/y runs y@1.0.0");
    let explained = host.call(&["--json", "explain", "a"]).json();
    assert_eq!(explained["lanes"][1]["explained"]["runs"]["promotion"], "a/y/1");
}

#[test]
fn a_reason_cannot_move_the_cursor_or_begin_a_line_of_its_own() {
    let host = Host::with_two_stages();
    let reason = "a\nb/9 succeeded\u{1b}[2J\u{202e}z";
    host.done(&["--as", "bob", "hold", "a", reason]);
    let told = host.done(&["status", "a"]);
    assert!(told.contains("a\u{fffd}b/9 succeeded\u{fffd}[2J\u{fffd}z"), "{told:?}");
    assert_eq!(told.lines().count(), 2, "{told:?}");
    assert_eq!(host.call(&["--json", "status", "a"]).json()["hold"]["reason"], reason, "as it was given");
    let history = host.done(&["history", "a"]);
    assert_eq!((history.lines().count(), history.contains('\u{1b}')), (1, false), "{history:?}");
}

#[test]
fn a_command_that_lacks_a_word_is_told_which_ones_it_takes() {
    let host = Host::with_two_stages();
    host.done(&["run", "--until-idle"]);
    for (words, told) in [
        (&["veto", "a/1"][..], "veto takes ID REASON, and was given \"a/1\"; put what has spaces in quotes"),
        (&["pause", "a/1", "for", "lunch"], "pause takes ID REASON, and was given \"a/1 for lunch\""),
        (&["run", "now"], "run takes nothing more, and was given \"now\""),
        (&["explain"], "explain takes ID|STAGE, and was given nothing"),
        (&["plan"], "plan is followed by one of submit, preview, show, history, wait, cancel, pause"),
        (&["plan", "fly"], "plan is followed by one of submit,"),
        (&["pipeline"], "pipeline is followed by one of check, show; see --help"),
        (&["fly"], "no such command: \"fly\"; see --help"),
        (&[], "no command; see --help"),
        (&["plan", "show", "7"], "read \"7\" as id"),
        (&["plan", "preview", "none.yaml"], "read the plan file none.yaml: No such file"),
    ] {
        let outcome = host.call(words);
        assert_eq!(outcome.code, Some(2), "{words:?}: {outcome:?}");
        assert!(outcome.err.contains(told), "{words:?}: {outcome:?}");
        let document = host.call(&[&["--json"], words].concat()).json();
        assert_eq!(document["error"]["code"], 2, "{document}");
    }
}

#[test]
fn what_only_a_program_of_ones_own_could_give_is_refused_with_the_file() {
    let host = Host::with_two_stages();
    for (policy, told) in [
        ("approvals: 1", "stage a: it asks for approvals, and the file has no roles; say there who votes"),
        ("gates: [scan]", "stage a: it asks for gate scan, and this program has no gates; take it out"),
    ] {
        let text = format!(
            "stages: [{{name: a, command: [x], policy: {{{policy}, verification: {{unverified: {{reason: x}}}}}}}}]"
        );
        std::fs::write(host.path("wrong.yaml"), text).unwrap();
        let outcome = host.call(&["pipeline", "check", "wrong.yaml"]);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.err.contains(told), "{outcome:?}");
    }
}
