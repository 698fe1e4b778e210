//! The program that judges a release from JSON lines, as a child process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use std::io::Write;
use std::process::{Command, Stdio};

use mcp_core::Timestamp;
use serde_json::{Value, json};

/// The exit code, and what was answered to each line.
fn run(arguments: &[&str], lines: &[String]) -> (Option<i32>, Vec<Value>) {
    let test = std::env::current_exe().unwrap();
    let mut child = Command::new(test.ancestors().nth(2).unwrap().join("examples").join("judge"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("cargo build -p mcp-examples --example judge");
    let mut input = child.stdin.take().unwrap();
    let text = lines.iter().fold(String::new(), |text, line| text + line + "\n");
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // A program that ends at wrong arguments reads nothing.
    if output.status.success() {
        writer.join().unwrap().unwrap();
    }
    let answers = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// One interval: the canary with so many failures of 1,000, beside 19 baseline instances with 3 to 7.
fn interval(minute: u64, bad: u64) -> String {
    let at = Timestamp::from_micros(i64::try_from(minute * 60_000_000).unwrap());
    let mut samples = vec![json!({"instance": "c", "arm": "canary", "good": 1000 - bad, "total": 1000})];
    samples.extend((0..19).map(|n| {
        json!({"instance": format!("b{n}"), "arm": "baseline", "good": 1000 - 3 - (n + minute) % 5, "total": 1000})
    }));
    json!({"at": at, "samples": samples}).to_string()
}

fn verdicts(answers: &[Value]) -> Vec<&str> {
    answers.iter().map(|answer| answer["verdict"].as_str().unwrap_or("none")).collect()
}

#[test]
fn each_judge_passes_a_release_that_is_no_worse_at_the_end_of_its_bake_time() {
    let lines: Vec<String> = (1..=10).map(|minute| interval(minute, 5)).collect();
    for judge in ["rank", "count", "guardrail"] {
        let (code, answers) = run(&["--judge", judge, "--bake", "8"], &lines);
        let expected = [vec!["undecided"; 7], vec!["pass"; 3]].concat();
        assert_eq!((code, verdicts(&answers)), (Some(0), expected), "{judge}");
    }
}

#[test]
fn each_judge_fails_a_release_that_is_much_worse_and_never_takes_it_back_before_a_reset() {
    let mut lines: Vec<String> = (1..=6).map(|minute| interval(minute, 60)).collect();
    lines.extend((7..=20).map(|minute| interval(minute, 3)));
    lines.push(json!({"reset": true}).to_string());
    lines.push(interval(1, 5));
    for judge in ["rank", "count", "guardrail"] {
        let (_, answers) = run(&["--judge", judge, "--bake", "15"], &lines);
        let said = verdicts(&answers);
        assert!(said[5..20].iter().all(|verdict| *verdict == "fail"), "{judge}: {said:?}");
        assert_eq!((&answers[20], said[21]), (&json!({"reset": true}), "undecided"), "{judge}");
    }
}

#[test]
fn evidence_reaches_one_divided_by_alpha_when_the_rank_judge_fails() {
    let lines: Vec<String> = (1..=6).map(|minute| interval(minute, 60)).collect();
    for (alpha, enough) in [("0.01", 100.0), ("0.0001", 10_000.0)] {
        let (_, answers) = run(&["--alpha", alpha], &lines);
        let failed: Vec<bool> =
            answers.iter().map(|answer| answer["evidence"].as_f64().unwrap() >= enough).collect();
        let said: Vec<bool> = verdicts(&answers).iter().map(|verdict| *verdict == "fail").collect();
        assert_eq!(failed, said, "{answers:?}");
        assert!(said.contains(&false) && said.contains(&true), "{answers:?}");
    }
}

#[test]
fn a_margin_excuses_what_is_within_it() {
    let lines: Vec<String> = (1..=6).map(|minute| interval(minute, 10)).collect();
    let last = |margin: &str| verdicts(&run(&["--margin", margin], &lines).1).pop().unwrap().to_owned();
    assert_eq!([last("1"), last("4")], ["fail", "undecided"]);
}

#[test]
fn every_bad_line_is_answered_by_an_error_and_changes_nothing() {
    let sample = |good: Value| json!({"instance": "a", "arm": "canary", "good": good, "total": 10});
    let at = "1970-01-01T00:02:30Z";
    let bad = [
        String::new(),
        "{".to_owned(),
        "7".to_owned(),
        "{}".to_owned(),
        "\u{0}".to_owned(),
        "[".repeat(100_000),
        json!({"reset": false}).to_string(),
        json!({"reset": true, "at": at}).to_string(),
        json!({"at": "yesterday", "samples": []}).to_string(),
        json!({"at": at}).to_string(),
        json!({"at": at, "samples": [sample(json!(11))]}).to_string(),
        json!({"at": at, "samples": [sample(json!(-1))]}).to_string(),
        json!({"at": at, "samples": [sample(json!(1.5))]}).to_string(),
        json!({"at": at, "samples": [sample(json!(1e300))]}).to_string(),
        json!({"at": at, "samples": [sample(json!(1)), sample(json!(2))]}).to_string(),
        json!({"at": at, "samples": [{"instance": "a", "arm": "both", "good": 1, "total": 1}]}).to_string(),
        interval(1, 60),
        interval(2, 60),
    ];
    let good: Vec<String> = (1..=6).map(|minute| interval(minute, 60)).collect();
    let lines: Vec<String> = [&good[..2], &bad, &good[2..]].concat();
    let (code, answers) = run(&[], &lines);
    let errors: Vec<bool> = answers.iter().map(|answer| answer["error"].is_string()).collect();
    assert_eq!((code, errors), (Some(0), [vec![false; 2], vec![true; bad.len()], vec![false; 4]].concat()));
    let without = [&answers[..2], &answers[2 + bad.len()..]].concat();
    assert_eq!(without, run(&[], &good).1);
}

#[test]
fn intervals_without_data_become_inconclusive_and_never_pass() {
    let empty = |minute: u64| json!({"at": Timestamp::from_micros(i64::try_from(minute * 60_000_000).unwrap()), "samples": []});
    let lines: Vec<String> = (1..=40).map(|minute| empty(minute).to_string()).collect();
    for judge in ["rank", "count", "guardrail"] {
        let (_, answers) = run(&["--judge", judge, "--bake", "0"], &lines);
        let expected = [vec!["undecided"; 4], vec!["inconclusive"; 36]].concat();
        assert_eq!(verdicts(&answers), expected, "{judge}");
    }
}

#[test]
fn wrong_usage_ends_with_2_and_answers_nothing() {
    for arguments in [
        &["--judge", "oracle"][..],
        &["--alpha", "0"],
        &["--alpha", "0.6"],
        &["--alpha", "NaN"],
        &["--margin", "-1"],
        &["--bake", "soon"],
        &["--bake", "-1"],
        &["--bake"],
        &["--unknown"],
        &["stray"],
    ] {
        assert_eq!(run(arguments, &[interval(1, 1)]), (Some(2), Vec::new()), "{arguments:?}");
    }
}
