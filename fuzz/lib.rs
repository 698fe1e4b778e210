//! What each fuzz target does with the bytes it is given: it must return, whatever they are.

/// The part of the example `judge` that reads from outside: the program itself, and nothing copied from it.
#[path = "../examples/judge/lines.rs"]
mod lines;
mod quality;

mod batch;

use lines::Chosen;
use mcp_core::{
    ArtifactRef, Digest, ErrorKind, Holder, Id, Name, Principal, RequestId, Requirement, Timestamp, Version,
};
use mcp_promotion::{
    Calendar, CountTest, Day, Guardrail, Pipeline, Plan, PlanRequest, Policy, PromotionError, RankTest,
    Windows,
};
use mcp_registry::pack::{ChunkHead, ChunkTable, Footer, PackName, RecordHeader, check_header, header};
use mcp_validation::rule::RuleSet;
use mcp_validation::{
    Avro, Compatibility, Contract, Document, Encoding, Limits, Mode, Protobuf, Rule, SchemaFormat,
    SchemaSource, UnknownFields, ValidationError,
};
pub use quality::{quality_csv, quality_policy, quality_state};

/// What a target does with its bytes.
pub type Target = fn(&[u8]);

/// Every target, by the name of its corpus; those of the validation engine first.
pub const TARGETS: [(&str, Target); 22] = [
    ("document", document),
    ("schema", schema),
    ("cel", cel),
    ("rules", rules),
    ("avro_schema", avro_schema),
    ("avro_document", avro_document),
    ("proto_text", proto_text),
    ("descriptor_set", descriptor_set),
    ("protobuf_binary", protobuf_binary),
    ("protobuf_json", protobuf_json),
    ("batch_lines", batch_lines),
    ("quality_csv", quality_csv),
    ("quality_policy", quality_policy),
    ("quality_state", quality_state),
    ("words", words),
    ("pack_footer", pack_footer),
    ("chunk_table", chunk_table),
    ("pipeline", pipeline),
    ("calendar", calendar),
    ("policy", policy),
    ("plan_request", plan_request),
    ("judge_lines", judge_lines),
];

/// How many of them belong to the validation engine.
pub const OF_VALIDATION: usize = 14;

/// The parsed words of the core: what is accepted shows itself as it was written.
pub fn words(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    macro_rules! shows_itself {
        ($($type:ty),+) => {
            $(if let Ok(value) = text.parse::<$type>() {
                assert_eq!(value.to_string(), text, "{}", stringify!($type));
            })+
        };
    }
    shows_itself!(Name, Version, Digest, ArtifactRef, Principal, RequestId, Holder, Id);
    if let Ok(moment) = text.parse::<Timestamp>() {
        assert_eq!(moment.to_string().parse(), Ok(moment));
    }
    if let Ok(requirement) = text.parse::<Requirement>() {
        assert_eq!(requirement.to_string().parse(), Ok(requirement));
    }
}

/// What a storage backend hands back as a pack: its header, its records' headers, its footer. An accepted footer encodes to the bytes
/// that it was read from.
pub fn pack_footer(data: &[u8]) {
    if let Ok(footer) = Footer::parse(data) {
        let encoded = Footer::encode(&footer.entries);
        assert!(data.ends_with(&encoded), "a footer of {} entries", footer.entries.len());
    }
    if let Some(trailer) = data.len().checked_sub(Footer::TRAILER_BYTES).and_then(|at| data.get(at..))
        && let Ok(length) = Footer::length(trailer, data.len() as u64)
    {
        assert!(length <= data.len() as u64);
    }
    if let Ok(record) = RecordHeader::parse(data) {
        assert_eq!(Some(record.encode().as_slice()), data.get(..RecordHeader::BYTES));
    }
    let name = PackName { epoch: 1, number: 1 };
    assert_eq!(check_header(data, name).is_ok(), data.starts_with(&header(name)));
}

