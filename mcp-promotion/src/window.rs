//! When a promotion may start: calendars that allow it, and calendars that forbid it.

mod calendar;
mod cron;
mod local;

use std::collections::BTreeSet;

use mcp_core::{Name, Timestamp};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

pub use calendar::{Calendar, Day};

/// When a promotion may start.
///
/// Only the start is bound to it: what has started goes on, also over the end of a window. Computed from these and the time alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Windows {
    /// If there are any, it starts only while one of these takes place; none by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Calendar>,
    /// Freezes: it does not start while one of these takes place, whatever is allowed; none by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<Calendar>,
    /// Whether a rollback that a person or the watch after a success requests waits for them as well; false by default. Going back within
    /// a promotion that has started never waits.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rollbacks_too: bool,
}

/// That a promotion may start at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Opening {
    /// The calendar that allowed it; `None` where the policy has only freezes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<Name>,
    /// When that calendar ends or a freeze begins, whichever comes first; `None` when neither ever does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// That a promotion may not start at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// The freeze that takes place; `None` where only no window is open.
    pub by: Option<Name>,
    /// When it may; `None` when never, or not within the time that was searched.
    pub opens_at: Option<Timestamp>,
    /// Until when it is known not to; `None` for ever.
    pub closed_until: Option<Timestamp>,
}

/// How many ends and beginnings are looked at for the next opening, where there are no more than [`ONE_LOOK`] calendars.
const MAX_SEARCH: usize = 1000;
/// How many calendars count as one look. Each costs about a microsecond, and a sparse cron expression some dozens.
const ONE_LOOK: usize = 4;
/// How many calendars a policy may have on each side.
const MAX_CALENDARS: usize = 64;
/// How many looks at a calendar a check of windows may take in all, besides those of the first policy: a fifth of a second.
pub(crate) const SEARCHES: usize = 100_000;

impl Windows {
    /// Whether it may start at any time.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Whether it may start at `now`, and otherwise when.
    ///
    /// The search for the next opening is bounded: calendars that interlock so that a thousand windows lie within freezes give an answer without
    /// [`Closed::opens_at`], and with the time until which nothing opens.
    ///
    /// # Errors
    /// [`Closed`] when it may not.
    pub fn open(&self, now: Timestamp) -> Result<Opening, Closed> {
        self.search(now, &mut { MAX_SEARCH })
    }

    /// The same, with so many ends and beginnings left to look at.
    fn search(&self, now: Timestamp, left: &mut usize) -> Result<Opening, Closed> {
        let first = match self.look(now) {
            Ok(opening) => return Ok(opening),
            Err(first) => first,
        };
        let mut closed = Closed { by: first.by, opens_at: None, closed_until: first.next };
        let cost = self.allow.len().saturating_add(self.deny.len()).div_ceil(ONE_LOOK).max(1);
        while *left > 0 {
            *left = left.saturating_sub(cost);
            let Some(next) = closed.closed_until else { break };
            match self.look(next) {
                Ok(_) => {
                    closed.opens_at = Some(next);
                    break;
                }
                // Time only goes on; an end that is none (of years beyond 9999) ends the search.
                Err(further) => closed.closed_until = further.next.filter(|further| *further > next),
            }
        }
        Err(closed)
    }

    /// Whether it may start at `now`, and when to look again otherwise.
    fn look(&self, now: Timestamp) -> Result<Opening, Look> {
        let frozen = self.deny.iter().filter_map(|freeze| Some((freeze.at(now)?.to, freeze)));
        if let Some((end, freeze)) = frozen.max_by_key(|(end, _)| *end) {
            return Err(Look { by: Some(freeze.name().clone()), next: Some(end) });
        }
        let thaws = self.deny.iter().filter_map(|freeze| Some(freeze.after(now)?.from)).min();
        if self.allow.is_empty() {
            return Ok(Opening { inside: None, until: thaws });
        }
        let open = self.allow.iter().filter_map(|window| Some((window.at(now)?.to, window)));
        match open.max_by_key(|(end, _)| *end) {
            Some((end, window)) => {
                let until = Some(thaws.map_or(end, |freeze| freeze.min(end)));
                Ok(Opening { inside: Some(window.name().clone()), until })
            }
            None => {
                let next = self.allow.iter().filter_map(|window| Some(window.after(now)?.from)).min();
                Err(Look { by: None, next })
            }
        }
    }

    /// Whether `opening` is one of these at `at`: what a journal can be asked without the rules of the zones, which change over the years.
    pub(crate) fn fits(&self, opening: &Opening, at: Timestamp) -> bool {
        let inside = match &opening.inside {
            Some(name) => self.allow.iter().any(|window| window.name() == name),
            None => self.allow.is_empty(),
        };
        inside && opening.until.is_none_or(|until| at < until)
    }

