//! Timeliness by the lent clock, and change from one time to the next.

use std::sync::Arc;

use mcp_core::{ErrorKind, ManualClock};
use mcp_validation::quality::{FieldType, Quality, QualityPolicy, Unlisted};
use serde_json::{Value, json};

use super::{shown, state, summary};

#[test]
fn moments_are_late_by_the_lent_clock_or_by_a_deadline() {
    let text = r#"{"timely": [
        {"name": "fresh", "field": "/at", "max_age_seconds": 3600},
        {"name": "in-time", "field": "/at", "deadline": "2026-01-02T11:30:00Z"},
        {"name": "day", "field": "/day", "max_age_seconds": 86400}],
        "types": {"/day": "date"}}"#;
    let policy: QualityPolicy = serde_json::from_str(text).unwrap();
    let without = Quality::new(policy.clone()).unwrap();
    let error = without.pass().map(|_| ()).expect_err("no clock");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("no clock was lent"), "{error}");
    let clock = Arc::new(ManualClock::at("2026-01-02T12:00:00Z".parse().unwrap()));
    let quality = Quality::new(policy).unwrap().clock(clock);
    let records = [
        json!({"at": "2026-01-02T11:00:00Z", "day": "2026-01-02"}),
        json!({"at": "2026-01-02T10:59:59.999999Z", "day": "2026-01-01"}),
        json!({"at": "2026-01-02T13:00:00+01:00"}),
        json!({"at": "soon", "day": "2025-12-31"}),
        json!({}),
    ];
    let summary = summary(&quality, &records);
    assert_eq!(shown(&summary, "timeliness:fresh"), "2 of 3");
    assert_eq!(shown(&summary, "timeliness:in-time"), "2 of 3");
    assert_eq!(shown(&summary, "timeliness:day"), "1 of 3", "a day begins at midnight");
}

#[test]
fn a_clock_is_asked_once_for_a_pass() {
    let text = r#"{"timely": [{"name": "fresh", "field": "/at", "max_age_seconds": 10}]}"#;
    let clock = Arc::new(ManualClock::at("2026-01-02T12:00:00Z".parse().unwrap()));
    let lent: Arc<dyn mcp_core::Clock> = clock.clone();
    let quality = Quality::new(serde_json::from_str(text).unwrap()).unwrap().clock(lent);
    let mut pass = quality.pass().unwrap();
    let record = mcp_validation::Document::from(json!({"at": "2026-01-02T11:59:55Z"}));
    pass.record(&record, &mut Unlisted).unwrap();
    clock.advance(std::time::Duration::from_secs(60));
    pass.record(&record, &mut Unlisted).unwrap();
    assert_eq!(shown(&quality.summary(&pass.finish()).unwrap(), "timeliness:fresh"), "2 of 2");
}

#[test]
fn changes_beyond_what_the_policy_allows_are_told() {
    let text = r#"{"complete": ["/kind"], "types": {"/price": "number"},
        "profile": {"fields": ["/kind", "/price"], "frequent": 3},
        "changes": {"drops": {"completeness:/kind": 0.1, "overall": 0.5}, "means": {"/price": 0.5}, "records": 0.25,
            "new_values": ["/kind"], "missing_values": ["/kind"]}}"#;
    let quality = Quality::new(serde_json::from_str(text).unwrap()).unwrap();
    let records = |kinds: &[&str], price: i64| -> Vec<Value> {
        kinds
            .iter()
            .map(|kind| if kind.is_empty() { json!({}) } else { json!({"kind": kind, "price": price}) })
            .collect()
    };
    let of = |kinds: &[&str], price| state(&quality, &records(kinds, price));
    let before = of(&["a", "b", "a", "b"], 10);
    let same = quality.compare(&before, &of(&["b", "a", "b", "a"], 15)).unwrap();
    assert!(same.is_allowed(), "{:?}", same.breaches);
    let after = quality.compare(&before, &of(&["a", "c"], 16)).unwrap();
    assert_eq!(
        after.breaches,
        [
            "the records fell from 4 to 2, by more than 0.25 of themselves",
            "1 values of /kind are new: \"c\"",
            "1 values of /kind are missing: \"b\"",
            "the mean of /price moved from 10 to 16, by more than 0.5 of itself",
        ]
    );
    let kind = &after.fields[0];
    assert_eq!(kind.new_values.as_deref(), Some(&["c".to_owned()][..]));
    let emptier = quality.compare(&before, &of(&["a", "b", "a", ""], 10)).unwrap();
    assert_eq!(emptier.breaches, ["completeness:/kind fell from 1.0000 to 0.7500, by more than 0.1"]);
    let gone = quality.compare(&before, &quality.state()).unwrap();
    assert!(
        gone.breaches
            .iter()
            .any(|breach| breach == "completeness:/kind was 1.0000 and is not known any more")
    );
    let fewer = QualityPolicy::new().typed("/x", FieldType::Date);
    let other = Quality::new(fewer).unwrap().compare(&before, &before).map(|_| ());
    assert_eq!(other.map_err(|error| error.kind()), Err(ErrorKind::Conflict));
}
