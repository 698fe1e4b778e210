//! Comparing two schemas of 500 properties.

use std::hint::black_box;

use mcp_validation::{Avro, JsonSchema, Limits, Protobuf, SchemaFormat, SchemaSource};
use serde_json::{Map, Value, json};

use crate::timing::{shown, side_by_side};
use crate::{Figure, Places};

const FIELDS: usize = 500;

/// Its name, and what writes a schema of it.
type Format<'a> = (&'a str, &'a dyn SchemaFormat, fn(usize) -> String);

/// Properties of five kinds, a third of them required; every `narrowed`-th text is shorter than before.
fn json_schema(narrowed: usize) -> String {
    let mut properties = Map::new();
    for place in 0..FIELDS {
        let length = if narrowed > 0 && place % (5 * narrowed) == 0 { 10 } else { 20 };
        let property = match place % 5 {
            0 => json!({"type": "string", "maxLength": length}),
            1 => json!({"type": "integer", "minimum": 0}),
            2 => json!({"enum": ["a", "b", "c"]}),
            3 => json!({"type": "array", "items": {"type": "number"}}),
            _ => json!({"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}),
        };
        properties.insert(format!("p{place}"), property);
    }
    let required: Vec<&String> = properties.keys().step_by(3).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
        .to_string()
}

/// A record of fields of five kinds; every `narrowed`-th long is an int.
fn avro(narrowed: usize) -> String {
    let fields = (0..FIELDS).map(|place| {
        let kind = match place % 5 {
            0 => json!("string"),
            1 if narrowed > 0 && place % (5 * narrowed) == 1 => json!("int"),
            1 => json!("long"),
            2 => json!({"type": "enum", "name": format!("E{place}"), "symbols": ["a", "b", "c"]}),
            3 => json!({"type": "array", "items": "double"}),
            _ => json!(["null", {"type": "record", "name": format!("R{place}"), "fields": [{"name": "x", "type": "string"}]}]),
        };
        json!({"name": format!("f{place}"), "type": kind})
    });
    json!({"type": "record", "name": "Record", "fields": fields.collect::<Vec<_>>()}).to_string()
}

/// A message of fields of five kinds; every `narrowed`-th text is a number.
fn protobuf(narrowed: usize) -> String {
    let fields = (0..FIELDS).map(|place| {
        let kind = match place % 5 {
            0 if narrowed > 0 && place % (5 * narrowed) == 0 => "int32",
            0 => "string",
            1 => "int64",
            2 => "Kind",
            3 => "repeated double",
            _ => "Part",
        };
        format!("  {kind} f{place} = {};\n", place + 1)
    });
    format!(
        "syntax = \"proto3\";\npackage bench;\nenum Kind {{ KIND_UNKNOWN = 0; KIND_A = 1; }}\nmessage Part {{ string x = 1; }}\nmessage Whole {{\n{}}}\n",
        fields.collect::<String>()
    )
}

pub(crate) fn measure(_: &Places) -> Vec<Figure> {
    let formats: [Format<'_>; 3] = [
        ("JSON Schema", &JsonSchema::new(), json_schema),
        ("Avro", &Avro, avro),
        ("Protobuf", &Protobuf::new(), protobuf),
    ];
    let limits = Limits::default();
    let figures = formats.iter().flat_map(|(name, format, schema)| {
        let writer = schema(0);
        // None, one and a hundred of the fields are narrowed.
        [0, FIELDS, 1].map(|narrowed| {
            let reader = schema(narrowed);
            let compare = || {
                let reader = SchemaSource::new(black_box(&reader), &[], &limits);
                format
                    .can_read(&reader, &SchemaSource::new(black_box(&writer), &[], &limits))
                    .expect("compared")
            };
            let breaks = compare().breaks().len();
            let [time, compile] =
                side_by_side([&mut || assert_eq!(compare().breaks().len(), breaks), &mut || {
                    for text in [&reader, &writer] {
                        let parsed: Option<Value> = serde_json::from_str(text).ok();
                        if let Some(parsed) = parsed.filter(|_| *name == "JSON Schema") {
                            black_box(jsonschema::options().offline().build(&parsed).expect("a schema"));
                        }
                    }
                }]);
            Figure {
                what: format!("{name}, two schemas of {FIELDS} fields, {breaks} breaks"),
                target: "50 ms",
                reached: shown(time, 1),
                peer: if *name == "JSON Schema" {
                    format!("compiling both by bare `jsonschema`: {}", shown(compile, 1))
                } else {
                    String::new()
                },
                met: Some(time.as_millis() < 50),
            }
        })
    });
    figures.collect()
}
