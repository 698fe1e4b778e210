//! A million versions: publishing them, opening them, reading them; each compared with ten thousand.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use mcp_benches::resident_bytes;
use mcp_core::Version;
use mcp_registry::{Registry, Select};
use tokio::runtime::Runtime;

use super::world::{Gets, VERSIONS, artifact, draft, get, noise, open, per_second, publish, runtime};
use super::{Figure, peers, publish as few};

const MANY: u64 = 1_000_000;
const FEW: u64 = 10_000;
const GETS: u64 = 400_000;
const RATE: f64 = 30_000.0;
const HOT: f64 = 200_000.0;
const REOPENED: f64 = 75_000.0;
const OF_FEW: f64 = 0.5;

fn fill(runtime: &Runtime, folder: &Path, count: u64) -> (Registry, f64) {
    let registry = open(runtime, folder);
    let time = publish(runtime, &registry, (0, count), count / VERSIONS, |number| noise(number, 1024));
    (registry, per_second(count, time))
}

/// Gets before closing, the second time over the same artifacts, and after reopening.
fn gets(runtime: &Runtime, registry: Registry, folder: &Path, stored: u64) -> (Gets, Gets) {
    let names = stored / VERSIONS;
    // What is hot is asked for again and again.
    let hot = stored.min(FEW);
    get(runtime, &registry, hot, names, GETS / 4);
    let hot = get(runtime, &registry, hot, names, GETS);
    runtime.block_on(registry.close()).expect("closed");
    let registry = open(runtime, folder);
    let reopened = get(runtime, &registry, stored, names, GETS / 4);
    runtime.block_on(registry.close()).expect("closed");
    (hot, reopened)
}

/// In a process of its own: opens, publishes and reads one, and says how long opening took and how much memory that takes.
pub(crate) fn open_and_tell(folder: &Path, names: u64) {
    let runtime = runtime();
    let start = Instant::now();
    let registry = open(&runtime, folder);
    let opened = start.elapsed();
    let (name, version) = artifact(names * 7, names);
    runtime.block_on(registry.get(&name, Select::exact(version))).expect("found");
    let first = start.elapsed();
    let another = draft(&name, 1, noise(MANY + 1, 1024));
    runtime.block_on(registry.publish(another, &Version::new(9, 0, 0))).expect("published");
    println!("{} {} {}", opened.as_secs_f64(), first.as_secs_f64(), resident_bytes());
    // No close: the next one finds what a kill leaves.
    std::process::exit(0);
}

fn opened(folder: &Path, what: &str) -> Figure {
    let this = std::env::current_exe().expect("the path of this program");
    let names = (MANY / VERSIONS).to_string();
    let told = Command::new(this).arg("--open").arg(folder).arg(names).output().expect("a process").stdout;
    let told = String::from_utf8(told).expect("text");
    let numbers: Vec<f64> = told.split_whitespace().map(|text| text.parse().expect("a number")).collect();
    let [opened, first, bytes] = numbers[..] else { panic!("it said {told:?}") };
    let mib = bytes / f64::from(1 << 20);
    Figure {
        what: format!("open {MANY} versions, {what}"),
        target: "1 s, 150 MiB",
        reached: format!("{:.0} ms, {mib:.0} MiB", opened * 1e3),
        peer: format!("the first get {:.0} ms after that", (first - opened) * 1e3),
        met: Some(opened < 1.0 && mib < 150.0),
    }
}

pub(crate) fn measure() -> Vec<Figure> {
    let runtime = runtime();
    let few_rate = few::ten_thousand();
    let folder = tempfile::tempdir().expect("a folder");
    let (registry, _) = fill(&runtime, &folder.path().join("few"), FEW);
    let (few_hot, few_reopened) = gets(&runtime, registry, &folder.path().join("few"), FEW);
    let path = folder.path().join("cache");
    peers::cacache_put(&path, FEW, peers::WRITERS);
    peers::cacache_get(&path, FEW, FEW);
    let cacache = peers::cacache_get(&path, FEW, 100_000);

    let many = folder.path().join("many");
    let (registry, many_rate) = fill(&runtime, &many, MANY);
    let memory = resident_bytes() >> 20;
    let (hot, reopened) = gets(&runtime, registry, &many, MANY);
    let killed = opened(&many, "once closed");
    let closed = opened(&many, "once killed");
    let row = |what: &str,
               target,
               (rate, each): (f64, Option<f64>),
               few: f64,
               least: f64,
               times: f64,
               peer: Option<f64>| Figure {
        what: what.to_owned(),
        target,
        reached: match each {
            Some(each) => format!("{rate:.0}/s, {each:.1} us of processor time each"),
            None => format!("{rate:.0}/s"),
        },
        peer: match peer {
            Some(peer) => format!(
                "at {FEW}: {few:.0}/s, so {:.2} of it; `cacache`: {peer:.0}/s: {:.1} times",
                rate / few,
                rate / peer
            ),
            None => format!("at {FEW}: {few:.0}/s, so {:.2} of it; then {memory} MiB resident", rate / few),
        },
        met: Some(rate >= least && rate >= few * OF_FEW && peer.is_none_or(|peer| rate >= peer * times)),
    };
    vec![
        row(
            "publish 1,000,000 of 1 KiB, 512 in flight",
            "30,000/s, aim 60,000/s",
            (many_rate, None),
            few_rate,
            RATE,
            0.0,
            None,
        ),
        row(
            "get by exact version, 1 KiB, verified, two tasks, 10,000 hot ones of 1,000,000",
            "200,000/s",
            (hot.rate, Some(hot.processor_us)),
            few_hot.rate,
            HOT,
            3.0,
            Some(cacache),
        ),
        row(
            "the same after reopening, any of 1,000,000",
            "75,000/s",
            (reopened.rate, Some(reopened.processor_us)),
            few_reopened.rate,
            REOPENED,
            3.0,
            Some(cacache),
        ),
        killed,
        closed,
    ]
}
