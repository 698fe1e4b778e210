//! The pure core: commands decided, and their events applied.

use std::hint::black_box;
use std::sync::Arc;

use mcp_promotion::Policy;
use mcp_promotion::machine::StageState;

use super::Figure;
use super::script::{COMMANDS, promote};
use super::world::busy;

/// How many promotions one round has, each with another release.
const PROMOTIONS: u64 = 20_000;
const ROUNDS: u64 = 20;
const AT_LEAST: f64 = 500_000.0;

pub(crate) fn measure() -> Vec<Figure> {
    let policy = Arc::new(Policy::unverified("a benchmark"));
    let time = busy(|| {
        for _ in 0..ROUNDS {
            let mut state = StageState::new("dev".parse().expect("a name"));
            for number in 0..PROMOTIONS {
                promote(&mut state, &policy, number, |entry| drop(black_box(entry)));
            }
        }
    });
    let rate = (ROUNDS * PROMOTIONS * COMMANDS) as f64 / time.as_secs_f64();
    vec![Figure {
        what: "decide + apply, commands of whole promotions, a second of processor time".to_owned(),
        target: "500,000/s",
        reached: format!("{rate:.0}/s"),
        peer: String::new(),
        met: Some(rate >= AT_LEAST),
    }]
}
