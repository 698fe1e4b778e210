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

use mcp_core::{Digest, Id, Principal, Timestamp};
use mcp_promotion::machine::{Command, StageState, Verified, decide};
use mcp_promotion::{
    Calendar, Entry, Evidence, Fence, Fencing, GateEvidence, Happened, Judgement, Kind, Policy,
    PromotionError, Reach, Release, Skipped, State, UpstreamEvidence, UpstreamRule, Vote,
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
            glass: None,
            succeeded_at: None,
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
        opening: None,
        skipped: Vec::new(),
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
        let seen =
            UpstreamEvidence { stage, lane: None, version: 9, promotion: 1, succeeded_at: at(since), ran_ms };
        vec![(seen, Verified { promotion: 1, at: at(since), until: None })]
    };
    assert_eq!(refused(soaking(), start(evidence(&[]), ran(41))), missing);
    let mut machine = Machine::new(soaking());
    machine.obey(&start(evidence(&[]), ran(40))).unwrap();
    assert_eq!(machine.0.promotion(1).unwrap().state, State::Deploying);
}

/// Invariant 5.
#[test]
fn a_start_after_any_of_several_stages_needs_one_that_has_soaked_and_so_does_its_record() {
    let policy =
        || plain().after("eu").after("us").upstream(UpstreamRule::AnyOf).soak(Duration::from_secs(60));
    let seen = |stage: &str, seconds: i64| {
        let (stage, ran_ms) = (stage.parse().unwrap(), u64::try_from(seconds).unwrap() * 1000);
        let since = at(100 - seconds);
        let seen =
            UpstreamEvidence { stage, lane: None, version: 9, promotion: 1, succeeded_at: since, ran_ms };
        (seen, Verified { promotion: 1, at: since, until: None })
    };
    let mut machine = Machine::new(policy());
    let early = start(evidence(&[]), vec![seen("eu", 59), seen("us", 1)]);
    let missing = "the release has not succeeded and soaked in any of eu, us";
    let refused = machine.obey(&early).unwrap_err().to_string();
    assert_eq!(refused, format!("start prod/1: it is pending, and {missing}"));
    let upstream = vec![seen("eu", 59).0, seen("dev", 99).0];
    let doctored = Happened::Passed { promotion: 1, evidence: Evidence { upstream, ..evidence(&[]) } };
    let why = machine.impossible(doctored);
    assert_eq!(why, "the release did not succeed and soak in any of eu, us");
    machine.obey(&start(evidence(&[]), vec![seen("eu", 59), seen("us", 60)])).unwrap();
    let recorded = &machine.0.promotion(1).unwrap().evidence.as_ref().unwrap().upstream;
    assert_eq!(recorded, &[seen("us", 60).0], "a success that has not soaked is no evidence");
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

/// Invariant 5: the driver is not trusted to have looked at the calendar, and neither is a journal.
#[test]
fn nothing_starts_outside_of_its_windows() {
    let tuesday = || Calendar::span("tuesday", "UTC", "1970-01-01T00:00", "1970-01-01T00:01").unwrap();
    let mut machine = Machine::new(plain().allow(tuesday()));
    let closed = machine.obey(&start(evidence(&[]), Vec::new())).unwrap_err().to_string();
    assert_eq!(closed, "start prod/1: it is pending, and no window is open, or a freeze is on");
    let passed = |opening| Happened::Passed { promotion: 1, evidence: Evidence { opening, ..evidence(&[]) } };
    assert_eq!(machine.impossible(passed(None)), "no window was open");
    for opening in [r#"{"inside":"friday"}"#, "{}", r#"{"inside":"tuesday","until":"1970-01-01T00:01:00Z"}"#]
    {
        let opening = serde_json::from_str(opening).unwrap();
        assert_eq!(machine.impossible(passed(opening)), "no window was open");
    }
    let frozen =
        plain().deny(Calendar::span("freeze", "UTC", "1970-01-01T00:01", "1970-01-02T00:00").unwrap());
    let closed = Machine::new(frozen).obey(&start(evidence(&[]), Vec::new())).unwrap_err();
    assert_eq!(closed.to_string(), "start prod/1: it is pending, and no window is open, or a freeze is on");
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
    let vote = |vote| Command::Vote {
        promotion: 1,
        voter: "bob".parse().unwrap(),
        vote,
        reason: String::new(),
        standing: Some(mcp_promotion::Standing::every_level()),
    };
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
        beside: mcp_promotion::Beside::default(),
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
        beside: mcp_promotion::Beside::default(),
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

#[test]
fn nothing_but_a_rollback_starts_in_a_held_stage_whoever_asks_and_whatever_the_stream_says() {
    let held =
        Happened::Held { by: "bob".parse().unwrap(), reason: "freeze".to_owned(), unique: Id::from_u128(99) };
    let by = "bob".parse::<mcp_core::Principal>().unwrap();
    let hold = Command::Hold { by: by.clone(), reason: "freeze".to_owned(), unique: Id::from_u128(99) };
    let mut machine = Machine::new(plain());
    assert!(machine.impossible(Happened::HoldLifted { by: by.clone() }).starts_with("nothing is held"));
    machine.obey(&hold).unwrap();
    assert!(machine.impossible(held).starts_with("the stage is held already, bob holds it since"));
    let refused = machine.obey(&start(evidence(&[]), Vec::new())).unwrap_err().to_string();
    assert_eq!(
        refused,
        "start prod/1: it is pending, and bob holds it since 1970-01-01T00:01:40.000000Z: freeze"
    );
    // Gates that passed before the hold do not help either.
    machine.0.apply(&Entry { at: at(100), request: None, what: passed(1, "1.0.0") }).unwrap();
    let why = machine.impossible(changed(1, State::Pending, State::Deploying));
    assert!(why.starts_with("promotion 1 starts although bob holds it since"), "{why}");
    machine.obey(&Command::LiftHold { by }).unwrap();
    machine.start(1, "1.0.0");
    machine.obey(&hold).unwrap();
    assert_eq!(machine.0.promotion(1).unwrap().state, State::Deploying, "what is under way goes on");
}

fn passed(promotion: u64, version: &str) -> Happened {
    let evidence = Evidence { release: release(version).digest(), ..evidence(&[]) };
    Happened::Passed { promotion, evidence }
}

proptest::proptest! {
    /// Invariant 5: whoever votes, whenever, against a model that keeps one line for each person.
    #[test]
    fn votes_on_two_levels_agree_with_a_naive_count(
        votes in proptest::collection::vec((0..6_usize, 0..3_u8, 0..20_i64), 0..40),
    ) {
        let people = ["bob", "carol", "dora", "erin", "finn", "alice"];
        let level = |name: &str, quorum| mcp_promotion::Level::new(name.parse().unwrap(), quorum);
        let first = level("one", 2).from_group("security".parse().unwrap(), 1);
        let policy = plain().level(first).level(level("two", 1)).approval_expires_after(Duration::from_secs(50));
        // bob and carol may approve level one, dora and erin both, finn level two; carol and erin are of security.
        let levels = |who: usize| [who < 4, (2..5).contains(&who)];
        let mut machine = Machine::new(policy);
        let (mut model, mut now) = (std::collections::BTreeMap::new(), 100);
        for (who, vote, later) in votes {
            now += later;
            let counts = |level: usize, model: &std::collections::BTreeMap<usize, (usize, i64)>| {
                let of_it: Vec<usize> = model.iter().filter(|(_, (at, when))| *at == level && now < when + 50).map(|(who, _)| *who).collect();
                if level == 0 { of_it.len() >= 2 && of_it.iter().any(|who| [1, 3].contains(who)) } else { !of_it.is_empty() }
            };
            let named = levels(who).into_iter().zip(["one", "two"]).filter(|(may, _)| *may).map(|(_, name)| name.parse().unwrap());
            let groups = if [1, 3].contains(&who) { ["security".parse().unwrap()].into() } else { Default::default() };
            let standing = Some(mcp_promotion::Standing::of(named.collect(), groups));
            let (voter, vote) = (people[who].parse().unwrap(), if vote == 0 { Vote::Revoke } else { Vote::Approve });
            let command = Command::Vote { promotion: 1, voter, vote, reason: String::new(), standing };
            let obeyed = decide(&machine.0, &command, at(now));
            if vote == Vote::Revoke {
                model.remove(&who);
            } else {
                let standing = model.get(&who).filter(|(_, when)| now < when + 50).map(|(level, _)| *level);
                let open = standing.unwrap_or(usize::from(counts(0, &model)));
                let may = who != 5 && levels(who)[open];
                proptest::prop_assert_eq!(obeyed.is_ok(), may, "{} at {}", people[who], now);
                if may {
                    model.insert(who, (open, now));
                }
            }
            for what in obeyed.unwrap_or_default() {
                machine.0.apply(&Entry { at: at(now), request: None, what }).unwrap();
            }
            let promotion = machine.0.promotion(1).unwrap();
            let tally = mcp_promotion::tally(&promotion.votes, &promotion.policy, promotion.binding, &promotion.requester, at(now));
            proptest::prop_assert_eq!(tally.is_complete(), counts(0, &model) && counts(1, &model));
        }
    }
}

/// Invariant 5: a journal in which a vote counts for a level that was not open is not believed.
#[test]
fn a_vote_for_a_level_that_is_not_open_cannot_have_happened() {
    let level = |name: &str| mcp_promotion::Level::new(name.parse().unwrap(), 1);
    let machine = Machine::new(plain().level(level("one")).level(level("two")));
    let binding = machine.0.promotion(1).unwrap().binding;
    let voted = |level: Option<&str>| {
        let (level, groups) = (level.map(|level| level.parse().unwrap()), Default::default());
        Happened::Voted {
            promotion: 1,
            voter: "bob".parse().unwrap(),
            vote: Vote::Approve,
            binding,
            level,
            groups,
        }
    };
    for level in [None, Some("two"), Some("three")] {
        assert_eq!(machine.impossible(voted(level)), "a vote on promotion 1 for a level that is not open");
    }
}

#[test]
fn a_window_after_success_of_what_is_not_watched_cannot_have_happened() {
    let mut machine = Machine::new(plain());
    machine.deploy(1, "1.0.0", Reach::All);
    machine
        .obey(&Command::Move {
            fence: Fence(2),
            promotion: 1,
            to: State::Succeeded,
            reason: "unverified".to_owned(),
        })
        .unwrap();
    let window = mcp_promotion::Window { from: at(100), to: at(110) };
    let sampled = mcp_promotion::Sampled {
        promotion: 1,
        window,
        canary: mcp_promotion::Counts::default(),
        baseline: mcp_promotion::Counts::default(),
        trouble: None,
        judge: serde_json::Value::Null,
        judgement: Judgement::Fail { why: "invented".to_owned() },
        beside: mcp_promotion::Beside::default(),
    };
    assert_eq!(machine.impossible(Happened::Watched(Box::new(sampled))), "promotion 1 is not being watched");
}

/// Invariant 5.
#[test]
fn nothing_is_skipped_unless_somebody_broke_the_glass_and_who_broke_it_does_not_review_it() {
    let mut stage = Machine::new(plain().approvals(1).gate("scan"));
    let promotion = 1;
    let skipped = vec![Skipped::Gate { gate: "scan".parse().unwrap() }];
    let passed = |skipped: &Vec<Skipped>| Happened::Passed {
        promotion,
        evidence: Evidence { skipped: skipped.clone(), ..evidence(&[]) },
    };
    assert_eq!(stage.impossible(passed(&skipped)), "gate scan did not pass");
    let gated = Happened::Passed {
        promotion,
        evidence: Evidence { skipped: skipped.clone(), ..evidence(&["scan"]) },
    };
    assert_eq!(stage.impossible(gated), "something was skipped although nobody broke the glass");
    let by: Principal = "dave".parse().unwrap();
    let reviewed = |by: &str| Happened::Reviewed { promotion, by: by.parse().unwrap(), note: String::new() };
    assert_eq!(stage.impossible(reviewed("erin")), format!("promotion {promotion} owes no review"));
    stage.obey(&Command::BreakGlass { promotion, by: by.clone(), reason: "now".to_owned() }).unwrap();
    for own in ["dave", "alice"] {
        assert_eq!(stage.impossible(reviewed(own)), format!("{own} reviews what they did themselves"));
    }
    assert_eq!(stage.impossible(passed(&Vec::new())), "gate scan did not pass");
    let again = Happened::GlassBroken { promotion, by, reason: "now".to_owned(), review_by: at(9) };
    let told = format!("prod/{promotion} has no glass that could be broken");
    assert_eq!(stage.impossible(again), told);
    stage.0.apply(&Entry { at: at(1), request: None, what: passed(&skipped) }).unwrap();
}
