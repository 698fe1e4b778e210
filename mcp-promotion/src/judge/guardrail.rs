use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::burn::{Burn, Past};
use super::count::is_one;
use super::{Judge, JudgeError, Judgement, read_state};
use crate::{Arm, Counts, Latencies, Sample, Window, millis};

/// Fails a release whose canary instances exceed a limit in several windows in a row: an error rate, or what [`Limit`] says.
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
    /// The highest share of requests that may fail, in parts per million; 10,000 (1%) by default, less than 1,000,000.
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
    /// What is limited; the error rate by default.
    #[serde(skip_serializing_if = "Limit::is_errors")]
    pub limit: Limit,
    /// How many canary instances must report what is limited for a window to count; 1 by default.
    #[serde(skip_serializing_if = "is_one")]
    pub min_instances: u32,
}

/// What a [`Guardrail`] limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Limit {
    /// The share of requests that fail: `max_errors_ppm`.
    #[default]
    Errors,
    /// The time within which so many millionths of the canary's requests are done, all instances together.
    Latency {
        /// How many millionths; 990,000 is the 99th percentile.
        quantile_ppm: u32,
        /// The longest time allowed, in microseconds; times are known to 1/16.
        max_us: u64,
    },
    /// The mean over the canary instances of the number of this name; a window counts with however few requests.
    Number {
        /// Which number.
        name: String,
        /// The largest mean allowed.
        max: f64,
    },
    /// How fast the error budget `max_errors_ppm` is used up: exceeded when any of these is; from 1 to 8, such as [`Burn::FAST`] and
    /// [`Burn::SLOW`]. With a budget of 0.1% set `max_errors_ppm` to 1,000, and `consecutive` to 1.
    Burn(Vec<Burn>),
}

impl Limit {
    const fn is_errors(&self) -> bool {
        matches!(self, Self::Errors)
    }
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
            limit: Limit::Errors,
            min_instances: 1,
        }
    }
}

/// What it keeps from window to window.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    /// Time watched, in microseconds: the sum of the windows, each at most twice as long as the policy says, so that neither a clock that is
    /// set back or forth nor an outage of the driver counts.
    watched_us: u64,
    /// Time since the last window that counted, in microseconds.
    silent_us: u64,
    /// Windows that counted.
    counted: u32,
    /// Bad ones in a row, up to now.
    bad: u32,
    /// What was counted lately, for a limit on how fast a budget is used up.
    #[serde(default, skip_serializing_if = "Past::is_empty")]
    past: Past,
}

/// What one window says.
enum Reading {
    /// Too little.
    Nothing,
    Within,
    /// What exceeded the limit, and the limit.
    Beyond(String, String),
}

impl Guardrail {
    /// Whether `counts` exceed the error rate; exact, in 128 bits.
    fn exceeded(&self, counts: &Counts) -> bool {
        u128::from(counts.bad()) * 1_000_000 > u128::from(self.max_errors_ppm) * u128::from(counts.total)
    }

    /// What a window says. Samples that contradict themselves are no data.
    fn read(&self, seen: &mut Seen, length: u64, samples: &[Sample]) -> Reading {
        let Ok((counts, _)) = Counts::of(samples) else {
            return Reading::Nothing;
        };
        let canaries = || samples.iter().filter(|sample| sample.arm == Arm::Canary);
        let enough = |instances: usize, requests: u64| {
            instances >= self.min_instances.max(1) as usize && requests >= self.min_requests.max(1)
        };
        let beyond = |is: bool, what: &dyn Fn() -> (String, String)| {
            let (what, limit) = if is { what() } else { return Reading::Within };
            Reading::Beyond(what, limit)
        };
        let counted = || enough(canaries().filter(|sample| sample.total > 0).count(), counts.total);
        match &self.limit {
            Limit::Errors if counted() => beyond(self.exceeded(&counts), &|| {
                let what = format!("{} of {} requests failed", counts.bad(), counts.total);
                (what, format!("{} per million", self.max_errors_ppm))
            }),
            Limit::Burn(burns) if counted() => {
                let longest = burns.iter().map(|burn| burn.long.max(burn.short)).max().unwrap_or_default();
                seen.past.add(length, &counts, u64::try_from(longest.as_micros()).unwrap_or(u64::MAX));
                let burnt = burns.iter().find(|burn| burn.exceeded(&seen.past, self.max_errors_ppm));
                burnt.map_or(Reading::Within, |burn| {
                    let what = format!(
                        "an error budget of {} per million was burnt over {:?} and over {:?}",
                        self.max_errors_ppm, burn.long, burn.short
                    );
                    Reading::Beyond(what, format!("{} times what is sustainable", Times(burn.rate_ppm)))
                })
            }
            Limit::Latency { quantile_ppm, max_us } => {
                let (mut all, mut instances) = (Latencies::new(), 0);
                for latencies in canaries().filter_map(|sample| sample.latencies.as_ref()) {
                    all.merge(latencies);
                    instances += usize::from(latencies.count() > 0);
                }
                let took = all.quantile(*quantile_ppm).filter(|_| enough(instances, all.count()));
                took.map_or(Reading::Nothing, |took| {
                    beyond(took > *max_us, &|| {
                        let what = format!(
                            "{quantile_ppm} per million of {} requests took up to {took} us",
                            all.count()
                        );
                        (what, format!("{max_us} us"))
                    })
                })
            }
            Limit::Number { name, max } => {
                let (mut mean, mut instances) = (0.0, 0.0);
                for number in canaries().filter_map(|sample| sample.numbers.get(name)) {
                    instances += 1.0;
                    mean += (number - mean) / instances;
                }
                if instances < f64::from(self.min_instances.max(1)) {
                    return Reading::Nothing;
                }
                beyond(mean > *max, &|| (format!("{name} was {mean}"), max.to_string()))
            }
            Limit::Errors | Limit::Burn(_) => Reading::Nothing,
        }
    }

