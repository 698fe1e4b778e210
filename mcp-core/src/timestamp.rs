use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::ParseError;
use crate::text::serde_as_text;

/// A moment: microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// Shown and serialised as RFC 3339 in UTC with six decimals, so that text sorts as time does. From the year 0000 to nearly the end
/// of 9999, which is what RFC 3339 can write.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 0000-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_167_219_200_000_000);
    /// 9999-12-30T22:00:00Z, the last full second that `jiff` can hold.
    pub const MAX: Self = Self(253_402_207_200_000_000);
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(0);

    /// The moment `micros` after the Unix epoch; one outside the range becomes its nearest end.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        if micros < Self::MIN.0 {
            Self::MIN
        } else if micros > Self::MAX.0 {
            Self::MAX
        } else {
            Self(micros)
        }
    }

    /// Microseconds since the Unix epoch; negative before it.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This much later, but no later than [`MAX`](Self::MAX). Less than a microsecond is dropped.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// This much earlier, but no earlier than [`MIN`](Self::MIN). Less than a microsecond is dropped.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self::from_micros(self.0.saturating_sub(micros))
    }

    /// How long after `earlier` this is; zero when it is not after it, as when a clock was set back.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The constructors keep the value within jiff's range.
        let moment = jiff::Timestamp::from_microsecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{moment:.6}")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

impl FromStr for Timestamp {
    type Err = ParseError;

    /// Reads RFC 3339 with any offset; decimals beyond six are dropped.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = |reason: String| ParseError::new("timestamp", text, reason);
        check_rfc3339(text).map_err(|reason| refuse(reason.to_owned()))?;
        let moment: jiff::Timestamp = text.parse().map_err(|error: jiff::Error| refuse(error.to_string()))?;
        let micros = moment.as_microsecond();
        if !(Self::MIN.0..=Self::MAX.0).contains(&micros) {
            return Err(refuse(format!("it lies outside {} to {}", Self::MIN, Self::MAX)));
        }
        Ok(Self(micros))
    }
}

/// The shape of RFC 3339, section 5.6; `jiff` alone would also take other forms, such as `20260102T03Z` or a time zone in brackets.
fn check_rfc3339(text: &str) -> Result<(), &'static str> {
    const WRONG: &str = "it is not RFC 3339, such as 2026-01-02T03:04:05Z";
    let fits = |part: &str, pattern: &str| {
        part.len() == pattern.len()
            && part
                .bytes()
                .zip(pattern.bytes())
                .all(|(b, p)| if p == b'0' { b.is_ascii_digit() } else { b == p })
    };
    let (moment, rest) = text.split_at_checked(19).ok_or(WRONG)?;
    let moment_fits = ["0000-00-00T00:00:00", "0000-00-00t00:00:00", "0000-00-00 00:00:00"]
        .iter()
        .any(|pattern| fits(moment, pattern));
    let decimals = rest.strip_prefix('.').map(|rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    let offset = match decimals {
        Some(0) => return Err(WRONG),
        Some(count) => rest.get(count.saturating_add(1)..).ok_or(WRONG)?,
        None => rest,
    };
    let offset_fits = matches!(offset, "Z" | "z") || fits(offset, "+00:00") || fits(offset, "-00:00");
    if moment_fits && offset_fits { Ok(()) } else { Err(WRONG) }
}

impl TryFrom<&str> for Timestamp {
    type Error = ParseError;

    fn try_from(text: &str) -> Result<Self, ParseError> {
        text.parse()
    }
}

serde_as_text!(Timestamp);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_with_six_decimals_in_utc() {
        assert_eq!(Timestamp::from_micros(1).to_string(), "1970-01-01T00:00:00.000001Z");
        assert_eq!(Timestamp::from_micros(-1).to_string(), "1969-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::MIN.to_string(), "0000-01-01T00:00:00.000000Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-30T22:00:00.000000Z");
    }

    #[test]
    fn an_offset_is_converted() {
        let moment: Timestamp = "2026-01-02T03:04:05.5+02:00".parse().expect("offset");
        assert_eq!(moment.to_string(), "2026-01-02T01:04:05.500000Z");
    }

    #[test]
    fn what_is_not_rfc_3339_is_refused() {
        for text in [
            "",
            "2026-01-02",
            "2026-01-02T03:04:05",
            "20260102T030405Z",
            "2026-01-02T03:04Z",
            "2026-01-02T03:04:05.Z",
            "2026-13-02T03:04:05Z",
            "2026-01-02T03:04:05Z[UTC]",
            "2026-01-02T03:04:05+0200",
            "+002026-01-02T03:04:05Z",
            "2026-01-02T03:04:05Zé",
            "9999-12-31T23:59:59Z",
        ] {
            assert_eq!(text.parse::<Timestamp>().expect_err(text).what(), "timestamp");
        }
    }

    #[test]
    fn arithmetic_stops_at_the_ends() {
        assert_eq!(Timestamp::MAX.saturating_add(Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.saturating_sub(Duration::MAX), Timestamp::MIN);
        let later = Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(2));
        assert_eq!(later.saturating_since(Timestamp::UNIX_EPOCH), Duration::from_secs(2));
        assert_eq!(Timestamp::UNIX_EPOCH.saturating_since(later), Duration::ZERO);
    }
}
