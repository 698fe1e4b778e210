//! What is not there, is damaged or is too much to ask for, and how that is told.

use serde_json::json;

use mcp_promotion::SqliteJournal;

use crate::commands::build;
use crate::program::Host;

#[test]
fn a_question_makes_no_journal_and_is_not_answered_from_an_empty_file() {
    let host = Host::with_two_stages();
    let questions: [&[&str]; 6] = [
        &["status"],
        &["verify"],
        &["checkpoint"],
        &["plan", "show"],
        &["pipeline", "show", "--live"],
        &["--as", "alice", "approve", "a/1"],
    ];
    let ask = |why: &str| {
        for question in questions {
            let outcome = host.call(question);
            let name =
                question.join(" ").replace("--as alice ", "").replace(" --live", "").replace(" a/1", "");
            let told = format!(
                "promote: {name}: open the journal data/journal.db: {why}; say with --data where it is, or restore it; request, hold, run, plan \
                 submit make a new one\n"
            );
            assert_eq!((outcome.code, outcome.err, outcome.out), (Some(1), told, String::new()));
        }
    };
    ask("No such file or directory (os error 2)");
    assert!(!host.path("data").exists());
    std::fs::create_dir(host.path("data")).unwrap();
    std::fs::write(host.path("data/journal.db"), "").unwrap();
    ask("the file is empty, and never was a journal or has lost it");
    assert_eq!(std::fs::metadata(host.path("data/journal.db")).unwrap().len(), 0);
    assert_eq!(host.done(&["--as", "alice", "request", "a", &build(&host, "1.0.0", "one")]), "a/1");
    assert_eq!(host.call(&["--json", "verify"]).json()["heads"][0]["version"], 1);
}

/// Makes the column `bytes` of an event TEXT, in the file of a journal that nobody has open.
fn as_text(host: &Host, stream: &str, position: u8) {
    let path = host.path("data/journal.db");
    // Its last handle brings the log into the file.
    drop(SqliteJournal::open(&path).unwrap());
    while host.path("data/journal.db-wal").exists() {
        std::thread::yield_now();
    }
    let mut file = std::fs::read(&path).unwrap();
    let key = [stream.as_bytes(), &[position]].concat();
    let places: Vec<usize> = (1..file.len())
        .filter(|at| file[*at..].starts_with(&key) && file[at - 1].is_multiple_of(2))
        .collect();
    assert_eq!(places.len(), 1, "one row has this key");
    // The type of a cell stands right before the first one: of a BLOB it is even, of a TEXT of this length one more.
    file[places[0] - 1] += 1;
    std::fs::write(&path, file).unwrap();
}

#[test]
fn a_verification_tells_every_cause_and_does_not_advise_to_verify() {
    let host = Host::with_two_stages();
    host.done(&["--as", "alice", "request", "a", &build(&host, "1.0.0", "one")]);
    host.done(&["run", "--until-idle"]);
    as_text(&host, "stage/a", 2);
    for command in ["verify", "checkpoint"] {
        let outcome = host.call(&[command]);
        assert_eq!(outcome.code, Some(3), "{outcome:?}");
        let begin = "promote: verify the journal: read event 2 of stream stage/a: read stream stage/a of the journal: Invalid column type Text";
        assert!(outcome.err.starts_with(begin), "{outcome:?}");
        assert!(outcome.err.ends_with("; restore it from a copy that is sound\n"), "{outcome:?}");
    }
}

