use std::fmt;

use jiff::civil::{Date, DateTime};

use super::calendar::refused;

/// The longest text of a cron expression.
const MAX_BYTES: usize = 256;
/// How many days are looked at for the next match: 29 February is at most eight years away, in 1896 and 2096.
const MAX_DAYS: u32 = 9 * 366;

/// When something starts, in the five fields of cron: minute, hour, day of the month, month, day of the week.
///
/// Each field is `*` or a list, by commas, of numbers, ranges (`9-17`), and steps (`*/15`, `9-17/2`, `9/2` for 9 to the end). Months and days of the
/// week have names too (`jan`, `mon`); Sunday is 0 and 7. As in the cron of POSIX, a day fits when it fits either of the two day fields, if neither
/// of them begins with `*`. There are no seconds, years, `L`, `W` or `#`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Cron {
    text: String,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    either_day: bool,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Cron {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let refuse = |reason: String| refused("cron expression", text, &reason);
        if text.len() > MAX_BYTES {
            return Err(refuse(format!("it has more than {MAX_BYTES} bytes")));
        }
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            let found = fields.len();
            return Err(refuse(format!(
                "it has {found} fields; it needs minute, hour, day of the month, month and day of the week"
            )));
        };
        let weekdays = field("day of the week", weekday, 0, 7, &WEEKDAYS, 0).map_err(refuse)?;
        Ok(Self {
            text: fields.join(" "),
            minutes: field("minute", minute, 0, 59, &[], 0).map_err(refuse)?,
            hours: field("hour", hour, 0, 23, &[], 0).map_err(refuse)?,
            days: field("day of the month", day, 1, 31, &[], 0).map_err(refuse)?,
            months: field("month", month, 1, 12, &MONTHS, 1).map_err(refuse)?,
            // Sunday is 7 as well.
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
        })
    }

    fn fits(&self, date: Date) -> bool {
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        has(self.months, date.month()) && if self.either_day { day || weekday } else { day && weekday }
    }

    /// The first match after `time`; `None` when none comes within nine years.
    pub(super) fn after(&self, time: DateTime) -> Option<DateTime> {
        let from = i32::from(time.hour()) * 60 + i32::from(time.minute());
        let mut date = time.date();
        let mut earliest = from.checked_add(1)?;
        for _ in 0..MAX_DAYS {
            if self.fits(date)
                && let Some(found) = self.at(date, earliest..24 * 60)
            {
                return Some(found);
            }
            (date, earliest) = (date.tomorrow().ok()?, 0);
        }
        None
    }

    /// The last match at or before `time`; `None` when none came within nine years.
    pub(super) fn until(&self, time: DateTime) -> Option<DateTime> {
        let mut date = time.date();
        let mut end = i32::from(time.hour()) * 60 + i32::from(time.minute()) + 1;
        for _ in 0..MAX_DAYS {
            if self.fits(date)
                && let Some(found) = self.at(date, (0..end).rev())
            {
                return Some(found);
            }
            (date, end) = (date.yesterday().ok()?, 24 * 60);
        }
        None
    }

    fn at(&self, date: Date, mut minutes: impl Iterator<Item = i32>) -> Option<DateTime> {
        let fits = |minute: &i32| {
            let part = |n: i32| i8::try_from(n).unwrap_or(-1);
            has(self.hours, part(minute / 60)) && has(self.minutes, part(minute % 60))
        };
        let minute = minutes.find(fits)?;
        let part = |n: i32| i8::try_from(n).ok();
        Some(date.at(part(minute / 60)?, part(minute % 60)?, 0, 0))
    }
}

fn has(set: u64, bit: i8) -> bool {
    u32::try_from(bit).is_ok_and(|bit| set.checked_shr(bit).is_some_and(|rest| rest & 1 == 1))
}

