//! Judging a document of 1 KiB by a schema of 20 fields and five rules: built-in ones, the same in CEL, and the crate `cel` on the same
//! expressions.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros make items without docs, and a benchmark stops at a failure"
)]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use cel::objects::{Key, Map};
use cel::{Context, Program, Value as Peer};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mcp_validation::rule::{Operator, Rule};
use mcp_validation::{Contract, ContractBuilder, Document};
use serde_json::{Value, json};

const FIELDS: u32 = 14;

/// A schema of 20 fields.
fn schema() -> String {
    let mut properties = serde_json::Map::new();
    for field in 0..FIELDS {
        properties
            .insert(format!("field_{field:02}"), json!({"type": "string", "minLength": 1, "maxLength": 80}));
    }
    for (name, schema) in [
        ("id", json!({"type": "string"})),
        ("quantity", json!({"type": "integer"})),
        ("price", json!({"type": "number"})),
        ("total", json!({"type": "number"})),
        ("status", json!({"type": "string"})),
        ("tags", json!({"type": "array", "items": {"type": "string"}})),
    ] {
        properties.insert(name.to_owned(), schema);
    }
    json!({"type": "object", "properties": properties, "required": ["id", "total"], "additionalProperties": false}).to_string()
}

/// A document of about 1 KiB.
fn document() -> Bytes {
    let mut members = serde_json::Map::new();
    for field in 0..FIELDS {
        members.insert(
            format!("field_{field:02}"),
            format!("a value of some forty characters, {field:04}").into(),
        );
    }
    for (name, value) in [
        ("id", json!("A-10293")),
        ("quantity", json!(3)),
        ("price", json!(2.5)),
        ("total", json!(7.5)),
        ("status", json!("paid")),
        ("tags", json!(["new", "gift", "blue"])),
    ] {
        members.insert(name.to_owned(), value);
    }
    Bytes::from(Value::Object(members).to_string())
}

fn built_in() -> [Rule; 5] {
    [
        Rule::range("total", "/total", 0.01..100_000.0),
        Rule::one_of("status", "/status", ["open", "paid", "sent"]),
        Rule::pattern("id", "/id", "^[A-Z]-[0-9]+$"),
        Rule::compare("price", "/price", Operator::LessOrEqual, "/total"),
        Rule::length("tags", "/tags", 1..=10),
    ]
}

/// Two clauses each.
const EXPRESSIONS: [&str; 5] = [
    "doc.total > 0.0 && doc.total < 100000.0",
    "doc.status in ['open', 'paid', 'sent'] && doc.id != ''",
    "doc.id.startsWith('A-') && size(doc.id) < 20",
    "doc.price <= doc.total && doc.quantity >= 1",
    "size(doc.tags) > 0 && doc.tags.all(tag, tag != '')",
];

fn in_cel() -> impl Iterator<Item = Rule> {
    EXPRESSIONS.iter().enumerate().map(|(index, expression)| Rule::cel(format!("rule-{index}"), *expression))
}

fn peer_value(value: &Value) -> Peer {
    match value {
        Value::Null => Peer::Null,
        Value::Bool(truth) => Peer::Bool(*truth),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| Peer::Float(number.as_f64().unwrap_or_default()), Peer::Int)
        }
        Value::String(text) => Peer::String(Arc::new(text.clone())),
        Value::Array(elements) => Peer::List(Arc::new(elements.iter().map(peer_value).collect())),
        Value::Object(members) => {
            let map: HashMap<Key, Peer> = members
                .iter()
                .map(|(key, value)| (Key::String(Arc::new(key.clone())), peer_value(value)))
                .collect();
            Peer::Map(Map { map: Arc::new(map) })
        }
    }
}

fn rules(criterion: &mut Criterion) {
    let bytes = document();
    let parsed = Document::json(bytes.clone());
    let build = |builder: ContractBuilder| builder.build().unwrap();
    let mut group = criterion.benchmark_group("rules/five, parsed before");
    for (label, contract) in [
        ("engine: none", build(Contract::builder())),
        ("engine: built-in", build(Contract::builder().rules(built_in()))),
        ("engine: CEL", build(Contract::builder().rules(in_cel()))),
    ] {
        assert!(contract.validate(&parsed).unwrap().valid);
        group.bench_function(label, |bencher| {
            bencher.iter(|| assert!(contract.validate(black_box(&parsed)).unwrap().valid));
        });
    }
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    let programs = EXPRESSIONS.map(|expression| Program::compile(expression).unwrap());
    let judge = |context: &Context<'_, '_>| {
        programs.iter().all(|program| matches!(program.execute(context), Ok(Peer::Bool(true))))
    };
    let mut context = Context::default();
    context.add_variable_from_value("doc", peer_value(&value));
    group.bench_function("peer: the crate cel, document converted before", |bencher| {
        bencher.iter(|| assert!(judge(black_box(&context))));
    });
    group.bench_function("peer: the crate cel, document converted", |bencher| {
        bencher.iter(|| {
            let mut context = Context::default();
            context.add_variable_from_value("doc", peer_value(black_box(&value)));
            assert!(judge(&context));
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("rules/1 KiB, schema of 20 fields, bytes to report");
    group.throughput(Throughput::Elements(1));
    for (label, contract) in [
        ("no rules", build(Contract::json_schema(schema()))),
        ("five built-in rules", build(Contract::json_schema(schema()).rules(built_in()))),
        ("five CEL rules", build(Contract::json_schema(schema()).rules(in_cel()))),
    ] {
        group.bench_function(label, |bencher| {
            bencher.iter(|| {
                assert!(contract.validate(&Document::json(black_box(&bytes).clone())).unwrap().valid);
            });
        });
    }
    group.finish();

    criterion.bench_function("rules/building a contract of five CEL rules", |bencher| {
        bencher.iter(|| build(Contract::builder().rules(in_cel())));
    });
}

criterion_group!(benches, rules);
criterion_main!(benches);
