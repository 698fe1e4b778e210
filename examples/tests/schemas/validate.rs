//! `validate` with files.

use serde_json::json;

use crate::program::Folder;

const SCHEMA: &[u8] = br#"{"type": "object", "required": ["id"], "properties": {"n": {"type": "integer"}}}"#;

fn folder() -> Folder {
    Folder::with(&[
        ("order.schema.json", SCHEMA),
        ("good.json", br#"{"id": 1, "n": 2}"#),
        ("bad.json", br#"{"n": "x"}"#),
        (
            "rules.yaml",
            b"- name: odd\n  message: an even number\n  check:\n    cel:\n      expression: doc.n % 2 == 1\n",
        ),
        ("rules.json", br#"[{"name": "few", "check": {"range": {"path": "/n", "maximum": 1}}}]"#),
        (
            "union.avsc",
            br#"["null", {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}]"#,
        ),
        ("datum", b"\x02\x02"),
        ("datum.json", br#"{"R": {"a": 1}}"#),
        ("plain.json", br#"{"a": 1}"#),
        ("m.proto", b"syntax = \"proto3\"; import \"other.proto\"; message M { Other o = 1; }"),
        ("o.proto", b"syntax = \"proto3\"; message Other { int32 n = 1; }"),
        ("message", b"\x0a\x02\x08\x01"),
        ("message.json", br#"{"o": {"n": "x"}}"#),
    ])
}

#[test]
fn each_file_is_told_valid_or_what_is_wrong_with_it() {
    let folder = folder();
    let call = |arguments: &[&str]| {
        let outcome = folder.call(
            "validate",
            &[&["--format", "json-schema", "--schema", "order.schema.json"], arguments].concat(),
        );
        (outcome.code, outcome.out, outcome.err)
    };
    let good = (Some(0), "good.json: valid\n".to_owned(), String::new());
    assert_eq!(call(&["good.json"]), good);
    let (code, out, err) = call(&["good.json", "bad.json"]);
    assert_eq!((code, err.as_str()), (Some(1), ""));
    let expected = "good.json: valid\nbad.json: invalid: 2 errors\n\
        error schema.required (document): \"id\" is a required property\n\
        error schema.type /n: value is not of type \"integer\"\n";
    assert_eq!(out, expected);
    let (code, out, _) = call(&["bad.json", "gone.json"]);
    assert_eq!(code, Some(2));
    assert!(out.contains("bad.json: invalid") && out.contains("gone.json: error: read gone.json: "), "{out}");
    let (code, out, _) = call(&["--rules", "rules.yaml", "good.json"]);
    assert_eq!(
        (code, out.as_str()),
        (Some(1), "good.json: invalid: 1 error\nerror rule.odd (document): an even number\n")
    );
    let (code, out, _) = call(&["--rules", "rules.json", "good.json"]);
    assert_eq!(
        (code, out.as_str()),
        (Some(1), "good.json: invalid: 1 error\nerror rule.few /n: expected at most 1\n")
    );
}

#[test]
fn as_json_there_is_one_object_for_each_file() {
    let outcome = folder()
        .call("validate", &["--json", "--schema", "order.schema.json", "good.json", "bad.json", "gone.json"]);
    let lines = outcome.lines();
    let verdicts: Vec<_> = lines.iter().map(|line| (&line["file"], &line["verdict"])).collect();
    let expected = [("good.json", "valid"), ("bad.json", "invalid"), ("gone.json", "error")]
        .map(|(file, verdict)| (json!(file), json!(verdict)));
    assert_eq!(verdicts, expected.iter().map(|(file, verdict)| (file, verdict)).collect::<Vec<_>>());
    assert_eq!(lines[1]["findings"][1]["path"], "/n");
}

#[test]
fn the_format_and_the_encoding_are_guessed_and_that_is_said() {
    let folder = folder();
    let call = |arguments: &[&str]| {
        let outcome = folder.call("validate", arguments);
        (outcome.code, outcome.out.lines().next().unwrap_or_default().to_owned(), outcome.err)
    };
    let (code, out, err) = call(&["--schema", "union.avsc", "datum"]);
    assert_eq!((code, out.as_str()), (Some(0), "datum: valid"));
    assert_eq!(
        err,
        "validate: union.avsc is taken for a schema of avro by its name; --format says otherwise\n\
         validate: datum is read as avro_binary by its content; --encoding says otherwise\n"
    );
    assert_eq!(call(&["--schema", "union.avsc", "datum.json"]).1, "datum.json: valid");
    assert_eq!(call(&["--schema", "union.avsc", "plain.json"]).0, Some(1));
    assert_eq!(call(&["--schema", "union.avsc", "--encoding", "plain-json", "plain.json"]).0, Some(0));
    let proto = ["--schema", "m.proto", "--reference", "other.proto=o.proto"];
    let (code, out, err) = call(&[&proto[..], &["message"]].concat());
    assert_eq!((code, out.as_str()), (Some(0), "message: valid"), "{err}");
    assert!(err.contains("m.proto is taken for a schema of protobuf by its name"), "{err}");
    assert_eq!(call(&[&proto[..], &["message.json"]].concat()).0, Some(1));
    let content = Folder::with(&[
        ("one", SCHEMA),
        ("two", br#"{"type": "map", "values": "int"}"#),
        ("three", b"message M {}"),
        ("doc.json", b"{}"),
    ]);
    for (schema, format) in [("one", "json-schema"), ("two", "avro"), ("three", "protobuf")] {
        let err = content.call("validate", &["--schema", schema, "doc.json"]).err;
        assert!(err.contains(&format!("a schema of {format} by its content")), "{schema}: {err}");
    }
}

#[test]
fn what_is_used_wrongly_or_is_missing_ends_with_2_and_a_reason() {
    let folder = folder();
    for (arguments, reason) in [
        (&["good.json"][..], "--schema FILE is missing"),
        (&["--schema", "order.schema.json"], "there is no FILE"),
        (&["--schema", "gone", "good.json"], "read gone: "),
        (
            &["--schema", "order.schema.json", "--format", "xml", "good.json"],
            "the format \"xml\" is not known",
        ),
        (&["--schema", "order.schema.json", "--draft", "5", "good.json"], "the draft \"5\" is not known"),
        (
            &["--schema", "good.json", "--schema", "good.json", "good.json"],
            "--schema is given more than once",
        ),
        (&["--schema", "order.schema.json", "--json", "--sarif", "good.json"], "two forms of one report"),
        (&["--batch", "--json"], "--batch stands alone"),
        (&["--schema", "order.schema.json", "--reference", "x", "good.json"], "NAME=FILE"),
        (&["--schema", "bad.json", "--rules", "good.json", "good.json"], "read the rules in good.json"),
        (&["--what"], "--what"),
    ] {
        let outcome = folder.call("validate", arguments);
        assert_eq!((outcome.code, outcome.out.as_str()), (Some(2), ""), "{arguments:?}: {outcome:?}");
        assert!(outcome.err.contains(reason), "{arguments:?}: {}", outcome.err);
    }
    let help = folder.call("validate", &["--help"]);
    assert_eq!(help.code, Some(0));
    assert!(help.out.contains("exit codes: 0 "), "{}", help.out);
}