/// What a storage backend hands back as a record of chunks: its head, its table and its tail. What is accepted encodes to the bytes that it
/// was read from, and its chunks are as long as it is.
pub fn chunk_table(data: &[u8]) {
    if let Ok(head) = ChunkHead::parse(data) {
        assert_eq!(Some(head.encode().as_slice()), data.get(..ChunkHead::BYTES));
        assert!(ChunkHead::begins(data));
    }
    let record_bytes = data.len() as u64;
    if let Some(tail) = data.len().checked_sub(ChunkTable::TAIL_BYTES).and_then(|at| data.get(at..))
        && let Ok(length) = ChunkTable::length(tail, record_bytes)
    {
        assert!(length < record_bytes);
    }
    if let Ok(table) = ChunkTable::parse(data, record_bytes) {
        assert!(data.ends_with(&table.encode()), "a table of {} chunks", table.chunks.len());
        let sizes = (0..table.chunks.len() as u64).map(|index| table.original(index));
        assert_eq!(sizes.sum::<u64>(), table.size);
        assert_eq!(table.original(table.chunks.len() as u64), 0);
        assert!(!table.matches(table.chunks.len() as u64, data));
    }
}

/// Limits small enough for a fuzzer's patience.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_document_bytes = 1 << 20;
    limits.max_schema_bytes = 1 << 20;
    limits.max_steps = 100_000;
    limits
}

/// A JSON document: found valid or invalid the same way twice, or refused because a limit ran out.
pub fn document(data: &[u8]) {
    static CONTRACT: std::sync::OnceLock<Option<Contract>> = std::sync::OnceLock::new();
    let contract = CONTRACT.get_or_init(|| {
        let schema = r##"{"$defs": {"node": {"type": ["object", "array", "number", "null"], "items": {"$ref": "#/$defs/node"},
            "additionalProperties": {"$ref": "#/$defs/node"}, "uniqueItems": true, "maxProperties": 20}}, "$ref": "#/$defs/node"}"##;
        Contract::json_schema(schema).rule(Rule::range("positive", "/total", 0.0..)).limits(limits()).build().ok()
    });
    let Some(contract) = contract else { panic!("the contract of this target does not build") };
    let judge = || contract.validate(&Document::json(data.to_vec()));
    match (judge(), judge()) {
        (Ok(one), Ok(two)) => assert_eq!(one, two),
        (Err(one), Err(two)) => {
            assert_eq!((one.kind(), two.kind()), (ErrorKind::Exhausted, ErrorKind::Exhausted))
        }
        _ => panic!("judged once, and once not"),
    }
}

/// A JSON Schema and rules, before the first line break and behind it: refused, or fit to judge a document with.
pub fn schema(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (schema, rules) = text.split_once('\n').unwrap_or((text, "[]"));
    let rules: Vec<Rule> = serde_json::from_str(rules).unwrap_or_default();
    if let Ok(contract) = Contract::json_schema(schema).rules(rules).limits(limits()).build() {
        for document in ["{\"total\": 0, \"a\": [1, 1.5, null, \"x\"]}", "[[[[]]]]", "\"2026-01-02\"", "12"] {
            if let Err(error) = contract.validate(&Document::json(document)) {
                assert_eq!(error.kind(), ErrorKind::Exhausted, "{error}");
            }
        }
    }
}

/// A condition in CEL before the first line break, a message behind it: refused, or evaluated the same way twice over documents of all kinds.
pub fn cel(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (condition, message) = text.split_once('\n').unwrap_or((text, "'no'"));
    let rules = [
        Rule::cel("alone", condition),
        Rule::cel_at("at", "/*", condition).message_cel(message),
        Rule::cel("named", "x == x").variable("x", condition),
    ];
    for rule in rules {
        let Ok(contract) = Contract::builder().rule(rule).limits(limits()).build() else { continue };
        for document in [
            "{\"a\": 1, \"b\": [1, 1.5, null, \"x\", {\"a\": true}], \"t\": \"2026-01-02T03:04:05Z\"}",
            "[[3, 1, 2], [[[[]]]], {}, -1, 18446744073709551615]",
            "\"text\"",
            "-9223372036854775808",
        ] {
            let judge = || contract.validate(&Document::json(document));
            match (judge(), judge()) {
                (Ok(one), Ok(two)) => assert_eq!(one, two),
                (Err(one), Err(two)) => {
                    assert_eq!(
                        (one.kind(), two.kind()),
                        (ErrorKind::Exhausted, ErrorKind::Exhausted),
                        "{one}"
                    );
                }
                _ => panic!("judged once, and once not"),
            }
        }
    }
}