#[test]
fn a_pipeline_that_asks_for_more_people_than_there_are_or_for_a_command_that_is_not_there_is_faulty() {
    let host = Host::with_two_stages();
    let roles = "roles: {people: {alice: [dev], bob: [ops], carol: [ops, sec]}, voters: [ops], levels: {lead: [ops], late: [sec]}}";
    let check = |policy: &str, command: &str| {
        let text = format!(
            "stages: [{{name: a, command: [{command}], policy: {{{policy}, verification: {{unverified: {{reason: x}}}}}}}}]\n{roles}\n"
        );
        std::fs::write(host.path("checked.yaml"), text).unwrap();
        let outcome = host.call(&["pipeline", "check", "checked.yaml"]);
        (outcome.code, outcome.err)
    };
    let fine = (Some(0), String::new());
    assert_eq!(check("approvals: 2", "./stage.sh"), fine);
    assert_eq!(check("levels: [{name: lead, quorum: 1}, {name: late, quorum: 1}]", "stage.sh"), fine);
    let faulty = |told: &str| {
        (
            Some(2),
            format!(
                "promote: check the pipeline file checked.yaml: stage a: {told}; name more people there, or ask for fewer\n"
            ),
        )
    };
    for (policy, told) in [
        ("approvals: 3", "it asks for 3 approvals, and by the roles only 2 people may give them: bob, carol"),
        (
            "levels: [{name: late, quorum: 2}]",
            "level late asks for 2 approvals, and by the roles only carol may give them",
        ),
        (
            "levels: [{name: none, quorum: 1}]",
            "level none asks for 1 approvals, and by the roles nobody may give them",
        ),
        (
            "levels: [{name: lead, quorum: 1, groups: {dev: 1}}]",
            "group dev of level lead asks for 1 approvals, and by the roles nobody may give them",
        ),
        (
            "levels: [{name: lead, quorum: 2}, {name: late, quorum: 1}]",
            "its levels ask for 3 approvals, one by each person, and by the roles only 2 people may give them: bob, carol",
        ),
    ] {
        assert_eq!(check(policy, "sh"), faulty(told), "{policy}");
    }
    let (code, told) = check("approvals: 0", "./scripts/none.sh");
    let place = host.path("").canonicalize().unwrap().join("./scripts/none.sh");
    let begin = format!(
        "promote: check the pipeline file checked.yaml: stage a: its command ./scripts/none.sh is no file, looked for at {}; put it there",
        place.display()
    );
    assert_eq!((code, told.starts_with(&begin)), (Some(2), true), "{told}");
}

#[test]
fn who_may_not_vote_is_told_who_may() {
    let host = Host::with_the_sample();
    let prod = host.done(&["--as", "alice", "request", "prod", &build(&host, "1.0.0", "one")]);
    for vote in ["approve", "reject"] {
        let outcome = host.call(&["--as", "mallory", vote, &prod]);
        let told = format!(
            "promote: {vote} prod/1 by mallory: the authorizer does not count them among those who may: bob, carol\n"
        );
        assert_eq!((outcome.code, outcome.err), (Some(1), told));
    }
}

#[test]
fn where_nobody_knows_what_runs_the_status_says_so() {
    let host = Host::with(
        "
stages:
  - name: a
    command: [sh, fail.sh]
    fenced: true
    policy: {verification: {unverified: {reason: a test}}, calls: {attempts: 1, backoff_ms: 1}}
settings: {poll_ms: 50}
",
    );
    std::fs::write(host.path("fail.sh"), "if [ \"$1\" = observe ]; then echo strange; else exit 1; fi\n")
        .unwrap();
    let id = host.done(&["--as", "alice", "request", "a", &build(&host, "1.0.0", "one")]);
    host.done(&["run", "--until-idle"]);
    if host.state(&id) == "paused" {
        host.done(&["--as", "bob", "abort", &id, "enough"]);
        host.done(&["run", "--until-idle"]);
    }
    assert_eq!(host.state(&id), "stuck");
    assert_eq!(host.call(&["--json", "status", "a"]).json()["unsettled"], false);
    host.done(&["--as", "bob", "acknowledge", &id, "looked at by hand"]);
    let status = host.call(&["--json", "status", "a"]).json();
    assert_eq!((&status["unsettled"], &status["current"]), (&json!(true), &json!(null)));
    assert_eq!(
        host.done(&["status", "a"]),
        "a runs nothing, or something else: a failure was acknowledged, and nothing has succeeded since; not known what runs"
    );
}
