//! 10,000 publishes of 1 KiB, and what the peers do with as much: the million is compared with these.

use super::Figure;
use super::peers;
use super::world::{noise, open, per_second, publish, runtime};

const COUNT: u64 = 10_000;
const NAMES: u64 = 100;
const ROUNDS: u64 = 3;

/// The best of some rounds, each in a folder of its own.
pub(crate) fn ten_thousand() -> f64 {
    let runtime = runtime();
    let mut best = 0.0_f64;
    for _ in 0..ROUNDS {
        let folder = tempfile::tempdir().expect("a folder");
        let registry = open(&runtime, folder.path());
        let time = publish(&runtime, &registry, (0, COUNT), NAMES, |number| noise(number, 1024));
        best = best.max(per_second(COUNT, time));
        runtime.block_on(registry.close()).expect("closed");
    }
    best
}

pub(crate) fn measure() -> Vec<Figure> {
    let rate = ten_thousand();
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).expect("a folder");
        path
    };
    let files = peers::files(&path("files"), COUNT);
    let store = peers::object_store(&path("store"), COUNT / 2);
    let cacache = peers::cacache_put(&path("cacache"), COUNT / 2, peers::WRITERS);
    let alone = peers::cacache_put(&path("cacache-alone"), COUNT / 5, 1);
    let row = |what: &str, target: &'static str, peer: f64, least: Option<f64>| Figure {
        what: format!("publish {COUNT} of 1 KiB, 512 in flight, best of {ROUNDS}, beside {what}"),
        target,
        reached: format!("{rate:.0}/s"),
        peer: format!("{peer:.0}/s: {:.1} times", rate / peer),
        met: least.map(|least| rate / peer >= least),
    };
    vec![
        row("one file per artifact, fsync and rename, 16 writers", "5 times", files, Some(5.0)),
        row("`cacache` as it is used, one write after another, not synced", "10 times", alone, Some(10.0)),
        row("`cacache`, not synced, 16 writers", "10 times", cacache, Some(10.0)),
        row("`object_store::LocalFileSystem` and fsync, 16 writers", "", store, None),
    ]
}
