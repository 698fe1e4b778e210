//! Expressions and documents that mean harm: each ends within its limits, on a thread of 2 MiB.

use mcp_core::ErrorKind;
use mcp_validation::rule::Rule;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{holds, judge_within, refusal};

/// A quarter of the smallest thread that hosts usually have: the rest may be taken already.
const STACK_BYTES: usize = 512 << 10;

/// Runs where there is little room.
fn on_a_small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work).unwrap().join().unwrap()
}

#[test]
fn a_chain_of_3_000_terms_is_evaluated_and_no_deep_recursion() {
    on_a_small_stack(|| {
        for (sign, count) in [("+", 3000), ("-", 3000), ("*", 3000)] {
            let chain = vec!["1"; count].join(sign);
            assert_eq!(holds(&format!("{chain} != 0.5"), &Value::Null), Ok(true), "{sign}");
        }
        assert_eq!(holds(&vec!["true"; 2000].join("&&"), &Value::Null), Ok(true));
        assert_eq!(holds(&format!("!({})", vec!["false"; 2000].join("||")), &Value::Null), Ok(true));
        assert_eq!(holds(&format!("has(doc{}) || true", ".a".repeat(7000)), &json!({})), Ok(true));
        assert_eq!(holds(&format!("doc{} == 1 || true", "[0]".repeat(5000)), &json!([])), Ok(true));
        assert_eq!(holds(&format!("[{}1].size() == 8001", "1,".repeat(8000)), &Value::Null), Ok(true));
    });
}

#[test]
fn expressions_that_nest_too_deep_or_are_too_long_are_refused() {
    let nested: Vec<(&str, String)> = vec![
        ("parentheses", format!("{}true{}", "(".repeat(8000), ")".repeat(8000))),
        ("lists", format!("{}{} == 1", "[".repeat(8000), "]".repeat(8000))),
        ("maps", "{1:".repeat(4000)),
        ("not", format!("{}true", "!".repeat(16_000))),
        ("minus", format!("{}doc", "-".repeat(16_000))),
        ("choice", format!("{}true", "true ? true : ".repeat(1000))),
        ("first choice", format!("{}true", "true ? (".repeat(1000))),
        ("relation", format!("1{}", " < 1".repeat(3000))),
        ("calls", format!("{}1{} == 1", "dyn(".repeat(3000), ")".repeat(3000))),
        ("methods", format!("doc{} == 1", ".size()".repeat(2000))),
        ("loops", "doc.all(x, ".repeat(1000)),
        ("indexes", "doc[".repeat(4000)),
    ];
    for (what, expression) in nested {
        let seen = on_a_small_stack(move || refusal(&expression));
        assert!(seen.contains("it nests more than 32 deep"), "{what}: {seen}");
    }
    assert!(refusal(&" ".repeat(20_000)).contains("it has 20000 bytes, at most 16384 are allowed"));
    assert!(refusal(&vec!["doc.matches('a')"; 33].join("&&")).contains("more than 32 regular expressions"));
}

#[test]
fn the_deepest_expression_is_evaluated_over_the_deepest_document_on_a_small_stack() {
    on_a_small_stack(|| {
        let mut document = json!(1);
        for _ in 0..100 {
            document = json!([document]);
        }
        let mut condition = "doc == doc".to_owned();
        for _ in 0..9 {
            condition = format!("[0].all(x, ({condition}) ? true : false)");
        }
        assert_eq!(holds(&condition, &document), Ok(true));
        let calls = format!("{}doc{} == doc", "dyn(".repeat(30), ")".repeat(30));
        assert_eq!(holds(&calls, &document), Ok(true));
        assert_eq!(holds("[doc, doc].distinct().size() == 1", &document), Ok(true));
    });
}

#[test]
fn variables_that_use_one_another_do_not_nest_on_the_stack() {
    on_a_small_stack(|| {
        let deep = |inner: &str| format!("{}{inner}{}", "dyn(".repeat(29), ")".repeat(29));
        let mut rule = Rule::cel("r", format!("{} == 1", deep("v30"))).variable("v0", deep("doc"));
        for level in 1..=30 {
            rule = rule.variable(format!("v{level}"), deep(&format!("v{}", level - 1)));
        }
        assert_eq!(judge_within(rule, &json!(1), |_| {}), Ok(0));
    });
    let many = (0..33).fold(Rule::cel("r", "true"), |rule, index| rule.variable(format!("v{index}"), "1"));
    assert_eq!(judge_within(many, &Value::Null, |_| {}), Err(ErrorKind::Invalid));
}

#[test]
fn nested_loops_end_as_exhausted_and_not_after_seconds() {
    let list = Value::from(vec![1; 1000]);
    let bomb = "doc.all(a, doc.all(b, doc.all(c, doc.all(d, a + b + c + d == 4))))";
    let spent = judge_within(Rule::cel("r", bomb), &list, |limits| limits.max_steps = 1_000_000);
    assert_eq!(spent, Err(ErrorKind::Exhausted));
    // What one side of || costs is not absorbed by the other.
    let absorbed = format!("({bomb}) || true");
    let spent = judge_within(Rule::cel("r", absorbed), &list, |limits| limits.max_steps = 10_000);
    assert_eq!(spent, Err(ErrorKind::Exhausted));
    let in_message = Rule::cel("r", "false").message_cel(format!("string({bomb})"));
    let spent = judge_within(in_message, &list, |limits| limits.max_steps = 10_000);
    assert_eq!(spent, Err(ErrorKind::Exhausted));
}

