//! 16 KiB that compress as text does.

use mcp_benches::distinct_json;

use super::Figure;
use super::world::{open, per_second, publish, runtime};

const COUNT: u64 = 100_000;
const AT_LEAST: f64 = 10_000.0;

pub(crate) fn measure() -> Vec<Figure> {
    let runtime = runtime();
    let folder = tempfile::tempdir().expect("a folder");
    let registry = open(&runtime, folder.path());
    let time = publish(&runtime, &registry, (0, COUNT), 1000, |number| distinct_json(number, 16 << 10));
    let rate = per_second(COUNT, time);
    let stats = runtime.block_on(registry.stats()).expect("stats");
    runtime.block_on(registry.close()).expect("closed");
    vec![Figure {
        what: format!("publish {COUNT} of 16 KiB that compress, 512 in flight"),
        target: "10,000/s",
        reached: format!("{rate:.0}/s"),
        peer: format!(
            "stored in {:.1}% of their size",
            stats.stored_bytes as f64 * 100.0 / stats.logical_bytes as f64
        ),
        met: Some(rate >= AT_LEAST),
    }]
}
