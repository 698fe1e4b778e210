//! Ten documents of a stream in flight, then a thousand and ten thousand, then ten again: how long each is in flight, and what stays in
//! memory.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::executor::block_on;
use futures::{StreamExt, stream};
use mcp_benches::{peak_bytes, resident_bytes};
use mcp_validation::{Document, StreamSettings, ValidationEngine};

use super::Figure;
use super::world::{engine, order, subject, version};

const DOCUMENTS: usize = 50_000;
const FEW: usize = 10;
const MANY: usize = 10_000;
/// How much longer the median of ten may take after the spike than before it.
const AT_MOST: f64 = 2.0;
/// 10,000 documents of 1 KiB that share their bytes take this much more than ten of them, at most.
const MAY_GROW_BYTES: u64 = 32 << 20;

/// How long each document was in flight, in order, when so many were at once.
fn run(engine: &std::sync::Arc<ValidationEngine>, documents: &[Bytes], at_once: usize) -> Vec<Duration> {
    let mut settings = StreamSettings::default();
    settings.max_in_flight = at_once;
    let input = stream::iter(0..DOCUMENTS)
        .map(|number| (Instant::now(), Document::json(documents[number % documents.len()].clone())));
    let judged = engine.validate_stream(&subject(), &version(), input, settings).expect("a stream");
    let mut times: Vec<Duration> = block_on(
        judged
            .map(|(begin, outcome)| {
                assert!(outcome.expect("judged").valid);
                begin.elapsed()
            })
            .collect(),
    );
    times.sort_unstable();
    times
}

fn quantile(times: &[Duration], part: f64) -> f64 {
    let at = ((times.len() as f64 * part) as usize).min(times.len() - 1);
    times[at].as_secs_f64() * 1e3
}

pub(crate) fn measure() -> Vec<Figure> {
    let engine = engine(0);
    let documents: Vec<Bytes> = (0..1000).map(|number| order(number, 1024)).collect();
    run(&engine, &documents, FEW);
    let (resident, mut figures) = (resident_bytes(), Vec::new());
    let mut before = 0.0;
    for (at_once, what) in [
        (FEW, "10 documents in flight"),
        (MANY / 10, "1,000 in flight"),
        (MANY, "10,000 in flight"),
        (FEW, "10 in flight again"),
    ] {
        let begin = Instant::now();
        let times = run(&engine, &documents, at_once);
        let per_second = DOCUMENTS as f64 / begin.elapsed().as_secs_f64();
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|part| quantile(&times, part));
        let again = !figures.is_empty() && at_once == FEW;
        let grown = peak_bytes().saturating_sub(resident);
        let growth = if again { p50 / before } else { 1.0 };
        if figures.is_empty() {
            before = p50;
        }
        figures.push(Figure {
            what: format!("{what}, 1 KiB each, no cache"),
            target: if again { "median at most twice before" } else { "memory within 32 MiB of before" },
            reached: format!("p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms; {per_second:.0}/s"),
            peer: format!("the peak of memory is {} KiB above that before", grown >> 10),
            met: Some(growth <= AT_MOST && grown <= MAY_GROW_BYTES),
        });
    }
    let stats = engine.stats();
    assert_eq!((stats.errors, stats.exhausted), (0, 0));
    figures
}
