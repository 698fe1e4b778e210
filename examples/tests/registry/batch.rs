use std::io::{BufRead as _, BufReader, Write as _};

use mcp_core::Digest;
use serde_json::json;

use crate::program::Host;

const SEED: u64 = 20_261_126;

fn line(number: u64) -> String {
    format!(
        "{}\n",
        json!({"name": format!("n-{}", number % 97), "version": format!("1.0.{number}"), "text": format!("text {number}")})
    )
}

#[test]
fn each_line_has_its_answer_in_order_and_a_bad_one_stops_nothing() {
    let host = Host::new();
    host.write("file", "from a file");
    let input = [
        r#"{"name":"a","version":"1.0.0","text":"one","description":"About it","tags":["t","u"]}"#,
        "nonsense",
        r#"{"name":"a","version":"next:minor","file":"file"}"#,
        r#"{"name":"a","version":"1.0.0","text":"other"}"#,
        r#"{"name":"a","version":"1.0.0","text":"one","description":"About it","tags":["u","t"]}"#,
        r#"{"name":"../a","version":"1.0.0","text":"x"}"#,
        r#"{"name":"a","version":"01.0.0","text":"x"}"#,
        r#"{"name":"a","version":"3.0.0"}"#,
        r#"{"name":"a","version":"3.0.0","text":"x","file":"file"}"#,
        r#"{"name":"a","version":"3.0.0","file":"no-such-file"}"#,
        r#"{"name":"a","version":"3.0.0","text":"x","typo":1}"#,
        "",
        "\"\u{0}\"",
        r#"{"name":"b","version":"next:patch","text":"last"}"#,
    ];
    let outcome = host.batch(input.join("\n"));
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let lines = outcome.lines();
    let shown: Vec<String> = lines
        .iter()
        .map(|line| match &line["error"] {
            serde_json::Value::Null => {
                format!("{} {} {}", line["line"], line["version"].as_str().unwrap(), line["created"])
            }
            error => format!("{} {}", line["line"], error["kind"].as_str().unwrap()),
        })
        .collect();
    let expected = [
        "1 1.0.0 true",
        "2 invalid",
        "3 1.1.0 true",
        "4 conflict",
        "5 1.0.0 false",
        "6 invalid",
        "7 invalid",
        "8 invalid",
        "9 invalid",
        "10 not_found",
        "11 invalid",
        "12 invalid",
        "13 invalid",
        "14 0.1.0 true",
    ];
    assert_eq!(shown, expected);
    let message = |line: usize| lines[line - 1]["error"]["message"].as_str().unwrap();
    assert_eq!(message(2), "line 2: expected ident, at column 2");
    assert!(message(8).starts_with("line 8: a line needs"), "{}", message(8));
    assert!(message(11).starts_with("line 11: unknown field `typo`"), "{}", message(11));
    assert_eq!(lines[3]["error"]["existing"], json!(Digest::of(b"one")));
    assert_eq!(
        host.json(&["resolve", "a@1.0.0"])["metadata"],
        json!({"description": "About it", "tags": ["t", "u"]})
    );
    assert_eq!(host.done(&["get", "a"]), "from a file");
}

#[test]
fn bytes_that_are_no_text_are_one_bad_line() {
    let host = Host::new();
    let outcome = host.batch([b"\xff\xfe\n".as_slice(), line(1).as_bytes()].concat());
    assert_eq!(outcome.code, Some(1));
    let lines = outcome.lines();
    assert_eq!((&lines[0]["error"]["kind"], &lines[1]["created"]), (&json!("invalid"), &json!(true)));
    assert_eq!(host.batch("").code, Some(0));
}

#[test]
fn many_lines_of_few_names_are_published_in_their_order() {
    let host = Host::new();
    let lines: Vec<String> = (0..3_000)
        .map(|number| format!("{}\n", json!({"name": format!("n-{}", number % 3), "version": "next:patch", "text": number.to_string()})))
        .collect();
    let outcome = host.batch(lines.concat());
    assert_eq!(outcome.code, Some(0));
    for (number, answer) in outcome.lines().iter().enumerate() {
        let place = number / 3;
        let version = if place == 0 { "0.1.0".to_owned() } else { format!("0.1.{place}") };
        assert_eq!((&answer["version"], &answer["line"]), (&json!(version), &json!(number + 1)));
    }
    assert_eq!(host.done(&["get", "n-2@0.1.999"]), "2999");
}

#[test]
fn an_answer_comes_before_the_input_ends() {
    let host = Host::new();
    let mut child = host.start_batch();
    let mut stdin = child.stdin.take().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    for number in 0..3 {
        stdin.write_all(line(number).as_bytes()).unwrap();
        assert!(out.next().unwrap().unwrap().contains(&format!("\"1.0.{number}\"")));
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn killed_in_the_middle_every_acknowledged_line_is_there() {
    let host = Host::new();
    let mut acknowledged = 0_u64;
    for round in 0..10_u64 {
        let mut child = host.start_batch();
        let mut stdin = child.stdin.take().unwrap();
        let first = acknowledged;
        let writing = std::thread::spawn(move || {
            // It is killed long before it has read them all; then writing fails.
            (first..first + 100_000).all(|number| stdin.write_all(line(number).as_bytes()).is_ok())
        });
        let digest = Digest::of(&[SEED.to_le_bytes(), round.to_le_bytes()].concat());
        let wanted = 1 + u64::from(digest.as_bytes()[0]) * 4;
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        for _ in 0..wanted {
            assert!(out.next().unwrap().unwrap().contains("\"version\""), "seed {SEED}, round {round}");
            acknowledged += 1;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had said before it died, whole lines of it.
        for text in out.map_while(Result::ok) {
            if text.ends_with('}') {
                acknowledged += 1;
            }
        }
        assert!(!writing.join().unwrap(), "seed {SEED}, round {round}");
        assert_eq!(host.json(&["verify"])["sound"], true, "seed {SEED}, round {round}");
        let versions = host.json(&["stats"])["versions"].as_u64().unwrap();
        assert!(versions >= acknowledged, "seed {SEED}, round {round}: {versions} of {acknowledged}");
    }
    let lines: Vec<String> = (0..acknowledged).map(line).collect();
    let outcome = host.batch(lines.concat());
    assert_eq!(outcome.code, Some(0));
    assert!(outcome.lines().iter().all(|line| line["created"] == false), "seed {SEED}");
}
