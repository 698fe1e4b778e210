//! Changes of a logical type: the bytes are read without an error, and mean something else.

use serde_json::Value;

use super::logical::Logical;
use super::schema::{Kind, Type};

/// Something that is against reading one type as another.
#[derive(Debug)]
pub(super) struct Against {
    pub(super) rule: &'static str,
    /// Where in the reader's type it is: a pointer.
    pub(super) below: String,
    pub(super) message: String,
    pub(super) advice: String,
    /// Which value of the writer's type shows it; any, where there is none.
    pub(super) witness: Option<Value>,
    /// Whether a value shows it at all: what is merely misunderstood is still read.
    pub(super) is_witnessed: bool,
}

/// What is against reading by the logical types, both types being ones of which values are read as the other.
pub(super) fn hazard(read: &Type, written: &Type) -> Option<Against> {
    match (read.logical, written.logical) {
        (Some(read), Some(written)) if read == written => None,
        (
            Some(Logical::Decimal { precision, scale }),
            Some(Logical::Decimal { precision: written_precision, scale: written_scale }),
        ) => {
            if scale != written_scale {
                return Some(misread(
                    "avro.decimal-scale",
                    format!(
                        "a decimal of the scale {written_scale} is read with the scale {scale}: every number changes"
                    ),
                    "keep the scale, or give the new one a field of its own",
                ));
            }
            (precision < written_precision).then(|| Against {
                rule: "avro.decimal-precision",
                below: String::new(),
                message: format!(
                    "decimals of {written_precision} digits are written, and of {precision} are read"
                ),
                advice: "keep the precision, or raise it".to_owned(),
                witness: bytes_of_power(precision, &written.kind),
                is_witnessed: bytes_of_power(precision, &written.kind).is_some(),
            })
        }
        (Some(Logical::Timestamp { local, .. }), Some(Logical::Timestamp { local: written_local, .. }))
            if local != written_local =>
        {
            Some(meaning(read, written))
        }
        (Some(Logical::Timestamp { .. }), Some(Logical::Timestamp { .. }))
        | (Some(Logical::TimeMillis), Some(Logical::TimeMicros))
        | (Some(Logical::TimeMicros), Some(Logical::TimeMillis)) => Some(misread(
            "avro.logical-unit",
            format!(
                "{} is read where {} is written: every value changes its size by a factor",
                word(read),
                word(written)
            ),
            "keep the unit, or give the new one a field of its own",
        )),
        (Some(_), Some(_)) => Some(meaning(read, written)),
        (Some(logical), None) if !logical.admits_all(&read.kind) => Some(Against {
            rule: "avro.logical-type-added",
            below: String::new(),
            message: format!("{} is read where any {} may be written", logical.word(), written.kind.word()),
            advice: "give the logical type a field of its own".to_owned(),
            witness: no_value_of(logical, written),
            is_witnessed: no_value_of(logical, written).is_some(),
        }),
        (None, Some(Logical::Decimal { .. } | Logical::BigDecimal)) if matches!(read.kind, Kind::String) => {
            Some(meaning(read, written))
        }
        _ => None,
    }
}

const fn word(found: &Type) -> &'static str {
    match found.logical {
        Some(logical) => logical.word(),
        None => found.kind.word(),
    }
}

fn misread(rule: &'static str, message: String, advice: &str) -> Against {
    Against {
        rule,
        below: String::new(),
        message,
        advice: advice.to_owned(),
        witness: None,
        is_witnessed: false,
    }
}

fn meaning(read: &Type, written: &Type) -> Against {
    misread(
        "avro.logical-type-changed",
        format!(
            "{} is read where {} is written: the same bytes mean something else",
            word(read),
            word(written)
        ),
        "keep the logical type, or give the new one a field of its own",
    )
}

/// A value of the written type that the logical type gives no meaning to.
fn no_value_of(logical: Logical, written: &Type) -> Option<Value> {
    match (logical, &written.kind) {
        (Logical::TimeMillis | Logical::TimeMicros, Kind::Int | Kind::Long) => Some(Value::from(-1)),
        (_, Kind::Bytes | Kind::String) => Some(Value::from("")),
        (Logical::Decimal { precision, .. }, kind @ Kind::Fixed(..)) => bytes_of_power(precision, kind),
        _ => None,
    }
}

/// Ten to the power of `digits` as bytes, the smallest number that needs one digit more.
fn bytes_of_power(digits: u64, kind: &Kind) -> Option<Value> {
    let power = 10_i128.checked_pow(u32::try_from(digits).ok()?)?;
    let bytes = power.to_be_bytes();
    let bytes = match kind {
        Kind::Fixed(_, size) if *size <= bytes.len() => {
            let (cut, kept) = bytes.split_at(bytes.len() - size);
            let is_kept = cut.iter().all(|byte| *byte == 0) && kept.first().is_some_and(|byte| *byte < 0x80);
            is_kept.then(|| kept.to_vec())?
        }
        Kind::Fixed(_, size) if *size <= 1000 => {
            let mut wide = vec![0; size - bytes.len()];
            wide.extend(bytes);
            wide
        }
        Kind::Bytes => bytes.to_vec(),
        _ => return None,
    };
    Some(Value::from(super::judgement::latin(&bytes)))
}
