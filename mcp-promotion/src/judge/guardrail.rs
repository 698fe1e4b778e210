use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Judge, JudgeError, Judgement, read_state};
use crate::{Counts, Sample, Window, millis};

/// Fails a release whose canary instances exceed an error rate in several windows in a row.
///
/// A plain absolute limit: it asks whether the release is bad, not whether it is worse than the one before. An outage that hits both
/// fails it too; so it stands outside any declared budget of false rollbacks.
///
/// A window counts when its canary instances had at least `min_requests` requests. Windows that do not count neither continue nor end a
/// row of bad ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Guardrail {
    /// The highest share of requests that may fail, in parts per million; 10,000 (1%) by default.
    pub max_errors_ppm: u32,
    /// How many windows in a row must exceed it; 3 by default.
    pub consecutive: u32,
    /// How many requests a window needs to count; 1 by default.
    pub min_requests: u64,
    /// How many windows must count before it passes; 3 by default.
    pub min_windows: u32,
    /// How long the release must have been watched before it passes, in milliseconds; a minute by default.
    #[serde(rename = "bake_ms", with = "millis")]
    pub bake: Duration,
    /// After how long without a window that counts it gives up, in milliseconds; five minutes by default.
    #[serde(rename = "patience_ms", with = "millis")]
    pub patience: Duration,
}

impl Default for Guardrail {
    fn default() -> Self {
        Self {
            max_errors_ppm: 10_000,
            consecutive: 3,
            min_requests: 1,
            min_windows: 3,
            bake: Duration::from_secs(60),
            patience: Duration::from_secs(300),
        }
    }
}

/// What it keeps from window to window.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    /// Time watched, in microseconds: the sum of the windows, so that a clock that is set back or forth does not count.
    watched_us: u64,
    /// Time since the last window that counted, in microseconds.
    silent_us: u64,
    /// Windows that counted.
    counted: u32,
    /// Bad ones in a row, up to now.
    bad: u32,
}

impl Guardrail {
    /// Whether `counts` exceed the error rate; exact, in 128 bits.
    fn exceeded(&self, counts: &Counts) -> bool {
        u128::from(counts.bad()) * 1_000_000 > u128::from(self.max_errors_ppm) * u128::from(counts.total)
    }
}

impl Judge for Guardrail {
    fn judge(
        &self,
        state: &Value,
        window: Window,
        samples: &[Sample],
    ) -> Result<(Value, Judgement), JudgeError> {
        let mut seen: Seen = read_state("guardrail", state)?;
        let length = u64::try_from(window.length().as_micros()).unwrap_or(u64::MAX);
        seen.watched_us = seen.watched_us.saturating_add(length);
        // Samples that contradict themselves are no data.
        let counts = Counts::of(samples).map(|(canary, _)| canary).unwrap_or_default();
        let counted = counts.total >= self.min_requests.max(1);
        if counted {
            seen.silent_us = 0;
            seen.counted = seen.counted.saturating_add(1);
            seen.bad = if self.exceeded(&counts) { seen.bad.saturating_add(1) } else { 0 };
        } else {
            seen.silent_us = seen.silent_us.saturating_add(length);
        }
        let judgement = if counted && seen.bad >= self.consecutive.max(1) {
            let why = format!(
                "{} of {} requests failed, the {} window in a row above {} per million",
                counts.bad(),
                counts.total,
                Ordinal(seen.bad),
                self.max_errors_ppm
            );
            Judgement::Fail { why }
        } else if counted
            && seen.bad == 0
            && seen.counted >= self.min_windows.max(1)
            && u128::from(seen.watched_us) >= self.bake.as_micros()
        {
            Judgement::Pass
        } else if !counted && u128::from(seen.silent_us) >= self.patience.as_micros() {
            let why = format!(
                "no window of the last {} ms had {} requests; {} of {} windows counted so far",
                seen.silent_us / 1000,
                self.min_requests.max(1),
                seen.counted,
                self.min_windows.max(1)
            );
            Judgement::Inconclusive { why }
        } else {
            Judgement::Undecided
        };
        let kept = serde_json::json!({
            "watched_us": seen.watched_us, "silent_us": seen.silent_us, "counted": seen.counted, "bad": seen.bad,
        });
        Ok((kept, judgement))
    }
}

