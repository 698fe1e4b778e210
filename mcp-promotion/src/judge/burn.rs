use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Counts, millis};

/// How fast an error budget may be used up: over a long span, and still over a short one.
///
/// A burn rate of 1 uses up the budget exactly in the period of the objective. Both spans must exceed the rate: the long one keeps a short
/// peak from counting, the short one ends the alarm soon after the errors end. From the Site Reliability Workbook of Google, chapter 5,
/// "Multiwindow, Multi-Burn-Rate Alerts".
///
/// Time of a span before the release was watched counts as without errors and as busy as the rest, so that it is the budget used up that
/// is measured: with an objective of 99.9%, a release that fails every request is found after 52 seconds of an hour's span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burn {
    /// The long span, in milliseconds.
    #[serde(rename = "long_ms", with = "millis")]
    pub long: Duration,
    /// The short span, in milliseconds.
    #[serde(rename = "short_ms", with = "millis")]
    pub short: Duration,
    /// How many millionths of the rate that is sustainable; 14,400,000 is 14.4 times as fast.
    pub rate_ppm: u64,
}

impl Burn {
    /// 14.4 times over an hour and five minutes: a fiftieth of a month's budget in an hour.
    pub const FAST: Self =
        Self { long: Duration::from_secs(3600), short: Duration::from_secs(300), rate_ppm: 14_400_000 };

    /// 6 times over six hours and half an hour: a twentieth of a month's budget in six hours.
    pub const SLOW: Self =
        Self { long: Duration::from_secs(6 * 3600), short: Duration::from_secs(1800), rate_ppm: 6_000_000 };

    /// Whether it could be exceeded at all: not where more than every request would have to fail.
    pub(super) fn can_exceed(&self, budget_ppm: u32) -> bool {
        u128::from(self.rate_ppm) * u128::from(budget_ppm) < 1_000_000_000_000
    }

    /// Whether both spans, which end now, used up more than they may of a budget of so many failing requests per million.
    pub(super) fn exceeded(&self, past: &Past, budget_ppm: u32) -> bool {
        [self.long, self.short].into_iter().all(|span| {
            let span = u64::try_from(span.as_micros()).unwrap_or(u64::MAX).max(1);
            let (watched, bad, total) = past.last(span);
            let allowed = u128::from(self.rate_ppm) * u128::from(budget_ppm) / 1_000_000;
            // bad / total * watched / span, over the budget; with at most 64 and 64 bits on the left, and 64, 64 and some on the right.
            let used = u128::from(bad).saturating_mul(u128::from(watched.min(span)));
            let most = u128::from(total).saturating_mul(u128::from(span));
            total > 0 && exceeds(used, most, allowed)
        })
    }
}

/// Whether a / b is more than so many millionths; to about 12 digits where the numbers are large.
fn exceeds(mut a: u128, mut b: u128, ppm: u128) -> bool {
    let large = 128_u32.saturating_sub(a.leading_zeros().min(b.leading_zeros())).saturating_sub(64);
    (a, b) = (a >> large, b >> large);
    a.saturating_mul(1_000_000) > b.saturating_mul(ppm)
}

/// What was counted lately: at most [`MAX`](Self::MAX) pieces of time, newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Past(Vec<(u64, u64, u64)>);

impl Past {
    /// How many pieces the longest span is kept in.
    const MAX: u64 = 128;

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One window more, of so many microseconds; of what is older than `longest`, nothing is kept.
    pub(super) fn add(&mut self, length: u64, counts: &Counts, longest: u64) {
        let (bad, total) = (counts.bad(), counts.total);
        match self.0.last_mut() {
            // Short windows are added up, so that the state stays small: the ends of a span are exact to 1/128 of the longest.
            Some(piece) if piece.0.saturating_add(length) <= longest / Self::MAX => {
                *piece = (
                    piece.0.saturating_add(length),
                    piece.1.saturating_add(bad),
                    piece.2.saturating_add(total),
                );
            }
            _ => self.0.push((length, bad, total)),
        }
        let mut newer = 0_u64;
        let kept = self.0.iter().rev().take_while(|(length, ..)| {
            let inside = newer < longest;
            newer = newer.saturating_add(*length);
            inside
        });
        let old = self.0.len().saturating_sub(kept.count());
        self.0.drain(..old);
        // Two neighbours are each other's only where together they exceed a piece: never more than twice as many.
    }

