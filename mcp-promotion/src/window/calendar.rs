use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use jiff::ToSpan;
use jiff::civil::DateTime;
use mcp_core::{Name, ParseError, Timestamp};
use serde::{Deserialize, Serialize};

use super::cron::Cron;
use super::local::Zone;
use crate::{PromotionError, millis};

/// Text that is not what it should be; of a long one, only the beginning is shown.
pub(super) fn refused(what: &str, text: &str, reason: &str) -> String {
    let shown: String = text.chars().take(60).collect();
    format!("read {shown:?} as {what}: {reason}")
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "their names say it")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// Times that come again and again, or once, in a time zone.
///
/// Local times have one meaning also where clocks are changed. An occurrence begins at the first instant at which they show its beginning
/// or later: after the gap, where they leave it out; the first time, where they show it twice. One that ends at a local time ends when they
/// have shown less than it for the last time: the second time, where they show it twice. An occurrence that lies in a gap as a whole
/// does not take place.
///
/// The rules of the zones are those that the build was made with (the IANA database of `jiff`), and not those of the system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "CalendarText", into = "CalendarText")]
pub struct Calendar {
    name: Name,
    zone: Zone,
    when: When,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum When {
    /// On these days, in minutes from midnight; until the next day, where `to` is not after `from`.
    Weekly {
        days: BTreeSet<Day>,
        from: i64,
        to: i64,
    },
    Cron {
        start: Cron,
        lasts: Duration,
    },
    Span {
        from: DateTime,
        to: DateTime,
    },
}

/// From when until when; the end does not belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Occurrence {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

const DAY_MINUTES: i64 = 24 * 60;
/// The longest time that an occurrence of cron may last: a leap year.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

impl Calendar {
    /// Every week on these days, from one local time until another, both as `HH:MM`; `24:00` is the end of the day. Where `to` is not after `from`, it
    /// is on the next day.
    ///
    /// # Errors
    /// `Invalid`, naming what is no name, no zone or no time, or that there is no day, or that it would have no length.
    pub fn weekly(
        name: impl TryInto<Name, Error = ParseError>,
        zone: &str,
        days: impl IntoIterator<Item = Day>,
        from: &str,
        to: &str,
    ) -> Result<Self, PromotionError> {
        let days = days.into_iter().collect();
        Self::new(name.try_into()?, zone, WhenText::Weekly { days, from: from.to_owned(), to: to.to_owned() })
    }

    /// From each match of `start` on, for `lasts`, which is elapsed time: neither longer nor shorter where clocks are changed.
    ///
    /// `start` has the five fields of cron in local time: minute, hour, day of the month, month, day of the week. Each is `*` or a list, by commas,
    /// of numbers, ranges (`9-17`) and steps (`*/15`). Months and days of the week have names too (`jan`, `mon`); Sunday is 0 and 7. A day fits when
    /// it fits either of the two day fields, if neither of them begins with `*`. There are no seconds, years, `L`, `W` or `#`.
    ///
    /// # Errors
    /// `Invalid`, naming what is no name, no zone or no cron expression, or that it never starts, or that it lasts no whole number of
    /// milliseconds between one and a leap year.
    pub fn cron(
        name: impl TryInto<Name, Error = ParseError>,
        zone: &str,
        start: &str,
        lasts: Duration,
    ) -> Result<Self, PromotionError> {
        Self::new(name.try_into()?, zone, WhenText::Cron { start: start.to_owned(), lasts })
    }

    /// Once, from one local time until another, both as `YYYY-MM-DDTHH:MM`, with seconds where wanted.
    ///
    /// # Errors
    /// `Invalid`, naming what is no name, no zone or no local time, or that it would have no length.
    pub fn span(
        name: impl TryInto<Name, Error = ParseError>,
        zone: &str,
        from: &str,
        to: &str,
    ) -> Result<Self, PromotionError> {
        Self::new(name.try_into()?, zone, WhenText::Span { from: from.to_owned(), to: to.to_owned() })
    }

    fn new(name: Name, zone: &str, when: WhenText) -> Result<Self, PromotionError> {
        let text = CalendarText { name, zone: zone.to_owned(), when };
        Self::try_from(text).map_err(|reason| PromotionError::Calendar { reason })
    }

    /// What it is called.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// Whether it comes again for ever.
    pub(super) const fn recurs(&self) -> bool {
        !matches!(self.when, When::Span { .. })
    }

    /// When it begins, where it takes place once.
    pub(super) fn begins(&self) -> Option<Timestamp> {
        match &self.when {
            When::Span { from, .. } => self.zone.first(*from),
            When::Weekly { .. } | When::Cron { .. } => None,
        }
    }

    /// The occurrence at `now`.
    pub(super) fn at(&self, now: Timestamp) -> Option<Occurrence> {
        // Beginnings and ends come in the same order: when the latest one that has begun is over, all are.
        let begin = self.latest(self.zone.shown(now)?)?;
        self.occurrence(begin).filter(|found| found.from <= now && now < found.to)
    }

    /// The first occurrence that begins after `now`.
    pub(super) fn after(&self, now: Timestamp) -> Option<Occurrence> {
        let mut begin = self.following(self.zone.shown(now)?)?;
        // Those that lie in a gap are passed over; a gap is at most a day, with 1440 beginnings.
        for _ in 0..=DAY_MINUTES {
            match self.occurrence(begin) {
                Some(found) if found.from < found.to => return Some(found),
                _ => begin = self.following(begin)?,
            }
        }
        None
    }

