//! Stages that a plan changes, one artifact in each.

use std::sync::Arc;
use std::time::Duration;

use mcp_core::{Artifact, Clock, Digest, ManualClock, SequentialIds};
use mcp_promotion::{
    AllowList, Engine, EngineBuilder, Item, MemoryJournal, Need, Pipeline, PlanId, PlanRequest, PlanState,
    Policy, Release, Step,
};

use crate::scene::Puppet;

pub(crate) struct Fleet {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) journal: MemoryJournal,
    pub(crate) stages: Vec<(&'static str, Puppet)>,
    pub(crate) policy: fn(&str) -> Policy,
}

pub(crate) const NAMES: [&str; 3] = ["auth", "billing", "web"];

pub(crate) fn artifact(name: &str, version: &str) -> Artifact {
    let reference = format!("{name}@{version}");
    Artifact::try_from((reference.as_str(), Digest::of(reference.as_bytes()))).unwrap()
}

/// From version 1 to 2.
pub(crate) fn item(name: &str) -> Item {
    Item::new(name.parse().unwrap(), artifact(name, "2.0.0")).from("1.0.0".parse().unwrap())
}

/// From version 1 to 2 in three stages: `web` needs the new `billing`, and that the new `auth`.
pub(crate) fn request() -> PlanRequest {
    PlanRequest::new(NAMES.iter().enumerate().map(|(place, name)| {
        let before = place.checked_sub(1).map(|before| Need::new(NAMES[before], "^2").unwrap());
        before.into_iter().fold(item(name), Item::need)
    }))
}

fn plain(_stage: &str) -> Policy {
    Policy::unverified("demo")
}

fn approved(_stage: &str) -> Policy {
    plain("").approvals(1)
}

fn web_is_approved(stage: &str) -> Policy {
    if stage == "web" { plain(stage).approvals(1) } else { plain(stage) }
}

impl Fleet {
    /// Three stages, of which `web` needs an approval.
    pub(crate) async fn approved() -> Self {
        Self::new(&NAMES, web_is_approved).await
    }

    /// Stages that all need an approval.
    pub(crate) async fn all_approved(names: &[&'static str]) -> Self {
        Self::new(names, approved).await
    }

    /// Approves all that the plan waits for; which stages those were.
    pub(crate) async fn approve(&self, id: PlanId) -> String {
        let mut stages = Vec::new();
        for (promotion, _) in self.engine.plan_blockers(id).await.unwrap() {
            self.engine.approve(&promotion, "bob").await.unwrap();
            stages.push(promotion.stage.to_string());
        }
        self.settle().await;
        stages.join(" ")
    }

    /// Stages without approvals.
    pub(crate) async fn plain(names: &[&'static str]) -> Self {
        Self::new(names, plain).await
    }

    /// Version 1 runs everywhere.
    async fn new(names: &[&'static str], policy: fn(&str) -> Policy) -> Self {
        let clock = Arc::new(ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap()));
        let journal = MemoryJournal::new();
        let stages: Vec<_> = names.iter().map(|name| (*name, Puppet::default())).collect();
        let engine = engine(&journal, &clock, &stages, policy, "one");
        let fleet = Self { engine, clock, journal, stages, policy };
        for name in names {
            let release = Release::of([artifact(name, "1.0.0")]).unwrap();
            let id = fleet.engine.request(*name, &release, "alice").await.unwrap();
            if policy(name).approvals > 0 {
                fleet.engine.approve(&id, "bob").await.unwrap();
            }
        }
        fleet.settle().await;
        let first: Vec<String> = names.iter().map(|name| format!("{name}@1.0.0")).collect();
        assert_eq!(fleet.running(), first.join(" "));
        fleet
    }

    /// Another process on the same journal and stages.
    pub(crate) fn another(&self, owner: &str) -> Engine {
        engine(&self.journal, &self.clock, &self.stages, self.policy, owner)
    }

    /// The same engine on another journal.
    pub(crate) fn on(&self, journal: MemoryJournal) -> Engine {
        engine(&journal, &self.clock, &self.stages, self.policy, "one")
    }

    /// Another process with something more, or something else.
    pub(crate) fn with(&self, owner: &str, more: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Engine {
        more(builder(&self.journal, &self.clock, &self.stages, self.policy, owner)).build().unwrap()
    }

    /// Another process whose pipeline has these stages only.
    pub(crate) fn of(&self, owner: &str, names: &[&str]) -> Engine {
        let stages: Vec<_> = self.stages.iter().filter(|(name, _)| names.contains(name)).cloned().collect();
        engine(&self.journal, &self.clock, &stages, self.policy, owner)
    }

    /// The same with this engine.
    pub(crate) fn driven_by(self, engine: Engine) -> Self {
        Self { engine, ..self }
    }

    pub(crate) async fn settle(&self) {
        let end = self.clock.now().saturating_add(Duration::from_secs(24 * 60 * 60));
        for _ in 0..5000 {
            match self.engine.step().await.unwrap() {
                Step::Waiting(Some(until)) if until < end => {
                    self.clock.advance(until.saturating_since(self.clock.now()));
                }
                Step::Waiting(_) => return,
                _ => {}
            }
        }
        panic!("it does not settle");
    }

    pub(crate) fn stage(&self, name: &str) -> &Puppet {
        &self.stages.iter().find(|(stage, _)| *stage == name).unwrap().1
    }

    pub(crate) fn running(&self) -> String {
        let last = |stage: &Puppet| stage.applied().last().cloned().unwrap_or_default();
        self.stages.iter().map(|(_, stage)| last(stage)).collect::<Vec<_>>().join(" ")
    }

    pub(crate) async fn state(&self, id: PlanId) -> PlanState {
        self.engine.plan_status(id).await.unwrap().state
    }

    pub(crate) async fn history(&self, id: PlanId) -> Vec<String> {
        let history = self.engine.plan_history(id).await.unwrap();
        history.iter().map(|entry| entry.what.to_string()).collect()
    }
}

fn engine(
    journal: &MemoryJournal,
    clock: &Arc<ManualClock>,
    stages: &[(&'static str, Puppet)],
    policy: fn(&str) -> Policy,
    owner: &str,
) -> Engine {
    builder(journal, clock, stages, policy, owner).build().unwrap()
}

fn builder(
    journal: &MemoryJournal,
    clock: &Arc<ManualClock>,
    stages: &[(&'static str, Puppet)],
    policy: fn(&str) -> Policy,
    owner: &str,
) -> EngineBuilder {
    let pipeline = stages.iter().fold(Pipeline::builder(), |all, (name, _)| all.stage(*name, policy(name)));
    let builder = Engine::builder(pipeline.build().unwrap(), journal.clone())
        .authorizer(AllowList::of(["bob"]).unwrap())
        .clock(clock.clone())
        .ids(Arc::new(SequentialIds::starting_at(
            u64::from(Digest::of(owner.as_bytes()).as_bytes()[0]) << 32,
        )))
        .owner(owner);
    stages.iter().fold(builder, |all, (name, stage)| all.stage(*name, stage.clone()))
}
