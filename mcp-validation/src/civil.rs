//! Moments and durations as text, and back, in the calendar of RFC 3339.

use serde_json::Value;

pub(crate) const SECONDS_PER_DAY: i64 = 86_400;
/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z.
pub(crate) const MOMENTS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
/// About 10,000 years.
pub(crate) const MAX_DURATION: u64 = 315_576_000_000;

/// Days since 1970-01-01, in the calendar of RFC 3339. After Howard Hinnant, "chrono-compatible low-level date algorithms".
pub(crate) const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

pub(crate) const fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + if month <= 2 { 1 } else { 0 }, month, day)
}

/// The digits behind the point: none, 3, 6 or 9.
fn fraction(nanos: i64) -> String {
    match nanos {
        0 => String::new(),
        nanos if nanos % 1_000_000 == 0 => format!(".{:03}", nanos / 1_000_000),
        nanos if nanos % 1_000 == 0 => format!(".{:06}", nanos / 1_000),
        nanos => format!(".{nanos:09}"),
    }
}

/// A moment of RFC 3339 in UTC; `None` where there is none.
pub(crate) fn timestamp(seconds: i64, nanos: i64) -> Option<Value> {
    if !MOMENTS.contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
        return None;
    }
    let (year, month, day) = date(seconds.div_euclid(SECONDS_PER_DAY));
    let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    Some(Value::from(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{}Z",
        fraction(nanos)
    )))
}

/// Seconds and an `s`; `None` where they are too many or the signs disagree.
pub(crate) fn duration(seconds: i64, nanos: i64) -> Option<Value> {
    let agree = seconds == 0 || nanos == 0 || (seconds < 0) == (nanos < 0);
    if !agree || seconds.unsigned_abs() > MAX_DURATION || nanos.unsigned_abs() >= 1_000_000_000 {
        return None;
    }
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    Some(Value::from(format!("{sign}{}{}s", seconds.abs(), fraction(nanos.abs()))))
}

/// Takes `digits` digits from the front of `text`.
fn number(text: &mut &str, digits: usize) -> Option<i64> {
    let (head, rest) = text.split_at_checked(digits)?;
    *text = rest;
    if head.bytes().all(|byte| byte.is_ascii_digit()) { head.parse().ok() } else { None }
}

/// Takes `mark` from the front of `text`.
fn mark(text: &mut &str, mark: char) -> Option<()> {
    *text = text.strip_prefix(mark)?;
    Some(())
}

/// Takes the digits behind a point, if there is one: 1 to 9 of them.
fn nanos(text: &mut &str) -> Option<i64> {
    if mark(text, '.').is_none() {
        return Some(0);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let scale = 9_u32.checked_sub(u32::try_from(digits).ok().filter(|digits| *digits > 0)?)?;
    Some(number(text, digits)? * 10_i64.pow(scale))
}

pub(crate) fn read_timestamp(text: &str) -> Option<(i64, i64)> {
    let text = &mut &*text;
    let year = number(text, 4)?;
    mark(text, '-')?;
    let month = number(text, 2).filter(|month| (1..=12).contains(month))?;
    mark(text, '-')?;
    let day = number(text, 2).filter(|day| *day >= 1)?;
    let midnight = days(year, month, day);
    // A day that its month does not have is another day.
    (date(midnight) == (year, month, day)).then_some(())?;
    mark(text, 'T')?;
    let hour = number(text, 2).filter(|hour| *hour < 24)?;
    mark(text, ':')?;
    let minute = number(text, 2).filter(|minute| *minute < 60)?;
    mark(text, ':')?;
    let second = number(text, 2).filter(|second| *second < 60)?;
    let nanos = nanos(text)?;
    let offset = if *text == "Z" {
        0
    } else {
        let sign = if mark(text, '+').is_some() { 1 } else { mark(text, '-').map(|()| -1)? };
        let hours = number(text, 2).filter(|hours| *hours < 24)?;
        mark(text, ':')?;
        let minutes = number(text, 2).filter(|minutes| *minutes < 60)?;
        text.is_empty().then_some(())?;
        sign * (hours * 3600 + minutes * 60)
    };
    Some((midnight * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset, nanos))
}

#[cfg(any(feature = "protobuf", test))]
pub(crate) fn read_duration(text: &str) -> Option<(i64, i64)> {
    let text = &mut &*text;
    let sign = if mark(text, '-').is_some() { -1 } else { 1 };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 || digits > 12 {
        return None;
    }
    let seconds = number(text, digits)?;
    let nanos = nanos(text)?;
    (*text == "s").then_some((sign * seconds, sign * nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_as_it_was_written_in_utc() {
        for (text, shown) in [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
            ("2024-02-29T23:30:00.5+01:30", "2024-02-29T22:00:00.500Z"),
            ("2000-02-29T00:00:00.000001-00:01", "2000-02-29T00:01:00.000001Z"),
        ] {
            let (seconds, nanos) = read_timestamp(text).unwrap();
            assert_eq!(timestamp(seconds, nanos), Some(Value::from(shown)));
        }
        for text in [
            "2023-02-29T00:00:00Z",
            "2024-01-01t00:00:00Z",
            "2024-01-01T00:00:00",
            "2024-13-01T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:60Z",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00.1234567890Z",
            "24-01-01T00:00:00Z",
            "é",
            "",
        ] {
            assert_eq!(read_timestamp(text), None, "{text}");
        }
        let (seconds, nanos) = read_timestamp("0000-12-31T00:00:00Z").unwrap();
        assert_eq!(timestamp(seconds, nanos), None);
        assert_eq!(
            [timestamp(0, -1), timestamp(i64::MAX, 0), timestamp(0, 1_000_000_000)],
            [None, None, None]
        );
    }

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        for day in -200_000..200_000 {
            let (year, month, of_month) = date(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }

    #[test]
    fn a_duration_has_one_sign_and_an_s() {
        for (text, shown) in [
            ("0s", "0s"),
            ("-1.5s", "-1.500s"),
            ("315576000000.000000001s", "315576000000.000000001s"),
            ("-0.25s", "-0.250s"),
        ] {
            let (seconds, nanos) = read_duration(text).unwrap();
            assert_eq!(duration(seconds, nanos), Some(Value::from(shown)));
        }
        for text in ["1", "1.s", "s", "+1s", ".5s", "1.0000000000s", "1e3s", "9999999999999s"] {
            assert_eq!(read_duration(text), None, "{text}");
        }
        assert_eq!(
            [duration(1, -1), duration(315_576_000_001, 0), duration(i64::MIN + 1, 0)],
            [None, None, None]
        );
    }
}
