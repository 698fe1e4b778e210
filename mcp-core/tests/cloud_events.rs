//! Every event shows itself as a document that the rules of CloudEvents 1.0 accept.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use std::collections::BTreeSet;
use std::sync::Arc;

use mcp_core::{
    ArtifactCorrupt, ArtifactDeduplicated, ArtifactDeprecated, ArtifactPublished, ArtifactYanked,
    ChannelMoved, ChannelRemoved, ContractRegistered, Digest, DocumentJudged, Event, EventKind, EventSink,
    Finding, FnSink, GlassBroken, GlassReviewed, Id, LabelsChanged, NullSink, PlanChanged, PlanRequested,
    PlanStageChanged, PromotionChanged, PromotionDelayed, PromotionEvent, PromotionRequested, PublishRefused,
    RecordingSink, RegistryEvent, ReviewOverdue, Severity, Source, StageCallFailed, StageHeld,
    StageHoldLifted, TeeSink, Timestamp, ValidationEvent, VoteCast,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// One of each kind.
fn kinds() -> Vec<EventKind> {
    let name = || "billing/invoice".parse().unwrap();
    let version = || "1.2.0".parse().unwrap();
    let reference = || "billing/invoice@1.2.0".parse().unwrap();
    let alice = || "alice".parse().unwrap();
    let digest = Digest::of(b"{}");
    let finding = Finding::new(Severity::Error, "schema.type", "/total", "expected a number");
    vec![
        ValidationEvent::ContractRegistered(ContractRegistered::new(name(), version())).into(),
        ValidationEvent::DocumentJudged(DocumentJudged::new(name(), version(), false, 2, 1)).into(),
        RegistryEvent::Published(ArtifactPublished::new(reference(), digest, 2, false, alice())).into(),
        RegistryEvent::Refused(PublishRefused::new(name(), digest, alice(), vec![finding])).into(),
        RegistryEvent::Yanked(ArtifactYanked::new(reference(), true, "wrong total".into(), alice())).into(),
        RegistryEvent::ChannelMoved(ChannelMoved::new(name(), name(), None, version(), alice())).into(),
        RegistryEvent::ChannelRemoved(ChannelRemoved::new(name(), name(), version(), alice())).into(),
        RegistryEvent::Deduplicated(ArtifactDeduplicated::new(reference(), digest, 2)).into(),
        RegistryEvent::LabelsChanged(LabelsChanged::new(
            reference(),
            [("team".to_owned(), "core".to_owned())].into(),
            alice(),
        ))
        .into(),
        RegistryEvent::Deprecated(ArtifactDeprecated::new(reference(), true, "use invoices".into(), alice()))
            .into(),
        RegistryEvent::Corrupt(ArtifactCorrupt::new(reference(), "packs/1-2 at 64".into())).into(),
        PromotionEvent::Requested(PromotionRequested::new(name(), "prod/7".into(), digest, alice(), 2))
            .into(),
        PromotionEvent::Voted(VoteCast::new(name(), "prod/7".into(), alice(), "approve".into(), 1)).into(),
        PromotionEvent::Changed(PromotionChanged::new(
            name(),
            "prod/7".into(),
            "verifying".into(),
            "rolling_back".into(),
            "error rate".into(),
        ))
        .into(),
        PromotionEvent::Delayed(PromotionDelayed::new(
            name(),
            "prod/7".into(),
            "gate scan".into(),
            "busy".into(),
        ))
        .into(),
        PromotionEvent::CallFailed(StageCallFailed::new(
            name(),
            "prod/7".into(),
            "apply".into(),
            "no answer".into(),
        ))
        .into(),
        PromotionEvent::Held(StageHeld::new(name(), alice(), "the database moves".into())).into(),
        PromotionEvent::HoldLifted(StageHoldLifted::new(name(), alice())).into(),
        PromotionEvent::GlassBroken(GlassBroken::new(
            name(),
            "prod/7".into(),
            alice(),
            "customers cannot pay".into(),
            Timestamp::UNIX_EPOCH,
        ))
        .into(),
        PromotionEvent::Reviewed(GlassReviewed::new(name(), "prod/7".into(), alice(), "fine".into())).into(),
        PromotionEvent::ReviewOverdue(ReviewOverdue::new(
            name(),
            "prod/7".into(),
            alice(),
            Timestamp::UNIX_EPOCH,
        ))
        .into(),
        PromotionEvent::PlanRequested(PlanRequested::new("7".into(), alice(), 3)).into(),
        PromotionEvent::PlanChanged(PlanChanged::new(
            "7".into(),
            "running".into(),
            "halted".into(),
            "web failed".into(),
        ))
        .into(),
        PromotionEvent::PlanStageChanged(PlanStageChanged::new(
            "7".into(),
            name(),
            "web/3".into(),
            "done".into(),
            "web succeeded".into(),
        ))
        .into(),
    ]
}

fn event(kind: EventKind, seq: u64) -> Event {
    let source = Source::new(&"registry".parse().unwrap(), Id::from_u128(1)).part(&"prod".parse().unwrap());
    Event::new(Timestamp::from_micros(1_767_323_045_000_001), source, "billing/invoice@1.2.0", seq, kind)
}

/// The rules of the CloudEvents 1.0.2 specification, section "Context Attributes", and of its JSON format, written out.
fn check_cloud_event(document: &Value) {
    let object = document.as_object().expect("a JSON object");
    for required in ["id", "source", "specversion", "type"] {
        let value = object.get(required).and_then(Value::as_str);
        assert!(value.is_some_and(|text| !text.is_empty()), "{required} must be a string that is not empty");
    }
    assert_eq!(object["specversion"], "1.0");
    for name in object.keys() {
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "attribute name {name}");
        assert!(name.len() <= 20, "attribute name {name}");
    }
    // A URI-reference of RFC 3986: no character outside the allowed set, '%' only before two hexadecimal digits.
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
    assert!(object["source"].as_str().unwrap().chars().all(allowed));
    let time = object["time"].as_str().expect("time is a string");
    assert_eq!(time.parse::<Timestamp>().expect("RFC 3339").to_string(), time);
    assert!(
        object.get("subject").is_none_or(|subject| subject.as_str().is_some_and(|text| !text.is_empty()))
    );
    assert_eq!(object["datacontenttype"], "application/json");
    assert!(object["data"].is_object() && !object.contains_key("data_base64"));
    // The sequence extension: a string that is not empty and sorts as the events do.
    assert_eq!(object["sequence"].as_str().expect("sequence is a string").len(), 20);
}

