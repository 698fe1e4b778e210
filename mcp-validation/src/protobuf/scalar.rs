//! Numbers, bytes and truth values as the JSON mapping writes them: <https://protobuf.dev/programming-guides/json/>.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::schema::Kind;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const PLAIN_ALPHABET: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_ALPHABET: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// What is wrong with a value: a code and words for people.
pub(super) type Wrong = (&'static str, String);

/// A number, or the word for one that JSON has not.
pub(super) fn float(value: f64) -> Value {
    if value.is_nan() {
        return Value::from("NaN");
    }
    if value.is_infinite() {
        return Value::from(if value > 0.0 { "Infinity" } else { "-Infinity" });
    }
    Value::from(value)
}

/// The shortest decimal that means this number of 32 bits.
pub(super) fn float32(value: f32) -> Value {
    value.to_string().parse().map_or(Value::Null, float)
}

/// Reads a value of a scalar type, enums excepted; gives it as the binary encoding would show it.
pub(super) fn read(kind: Kind, value: &Value) -> Result<Value, Wrong> {
    match kind {
        Kind::Bool => value.as_bool().map(Value::from).ok_or_else(|| wrong_type(kind, "true or false")),
        Kind::String => match value {
            Value::String(_) => Ok(value.clone()),
            _ => Err(wrong_type(kind, "a string")),
        },
        Kind::Bytes => bytes(value),
        Kind::Double | Kind::Float => real(kind, value),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            integer(kind, value, i128::from(i32::MIN), i128::from(i32::MAX))
        }
        Kind::Uint32 | Kind::Fixed32 => integer(kind, value, 0, i128::from(u32::MAX)),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            integer(kind, value, i128::from(i64::MIN), i128::from(i64::MAX))
        }
        Kind::Uint64 | Kind::Fixed64 => integer(kind, value, 0, i128::from(u64::MAX)),
        Kind::Message(_) | Kind::Group(_) | Kind::Enum(_) => Err(wrong_type(kind, "something else")),
    }
}

/// Reads a key of a map, which is a string in JSON whatever its type.
pub(super) fn read_key(kind: Kind, key: &str) -> Result<String, Wrong> {
    match kind {
        Kind::String => Ok(key.to_owned()),
        Kind::Bool if key == "true" || key == "false" => Ok(key.to_owned()),
        Kind::Bool => Err(("protobuf.map-key", "a key of this map is \"true\" or \"false\"".to_owned())),
        _ => match read(kind, &Value::from(key)) {
            Ok(number) => Ok(number.to_string()),
            Err((_, reason)) => Err(("protobuf.map-key", format!("a key of this map: {reason}"))),
        },
    }
}

fn wrong_type(kind: Kind, wanted: &str) -> Wrong {
    ("protobuf.type", format!("the type {} takes {wanted}", kind.name()))
}

/// The bytes of base64 in either alphabet, padded or not.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    PLAIN_ALPHABET.decode(text).or_else(|_| URL_ALPHABET.decode(text)).ok()
}

fn bytes(value: &Value) -> Result<Value, Wrong> {
    let Value::String(text) = value else { return Err(wrong_type(Kind::Bytes, "base64 in a string")) };
    let bytes = decode(text).ok_or_else(|| ("protobuf.base64", "this is not base64".to_owned()))?;
    Ok(Value::from(PLAIN_ALPHABET.encode(bytes)))
}

/// Whether a string is written as JSON writes numbers.
fn is_json_number(text: &str) -> bool {
    !text.starts_with('+')
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
}

fn real(kind: Kind, value: &Value) -> Result<Value, Wrong> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" | "Infinity" | "-Infinity" => return Ok(value.clone()),
            text if is_json_number(text) => text.parse().ok(),
            _ => None,
        },
        _ => None,
    };
    let number =
        number.ok_or_else(|| wrong_type(kind, "a number, \"NaN\", \"Infinity\" or \"-Infinity\""))?;
    let beyond = || ("protobuf.range", format!("this number is beyond the type {}", kind.name()));
    if !number.is_finite() {
        return Err(beyond());
    }
    if kind == Kind::Float {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "what is beyond becomes infinite, and is refused"
        )]
        let single = number as f32;
        if single.is_infinite() {
            return Err(beyond());
        }
        return Ok(float32(single));
    }
    Ok(float(number))
}

