//! What is refused when a rule is registered, and where.

use crate::refusal;

/// Each expression is refused with this reason, position included.
fn check(cases: &[(&str, &str)]) {
    for (expression, expected) in cases {
        let seen = refusal(expression);
        assert!(seen.starts_with(expected), "{expression}\nexpected {expected}\nfound    {seen}");
    }
}

#[test]
fn names_and_functions_must_be_known() {
    check(&[
        ("docs.total > 0", "1:1: the name \"docs\" is not declared, declared are doc"),
        ("doc.a > 0 &&\n  total > 1", "2:3: the name \"total\" is not declared"),
        ("value > 0", "1:1: the name \"value\" is not declared"),
        ("now > timestamp(doc.t)", "1:1: the name \"now\""),
        ("doc.l.all(x, y > 1)", "1:14: the name \"y\""),
        ("doc.l.all(x, true) && x", "1:23: the name \"x\""),
        ("length(doc.a) > 0", "1:1: the function \"length\" is not known"),
        ("doc.a.length() > 0", "1:7: the function \"length\" is not known"),
        ("contains(doc.a, 'x')", "1:1: contains is called as x.contains(), not as contains(x)"),
        ("doc.a.int() > 0", "1:7: int is called as int(x), not as x.int()"),
        ("doc.a.has(b)", "1:7: the function \"has\" is not known"),
        ("'é' == é", "1:8: the character 'é' has no meaning here"),
    ]);
}

#[test]
fn arguments_must_be_as_many_as_a_function_takes() {
    check(&[
        ("size() > 0", "1:1: size() takes 1 arguments, not 0"),
        ("doc.a.size(1) > 0", "1:7: size() takes 0 arguments, not 1"),
        ("doc.a.contains('x', 'y')", "1:7: contains() takes 1 arguments, not 2"),
        ("has(doc.a, doc.b)", "1:1: has() takes one field"),
        ("has(doc)", "1:1: has() takes one field"),
        ("has(doc['a'])", "1:1: has() takes a field"),
        ("doc.l.all(x > 0)", "1:7: all() takes a name and an expression"),
        ("doc.l.all(x.y, x > 0)", "1:11: the first argument of all() must be a name"),
        ("timestamp(doc.a).getHours('a', 'b') > 0", "1:18: getHours() takes 0 to 1 arguments, not 2"),
    ]);
}

#[test]
fn types_that_cannot_fit_are_found() {
    check(&[
        ("1 + 'a' == 2", "1:3: '+' does not fit int and string"),
        ("doc.x && 3", "1:10: '&&' needs bool, not int"),
        ("'a' || doc.x", "1:1: '||' needs bool, not string"),
        ("!1", "1:2: '!' needs bool, not int"),
        ("-'a' == 1", "1:1: '-' needs a number, not string"),
        ("doc.a - 'b' == 1", "1:7: '-' does not fit"),
        ("[1] * 2 == 2", "1:5: '*' does not fit list and int"),
        ("1.5 % 2 == 1", "1:5: '%' does not fit double and int"),
        ("1 == 'a'", "1:3: '==' does not fit int and string"),
        ("'a' in 'abc'", "1:5: 'in' needs list or map, not string"),
        ("1 in ['a', 'b']", "1:3: int is never in this list"),
        ("[1] < [2]", "1:5: '<' does not fit list and list"),
        ("1 ? true : false", "1:1: '?' needs bool, not int"),
        ("'a'.b == 1", "1:5: string has no field \"b\""),
        ("1[0] == 1", "1:2: '[' needs list or map, not int"),
        ("[1]['a'] == 1", "1:5: the index must be number, not string"),
        ("doc[true] == 1", "1:5: the index must be number or string, not bool"),
        ("size(1) == 1", "1:6: size() needs string or bytes or list or map, not int"),
        ("[1, 2].all(x, x + 1)", "1:17: this loop needs bool, not int"),
        ("1.all(x, true)", "1:3: all() needs list or map, not int"),
        ("(1).all(x, true)", "1:5: all() needs list or map, not int"),
        ("['a'].sum() == 1", "1:7: sum() needs a list of number or duration, not of string"),
        ("[1, 2].map(x, string(x)).avg() == 1", "1:26: avg() needs a list of number, not of string"),
        ("doc.at.getHours() == 1", "1:1: getHours() needs timestamp or duration, not"),
        ("doc.at < timestamp('2026-01-01T00:00:00Z')", "1:8: '<' does not fit"),
        ("{[1]: 2} == {}", "1:2: the key of a map needs"),
        ("{1.5: 2} == {}", "1:2: the key of a map needs bool or int or uint or string, not double"),
    ]);
    assert!(
        refusal("doc.at < timestamp('2026-01-01T00:00:00Z')")
            .ends_with("write timestamp(…) or duration(…) around it")
    );
}

