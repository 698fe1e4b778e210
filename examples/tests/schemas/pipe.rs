//! What both programs do with lines, whatever stands in them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};

use serde_json::{Value, json};

use crate::program::{answers, batch};

fn ids(lines: &[Value]) -> Vec<&Value> {
    lines.iter().map(|line| &line["id"]).collect()
}

fn verdicts(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["verdict"].as_str().unwrap()).collect()
}

#[test]
fn a_bad_line_is_answered_by_an_error_under_its_id_and_stops_nothing() {
    let good = r#"{"id": 1, "format": "json-schema", "schema": true, "document": null}"#;
    let mut input = Vec::new();
    for bad in [
        &b""[..],
        b"   ",
        b"nonsense",
        b"[1, \"json-schema\"]",
        b"{\"id\": \"cut\", \"format\": ",
        b"{\"id\": \"latin\", \"format\": \"\xe9\"}",
        b"{\"format\": \"json-schema\", \"id\": [7]}",
        b"{\"id\": 1e400, \"format\": \"xml\", \"schema\": true, \"document\": 1}",
    ] {
        input.extend_from_slice(good.as_bytes());
        input.push(b'\n');
        input.extend_from_slice(bad);
        input.push(b'\n');
    }
    input.extend_from_slice(good.as_bytes());
    let outcome = answers("validate", input);
    assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""));
    let answers: Vec<&str> = outcome.out.lines().collect();
    assert!(answers[15].starts_with("{\"id\":1e400,\"verdict\":\"error\""), "{}", answers[15]);
    let whole: Vec<Value> = answers.iter().filter_map(|answer| serde_json::from_str(answer).ok()).collect();
    assert_eq!(whole.len(), 16, "1e400 is beyond what is read here: {}", outcome.out);
    let (null, one) = (json!(null), json!(1));
    let (cut, latin, seven) = (json!("cut"), json!("latin"), json!([7]));
    let expected = [
        &one, &null, &one, &null, &one, &null, &one, &null, &one, &cut, &one, &latin, &one, &seven, &one,
        &one,
    ];
    assert_eq!(ids(&whole), expected);
    for (index, verdict) in verdicts(&whole).into_iter().enumerate() {
        let expected = if index % 2 == 0 || index == 15 { "valid" } else { "error" };
        assert_eq!(verdict, expected, "{}", whole[index]);
    }
    assert!(
        whole.iter().all(|answer| (answer["verdict"] == "error") == answer["message"].is_string()),
        "{whole:?}"
    );
}

#[test]
fn thousands_of_lines_are_answered_in_their_order() {
    let line = |id: usize| {
        // Some take much longer than others.
        let document = vec![id; if id.is_multiple_of(97) { 20_000 } else { 1 }];
        let schema = json!({"items": {"maximum": 4000 + id % 7}});
        format!("{}\n", json!({"id": id, "format": "json-schema", "schema": schema, "document": document}))
    };
    let outcome = answers("validate", (0..5000).map(line).collect::<String>());
    let lines = outcome.lines();
    assert_eq!(lines.len(), 5000);
    for (id, answer) in lines.iter().enumerate() {
        let expected = if id <= 4000 + id % 7 { "valid" } else { "invalid" };
        assert_eq!((&answer["id"], &answer["verdict"]), (&json!(id), &json!(expected)));
    }
}

#[test]
fn a_line_is_answered_before_the_next_one_is_written() {
    for (program, line) in [
        ("validate", json!({"id": 1, "format": "avro", "schema": "int", "document": 1})),
        ("compat", json!({"id": 1, "format": "avro", "mode": "full", "old": "int", "new": "int"})),
    ] {
        let mut child = batch(program);
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        for _ in 0..3 {
            writeln!(stdin, "{line}").unwrap();
            let mut answer = String::new();
            stdout.read_line(&mut answer).unwrap();
            assert!(answer.starts_with("{\"id\":1,\"verdict\":\""), "{answer}");
        }
        drop(stdin);
        assert_eq!(stdout.read_to_end(&mut Vec::new()).unwrap(), 0);
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_line_of_100_mib_is_exhausted_and_one_of_300_an_error() {
    let line = |id: u8, mebibytes: usize| {
        format!(
            "{{\"id\": {id}, \"format\": \"json-schema\", \"schema\": true, \"document\": \"{}\"}}\n",
            "x".repeat(mebibytes << 20)
        )
    };
    let outcome = answers("validate", [line(1, 0), line(2, 100), line(3, 300), line(4, 0)].concat());
    let lines = outcome.lines();
    assert_eq!(ids(&lines), [&json!(1), &json!(2), &json!(3), &json!(4)]);
    assert_eq!(verdicts(&lines), ["valid", "exhausted", "error", "valid"]);
}

#[test]
fn it_ends_well_when_nobody_reads_its_answers_any_more() {
    for program in ["validate", "compat"] {
        let mut child = batch(program);
        drop(child.stdout.take());
        let mut stdin = child.stdin.take().unwrap();
        // Its end closes the pipe, some lines later.
        while stdin.write_all(b"{}\n").is_ok() {}
        assert_eq!(child.wait().unwrap().code(), Some(0), "{program}");
    }
}

#[test]
fn nothing_is_answered_to_nothing() {
    for program in ["validate", "compat"] {
        let outcome = answers(program, "");
        assert_eq!(
            (outcome.code, outcome.out.as_str(), outcome.err.as_str()),
            (Some(0), "", ""),
            "{program}"
        );
    }
}
