//! The engine: contracts by subject and version, its errors, its events, and many threads at once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mcp_core::{
    Clock, Digest, ErrorKind, EventKind, ManualClock, Name, RecordingSink, SequentialIds, Timestamp,
    ValidationEvent, Version,
};
use mcp_validation::rule::Rule;
use mcp_validation::{
    Contract, Document, Encoding, Findings, Limits, Registered, ValidationEngine, ValidationError, Validator,
    ValidatorError,
};

struct Opened {
    engine: ValidationEngine,
    clock: Arc<ManualClock>,
    events: Arc<RecordingSink>,
}

fn open() -> Opened {
    let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_000_000)));
    let events = Arc::new(RecordingSink::new());
    let engine = ValidationEngine::builder()
        .clock(Arc::clone(&clock) as Arc<dyn Clock>)
        .ids(Arc::new(SequentialIds::starting_at(7)))
        .events(Arc::clone(&events) as Arc<dyn mcp_core::EventSink>)
        .build()
        .unwrap();
    Opened { engine, clock, events }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// Documents need a value at `path`.
fn needs(path: &str) -> Contract {
    Contract::builder().rule(Rule::required("needs", path)).build().unwrap()
}

fn register(
    engine: &ValidationEngine,
    subject: &str,
    number: &str,
    path: &str,
) -> Result<Registered, ErrorKind> {
    engine.register(&name(subject), &version(number), needs(path)).map_err(|error| error.kind())
}

#[test]
fn a_version_keeps_its_contract() {
    let Opened { engine, .. } = open();
    assert_eq!(register(&engine, "invoice", "1.0.0", "/a"), Ok(Registered::New));
    assert_eq!(register(&engine, "invoice", "1.0.0", "/a"), Ok(Registered::Already));
    assert_eq!(register(&engine, "invoice", "1.0.0", "/b"), Err(ErrorKind::Conflict));
    assert_eq!(register(&engine, "invoice", "1.0.0+linux", "/a"), Err(ErrorKind::Conflict));
    let found = engine.find(&name("invoice"), &version("1.0.0+mac")).map(|(version, _)| version.to_string());
    assert_eq!(found.ok().as_deref(), Some("1.0.0"), "build metadata does not count when one is asked for");
    assert_eq!(register(&engine, "invoice", "1.0.1", "/b"), Ok(Registered::New));
    assert_eq!(register(&engine, "other", "1.0.0", "/b"), Ok(Registered::New));
    let report = engine.validate(&name("invoice"), &version("1.0.0"), &Document::json("{}")).unwrap();
    assert_eq!(report.findings[0].path, "/a", "the first contract judges");
    assert_eq!(report.contract.map(|contract| contract.to_string()).as_deref(), Some("invoice@1.0.0"));
}

/// A validator of which nobody can tell what it does.
struct Secret;

impl Validator for Secret {
    fn validate(&self, _document: &Document, _findings: &mut Findings) -> Result<(), ValidatorError> {
        Ok(())
    }

    fn fingerprint(&self) -> Option<Digest> {
        None
    }
}

#[test]
fn contracts_that_cannot_be_told_apart_conflict_unless_they_are_one() {
    let Opened { engine, .. } = open();
    let contract = Arc::new(Contract::builder().validator(Secret).build().unwrap());
    let register = |contract: Arc<Contract>| {
        engine.register(&name("a"), &version("1.0.0"), contract).map_err(|error| error.to_string())
    };
    assert_eq!(register(Arc::clone(&contract)), Ok(Registered::New));
    assert_eq!(register(contract), Ok(Registered::Already));
    let expected = "register the contract a@1.0.0: a validator has no fingerprint, so equal contracts cannot be told, choose another version";
    assert_eq!(
        register(Arc::new(Contract::builder().validator(Secret).build().unwrap())),
        Err(expected.to_owned())
    );
}

#[test]
fn latest_is_the_highest_precedence_that_is_no_pre_release() {
    let Opened { engine, .. } = open();
    for number in ["1.9.0", "1.10.0", "2.0.0-rc.1", "0.1.0"] {
        assert_eq!(register(&engine, "invoice", number, "/a"), Ok(Registered::New));
    }
    let report = engine.validate_latest(&name("invoice"), &Document::json("{}")).unwrap();
    assert_eq!(report.contract.map(|contract| contract.to_string()).as_deref(), Some("invoice@1.10.0"));
    assert_eq!(register(&engine, "beta", "1.0.0-a", "/a"), Ok(Registered::New));
    let error = engine.latest(&name("beta")).map(|(version, _)| version).expect_err("a pre-release only");
    assert!(matches!(error, ValidationError::NoRelease { .. }), "{error}");
    let listed: Vec<String> = engine.list().iter().map(ToString::to_string).collect();
    let expected = ["beta@1.0.0-a", "invoice@0.1.0", "invoice@1.9.0", "invoice@1.10.0", "invoice@2.0.0-rc.1"];
    assert_eq!(listed, expected);
}

