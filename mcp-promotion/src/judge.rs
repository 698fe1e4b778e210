//! Judges decide from samples whether a release is well.

mod beside;
mod bet;
mod burn;
mod count;
mod guardrail;
mod occasion;
mod rank;
mod sequential;
mod thin;
mod together;

use std::fmt;

use mcp_core::{ErrorKind, SeamError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Sample, Window};

pub use beside::{Beside, Shadow};
pub(crate) use beside::{Heard, hear};
pub use burn::Burn;
pub use count::CountTest;
pub use guardrail::{Guardrail, Limit};
pub(crate) use occasion::Occasion;
pub use rank::{Metric, RankTest};
pub use together::{Sequential, Together};

/// The error of a [`Judge`].
pub type JudgeError = SeamError;

/// What a judge says after a window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Judgement {
    /// More windows are needed.
    #[default]
    Undecided,
    /// The release is well.
    Pass,
    /// The release is not well; terminal.
    Fail {
        /// What was seen.
        why: String,
    },
    /// It cannot be told from what there was, and waiting longer is not allowed.
    Inconclusive {
        /// What was missing.
        why: String,
    },
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undecided => f.write_str("undecided"),
            Self::Pass => f.write_str("pass"),
            Self::Fail { why } => write!(f, "fail: {why}"),
            Self::Inconclusive { why } => write!(f, "inconclusive: {why}"),
        }
    }
}

impl Judgement {
    /// The same, with at most 2,000 characters of what it says: every event has a limit, and a verdict must not be lost to it.
    pub(crate) fn in_short(self) -> Self {
        let short = |why: String| why.chars().take(2000).collect();
        match self {
            Self::Undecided | Self::Pass => self,
            Self::Fail { why } => Self::Fail { why: short(why) },
            Self::Inconclusive { why } => Self::Inconclusive { why: short(why) },
        }
    }
}

/// How large a judge's state may be as compact JSON, in bytes; beyond it the promotion is paused.
pub(crate) const MAX_JUDGE_STATE_BYTES: usize = 1 << 20;

/// Decides whether a release is well, window by window.
///
/// Called by the driver that holds the stage's lease. It must be pure: the same state and samples give the same answer. What it keeps is
/// `state`, which is journaled with each window, so that after a crash the next driver goes on with the same evidence. It has at most 1 MiB
/// as JSON; with more, the promotion is paused.
pub trait Judge: Send + Sync {
    /// What the samples of `window` add to `state`, which is `Null` before the first window. An empty slice means that there was no
    /// data; a judge that passes on no data is wrong, and the engine takes it for undecided.
    ///
    /// `window` begins where the one before ended, but is at most twice as long as the policy's: of a longer gap the time before it was not
    /// watched. After `Inconclusive` a judge is asked again when somebody has resumed the
    /// promotion, and in a watch: what it waited for in vain before then should not count any more.
    ///
    /// # Errors
    /// `Corrupt` when `state` is not one of its own. The promotion is then paused.
    fn judge(
        &self,
        state: &Value,
        window: Window,
        samples: &[Sample],
    ) -> Result<(Value, Judgement), JudgeError>;
}

const _: Option<&dyn Judge> = None;

/// Reads what a judge kept; `Null` gives the default.
///
/// # Errors
/// `Corrupt` when it is something else.
pub fn read_state<T: Default + serde::de::DeserializeOwned>(
    judge: &str,
    state: &Value,
) -> Result<T, JudgeError> {
    if state.is_null() {
        return Ok(T::default());
    }
    T::deserialize(state).map_err(|error| {
        SeamError::new(ErrorKind::Corrupt, format!("read the state of judge {judge}")).with_source(error)
    })
}
