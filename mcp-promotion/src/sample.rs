use std::collections::BTreeMap;
use std::time::Duration;

use mcp_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Latencies;

/// A span of time over which a stage counts; `from` is part of it, `to` is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// Where it begins.
    pub from: Timestamp,
    /// Where it ends.
    pub to: Timestamp,
}

impl Window {
    /// How long it is; zero when it ends before it begins.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.to.saturating_since(self.from)
    }
}

/// Which of the two groups of instances a sample comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// Runs the new release.
    Canary,
    /// Runs the previous one at the same time, for comparison.
    Baseline,
}

/// What one instance counted in one window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sample {
    /// Which instance.
    pub instance: String,
    /// Which group it belongs to.
    pub arm: Arm,
    /// How many of its requests went well.
    pub good: u64,
    /// How many requests it had; never less than `good`.
    pub total: u64,
    /// Until when it was counted, where the host knows: a sample that ends no later than its window begins is stale and left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Further numbers by name, such as memory in use; larger is worse. None by default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<String, f64>,
    /// How long its requests took, where that was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latencies: Option<Latencies>,
}

impl Sample {
    /// Of an instance that runs the new release.
    #[must_use]
    pub fn canary(instance: impl Into<String>, good: u64, total: u64) -> Self {
        Self::of(instance.into(), Arm::Canary, good, total)
    }

    /// Of an instance that runs the previous release at the same time.
    #[must_use]
    pub fn baseline(instance: impl Into<String>, good: u64, total: u64) -> Self {
        Self::of(instance.into(), Arm::Baseline, good, total)
    }

    const fn of(instance: String, arm: Arm, good: u64, total: u64) -> Self {
        Self { instance, arm, good, total, at: None, numbers: BTreeMap::new(), latencies: None }
    }

    /// Counted until then.
    #[must_use]
    pub const fn at(mut self, at: Timestamp) -> Self {
        self.at = Some(at);
        self
    }

    /// With one number more.
    #[must_use]
    pub fn number(mut self, name: impl Into<String>, value: f64) -> Self {
        self.numbers.insert(name.into(), value);
        self
    }

    /// With how long its requests took.
    #[must_use]
    pub fn latencies(mut self, latencies: Latencies) -> Self {
        self.latencies = Some(latencies);
        self
    }

    /// Whether it says nothing about `window`, because it was counted before.
    #[must_use]
    pub fn is_stale(&self, window: Window) -> bool {
        self.at.is_some_and(|at| at <= window.from)
    }
}

/// The sum of some samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// How many instances there were.
    pub instances: u64,
    /// How many requests went well.
    pub good: u64,
    /// How many requests there were.
    pub total: u64,
}

impl Counts {
    /// The most samples that one window may have.
    pub const MAX_SAMPLES: usize = 10_000;

    /// The sums of both groups.
    ///
    /// # Errors
    /// Why the samples cannot be believed: more good requests than requests, a number that is none, more than
    /// [`MAX_SAMPLES`](Self::MAX_SAMPLES), or sums that do not fit.
    pub fn of(samples: &[Sample]) -> Result<(Self, Self), String> {
        if samples.len() > Self::MAX_SAMPLES {
            return Err(format!("{} samples, at most {} are taken", samples.len(), Self::MAX_SAMPLES));
        }
        let (mut canary, mut baseline) = (Self::default(), Self::default());
        for sample in samples {
            if sample.good > sample.total {
                let shown: String = sample.instance.chars().take(60).collect();
                return Err(format!("{} of {} requests of {shown:?} went well", sample.good, sample.total));
            }
            if let Some((name, number)) = sample.numbers.iter().find(|(_, number)| !number.is_finite()) {
                let shown: String = name.chars().take(60).collect();
                return Err(format!("{shown:?} of an instance is {number}"));
            }
            let counts = match sample.arm {
                Arm::Canary => &mut canary,
                Arm::Baseline => &mut baseline,
            };
            let total = counts.total.checked_add(sample.total);
            counts.total = total.ok_or("the number of requests does not fit into 64 bits")?;
            // No more than the total, which fits.
            counts.good = counts.good.saturating_add(sample.good);
            counts.instances = counts.instances.saturating_add(1);
        }
        Ok((canary, baseline))
    }

    /// How many requests went wrong.
    #[must_use]
    pub const fn bad(&self) -> u64 {
        self.total.saturating_sub(self.good)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_that_cannot_be_are_refused_with_the_reason() {
        let lie = Counts::of(&[Sample::canary("a", 2, 1)]).unwrap_err();
        assert_eq!(lie, "2 of 1 requests of \"a\" went well");
        let huge = Counts::of(&[Sample::canary("a", 0, u64::MAX), Sample::canary("b", 0, 1)]).unwrap_err();
        assert_eq!(huge, "the number of requests does not fit into 64 bits");
        let nothing = Counts::of(&[Sample::canary("a", 1, 1).number("load", f64::NAN)]).unwrap_err();
        assert_eq!(nothing, "\"load\" of an instance is NaN");
        let many = vec![Sample::canary("a", 0, 0); Counts::MAX_SAMPLES + 1];
        assert_eq!(Counts::of(&many).unwrap_err(), "10001 samples, at most 10000 are taken");
    }

    #[test]
    fn a_sample_that_ends_where_its_window_begins_is_stale() {
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
        let window = Window { from: at(60), to: at(120) };
        let stale = [59, 60, 61, 500].map(|second| Sample::canary("a", 1, 1).at(at(second)).is_stale(window));
        assert_eq!(stale, [true, true, false, false]);
        assert!(!Sample::canary("a", 1, 1).is_stale(window));
    }

    #[test]
    fn a_sample_without_further_numbers_reads_and_writes_as_before_there_were_any() {
        let json = r#"{"instance":"a","arm":"canary","good":1,"total":2}"#;
        let sample: Sample = serde_json::from_str(json).unwrap();
        assert_eq!(sample, Sample::canary("a", 1, 2));
        assert_eq!(serde_json::to_string(&sample).unwrap(), json);
    }

    #[test]
    fn the_two_groups_are_summed_apart() {
        let samples = [Sample::canary("a", 1, 2), Sample::baseline("b", 3, 3), Sample::baseline("c", 4, 5)];
        let expected =
            (Counts { instances: 1, good: 1, total: 2 }, Counts { instances: 2, good: 7, total: 8 });
        assert_eq!(Counts::of(&samples).unwrap(), expected);
    }
}
