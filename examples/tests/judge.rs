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

fn program() -> Command {
    let test = std::env::current_exe().unwrap();
    Command::new(test.ancestors().nth(2).unwrap().join("examples").join("judge"))
}

/// The exit code, and what was answered to each line.
fn run(arguments: &[&str], lines: &[String]) -> (Option<i32>, Vec<Value>) {
    feed(arguments, lines.iter().fold(String::new(), |text, line| text + line + "\n"))
}

/// The same for a text without a last line break.
fn unended(text: &str) -> (Option<i32>, Vec<Value>) {
    feed(&[], text.to_owned())
}

fn feed(arguments: &[&str], text: String) -> (Option<i32>, Vec<Value>) {
    let mut child = program()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("cargo build -p mcp-examples --example judge");
    let mut input = child.stdin.take().unwrap();
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
        "[true,null,null]".to_owned(),
        " \t[null,\"1970-01-01T00:02:30Z\",[]]".to_owned(),
        json!({"reset": true, "at": at}).to_string(),
        json!({"at": "yesterday", "samples": []}).to_string(),
        json!({"at": at}).to_string(),
        json!({"at": at, "samples": [sample(json!(11))]}).to_string(),
        json!({"at": at, "samples": [sample(json!(-1))]}).to_string(),
        json!({"at": at, "samples": [sample(json!(1.5))]}).to_string(),
        json!({"at": at, "samples": [sample(json!(1e300))]}).to_string(),
        json!({"at": at, "samples": [sample(json!(1)), sample(json!(2))]}).to_string(),
        format!(r#"{{"at": "{at}", "samples": [{{"instance": "a", "arm": "canary", "good": NaN, "total": 1}}]}}"#),
        format!(r#"{{"at": "{at}", "samples": [{{"instance": "a", "arm": "canary", "good": 1, "total": 1e999}}]}}"#),
        format!(r#"{{"at": "{at}", "samples": [{{"instance": "a", "arm": "canary", "good": 1, "total": 18446744073709551616}}]}}"#),
        format!(r#"{{"at": "{at}", "at": "{at}", "samples": []}}"#),
        json!({"at": at, "samples": [], "more": 1}).to_string(),
        json!({"at": at, "samples": vec![json!({"instance": "a", "arm": "canary", "good": 0, "total": u64::MAX}); 1],
            "reset": true}).to_string(),
        json!({"at": at, "samples": [{"instance": "a", "arm": "canary", "good": 0, "total": u64::MAX},
            {"instance": "b", "arm": "canary", "good": 0, "total": 1}]}).to_string(),
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

/// An interval that ends at this second, of instances of which each is said to have been counted until some second.
fn counted(second: i64, instances: &[(&str, &str, i64)]) -> String {
    let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
    let samples: Vec<Value> = instances
        .iter()
        .map(|(instance, arm, until)| {
            json!({"instance": instance, "arm": arm, "good": 100, "total": 100, "at": at(*until)})
        })
        .collect();
    json!({"at": at(second), "samples": samples}).to_string()
}

#[test]
fn stale_samples_are_no_data_and_after_five_minutes_of_them_it_is_inconclusive() {
    let with = |second: i64, until: i64| {
        counted(
            second,
            &[
                ("c", "canary", until),
                ("b0", "baseline", until),
                ("b1", "baseline", until),
                ("b2", "baseline", until),
            ],
        )
    };
    // Fresh for two minutes; then a collector that hands out the same old counts; then fresh again.
    let mut lines: Vec<String> = (1..=2).map(|minute| with(minute * 60, minute * 60)).collect();
    lines.extend((3..=9).map(|minute| with(minute * 60, 120)));
    lines.extend((10..=12).map(|minute| with(minute * 60, minute * 60)));
    for judge in ["rank", "count", "guardrail"] {
        let (_, answers) = run(&["--judge", judge], &lines);
        let expected = [vec!["undecided"; 6], vec!["inconclusive"; 3], vec!["undecided"; 3]].concat();
        assert_eq!(verdicts(&answers), expected, "{judge}");
        assert_eq!(answers[8]["evidence"], answers[1]["evidence"], "{judge}: stale samples are no evidence");
    }
}

#[test]
fn a_gap_of_which_nothing_is_known_is_inconclusive_at_once() {
    let known = [("c", "canary", 60), ("b0", "baseline", 60), ("b1", "baseline", 60), ("b2", "baseline", 60)];
    for late in [counted(7200, &[]), counted(7200, &known)] {
        for judge in ["rank", "count", "guardrail"] {
            let (_, answers) = run(&["--judge", judge, "--bake", "0"], &[counted(60, &known), late.clone()]);
            assert_eq!(verdicts(&answers), ["undecided", "inconclusive"], "{judge}: {late}");
        }
    }
}

#[test]
fn without_a_canary_or_without_enough_of_a_baseline_it_becomes_inconclusive() {
    let minutes = |instances: &[(&str, &str)]| -> Vec<String> {
        let at =
            |minute: i64| instances.iter().map(|(name, arm)| (*name, *arm, minute * 60)).collect::<Vec<_>>();
        (1..=6).map(|minute| counted(minute * 60, &at(minute))).collect()
    };
    let baselines = [("b0", "baseline"), ("b1", "baseline"), ("b2", "baseline")];
    let expected = [vec!["undecided"; 4], vec!["inconclusive"; 2]].concat();
    for judge in ["rank", "count", "guardrail"] {
        let (_, answers) = run(&["--judge", judge, "--bake", "0"], &minutes(&baselines));
        assert_eq!(verdicts(&answers), expected, "{judge} without a canary");
    }
    let (_, answers) =
        run(&["--bake", "0"], &minutes(&[("c", "canary"), ("b0", "baseline"), ("b1", "baseline")]));
    assert_eq!(verdicts(&answers), expected, "two baseline instances are too few to be ranked among");
}

#[test]
fn an_instance_may_have_counted_for_both_arms_but_not_twice_for_one() {
    let twice = counted(60, &[("a", "canary", 60), ("b", "baseline", 60), ("b", "baseline", 60)]);
    let both = counted(60, &[("a", "canary", 60), ("a", "baseline", 60)]);
    let (_, answers) = run(&[], &[twice, both]);
    let why = "judge the interval to 1970-01-01T00:01:00.000000Z: instance \"b\" is there twice";
    assert_eq!(answers[0], json!({"error": why}));
    assert_eq!(verdicts(&answers), ["none", "undecided"]);
}

#[test]
fn a_clock_that_goes_back_is_told_and_the_evidence_goes_on_where_it_was() {
    let lines = [interval(5, 60), interval(4, 60), interval(5, 60), interval(6, 60)];
    let (_, answers) = run(&[], &lines);
    let why = |at: &str| {
        format!(
            "judge the interval to {at}: it is not later than 1970-01-01T00:05:00.000000Z, where the last one ended"
        )
    };
    assert_eq!(answers[1]["error"], why("1970-01-01T00:04:00.000000Z"));
    assert_eq!(answers[2]["error"], why("1970-01-01T00:05:00.000000Z"));
    let without = run(&[], &[interval(5, 60), interval(6, 60)]).1;
    assert_eq!([&answers[0], &answers[3]], [&without[0], &without[1]]);
}

#[test]
fn a_line_of_a_hundred_megabytes_is_answered_by_one_short_error_and_the_next_line_counts() {
    let huge = format!(r#"{{"at": "{}"}}"#, "x".repeat(100_000_000));
    let (code, answers) = run(&[], &[interval(1, 5), huge, interval(2, 5)]);
    assert_eq!((code, verdicts(&answers)), (Some(0), vec!["undecided", "none", "undecided"]));
    assert_eq!(answers[1], json!({"error": "read the line: it is longer than 8388608 bytes"}));
    // One that is read, and whose text the error would repeat.
    let long = format!(
        r#"{{"at": "1970-01-01T00:01:00Z", "samples": [{{"instance": "a", "arm": "{}"}}]}}"#,
        "x".repeat(1_000_000)
    );
    let (_, answers) = run(&[], &[long]);
    assert_eq!(answers[0]["error"].as_str().unwrap().chars().count(), 400);
}

#[test]
fn the_last_line_needs_no_end_and_empty_ones_are_answered_too() {
    // The helper puts an end behind the last line: an empty one more here leaves two ends in a row.
    let (code, answers) =
        run(&[], &[interval(1, 5), String::new(), "\r".to_owned(), format!("{}\r", interval(2, 5))]);
    assert_eq!((code, verdicts(&answers)), (Some(0), vec!["undecided", "none", "none", "undecided"]));
    let (code, answers) = unended(&interval(1, 5));
    assert_eq!((code, verdicts(&answers)), (Some(0), vec!["undecided"]));
    assert_eq!(unended(""), (Some(0), Vec::new()));
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
        &["--judge", "guardrail", "--alpha", "0.01"],
        &["--margin", "2", "--judge", "guardrail"],
        &["--unknown"],
        &["stray"],
    ] {
        assert_eq!(run(arguments, &[interval(1, 1)]), (Some(2), Vec::new()), "{arguments:?}");
    }
}

#[test]
fn a_wrong_value_is_told_with_the_option_that_it_was_given_for() {
    for (arguments, told) in [
        (&["--alpha", "2"][..], "--alpha: 2 is not between 0.000001 and 0.5"),
        (&["--margin", "0"], "--margin: 0 is not between 0.000001 and 1000"),
        (&["--bake", "-1"], "--bake: -1 is not between 0 and 1000000"),
        (&["--bake", "soon"], "--bake: \"soon\" is no number"),
        (
            &["--judge", "guardrail", "--alpha", "0.01"],
            "--alpha is not for guardrail, which has none; leave it out",
        ),
        (
            &["--judge", "guardrail", "--margin", "2"],
            "--margin is not for guardrail, which has none; leave it out",
        ),
    ] {
        let output = program().args(arguments).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let expected = format!("read the arguments: {told}");
        assert_eq!((output.status.code(), said.lines().next().unwrap()), (Some(2), expected.as_str()));
    }
}
