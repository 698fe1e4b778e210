//! Moments and spans of time: CEL's `timestamp` and `duration`.

use crate::civil;

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// A moment between the years 1 and 9999, to the nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    seconds: i64,
    nanos: u32,
}

/// A span of time of at most about 10,000 years in either direction, to the nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    seconds: i64,
    nanos: u32,
}

/// Whole seconds, rounded down, and what is left.
fn split(nanos: i128) -> Option<(i64, u32)> {
    let seconds = i64::try_from(nanos.div_euclid(NANOS_PER_SECOND)).ok()?;
    Some((seconds, u32::try_from(nanos.rem_euclid(NANOS_PER_SECOND)).ok()?))
}

impl Moment {
    /// RFC 3339, with `T` and `Z` in capitals; no leap seconds.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (seconds, nanos) = civil::read_timestamp(text)?;
        Self::of_seconds(seconds).map(|moment| Self { nanos: u32::try_from(nanos).unwrap_or(0), ..moment })
    }

    /// So many seconds after the beginning of 1970.
    pub(super) fn of_seconds(seconds: i64) -> Option<Self> {
        civil::MOMENTS.contains(&seconds).then_some(Self { seconds, nanos: 0 })
    }

    fn of_nanos(nanos: i128) -> Option<Self> {
        let (seconds, nanos) = split(nanos)?;
        Self::of_seconds(seconds).map(|moment| Self { nanos, ..moment })
    }

    fn nanos(self) -> i128 {
        i128::from(self.seconds) * NANOS_PER_SECOND + i128::from(self.nanos)
    }

    pub(super) const fn seconds(self) -> i64 {
        self.seconds
    }

    pub(super) fn plus(self, span: Span) -> Option<Self> {
        Self::of_nanos(self.nanos() + span.nanos())
    }

    pub(super) fn minus(self, span: Span) -> Option<Self> {
        Self::of_nanos(self.nanos() - span.nanos())
    }

    pub(super) fn since(self, earlier: Self) -> Option<Span> {
        Span::of_nanos(self.nanos() - earlier.nanos())
    }

    /// RFC 3339 in UTC.
    pub(super) fn text(self) -> Option<String> {
        match civil::timestamp(self.seconds, i64::from(self.nanos))? {
            serde_json::Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The part that a getter asks for, on the clocks of a zone that is so many seconds ahead of UTC.
    pub(super) fn part(self, part: Part, ahead: i64) -> i64 {
        let local = self.seconds + ahead;
        let (day, of_day) =
            (local.div_euclid(civil::SECONDS_PER_DAY), local.rem_euclid(civil::SECONDS_PER_DAY));
        let (year, month, of_month) = civil::date(day);
        match part {
            Part::FullYear => year,
            Part::Month => month - 1,
            Part::Date => of_month,
            Part::DayOfMonth => of_month - 1,
            // The first day of 1970 was a Thursday; Sunday is 0.
            Part::DayOfWeek => (day + 4).rem_euclid(7),
            Part::DayOfYear => day - civil::days(year, 1, 1),
            Part::Hours => of_day / 3600,
            Part::Minutes => of_day / 60 % 60,
            Part::Seconds => of_day % 60,
            Part::Milliseconds => i64::from(self.nanos / 1_000_000),
        }
    }
}

/// What a getter asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    FullYear,
    Month,
    Date,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

impl Span {
    /// Numbers with units, such as `1h30m`, `-1.5s` or `250ms`; the units are h, m, s, ms, us, ns.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (negative, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Self::of_nanos(0);
        }
        if rest.is_empty() {
            return None;
        }
        let mut nanos: i128 = 0;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, behind) = rest.split_at_checked(end)?;
            let unit_end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
            let (unit, behind) = behind.split_at_checked(unit_end)?;
            nanos = nanos.checked_add(amount(number, unit)?)?;
            rest = behind;
        }
        Self::of_nanos(if negative { -nanos } else { nanos })
    }

    pub(super) fn of_nanos(nanos: i128) -> Option<Self> {
        let most = i128::from(civil::MAX_DURATION) * NANOS_PER_SECOND;
        if nanos.abs() > most {
            return None;
        }
        split(nanos).map(|(seconds, nanos)| Self { seconds, nanos })
    }

    pub(super) fn nanos(self) -> i128 {
        i128::from(self.seconds) * NANOS_PER_SECOND + i128::from(self.nanos)
    }

    /// Seconds and an `s`.
    pub(super) fn text(self) -> Option<String> {
        let nanos = self.nanos();
        let (seconds, left) = (nanos / NANOS_PER_SECOND, nanos % NANOS_PER_SECOND);
        match civil::duration(i64::try_from(seconds).ok()?, i64::try_from(left).ok()?)? {
            serde_json::Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The whole span in the unit that a getter asks for, rounded towards zero; of milliseconds only those beyond the second.
    pub(super) fn part(self, part: Part) -> Option<i64> {
        let nanos = self.nanos();
        let part = match part {
            Part::Hours => nanos / (3600 * NANOS_PER_SECOND),
            Part::Minutes => nanos / (60 * NANOS_PER_SECOND),
            Part::Seconds => nanos / NANOS_PER_SECOND,
            Part::Milliseconds => nanos % NANOS_PER_SECOND / 1_000_000,
            _ => return None,
        };
        i64::try_from(part).ok()
    }
}

/// The nanoseconds of a decimal number of a unit; what is smaller than one is dropped.
fn amount(number: &str, unit: &str) -> Option<i128> {
    let unit: i128 = match unit {
        "h" => 3600 * NANOS_PER_SECOND,
        "m" => 60 * NANOS_PER_SECOND,
        "s" => NANOS_PER_SECOND,
        "ms" => 1_000_000,
        "us" | "µs" => 1000,
        "ns" => 1,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty())
        || fraction.contains('.')
        || whole.len() > 18
        || fraction.len() > 18
    {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let parts: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    whole.checked_mul(unit)?.checked_add(parts.checked_mul(unit)? / scale)
}

/// How many seconds the clocks of a zone are ahead: `UTC`, or an offset such as `+02:00` or `-08:30`.
pub(super) fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "UTC" | "Z") {
        return Some(0);
    }
    let (sign, rest) = match zone.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, zone.strip_prefix('+').unwrap_or(zone)),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |digits: &str, most: i64| {
        let fits = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<i64>().ok().filter(|number| fits && *number <= most)
    };
    Some(sign * (number(hours, 23)? * 3600 + number(minutes, 59)? * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_with_every_unit_and_shown_in_seconds() {
        for (text, shown) in [
            ("1h30m", "5400s"),
            ("-1.5s", "-1.500s"),
            ("250ms", "0.250s"),
            ("1us2ns", "0.000001002s"),
            ("0", "0s"),
            (".5m", "30s"),
            ("-0.000000001s", "-0.000000001s"),
        ] {
            assert_eq!(Span::read(text).and_then(Span::text).as_deref(), Some(shown), "{text}");
        }
        for text in ["", "-", "1", "h", "1x", "1.2.3s", ".s", "1h 2m", "99999999999999h", "1e3s"] {
            assert_eq!(Span::read(text), None, "{text}");
        }
    }

    #[test]
    fn the_parts_of_a_moment_are_those_of_its_zone() {
        let moment = Moment::read("2026-01-01T01:30:05.250Z").unwrap();
        let parts = |ahead| {
            [
                Part::FullYear,
                Part::Month,
                Part::Date,
                Part::DayOfMonth,
                Part::DayOfWeek,
                Part::DayOfYear,
                Part::Hours,
            ]
            .map(|part| moment.part(part, ahead))
        };
        assert_eq!(parts(0), [2026, 0, 1, 0, 4, 0, 1]);
        assert_eq!(parts(offset("-02:00").unwrap()), [2025, 11, 31, 30, 3, 364, 23]);
        assert_eq!(
            [Part::Minutes, Part::Seconds, Part::Milliseconds].map(|part| moment.part(part, 0)),
            [30, 5, 250]
        );
        assert_eq!(["", "+2:00", "Europe/Paris", "24:00"].map(offset), [None; 4]);
    }

    #[test]
    fn moments_end_with_the_years_1_and_9999() {
        let second = Span::read("1s").unwrap();
        assert_eq!(Moment::read("9999-12-31T23:59:59Z").unwrap().plus(second), None);
        assert_eq!(Moment::read("0001-01-01T00:00:00Z").unwrap().minus(second), None);
        assert_eq!(Moment::read("0000-12-31T23:59:59Z"), None);
    }
}
