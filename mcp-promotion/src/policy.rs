use std::collections::BTreeSet;
use std::time::Duration;

use mcp_core::{Digest, Name, ParseError};
use serde::{Deserialize, Serialize};

use crate::verification::{JudgeChoice, Judged, OnInconclusive, Verification};
use crate::{Guardrail, PromotionError, millis};

/// What must hold before a release goes into a stage, and what happens while it does. Plain data; recorded with every request, so that
/// a later change of the pipeline leaves what is under way alone.
///
/// Durations are whole milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Policy {
    /// How the release is judged once it runs.
    pub verification: Verification,
    /// Stages in which this very release must have succeeded before; none by default.
    #[serde(default)]
    pub after: BTreeSet<Name>,
    /// How long it must have run in each of those, in milliseconds; 0 by default.
    #[serde(default, rename = "soak_ms", with = "millis")]
    pub soak: Duration,
    /// How many distinct eligible people, other than the requester, must approve; 0 by default.
    #[serde(default)]
    pub approvals: u32,
    /// For how long an approval counts, in milliseconds; for ever by default.
    #[serde(default, rename = "approval_expires_after_ms", with = "millis::option")]
    pub approval_expires_after: Option<Duration>,
    /// Gates that must pass, by the names under which the engine's builder got them; none by default.
    #[serde(default)]
    pub gates: BTreeSet<Name>,
    /// What happens to requests that wait; each gets its turn, by default.
    #[serde(default)]
    pub queue: Queue,
    /// After how long a request that was not started expires, in milliseconds; seven days by default, never where absent in JSON.
    #[serde(default, rename = "expires_after_ms", with = "millis::option")]
    pub expires_after: Option<Duration>,
    /// What rolling back means when nothing ran before; to pause, by default.
    #[serde(default)]
    pub on_no_predecessor: OnNoPredecessor,
    /// Whether the release first reaches the canary only, and everything else once it was judged well; false by default. The first
    /// release of a stage, and one that it runs already, have nothing to be compared with and reach everything at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canary: bool,
    /// How calls to the stage are repeated and bounded.
    #[serde(default)]
    pub calls: Calls,
    /// A name that could not be parsed; reported when the pipeline is built.
    #[serde(skip)]
    refused: Option<ParseError>,
}

/// What happens to requests that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Queue {
    /// Each gets its turn, in the order of the requests.
    #[default]
    Serial,
    /// A new request takes the place of those that are still pending.
    SupersedePending,
}

/// What rolling back means when nothing ran before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnNoPredecessor {
    /// A person decides.
    #[default]
    Pause,
    /// The stage is told to run nothing.
    Remove,
}

/// How calls to a stage, a gate or another seam are repeated and bounded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Calls {
    /// How often a failing change is tried before the engine gives it up; 3 by default, at least 1.
    pub attempts: u32,
    /// How long to wait after a first failure, in milliseconds; doubled after each further one, up to five minutes. 1 s by default.
    #[serde(rename = "backoff_ms", with = "millis")]
    pub backoff: Duration,
    /// How long one call may take, in milliseconds; 30 s by default. Only `run` has a timer for it, `step` has none.
    #[serde(rename = "timeout_ms", with = "millis")]
    pub timeout: Duration,
}

impl Default for Calls {
    fn default() -> Self {
        Self { attempts: 3, backoff: Duration::from_secs(1), timeout: Duration::from_secs(30) }
    }
}

impl Calls {
    /// The longest wait between two attempts.
    pub const MAX_BACKOFF: Duration = Duration::from_secs(300);

    /// How long to wait after this many failures in a row.
    #[must_use]
    pub fn backoff_after(&self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.backoff.saturating_mul(doubled).min(Self::MAX_BACKOFF)
    }
}

impl Policy {
    /// With this verification, and every other field at its default.
    #[must_use]
    pub fn verified_by(verification: Verification) -> Self {
        Self {
            verification,
            after: BTreeSet::new(),
            soak: Duration::ZERO,
            approvals: 0,
            approval_expires_after: None,
            gates: BTreeSet::new(),
            queue: Queue::default(),
            expires_after: Some(Duration::from_secs(7 * 24 * 60 * 60)),
            on_no_predecessor: OnNoPredecessor::default(),
            canary: false,
            calls: Calls::default(),
            refused: None,
        }
    }

