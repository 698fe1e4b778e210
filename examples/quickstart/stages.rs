//! The pipeline: which stages there are, what must hold in them, and the servers behind them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mcp_core::{Fetch, Inspect, Pin};
use mcp_promotion::{
    AllowList, Calls, Engine, Guardrail, InspectGate, JudgeChoice, Pipeline, Policy, PromotionError, Queue,
    SqliteJournal,
};
use mcp_registry::Registry;

use crate::failure::Failure;
use crate::folder::Folder;
use crate::site::{Site, Traffic};

/// Who asks for every promotion.
pub const REQUESTER: &str = "alice";
/// Who approve what goes to prod.
pub const APPROVERS: [&str; 2] = ["bob", "carol"];
/// The gate that asks the validation engine once more.
const GATE: &str = "index-contract";
/// How many failed requests are too many, in parts per million.
pub const MAX_ERRORS_PPM: u32 = 50_000;
/// How long one window of samples is.
const WINDOW: Duration = Duration::from_millis(100);

/// One stage as this program sets it up.
#[derive(Debug)]
pub struct Plan {
    /// What it is called.
    pub name: &'static str,
    /// Its policy in a few words.
    pub policy: &'static str,
    instances: &'static [&'static str],
    traffic: Traffic,
}

/// The stages, in their order.
pub const PLANS: [Plan; 3] = [
    Plan { name: "dev", policy: "not verified", instances: &["server"], traffic: Traffic::SmokeTest },
    Plan {
        name: "staging",
        policy: "after dev; judged by a smoke test for 0.5 s",
        instances: &["server"],
        traffic: Traffic::SmokeTest,
    },
    Plan {
        name: "prod",
        policy: "after staging; two approvals; canary first, judged by its clients' requests for 1 s",
        instances: &["canary", "baseline-1", "baseline-2"],
        traffic: Traffic::Clients,
    },
];

fn pipeline() -> Result<Pipeline, PromotionError> {
    // A newer index takes the place of one that still waits.
    let stage = |policy: Policy| policy.gate(GATE).queue(Queue::SupersedePending).calls(calls());
    Pipeline::builder()
        .stage("dev", stage(Policy::unverified("nobody relies on dev")))
        .stage("staging", stage(judged(Duration::from_millis(500))).after("dev"))
        .stage("prod", stage(judged(Duration::from_secs(1))).after("staging").approvals(2).canary())
        .build()
}

/// Healthy when fewer than one in twenty requests fails, for `bake`; three bad windows in a row are enough to fail.
fn judged(bake: Duration) -> Policy {
    let mut guardrail = Guardrail::default();
    guardrail.max_errors_ppm = MAX_ERRORS_PPM;
    guardrail.min_requests = 20;
    guardrail.bake = bake;
    guardrail.patience = Duration::from_secs(10);
    Policy::judged_by(JudgeChoice::Guardrail(guardrail), WINDOW)
}

/// The stages are on this machine: what fails will not be better in a minute.
fn calls() -> Calls {
    let mut calls = Calls::default();
    calls.backoff = Duration::from_millis(100);
    calls
}

/// The servers of every stage, and the engine that decides what they run.
pub struct Stages {
    /// Decides.
    pub engine: Engine,
    /// One for each of [`PLANS`].
    pub sites: Vec<Arc<Site>>,
}

impl Stages {
    /// Starts the servers with what they ran last, and opens the journal. The registry meets promotion here, and nowhere else: as the
    /// source of what is deployed (`Fetch`), as its keeper (`Pin`), and through what inspects it (`Inspect`).
    pub async fn open(
        folder: &Folder,
        registry: &Registry,
        inspect: Arc<dyn Inspect>,
    ) -> Result<Self, Failure> {
        let fetch: Arc<dyn Fetch> = Arc::new(registry.clone());
        let mut sites = Vec::new();
        for plan in &PLANS {
            let Plan { name, instances, traffic, .. } = plan;
            let site = Site::start(name, instances, *traffic, &folder.stages(), Arc::clone(&fetch)).await?;
            sites.push(Arc::new(site));
        }
        let path = folder.journal();
        let journal = open_journal(&path).await?;
        let refused = |error: PromotionError| Failure::because("set up the promotion engine", &error);
        let mut engine = Engine::builder(pipeline().map_err(refused)?, journal)
            .authorizer(AllowList::of([&[REQUESTER], &APPROVERS[..]].concat()).map_err(refused)?)
            .gate(GATE, InspectGate::new(Arc::clone(&fetch), inspect))
            .fetch(fetch)
            .pin(Arc::new(registry.clone()) as Arc<dyn Pin>)
            // The registry's lock admits one process, so this name belongs to one at a time: after a kill it goes on at once.
            .owner("quickstart");
        for (plan, site) in PLANS.iter().zip(&sites) {
            engine = engine.stage(plan.name, Arc::clone(site));
        }
        Ok(Self { engine: engine.build().map_err(refused)?, sites })
    }
}

async fn open_journal(path: &Path) -> Result<SqliteJournal, Failure> {
    let owned = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || SqliteJournal::open(owned)).await;
    let attempt = format!("open the promotion journal {}", path.display());
    match opened {
        Ok(journal) => journal.map_err(|error| {
            Failure::because(attempt, &error)
                .advise("make room and make it writable, or name another folder with --data DIR")
        }),
        Err(stopped) => Err(Failure::because(attempt, &stopped)),
    }
}