/// Rules as JSON and as YAML: refused with a place in the text, or rules that a contract takes, and that come back from JSON as they were.
pub fn rules(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines = text.matches('\n').count() as u64 + 1;
    for read in [RuleSet::from_json(text), RuleSet::from_yaml(text)] {
        match read {
            Ok(set) => {
                let json = serde_json::to_string(&set.rules);
                assert_eq!(json.ok().and_then(|json| RuleSet::from_json(&json).ok()), Some(set.clone()));
                if let Err(error) = Contract::builder().rules(set).build() {
                    panic!("what was read is refused: {error}");
                }
            }
            Err(ValidationError::BrokenRules { line, column, .. }) => {
                assert!(
                    (1..=lines.max(1) + text.matches('\r').count() as u64).contains(&line) && column >= 1
                );
            }
            Err(error) => panic!("refused without a place: {error}"),
        }
    }
}

/// Avro schemas, one before the first line break and one behind it: each refused, or fit to judge a document with and readable by itself; and
/// compared the same way twice.
pub fn avro_schema(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let limits = limits();
    let (one, other) = text.split_once('\n').unwrap_or((text, "[\"null\", \"int\"]"));
    let (one, other) = (SchemaSource::new(one, &[], &limits), SchemaSource::new(other, &[], &limits));
    for source in [&one, &other] {
        let Ok(contract) = Contract::schema(Avro, source.text).limits(limits.clone()).build() else {
            continue;
        };
        for (encoding, bytes) in [
            (Encoding::Json, &b"{\"a\": [1, null, \"x\"]}"[..]),
            (Encoding::AvroJson, b"{\"int\": 1}"),
            (Encoding::AvroBinary, &[2; 400]),
        ] {
            if let Err(error) = contract.validate(&Document::new(encoding, bytes)) {
                assert_eq!(error.kind(), ErrorKind::Exhausted, "{error}");
            }
        }
        match Avro.can_read(source, source) {
            Ok(Compatibility::Yes | Compatibility::Unknown(_)) => {}
            no => panic!("it does not read itself: {no:?}"),
        }
    }
    match (Avro.can_read(&one, &other), Avro.can_read(&one, &other)) {
        (Ok(one), Ok(two)) => assert_eq!(one, two),
        (Err(one), Err(two)) => assert_eq!(one.kind(), two.kind()),
        _ => panic!("compared once, and once not"),
    }
}

/// An Avro document behind two bytes that choose its schema and its encoding: found valid or invalid the same way twice, or refused because
/// a limit ran out or a codec is not known.
pub fn avro_document(data: &[u8]) {
    static CONTRACTS: std::sync::OnceLock<Vec<Contract>> = std::sync::OnceLock::new();
    let contracts = CONTRACTS.get_or_init(|| {
        let schemas = [
            r#"{"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}"#,
            r#"{"type": "array", "items": ["null", "int", "double", "string", {"type": "map", "values": "bytes"}]}"#,
            r#"{"type": "record", "name": "R", "fields": [
                {"name": "d", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2}},
                {"name": "u", "type": {"type": "string", "logicalType": "uuid"}, "default": "00000000-0000-4000-8000-000000000000"},
                {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"], "default": "A"}},
                {"name": "f", "type": ["null", {"type": "fixed", "name": "F", "size": 3}], "default": null}]}"#,
            r#"{"type": "map", "values": {"type": "array", "items": "null"}}"#,
        ];
        let build = |schema: &str| Contract::schema(Avro, schema).rule(Rule::required("r", "/next")).limits(limits()).build();
        schemas.into_iter().filter_map(|schema| build(schema).ok()).collect()
    });
    assert_eq!(contracts.len(), 4, "the contracts of this target do not build");
    let [schema, encoding, bytes @ ..] = data else { return };
    let Some(contract) = contracts.get(usize::from(schema % 4)) else { return };
    let encodings = [
        Encoding::AvroBinary,
        Encoding::AvroSingleObject,
        Encoding::AvroContainer,
        Encoding::AvroJson,
        Encoding::Json,
    ];
    let Some(encoding) = encodings.get(usize::from(encoding % 5)) else { return };
    let judge = || contract.validate(&Document::new(*encoding, bytes.to_vec()));
    match (judge(), judge()) {
        (Ok(one), Ok(two)) => assert_eq!(one, two),
        (Err(one), Err(two)) => {
            assert_eq!(one.kind(), two.kind());
            assert!(matches!(one.kind(), ErrorKind::Exhausted | ErrorKind::Unsupported), "{one}");
        }
        _ => panic!("judged once, and once not"),
    }
}

