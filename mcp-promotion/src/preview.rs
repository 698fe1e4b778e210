use std::fmt;
use std::time::Duration;

use mcp_core::{Name, Principal, Timestamp};
use serde::{Deserialize, Serialize};

use crate::verification::{JudgeChoice, Verification};
use crate::{
    Blocker, Kind, LiftedBy, OnNoPredecessor, Policy, PromotionId, Reach, Release, Sequential, millis,
};

/// What a request would lead to, and what would keep it from starting: the answer of [`Engine::preview`](crate::Engine::preview).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Preview {
    /// At what time; everything in it is as of then.
    pub at: Timestamp,
    /// Into which stage.
    pub stage: Name,
    /// What the promotion would be for.
    pub kind: Kind,
    /// What would be promoted.
    pub release: Release,
    /// Who would have asked for it.
    pub requester: Principal,
    /// What the stage runs; `None` where nothing has succeeded there.
    pub runs: Option<Release>,
    /// Pending promotions whose place it would take.
    pub supersedes: Vec<PromotionId>,
    /// Promotions that must end, or at least start, before it: first the one under way, then those that wait, in their order.
    pub behind: Vec<PromotionId>,
    /// What would keep it from starting at once.
    pub obstacles: Vec<Obstacle>,
    /// What it would go through, in order.
    pub steps: Vec<Ahead>,
    /// What would happen if it failed.
    pub on_failure: Return,
}

/// A blocker, and who or what lifts it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Obstacle {
    /// What is in the way.
    pub blocker: Blocker,
    /// Who or what can lift it.
    pub lifted_by: LiftedBy,
    /// When it is lifted, or looked at again, without anybody doing anything; `None` when that is not known, or never happens.
    pub until: Option<Timestamp>,
}

impl Obstacle {
    pub(crate) fn of(blocker: Blocker) -> Self {
        let (lifted_by, until) = (blocker.lifted_by(), blocker.until());
        Self { blocker, lifted_by, until }
    }
}

/// One step of a promotion that lies ahead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ahead {
    /// People approve it.
    Approvals {
        /// How many in all.
        needed: u32,
        /// In these levels, one behind the other; none where there is only one.
        levels: Vec<Name>,
    },
    /// These gates are asked, and must pass.
    Gates {
        /// Which.
        names: Vec<Name>,
    },
    /// The stage is told to run the release.
    Apply {
        /// How much of it.
        reach: Reach,
    },
    /// Its health is judged.
    Judge {
        /// By which judge.
        by: String,
        /// How long one window is, in milliseconds.
        #[serde(rename = "window_ms", with = "millis")]
        window: Duration,
        /// How long it takes at least to pass, in milliseconds; `None` where only the judge of the host knows.
        #[serde(rename = "bake_ms", with = "millis::option")]
        bake: Option<Duration>,
        /// How many guardrails stand beside the judge.
        guardrails: usize,
    },
    /// Nobody looks whether it is well.
    Unverified {
        /// Why.
        reason: String,
    },
    /// The judge goes on to look after it has succeeded.
    Watch {
        /// For how long, in milliseconds.
        #[serde(rename = "for_ms", with = "millis")]
        length: Duration,
    },
}

/// What follows when a promotion fails after it was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Return {
    /// This release is brought back.
    Release(Release),
    /// The stage is told to run nothing.
    Remove,
    /// It pauses, because nothing ran before.
    Pause,
    /// It is stuck: a rollback is never rolled back.
    Stuck,
}

impl Ahead {
    /// What a promotion with `policy` goes through, of which the first change reaches so much.
    pub(crate) fn all(policy: &Policy, first: Reach) -> Vec<Self> {
        let mut steps = Vec::new();
        let quorums = policy.levels.iter().map(|level| level.quorum);
        let needed = quorums.fold(policy.approvals, u32::saturating_add);
        if needed > 0 {
            let levels = policy.levels.iter().map(|level| level.name.clone()).collect();
            steps.push(Self::Approvals { needed, levels });
        }
        if !policy.gates.is_empty() {
            steps.push(Self::Gates { names: policy.gates.iter().cloned().collect() });
        }
        steps.push(Self::Apply { reach: first });
        match &policy.verification {
            Verification::Unverified { reason } => steps.push(Self::Unverified { reason: reason.clone() }),
            Verification::Judged(judged) => {
                let rails = judged.guardrails.iter().map(|guardrail| guardrail.bake);
                let bake = bake(&judged.judge).map(|bake| rails.fold(bake, Duration::max));
                let by = judged.judge.name().to_owned();
                steps.push(Self::Judge {
                    by,
                    window: judged.window,
                    bake,
                    guardrails: judged.guardrails.len(),
                });
            }
        }
        if first == Reach::Canary {
            steps.push(Self::Apply { reach: Reach::All });
        }
        if let Some(length) = policy.watch {
            steps.push(Self::Watch { length });
        }
        steps
    }
}

