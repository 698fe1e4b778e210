//! Invariant 9: no input makes the process abort, hang past its budget, or allocate past its limit. Everything here runs on a thread
//! with a stack of 2 MiB, in the build that the tests are in.
#![cfg(feature = "json-schema")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use std::error::Error;

use mcp_core::ErrorKind;
use mcp_validation::rule::{JsonType, Operator, Rule};
use mcp_validation::{Contract, Document, Limits, Report, ValidationError};

/// Runs `test` where a typical server would.
fn on_small_stack<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        std::thread::Builder::new().stack_size(2 << 20).spawn_scoped(scope, test).unwrap().join().unwrap()
    })
}

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

fn judge(schema: &str, limits: Limits, document: &str) -> Result<Report, ValidationError> {
    on_small_stack(|| {
        let contract = Contract::json_schema(schema).limits(limits).build()?;
        let document = Document::json(document.to_owned());
        let report = contract.validate(&document);
        let valid = contract.is_valid(&document);
        // What only the verdict needs may succeed where the whole report does not; it never says otherwise.
        if let (Ok(report), Ok(valid)) = (&report, &valid) {
            assert_eq!(report.valid, *valid);
        }
        report
    })
}

fn kind(result: Result<Report, ValidationError>) -> Result<bool, ErrorKind> {
    result.map(|report| report.valid).map_err(|error| error.kind())
}

fn nested(levels: usize, leaf: &str) -> String {
    format!("{}{leaf}{}", "[".repeat(levels), "]".repeat(levels))
}

const EXPONENTIAL: &str = r##"{"anyOf": [{"type": "array", "items": {"$ref": "#"}}, {"type": "array", "items": {"$ref": "#"}, "minItems": 1}]}"##;