#[test]
fn each_way_to_fail_has_its_own_error_and_kind() {
    let Opened { engine, .. } = open();
    let mut limits = Limits::default();
    (limits.max_document_bytes, limits.max_depth) = (10, 2);
    let contract = Contract::builder().limits(limits).build().unwrap();
    let (subject, first) = (name("invoice"), version("1.0.0"));
    engine.register(&subject, &first, contract).unwrap();
    let judge = |subject: &str, number: &str, document: &str| {
        engine
            .validate(&name(subject), &version(number), &Document::json(document.to_owned()))
            .expect_err(document)
    };
    let unknown_subject = judge("receipt", "1.0.0", "1");
    assert!(
        matches!(&unknown_subject, ValidationError::UnknownSubject { subject } if *subject == name("receipt"))
    );
    let unknown_version = judge("invoice", "2.0.0", "1");
    assert!(
        matches!(&unknown_version, ValidationError::UnknownVersion { version, .. } if version.major() == 2)
    );
    let large = judge("invoice", "1.0.0", "\"0123456789\"");
    assert!(matches!(large, ValidationError::DocumentTooLarge { bytes: 12, max_bytes: 10 }));
    let deep = judge("invoice", "1.0.0", "[[[]]]");
    assert!(matches!(deep, ValidationError::DocumentTooDeep { max_depth: 2 }));
    let encoding = "cbor".parse::<Encoding>().expect_err("unknown");
    assert!(matches!(&encoding, ValidationError::UnknownEncoding { encoding } if encoding == "cbor"));
    let kinds = [unknown_subject, unknown_version, large, deep, encoding].map(|error| error.kind());
    use ErrorKind::{Exhausted, NotFound, Unsupported};
    assert_eq!(kinds, [NotFound, NotFound, Exhausted, Exhausted, Unsupported]);
}

#[cfg(feature = "json-schema")]
#[test]
fn the_engines_limits_hold_for_contracts_begun_with_it() {
    let mut limits = Limits::default();
    limits.max_depth = 3;
    let engine = ValidationEngine::builder().limits(limits).build().unwrap();
    let contract = engine.contract("json-schema", "{}").unwrap().build().unwrap();
    assert_eq!(contract.limits().max_depth, 3);
    let broken = engine.contract("json-schema", r#"{"type": "strin"}"#).unwrap().build().expect_err("broken");
    assert!(matches!(&broken, ValidationError::BrokenSchema { format, .. } if format == "json-schema"));
    assert_eq!(broken.kind(), ErrorKind::Invalid);
    let mut wrong = Limits::default();
    wrong.max_depth = 0;
    let refused = ValidationEngine::builder().limits(wrong).build().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::Invalid));
}

#[test]
fn what_was_registered_and_judged_is_told_once_with_the_lent_clock() {
    let Opened { engine, clock, events } = open();
    register(&engine, "invoice", "1.0.0", "/a").unwrap();
    register(&engine, "invoice", "1.0.0", "/a").unwrap();
    register(&engine, "invoice", "1.0.0", "/b").expect_err("conflict");
    clock.advance(Duration::from_secs(1));
    engine.validate_latest(&name("invoice"), &Document::json("{}")).unwrap();
    engine.validate_latest(&name("receipt"), &Document::json("{}")).expect_err("unknown");
    let told: Vec<_> = events
        .events()
        .into_iter()
        .map(|event| {
            (event.seq, event.at.as_micros(), event.subject.clone(), event.source.to_string(), event.kind)
        })
        .collect();
    let source = "/mcp/validation/00000000-0000-0000-0000-000000000007";
    assert_eq!(told.len(), 2, "{told:?}");
    for (seq, (position, at, subject, from, _)) in (0_u64..).zip(&told) {
        let expected = (seq, 1_000_000 + i64::try_from(seq).unwrap() * 1_000_000, "invoice@1.0.0", source);
        assert_eq!((*position, *at, subject.as_str(), from.as_str()), expected);
    }
    assert!(matches!(&told[0].4, EventKind::Validation(ValidationEvent::ContractRegistered(_))));
    let EventKind::Validation(ValidationEvent::DocumentJudged(judged)) = &told[1].4 else {
        panic!("{told:?}")
    };
    assert_eq!((judged.valid, judged.errors, judged.warnings), (false, 1, 0));
}

#[test]
fn of_many_that_register_one_version_one_is_new_and_all_others_see_it() {
    let Opened { engine, events, .. } = open();
    let (new, already, conflict) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (engine, new, already, conflict) = (&engine, &new, &already, &conflict);
            scope.spawn(move || {
                for number in 0..50 {
                    // Even threads want one contract, odd ones another.
                    let path = if thread % 2 == 0 { "/a" } else { "/b" };
                    let count = match register(engine, "invoice", &format!("1.{number}.0"), path) {
                        Ok(Registered::New) => new,
                        Ok(Registered::Already) => already,
                        Err(kind) => {
                            assert_eq!(kind, ErrorKind::Conflict);
                            conflict
                        }
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                    engine.validate_latest(&name("invoice"), &Document::json("{}")).unwrap();
                }
            });
        }
    });
    let counts = [new, already, conflict].map(AtomicU64::into_inner);
    assert_eq!(counts, [50, 150, 200]);
    let mut positions: Vec<u64> = events.events().iter().map(|event| event.seq).collect();
    positions.sort_unstable();
    assert_eq!(
        positions,
        (0..450).collect::<Vec<_>>(),
        "50 registered and 400 judged, each told at its own position"
    );
}