#[test]
fn every_kind_of_event_is_a_cloud_event_with_a_type_of_its_own() {
    let mut types = BTreeSet::new();
    for kind in kinds() {
        let document = serde_json::to_value(event(kind, 7)).unwrap();
        check_cloud_event(&document);
        let name = document["type"].as_str().unwrap().to_owned();
        assert!(name.starts_with("mcp.") && name.ends_with(".v1"), "{name}");
        assert!(types.insert(name.clone()), "{name} stands for two kinds");
    }
    assert_eq!(types.len(), kinds().len());
}

#[test]
fn an_event_looks_like_this() {
    let published = kinds().swap_remove(2);
    let expected = json!({
        "specversion": "1.0",
        "id": "/mcp/registry/00000000-0000-0000-0000-000000000001/prod#7",
        "source": "/mcp/registry/00000000-0000-0000-0000-000000000001/prod",
        "type": "mcp.registry.artifact.published.v1",
        "time": "2026-01-02T03:04:05.000001Z",
        "subject": "billing/invoice@1.2.0",
        "sequence": "00000000000000000007",
        "datacontenttype": "application/json",
        "data": {
            "artifact": "billing/invoice@1.2.0",
            "digest": Digest::of(b"{}").to_string(),
            "size": 2,
            "deduplicated": false,
            "actor": "alice",
        },
    });
    assert_eq!(serde_json::to_value(event(published, 7)).unwrap(), expected);
}

#[test]
fn an_event_without_a_subject_leaves_the_attribute_out() {
    let mut event = event(kinds().remove(0), 1);
    event.subject.clear();
    let document = serde_json::to_value(&event).unwrap();
    check_cloud_event(&document);
    assert_eq!(document.get("subject"), None);
}

#[test]
fn sinks_hear_every_event_once_and_in_order() {
    let recording = Arc::new(RecordingSink::new());
    let counted = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counter = Arc::clone(&counted);
    let adding = FnSink::new(move |event: &Event| {
        counter.fetch_add(event.seq, std::sync::atomic::Ordering::Relaxed);
    });
    let tee = TeeSink::new(vec![Arc::new(NullSink), recording.clone(), Arc::new(adding)]);
    let told: Vec<Event> = kinds().into_iter().zip(1..).map(|(kind, seq)| event(kind, seq)).collect();
    for event in &told {
        tee.emit(event);
    }
    assert_eq!(recording.events(), told);
    assert_eq!(counted.load(std::sync::atomic::Ordering::Relaxed), (1..=kinds().len() as u64).sum::<u64>());
}

proptest! {
    #[test]
    fn ids_differ_where_source_or_position_differ(a in any::<(u128, u64)>(), b in any::<(u128, u64)>()) {
        let id = |(feed, seq): (u128, u64)| {
            let source = Source::new(&"registry".parse().unwrap(), Id::from_u128(feed));
            Event::new(Timestamp::UNIX_EPOCH, source, "", seq, kinds().remove(0)).id()
        };
        prop_assert_eq!(id(a) == id(b), a == b);
    }

    #[test]
    fn any_text_in_an_event_leaves_it_a_cloud_event(subject in "\\PC{0,40}", reason in any::<String>(), seq in any::<u64>()) {
        let changed = PromotionChanged::new("prod".parse().unwrap(), reason.clone(), reason.clone(), reason.clone(), reason);
        let mut event = event(PromotionEvent::Changed(changed).into(), seq);
        event.subject = subject;
        check_cloud_event(&serde_json::from_str(&serde_json::to_string(&event).unwrap()).unwrap());
    }
}
