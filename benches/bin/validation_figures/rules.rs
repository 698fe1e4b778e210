//! Documents of 1 KiB with 20 fields, by a schema and five rules, on two threads.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mcp_validation::rule::FormatName;
use mcp_validation::{Contract, Document, Rule};
use serde_json::{Map, Value, json};

use crate::{Figure, Places};

const THREADS: usize = 2;
const FOR: Duration = Duration::from_millis(500);

/// 20 fields of five kinds.
fn schema() -> String {
    let mut properties = Map::new();
    for field in 0..20 {
        let kind = match field % 5 {
            0 => json!({"type": "string", "minLength": 1, "maxLength": 200}),
            1 => json!({"type": "integer", "minimum": 0}),
            2 => json!({"type": "number", "maximum": 1e6}),
            3 => json!({"enum": ["new", "paid", "sent", "done"]}),
            _ => json!({"type": "array", "items": {"type": "string"}, "maxItems": 10}),
        };
        properties.insert(format!("field-{field}"), kind);
    }
    properties.insert("field-5".to_owned(), json!({"type": "string", "maxLength": 40}));
    let required: Vec<&String> = properties.keys().collect();
    json!({"type": "object", "required": required, "properties": properties, "additionalProperties": false})
        .to_string()
}

fn document(number: usize) -> Bytes {
    let members = (0..20).map(|field| {
        let value = match field % 5 {
            0 => json!(format!(
                "a description of the order with the number {number}, which is so long that twenty fields take one KiB together, and some more of it, at {field}."
            )),
            1 if field == 1 => json!(number + 1),
            1 => json!(number + field),
            2 => json!(number as f64 / 8.0),
            3 => json!(["new", "paid", "sent", "done"][(number + field) % 4]),
            _ => json!(["red", "green", "blue"]),
        };
        (format!("field-{field}"), value)
    });
    let mut document: Map<String, Value> = members.collect();
    document.insert("field-5".to_owned(), json!("2026-11-26T10:00:00Z"));
    Bytes::from(Value::Object(document).to_string())
}

fn rules() -> [Rule; 5] {
    [
        Rule::range("natural", "/field-1", 0.0..=1e9),
        Rule::format("a-time", "/field-5", FormatName::DateTime),
        Rule::unique("distinct", "/field-4"),
        Rule::pattern("words", "/field-0", "^a [a-z ]+ [0-9]+"),
        Rule::one_of("state", "/field-3", [json!("new"), json!("paid"), json!("sent"), json!("done")]),
    ]
}

fn expressions() -> [Rule; 5] {
    [
        Rule::cel("natural", "doc['field-1'] >= 0 && doc['field-1'] <= 1000000000"),
        Rule::cel("a-time", "timestamp(doc['field-5']) > timestamp('2020-01-01T00:00:00Z')"),
        Rule::cel("colours", "doc['field-4'].all(colour, colour in ['red', 'green', 'blue'])"),
        Rule::cel("words", "doc['field-0'].startsWith('a description') && doc['field-0'].size() < 200"),
        Rule::cel("halves", "doc['field-2'] * 8.0 == double(doc['field-1'] - 1)"),
    ]
}

/// Documents a second, all threads together, the best of five runs.
fn throughput(contract: &Contract, documents: &[Bytes]) -> f64 {
    let run = || {
        let begin = Instant::now();
        let judged: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        let mut judged = 0;
                        while begin.elapsed() < FOR {
                            for text in documents {
                                let report = contract.validate(&Document::json(black_box(text).clone()));
                                assert!(report.expect("judged").valid);
                            }
                            judged += documents.len();
                        }
                        judged
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("a thread")).sum()
        });
        judged as f64 / begin.elapsed().as_secs_f64()
    };
    (0..5).map(|_| run()).fold(0.0, f64::max)
}

pub(crate) fn measure(_: &Places) -> Vec<Figure> {
    let documents: Vec<Bytes> = (0..64).map(document).collect();
    let contracts = [
        ("no rule", "", Contract::json_schema(schema()), 0.0),
        ("5 built-in rules", "100,000/s", Contract::json_schema(schema()).rules(rules()), 100_000.0),
        ("5 CEL rules", "40,000/s", Contract::json_schema(schema()).rules(expressions()), 40_000.0),
    ];
    let bytes = documents.iter().map(Bytes::len).sum::<usize>() / documents.len();
    contracts
        .map(|(what, target, contract, least)| {
            let reached = throughput(&contract.build().expect("a contract"), &documents);
            Figure {
                what: format!("{bytes} bytes with 20 fields, {what}, bytes to report, two threads"),
                target,
                reached: format!("{reached:.0}/s"),
                peer: String::new(),
                met: (least > 0.0).then_some(reached >= least),
            }
        })
        .into()
}
