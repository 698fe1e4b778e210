//! What one caller does, over and over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures::executor::block_on;
use futures::{StreamExt, stream};
use mcp_benches::random::Random;
use mcp_core::{Digest, Name, Version};
use mcp_validation::rule::FormatName;
use mcp_validation::{
    Avro, Contract, ContractBuilder, Document, Findings, Limits, Protobuf, Rule, StreamOrder, StreamSettings,
    ValidationEngine, Validator, ValidatorError,
};

use crate::documents::{Made, SUBJECTS, Verdict, document};
use crate::tally::Tally;

/// What a validator that panics says.
pub(crate) const ON_PURPOSE: &str = "as the document wants it";

const ORDER: &str = r#"{"type": "object", "required": ["number", "lines"], "properties": {
    "number": {"type": "integer", "minimum": 0},
    "lines": {"type": "array", "items": {"type": "object", "required": ["sku", "quantity"], "additionalProperties": false, "properties": {
        "sku": {"type": "string", "minLength": 1, "maxLength": 40, "pattern": "^part-[0-9]+$"},
        "quantity": {"type": "integer", "minimum": 0, "maximum": 1000}}}}}}"#;
const EXPONENTIAL: &str = r##"{"anyOf": [{"type": "array", "items": {"$ref": "#"}}, {"type": "array", "items": {"$ref": "#"}, "minItems": 1}]}"##;
const NODE: &str = r#"{"type": "record", "name": "Node", "fields": [{"name": "number", "type": "long"},
    {"name": "text", "type": "string"}, {"name": "next", "type": ["null", "Node"]}]}"#;
const MESSAGE: &str =
    "syntax = \"proto3\"; message Node { uint64 number = 1; string text = 2; Node next = 3; }";

/// Panics at some documents.
struct Fragile;

impl Validator for Fragile {
    fn validate(&self, document: &Document, _: &mut Findings) -> Result<(), ValidatorError> {
        assert!(document.value()?.get("panic").is_none(), "{ON_PURPOSE}");
        Ok(())
    }

    fn fingerprint(&self) -> Option<Digest> {
        Some(Digest::of(b"Fragile 1"))
    }
}

fn contract(subject: &str) -> ContractBuilder {
    let mut limits = Limits::default();
    limits.max_document_bytes = 1 << 20;
    match subject {
        "order" => Contract::json_schema(ORDER).rule(Rule::required("lines", "/lines")),
        "rules" => Contract::builder().rules([
            Rule::required("has-id", "/id"),
            Rule::format("mail", "/mail", FormatName::Email),
            Rule::range("positive", "/total", 0.01..),
            Rule::length("short", "/note", ..1000),
        ]),
        "avro" => Contract::schema(Avro, NODE),
        "protobuf" => Contract::schema(Protobuf::new(), MESSAGE),
        "exponential" => {
            limits.max_steps = 20_000;
            Contract::json_schema(EXPONENTIAL)
        }
        _ => Contract::builder().validator(Fragile),
    }
    .limits(limits)
}

fn name(subject: &str) -> Name {
    subject.parse().expect("a name")
}

fn version() -> Version {
    Version::new(1, 0, 0)
}

pub(crate) fn engine(cache_bytes: u64) -> Arc<ValidationEngine> {
    let engine = ValidationEngine::builder().cache_bytes(cache_bytes).build().expect("an engine");
    for subject in SUBJECTS {
        let contract = contract(subject).build().expect("a contract");
        engine.register(&name(subject), &version(), contract).expect("registered");
    }
    Arc::new(engine)
}

/// Ends when it is told to.
pub(crate) fn work(engine: &Arc<ValidationEngine>, tally: &Tally, stop: &AtomicBool, seed: u64) {
    let mut random = Random::new(seed);
    while !stop.load(Ordering::Relaxed) {
        match random.below(100) {
            0..80 => (0..20).for_each(|_| alone(engine, tally, &mut random)),
            80..98 => as_a_stream(engine, tally, &mut random),
            _ => compile(tally, &mut random),
        }
    }
}

fn alone(engine: &ValidationEngine, tally: &Tally, random: &mut Random) {
    // Whoever calls by himself meets the panic himself: these go through streams.
    let subject = SUBJECTS[random.below(5) as usize];
    let Made { subject, document, expected } = document(subject, random);
    let begin = Instant::now();
    let outcome = engine.validate_shared(&name(subject), &version(), &document);
    let what = match expected {
        Verdict::Valid => "a valid document",
        Verdict::Invalid => "an invalid document",
        _ => "a hostile document",
    };
    tally.add(what, begin.elapsed());
    tally.judged_as(subject, expected, Verdict::of(&outcome));
}

/// Of one subject; sometimes only half of it is taken.
fn as_a_stream(engine: &Arc<ValidationEngine>, tally: &Tally, random: &mut Random) {
    let subject = SUBJECTS[random.below(6) as usize];
    let count = 1 + random.below(600) as usize;
    let taken = if random.permille(300) { count / 2 } else { count };
    let mut settings = StreamSettings::default();
    settings.max_in_flight = [1, 10, 1000][random.below(3) as usize];
    settings.max_bytes_in_flight = 4 << 20;
    settings.order = if random.permille(500) { StreamOrder::AsGiven } else { StreamOrder::AsCompleted };
    let mut own = Random::new(random.below(u64::MAX));
    let input = stream::iter(0..count).map(move |place| {
        let Made { document, expected, .. } = document(subject, &mut own);
        ((place, expected, Instant::now()), document)
    });
    let judged = engine.validate_stream(&name(subject), &version(), input, settings).expect("a stream");
    let mut next = 0;
    let mut outcomes = judged.take(taken);
    while let Some(((place, expected, begin), outcome)) = block_on(outcomes.next()) {
        tally.add("a document of a stream", begin.elapsed());
        tally.judged_as(subject, expected, Verdict::of(&outcome));
        if settings.order == StreamOrder::AsGiven {
            tally.check("a stream is out of order", place == next);
        }
        next += 1;
    }
    tally.check("a stream lacks outcomes", next == taken);
}

/// A contract that is thrown away, or a hostile schema that is none.
fn compile(tally: &Tally, random: &mut Random) {
    let begin = Instant::now();
    let hostile = match random.below(4) {
        0 => Some(Contract::json_schema(r#"{"items":"#.repeat(10_000))),
        1 => {
            let levels: String = (0..40)
                .map(|level| {
                    format!(
                        r##""d{level}":{{"allOf":[{{"$ref":"#/$defs/d{0}"}},{{"$ref":"#/$defs/d{0}"}}]}},"##,
                        level + 1
                    )
                })
                .collect();
            Some(Contract::json_schema(format!(
                r##"{{"$ref":"#/$defs/d0","$defs":{{{levels}"d40":true}}}}"##
            )))
        }
        2 => Some(Contract::schema(Protobuf::new(), "message M {".repeat(1000))),
        _ => None,
    };
    let (what, refused) = match hostile {
        Some(builder) => ("refuse a hostile schema", builder.build().is_err()),
        None => ("compile a contract", contract(SUBJECTS[random.below(5) as usize]).build().is_ok()),
    };
    tally.check(what, refused);
    tally.add(what, begin.elapsed());
}
