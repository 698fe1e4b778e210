//! How long things take, side by side: by turns, so that what else the machine does meets all of them alike; the best round counts.

use std::time::{Duration, Instant};

/// Rounds of each, after the first, which is thrown away.
const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(40);

/// The time of one call of each, the best of all rounds.
pub(crate) fn side_by_side<const N: usize>(mut works: [&mut dyn FnMut(); N]) -> [Duration; N] {
    let mut best = [Duration::MAX; N];
    for round in 0..=ROUNDS {
        for (work, best) in works.iter_mut().zip(&mut best) {
            let mut calls = 0;
            let begin = Instant::now();
            while begin.elapsed() < ROUND {
                work();
                calls += 1;
            }
            if round > 0 {
                *best = (*best).min(begin.elapsed() / calls);
            }
        }
    }
    best
}

/// A duration of a document, to be read.
pub(crate) fn shown(time: Duration, documents: usize) -> String {
    let nanoseconds = time.as_secs_f64() * 1e9 / documents as f64;
    match nanoseconds {
        _ if nanoseconds < 1000.0 => format!("{nanoseconds:.0} ns"),
        _ if nanoseconds < 1e6 => format!("{:.2} us", nanoseconds / 1e3),
        _ => format!("{:.2} ms", nanoseconds / 1e6),
    }
}
