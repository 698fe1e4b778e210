//! `compat`, with files and line by line.

use serde_json::{Value, json};

use crate::program::{Folder, answer};

/// The verdict and the rules of the breaks.
fn compare(case: Value) -> String {
    let answer = answer("compat", &case);
    let rules: String = answer["breaks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| format!(" {}", found["rule"].as_str().unwrap()))
        .collect();
    let says = answer["message"].is_string();
    assert_eq!(says, ["error", "unknown"].contains(&answer["verdict"].as_str().unwrap()), "{answer}");
    format!("{}{rules}", answer["verdict"].as_str().unwrap())
}

#[test]
fn a_break_comes_with_a_witness() {
    let case = json!({"id": [1], "format": "json-schema", "mode": "backward", "old": {"type": "number"}, "new": {"type": "integer"}});
    let answer = answer("compat", &case);
    assert_eq!((&answer["id"], &answer["verdict"]), (&json!([1]), &json!("no")));
    assert!(answer["witness"].is_f64(), "{answer}");
    let found = &answer["breaks"][0];
    assert_eq!((&found["rule"], &found["path"]), (&json!("json-schema.type-narrowed"), &json!("/type")));
    assert!(found["message"].is_string() && found["advice"].is_string(), "{answer}");
}

#[test]
fn a_history_is_a_list_and_transitive_modes_look_at_all_of_it() {
    let integer = |maximum: u8| json!({"type": "integer", "maximum": maximum});
    let case = |mode: &str| {
        compare(
            json!({"format": "json-schema", "mode": mode, "old": [integer(9), integer(5)], "new": integer(7)}),
        )
    };
    assert_eq!(case("backward"), "yes");
    assert!(case("backward_transitive").starts_with("no json-schema."), "{}", case("backward_transitive"));
    assert!(case("FORWARD").starts_with("no json-schema."));
    assert_eq!(case("none"), "yes");
    assert_eq!(case("sideways"), "error");
    let none = json!({"format": "json-schema", "mode": "full", "old": [], "new": true});
    assert_eq!(compare(none), "yes");
    let broken =
        json!({"format": "json-schema", "mode": "backward", "old": [{"type": "int"}, true], "new": true});
    assert_eq!(compare(broken), "error");
    let unknown = json!({"format": "json-schema", "mode": "backward", "old": {"pattern": "^[a-b]$"}, "new": {"pattern": "^(a|b)$"}});
    assert_eq!(compare(unknown), "unknown");
}

#[test]
fn avro_and_protobuf_are_compared_too() {
    let avro = |mode: &str, old: Value, new: Value| {
        compare(json!({"format": "avro", "mode": mode, "old": old, "new": new}))
    };
    assert_eq!(avro("backward", json!("int"), json!("long")), "yes");
    assert!(avro("full", json!("int"), json!("long")).starts_with("no avro."));
    assert_eq!(avro("backward", json!(["null", "int"]), json!(["null", "long"])), "yes");
    assert!(
        avro("backward", json!(["null", "int"]), json!("long")).starts_with("no avro."),
        "null is no long"
    );
    assert_eq!(avro("backward_transitive", json!(["int", "float"]), json!("double")), "yes");
    let proto = |level: &str| {
        compare(json!({"format": "protobuf", "mode": "backward", "level": level,
            "old": "syntax = \"proto3\"; message M { int32 a = 1; }", "new": "syntax = \"proto3\"; message M { int32 b = 1; }"}))
    };
    assert_eq!(proto("wire"), "yes");
    assert!(proto("json").starts_with("no protobuf."), "{}", proto("json"));
    assert_eq!(proto("text"), "error");
}

#[test]
fn files_are_compared_with_the_exit_code_for_scripts() {
    let folder = Folder::with(&[
        ("1.schema.json", br#"{"type": "integer"}"#),
        ("2.schema.json", br#"{"type": "number"}"#),
        ("a.schema.json", br#"{"pattern": "^[a-b]$"}"#),
        ("b.schema.json", br#"{"pattern": "^(a|b)$"}"#),
        ("broken.schema.json", br#"{"type": "int"}"#),
    ]);
    let call = |arguments: &[&str]| {
        let outcome = folder.call("compat", &[&["--format", "json-schema"], arguments].concat());
        assert_eq!(outcome.err.is_empty(), outcome.code != Some(2) || !outcome.out.is_empty(), "{outcome:?}");
        (outcome.code, outcome.out.lines().next().unwrap_or_default().to_owned(), outcome.out)
    };
    assert_eq!(call(&["1.schema.json", "2.schema.json"]).0, Some(0));
    let (code, first, out) = call(&["--mode", "full", "1.schema.json", "2.schema.json"]);
    assert_eq!((code, first.as_str()), (Some(1), "no: 1 break"));
    assert!(
        out.contains("forward json-schema.type-narrowed /type: ") && out.contains("\n  for example "),
        "{out}"
    );
    assert_eq!(call(&["a.schema.json", "b.schema.json"]).0, Some(3));
    assert_eq!(call(&["broken.schema.json", "b.schema.json"]).0, Some(2));
    assert_eq!(call(&["gone", "b.schema.json"]).0, Some(2));
    assert_eq!(call(&["b.schema.json"]).0, Some(2));
    assert_eq!(call(&["--mode", "x", "a.schema.json", "b.schema.json"]).0, Some(2));
    let guessed = folder.call("compat", &["--json", "1.schema.json", "2.schema.json"]);
    assert_eq!(guessed.lines(), [json!({"verdict": "yes", "breaks": []})]);
    assert_eq!(
        guessed.err,
        "compat: 2.schema.json is taken for a schema of json-schema by its name; --format says otherwise\n"
    );
}
