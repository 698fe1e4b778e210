use mcp_core::{Digest, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::distinct::Identity;
use crate::canonical;

/// What the values of a field should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FieldType {
    /// Whatever each value looks like by itself. In CSV, the first that fits of boolean, integer, number, date, timestamp and text.
    #[default]
    Any,
    /// `true` or `false`; in CSV also with a capital letter or in capitals.
    Boolean,
    /// A number without a fraction, from -2^63 to 2^63 - 1; `5.0` is one.
    Integer,
    /// A finite number, held as a float of 64 bits unless it is such an integer.
    Number,
    /// Text; in CSV, every cell is.
    String,
    /// A day, as in `2026-01-02`.
    Date,
    /// A moment as RFC 3339 writes it; without an offset it is taken as UTC.
    Timestamp,
}

/// One value that is there, as a policy sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Typed<'v> {
    Boolean(bool),
    Integer(i64),
    /// No integer of 64 bits.
    Number(f64),
    Text(&'v str),
    /// Microseconds since the Unix epoch at the day's beginning in UTC.
    Date(i64, &'v str),
    /// Microseconds since the Unix epoch.
    Moment(i64, &'v str),
    /// An array or an object.
    Composite(&'v Value),
}

/// What is kept of a value once its text is gone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Known {
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Text,
    Date(i64),
    Moment(i64),
    Composite,
}

impl<'v> Typed<'v> {
    /// Reads a cell, and says whether it is what was declared. What is not is typed by itself.
    pub(super) fn of_text(text: &'v str, declared: FieldType) -> (Self, bool) {
        let read = match declared {
            FieldType::Any => return (Self::guessed(text), true),
            FieldType::String => Some(Self::Text(text)),
            FieldType::Boolean => boolean(text),
            FieldType::Integer => number(text).filter(|number| matches!(number, Self::Integer(_))),
            FieldType::Number => number(text),
            FieldType::Date => date(text),
            FieldType::Timestamp => moment(text),
        };
        read.map_or_else(|| (Self::guessed(text), false), |read| (read, true))
    }

    /// Looks at a JSON value that is not null, and says whether it is what was declared. Without a declaration, text stays text.
    pub(super) fn of_json(value: &'v Value, declared: FieldType) -> (Self, bool) {
        let typed = match value {
            Value::Null | Value::Array(_) | Value::Object(_) => Self::Composite(value),
            Value::Bool(truth) => Self::Boolean(*truth),
            Value::Number(number) => {
                match (number.as_i64(), number.as_f64().filter(|float| float.is_finite())) {
                    (Some(integer), _) => Self::Integer(integer),
                    (None, Some(float)) => of_float(float),
                    (None, None) => Self::Composite(value),
                }
            }
            Value::String(text) => match declared {
                FieldType::Date => date(text).unwrap_or(Self::Text(text)),
                // A day is no timestamp, but a moment all the same.
                FieldType::Timestamp => moment(text).or_else(|| date(text)).unwrap_or(Self::Text(text)),
                _ => Self::Text(text),
            },
        };
        let fits = match declared {
            FieldType::Any => true,
            FieldType::Boolean => matches!(typed, Self::Boolean(_)),
            FieldType::Integer => matches!(typed, Self::Integer(_)),
            FieldType::Number => matches!(typed, Self::Integer(_) | Self::Number(_)),
            FieldType::String => matches!(typed, Self::Text(_)),
            FieldType::Date => matches!(typed, Self::Date(..)),
            FieldType::Timestamp => matches!(typed, Self::Moment(..)),
        };
        (typed, fits)
    }

    fn guessed(text: &'v str) -> Self {
        let first = text.bytes().next().unwrap_or(b' ');
        if first.is_ascii_digit() || matches!(first, b'-' | b'+' | b'.') {
            number(text).or_else(|| date(text)).or_else(|| moment(text)).unwrap_or(Self::Text(text))
        } else {
            boolean(text).unwrap_or(Self::Text(text))
        }
    }

    /// Equal for equal values, however they are written.
    pub(super) fn identity(&self) -> Identity {
        let of = |kind: u8, bytes: &[u8]| {
            let mut parts = Vec::with_capacity(bytes.len().saturating_add(1));
            parts.push(kind);
            parts.extend_from_slice(bytes);
            identity(&parts)
        };
        match self {
            Self::Boolean(truth) => of(b'b', &[u8::from(*truth)]),
            Self::Integer(integer) => of(b'i', &integer.to_le_bytes()),
            Self::Number(float) => of(b'f', &float.to_bits().to_le_bytes()),
            Self::Text(text) => of(b's', text.as_bytes()),
            Self::Date(micros, _) => of(b'd', &micros.to_le_bytes()),
            Self::Moment(micros, _) => of(b't', &micros.to_le_bytes()),
            Self::Composite(value) => of(b'v', canonical::digest(value).0.as_bytes()),
        }
    }

    pub(super) const fn known(&self) -> Known {
        match self {
            Self::Boolean(truth) => Known::Boolean(*truth),
            Self::Integer(integer) => Known::Integer(*integer),
            Self::Number(float) => Known::Number(*float),
            Self::Text(_) => Known::Text,
            Self::Date(micros, _) => Known::Date(*micros),
            Self::Moment(micros, _) => Known::Moment(*micros),
            Self::Composite(_) => Known::Composite,
        }
    }

    /// The value as JSON has it.
    pub(super) fn to_json(self) -> Value {
        match self {
            Self::Boolean(truth) => Value::Bool(truth),
            Self::Integer(integer) => Value::from(integer),
            Self::Number(float) => Value::from(float),
            Self::Text(text) | Self::Date(_, text) | Self::Moment(_, text) => Value::from(text),
            Self::Composite(value) => value.clone(),
        }
    }
}

impl Known {
    /// How people read it; `text` is how it was written.
    pub(super) fn shown(self, text: &str) -> String {
        match self {
            Self::Boolean(truth) => truth.to_string(),
            Self::Integer(integer) => integer.to_string(),
            Self::Number(float) => float.to_string(),
            Self::Text | Self::Date(_) | Self::Moment(_) => text.to_owned(),
            Self::Composite => "(array or object)".to_owned(),
        }
    }
}

/// The first 16 bytes of the digest of `parts`.
pub(super) fn identity(parts: &[u8]) -> Identity {
    Digest::of(parts).as_bytes().first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes))
}

