//! Instances with unlike numbers of requests made comparable: of those with more, only as many are counted as the others have.

use crate::{Latencies, Sample, Window};

/// Above so many steps a draw is made from the normal distribution with the same mean and variance.
const MAX_STEPS: u64 = 4096;

/// Up to how many hundredths of the smallest number of requests the largest may be without thinning.
const LIKE_PERCENT: u128 = 105;

/// To how many requests the instances of a window are thinned, and which of them sit out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// Instances with fewer requests take no part: less than half of what the middle one of their group has, as long as enough remain.
    canary_floor: u64,
    baseline_floor: u64,
    /// `None` where all have about as many.
    keep: Option<u64>,
}

impl Level {
    /// Where all have about as many, nothing needs to be put in order: nobody has less than half of what another one has.
    pub(super) fn of_alike(requests: impl Iterator<Item = u64>) -> Option<Self> {
        let (least, most) =
            requests.fold((u64::MAX, 0), |(least, most), total| (least.min(total), most.max(total)));
        is_alike(least, most).then_some(Self { canary_floor: 0, baseline_floor: 0, keep: None })
    }

    /// For groups with these numbers of requests, of which so many must remain. Whether it is fair rests on the numbers of requests
    /// alone, never on how many failed.
    pub(super) fn of(canaries: &mut [u64], baselines: &mut [u64], needed: (usize, usize)) -> Self {
        let (canary_floor, baseline_floor) = (floor(canaries, needed.0), floor(baselines, needed.1));
        let taking_part = canaries
            .iter()
            .filter(|total| **total >= canary_floor)
            .chain(baselines.iter().filter(|total| **total >= baseline_floor));
        let (least, most) =
            taking_part.fold((u64::MAX, 0), |(least, most), total| (least.min(*total), most.max(*total)));
        Self { canary_floor, baseline_floor, keep: (!is_alike(least, most)).then_some(least) }
    }

    pub(super) const fn sits_out(&self, requests: u64, is_canary: bool) -> bool {
        requests < if is_canary { self.canary_floor } else { self.baseline_floor }
    }

    /// How many requests failed, and of how many.
    pub(super) fn counts(&self, sample: &Sample, window: Window) -> (u64, u64) {
        let bad = sample.total.saturating_sub(sample.good);
        match self.keep.filter(|keep| *keep < sample.total) {
            Some(keep) => (Draws::of(sample, window).among(bad, keep, sample.total), keep),
            None => (bad, sample.total),
        }
    }

    /// The latencies of as many requests.
    pub(super) fn latencies(
        &self,
        sample: &Sample,
        latencies: &Latencies,
        window: Window,
    ) -> Option<Latencies> {
        let count = latencies.count();
        let keep = self.keep.filter(|keep| *keep < count)?;
        let mut draws = Draws::of(sample, window);
        Some(latencies.thinned(keep, |marked, keep, total| draws.among(marked, keep, total)))
    }
}

fn is_alike(least: u64, most: u64) -> bool {
    u128::from(most) * 100 <= u128::from(least) * LIKE_PERCENT
}

/// Half of the upper middle one, or less where too few would have as many.
fn floor(requests: &mut [u64], needed: usize) -> u64 {
    requests.sort_unstable_by(|a, b| b.cmp(a));
    let half = requests.get(requests.len() / 2).map_or(0, |middle| middle.div_ceil(2));
    let most = needed.checked_sub(1).and_then(|last| requests.get(last)).copied();
    most.map_or(0, |most| most.min(half))
}

/// Of `bad` failures of an instance those that are kept when each is with a probability of `share.0` / `share.1`.
pub(super) fn kept(sample: &Sample, window: Window, bad: u64, share: (u32, u32)) -> u64 {
    if share.0 >= share.1 { bad } else { Draws::of(sample, window).apart().kept(bad, share) }
}

/// Pseudo-random numbers that are the same whenever the same window is judged again: a replay is exact, and no window's draws tell
/// anything of another's. SplitMix64 (Steele, Lea and Flood 2014), seeded by the window and the instance.
struct Draws(u64);