#[test]
fn steps_are_counted_by_part_and_element() {
    let list = Value::from(vec![1; 100]);
    let with = |expression: &str, max_steps| {
        judge_within(Rule::cel("r", expression), &list, |limits| limits.max_steps = max_steps)
    };
    assert_eq!(with("doc.all(x, x == 1)", 402), Ok(0));
    assert_eq!(with("doc.all(x, x == 1)", 401), Err(ErrorKind::Exhausted));
    assert_eq!(with("2 in doc", 103), Ok(1));
    assert_eq!(with("2 in doc", 102), Err(ErrorKind::Exhausted));
}

#[test]
fn what_is_built_is_bounded_by_the_document_that_is_allowed() {
    let doubling = |levels: usize| {
        let mut rule = Rule::cel("r", format!("v{levels} != ''")).variable("v0", "doc");
        for level in 1..=levels {
            rule = rule.variable(format!("v{level}"), format!("v{0} + v{0}", level - 1));
        }
        rule
    };
    let text = json!("x".repeat(1000));
    let small = |limits: &mut mcp_validation::Limits| limits.max_document_bytes = 1 << 16;
    assert_eq!(judge_within(doubling(5), &text, small), Ok(0));
    assert_eq!(judge_within(doubling(30), &text, small), Err(ErrorKind::Exhausted));
    let list = Value::from(vec![1; 100]);
    assert_eq!(judge_within(doubling(30), &list, small), Err(ErrorKind::Exhausted));
    // What a turn of a loop builds and leaves is given back.
    let rule = Rule::cel("r", "doc.all(x, doc.map(y, y + x).size() == 100)");
    assert_eq!(judge_within(rule, &list, small), Ok(0));
    let grows = Rule::cel("r", "doc.replace('x', doc).replace('x', doc).size() > 0");
    assert_eq!(judge_within(grows, &text, small), Err(ErrorKind::Exhausted));
    let keeps = Rule::cel("r", "doc.map(x, doc.map(y, doc.map(z, z))).size() == 100");
    assert_eq!(judge_within(keeps, &list, small), Err(ErrorKind::Exhausted));
}

#[test]
fn patterns_of_the_document_cost_what_compiling_them_takes() {
    let patterns: Vec<String> = (0..2000).map(|index| format!("(a|b){{1,50}}{index}")).collect();
    let document = json!({"patterns": patterns, "text": "a".repeat(1000)});
    let rule = || Rule::cel("r", "doc.patterns.all(p, !doc.text.matches(p))");
    assert_eq!(judge_within(rule(), &document, |_| {}), Err(ErrorKind::Exhausted));
    let few = json!({"patterns": &patterns[..10], "text": "a".repeat(1000)});
    assert_eq!(judge_within(rule(), &few, |_| {}), Ok(0));
    let backtracking = json!({"patterns": ["^(a+)+$"], "text": format!("{}b", "a".repeat(100_000))});
    assert_eq!(judge_within(rule(), &backtracking, |_| {}), Ok(0));
}

#[test]
fn sorting_is_paid_for_before_it_begins() {
    let list: Vec<u32> = (0..1000).rev().collect();
    let with = |max_steps| {
        let rule = Rule::cel("r", "doc.sort() == doc.sort().distinct()");
        judge_within(rule, &json!(list), |limits| limits.max_steps = max_steps)
    };
    assert_eq!(with(200_000), Ok(0));
    assert_eq!(with(20_000), Err(ErrorKind::Exhausted));
}

#[test]
fn maps_that_a_rule_writes_out_cost_what_searching_them_takes() {
    let entries: Vec<String> = (0..1000).map(|index| format!("{index}: 0")).collect();
    let rule = Rule::cel("r", "doc.all(x, m[999] == 0)").variable("m", format!("{{{}}}", entries.join(",")));
    let list = Value::from(vec![1; 1000]);
    let spent = judge_within(rule, &list, |limits| limits.max_steps = 300_000);
    assert_eq!(spent, Err(ErrorKind::Exhausted));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    /// Words of the language in any order: refused, or evaluated within the steps.
    #[test]
    fn no_row_of_words_does_harm(words in proptest::collection::vec(word(), 1..24)) {
        let expression = words.join(" ");
        let document = json!({"a": [1, -2, 1.5, null, "é", {"a": true}], "t": "2026-01-02T03:04:05Z", "n": u64::MAX});
        let rules = [
            Rule::cel("r", expression.clone()),
            Rule::cel("r", "x == x").variable("x", expression.clone()),
            Rule::cel("r", "false").message_cel(expression),
        ];
        for rule in rules {
            match judge_within(rule, &document, |limits| limits.max_steps = 10_000) {
                Ok(_) | Err(ErrorKind::Invalid | ErrorKind::Exhausted) => {}
                Err(kind) => prop_assert!(false, "{kind:?}"),
            }
        }
    }
}

fn word() -> impl Strategy<Value = &'static str> {
    let words = "doc doc.a doc.a[0] doc.t doc.n value path x y 1 -1 2u 0.5 'a' \"\\u00e9\" b'a' null true false [ ] ( ) { } , . : ? + - * / % < <= == != > >= in && || ! \
        [1,2] {'a':1} [].size() .size() .map(x, .all(x, .filter(x, .exists(y, size( has(doc.a) has( string( int( timestamp(doc.t) duration('1h') \
        .sum() .avg() .sort() .distinct() .matches('a') .contains( .split('') .join() type( dyn(";
    proptest::sample::select(words.split_whitespace().collect::<Vec<_>>())
}