fn boolean(text: &str) -> Option<Typed<'_>> {
    match text {
        "true" | "True" | "TRUE" => Some(Typed::Boolean(true)),
        "false" | "False" | "FALSE" => Some(Typed::Boolean(false)),
        _ => None,
    }
}

fn number(text: &str) -> Option<Typed<'_>> {
    if let Ok(integer) = text.parse::<i64>() {
        return Some(Typed::Integer(integer));
    }
    // Rust's floats would also read `inf`, `NaN` and the like.
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
    text.parse::<f64>().ok().filter(|float| plain && float.is_finite()).map(of_float)
}

/// A float without a fraction is an integer that could also be written as one.
fn of_float<'v>(float: f64) -> Typed<'v> {
    if float.fract() == 0.0 && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&float) {
        #[expect(clippy::cast_possible_truncation, reason = "it has no fraction and lies within 64 bits")]
        return Typed::Integer(float as i64);
    }
    Typed::Number(float)
}

fn date(text: &str) -> Option<Typed<'_>> {
    if text.len() != 10 {
        return None;
    }
    let midnight: Timestamp = format!("{text}T00:00:00Z").parse().ok()?;
    Some(Typed::Date(midnight.as_micros(), text))
}

fn moment(text: &str) -> Option<Typed<'_>> {
    if !(19..=40).contains(&text.len()) {
        return None;
    }
    let moment = text.parse::<Timestamp>().ok().or_else(|| format!("{text}Z").parse().ok())?;
    Some(Typed::Moment(moment.as_micros(), text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_without_a_declaration_is_what_it_looks_like() {
        let guessed = |text| Typed::of_text(text, FieldType::Any).0;
        assert_eq!(guessed("TRUE"), Typed::Boolean(true));
        assert_eq!(guessed("-12"), Typed::Integer(-12));
        assert_eq!(guessed("5.0"), Typed::Integer(5));
        assert_eq!(guessed("-0.0"), Typed::Integer(0));
        assert_eq!(guessed("1e-3"), Typed::Number(0.001));
        assert_eq!(guessed("9223372036854775808"), Typed::Number(9_223_372_036_854_775_808.0));
        assert_eq!(guessed("1970-01-02"), Typed::Date(86_400_000_000, "1970-01-02"));
        assert_eq!(guessed("1970-01-01T00:00:01Z"), Typed::Moment(1_000_000, "1970-01-01T00:00:01Z"));
        assert_eq!(guessed("1970-01-01 00:00:01"), Typed::Moment(1_000_000, "1970-01-01 00:00:01"));
        for text in ["inf", "NaN", "-inf", "1e999", "0x10", "1970-13-01", "12 ", "infinity", "e", "-"] {
            assert_eq!(guessed(text), Typed::Text(text));
        }
    }

    #[test]
    fn what_is_not_as_declared_is_told() {
        let fits = |text, declared| Typed::of_text(text, declared).1;
        assert!(
            fits("12", FieldType::Number)
                && fits("12", FieldType::String)
                && fits("12.0", FieldType::Integer)
        );
        assert!(
            !fits("12.5", FieldType::Integer)
                && !fits("x", FieldType::Number)
                && !fits("1", FieldType::Boolean)
        );
        assert!(!fits("2026-02-30", FieldType::Date) && !fits("2026-02-28", FieldType::Timestamp));
        let json = |value: &Value, declared| Typed::of_json(value, declared).1;
        assert!(json(&json!(12), FieldType::Integer) && !json(&json!("12"), FieldType::Integer));
        assert!(json(&json!("2026-02-28"), FieldType::Date) && !json(&json!("2026-02-30"), FieldType::Date));
        assert!(!json(&json!([]), FieldType::String));
    }

    #[test]
    fn equal_values_have_equal_identities_and_others_have_not() {
        let of = |text, declared| Typed::of_text(text, declared).0.identity();
        assert_eq!(of("1", FieldType::Any), of("1.0", FieldType::Number));
        assert_eq!(of("1", FieldType::Any), Typed::of_json(&json!(1.0), FieldType::Any).0.identity());
        assert_ne!(of("1", FieldType::Any), of("1", FieldType::String));
        let time = |text| of(text, FieldType::Timestamp);
        assert_eq!(time("2026-01-02T03:04:05+01:00"), time("2026-01-02T02:04:05Z"));
    }
}