impl Draws {
    fn of(sample: &Sample, window: Window) -> Self {
        // FNV-1a (Fowler, Noll and Vo).
        let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let (from, to) = (window.from.as_micros().to_le_bytes(), window.to.as_micros().to_le_bytes());
        let name = sample.instance.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, fold);
        Self(from.iter().chain(&to).fold(name, fold))
    }

    /// Others for the same window and instance.
    const fn apart(self) -> Self {
        Self(!self.0)
    }

    /// How many of `count` are kept, each by itself (the binomial distribution).
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "15 digits are enough, and a cast of a float stops at the ends"
    )]
    fn kept(&mut self, count: u64, (share, of): (u32, u32)) -> u64 {
        if count > MAX_STEPS {
            let (n, share) = (count as f64, f64::from(share) / f64::from(of));
            let spread = (n * share * (1.0 - share)).sqrt();
            return ((n * share + self.normal() * spread).round() as u64).min(count);
        }
        let hit = |random: u64| ((u128::from(random) * u128::from(of)) >> 64) < u128::from(share);
        (0..count).map(|_| u64::from(hit(self.next()))).sum()
    }

    /// About normal: twelve uniform numbers, and only operations that round alike on every machine.
    #[expect(clippy::cast_precision_loss, reason = "15 digits are enough")]
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next() as f64 / u64::MAX as f64).sum::<f64>() - 6.0
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// How many of the `marked` ones of `total` are among `keep` of them drawn without replacement (the hypergeometric distribution).
    fn among(&mut self, marked: u64, keep: u64, total: u64) -> u64 {
        let (marked, keep) = (marked.min(total), keep.min(total));
        let (unmarked, left) = (total - marked, total - keep);
        // The same distribution seen from each of its four sides; the smallest needs the fewest steps.
        match marked.min(keep).min(unmarked).min(left) {
            steps if steps == marked => self.hits(marked, keep, total),
            steps if steps == keep => self.hits(keep, marked, total),
            steps if steps == unmarked => keep.saturating_sub(self.hits(unmarked, keep, total)),
            _ => marked.saturating_sub(self.hits(left, marked, total)),
        }
    }

    fn hits(&mut self, steps: u64, aims: u64, total: u64) -> u64 {
        if steps > MAX_STEPS {
            return self.roughly(steps, aims, total);
        }
        let mut hits = 0;
        for step in 0..steps {
            let below = (u128::from(self.next()) * u128::from(total - step)) >> 64;
            hits += u64::from(below < u128::from(aims - hits));
        }
        hits
    }

    /// With thousands of steps the normal distribution differs by less than the draws scatter.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "15 digits are enough, and a cast of a float stops at the ends"
    )]
    fn roughly(&mut self, steps: u64, aims: u64, total: u64) -> u64 {
        let (n, share) = (steps as f64, aims as f64 / total as f64);
        let variance = n * share * (1.0 - share) * ((total - steps) as f64 / (total as f64 - 1.0));
        let normal = self.normal();
        let least = steps.saturating_sub(total - aims);
        ((n * share + normal * variance.sqrt()).round() as u64).clamp(least, steps.min(aims))
    }
}

#[cfg(test)]
mod tests {
    use mcp_core::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn minute(at: i64) -> Window {
        let from = Timestamp::from_micros(at * 60_000_000);
        Window { from, to: Timestamp::from_micros((at + 1) * 60_000_000) }
    }

    fn level(canaries: &[u64], baselines: &[u64]) -> Level {
        Level::of(&mut canaries.to_vec(), &mut baselines.to_vec(), (1, 3))
    }

    #[test]
    fn of_many_failures_as_many_are_kept_as_their_share_says_and_scatter_like_single_ones() {
        for (bad, share) in [(1, (1, 5)), (10, (4, 5)), (300, (1_000_000, 1_250_000)), (50_000, (1, 3))] {
            let runs = 20_000_i64;
            let draw = |at| kept(&Sample::canary("c", 0, 0), minute(at), bad, share);
            let drawn: Vec<f64> = (0..runs).map(|at| draw(at) as f64).collect();
            assert_eq!(draw(7), draw(7), "a replay gives the same");
            let mean = drawn.iter().sum::<f64>() / runs as f64;
            let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / runs as f64;
            let p = f64::from(share.0) / f64::from(share.1);
            let (expected, spread) = (bad as f64 * p, bad as f64 * p * (1.0 - p));
            assert!((mean - expected).abs() < 5.0 * (spread / runs as f64).sqrt(), "{bad}: {mean}");
            assert!((variance / spread - 1.0).abs() < 0.06, "{bad}: {variance} is not {spread}");
        }
        assert_eq!(kept(&Sample::canary("c", 0, 0), minute(0), 9, (5, 5)), 9);
    }