    /// Nobody looks whether the release is well, for `reason`.
    #[must_use]
    pub fn unverified(reason: impl Into<String>) -> Self {
        Self::verified_by(Verification::Unverified { reason: reason.into() })
    }

    /// The release must be well for `duration`: a [`Guardrail`] with that bake time, over windows of a sixth of it (but no shorter than a
    /// millisecond and no longer than a minute), that pauses after five bake times without data.
    #[must_use]
    pub fn healthy_for(duration: Duration) -> Self {
        let window = (duration / 6).clamp(Duration::from_millis(1), Duration::from_secs(60));
        let window = Duration::from_millis(u64::try_from(window.as_millis()).unwrap_or(u64::MAX));
        let guardrail =
            Guardrail { bake: duration, patience: duration.saturating_mul(5), ..Guardrail::default() };
        Self::judged_by(JudgeChoice::Guardrail(guardrail), window)
    }

    /// `judge` decides, over windows of this length.
    #[must_use]
    pub fn judged_by(judge: JudgeChoice, window: Duration) -> Self {
        let on_inconclusive = OnInconclusive::default();
        Self::verified_by(Verification::Judged(Judged { judge, window, on_inconclusive }))
    }

    /// This very release must have succeeded in `stage` before.
    #[must_use]
    pub fn after(mut self, stage: impl TryInto<Name, Error = ParseError>) -> Self {
        match stage.try_into() {
            Ok(stage) => drop(self.after.insert(stage)),
            Err(error) => self.refused = Some(error),
        }
        self
    }

    /// The gate that the engine knows under `name` must pass.
    #[must_use]
    pub fn gate(mut self, name: impl TryInto<Name, Error = ParseError>) -> Self {
        match name.try_into() {
            Ok(name) => drop(self.gates.insert(name)),
            Err(error) => self.refused = Some(error),
        }
        self
    }

    /// It must have run in the stages before for this long.
    #[must_use]
    pub const fn soak(mut self, soak: Duration) -> Self {
        self.soak = soak;
        self
    }

    /// This many distinct eligible people, other than the requester, must approve.
    #[must_use]
    pub const fn approvals(mut self, approvals: u32) -> Self {
        self.approvals = approvals;
        self
    }

    /// An approval counts for this long.
    #[must_use]
    pub const fn approval_expires_after(mut self, duration: Duration) -> Self {
        self.approval_expires_after = Some(duration);
        self
    }

    /// What happens to requests that wait.
    #[must_use]
    pub const fn queue(mut self, queue: Queue) -> Self {
        self.queue = queue;
        self
    }

    /// A request that was not started expires after this long; `None` for never.
    #[must_use]
    pub const fn expires_after(mut self, duration: Option<Duration>) -> Self {
        self.expires_after = duration;
        self
    }

    /// What rolling back means when nothing ran before.
    #[must_use]
    pub const fn on_no_predecessor(mut self, choice: OnNoPredecessor) -> Self {
        self.on_no_predecessor = choice;
        self
    }

    /// The release first reaches the canary only, and everything else once it was judged well.
    #[must_use]
    pub const fn canary(mut self) -> Self {
        self.canary = true;
        self
    }

    /// What an inconclusive judgement leads to; without effect where nothing is judged.
    #[must_use]
    pub const fn on_inconclusive(mut self, choice: OnInconclusive) -> Self {
        if let Verification::Judged(judged) = &mut self.verification {
            judged.on_inconclusive = choice;
        }
        self
    }

    /// How calls to the stage are repeated and bounded.
    #[must_use]
    pub const fn calls(mut self, calls: Calls) -> Self {
        self.calls = calls;
        self
    }

