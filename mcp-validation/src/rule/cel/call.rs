//! What the functions do.

use std::borrow::Cow;
use std::rc::Rc;

use regex::RegexBuilder;

use super::Fault;
use super::ast::Literal;
use super::eval::{Evaluated, Run};
use super::function::Function;
use super::time::{Moment, Part, Span, offset};
use super::value::{Held, Val};
use super::{list, text};
use crate::meter::text_steps;

/// What is said of a zone that is none of ours.
pub(super) const UNKNOWN_ZONE: &str =
    "the zone must be UTC or an offset such as \"+02:00\", named zones need a database that is not here";

/// What it costs to compile a regular expression that is found in the document.
const COMPILE_STEPS: u64 = 20_000;
/// The largest of them when compiled, in bytes.
const COMPILE_BYTES: usize = 64 << 10;

/// Calls a function; the target of a method is its first argument.
pub(super) fn call<'v>(
    run: &mut Run<'v, '_>,
    function: Function,
    at: u32,
    first: &Val<'v>,
    rest: &[Val<'v>],
) -> Evaluated<'v> {
    let second = rest.first();
    if let Some(list) = list::call(run, function, at, first, second) {
        return list;
    }
    let unfit = || Fault::new(at, format!("this function does not take {}", first.kind().alone()));
    match (function, first, second) {
        (Function::Size, _, _) => size(run, first).ok_or_else(unfit),
        (Function::Dyn, _, _) => Ok(first.clone()),
        (Function::Type, _, _) => Ok(Val::Type(first.kind())),
        (
            Function::Contains | Function::StartsWith | Function::EndsWith,
            Val::Text(text),
            Some(Val::Text(part)),
        ) => {
            run.spend(text_steps(text.len()))?;
            Ok(Val::Bool(match function {
                Function::Contains => text.contains(&**part),
                Function::StartsWith => text.starts_with(&**part),
                _ => text.ends_with(&**part),
            }))
        }
        (Function::Matches, Val::Text(text), Some(Val::Text(pattern))) => matches(run, at, text, pattern),
        (Function::Text, _, _) => show(run, at, first),
        (Function::Bytes, Val::Bytes(_), _) => Ok(first.clone()),
        (Function::Bytes, Val::Text(text), _) => {
            run.build(text.len())?;
            Ok(Val::Bytes(Held::Own(Rc::from(text.as_bytes()))))
        }
        (Function::Part(part), _, _) => get(at, part, first, second),
        (
            Function::Int
            | Function::Uint
            | Function::Double
            | Function::Bool
            | Function::Timestamp
            | Function::Duration,
            _,
            _,
        ) => {
            if let Val::Text(text) = first {
                run.spend(text_steps(text.len()))?;
            }
            convert(function, first).map_err(|reason| Fault::new(at, reason))
        }
        (_, Val::Text(text), _) => match text::call(run, function, at, text, rest) {
            Some(called) => called,
            None => {
                let kinds: Vec<String> = rest.iter().map(|value| value.kind().alone().to_string()).collect();
                Err(Fault::new(
                    at,
                    format!("this function does not take {} behind a string", kinds.join(", ")),
                ))
            }
        },
        _ => Err(unfit()),
    }
}

fn size<'v>(run: &mut Run<'v, '_>, value: &Val<'v>) -> Option<Val<'v>> {
    let len = match value {
        Val::Text(text) => {
            // A failure here comes again with the next part.
            run.spend(text_steps(text.len())).ok();
            text.chars().count()
        }
        Val::Bytes(bytes) => bytes.len(),
        value => match value.elements() {
            Some(elements) => elements.len(),
            None => value.entries()?.len(),
        },
    };
    i64::try_from(len).ok().map(Val::Int)
}

/// The last expression is kept, since a loop asks for the same one again and again.
fn matches<'v>(run: &mut Run<'v, '_>, at: u32, text: &str, pattern: &str) -> Evaluated<'v> {
    run.spend(text_steps(text.len()).saturating_add(text_steps(pattern.len())))?;
    if run.pattern.as_ref().is_none_or(|(known, _)| known != pattern) {
        run.spend(COMPILE_STEPS.saturating_add(u64::try_from(pattern.len()).unwrap_or(u64::MAX)))?;
        let regex = RegexBuilder::new(pattern)
            .size_limit(run.max_pattern_bytes.min(COMPILE_BYTES))
            .build()
            .map_err(|_| Fault::new(at, "the regular expression cannot be read or is too large"))?;
        run.pattern = Some((pattern.to_owned(), regex));
    }
    let matched = run.pattern.as_ref().is_some_and(|(_, regex)| regex.is_match(text));
    Ok(Val::Bool(matched))
}

/// `string(x)`
fn show<'v>(run: &mut Run<'v, '_>, at: u32, value: &Val<'v>) -> Evaluated<'v> {
    let text = match value {
        Val::Text(_) => return Ok(value.clone()),
        Val::Bool(truth) => truth.to_string(),
        Val::Int(int) => int.to_string(),
        Val::Uint(uint) => uint.to_string(),
        Val::Double(double) => show_double(*double),
        Val::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => return Err(Fault::new(at, "these bytes are no text in UTF-8")),
        },
        Val::Timestamp(moment) => moment.text().unwrap_or_default(),
        Val::Duration(span) => span.text().unwrap_or_default(),
        other => return Err(Fault::new(at, format!("string() does not take {}", other.kind().alone()))),
    };
    run.text(text)
}

