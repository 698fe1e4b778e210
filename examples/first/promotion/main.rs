//! Promotes one release through two stages, the second after an approval and a second of good health.
mod directory;
use directory::Directory;
use mcp_promotion::{AllowList, Engine, MemoryJournal, Pipeline, Policy, Release};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pipeline = Pipeline::builder()
        .stage("dev", Policy::unverified("demo"))
        .stage("prod", Policy::healthy_for(std::time::Duration::from_secs(1)).after("dev").approvals(1))
        .build()?;
    let engine = Engine::builder(pipeline, MemoryJournal::new())
        .stage("dev", Directory::new("target/first-promotion/dev"))
        .stage("prod", Directory::new("target/first-promotion/prod"))
        .authorizer(AllowList::of(["bob"])?)
        .build()?;
    tokio::spawn(engine.clone().run());
    let release = Release::of([("app@1.2.0", mcp_core::Digest::of(b"the app"))])?;
    let dev = engine.request("dev", &release, "alice").await?;
    println!("{dev}: {}", engine.wait(&dev).await?);
    let prod = engine.request("prod", &release, "alice").await?;
    engine.approve(&prod, "bob").await?;
    println!("{prod}: {}\n{}", engine.wait(&prod).await?, engine.history(&prod).await?);
    Ok(())
}
