//! What the pure core refuses, whoever asks: the driver is not trusted to have looked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use std::sync::Arc;
use std::time::Duration;

use mcp_core::{Digest, Id, Timestamp};
use mcp_promotion::machine::{Command, StageState, Verified, decide};
use mcp_promotion::{
    Entry, Evidence, Fence, Fencing, GateEvidence, Happened, Judgement, Kind, Policy, PromotionError, Reach,
    Release, State, UpstreamEvidence, Vote,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn release(version: &str) -> Release {
    Release::of([(format!("app@{version}").as_str(), Digest::of(version.as_bytes()))]).unwrap()
}

struct Machine(StageState);

impl Machine {
    /// Promotion 1 is pending, and the lease has fence 2.
    fn new(policy: Policy) -> Self {
        let mut machine = Self(StageState::new("prod".parse().unwrap()));
        machine.request(policy).unwrap();
        let (owner, until) = ("one".parse().unwrap(), at(1000));
        machine.obey(&Command::TakeLease { owner, until, fencing: Fencing::Enforced }).unwrap();
        machine
    }

    fn request(&mut self, policy: Policy) -> Result<(), PromotionError> {
        self.request_version("1.0.0", policy);
        Ok(())
    }

    fn obey(&mut self, command: &Command) -> Result<(), PromotionError> {
        for what in decide(&self.0, command, at(100))? {
            self.0.apply(&Entry { at: at(100), request: None, what }).unwrap();
        }
        Ok(())
    }

    fn request_version(&mut self, version: &str, policy: Policy) -> u64 {
        self.obey(&Command::Request {
            kind: Kind::Deploy,
            release: release(version),
            requester: "alice".parse().unwrap(),
            policy: Arc::new(policy),
            unique: Id::from_u128(self.0.version().into()),
            holder: None,
        })
        .unwrap();
        self.0.version()
    }

    fn start(&mut self, promotion: u64, version: &str) {
        let evidence = Evidence { release: release(version).digest(), ..evidence(&[]) };
        self.obey(&Command::Start { fence: Fence(2), promotion, evidence, upstream: Vec::new() }).unwrap();
    }

    fn apply(&mut self, version: &str, promotion: u64, reach: Reach) {
        let release = release(version).digest();
        self.obey(&Command::Applied { fence: Fence(2), promotion, release, reach }).unwrap();
    }

    fn deploy(&mut self, promotion: u64, version: &str, reach: Reach) {
        self.start(promotion, version);
        self.apply(version, promotion, reach);
    }

    fn impossible(&self, what: Happened) -> String {
        let mut state = self.0.clone();
        let why = state.apply(&Entry { at: at(100), request: None, what }).unwrap_err().to_string();
        assert_eq!(state, self.0, "a refused event changes nothing");
        why
    }
}

fn evidence(gates: &[&str]) -> Evidence {
    let gate = |gate: &&str| GateEvidence { gate: gate.parse().unwrap(), saw: "fine".to_owned() };
    Evidence {
        release: release("1.0.0").digest(),
        gates: gates.iter().map(gate).collect(),
        upstream: Vec::new(),
        approved_by: Vec::new(),
    }
}

fn start(evidence: Evidence, upstream: Vec<(UpstreamEvidence, Verified)>) -> Command {
    Command::Start { fence: Fence(2), promotion: 1, evidence, upstream }
}

fn changed(promotion: u64, from: State, to: State) -> Happened {
    Happened::Changed { promotion, from, to, reason: String::new(), by: None }
}

fn plain() -> Policy {
    Policy::unverified("test")
}

/// Invariant 5.
#[test]
fn a_start_without_every_gate_every_approval_and_every_stage_before_is_refused() {
    let refused = |policy: Policy, command: Command| {
        let mut machine = Machine::new(policy);
        let error = machine.obey(&command).unwrap_err().to_string();
        assert_eq!(machine.0.promotion(1).unwrap().state, State::Pending);
        error
    };
    let gated = || plain().gate("scan").gate("fetch");
    assert_eq!(
        refused(gated(), start(evidence(&["fetch"]), Vec::new())),
        "start prod/1: it is pending, and gate scan has not passed"
    );
    let other = Evidence { release: release("2.0.0").digest(), ..evidence(&["fetch", "scan"]) };
    assert_eq!(
        refused(gated(), start(other, Vec::new())),
        "start prod/1: it is pending, and the gates looked at another release"
    );
    assert_eq!(
        refused(plain().approvals(1), start(evidence(&[]), Vec::new())),
        "start prod/1: it is pending, and 1 approvals are missing"
    );
    let soaking = || plain().after("dev").soak(Duration::from_secs(60));
    let missing = "start prod/1: it is pending, and the release has not succeeded and soaked in dev";
    assert_eq!(refused(soaking(), start(evidence(&[]), Vec::new())), missing);
    let ran = |since: i64| {
        let (stage, ran_ms) = ("dev".parse().unwrap(), (100 - u64::try_from(since).unwrap()) * 1000);
        let seen = UpstreamEvidence { stage, version: 9, promotion: 1, succeeded_at: at(since), ran_ms };
        vec![(seen, Verified { promotion: 1, at: at(since), until: None })]
    };
    assert_eq!(refused(soaking(), start(evidence(&[]), ran(41))), missing);
    let mut machine = Machine::new(soaking());
    machine.obey(&start(evidence(&[]), ran(40))).unwrap();
    assert_eq!(machine.0.promotion(1).unwrap().state, State::Deploying);
}

/// Invariants 5 and 7: a journal that says otherwise is not believed.
#[test]
fn events_that_break_the_table_or_an_invariant_cannot_have_happened() {
    let mut machine = Machine::new(plain().gate("scan"));
    machine.request(plain()).unwrap();
    let (pending, deploying) = (State::Pending, State::Deploying);
    assert_eq!(
        machine.impossible(changed(1, pending, deploying)),
        "promotion 1 starts although no gate passed"
    );
    let passed = Happened::Passed { promotion: 1, evidence: evidence(&[]) };
    assert_eq!(machine.impossible(passed), "gate scan did not pass");
    assert_eq!(
        machine.impossible(changed(9, pending, deploying)),
        "there is no promotion 9, or it has ended"
    );
    assert_eq!(
        machine.impossible(changed(1, pending, State::Succeeded)),
        "promotion 1 is pending, and cannot go from pending to succeeded"
    );
    machine.obey(&start(evidence(&["scan"]), Vec::new())).unwrap();
    let mut second = Machine(machine.0.clone());
    let passed = Happened::Passed { promotion: 3, evidence: evidence(&[]) };
    second.0.apply(&Entry { at: at(100), request: None, what: passed }).unwrap();
    assert_eq!(
        second.impossible(changed(3, pending, deploying)),
        "promotion 3 starts while prod/1 is in flight"
    );
    let other = Happened::Applied { promotion: 1, release: release("2.0.0").digest(), reach: Reach::All };
    assert!(machine.impossible(other).starts_with("promotion 1 did not want blake3:"));
    let release = release("1.0.0").digest();
    machine.obey(&Command::Applied { fence: Fence(2), promotion: 1, release, reach: Reach::All }).unwrap();
    let (to, reason) = (State::Succeeded, String::new());
    machine.obey(&Command::Move { fence: Fence(2), promotion: 1, to, reason }).unwrap();
    for to in State::ALL {
        assert_eq!(
            machine.impossible(changed(1, State::Succeeded, to)),
            format!("promotion 1 is succeeded, and cannot go from succeeded to {to}")
        );
    }
}

/// Invariant 6.
#[test]
fn a_command_under_a_lease_that_is_not_the_newest_is_refused() {
    let mut machine = Machine::new(plain());
    let (owner, until) = ("one".parse().unwrap(), at(2000));
    machine.obey(&Command::TakeLease { owner, until, fencing: Fencing::Enforced }).unwrap();
    let stale = machine.obey(&start(evidence(&[]), Vec::new())).unwrap_err();
    assert_eq!(stale.to_string(), "drive stage prod: its lease went to another driver");
    machine.obey(&Command::DropLease { fence: Fence(3) }).unwrap();
    let (to, reason) = (State::Expired, String::new());
    let none = machine.obey(&Command::Move { fence: Fence(3), promotion: 1, to, reason }).unwrap_err();
    assert!(matches!(none, PromotionError::StaleDriver { .. }), "{none}");
}

#[test]
fn a_vote_after_the_start_is_refused_and_a_revoked_approval_does_not_count() {
    let mut machine = Machine::new(plain().approvals(1));
    let vote = |vote| Command::Vote { promotion: 1, voter: "bob".parse().unwrap(), vote, eligible: true };
    machine.obey(&vote(Vote::Approve)).unwrap();
    machine.obey(&vote(Vote::Revoke)).unwrap();
    let missing = machine.obey(&start(evidence(&[]), Vec::new())).unwrap_err().to_string();
    assert_eq!(missing, "start prod/1: it is pending, and 1 approvals are missing");
    machine.obey(&vote(Vote::Approve)).unwrap();
    machine.obey(&start(evidence(&[]), Vec::new())).unwrap();
    let people: Vec<String> = machine
        .0
        .promotion(1)
        .unwrap()
        .evidence
        .as_ref()
        .unwrap()
        .approved_by
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(people, ["bob"]);
    let late = machine.obey(&vote(Vote::Revoke)).unwrap_err().to_string();
    assert_eq!(late, "revoke prod/1: it is deploying, votes count only while it is pending");
}

/// Invariant 7: the success of a canary is that everything runs its release.
#[test]
fn a_canary_does_not_succeed_before_its_release_was_applied_everywhere() {
    let judged = || Policy::healthy_for(Duration::from_secs(60)).canary();
    let mut machine = Machine::new(judged());
    machine.deploy(1, "1.0.0", Reach::All);
    let (to, reason) = (State::Succeeded, String::new());
    machine.obey(&Command::Move { fence: Fence(2), promotion: 1, to, reason }).unwrap();
    let second = machine.request_version("2.0.0", judged());
    machine.start(second, "2.0.0");

    let digest = release("2.0.0").digest();
    let applied = |reach| Happened::Applied { promotion: second, release: digest, reach };
    assert!(machine.impossible(applied(Reach::All)).ends_with("everywhere"));
    machine.apply("2.0.0", second, Reach::Canary);
    let everywhere =
        Command::Applied { fence: Fence(2), promotion: second, release: digest, reach: Reach::All };
    let early = machine.obey(&everywhere).unwrap_err().to_string();
    assert_eq!(early, format!("record a change of prod/{second}: it is verifying, nothing is being applied"));
    assert_eq!(machine.impossible(applied(Reach::All)), format!("promotion {second} is verifying"));
    let succeeded = changed(second, State::Verifying, State::Succeeded);
    let why = format!("promotion {second} succeeds although at most its canary was reached");
    assert_eq!(machine.impossible(succeeded.clone()), why);
    let by = "bob".parse().unwrap();
    let overridden = Happened::Overridden { promotion: second, by, reason: "known".to_owned() };
    assert_eq!(machine.impossible(overridden), format!("promotion {second} is verifying"));

    let judgement = |judgement| Command::Sampled {
        fence: Fence(2),
        promotion: second,
        window: mcp_promotion::Window { from: at(100), to: at(110) },
        canary: mcp_promotion::Counts::default(),
        baseline: mcp_promotion::Counts::default(),
        trouble: None,
        judge: serde_json::Value::Null,
        judgement,
    };
    machine.obey(&judgement(Judgement::Pass)).unwrap();
    assert_eq!(machine.0.promotion(second).unwrap().state, State::Verifying);
    assert_eq!(machine.impossible(succeeded), why, "the verdict alone is no success");
    machine.obey(&everywhere).unwrap();
    assert_eq!(machine.0.promotion(second).unwrap().state, State::Succeeded);
}

/// Invariant 7: what a person has decided in place of the judge, no later sample decides again.
#[test]
fn a_canary_that_was_overridden_is_not_judged_any_more() {
    let judged = || Policy::healthy_for(Duration::from_secs(60)).canary();
    let mut machine = Machine::new(judged());
    machine.deploy(1, "1.0.0", Reach::All);
    let (to, reason) = (State::Succeeded, String::new());
    machine.obey(&Command::Move { fence: Fence(2), promotion: 1, to, reason }).unwrap();
    let second = machine.request_version("2.0.0", judged());
    machine.deploy(second, "2.0.0", Reach::Canary);
    let by = || "bob".parse().unwrap();
    machine.obey(&Command::Pause { promotion: second, by: by(), reason: "wait".to_owned() }).unwrap();
    let (promotion, reason) = (second, "known".to_owned());
    machine.obey(&Command::Override { promotion, by: by(), reason }).unwrap();
    let found = machine.0.promotion(second).unwrap();
    assert_eq!((found.state, found.overridden.as_deref()), (State::Verifying, Some("known")));
    let late = Happened::Sampled(Box::new(mcp_promotion::Sampled {
        promotion: second,
        window: mcp_promotion::Window { from: at(100), to: at(110) },
        canary: mcp_promotion::Counts::default(),
        baseline: mcp_promotion::Counts::default(),
        trouble: None,
        judge: serde_json::Value::Null,
        judgement: Judgement::Pass,
    }));
    assert_eq!(machine.impossible(late), format!("promotion {second} is not being judged"));
}

#[test]
fn events_from_before_there_were_canaries_mean_what_they_meant() {
    let digest = release("1.0.0").digest();
    let old = format!(r#"{{"applied":{{"promotion":1,"release":"{digest}"}}}}"#);
    let read: Happened = serde_json::from_str(&old).unwrap();
    assert_eq!(read, Happened::Applied { promotion: 1, release: digest, reach: Reach::All });
    assert_eq!(serde_json::to_string(&read).unwrap(), old);
}
