//! Comparing two schemas of 500 properties, beside compiling both with the bare `jsonschema` crate.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros make items without docs, and a benchmark stops at a failure"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use mcp_validation::{Compatibility, JsonSchema, Limits, SchemaFormat, SchemaSource};
use serde_json::{Map, Value, json};

const PROPERTIES: usize = 500;

/// Properties of five kinds, a third of them required.
fn schema(change: impl Fn(usize, &mut Value)) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for place in 0..PROPERTIES {
        let mut property = match place % 5 {
            0 => json!({"type": "string", "maxLength": 20}),
            1 => json!({"type": "integer", "minimum": 0}),
            2 => json!({"enum": ["a", "b", "c"]}),
            3 => json!({"type": "array", "items": {"type": "number"}}),
            _ => json!({"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}),
        };
        change(place, &mut property);
        properties.insert(format!("p{place}"), property);
        if place % 3 == 0 {
            required.push(format!("p{place}"));
        }
    }
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn compatibility(criterion: &mut Criterion) {
    let old = schema(|_, _| {});
    let widened = schema(|place, property| {
        if place % 5 == 1 {
            property["type"] = json!("number");
        }
    });
    let one_break = schema(|place, property| {
        if place == 7 {
            *property = json!({"enum": ["a", "b"]});
        }
    });
    let hundred_breaks = schema(|place, property| {
        if place % 5 == 0 {
            property["maxLength"] = json!(10);
        }
    });
    let limits = Limits::default();
    let writer = old.to_string();
    let mut group = criterion.benchmark_group("compatibility/500 properties");
    group.bench_function("peer: both compiled by bare jsonschema", |bencher| {
        bencher.iter(|| {
            for schema in [&old, &widened] {
                let text: Value = serde_json::from_str(black_box(&schema.to_string())).unwrap();
                black_box(jsonschema::options().offline().build(&text).unwrap());
            }
        });
    });
    for (label, new, breaks) in
        [("yes", &widened, 0), ("one break", &one_break, 1), ("a hundred breaks", &hundred_breaks, 100)]
    {
        let reader = new.to_string();
        group.bench_function(format!("engine: {label}"), |bencher| {
            bencher.iter(|| {
                let found = JsonSchema::new()
                    .can_read(
                        &SchemaSource::new(black_box(&reader), &[], &limits),
                        &SchemaSource::new(black_box(&writer), &[], &limits),
                    )
                    .unwrap();
                let shown = found.breaks().iter().filter(|found| found.witness.is_some()).count();
                assert_eq!((found == Compatibility::Yes, shown), (breaks == 0, breaks));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, compatibility);
criterion_main!(benches);
