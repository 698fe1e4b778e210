//! That the table of fields in the docs is true.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::Policy;

/// A row: its field, unit and default, as they stand in the table.
fn rows() -> Vec<(String, String, String)> {
    let cell = |text: &str| text.trim().trim_matches('`').to_owned();
    let rows = include_str!("fields.md").lines().filter(|line| line.starts_with("| `"));
    let rows = rows.map(|line| {
        let line = line.trim_matches('|').replace(" | | ", " |  | ");
        let cells: Vec<&str> = line.split(" | ").collect();
        assert_eq!(cells.len(), 4, "{line}");
        (cell(cells[0]), cell(cells[1]), cell(cells[2]))
    });
    rows.collect()
}

/// The least that a policy, a level or a judged verification can say, and where it stands.
fn least(group: &str) -> (Value, &'static str) {
    let judged = json!({"verification": {"judged": {"judge": {"rank": {}}, "window_ms": 1000}}});
    let mut policy = json!({"verification": {"unverified": {"reason": "demo"}}});
    match group {
        "" => (policy, ""),
        "calls." => {
            policy["calls"] = json!({});
            (policy, "/calls")
        }
        "windows." => {
            policy["windows"] = json!({});
            (policy, "/windows")
        }
        "levels[]." => {
            policy["levels"] = json!([{"name": "lead", "quorum": 1}]);
            (policy, "/levels/0")
        }
        "verification.judged." => (judged, "/verification/judged"),
        other => panic!("{other}"),
    }
}

fn group(field: &str) -> (&str, &str) {
    field.split_at(field.rfind('.').map_or(0, |dot| dot + 1))
}

fn object<'a>(policy: &'a mut Value, at: &str) -> &'a mut Map<String, Value> {
    policy.pointer_mut(at).unwrap().as_object_mut().unwrap()
}

fn read(policy: &Value) -> Result<Policy, serde_json::Error> {
    serde_json::from_str(&policy.to_string())
}

#[test]
fn every_field_that_can_be_read_stands_in_the_table_and_no_other() {
    let mut known = BTreeSet::new();
    for group in ["", "calls.", "windows.", "levels[].", "verification.judged."] {
        let (mut policy, at) = least(group);
        object(&mut policy, at).insert("?".to_owned(), Value::Null);
        let error = read(&policy).unwrap_err().to_string();
        let (_, expected) = error.split_once("expected ").unwrap();
        // Every second piece between backticks is a field.
        let fields = expected.split('`').skip(1).step_by(2);
        known.extend(fields.map(|field| format!("{group}{field}")));
    }
    let listed: BTreeSet<String> = rows().into_iter().map(|(field, ..)| field).collect();
    assert_eq!(listed, known);
}

#[test]
fn what_the_table_calls_a_default_means_the_same_as_nothing() {
    for (field, _, default) in rows() {
        let (group, name) = group(&field);
        let (mut policy, at) = least(group);
        let silent = read(&policy).unwrap();
        if default == "must be given" {
            object(&mut policy, at).remove(name).unwrap();
            let error = read(&policy).unwrap_err().to_string();
            assert!(error.starts_with(&format!("missing field `{name}`")), "{field}: {error}");
        } else {
            let default: Value = serde_json::from_str(&default).unwrap();
            object(&mut policy, at).insert(name.to_owned(), default);
            assert_eq!(read(&policy).unwrap(), silent, "{field}");
        }
    }
}

/// Of what the docs say about a policy that is made in Rust, only the expiry differs.
#[test]
fn a_policy_made_in_rust_has_the_defaults_of_the_table_except_for_its_expiry() {
    let made = Policy::unverified("demo");
    let week = std::time::Duration::from_secs(7 * 24 * 60 * 60);
    assert_eq!(made.expires_after, Some(week));
    assert_eq!(made.expires_after(None), read(&least("").0).unwrap());
}

#[test]
fn a_field_with_a_unit_in_its_name_has_it_in_the_table() {
    for (field, unit, _) in rows() {
        assert_eq!(field.ends_with("_ms"), unit == "milliseconds", "{field}");
    }
}
