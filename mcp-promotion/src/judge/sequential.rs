//! What the sequential judges share: an e-process that may be looked at after every window, and when it decides.

use std::time::Duration;

use mcp_core::{ErrorKind, SeamError};
use serde_json::Value;

use super::{JudgeError, Judgement};
use crate::Window;

/// How many bets a sequential judge holds at once.
pub(super) const BETS: usize = 5;

/// The wealth 1.
const ONE: u64 = 1_000_000_000_000;

/// The settings that decide when a judge says what.
pub(super) struct Terms {
    /// The name of the judge, for errors.
    pub(super) judge: &'static str,
    pub(super) alpha_ppm: u32,
    pub(super) min_windows: u32,
    pub(super) bake: Duration,
    pub(super) patience: Duration,
}

/// What a sequential judge keeps from window to window. Whole numbers only, so that JSON gives back exactly what was written.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    /// Time watched in windows that counted, in microseconds.
    pub(super) watched_us: u64,
    /// Time since the last window that counted, in microseconds.
    pub(super) silent_us: u64,
    /// Windows that counted.
    pub(super) counted: u64,
    /// What each bet is worth, in millionths of a millionth; rounded down, which favours the release.
    wealth: [u64; BETS],
    /// The capital that was not yet put into the bets, likewise. In JSON it is the last number of `wealth`.
    waiting: u64,
    /// The verdict, once there is one.
    pub(super) verdict: Option<Verdict>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    Fail,
}

impl Default for Seen {
    fn default() -> Self {
        Self { watched_us: 0, silent_us: 0, counted: 0, wealth: [0; BETS], waiting: ONE, verdict: None }
    }
}

impl Seen {
    /// By hand, as [`of`](Self::of) reads: a judge is asked in every window, and all that it does besides takes less time.
    pub(super) fn to_value(&self) -> Value {
        let verdict = match self.verdict {
            None => Value::Null,
            Some(Verdict::Pass) => Value::from("pass"),
            Some(Verdict::Fail) => Value::from("fail"),
        };
        let wealth = self.wealth.iter().chain([&self.waiting]).map(|worth| Value::from(*worth)).collect();
        let mut kept = serde_json::Map::new();
        kept.insert("counted".to_owned(), self.counted.into());
        kept.insert("silent_us".to_owned(), self.silent_us.into());
        kept.insert("verdict".to_owned(), verdict);
        kept.insert("watched_us".to_owned(), self.watched_us.into());
        kept.insert("wealth".to_owned(), Value::Array(wealth));
        Value::Object(kept)
    }

    /// Of a value as it writes one; `None` of any other.
    fn of(value: &Value) -> Option<Self> {
        // The map gives its fields in the order of their names.
        let mut fields = value.as_object()?.iter();
        let mut field = |name: &str| fields.next().filter(|(key, _)| *key == name).map(|(_, value)| value);
        let counted = field("counted")?.as_u64()?;
        let silent_us = field("silent_us")?.as_u64()?;
        let verdict = match field("verdict")? {
            Value::Null => None,
            Value::String(verdict) if verdict == "pass" => Some(Verdict::Pass),
            Value::String(verdict) if verdict == "fail" => Some(Verdict::Fail),
            _ => return None,
        };
        let watched_us = field("watched_us")?.as_u64()?;
        let (bets, waiting) = field("wealth")?.as_array()?.split_at_checked(BETS)?;
        let mut wealth = [0; BETS];
        for (wealth, value) in wealth.iter_mut().zip(bets) {
            *wealth = value.as_u64()?;
        }
        let waiting = match waiting {
            // Of an earlier build, which put the share 1/((n + 1)(n + 2)) of all capital into the bets before the window after n windows.
            [] => ONE / counted.saturating_add(1),
            [waiting] => waiting.as_u64()?,
            _ => return None,
        };
        let seen = Self { watched_us, silent_us, counted, wealth, waiting, verdict };
        fields.next().is_none().then_some(seen)
    }

    /// What a judge of this name kept.
    pub(super) fn read(judge: &str, value: &Value) -> Result<Self, JudgeError> {
        if value.is_null() {
            return Ok(Self::default());
        }
        Self::of(value).ok_or_else(|| corrupt(judge, "it is not as this judge writes one"))
    }