/// `1st`, `2nd`, `11th`.
struct Ordinal(u32);

impl std::fmt::Display for Ordinal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let suffix = match (self.0 % 10, self.0 % 100) {
            (1, last) if last != 11 => "st",
            (2, last) if last != 12 => "nd",
            (3, last) if last != 13 => "rd",
            _ => "th",
        };
        write!(f, "{}{suffix}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use mcp_core::Timestamp;

    use super::*;

    /// The judgements over windows of ten seconds; `None` is a window without data.
    fn judgements(guardrail: &Guardrail, windows: &[Option<(u64, u64)>]) -> Vec<String> {
        let mut state = Value::Null;
        let mut shown = Vec::new();
        let mut from = Timestamp::UNIX_EPOCH;
        for window in windows {
            let to = from.saturating_add(Duration::from_secs(10));
            let samples: Vec<Sample> =
                window.iter().map(|(good, total)| Sample::canary("a", *good, *total)).collect();
            let (kept, judgement) = guardrail.judge(&state, Window { from, to }, &samples).unwrap();
            (state, from) = (kept, to);
            shown.push(judgement.to_string());
        }
        shown
    }

    fn rail() -> Guardrail {
        Guardrail { bake: Duration::from_secs(30), patience: Duration::from_secs(20), ..Guardrail::default() }
    }

    const GOOD: Option<(u64, u64)> = Some((100, 100));
    const BAD: Option<(u64, u64)> = Some((98, 100));

    #[test]
    fn it_passes_after_the_bake_time_with_enough_windows_and_no_earlier() {
        assert_eq!(judgements(&rail(), &[GOOD, GOOD, GOOD]), ["undecided", "undecided", "pass"]);
        let slow = Guardrail { min_windows: 4, ..rail() };
        assert_eq!(
            judgements(&slow, &[GOOD, GOOD, GOOD, GOOD]),
            ["undecided", "undecided", "undecided", "pass"]
        );
    }

    #[test]
    fn it_fails_only_after_enough_bad_windows_in_a_row() {
        let last = |windows: &[_]| judgements(&rail(), windows).pop().unwrap();
        let failed = "fail: 2 of 100 requests failed, the 3rd window in a row above 10000 per million";
        assert_eq!(last(&[BAD, BAD, BAD]), failed);
        assert_eq!(last(&[BAD, BAD, GOOD, BAD, BAD]), "undecided");
        assert_eq!(last(&[BAD, BAD, None, BAD]), failed, "silence does not excuse");
        assert_eq!(last(&[Some((99, 100)), Some((99, 100)), Some((99, 100))]), "pass", "exactly the limit");
    }

    #[test]
    fn no_data_is_never_a_pass() {
        let silent = judgements(&rail(), &[None; 6]);
        assert_eq!(silent.first().unwrap(), "undecided");
        assert!(silent.iter().skip(1).all(|shown| shown.starts_with("inconclusive: no window of the last")));
        let idle = judgements(&rail(), &[Some((0, 0)); 3]);
        assert!(idle.iter().all(|shown| shown != "pass"), "{idle:?}");
        let lies = judgements(&rail(), &[Some((5, 1)); 3]);
        assert!(lies.iter().all(|shown| shown != "pass"), "{lies:?}");
    }

    #[test]
    fn it_does_not_pass_while_a_row_of_bad_windows_is_open() {
        assert_eq!(judgements(&rail(), &[GOOD, GOOD, GOOD, BAD][1..]).pop().unwrap(), "undecided");
    }

    #[test]
    fn a_state_that_is_not_its_own_is_refused() {
        let window = Window { from: Timestamp::UNIX_EPOCH, to: Timestamp::UNIX_EPOCH };
        let error = rail().judge(&serde_json::json!({"seen": 1}), window, &[]).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (mcp_core::ErrorKind::Corrupt, "read the state of judge guardrail")
        );
    }
}
