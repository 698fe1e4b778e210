//! Remembered verdicts, what an engine counts, and the time that a judgement may take.
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
    ArtifactRef, Clock, Digest, ErrorKind, EventSink, ManualClock, Name, RecordingSink, Timestamp, Version,
};
use mcp_validation::rule::Rule;
use mcp_validation::{
    Contract, Document, Encoding, Findings, Limits, Report, ValidationEngine, ValidationError, Validator,
    ValidatorError,
};
use proptest::prelude::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn one() -> Version {
    Version::new(1, 0, 0)
}

/// Counts how often it is asked; it has a fingerprint where it is told to.
struct Asked {
    times: Arc<AtomicU64>,
    named: bool,
}

impl Validator for Asked {
    fn validate(&self, document: &Document, findings: &mut Findings) -> Result<(), ValidatorError> {
        self.times.fetch_add(1, Ordering::Relaxed);
        if document.value().is_ok_and(|value| value["a"] == 3) {
            findings.error("asked.three", "/a", "three is odd", None);
        }
        Ok(())
    }

    fn fingerprint(&self) -> Option<Digest> {
        self.named.then(|| Digest::of(b"Asked 1"))
    }
}

/// The clock stands still: whatever can be kept is kept.
fn engine(cache_bytes: u64) -> ValidationEngine {
    let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
    ValidationEngine::builder().cache_bytes(cache_bytes).clock(clock).build().unwrap()
}

/// Contracts of every kind that this build has.
fn contracts() -> Vec<(&'static str, Contract, &'static [Encoding])> {
    let asked = |named| Asked { times: Arc::default(), named };
    let few = || {
        let mut limits = Limits::default();
        (limits.max_steps, limits.max_document_bytes, limits.max_findings) = (12, 600, 2);
        limits
    };
    let rules = || [Rule::required("has-b", "/b"), Rule::range("small", "/a", ..2.0).warning()];
    let mut all = vec![
        (
            "rules",
            Contract::builder().rules(rules()).build().unwrap(),
            &[Encoding::Json, Encoding::AvroJson] as &[_],
        ),
        ("few", Contract::builder().rules(rules()).limits(few()).build().unwrap(), &[Encoding::Json]),
        ("named", Contract::builder().validator(asked(true)).build().unwrap(), &[Encoding::Json]),
        ("nameless", Contract::builder().validator(asked(false)).build().unwrap(), &[Encoding::Json]),
        ("shown", Contract::builder().rules(rules()).show_values().build().unwrap(), &[Encoding::Json]),
    ];
    all.extend(of_schemas(rules));
    all
}

#[cfg(not(all(feature = "json-schema", feature = "avro", feature = "protobuf")))]
fn of_schemas(_: impl Fn() -> [Rule; 2]) -> Vec<(&'static str, Contract, &'static [Encoding])> {
    Vec::new()
}

#[cfg(all(feature = "json-schema", feature = "avro", feature = "protobuf"))]
fn of_schemas(rules: impl Fn() -> [Rule; 2]) -> Vec<(&'static str, Contract, &'static [Encoding])> {
    let json = r#"{"properties": {"a": {"type": "integer"}, "b": {"type": "string", "maxLength": 5}}}"#;
    let avro = r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "string"}]}"#;
    let protobuf = r#"syntax = "proto3"; message R { int32 a = 1; string b = 2; }"#;
    vec![
        ("json", Contract::json_schema(json).rules(rules()).build().unwrap(), &[Encoding::Json]),
        (
            "avro",
            Contract::schema(mcp_validation::Avro, avro).rules(rules()).build().unwrap(),
            &[Encoding::AvroBinary, Encoding::AvroJson, Encoding::Json],
        ),
        (
            "protobuf",
            Contract::schema(mcp_validation::Protobuf::new(), protobuf).rules(rules()).build().unwrap(),
            &[Encoding::ProtobufBinary, Encoding::ProtobufJson],
        ),
    ]
}

/// In two bytes, also where one would do.
fn varint(number: usize) -> [u8; 2] {
    [u8::try_from(number & 0x7f).unwrap() | 0x80, u8::try_from(number >> 7).unwrap()]
}

