use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bet::{MAX_BLOCK, bet};
use super::sequential::{BETS, Terms};
use super::thin::{Level, kept};
use super::{Judge, JudgeError, Judgement};
use crate::{Arm, Counts, Sample, Window, millis};

/// Fails a release whose canary instances have higher error rates than the baseline instances of the same windows.
///
/// A sequential test on ranks: in each window, the error rates of all instances are put in order, and bets are won when the canary's stand
/// near the end. As long as the instances of a window are exchangeable (the new release is no worse, and no instance differs from the
/// others in traffic or machine in a way that moves its rate), each set of places is equally likely for the canary, whatever hits all
/// instances at once and however errors cluster; so a release that is no worse is failed with a probability of at most `alpha_ppm`, over
/// all windows together.
///
/// The rate of an instance with fewer requests scatters more. So where the numbers of requests differ by more than 5%, as many requests are
/// drawn from each instance as the smallest one has, by numbers that depend on the window and the name of the instance alone: a replay gives
/// the same. An instance with less than half the requests of the middle one of its group sits out, as long as enough remain. About the same
/// traffic for all instances therefore finds a regression soonest.
///
/// A window counts when at least `min_canaries` and `min_baselines` instances had `min_requests` each; the others are left out of it, and
/// instances may come and go from window to window. A verdict is terminal.
///
/// # The algorithm
/// With N instances, the bet of exponent a in {2, 4, 8, 16, 32} on a set of places is proportional to the product of (place / N)^(a - 1)
/// over it, scaled to mean 1 over all sets of that size; tied instances give the mean over all orders of them, so that no random
/// numbers are needed. Of more than 16 canary instances, every 16 in the order of their names bet alone, and the mean counts. Test by
/// betting: Vovk and others, arXiv 2006.02329; its use for releases: Netflix, arXiv 2205.14762.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RankTest {
    /// The budget of false rollbacks: how many of a million releases that are no worse may be failed; 10,000 (1%) by default, from 1 to
    /// 500,000.
    pub alpha_ppm: u32,
    /// How many millionths of the baseline's error rate still count as no worse; 1,000,000 (just as high) by default. With 1,250,000 a
    /// quarter more is tolerated: of the canary's failures each is then counted with a probability of four fifths, by numbers that depend
    /// on the window and the instance alone, which keeps the budget also where failures are few. Latencies and numbers of the baseline are
    /// multiplied instead.
    pub margin_ppm: u32,
    /// How many requests an instance needs in a window to take part in it; 1 by default.
    pub min_requests: u64,
    /// How many canary instances a window needs to count; 1 by default. More keep one bad machine from failing a release.
    pub min_canaries: u32,
    /// How many baseline instances a window needs to count; 3 by default. With n of them, one window can multiply the evidence by no more
    /// than n + 1 for each canary instance.
    pub min_baselines: u32,
    /// How many windows must count before it passes; 3 by default.
    pub min_windows: u32,
    /// How long the release must have been watched before it passes, in milliseconds, in windows that count; 30 minutes by default.
    #[serde(rename = "bake_ms", with = "millis")]
    pub bake: Duration,
    /// After how long without a window that counts it gives up, in milliseconds; five minutes by default.
    #[serde(rename = "patience_ms", with = "millis")]
    pub patience: Duration,
    /// What is compared; the error rate by default. Several can be compared under one budget by [`Together`](crate::Together).
    #[serde(skip_serializing_if = "Metric::is_errors")]
    pub metric: Metric,
}

/// What the rank judge puts in order; larger is worse.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// The share of requests that failed.
    #[default]
    Errors,
    /// The time within which so many millionths of an instance's requests were done; only instances take part that report latencies.
    Latency {
        /// How many millionths; 990,000 is the 99th percentile.
        quantile_ppm: u32,
    },
    /// The number of this name; only instances take part that report it, with however few requests. A margin is meant for numbers from 0.
    Number(String),
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errors => f.write_str("errors"),
            Self::Latency { quantile_ppm } => write!(f, "the {quantile_ppm} per million latency"),
            Self::Number(name) => write!(f, "{name}"),
        }
    }
}

impl Metric {
    pub(crate) const fn is_errors(&self) -> bool {
        matches!(self, Self::Errors)
    }
}

