//! One publisher who waits for each publish, in turns with a bare append.

use std::time::Instant;

use mcp_benches::BareAppend;

use super::Figure;
use super::world::{artifact, draft, median, micros, noise, open, runtime};

const COUNT: u64 = 2_000;
const AT_MOST: f64 = 3.0;

pub(crate) fn measure() -> Vec<Figure> {
    let runtime = runtime();
    let folder = tempfile::tempdir().expect("a folder");
    let mut bare = BareAppend::create(folder.path()).expect("a file");
    let registry = open(&runtime, &folder.path().join("registry"));
    let (mut alone, mut appends) = (Vec::new(), Vec::new());
    for number in 0..COUNT {
        let bytes = noise(number, 1024);
        let start = Instant::now();
        bare.append(&bytes).expect("durable");
        appends.push(start.elapsed());
        let (name, version) = artifact(number, 100);
        let draft = draft(&name, number, bytes);
        let start = Instant::now();
        runtime.block_on(registry.publish(draft, &version)).expect("published");
        alone.push(start.elapsed());
    }
    runtime.block_on(registry.close()).expect("closed");
    let (alone, bare) = (micros(median(alone)), micros(median(appends)));
    vec![Figure {
        what: format!("publish 1 KiB, one at a time, median of {COUNT}"),
        target: "3 times a bare append + fdatasync",
        reached: format!("{alone:.0} us"),
        peer: format!("{bare:.0} us: {:.2} times", alone / bare),
        met: Some(alone / bare <= AT_MOST),
    }]
}