/// A Protobuf schema: refused, or fit to judge a document with; and what reads itself.
fn protobuf_schema(text: &str) {
    let refused = |kind| {
        let expected =
            [ErrorKind::Invalid, ErrorKind::NotFound, ErrorKind::Exhausted, ErrorKind::Unsupported];
        assert!(expected.contains(&kind), "{kind:?}");
    };
    match Contract::schema(Protobuf::new(), text).limits(limits()).build() {
        Ok(contract) => {
            for document in [&b""[..], b"\x08\x01", b"\x0a\x02\x08\x01", b"\x0b\x0c"] {
                let document = Document::new(Encoding::ProtobufBinary, document);
                if let Err(error) = contract.validate(&document) {
                    assert_eq!(error.kind(), ErrorKind::Exhausted, "{error}");
                }
            }
        }
        Err(ValidationError::BrokenSchema { source, .. }) => refused(source.kind()),
        Err(error) => panic!("{error}"),
    }
    let limits = limits();
    let source = SchemaSource::new(text, &[], &limits);
    match Mode::Full.check(&Protobuf::new(), &[source], &source) {
        Ok(verdict) => assert!(verdict.is_yes(), "{:?}", verdict.breaks()),
        Err(error) => refused(error.kind()),
    }
}

/// The text of a `.proto` file.
pub fn proto_text(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        protobuf_schema(text);
    }
}

/// The bytes of a `FileDescriptorSet`.
pub fn descriptor_set(data: &[u8]) {
    protobuf_schema(&Protobuf::schema_text(data));
}

const PROTOBUF: &str = r#"syntax = "proto2";
    import "google/protobuf/any.proto"; import "google/protobuf/struct.proto"; import "google/protobuf/timestamp.proto";
    import "google/protobuf/duration.proto"; import "google/protobuf/field_mask.proto"; import "google/protobuf/wrappers.proto";
    message Node {
      required int32 id = 1; repeated Node nodes = 2; map<string, Node> named = 3; optional E e = 4; repeated sint64 packed = 5 [packed = true];
      optional group Part = 6 { optional bytes seal = 1; } oneof one { string text = 7; double real = 8; }
      optional google.protobuf.Any any = 9; optional google.protobuf.Struct data = 10; optional google.protobuf.Timestamp at = 11;
      optional google.protobuf.Duration took = 12; optional google.protobuf.FieldMask mask = 13; optional google.protobuf.Value value = 14;
      optional google.protobuf.FloatValue ratio = 15; map<bool, fixed64> flags = 16;
    }
    enum E { A = 1; B = -1; }"#;

