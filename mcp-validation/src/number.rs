//! Comparing JSON numbers by what they mean: `1` is `1.0`, and integers of 64 bits keep every digit.

use std::cmp::Ordering;

use serde_json::Number;

/// 2^65: the magnitude of every integer of 64 bits, signed or not, is smaller.
const BEYOND_INTEGERS: f64 = 36_893_488_147_419_103_232.0;

/// How `left` stands to `right`; `None` when one is beyond what can be compared, as `1e999` where numbers keep all their digits.
pub(crate) fn compare(left: &Number, right: &Number) -> Option<Ordering> {
    match (integer(left), integer(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        (Some(left), None) => compare_mixed(left, finite(right)?),
        (None, Some(right)) => compare_mixed(right, finite(left)?).map(Ordering::reverse),
        (None, None) => finite(left)?.partial_cmp(&finite(right)?),
    }
}

/// One text for every way to write a number.
pub(crate) fn canonical(number: &Number) -> String {
    if let Some(integer) = integer(number) {
        return integer.to_string();
    }
    match finite(number) {
        Some(0.0) => "0".to_owned(),
        // A float without a fraction is an integer that could also be written as one.
        Some(float) if float.fract() == 0.0 && float.abs() < BEYOND_INTEGERS => format!("{float:.0}"),
        Some(float) => format!("{float:e}"),
        None => number.to_string(),
    }
}

/// Whether it has no fraction, however it is written.
pub(crate) fn is_integer(number: &Number) -> bool {
    integer(number).is_some() || finite(number).is_some_and(|float| float.fract() == 0.0)
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

fn finite(number: &Number) -> Option<f64> {
    number.as_f64().filter(|float| float.is_finite())
}

/// An integer of at most 64 bits against a float, without rounding either.
pub(crate) fn compare_mixed(integer: i128, float: f64) -> Option<Ordering> {
    if float.abs() >= BEYOND_INTEGERS {
        return 0.0.partial_cmp(&float);
    }
    #[expect(clippy::cast_possible_truncation, reason = "its magnitude was just found to be below 2^65")]
    let whole = float.trunc() as i128;
    Some(integer.cmp(&whole).then_with(|| {
        if float.fract() > 0.0 {
            Ordering::Less
        } else if float.fract() < 0.0 {
            Ordering::Greater
        } else {
            Ordering::Equal
        }
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number {
        serde_json::from_str(text).expect(text)
    }

    #[test]
    fn numbers_compare_by_what_they_mean() {
        let ascending = [
            "-1e300",
            "-9223372036854775808",
            "-1.5",
            "-1",
            "0",
            "0.1",
            "1",
            "9007199254740992",
            "9007199254740993",
            "18446744073709551615",
            "1e20",
            "1e300",
        ];
        for (position, left) in ascending.iter().enumerate() {
            for (other, right) in ascending.iter().enumerate() {
                let order = compare(&number(left), &number(right));
                assert_eq!(order, Some(position.cmp(&other)), "{left} {right}");
            }
        }
        assert_eq!(compare(&number("1"), &number("1.0")), Some(Ordering::Equal));
        assert_eq!(compare(&number("-0.0"), &number("0")), Some(Ordering::Equal));
    }

    #[test]
    fn every_way_to_write_a_number_has_one_text() {
        for (left, right) in
            [("1", "1.0"), ("-0.0", "0"), ("1e3", "1000"), ("1.50", "1.5"), ("1e20", "100000000000000000000")]
        {
            assert_eq!(canonical(&number(left)), canonical(&number(right)), "{left} {right}");
        }
        assert_ne!(canonical(&number("9007199254740993")), canonical(&number("9007199254740992")));
    }

    proptest! {
        #[test]
        fn equal_numbers_and_only_they_have_equal_texts(left in numbers(), right in numbers()) {
            let equal = compare(&left, &right) == Some(Ordering::Equal);
            prop_assert_eq!(canonical(&left) == canonical(&right), equal, "{} {}", left, right);
        }
    }

    fn numbers() -> impl Strategy<Value = Number> {
        prop_oneof![
            (-3_i64..3).prop_map(Number::from),
            any::<i64>().prop_map(Number::from),
            any::<u64>().prop_map(Number::from),
            (-6_i32..6).prop_map(|halves| Number::from_f64(f64::from(halves) / 2.0).unwrap()),
            any::<i64>().prop_map(|whole| Number::from_f64(whole as f64).unwrap()),
            prop::num::f64::NORMAL.prop_map(|float| Number::from_f64(float).unwrap()),
        ]
    }
}
