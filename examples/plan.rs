//! Two artifacts that depend on each other are changed in an order in which every state on the way works; and a plan for which there is no such
//! order is refused, naming the two needs that exclude each other.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use mcp_core::{Artifact, Digest, ParseError};
use mcp_promotion::{
    Context, Engine, Fence, Fencing, Item, MemoryJournal, Need, Observed, Pipeline, PlanRequest, Policy,
    PromotionError, Release, Sample, Stage, StageError, Window,
};

/// A stage that remembers the digest of what it runs.
#[derive(Default)]
struct Memory(Mutex<Option<Digest>>);

#[async_trait]
impl Stage for Memory {
    fn fencing(&self) -> Fencing {
        Fencing::Unfenced
    }
    async fn observe(&self, _fence: Fence) -> Result<Observed, StageError> {
        let running = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(running.map_or(Observed::Nothing, Observed::Running))
    }
    async fn apply(&self, release: &Release, _context: &Context) -> Result<(), StageError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(release.digest());
        Ok(())
    }
    async fn sample(&self, _window: Window) -> Result<Vec<Sample>, StageError> {
        Ok(Vec::new())
    }
}

fn artifact(reference: &str) -> Result<Artifact, ParseError> {
    Artifact::try_from((reference, Digest::of(reference.as_bytes())))
}

/// The ledger to 2.0.0, and billing to 2.0.0, which needs it.
fn request() -> Result<PlanRequest, PromotionError> {
    let ledger = Item::new("ledger".parse()?, artifact("ledger@2.0.0")?).from("1.0.0".parse()?);
    let billing = Item::new("billing".parse()?, artifact("billing@2.0.0")?).from("1.0.0".parse()?);
    Ok(PlanRequest::new([ledger, billing.need(Need::new("ledger", "^2")?)]))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (stages, policy) = (["billing", "ledger"], Policy::unverified("an example"));
    let pipeline = stages.iter().fold(Pipeline::builder(), |all, name| all.stage(*name, policy.clone()));
    let builder = Engine::builder(pipeline.build()?, MemoryJournal::new());
    let engine = stages.iter().fold(builder, |all, name| all.stage(*name, Memory::default())).build()?;
    tokio::spawn(engine.clone().run());
    for name in stages {
        let first = Release::of([artifact(&format!("{name}@1.0.0"))?])?;
        engine.wait(&engine.request(name, &first, "alice").await?).await?;
    }

    // The billing that runs works beside either ledger; the new one does not work beside the old ledger.
    let plan = engine.preview_plan(&request()?).await?;
    println!("waves: {}", serde_json::to_string(plan.plan.waves())?);
    for edge in &plan.edges {
        println!("{edge}");
    }

    // If the billing that runs does not work beside the new ledger either, neither can go first.
    let mut impossible = request()?;
    for item in impossible.items.iter_mut().filter(|item| item.stage.as_str() == "billing") {
        item.needed_before.push(Need::new("ledger", "^1")?);
    }
    if let Err(refusal) = engine.request_plan(&impossible, "alice").await {
        println!("refused: {refusal}");
    }

    let id = engine.request_plan(&request()?, "alice").await?;
    println!("the plan {}", engine.wait_plan(id).await?);
    for entry in engine.plan_history(id).await? {
        println!("  {}", entry.what);
    }
    engine.stop();
    Ok(())
}