    /// What identifies it: the digest of its JSON.
    ///
    /// # Errors
    /// `Internal` when it cannot be written as JSON, which no policy should cause.
    pub fn digest(&self) -> Result<Digest, PromotionError> {
        let json = serde_json::to_vec(self).map_err(|error| PromotionError::Internal {
            attempted: "write a policy as JSON".to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Digest::of(&json))
    }

    /// The policy of a rollback into the same stage: no approvals, no stages before, everywhere at once, the same gates and verification.
    pub(crate) fn for_rollback(&self) -> Self {
        Self {
            after: BTreeSet::new(),
            soak: Duration::ZERO,
            approvals: 0,
            queue: Queue::Serial,
            canary: false,
            ..self.clone()
        }
    }

    /// Why it cannot be obeyed.
    pub(crate) fn contradiction(&self) -> Option<String> {
        if let Some(error) = &self.refused {
            return Some(error.to_string());
        }
        let mut durations = vec![
            ("soak", Some(self.soak)),
            ("approval_expires_after", self.approval_expires_after),
            ("expires_after", self.expires_after),
            ("calls.backoff", Some(self.calls.backoff)),
            ("calls.timeout", Some(self.calls.timeout)),
        ];
        if let Verification::Judged(judged) = &self.verification {
            durations.push(("window", Some(judged.window)));
            if judged.window.is_zero() {
                return Some("a window of no length never ends".to_owned());
            }
            if let Some(why) = judged.judge.contradiction() {
                return Some(why);
            }
            if let JudgeChoice::Guardrail(guardrail) = &judged.judge {
                durations.push(("bake", Some(guardrail.bake)));
                durations.push(("patience", Some(guardrail.patience)));
            }
        }
        for (field, duration) in durations {
            let duration = duration.unwrap_or_default();
            if !duration.subsec_nanos().is_multiple_of(1_000_000) {
                return Some(format!("{field} of {duration:?} is not a whole number of milliseconds"));
            }
        }
        if self.calls.attempts == 0 || self.calls.timeout.is_zero() {
            return Some(
                "no attempts, or a timeout of nothing, mean that nothing can ever be applied".to_owned(),
            );
        }
        if !self.soak.is_zero() && self.after.is_empty() {
            return Some("it asks for a soak time, but comes after no stage".to_owned());
        }
        if self.approval_expires_after.is_some() && self.approvals == 0 {
            return Some("its approvals expire, but it asks for none".to_owned());
        }
        if self.canary && matches!(self.verification, Verification::Unverified { .. }) {
            return Some("it asks for a canary, but nobody looks whether it is well".to_owned());
        }
        if self.expires_after.is_some_and(|expiry| expiry < self.soak) {
            return Some("a request expires before its soak time has passed".to_owned());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_survives_json_and_its_digest_tells_every_field_apart() {
        let base = Policy::healthy_for(Duration::from_secs(60));
        let variants = [
            base.clone(),
            base.clone().after("dev"),
            base.clone().gate("scan"),
            base.clone().approvals(2),
            base.clone().expires_after(None),
            base.clone().soak(Duration::from_secs(1)),
            base.clone().queue(Queue::SupersedePending),
            base.clone().on_inconclusive(OnInconclusive::RollBack),
            base.clone().on_no_predecessor(OnNoPredecessor::Remove),
            base.clone().canary(),
            base.clone().approval_expires_after(Duration::from_secs(9)),
            base.calls(Calls { attempts: 9, ..Calls::default() }),
            Policy::unverified("demo"),
        ];
        let mut digests = BTreeSet::new();
        for policy in variants {
            let json = serde_json::to_string(&policy).unwrap();
            assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy, "{json}");
            assert!(digests.insert(policy.digest().unwrap()), "{json}");
        }
    }

    /// Votes bind to the digest of the policy: one that was recorded before there were canaries must keep its own.
    #[test]
    fn a_policy_without_a_canary_reads_and_writes_as_before_there_were_canaries() {
        let json = serde_json::to_string(&Policy::unverified("demo")).unwrap();
        assert!(!json.contains("canary"), "{json}");
        assert!(!serde_json::from_str::<Policy>(&json).unwrap().canary);
        let asks = serde_json::to_string(&Policy::healthy_for(Duration::from_secs(60)).canary()).unwrap();
        assert!(asks.contains("\"canary\":true"), "{asks}");
    }

    #[test]
    fn waiting_doubles_up_to_five_minutes() {
        let calls = Calls::default();
        let waits: Vec<u64> = [1, 2, 3, 9, 10, 40, u32::MAX].map(|n| calls.backoff_after(n).as_secs()).into();
        assert_eq!(waits, [1, 2, 4, 256, 300, 300, 300]);
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        let json = r#"{"verification":{"unverified":{"reason":"demo"}},"aprovals":2}"#;
        let error = serde_json::from_str::<Policy>(json).unwrap_err().to_string();
        assert!(error.starts_with("unknown field `aprovals`"), "{error}");
    }
}
