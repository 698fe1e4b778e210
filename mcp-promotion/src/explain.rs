use std::fmt;

use mcp_core::{Principal, Timestamp};
use serde::{Deserialize, Serialize};

use crate::entry::{Entry, Evidence, Happened};
use crate::judge::Judgement;
use crate::verification::Verification;
use crate::{Hold, Kind, Promotion, PromotionId, Release, State, Vote};

/// Why a promotion went as it did: the answer of [`Engine::explain`](crate::Engine::explain), computed from the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Explanation {
    /// Which promotion.
    pub promotion: PromotionId,
    /// What it was for.
    pub kind: Kind,
    /// What was promoted.
    pub release: Release,
    /// Who asked for it; `watch` for the engine itself, after a regression.
    pub requested_by: Principal,
    /// When.
    pub requested_at: Timestamp,
    /// Who approved it: those whose approval counted when it started, or who have approved it so far.
    pub approved_by: Vec<Principal>,
    /// When it was started; `None` where it was not.
    pub started_at: Option<Timestamp>,
    /// What the gates, the stages before and the windows said in the step that started it.
    pub evidence: Option<Evidence>,
    /// What the stage ran when it was started; `None` for nothing, or where it was not started.
    pub replaced: Option<Replaced>,
    /// How its health was judged; `None` where it did not come so far.
    pub verified: Option<Verified>,
    /// What people decided in place of the rules, in order.
    pub exceptions: Vec<Exception>,
    /// Where it stands.
    pub state: State,
    /// Why it stands there; empty where the state says it all.
    pub reason: String,
    /// Since when it stands there.
    pub since: Timestamp,
}

/// What a promotion took the place of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Replaced {
    /// The release.
    pub release: Release,
    /// Which promotion had brought it.
    pub promotion: PromotionId,
}

/// How the health of a release was judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verified {
    /// Not at all, for this reason.
    Unverified {
        /// Why nobody looked.
        reason: String,
    },
    /// By a judge, and guardrails beside it.
    Judged {
        /// Which judge.
        by: String,
        /// How many windows it saw.
        windows: u64,
        /// What was said last.
        judgement: Judgement,
    },
}

/// What a person decided in place of the rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Exception {
    /// What was done.
    pub what: Deed,
    /// Who did it.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
    /// Why; empty where nobody had to say.
    pub reason: String,
}

/// What a person can decide in place of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Deed {
    /// Rejected, in spite of any approvals.
    Rejected,
    /// Paused.
    Paused,
    /// Let go on after a pause, whatever the stage ran.
    Resumed,
    /// Started without waiting for approvals, windows and soak time.
    BrokeGlass,
    /// Looked at, by somebody else, why the glass was broken.
    Reviewed,
    /// Called a success in place of the judge.
    Overridden,
    /// Told to go back.
    Aborted,
    /// Told to go back once more, after it was stuck.
    Retried,
    /// Taken over by a person, after it was stuck.
    Acknowledged,
    /// Withdrawn.
    Cancelled,
}

impl Deed {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::BrokeGlass => "glass broken",
            Self::Reviewed => "reviewed",
            Self::Overridden => "overridden",
            Self::Aborted => "aborted",
            Self::Retried => "retried",
            Self::Acknowledged => "acknowledged",
            Self::Cancelled => "cancelled",
        }
    }

    /// What a change from one state to another means, when a person decided it.
    const fn of(from: State, to: State) -> Option<Self> {
        match (from, to) {
            (_, State::Rejected) => Some(Self::Rejected),
            (_, State::Cancelled) => Some(Self::Cancelled),
            (_, State::Paused) => Some(Self::Paused),
            (State::Stuck, State::RollingBack) => Some(Self::Retried),
            (State::Stuck, State::Failed) => Some(Self::Acknowledged),
            (State::Paused, State::Succeeded) => Some(Self::Overridden),
            (_, State::RollingBack | State::Stuck) => Some(Self::Aborted),
            (State::Paused, State::Deploying | State::Verifying) => Some(Self::Resumed),
            _ => None,
        }
    }
}

impl Explanation {
    /// Of a promotion as it stands, before the events about it are told one by one.
    pub(crate) fn of(promotion: &Promotion) -> Self {
        let verified = promotion.verification.as_ref().map(|progress| match &promotion.policy.verification {
            Verification::Unverified { reason } => Verified::Unverified { reason: reason.clone() },
            Verification::Judged(judged) => Verified::Judged {
                by: judged.judge.name().to_owned(),
                windows: progress.windows,
                judgement: progress.judgement.clone(),
            },
        });
        let approved = promotion.votes.iter().filter(|ballot| ballot.vote == Vote::Approve);
        let approved_by = match &promotion.evidence {
            Some(evidence) => evidence.approved_by.clone(),
            None => approved.map(|ballot| ballot.voter.clone()).collect(),
        };
        Self {
            promotion: promotion.id.clone(),
            kind: promotion.kind,
            release: promotion.release.clone(),
            requested_by: promotion.requester.clone(),
            requested_at: promotion.requested_at,
            approved_by,
            started_at: None,
            evidence: promotion.evidence.clone(),
            replaced: None,
            verified,
            exceptions: Vec::new(),
            state: promotion.state,
            reason: promotion.reason.clone(),
            since: promotion.since,
        }
    }