/// Valid and invalid, JSON and not, long enough to be looked for and not.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let padding = prop_oneof![Just(0_usize), Just(200), Just(700)];
    let json = (0..5_i64, prop::option::of("[a-z]{0,8}"), padding.clone()).prop_map(|(a, b, padding)| {
        let b = b.map(|b| format!(", \"b\": \"{b}\"")).unwrap_or_default();
        format!("{{\"a\": {a}{b}{}}}", " ".repeat(padding)).into_bytes()
    });
    let avro = (0..60_u8, padding.clone()).prop_map(|(a, length)| {
        let mut bytes = vec![a];
        let zigzag = length * 2;
        bytes.extend(varint(zigzag));
        bytes.extend(std::iter::repeat_n(b'x', length));
        bytes
    });
    let protobuf = (0..60_u8, padding).prop_map(|(a, length)| {
        let mut bytes = [&[0x08, a, 0x12][..], &varint(length)].concat();
        bytes.extend(std::iter::repeat_n(b'x', length));
        bytes
    });
    prop_oneof![json, avro, protobuf, prop::collection::vec(any::<u8>(), 0..300)]
}

fn shown(outcome: Result<Report, ValidationError>) -> Result<Report, String> {
    outcome.map_err(|error| error.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Invariant 8.
    #[test]
    fn every_report_is_the_same_cached_or_not(documents in prop::collection::vec(bytes(), 1..8)) {
        let (cached, plain) = (engine(1 << 20), engine(0));
        let (mut asked, mut found) = (0, 0);
        for (subject, contract, encodings) in contracts() {
            let contract = Arc::new(contract);
            for engine in [&cached, &plain] {
                engine.register(&name(subject), &one(), Arc::clone(&contract)).unwrap();
            }
            for round in 0..3 {
                for bytes in &documents {
                    for encoding in encodings {
                        let document = Document::new(*encoding, bytes.clone());
                        let judge = |engine: &ValidationEngine| shown(engine.validate(&name(subject), &one(), &document));
                        let (with, without) = (judge(&cached), judge(&plain));
                        found += u64::from(round > 0 && with.is_ok() && bytes.len() >= 128 && subject != "nameless");
                        asked += 1;
                        prop_assert_eq!(with, without, "{} {} {:?}", subject, encoding, String::from_utf8_lossy(bytes));
                    }
                }
            }
        }
        let (with, without) = (cached.stats(), plain.stats());
        prop_assert!(with.cache.hits >= found, "{} hits, at least {} are due", with.cache.hits, found);
        prop_assert_eq!(with.cache.hits + with.cache.misses + with.cache.bypasses, asked);
        prop_assert_eq!(
            (with.valid, with.invalid, with.exhausted, with.errors),
            (without.valid, without.invalid, without.exhausted, without.errors)
        );
        prop_assert_eq!(without.cache, mcp_validation::CacheStats::default());
    }
}

#[test]
fn the_same_bytes_are_judged_once_by_each_contract_and_in_each_encoding() {
    let (engine, times) = (engine(1 << 20), Arc::new(AtomicU64::new(0)));
    for (subject, version) in [("a", one()), ("a", Version::new(2, 0, 0)), ("b", one())] {
        let contract = Contract::builder().validator(Asked { times: Arc::clone(&times), named: true });
        engine.register(&name(subject), &version, contract.build().unwrap()).unwrap();
    }
    let bytes = format!("{{\"a\": 3{}}}", " ".repeat(200));
    let judge = |subject: &str, version: Version, encoding| {
        let document = Document::new(encoding, bytes.clone());
        engine.validate_shared(&name(subject), &version, &document).unwrap()
    };
    let first = judge("a", one(), Encoding::Json);
    assert_eq!((first.valid, first.findings[0].code.as_ref()), (false, "asked.three"));
    assert_eq!(first.contract, Some("a@1.0.0".parse::<ArtifactRef>().unwrap()));
    assert!(Arc::ptr_eq(&first, &judge("a", one(), Encoding::Json)), "a remembered report is not copied");
    assert_eq!(times.load(Ordering::Relaxed), 1);
    let named = |report: Arc<Report>| report.contract.as_ref().map(ToString::to_string).unwrap();
    assert_eq!(named(judge("a", Version::new(2, 0, 0), Encoding::Json)), "a@2.0.0");
    assert_eq!(named(judge("b", one(), Encoding::Json)), "b@1.0.0");
    assert_eq!(named(judge("a", one(), Encoding::ProtobufJson)), "a@1.0.0");
    assert_eq!(times.load(Ordering::Relaxed), 4);
    let stats = engine.stats();
    assert_eq!((stats.cache.hits, stats.cache.misses, stats.cache.entries), (1, 4, 4));
    assert_eq!((stats.judged(), stats.invalid, stats.judge_us.count), (5, 5, 4));
    assert!(stats.cache.bytes >= 4 * 512 && (stats.cache.hit_rate() - 0.2).abs() < 1e-9, "{stats:?}");
}

#[test]
fn a_remembered_verdict_is_told_like_any_other() {
    let events = Arc::new(RecordingSink::new());
    let engine =
        ValidationEngine::builder().cache_bytes(1 << 20).events(Arc::clone(&events) as Arc<dyn EventSink>);
    let engine = engine.clock(Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH))).build().unwrap();
    let contract = Contract::builder().rule(Rule::required("r", "/a")).build().unwrap();
    engine.register(&name("a"), &one(), contract).unwrap();
    for _ in 0..3 {
        engine.validate_latest(&name("a"), &Document::json(" ".repeat(200) + "{}")).unwrap();
    }
    assert_eq!(engine.stats().cache.hits, 2);
    assert_eq!(events.events().iter().map(|event| event.seq).collect::<Vec<_>>(), [0, 1, 2, 3]);
    let told = events.events().split_off(1);
    assert!(told.iter().all(|event| event.kind == told[0].kind), "{told:?}");
}

