//! What was found as a log in SARIF 2.1.0 (OASIS), the form that code reviews show beside the lines of a file.

use std::collections::BTreeMap;

use mcp_core::{Finding, Severity};
use serde_json::{Value, json};

use crate::files::Judged;
use crate::place::Places;

pub fn log(judged: &[Judged]) -> Value {
    let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in
        judged.iter().filter_map(|one| one.outcome.as_ref().ok()).flat_map(|report| &report.findings)
    {
        rules.insert(&finding.code, 0);
    }
    for (index, place) in rules.values_mut().enumerate() {
        *place = index;
    }
    let results: Vec<Value> = judged.iter().flat_map(|one| results(one, &rules)).collect();
    let unjudged: Vec<Value> = judged.iter().filter_map(notification).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "mcp-validation",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.keys().map(|code| json!({"id": code})).collect::<Vec<_>>(),
            }},
            "invocations": [{
                "executionSuccessful": unjudged.is_empty(),
                "toolExecutionNotifications": unjudged,
            }],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn results(judged: &Judged, rules: &BTreeMap<&str, usize>) -> Vec<Value> {
    let Ok(report) = &judged.outcome else { return Vec::new() };
    let places = Places::of(&judged.bytes, report.findings.iter().map(|finding| finding.path.as_str()));
    let result = |finding: &Finding| {
        let mut physical = json!({"artifactLocation": {"uri": uri(&judged.file)}});
        if let (Some((line, column)), Some(members)) = (places.find(&finding.path), physical.as_object_mut())
        {
            members.insert("region".to_owned(), json!({"startLine": line, "startColumn": column}));
        }
        json!({
            "ruleId": finding.code,
            "ruleIndex": rules.get(finding.code.as_ref()),
            "level": if finding.observed { "note" } else { level(finding.severity) },
            "properties": {"severity": finding.severity, "observed": finding.observed},
            "message": {"text": finding.message},
            "locations": [{
                "physicalLocation": physical,
                "logicalLocations": [{"fullyQualifiedName": finding.path, "kind": "element"}],
            }],
        })
    };
    report.findings.iter().map(result).collect()
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

fn notification(judged: &Judged) -> Option<Value> {
    let refusal = judged.outcome.as_ref().err()?;
    Some(json!({
        "level": "error",
        "descriptor": {"id": if refusal.is_exhausted { "exhausted" } else { "error" }},
        "message": {"text": refusal.message},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri(&judged.file)}}}],
    }))
}

/// A path as a relative or absolute reference to a URI (RFC 3986): what cannot stand in one is written as its bytes.
fn uri(file: &str) -> String {
    let mut uri = String::with_capacity(file.len());
    for byte in file.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                uri.push(char::from(byte))
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}
