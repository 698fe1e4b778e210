use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that is wrong with a pipeline or with a policy.
///
/// Shown as one line: `stage prod, soak_ms: it asks for a soak time, but comes after no stage; name a stage in after, or leave soak_ms out`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Fault {
    /// In which stage, as it was written, at most 60 characters of it; `None` where it is about no stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// In which field of the stage's policy, as a path in its JSON, such as `levels[0].quorum`; `None` where it is about no field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub advice: String,
}

impl Fault {
    pub(crate) fn new(reason: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { stage: None, field: None, reason: reason.into(), advice: advice.into() }
    }

    pub(crate) fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    pub(crate) fn of(mut self, stage: &str) -> Self {
        self.stage = Some(in_short(stage));
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.stage, &self.field) {
            (Some(stage), Some(field)) => write!(f, "stage {stage}, {field}: ")?,
            (Some(stage), None) => write!(f, "stage {stage}: ")?,
            (None, Some(field)) => write!(f, "{field}: ")?,
            (None, None) => {}
        }
        write!(f, "{}; {}", self.reason, self.advice)
    }
}

/// What a stranger calls something, in an error: the beginning of a long text.
pub(crate) fn in_short(text: &str) -> String {
    const CHARS: usize = 60;
    let mut shown: String = text.chars().take(CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// All faults in the text of an error, one behind the other.
pub(crate) fn listed(faults: &[Fault]) -> String {
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    lines.join(". ")
}

/// Collects faults, and counts those that are too many to be told one by one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    list: Vec<Fault>,
    more: usize,
}

impl Faults {
    /// How many are told; of those beyond, only the number is.
    pub(crate) const MAX: usize = 200;

    pub(crate) fn add(&mut self, fault: Fault) {
        if self.list.len() < Self::MAX {
            self.list.push(fault);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    pub(crate) fn into_list(mut self) -> Vec<Fault> {
        if self.more > 0 {
            let reason = format!("there are {} more faults", self.more);
            self.list.push(Fault::new(reason, "mend these first"));
        }
        self.list
    }
}