impl Default for RankTest {
    fn default() -> Self {
        Self {
            alpha_ppm: 10_000,
            margin_ppm: 1_000_000,
            min_requests: 1,
            min_canaries: 1,
            min_baselines: 3,
            min_windows: 3,
            bake: Duration::from_secs(30 * 60),
            patience: Duration::from_secs(300),
            metric: Metric::Errors,
        }
    }
}

impl RankTest {
    /// The e-value in `state`: how many times the capital has multiplied that was bet against the release, 1 before the first window. It
    /// fails at a million / `alpha_ppm`.
    ///
    /// # Errors
    /// `Corrupt` when `state` is not one of its own.
    pub fn evidence(&self, state: &Value) -> Result<f64, JudgeError> {
        self.terms().evidence(state)
    }

    pub(crate) fn contradiction(&self) -> Option<String> {
        if let Metric::Latency { quantile_ppm } = self.metric
            && !(1..=1_000_000).contains(&quantile_ppm)
        {
            return Some(format!("quantile_ppm of {quantile_ppm} is not between 1 and 1000000"));
        }
        self.terms().contradiction(self.margin_ppm)
    }

    pub(super) fn terms(&self) -> Terms {
        Terms {
            judge: "rank",
            alpha_ppm: self.alpha_ppm,
            min_windows: self.min_windows,
            bake: self.bake,
            patience: self.patience,
        }
    }

    /// What the window multiplies each bet by, or why it does not count.
    pub(super) fn factors(&self, window: Window, samples: &[Sample]) -> Result<[f64; BETS], String> {
        Counts::of(samples)?;
        let level = self.level(samples);
        let mut canary = Vec::with_capacity(samples.len());
        let mut baseline = Vec::with_capacity(samples.len());
        for sample in samples {
            if let Some(value) = self.value(sample, window, &level) {
                match sample.arm {
                    Arm::Canary => canary.push((sample, value)),
                    Arm::Baseline => baseline.push(value),
                }
            }
        }
        if canary.len() < self.min_canaries.max(1) as usize
            || baseline.len() < self.min_baselines.max(1) as usize
        {
            let what = match &self.metric {
                Metric::Errors => format!("{} requests", self.min_requests.max(1)),
                Metric::Latency { .. } => format!("latencies of {} requests", self.min_requests.max(1)),
                Metric::Number(name) => format!("the number {name:?}"),
            };
            return Err(format!(
                "{} canary and {} baseline instances with {what}, and needed {} and {}",
                canary.len(),
                baseline.len(),
                self.min_canaries.max(1),
                self.min_baselines.max(1)
            ));
        }
        if canary.len() > MAX_BLOCK {
            canary.sort_unstable_by(|(a, value), (b, other)| {
                a.instance.cmp(&b.instance).then(value.total_cmp(other))
            });
        }
        let mut mean = [0.0; BETS];
        let mut blocks = 0.0;
        for block in canary.chunks(MAX_BLOCK) {
            let mut values = [0.0; MAX_BLOCK];
            for (value, (_, of)) in values.iter_mut().zip(block) {
                *value = *of;
            }
            blocks += 1.0;
            let values = values.get_mut(..block.len()).unwrap_or_default();
            for (mean, factor) in mean.iter_mut().zip(bet(values, &baseline)) {
                *mean += (factor - *mean) / blocks;
            }
        }
        Ok(mean)
    }

    /// To how many requests the instances are thinned.
    fn level(&self, samples: &[Sample]) -> Level {
        if let Some(level) = Level::of_alike(samples.iter().filter_map(|sample| self.requests(sample))) {
            return level;
        }
        let (mut canary, mut baseline) =
            (Vec::with_capacity(samples.len()), Vec::with_capacity(samples.len()));
        for sample in samples {
            if let Some(requests) = self.requests(sample) {
                let group = if sample.arm == Arm::Canary { &mut canary } else { &mut baseline };
                group.push(requests);
            }
        }
        let needed = (self.min_canaries.max(1) as usize, self.min_baselines.max(1) as usize);
        Level::of(&mut canary, &mut baseline, needed)
    }

    /// On how many requests the value of an instance rests; `None` where it takes no part, or its value rests on none.
    fn requests(&self, sample: &Sample) -> Option<u64> {
        let requests = match &self.metric {
            Metric::Errors => sample.total,
            Metric::Latency { .. } => sample.latencies.as_ref()?.count(),
            Metric::Number(_) => return None,
        };
        (requests >= self.min_requests.max(1)).then_some(requests)
    }