#[test]
fn the_exponential_schema_ends_as_exhausted_after_its_steps() {
    let few = limits(|limits| limits.max_steps = 100_000);
    let error = judge(EXPONENTIAL, few, &nested(40, "1")).expect_err("steps run out");
    assert!(matches!(error, ValidationError::StepsExhausted { max_steps: 100_000 }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    assert_eq!(kind(judge(EXPONENTIAL, Limits::default(), &nested(3, "1"))), Ok(false));
    assert_eq!(kind(judge(EXPONENTIAL, Limits::default(), &nested(3, ""))), Ok(true));
}

#[test]
fn references_that_double_are_refused_before_any_document() {
    let doubling = |levels: usize| {
        let definition = |level: usize| {
            let next = format!(r##"{{"$ref": "#/$defs/d{}"}}"##, level + 1);
            format!(r#""d{level}": {{"allOf": [{next}, {next}]}}"#)
        };
        let definitions: Vec<String> = (0..levels).map(definition).collect();
        format!(
            r##"{{"$ref": "#/$defs/d0", "$defs": {{{}, "d{levels}": {{"type": "integer"}}}}}}"##,
            definitions.join(",")
        )
    };
    let error = judge(&doubling(30), Limits::default(), "1").expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    assert!(error.source().unwrap().to_string().contains("raise max_fan_out"), "{error:?}");
    assert_eq!(kind(judge(&doubling(10), Limits::default(), "1")), Ok(true));
    assert_eq!(judge(&doubling(10), Limits::default(), "\"x\"").map(|report| report.errors).ok(), Some(1024));
}

#[test]
fn nested_unevaluated_properties_count_as_often_as_they_are_looked_at() {
    let schema = (0..40).fold("true".to_owned(), |inner, _| {
        format!(r#"{{"allOf": [{inner}], "unevaluatedProperties": false}}"#)
    });
    let error = judge(&schema, limits(|limits| limits.max_depth = 127), "{\"a\": 1}").expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    assert!(error.source().unwrap().to_string().contains("raise max_fan_out"), "{error:?}");
}

#[test]
fn a_schema_that_never_goes_down_is_refused() {
    for schema in [
        r##"{"$ref": "#"}"##,
        r##"{"allOf": [{"not": {"$ref": "#"}}]}"##,
        r##"{"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"if": {"$ref": "#/$defs/a"}}}}"##,
    ] {
        let error = judge(schema, Limits::default(), "1").expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.source().unwrap().to_string().contains("refers to itself"), "{error:?}");
    }
}

#[test]
fn documents_and_schemas_may_nest_as_deep_as_the_limit_on_two_mebibytes() {
    let deepest = || limits(|limits| limits.max_depth = Limits::DEEPEST);
    let recursive = r##"{"oneOf": [{"allOf": [{"anyOf": [{"type": "array", "items": {"$ref": "#"}}, {"type": "integer"}]}]}, {"type": "null"}]}"##;
    assert_eq!(kind(judge(recursive, deepest(), &nested(127, "1"))), Ok(true));
    assert_eq!(
        kind(judge(
            recursive,
            limits(|l| {
                l.max_depth = 127;
                l.max_steps = 1 << 40;
            }),
            &nested(20, "\"x\"")
        )),
        Ok(false)
    );
    for wrap in [
        r#"{"oneOf": [{}, false]}"#,
        r#"{"allOf": [{}]}"#,
        r#"{"if": true, "then": {}}"#,
        r#"{"items": {}}"#,
        r#"{"properties": {"a": {}}}"#,
    ] {
        let (before, after) = wrap.split_once("{}").unwrap();
        let levels = 126 / (before.matches(['{', '[']).count());
        let schema = format!("{}{{\"type\": \"integer\"}}{}", before.repeat(levels), after.repeat(levels));
        let wanted = !wrap.contains("items") && !wrap.contains("properties");
        assert_eq!(kind(judge(&schema, deepest(), "\"x\"")), Ok(!wanted), "{wrap}");
    }
}

#[test]
fn a_chain_of_references_as_long_as_a_schema_can_be_ends() {
    let chain = |length: usize| {
        let link = |index: usize| format!(r##""d{index}":{{"$ref":"#/$defs/d{}"}}"##, index + 1);
        let links: Vec<String> = (0..length).map(link).collect();
        format!(
            r##"{{"$ref":"#/$defs/d0","$defs":{{{},"d{length}":{{"type":"integer"}}}}}}"##,
            links.join(",")
        )
    };
    assert_eq!(kind(judge(&chain(5_000), Limits::default(), "1")), Ok(true));
    assert_eq!(kind(judge(&chain(5_000), Limits::default(), "\"x\"")), Ok(false));
    let error = judge(&chain(70_000), Limits::default(), "1").expect_err("256 MiB of stack are not enough");
    assert_eq!(error.kind(), ErrorKind::Exhausted);
}

#[test]
fn a_document_too_large_or_too_deep_never_reaches_a_parser() {
    let depth = judge("true", Limits::default(), &"[".repeat(1 << 20)).expect_err("deep");
    assert!(matches!(depth, ValidationError::DocumentTooDeep { max_depth: 100 }), "{depth}");
    let size =
        judge("true", limits(|limits| limits.max_document_bytes = 10), "\"0123456789\"").expect_err("large");
    assert!(matches!(size, ValidationError::DocumentTooLarge { bytes: 12, max_bytes: 10 }), "{size}");
}

#[test]
fn too_many_findings_truncate_and_the_document_stays_invalid() {
    let document = format!("[{}1]", "1,".repeat(20_000));
    let report =
        judge(r#"{"items": {"type": "string"}}"#, limits(|l| l.max_findings = 3), &document).unwrap();
    assert_eq!((report.valid, report.findings.len(), report.truncated), (false, 3, true));
    assert_eq!(report.errors, 20_001);
    let paths: Vec<_> = report.findings.iter().map(|finding| finding.path.as_str()).collect();
    assert_eq!(paths, ["/0", "/1", "/10"], "the first in the report's order");
}

#[test]
fn errors_with_long_paths_are_cut_before_they_fill_the_memory() {
    let key = "k".repeat(2 << 20);
    let document = format!("{{\"{key}\": [{}1]}}", "1,".repeat(10_000));
    let schema = r#"{"additionalProperties": {"items": {"type": "string"}}}"#;
    let report = judge(schema, Limits::default(), &document).unwrap();
    assert!(!report.valid && report.truncated, "{} errors", report.errors);
    assert!((1..100).contains(&report.errors), "64 MiB hold 31 paths of 2 MiB, found {}", report.errors);
    let bytes: usize = report.findings.iter().map(|finding| finding.path.len() + finding.message.len()).sum();
    assert!(bytes < 1 << 20, "{bytes}");
}

#[test]
fn every_kind_of_looking_takes_steps() {
    let few = || limits(|limits| limits.max_steps = 1000);
    let numbers = format!("[{}1]", "1,".repeat(5000));
    let names = format!("{{{}\"z\":1}}", (0..5000).map(|i| format!("\"k{i}\":1,")).collect::<String>());
    let text = format!("\"{}\"", "x".repeat(1 << 20));
    let cases = [
        (r#"{"items": {"type": "integer"}}"#, &numbers),
        (r#"{"items": {"enum": [1, 2]}}"#, &numbers),
        (r#"{"items": {"const": 1}}"#, &numbers),
        (r#"{"uniqueItems": true}"#, &numbers),
        (r#"{"contains": {"const": 2}}"#, &numbers),
        (r#"{"propertyNames": {"maxLength": 5}}"#, &names),
        (r#"{"patternProperties": {"^k": true}}"#, &names),
        (r#"{"additionalProperties": {"type": "integer"}}"#, &names),
        (r#"{"unevaluatedProperties": false}"#, &names),
        (r#"{"pattern": "^x*$"}"#, &text),
        (r#"{"maxLength": 1000000}"#, &text),
        (r#"{"not": {"maxLength": 10}}"#, &text),
    ];
    for (schema, document) in cases {
        assert_eq!(kind(judge(schema, few(), document)), Err(ErrorKind::Exhausted), "{schema}");
    }
    let rules = Contract::builder()
        .rule(Rule::type_is("t", "/*", [JsonType::Integer]))
        .limits(few())
        .build()
        .unwrap();
    let error = rules.validate(&Document::json(numbers)).map_err(|error| error.kind());
    assert_eq!(error.map(|report| report.valid), Err(ErrorKind::Exhausted));
}

#[test]
fn nonsense_bytes_are_findings() {
    for text in
        ["", " ", "{", "}", "[1,]", "nul", "\u{feff}{}", "{\"a\" 1}", "01", "\"\\ud800\"", "'x'", "[1] []"]
    {
        let report = judge("true", Limits::default(), text).expect(text);
        let codes: Vec<_> = report.findings.iter().map(|finding| finding.code.as_ref()).collect();
        assert_eq!((report.valid, codes), (false, vec!["document.syntax"]), "{text:?}");
    }
    let report = on_small_stack(|| {
        Contract::json_schema("true").build()?.validate(&Document::json(&b"\"\xff\xfe\""[..]))
    });
    assert_eq!(report.expect("judged").findings[0].code, "document.syntax");
}

#[test]
fn values_of_the_host_are_measured_before_they_are_judged() {
    let deep = (0..200).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
    let contract = Contract::json_schema("true").build().unwrap();
    let error = on_small_stack(|| contract.validate(&Document::from(deep)).map(|report| report.valid));
    assert_eq!(error.map_err(|error| error.kind()), Err(ErrorKind::Exhausted));
}

#[test]
fn duplicates_below_a_long_key_are_told_in_short() {
    let key = "k".repeat(4 << 20);
    let twice: String = (0..2000).map(|index| format!("\"{index}\":1,\"{index}\":2,")).collect();
    let document = format!("{{\"{key}\":{{{twice}\"z\":0}}}}");
    let report = judge("true", Limits::default(), &document).unwrap();
    assert_eq!((report.valid, report.errors, report.truncated), (false, 1000, true));
    assert!(report.findings.iter().all(|finding| finding.path.len() < 3000));
}

#[test]
fn many_dynamic_references_and_anchors_are_measured_in_linear_space() {
    let many: Vec<String> = (0..11_000)
        .map(|index| {
            format!(
                r##""r{index}":{{"$dynamicRef":"#a"}},"a{index}":{{"$id":"x{index}","$dynamicAnchor":"a"}}"##
            )
        })
        .collect();
    let schema =
        format!(r##"{{"$id":"https://x.test/","$dynamicAnchor":"a","$defs":{{{}}}}}"##, many.join(","));
    assert_eq!(kind(judge(&schema, Limits::default(), "1")), Ok(true));
}

/// A schema that reaches `first` of the document `https://x.test/a` by a dynamic reference alone: the anchor stands in a part of it to
/// which nothing refers, and another way leads the same dynamic reference to a harmless place.
fn judge_behind_an_anchor(first: &str, definitions: &str) -> Result<Report, ValidationError> {
    let root = r#"{"$id": "https://x.test/", "properties": {"a": {"$ref": "a#/$defs/in"}, "z": {"$ref": "b#/$defs/go"}}}"#;
    let a = format!(
        r##"{{"$id": "https://x.test/a", "$defs": {{"in": {{"$ref": "b#/$defs/go"}}, "x": {{"$dynamicAnchor": "x", "$ref": "{first}"}}, {definitions}}}}}"##
    );
    let b = r##"{"$id": "https://x.test/b", "$defs": {"go": {"$dynamicRef": "#x"}, "y": {"$dynamicAnchor": "x"}}}"##;
    on_small_stack(|| {
        let builder = Contract::json_schema(root).reference("https://x.test/a", a);
        builder.reference("https://x.test/b", b).build()?.validate(&Document::json(r#"{"a": 1}"#))
    })
}

fn definitions(levels: usize, definition: impl Fn(&str) -> String) -> String {
    let texts = (0..levels).map(|level| {
        format!(r#""d{level}": {}"#, definition(&format!(r##"{{"$ref": "#/$defs/d{}"}}"##, level + 1)))
    });
    format!(r#"{}, "d{levels}": {{"type": "integer"}}"#, texts.collect::<Vec<_>>().join(","))
}

#[test]
fn what_only_a_dynamic_reference_leads_to_is_measured_too() {
    let doubling = definitions(16, |next| format!(r#"{{"allOf": [{next}, {next}]}}"#));
    let error = judge_behind_an_anchor("#/$defs/d0", &doubling).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    assert!(error.source().unwrap().to_string().contains("raise max_fan_out"), "{error:?}");
    let chain = definitions(3000, |next| format!(r#"{{"anyOf": [{next}, {{"type": "null"}}]}}"#));
    assert_eq!(kind(judge_behind_an_anchor("#/$defs/d0", &chain)), Ok(true));
}

#[test]
fn a_dynamic_reference_that_can_lead_back_to_itself_is_refused() {
    // From `z`, `go` leads to `y`. From `a`, it leads to `x` and so to itself, for ever.
    let error = judge_behind_an_anchor("b#/$defs/go", r#""unused": true"#).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.source().unwrap().to_string().contains("refers to itself"), "{error:?}");
}

#[test]
fn a_definition_that_nothing_refers_to_is_not_measured() {
    let own = r##"{"type": "integer", "$defs": {"a": {"$ref": "#/$defs/a"}}}"##;
    assert_eq!(kind(judge(own, Limits::default(), "1")), Ok(true));
    let doubling = definitions(30, |next| format!(r#"{{"allOf": [{next}, {next}]}}"#));
    let unused = format!(r#"{{"type": "integer", "$defs": {{{doubling}}}}}"#);
    assert_eq!(kind(judge(&unused, Limits::default(), "\"x\"")), Ok(false));
}

fn judge_by(rule: Rule, document: serde_json::Value, max_steps: u64) -> Result<u64, ErrorKind> {
    let few = limits(|limits| limits.max_steps = max_steps);
    let contract = Contract::builder().rule(rule).limits(few).build().unwrap();
    contract.validate(&Document::from(document)).map(|report| report.errors).map_err(|error| error.kind())
}

#[test]
fn a_long_path_of_a_rule_takes_steps_at_every_place() {
    let long = "k".repeat(64 << 10);
    let places = || serde_json::json!([{"b": 2, "c": 1}, {"b": 2, "c": 1}, {"b": 2, "c": 1}]);
    assert_eq!(
        judge_by(Rule::required("r", format!("/*/{long}")), places(), 3000),
        Err(ErrorKind::Exhausted)
    );
    assert_eq!(judge_by(Rule::required("r", format!("/*/{long}")), places(), 4000), Ok(3));
    let nowhere = Rule::required("r", format!("/*/{long}/*"));
    assert_eq!(judge_by(nowhere, places(), 3000), Err(ErrorKind::Exhausted));
    let pair = |max_steps| {
        let key = serde_json::json!({long.as_str(): 2, "c": 1});
        judge_by(
            Rule::compare("r", format!("/*/{long}"), Operator::Less, "/*/c"),
            serde_json::json!([key.clone(), key.clone(), key]),
            max_steps,
        )
    };
    assert_eq!((pair(3000), pair(4000)), (Err(ErrorKind::Exhausted), Ok(3)));
}

#[test]
fn elements_that_a_path_goes_through_take_steps_though_it_ends_there() {
    for element in [serde_json::json!(1), serde_json::json!([])] {
        let elements = || serde_json::Value::from(vec![element.clone(); 100]);
        assert_eq!(judge_by(Rule::required("r", "/*/*"), elements(), 99), Err(ErrorKind::Exhausted));
        assert_eq!(judge_by(Rule::required("r", "/*/*"), elements(), 100), Ok(0));
    }
}

#[test]
fn a_long_text_of_a_rule_is_cut_once_and_not_for_each_finding() {
    let clock = mcp_core::SystemClock::new();
    let long = "k".repeat(1 << 20);
    let texts = || serde_json::Value::from(vec!["b"; 5000]);
    for rule in [
        Rule::one_of("r", "/*", [long.as_str()]),
        Rule::pattern("r", "/*", format!("(?x) a {}", " ".repeat(1 << 20))),
        Rule::required("r", "/*/a").message(long.as_str()),
    ] {
        assert_eq!(judge_by(rule, texts(), 20_000), Ok(5000));
    }
    let taken = mcp_core::Clock::monotonic(&clock);
    assert!(taken < std::time::Duration::from_secs(5), "{taken:?}");
}

#[test]
fn what_is_seen_after_the_cut_is_no_finding() {
    let key = "k".repeat(2 << 20);
    let document = format!("{{\"a\": {{\"{key}\": [{}1]}}, \"z\": 1}}", "1,".repeat(200));
    // Whatever comes after the errors in `a` looks at members that are no longer shown.
    let schema = r#"{"allOf": [
        {"properties": {"a": {"additionalProperties": {"items": {"type": "string"}}}}},
        {"required": ["z"], "minProperties": 2, "anyOf": [{"required": ["a"]}]}
    ]}"#;
    let report = judge(schema, Limits::default(), &document).unwrap();
    assert!(report.truncated);
    let codes: std::collections::BTreeSet<&str> =
        report.findings.iter().map(|finding| finding.code.as_ref()).collect();
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), ["schema.type"], "both members are there");
}