    /// Time, failures and requests of at least the last `span` microseconds, where there was that much.
    fn last(&self, span: u64) -> (u64, u64, u64) {
        let mut sum = (0_u64, 0_u64, 0_u64);
        for (length, bad, total) in self.0.iter().rev() {
            if sum.0 >= span {
                break;
            }
            sum = (sum.0.saturating_add(*length), sum.1.saturating_add(*bad), sum.2.saturating_add(*total));
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000_000;

    /// In which minute the pair is exceeded first, with these shares of 1,000 failing.
    fn first(burn: &Burn, budget_ppm: u32, bad: impl Fn(u64) -> u64) -> Option<u64> {
        let mut past = Past::default();
        let longest = u64::try_from(burn.long.as_micros()).unwrap();
        (1..=600).find(|minute| {
            past.add(MINUTE, &Counts { instances: 1, good: 1000 - bad(*minute), total: 1000 }, longest);
            burn.exceeded(&past, budget_ppm)
        })
    }

    #[test]
    fn a_release_that_burns_faster_than_allowed_is_found_when_the_budget_of_the_long_span_is_used_up() {
        // Of a budget of 0.1%, 1.44% over an hour is 14.4 times: all failing use that up in 0.864 minutes, 10% in 8.64.
        assert_eq!(first(&Burn::FAST, 1000, |_| 1000), Some(1));
        assert_eq!(first(&Burn::FAST, 1000, |_| 100), Some(9));
        assert_eq!(first(&Burn::FAST, 1000, |_| 15), Some(58));
        assert_eq!(first(&Burn::FAST, 1000, |_| 14), None);
        assert_eq!(first(&Burn::SLOW, 1000, |_| 14), Some(155));
        assert_eq!(first(&Burn::SLOW, 1000, |_| 6), None, "exactly the rate");
    }

    #[test]
    fn errors_that_have_ended_do_not_count_against_the_short_span() {
        let mut past = Past::default();
        let hour = 60 * MINUTE;
        for minute in 0..16 {
            let bad = if minute < 8 { 100 } else { 0 };
            past.add(MINUTE, &Counts { instances: 1, good: 1000 - bad, total: 1000 }, hour);
        }
        past.add(MINUTE, &Counts { instances: 1, good: 930, total: 1000 }, hour);
        assert!(
            !Burn::FAST.exceeded(&past, 1000),
            "870 of an hour's 864 in the long span, 14 of 1,000 in the short one"
        );
        past.add(MINUTE, &Counts { instances: 1, good: 900, total: 1000 }, hour);
        assert!(Burn::FAST.exceeded(&past, 1000));
    }

    #[test]
    fn what_is_kept_stays_small_however_short_the_windows_are() {
        let mut past = Past::default();
        for _ in 0..100_000 {
            past.add(1_000_000, &Counts { instances: 1, good: 9, total: 10 }, 6 * 60 * MINUTE);
        }
        assert!(past.0.len() <= 130, "{}", past.0.len());
        let (watched, bad, total) = past.last(3_600_000_000);
        assert_eq!((watched / 1_000_000, bad * 10), (total / 10, total));
        assert!((3600..3800).contains(&(watched / 1_000_000)), "{watched}");
        past.add(u64::MAX, &Counts { instances: 1, good: 0, total: u64::MAX }, u64::MAX);
        past.add(u64::MAX, &Counts { instances: 1, good: 0, total: u64::MAX }, u64::MAX);
        assert!(Burn::FAST.exceeded(&past, 1_000_000 / 20));
    }
}
