//! Release plans on the command line: submitted, looked at, stopped, taken back, and driven on after a kill.

use serde_json::{Value, json};

use mcp_core::Digest;
use mcp_promotion::Release;

use crate::kill::{SEED, kill, rounds};
use crate::program::Host;

const NAMES: [&str; 3] = ["auth", "billing", "web"];

/// Three stages, of which the last one needs an approval.
const FLEET: &str = "
stages:
  - name: auth
    command: [./stage.sh, auth]
    fenced: true
    policy: {verification: {unverified: {reason: a test}}, calls: {attempts: 20, backoff_ms: 20}}
  - name: billing
    command: [./stage.sh, billing]
    fenced: true
    policy: {verification: {unverified: {reason: a test}}, calls: {attempts: 20, backoff_ms: 20}}
  - name: web
    command: [./stage.sh, web]
    fenced: true
    policy: {approvals: 1, verification: {unverified: {reason: a test}}, calls: {attempts: 20, backoff_ms: 20}}
roles: {people: {alice: [planners], bob: [operators]}, voters: [operators], operators: [operators, planners]}
settings: {lease_ms: 1000, poll_ms: 50}
";

/// `auth@1.7.0=blake3:...`.
fn artifact(name: &str, minor: u64) -> String {
    let reference = format!("{name}@1.{minor}.0");
    format!("{reference}={}", Digest::of(reference.as_bytes()))
}

/// What the log of a stage says that runs this version.
fn running(name: &str, minor: u64) -> String {
    let reference = format!("{name}@1.{minor}.0");
    let release = Release::of([(reference.as_str(), Digest::of(reference.as_bytes()))]).unwrap();
    format!("running {}", release.digest())
}

/// From one minor version to another: `web` needs the new `billing`, and that the new `auth`.
fn plan(from: u64, to: u64) -> Value {
    let item = |place: usize| {
        let needs: Vec<Value> = place
            .checked_sub(1)
            .map(|before| json!({"name": NAMES[before], "version": format!(">=1.{to}.0")}))
            .into_iter()
            .collect();
        json!({
            "stage": NAMES[place],
            "artifact": artifact(NAMES[place], to),
            "from": format!("1.{from}.0"),
            "needs": needs,
        })
    };
    json!({"items": [item(2), item(0), item(1)]})
}

/// Version 1.0 runs everywhere.
fn fleet() -> Host {
    let host = Host::with(FLEET);
    for name in NAMES {
        let id = host.done(&["--as", "alice", "request", name, &artifact(name, 0)]);
        if name == "web" {
            host.done(&["--as", "bob", "approve", &id]);
        }
    }
    host.done(&["run", "--until-idle"]);
    host
}

fn submit(host: &Host, plan: &Value) -> String {
    std::fs::write(host.path("plan.json"), plan.to_string()).unwrap();
    host.done(&["--as", "alice", "plan", "submit", "plan.json"])
}

fn show(host: &Host, id: &str) -> Value {
    host.call(&["--json", "plan", "show", id]).json()
}

fn parts(shown: &Value) -> [&str; 3] {
    NAMES.map(|name| shown["parts"][name]["state"].as_str().unwrap())
}

/// The promotion that a person keeps from going on.
fn blocked(shown: &Value) -> String {
    assert_eq!(shown["blocked"].as_array().unwrap().len(), 1, "{shown}");
    shown["blocked"][0]["promotion"].as_str().unwrap().to_owned()
}

fn ran(host: &Host, stage: &str) -> Vec<String> {
    host.effects(stage).into_iter().map(|(_, _, running)| running).collect()
}

/// What happened, without the times and the numbers of promotions.
fn history(host: &Host, id: &str) -> Vec<String> {
    let told = host.done(&["plan", "history", id]);
    let line = |line: &str| {
        let (_at, what) = line.split_once(' ').unwrap();
        what.split('/').next().unwrap().to_owned()
    };
    told.lines().map(line).collect()
}