    /// What is compared of an instance, the margin within; `None` where it takes no part.
    #[expect(clippy::cast_precision_loss, reason = "any statistic will do that treats all instances alike")]
    fn value(&self, sample: &Sample, window: Window, level: &Level) -> Option<f64> {
        let margin = self.margin_ppm.max(1);
        // Scaled alike where there is no margin, so that equal values tie.
        let scale_ppm = if sample.arm == Arm::Canary { 1_000_000 } else { margin };
        if let Metric::Number(name) = &self.metric {
            // Clamped, so that what does not fit any more still ties. Neither -0 nor NaN comes out of it.
            let scaled =
                |number: &f64| (number * (f64::from(scale_ppm) / 1e9)).clamp(f64::MIN, f64::MAX) + 0.0;
            return sample.numbers.get(name).map(scaled);
        }
        let requests = self.requests(sample)?;
        if level.sits_out(requests, sample.arm == Arm::Canary) {
            return None;
        }
        let Metric::Latency { quantile_ppm } = self.metric else {
            let (bad, total) = level.counts(sample, window);
            let share = if sample.arm == Arm::Canary { (1_000_000, margin) } else { (margin, 1_000_000) };
            return Some(rate(kept(sample, window, bad, share), total));
        };
        let latencies = sample.latencies.as_ref()?;
        let thinned = level.latencies(sample, latencies, window);
        let micros = thinned.as_ref().unwrap_or(latencies).quantile(quantile_ppm)?;
        Some(micros as f64 * f64::from(scale_ppm))
    }
}

impl Judge for RankTest {
    fn judge(
        &self,
        state: &Value,
        window: Window,
        samples: &[Sample],
    ) -> Result<(Value, Judgement), JudgeError> {
        self.terms().judge(state, window, self.factors(window, samples))
    }
}

/// So many failed of so many. Never NaN, because there were requests; and equal for equal fractions, because division
/// rounds correctly.
#[expect(clippy::cast_precision_loss, reason = "any statistic will do that treats all instances alike")]
fn rate(bad: u64, total: u64) -> f64 {
    bad as f64 / total as f64
}

#[cfg(test)]
mod tests {
    use mcp_core::Timestamp;
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Window = Window { from: Timestamp::UNIX_EPOCH, to: Timestamp::from_micros(60_000_000) };

    fn canary(bad: u64) -> Sample {
        Sample::canary("c", 100 - bad, 100)
    }

    fn baseline(bad: u64) -> Sample {
        Sample::baseline("b", 100 - bad, 100)
    }

    fn easy() -> RankTest {
        RankTest { min_baselines: 1, ..RankTest::default() }
    }

    fn close(seen: [f64; BETS], expected: [f64; BETS]) {
        for (seen, expected) in seen.iter().zip(expected) {
            assert!((seen - expected).abs() < 1e-12 * expected.abs().max(1.0), "{seen} is not {expected}");
        }
    }

    #[test]
    fn the_factors_of_one_canary_are_those_worked_out_by_hand() {
        // Of the places 1/4, 2/4, 3/4, 1 the means are 10/16, 100/256, (1 + 2^7 + 3^7 + 4^7)/4^8, ...
        let powers = |place: f64| [1, 3, 7, 15, 31].map(|power| (place / 4.0).powi(power));
        let mean: Vec<f64> = (0..BETS)
            .map(|at| [1.0, 2.0, 3.0, 4.0].map(|place| powers(place)[at]).iter().sum::<f64>() / 4.0)
            .collect();
        assert_eq!(mean[0], 0.625);
        let place = |place: f64| std::array::from_fn(|at| powers(place)[at] / mean[at]);
        let factors = |bad: u64, others: [u64; 3]| {
            let samples: Vec<Sample> = [canary(bad)].into_iter().chain(others.map(baseline)).collect();
            easy().factors(MINUTE, &samples).unwrap()
        };
        close(factors(9, [1, 2, 3]), place(4.0));
        close(factors(0, [1, 2, 3]), place(1.0));
        let tied = std::array::from_fn(|at| (powers(2.0)[at] + powers(3.0)[at]) / 2.0 / mean[at]);
        close(factors(2, [1, 2, 3]), tied);
        close(factors(0, [0, 0, 0]), [1.0; BETS]);
        assert_eq!(factors(9, [1, 2, 3])[0], 1.6);
    }