#[test]
fn a_digest_that_is_given_is_believed_so_that_nothing_is_hashed() {
    let engine = engine(1 << 20);
    let contract = Contract::builder().rule(Rule::required("r", "/a")).build().unwrap();
    engine.register(&name("a"), &one(), contract).unwrap();
    let validate = |document: Document| engine.validate_latest(&name("a"), &document).unwrap().valid;
    let text = format!("{{\"a\": 1{}}}", " ".repeat(200));
    let digest = Digest::of(text.as_bytes());
    assert!(validate(Document::json(text.clone()).with_digest(digest)));
    assert!(validate(Document::json(text)));
    assert!(validate(Document::json(" ".repeat(200)).with_digest(digest)), "of other bytes: their verdict");
    assert_eq!(engine.stats().cache.hits, 2);
}

/// Takes steps, and lets time pass with each.
struct Slow {
    clock: Arc<ManualClock>,
    steps: u64,
    each: Duration,
}

impl Validator for Slow {
    fn validate(&self, _: &Document, findings: &mut Findings) -> Result<(), ValidatorError> {
        for _ in 0..self.steps {
            self.clock.advance(self.each);
            findings.spend(1)?;
        }
        Ok(())
    }

    fn fingerprint(&self) -> Option<Digest> {
        Some(Digest::of(b"Slow 1"))
    }
}

/// Judged twice by an engine with a cache.
fn slow(steps: u64, each: Duration) -> ([Result<bool, String>; 2], ValidationEngine) {
    let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
    let lent = || Arc::clone(&clock) as Arc<dyn Clock>;
    let engine = ValidationEngine::builder().cache_bytes(1 << 20).clock(lent()).build().unwrap();
    let mut limits = Limits::default();
    limits.max_time_ms = 1000;
    let contract = Contract::builder().validator(Slow { clock: Arc::clone(&clock), steps, each });
    engine.register(&name("a"), &one(), contract.limits(limits).clock(lent()).build().unwrap()).unwrap();
    let document = Document::json(" ".repeat(200) + "1");
    let judge = || {
        let report = engine.validate_latest(&name("a"), &document);
        report.map(|report| report.valid).map_err(|error| {
            assert_eq!(error.kind(), ErrorKind::Exhausted);
            error.to_string()
        })
    };
    ([judge(), judge()], engine)
}

#[test]
fn time_that_runs_out_is_exhausted_and_never_remembered() {
    let message = "judge a document within 1000 ms: they ran out before it was decided, raise max_time_ms or simplify the contract";
    let (judged, engine) = slow(100_000, Duration::from_micros(200));
    assert_eq!(judged, [Err(message.to_owned()), Err(message.to_owned())]);
    let stats = engine.stats();
    assert_eq!((stats.exhausted, stats.cache.entries, stats.cache.misses), (2, 0, 2));
}

#[test]
fn what_ends_in_time_or_takes_few_steps_is_judged() {
    let (judged, engine) = slow(9000, Duration::from_micros(200));
    assert_eq!(judged, [Ok(true), Ok(true)], "0.98 s after the first look");
    assert_eq!(engine.stats().cache.hits, 1);
    let (judged, _) = slow(4096, Duration::from_secs(1));
    assert_eq!(judged, [Ok(true), Ok(true)], "nobody looks at the clock for so few steps");
}