    /// Takes in one event about it.
    pub(crate) fn tell(&mut self, entry: &Entry) {
        let (what, by, reason) = match &entry.what {
            Happened::Overridden { by, reason, .. } => (Deed::Overridden, by, reason),
            Happened::GlassBroken { by, reason, .. } => (Deed::BrokeGlass, by, reason),
            Happened::Reviewed { by, note, .. } => (Deed::Reviewed, by, note),
            Happened::Changed { from: State::Pending, to: State::Deploying, .. } => {
                self.started_at = Some(entry.at);
                return;
            }
            Happened::Changed { from, to, reason, by: Some(by), .. } => match Deed::of(*from, *to) {
                // The step by which an override goes on, right behind it.
                Some(Deed::Resumed) if self.last_deed() == Some(Deed::Overridden) => return,
                Some(what) => (what, by, reason),
                None => return,
            },
            _ => return,
        };
        self.exceptions.push(Exception { what, by: by.clone(), at: entry.at, reason: reason.clone() });
    }

    fn last_deed(&self) -> Option<Deed> {
        self.exceptions.last().map(|exception| exception.what)
    }
}

/// Why a stage runs what it runs: the answer of [`Engine::explain_stage`](crate::Engine::explain_stage), computed from the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StageExplanation {
    /// As of when.
    pub at: Timestamp,
    /// The promotion that brought what runs; `None` where nothing has succeeded.
    pub runs: Option<Explanation>,
    /// The last promotion that was started after it, and did not stay: what runs was brought back then.
    pub came_back_after: Option<Box<Explanation>>,
    /// The promotion that is under way, and may have changed the stage already.
    pub in_flight: Option<Box<Explanation>>,
    /// An acknowledged failure that leaves it open what really runs.
    pub unsettled: bool,
    /// Who holds the stage, and why.
    pub held: Option<Hold>,
    /// What a rollback would bring back.
    pub previous: Option<Replaced>,
}

impl fmt::Display for Explanation {
    /// Some sentences of plain English.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::Deploy => "deploys",
            Kind::Rollback => "rolls back to",
        };
        writeln!(f, "{} {what} {}", self.promotion, self.release)?;
        writeln!(f, "  requested by {} at {}", self.requested_by, self.requested_at)?;
        if !self.approved_by.is_empty() {
            let people: Vec<&str> = self.approved_by.iter().map(Principal::as_str).collect();
            writeln!(f, "  approved by {}", people.join(", "))?;
        }
        match (self.started_at, &self.replaced) {
            (None, _) => writeln!(f, "  not started")?,
            (Some(at), None) => writeln!(f, "  started at {at}, when nothing ran")?,
            (Some(at), Some(replaced)) => {
                writeln!(
                    f,
                    "  started at {at}, in place of {} from {}",
                    replaced.release, replaced.promotion
                )?;
            }
        }
        if let Some(evidence) = &self.evidence {
            for gate in &evidence.gates {
                writeln!(f, "  gate {} passed: {}", gate.gate, gate.saw)?;
            }
            for before in &evidence.upstream {
                let ran = crate::preview::spoken(std::time::Duration::from_millis(before.ran_ms));
                writeln!(
                    f,
                    "  it had succeeded as {}/{} and run there for {ran}",
                    before.stage, before.promotion
                )?;
            }
            if let Some(inside) = evidence.opening.as_ref().and_then(|opening| opening.inside.as_ref()) {
                writeln!(f, "  within the window {inside}")?;
            }
            for skipped in &evidence.skipped {
                writeln!(f, "  without {skipped}")?;
            }
        }
        match &self.verified {
            None => {}
            Some(Verified::Unverified { reason }) => {
                writeln!(f, "  nobody looked whether it was well: {reason}")?;
            }
            Some(Verified::Judged { by, windows, judgement }) => {
                writeln!(f, "  judge {by} saw {windows} windows: {judgement}")?;
            }
        }
        for Exception { what, by, at, reason } in &self.exceptions {
            write!(f, "  {} by {by} at {at}", what.as_str())?;
            writeln!(f, "{}{reason}", if reason.is_empty() { "" } else { ": " })?;
        }
        let word = if self.state.is_terminal() { "at" } else { "since" };
        write!(f, "  {} {word} {}", self.state, self.since)?;
        writeln!(f, "{}{}", if self.reason.is_empty() { "" } else { ": " }, self.reason)
    }
}

impl fmt::Display for StageExplanation {
    /// Some paragraphs of plain English.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.runs {
            Some(runs) => write!(f, "it runs {}, because {runs}", runs.release)?,
            None => writeln!(f, "nothing has succeeded in it")?,
        }
        if let Some(failed) = &self.came_back_after {
            write!(f, "that came back after {failed}")?;
        }
        if let Some(under_way) = &self.in_flight {
            write!(f, "under way is {under_way}")?;
        }
        if self.unsettled {
            writeln!(
                f,
                "what it really runs is not known: a failure was acknowledged, and nothing has succeeded since"
            )?;
        }
        if let Some(held) = &self.held {
            writeln!(f, "{held}")?;
        }
        match &self.previous {
            Some(previous) => {
                writeln!(f, "a rollback would bring back {} from {}", previous.release, previous.promotion)
            }
            None => Ok(()),
        }
    }
}
