//! Two stages, of which the second takes over by itself what has succeeded in the first.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::{Clock, ManualClock, Name, SequentialIds};
use mcp_promotion::{
    Actor, Append, Engine, Guardrail, Journal, JournalError, JudgeChoice, MemoryJournal, Pipeline, Policy,
    PromotionError, Reach, Release, State,
};

use crate::probe::{Probe, Probed};
use crate::process::{Run, Scenario, drive};
use crate::world::{Life, Outcome, Switches, World, copy, now};
use crate::{Pairs, crashes, pauses, points};

const NAMES: [&str; 2] = ["dev", "prod"];

#[derive(Clone)]
struct Relay {
    journal: MemoryJournal,
    clock: Arc<ManualClock>,
    ids: Arc<SequentialIds>,
    sites: [World; 2],
    outcome: Outcome,
    violations: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
struct Seen {
    relay: Relay,
    owner: Name,
    probe: Arc<Probe>,
}

#[async_trait]
impl Journal for Seen {
    async fn append(&self, batch: &[Append]) -> Result<(), JournalError> {
        self.probe.around(|| self.relay.append(&self.owner, batch)).await
    }

    async fn read(&self, stream: &Name, after: u64, max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        self.relay.journal.read(stream, after, max).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<Name>, JournalError> {
        self.relay.journal.streams(prefix).await
    }
}

impl Relay {
    /// The first release runs in both.
    fn new(outcome: Outcome, switches: Switches) -> Self {
        let life =
            |name| Life { outcome: if name == "prod" { outcome } else { Outcome::Succeeds }, canary: false };
        let dev = World::empty(NAMES[0], life(NAMES[0]), switches);
        let (journal, clock, ids) = (dev.journal.clone(), Arc::clone(&dev.clock), Arc::clone(&dev.ids));
        let sites = NAMES.map(|name| {
            let mut site = World::empty(name, life(name), switches).copy_into(&journal, &clock, &ids);
            (site.first, site.second) = (dev.first.clone(), dev.second.clone());
            // The engine has no pin here: what a promotion pins, the other scenarios look at.
            for release in [&site.first, &site.second] {
                let expires = Some(clock.now());
                site.pin(&"shelf".parse().unwrap(), release.artifacts(), expires).unwrap();
            }
            site
        });
        let relay = Self { journal, clock, ids, sites, outcome, violations: Arc::default() };
        let setup = relay.engine("setup", &Arc::new(Probe::default()));
        now(promote(setup, Arc::clone(&relay.clock), relay.sites[0].first.clone(), "first")).unwrap();
        relay.sites.iter().for_each(World::begin);
        relay
    }

    fn append(&self, owner: &Name, batch: &[Append]) -> Result<(), JournalError> {
        let before = self.sites.each_ref().map(World::state);
        self.sites[0].append_switched(batch)?;
        for (site, before) in self.sites.iter().zip(before) {
            site.check_written(owner, before);
        }
        Ok(())
    }
}

impl Scenario for Relay {
    fn engine(&self, owner: &str, probe: &Arc<Probe>) -> Engine {
        let mut guardrail = Guardrail::default();
        (guardrail.consecutive, guardrail.min_windows) = (1, 1);
        guardrail.bake = Duration::from_secs(10);
        let judged = Policy::judged_by(JudgeChoice::Guardrail(guardrail), Duration::from_secs(10));
        let pipeline = Pipeline::builder()
            .stage("dev", Policy::unverified("enumerated"))
            .stage("prod", judged.after("dev").soak(Duration::from_secs(5)).automatic());
        let owner: Name = owner.parse().unwrap();
        let seen = Seen { relay: self.clone(), owner: owner.clone(), probe: Arc::clone(probe) };
        let builder = Engine::builder(pipeline.build().unwrap(), seen)
            .clock(self.clock.clone())
            .ids(self.ids.clone())
            .owner(owner.as_str());
        let builder = self.sites.iter().fold(builder, |builder, site| {
            let (world, owner, probe) = (site.clone(), owner.clone(), Arc::clone(probe));
            builder.stage(site.stage.as_str(), Probed { world, owner, probe })
        });
        builder.build().unwrap()
    }

    fn run(&self, engine: Engine) -> Run {
        Box::pin(promote(engine, Arc::clone(&self.clock), self.sites[0].second.clone(), "second"))
    }

    fn copy(&self) -> Self {
        let (journal, ids) = (copy(&self.journal), Arc::new(SequentialIds::starting_at(100)));
        let clock = Arc::new(ManualClock::at(self.clock.now()));
        let sites = self.sites.each_ref().map(|site| site.copy_into(&journal, &clock, &ids));
        let violations = Arc::new(Mutex::new(self.violations.lock().unwrap().clone()));
        Self { journal, clock, ids, sites, outcome: self.outcome, violations }
    }

    fn violate(&self, what: String) {
        self.violations.lock().unwrap().push(what);
    }

    fn violations(&self) -> Vec<String> {
        let mut all = self.violations.lock().unwrap().clone();
        for site in &self.sites {
            all.extend(site.violations().into_iter().map(|what| format!("{}: {what}", site.stage)));
        }
        all
    }

    /// The second release was requested once in each stage.
    fn check_end(&self) {
        let verifier = self.engine("verifier", &Arc::new(Probe::default()));
        if let Err(error) = now(verifier.verify()) {
            self.violate(format!("invariant 4: {error}"));
        }
        let [dev, prod] = &self.sites;
        let (first, second) = (dev.first.digest(), dev.second.digest());
        dev.check_stage(&[State::Succeeded], second, &[(second, Reach::All)]);
        match self.outcome {
            Outcome::Succeeds => prod.check_stage(&[State::Succeeded], second, &[(second, Reach::All)]),
            Outcome::RollsBack => {
                let changes = [(second, Reach::All), (first, Reach::All)];
                prod.check_stage(&[State::RolledBack], first, &changes);
            }
        }
    }
}

/// Asks for `release` in `dev`, and drives both stages to the end.
async fn promote(
    engine: Engine,
    clock: Arc<ManualClock>,
    release: Release,
    request: &'static str,
) -> Result<(), PromotionError> {
    engine.request("dev", &release, Actor::new("alice")?.request_id(request)?).await?;
    drive(engine, clock).await
}

/// Invariants 4, 5, 6, 7 and 11.
#[test]
fn no_crash_and_no_pause_makes_an_automatic_promotion_happen_twice_or_not_at_all() {
    for outcome in [Outcome::Succeeds, Outcome::RollsBack] {
        let begin = Relay::new(outcome, Switches::default());
        let (single, pairs) = crashes(&begin, Pairs::OneIn(10));
        single.expect_none(&format!("automatic, {outcome:?}, single crashes"));
        pairs.expect_none(&format!("automatic, {outcome:?}, pairs of crashes"));
        let pauses = pauses(&begin, Pairs::OneIn(5));
        pauses.expect_none(&format!("automatic, {outcome:?}, pauses"));
        assert_eq!(single.runs, 3 * points(&begin));
        assert!(pairs.runs > 100 && pauses.runs > 150, "{} {}", pairs.runs, pauses.runs);
    }
}

#[test]
fn without_expected_versions_the_enumeration_finds_an_automatic_promotion_that_is_wrong() {
    let switches = Switches { journal_ignores_versions: true, ..Switches::default() };
    let pauses = pauses(&Relay::new(Outcome::Succeeds, switches), Pairs::OneIn(5));
    println!("automatic: violations in {} of {} pauses", pauses.violations.len(), pauses.runs);
    assert!(!pauses.violations.is_empty());
}
