//! What expressions give.

use serde_json::{Value, json};

use crate::holds;

fn document() -> Value {
    json!({
        "n": 7, "big": 18_446_744_073_709_551_615_u64, "max": i64::MAX, "min": i64::MIN, "half": 0.5, "whole": 2.0,
        "s": "héllo", "t": true, "nil": null, "list": [3, 1, 2], "mixed": [1, "a", null], "empty": [],
        "map": {"a": 1, "b": 2, "x-y": 3, "in": 4}, "rows": [{"k": 1, "v": 1.5}, {"k": 2, "v": 2}],
        "when": "2026-03-01T12:30:15.250Z", "later": "2026-03-02T12:30:15.250Z", "re": "^h.l+o$", "b64": "aGk=",
    })
}

/// Each expression is true.
fn all_hold(expressions: &[&str]) {
    let document = document();
    for expression in expressions {
        assert_eq!(holds(expression, &document), Ok(true), "{expression}");
    }
}

/// Each expression fails with a reason that has the text in it.
fn all_fail(cases: &[(&str, &str)]) {
    let document = document();
    for (expression, reason) in cases {
        let failed = holds(expression, &document).expect_err(expression);
        assert!(failed.contains(reason), "{expression}\n{failed}");
    }
}

#[test]
fn literals_are_read_as_the_specification_says() {
    all_hold(&[
        "0x1F == 31 && -0x10 == -16 && 0xFFu == 255u",
        "-9223372036854775808 == doc.min && 9223372036854775807 == doc.max",
        "18446744073709551615u == doc.big",
        "1e3 == 1000.0 && 1.5E-1 == .15 && 2.0 == 2",
        r#"'a' == "a" && '''a'b''' == "a'b" && """a
b""" == "a\nb""#,
        r#"r'\n' == "\\n" && R"\d" == '\\d'"#,
        r#"'\x41\u00e9\U0001F600\101\t\?\`' == "Aé😀A\t?`""#,
        r#"b'\xff\101' != b'A' && size(b'\xffé') == 3 && br'\x' == b'\\x'"#,
        "true && !false && null == doc.nil",
        "[1, 2, 3,] == [1, 2, 3] && {'a': 1,} == {'a': 1}",
        "1 // a comment\n == 1",
        ".doc.n == 7",
        "doc.map.`x-y` == 3 && doc.map[\"in\"] == 4",
    ]);
}

#[test]
fn integers_of_json_behave_as_integers_and_never_wrap() {
    all_hold(&[
        "doc.n + 1 == 8 && 1 + doc.n == 8 && doc.n - 8 == -1 && doc.n * -2 == -14",
        "doc.n / 2 == 3 && -7 / 2 == -3 && doc.n % 4 == 3 && -7 % 4 == -3 && doc.n / 2.0 == 3.5",
        "doc.n + doc.half == 7.5 && doc.half * doc.n == 3.5 && doc.whole * 2 == 4",
        "doc.big - 1u == 18446744073709551614u && doc.big - doc.max > 0 && doc.big == doc.max + doc.max + 1u || true",
        "doc.big - doc.max == 9223372036854775808u",
        "doc.n < 7.5 && doc.n > 6u && doc.n == 7.0 && doc.n == 7u && 7.0 == 7u",
        "doc.max < 9223372036854775808.0 && doc.max != 9223372036854775808.0 && doc.big > doc.max",
        "type(doc.n) == int && type(doc.big) == uint && type(doc.whole) == double && type(1) == int",
        "1.0 / 0.0 > 1e300 && -1.0 / 0.0 < doc.min && !(0.0 / 0.0 == 0.0 / 0.0) && 0.0 / 0.0 != 1",
        "-doc.n == -7 && -(-doc.n) == 7 && --7 == 7 && -doc.half == -0.5",
    ]);
    all_fail(&[
        ("doc.max + 1 > 0", "1:9: the result does not fit an integer of 64 bits"),
        ("doc.min - 1 < 0", "does not fit"),
        ("doc.max * 2 > 0", "does not fit"),
        ("doc.min / -1 > 0", "does not fit"),
        ("-doc.min > 0", "does not fit"),
        ("-doc.big < 0", "does not fit"),
        ("doc.n / 0 > 0", "divided by zero"),
        ("doc.n % (doc.n - 7) > 0", "divided by zero"),
        ("1u - 2u > 0u", "does not fit an unsigned integer"),
        ("doc.big * doc.big > 0", "does not fit"),
        ("doc.half % 2 > 0", "'%' is for integers"),
        ("doc.s + doc.n == ''", "'+' does not fit string and int"),
    ]);
}

#[test]
fn equality_and_order_go_by_value() {
    all_hold(&[
        "'a' < 'b' && 'a' < 'aa' && 'Z' < 'a' && 'z' < 'é' && !(doc.s < 'h')",
        "false < true && b'a' < b'b'",
        "doc.mixed[1] != 1 && doc.n != 'x' || false",
        "doc.list == [3, 1.0, 2u] && [doc.list] == [[3, 1, 2]]",
        "doc.map == {'in': 4, 'x-y': 3.0, 'b': 2, 'a': 1} && doc.map != {'a': 1}",
        "doc.nil == null && doc.n != null && null in doc.mixed",
        "dyn(1) != dyn('a') && dyn(doc.n) == 7",
        "doc.rows[0] == {'k': 1, 'v': 1.5}",
    ]);
    all_fail(&[
        ("doc.n < doc.s", "'<' does not fit int and string"),
        ("doc.list < doc.list", "does not fit list and list"),
    ]);
}

#[test]
fn logic_absorbs_what_fails_on_the_other_side() {
    all_hold(&[
        "!(doc.gone && false) && !(false && doc.gone)",
        "(doc.gone || true) && (true || doc.gone)",
        "!(doc.n && false) || true",
        "(doc.gone > 1 || doc.n / 0 == 1 || doc.n == 7)",
        "doc.t ? true : doc.gone",
        "!doc.t ? doc.gone : true",
        "true ? true : false ? false : false",
        "doc.list.exists(x, x == 2 || doc.gone == x)",
        "!doc.list.all(x, x < 3 && doc.gone == x)",
    ]);
    all_fail(&[
        ("doc.gone && true", "there is no field \"gone\""),
        ("doc.gone || false", "there is no field \"gone\""),
        ("doc.n && true", "this is int, not bool"),
        ("doc.gone ? true : true", "no field"),
        ("doc.list.all(x, doc.gone == x)", "no field"),
    ]);
}

#[test]
fn fields_indexes_and_membership() {
    all_hold(&[
        "doc.map.a == 1 && doc['map']['a'] == 1 && doc.rows[1].k == 2 && doc.list[0] == 3",
        "doc.list[1.0] == 1 && doc.list[1u] == 1",
        "'a' in doc.map && !('z' in doc.map) && 2 in doc.list && 2.0 in doc.list && !(9 in doc.list)",
        "doc.s in ['x', 'héllo'] && !(doc.n in [1, 2]) && doc.n in [1, 7.0] && !(doc.n in [])",
        "{1: 'a', 2u: 'b', true: 'c', 'k': 'd'}[1.0] == 'a' && {1: 'a', 2u: 'b'}[2] == 'b' && {true: 'c'}[true] == 'c'",
        "has(doc.n) && has(doc.nil) && !has(doc.gone) && has(doc.map.a) && !has(doc.map.z) && has({'a': 1}.a)",
        "has(doc.rows[0].k) && !has(doc.rows[0].z)",
        "{'a': {'b': [10]}}.a.b[0] == 10 && [[1, 2], [3]][1][0] == 3",
    ]);
    all_fail(&[
        ("doc.gone == 1", "1:5: there is no field \"gone\""),
        ("doc.list[3] == 1", "there is no such element in this list of 3"),
        ("doc.list[-1] == 1", "no such element"),
        ("doc.list[0.5] == 1", "must be an integer"),
        ("doc.map['z'] == 1", "no such key"),
        ("doc.n.a == 1", "int has no fields"),
        ("doc.n[0] == 1", "'[' needs list or map, not int"),
        ("has(doc.gone.a)", "there is no field \"gone\""),
        ("1 in doc.n", "'in' needs list or map, not int"),
        ("{'a': 1, doc.s.lowerAscii() : 2, 'héllo': 3}.a == 1", "stands twice"),
    ]);
}

#[test]
fn loops_run_over_lists_and_the_keys_of_maps() {
    all_hold(&[
        "doc.list.all(x, x > 0) && doc.list.exists(x, x == 2) && doc.list.exists_one(x, x > 2) && doc.empty.all(x, x)",
        "!doc.list.existsOne(x, x > 1) && !doc.empty.exists(x, x)",
        "doc.list.map(x, x * 2) == [6, 2, 4] && doc.list.map(x, x > 1, x * 2) == [6, 4]",
        "doc.list.filter(x, x > 1) == [3, 2] && doc.list.filter(x, false) == []",
        "doc.map.all(k, doc.map[k] > 0) && doc.map.map(k, k).sort() == ['a', 'b', 'in', 'x-y']",
        "{1: 2, 3: 4}.exists(k, k == 3) && doc.map.filter(k, doc.map[k] > 2).size() == 2",
        "doc.list.all(x, doc.list.exists(y, x == y))",
        "doc.list.map(x, doc.list.filter(y, y < x).size()) == [2, 0, 1]",
        "[1, 2].map(x, [x].map(x, x + 1)) == [[2], [3]]",
        "doc.rows.filter(r, has(r.v) && r.v > 1).map(r, r.k).sum() == 3",
    ]);
    all_fail(&[
        ("doc.list.exists_one(x, doc.gone)", "no field"),
        ("doc.list.map(x, x / 0) == []", "divided by zero"),
        ("doc.n.all(x, x)", "this loop needs list or map, not int"),
        ("doc.list.all(x, x + 1 == 2 || x)", "this is int, not bool"),
    ]);
}

#[test]
fn texts_are_of_characters_and_patterns_are_linear() {
    all_hold(&[
        "size(doc.s) == 5 && doc.s.size() == 5 && size(b'é') == 2 && size(doc.list) == 3 && doc.map.size() == 4",
        "doc.s.contains('ll') && doc.s.startsWith('hé') && doc.s.endsWith('o') && !doc.s.contains('x') && doc.s.contains('')",
        "doc.s.matches('^h.llo$') && matches(doc.s, 'l+') && !doc.s.matches('^l') && doc.s.matches(doc.re)",
        "doc.s + '!' == 'héllo!' && b'a' + b'b' == b'ab' && [1] + [2] + doc.list == [1, 2, 3, 1, 2]",
        "doc.s.upperAscii() == 'HéLLO' && 'ABC'.lowerAscii() == 'abc' && '  a '.trim() == 'a'",
        "doc.s.charAt(1) == 'é' && doc.s.charAt(5) == '' && doc.s.substring(1, 3) == 'él' && doc.s.substring(4) == 'o' && doc.s.substring(5) == ''",
        "doc.s.indexOf('l') == 2 && doc.s.lastIndexOf('l') == 3 && doc.s.indexOf('x') == -1 && doc.s.indexOf('l', 3) == 3 && doc.s.lastIndexOf('l', 2) == 2",
        "'éé'.lastIndexOf('é', 0) == 0 && 'abab'.replace('ab', 'c') == 'cc' && 'abab'.replace('b', '', 1) == 'aab' && doc.s.reverse() == 'olléh'",
        "'a,b,c'.split(',', 2) == ['a', 'b,c'] && 'a,b'.split(',', 0) == [] && 'abc'.split('', 2) == ['a', 'bc']",
        "'a,b,,c'.split(',') == ['a', 'b', '', 'c'] && ['a', 'b'].join('-') == 'a-b' && ['a', 'b'].join() == 'ab' && 'né'.split('') == ['n', 'é']",
    ]);
    all_fail(&[
        ("doc.s.matches(doc.s + '(')", "the regular expression cannot be read"),
        ("doc.n.matches('1')", "matches() needs string, not int"),
        ("doc.n.contains('1')", "this function does not take int"),
        ("doc.s.contains(doc.n)", "this function does not take int behind a string"),
        ("doc.s.charAt(6) == ''", "outside the string"),
        ("doc.s.substring(3, 2) == ''", "outside the string"),
        ("doc.s.indexOf('l', -1) == 2", "outside the string"),
        ("size(doc.n) == 1", "this function does not take int"),
    ]);
}

#[test]
fn conversions_read_and_show() {
    all_hold(&[
        "int('-12') == -12 && int(3.9) == 3 && int(-3.9) == -3 && int(7u) == 7 && int(timestamp('1970-01-01T00:01:00Z')) == 60",
        "uint('12') == 12u && uint(3.9) == 3u && uint(doc.n) == 7u && double('1.5') == 1.5 && double(doc.n) == 7.0",
        "string(doc.n) == '7' && string(1.5) == '1.5' && string(2.0) == '2' && string(1e100) == '1e100' && string(true) == 'true'",
        "string(b'h\\xc3\\xa9') == 'hé' && bytes('é') == b'\\xc3\\xa9' && string(12u) == '12' && string(doc.s) == doc.s",
        "bool('true') && !bool('false') && bool('1') && type(doc.nil) == null_type && type(type(1)) == type",
        "type(doc.list) == list && type(doc.map) == map && type(timestamp(0)) == google.protobuf.Timestamp && type(doc.t) == bool",
    ]);
    all_fail(&[
        ("int(doc.s) == 1", "this string is no int"),
        ("int(doc.half * 1e300) == 1", "out of the range of int"),
        ("int(0.0 / 0.0) == 1", "out of the range of int"),
        ("uint(-doc.n) == 1u", "out of the range of uint"),
        ("bool(doc.s)", "this string is no bool"),
        ("int(doc.big) == 1", "out of the range of int"),
        ("string(b'\\xff' + b'') == ''", "no text in UTF-8"),
        ("int(doc.list) == 1", "int() does not take list"),
    ]);
}

#[test]
fn moments_and_spans_are_calculated_with() {
    all_hold(&[
        "timestamp(doc.when) < timestamp(doc.later) && timestamp(doc.later) - timestamp(doc.when) == duration('24h')",
        "timestamp(doc.when) + duration('1m30s') == timestamp('2026-03-01T12:31:45.250Z')",
        "duration('1h') + timestamp(doc.when) > timestamp(doc.when) && timestamp(doc.when) - duration('1ms') < timestamp(doc.when)",
        "timestamp('2026-03-01T14:30:15.250+02:00') == timestamp(doc.when)",
        "timestamp(doc.when).getFullYear() == 2026 && timestamp(doc.when).getMonth() == 2 && timestamp(doc.when).getDate() == 1",
        "timestamp(doc.when).getDayOfMonth() == 0 && timestamp(doc.when).getDayOfWeek() == 0 && timestamp(doc.when).getDayOfYear() == 59",
        "timestamp(doc.when).getHours() == 12 && timestamp(doc.when).getMinutes() == 30 && timestamp(doc.when).getSeconds() == 15 && timestamp(doc.when).getMilliseconds() == 250",
        "timestamp(doc.when).getHours('-13:00') == 23 && timestamp(doc.when).getDate('-13:00') == 28 && timestamp(doc.when).getHours('UTC') == 12",
        "duration('90m').getHours() == 1 && duration('90m').getMinutes() == 90 && duration('1.5s').getMilliseconds() == 500",
        "duration('1h') - duration('1m') == duration('59m') && -duration('1s') < duration('0') && duration(doc.s == '' ? '' : '1s') == duration('1000ms')",
        "string(timestamp(doc.when)) == '2026-03-01T12:30:15.250Z' && string(duration('90s')) == '90s' && timestamp(60) == timestamp('1970-01-01T00:01:00Z')",
    ]);
    all_fail(&[
        ("timestamp(doc.s) < timestamp(doc.when)", "this string is no timestamp of RFC 3339"),
        ("timestamp('9999-12-31T23:59:59Z') + duration('1s') > timestamp(0)", "the time is out of range"),
        ("timestamp(doc.when).getHours(doc.s) == 1", "the zone must be UTC or an offset"),
        ("duration(doc.s) > duration('1s')", "this string is no duration"),
    ]);
}

#[test]
fn lists_are_summed_ordered_and_made_distinct_in_both_spellings() {
    all_hold(&[
        "sum(doc.list) == 6 && doc.list.sum() == 6 && sum([1, 2.5]) == 3.5 && doc.empty.sum() == 0 && [duration('1s'), duration('2s')].sum() == duration('3s')",
        "avg(doc.list) == 2 && [1, 2].avg() == 1.5 && doc.rows.map(r, r.v).avg() == 1.75",
        "min(doc.list) == 1 && doc.list.max() == 3 && max([1, 2.5, 2u]) == 2.5 && ['b', 'a'].min() == 'a'",
        "doc.list.sort() == [1, 2, 3] && sort(['b', 'a']) == ['a', 'b'] && [2.5, 1, 3u].sort() == [1, 2.5, 3] && doc.empty.sort() == []",
        "distinct([3, 1, 3.0, 1u, 2]) == [3, 1, 2] && [doc.map, {'a': 1}, doc.map].distinct().size() == 2 && doc.mixed.distinct() == doc.mixed",
        "[[2, 1], [1], [2, 1.0]].distinct() == [[2, 1], [1]] && [null, 'a', null, true, 'a'].distinct() == [null, 'a', true]",
        "[0.0 / 0.0, 0.0 / 0.0].distinct().size() == 2",
        "doc.rows.map(r, r.k).distinct().size() == doc.rows.size()",
        "doc.list.map(x, x).sum() == doc.list.sum() && [9007199254740993, 1].avg() == 4503599627370497.0",
    ]);
    all_fail(&[
        ("doc.empty.avg() == 0", "an empty list has no average"),
        ("doc.empty.min() == 0", "an empty list has no min()"),
        ("doc.mixed.sum() == 0", "sum() does not take string"),
        ("doc.mixed.sort() == []", "not also string"),
        ("doc.mixed.max() == 0", "does not fit string and int"),
        ("doc.n.sum() == 0", "this function needs list, not int"),
        ("[doc.max, 1].sum() == 0", "does not fit an integer"),
        ("doc.rows.sort() == []", "not also map"),
    ]);
}
