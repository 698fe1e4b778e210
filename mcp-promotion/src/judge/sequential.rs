//! What the sequential judges share: an e-process that may be looked at after every window, and when it decides.

use std::time::Duration;

use mcp_core::{ErrorKind, SeamError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{JudgeError, Judgement, read_state};
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
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    /// Time watched in windows that counted, in microseconds.
    pub(super) watched_us: u64,
    /// Time since the last window that counted, in microseconds.
    pub(super) silent_us: u64,
    /// Windows that counted.
    pub(super) counted: u64,
    /// What each bet is worth, in millionths of a millionth; rounded down, which favours the release.
    pub(super) wealth: [u64; BETS],
    /// The verdict, once there is one.
    pub(super) verdict: Option<Verdict>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Pass,
    Fail,
}

impl Seen {
    /// Written by hand, as [`quick`](Self::quick) reads: a judge is asked in every window.
    pub(super) fn to_value(&self) -> Value {
        let verdict = match self.verdict {
            None => Value::Null,
            Some(Verdict::Pass) => Value::from("pass"),
            Some(Verdict::Fail) => Value::from("fail"),
        };
        let mut kept = serde_json::Map::new();
        kept.insert("counted".to_owned(), self.counted.into());
        kept.insert("silent_us".to_owned(), self.silent_us.into());
        kept.insert("verdict".to_owned(), verdict);
        kept.insert("watched_us".to_owned(), self.watched_us.into());
        kept.insert("wealth".to_owned(), Value::Array(self.wealth.map(Value::from).into()));
        Value::Object(kept)
    }

    /// Of a value as it writes one; `None` of any other, which is left to serde to read or to refuse.
    fn quick(value: &Value) -> Option<Self> {
        let fields = value.as_object().filter(|fields| fields.len() == 5)?;
        let wealth = fields.get("wealth")?.as_array().filter(|wealth| wealth.len() == BETS)?;
        let mut seen = Self {
            watched_us: fields.get("watched_us")?.as_u64()?,
            silent_us: fields.get("silent_us")?.as_u64()?,
            counted: fields.get("counted")?.as_u64()?,
            wealth: [0; BETS],
            verdict: match fields.get("verdict")? {
                Value::Null => None,
                Value::String(verdict) if verdict == "pass" => Some(Verdict::Pass),
                Value::String(verdict) if verdict == "fail" => Some(Verdict::Fail),
                _ => return None,
            },
        };
        for (wealth, value) in seen.wealth.iter_mut().zip(wealth) {
            *wealth = value.as_u64()?;
        }
        Some(seen)
    }

    pub(super) fn read(judge: &str, value: &Value) -> Result<Self, JudgeError> {
        Self::quick(value).map_or_else(|| read_state(judge, value), Ok)
    }

    /// The e-value, in millionths of a millionth: what the bets are worth, and the capital that was not yet put into them.
    ///
    /// Of a capital of 1, the share 1/((n + 1)(n + 2)) is put into the bets before the window after n windows: a mixture over the window
    /// in which a regression begins. So 1/(n + 1) is left, a long good start costs what was put in and no more, and the expectation stays
    /// 1 as long as each factor's is (an e-detector with a prior on the start, as in Shin, Ramdas and Rinaldo, arXiv 2203.03532).
    pub(super) fn evidence(&self) -> u64 {
        self.wealth
            .iter()
            .fold(ONE / self.counted.saturating_add(1), |sum, wealth| sum.saturating_add(*wealth))
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
        let after = self.counted.saturating_add(1);
        let share = ONE / after / after.saturating_add(1) / BETS as u64;
        for (wealth, factor) in self.wealth.iter_mut().zip(factors) {
            *wealth = times(wealth.saturating_add(share), *factor);
        }
        self.counted = after;
    }
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
        let reason = "its evidence and its verdict contradict each other";
        Err(SeamError::new(ErrorKind::Corrupt, format!("read the state of judge {}", self.judge))
            .with_source(reason))
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
