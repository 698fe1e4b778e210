//! Every required test of the official JSON Schema test suite, drafts 4 to 2020-12, gets the suite's verdict.
//!
//! `testdata/json-schema-test-suite/README.md` says where the suite comes from.
#![cfg(feature = "json-schema")]
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "tests stop at the first surprise")]

use mcp_validation::{Contract, ContractBuilder, Document, Draft, JsonSchema};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Group {
    file: String,
    description: String,
    schema: Value,
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    description: String,
    data: Value,
    valid: bool,
}

#[derive(Deserialize)]
struct Remote {
    uri: String,
    schema: Value,
}

fn lines<T: serde::de::DeserializeOwned>(text: &str) -> Vec<T> {
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn remotes() -> Vec<Remote> {
    lines(include_str!("../testdata/json-schema-test-suite/remotes.jsonl"))
}

/// With every remote document of the suite, of all drafts, where it names one: most have nothing to do with it.
fn contract(draft: Draft, group: &Group, remotes: &[Remote]) -> ContractBuilder {
    let text = group.schema.to_string();
    let remotes = if text.contains("localhost:1234") { remotes } else { &[] };
    let builder = Contract::schema(JsonSchema::new().draft(draft), text);
    remotes
        .iter()
        .fold(builder, |builder, remote| builder.reference(remote.uri.as_str(), remote.schema.to_string()))
}

/// How many tests were run, and each that got another verdict than the suite's.
fn run(draft: Draft, suite: &str) -> (usize, Vec<String>) {
    let (remotes, mut count, mut wrong) = (remotes(), 0, Vec::new());
    for group in lines::<Group>(suite) {
        let named = |what: &str| format!("{draft} {} / {} / {what}", group.file, group.description);
        match contract(draft, &group, &remotes).build() {
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                wrong.push(named(&format!("{error}: {}", cause.unwrap_or_default())));
            }
            Ok(contract) => {
                for case in &group.tests {
                    count += 1;
                    let document = Document::json(case.data.to_string());
                    let told = contract.validate(&document).map(|report| report.valid);
                    let verdict = contract.is_valid(&document);
                    match (told, verdict) {
                        (Ok(told), Ok(verdict)) if told == case.valid && verdict == case.valid => {}
                        other => wrong.push(named(&format!("{}: {other:?}", case.description))),
                    }
                }
            }
        }
    }
    (count, wrong)
}

fn agrees(draft: Draft, suite: &str, expected: usize) {
    let (count, wrong) = run(draft, suite);
    assert_eq!((count, wrong), (expected, Vec::new()));
}

#[test]
fn draft_4_is_judged_as_the_suite_says() {
    agrees(Draft::Draft4, include_str!("../testdata/json-schema-test-suite/draft4.jsonl"), 610);
}

#[test]
fn draft_6_is_judged_as_the_suite_says() {
    agrees(Draft::Draft6, include_str!("../testdata/json-schema-test-suite/draft6.jsonl"), 829);
}

#[test]
fn draft_7_is_judged_as_the_suite_says() {
    agrees(Draft::Draft7, include_str!("../testdata/json-schema-test-suite/draft7.jsonl"), 913);
}

#[test]
fn draft_2019_09_is_judged_as_the_suite_says() {
    agrees(Draft::Draft201909, include_str!("../testdata/json-schema-test-suite/draft2019-09.jsonl"), 1227);
}

#[test]
fn draft_2020_12_is_judged_as_the_suite_says() {
    agrees(Draft::Draft202012, include_str!("../testdata/json-schema-test-suite/draft2020-12.jsonl"), 1257);
}