    #[test]
    fn the_factors_of_two_canaries_are_those_worked_out_by_hand() {
        // The six pairs of places of 1/4, 2/4, 3/4, 1 have products 2, 3, 4, 6, 8, 12 sixteenths, with a mean of 35/6.
        let samples = [canary(5), canary(6), baseline(1), baseline(2)];
        assert!((easy().factors(MINUTE, &samples).unwrap()[0] - 12.0 / (35.0 / 6.0)).abs() < 1e-12);
        let samples = [canary(5), canary(0), baseline(1), baseline(2)];
        assert!((easy().factors(MINUTE, &samples).unwrap()[0] - 4.0 / (35.0 / 6.0)).abs() < 1e-12);
    }

    #[test]
    fn a_margin_compares_numbers_with_as_many_times_the_baseline() {
        let metric = Metric::Number("queue".to_owned());
        let margin = RankTest { margin_ppm: 1_250_000, metric, ..easy() };
        let factors = |seen: f64| {
            let samples = [canary(0).number("queue", seen), baseline(0).number("queue", 8.0)];
            margin.factors(MINUTE, &samples).unwrap()
        };
        assert_eq!(factors(10.0), [1.0; BETS], "exactly the margin is a tie");
        assert!(factors(11.0)[0] > 1.0 && factors(9.0)[0] < 1.0);
    }

    /// With few failures too: each bet is fair for a canary that is just as much worse as the margin, and loses below it.
    #[test]
    fn a_margin_of_five_keeps_the_bets_fair_where_hardly_anything_fails() {
        let judge = RankTest { margin_ppm: 5_000_000, ..RankTest::default() };
        let mut random = 7_u64;
        let mut draw = |per_mille: u64| {
            (0..100)
                .filter(|_| {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    (random >> 33) % 1000 < per_mille
                })
                .count() as u64
        };
        let windows = 40_000_i64;
        for (canary_per_mille, least, most) in [(5, 0.98, 1.02), (3, 0.0, 0.99)] {
            let mut sum = [0.0; BETS];
            for at in 0..windows {
                let from = Timestamp::from_micros(at * 60_000_000);
                let window = Window { from, to: Timestamp::from_micros((at + 1) * 60_000_000) };
                let baselines = ["a", "b", "d"].map(|name| Sample::baseline(name, 100 - draw(1), 100));
                let samples = [vec![canary(draw(canary_per_mille))], baselines.to_vec()].concat();
                for (sum, factor) in sum.iter_mut().zip(judge.factors(window, &samples).unwrap()) {
                    *sum += factor / windows as f64;
                }
            }
            assert!(sum.iter().all(|mean| (least..most).contains(mean)), "{canary_per_mille}: {sum:?}");
        }
    }

    #[test]
    fn only_instances_with_requests_take_part_and_too_few_say_what_was_missing() {
        let judge = RankTest { min_requests: 50, ..RankTest::default() };
        let mut samples = vec![canary(5), baseline(1), baseline(1), Sample::baseline("idle", 0, 49)];
        let why = judge.factors(MINUTE, &samples).unwrap_err();
        assert_eq!(why, "1 canary and 2 baseline instances with 50 requests, and needed 1 and 3");
        samples.push(baseline(1));
        let without: Vec<Sample> = samples.iter().filter(|sample| sample.total > 49).cloned().collect();
        assert_eq!(judge.factors(MINUTE, &samples), judge.factors(MINUTE, &without));
        assert!(judge.factors(MINUTE, &samples).unwrap()[4] > 3.0);
    }

