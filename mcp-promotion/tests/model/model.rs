//! What is known of two stages, in lists.

use std::time::Duration;

use mcp_core::ErrorKind;
use mcp_promotion::{Calls, JudgeChoice, OnInconclusive, OnNoPredecessor, Policy, Queue, State};
use proptest::prelude::*;

use crate::act::{Act, Person};
use crate::toy::{Mood, World};

pub(crate) const NAMES: [&str; 2] = ["dev", "prod"];

// In seconds.
pub(crate) const WINDOW: u64 = 10;
pub(crate) const WATCH: u64 = 25;
const SOAK: u64 = 20;
const APPROVAL_EXPIRY: u64 = 600;
pub(crate) const EXPIRY: u64 = 3600;
pub(crate) const BACKOFF: u64 = 5;
pub(crate) const ATTEMPTS: u32 = 2;

/// What is drawn once for a life.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Whether somebody looks if a release is well, by stage.
    pub(crate) judged: [bool; 2],
    /// How many approvals the second stage needs.
    pub(crate) approvals: usize,
    pub(crate) supersede: bool,
    /// What happens without a predecessor: the stage is left with nothing, or the promotion is paused.
    pub(crate) remove: bool,
    /// The same for a judge that cannot tell.
    pub(crate) back_if_unclear: bool,
    pub(crate) watched: bool,
    /// Whether a second engine lives the same life with a journal in a file.
    pub(crate) on_disk: bool,
}

pub(crate) fn rules() -> impl Strategy<Value = Rules> {
    let judged = [proptest::bool::weighted(0.7), proptest::bool::weighted(0.7)];
    let flags = (judged, any::<[bool; 4]>(), 0..3_usize, proptest::bool::weighted(0.25));
    flags.prop_map(|(judged, [supersede, remove, back_if_unclear, watched], approvals, on_disk)| Rules {
        judged,
        approvals,
        supersede,
        remove,
        back_if_unclear,
        watched,
        on_disk,
    })
}

impl Rules {
    pub(crate) fn policy(&self, at: usize) -> Policy {
        let seconds = Duration::from_secs;
        let mut calls = Calls::default();
        (calls.attempts, calls.backoff) = (ATTEMPTS, seconds(BACKOFF));
        let policy = if self.judged[at] {
            let judge = JudgeChoice::Named("counting".parse().unwrap());
            let policy = Policy::judged_by(judge, seconds(WINDOW));
            let policy = if self.watched { policy.watch(seconds(WATCH)) } else { policy };
            if self.back_if_unclear { policy.on_inconclusive(OnInconclusive::RollBack) } else { policy }
        } else {
            Policy::unverified("nobody looks")
        };
        let policy = policy.calls(calls).expires_after(Some(seconds(EXPIRY)));
        let policy = if self.supersede { policy.queue(Queue::SupersedePending) } else { policy };
        let policy = if self.remove { policy.on_no_predecessor(OnNoPredecessor::Remove) } else { policy };
        match (at, self.approvals) {
            (0, _) => policy,
            (_, 0) => policy.after("dev").soak(seconds(SOAK)),
            (_, some) => policy
                .after("dev")
                .soak(seconds(SOAK))
                .approvals(u32::try_from(some).unwrap())
                .approval_expires_after(seconds(APPROVAL_EXPIRY)),
        }
    }
}

/// A promotion.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Whether it is a rollback.
    pub(crate) back: bool,
    pub(crate) version: u8,
    pub(crate) by: &'static str,
    pub(crate) at: u64,
    pub(crate) state: State,
    /// Every vote: whose, whether it approves, and when.
    pub(crate) votes: Vec<(Person, bool, u64)>,
    pub(crate) glass: Option<Person>,
    /// How often its present call has failed, and when last.
    pub(crate) tries: u32,
    pub(crate) tried_at: u64,
    pub(crate) paused_from: Option<State>,
    /// Whether the stage has confirmed its release.
    pub(crate) applied: bool,
    /// Whether a person has accepted whatever the stage runs.
    pub(crate) accepted: bool,
    /// What the judge has seen.
    pub(crate) well: u8,
    pub(crate) judged_well: bool,
    pub(crate) judged_ill: bool,
    pub(crate) seen_until: u64,
}

/// What became of a release in a stage.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// The stage runs it from then on.
    Runs { version: u8, by: usize, back: bool },
    /// It was taken back, or left to a person.
    Bad { version: u8 },
}

#[derive(Clone, Debug)]
pub(crate) struct Watch {
    pub(crate) left: u64,
    pub(crate) seen_until: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) asked: Vec<Asked>,
    pub(crate) fates: Vec<(u64, Fate)>,
    pub(crate) held: Option<&'static str>,
    /// Whether nothing may be promoted by itself.
    pub(crate) distrusted: bool,
    /// Whether a person took over, so that nobody knows what runs.
    pub(crate) unsettled: bool,
    pub(crate) watch: Option<Watch>,
    /// The watch that another promotion has interrupted.
    pub(crate) aside: Option<Watch>,
    /// Which promotions are still to be reviewed.
    pub(crate) owed: Vec<usize>,
    /// Request ids, what each was used for, and what the answer was.
    pub(crate) used: Vec<(u8, String, Option<usize>)>,
    pub(crate) world: World,
}

/// What a command is answered: which promotion it has made, or why it was refused.
pub(crate) type Outcome = Result<Option<usize>, ErrorKind>;