/// A document by [`PROTOBUF`]: found valid or invalid the same way twice, or refused because a limit ran out.
fn protobuf_document(encoding: Encoding, data: &[u8]) {
    static CONTRACT: std::sync::OnceLock<Option<Contract>> = std::sync::OnceLock::new();
    let contract = CONTRACT.get_or_init(|| {
        let format = Protobuf::new().unknown_fields(UnknownFields::Refused);
        Contract::schema(format, PROTOBUF)
            .rule(Rule::range("positive", "/id", 0.0..))
            .limits(limits())
            .build()
            .ok()
    });
    let Some(contract) = contract else { panic!("the contract of this target does not build") };
    let judge = || contract.validate(&Document::new(encoding, data.to_vec()));
    match (judge(), judge()) {
        (Ok(one), Ok(two)) => assert_eq!(one, two),
        (Err(one), Err(two)) => {
            assert_eq!((one.kind(), two.kind()), (ErrorKind::Exhausted, ErrorKind::Exhausted))
        }
        _ => panic!("judged once, and once not"),
    }
}

/// A Protobuf message in the binary encoding.
pub fn protobuf_binary(data: &[u8]) {
    protobuf_document(Encoding::ProtobufBinary, data);
}

/// A Protobuf message in JSON.
pub fn protobuf_json(data: &[u8]) {
    protobuf_document(Encoding::ProtobufJson, data);
}

/// A pipeline: refused with at least one fault, each short, and the same ones twice; or written as JSON from which the same one is read.
pub fn pipeline(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match (Pipeline::from_json(text), Pipeline::from_json(text)) {
        (Ok(pipeline), Ok(_)) => {
            let written = serde_json::to_string(&pipeline).unwrap_or_default();
            assert_eq!(Pipeline::from_json(&written).ok(), Some(pipeline), "{written}");
        }
        (Err(PromotionError::Pipeline { faults }), Err(PromotionError::Pipeline { faults: again })) => {
            assert_eq!(faults, again);
            assert!(
                (1..=201).contains(&faults.len())
                    && faults.iter().all(|fault| fault.to_string().len() < 10_000)
            );
        }
        _ => panic!("neither read nor refused with faults"),
    }
}

/// Windows: calendars that are accepted show themselves as they were written, and say from when on it is open.
pub fn calendar(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some((zone, cron)) = text.split_once('\n') {
        drop(Calendar::cron("fuzz", zone, cron, std::time::Duration::from_secs(60)));
        drop(Calendar::span("fuzz", zone, cron, "9999-12-31T23:59"));
        drop(Calendar::weekly("fuzz", zone, [Day::Mon], cron, "24:00"));
    }
    let Ok(windows) = serde_json::from_str::<Windows>(text) else { return };
    let written = serde_json::to_string(&windows).unwrap_or_default();
    assert_eq!(serde_json::from_str::<Windows>(&written).ok().as_ref(), Some(&windows), "{written}");
    if windows.allow.len() + windows.deny.len() > 4 {
        return;
    }
    for at in [i64::MIN, -62_135_596_800_000_000, 0, 1_774_746_000_000_000, i64::MAX] {
        let at = Timestamp::from_micros(at);
        match windows.open(at) {
            Ok(opening) => assert!(opening.until.is_none_or(|until| until > at), "{opening:?} at {at}"),
            Err(closed) => assert!(closed.opens_at.is_none_or(|opens| opens > at), "{closed:?} at {at}"),
        }
    }
}

/// A policy: its faults are the same twice; it survives being written, with its digest.
pub fn policy(data: &[u8]) {
    let Ok(policy) = serde_json::from_slice::<Policy>(data) else { return };
    assert_eq!(policy.faults(), policy.faults());
    let written = serde_json::to_string(&policy).unwrap_or_default();
    let Ok(read) = serde_json::from_str::<Policy>(&written) else { panic!("not read again: {written}") };
    assert_eq!(read.digest().ok(), policy.digest().ok(), "{written}");
}

/// A request for a plan: refused, or in waves in which each of its stages comes once, and the same ones the other way round.
pub fn plan_request(data: &[u8]) {
    let Ok(request) = serde_json::from_slice::<PlanRequest>(data) else { return };
    if let Ok(plan) = request.plan() {
        let stages =
            |plan: &Plan| -> Vec<Name> { plan.waves().iter().flatten().flatten().cloned().collect() };
        let (mut there, mut back) = (stages(&plan), stages(&plan.rollback()));
        let wanted: std::collections::BTreeSet<&Name> =
            request.items.iter().map(|item| &item.stage).collect();
        assert!(there.iter().collect::<std::collections::BTreeSet<_>>().is_subset(&wanted));
        there.sort();
        back.sort();
        assert_eq!(there, back);
        assert!(there.windows(2).all(|pair| pair.first() != pair.last()), "{there:?}");
    }
}

