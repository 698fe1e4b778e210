//! The same bytes again, with a cache: beside the BLAKE3 of these bytes alone, and beside judging them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use mcp_core::Digest;
use mcp_validation::Document;

use super::Figure;
use super::world::{engine, order, subject, version};

const LENGTHS: [usize; 4] = [1 << 10, 4 << 10, 16 << 10, 64 << 10];
const ROUNDS: usize = 301;
const TIMES: u32 = 200;
/// What a hit may take beyond the hashing.
const AT_MOST: f64 = 300.0;

fn nanos(mut work: impl FnMut(), times: u32) -> f64 {
    let begin = Instant::now();
    (0..times).for_each(|_| work());
    let took: Duration = begin.elapsed();
    took.as_secs_f64() * 1e9 / f64::from(times)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub(crate) fn measure() -> Vec<Figure> {
    let (engine, plain, subject, version) = (engine(64 << 20), engine(0), subject(), version());
    let mut figures = Vec::new();
    for length in LENGTHS {
        let bytes = order(7, length);
        let judge = || {
            let document = Document::json(black_box(&bytes).clone());
            assert!(engine.validate_shared(&subject, &version, &document).expect("judged").valid);
        };
        let anew = || {
            let document = Document::json(black_box(&bytes).clone());
            assert!(plain.validate_shared(&subject, &version, &document).expect("judged").valid);
        };
        (0..50).for_each(|_| judge());
        // Each round measures both, so that what else the machine does falls on both.
        let pairs: Vec<(f64, f64)> = (0..ROUNDS)
            .map(|_| {
                let hit = nanos(judge, TIMES);
                let hash = || {
                    black_box(Digest::of(black_box(&bytes)));
                };
                (hit, nanos(hash, TIMES))
            })
            .collect();
        let beyond = median(pairs.iter().map(|(hit, hash)| hit - hash).collect());
        let hit = median(pairs.iter().map(|pair| pair.0).collect());
        let hash = median(pairs.iter().map(|pair| pair.1).collect());
        let off = median((0..11).map(|_| nanos(anew, 20)).collect());
        figures.push(Figure {
            what: format!("the same {} KiB again, cache on, bytes to report", length >> 10),
            target: "BLAKE3 + 300 ns",
            reached: format!("{hit:.0} ns, {beyond:.0} ns beyond the hashing"),
            peer: format!("BLAKE3 alone: {hash:.0} ns; cache off: {off:.0} ns, {:.1} times", off / hit),
            met: Some(beyond <= AT_MOST),
        });
    }
    let stats = engine.stats();
    assert_eq!(stats.cache.entries, LENGTHS.len() as u64, "{stats:?}");
    figures
}