    pub(crate) fn contradiction(&self) -> Option<String> {
        let quantile = |ppm: u32| (1..=1_000_000).contains(&ppm);
        match &self.limit {
            Limit::Errors if self.max_errors_ppm >= 1_000_000 => {
                Some(format!("max_errors_ppm of {} is never exceeded", self.max_errors_ppm))
            }
            Limit::Latency { quantile_ppm, .. } if !quantile(*quantile_ppm) => {
                Some(format!("quantile_ppm of {quantile_ppm} is not between 1 and 1000000"))
            }
            Limit::Number { name, max } if !max.is_finite() => {
                Some(format!("a limit of {max} for {name} is none"))
            }
            Limit::Burn(burns) if burns.is_empty() || burns.len() > 8 => {
                Some(format!("{} burn rates are not between 1 and 8", burns.len()))
            }
            Limit::Burn(burns) if burns.iter().any(|burn| burn.short.is_zero() || burn.short > burn.long) => {
                Some("the short span of a burn rate is not between nothing and the long one".to_owned())
            }
            Limit::Burn(burns) if !burns.iter().any(|burn| burn.can_exceed(self.max_errors_ppm)) => {
                Some(format!("max_errors_ppm of {} is never burnt that fast", self.max_errors_ppm))
            }
            _ => [("bake", self.bake), ("patience", self.patience)].into_iter().find_map(
                |(field, duration)| {
                    let whole = duration.subsec_nanos().is_multiple_of(1_000_000);
                    (!whole).then(|| format!("{field} of {duration:?} is not a whole number of milliseconds"))
                },
            ),
        }
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
        let reading = self.read(&mut seen, length, samples);
        if let Reading::Nothing = reading {
            seen.silent_us = seen.silent_us.saturating_add(length);
        } else {
            seen.silent_us = 0;
            seen.counted = seen.counted.saturating_add(1);
        }
        let judgement = match reading {
            Reading::Beyond(what, limit) => {
                seen.bad = seen.bad.saturating_add(1);
                if seen.bad >= self.consecutive.max(1) {
                    let why = format!("{what}, the {} window in a row above {limit}", Ordinal(seen.bad));
                    Judgement::Fail { why }
                } else {
                    Judgement::Undecided
                }
            }
            Reading::Within => {
                seen.bad = 0;
                if seen.counted >= self.min_windows.max(1)
                    && u128::from(seen.watched_us) >= self.bake.as_micros()
                {
                    Judgement::Pass
                } else {
                    Judgement::Undecided
                }
            }
            Reading::Nothing if u128::from(seen.silent_us) >= self.patience.as_micros() => {
                let needed = match &self.limit {
                    Limit::Errors | Limit::Burn(_) => format!("{} requests", self.min_requests.max(1)),
                    Limit::Latency { .. } => format!("latencies of {} requests", self.min_requests.max(1)),
                    Limit::Number { name, .. } => format!("the number {name:?}"),
                };
                let instances = match self.min_instances {
                    0 | 1 => String::new(),
                    instances => format!(" of {instances} instances"),
                };
                let why = format!(
                    "no window of the last {} ms had {needed}{instances}; {} of {} windows counted so far",
                    seen.silent_us / 1000,
                    seen.counted,
                    self.min_windows.max(1)
                );
                Judgement::Inconclusive { why }
            }
            Reading::Nothing => Judgement::Undecided,
        };
        let mut kept = serde_json::json!({
            "watched_us": seen.watched_us, "silent_us": seen.silent_us, "counted": seen.counted, "bad": seen.bad,
        });
        if let (Some(kept), false) = (kept.as_object_mut(), seen.past.is_empty()) {
            let past = serde_json::to_value(&seen.past).map_err(|error| {
                let context = "write the state of judge guardrail";
                mcp_core::SeamError::new(mcp_core::ErrorKind::Internal, context).with_source(error)
            })?;
            kept.insert("past".to_owned(), past);
        }
        Ok((kept, judgement))
    }
}