/// The numbers that one field names, as bits.
fn field(what: &str, text: &str, min: u32, max: u32, names: &[&str], first: u32) -> Result<u64, String> {
    let number = |text: &str| {
        let named = names.iter().position(|name| text.eq_ignore_ascii_case(name));
        let value = match named.and_then(|index| u32::try_from(index).ok()) {
            Some(index) => Some(index.saturating_add(first)),
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            None => None,
        };
        let fits = value.filter(|value| (min..=max).contains(value));
        fits.ok_or_else(|| format!("{what} {text:?} is not within {min} to {max}"))
    };
    let mut set = 0_u64;
    for part in text.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let step = match step {
            None => 1,
            Some(step) => match step.parse::<u32>() {
                Ok(n) if n > 0 && n <= max && !step.starts_with('+') => n,
                _ => return Err(format!("{what} {part:?} has no step within 1 to {max}")),
            },
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (min, max),
            Some((from, to)) => (number(from)?, number(to)?),
            None if part.contains('/') => (number(range)?, max),
            None => (number(range)?, number(range)?),
        };
        if from > to {
            return Err(format!("{what} {part:?} ends before it begins"));
        }
        for value in (from..=to).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
            set |= 1_u64.checked_shl(value).unwrap_or(0);
        }
    }
    Ok(set)
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cron({self})")
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime {
        text.parse().unwrap()
    }

    #[test]
    fn matches_are_found_forward_and_backward() {
        let found = |cron: &str, from: &str| {
            let cron = Cron::parse(cron).unwrap();
            let show = |time: Option<DateTime>| time.map_or("none".to_owned(), |time| time.to_string());
            (show(cron.until(at(from))), show(cron.after(at(from))))
        };
        let both = |before: &str, after: &str| (before.to_owned(), after.to_owned());
        let noon = "2026-11-24T12:00:00";
        assert_eq!(found("* * * * *", noon), both(noon, "2026-11-24T12:01:00"));
        assert_eq!(found("0 18 * * fri", noon), both("2026-11-20T18:00:00", "2026-11-27T18:00:00"));
        assert_eq!(found("0 0 * * 7", noon), both("2026-11-22T00:00:00", "2026-11-29T00:00:00"));
        assert_eq!(found("*/25 9-17/4 * * *", noon), both("2026-11-24T09:50:00", "2026-11-24T13:00:00"));
        assert_eq!(found("0 0 29 feb *", noon), both("2024-02-29T00:00:00", "2028-02-29T00:00:00"));
        assert_eq!(found("0 0 30 2 *", noon), both("none", "none"));
        // Either day field, as POSIX has it; both, where one of them begins with a star.
        assert_eq!(found("0 0 13 * fri", noon), both("2026-11-20T00:00:00", "2026-11-27T00:00:00"));
        assert_eq!(found("0 0 */2 * mon", noon), both("2026-11-23T00:00:00", "2026-12-07T00:00:00"));
    }

    #[test]
    fn what_is_no_cron_expression_is_refused_with_the_field_that_is_wrong() {
        for (text, why) in [
            ("", "it has 0 fields; it needs minute, hour, day of the month, month and day of the week"),
            ("60 * * * *", "minute \"60\" is not within 0 to 59"),
            ("* * 0 * *", "day of the month \"0\" is not within 1 to 31"),
            ("* * * foo *", "month \"foo\" is not within 1 to 12"),
            ("* * * * 5-1", "day of the week \"5-1\" ends before it begins"),
            ("*/0 * * * *", "minute \"*/0\" has no step within 1 to 59"),
            ("+1 * * * *", "minute \"+1\" is not within 0 to 59"),
            ("1,,2 * * * *", "minute \"\" is not within 0 to 59"),
        ] {
            let error = Cron::parse(text).unwrap_err();
            assert!(error.ends_with(why), "{error}");
        }
        assert!(Cron::parse(&"1,".repeat(200)).unwrap_err().contains("more than 256 bytes"));
    }
}