    #[test]
    fn any_numbers_that_can_be_give_factors_that_are_numbers() {
        let huge = Sample::canary("c", 0, u64::MAX / 2);
        let seen =
            easy().factors(MINUTE, &[huge, Sample::baseline("b", u64::MAX / 4, u64::MAX / 4)]).unwrap();
        assert!(seen.iter().all(|factor| factor.is_finite() && *factor > 1.0), "{seen:?}");
        assert_eq!(
            easy().factors(MINUTE, &[Sample::canary("c", 2, 1)]).unwrap_err(),
            "2 of 1 requests of \"c\" went well"
        );
        for canaries in [15, 16, 17, 200] {
            for baselines in [1, 300] {
                for (worst, best) in [(9, 1), (1, 9)] {
                    let samples: Vec<Sample> = std::iter::repeat_n(canary(worst), canaries)
                        .chain(std::iter::repeat_n(baseline(best), baselines))
                        .collect();
                    let seen = easy().factors(MINUTE, &samples).unwrap();
                    let fits = |factor: &f64| {
                        factor.is_finite() && *factor >= 0.0 && (*factor > 1.0) == (worst == 9)
                    };
                    assert!(seen.iter().all(fits), "{canaries} and {baselines}: {seen:?}");
                }
            }
        }
    }

    /// The mean of the factors over all ways to choose which of these instances are the canary.
    fn mean_over_all_choices(bad: &[u64], canaries: u32) -> [f64; BETS] {
        let (mut sum, mut choices) = ([0.0; BETS], 0.0);
        for chosen in (0_u32..1 << bad.len()).filter(|chosen| chosen.count_ones() == canaries) {
            let samples: Vec<Sample> = bad
                .iter()
                .enumerate()
                .map(|(at, bad)| if chosen >> at & 1 == 1 { canary(*bad) } else { baseline(*bad) })
                .collect();
            choices += 1.0;
            for (sum, factor) in sum.iter_mut().zip(easy().factors(MINUTE, &samples).unwrap()) {
                *sum += factor;
            }
        }
        sum.map(|sum| sum / choices)
    }

    proptest! {
        /// What makes it valid: while the instances are exchangeable, no bet gains on average, ties or not.
        #[test]
        fn the_mean_of_each_bet_over_all_choices_of_the_canary_is_one(
            bad in proptest::collection::vec(0_u64..6, 2..9), canaries in 1_u32..8,
        ) {
            prop_assume!((canaries as usize) < bad.len());
            for mean in mean_over_all_choices(&bad, canaries) {
                prop_assert!((mean - 1.0).abs() < 1e-9, "{mean}");
            }
        }

        #[test]
        fn the_order_of_the_samples_changes_nothing(
            bad in proptest::collection::vec((0_u64..20, any::<bool>()), 2..60), turn in 0_usize..60,
        ) {
            let named = |(at, (bad, is_canary)): (usize, &(u64, bool))| {
                let arm = if *is_canary { Arm::Canary } else { Arm::Baseline };
                Sample { arm, ..Sample::canary(format!("i{at}"), 100 - bad, 100) }
            };
            let mut samples: Vec<Sample> = bad.iter().enumerate().map(named).collect();
            let before = easy().factors(MINUTE, &samples);
            samples.rotate_left(turn % bad.len());
            prop_assert_eq!(&easy().factors(MINUTE, &samples), &before);
            samples.reverse();
            prop_assert_eq!(&easy().factors(MINUTE, &samples), &before);
        }

        /// Evidence that went through JSON text is the same to the last digit.
        #[test]
        fn replay_from_the_kept_state_is_one_run(
            windows in proptest::collection::vec((0_u64..20, proptest::collection::vec(0_u64..20, 0..6)), 1..40),
        ) {
            let judge = RankTest { min_baselines: 2, bake: Duration::from_secs(20 * 60), ..RankTest::default() };
            let (mut memory, mut text) = (Value::Null, "null".to_owned());
            for (bad, others) in windows {
                let samples: Vec<Sample> =
                    std::iter::once(canary(bad)).chain(others.into_iter().map(baseline)).collect();
                let (kept, said) = judge.judge(&memory, MINUTE, &samples).unwrap();
                let read: Value = serde_json::from_str(&text).unwrap();
                let (again, said_again) = judge.judge(&read, MINUTE, &samples).unwrap();
                prop_assert_eq!((&kept, &said), (&again, &said_again));
                text = again.to_string();
                memory = kept;
            }
        }
    }

    fn say(judge: &RankTest, windows: &[Vec<Sample>]) -> Vec<String> {
        let mut state = Value::Null;
        let mut said = Vec::new();
        for samples in windows {
            let (kept, judgement) = judge.judge(&state, MINUTE, samples).unwrap();
            state = kept;
            said.push(judgement.to_string());
        }
        said
    }