/// How long a judge takes at least to pass.
fn bake(judge: &JudgeChoice) -> Option<Duration> {
    match judge {
        JudgeChoice::Guardrail(guardrail) => Some(guardrail.bake),
        JudgeChoice::Rank(rank) => Some(rank.bake),
        JudgeChoice::Count(count) => Some(count.bake),
        JudgeChoice::Together(together) => {
            let each = together.judges.iter().map(|judge| match judge {
                Sequential::Rank(rank) => rank.bake,
                Sequential::Count(count) => count.bake,
            });
            each.max()
        }
        JudgeChoice::Named(_) => None,
    }
}

impl Return {
    pub(crate) fn of(kind: Kind, policy: &Policy, runs: Option<&Release>) -> Self {
        match (kind, runs, policy.on_no_predecessor) {
            (Kind::Rollback, _, _) => Self::Stuck,
            (Kind::Deploy, Some(release), _) => Self::Release(release.clone()),
            (Kind::Deploy, None, OnNoPredecessor::Remove) => Self::Remove,
            (Kind::Deploy, None, OnNoPredecessor::Pause) => Self::Pause,
        }
    }
}

/// Shows a time as people say it, such as `1h 30m`.
pub(crate) fn spoken(duration: Duration) -> String {
    let millis = duration.as_millis();
    let parts = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let mut rest = millis;
    let mut shown: Vec<String> = Vec::new();
    for (unit, size) in parts {
        let (count, left) = (rest / size, rest % size);
        if count > 0 {
            shown.push(format!("{count}{unit}"));
        }
        rest = left;
    }
    if shown.is_empty() { "0s".to_owned() } else { shown.join(" ") }
}

impl fmt::Display for Ahead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |names: &[Name]| names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
        match self {
            Self::Approvals { needed: 1, levels } if levels.is_empty() => {
                f.write_str("one person approves it")
            }
            Self::Approvals { needed, levels } => {
                write!(f, "{needed} people approve it")?;
                if levels.is_empty() { Ok(()) } else { write!(f, ", level by level: {}", joined(levels)) }
            }
            Self::Gates { names } => write!(f, "gates pass: {}", joined(names)),
            Self::Apply { reach: Reach::Canary } => f.write_str("the canary runs it"),
            Self::Apply { reach: Reach::All } => f.write_str("everything runs it"),
            Self::Judge { by, window, bake, guardrails } => {
                write!(f, "judge {by} looks at windows of {}", spoken(*window))?;
                if let Some(bake) = bake {
                    write!(f, ", for at least {}", spoken(*bake))?;
                }
                match guardrails {
                    0 => Ok(()),
                    1 => f.write_str(", beside a guardrail"),
                    many => write!(f, ", beside {many} guardrails"),
                }
            }
            Self::Unverified { reason } => write!(f, "nobody looks whether it is well: {reason}"),
            Self::Watch { length } => {
                write!(f, "it has succeeded, and the judge watches it for {}", spoken(*length))
            }
        }
    }
}

impl fmt::Display for Return {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release(release) => write!(f, "{release} is brought back"),
            Self::Remove => f.write_str("the stage is told to run nothing"),
            Self::Pause => f.write_str("it pauses, because nothing ran before"),
            Self::Stuck => f.write_str("it is stuck, because a rollback is never rolled back"),
        }
    }
}

impl fmt::Display for Preview {
    /// Some lines of plain English.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::Deploy => "promote",
            Kind::Rollback => "roll back to",
        };
        writeln!(f, "{what} {} in {} for {}, as of {}", self.release, self.stage, self.requester, self.at)?;
        match &self.runs {
            Some(runs) if *runs == self.release => writeln!(f, "  the stage runs it already")?,
            Some(runs) => writeln!(f, "  the stage runs {runs}")?,
            None => writeln!(f, "  nothing has succeeded in the stage")?,
        }
        let joined = |ids: &[PromotionId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if !self.supersedes.is_empty() {
            writeln!(f, "  it takes the place of {}", joined(&self.supersedes))?;
        }
        if !self.behind.is_empty() {
            writeln!(f, "  it has its turn after {}", joined(&self.behind))?;
        }
        if self.obstacles.is_empty() {
            writeln!(f, "  nothing keeps it from starting at once")?;
        }
        for obstacle in &self.obstacles {
            writeln!(f, "  blocked: {}", obstacle.blocker)?;
        }
        for (place, step) in self.steps.iter().enumerate() {
            writeln!(f, "  {}. {step}", place.saturating_add(1))?;
        }
        writeln!(f, "  if it fails, {}", self.on_failure)
    }
}
