//! The log in SARIF that `validate` writes.

use serde_json::{Value, json};

use crate::program::Folder;

fn log(folder: &Folder, arguments: &[&str]) -> (Option<i32>, Value) {
    let outcome = folder.call(
        "validate",
        &[&["--sarif", "--format", "json-schema", "--schema", "schema.json"], arguments].concat(),
    );
    let [log] = outcome.lines().try_into().unwrap();
    (outcome.code, log)
}

#[test]
fn a_finding_has_its_rule_its_level_and_its_place_in_the_file() {
    let folder = Folder::with(&[
        (
            "schema.json",
            br#"{"properties": {"list": {"items": {"type": "integer"}}, "a/b": {"maxLength": 1}}}"#,
        ),
        (
            "my doc.json",
            "{\n  \"ä\": \"é\", \"a\\/b\": \"long\",\n  \"list\": [1,\n    \"[\", 3]\n}".as_bytes(),
        ),
        ("rules.json", br#"[{"name": "r", "severity": "info", "check": {"required": {"path": "/gone"}}}]"#),
    ]);
    let (code, log) = log(&folder, &["--rules", "rules.json", "my doc.json"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        (&log["version"], &log["$schema"]),
        (&json!("2.1.0"), &json!("https://json.schemastore.org/sarif-2.1.0.json"))
    );
    let run = &log["runs"][0];
    let results = run["results"].as_array().unwrap();
    let seen: Vec<Value> = results
        .iter()
        .map(|result| {
            let place = &result["locations"][0];
            let rule = &run["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().unwrap() as usize]["id"];
            assert_eq!(rule, &result["ruleId"]);
            assert_eq!(place["physicalLocation"]["artifactLocation"]["uri"], "my%20doc.json");
            json!([
                rule,
                result["level"],
                place["logicalLocations"][0]["fullyQualifiedName"],
                place["physicalLocation"]["region"]
            ])
        })
        .collect();
    let region = |line: u8, column: u8| json!({"startLine": line, "startColumn": column});
    assert_eq!(
        seen,
        [
            json!(["schema.maxLength", "error", "/a~1b", region(2, 21)]),
            json!(["rule.r", "note", "/gone", null]),
            json!(["schema.type", "error", "/list/1", region(4, 5)]),
        ]
    );
    assert_eq!(run["invocations"][0]["executionSuccessful"], true);
}

#[test]
fn what_could_not_be_judged_is_a_notification_and_what_is_valid_is_nothing() {
    let deep = "[".repeat(200);
    let folder = Folder::with(&[
        ("schema.json", b"true"),
        ("good.json", b"1"),
        ("deep.json", deep.as_bytes()),
        ("cut.json", b"{"),
    ]);
    let (code, log) = log(&folder, &["good.json", "gone.json", "deep.json", "cut.json"]);
    assert_eq!(code, Some(2));
    let run = &log["runs"][0];
    let results: Vec<_> = run["results"].as_array().unwrap().iter().map(|result| &result["ruleId"]).collect();
    assert_eq!(results, ["document.syntax"]);
    let told: Vec<_> = run["invocations"][0]["toolExecutionNotifications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|told| {
            json!([
                told["descriptor"]["id"],
                told["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
            ])
        })
        .collect();
    assert_eq!(told, [json!(["error", "gone.json"]), json!(["exhausted", "deep.json"])]);
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
}
