//! Pairs of schemas, and what a comparison says of them in both directions.

use mcp_validation::*;
use serde_json::{Value, json};

use crate::*;

#[test]
fn each_pair_breaks_as_the_table_says() {
    let string = || json!({"type": "string"});
    let integer = || json!({"type": "integer"});
    let a = |schema: Value| object(json!({"a": schema}), &[]);
    let any = |branches: &[Value]| json!({"anyOf": branches});
    let one = |branches: &[Value]| json!({"oneOf": branches});
    let text = |keyword: &str, value: Value| json!({"type": "string", keyword: value});
    let number = |keyword: &str, value: Value| json!({"type": "number", keyword: value});
    let array = |keyword: &str, value: Value| json!({"type": "array", keyword: value});
    let table: Vec<(&str, Value, Value, &str, &str)> = vec![
        // What, old, new, new reads old, old reads new.
        ("nothing", a(string()), a(string()), "yes", "yes"),
        (
            "remarks only",
            a(string()),
            json!({"title": "t", "type": "object", "properties": {"a": {"type": "string", "description": "d"}}}),
            "yes",
            "yes",
        ),
        ("anything to nothing", json!(true), json!(false), "false", "yes"),
        ("nothing to anything", json!(false), json!({}), "yes", "false"),
        ("type widened", a(integer()), a(json!({"type": "number"})), "yes", "type-narrowed"),
        ("type changed", a(string()), a(integer()), "type-changed", "type-changed"),
        ("type made nullable", a(string()), a(json!({"type": ["string", "null"]})), "yes", "type-narrowed"),
        ("type added", json!({}), string(), "type-narrowed", "yes"),
        (
            "required added, known",
            a(string()),
            object(json!({"a": string()}), &["a"]),
            "required-added",
            "yes",
        ),
        (
            "required added, unknown",
            a(string()),
            object(json!({"a": string(), "b": {}}), &["b"]),
            "required-added",
            "yes",
        ),
        (
            "property added, open",
            a(string()),
            object(json!({"a": string(), "b": integer()}), &[]),
            "property-added-to-open-object",
            "yes",
        ),
        (
            "property added, closed",
            closed(json!({"a": string()}), &[]),
            closed(json!({"a": string(), "b": integer()}), &[]),
            "yes",
            "property-removed",
        ),
        (
            "required property added, closed",
            closed(json!({"a": string()}), &[]),
            closed(json!({"a": string(), "b": integer()}), &["b"]),
            "required-added",
            "property-removed",
        ),
        (
            "untyped property added, open",
            a(string()),
            object(json!({"a": string(), "b": {}}), &[]),
            "yes",
            "yes",
        ),
        (
            "property removed, open",
            object(json!({"a": string(), "b": integer()}), &[]),
            a(string()),
            "yes",
            "property-added-to-open-object",
        ),
        (
            "property removed, closed",
            closed(json!({"a": string(), "b": integer()}), &[]),
            closed(json!({"a": string()}), &[]),
            "property-removed",
            "yes",
        ),
        ("object closed", a(string()), closed(json!({"a": string()}), &[]), "object-closed", "yes"),
        (
            "additional narrowed",
            json!({"type": "object"}),
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            "additional-properties-narrowed",
            "yes",
        ),
        (
            "additional changed",
            json!({"additionalProperties": {"type": "string"}}),
            json!({"additionalProperties": {"type": "string", "maxLength": 3}}),
            "max-length-added",
            "yes",
        ),
        (
            "closed, pattern for the member",
            closed(json!({"ab": string()}), &[]),
            json!({"type": "object", "patternProperties": {"^a": {"type": "string"}}, "additionalProperties": false}),
            "yes",
            "pattern-property-removed",
        ),
        (
            "pattern property added",
            json!({"type": "object"}),
            json!({"type": "object", "patternProperties": {"^x-": {"type": "string"}}}),
            "pattern-property-added",
            "yes",
        ),
        (
            "pattern property removed, closed",
            json!({"type": "object", "patternProperties": {"^x-": {"type": "string"}}, "additionalProperties": false}),
            json!({"type": "object", "additionalProperties": false}),
            "pattern-property-removed",
            "yes",
        ),
        (
            "names that are no text",
            json!({"type": "object"}),
            json!({"type": "object", "propertyNames": {"type": "null"}}),
            "property-names-narrowed",
            "yes",
        ),
        (
            "names that are numbers",
            json!({"type": "object"}),
            json!({"type": "object", "propertyNames": {"type": ["integer", "array"]}}),
            "property-names-narrowed",
            "yes",
        ),
        (
            "names that are two types at once",
            json!({"type": "object"}),
            json!({"type": "object", "propertyNames": {"allOf": [{"type": "string"}, {"type": "null"}]}}),
            "property-names-narrowed",
            "yes",
        ),
        (
            "names that are one of two types, neither text",
            json!({"type": "object"}),
            json!({"type": "object", "propertyNames": {"anyOf": [{"type": "null"}, {"enum": [1]}]}}),
            "property-names-narrowed",
            "yes",
        ),
        (
            "names narrowed",
            json!({"type": "object"}),
            json!({"type": "object", "propertyNames": {"maxLength": 3}}),
            "property-names-narrowed",
            "yes",
        ),
        (
            "min properties",
            json!({"type": "object"}),
            json!({"type": "object", "minProperties": 1}),
            "min-properties-added",
            "yes",
        ),
        (
            "max properties",
            json!({"type": "object", "maxProperties": 5}),
            json!({"type": "object", "maxProperties": 4}),
            "max-properties-lowered",
            "yes",
        ),
        (
            "dependent required",
            a(string()),
            json!({"type": "object", "properties": {"a": string()}, "dependentRequired": {"a": ["b"]}}),
            "dependent-required-added",
            "yes",
        ),
        (
            "dependent schema",
            json!({"type": "object"}),
            json!({"type": "object", "dependentSchemas": {"a": {"required": ["b"]}}}),
            "dependent-schema-added",
            "yes",
        ),
        ("enum narrowed", a(json!({"enum": ["x", "y"]})), a(json!({"enum": ["x"]})), "enum-narrowed", "yes"),
        ("enum widened", a(json!({"enum": ["x"]})), a(json!({"enum": ["x", "y"]})), "yes", "enum-narrowed"),
        ("enum added", string(), json!({"type": "string", "enum": ["x"]}), "enum-added", "yes"),
        (
            "enum of all truth values",
            json!({"type": "boolean"}),
            json!({"enum": [true, false]}),
            "yes",
            "yes",
        ),
        ("const changed", json!({"const": 1}), json!({"const": 2}), "const-changed", "const-changed"),
        ("const to enum", json!({"const": 1}), json!({"enum": [1.0, 2]}), "yes", "const-changed"),
        ("minimum raised", number("minimum", json!(1)), number("minimum", json!(2)), "minimum-raised", "yes"),
        ("minimum added", json!({"type": "number"}), number("minimum", json!(2)), "minimum-added", "yes"),
        (
            "minimum made exclusive",
            number("minimum", json!(1)),
            number("exclusiveMinimum", json!(1)),
            "minimum-raised",
            "yes",
        ),
        (
            "maximum lowered",
            number("maximum", json!(2)),
            number("maximum", json!(1.5)),
            "maximum-lowered",
            "yes",
        ),
        (
            "exclusive bound of integers",
            json!({"type": "integer", "exclusiveMinimum": 0}),
            json!({"type": "integer", "minimum": 1}),
            "yes",
            "yes",
        ),
        (
            "multiple of a divisor",
            number("multipleOf", json!(4)),
            number("multipleOf", json!(2)),
            "yes",
            "multiple-of-changed",
        ),
        (
            "multiple added",
            integer(),
            json!({"type": "integer", "multipleOf": 3}),
            "multiple-of-added",
            "yes",
        ),
        ("integers are multiples of 1", integer(), json!({"type": "number", "multipleOf": 1}), "yes", "yes"),
        ("min length", text("minLength", json!(1)), text("minLength", json!(2)), "min-length-raised", "yes"),
        ("max length", text("maxLength", json!(9)), text("maxLength", json!(8)), "max-length-lowered", "yes"),
        ("max length added", string(), text("maxLength", json!(8)), "max-length-added", "yes"),
        ("pattern added", string(), text("pattern", json!("^[a-z]+$")), "pattern-added", "yes"),
        (
            "pattern changed",
            text("pattern", json!("^[a-z]{3}$")),
            text("pattern", json!("^[a-c]{3}$")),
            "pattern-changed",
            "unknown",
        ),
        ("format is a remark", string(), text("format", json!("uuid")), "yes", "yes"),
        (
            "items narrowed",
            array("items", json!({"type": "number"})),
            array("items", json!({"type": "integer"})),
            "type-narrowed",
            "yes",
        ),
        (
            "tuple shortened",
            array("prefixItems", json!([{"type": "string"}, {"type": "string"}])),
            array("prefixItems", json!([{"type": "string"}])),
            "yes",
            "type-narrowed",
        ),
        (
            "tuple closed",
            array("prefixItems", json!([{"type": "string"}])),
            json!({"type": "array", "prefixItems": [{"type": "string"}], "items": false}),
            "items-removed",
            "yes",
        ),
        ("min items", array("minItems", json!(1)), array("minItems", json!(2)), "min-items-raised", "yes"),
        (
            "max items",
            array("items", json!({"type": "string"})),
            json!({"type": "array", "items": {"type": "string"}, "maxItems": 3}),
            "max-items-added",
            "yes",
        ),
        (
            "unique",
            array("items", json!({"type": "string"})),
            json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true}),
            "unique-items-added",
            "yes",
        ),
        (
            "contains",
            array("items", json!({})),
            array("contains", json!({"type": "string"})),
            "contains-added",
            "yes",
        ),
        ("any of widened", any(&[string()]), any(&[string(), integer()]), "yes", "any-of-narrowed"),
        (
            "any of narrowed",
            any(&[string(), integer(), json!({"type": "null"})]),
            any(&[string(), integer()]),
            "any-of-narrowed",
            "yes",
        ),
        (
            "one of widened, apart",
            one(&[string(), integer()]),
            one(&[string(), integer(), json!({"type": "null"})]),
            "yes",
            "one-of-narrowed",
        ),
        (
            "one of made ambiguous",
            one(&[integer()]),
            one(&[integer(), json!({"type": "number"})]),
            "one-of-narrowed",
            "one-of-narrowed",
        ),
        (
            "branch narrowed within",
            any(&[text("maxLength", json!(9)), json!({"type": "null"})]),
            any(&[text("maxLength", json!(8)), json!({"type": "null"})]),
            "max-length-lowered",
            "yes",
        ),
        ("not added", string(), json!({"type": "string", "not": {"const": "x"}}), "not-added", "yes"),
        (
            "split into all of",
            json!({"type": "string", "maxLength": 3}),
            json!({"allOf": [{"type": "string"}, {"maxLength": 3}]}),
            "yes",
            "yes",
        ),
        (
            "condition added",
            json!({"type": "object"}),
            json!({"type": "object", "if": {"required": ["a"]}, "then": {"required": ["b"]}}),
            "condition-changed",
            "yes",
        ),
        (
            "moved behind a reference",
            a(string()),
            json!({"$defs": {"s": {"type": "string"}}, "type": "object", "properties": {"a": {"$ref": "#/$defs/s"}}}),
            "yes",
            "yes",
        ),
        (
            "recursion widened",
            json!({"type": "object", "properties": {"v": {"type": "integer"}, "next": {"$ref": "#"}}}),
            json!({"type": "object", "properties": {"v": {"type": "number"}, "next": {"$ref": "#"}}}),
            "yes",
            "type-narrowed",
        ),
        (
            "two breaks at once",
            object(json!({"a": string(), "b": {"enum": [1, 2]}}), &[]),
            object(json!({"a": integer(), "b": {"enum": [2]}}), &["a"]),
            "required-added type-changed enum-narrowed",
            "type-changed",
        ),
        (
            "deep inside",
            a(array("items", a(string()))),
            a(array("items", a(text("maxLength", json!(2))))),
            "max-length-added",
            "yes",
        ),
    ];
    let mut wrong = Vec::new();
    for (what, old, new, backward, forward) in &table {
        let found = [
            (backward, seen(&backward_of(JsonSchema::new(), old, new))),
            (forward, seen(&backward_of(JsonSchema::new(), new, old))),
        ];
        for ((expected, found), direction) in found.iter().zip(["backward", "forward"]) {
            if *expected != found {
                wrong.push(format!("{what}, {direction}: {found}, expected {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