fn integer(kind: Kind, value: &Value, least: i128, most: i128) -> Result<Value, Wrong> {
    let refused = || wrong_type(kind, "a number without a fraction, or such a number in a string");
    let number = match value {
        Value::Number(number) => match number.as_i64().map(i128::from).or(number.as_u64().map(i128::from)) {
            Some(number) => number,
            None => whole(number.as_f64().ok_or_else(refused)?).ok_or_else(refused)?,
        },
        Value::String(text) if is_json_number(text) => match text.parse() {
            Ok(number) => number,
            Err(_) => whole(text.parse().map_err(|_| refused())?).ok_or_else(refused)?,
        },
        _ => return Err(refused()),
    };
    if !(least..=most).contains(&number) {
        return Err(("protobuf.range", format!("this number is beyond the type {}", kind.name())));
    }
    let signed = i64::try_from(number).map(Value::from);
    signed.or_else(|_| u64::try_from(number).map(Value::from)).map_err(|_| refused())
}

/// A float without a fraction as an integer; one that no type holds becomes one that no type holds.
/// The least integer of 64 bits is the nearest float of integers below it too, and so is taken for one of these.
fn whole(number: f64) -> Option<i128> {
    if number.fract() != 0.0 {
        return None;
    }
    if number <= -9_223_372_036_854_775_808.0 {
        return Some(i128::MIN);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it saturates, and nothing near the ends is in any range"
    )]
    Some(number as i128)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn code(kind: Kind, value: &Value) -> Result<Value, &'static str> {
        read(kind, value).map_err(|(code, _)| code)
    }

    #[test]
    fn integers_come_as_numbers_or_strings_without_a_fraction() {
        for same in [json!(12), json!("12"), json!(12.0), json!("1.2e1"), json!(1.2e1)] {
            assert_eq!(code(Kind::Int32, &same), Ok(json!(12)), "{same}");
        }
        for other in [
            json!(1.5),
            json!("1.5"),
            json!(true),
            json!(""),
            json!(" 1"),
            json!("+1"),
            json!("0x1"),
            json!([1]),
        ] {
            assert_eq!(code(Kind::Int32, &other), Err("protobuf.type"), "{other}");
        }
        assert_eq!(code(Kind::Uint64, &json!("18446744073709551615")), Ok(json!(u64::MAX)));
        assert_eq!(code(Kind::Int64, &json!(i64::MIN)), Ok(json!(i64::MIN)));
        for below in ["-9223372036854775809", "-9223372036854775900", "-1e300"] {
            let number: Value = serde_json::from_str(below).unwrap();
            for kind in [Kind::Int64, Kind::Sint64, Kind::Sfixed64] {
                assert_eq!(code(kind, &number), Err("protobuf.range"), "{below}");
            }
        }
        for (kind, beyond) in [
            (Kind::Int32, json!(2_147_483_648_u64)),
            (Kind::Uint32, json!(-1)),
            (Kind::Int64, json!("9223372036854775808")),
            (Kind::Uint64, json!("18446744073709551616")),
            (Kind::Uint64, json!(1e300)),
        ] {
            assert_eq!(code(kind, &beyond), Err("protobuf.range"), "{beyond}");
        }
    }

    #[test]
    fn floats_come_as_numbers_strings_and_three_words() {
        assert_eq!(code(Kind::Float, &json!(0.1)), Ok(json!(0.1)));
        assert_eq!(code(Kind::Float, &json!("0.100000001490116")), Ok(json!(0.1)));
        assert_eq!(code(Kind::Double, &json!("-Infinity")), Ok(json!("-Infinity")));
        assert_eq!(code(Kind::Double, &json!(3)), Ok(json!(3.0)));
        assert_eq!(code(Kind::Float, &json!(1e39)), Err("protobuf.range"));
        assert_eq!(code(Kind::Double, &json!("1e400")), Err("protobuf.range"));
        for other in [json!("inf"), json!("nan"), json!("-"), json!(null), json!("")] {
            assert_eq!(code(Kind::Double, &other), Err("protobuf.type"), "{other}");
        }
    }

    #[test]
    fn bytes_are_base64_in_either_alphabet_padded_or_not() {
        for same in ["+/8=", "+/8", "-_8=", "-_8"] {
            assert_eq!(code(Kind::Bytes, &json!(same)), Ok(json!("+/8=")), "{same}");
        }
        assert_eq!(code(Kind::Bytes, &json!("*")), Err("protobuf.base64"));
        assert_eq!(code(Kind::Bytes, &json!(1)), Err("protobuf.type"));
    }

    #[test]
    fn keys_of_maps_are_strings_that_read_as_their_type() {
        let key = |kind, key| read_key(kind, key).map_err(|(code, _)| code);
        assert_eq!(key(Kind::Int32, "-7"), Ok("-7".to_owned()));
        assert_eq!(key(Kind::Bool, "true"), Ok("true".to_owned()));
        assert_eq!(key(Kind::Bool, "True"), Err("protobuf.map-key"));
        assert_eq!(key(Kind::Uint32, "-7"), Err("protobuf.map-key"));
    }
}