#[test]
fn a_result_must_be_able_to_be_true_or_false() {
    check(&[
        ("doc.total + 1", "1:1: it gives number, not bool"),
        ("'total'", "1:1: it gives string, not bool"),
        ("doc.a + doc.b", "1:1: it gives number or string or list, not bool"),
        ("size(doc.a)", "1:1: it gives int, not bool"),
        ("doc.l.map(x, x > 1)", "1:1: it gives list, not bool"),
        ("null", "1:1: it gives null, not bool"),
        ("doc.t ? 1 : 'a'", "1:1: it gives int or string, not bool"),
        ("timestamp(doc.a)", "1:1: it gives timestamp, not bool"),
    ]);
}

#[test]
fn literals_that_cannot_be_read_are_found() {
    check(&[
        ("doc.a.matches('(')", "1:15: the pattern cannot be read: unclosed group"),
        ("doc.a.matches('(?=a)')", "1:15: the pattern cannot be read: look-around"),
        ("doc.a.matches('(\\\\p{L}{1,500}){1,500}')", "1:15: the pattern takes more than"),
        ("timestamp('2026-02-30T00:00:00Z') < timestamp(doc.a)", "1:1: this string is no timestamp"),
        ("duration('1 day') < duration(doc.a)", "1:1: this string is no duration"),
        ("int('x') == 1", "1:1: this string is no int"),
        ("uint(-1) == 1u", "1:1: the value is out of the range of uint"),
        ("timestamp(doc.a).getHours('Europe/Berlin') == 1", "1:27: the zone must be UTC or an offset"),
        ("9223372036854775808 > 1", "1:1: this is no integer of 64 bits"),
        ("18446744073709551616u > 1u", "1:1: this is no unsigned integer"),
        ("1e999 > 1.0", "1:1: this number is too large"),
        ("'a", "1:1: this text is not closed"),
        ("'a\nb' == ''", "1:1: this text is not closed on its line"),
        ("'\\q' == ''", "1:2: the escape \\q is not known"),
        ("'\\ud800' == ''", "1:2: this is no character of Unicode"),
        ("'\\x4' == ''", "1:2: 2 digits are needed"),
        ("b'\\u0041' == b''", "1:3: the escape \\u is not known"),
        ("'\\400' == ''", "1:2: the escape \\4 is not known"),
        ("0x == 1", "1:1: this is no integer"),
        ("12abc == 1", "1:1: a name or another number follows"),
    ]);
}

#[test]
fn what_is_no_expression_is_refused_where_it_ends() {
    check(&[
        ("", "1:1: it is empty"),
        ("  // nothing", "1:1: it is empty"),
        ("doc.total >", "1:12: expected a value, found the end"),
        ("doc.total > 0 0", "1:15: expected an operator or the end, found a value"),
        ("(doc.a", "1:7: expected \")\" to close the '('"),
        ("[1, 2", "1:6: expected \",\" or \"]\""),
        ("{'a' 1}", "1:6: expected \":\" behind a key"),
        ("f(1,)", "1:5: expected a value"),
        ("doc.", "1:5: expected the name of a field, found the end"),
        ("doc.in", "1:5: expected the name of a field, found \"in\""),
        ("doc.?a", "1:5: expected the name of a field, found \"?\""),
        ("a ? b", "1:6: expected \":\" between the two results"),
        ("doc.a = 1", "1:7: the character '=' has no meaning here"),
        ("doc.a & doc.b", "1:7: the character '&'"),
        ("if == 1", "1:1: the name \"if\" is reserved"),
        (
            "google.protobuf.Duration{seconds: 1} == 1",
            "1:25: expected an operator (messages are not made here), found \"{\"",
        ),
        ("`a` == 1", "1:1: expected a value, found `a`"),
        ("doc.`a == 1", "1:5: this back-quote is not closed"),
    ]);
}
