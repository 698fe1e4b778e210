//! Judging a document: the engine beside the bare `jsonschema` crate, on the same bytes and the same schema.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros make items without docs, and a benchmark stops at a failure"
)]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mcp_benches::{ORDER_SCHEMA, distinct_json};
use mcp_validation::{Contract, Document, Rule};
use serde_json::Value;

fn validate(criterion: &mut Criterion) {
    let schema: Value = serde_json::from_str(ORDER_SCHEMA).unwrap();
    let bare = jsonschema::options().offline().build(&schema).unwrap();
    let contract = Contract::json_schema(ORDER_SCHEMA).build().unwrap();
    let ruled = Contract::json_schema(ORDER_SCHEMA)
        .rule(Rule::range("number-is-natural", "/number", 0.0..))
        .rule(Rule::required("lines-are-there", "/lines"))
        .build()
        .unwrap();
    for (label, length) in [("1 KiB", 1024), ("16 KiB", 16 * 1024)] {
        let text = Bytes::from(distinct_json(7, length));
        let mut group = criterion.benchmark_group(format!("validate/{label}"));
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function("peer: serde_json and bare jsonschema", |bencher| {
            bencher.iter(|| {
                let value: Value = serde_json::from_slice(black_box(&text)).unwrap();
                assert!(bare.is_valid(&value));
            });
        });
        group.bench_function("engine: bytes to report", |bencher| {
            bencher.iter(|| {
                assert!(contract.validate(&Document::json(black_box(&text).clone())).unwrap().valid)
            });
        });
        group.bench_function("engine: bytes to report, two rules", |bencher| {
            bencher
                .iter(|| assert!(ruled.validate(&Document::json(black_box(&text).clone())).unwrap().valid));
        });
        let value: Value = serde_json::from_slice(&text).unwrap();
        group.bench_function("peer: bare jsonschema, parsed before", |bencher| {
            bencher.iter(|| assert!(bare.is_valid(black_box(&value))));
        });
        let parsed = Document::json(text.clone());
        assert!(contract.is_valid(&parsed).unwrap());
        group.bench_function("engine: parsed before", |bencher| {
            bencher.iter(|| assert!(contract.is_valid(black_box(&parsed)).unwrap()));
        });
        group.finish();
    }
}

criterion_group!(benches, validate);
criterion_main!(benches);