    /// What of them cannot be obeyed. That they never open is only looked for while `budget`, in looks at a calendar, lasts.
    pub(crate) fn faults(&self, budget: &mut usize) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.is_empty() {
            if self.rollbacks_too {
                let fault = Fault::new(
                    "rollbacks wait for its windows, but it has none",
                    "give it windows, or leave it out",
                );
                faults.push(fault.at("windows.rollbacks_too"));
            }
            return faults;
        }
        for (side, calendars) in [("allow", &self.allow), ("deny", &self.deny)] {
            if calendars.len() > MAX_CALENDARS {
                let why = format!("{} calendars are more than {MAX_CALENDARS}", calendars.len());
                faults.push(Fault::new(why, "leave some out").at(format!("windows.{side}")));
            }
        }
        let mut names = BTreeSet::new();
        for (side, place, name) in self.named() {
            if !names.insert(name) {
                let fault =
                    Fault::new(format!("two of its calendars are called {name}"), "give each its own name");
                faults.push(fault.at(format!("windows.{side}[{place}].name")));
            }
        }
        if faults.is_empty() && self.never_opens(budget) {
            let why = "its windows do not open: freezes cover a thousand of them in a row, or all";
            faults.push(Fault::new(why, "shorten the freezes, or allow other times").at("windows"));
        }
        faults
    }

    fn named(&self) -> impl Iterator<Item = (&'static str, usize, &Name)> {
        let allow = self.allow.iter().enumerate().map(|(place, one)| ("allow", place, one.name()));
        allow.chain(self.deny.iter().enumerate().map(|(place, one)| ("deny", place, one.name())))
    }

    /// Whether they are known not to open at any time, past or future.
    fn never_opens(&self, budget: &mut usize) -> bool {
        // Spans end: in the long run only what recurs counts, which is the same in every year, so that the time need not be known.
        let recurring = Self {
            allow: self.allow.iter().filter(|window| window.recurs()).cloned().collect(),
            deny: self.deny.iter().filter(|freeze| freeze.recurs()).cloned().collect(),
            rollbacks_too: false,
        };
        let some_day = Timestamp::from_micros(1_767_225_600_000_000);
        let mut tries = Vec::new();
        if self.allow.is_empty() || !recurring.allow.is_empty() {
            tries.push((recurring, some_day));
        }
        for span in self.allow.iter().filter(|window| !window.recurs()) {
            let alone = Self { allow: vec![span.clone()], deny: self.deny.clone(), rollbacks_too: false };
            tries.extend(span.begins().map(|begin| (alone, begin)));
        }
        for (windows, from) in tries {
            if *budget == 0 {
                return false;
            }
            let mut left = MAX_SEARCH;
            let found = windows.search(from, &mut left);
            let looks = (MAX_SEARCH + 1).saturating_sub(left);
            let calendars = windows.allow.len().saturating_add(windows.deny.len());
            *budget = budget.saturating_sub(looks.saturating_mul(calendars));
            match found {
                Err(Closed { opens_at: None, .. }) => {}
                Ok(_) | Err(_) => return false,
            }
        }
        true
    }
}

struct Look {
    by: Option<Name>,
    next: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn windows(allow: Vec<Calendar>, deny: Vec<Calendar>) -> Windows {
        Windows { allow, deny, rollbacks_too: false }
    }

    fn office() -> Calendar {
        let days = [Day::Mon, Day::Tue, Day::Wed, Day::Thu];
        Calendar::weekly("office", "Europe/Berlin", days, "09:00", "16:00").unwrap()
    }

    fn christmas() -> Calendar {
        Calendar::span("christmas", "Europe/Berlin", "2026-12-18T12:00", "2027-01-04T12:00").unwrap()
    }

