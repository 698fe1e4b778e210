use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use mcp_core::{Digest, Holder, Id, Name, Principal, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::approval::Ballot;
use crate::judge::{Beside, Judgement};
use crate::{Evidence, Glass, Policy, PromotionError, Reach, Release, Sampled, State};

/// Names one promotion: its stage, and the position of its request in the stage's stream, shown as `prod/7`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromotionId {
    /// Into which stage.
    pub stage: Name,
    /// Where its request stands in the stage's stream, from 1.
    pub number: u64,
}

impl PromotionId {
    /// `stage/number`.
    #[must_use]
    pub const fn new(stage: Name, number: u64) -> Self {
        Self { stage, number }
    }
}

impl fmt::Display for PromotionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stage, self.number)
    }
}

impl fmt::Debug for PromotionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PromotionId({self})")
    }
}

impl FromStr for PromotionId {
    type Err = PromotionError;

    fn from_str(text: &str) -> Result<Self, PromotionError> {
        let refuse = || PromotionError::MalformedId { shown: text.chars().take(60).collect() };
        let (stage, digits) = text.rsplit_once('/').ok_or_else(refuse)?;
        let number: u64 = digits.parse().map_err(|_| refuse())?;
        // One id has one text: neither +7 nor 07.
        if number == 0 || number.to_string() != digits {
            return Err(refuse());
        }
        Ok(Self { stage: stage.parse()?, number })
    }
}

impl Serialize for PromotionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PromotionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a promotion is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// To bring a release into a stage. When that fails, the previous one is brought back.
    Deploy,
    /// To bring the previous release back. When that fails, it is stuck: a rollback is never rolled back.
    Rollback,
}

/// One release on its way into one stage, as the stage's stream tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Promotion {
    /// Which stage, and which promotion of it.
    pub id: PromotionId,
    /// What it is for.
    pub kind: Kind,
    /// What is promoted.
    pub release: Release,
    /// Who asked for it.
    pub requester: Principal,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// The policy of the stage at the time of the request, which is the one that counts.
    pub policy: Arc<Policy>,
    /// What a vote binds to: stage, release and policy.
    pub binding: Digest,
    /// Where it stands.
    pub state: State,
    /// Why it stands there; empty where the state says it all.
    pub reason: String,
    /// Since when it stands there.
    pub since: Timestamp,
    /// The position of the event that brought it there.
    pub entered: u64,
    /// Who voted what; the latest vote of each person.
    pub votes: Vec<Ballot>,
    /// What the gates said in the step that started it.
    pub evidence: Option<Evidence>,
    /// That the glass was broken for it, so that it starts without waiting.
    pub glass: Option<Glass>,
    /// How often in a row a call to the stage failed since it entered its state.
    pub failures: u32,
    /// When such a call failed last, and what it said.
    pub last_failure: Option<(Timestamp, String)>,
    /// What delays it while it is pending.
    pub delay: Option<Delay>,
    /// How far its release got, as the stage has confirmed it on the way forward; `None` before that.
    pub reach: Option<Reach>,
    /// How far its verification has come.
    pub verification: Option<Progress>,
    /// Why a person let what may run in the canary only reach everything, whatever the judge says.
    pub overridden: Option<String>,
    /// The state from which it was paused.
    pub paused_from: Option<State>,
    /// Whether an operator, by resuming, overriding or retrying, accepted that the stage ran something unexpected.
    pub accepts_drift: bool,
    /// An id that no other promotion has, in any journal.
    pub unique: Id,
    /// In whose name its artifacts are pinned, where they are.
    pub holder: Option<Holder>,
    /// Whether the pin has no expiry any more.
    pub pin_lasts: bool,
    /// Whether the pin was given up.
    pub pin_released: bool,
}

/// Which gate or seam does not let a promotion start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Delay {
    /// Which, such as `gate scan`.
    pub by: String,
    /// What it said.
    pub why: String,
    /// Until when, where it said so when it said this first.
    pub until: Option<Timestamp>,
}

/// How far a verification has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Progress {
    /// Until when the stage was sampled; at first, when the release was applied.
    pub until: Timestamp,
    /// How many windows were sampled.
    pub windows: u64,
    /// What the judge keeps from window to window.
    pub judge: Value,
    /// What was said last: by the judge, unless a guardrail beside it decided.
    pub judgement: Judgement,
    /// What guardrails and shadow judges keep and said last.
    pub beside: Beside,
}

impl Progress {
    /// Goes on by one window.
    pub(crate) fn take(&mut self, sampled: &Sampled) {
        self.until = sampled.window.to;
        self.windows = self.windows.saturating_add(1);
        self.judge = sampled.judge.clone();
        self.judgement = sampled.judgement.clone();
        self.beside = sampled.beside.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_from_its_text_and_has_only_one() {
        for text in ["prod/7", "eu/prod/18446744073709551615"] {
            assert_eq!(text.parse::<PromotionId>().unwrap().to_string(), text);
        }
        for text in
            ["", "prod", "prod/", "prod/0", "prod/07", "prod/+7", "prod/-1", "prod/18446744073709551616"]
        {
            let shown = format!(
                "read {text:?} as promotion id: it is not a stage, '/' and a number from 1, such as prod/7"
            );
            assert_eq!(text.parse::<PromotionId>().unwrap_err().to_string(), shown);
        }
        assert!(
            "Prod/7".parse::<PromotionId>().unwrap_err().to_string().starts_with("read \"Prod\" as name")
        );
    }
}