    fn fleet(bad: u64) -> Vec<Sample> {
        std::iter::once(canary(bad)).chain((0..19).map(|at| baseline(at % 5))).collect()
    }

    #[test]
    fn a_canary_that_is_always_the_worst_fails_in_the_third_window_and_stays_failed() {
        let mut windows = vec![fleet(9); 3];
        windows.extend(vec![fleet(0); 100]);
        let said = say(&RankTest::default(), &windows);
        assert_eq!(said[..2], ["undecided", "undecided"]);
        assert!(
            said[2].starts_with("fail: after 3 windows the evidence that the canary is worse"),
            "{}",
            said[2]
        );
        assert!(said[3..].iter().all(|later| *later == said[2]));
    }

    #[test]
    fn a_good_canary_passes_at_the_end_of_the_bake_time_and_stays_passed() {
        let judge = RankTest { bake: Duration::from_secs(5 * 60), ..RankTest::default() };
        let mut windows = vec![fleet(2); 5];
        windows.insert(2, Vec::new());
        windows.extend(vec![fleet(9); 10]);
        let said = say(&judge, &windows);
        assert_eq!(said[..5], ["undecided"; 5], "a window without data is no time watched");
        assert!(said[5..].iter().all(|later| later == "pass"), "{said:?}");
    }

    #[test]
    fn a_regression_after_60_good_windows_fails_within_six() {
        let judge = RankTest { bake: Duration::from_secs(3600 * 24), ..RankTest::default() };
        let windows: Vec<_> = [vec![fleet(0); 60], vec![fleet(9); 6]].concat();
        let said = say(&judge, &windows);
        assert!(said[59] == "undecided" && said[65].starts_with("fail"), "{said:?}");
    }

    #[test]
    fn no_data_is_inconclusive_after_the_patience_and_never_a_pass() {
        let judge =
            RankTest { patience: Duration::from_secs(180), bake: Duration::ZERO, ..RankTest::default() };
        let two = vec![canary(0), baseline(0), baseline(0)];
        let said = say(&judge, &[Vec::new(), two.clone(), vec![canary(0)], fleet(0), Vec::new()]);
        let why = "inconclusive: no window of the last 180000 ms counted, 0 did before; the last one had \
                   1 canary and 0 baseline instances with 1 requests, and needed 1 and 3";
        assert_eq!(said, ["undecided", "undecided", why, "undecided", "undecided"]);
        assert!(!say(&judge, &vec![two; 100]).contains(&"pass".to_owned()));
    }

    #[test]
    fn ten_thousand_windows_of_the_best_or_the_worst_leave_a_number() {
        let judge = RankTest { alpha_ppm: 1, bake: Duration::MAX, ..RankTest::default() };
        for bad in [0, 9] {
            let mut state = Value::Null;
            for _ in 0..10_000 {
                state = judge.judge(&state, MINUTE, &fleet(bad)).unwrap().0;
            }
            let evidence = judge.evidence(&state).unwrap();
            assert!(evidence.is_finite() && (evidence >= 1e6) == (bad == 9), "{evidence}");
        }
    }

    #[test]
    fn a_state_that_is_not_its_own_is_refused() {
        let judge = RankTest::default();
        let (good, _) = judge.judge(&Value::Null, MINUTE, &fleet(1)).unwrap();
        let mut strange = vec![serde_json::json!({"bad": 1}), serde_json::json!(7), serde_json::json!([])];
        for (field, value) in [
            ("wealth", serde_json::json!([1, 2, 3])),
            ("wealth", serde_json::json!([u64::MAX, u64::MAX, 0, 0, 0])),
            ("wealth", serde_json::json!([0.5, 0, 0, 0, 0])),
            ("counted", serde_json::json!(-1)),
            ("verdict", serde_json::json!("fail")),
            ("verdict", serde_json::json!("perhaps")),
        ] {
            let mut state = good.clone();
            state[field] = value;
            strange.push(state);
        }
        for state in strange {
            let error = judge.judge(&state, MINUTE, &fleet(1)).expect_err(&state.to_string());
            let shown = (error.kind(), error.to_string());
            assert_eq!(
                shown,
                (mcp_core::ErrorKind::Corrupt, "read the state of judge rank".to_owned()),
                "{state}"
            );
        }
    }
}
