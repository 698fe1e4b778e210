//! Publishes one artifact durably, points a channel at it, reads it back verified, and finds it by a word.
use mcp_registry::{Bump, Draft, Expect, Registry, Select};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "target/first-registry".to_owned());
    let registry = Registry::open(folder).await?;
    let name = "billing/invoice".parse()?;
    let draft = Draft::new(&name, r#"{"type": "object"}"#)
        .media_type("application/schema+json")
        .description("What an invoice looks like")
        .request_id("build-812");
    let version = registry.publish_next(draft, Bump::Minor).await?.artifact.version;
    registry.set_channel(&name, "stable", &version, Expect::Any).await?;
    let invoice = registry.get(&name, Select::channel("stable")).await?;
    println!("{} is {}", invoice.entry.artifact, String::from_utf8_lossy(&invoice.bytes));
    for hit in registry.search("invoice").await? {
        println!("found {} {}", hit.name, hit.version);
    }
    registry.close().await?;
    Ok(())
}