    #[test]
    fn groups_with_about_as_many_requests_are_left_as_they_are() {
        let like = level(&[200], &[200, 205, 210]);
        assert_eq!(like, Level { canary_floor: 100, baseline_floor: 103, keep: None });
        assert_eq!(like.counts(&Sample::canary("c", 190, 200), minute(0)), (10, 200));
        assert_eq!(level(&[50], &[200, 200, 200]).keep, Some(50));
        assert_eq!(level(&[4000], &[200, 190, 200]).keep, Some(190));
    }

    #[test]
    fn groups_that_are_alike_need_not_be_put_in_order() {
        for (canaries, baselines) in
            [(vec![200], vec![200, 205, 210]), (vec![1], vec![1, 1, 1]), (vec![], vec![])]
        {
            let quick = Level::of_alike([canaries.clone(), baselines.clone()].concat().into_iter()).unwrap();
            let full = level(&canaries, &baselines);
            assert_eq!(quick.keep, full.keep);
            let out =
                |level: &Level, requests| level.sits_out(requests, true) || level.sits_out(requests, false);
            assert!(
                canaries.iter().chain(&baselines).all(|total| !out(&quick, *total) && !out(&full, *total))
            );
        }
        assert_eq!(Level::of_alike([200, 211].into_iter()), None);
    }

    #[test]
    fn an_instance_with_next_to_nothing_sits_out_where_enough_remain() {
        let level_of_four = level(&[200], &[200, 200, 200, 7]);
        assert_eq!((level_of_four.baseline_floor, level_of_four.keep), (100, None));
        assert!(level_of_four.sits_out(7, false) && !level_of_four.sits_out(100, false));
        let of_three = level(&[200], &[200, 200, 7]);
        assert_eq!((of_three.baseline_floor, of_three.keep), (7, Some(7)));
    }

    #[test]
    fn a_draw_has_the_mean_and_the_variance_of_the_hypergeometric_distribution() {
        for (marked, keep, total) in
            [(10, 50, 200), (150, 50, 200), (20, 190, 200), (100, 100, 200), (40_000, 30_000, 100_000)]
        {
            let runs = 20_000_i64;
            let drawn: Vec<f64> = (0..runs)
                .map(|at| Draws::of(&Sample::canary("c", 0, 0), minute(at)).among(marked, keep, total) as f64)
                .collect();
            let mean = drawn.iter().sum::<f64>() / runs as f64;
            let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / runs as f64;
            let (k, n, all) = (marked as f64, keep as f64, total as f64);
            let expected = n * k / all;
            let spread = expected * (1.0 - k / all) * (all - n) / (all - 1.0);
            assert!((mean - expected).abs() < 5.0 * (spread / runs as f64).sqrt(), "{marked}: {mean}");
            assert!((variance / spread - 1.0).abs() < 0.06, "{marked}: {variance} is not {spread}");
        }
    }

    proptest! {
        #[test]
        fn no_draw_has_more_than_there_are(total in 0_u64.., marked in 0_u64.., keep in 0_u64.., at in 0_i64..1000) {
            for total in [total, total % 100, total % 20_000] {
                let (marked, keep) = (marked % (total.max(1)), keep % (total.max(1)));
                let drawn = Draws::of(&Sample::canary("c", 0, 0), minute(at)).among(marked, keep, total);
                prop_assert!(drawn <= marked && drawn <= keep);
                prop_assert!(keep - drawn <= total - marked);
            }
        }

        #[test]
        fn thinned_latencies_are_as_many_as_are_kept(
            pairs in proptest::collection::vec((0_u64..1_000_000, 1_u64..1000), 1..30), part in 1_u64..100,
        ) {
            let latencies = Latencies::from(pairs);
            let keep = (latencies.count() * part / 100).max(1);
            let thin = Level { canary_floor: 0, baseline_floor: 0, keep: Some(keep) }
                .latencies(&Sample::canary("c", 0, 0), &latencies, minute(0))
                .unwrap();
            prop_assert_eq!(thin.count(), keep);
            let all = Vec::from(latencies);
            for (micros, count) in Vec::from(thin) {
                prop_assert!(all.iter().any(|(of, most)| *of == micros && count <= *most));
            }
        }
    }
}