#[test]
fn a_plan_goes_wave_by_wave_and_waits_for_the_approval_that_its_last_stage_needs() {
    let host = fleet();
    let id = submit(&host, &plan(0, 1));
    let before = show(&host, &id);
    assert_eq!((&before["state"], parts(&before)), (&json!("running"), ["waiting"; 3]));
    assert_eq!(before["waves"], json!([[["auth"]], [["billing"]], [["web"]]]));
    let told = host.done(&["run", "--until-idle"]);
    let steps: Vec<&str> = told
        .lines()
        .filter_map(|line| line.split_once(&format!(" plan/{id} "))?.1.split(':').next())
        .collect();
    assert_eq!(steps, ["auth asked", "auth done", "billing asked", "billing done", "web asked"], "{told}");
    let shown = show(&host, &id);
    assert_eq!(shown, show(&host, &format!("plan/{id}")), "as `run` calls it");
    assert_eq!((parts(&shown), &shown["done"]), (["done", "done", "asked"], &json!(["auth", "billing"])));
    assert_eq!(shown["blocked"][0]["blockers"][0]["lifted_by"], "approvers");
    let web = blocked(&shown);
    let text = host.done(&["plan", "show", &id]);
    let expected = [
        "  wave 1".to_owned(),
        "    auth    auth@1.0.0 -> auth@1.1.0: done".to_owned(),
        "  wave 2".to_owned(),
        "    billing billing@1.0.0 -> billing@1.1.0: done".to_owned(),
        "  wave 3".to_owned(),
        "    web     web@1.0.0 -> web@1.1.0: asked".to_owned(),
        format!(
            "  {web} is blocked: 1 of 1 approvals are missing; eligible people other than alice can give them"
        ),
    ];
    let lines: Vec<&str> = text.lines().map(|line| line.split(" (").next().unwrap()).collect();
    assert!(lines[0].starts_with(&format!("{id} of alice at ")), "{text}");
    assert!(lines[0].ends_with(", 2 of 3 stages done, is running"), "{text}");
    assert_eq!(lines[1..], expected, "{text}");
    assert_eq!(host.call(&["--as", "alice", "approve", &web]).code, Some(1), "the plan is hers");
    host.done(&["--as", "bob", "approve", &web]);
    host.done(&["run", "--until-idle"]);
    assert_eq!(host.done(&["plan", "wait", &id]), format!("{id} is succeeded"));
    for name in NAMES {
        assert_eq!(ran(&host, name), [running(name, 0), running(name, 1)], "{name}");
    }
    let all = host.call(&["--json", "plan", "show"]).json();
    assert_eq!((&all["plans"][0]["plan"], &all["plans"][0]["state"]), (&json!(id), &json!("succeeded")));
}

#[test]
fn a_paused_plan_withdraws_what_waits_and_an_aborted_one_takes_back_what_it_did_in_reverse() {
    let host = fleet();
    let id = submit(&host, &plan(0, 1));
    host.done(&["run", "--until-idle"]);
    let web = blocked(&show(&host, &id));
    assert_eq!(host.call(&["plan", "pause", &id, "lunch"]).code, Some(2), "nobody says who");
    host.done(&["--as", "bob", "plan", "pause", &id, "lunch"]);
    host.done(&["run", "--until-idle"]);
    let shown = show(&host, &id);
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("halted"), &json!("lunch")));
    assert_eq!(host.state(&web), "cancelled");
    let late = host.call(&["--as", "bob", "plan", "cancel", &id]);
    assert_eq!(late.code, Some(1), "{late:?}");
    host.done(&["--as", "bob", "plan", "resume", &id]);
    host.done(&["run", "--until-idle"]);
    assert_ne!(blocked(&show(&host, &id)), web, "a new promotion");
    host.done(&["--as", "bob", "plan", "abort", &id, "not today"]);
    host.done(&["run", "--until-idle"]);
    assert_eq!(show(&host, &id)["state"], "rolled_back");
    for name in ["auth", "billing"] {
        assert_eq!(ran(&host, name), [running(name, 0), running(name, 1), running(name, 0)], "{name}");
    }
    assert_eq!(ran(&host, "web"), [running("web", 0)]);
    assert_eq!(
        history(&host, &id)[8..],
        [
            "halted -> running by bob: resumed",
            "web",
            "running -> rolling_back by bob: not today",
            "web withdrawn",
            "rollback billing",
            "rollback of billing succeeded, as before the plan",
            "rollback auth",
            "rollback of auth succeeded, as before the plan",
            "rolling_back -> rolled_back: not today",
        ]
    );
}

#[test]
fn a_plan_is_previewed_and_what_cannot_be_is_refused_with_both_needs() {
    let host = fleet();
    std::fs::write(host.path("plan.json"), plan(0, 1).to_string()).unwrap();
    assert_eq!(
        host.done(&["plan", "preview", "plan.json"]),
        "wave 1: auth\nwave 2: billing\nwave 3: web\n  \
         auth before billing: billing 1.1.0 needs auth >=1.1.0, which is 1.0.0\n  \
         billing before web: web 1.1.0 needs billing >=1.1.0, which is 1.0.0\n\
         if a part fails: web, then billing, then auth"
    );
    let preview = host.call(&["--json", "plan", "preview", "plan.json"]).json();
    assert_eq!(preview["rollback"], json!([[["web"]], [["billing"]], [["auth"]]]));
    let mut impossible = plan(0, 1);
    impossible["items"][1]["needs"] = json!([{"name": "web", "version": ">=1.1.0"}]);
    std::fs::write(host.path("plan.json"), impossible.to_string()).unwrap();
    for command in [&["plan", "preview", "plan.json"][..], &["--as", "alice", "plan", "submit", "plan.json"]]
    {
        let refused = host.call(command);
        assert_eq!(
            (refused.code, refused.err.as_str()),
            (
                Some(1),
                "promote: plan the release: no order satisfies both: auth 1.1.0 needs web >=1.1.0, which is 1.0.0, which others of the \
                 group lead back to, and billing 1.1.0 needs auth >=1.1.0, which is 1.0.0\n"
            )
        );
    }
    assert_eq!(host.call(&["--json", "plan", "show"]).json(), json!({"plans": []}), "nothing was written");
}

