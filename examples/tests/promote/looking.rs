//! What shows, previews and explains, and changes nothing.

use serde_json::json;

use crate::commands::{build, release};
use crate::program::Host;

/// The sample, with a release that went to prod and one that was taken back there.
fn lived() -> Host {
    let host = Host::with_the_sample();
    for (version, sick) in [("1.0.0", false), ("2.0.0", true)] {
        let app = build(&host, version, version);
        host.done(&["--as", "alice", "request", "dev", &app]);
        let prod = host.done(&["--as", "alice", "request", "prod", &app]);
        host.done(&["--as", "bob", "approve", &prod]);
        if sick {
            std::fs::write(host.path("data/stages/prod/sick"), "").unwrap();
        }
        host.done(&["run", "--until-idle"]);
    }
    host
}

#[test]
fn a_pipeline_is_shown_as_text_as_mermaid_and_as_svg() {
    let host = Host::with_the_sample();
    assert_eq!(
        host.done(&["pipeline", "show"]),
        "dev\n  rules: unverified\nprod, after dev\n  rules: 1 approval; judge guardrail"
    );
    assert_eq!(
        host.done(&["pipeline", "show", "--mermaid", "pipeline.yaml"]),
        "flowchart LR\n    s0[\"dev<br/>unverified\"]\n    s1[\"prod<br/>1 approval<br/>judge guardrail\"]\n    s0 --> s1"
    );
    let svg = host.done(&["pipeline", "show", "--svg"]);
    assert!(svg.starts_with("<svg ") && svg.contains("Pipeline of 2 stages"), "{svg}");
    assert_eq!(host.done(&["pipeline", "show", "-o", "shown.svg"]), "written to shown.svg");
    assert_eq!(std::fs::read_to_string(host.path("shown.svg")).unwrap().trim_end(), svg);
    host.done(&["pipeline", "show", "--output", "shown.mmd"]);
    assert!(std::fs::read_to_string(host.path("shown.mmd")).unwrap().starts_with("flowchart LR\n"));
    let unknown = host.call(&["pipeline", "show", "-o", "shown.png"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.err.contains("neither in .svg nor in .mmd nor in .txt"), "{unknown:?}");
    let diagram = host.call(&["--json", "pipeline", "show"]).json();
    assert_eq!(diagram["stages"][1]["after"], json!(["dev"]));
    assert!(!host.path("data").exists(), "nothing of that needs a journal");
}

#[test]
fn a_pipeline_is_shown_as_it_stands_now() {
    let host = Host::with_the_sample();
    let app = build(&host, "1.0.0", "one");
    host.done(&["--as", "alice", "request", "dev", &app]);
    host.done(&["run", "--until-idle"]);
    host.done(&["--as", "alice", "request", "prod", &app]);
    assert_eq!(
        host.done(&["pipeline", "show", "--live"]),
        "dev\n  rules: unverified\n  now: runs app@1.0.0\n\
         prod, after dev\n  rules: 1 approval; judge guardrail\n  now: runs nothing; 1 waiting"
    );
    let live = host.call(&["--json", "pipeline", "show", "--live"]).json();
    assert_eq!(live["stages"][1]["live"]["tone"], "busy");
}

#[test]
fn a_preview_says_what_blocks_and_what_would_happen_and_writes_nothing() {
    let host = Host::with_the_sample();
    let app = build(&host, "1.0.0", "one");
    host.done(&["run", "--until-idle"]);
    let unknown = host.call(&["preview", "prod", &app]);
    assert_eq!((unknown.code, unknown.err.contains("--as PERSON")), (Some(2), true), "{unknown:?}");
    let preview = host.done(&["--as", "alice", "preview", "prod", &app]);
    let lines: Vec<&str> = preview.lines().collect();
    assert!(lines[0].starts_with("promote app@1.0.0 in prod for alice, as of "), "{preview}");
    assert_eq!(
        lines[1..],
        [
            "  nothing has succeeded in the stage",
            "  blocked: 1 of 1 approvals are missing; eligible people other than alice can give them",
            "  blocked: the release has not succeeded in dev; promote it there first",
            "  1. one person approves it",
            "  2. everything runs it",
            "  3. judge guardrail looks at windows of 500ms, for at least 3s",
            "  if it fails, it pauses, because nothing ran before",
        ]
    );
    let document = host.call(&["--json", "--as", "alice", "preview", "prod", &app]).json();
    assert_eq!(document["obstacles"][0]["lifted_by"], "approvers");
    assert_eq!(document["obstacles"][1]["lifted_by"], json!({"stage": "dev"}));
    let heads = host.call(&["--json", "verify"]).json();
    let versions: Vec<&serde_json::Value> =
        heads["heads"].as_array().unwrap().iter().map(|head| &head["version"]).collect();
    assert_eq!(versions, [0, 0], "nothing was written");
}

#[test]
fn a_preview_of_a_rollback_names_what_would_come_back() {
    let host = Host::with_two_stages();
    for version in ["1.0.0", "2.0.0"] {
        let app = build(&host, version, version);
        host.done(&["--as", "alice", "request", "a", &app]);
        host.done(&["run", "--until-idle"]);
    }
    let preview = host.done(&["--as", "alice", "preview", "rollback", "a"]);
    assert!(preview.starts_with("roll back to app@1.0.0 in a for alice, as of "), "{preview}");
    assert!(preview.contains("\n  the stage runs app@2.0.0\n  nothing keeps it from starting at once\n"));
    let nothing = host.call(&["--as", "alice", "preview", "rollback", "b"]);
    assert_eq!(nothing.code, Some(1));
    assert_eq!(nothing.err, "promote: roll back stage b: no release ran there before the present one\n");
}

#[test]
fn an_explanation_says_who_approved_how_it_was_judged_and_what_came_back() {
    let host = lived();
    let good = host.call(&["--json", "explain", "prod/1"]).json();
    assert_eq!(good["approved_by"], json!(["bob"]));
    assert_eq!(good["state"], "succeeded");
    assert_eq!(good["verified"]["judged"]["judgement"], json!({"verdict": "pass"}));
    let stage = host.call(&["--json", "explain", "prod"]).json();
    assert_eq!(stage["runs"]["promotion"], "prod/1");
    assert_eq!(stage["came_back_after"]["state"], "rolled_back");
    assert_eq!(stage["came_back_after"]["release"][0]["ref"], "app@2.0.0");
    let text = host.done(&["explain", "prod"]);
    assert!(text.starts_with("it runs app@1.0.0, because prod/1 deploys app@1.0.0\n"), "{text}");
    assert!(text.contains("\n  approved by bob\n"), "{text}");
    assert!(text.contains("that came back after prod/"), "{text}");
    for (target, why) in [("nowhere", "find stage nowhere"), ("prod/999", "find promotion prod/999")] {
        let outcome = host.call(&["explain", target]);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.err.contains(why), "{outcome:?}");
    }
}

