//! A stream in which few documents come often and many seldom, as the law of Zipf has it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::executor::block_on;
use futures::{StreamExt, stream};
use mcp_benches::random::Random;
use mcp_validation::{Document, Stats, StreamSettings};

use super::Figure;
use super::world::{engine, order, subject, version};

const DOCUMENTS: usize = 100_000;
const DISTINCT: usize = 5_000;
/// A document comes as often as one divided by its rank to this power.
const EXPONENT: f64 = 1.0;
const ROUNDS: usize = 3;
const MANY: u64 = 64 << 20;
/// Room for about a fifth of the distinct documents.
const FEW: u64 = 512 << 10;

/// The documents as they come, by their rank.
fn ranks() -> Vec<usize> {
    let mut sums = Vec::with_capacity(DISTINCT);
    let mut sum = 0.0;
    for rank in 1..=DISTINCT {
        sum += (rank as f64).powf(-EXPONENT);
        sums.push(sum);
    }
    let mut random = Random::new(1);
    (0..DOCUMENTS)
        .map(|_| {
            let at = random.uniform() * sum;
            sums.partition_point(|sum| *sum < at).min(DISTINCT - 1)
        })
        .collect()
}

fn one_by_one(documents: &[Bytes], ranks: &[usize], cache_bytes: u64) -> (Duration, Stats) {
    let (engine, subject, version) = (engine(cache_bytes), subject(), version());
    let begin = Instant::now();
    for rank in ranks {
        let document = Document::json(documents[*rank].clone());
        assert!(engine.validate_shared(&subject, &version, &document).expect("judged").valid);
    }
    (begin.elapsed(), engine.stats())
}

fn as_a_stream(documents: &[Bytes], ranks: &[usize], cache_bytes: u64) -> (Duration, Stats) {
    let engine = engine(cache_bytes);
    let input = stream::iter(ranks).map(|rank| ((), Document::json(documents[*rank].clone())));
    let begin = Instant::now();
    let judged = engine.validate_stream(&subject(), &version(), input, StreamSettings::default());
    let valid = judged.expect("a stream").fold(0, |valid, (_, outcome)| {
        std::future::ready(valid + usize::from(outcome.expect("judged").valid))
    });
    assert_eq!(block_on(valid), DOCUMENTS);
    (begin.elapsed(), engine.stats())
}

/// Both by turns, the best of each.
fn compare(
    what: &str,
    cache_bytes: u64,
    targets: Option<(f64, f64)>,
    run: impl Fn(u64) -> (Duration, Stats),
) -> Figure {
    let (mut on, mut off, mut rate) = (Duration::MAX, Duration::MAX, 0.0);
    let mut kept = 0;
    for _ in 0..ROUNDS {
        let (took, stats) = run(cache_bytes);
        on = on.min(took);
        (rate, kept) = (stats.cache.hit_rate(), stats.cache.bytes);
        off = off.min(run(0).0);
    }
    let times = off.as_secs_f64() / on.as_secs_f64();
    let per_second = |took: Duration| DOCUMENTS as f64 / took.as_secs_f64();
    Figure {
        what: format!("100,000 documents of 1 to 4 KiB over 5,000 distinct, {what}"),
        target: if targets.is_some() { "85% hits, 3 times cache off" } else { "" },
        reached: format!(
            "{:.1}% hits, {:.0} documents/s, {times:.1} times; {} KiB kept",
            rate * 100.0,
            per_second(on),
            kept >> 10
        ),
        peer: format!("cache off: {:.0} documents/s", per_second(off)),
        met: targets.map(|(hits, faster)| rate >= hits && times >= faster),
    }
}

pub(crate) fn measure() -> Vec<Figure> {
    let documents: Vec<Bytes> =
        (0..DISTINCT).map(|number| order(number as u64, 1024 << (number % 3))).collect();
    let ranks = ranks();
    let alone = |bytes| one_by_one(&documents, &ranks, bytes);
    let stream = |bytes| as_a_stream(&documents, &ranks, bytes);
    vec![
        compare("one by one", MANY, Some((0.85, 3.0)), alone),
        compare("as a stream on all workers", MANY, Some((0.85, 3.0)), stream),
        compare("one by one, with room for a fifth of the distinct", FEW, None, alone),
    ]
}