#[test]
fn a_plan_file_in_yaml_finds_its_artifacts_beside_it_and_tells_the_line_of_a_mistake() {
    let host = fleet();
    std::fs::create_dir(host.path("plans")).unwrap();
    std::fs::write(host.path("plans/auth.tar"), "the new one").unwrap();
    let text =
        "items:\n  - stage: auth\n    artifact: auth@1.1.0=auth.tar\n    from: 1.0.0\non_failure: halt\n";
    std::fs::write(host.path("plans/plan.yaml"), text).unwrap();
    let ask = |text: &str| {
        std::fs::write(host.path("plans/plan.yaml"), text).unwrap();
        host.call(&["--as", "alice", "--request-id", "build-7", "plan", "submit", "plans/plan.yaml"])
    };
    let (first, again) = (ask(text), ask(text));
    assert_eq!((first.code, &first.out), (Some(0), &again.out), "one request, one plan");
    let other = ask(&text.replace("halt", "roll_back"));
    assert_eq!(other.code, Some(1), "{other:?}");
    let shown = show(&host, first.out.trim_end());
    assert_eq!(shown["parts"]["auth"]["release"][0]["digest"], Digest::of(b"the new one").to_string());
    for (wrong, told) in [
        (text.replace("from", "form"), "line 4 column 5: unknown field `form`"),
        (text.replace("auth.tar", "none.tar"), "read the artifact plans/none.tar: No such file"),
        (text.replace("auth@1.1.0=auth.tar", "7"), "an artifact is REF=FILE, REF=DIGEST, or an object"),
        (text.replace("halt", "hope"), "unknown variant `hope`"),
    ] {
        let refused = ask(&wrong);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.err.starts_with("promote: read the plan file plans/plan.yaml: "), "{refused:?}");
        assert!(refused.err.contains(told), "{refused:?}");
    }
}

/// Drivers are killed while a plan goes forward, and while it goes on or back after the vote in its last stage.
#[test]
fn killed_in_a_loop_a_plan_is_finished_by_the_next_run_and_no_effect_is_lost_or_repeated() {
    let host = fleet();
    let (mut now, mut wanted) = (0, NAMES.map(|name| vec![running(name, 0)]));
    let drive = |round: u64, part: u64| {
        for number in 0..2 {
            kill(&mut host.start(&["run", "--until-idle"]), 2000 + 10 * round + 2 * part + number);
        }
        host.done(&["run", "--until-idle"]);
    };
    for round in 0..rounds().div_ceil(5) {
        let to = round + 1;
        let id = submit(&host, &plan(now, to));
        drive(round, 0);
        let web = blocked(&show(&host, &id));
        let succeeds = round % 2 == 0;
        match succeeds {
            true => host.done(&["--as", "bob", "approve", &web]),
            false => host.done(&["--as", "bob", "veto", &web, "no"]),
        };
        drive(round, 1);
        let expected = if succeeds { "succeeded" } else { "rolled_back" };
        assert_eq!(show(&host, &id)["state"], expected, "seed {SEED}, round {round}");
        for (name, wanted) in NAMES.iter().zip(&mut wanted) {
            if succeeds {
                wanted.push(running(name, to));
            } else if *name != "web" {
                wanted.extend([running(name, to), running(name, now)]);
            }
        }
        let ended: Vec<String> =
            history(&host, &id).into_iter().filter(|line| line.contains("succeeded")).collect();
        let forward = ["auth succeeded", "billing succeeded"];
        let end: &[&str] = if succeeds {
            &["web succeeded", "running -> succeeded"]
        } else {
            &[
                "rollback of billing succeeded, as before the plan",
                "rollback of auth succeeded, as before the plan",
            ]
        };
        assert_eq!(ended, [&forward, end].concat(), "seed {SEED}, round {round}");
        if succeeds {
            now = to;
        }
    }
    for (name, wanted) in NAMES.iter().zip(&wanted) {
        assert_eq!(ran(&host, name), *wanted, "seed {SEED}: {name}");
        assert!(host.effects(name).is_sorted_by_key(|(fence, ..)| *fence), "seed {SEED}: {name}");
    }
    assert_eq!(host.call(&["--json", "verify"]).json()["sound"], true, "seed {SEED}");
}