    /// The e-value, in millionths of a millionth: what the bets are worth, and the capital that was not yet put into them.
    ///
    /// Half of the capital is put into the bets before the first window, and of what waits then, 1/(n + 25) before the window after n
    /// windows: a mixture over the window in which a regression begins. A long good start costs what was put in and no more, and the
    /// expectation stays 1 as long as each factor's is (an e-detector with a prior on the start, as in Shin, Ramdas and Rinaldo, arXiv
    /// 2203.03532). Of the schedules tried, this one finds what begins after 10 to 60 good windows soonest, and
    /// what is there from the first window at most a window later than any other.
    pub(super) fn evidence(&self) -> u64 {
        self.wealth.iter().fold(self.waiting, |sum, wealth| sum.saturating_add(*wealth))
    }

    /// One window more, with the factors of each bet, or why it does not count; that reason is given back, else nothing.
    pub(super) fn take(&mut self, window: Window, factors: Result<[f64; BETS], String>) -> String {
        let length = u64::try_from(window.length().as_micros()).unwrap_or(u64::MAX);
        match factors {
            Ok(factors) => {
                self.watched_us = self.watched_us.saturating_add(length);
                self.silent_us = 0;
                self.multiply(&factors);
                String::new()
            }
            Err(why) => {
                self.silent_us = self.silent_us.saturating_add(length);
                why
            }
        }
    }

    /// Takes in the factors of one more window, each of mean at most 1 while the release is no worse.
    fn multiply(&mut self, factors: &[f64; BETS]) {
        let part = if self.counted == 0 { 2 } else { self.counted.saturating_add(25) };
        let share = self.waiting / part / BETS as u64;
        self.waiting -= share * BETS as u64;
        for (wealth, factor) in self.wealth.iter_mut().zip(factors) {
            *wealth = times(wealth.saturating_add(share), *factor);
        }
        self.counted = self.counted.saturating_add(1);
    }
}

/// That a state is not what a judge of this name keeps.
pub(super) fn corrupt(judge: &str, reason: &'static str) -> JudgeError {
    SeamError::new(ErrorKind::Corrupt, format!("read the state of judge {judge}")).with_source(reason)
}

/// `wealth` times `factor`, rounded down, and no more than fits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a cast from a float rounds towards zero and stops at the ends, as is wanted"
)]
fn times(wealth: u64, factor: f64) -> u64 {
    (wealth as f64 * factor) as u64
}

/// The e-value at which a judge fails, in millionths of a millionth: by Ville's inequality, one whose expectation stays at most 1 ever
/// reaches it with a probability of at most alpha.
pub(super) fn enough(alpha_ppm: u32) -> u64 {
    (ONE / u64::from(alpha_ppm.max(1))).saturating_mul(1_000_000)
}

impl Terms {
    fn enough(&self) -> u64 {
        enough(self.alpha_ppm)
    }

    fn read(&self, state: &Value) -> Result<Seen, JudgeError> {
        let seen = Seen::read(self.judge, state)?;
        if (seen.evidence() >= self.enough()) == (seen.verdict == Some(Verdict::Fail)) {
            return Ok(seen);
        }
        Err(corrupt(self.judge, "its evidence and its verdict contradict each other"))
    }

    /// The e-value of a state; 1 before the first window.
    pub(super) fn evidence(&self, state: &Value) -> Result<f64, JudgeError> {
        self.read(state).map(|seen| shown(seen.evidence()))
    }

    /// One window more. `factors` are what the bets are multiplied by, or why the window does not count.
    pub(super) fn judge(
        &self,
        state: &Value,
        window: Window,
        factors: Result<[f64; BETS], String>,
    ) -> Result<(Value, Judgement), JudgeError> {
        let mut seen = self.read(state)?;
        if seen.verdict.is_some() {
            return Ok((seen.to_value(), self.judgement(&seen, "")));
        }
        let missing = seen.take(window, factors);
        if missing.is_empty() {
            seen.verdict = if seen.evidence() >= self.enough() {
                Some(Verdict::Fail)
            } else {
                self.is_ripe(&seen).then_some(Verdict::Pass)
            };
        }
        let judgement = self.judgement(&seen, &missing);
        Ok((seen.to_value(), judgement))
    }

    fn judgement(&self, seen: &Seen, missing: &str) -> Judgement {
        match seen.verdict {
            Some(Verdict::Pass) => Judgement::Pass,
            Some(Verdict::Fail) => Judgement::Fail {
                why: format!(
                    "after {} windows the evidence that the canary is worse than the baseline is {:.1}, and {:.1} is enough for a \
                     false-rollback budget of {} per million",
                    seen.counted,
                    shown(seen.evidence()),
                    shown(self.enough()),
                    self.alpha_ppm.max(1)
                ),
            },
            None => self
                .given_up(seen, missing)
                .map_or(Judgement::Undecided, |why| Judgement::Inconclusive { why }),
        }
    }