/// Intervals for the example `judge`, as lines: each is answered by one line, a verdict, a reset or a short error; the same way twice, and the
/// lines that were answered by errors change nothing.
pub fn judge_lines(data: &[u8]) {
    let answers = |chosen: &Chosen, data: &[u8]| -> Vec<serde_json::Value> {
        let mut output = Vec::new();
        if let Err(error) = lines::judge_lines(chosen, data, &mut output) {
            panic!("reading from memory failed: {error}");
        }
        let lines = output.split_inclusive(|byte| *byte == b'\n');
        lines.map(|line| serde_json::from_slice(line).unwrap_or_default()).collect()
    };
    for chosen in [
        Chosen::Rank(RankTest::default()),
        Chosen::Count(CountTest::default()),
        Chosen::Guardrail(Guardrail::default()),
    ] {
        let lines: Vec<&[u8]> = data.split_inclusive(|byte| *byte == b'\n').collect();
        let told = answers(&chosen, data);
        assert_eq!(told.len(), lines.len(), "{told:?}");
        for answer in &told {
            let verdict = answer.get("verdict").and_then(serde_json::Value::as_str);
            let is_verdict = verdict.is_some_and(|verdict| {
                ["undecided", "pass", "fail", "inconclusive"].contains(&verdict)
                    && answer.get("evidence").and_then(serde_json::Value::as_f64).is_some_and(|e| e >= 0.0)
            });
            let error = answer.get("error").and_then(serde_json::Value::as_str);
            let is_error = error.is_some_and(|why| !why.is_empty() && why.chars().count() <= 400);
            let is_reset = *answer == serde_json::json!({"reset": true});
            assert!(is_verdict || is_error || is_reset, "{answer}");
        }
        let is_error = |answer: &serde_json::Value| answer.get("error").is_some();
        let good: Vec<u8> = lines
            .iter()
            .zip(&told)
            .filter(|(_, answer)| !is_error(answer))
            .flat_map(|(line, _)| line.iter().copied())
            .collect();
        let kept: Vec<serde_json::Value> = told.into_iter().filter(|answer| !is_error(answer)).collect();
        assert_eq!(answers(&chosen, &good), kept);
    }
}

/// Lines for the examples `validate` and `compat`: each is answered by one line of JSON with the line's id and a verdict, the same one twice.
pub fn batch_lines(data: &[u8]) {
    let judge = batch::validate::Judge::default();
    let validate = |line: &[u8]| judge.answer(line);
    for line in data.split(|byte| *byte == b'\n').take(8) {
        for (answer, verdicts, list) in [
            (&validate as &dyn Fn(&[u8]) -> String, ["valid", "invalid", "error", "exhausted"], "findings"),
            (&batch::compat::answer, ["yes", "no", "error", "unknown"], "breaks"),
        ] {
            let told = answer(line);
            assert_eq!(answer(line), told);
            assert!(!told.contains('\n'), "{told}");
            // An id may be a number that is beyond what is read here.
            let Ok(read) = serde_json::from_str::<serde_json::Value>(&told) else { continue };
            let verdict = read.get("verdict").and_then(serde_json::Value::as_str).unwrap_or_default();
            assert!(
                verdicts.contains(&verdict) && read.get(list).is_some_and(serde_json::Value::is_array),
                "{told}"
            );
            if let Ok(line) = serde_json::from_slice::<serde_json::Value>(line)
                && line.is_object()
            {
                assert_eq!(read.get("id"), line.get("id").or(Some(&serde_json::Value::Null)), "{told}");
            }
        }
    }
    for refused in [batch::validate::refuse(data, "a test"), batch::compat::refuse(data, "a test")] {
        assert!(refused.contains("\"verdict\":\"error\""), "{refused}");
    }
}
