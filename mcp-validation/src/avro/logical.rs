//! Logical types: what a value of an underlying type means, and which of them mean nothing.

use mcp_core::SeamError;
use serde_json::{Map, Value};

use super::schema::Kind;
use crate::Findings;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Logical {
    Decimal { precision: u64, scale: u64 },
    BigDecimal,
    Uuid,
    Date,
    TimeMillis,
    TimeMicros,
    Timestamp { unit: Unit, local: bool },
    Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Millis,
    Micros,
    Nanos,
}

const DAY_MILLIS: i64 = 86_400_000;

impl Logical {
    /// What the attributes of a type say, unless it is unknown or does not fit.
    pub(super) fn parse(kind: &Kind, attributes: &Map<String, Value>) -> Option<Self> {
        let timestamp = |unit, local| Some(Self::Timestamp { unit, local });
        match (attributes.get("logicalType")?.as_str()?, kind) {
            ("decimal", Kind::Bytes | Kind::Fixed(..)) => Self::decimal(kind, attributes),
            ("big-decimal", Kind::Bytes) => Some(Self::BigDecimal),
            ("uuid", Kind::String | Kind::Fixed(_, 16)) => Some(Self::Uuid),
            ("date", Kind::Int) => Some(Self::Date),
            ("time-millis", Kind::Int) => Some(Self::TimeMillis),
            ("time-micros", Kind::Long) => Some(Self::TimeMicros),
            ("timestamp-millis", Kind::Long) => timestamp(Unit::Millis, false),
            ("timestamp-micros", Kind::Long) => timestamp(Unit::Micros, false),
            ("timestamp-nanos", Kind::Long) => timestamp(Unit::Nanos, false),
            ("local-timestamp-millis", Kind::Long) => timestamp(Unit::Millis, true),
            ("local-timestamp-micros", Kind::Long) => timestamp(Unit::Micros, true),
            ("local-timestamp-nanos", Kind::Long) => timestamp(Unit::Nanos, true),
            ("duration", Kind::Fixed(_, 12)) => Some(Self::Duration),
            _ => None,
        }
    }

    fn decimal(kind: &Kind, attributes: &Map<String, Value>) -> Option<Self> {
        let precision = attributes.get("precision")?.as_u64().filter(|precision| *precision > 0)?;
        let scale = attributes.get("scale").map_or(Some(0), Value::as_u64)?;
        let fits = match kind {
            Kind::Fixed(_, size) => precision <= digits_of(*size),
            _ => true,
        };
        (fits && scale <= precision).then_some(Self::Decimal { precision, scale })
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Decimal { .. } => "decimal",
            Self::BigDecimal => "big-decimal",
            Self::Uuid => "uuid",
            Self::Date => "date",
            Self::TimeMillis => "time-millis",
            Self::TimeMicros => "time-micros",
            Self::Timestamp { unit: Unit::Millis, local: false } => "timestamp-millis",
            Self::Timestamp { unit: Unit::Micros, local: false } => "timestamp-micros",
            Self::Timestamp { unit: Unit::Nanos, local: false } => "timestamp-nanos",
            Self::Timestamp { unit: Unit::Millis, local: true } => "local-timestamp-millis",
            Self::Timestamp { unit: Unit::Micros, local: true } => "local-timestamp-micros",
            Self::Timestamp { unit: Unit::Nanos, local: true } => "local-timestamp-nanos",
            Self::Duration => "duration",
        }
    }

    /// Whether every value of the underlying `kind` has a meaning.
    pub(super) const fn admits_all(self, kind: &Kind) -> bool {
        match self {
            Self::Date | Self::Timestamp { .. } | Self::Duration => true,
            Self::Uuid => matches!(kind, Kind::Fixed(..)),
            Self::Decimal { .. } | Self::BigDecimal | Self::TimeMillis | Self::TimeMicros => false,
        }
    }

    /// What is wrong with an integer.
    pub(super) const fn integer_fault(self, value: i64) -> Option<&'static str> {
        match self {
            Self::TimeMillis if value < 0 || value >= DAY_MILLIS => {
                Some("a time-millis counts the milliseconds since midnight: from 0 to 86,399,999")
            }
            Self::TimeMicros if value < 0 || value >= DAY_MILLIS * 1000 => {
                Some("a time-micros counts the microseconds since midnight: from 0 to 86,399,999,999")
            }
            _ => None,
        }
    }

    /// What is wrong with text.
    pub(super) fn text_fault(self, text: &str) -> Option<&'static str> {
        (self == Self::Uuid && !is_uuid(text)).then_some("this is no UUID (RFC 9562) in hexadecimal digits")
    }

    /// What is wrong with bytes.
    pub(super) fn bytes_fault(self, bytes: &[u8], findings: &Findings) -> Result<Option<String>, SeamError> {
        match self {
            Self::Decimal { precision, .. } if !has_at_most_digits(bytes, precision, findings)? => {
                Ok(Some(format!("this decimal has more than {precision} digits, or no bytes")))
            }
            Self::BigDecimal if !is_big_decimal(bytes) => {
                Ok(Some("a big-decimal is the bytes of an unscaled integer, then its scale".to_owned()))
            }
            _ => Ok(None),
        }
    }
}

