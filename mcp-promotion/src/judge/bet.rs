//! What one window multiplies the bets on the places of the canary instances by.

use super::sequential::BETS;

/// How many canary instances bet together: above it, numbers become too small for a float.
pub(super) const MAX_BLOCK: usize = 16;

/// The factors of one window, of at most [`MAX_BLOCK`] canary instances; neither group is empty, and no value is NaN.
///
/// The places of a canary are counted, not sorted for: most releases have few of them. Tied instances give the mean over all orders.
pub(super) fn bet(canaries: &mut [f64], baselines: &[f64]) -> [f64; BETS] {
    canaries.sort_unstable_by(f64::total_cmp);
    let instances = canaries.len() + baselines.len();
    let each = 1.0 / as_float(instances);
    let mean = mean_product(1, instances, canaries.len(), each);
    let (mut won, mut before) = ([1.0; BETS], 0);
    for tied in canaries.chunk_by(|a, b| a == b) {
        let Some(value) = tied.first() else { continue };
        let (mut below, mut equal) = (0, 0);
        for baseline in baselines {
            below += usize::from(baseline < value);
            equal += usize::from(baseline == value);
        }
        let stakes = mean_product(below + before + 1, equal + tied.len(), tied.len(), each);
        for (won, stakes) in won.iter_mut().zip(stakes) {
            *won *= stakes;
        }
        before += tied.len();
    }
    for (won, mean) in won.iter_mut().zip(mean) {
        *won /= mean;
    }
    won
}

/// x to the powers of 1, 3, 7, 15 and 31, by multiplication alone: the same on every machine.
fn powers(x: f64) -> [f64; BETS] {
    let mut power = 1.0;
    [(); BETS].map(|()| {
        power = power * power * x;
        power
    })
}

/// The mean, over all sets of `size` of the `places` places from `first` on, of the product of their stakes; the stake on a place is a power
/// of its number times `each`.
fn mean_product(first: usize, places: usize, size: usize, each: f64) -> [f64; BETS] {
    let stakes = (first..first + places).map(|place| powers(as_float(place) * each));
    match size {
        1 => {
            let mut sum = [0.0; BETS];
            for stakes in stakes {
                for (sum, stake) in sum.iter_mut().zip(stakes) {
                    *sum += stake;
                }
            }
            sum.map(|sum| sum / as_float(places))
        }
        2 => pairs(stakes).map(|sum| sum * 2.0 / as_float(places) / as_float(places - 1)),
        _ => sets(stakes, size, places),
    }
}

/// The sum over all pairs: each place with all those before it.
fn pairs(stakes: impl Iterator<Item = [f64; BETS]>) -> [f64; BETS] {
    let (mut sum, mut before) = ([0.0; BETS], [0.0; BETS]);
    for stakes in stakes {
        for ((sum, before), stake) in sum.iter_mut().zip(&mut before).zip(stakes) {
            *sum += stake * *before;
            *before += stake;
        }
    }
    sum
}

/// The elementary symmetric polynomial of the stakes, over the number of sets. Entry k of the sums is for sets of k.
fn sets(stakes: impl Iterator<Item = [f64; BETS]>, size: usize, places: usize) -> [f64; BETS] {
    let mut sums = [[0.0; BETS]; MAX_BLOCK + 1];
    sums[0] = [1.0; BETS];
    for stakes in stakes {
        for k in (1..=size.min(MAX_BLOCK)).rev() {
            let smaller = sums.get(k - 1).copied().unwrap_or_default();
            for ((sum, smaller), stake) in sums.get_mut(k).into_iter().flatten().zip(smaller).zip(stakes) {
                *sum += stake * smaller;
            }
        }
    }
    // So many sets: below 10^51 of 16 of 10,000 places.
    let choices = (0..size).fold(1.0, |choices, at| choices * as_float(places - at) / as_float(at + 1));
    sums.get(size).copied().unwrap_or_default().map(|sum| sum / choices)
}

#[expect(clippy::cast_precision_loss, reason = "there are at most 10,000 instances")]
const fn as_float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, written down as plainly as possible: the mean over every order of the instances in which equal ones are together.
    fn plainly(canaries: &[f64], baselines: &[f64], bet: usize) -> f64 {
        let all: Vec<f64> = canaries.iter().chain(baselines).copied().collect();
        let exponent = [1, 3, 7, 15, 31][bet];
        let stake = |place: usize| ((place + 1) as f64 / all.len() as f64).powi(exponent);
        let chosen = |of: usize| (0_u32..1 << all.len()).filter(move |set| set.count_ones() as usize == of);
        let product =
            |set: u32| -> f64 { (0..all.len()).filter(|place| set >> place & 1 == 1).map(stake).product() };
        let mut sorted = all.clone();
        sorted.sort_by(f64::total_cmp);
        // The sets of places which the canaries may have: as many at each value as there are canaries of that value.
        let fits = |set: u32| {
            sorted.chunk_by(|a, b| a == b).all(|tied| {
                let from = sorted.iter().position(|value| *value == tied[0]).unwrap();
                let inside = (from..from + tied.len()).filter(|place| set >> place & 1 == 1).count();
                inside == canaries.iter().filter(|value| **value == tied[0]).count()
            })
        };
        let mean = |sets: Vec<u32>| sets.iter().map(|set| product(*set)).sum::<f64>() / sets.len() as f64;
        mean(chosen(canaries.len()).filter(|set| fits(*set)).collect())
            / mean(chosen(canaries.len()).collect())
    }

    proptest! {
        #[test]
        fn the_factors_are_those_of_the_plain_way(
            canaries in proptest::collection::vec(0_u8..6, 1..6),
            baselines in proptest::collection::vec(0_u8..6, 1..7),
        ) {
            let mut canaries: Vec<f64> = canaries.into_iter().map(f64::from).collect();
            let baselines: Vec<f64> = baselines.into_iter().map(f64::from).collect();
            for (at, factor) in bet(&mut canaries, &baselines).into_iter().enumerate() {
                let expected = plainly(&canaries, &baselines, at);
                prop_assert!((factor - expected).abs() < 1e-9 * expected.max(1.0), "{factor} is not {expected}");
            }
        }
    }

    #[test]
    fn sixteen_canaries_among_ten_thousand_give_numbers() {
        let baselines: Vec<f64> = (0..9984_u32).map(f64::from).collect();
        for (value, wins) in [(-1.0, false), (1e9, true)] {
            let factors = bet(&mut [value; MAX_BLOCK], &baselines);
            assert!(
                factors.iter().all(|factor| factor.is_finite() && (*factor > 1.0) == wins),
                "{factors:?}"
            );
        }
    }
}
