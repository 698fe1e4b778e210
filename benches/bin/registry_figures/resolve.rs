//! Requirements over a name with 10,000 versions: those that were published last are not in the tables yet.

use std::time::Instant;

use mcp_core::{Name, Requirement, Version};
use mcp_registry::{Registry, Select};
use tokio::runtime::Runtime;

use super::Figure;
use super::world::{draft, median, micros, noise, open, runtime};

const VERSIONS: u64 = 10_000;
const COUNT: u64 = 20_000;
const AT_MOST: f64 = 10.0;

fn measure_one(runtime: &Runtime, registry: &Registry, name: &Name, what: &str) -> Figure {
    let mut times = Vec::new();
    for number in 0..COUNT {
        let major = number % 10;
        let text = [format!("^{major}.2"), format!("~{major}.3"), format!(">={major}.1.0, <{major}.5.0")];
        let requirement: Requirement = text[number as usize % 3].parse().expect("a requirement");
        let select = Select::requirement(requirement);
        let start = Instant::now();
        let entry = runtime.block_on(registry.resolve(name, select)).expect("resolved");
        times.push(start.elapsed());
        assert_eq!(entry.artifact.version.major(), major);
    }
    let time = micros(median(times));
    Figure {
        what: format!("resolve a requirement over {VERSIONS} versions of a name, {what}"),
        target: "10 us median",
        reached: format!("{time:.1} us"),
        peer: String::new(),
        met: Some(time <= AT_MOST),
    }
}

pub(crate) fn measure() -> Vec<Figure> {
    let runtime = runtime();
    let folder = tempfile::tempdir().expect("a folder");
    let registry = open(&runtime, folder.path());
    let name: Name = "app".parse().expect("a name");
    let drafts = (0..VERSIONS).map(|number| {
        let version = Version::new(number / 1000, number / 100 % 10, number % 100);
        (draft(&name, number, noise(number, 100)), version)
    });
    let published = runtime.block_on(registry.publish_many(drafts.collect::<Vec<_>>()));
    assert!(published.iter().all(Result::is_ok));
    let fresh = measure_one(&runtime, &registry, &name, "just published");
    runtime.block_on(registry.close()).expect("closed");
    let registry = open(&runtime, folder.path());
    let reopened = measure_one(&runtime, &registry, &name, "after reopening");
    vec![fresh, reopened]
}