/// How many decimal digits every integer of so many digits needs no more than `size` bytes for: floor(log10(2^(8 * size - 1) - 1)).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a float to u64 saturates; a size that a float rounds has no decimal of a precision near it"
)]
fn digits_of(size: usize) -> u64 {
    if size == 0 {
        return 0;
    }
    ((8.0 * size as f64 - 1.0) * std::f64::consts::LOG10_2).floor() as u64
}

/// Eight, four, four, four and twelve hexadecimal digits with hyphens between.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(position, byte)| match position {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_big_decimal(bytes: &[u8]) -> bool {
    let Ok((length, rest)) = super::cursor::long(bytes) else { return false };
    let Some((_, scale)) = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length))
    else {
        return false;
    };
    super::cursor::long(scale).is_ok_and(|(scale, rest)| i32::try_from(scale).is_ok() && rest.is_empty())
}

/// Whether the two's complement big-endian integer lies between -10^digits and 10^digits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the two bounds are a bit apart from what they stand for, which is more than rounding does"
)]
fn has_at_most_digits(bytes: &[u8], digits: u64, findings: &Findings) -> Result<bool, SeamError> {
    let Some(first) = bytes.first() else { return Ok(false) };
    let negative = first & 0x80 != 0;
    let magnitude = magnitude(bytes, negative);
    let bits = magnitude.len() as u64 * 32 - u64::from(magnitude.last().map_or(0, |top| top.leading_zeros()));
    let needed = digits as f64 * std::f64::consts::LOG2_10;
    if bits < needed.floor() as u64 {
        return Ok(true);
    }
    if bits > needed.ceil() as u64 + 1 {
        return Ok(false);
    }
    let rounds = digits / 9;
    // As much work as long multiplication takes, 64 limbs a step.
    findings.spend(1 + rounds.saturating_mul(rounds) / 128)?;
    let mut bound = vec![1_u32];
    let multiply = |bound: &mut Vec<u32>, by: u32| {
        let mut carry = 0_u64;
        for limb in bound.iter_mut() {
            let product = u64::from(*limb) * u64::from(by) + carry;
            *limb = (product & 0xffff_ffff) as u32;
            carry = product >> 32;
        }
        if carry > 0 {
            bound.push(carry as u32);
        }
    };
    for _ in 0..rounds {
        multiply(&mut bound, 1_000_000_000);
    }
    for _ in 0..digits % 9 {
        multiply(&mut bound, 10);
    }
    let larger = magnitude.len().cmp(&bound.len());
    Ok(larger.then_with(|| magnitude.iter().rev().cmp(bound.iter().rev())).is_lt())
}

/// The absolute value in limbs of 32 bits, the least first, none of them a leading zero.
fn magnitude(bytes: &[u8], negative: bool) -> Vec<u32> {
    let mut limbs: Vec<u32> = bytes
        .rchunks(4)
        .map(|chunk| {
            let fill = if negative { u32::MAX } else { 0 };
            let limb = chunk.iter().fold(fill, |limb, byte| limb << 8 | u32::from(*byte));
            if negative { !limb } else { limb }
        })
        .collect();
    if negative {
        let mut carry = true;
        for limb in &mut limbs {
            (*limb, carry) = limb.overflowing_add(u32::from(carry));
        }
        limbs.extend(carry.then_some(1));
    }
    while limbs.last() == Some(&0) {
        limbs.pop();
    }
    limbs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    fn fits(value: i128, digits: u64) -> bool {
        let bytes = value.to_be_bytes();
        has_at_most_digits(&bytes, digits, &Findings::new(&Limits::default())).expect("enough steps")
    }

    #[test]
    fn a_decimal_has_as_many_digits_as_its_number() {
        for digits in 1..=37_u32 {
            let bound = 10_i128.pow(digits);
            for (value, expected) in [
                (bound - 1, true),
                (1 - bound, true),
                (bound, false),
                (-bound, false),
                (bound / 10, true),
                (bound.saturating_mul(3), false),
                (0, true),
                (-1, true),
            ] {
                assert_eq!(fits(value, digits.into()), expected, "{value} in {digits} digits");
            }
        }
    }

    #[test]
    fn a_fixed_holds_the_digits_that_the_specification_says() {
        // log10(127) = 2.1, log10(32767) = 4.5, log10(2^31 - 1) = 9.3, log10(2^63 - 1) = 18.96, log10(2^127 - 1) = 38.2
        assert_eq!([0, 1, 2, 4, 8, 16].map(digits_of), [0, 2, 4, 9, 18, 38]);
    }

    #[test]
    fn a_decimal_of_a_million_digits_takes_steps_instead_of_minutes() {
        let mut bytes = vec![0x01];
        bytes.resize(4_152_411, 0xff);
        let limits = Limits { max_steps: 1_000_000, ..Limits::default() };
        let outcome = has_at_most_digits(&bytes, 10_000_000, &Findings::new(&limits));
        assert_eq!(outcome.map_err(|error| error.kind()), Err(mcp_core::ErrorKind::Exhausted));
    }
}