/// Millionths as a number such as `14.4`.
struct Times(u64);

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = format!("{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000);
        f.write_str(digits.trim_end_matches('0').trim_end_matches('.'))
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

    fn last_said(rail: &Guardrail, windows: &[Vec<Sample>]) -> String {
        let (mut state, mut last) = (Value::Null, Judgement::Undecided);
        let window = Window { from: Timestamp::UNIX_EPOCH, to: Timestamp::from_micros(60_000_000) };
        for samples in windows {
            // Through text, as in the journal.
            let read: Value = serde_json::from_str(&state.to_string()).unwrap();
            (state, last) = rail.judge(&read, window, samples).unwrap();
        }
        last.to_string()
    }

    #[test]
    fn a_limit_on_latency_looks_at_all_canary_instances_together_and_at_no_others() {
        let rail = Guardrail { limit: Limit::Latency { quantile_ppm: 990_000, max_us: 20_000 }, ..rail() };
        let slow = |micros| vec![(1000, 985), (micros, 15)].into();
        let window = |micros| {
            let fast = Sample::canary("b", 0, 0).latencies(vec![(1000, 1000)].into());
            vec![
                Sample::canary("a", 0, 0).latencies(slow(micros)),
                fast,
                Sample::baseline("c", 9, 9).latencies(slow(u64::MAX)),
            ]
        };
        assert_eq!(
            last_said(&rail, &[window(900_000), window(900_000), window(900_000)]),
            "pass",
            "15 of 2,000"
        );
        let alone = |micros| vec![window(micros)[0].clone()];
        assert_eq!(
            last_said(&rail, &vec![alone(30_000); 3]),
            "fail: 990000 per million of 1000 requests took up to 30719 us, the 3rd window in a row above 20000 us"
        );
        let none = vec![vec![Sample::canary("a", 100, 100)]; 3];
        assert!(
            last_said(&rail, &none)
                .starts_with("inconclusive: no window of the last 180000 ms had latencies of 1 requests")
        );
    }

    #[test]
    fn a_limit_on_a_number_is_on_the_mean_of_the_canary_instances() {
        let limit = Limit::Number { name: "heap".to_owned(), max: 10.0 };
        let rail = Guardrail { limit, min_instances: 2, ..rail() };
        let window = |one: f64, other: f64| {
            vec![
                Sample::canary("a", 0, 0).number("heap", one),
                Sample::canary("b", 0, 0).number("heap", other),
            ]
        };
        assert_eq!(last_said(&rail, &vec![window(1.0, 19.0); 3]), "pass");
        assert_eq!(
            last_said(&rail, &vec![window(2.0, 19.0); 3]),
            "fail: heap was 10.5, the 3rd window in a row above 10"
        );
        let one = vec![window(99.0, 0.0)[..1].to_vec(); 3];
        assert!(last_said(&rail, &one).starts_with("inconclusive"), "too few instances");
    }

    #[test]
    fn a_burn_rate_fails_while_each_window_alone_would_be_far_from_it_and_goes_through_the_journal() {
        let rail = Guardrail {
            max_errors_ppm: 1000,
            consecutive: 1,
            bake: Duration::from_secs(2 * 3600),
            limit: Limit::Burn(vec![Burn::FAST, Burn::SLOW]),
            ..Guardrail::default()
        };
        let window = vec![Sample::canary("a", 900, 1000)];
        assert_eq!(last_said(&rail, &vec![window.clone(); 8]), "undecided");
        assert_eq!(
            last_said(&rail, &vec![window; 9]),
            "fail: an error budget of 1000 per million was burnt over 3600s and over 300s, the 1st window in a row above 14.4 times what \
             is sustainable"
        );
        assert_eq!(last_said(&rail, &vec![vec![Sample::canary("a", 999, 1000)]; 120]), "pass");
    }

    #[test]
    fn a_guardrail_on_errors_reads_and_writes_as_before_there_were_other_limits() {
        let json = serde_json::to_string(&Guardrail::default()).unwrap();
        assert!(!json.contains("limit") && !json.contains("min_instances"), "{json}");
        let read: Guardrail =
            serde_json::from_str(r#"{"limit":{"number":{"name":"heap","max":1.5}}}"#).unwrap();
        assert_eq!(read.limit, Limit::Number { name: "heap".to_owned(), max: 1.5 });
        let state = rail().judge(
            &Value::Null,
            Window { from: Timestamp::UNIX_EPOCH, to: Timestamp::UNIX_EPOCH },
            &[],
        );
        assert_eq!(state.unwrap().0.to_string(), r#"{"bad":0,"counted":0,"silent_us":0,"watched_us":0}"#);
    }

    #[test]
    fn limits_that_cannot_be_obeyed_are_named() {
        let why = |limit| Guardrail { limit, ..Guardrail::default() }.contradiction().unwrap();
        assert_eq!(
            why(Limit::Latency { quantile_ppm: 0, max_us: 1 }),
            "quantile_ppm of 0 is not between 1 and 1000000"
        );
        assert_eq!(
            why(Limit::Number { name: "heap".to_owned(), max: f64::NAN }),
            "a limit of NaN for heap is none"
        );
        assert_eq!(why(Limit::Burn(Vec::new())), "0 burn rates are not between 1 and 8");
        let upside_down = Burn { long: Burn::FAST.short, short: Burn::FAST.long, rate_ppm: 1 };
        assert_eq!(
            why(Limit::Burn(vec![upside_down])),
            "the short span of a burn rate is not between nothing and the long one"
        );
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
