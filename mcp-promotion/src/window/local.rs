//! Local time and instants: where the clocks of a zone leave an hour out or show it twice.

use std::fmt;
use std::sync::OnceLock;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use mcp_core::Timestamp;

use super::calendar::refused;

/// A time zone of the IANA database, with the rules that this build was made with.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Zone {
    name: String,
    zone: TimeZone,
}

/// The rules that are part of the build, and not those of the system: nothing is read from the environment.
fn database() -> &'static TimeZoneDatabase {
    static BUNDLED: OnceLock<TimeZoneDatabase> = OnceLock::new();
    BUNDLED.get_or_init(TimeZoneDatabase::bundled)
}

/// How many changes of a zone's clocks are looked through for one that must be near.
const NEAR: usize = 4;

impl Zone {
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        match database().get(name) {
            Ok(zone) => Ok(Self { name: zone.iana_name().unwrap_or(name).to_owned(), zone }),
            Err(_) => Err(refused(
                "time zone",
                name,
                "the IANA database has none of this name; one is Europe/Berlin",
            )),
        }
    }

    /// The latest local time that was shown until `now`. After an hour that is shown twice has begun again, that is its end.
    pub(super) fn shown(&self, now: Timestamp) -> Option<DateTime> {
        let now = instant(now)?;
        let mut latest = self.zone.to_datetime(now);
        let day = jiff::SignedDuration::from_hours(26);
        for change in
            self.zone.preceding(now.checked_add(jiff::SignedDuration::from_nanos(1)).ok()?).take(NEAR)
        {
            if now.duration_since(change.timestamp()) > day {
                break;
            }
            let before = change.timestamp().checked_sub(jiff::SignedDuration::from_nanos(1)).ok()?;
            latest = latest.max(self.zone.to_datetime(before));
        }
        Some(latest)
    }

    /// The first instant at which the clocks show `time` or later. Where they leave it out, that is the first instant after the gap; where they
    /// show it twice, it is the first time.
    pub(super) fn first(&self, time: DateTime) -> Option<Timestamp> {
        let found = match self.zone.to_ambiguous_timestamp(time).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(time).ok()?,
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(time).ok()?,
            AmbiguousOffset::Gap { after, .. } => {
                let near = after.to_timestamp(time).ok()?;
                let mut changes = self.zone.following(near).take(NEAR).map(|change| change.timestamp());
                changes.find(|instant| self.zone.to_datetime(*instant) >= time)?
            }
        };
        moment(found)
    }

    /// The first instant after the last one at which the clocks show less than `time`. Where they show it twice, that is the second time,
    /// unless the repeated hour only begins with it.
    pub(super) fn last(&self, time: DateTime) -> Option<Timestamp> {
        let nanosecond = jiff::SignedDuration::from_nanos(1);
        let before = time.checked_sub(nanosecond).ok()?;
        let found = match self.zone.to_ambiguous_timestamp(before).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(before).ok()?,
            AmbiguousOffset::Fold { after, .. } => after.to_timestamp(before).ok()?,
            AmbiguousOffset::Gap { .. } => return self.first(time),
        };
        moment(found.checked_add(nanosecond).ok()?)
    }
}

fn instant(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_microsecond(at.as_micros()).ok()
}

fn moment(at: jiff::Timestamp) -> Option<Timestamp> {
    Some(Timestamp::from_micros(at.as_microsecond()))
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({self})")
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
