//! What a run left behind, read without the program: the registry through its engine, the stages from their files.

use std::collections::BTreeMap;
use std::path::Path;

use mcp_core::Name;
use mcp_promotion::{Chain, Happened, Journal, Sampled, SqliteJournal};
use mcp_registry::Registry;
use serde_json::Value;

/// What every run over the same input must end with.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Each `name@version` with its digest.
    pub versions: BTreeMap<String, String>,
    /// What each stage runs, everywhere, or what its parts run where they differ.
    pub releases: BTreeMap<String, String>,
}

impl Outcome {
    /// Opens and verifies the registry, and reads what the stages run.
    pub fn of(data: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let versions = runtime.block_on(versions(&data.join("registry")));
        let releases = ["dev", "staging", "prod"].map(|stage| {
            let file = data.join("stages").join(format!("{stage}.json"));
            let record: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
            let reference = |part: &str| record[part][0]["ref"].as_str().unwrap_or("nothing").to_owned();
            let (canary, rest) = (reference("canary"), reference("rest"));
            (stage.to_owned(), if canary == rest { canary } else { format!("{canary} and {rest}") })
        });
        Self { versions, releases: releases.into() }
    }
}

/// Opens the registry for reading, verifies it, and lists it.
async fn versions(folder: &Path) -> BTreeMap<String, String> {
    let registry = Registry::open_read_only(folder).await.unwrap();
    assert_eq!(registry.verify().await.unwrap().faults, []);
    let mut versions = BTreeMap::new();
    for name in registry.names("", None, 1000).await.unwrap() {
        for entry in registry.versions(&name, None, 1000).await.unwrap() {
            versions.insert(entry.artifact.to_string(), entry.digest.to_string());
        }
    }
    registry.close().await.unwrap();
    versions
}

/// Every window of samples that was judged in prod, in order, with the number of its promotion.
pub fn windows_of_prod(data: &Path) -> Vec<Sampled> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let journal = SqliteJournal::open(data.join("promotion.db")).unwrap();
    let stream: Name = "stage/prod".parse().unwrap();
    let events = runtime.block_on(journal.read(&stream, 0, 10_000)).unwrap();
    let mut chain = Chain::start(stream);
    let entries = events.iter().map(|bytes| chain.read(bytes).unwrap());
    entries
        .filter_map(|entry| if let Happened::Sampled(sampled) = entry.what { Some(*sampled) } else { None })
        .collect()
}

/// How many versions a registry has that can be opened and in which nothing is wrong.
pub fn verified_versions(data: &Path) -> usize {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(versions(&data.join("registry"))).len()
}
