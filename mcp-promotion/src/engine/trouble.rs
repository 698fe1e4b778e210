use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mcp_core::{ErrorKind, Name, Timestamp};

use super::Engine;
use crate::{PlanId, PromotionError, PromotionId};

/// What a driver of this engine was about when it met an error that it could not write down.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Task {
    /// Driving this stage.
    Stage(Name),
    /// Giving up the pin of this promotion, whose artifacts stay for longer than needed.
    Unpin(PromotionId),
    /// Driving this plan.
    Plan(PlanId),
    /// Looking for plans.
    Plans,
    /// Giving up the pin of this plan, whose artifacts stay for longer than needed.
    UnpinPlan(PlanId),
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stage(stage) => write!(f, "drive stage {stage}"),
            Self::Unpin(promotion) => write!(f, "give up the pin of {promotion}"),
            Self::Plan(plan) => write!(f, "drive plan {plan}"),
            Self::Plans => f.write_str("look for plans"),
            Self::UnpinPlan(plan) => write!(f, "give up the pin of plan {plan}"),
        }
    }
}

/// An error that a driver of this engine meets again and again and cannot write to the journal: that is away, full or damaged, or answers
/// what cannot be. It is tried again by itself, and is over when it succeeds once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trouble {
    /// What the driver was about.
    pub task: Task,
    /// When it failed first.
    pub since: Timestamp,
    /// When it failed last.
    pub last: Timestamp,
    /// How often in a row it failed.
    pub times: u64,
    /// The kind of the last error.
    pub kind: ErrorKind,
    /// What the last error said, with its causes.
    pub error: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, since, last, times, error, .. } = self;
        write!(f, "{task}: failed {times} times from {since} to {last}, the last time with: {error}")
    }
}

/// How much of an error is kept, in characters.
const MAX_ERROR_CHARS: usize = 2000;

/// What the drivers of an engine could not write down.
#[derive(Debug, Default)]
pub(super) struct Troubles(Mutex<BTreeMap<Task, Trouble>>);

impl Troubles {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Task, Trouble>> {
        // Nothing of the host's runs under this lock, and every change is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn met(&self, task: Task, error: &PromotionError, now: Timestamp) {
        let (kind, text) = (error.kind(), told(error));
        let mut all = self.all();
        let trouble = all.entry(task.clone()).or_insert_with(|| Trouble {
            task,
            since: now,
            last: now,
            times: 0,
            kind,
            error: String::new(),
        });
        trouble.times = trouble.times.saturating_add(1);
        (trouble.last, trouble.kind, trouble.error) = (now, kind, text);
    }

    pub(super) fn over(&self, task: &Task) {
        self.all().remove(task);
    }

    /// Forgets the pins of `stage` that nobody has to give up any more.
    pub(super) fn keep_pins(&self, stage: &Name, wanted: impl Fn(u64) -> bool) {
        self.all().retain(|task, _| match task {
            Task::Unpin(promotion) => promotion.stage != *stage || wanted(promotion.number),
            _ => true,
        });
    }

    pub(super) fn of(&self, task: &Task) -> Option<Trouble> {
        self.all().get(task).cloned()
    }
}

impl Engine {
    /// Notes what became of `task`.
    pub(super) fn note<T>(&self, task: Task, outcome: &Result<T, PromotionError>) {
        match outcome {
            Ok(_) => self.inner.troubles.over(&task),
            Err(error) => self.inner.troubles.met(task, error, self.now()),
        }
    }

    /// What the drivers of this engine fail at and cannot write down, in the order of [`Task`]; empty when all is well.
    ///
    /// What a stage, a gate or another seam says is in the journal instead, and shows among the [`blockers`](Self::blockers), as does the
    /// trouble of a promotion's own stage.
    #[must_use]
    pub fn troubles(&self) -> Vec<Trouble> {
        self.inner.troubles.all().values().cloned().collect()
    }
}

fn told(error: &PromotionError) -> String {
    let text = match error {
        PromotionError::Seam { attempted, source } => format!("{attempted}: {}", super::call::told(source)),
        other => other.to_string(),
    };
    text.chars().take(MAX_ERROR_CHARS).collect()
}