    /// The last beginning that is not after `time`.
    fn latest(&self, time: DateTime) -> Option<DateTime> {
        match &self.when {
            When::Weekly { days, from, .. } => (0..=7_i64).find_map(|back| {
                let begin = midnight(time).checked_sub(back.days()).ok()?.checked_add(from.minutes()).ok()?;
                (begin <= time && days.contains(&Day::of(begin))).then_some(begin)
            }),
            When::Cron { start, .. } => start.until(time),
            When::Span { from, .. } => (*from <= time).then_some(*from),
        }
    }

    /// The first beginning after `time`.
    fn following(&self, time: DateTime) -> Option<DateTime> {
        match &self.when {
            When::Weekly { days, from, .. } => (0..=7_i64).find_map(|ahead| {
                let begin =
                    midnight(time).checked_add(ahead.days()).ok()?.checked_add(from.minutes()).ok()?;
                (begin > time && days.contains(&Day::of(begin))).then_some(begin)
            }),
            When::Cron { start, .. } => start.after(time),
            When::Span { from, .. } => (*from > time).then_some(*from),
        }
    }

    /// From when until when the one lasts that begins at the local time `begin`.
    fn occurrence(&self, begin: DateTime) -> Option<Occurrence> {
        let from = self.zone.first(begin)?;
        let to = match &self.when {
            When::Weekly { from, to, .. } => {
                let minutes = if to > from { to - from } else { to - from + DAY_MINUTES };
                self.zone.last(begin.checked_add(minutes.minutes()).ok()?)?
            }
            When::Cron { lasts, .. } => from.saturating_add(*lasts),
            When::Span { to, .. } => self.zone.last(*to)?,
        };
        Some(Occurrence { from, to })
    }
}

fn midnight(time: DateTime) -> DateTime {
    time.date().at(0, 0, 0, 0)
}

impl Day {
    const ALL: [Self; 7] = [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];

    fn of(time: DateTime) -> Self {
        let index = usize::try_from(time.weekday().to_monday_zero_offset()).unwrap_or_default();
        Self::ALL.get(index).copied().unwrap_or(Self::Mon)
    }
}

/// How a calendar stands in a policy.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CalendarText {
    name: Name,
    zone: String,
    when: WhenText,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum WhenText {
    Weekly {
        days: BTreeSet<Day>,
        from: String,
        to: String,
    },
    Cron {
        start: String,
        #[serde(rename = "lasts_ms", with = "millis")]
        lasts: Duration,
    },
    Span {
        from: String,
        to: String,
    },
}

impl TryFrom<CalendarText> for Calendar {
    type Error = String;

    fn try_from(text: CalendarText) -> Result<Self, String> {
        let CalendarText { name, zone, when } = text;
        let of = |why: String| format!("calendar {name}: {why}");
        let zone = Zone::parse(&zone).map_err(of)?;
        let when = when.read().map_err(of)?;
        Ok(Self { name, zone, when })
    }
}

impl WhenText {
    fn read(self) -> Result<When, String> {
        match self {
            Self::Weekly { days, from, to } => {
                if days.is_empty() {
                    return Err("it names no day of the week".to_owned());
                }
                let (from, to) = (minutes(&from)?, minutes(&to)?);
                if from == to || from == DAY_MINUTES {
                    return Err("it has no length; a whole day is from 00:00 to 24:00".to_owned());
                }
                Ok(When::Weekly { days, from, to })
            }
            Self::Cron { start, lasts } => {
                let start = Cron::parse(&start)?;
                if lasts.is_zero() || lasts > LONGEST || !lasts.subsec_nanos().is_multiple_of(1_000_000) {
                    return Err(format!("it lasts {lasts:?}, and not whole milliseconds up to 366 days"));
                }
                // Whatever the year is: 29 February is at most eight years away.
                if start.after(jiff::civil::date(2000, 1, 1).at(0, 0, 0, 0)).is_none() {
                    return Err(format!("cron expression \"{start}\" never starts: no month has that day"));
                }
                Ok(When::Cron { start, lasts })
            }
            Self::Span { from, to } => {
                let (from, to) = (local(&from)?, local(&to)?);
                if from >= to {
                    return Err(format!("it begins at {from}, which is not before its end"));
                }
                Ok(When::Span { from, to })
            }
        }
    }
}

impl From<Calendar> for CalendarText {
    fn from(calendar: Calendar) -> Self {
        let clock = |minutes: i64| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let when = match calendar.when {
            When::Weekly { days, from, to } => WhenText::Weekly { days, from: clock(from), to: clock(to) },
            When::Cron { start, lasts } => WhenText::Cron { start: start.to_string(), lasts },
            When::Span { from, to } => WhenText::Span { from: from.to_string(), to: to.to_string() },
        };
        Self { name: calendar.name, zone: calendar.zone.to_string(), when }
    }
}

/// Minutes from midnight.
fn minutes(text: &str) -> Result<i64, String> {
    let digits = |text: &str| {
        let two = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        if two { text.parse::<i64>().ok() } else { None }
    };
    let parts = text.split_once(':').and_then(|(hour, minute)| Some((digits(hour)?, digits(minute)?)));
    match parts {
        Some((24, 0)) => Ok(DAY_MINUTES),
        Some((hour, minute)) if hour < 24 && minute < 60 => Ok(hour * 60 + minute),
        _ => Err(refused("time of the day", text, "it is not HH:MM from 00:00 to 24:00")),
    }
}

fn local(text: &str) -> Result<DateTime, String> {
    let refuse = || refused("local time", text, "it is not YYYY-MM-DDTHH:MM or YYYY-MM-DDTHH:MM:SS");
    let shaped = matches!(text.len(), 16 | 19)
        && text.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            10 => byte == b'T',
            13 | 16 => byte == b':',
            _ => byte.is_ascii_digit(),
        });
    if shaped { text.parse().map_err(|_| refuse()) } else { Err(refuse()) }
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.name, f)
    }
}
