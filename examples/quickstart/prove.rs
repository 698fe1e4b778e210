//! Asks the servers what they run, and the records whether they are whole.

use std::collections::BTreeSet;

use mcp_core::{Digester, InUse};
use mcp_promotion::Engine;
use mcp_registry::Registry;
use serde_json::Value;

use crate::client::Client;
use crate::failure::Failure;
use crate::listing;
use crate::report::StageCard;
use crate::screen::Screen;
use crate::stages::{PLANS, Stages};

/// Asks every server over HTTP what it runs.
pub async fn ask(stages: &Stages) -> Vec<StageCard> {
    let client = Client::new();
    let mut cards = Vec::new();
    for (plan, site) in PLANS.iter().zip(&stages.sites) {
        let mut servers = Vec::new();
        for (name, address) in site.addresses() {
            let answer = match client.get(address, "/release").await {
                Ok(answer) => answer.body,
                Err(why) => Value::String(why),
            };
            servers.push((name.to_owned(), answer));
        }
        let said: Vec<String> = servers.iter().map(|(_, answer)| release(answer)).collect();
        let runs = match said.split_first() {
            Some((first, others)) if others.iter().all(|other| other == first) => first.clone(),
            _ => "several releases".to_owned(),
        };
        let servers = servers.into_iter().map(|(name, answer)| {
            let crates = answer.get("crates").and_then(Value::as_u64).unwrap_or(0);
            (name, format!("{}, {crates} crates", release(&answer)))
        });
        let policy = plan.policy.to_owned();
        cards.push(StageCard { name: plan.name.to_owned(), policy, runs, servers: servers.collect() });
    }
    cards
}

fn release(answer: &Value) -> String {
    match answer.get("release") {
        Some(Value::String(release)) => release.clone(),
        Some(_) => "nothing".to_owned(),
        None => format!("no answer: {answer}"),
    }
}

/// Asks every server of the last stage for these crates, and prints the status codes.
pub async fn ask_for(names: &[&String], stages: &Stages, screen: &Screen) {
    let client = Client::new();
    let Some(site) = stages.sites.last() else { return };
    let mut said = Vec::new();
    for (server, address) in site.addresses() {
        let mut answers = Vec::new();
        for name in names {
            let answer = client.get(address, &format!("/crates/{name}")).await;
            answers.push(format!(
                "{name} {}",
                answer.map_or_else(|why| why, |answer| answer.status.to_string())
            ));
        }
        said.push((server.to_owned(), answers.join(", ")));
    }
    for (servers, answers) in alike(&said) {
        screen.detail(&format!("{servers}: {answers}"));
    }
}

/// Puts together who said the same, in the order of the first of them.
pub fn alike(said: &[(String, String)]) -> Vec<(String, String)> {
    let mut groups: Vec<(String, String)> = Vec::new();
    for (who, what) in said {
        match groups.iter_mut().find(|(_, said)| said == what) {
            Some((others, _)) => *others = format!("{others}, {who}"),
            None => groups.push((who.clone(), what.clone())),
        }
    }
    groups
}

/// What was verified, for people.
#[derive(Debug)]
pub struct Proof {
    /// How many rows the catalog's chain has.
    pub rows: u64,
    /// How many blobs were read and compared with their digests.
    pub blobs: u64,
    /// How many events the chains of the journal have.
    pub events: u64,
    /// How many chains these are.
    pub streams: usize,
    /// How many artifacts are deployed, in flight or rollback targets; the registry keeps each of them for promotion.
    pub in_use: usize,
    /// One digest over every name, version and digest of the registry.
    pub content: String,
}

/// Verifies the chains of catalog and journal, and all stored bytes; a fault is a failure that names its place.
pub async fn verify(registry: &Registry, engine: &Engine) -> Result<Proof, Failure> {
    let report = registry.verify().await.map_err(|error| Failure::because("verify the registry", &error))?;
    if let Some(fault) = report.faults.first() {
        let attempt = format!(
            "verify the registry: {} faults, the first at {}: {} {}",
            report.faults.len(),
            fault.place,
            fault.subject,
            fault.reason
        );
        return Err(Failure::new(attempt).advise("remove the data folder and run it again"));
    }
    let verified =
        engine.verify().await.map_err(|error| Failure::because("verify the promotion journal", &error))?;
    Ok(Proof {
        rows: report.rows,
        blobs: report.blobs,
        events: verified.heads.iter().map(|head| head.version).sum(),
        streams: verified.heads.len(),
        in_use: kept(registry, engine).await?,
        content: content(registry).await.map_err(|error| Failure::because("list the registry", &error))?,
    })
}

/// Compares what promotion uses (`InUse`) with what it has told the registry to keep (`Pin`); how many artifacts these are.
async fn kept(registry: &Registry, engine: &Engine) -> Result<usize, Failure> {
    let attempt = "compare what promotion uses with what the registry keeps";
    let in_use = engine.in_use().await.map_err(|error| Failure::because(attempt, &error))?;
    let pins = registry.pins().await.map_err(|error| Failure::because(attempt, &error))?;
    let kept: BTreeSet<_> = pins.iter().map(|pin| &pin.artifact).collect();
    if let Some(usage) = in_use.iter().find(|usage| !kept.contains(&usage.artifact)) {
        return Err(Failure::new(format!("{attempt}: {} of {} is not kept", usage.artifact, usage.place)));
    }
    Ok(in_use.iter().map(|usage| &usage.artifact).collect::<BTreeSet<_>>().len())
}

/// The same for the same content, in whatever order it was published.
async fn content(registry: &Registry) -> Result<String, mcp_registry::RegistryError> {
    let mut digester = Digester::new();
    for name in listing::names(registry).await? {
        for entry in listing::versions(registry, &name).await? {
            digester.update(format!("{} {}\n", entry.artifact, entry.digest).as_bytes());
        }
    }
    Ok(digester.digest().to_string())
}