    /// Whether there was enough to pass.
    pub(super) fn is_ripe(&self, seen: &Seen) -> bool {
        seen.counted >= u64::from(self.min_windows.max(1))
            && u128::from(seen.watched_us) >= self.bake.as_micros()
    }

    /// Why nothing more is to be waited for, where the last window had `missing`.
    pub(super) fn given_up(&self, seen: &Seen, missing: &str) -> Option<String> {
        (!missing.is_empty() && u128::from(seen.silent_us) >= self.patience.as_micros()).then(|| {
            format!(
                "no window of the last {} ms counted, {} did before; the last one had {missing}",
                seen.silent_us / 1000,
                seen.counted
            )
        })
    }

    /// Why these settings cannot be obeyed.
    pub(super) fn contradiction(&self, margin_ppm: u32) -> Option<String> {
        if let Some(why) = alpha_contradiction(self.alpha_ppm) {
            return Some(why);
        }
        if !(1..=1_000_000_000).contains(&margin_ppm) {
            return Some(format!("margin_ppm of {margin_ppm} is not between 1 and 1000000000"));
        }
        [("bake", self.bake), ("patience", self.patience)].into_iter().find_map(|(field, duration)| {
            let whole = duration.subsec_nanos().is_multiple_of(1_000_000);
            (!whole).then(|| format!("{field} of {duration:?} is not a whole number of milliseconds"))
        })
    }
}

pub(super) fn alpha_contradiction(alpha_ppm: u32) -> Option<String> {
    let usable = (1..=500_000).contains(&alpha_ppm);
    (!usable).then(|| format!("alpha_ppm of {alpha_ppm} is not between 1 and 500000"))
}

/// As a number around 1.
#[expect(clippy::cast_precision_loss, reason = "15 digits are enough to show")]
pub(super) fn shown(wealth: u64) -> f64 {
    wealth as f64 / ONE as f64
}

#[cfg(test)]
mod tests {
    use mcp_core::Timestamp;

    use super::*;

    const MINUTE: Window = Window { from: Timestamp::UNIX_EPOCH, to: Timestamp::from_micros(60_000_000) };

    fn after(windows: &[[f64; BETS]]) -> Seen {
        let mut seen = Seen::default();
        for factors in windows {
            assert_eq!(seen.take(MINUTE, Ok(*factors)), "");
            seen = Seen::of(&serde_json::from_str(&seen.to_value().to_string()).unwrap()).unwrap();
        }
        seen
    }

    #[test]
    fn capital_is_neither_made_nor_lost_where_no_bet_wins_or_loses() {
        for windows in [0, 1, 2, 60, 1000] {
            assert_eq!(after(&vec![[1.0; BETS]; windows]).evidence(), ONE, "{windows}");
        }
    }

    #[test]
    fn bets_that_lose_everything_leave_what_waited() {
        // Half of it after one window, and 25/(n + 24) of that half after n.
        for (windows, left) in [(1, 0.5), (2, 0.5 * 25.0 / 26.0), (60, 0.5 * 25.0 / 84.0)] {
            let seen = after(&vec![[0.0; BETS]; windows]);
            assert!((shown(seen.evidence()) - left).abs() < 1e-9, "{windows}: {}", shown(seen.evidence()));
        }
    }

    /// Written by the builds up to commit f60dbb1, which kept no number of what waits: after 3 windows it was a quarter.
    #[test]
    fn a_state_of_an_earlier_build_has_the_evidence_that_it_had_and_goes_on() {
        let old = r#"{"counted":3,"silent_us":0,"verdict":null,"watched_us":180000000,"wealth":[100000000000,2,3,4,5]}"#;
        let mut seen = Seen::of(&serde_json::from_str(old).unwrap()).unwrap();
        assert_eq!(seen.evidence(), ONE / 4 + ONE / 10 + 14);
        assert_eq!(seen.take(MINUTE, Ok([1.0; BETS])), "");
        assert_eq!((seen.counted, seen.evidence()), (4, ONE / 4 + ONE / 10 + 14));
        assert_eq!(seen.to_value()["wealth"].as_array().unwrap().len(), 6);
    }

    #[test]
    fn fields_that_are_not_its_own_are_refused() {
        let good = after(&[[1.0; BETS]]).to_value();
        let (mut more, mut seven) = (good.clone(), good.clone());
        more["zeal"] = 1.into();
        seven["wealth"].as_array_mut().unwrap().push(1.into());
        for strange in [more, seven] {
            let error = Seen::read("rank", &strange).unwrap_err();
            assert_eq!(
                (error.kind(), error.to_string()),
                (ErrorKind::Corrupt, "read the state of judge rank".to_owned())
            );
        }
    }
}