#[test]
fn where_there_is_nothing_that_is_said() {
    let host = Host::with_two_stages();
    let app = build(&host, "1.0.0", "one");
    host.done(&["run", "--until-idle"]);
    assert_eq!(host.done(&["obligations"]), "nothing is to be reviewed");
    assert_eq!(host.done(&["plan", "show"]), "no plans");
    host.done(&["--as", "alice", "request", "a", &app]);
    assert_eq!(host.done(&["blockers", "a/1"]), "nothing keeps a/1 from going on, or it has ended");
}

#[test]
fn a_timeline_has_a_line_for_each_event_and_the_same_as_json() {
    let host = lived();
    let rows = host.call(&["--json", "timeline", "dev/1"]).json();
    let told = |field: &str| -> Vec<String> {
        let rows = rows["rows"].as_array().unwrap();
        rows.iter().map(|row| row[field].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(told("kind"), ["requested", "passed", "changed", "applied", "changed", "changed"]);
    let short: String = release("1.0.0", "1.0.0").chars().take("blake3:".len() + 8).collect();
    assert_eq!(
        told("text"),
        [
            "requested by alice: app@1.0.0".to_owned(),
            "may start".to_owned(),
            "pending -> deploying".to_owned(),
            format!("runs {short}"),
            "deploying -> verifying".to_owned(),
            "verifying -> succeeded: unverified: nobody depends on dev".to_owned(),
        ]
    );
    let text = host.done(&["timeline", "dev/1"]);
    for (line, text) in text.lines().zip(told("text")) {
        assert!(line.ends_with(&format!(" dev/1 {text}")), "{line}");
    }
    assert_eq!(text.lines().count(), 6, "{text}");
    let whole = host.done(&["timeline", "prod"]);
    assert!(whole.contains(" lease taken by driver-0"), "{whole}");
}