    fn told(windows: &Windows) -> Vec<String> {
        windows.faults(&mut SEARCHES.clone()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn it_opens_when_a_calendar_allows_it_and_no_freeze_is_on() {
        let windows = windows(vec![office()], vec![christmas()]);
        let opening = windows.open(at("2026-11-24T09:00:00Z")).unwrap();
        assert_eq!(opening.inside.unwrap().as_str(), "office");
        assert_eq!(opening.until, Some(at("2026-11-24T15:00:00Z")));
        // Thursday is over, and Friday is no day of it.
        let closed = windows.open(at("2026-11-26T15:00:00Z")).unwrap_err();
        assert_eq!((closed.by, closed.opens_at), (None, Some(at("2026-11-30T08:00:00Z"))));
        // The freeze ends at noon of a Monday, within a window.
        let closed = windows.open(at("2026-12-20T00:00:00Z")).unwrap_err();
        let by = closed.by.as_ref().map(Name::as_str);
        assert_eq!((by, closed.opens_at), (Some("christmas"), Some(at("2027-01-04T11:00:00Z"))));
    }

    #[test]
    fn the_search_for_an_opening_ends_and_says_until_when_it_is_closed() {
        let always = |name, day| Calendar::weekly(name, "UTC", day, "00:00", "24:00").unwrap();
        let week = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];
        let never = windows(Vec::new(), vec![always("always", week)]);
        let closed = never.open(at("2026-11-24T09:00:00Z")).unwrap_err();
        assert_eq!(closed.opens_at, None);
        assert!(closed.closed_until > Some(at("2029-01-01T00:00:00Z")), "{closed:?}");
        assert_eq!(
            told(&never),
            [
                "windows: its windows do not open: freezes cover a thousand of them in a row, or all; shorten the freezes, or allow other times"
            ]
        );
        let past = Calendar::span("past", "UTC", "2020-01-01T00:00", "2020-01-02T00:00").unwrap();
        let closed = windows(vec![past], Vec::new()).open(at("2026-11-24T09:00:00Z")).unwrap_err();
        assert_eq!((closed.opens_at, closed.closed_until), (None, None));
        assert_eq!(told(&windows(vec![office()], vec![christmas()])), [""; 0]);
        let within =
            Calendar::span("within", "Europe/Berlin", "2026-12-24T00:00", "2026-12-25T00:00").unwrap();
        assert_eq!(
            told(&windows(vec![within.clone()], vec![christmas()])).len(),
            1,
            "a window within a freeze"
        );
        assert_eq!(told(&windows(vec![within, office()], vec![christmas()])), [""; 0], "another one opens");
    }

    #[test]
    fn calendars_are_read_from_json_and_refused_by_name_when_they_contradict_themselves() {
        let text = r#"{"allow":[{"name":"office","zone":"Europe/Berlin","when":{"weekly":{"days":["mon","tue","wed","thu"],"from":"09:00","to":"16:00"}}}],"deny":[{"name":"nights","zone":"UTC","when":{"cron":{"start":"0 22 * * *","lasts_ms":3600000}}}]}"#;
        let read: Windows = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert_eq!(read.allow, [office()]);
        let refused = |zone: &str, when: &str| {
            let text = format!(r#"{{"name":"x","zone":"{zone}","when":{when}}}"#);
            serde_json::from_str::<Calendar>(&text).unwrap_err().to_string()
        };
        for (zone, when, why) in [
            (
                "Europe/Bern",
                r#"{"span":{"from":"2026-01-01T00:00","to":"2026-01-02T00:00"}}"#,
                "calendar x: read \"Europe/Bern\" as time zone: the IANA database has none of this name; one is Europe/Berlin",
            ),
            (
                "UTC",
                r#"{"span":{"from":"2026-01-02T00:00","to":"2026-01-02T00:00"}}"#,
                "calendar x: it begins at 2026-01-02T00:00:00, which is not before its end",
            ),
            (
                "UTC",
                r#"{"span":{"from":"2026-01-02","to":"2026-01-03"}}"#,
                "calendar x: read \"2026-01-02\" as local time: it is not YYYY-MM-DDTHH:MM or YYYY-MM-DDTHH:MM:SS",
            ),
            (
                "UTC",
                r#"{"weekly":{"days":[],"from":"09:00","to":"10:00"}}"#,
                "calendar x: it names no day of the week",
            ),
            (
                "UTC",
                r#"{"weekly":{"days":["mon"],"from":"09:00","to":"09:00"}}"#,
                "calendar x: it has no length; a whole day is from 00:00 to 24:00",
            ),
            (
                "UTC",
                r#"{"weekly":{"days":["mon"],"from":"9:00","to":"25:00"}}"#,
                "calendar x: read \"9:00\" as time of the day: it is not HH:MM from 00:00 to 24:00",
            ),
            (
                "UTC",
                r#"{"cron":{"start":"0 0 31 2 *","lasts_ms":1}}"#,
                "calendar x: cron expression \"0 0 31 2 *\" never starts: no month has that day",
            ),
            (
                "UTC",
                r#"{"cron":{"start":"0 0 * * *","lasts_ms":0}}"#,
                "calendar x: it lasts 0ns, and not whole milliseconds up to 366 days",
            ),
            ("UTC", r#"{"cron":{"begin":"0 0 * * *","lasts_ms":1}}"#, "unknown field `begin`"),
        ] {
            assert!(refused(zone, when).contains(why), "{}", refused(zone, when));
        }
    }

    /// Instants a minute apart, and the local time of each.
    struct Minutes(Vec<(Timestamp, jiff::civil::DateTime)>);

    impl Minutes {
        /// Four days before and after noon UTC of a day on which clocks are changed.
        fn around(zone: &str, day: &str) -> Self {
            let zone = jiff::tz::TimeZoneDatabase::bundled().get(zone).unwrap();
            let noon: jiff::Timestamp = format!("{day}T12:00:00Z").parse().unwrap();
            let minute = |n: i64| {
                let instant = noon.checked_add(jiff::SignedDuration::from_mins(n)).unwrap();
                (Timestamp::from_micros(instant.as_microsecond()), zone.to_datetime(instant))
            };
            Self((-4 * 1440..4 * 1440).map(minute).collect())
        }

        fn first(&self, time: jiff::civil::DateTime) -> Timestamp {
            self.0.iter().find(|(_, shown)| *shown >= time).unwrap().0
        }

        fn last(&self, time: jiff::civil::DateTime) -> Timestamp {
            let last = self.0.iter().rfind(|(_, shown)| *shown < time).unwrap().0;
            last.saturating_add(Duration::from_secs(60))
        }

        fn agree(&self, calendar: &Calendar, mut naive: Vec<(Timestamp, Timestamp)>) {
            naive.retain(|(from, to)| from < to);
            naive.sort_unstable();
            let inner = &self.0[3 * 1440..5 * 1440];
            for (now, shown) in inner {
                let open = naive.iter().any(|(from, to)| from <= now && now < to);
                assert_eq!(calendar.at(*now).is_some(), open, "{calendar:?} at {now}, {shown}");
                let next = naive.iter().map(|(from, _)| *from).find(|from| from > now);
                assert_eq!(calendar.after(*now).map(|o| o.from), next, "{calendar:?} after {now}, {shown}");
            }
        }
    }

    const CHANGES: [(&str, &str); 9] = [
        ("Europe/Berlin", "2026-03-29"),
        ("Europe/Berlin", "2026-10-25"),
        ("America/New_York", "2026-03-08"),
        ("America/New_York", "2026-11-01"),
        ("Australia/Lord_Howe", "2026-04-04"),
        ("Australia/Lord_Howe", "2026-10-03"),
        ("Pacific/Apia", "2011-12-30"),
        ("Africa/Casablanca", "2026-02-15"),
        ("UTC", "2026-11-24"),
    ];

    /// Every minute of the two days around each change of the clocks, against a search through the minutes of eight days.
    #[test]
    fn weekly_windows_agree_with_a_search_minute_by_minute_where_clocks_are_changed() {
        let week = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];
        let times = [
            (0, 1440),
            (9 * 60, 17 * 60),
            (120, 180),
            (150, 165),
            (90, 150),
            (60, 120),
            (22 * 60, 120),
            (150, 149),
            (110, 130),
            (180, 30),
        ];
        for (zone, day) in CHANGES {
            let minutes = Minutes::around(zone, day);
            for (from, to) in times {
                let clock = |n: i64| format!("{:02}:{:02}", n / 60, n % 60);
                let calendar = Calendar::weekly("x", zone, week, &clock(from), &clock(to)).unwrap();
                let middle = minutes.0[4 * 1440].1.date();
                let naive = (-3_i64..=3).map(|n| {
                    let midnight = middle.at(0, 0, 0, 0) + jiff::ToSpan::days(n);
                    let end = if to > from { to } else { to + 1440 };
                    let after = |minutes: i64| midnight + jiff::ToSpan::minutes(minutes);
                    (minutes.first(after(from)), minutes.last(after(end).min(minutes.0.last().unwrap().1)))
                });
                minutes.agree(&calendar, naive.collect());
            }
        }
    }

    #[test]
    fn cron_windows_agree_with_a_search_minute_by_minute_where_clocks_are_changed() {
        for (zone, day) in CHANGES {
            let minutes = Minutes::around(zone, day);
            for (cron, every, offset, lasts) in [
                ("30 2 * * *", 1440, 150, 30),
                ("30 2 * * *", 1440, 150, 1500),
                ("*/20 * * * *", 20, 0, 7),
                ("0 */2 * * *", 120, 0, 119),
            ] {
                let length = Duration::from_secs(lasts * 60);
                let calendar = Calendar::cron("x", zone, cron, length).unwrap();
                let first = minutes.0[4 * 1440].1.date().at(0, 0, 0, 0) - jiff::ToSpan::days(3);
                let naive = (0_i64..).map(|n| first + jiff::ToSpan::minutes(n * every + offset));
                let naive = naive.take_while(|time| *time <= minutes.0.last().unwrap().1);
                let naive = naive.map(|time| {
                    let from = minutes.first(time);
                    (from, from.saturating_add(length))
                });
                minutes.agree(&calendar, naive.collect());
            }
        }
    }
}