/// The shortest digits that give the number back; with an exponent where it would be long.
fn show_double(double: f64) -> String {
    let magnitude = double.abs();
    if double.is_nan() {
        "NaN".to_owned()
    } else if double.is_infinite() {
        if double > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        format!("{double:e}")
    } else {
        format!("{double}")
    }
}

type Reason = Cow<'static, str>;

/// The conversions that need nothing but their argument.
fn convert<'v>(function: Function, value: &Val<'v>) -> Result<Val<'v>, Reason> {
    let unread = |what: &str| -> Reason { format!("this string is no {what}").into() };
    let range = |what: &str| -> Reason { format!("the value is out of the range of {what}").into() };
    match (function, value) {
        (Function::Int, Val::Text(text)) => text.parse().map(Val::Int).map_err(|_| unread("int")),
        (Function::Int, Val::Timestamp(moment)) => Ok(Val::Int(moment.seconds())),
        (Function::Int, _) => match truncated(value) {
            Some(integer) => i64::try_from(integer).map(Val::Int).map_err(|_| range("int")),
            None => Err(unfit("int", value)),
        },
        (Function::Uint, Val::Text(text)) => text.parse().map(Val::Uint).map_err(|_| unread("uint")),
        (Function::Uint, _) => match truncated(value) {
            Some(integer) => u64::try_from(integer).map(Val::Uint).map_err(|_| range("uint")),
            None => Err(unfit("uint", value)),
        },
        (Function::Double, Val::Text(text)) => text.parse().map(Val::Double).map_err(|_| unread("double")),
        (Function::Double, _) => value.double().map(Val::Double).ok_or_else(|| unfit("double", value)),
        (Function::Bool, Val::Bool(truth)) => Ok(Val::Bool(*truth)),
        (Function::Bool, Val::Text(text)) => match &**text {
            "true" | "True" | "TRUE" | "t" | "1" => Ok(Val::Bool(true)),
            "false" | "False" | "FALSE" | "f" | "0" => Ok(Val::Bool(false)),
            _ => Err(unread("bool")),
        },
        (Function::Timestamp, Val::Timestamp(moment)) => Ok(Val::Timestamp(*moment)),
        (Function::Timestamp, Val::Text(text)) => {
            Moment::read(text).map(Val::Timestamp).ok_or_else(|| unread("timestamp of RFC 3339"))
        }
        (Function::Timestamp, Val::Int(_) | Val::Uint(_)) => value
            .integer()
            .and_then(|seconds| i64::try_from(seconds).ok())
            .and_then(Moment::of_seconds)
            .map(Val::Timestamp)
            .ok_or_else(|| range("timestamp")),
        (Function::Duration, Val::Duration(span)) => Ok(Val::Duration(*span)),
        (Function::Duration, Val::Text(text)) => {
            Span::read(text).map(Val::Duration).ok_or_else(|| unread("duration such as 1h30m"))
        }
        (Function::Timestamp, _) => Err(unfit("timestamp", value)),
        (Function::Duration, _) => Err(unfit("duration", value)),
        _ => Err(unfit("bool", value)),
    }
}

fn unfit(what: &str, value: &Val<'_>) -> Reason {
    format!("{what}() does not take {}", value.kind().alone()).into()
}

/// A number without its fraction; out of every range where it is infinite or none.
fn truncated(value: &Val<'_>) -> Option<i128> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast to an integer saturates, which is out of range too"
    )]
    match value {
        Val::Double(double) if double.is_nan() => Some(i128::MAX),
        Val::Double(double) => Some(double.trunc() as i128),
        value => value.integer(),
    }
}

/// What a conversion of a literal gives, so that it is done once; an error is one of the rule.
pub(super) fn fold(function: Function, literal: &Literal) -> Result<Option<Literal>, Reason> {
    Ok(match convert(function, &Val::literal(literal))? {
        Val::Int(int) => Some(Literal::Int(int)),
        Val::Uint(uint) => Some(Literal::Uint(uint)),
        Val::Double(double) => Some(Literal::Double(double)),
        Val::Timestamp(moment) => Some(Literal::Timestamp(moment)),
        Val::Duration(span) => Some(Literal::Duration(span)),
        _ => None,
    })
}

/// A getter of a timestamp or a duration, in UTC unless an offset is given.
fn get<'v>(at: u32, part: Part, value: &Val<'v>, zone: Option<&Val<'v>>) -> Evaluated<'v> {
    let ahead = match zone {
        None => 0,
        Some(Val::Text(zone)) => offset(zone).ok_or(Fault::new(at, UNKNOWN_ZONE))?,
        Some(other) => {
            return Err(Fault::new(at, format!("the zone must be string, not {}", other.kind().alone())));
        }
    };
    let part = match value {
        Val::Timestamp(moment) => Some(moment.part(part, ahead)),
        Val::Duration(span) if zone.is_none() => span.part(part),
        _ => None,
    };
    let reason = || Fault::new(at, format!("this getter does not take {}", value.kind().alone()));
    part.map(Val::Int).ok_or_else(reason)
}