#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) rules: Rules,
    pub(crate) now: u64,
    pub(crate) stages: [Stage; 2],
    pub(crate) outcome: Outcome,
}

impl Model {
    pub(crate) fn new(rules: Rules) -> Self {
        let stage = || Stage {
            asked: Vec::new(),
            fates: Vec::new(),
            held: None,
            distrusted: false,
            unsettled: false,
            watch: None,
            aside: None,
            owed: Vec::new(),
            used: Vec::new(),
            world: World::new(),
        };
        Self { rules, now: 0, stages: [stage(), stage()], outcome: Ok(None) }
    }

    /// Whether it can be told what this leads to. When a driver looks again at a stage that it samples is its own affair, so that nothing
    /// may be wrong there that it would see.
    pub(crate) fn is_certain_after(&self, act: &Act) -> bool {
        match *act {
            Act::Mood { at, mood: Mood::Blind } | Act::Tamper { at, .. } => !self.stages[at].is_sampled(),
            _ => true,
        }
    }

    /// Why a pending promotion does not start, in the order in which the engine says it.
    pub(crate) fn blockers(&self, at: usize, which: usize) -> Vec<&'static str> {
        let stage = &self.stages[at];
        let asked = &stage.asked[which];
        let mut blockers = Vec::new();
        let waits = !asked.back && asked.glass.is_none();
        if stage.held.is_some() && waits {
            blockers.push("held");
        }
        if at == 1 && waits && asked.approvals(self.now) < self.rules.approvals {
            blockers.push("approvals");
        }
        if at == 1 && !asked.back {
            match self.stages[0].ran(asked.version, self.now) {
                None => blockers.push("upstream"),
                Some(seconds) if waits && seconds < SOAK => blockers.push("soaking"),
                Some(_) => {}
            }
        }
        if stage.in_flight().is_some() {
            blockers.push("in flight");
        }
        if stage.head() != Some(which) {
            blockers.push("queued");
        }
        blockers
    }
}

impl Asked {
    /// How many people's last word, not older than it may be, is that they approve.
    fn approvals(&self, now: u64) -> usize {
        let people = [Person::Alice, Person::Bob, Person::Carol, Person::Mallory];
        let approves = |person: &&Person| {
            let last = self.votes.iter().rfind(|(voter, ..)| voter == *person);
            last.is_some_and(|(_, approves, at)| *approves && now < at + APPROVAL_EXPIRY)
        };
        people.iter().filter(approves).count()
    }
}

impl Stage {
    pub(crate) fn in_flight(&self) -> Option<usize> {
        self.asked.iter().position(|asked| asked.state.is_in_flight())
    }

    /// Whether samples are taken, or will be when a pause is over.
    pub(crate) fn is_sampled(&self) -> bool {
        let verifying = Some(State::Verifying);
        let sampled = |asked: &Asked| Some(asked.state) == verifying || asked.paused_from == verifying;
        self.watch.is_some() || self.asked.iter().any(sampled)
    }

    /// Nothing new runs: what ran before is watched for the rest of its time, without the time in between.
    pub(crate) fn watch_on(&mut self, now: u64) {
        self.watch = self.aside.take().map(|watch| Watch { seen_until: now, ..watch });
    }

    /// Whose turn it is: rollbacks, then what must not wait, then everything else, each in the order of the requests.
    pub(crate) fn head(&self) -> Option<usize> {
        let pending = |asked: &Asked| asked.state == State::Pending;
        let first = |wanted: &dyn Fn(&Asked) -> bool| {
            self.asked.iter().position(|asked| pending(asked) && wanted(asked))
        };
        first(&|asked| asked.back)
            .or_else(|| first(&|asked| asked.glass.is_some()))
            .or_else(|| first(&|_| true))
    }

    /// What it runs, and which promotion has brought that.
    pub(crate) fn current(&self) -> Option<(u8, usize)> {
        self.fates.iter().rev().find_map(|(_, fate)| match fate {
            Fate::Runs { version, by, .. } => Some((*version, *by)),
            Fate::Bad { .. } => None,
        })
    }

    /// What it ran before that, unless that was brought back already.
    pub(crate) fn previous(&self) -> Option<u8> {
        let (mut current, mut previous) = (None, None);
        for (_, fate) in &self.fates {
            if let Fate::Runs { version, back, .. } = fate {
                if *back {
                    previous = None;
                } else if current != Some(*version) {
                    previous = current;
                }
                current = Some(*version);
            }
        }
        previous
    }

    /// For how long a release ran here after its last success, or has run until now; `None` where it never succeeded, or was found bad since.
    pub(crate) fn ran(&self, version: u8, now: u64) -> Option<u64> {
        let last = |wanted: &dyn Fn(&Fate) -> bool| self.fates.iter().rposition(|(_, fate)| wanted(fate));
        let begun = last(&|fate| matches!(fate, Fate::Runs { version: it, .. } if *it == version))?;
        let found_bad = last(&|fate| matches!(fate, Fate::Bad { version: it } if *it == version));
        if found_bad.is_some_and(|found_bad| found_bad > begun) {
            return None;
        }
        let replaced = self.fates[begun + 1..].iter().find(|(_, fate)| matches!(fate, Fate::Runs { .. }));
        Some(replaced.map_or(now, |(at, _)| *at) - self.fates[begun].0)
    }
}
